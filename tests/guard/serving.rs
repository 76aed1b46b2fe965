//! Pods that are let in: the planner's choice passes, in every world; a pod too many, or one of nobody's, is noticed.

use std::sync::Arc;

use serde_json::json;
use triton::guard::{Rule, check};
use triton::model::{ResourceVersion, Uid};
use triton::objects::{Kind, keys};
use triton::plan::plan as planned;
use triton::spec::{Release, Serve};
use triton::world::{Action, Decision, Expect, Memory, Permit, PodLive, World, Write};

use crate::guard::laps::{Lap, frozen, writes};
use crate::support::world::*;

/// The release with this image, whose first step waits to serve.
fn gated(image: &str) -> Release {
    let mut release = release(image);
    release.strategy.steps[0].serve = Serve::Approval { batch: None };
    release
}

fn pod(name: &str, revision: &str, up: bool, serves: bool) -> PodLive {
    PodLive {
        name: name.parse().unwrap(),
        uid: Uid::new(format!("uid-{name}")),
        version: ResourceVersion::new("90"),
        owner: Uid::new("uid-1"),
        revision: format!("checkout-{revision}"),
        up,
        serves,
        ready: serves,
        ending: false,
        ip: None,
    }
}

fn lets_in(pod: &PodLive, forward: bool) -> Write {
    let body = json!({"status": {"conditions": [{"type": keys::SERVE, "status": "True"}]}});
    let expect = Expect::Same(pod.uid.clone(), pod.version.clone());
    Write {
        object: key(Kind::Pod, pod.name.as_str()),
        action: Action::Apply { body: Arc::new(body), expect },
        forward,
    }
}

/// B stands at step 1 above A, approved to serve by Git and by memory where `approved`; one pod of B and one of A are up.
fn canary(approved: bool) -> World {
    let (a, b) = (gated("a"), gated("b"));
    let mut intent = intent(&b);
    if approved {
        intent.markers.push(marker(&b, Permit::Serve(1), "bob"));
    }
    let memory = Memory {
        served: u32::from(approved),
        revision: Some("checkout-b".to_owned()),
        ..at_step(&b, &a, 1, None)
    };
    let mut live = live(&b, Some(memory), "99%", 1);
    live.status.updated_available = 0;
    let mut world = world(intent, Some(live), &[&a, &b]);
    let pods = [pod("new-1", "b", true, false), pod("new-2", "b", true, false), pod("old", "a", true, false)];
    edit(&mut world, |case| case.pods = Some(pods.into()));
    world
}

/// A plan that lets these pods of the world in, and nothing else.
fn lap(world: World, names: &[&str], forward: bool) -> Lap {
    let memory = world.cases[&id()].memory().cloned();
    let mut plan = plan(Decision::Rest, memory, vec![]);
    let pods = world.cases[&id()].pods.clone().unwrap();
    let chosen = pods.iter().filter(|pod| names.contains(&pod.name.as_str()));
    plan.moves.get_mut(&id()).unwrap().serving = chosen.map(|pod| lets_in(pod, forward)).collect();
    Lap { world, plan }
}

#[test]
fn pods_of_the_proven_revision_serve_whatever_git_says() {
    lap(canary(false), &["old"], false).passes();
    lap(canary(true), &["old", "new-1"], true).passes();
}

#[test]
fn a_pod_more_than_git_permits_is_noticed() {
    lap(canary(false), &["new-1"], true).breaks(Rule::Serving);
    lap(canary(true), &["new-1", "new-2"], true).breaks(Rule::Serving);
    let serving = |world: &mut World| {
        edit(world, |case| {
            let mut pods = case.pods.clone().unwrap().to_vec();
            pods[1].serves = true;
            case.pods = Some(pods.into());
        });
    };
    lap(canary(true), &["new-1"], true).with_world(serving).breaks(Rule::Serving);
    let withdrawn = |world: &mut World| edit_intent(world, |intent| intent.markers.clear());
    lap(canary(true), &["new-1"], true).with_world(withdrawn).breaks(Rule::Serving);
    lap(canary(true), &["new-1"], false).breaks(Rule::Serving);
}

#[test]
fn a_pod_of_nobodys_and_one_that_has_changed_are_noticed() {
    let edited = |change: fn(&mut PodLive)| {
        let lap = lap(canary(true), &["new-1"], true);
        lap.with_world(|world| {
            edit(world, |case| {
                let mut pods = case.pods.clone().unwrap().to_vec();
                change(&mut pods[0]);
                case.pods = Some(pods.into());
            });
        })
    };
    edited(|pod| pod.version = ResourceVersion::new("91")).breaks(Rule::Whole);
    edited(|pod| pod.uid = Uid::new("another")).breaks(Rule::Whole);
    edited(|pod| pod.owner = Uid::new("another")).breaks(Rule::Whole);
    edited(|pod| pod.revision = "checkout-c".to_owned()).breaks(Rule::Serving);
    edited(|pod| pod.up = false).breaks(Rule::Serving);
}

#[test]
fn nothing_but_the_one_condition_is_written() {
    let written = |body: serde_json::Value| {
        let mut lap = lap(canary(true), &["new-1"], true);
        let Action::Apply { body: there, .. } = &mut lap.plan.moves.get_mut(&id()).unwrap().serving[0].action
        else {
            panic!("an apply")
        };
        *there = Arc::new(body);
        lap
    };
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
    let with = |conditions: serde_json::Value| json!({"status": {"conditions": conditions}});
    written(with(json!([condition(keys::SERVE, "True")]))).passes();
    written(with(json!([condition(keys::SERVE, "False")]))).breaks(Rule::Whole);
    written(with(json!([condition("Ready", "True")]))).breaks(Rule::Whole);
    let both = json!([condition(keys::SERVE, "True"), condition("Ready", "True")]);
    written(with(both)).breaks(Rule::Whole);
    let mut more = with(json!([condition(keys::SERVE, "True")]));
    more["metadata"] = json!({"labels": {"app": "x"}});
    written(more).breaks(Rule::Whole);
}

#[test]
fn memory_lets_pods_serve_only_as_far_as_git_does() {
    let note = |change: fn(&mut World), served: u32| {
        let mut world = canary(true);
        edit_live(&mut world, |live| live.memory.as_mut().unwrap().served = 0);
        change(&mut world);
        let before = world.cases[&id()].memory().unwrap().clone();
        let plan = writes(Decision::Note, &gated("b"), Memory { served, ..before }, "99%", false);
        Lap { world, plan }
    };
    note(|_| {}, 1).passes();
    note(|_| {}, 2).breaks(Rule::Serving);
    note(|_| {}, Memory::ALL).breaks(Rule::Serving);
    note(|world| edit_intent(world, |it| it.markers.clear()), 1).breaks(Rule::Serving);
    note(|world| edit_intent(world, |it| it.freezes.push(Arc::new(frozen()))), 1).breaks(Rule::Serving);
    note(|world| world.source.fetched_at = Some(ago(600)), 1).breaks(Rule::Serving);
}

/// Every small world: what the planner lets in passes the guard, no pod of the proven revision waits, and of the new one
/// no more serve than Git permits.
#[test]
fn in_every_small_world_the_planner_and_the_guard_agree() {
    let flags = [false, true];
    let mut seen = 0;
    for (bits, served, step) in (0..64_u32).flat_map(|bits| {
        [0, 1, Memory::ALL].into_iter().flat_map(move |served| [1, 2].map(|step| (bits, served, step)))
    }) {
        let flag = |place: u32| flags[(bits >> place & 1) as usize];
        let mut world = canary(flag(0));
        if flag(1) {
            edit_intent(&mut world, |it| it.freezes.push(Arc::new(frozen())));
        }
        if flag(2) {
            world.source.fetched_at = Some(ago(600));
        }
        edit_live(&mut world, |live| {
            let memory = live.memory.as_mut().unwrap();
            (memory.served, memory.step) = (served, step);
            if flag(3) {
                live.suspend = Some("looking".to_owned());
            }
            if flag(4) {
                live.status.observed_generation = Some(live.generation - 1);
            }
            if flag(5) {
                memory.proven.push(proof(&gated("b")));
            }
        });
        let made = planned(&world);
        assert_eq!(check(&world, &made).get(&id()), None, "{bits:06b} {served} {step}");
        let lets_in = &made.moves[&id()].serving;
        let of =
            |prefix: &str| lets_in.iter().filter(|it| it.object.name.as_str().starts_with(prefix)).count();
        let proven = flag(5);
        let most = match (served, proven) {
            (Memory::ALL, _) | (_, true) => 2,
            (served, false) => served.min(u32::from(flag(0))) as usize,
        };
        assert!(of("new") <= most, "{bits:06b} {served} {step}: {} of {most}", of("new"));
        if proven {
            assert_eq!(of("new"), 2, "{bits:06b}: a pod of the proven revision waits");
        } else {
            assert_eq!(of("old"), 1, "{bits:06b}: a pod of the proven revision waits");
        }
        seen += lets_in.len();
    }
    assert!(seen > 300, "{seen}");
}
