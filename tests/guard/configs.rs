//! Versioned ConfigMaps: what the planner does about them, and that the guard lets nothing else pass.

use std::sync::Arc;

use serde_json::{Value, json};
use triton::fields::{Compact, FieldChange};
use triton::guard::{Rule, check};
use triton::model::{Gate, Hold, Lift, LiftKind, ResourceVersion, Uid};
use triton::objects::record::ReleaseStatus;
use triton::objects::{Kind, ObjectKey, keys};
use triton::plan::plan as planned;
use triton::spec::versioned::named;
use triton::spec::{Body, Companion, Release};
use triton::world::{
    Action, Case, CompanionLive, Decision, Desired, Expect, Memory, Move, Permit, RecordLive, Refusal,
    Source, World, Write,
};

use crate::guard::laps::{Lap, a, b};
use crate::support::world::*;

/// The contents of `cfg` that there are here.
const CONTENTS: [&str; 4] = ["a", "b", "old", "bad"];

/// The name under which a content is applied.
fn name(content: &str) -> String {
    named("cfg", &json!({"data": {"is": content}}))
}

/// A version of `cfg`, under the name of one content, that says another.
fn version(name: &str, says: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": {"is": says},
        "metadata": {"namespace": "shop", "name": name, "annotations": {keys::VERSION_OF: "cfg"}},
    })
}

/// `release`, whose pods read `cfg` with this content.
fn reading(mut release: Release, content: &str) -> Release {
    let name = name(content);
    let config = version(&name, content);
    let mut value = release.cloneset.value.open();
    value["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": name}}]);
    release.cloneset.value = Compact::of(&value);
    let body = Body { key: config_key(content), value: Compact::of(&config) };
    release.companions.insert(0, Companion { body, version_of: Some("cfg".parse().unwrap()) });
    release
}

fn config_key(content: &str) -> ObjectKey {
    key(Kind::ConfigMap, &name(content))
}

/// Puts the version with this content into the cluster, as ours; one that says something else was made by somebody else.
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
        applied: !drift.iter().any(|it| it.contains("ata.")),
        deleting: false,
        leads: triton::world::Leads::default(),
    };
    edit(world, |case| drop(case.companions.insert(config_key(content), there)));
}

fn deletes(content: &str) -> Write {
    let (uid, version) = (Uid::new(format!("uid-{content}")), ResourceVersion::new("80"));
    Write { object: config_key(content), action: Action::Delete { uid, version }, forward: true }
}

/// What the planner writes, whatever the guard says of it.
fn done_unchecked(world: &World) -> Vec<Write> {
    planned(world).moves[&id()].writes.clone()
}

/// What the planner does to ConfigMaps, which the guard lets pass: `+` applied, `-` deleted.
fn done(world: &World) -> Vec<String> {
    let plan = planned(world);
    assert_eq!(check(world, &plan).get(&id()), None);
    let told = |write: &Write| {
        let sign = if matches!(write.action, Action::Delete { .. }) { '-' } else { '+' };
        let is_it = |content: &&str| write.object == config_key(content);
        let content = CONTENTS.into_iter().find(is_it);
        content.map_or(format!("{sign}{}", write.object.name), |content| format!("{sign}cfg-{content}"))
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
    assert_eq!(memory.top().unwrap().configs, [name("b")]);
    memory.proven.last_mut().unwrap().configs.clear();
    let proven = memory.to_annotations()[keys::PROVEN].clone();
    lap.with_body(|body| body["metadata"]["annotations"][keys::PROVEN] = proven.into()).breaks(Rule::Reached);
}

#[test]
fn what_live_pods_read_is_kept_whoever_wrote_it() {
    let (mut world, _) = settled();
    let mut template: Value = reading(b(), "b").cloneset.value.open();
    template["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "v", "configMap": {"name": name("old")}}]);
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
    let mut body = version(&name("a"), "bad");
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

#[test]
fn what_we_applied_is_never_deleted_for_what_the_server_made_of_it() {
    let mut world = on_its_way();
    stands(&mut world, "a", &["binaryData.is"]);
    let applied = |case: &mut Case| case.companions.get_mut(&config_key("a")).unwrap().applied = true;
    edit(&mut world, applied);
    assert_eq!(done(&world), ["+cfg-a"]);
    let memory = at_step(&b(), &reading(a(), "a"), 1, Some(1));
    Lap { plan: plan(Decision::Repair, Some(memory), vec![deletes("a")]), world }.breaks(Rule::Evidence);
}

#[test]
fn a_name_that_two_releases_have_for_two_contents_is_not_made_again() {
    let mut world = on_its_way();
    stands(&mut world, "a", &["data.is"]);
    let mut forged = reading(b(), "a");
    forged.companions[0].body.value = Compact::of(&version(&name("a"), "bad"));
    edit(&mut world, |case| drop(case.documents.insert(forged.digest, Arc::new(forged))));
    assert!(!done_unchecked(&world).contains(&deletes("a")));
    let memory = at_step(&b(), &reading(a(), "a"), 1, Some(1));
    Lap { plan: plan(Decision::Repair, Some(memory), vec![deletes("a")]), world }.breaks(Rule::Evidence);
}

#[test]
fn a_delete_is_never_sent_by_a_leader_that_is_none_any_more() {
    let mut world = on_its_way();
    stands(&mut world, "a", &["data.is"]);
    let memory = at_step(&b(), &reading(a(), "a"), 1, Some(1));
    let lap = |forward| Lap {
        plan: plan(Decision::Repair, Some(memory.clone()), vec![Write { forward, ..deletes("a") }]),
        world: world.clone(),
    };
    lap(true).passes();
    lap(false).breaks(Rule::Forward);
}

/// Nothing stands of B, which reads `cfg`; with memory in the record, B is proven.
fn to_be_made(proven: bool) -> World {
    let release = reading(b(), "b");
    let memory = Memory { uid: None, episode: Some(commit(2)), ..complete(&release) };
    let memory = Memory { proven: if proven { memory.proven.clone() } else { vec![] }, ..memory };
    let record = RecordLive {
        uid: Uid::new("uid-r"),
        version: ResourceVersion::new("1"),
        generation: 1,
        root: None,
        status: Arc::new(ReleaseStatus::default()),
        memory: proven.then_some(memory),
        replicas: 10,
    };
    let mut world = world(intent(&release), None, &[&release]);
    edit(&mut world, |case| case.record = Some(record));
    world
}

#[test]
fn what_says_something_else_goes_before_the_cloneset_is_made() {
    for proven in [false, true] {
        let mut world = to_be_made(proven);
        stands(&mut world, "b", &["data.is"]);
        let plan = planned(&world);
        assert_eq!(check(&world, &plan).get(&id()), None);
        assert_eq!(plan.moves[&id()].writes, [deletes("b")]);
        edit(&mut world, |case| drop(case.companions.remove(&config_key("b"))));
        let plan = planned(&world);
        let step = &plan.moves[&id()];
        assert_eq!((step.decision.clone(), done(&world)), (Decision::Create, vec!["+cfg-b".to_owned()]));
        assert_eq!(step.writes.last().unwrap().object.kind, Kind::CloneSet);
    }
}

#[test]
fn pods_begin_with_what_they_read_under_the_name_of_what_it_says() {
    let next = reading(b(), "b");
    let world = world(intent(&next), Some(live(&a(), Some(complete(&a())), "0%", 10)), &[&a()]);
    let lap = || Lap { plan: planned(&world), world: world.clone() };
    let config = |step: &mut Move| {
        step.writes.iter().position(|it| it.object == config_key("b")).expect("it is written first")
    };
    lap().passes();
    let mut missing = lap();
    let step = missing.plan.moves.get_mut(&id()).unwrap();
    let at = config(step);
    let late = step.writes.remove(at);
    step.writes.push(late);
    missing.breaks(Rule::Whole);
    let mut other = lap();
    let step = other.plan.moves.get_mut(&id()).unwrap();
    let at = config(step);
    let Action::Apply { body, .. } = &mut step.writes[at].action else { panic!("an apply") };
    Arc::make_mut(body)["data"]["is"] = "bad".into();
    assert!(check(&world, &other.plan)[&id()].message.contains("its name is not the one of what it says"));
}

#[test]
fn versions_of_releases_that_never_completed_go_before_the_next_one_begins() {
    let (before, next) = (reading(a(), "a"), reading(b(), "b"));
    let back = |reached: bool| {
        let mut memory = complete(&before);
        memory.step_reached = memory.step_reached.filter(|_| reached);
        let mut world = world(intent(&next), Some(live(&before, Some(memory), "0%", 10)), &[&before]);
        for content in ["a", "old", "bad"] {
            stands(&mut world, content, &[]);
        }
        world
    };
    let mut world = back(true);
    assert_eq!(planned(&world).moves[&id()].decision, Decision::Repair);
    let mut gone = done(&world);
    gone.sort();
    assert_eq!(gone, ["-cfg-bad", "-cfg-old"]);
    // Pods that are still on their way may read them.
    edit_live(&mut world, |live| live.status.updated = 9);
    assert!(!done_unchecked(&world).iter().any(|it| matches!(it.action, Action::Delete { .. })));
    // One that somebody keeps, or that may not be deleted, keeps nothing back.
    let mut world = back(true);
    edit(&mut world, |case| case.companions.values_mut().for_each(|it| it.deleting = true));
    assert_eq!(planned(&world).moves[&id()].decision, Decision::Enter(1));
    let mut world = back(true);
    let hold =
        Hold { gate: Gate::Cluster, since: None, message: "refused".into(), lift: Lift::by(LiftKind::Wait) };
    edit(&mut world, |case| case.refused = Some(Refusal::of(hold)));
    assert_eq!(planned(&world).moves[&id()].decision, Decision::Enter(1));
    for content in ["old", "bad"] {
        edit(&mut world, |case| drop(case.companions.remove(&config_key(content))));
    }
    edit(&mut world, |case| case.refused = None);
    assert_eq!(planned(&world).moves[&id()].decision, Decision::Enter(1));
}

/// `release`, whose pods read `cfg` by that very name, with this content.
fn reading_as_written(release: Release, content: &str) -> Release {
    let mut release = reading(release, content);
    let mut config = version("cfg", content);
    config.as_object_mut().unwrap().remove("immutable");
    config["metadata"].as_object_mut().unwrap().remove("annotations");
    let mut value = release.cloneset.value.open();
    value["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "cfg"}}]);
    release.cloneset.value = Compact::of(&value);
    let body = Body { key: key(Kind::ConfigMap, "cfg"), value: Compact::of(&config) };
    release.companions[0] = Companion { body, version_of: None };
    release
}

/// Puts `cfg` into the cluster under that very name, as ours.
fn stands_as_written(world: &mut World) -> Write {
    stands(world, "a", &[]);
    let cfg = key(Kind::ConfigMap, "cfg");
    edit(world, |case| {
        let there = case.companions.remove(&config_key("a")).unwrap();
        case.companions.insert(cfg.clone(), there);
    });
    Write { object: cfg, ..deletes("a") }
}

#[test]
fn what_the_proven_pods_read_under_its_own_name_stands_while_the_next_release_does_not_have_it() {
    let before = reading_as_written(a(), "a");
    let beside = |next: &Release| {
        let memory = at_step(next, &before, 1, Some(1));
        let mut world = world(intent(next), Some(live(next, Some(memory), "99%", 1)), &[&before, next]);
        if next.companions.iter().any(|it| it.version_of.is_some()) {
            stands(&mut world, "b", &[]);
        }
        world
    };
    assert_eq!(done(&beside(&b())), ["+cfg"]);
    assert_eq!(done(&beside(&reading(b(), "b"))), ["+cfg"]);
    // One that the next release has is the next one's.
    let next = reading_as_written(b(), "b");
    let mut lap = Lap { plan: planned(&beside(&next)), world: beside(&next) };
    lap.passes();
    let write = lap.plan.moves.get_mut(&id()).unwrap().writes.first_mut().unwrap();
    let Action::Apply { body, .. } = &mut write.action else { panic!("an apply") };
    assert_eq!(body["data"]["is"], "b");
    Arc::make_mut(body)["data"]["is"] = "a".into();
    lap.breaks(Rule::Whole);
}

#[test]
fn the_written_name_goes_once_no_proven_release_and_no_other_pods_read_it() {
    let (mut world, memory) = settled();
    let gone = stands_as_written(&mut world);
    Arc::make_mut(&mut world.named).insert(gone.object.clone());
    assert_eq!(done(&world), ["-cfg", "-cfg-old"]);
    let lap = |world: &World| Lap {
        world: world.clone(),
        plan: plan(Decision::Rest, Some(memory.clone()), vec![gone.clone()]),
    };
    lap(&world).passes();
    // Pods of another release read it.
    let mut other = world.clone();
    let release = reading_as_written(a(), "a");
    let case =
        Case { live: Some(live(&release, None, "0%", 10)), ..(**other.cases.get(&id()).unwrap()).clone() };
    let case = Case {
        documents: Default::default(),
        desired: Desired::Unknown,
        companions: Default::default(),
        ..case
    };
    other.cases.insert("shop/other".parse().unwrap(), Arc::new(case));
    assert_eq!(done(&other), ["-cfg-old"]);
    lap(&other).breaks(Rule::Evidence);
    // A proven release reads it.
    let mut read = memory.clone();
    read.proven[0].configs = vec!["cfg".to_owned()];
    edit_live(&mut world, |live| live.memory = Some(read));
    assert_eq!(done(&world), ["-cfg-old"]);
    lap(&world).breaks(Rule::Evidence);
}
