//! Pods that are let in: the planner's choice passes, in every world; a pod too many, or one of nobody's, is noticed.

use std::sync::Arc;

use serde_json::json;
use triton::guard::{Rule, check};
use triton::model::{ResourceVersion, Uid};
use triton::objects::{Kind, keys};
use triton::plan::plan as planned;
use triton::spec::{Initial, Release, Serve};
use triton::world::{
    Action, Decision, Desired, Expect, Memory, Permit, PodLive, Reached, RecordLive, Removal, Stage, Try,
    World, Write,
};

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
        stage: Stage::Settled,
        since: None,
        held: true,
        up,
        serves,
        ready: serves,
        ending: false,
        ip: None,
    }
}

fn lets_in(pod: &PodLive, forward: bool) -> Write {
    let body = json!({
        "metadata": {"labels": {keys::SERVE: keys::SERVE_GATED}},
        "status": {"conditions": [{"type": keys::SERVE, "status": "True"}]},
    });
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
    let with = |conditions: serde_json::Value| json!({"metadata": {"labels": {keys::SERVE: keys::SERVE_GATED}}, "status": {"conditions": conditions}});
    written(with(json!([condition(keys::SERVE, "True")]))).passes();
    written(with(json!([condition(keys::SERVE, "Unknown")]))).breaks(Rule::Whole);
    written(json!({"status": {"conditions": [condition(keys::SERVE, "True")]}})).breaks(Rule::Whole);
    written(with(json!([condition("Ready", "True")]))).breaks(Rule::Whole);
    let both = json!([condition(keys::SERVE, "True"), condition("Ready", "True")]);
    written(with(both)).breaks(Rule::Whole);
    let mut more = with(json!([condition(keys::SERVE, "True")]));
    more["metadata"]["labels"]["app"] = json!("x");
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
        let stopped = flag(1) || flag(3);
        let most = match served {
            _ if proven => 2,
            // Memory permits nothing, whatever it says: Git has let in one pod, or none.
            _ => u32::from(flag(0) && served != 0 && (!stopped || step > 1)) as usize,
        };
        let suspended = flag(3);
        assert!(of("new") <= most, "{bits:06b} {served} {step}: {} of {most}", of("new"));
        if suspended {
            assert!(lets_in.is_empty(), "{bits:06b}: it is suspended in the cluster");
        } else if proven {
            assert_eq!(of("new"), 2, "{bits:06b}: a pod of the proven revision waits");
        } else {
            assert_eq!(of("old"), 1, "{bits:06b}: a pod of the proven revision waits");
        }
        seen += lets_in.len();
    }
    assert!(seen > 200, "{seen}");
}

/// The record has this of who may serve; the object says `served`.
fn served(world: &mut World, served: u32, recorded: u32) {
    edit_live(world, |live| live.memory.as_mut().unwrap().served = served);
    edit(world, |case| {
        let memory = case.memory().map(|memory| Memory { served: recorded, ..memory.clone() });
        case.record = Some(RecordLive {
            uid: Uid::new("record"),
            version: ResourceVersion::new("9"),
            generation: 1,
            root: Some(ROOT.to_owned()),
            status: Arc::default(),
            memory,
            replicas: 10,
        });
    });
}

/// The plan's own choice for the world passes, and lets in these pods.
#[track_caller]
fn chooses(world: &World, names: &[&str]) {
    let made = planned(world);
    assert_eq!(check(world, &made).get(&id()), None);
    let chosen: Vec<_> = made.moves[&id()].serving.iter().map(|it| it.object.name.to_string()).collect();
    assert_eq!(chosen, names, "{:?}", made.moves[&id()].message);
}

#[test]
fn memory_that_was_edited_lets_nobody_in() {
    for (edited, recorded) in [(Memory::ALL, 0), (Memory::ALL, Memory::ALL), (3, 0)] {
        let mut world = canary(false);
        served(&mut world, edited, recorded);
        chooses(&world, &["old"]);
        lap(world, &["new-1"], true).breaks(Rule::Serving);
    }
    // While Git is away both copies have to say so.
    for (edited, recorded, most) in [(Memory::ALL, 1, 1), (3, 0, 0), (1, 1, 1)] {
        let mut world = canary(false);
        served(&mut world, edited, recorded);
        edit(&mut world, |case| case.desired = Desired::Unknown);
        chooses(&world, &["old", "new-1"][..=most]);
        lap(world, &["new-1", "new-2"], true).breaks(Rule::Serving);
    }
}

#[test]
fn a_first_release_that_came_at_once_serves_whatever_its_steps_say() {
    let b = gated("b");
    let memory = Memory { proven: vec![], step: 3, ..at_step(&b, &gated("a"), 3, None) };
    let mut world = world(intent(&b), Some(live(&b, Some(memory), "0", 10)), &[&b]);
    edit(&mut world, |case| case.pods = Some([pod("new-1", "b", true, false)].into()));
    served(&mut world, Memory::ALL, Memory::ALL);
    chooses(&world, &["new-1"]);
    served(&mut world, Memory::ALL, 0);
    chooses(&world, &[]);
    lap(world.clone(), &["new-1"], true).breaks(Rule::Serving);
    let mut by_steps = b.clone();
    by_steps.strategy.initial = Initial::Steps;
    served(&mut world, Memory::ALL, Memory::ALL);
    edit(&mut world, |case| {
        case.documents.insert(b.digest, Arc::new(by_steps.clone()));
        case.desired = Desired::Release(Arc::new(intent(&by_steps)));
    });
    chooses(&world, &[]);
    lap(world, &["new-1"], true).breaks(Rule::Serving);
}

/// The plan says of pods that nobody lets in that they wait.
#[track_caller]
fn says_left_over(world: &World) {
    let made = planned(world);
    let mut holds = made.moves[&id()].view.holds.iter();
    assert!(holds.any(|hold| hold.message.contains("never proven")), "a pod waits, and nothing says so");
}

#[test]
fn where_nothing_is_proven_kruises_current_revision_is_not() {
    let mut world = canary(true);
    edit_live(&mut world, |live| {
        live.memory.as_mut().unwrap().proven.clear();
        live.memory.as_mut().unwrap().served = 0;
    });
    chooses(&world, &[]);
    says_left_over(&world);
    lap(world, &["old"], false).breaks(Rule::Serving);
}

#[test]
fn a_revision_that_kruise_has_encoded_anew_is_not_proven_by_that() {
    let mut world = canary(false);
    edit_live(&mut world, |live| {
        live.status.current_revision = "checkout-b".to_owned();
        live.status.update_revision = "checkout-c".to_owned();
        live.memory.as_mut().unwrap().revision = Some("checkout-c".to_owned());
    });
    chooses(&world, &["old"]);
    says_left_over(&world);
    lap(world, &["new-1"], false).breaks(Rule::Serving);
}

#[test]
fn pods_of_a_release_between_the_proven_one_and_the_entered_one_are_not_proven() {
    let (a, b, c) = (gated("a"), gated("b"), gated("c"));
    // B was on every pod; A, which is proven, did not come back; C has started.
    let memory = Memory { revision: Some("checkout-c".to_owned()), ..at_step(&c, &a, 1, None) };
    let mut live = live(&c, Some(memory), "99%", 1);
    live.status.current_revision = "checkout-b".to_owned();
    let mut world = world(intent(&c), Some(live), &[&a, &b, &c]);
    let pods = [pod("b", "b", true, false), pod("old", "a", true, false)];
    edit(&mut world, |case| case.pods = Some(pods.into()));
    chooses(&world, &["old"]);
    says_left_over(&world);
    lap(world, &["b"], false).breaks(Rule::Serving);
}

#[test]
fn nobody_else_is_let_in_while_nothing_goes_forward() {
    let stops: [fn(&mut World); 4] = [
        |world| edit_intent(world, |it| Arc::make_mut(&mut it.release).suspend = true),
        |world| edit_intent(world, |it| it.freezes.push(Arc::new(frozen()))),
        |world| {
            edit_live(world, |live| {
                let memory = live.memory.as_mut().unwrap();
                memory.failed = Some(Try { template: memory.template, attempt: 1 });
            });
        },
        |world| edit(world, |case| case.desired = Desired::Release(Arc::new(intent(&release("c"))))),
    ];
    for stop in stops {
        let mut world = canary(true);
        stop(&mut world);
        assert_eq!(planned(&world).moves[&id()].serving.len(), 1, "the one of the proven revision");
        lap(world.clone(), &["new-1"], true).breaks(Rule::Serving);
        // Where the step was reached, the pod that served is replaced.
        edit_live(&mut world, |live| {
            live.memory.as_mut().unwrap().step_reached = Some(Reached { at: ago(120), pods: 1 });
        });
        if planned(&world).moves[&id()].decision == Decision::Hold {
            lap(world, &["new-1"], true).passes();
        }
    }
}

#[test]
fn nothing_at_all_is_let_in_while_it_is_suspended_in_the_cluster() {
    let mut world = canary(true);
    edit_live(&mut world, |live| live.suspend = Some("looking".to_owned()));
    chooses(&world, &[]);
    let made = planned(&world);
    let said = |hold: &triton::model::Hold| hold.message.contains("none is let in while it is suspended");
    assert!(made.moves[&id()].view.holds.iter().any(said));
    lap(world.clone(), &["new-1"], true).breaks(Rule::Forward);
    lap(world, &["old"], false).breaks(Rule::Forward);
}

#[test]
fn an_approval_is_of_one_digest_and_one_episode() {
    let note = |change: fn(&mut Memory)| {
        let world = canary(true);
        let mut memory = world.cases[&id()].memory().unwrap().clone();
        change(&mut memory);
        let mut world = world;
        edit_intent(&mut world, |it| it.markers.clear());
        edit_live(&mut world, |live| live.memory = Some(memory));
        let before = Memory { served: 1, ..at_step(&gated("b"), &gated("a"), 1, None) };
        Lap { world, plan: writes(Decision::Note, &gated("b"), before, "99%", false) }
    };
    note(|_| {}).passes();
    note(|memory| memory.digest = triton::model::Digest::of(b"before")).breaks(Rule::Serving);
    note(|memory| memory.episode = Some(commit(1))).breaks(Rule::Serving);
}

#[test]
fn a_revision_is_called_proven_only_of_a_proven_template() {
    let world = canary(false);
    let mut memory = world.cases[&id()].memory().unwrap().clone();
    memory.proven[0].revision = Some("checkout-b".to_owned());
    let plan = writes(Decision::Note, &gated("b"), memory, "99%", false);
    Lap { world, plan }.breaks(Rule::Whole);
}

/// A release that is removed and leaves its CloneSet behind.
fn left() -> World {
    let orphan = Release { orphan: true, ..release("a") };
    let mut world = world(intent(&orphan), Some(live(&orphan, Some(complete(&orphan)), "0", 10)), &[&orphan]);
    edit(&mut world, |case| {
        case.desired = Desired::Gone(Removal { commit: commit(3), approved: false });
        case.pods = Some(Arc::from([]));
    });
    world
}

#[test]
fn a_release_is_not_left_behind_while_a_pod_of_it_has_the_gate() {
    let world = left();
    let plan = planned(&world);
    assert_eq!(plan.moves[&id()].decision, Decision::Remove);
    Lap { world, plan: plan.clone() }.passes();
    let mut world = left();
    edit(&mut world, |case| case.pods = Some([pod("old", "z", true, true)].into()));
    let made = planned(&world);
    let holds = &made.moves[&id()].view.holds;
    assert!(holds.iter().any(|hold| hold.message.contains("once that has rolled to the end")), "{holds:?}");
    Lap { world, plan }.breaks(Rule::Serving);
}
