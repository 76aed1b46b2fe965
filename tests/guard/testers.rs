//! Rules for testers that lead anybody else, or anywhere else, or too early, are refused.

use std::sync::Arc;

use serde_json::{Value, json};
use triton::guard::{Rule, check};
use triton::model::Gate;
use triton::objects::Kind;
use triton::plan::plan;
use triton::spec::{Approval, Criterion, Match, Release, Serve};
use triton::world::{Action, Decision, Desired, Memory, Permit, Plan, Role, Share, World};

use crate::guard::routes::{breaks, decided, drift, permit, remember};
use crate::support::world::*;

/// The release with weights, at none for its first step, and testers.
fn tested(image: &str) -> Release {
    let mut release = weighted(image);
    release.strategy.steps[0].weight = Some(0);
    let header = Criterion { name: "x-tester".to_owned(), value: "yes".to_owned(), regular: false };
    release.strategy.matches = vec![Match { headers: vec![header], query: Vec::new() }];
    release
}

/// B stands at step 1 above A with its pod, which so many EndpointSlices have.
fn canary(ready: Option<u32>) -> World {
    of(&tested("b"), ready)
}

fn of(b: &Release, ready: Option<u32>) -> World {
    let a = tested("a");
    let memory = Memory { revision: Some("checkout-b".to_owned()), ..at_step(b, &a, 1, None) };
    let mut world = world(intent(b), Some(live(b, Some(memory), "99%", 1)), &[&a, b]);
    lead(&mut world, Share::Split(0), &[(Role::Stable, "a", Some(9)), (Role::Canary, "b", ready)]);
    world
}

/// The same, and testers are led there.
fn led(mut world: World) -> World {
    edit(&mut world, |case| {
        let route = case.companions.get_mut(&key(Kind::HttpRoute, "checkout")).unwrap();
        route.leads.testers = true;
        route.leads.to.insert("checkout-canary".parse().unwrap());
    });
    world
}

fn rules(plan: &Plan) -> Vec<Value> {
    let write = plan.moves[&id()].writes.iter().find(|it| it.object.kind == Kind::HttpRoute);
    let Some(Action::Apply { body, .. }) = write.map(|it| &it.action) else { return Vec::new() };
    body["spec"]["rules"].as_array().cloned().unwrap()
}

/// The plan with its route changed.
fn with(plan: &Plan, change: impl FnOnce(&mut Value)) -> Plan {
    let mut plan = plan.clone();
    let made = plan.moves.get_mut(&id()).unwrap();
    let write = made.writes.iter_mut().find(|it| it.object.kind == Kind::HttpRoute).unwrap();
    let Action::Apply { body, .. } = &mut write.action else { panic!("an apply") };
    change(Arc::make_mut(body));
    plan
}

#[test]
fn testers_reach_the_canary_at_weight_0_and_nobody_else_does() {
    let world = canary(Some(1));
    let (plan, made) = decided(&world);
    assert_eq!(made.decision, Decision::Shift);
    assert!(
        made.message.contains("leads testers to b, and everybody else to the pods of a"),
        "{}",
        made.message
    );
    assert!(made.writes[0].forward, "an old leader must not lead testers there");
    let asked = json!([{"headers": [{"name": "x-tester", "value": "yes"}]}]);
    let first =
        json!({"matches": asked, "backendRefs": [{"name": "checkout-canary", "port": 80, "weight": 1}]});
    assert_eq!(rules(&plan)[0], first);
    assert_eq!(rules(&plan)[1]["backendRefs"][0]["name"], "checkout-stable");
    let wrong: [fn(&mut Value); 11] = [
        |rule| rule["backendRefs"][0]["weight"] = json!(0),
        |rule| rule["backendRefs"][0]["port"] = json!(81),
        |rule| rule["backendRefs"][0]["filters"] = json!([{"type": "RequestMirror"}]),
        |rule| rule["matches"] = json!([]),
        |rule| rule["matches"] = json!([{}]),
        |rule| rule["matches"][0]["headers"][0]["name"] = json!("x-other"),
        |rule| rule["matches"][0]["headers"][0]["type"] = json!("RegularExpression"),
        |rule| rule["matches"][0]["path"] = json!({"value": "/elsewhere"}),
        |rule| rule["backendRefs"][0]["name"] = json!("elsewhere"),
        |rule| rule["backendRefs"][0]["name"] = json!("checkout-stable"),
        |rule| rule["filters"] = json!([{"type": "RequestMirror"}]),
    ];
    for change in wrong {
        let planted = with(&plan, |body| change(&mut body["spec"]["rules"][0]));
        assert!(check(&world, &planted).contains_key(&id()), "{:?}", rules(&planted)[0]);
    }
    let mut late = plan.clone();
    late.moves.get_mut(&id()).unwrap().writes[0].forward = false;
    assert!(check(&world, &late).contains_key(&id()));
}

#[test]
fn no_tester_is_led_to_nothing_or_to_another_revision() {
    let (plan, _) = decided(&canary(Some(1)));
    for ready in [Some(0), None] {
        breaks(&canary(ready), &plan);
        let (_, made) = decided(&canary(ready));
        assert_ne!(made.decision, Decision::Shift, "{}", made.message);
    }
    let mut other = canary(Some(1));
    lead(&mut other, Share::Split(0), &[(Role::Canary, "x", Some(1))]);
    breaks(&other, &plan);
}

#[test]
fn a_canary_that_is_gone_loses_its_testers_first_and_one_that_is_not_known_keeps_them() {
    let (plan, made) = decided(&led(canary(Some(0))));
    assert_eq!((made.decision, rules(&plan).len()), (Decision::Shift, 1));
    assert!(!made.writes[0].forward, "an old leader may take them away");
    let (_, made) = decided(&led(canary(None)));
    assert_ne!(made.decision, Decision::Shift, "{}", made.message);
}

#[test]
fn testers_wait_for_what_git_permits() {
    let mut asking = tested("b");
    asking.strategy.steps[0].approval = Some(Approval { count: 1, not_author: false });
    let mut world = of(&asking, Some(1));
    let (_, made) = decided(&world);
    assert_ne!(made.decision, Decision::Shift, "{}", made.message);
    let (forced, _) = decided(&canary(Some(1)));
    breaks(&world, &forced);
    permit(&mut world, 1);
    let (_, made) = decided(&world);
    assert_eq!(made.decision, Decision::Shift, "{}", made.message);
}

#[test]
fn testers_reach_no_pod_that_may_not_serve() {
    let (forced, _) = decided(&canary(Some(1)));
    let mut dark = tested("b");
    dark.strategy.steps[0].serve = Serve::Approval { batch: None };
    let mut world = of(&dark, Some(1));
    breaks(&world, &forced);
    let (_, made) = decided(&world);
    assert_ne!(made.decision, Decision::Shift, "{}", made.message);
    let asked = made.holds().iter().find(|it| it.gate == Gate::Serve).unwrap();
    assert_eq!(asked.lift.command.as_deref(), Some("triton approve shop/checkout --serve"), "{asked:?}");
    edit_intent(&mut world, |intent| {
        let marker = marker(&intent.release, Permit::Serve(1), "bob");
        intent.markers.push(marker);
    });
    assert_eq!(check(&world, &forced).get(&id()), None);
    remember(&mut world, |memory| memory.served = 1);
    let (_, made) = decided(&world);
    assert_eq!(made.decision, Decision::Shift, "{}", made.message);
}

#[test]
fn a_weight_that_falls_waits_for_no_testers() {
    let (a, mut b) = (tested("a"), tested("b"));
    b.strategy.steps[1].weight = Some(100);
    let memory = Memory { revision: Some("checkout-b".to_owned()), ..at_step(&b, &a, 2, Some(5)) };
    let mut world = world(intent(&b), Some(live(&b, Some(memory), "50%", 5)), &[&a, &b]);
    edit_live(&mut world, |live| {
        live.status.available = 6;
        live.status.updated_available = 1;
    });
    permit(&mut world, 2);
    let services = [(Role::Stable, "a", Some(5)), (Role::Canary, "b", Some(1))];
    lead(&mut world, Share::Split(100), &services);
    let (plan, made) = decided(&world);
    assert_eq!((made.decision, rules(&plan).len()), (Decision::Shift, 1), "{}", made.message);
    assert!(!made.writes[0].forward, "an old leader may lower a weight");
    lead(&mut world, Share::Split(0), &services);
    remember(&mut world, |memory| memory.step_reached = None);
    let (plan, made) = decided(&world);
    assert_eq!((made.decision, rules(&plan).len()), (Decision::Shift, 2), "{}", made.message);
}

#[test]
fn a_route_that_follows_the_pods_leads_no_testers() {
    let mut first = rules(&decided(&canary(Some(1))).0);
    first.truncate(1);
    let front = |body: &mut Value| {
        let rules = body["spec"]["rules"].as_array_mut().unwrap();
        rules.splice(0..0, first.clone());
    };
    let (a, mut world) = (tested("a"), led(canary(Some(1))));
    edit(&mut world, |case| case.desired = Desired::Release(Arc::new(intent(&a))));
    let back = plan(&world);
    let base = with(&back, |body| {
        body["spec"] =
            a.companion(&key(Kind::HttpRoute, "checkout")).unwrap().body.value.open()["spec"].take();
    });
    breaks(&world, &with(&base, front));
    // At rest, where nothing is to be shared.
    let mut world = self::world(intent(&a), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]);
    lead(&mut world, Share::Base, &[(Role::Canary, "a", Some(1))]);
    drift(&mut world, &key(Kind::HttpRoute, "checkout"));
    let (repair, _) = decided(&world);
    assert_eq!(rules(&repair).len(), 1);
    breaks(&world, &with(&repair, front));
}

#[test]
fn pods_go_back_after_their_testers() {
    let mut world = led(canary(Some(1)));
    edit(&mut world, |case| case.desired = Desired::Release(Arc::new(intent(&tested("a")))));
    let planned = plan(&world);
    let made = &planned.moves[&id()];
    let kinds: Vec<Kind> = made.writes.iter().map(|it| it.object.kind).collect();
    assert_eq!((&made.decision, kinds), (&Decision::RollBack, vec![Kind::HttpRoute, Kind::CloneSet]));
    assert_eq!(rules(&planned).len(), 1);
    assert_eq!(check(&world, &planned).get(&id()), None);
    let mut without = planned;
    without.moves.get_mut(&id()).unwrap().writes.remove(0);
    let found = check(&world, &without).get(&id()).cloned();
    assert_eq!(found.map(|it| it.rule), Some(Rule::Weights));
}
