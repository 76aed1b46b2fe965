//! Versioned ConfigMaps: what the planner does about them, and that the guard lets nothing else pass.

use std::sync::Arc;

use serde_json::{Value, json};
use triton::fields::{Compact, FieldChange};
use triton::guard::{Rule, check};
use triton::model::{ResourceVersion, Uid};
use triton::objects::{Kind, ObjectKey, keys};
use triton::plan::plan as planned;
use triton::spec::{Body, Companion, Release};
use triton::world::{Action, CompanionLive, Decision, Expect, Memory, Permit, Source, World, Write};

use crate::guard::laps::{Lap, a, b};
use crate::support::world::*;

/// `release`, whose pods read `cfg` with this content.
fn reading(mut release: Release, content: &str) -> Release {
    let name = format!("cfg-{content}");
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": {"is": content},
        "metadata": {"namespace": "shop", "name": name},
    });
    let mut value = release.cloneset.value.open();
    value["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": name}}]);
    release.cloneset.value = Compact::of(&value);
    let body = Body { key: config_key(content), value: Compact::of(&config) };
    release.companions.insert(0, Companion { body, version_of: Some("cfg".parse().unwrap()) });
    release
}

fn config_key(content: &str) -> ObjectKey {
    key(Kind::ConfigMap, &format!("cfg-{content}"))
}

/// Puts the version with this content into the cluster, as ours.
fn stands(world: &mut World, content: &str, drift: &[&str]) {
    let change = |path: &&str| FieldChange {
        path: (*path).to_owned(),
        wanted: json!(content),
        found: Some(json!("other")),
        manager: None,
    };
    let there = CompanionLive {
        uid: Uid::new(format!("uid-{content}")),
        version: ResourceVersion::new("80"),
        release: id().to_string(),
        other_owner: None,
        drift: drift.iter().map(change).collect(),
        beside: Arc::from([]),
    };
    edit(world, |case| drop(case.companions.insert(config_key(content), there)));
}

fn deletes(content: &str) -> Write {
    let (uid, version) = (Uid::new(format!("uid-{content}")), ResourceVersion::new("80"));
    Write { object: config_key(content), action: Action::Delete { uid, version }, forward: true }
}

/// What the planner does to ConfigMaps, which the guard lets pass: `+` applied, `-` deleted.
fn done(world: &World) -> Vec<String> {
    let plan = planned(world);
    assert_eq!(check(world, &plan).get(&id()), None);
    let told = |write: &Write| {
        let sign = if matches!(write.action, Action::Delete { .. }) { '-' } else { '+' };
        format!("{sign}{}", write.object.name)
    };
    plan.moves[&id()].writes.iter().filter(|it| it.object.kind == Kind::ConfigMap).map(told).collect()
}

/// B is complete over the proven A; both read `cfg`, and an older version stands that nobody names.
fn settled() -> (World, Memory) {
    let (before, now) = (reading(a(), "a"), reading(b(), "b"));
    let mut memory = complete(&now);
    memory.proven.insert(0, proof(&before));
    let mut world = world(intent(&now), Some(live(&now, Some(memory.clone()), "0%", 10)), &[&now]);
    for content in ["a", "b", "old"] {
        stands(&mut world, content, &[]);
    }
    (world, memory)
}

#[test]
fn what_a_proven_release_reads_is_kept_though_its_documents_are_not_at_hand() {
    let (world, memory) = settled();
    assert_eq!(done(&world), ["-cfg-old"]);
    let lap = |content: &str| Lap {
        world: world.clone(),
        plan: plan(Decision::Rest, Some(memory.clone()), vec![deletes(content)]),
    };
    lap("old").passes();
    lap("a").breaks(Rule::Evidence);
    lap("b").breaks(Rule::Evidence);
    // Even where the plan's own memory has forgotten it.
    let mut lap = lap("a");
    lap.plan.moves.get_mut(&id()).unwrap().memory.as_mut().unwrap().proven.remove(0);
    lap.breaks(Rule::Evidence);
}

#[test]
fn a_release_completes_with_what_its_pods_read() {
    let release = reading(b(), "b");
    let mut intent = intent(&release);
    intent.markers.extend([2, 3].map(|step| marker(&release, Permit::Step(step), "bob")));
    let memory = at_step(&release, &a(), 3, Some(10));
    let mut world = world(intent, Some(live(&release, Some(memory), "0%", 10)), &[&a(), &release]);
    stands(&mut world, "b", &[]);
    let mut lap = Lap { plan: planned(&world), world };
    lap.passes();
    let step = lap.plan.moves.get_mut(&id()).unwrap();
    assert_eq!(step.decision, Decision::Complete);
    let memory = step.memory.as_mut().unwrap();
    assert_eq!(memory.top().unwrap().configs, ["cfg-b"]);
    memory.proven.last_mut().unwrap().configs.clear();
    let proven = memory.to_annotations()[keys::PROVEN].clone();
    lap.with_body(|body| body["metadata"]["annotations"][keys::PROVEN] = proven.into()).breaks(Rule::Reached);
}

#[test]
fn what_live_pods_read_is_kept_whoever_wrote_it() {
    let (mut world, _) = settled();
    let mut template: Value = reading(b(), "b").cloneset.value.open();
    template["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "v", "configMap": {"name": "cfg-old"}}]);
    edit_live(&mut world, |live| live.stand = triton::fields::Stand::of(&template));
    assert_eq!(done(&world), [""; 0]);
}

/// B, which reads nothing, is at step 1 over A, which reads `cfg`.
fn on_its_way() -> World {
    let before = reading(a(), "a");
    let memory = at_step(&b(), &before, 1, Some(1));
    world(intent(&b()), Some(live(&b(), Some(memory), "99%", 1)), &[&before, &b()])
}

#[test]
fn what_pods_of_the_proven_release_read_is_put_back_in_the_middle_of_the_next_one() {
    let mut world = on_its_way();
    assert_eq!(done(&world), ["+cfg-a"]);
    // While Git is away as well.
    world.source = Source::default();
    assert_eq!(done(&world), ["+cfg-a"]);
    stands(&mut world, "a", &[]);
    assert_eq!(done(&world), [""; 0]);
    stands(&mut world, "a", &["metadata.labels[team]"]);
    assert_eq!(done(&world), ["+cfg-a"]);
    let other = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": {"is": "bad"},
        "metadata": {"namespace": "shop", "name": "cfg-a"},
    });
    let mut body = other;
    mark(&mut body);
    let expect = Expect::Same(Uid::new("uid-a"), ResourceVersion::new("80"));
    let write = Write {
        object: config_key("a"),
        action: Action::Apply { body: Arc::new(body), expect },
        forward: false,
    };
    let memory = at_step(&b(), &reading(a(), "a"), 1, Some(1));
    Lap { plan: plan(Decision::Repair, Some(memory), vec![write]), world }.breaks(Rule::Whole);
}

#[test]
fn what_says_something_else_than_its_name_goes_and_is_made_again() {
    let mut world = on_its_way();
    stands(&mut world, "a", &["data.is"]);
    assert_eq!(done(&world), ["-cfg-a"]);
    // One that is not immutable is written as it was.
    stands(&mut world, "a", &["data.is", "immutable"]);
    assert_eq!(done(&world), ["+cfg-a"]);
    stands(&mut world, "a", &["metadata.labels[team]"]);
    let memory = at_step(&b(), &reading(a(), "a"), 1, Some(1));
    Lap { plan: plan(Decision::Repair, Some(memory), vec![deletes("a")]), world }.breaks(Rule::Evidence);
}

#[test]
fn what_is_entered_next_is_right_before_a_pod_reads_it() {
    let next = reading(b(), "b");
    let mut world = world(intent(&next), Some(live(&a(), Some(complete(&a())), "0%", 10)), &[&a()]);
    stands(&mut world, "b", &["binaryData.is"]);
    let plan = planned(&world);
    assert_eq!(
        (plan.moves[&id()].decision.clone(), done(&world)),
        (Decision::Repair, vec!["-cfg-b".to_owned()])
    );
    edit(&mut world, |case| drop(case.companions.remove(&config_key("b"))));
    let plan = planned(&world);
    assert_eq!(
        (plan.moves[&id()].decision.clone(), done(&world)),
        (Decision::Enter(1), vec!["+cfg-b".to_owned()])
    );
}
