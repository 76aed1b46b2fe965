//! Routes that lead to more than they may, or to nothing, are refused.

use std::sync::Arc;

use serde_json::{Value, json};
use triton::guard::{Rule, check};
use triton::model::Digest;
use triton::objects::Kind;
use triton::plan::plan;
use triton::world::{Action, Decision, Desired, Freeze, Memory, Permit, Plan, Role, Share, World};

use crate::guard::routes::breaks;
use crate::support::world::*;

/// B stands at step 1 above A with its pod, and traffic is led like this; the canary's Service has so many endpoints.
fn canary(share: Share, ready: u32) -> World {
    let (a, b) = (weighted("a"), weighted("b"));
    let memory = Memory { revision: Some("checkout-b".to_owned()), ..at_step(&b, &a, 1, None) };
    let mut world = world(intent(&b), Some(live(&b, Some(memory), "99%", 1)), &[&a, &b]);
    lead(&mut world, share, &[(Role::Stable, "a", Some(9)), (Role::Canary, "b", Some(ready))]);
    world
}

/// The plan of this world, which decides this and passes.
#[track_caller]
pub fn planned(world: &World, decision: &Decision) -> Plan {
    let plan = plan(world);
    let moved = &plan.moves[&id()];
    assert_eq!(moved.decision, *decision, "{}: {:?}", moved.message, moved.holds());
    assert_eq!(check(world, &plan).get(&id()), None);
    plan
}

/// The plan with the first body of a kind changed.
fn with(mut plan: Plan, kind: Kind, change: impl FnOnce(&mut Value)) -> Plan {
    let step = plan.moves.get_mut(&id()).unwrap();
    let write = step.writes.iter_mut().find(|it| it.object.kind == kind).unwrap();
    let Action::Apply { body, .. } = &mut write.action else { panic!("an apply") };
    change(Arc::make_mut(body));
    plan
}

fn backends(body: &mut Value) -> &mut Value {
    &mut body["spec"]["rules"][0]["backendRefs"]
}

#[test]
fn a_weight_is_the_one_of_its_step_and_of_no_later_one() {
    let world = canary(Share::Split(0), 1);
    let plan = planned(&world, &Decision::Shift);
    let five = json!([{"name": "checkout-stable", "port": 80, "weight": 19}, {"name": "checkout-canary", "port": 80, "weight": 1}]);
    let step = &plan.moves[&id()];
    let Action::Apply { body, .. } = &step.writes[0].action else { panic!("an apply") };
    assert_eq!(body["spec"]["rules"][0]["backendRefs"], five);
    assert!(step.writes[0].forward, "an old leader must not raise a weight");
    for weights in [[94, 6], [1, 1], [0, 1]] {
        breaks(
            &world,
            &with(plan.clone(), Kind::HttpRoute, |body| {
                for (index, weight) in weights.into_iter().enumerate() {
                    backends(body)[index]["weight"] = json!(weight);
                }
            }),
        );
    }
}

#[test]
fn no_weight_is_led_to_a_service_without_a_ready_endpoint_or_of_another_revision() {
    let world = canary(Share::Split(0), 1);
    let plan = planned(&world, &Decision::Shift);
    for (role, hash, ready) in
        [(Role::Canary, "b", 0), (Role::Canary, "x", 1), (Role::Stable, "a", 0), (Role::Stable, "x", 9)]
    {
        let mut other = world.clone();
        lead(&mut other, Share::Split(0), &[(role, hash, Some(ready))]);
        breaks(&other, &plan);
    }
}

#[test]
fn frozen_stale_or_not_available_no_weight_rises() {
    let world = canary(Share::Split(0), 1);
    let plan = planned(&world, &Decision::Shift);
    let mut frozen = world.clone();
    let freeze = Freeze { path: "freeze.yaml".to_owned(), reason: "holidays".to_owned(), until: None };
    edit_intent(&mut frozen, |intent| intent.freezes = vec![Arc::new(freeze)]);
    breaks(&frozen, &plan);
    let mut stale = world.clone();
    stale.source.fetched_at = Some(ago(3_000));
    breaks(&stale, &plan);
    let mut gone = world.clone();
    edit_live(&mut gone, |live| live.status.updated_available = 0);
    breaks(&gone, &plan);
}

#[test]
fn another_route_under_the_name_of_a_share_is_not_written() {
    let world = canary(Share::Split(0), 1);
    let plan = planned(&world, &Decision::Shift);
    let odd: [fn(&mut Value); 4] = [
        |body| body["spec"]["hostnames"] = json!(["elsewhere"]),
        |body| backends(body)[1]["port"] = json!(81),
        |body| backends(body)[1]["name"] = json!("elsewhere"),
        |body| backends(body).as_array_mut().unwrap().push(json!({"name": "checkout", "weight": 1})),
    ];
    for change in odd {
        let plan = with(plan.clone(), Kind::HttpRoute, change);
        let found = check(&world, &plan).get(&id()).map(|it| it.rule);
        assert_eq!(found, Some(Rule::Whole), "it is not what Git says");
    }
}

#[test]
fn traffic_follows_the_pods_only_where_there_is_nothing_to_tell_apart() {
    let world = canary(Share::Split(5), 0);
    let plan = planned(&world, &Decision::Shift);
    let base = with(plan.clone(), Kind::HttpRoute, |body| {
        *backends(body) = json!([{"name": "checkout", "port": 80}]);
    });
    breaks(&world, &base);
    let mut dead = world;
    edit_live(&mut dead, |live| live.status.available = 1);
    assert_eq!(check(&dead, &base).get(&id()), None);
}

#[test]
fn pods_go_back_after_their_traffic() {
    let (a, b) = (weighted("a"), weighted("b"));
    let mut world = canary(Share::Split(5), 1);
    edit(&mut world, |case| case.desired = Desired::Release(Arc::new(intent(&a))));
    let plan = planned(&world, &Decision::RollBack);
    let kinds: Vec<Kind> = plan.moves[&id()].writes.iter().map(|it| it.object.kind).collect();
    assert_eq!(kinds, [Kind::HttpRoute, Kind::CloneSet]);
    let mut without = plan.clone();
    without.moves.get_mut(&id()).unwrap().writes.remove(0);
    breaks(&world, &without);
    let mut last = plan;
    last.moves.get_mut(&id()).unwrap().writes.swap(0, 1);
    breaks(&world, &last);
    assert_ne!(a.digest, b.digest);
}

#[test]
fn a_rollout_with_weights_begins_with_none() {
    let (a, b) = (weighted("a"), weighted("b"));
    let mut world = world(intent(&b), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]);
    lead(&mut world, Share::Base, &[(Role::Stable, "a", Some(10))]);
    let plan = planned(&world, &Decision::Enter(1));
    let mut without = plan.clone();
    without.moves.get_mut(&id()).unwrap().writes.retain(|it| it.object.kind != Kind::HttpRoute);
    breaks(&world, &without);
    let mut half = world.clone();
    lead(&mut half, Share::Base, &[(Role::Stable, "a", Some(0))]);
    breaks(&half, &plan);
}

#[test]
fn a_service_of_ours_keeps_its_revision_and_goes_when_no_route_names_it() {
    let (a, b) = (weighted("a"), weighted("b"));
    let mut fresh = world(intent(&b), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]);
    lead(&mut fresh, Share::Base, &[]);
    let plan = planned(&fresh, &Decision::Shift);
    for hash in ["b", ""] {
        let plan = with(plan.clone(), Kind::Service, |body| {
            body["spec"]["selector"]["pod-template-hash"] = json!(hash)
        });
        breaks(&fresh, &plan);
    }
    let mut left = world(intent(&a), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]);
    lead(&mut left, Share::Base, &[(Role::Stable, "a", Some(10)), (Role::Canary, "b", Some(0))]);
    let plan = planned(&left, &Decision::Shift);
    assert_eq!(plan.moves[&id()].writes.len(), 2);
    let mut named = left;
    lead(&mut named, Share::Split(0), &[]);
    breaks(&named, &plan);
}

#[test]
fn an_edited_step_opens_no_weight_that_git_has_not_permitted() {
    // Both steps ask for one pod, the second after an approval.
    let (a, mut b) = (weighted("a"), weighted("b"));
    b.strategy.steps[1].replicas = "1".parse().unwrap();
    b.digest = Digest::of(b"same pods");
    let memory = Memory { revision: Some("checkout-b".to_owned()), ..at_step(&b, &a, 2, None) };
    let mut world = world(intent(&b), Some(live(&b, Some(memory), "99%", 1)), &[&a, &b]);
    lead(&mut world, Share::Split(5), &[(Role::Stable, "a", Some(9)), (Role::Canary, "b", Some(1))]);
    let decided = &plan(&world).moves[&id()];
    assert!(decided.writes.iter().all(|it| it.object.kind != Kind::HttpRoute), "{}", decided.message);
    edit_intent(&mut world, |intent| intent.markers.push(marker(&b, Permit::Step(2), "bob")));
    let plan = planned(&world, &Decision::Shift);
    assert!(plan.moves[&id()].message.contains("50% of the traffic"), "{}", plan.moves[&id()].message);
}
