//! What routes keep waiting, and what they must not: ways back, cures and commits that take a route away.

use std::sync::Arc;

use serde_json::json;
use triton::fields::Compact;
use triton::guard::{Rule, check};
use triton::model::{CommitId, Digest};
use triton::objects::Kind;
use triton::spec::Release;
use triton::world::{Action, Decision, Desired, Expect, Memory, Reached, Removal, Role, Share, World, Write};

use crate::guard::routes::*;
use crate::support::world::*;

/// A release with a route that no weight of its steps is led by.
fn plain(image: &str) -> Release {
    let mut release = weighted(image);
    release.strategy = strategy(&["1", "50%!", "100%!"]);
    release
}

/// The same without any route, and with the same pods.
fn routeless(image: &str) -> Release {
    Release { digest: Digest::of(format!("routeless {image}").as_bytes()), ..release(image) }
}

#[test]
fn a_route_without_weights_keeps_no_pod_from_going_back() {
    let (a, mut b) = (plain("a"), plain("b"));
    let route = &mut b.companions[1].body.value;
    let mut value = route.open();
    value["spec"]["hostnames"] = json!(["shop.example"]);
    *route = Compact::of(&value);
    let memory = at_step(&b, &a, 2, Some(5));
    let mut world = world(intent(&a), Some(live(&b, Some(memory), "50%", 5)), &[&a, &b]);
    lead(&mut world, Share::Base, &[]);
    let key = key(Kind::HttpRoute, "checkout");
    drift(&mut world, &key);
    let (mut plan, made) = decided(&world);
    assert_eq!((made.decision.clone(), written(&made)), (Decision::RollBack, vec![CLONESET.to_owned()]));
    // As the release has it that is left, no route without weights is written any more.
    mark(&mut value);
    let there = &world.cases[&id()].companions[&key];
    let expect = Expect::Same(there.uid.clone(), there.version.clone());
    let action = Action::Apply { body: Arc::new(value), expect };
    let write = Write { object: key, action, forward: false };
    plan.moves.get_mut(&id()).unwrap().writes.insert(0, write);
    assert_eq!(check(&world, &plan).get(&id()).map(|it| it.rule), Some(Rule::Whole));
}

#[test]
fn routes_that_are_refused_keep_no_pod_and_no_other_route_from_going_back() {
    let mut world = halfway();
    let a = with_two_routes(&mut world);
    desire(&mut world, &a);
    let routes = [Kind::GrpcRoute, Kind::HttpRoute].map(|kind| key(kind, "checkout"));
    for (refused, then) in [(1, vec![ROUTE, CLONESET]), (2, vec![CLONESET])] {
        refuse(&mut world, &routes[..refused]);
        let (_, made) = decided(&world);
        let then: Vec<String> = then.into_iter().map(str::to_owned).collect();
        assert_eq!((made.decision.clone(), written(&made)), (Decision::RollBack, then));
    }
}

#[test]
fn a_weight_of_all_goes_back_where_nobody_knows_what_is_behind_it() {
    let mut world = halfway();
    desire(&mut world, &weighted("a"));
    let unknown = [(Role::Stable, "a", None), (Role::Canary, "b", None)];
    lead(&mut world, Share::Split(100), &unknown);
    let (_, made) = decided(&world);
    assert_eq!((made.decision.clone(), backends(&made)), (Decision::RollBack, all_to("checkout")));
}

#[test]
fn a_rollout_whose_cloneset_is_refused_moves_no_traffic_there_and_back() {
    let b = weighted("b");
    for (a, drifts) in [(weighted("a"), false), (plain("a"), true)] {
        let mut world = world(intent(&b), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]);
        lead(&mut world, Share::Split(0), &[(Role::Stable, "a", Some(10))]);
        refuse(&mut world, &[key(Kind::CloneSet, "checkout")]);
        if drifts {
            drift(&mut world, &key(Kind::HttpRoute, "checkout"));
        }
        let (_, made) = decided(&world);
        assert_eq!(made.decision, Decision::Enter(1), "{}", made.message);
        assert_eq!(backends(&made), drifts.then(|| all_to("checkout-stable")).flatten());
    }
}

#[test]
fn a_route_that_is_taken_out_of_git_in_the_middle_gives_its_weights_up_first() {
    let (mut world, next) = (halfway(), routeless("b"));
    desire(&mut world, &next);
    permit(&mut world, 2);
    let (plan, made) = decided(&world);
    assert_eq!(
        (made.decision.clone(), written(&made)),
        (Decision::Enter(2), vec![ROUTE.to_owned(), CLONESET.to_owned()])
    );
    assert_eq!(backends(&made), all_to("checkout"));
    assert!(made.writes[0].forward, "an old leader must not send it");
    let mut without = plan;
    without.moves.get_mut(&id()).unwrap().writes.remove(0);
    breaks(&world, &without);
}

#[test]
fn what_a_route_leads_to_that_nobody_writes_is_left_behind_with_it() {
    let (a, mut b) = (release("a"), routeless("b"));
    b.orphan = true;
    let memory = at_step(&b, &a, 2, Some(5));
    let mut world = world(intent(&b), Some(live(&b, Some(memory), "50%", 5)), &[&a, &b]);
    let services = [(Role::Stable, "a", Some(5)), (Role::Canary, "b", Some(5))];
    lead(&mut world, Share::Split(50), &services);
    let gone = Removal { commit: CommitId::from_bytes([9; 20]), approved: true };
    edit(&mut world, |case| case.desired = Desired::Gone(gone));
    world.named = Arc::default();
    let (plan, made) = decided(&world);
    assert_eq!(made.decision, Decision::Remove);
    assert_eq!(written(&made), ["Service shop/checkout", CLONESET]);
    // Once the route leads elsewhere, they go.
    lead(&mut world, Share::Base, &services);
    let (_, made) = decided(&world);
    assert_eq!(made.writes.len(), 4, "{:?}", written(&made));
    assert_ne!(plan.moves[&id()].writes, made.writes);
}

/// Pods of A and of an unproven version run beside those of the proven one, of which none comes up; C may be its cure.
fn broken(seconds: i64) -> World {
    let (zero, c) = (weighted("0"), weighted("c"));
    let memory = Memory { step_reached: None, step_entered: ago(seconds), ..complete(&zero) };
    let mut world = world(intent(&c), Some(live(&zero, Some(memory), "0", 4)), &[&zero]);
    edit_live(&mut world, |live| {
        live.status.current_revision = "checkout-a".to_owned();
        (live.status.ready, live.status.available, live.status.updated_available) = (6, 6, 0);
    });
    world
}

#[test]
fn past_its_deadline_a_broken_version_keeps_its_cure_from_nobody() {
    let mut world = broken(9_000);
    for (ready, leads) in [(4, all_to("checkout-stable")), (0, None)] {
        lead(&mut world, Share::Base, &[(Role::Stable, "a", Some(ready))]);
        let (_, made) = decided(&world);
        assert_eq!(made.decision, Decision::Enter(1), "{} {:?}", made.message, made.holds());
        assert_eq!(backends(&made), leads);
    }
    // One that led there follows the pods first.
    lead(&mut world, Share::Split(0), &[]);
    let (_, made) = decided(&world);
    assert_eq!((made.decision.clone(), backends(&made)), (Decision::Shift, all_to("checkout")));
    let mut early = broken(60);
    lead(&mut early, Share::Base, &[(Role::Stable, "a", Some(4))]);
    assert_eq!(decided(&early).1.decision, Decision::Hold);
}

#[test]
fn past_its_deadline_a_step_has_its_weight_beside_pods_of_a_third_version() {
    let (a, c) = (weighted("a"), weighted("c"));
    let memory = Memory {
        revision: Some("checkout-c".to_owned()),
        step_entered: ago(9_000),
        ..at_step(&c, &a, 1, None)
    };
    let mut world = world(intent(&c), Some(live(&c, Some(memory), "99%", 1)), &[&a, &c]);
    lead(&mut world, Share::Base, &[(Role::Stable, "a", Some(4)), (Role::Canary, "c", Some(1))]);
    let (_, made) = decided(&world);
    let expected = [("checkout-stable".to_owned(), 19), ("checkout-canary".to_owned(), 1)];
    assert_eq!(backends(&made).as_deref(), Some(expected.as_slice()), "{:?}", made.holds());
    edit_live(&mut world, |live| live.memory.as_mut().unwrap().step_entered = ago(300));
    assert_eq!(backends(&decided(&world).1), None, "before it, all of them are awaited");
}

/// The canary at 50% has died.
fn dead() -> World {
    let mut world = halfway();
    edit_live(&mut world, |live| {
        (live.status.available, live.status.ready, live.status.updated_available) = (5, 5, 0);
    });
    lead(&mut world, Share::Split(50), &[(Role::Canary, "b", Some(0))]);
    world
}

#[test]
fn a_route_that_is_refused_keeps_no_other_weight_from_falling() {
    let mut world = dead();
    with_two_routes(&mut world);
    edit_live(&mut world, |live| live.memory.as_mut().unwrap().step_reached = None);
    for (refused, then) in [(Kind::GrpcRoute, Kind::HttpRoute), (Kind::HttpRoute, Kind::GrpcRoute)] {
        refuse(&mut world, &[key(refused, "checkout")]);
        let (_, made) = decided(&world);
        let kinds: Vec<Kind> = made.writes.iter().map(|it| it.object.kind).collect();
        assert_eq!((made.decision.clone(), kinds), (Decision::Shift, vec![then, refused]));
    }
}

#[test]
fn suspended_in_git_a_weight_falls_all_the_same() {
    let mut world = dead();
    edit_intent(&mut world, |intent| Arc::make_mut(&mut intent.release).suspend = true);
    assert_eq!(backends(&decided(&world).1), all_to("checkout-stable"));
}

#[test]
fn suspended_in_the_cluster_nothing_is_written_and_no_weight_falls() {
    let mut world = dead();
    edit_live(&mut world, |live| live.suspend = Some("by hand".to_owned()));
    let (_, made) = decided(&world);
    assert_eq!((made.decision.clone(), made.writes.len()), (Decision::Hold, 0));
}

#[test]
fn a_rule_that_leads_to_nothing_in_git_is_not_made_to_lead_anywhere() {
    let rules = |release: &mut Release| {
        let route = &mut release.companions[1].body.value;
        let mut value = route.open();
        let none = json!({ "backendRefs": [{ "name": "elsewhere", "port": 80, "weight": 0 }] });
        value["spec"]["rules"].as_array_mut().unwrap().push(none);
        *route = Compact::of(&value);
    };
    let (mut a, mut b) = (weighted("a"), weighted("b"));
    rules(&mut a);
    rules(&mut b);
    let memory = Memory {
        revision: Some("checkout-b".to_owned()),
        step_reached: Some(Reached { at: ago(120), pods: 5 }),
        ..at_step(&b, &a, 2, None)
    };
    let mut world = world(intent(&a), Some(live(&b, Some(memory), "50%", 5)), &[&a, &b]);
    let services = [(Role::Stable, "a", Some(5)), (Role::Canary, "b", Some(5))];
    lead(&mut world, Share::Split(50), &services);
    let (mut plan, _) = decided(&world);
    let write = &mut plan.moves.get_mut(&id()).unwrap().writes[0];
    let Action::Apply { body, .. } = &mut write.action else { panic!("an apply") };
    Arc::make_mut(body)["spec"]["rules"][1]["backendRefs"][0]["weight"] = json!(1);
    assert_eq!(check(&world, &plan).get(&id()).map(|it| it.rule), Some(Rule::Whole));
}
