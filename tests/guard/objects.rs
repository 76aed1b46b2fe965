//! Bodies, preconditions, ownership, deletes.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use triton::fields::{Compact, FieldChange};
use triton::guard::Rule;
use triton::model::{ResourceVersion, Uid};
use triton::objects::Kind;
use triton::world::{
    Action, Case, Decision, Desired, Expect, Live, Memory, OtherTool, Policy, Rehearsal, Removal, Tool, World,
};

use crate::guard::laps::*;
use crate::support::world::*;

#[test]
fn a_body_is_whole() {
    for part in ["selector", "template", "updateStrategy", "replicas"] {
        let cut = |body: &mut Value| drop(body["spec"].as_object_mut().unwrap().remove(part));
        enters_first().with_body(cut).breaks(Rule::Whole);
        rolls_back().with_body(cut).breaks(Rule::Whole);
    }
    let autoscaled = |world: &mut World| {
        edit_live(world, |it| it.replicas_owner = Some("horizontal-pod-autoscaler".into()));
        edit_intent(world, |it| Arc::make_mut(&mut it.release).replicas = None);
    };
    let without = |body: &mut Value| drop(body["spec"].as_object_mut().unwrap().remove("replicas"));
    enters_first().with_world(autoscaled).with_body(without).passes();
    enters_first()
        .with_body(|body| body["spec"]["updateStrategy"]["paused"] = json!(true))
        .breaks(Rule::Whole);
    enters_first().with_body(|body| body["spec"]["replicas"] = json!(11)).breaks(Rule::Whole);
    enters_first().with_body(|body| body["spec"]["minReadySeconds"] = json!(5)).breaks(Rule::Whole);
    let image = |body: &mut Value| body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("c");
    enters_first().with_body(image).breaks(Rule::Whole);
    enters_first().with_body(|body| body["kind"] = json!("Deployment")).breaks(Rule::Whole);
}

#[test]
fn a_write_expects_exactly_what_was_seen() {
    let expects = |expect: Expect| {
        let mut lap = enters_first();
        let step = lap.plan.moves.get_mut(&id()).unwrap();
        let Action::Apply { expect: there, .. } = &mut step.writes[0].action else { panic!("an apply") };
        *there = expect;
        lap
    };
    expects(Expect::Absent).breaks(Rule::Whole);
    expects(Expect::Same(Uid::new("uid-1"), ResourceVersion::new("69"))).breaks(Rule::Whole);
    expects(Expect::Same(Uid::new("uid-9"), ResourceVersion::new("70"))).breaks(Rule::Whole);
    enters_first().with_world(|it| edit(it, |case| case.live = None)).breaks(Rule::Whole);
}

#[test]
fn objects_of_others_and_places_not_allowed_are_left_alone() {
    let foreign = |world: &mut World| edit_live(world, |it| it.root = Some("ffffffff".into()));
    enters_first().with_world(foreign).breaks(Rule::Whole);
    enters_first().with_world(|it| edit_live(it, |it| it.memory = None)).breaks(Rule::Whole);
    let stranger =
        |world: &mut World| edit(world, |case| case.strangers.extend([key(Kind::CloneSet, "checkout")]));
    enters_first().with_world(stranger).breaks(Rule::Whole);
    let narrow = |policy: Policy| enters_first().with_world(|world| world.policy = Arc::new(policy));
    let root = || ROOT.to_owned();
    let elsewhere = Some(BTreeSet::from(["other".to_owned()]));
    narrow(Policy { namespaces: elsewhere, root: root(), ..Policy::default() }).breaks(Rule::Whole);
    let mut lap = enters_first();
    lap.world.policy = Arc::new(Policy { kinds: BTreeSet::new(), root: root(), ..Policy::default() });
    lap.passes();
    lap.plan.moves.get_mut(&id()).unwrap().writes.insert(0, service(&b()));
    lap.breaks(Rule::Whole);
}

#[test]
fn a_service_waits_for_its_release() {
    let mut next = b();
    let mut value = next.companions[0].body.value.open();
    value["spec"]["ports"][0]["port"] = json!(8080);
    next.companions[0].body.value = Compact::of(&value);
    let mut world = world(intent(&next), Some(live(&a(), Some(complete(&a())), "0%", 10)), &[&a()]);
    edit_intent(&mut world, |it| it.freezes.push(Arc::new(frozen())));
    let mut lap = Lap { world, plan: plan(Decision::Repair, Some(complete(&a())), vec![service(&a())]) };
    lap.passes();
    lap.plan = plan(Decision::Repair, Some(complete(&a())), vec![service(&next)]);
    lap.breaks(Rule::Whole);
}

#[test]
fn nothing_is_deleted_without_evidence() {
    let desired = |desired: Desired| removes().with_world(|it| edit(it, |case| case.desired = desired));
    desired(Desired::Unknown).breaks(Rule::Evidence);
    desired(Desired::Broken(Arc::from([]))).breaks(Rule::Evidence);
    desired(Desired::Release(Arc::new(intent(&a())))).breaks(Rule::Evidence);
    removes().with_world(|it| edit_live(it, |it| it.root = None)).breaks(Rule::Evidence);
    removes().with_world(|it| edit_live(it, |it| it.uid = Uid::new("uid-9"))).breaks(Rule::Evidence);
    removes()
        .with_world(|it| it.named = Arc::new([key(Kind::CloneSet, "checkout")].into()))
        .breaks(Rule::Evidence);
    let mut orphan = a();
    orphan.orphan = true;
    let stays =
        |it: &mut World| edit(it, |case| drop(case.documents.insert(orphan.digest, Arc::new(orphan))));
    removes().with_world(stays).breaks(Rule::Evidence);
    let mut lap = completes();
    lap.plan.moves.get_mut(&id()).unwrap().writes.push(delete(Kind::Service, "uid-2", "71"));
    lap.breaks(Rule::Evidence);
}

#[test]
fn what_serves_a_cloneset_that_is_not_ours_stays() {
    let mut lap = removes();
    lap.plan.moves.get_mut(&id()).unwrap().writes = vec![delete(Kind::Service, "uid-2", "71")];
    lap.passes();
    let foreign = |world: &mut World| edit_live(world, |it| it.memory = None);
    lap.with_world(foreign).breaks(Rule::Evidence);
    let mut lap = removes();
    lap.plan.moves.get_mut(&id()).unwrap().writes = vec![service(&a())];
    lap.breaks(Rule::Whole);
}

#[test]
fn more_than_the_limit_is_removed_only_when_it_was_approved() {
    let gone = |approved: bool| {
        removes().with_world(|world| {
            let case = world.cases[&id()].clone();
            for number in 0..3 {
                let mut other = (*case).clone();
                other.desired =
                    Desired::Gone(Removal { commit: commit(4), approved: number > 0 && approved });
                world.cases.insert(format!("shop/other-{number}").parse().unwrap(), Arc::new(other));
            }
        })
    };
    gone(false).breaks(Rule::Evidence);
    gone(true).breaks(Rule::Evidence);
    let approve = |case: &mut Case| {
        case.desired = Desired::Gone(Removal { commit: commit(4), approved: true });
    };
    gone(false).with_world(|it| edit(it, approve)).passes();
}

#[test]
fn a_dropped_companion_is_pruned_at_completion_and_not_before() {
    let drop_service = |mut lap: Lap| {
        let mut next = b();
        next.companions.clear();
        edit(&mut lap.world, |case| drop(case.documents.insert(next.digest, Arc::new(next))));
        lap.world.named = Arc::new(BTreeSet::new());
        lap.plan.moves.get_mut(&id()).unwrap().writes.push(delete(Kind::Service, "uid-2", "71"));
        lap
    };
    drop_service(completes()).passes();
    drop_service(enters_second()).breaks(Rule::Evidence);
}

#[test]
fn adoption_moves_no_pod() {
    let mut adopting = b();
    adopting.adopt = true;
    let memory = Memory { step_reached: None, ..complete(&a()) };
    let bare = || {
        let mut body = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
            "metadata": { "namespace": "shop", "name": "checkout", "annotations": memory.to_annotations() },
        });
        mark(&mut body);
        body
    };
    let adopts = |change: fn(&mut Live)| {
        let mut stands = live(&a(), None, "0%", 10);
        stands.root = None;
        let image = FieldChange { path: "image".into(), wanted: Value::Null, found: None, manager: None };
        stands.rehearsal = Some(Rehearsal { template: Arc::from([image]), standing: Some(Arc::new(a())) });
        change(&mut stands);
        let world = world(intent(&adopting), Some(stands), &[]);
        Lap { world, plan: plan(Decision::Adopt, Some(memory.clone()), vec![apply(bare(), false)]) }
    };
    adopts(|_| ()).passes();
    adopts(|it| it.partition = "7".parse().unwrap()).breaks(Rule::Whole);
    adopts(|it| it.status.current_revision = "checkout-old".into()).breaks(Rule::Whole);
    adopts(|it| it.other_owner = Some(OtherTool { tool: Tool::ArgoCd, name: String::new() }))
        .breaks(Rule::Whole);
    adopts(|it| it.root = Some("ffffffff".into())).breaks(Rule::Whole);
    adopts(|it| it.rehearsal = None).breaks(Rule::Whole);
    adopts(|it| it.rehearsal = Some(Rehearsal::default())).breaks(Rule::Whole);
    adopts(|_| ()).with_body(|body| body["spec"] = json!({ "replicas": 10 })).breaks(Rule::Whole);
    let unasked = |world: &mut World| edit_intent(world, |it| Arc::make_mut(&mut it.release).adopt = false);
    adopts(|_| ()).with_world(unasked).breaks(Rule::Whole);
}

#[test]
fn two_releases_never_write_one_object() {
    let mut lap = enters_first();
    let other = "shop/other".parse().unwrap();
    let step = lap.plan.moves[&id()].clone();
    lap.world.cases.insert(other, lap.world.cases[&id()].clone());
    lap.plan.moves.insert("shop/other".parse().unwrap(), step);
    lap.breaks(Rule::Whole);
}
