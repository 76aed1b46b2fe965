//! Memory, steps, completion, holds.

use std::sync::Arc;

use serde_json::json;
use triton::guard::{Rule, check};
use triton::model::{Gate, Hold, Lift};
use triton::objects::keys;
use triton::world::{Decision, Live, Memory, Permit, Reached};

use crate::guard::laps::*;
use crate::support::world::*;

#[test]
fn memory_is_complete_and_agrees_with_its_body() {
    let annotation = |key: &'static str, value: Option<&'static str>| {
        enters_second().with_body(move |body| {
            let annotations = body["metadata"]["annotations"].as_object_mut().unwrap();
            match value {
                Some(value) => drop(annotations.insert(key.to_owned(), json!(value))),
                None => drop(annotations.remove(key)),
            }
        })
    };
    for key in [keys::UID, keys::DIGEST, keys::TEMPLATE, keys::STEP, keys::PROVEN, keys::ROOT, keys::RELEASE]
    {
        annotation(key, None).breaks(Rule::Whole);
    }
    annotation(keys::STEP_REACHED, Some("2026-03-01T11:00:00Z 1")).breaks(Rule::Reached);
    annotation(keys::STEP_ENTERED, Some("2026-03-01T11:00:00Z")).breaks(Rule::Whole);
    let mut lap = enters_second();
    let memory = Memory { template: a().template, ..at_step(&b(), &a(), 2, None) };
    lap.plan = writes(Decision::Enter(2), &b(), memory, "50%", true);
    lap.breaks(Rule::Whole);
}

#[test]
fn steps_are_entered_one_by_one_and_only_from_a_step_that_was_reached() {
    let mut lap = enters_second();
    edit_intent(&mut lap.world, |it| it.markers.push(marker(&b(), Permit::Step(3), "bob")));
    let memory = Memory { revision: Some("checkout-b".into()), ..at_step(&b(), &a(), 3, None) };
    lap.plan = writes(Decision::Enter(3), &b(), memory, "0%", true);
    lap.breaks(Rule::Reached);
    let before = |change: fn(&mut Memory)| {
        enters_second().with_world(|it| edit_live(it, |it| change(it.memory.as_mut().unwrap())))
    };
    before(|memory| memory.step_reached = None).breaks(Rule::Reached);
    before(|memory| memory.step_reached = Some(Reached { at: ago(30), pods: 1 })).breaks(Rule::Reached);
    enters_second()
        .with_world(|it| edit_live(it, |it| it.status.updated_available = 0))
        .breaks(Rule::Reached);
    enters_second().with_world(|it| edit_live(it, |it| it.generation = 5)).breaks(Rule::Forward);
    let mut lap = enters_first();
    edit_intent(&mut lap.world, |it| it.markers.push(marker(&b(), Permit::Step(2), "bob")));
    lap.plan = writes(Decision::Enter(2), &b(), at_step(&b(), &a(), 2, None), "50%", true);
    lap.breaks(Rule::Reached);
}

/// B is left at step 1 in the very moment in which its pod is there.
fn leaves_at_once(soak: u32) -> Lap {
    let mut b = b();
    b.strategy.steps.iter_mut().for_each(|step| step.soak = soak);
    let mut lap = enters_second().with_world(|world| {
        edit_intent(world, |intent| intent.release = Arc::new(b.clone()));
        edit(world, |case| drop(case.documents.insert(b.digest, Arc::new(b))));
        edit_live(world, |live| live.memory.as_mut().unwrap().step_reached = None);
    });
    let mut noted = notes_reached().plan.moves[&id()].clone();
    noted.message = "shop/checkout reached step 1 of 3".to_owned();
    lap.plan.moves.get_mut(&id()).unwrap().noted = Some(Box::new(noted));
    lap
}

#[test]
fn a_step_is_left_without_memory_of_its_end_only_when_a_fresh_status_proves_it() {
    leaves_at_once(0).passes();
    leaves_at_once(1).breaks(Rule::Reached);
    let mut untold = leaves_at_once(0);
    untold.plan.moves.get_mut(&id()).unwrap().noted = None;
    untold.breaks(Rule::Silence);
    let cases: [fn(&mut Live); 6] = [
        |it| it.status.updated_available = 0,
        |it| it.status.updated = 0,
        |it| it.status.replicas = 11,
        |it| it.status.expected_updated = 0,
        |it| it.status.update_revision = "checkout-x".into(),
        |it| it.partition = "100%".parse().unwrap(),
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let lap = leaves_at_once(0).with_world(|world| edit_live(world, change));
        assert_eq!(lap.broken(), Some(Rule::Reached), "case {number}");
    }
    leaves_at_once(0).with_world(|it| edit_live(it, |it| it.generation = 5)).breaks(Rule::Forward);
    leaves_at_once(0).with_world(|it| edit_live(it, |it| it.drift.template = true)).breaks(Rule::Forward);
}

#[test]
fn a_step_is_called_reached_only_when_a_fresh_status_proves_it() {
    let cases: [fn(&mut Live); 8] = [
        |it| it.generation = 5,
        |it| it.status.observed_generation = None,
        |it| it.status.updated_available = 0,
        |it| it.status.updated = 0,
        |it| it.status.replicas = 11,
        |it| it.status.expected_updated = 0,
        |it| it.status.update_revision = "checkout-x".into(),
        |it| it.drift.template = true,
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let lap = notes_reached().with_world(|world| edit_live(world, change));
        assert_eq!(lap.broken(), Some(Rule::Reached), "case {number}");
    }
}

#[test]
fn a_release_is_proven_only_when_every_pod_is_updated_and_available() {
    let cases: [fn(&mut Live); 6] = [
        |it| it.generation = 5,
        |it| it.status.available = 9,
        |it| it.status.updated_available = 9,
        |it| it.status.replicas = 12,
        |it| it.status.current_revision = "checkout-a".into(),
        |it| it.memory.as_mut().unwrap().step_reached = None,
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let lap = completes().with_world(|world| edit_live(world, change));
        assert_eq!(lap.broken(), Some(Rule::Reached), "case {number}");
    }
    let mut lap = enters_second();
    let memory = Memory { proven: vec![proof(&a()), proof(&b())], ..at_step(&b(), &a(), 2, None) };
    lap.plan = writes(Decision::Enter(2), &b(), memory, "50%", true);
    lap.breaks(Rule::Reached);
}

#[test]
fn so_many_pods_may_fail_as_the_release_says_and_no_more() {
    let sparing = |available: u32| {
        completes().with_world(|world| {
            let mut release = b();
            release.strategy.failure_threshold = triton::model::Amount::Count(1);
            let release = Arc::new(release);
            edit_intent(world, |intent| intent.release = Arc::clone(&release));
            edit(world, |case| drop(case.documents.insert(release.digest, release)));
            edit_live(world, |it| {
                (it.status.available, it.status.updated_available) = (available, available)
            });
        })
    };
    sparing(9).passes();
    sparing(8).breaks(Rule::Reached);
}

#[test]
fn no_motion_without_a_hold() {
    let mut lap = enters_first();
    lap.plan = plan(Decision::Hold, Some(complete(&a())), vec![]);
    lap.breaks(Rule::Silence);
    let hold = |message: &str| Hold {
        gate: Gate::Approval,
        since: None,
        message: message.into(),
        lift: Lift::wait(),
    };
    lap.plan.moves.get_mut(&id()).unwrap().view.holds.push(hold("step 1 waits for an approval"));
    lap.passes();
    lap.plan.moves.get_mut(&id()).unwrap().view.holds.push(hold(" "));
    lap.breaks(Rule::Silence);
    lap.plan = plan(Decision::Enter(1), Some(complete(&a())), vec![]);
    lap.breaks(Rule::Silence);
    lap.plan.moves.clear();
    lap.breaks(Rule::Silence);
    let mut lap = enters_first();
    lap.plan.moves.get_mut(&id()).unwrap().decision = Decision::Rest;
    lap.breaks(Rule::Silence);
}

#[test]
fn a_create_is_announced_and_a_write_forward_is_marked() {
    creates().passes();
    creates().with_world(|world| world.announcement = None).breaks(Rule::Whole);
    creates().with_world(|world| world.announcement = Some(Arc::from("create-2"))).breaks(Rule::Whole);
    let mut lap = enters_first();
    lap.plan.moves.get_mut(&id()).unwrap().writes[0].forward = false;
    lap.breaks(Rule::Forward);
}

#[test]
fn a_refused_plan_is_told_as_a_hold() {
    let lap = enters_first().with_body(|body| body["spec"]["replicas"] = json!(11));
    let hold = check(&lap.world, &lap.plan)[&id()].hold(&id());
    assert_eq!(hold.gate, Gate::Guard);
    assert!(
        hold.message.contains("whole: the size is neither HEAD's nor the one that stands"),
        "{}",
        hold.message
    );
}
