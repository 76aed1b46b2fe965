//! A switch to pods that are not whole, not approved or not there, and pods that go while they are needed, are refused.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::Value;
use triton::fields::Stand;
use triton::guard::{Rule, check};
use triton::objects::Kind;
use triton::world::{Action, Decision, Freeze, Memory, Permit, Plan, World, Write};

use crate::guard::weights::planned;
use crate::support::switched::{at, done, switched, two};
use crate::support::world::{plan as one_plan, *};

#[track_caller]
fn breaks(rule: Rule, world: &World, plan: &Plan) {
    let found = check(world, plan).get(&id()).cloned();
    assert_eq!(found.as_ref().map(|it| it.rule), Some(rule), "{found:?}");
}

/// The plan with its first write of an object of this kind changed.
fn with(mut plan: Plan, kind: Kind, change: impl FnOnce(&mut Write, &mut Value)) -> Plan {
    let step = plan.moves.get_mut(&id()).unwrap();
    let write = step.writes.iter_mut().find(|it| it.object.kind == kind).unwrap();
    let Action::Apply { body, .. } = write.action.clone() else { panic!("an apply") };
    let mut body = Value::clone(&body);
    change(write, &mut body);
    let Action::Apply { body: sent, .. } = &mut write.action else { panic!("an apply") };
    *sent = Arc::new(body);
    plan
}

/// The same world, changed as no planner has seen it.
fn but(world: &World, change: impl FnOnce(&mut World)) -> World {
    let mut world = world.clone();
    change(&mut world);
    world
}

#[test]
fn the_active_service_leads_only_to_what_is_approved_and_whole() {
    let world = two(at(2, false), 10, ("a", 10), ("b", 10));
    let plan = planned(&world, &Decision::Shift);
    assert!(plan.moves[&id()].writes[0].forward, "an old leader must not switch");
    breaks(Rule::Switch, &but(&world, |it| edit_intent(it, |intent| intent.markers.clear())), &plan);
    let freeze = Freeze { path: "freeze.yaml".to_owned(), reason: "holidays".to_owned(), until: None };
    breaks(
        Rule::Switch,
        &but(&world, |it| edit_intent(it, |intent| intent.freezes = vec![Arc::new(freeze)])),
        &plan,
    );
    breaks(Rule::Switch, &two(at(1, true), 10, ("a", 10), ("b", 10)), &plan);
    breaks(Rule::Switch, &two(at(2, false), 9, ("a", 10), ("b", 10)), &plan);
    breaks(Rule::Switch, &two(at(2, false), 10, ("a", 10), ("b", 9)), &plan);
    breaks(Rule::Switch, &two(at(2, false), 10, ("a", 10), ("a", 10)), &plan);
    breaks(Rule::Forward, &world, &with(plan.clone(), Kind::Service, |write, _| write.forward = false));
    let nowhere =
        |_: &mut Write, body: &mut Value| body["spec"]["selector"]["pod-template-hash"] = "c".into();
    breaks(Rule::Switch, &world, &with(plan.clone(), Kind::Service, nowhere));
    let both = |_: &mut Write, body: &mut Value| {
        body["spec"]["selector"].as_object_mut().unwrap().remove("pod-template-hash");
    };
    breaks(Rule::Switch, &world, &with(plan, Kind::Service, both));
}

#[test]
fn nothing_is_previewed_where_the_version_before_it_serves() {
    let world = two(at(1, false), 10, ("a", 10), ("a", 10));
    let plan = planned(&world, &Decision::Shift);
    let serves = |world: &mut World| {
        edit(world, |case| {
            let mut a = switched("a");
            a.strategy.blue_green.as_mut().unwrap().active = "checkout-preview".parse().unwrap();
            case.documents.insert(a.digest, Arc::new(a));
        });
    };
    breaks(Rule::Switch, &but(&world, serves), &plan);
}

#[test]
fn a_step_is_reached_once_a_service_leads_to_its_pods() {
    let world = two(at(1, false), 10, ("a", 10), ("b", 10));
    let plan = planned(&world, &Decision::Enter(2));
    assert_eq!(plan.moves[&id()].told().count(), 2, "that step 1 is reached is told before it");
    let soaking = two(at(1, false), 10, ("a", 10), ("b", 10));
    breaks(Rule::Exposure, &but(&soaking, |it| edit_intent(it, |intent| intent.markers.clear())), &plan);
    breaks(Rule::Reached, &two(at(1, false), 4, ("a", 10), ("b", 10)), &plan);
}

#[test]
fn pods_come_up_beside_those_that_serve_as_many_as_are_approved() {
    let world = but(&two(at(1, false), 10, ("a", 10), ("a", 10)), |it| {
        edit(it, |case| {
            case.twins.clear();
            case.live.clone_from(&case.home);
            case.home = None;
            case.see_as_one();
        });
    });
    let plan = planned(&world, &Decision::Repair);
    let more = |_: &mut Write, body: &mut Value| body["spec"]["replicas"] = 11.into();
    breaks(Rule::Exposure, &world, &with(plan.clone(), Kind::CloneSet, more));
    let other = |_: &mut Write, body: &mut Value| {
        body["spec"]["template"]["spec"]["containers"][0]["image"] = "c".into();
    };
    breaks(Rule::Whole, &world, &with(plan.clone(), Kind::CloneSet, other));
    let kept = |_: &mut Write, body: &mut Value| body["spec"]["updateStrategy"]["partition"] = "50%".into();
    breaks(Rule::Whole, &world, &with(plan.clone(), Kind::CloneSet, kept));
    let open = but(&world, |it| {
        edit(it, |case| {
            for service in case.companions.values_mut() {
                service.leads.follows.as_mut().unwrap().to = None;
            }
        });
    });
    breaks(Rule::Switch, &open, &plan);
}

#[test]
fn the_one_before_stays_as_long_as_it_is_kept() {
    let world = two(done(), 10, ("b", 10), ("b", 10));
    planned(&world, &Decision::Rest);
    let later = but(&world, |it| {
        it.now += SignedDuration::from_secs(3600);
        it.source.fetched_at = Some(it.now);
    });
    let plan = planned(&later, &Decision::Repair);
    breaks(Rule::Switch, &world, &plan);
    // It serves again meanwhile.
    let back = but(&later, |it| {
        edit(it, |case| {
            let service = case.companions.get_mut(&key(Kind::Service, "checkout")).unwrap();
            service.leads.follows.as_mut().unwrap().to = Some("a".to_owned());
        });
    });
    breaks(Rule::Switch, &back, &plan);
}

#[test]
fn pods_of_a_version_that_is_not_remembered_go_as_they_stand() {
    let only = Memory { proven: vec![proof(&switched("b"))], ..done() };
    let mut world = two(only, 10, ("b", 10), ("b", 10));
    // A server adds what it has for a default.
    edit(&mut world, |case| {
        let mut stand = switched("a").cloneset.value.open();
        stand["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Always".into();
        case.home.as_mut().unwrap().stand = Stand::of(&stand);
    });
    let plan = planned(&world, &Decision::Repair);
    let edited = |world: &mut World| edit(world, |case| case.home.as_mut().unwrap().drift.template = true);
    breaks(Rule::Switch, &but(&world, edited), &plan);
    let another = |world: &mut World| {
        edit(world, |case| {
            case.home.as_mut().unwrap().stand = Stand::of(&switched("c").cloneset.value.open());
        });
    };
    breaks(Rule::Switch, &but(&world, another), &plan);
}

/// The first release, never complete, with so many pods ready.
fn never_complete(ready: u32) -> World {
    let (a, b) = (switched("a"), switched("b"));
    let memory = Memory { proven: vec![], step_reached: None, ..complete(&a) };
    let mut live = live(&a, Some(memory), "0", 10);
    live.status.ready = ready;
    world(intent(&b), Some(live), &[&a, &b])
}

#[test]
fn what_takes_the_place_of_the_first_release_is_approved_where_that_serves() {
    let (a, b) = (switched("a"), switched("b"));
    let enters = |step: u32, partition: &str| {
        let next = Memory { proven: vec![], ..at_step(&b, &a, step, None) };
        one_plan(Decision::Enter(step), Some(next.clone()), vec![apply(body(&b, &next, 10, partition), true)])
    };
    let whole = enters(2, "0");
    assert_eq!(check(&never_complete(0), &whole).get(&id()), None);
    breaks(Rule::Reached, &never_complete(1), &whole);
    breaks(Rule::Switch, &never_complete(1), &enters(1, "10%"));
    let mut late = never_complete(0);
    edit(&mut late, |case| case.live.as_mut().unwrap().generation += 1);
    breaks(Rule::Reached, &late, &whole);
    let mut approved = never_complete(1);
    edit_intent(&mut approved, |intent| intent.markers.push(marker(&b, Permit::Step(2), "bob")));
    assert_eq!(check(&approved, &whole).get(&id()), None);
}
