//! Pods that serve by approval and are updated in place: the planner lets them go as Git permits and the guard agrees; one
//! taken out too many, too early or for nothing is noticed.

use std::sync::Arc;

use serde_json::json;
use triton::fields::Stand;
use triton::guard::{Rule, check};
use triton::model::{ResourceVersion, Uid};
use triton::objects::{Kind, keys};
use triton::plan::plan as planned;
use triton::spec::{Release, Serve, hook};
use triton::world::{Action, Decision, Expect, Memory, Permit, PodLive, Stage, World, Write};

use crate::guard::laps::{Lap, writes};
use crate::support::world::*;

/// The release with this image, whose first step has two pods that wait to serve.
pub fn gated(image: &str) -> Release {
    let mut release = release(image);
    release.strategy.steps[0].serve = Serve::Approval { batch: None };
    release.strategy.steps[0].replicas = "2".parse().unwrap();
    release
}

/// A pod that serves, and that nobody updates.
pub fn pod(name: &str, revision: &str) -> PodLive {
    PodLive {
        name: name.parse().unwrap(),
        uid: Uid::new(format!("uid-{name}")),
        version: ResourceVersion::new("90"),
        owner: Uid::new("uid-1"),
        revision: format!("checkout-{revision}"),
        stage: Stage::Settled,
        since: None,
        held: true,
        up: true,
        serves: true,
        ready: true,
        ending: false,
        ip: None,
    }
}

/// A pod of A of which Kruise asks.
pub fn asks(name: &str) -> PodLive {
    PodLive { stage: Stage::Asks, ..pod(name, "a") }
}

/// These pods, and so many of A that serve that they are ten.
pub fn ten(pods: &[PodLive]) -> Arc<[PodLive]> {
    let there = pods.iter().filter(|pod| !pod.ending).count();
    let others = (there..10).map(|number| pod(&format!("old-{number}"), "a"));
    pods.iter().cloned().chain(others).collect()
}

/// Step 1 of B stands above A, with these pods.
pub fn canary(pods: &[PodLive]) -> World {
    let (a, b) = (gated("a"), gated("b"));
    let memory = Memory { revision: Some("checkout-b".to_owned()), ..at_step(&b, &a, 1, None) };
    let updated = pods.iter().filter(|pod| !pod.ending && pod.revision == "checkout-b").count();
    let mut live = live(&b, Some(memory), "80%", u32::try_from(updated).unwrap());
    live.status.updated_available = 0;
    let mut world = world(intent(&b), Some(live), &[&a, &b]);
    edit(&mut world, |case| case.pods = Some(ten(pods)));
    world
}

/// What the planner writes of the pods, and that the guard agrees: names with the label and the condition.
#[track_caller]
pub fn written(world: &World) -> Vec<(String, String, String)> {
    let made = planned(world);
    assert_eq!(check(world, &made).get(&id()), None);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let said = |write: &Write| {
        let Action::Apply { body, .. } = &write.action else { panic!("an apply") };
        let label = text(&body["metadata"]["labels"][keys::SERVE]);
        (write.object.name.to_string(), label, text(&body["status"]["conditions"][0]["status"]))
    };
    made.moves[&id()].serving.iter().map(said).collect()
}

pub fn one(name: &str, label: &str, status: &str) -> (String, String, String) {
    (name.to_owned(), label.to_owned(), status.to_owned())
}

pub fn out(pod: &PodLive) -> Write {
    Write { forward: true, ..to(pod, keys::SERVE_UPDATING, "False") }
}

pub fn to(pod: &PodLive, label: &str, status: &str) -> Write {
    let condition = json!({"type": keys::SERVE, "status": status});
    let body = json!({"metadata": {"labels": {keys::SERVE: label}}, "status": {"conditions": [condition]}});
    let expect = Expect::Same(pod.uid.clone(), pod.version.clone());
    let object = key(Kind::Pod, pod.name.as_str());
    Write { object, action: Action::Apply { body: Arc::new(body), expect }, forward: false }
}

/// A plan that writes these pods and nothing else.
pub fn lap(world: World, pods: Vec<Write>) -> Lap {
    let memory = world.cases[&id()].memory().cloned();
    let mut plan = plan(Decision::Rest, memory, vec![]);
    plan.moves.get_mut(&id()).unwrap().serving = pods;
    Lap { world, plan }
}

#[test]
fn a_pod_leaves_and_is_let_go_in_one_write_and_comes_back_in_the_dark() {
    assert_eq!(written(&canary(&[asks("p")])), [one("p", "updating", "False")]);
    let gone = PodLive { held: false, serves: false, ready: false, ..asks("p") };
    assert_eq!(written(&canary(std::slice::from_ref(&gone))), [], "Kruise has its answer");
    let updating =
        PodLive { stage: Stage::Updating, up: false, revision: "checkout-b".to_owned(), ..gone.clone() };
    assert_eq!(written(&canary(std::slice::from_ref(&updating))), []);
    let back = PodLive { stage: Stage::Settled, up: true, ..updating };
    assert_eq!(written(&canary(&[back])), [one("p", "gated", "False")]);
}

#[test]
fn no_more_pods_leave_than_the_entered_step_has() {
    let told = |pods: &[PodLive]| {
        let world = canary(pods);
        let holds = planned(&world).moves[&id()].view.holds.clone();
        (written(&world).len(), holds.iter().any(|hold| hold.message.contains("updated in place (")))
    };
    assert_eq!(told(&[asks("p"), asks("q"), asks("r")]), (2, true), "the third waits, and serves");
    assert_eq!(told(&[asks("p"), asks("q")]), (2, false));
    let dark = PodLive { serves: false, ready: false, ..pod("new", "b") };
    assert_eq!(told(&[dark.clone(), asks("p"), asks("q")]), (1, true));
    let evicted = PodLive { ending: true, ..dark.clone() };
    assert_eq!(told(&[evicted, asks("p"), asks("q")]), (2, false), "one that has ended is no pod");
    let all = [asks("p"), asks("q"), asks("r")];
    lap(canary(&all), all.iter().map(out).collect()).breaks(Rule::Exposure);
    let gone = PodLive { held: false, serves: false, ..asks("o") };
    let pods = [dark, gone, asks("p")];
    lap(canary(&pods), vec![out(&pods[2])]).breaks(Rule::Exposure);
}

#[test]
fn what_kruise_has_begun_is_finished_though_the_release_is_stopped() {
    let stops: [fn(&mut World); 4] = [
        |world| edit_live(world, |live| live.suspend = Some("looking".to_owned())),
        |world| edit_intent(world, |it| Arc::make_mut(&mut it.release).suspend = true),
        |world| edit(world, |case| case.desired = triton::world::Desired::Unknown),
        |world| world.source.fetched_at = Some(ago(6_000)),
    ];
    for stop in stops {
        let back = PodLive { held: false, serves: false, ready: false, ..pod("back", "b") };
        let mut world = canary(&[asks("p"), back]);
        stop(&mut world);
        let mut all = written(&world);
        all.sort();
        assert_eq!(all, [one("back", "gated", "False"), one("p", "updating", "False")]);
    }
}

#[test]
fn a_pod_is_taken_out_only_when_kruise_asks_for_the_entered_release() {
    let alone = |change: fn(&mut PodLive), world: fn(&mut World)| {
        let mut it = asks("p");
        change(&mut it);
        let write = out(&it);
        let mut seen = canary(&[it]);
        world(&mut seen);
        lap(seen, vec![write])
    };
    alone(|_| {}, |_| {}).passes();
    alone(|pod| pod.stage = Stage::Settled, |_| {}).breaks(Rule::Serving);
    alone(|pod| pod.revision = "checkout-b".to_owned(), |_| {}).breaks(Rule::Serving);
    alone(|_| {}, |world| edit_live(world, |live| live.hooks = Arc::default())).breaks(Rule::Serving);
    alone(|_| {}, |world| edit_live(world, |live| live.drift.template = true)).breaks(Rule::Serving);
    alone(|_| {}, |world| edit_live(world, |live| live.status.observed_generation = Some(3)))
        .breaks(Rule::Serving);
    let serves = pod("p", "a");
    lap(canary(std::slice::from_ref(&serves)), vec![to(&serves, "gated", "False")]).breaks(Rule::Serving);
    lap(canary(std::slice::from_ref(&serves)), vec![to(&serves, "updating", "True")]).breaks(Rule::Whole);
}

#[test]
fn no_pod_is_let_in_while_kruise_asks_for_it_or_updates_it() {
    for stage in [Stage::Asks, Stage::Updating] {
        let mut it = PodLive { stage, serves: false, ready: false, ..pod("p", "b") };
        let mut world = canary(std::slice::from_ref(&it));
        edit_intent(&mut world, |intent| intent.markers.push(marker(&gated("b"), Permit::Serve(1), "bob")));
        edit_live(&mut world, |live| live.memory.as_mut().unwrap().served = 1);
        assert_eq!(written(&world), []);
        let mut write = to(&it, "gated", "True");
        write.forward = true;
        lap(world.clone(), vec![write.clone()]).breaks(Rule::Serving);
        it.stage = Stage::Settled;
        edit(&mut world, |case| case.pods = Some([it].into()));
        assert_eq!(written(&world), [one("p", "gated", "True")]);
        lap(world, vec![write]).passes();
    }
}

#[test]
fn the_hook_stands_until_the_release_is_proven_and_no_longer() {
    let (a, b) = (gated("a"), gated("b"));
    let settled = world(intent(&b), Some(live(&a, Some(complete(&a)), "0%", 10)), &[&a, &b]);
    let enters = |pods: &[PodLive]| {
        let mut world = settled.clone();
        edit(&mut world, |case| case.pods = Some(ten(pods)));
        let plan = writes(Decision::Enter(1), &b, at_step(&b, &a, 1, None), "80%", true);
        Lap { world, plan }
    };
    enters(&[pod("p", "a")]).passes();
    let without = |body: &mut serde_json::Value| hook::take_out(&mut body["spec"]);
    enters(&[pod("p", "a")]).with_body(without).breaks(Rule::Serving);
    // The planner's own write has it, and takes it out again on the way back.
    let hooked = |world: &World| {
        let made = planned(world);
        assert_eq!(check(world, &made).get(&id()), None);
        let moved = &made.moves[&id()];
        let Action::Apply { body, .. } = &moved.writes[0].action else { panic!("an apply") };
        (moved.decision.clone(), hook::is_in(&body["spec"]))
    };
    let mut entering = settled;
    edit(&mut entering, |case| case.pods = Some(ten(&[])));
    assert_eq!(hooked(&entering), (Decision::Enter(1), true));
    let mut back = canary(&[asks("p")]);
    edit(&mut back, |case| case.desired = triton::world::Desired::Release(Arc::new(intent(&a))));
    assert_eq!(hooked(&back), (Decision::RollBack, false));
    assert_eq!(written(&back), [], "Kruise frees it itself");
    let mut missing = canary(&[]);
    edit_live(&mut missing, |live| live.hooks = Arc::default());
    assert_eq!(hooked(&missing), (Decision::Repair, true));
    let mut left = world(intent(&a), Some(live(&a, Some(complete(&a)), "0%", 10)), &[&a]);
    let hooks = canary(&[]).cases[&id()].live.clone().unwrap().hooks;
    edit_live(&mut left, |live| live.hooks = hooks);
    assert_eq!(planned(&left).moves[&id()].decision, Decision::Rest, "another manager has it");
    let mut stands = a.cloneset.value.open();
    hook::put_in(&mut stands["spec"]);
    edit_live(&mut left, |live| live.stand = Stand::of(&stands));
    assert_eq!(hooked(&left), (Decision::Repair, false));
}

#[test]
fn nothing_new_is_written_while_a_pod_serves_of_which_kruise_would_not_ask() {
    let (a, b) = (gated("a"), gated("b"));
    let loose = [
        (PodLive { held: false, ..pod("p", "a") }, vec![one("p", "gated", "True")]),
        (PodLive { stage: Stage::Updating, ..pod("p", "a") }, vec![]),
        // It does not serve in truth.
        (
            PodLive { stage: Stage::Updating, ready: false, up: false, ..pod("p", "a") },
            vec![one("p", "gated", "False")],
        ),
    ];
    for (it, mends) in loose {
        let mut world = world(intent(&b), Some(live(&a, Some(complete(&a)), "0%", 10)), &[&a, &b]);
        edit(&mut world, |case| case.pods = Some([it].into()));
        let made = planned(&world);
        assert_eq!(made.moves[&id()].decision, Decision::Hold);
        assert_eq!(written(&world), mends);
        let plan = writes(Decision::Enter(1), &b, at_step(&b, &a, 1, None), "80%", true);
        Lap { world, plan }.breaks(Rule::Serving);
    }
}
