//! Canary Ingresses that give more than they may, to others, or beside one that is not shared, are refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use triton::fields::Compact;
use triton::guard::{Rule, check};
use triton::model::Digest;
use triton::objects::{Kind, ObjectKey};
use triton::plan::plan;
use triton::spec::{Body, Companion, Criterion, Match, Release};
use triton::world::{
    Action, CompanionLive, Decision, Desired, Leads, Memory, Plan, Reached, Role, Share, World, Write,
};

use crate::guard::routes::{breaks, decided, permit, remember};
use crate::support::world::*;

const INGRESS: &str = "Ingress shop/checkout";
const CANARY: &str = "Ingress shop/checkout-canary";

fn canary() -> ObjectKey {
    key(Kind::Ingress, "checkout-canary")
}

/// The release with weights, led to by an Ingress.
fn by_ingress(image: &str) -> Release {
    let mut release = weighted(image);
    release.companions.retain(|it| it.body.key.kind != Kind::HttpRoute);
    let path = json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "checkout", "port": {"number": 80}}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "namespace": "shop", "name": "checkout" },
        "spec": { "ingressClassName": "nginx", "rules": [{ "host": "shop.example", "http": { "paths": [path] } }] },
    });
    let body = Body { key: key(Kind::Ingress, "checkout"), value: Compact::of(&ingress) };
    release.companions.push(Companion { body, version_of: None });
    release
}

/// B stands at `step` above A with so many pods; its Ingress is shared, and the canary Ingress gives so much, where it is there.
fn rolled(step: u32, (partition, pods): (&str, u32), given: Option<(u32, bool)>) -> World {
    of(&by_ingress("b"), step, (partition, pods), given)
}

fn of(b: &Release, step: u32, (partition, pods): (&str, u32), given: Option<(u32, bool)>) -> World {
    let a = by_ingress("a");
    let memory = Memory { revision: Some("checkout-b".to_owned()), ..at_step(b, &a, step, None) };
    let mut world = world(intent(b), Some(live(b, Some(memory), partition, pods)), &[&a, b]);
    lead(
        &mut world,
        Share::Split(0),
        &[(Role::Stable, "a", Some(10 - pods)), (Role::Canary, "b", Some(pods))],
    );
    edit(&mut world, |case| {
        let route = case.companions.remove(&key(Kind::HttpRoute, "checkout")).unwrap();
        if let Some((percent, testers)) = given {
            let to = BTreeSet::from(["checkout-canary".parse().unwrap()]);
            let canary_of = Some("checkout".parse().unwrap());
            let leads = Leads { share: Share::Split(percent), testers, to, canary_of, ..Leads::default() };
            case.companions.insert(canary(), CompanionLive { leads, ..route.clone() });
        }
        case.companions.insert(key(Kind::Ingress, "checkout"), route);
    });
    world
}

fn bodies(plan: &Plan) -> Vec<(String, Value)> {
    let of = |it: &Write| match &it.action {
        Action::Apply { body, .. } => Some((it.object.to_string(), (**body).clone())),
        Action::TakeOver { .. } | Action::Delete { .. } => None,
    };
    plan.moves[&id()].writes.iter().filter_map(of).collect()
}

fn weight(body: &Value) -> &Value {
    &body["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"]
}

/// The plan with the canary Ingress changed.
fn with(plan: &Plan, change: impl FnOnce(&mut Value)) -> Plan {
    let mut plan = plan.clone();
    let made = plan.moves.get_mut(&id()).unwrap();
    let write = made.writes.iter_mut().find(|it| it.object == canary()).unwrap();
    let Action::Apply { body, .. } = &mut write.action else { panic!("an apply") };
    change(Arc::make_mut(body));
    plan
}

#[test]
fn a_canary_ingress_gives_what_its_step_allows_and_to_nothing_else() {
    let world = rolled(1, ("99%", 1), None);
    let (plan, made) = decided(&world);
    assert_eq!((&made.decision, made.writes[0].forward), (&Decision::Shift, true), "{}", made.message);
    let [(object, body)] = &bodies(&plan)[..] else { panic!("one write") };
    assert_eq!((&**object, weight(body)), (CANARY, &json!("5")));
    let set = |last: &'static str, value: &'static str| {
        move |body: &mut Value| {
            body["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{last}")] = json!(value);
        }
    };
    for (last, value) in [
        ("canary-weight", "6"),
        ("canary-weight", "all"),
        ("canary", "false"),
        ("canary-by-header", "x-tester"),
        ("canary-by-cookie", "tester"),
        ("canary-weight-total", "1000"),
    ] {
        assert!(check(&world, &with(&plan, set(last, value))).contains_key(&id()), "{last}: {value}");
    }
    let wrong: [fn(&mut Value); 4] = [
        |body| body["spec"]["rules"][0]["host"] = json!("other.example"),
        |body| body["spec"]["rules"][0]["http"]["paths"][0]["path"] = json!("/other"),
        |body| body["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = json!("other"),
        |body| body["spec"]["defaultBackend"] = json!({"service": {"name": "checkout-canary"}}),
    ];
    for change in wrong {
        let planted = with(&plan, change);
        assert!(check(&world, &planted).contains_key(&id()), "{:?}", bodies(&planted));
    }
    let mut empty = world.clone();
    edit(&mut empty, |case| {
        let canary = case.companions.get_mut(&key(Kind::Service, "checkout-canary")).unwrap();
        canary.leads.beside.as_mut().unwrap().ready = Some(0);
    });
    breaks(&empty, &plan);
    let mut whole = world;
    edit(&mut whole, |case| {
        case.companions.get_mut(&key(Kind::Ingress, "checkout")).unwrap().leads.share = Share::Base;
    });
    breaks(&whole, &plan);
}

#[test]
fn testers_have_their_header_on_it() {
    let mut b = by_ingress("b");
    b.strategy.steps[0].weight = Some(0);
    let header = Criterion { name: "x-tester".to_owned(), value: "yes".to_owned(), regular: false };
    b.strategy.matches = vec![Match { headers: vec![header], query: Vec::new() }];
    let world = of(&b, 1, ("99%", 1), None);
    let (plan, made) = decided(&world);
    assert_eq!(made.decision, Decision::Shift, "{}", made.message);
    let [(_, body)] = &bodies(&plan)[..] else { panic!("one write") };
    let value = "nginx.ingress.kubernetes.io/canary-by-header-value";
    assert_eq!((weight(body), &body["metadata"]["annotations"][value]), (&json!("0"), &json!("yes")));
    breaks_or_is_strange(&world, &with(&plan, |body| body["metadata"]["annotations"][value] = json!("no")));
    breaks_or_is_strange(
        &world,
        &with(&plan, |body| {
            body["metadata"]["annotations"].as_object_mut().unwrap().remove(value);
        }),
    );
    let pattern = "nginx.ingress.kubernetes.io/canary-by-header-pattern";
    breaks_or_is_strange(&world, &with(&plan, |body| body["metadata"]["annotations"][pattern] = json!(".*")));
}

#[track_caller]
fn breaks_or_is_strange(world: &World, plan: &Plan) {
    assert!(check(world, plan).contains_key(&id()), "{:?}", bodies(plan));
}

#[test]
fn a_canary_ingress_gives_nothing_before_pods_go_back() {
    let mut world = rolled(2, ("50%", 5), Some((50, false)));
    permit(&mut world, 2);
    edit(&mut world, |case| case.desired = Desired::Release(Arc::new(intent(&by_ingress("a")))));
    let (plan, made) = decided(&world);
    let objects: Vec<String> = made.writes.iter().map(|it| it.object.to_string()).collect();
    assert_eq!(
        (&made.decision, &*objects),
        (&Decision::RollBack, &[CANARY.to_owned(), "CloneSet shop/checkout".to_owned()][..])
    );
    assert_eq!(weight(&bodies(&plan)[0].1), "0", "it is not deleted: an old leader may let it fall");
    let mut without = plan.clone();
    without.moves.get_mut(&id()).unwrap().writes.remove(0);
    breaks(&world, &without);
    // Whoever was led there by a cookie of affinity would stay.
    let behavior = "nginx.ingress.kubernetes.io/affinity-canary-behavior";
    breaks_or_is_strange(
        &world,
        &with(&plan, |body| body["metadata"]["annotations"][behavior] = json!("sticky")),
    );
    breaks(
        &world,
        &with(&plan, |body| {
            body["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"] = json!("5");
        }),
    );
}

/// Before the last step the Ingress is written first: the daemon may have ended there.
#[test]
fn what_a_crash_left_between_two_ingresses_goes_on_or_back() {
    for (step, wanted) in
        [(3, &[(CANARY, "0")][..]), (2, &[(INGRESS, "")]), (1, &[(INGRESS, ""), (CANARY, "5")])]
    {
        let mut world = rolled(2, ("50%", 5), Some((50, false)));
        (2..=step).for_each(|step| permit(&mut world, step));
        remember(&mut world, |memory| memory.step_reached = Some(Reached { at: ago(120), pods: 5 }));
        edit(&mut world, |case| {
            let leads = &mut case.companions.get_mut(&key(Kind::Ingress, "checkout")).unwrap().leads;
            (leads.share, leads.to) = (Share::Base, BTreeSet::from(["checkout".parse().unwrap()]));
        });
        let (plan, made) = decided(&world);
        assert_eq!(made.decision, Decision::Shift, "{}", made.message);
        let bodies = bodies(&plan);
        let of = bodies.iter().map(|(object, body)| (&**object, weight(body).as_str().unwrap_or_default()));
        assert_eq!(of.collect::<Vec<_>>(), wanted, "{}", made.message);
    }
}

#[test]
fn a_canary_ingress_goes_once_it_gives_nothing() {
    let a = by_ingress("a");
    let mut world = rolled(1, ("99%", 1), Some((0, false)));
    edit(&mut world, |case| {
        case.desired = Desired::Release(Arc::new(intent(&a)));
        case.live = Some(live(&a, Some(complete(&a)), "0", 10));
        case.companions.get_mut(&key(Kind::Ingress, "checkout")).unwrap().leads.share = Share::Base;
        case.companions.get_mut(&canary()).unwrap().leads.to = BTreeSet::new();
    });
    let (plan, made) = decided(&world);
    let deleted = made.writes.iter().filter(|it| matches!(it.action, Action::Delete { .. }));
    assert!(deleted.clone().any(|it| it.object == canary()), "{}", made.message);
    let mut gives = world;
    edit(&mut gives, |case| {
        case.companions.get_mut(&canary()).unwrap().leads.share = Share::Split(5);
    });
    let mut one = plan;
    one.moves.get_mut(&id()).unwrap().writes.retain(|it| it.object == canary());
    breaks(&gives, &one);
}

#[test]
fn a_rollout_begins_beside_no_canary_ingress_that_gives_anything() {
    let (a, b) = (by_ingress("a"), by_ingress("b"));
    let mut world = rolled(1, ("99%", 1), Some((0, false)));
    edit(&mut world, |case| {
        case.desired = Desired::Release(Arc::new(intent(&b)));
        case.live = Some(live(&a, Some(complete(&a)), "0", 10));
    });
    lead(&mut world, Share::Split(0), &[(Role::Stable, "a", Some(10))]);
    edit(&mut world, |case| drop(case.companions.remove(&key(Kind::HttpRoute, "checkout"))));
    let (plan, made) = decided(&world);
    assert_eq!(made.decision, Decision::Enter(1), "{}", made.message);
    for given in [(5, false), (0, true)] {
        let mut gives = world.clone();
        edit(&mut gives, |case| {
            let leads = &mut case.companions.get_mut(&canary()).unwrap().leads;
            (leads.share, leads.testers) = (Share::Split(given.0), given.1);
        });
        breaks(&gives, &plan);
    }
}

#[test]
fn a_release_without_the_ingress_gives_both_up_first() {
    gives_up(2, |next| next.companions.retain(|it| it.body.key.kind != Kind::Ingress));
}

#[test]
fn a_release_without_weights_gives_the_canary_ingress_up_first() {
    gives_up(1, |_| ());
}

#[track_caller]
fn gives_up(first: usize, change: impl FnOnce(&mut Release)) {
    let mut next = by_ingress("b");
    next.strategy.routes.clear();
    next.digest = Digest::of(b"without weights");
    change(&mut next);
    let mut world = rolled(2, ("50%", 5), Some((50, false)));
    edit(&mut world, |case| {
        case.desired = Desired::Release(Arc::new(intent(&next)));
        case.documents.insert(next.digest, Arc::new(next.clone()));
    });
    permit(&mut world, 2);
    remember(&mut world, |memory| memory.step_reached = Some(Reached { at: ago(120), pods: 5 }));
    let planned = plan(&world);
    let made = &planned.moves[&id()];
    assert!(matches!(made.decision, Decision::Enter(_)), "{}", made.message);
    let objects: Vec<String> = made.writes.iter().map(|it| it.object.to_string()).collect();
    assert_eq!(objects[..2], [CANARY.to_owned(), INGRESS.to_owned()]);
    assert!(matches!(made.writes[0].action, Action::Delete { .. }));
    assert_eq!(check(&world, &planned).get(&id()), None);
    for (at, object) in objects.iter().enumerate().take(first) {
        let mut without = planned.clone();
        without.moves.get_mut(&id()).unwrap().writes.remove(at);
        let found = check(&world, &without).get(&id()).cloned();
        assert_eq!(found.map(|it| it.rule), Some(Rule::Weights), "{object}");
    }
}
