//! Traffic as it is decided and judged: away from pods before they go, never to nothing, and not by what somebody has edited.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use triton::fields::{Compact, FieldChange};
use triton::guard::{Rule, check};
use triton::model::{Digest, Gate, Hold, Lift};
use triton::objects::{Kind, ObjectKey};
use triton::plan::plan;
use triton::spec::{Body, Companion, Release};
use triton::world::{
    Action, Decision, Desired, Freeze, Leads, Memory, Move, Permit, Plan, Policy, Reached, Refusal, Role,
    Share, World,
};

use crate::support::world::*;

/// B stands at `step` above A, with this partition and so many pods, and traffic is led like this.
pub fn canary(step: u32, partition: &str, pods: u32, share: Share) -> World {
    let (a, b) = (weighted("a"), weighted("b"));
    let memory = Memory { revision: Some("checkout-b".to_owned()), ..at_step(&b, &a, step, None) };
    let mut world = world(intent(&b), Some(live(&b, Some(memory), partition, pods)), &[&a, &b]);
    lead(&mut world, share, &[(Role::Stable, "a", Some(10 - pods)), (Role::Canary, "b", Some(pods))]);
    world
}

/// Step 2 is reached, permitted, and has its weight.
pub fn halfway() -> World {
    let mut world = canary(2, "50%", 5, Share::Split(50));
    permit(&mut world, 2);
    remember(&mut world, |memory| memory.step_reached = Some(Reached { at: ago(120), pods: 5 }));
    world
}

pub fn permit(world: &mut World, step: u32) {
    edit_intent(world, |intent| {
        let marker = marker(&intent.release, Permit::Step(step), "bob");
        intent.markers.push(marker);
    });
}

pub fn remember(world: &mut World, change: impl FnOnce(&mut Memory)) {
    edit_live(world, |live| change(live.memory.as_mut().unwrap()));
}

pub fn desire(world: &mut World, release: &Release) {
    edit(world, |case| case.desired = Desired::Release(Arc::new(intent(release))));
}

pub fn refuse(world: &mut World, objects: &[ObjectKey]) {
    let hold = Hold { gate: Gate::Cluster, since: None, message: "no".to_owned(), lift: Lift::wait() };
    let objects = objects.iter().cloned().collect();
    edit(world, |case| case.refused = Some(Refusal { hold, objects }));
}

pub fn drift(world: &mut World, key: &ObjectKey) {
    let change = FieldChange { path: "spec.ports".to_owned(), wanted: json!(1), found: None, manager: None };
    edit(world, |case| case.companions.get_mut(key).unwrap().drift = Arc::from([change]));
}

/// What is decided, sound to the guard.
#[track_caller]
pub fn decided(world: &World) -> (Plan, Move) {
    let plan = plan(world);
    let made = plan.moves[&id()].clone();
    assert_eq!(
        check(world, &plan).get(&id()),
        None,
        "{:?}: {} {:?}",
        made.decision,
        made.message,
        made.holds()
    );
    (plan, made)
}

pub fn written(made: &Move) -> Vec<String> {
    made.writes.iter().map(|it| it.object.to_string()).collect()
}

/// What a move lets the route lead to.
pub fn backends(made: &Move) -> Option<Vec<(String, u64)>> {
    let write = made.writes.iter().find(|it| it.object.kind == Kind::HttpRoute)?;
    let Action::Apply { body, .. } = &write.action else { return None };
    let of = |it: &Value| (it["name"].as_str().unwrap().to_owned(), it["weight"].as_u64().unwrap_or(1));
    Some(body["spec"]["rules"][0]["backendRefs"].as_array().unwrap().iter().map(of).collect())
}

pub fn all_to(name: &str) -> Option<Vec<(String, u64)>> {
    Some(vec![(name.to_owned(), 1)])
}

#[track_caller]
pub fn breaks(world: &World, plan: &Plan) {
    let found = check(world, plan).get(&id()).cloned();
    assert_eq!(found.as_ref().map(|it| it.rule), Some(Rule::Weights), "{found:?}");
}

pub const ROUTE: &str = "HTTPRoute shop/checkout";
pub const CLONESET: &str = "CloneSet shop/checkout";
pub const STABLE: &str = "Service shop/checkout-stable";

#[test]
fn traffic_goes_back_before_the_pods_whatever_else_was_refused() {
    let mut world = halfway();
    desire(&mut world, &weighted("a"));
    refuse(&mut world, &[key(Kind::Service, "checkout")]);
    let (plan, made) = decided(&world);
    assert_eq!(
        (&made.decision, written(&made)),
        (&Decision::RollBack, vec![ROUTE.to_owned(), CLONESET.to_owned()])
    );
    assert_eq!(backends(&made), all_to("checkout-stable"));
    let mut without = plan;
    without.moves.get_mut(&id()).unwrap().writes.remove(0);
    breaks(&world, &without);
    refuse(&mut world, &[key(Kind::HttpRoute, "checkout")]);
    let (_, made) = decided(&world);
    assert_eq!((made.decision.clone(), written(&made)), (Decision::RollBack, vec![CLONESET.to_owned()]));
}

#[test]
fn a_weight_falls_before_anything_else_is_written() {
    let mut world = halfway();
    edit_live(&mut world, |live| {
        (live.status.available, live.status.ready, live.status.updated_available) = (5, 5, 0);
    });
    lead(&mut world, Share::Split(50), &[(Role::Canary, "b", Some(0))]);
    let service = key(Kind::Service, "checkout");
    drift(&mut world, &service);
    let refusals = [None, Some(service), Some(key(Kind::HttpRoute, "checkout"))];
    for (refused, then) in refusals.into_iter().zip(["Shift", "Shift", "Note"]) {
        if let Some(refused) = refused {
            refuse(&mut world, &[refused]);
        }
        let (_, made) = decided(&world);
        assert_eq!(made.decision.word(), then, "{}", made.message);
        if then == "Shift" {
            assert_eq!(
                (written(&made), backends(&made)),
                (vec![ROUTE.to_owned()], all_to("checkout-stable"))
            );
            assert!(!made.writes[0].forward);
        }
    }
}

#[test]
fn a_weight_falls_before_a_partition_is_repaired() {
    let mut world = halfway();
    edit_live(&mut world, |live| {
        live.partition = "0".parse().unwrap();
        live.status.updated_available = 0;
    });
    let (_, made) = decided(&world);
    assert_eq!((made.decision.clone(), written(&made)), (Decision::Shift, vec![ROUTE.to_owned()]));
    refuse(&mut world, &[key(Kind::HttpRoute, "checkout")]);
    assert_eq!(decided(&world).1.decision, Decision::Repair);
}

/// A release whose route leads to two Services, each with its share.
pub fn two(image: &str) -> Release {
    let mut release = weighted(image);
    let mut other = release.companions[0].body.value.open();
    other["metadata"]["name"] = json!("other");
    let body = Body { key: key(Kind::Service, "other"), value: Compact::of(&other) };
    release.companions.push(Companion { body, version_of: None });
    let route = &mut release.companions[1].body.value;
    let mut value = route.open();
    value["spec"]["rules"] = json!([{"backendRefs": [{"name": "checkout", "port": 80}]}, {"backendRefs": [{"name": "other", "port": 80}]}]);
    *route = Compact::of(&value);
    release.digest = Digest::of(format!("two {image}").as_bytes());
    release
}

/// The same as a world is, with the Services beside another one as those beside `checkout` are.
fn beside_other(world: &mut World) {
    edit(world, |case| {
        let mut others = Vec::new();
        for name in ["checkout", "checkout-stable", "checkout-canary"] {
            let Some(mut it) = case.companions.get(&key(Kind::Service, name)).cloned() else { continue };
            if let Some(beside) = &mut it.leads.beside {
                beside.service = "other".parse().unwrap();
            }
            others.push((key(Kind::Service, &name.replace("checkout", "other")), it));
        }
        case.companions.extend(others);
        let route = case.companions.get_mut(&key(Kind::HttpRoute, "checkout")).unwrap();
        let others: Vec<_> =
            route.leads.to.iter().map(|it| it.to_string().replace("checkout", "other")).collect();
        route.leads.to.extend(others.iter().map(|it| it.parse().unwrap()));
    });
}

/// B with two Services stands at step 1, with its weight.
fn two_shared() -> World {
    let (a, b) = (two("a"), two("b"));
    let memory = Memory { revision: Some("checkout-b".to_owned()), ..at_step(&b, &a, 1, Some(1)) };
    let mut world = world(intent(&b), Some(live(&b, Some(memory), "99%", 1)), &[&a, &b]);
    lead(&mut world, Share::Split(5), &[(Role::Stable, "a", Some(9)), (Role::Canary, "b", Some(1))]);
    beside_other(&mut world);
    world
}

#[test]
fn what_leads_to_the_proven_pods_is_made_again_and_no_route_moves_for_it() {
    let world = two_shared();
    assert_eq!(decided(&world).1.decision, Decision::Hold, "step 2 waits for its approval");
    let mut deleted = world.clone();
    edit(&mut deleted, |case| drop(case.companions.remove(&key(Kind::Service, "checkout-stable"))));
    let (_, made) = decided(&deleted);
    assert_eq!((made.decision.clone(), written(&made)), (Decision::Shift, vec![STABLE.to_owned()]));
    // It is there again, and its EndpointSlices are not yet.
    let mut empty = world.clone();
    lead(&mut empty, Share::Split(5), &[(Role::Stable, "a", Some(0))]);
    beside_other(&mut empty);
    assert_eq!(decided(&empty).1.decision, Decision::Hold);
    // Somebody has given it the pods of the canary.
    let mut turned = world;
    lead(&mut turned, Share::Split(5), &[(Role::Stable, "b", Some(1))]);
    let (_, made) = decided(&turned);
    assert_eq!((made.decision.clone(), written(&made)), (Decision::Shift, vec![STABLE.to_owned()]));
    let Action::Apply { body, .. } = &made.writes[0].action else { panic!("an apply") };
    assert_eq!(body["spec"]["selector"]["pod-template-hash"], "a");
}

#[test]
fn traffic_follows_the_pods_where_no_proven_one_is_available() {
    let mut world = two_shared();
    edit_live(&mut world, |live| (live.status.available, live.status.ready) = (1, 1));
    assert_eq!(backends(&decided(&world).1), None, "they are ready, and only not available yet");
    lead(&mut world, Share::Split(5), &[(Role::Stable, "a", Some(0))]);
    beside_other(&mut world);
    let (_, made) = decided(&world);
    assert_eq!(backends(&made), all_to("checkout"));
}

#[test]
fn a_service_that_a_route_leads_to_is_not_deleted_whatever_the_entered_release_knows() {
    let (a, b) = (release("a"), weighted("b"));
    let mut world = world(intent(&a), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]);
    lead(&mut world, Share::Split(0), &[(Role::Stable, "a", Some(10))]);
    let first = plan(&world);
    let (_, made) = decided(&world);
    assert_eq!(written(&made), [ROUTE], "the route goes first: {}", made.message);
    // A route may lead there by no share that anybody knows.
    edit(&mut world, |case| {
        let route = case.companions.get_mut(&key(Kind::HttpRoute, "checkout")).unwrap();
        route.leads = Leads { to: BTreeSet::from(["checkout-stable".parse().unwrap()]), ..Leads::default() };
    });
    assert_ne!(written(&decided(&world).1), [STABLE]);
    edit(&mut world, |case| drop(case.companions.remove(&key(Kind::HttpRoute, "checkout"))));
    let (deletes, made) = decided(&world);
    assert_eq!(written(&made), [STABLE]);
    lead(&mut world, Share::Split(0), &[]);
    breaks(&world, &deletes);
    assert!(first != deletes && a.digest != b.digest);
}

#[test]
fn a_withdrawn_approval_stops_a_weight_that_has_not_risen_and_takes_none_back() {
    let mut world = canary(2, "50%", 5, Share::Split(5));
    let (_, made) = decided(&world);
    assert_eq!(made.decision, Decision::Hold);
    let gates: Vec<Gate> = made.holds().iter().map(|it| it.gate).collect();
    assert!(gates.contains(&Gate::Approval), "{:?}", made.holds());
    permit(&mut world, 2);
    let (raises, made) = decided(&world);
    assert_eq!(
        backends(&made).unwrap(),
        [("checkout-stable".to_owned(), 1), ("checkout-canary".to_owned(), 1)]
    );
    edit_intent(&mut world, |intent| intent.markers.clear());
    breaks(&world, &raises);
    let mut stands = halfway();
    edit_intent(&mut stands, |intent| intent.markers.clear());
    assert!(backends(&decided(&stands).1).is_none(), "what stands stays");
}

#[test]
fn memory_that_says_it_was_reached_raises_no_weight_while_frozen() {
    let mut world = halfway();
    lead(&mut world, Share::Split(0), &[]);
    let (raises, _) = decided(&world);
    let freeze = Freeze { path: "freeze.yaml".to_owned(), reason: "holidays".to_owned(), until: None };
    edit_intent(&mut world, |intent| intent.freezes = vec![Arc::new(freeze)]);
    assert_eq!(backends(&decided(&world).1), None);
    breaks(&world, &raises);
}

#[test]
fn the_proven_revision_is_the_one_that_the_status_names_whatever_memory_says() {
    let (a, b) = (weighted("a"), weighted("b"));
    let mut begins = world(intent(&b), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]);
    lead(&mut begins, Share::Base, &[]);
    let mut edited = begins.clone();
    remember(&mut edited, |memory| memory.proven[0].revision = Some("checkout-x".to_owned()));
    let (made, _) = decided(&begins);
    assert_eq!(decided(&edited).0.moves[&id()].writes, made.moves[&id()].writes);
    let mut world = halfway();
    remember(&mut world, |memory| memory.proven[0].revision = Some("checkout-b".to_owned()));
    edit(&mut world, |case| drop(case.companions.remove(&key(Kind::Service, "checkout-stable"))));
    let (made, one) = decided(&world);
    let Action::Apply { body, .. } = &one.writes[0].action else { panic!("an apply") };
    assert_eq!(body["spec"]["selector"]["pod-template-hash"], "a");
    let mut forged = made;
    let Action::Apply { body, .. } = &mut forged.moves.get_mut(&id()).unwrap().writes[0].action else {
        panic!("an apply")
    };
    Arc::make_mut(body)["spec"]["selector"]["pod-template-hash"] = json!("b");
    breaks(&world, &forged);
}

#[test]
fn no_route_keeps_pods_from_going_back() {
    let mut world = halfway();
    desire(&mut world, &weighted("a"));
    let route = key(Kind::HttpRoute, "checkout");
    let mut theirs = world.clone();
    edit(&mut theirs, |case| case.companions.get_mut(&route).unwrap().release = "shop/other".to_owned());
    let mut forbidden = world.clone();
    let kinds = Policy::default().kinds.into_iter().filter(|kind| !kind.is_route()).collect();
    forbidden.policy = Arc::new(Policy { kinds, ..(*world.policy).clone() });
    let mut stranger = world.clone();
    edit(&mut stranger, |case| case.strangers = BTreeSet::from([route.clone()]));
    for world in [theirs, forbidden, stranger] {
        let (_, made) = decided(&world);
        assert_eq!((made.decision.clone(), written(&made)), (Decision::RollBack, vec![CLONESET.to_owned()]));
    }
    // Nothing is ready behind the Service of the proven pods: traffic follows all of them.
    lead(&mut world, Share::Split(50), &[(Role::Stable, "a", Some(0))]);
    let (_, made) = decided(&world);
    assert_eq!((made.decision.clone(), backends(&made)), (Decision::RollBack, all_to("checkout")));
    lead(&mut world, Share::Split(50), &[(Role::Stable, "a", None)]);
    let (_, made) = decided(&world);
    assert_eq!((made.decision.clone(), backends(&made)), (Decision::RollBack, all_to("checkout-stable")));
    drift(&mut world, &route);
    lead(&mut world, Share::Split(0), &[]);
    drift(&mut world, &route);
    assert_eq!(written(&decided(&world).1), [ROUTE, CLONESET], "what is edited goes along");
}

#[test]
fn a_scale_up_takes_no_traffic_from_the_pods_that_are_there() {
    let mut world = halfway();
    edit_live(&mut world, |live| {
        live.replicas = 20;
        live.replicas_owner = Some("hpa".to_owned());
        (live.status.replicas, live.status.available) = (10, 10);
        live.status.expected_updated = 10;
    });
    edit_intent(&mut world, |intent| Arc::make_mut(&mut intent.release).replicas = None);
    edit(&mut world, |case| {
        for release in case.documents.values_mut() {
            Arc::make_mut(release).replicas = None;
        }
    });
    assert_eq!(backends(&decided(&world).1), None);
    // Memory alone does not raise it again.
    lead(&mut world, Share::Split(5), &[]);
    assert_eq!(backends(&decided(&world).1), None);
}

#[test]
fn before_the_last_step_traffic_follows_the_pods_once() {
    let mut world = halfway();
    permit(&mut world, 3);
    let (plan, made) = decided(&world);
    assert_eq!(
        (made.decision.clone(), written(&made)),
        (Decision::Enter(3), vec![ROUTE.to_owned(), CLONESET.to_owned()])
    );
    assert_eq!(backends(&made), all_to("checkout"));
    assert!(made.writes[0].forward, "an old leader must not send it");
    let mut unmarked = plan;
    unmarked.moves.get_mut(&id()).unwrap().writes[0].forward = false;
    breaks(&world, &unmarked);
    // The route was written, the CloneSet was not.
    lead(&mut world, Share::Base, &[]);
    let (_, made) = decided(&world);
    assert_eq!((made.decision.clone(), written(&made)), (Decision::Enter(3), vec![CLONESET.to_owned()]));
}

#[test]
fn a_step_that_is_edited_in_memory_opens_no_traffic() {
    let mut world = halfway();
    let mut last = world.clone();
    permit(&mut last, 3);
    let (opens, _) = decided(&last);
    remember(&mut world, |memory| (memory.step, memory.step_reached) = (3, None));
    assert_eq!(backends(&plan(&world).moves[&id()]), None);
    let mut opens = opens;
    let step = opens.moves.get_mut(&id()).unwrap();
    step.decision = Decision::Shift;
    step.memory = world.cases[&id()].memory().cloned();
    step.writes.truncate(1);
    breaks(&world, &opens);
}

#[test]
fn past_the_top_traffic_stays_with_the_version_that_was_proven_last() {
    let (first, a) = (weighted("0"), weighted("a"));
    let mut world = halfway();
    remember(&mut world, |memory| memory.proven.insert(0, proof(&first)));
    edit(&mut world, |case| drop(case.documents.insert(first.digest, Arc::new(first.clone()))));
    desire(&mut world, &first);
    let (_, made) = decided(&world);
    assert_eq!((made.decision.clone(), backends(&made)), (Decision::RollBack, all_to("checkout-stable")));
    // The CloneSet is written; pods of A and of B still run.
    let memory = Memory { step_reached: None, revision: None, step: 3, ..complete(&first) };
    edit_live(&mut world, |it| {
        let status = triton::world::CounterStatus {
            current_revision: "checkout-a".to_owned(),
            ..live(&first, Some(memory.clone()), "0", 3).status
        };
        *it = triton::world::Live { status, ..live(&first, Some(memory), "0", 3) };
    });
    lead(&mut world, Share::Split(0), &[(Role::Stable, "a", Some(4)), (Role::Canary, "b", Some(2))]);
    assert_eq!(backends(&decided(&world).1), None);
    lead(&mut world, Share::Split(0), &[(Role::Canary, "b", Some(0))]);
    assert_eq!(backends(&decided(&world).1), all_to("checkout"), "no pod of B is left");
    lead(&mut world, Share::Split(0), &[(Role::Stable, "a", Some(0)), (Role::Canary, "b", Some(2))]);
    assert_eq!(backends(&decided(&world).1), all_to("checkout"), "and none of A");
    assert_ne!(a.digest, first.digest);
}

#[test]
fn another_service_of_the_same_template_is_prepared_before_a_route_leads_to_it() {
    let (a, b) = (weighted("a"), weighted("b"));
    let mut next = two("b");
    next.template = b.template;
    let mut world = halfway();
    edit(&mut world, |case| {
        let mut other = case.companions[&key(Kind::Service, "checkout")].clone();
        other.leads = Leads::default();
        case.companions.insert(key(Kind::Service, "other"), other);
    });
    desire(&mut world, &next);
    permit(&mut world, 2);
    let (_, made) = decided(&world);
    let beside = ["Service shop/other-stable", "Service shop/other-canary"];
    assert_eq!(
        (made.decision.clone(), written(&made)),
        (Decision::Shift, beside.map(str::to_owned).to_vec())
    );
    beside_other(&mut world);
    let (_, made) = decided(&world);
    assert_eq!(made.decision, Decision::Enter(2));
    assert_ne!(a.digest, next.digest);
}

#[test]
fn what_leads_to_the_proven_pods_has_the_ports_that_the_next_routes_ask_for() {
    let (a, mut b) = (weighted("a"), weighted("b"));
    let mut service = b.companions[0].body.value.open();
    service["spec"]["ports"] = json!([{"port": 80}, {"port": 81}]);
    b.companions[0].body.value = Compact::of(&service);
    let mut world = world(intent(&b), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]);
    lead(&mut world, Share::Base, &[]);
    let (_, made) = decided(&world);
    let Action::Apply { body, .. } = &made.writes[0].action else { panic!("an apply") };
    assert_eq!(
        (written(&made), &body["spec"]["ports"]),
        (vec![STABLE.to_owned()], &service["spec"]["ports"])
    );
}

/// Lets a second route lead as the first one does. Gives the proven release with it.
pub fn with_two_routes(world: &mut World) -> Release {
    let grpc = |release: &Release| {
        let mut release = release.clone();
        let mut value = release.companions[1].body.value.open();
        value["kind"] = json!("GRPCRoute");
        let body = Body { key: key(Kind::GrpcRoute, "checkout"), value: Compact::of(&value) };
        release.companions.push(Companion { body, version_of: None });
        release
    };
    let (a, b) = (grpc(&weighted("a")), grpc(&weighted("b")));
    edit(world, |case| {
        case.documents = [&a, &b].into_iter().map(|it| (it.digest, Arc::new(it.clone()))).collect();
        let route = case.companions[&key(Kind::HttpRoute, "checkout")].clone();
        case.companions.insert(key(Kind::GrpcRoute, "checkout"), route);
    });
    a
}
