//! Pods of which Kruise asks, or should: what was not seen, what was edited by hand, and a daemon that was away.

use std::sync::Arc;

use triton::guard::{Rule, check};
use triton::model::Digest;
use triton::plan::plan as planned;
use triton::spec::{OnFailure, Release};
use triton::world::{Decision, Desired, Kept, Marks, Memory, Permit, PodKept, PodLive, Stage, Try, World};

use crate::guard::in_place::{asks, canary, gated, lap, one, out, pod, ten, to, written};
use crate::guard::laps::{Lap, writes};
use crate::support::world::*;

/// A is proven on all its pods, and these are seen; B comes next.
fn coming(pods: &[PodLive]) -> World {
    let (a, b) = (gated("a"), gated("b"));
    let mut world = world(intent(&b), Some(live(&a, Some(complete(&a)), "0%", 10)), &[&a, &b]);
    edit(&mut world, |case| case.pods = Some(pods.into()));
    world
}

/// What is decided, with the guard's leave, and the sentences of what is closed.
#[track_caller]
fn decided(world: &World) -> (Decision, Vec<String>) {
    let made = planned(world);
    assert_eq!(check(world, &made).get(&id()), None);
    let moved = &made.moves[&id()];
    (moved.decision.clone(), moved.view.holds.iter().map(|hold| hold.message.clone()).collect())
}

/// Nothing is entered, this is said, and the guard would refuse it.
#[track_caller]
fn waits(world: &World, says: &str) {
    let (decision, holds) = decided(world);
    assert_eq!(decision, Decision::Hold, "{holds:?}");
    assert!(holds.iter().any(|hold| hold.contains(says)), "{holds:?}");
    let (a, b) = (gated("a"), gated("b"));
    let plan = writes(Decision::Enter(1), &b, at_step(&b, &a, 1, None), "80%", true);
    Lap { world: world.clone(), plan }.breaks(Rule::Serving);
}

#[test]
fn nothing_new_is_written_before_every_pod_is_seen() {
    let all = ten(&[]);
    assert_eq!(decided(&coming(&all)).0, Decision::Enter(1));
    // Its label was taken off by hand.
    waits(&coming(&all[..9]), "sees 9 of its 10 pods");
    // The pods are seen later than the status.
    waits(&coming(&ten(&[pod("p", "b"), pod("q", "b")])), "sees 8 of 10 pods");
    let mut unlisted = coming(&all);
    edit(&mut unlisted, |case| case.pods = None);
    waits(&unlisted, "not listed");
}

#[test]
fn no_further_step_is_entered_before_every_pod_is_seen() {
    let next = |change: &dyn Fn(&mut World)| {
        let pods = [pod("p", "b"), pod("q", "b")];
        let mut world = canary(&pods);
        edit_intent(&mut world, |it| {
            it.markers.extend([Permit::Serve(1), Permit::Step(2)].map(|it| marker(&gated("b"), it, "bob")));
        });
        edit_live(&mut world, |live| {
            let (a, b) = (gated("a"), gated("b"));
            let revision = Some("checkout-b".to_owned());
            live.memory = Some(Memory { revision, served: 1, ..at_step(&b, &a, 1, Some(2)) });
            live.status.updated_available = 2;
        });
        change(&mut world);
        decided(&world).0
    };
    assert_eq!(next(&|_| {}), Decision::Enter(2));
    assert_eq!(next(&|world| edit(world, |case| case.pods = None)), Decision::Hold);
    let unseen = |world: &mut World, at: usize| {
        edit(world, |case| {
            let mut pods = case.pods.clone().unwrap().to_vec();
            pods.remove(at);
            case.pods = Some(pods.into());
        });
    };
    assert_eq!(next(&|world| unseen(world, 0)), Decision::Hold);
    assert_eq!(next(&|world| unseen(world, 9)), Decision::Hold);
    // Pods of a release without the gate are made anew: nobody has to see them.
    let ungated = next(&|world| {
        edit(world, |case| {
            let a = Release { strategy: strategy(&["1", "50%!", "100%!"]), ..gated("a") };
            case.documents.insert(a.digest, Arc::new(a));
            case.pods = case.pods.as_ref().map(|pods| pods[..2].into());
        });
    });
    assert_eq!(ungated, Decision::Enter(2));
}

#[test]
fn another_strategy_is_entered_though_a_pod_serves_of_which_kruise_would_not_ask() {
    for stage in [Stage::Settled, Stage::Updating] {
        let ready = stage == Stage::Settled;
        let mut world = canary(&[PodLive { held: false, stage, ready, ..pod("p", "a") }]);
        let other = Release { digest: Digest::of(b"other"), ..gated("b") };
        edit(&mut world, |case| {
            case.desired = Desired::Release(Arc::new(intent(&other)));
            case.documents.insert(other.digest, Arc::new(other.clone()));
        });
        assert_eq!(decided(&world).0, Decision::Enter(1));
        assert_eq!(written(&world).len(), usize::from(ready), "it is mended beside it");
    }
}

#[test]
fn a_pod_that_is_updated_as_it_serves_comes_back_in_the_dark() {
    let began = PodLive { stage: Stage::Updating, held: true, up: false, ready: false, ..pod("p", "b") };
    assert_eq!(written(&canary(std::slice::from_ref(&began))), [one("p", "gated", "False")]);
    // One of the proven version is on its way back.
    let back = PodLive { revision: "checkout-a".to_owned(), ..began };
    assert_eq!(written(&canary(&[back])), []);
}

#[test]
fn a_pod_that_serves_though_nobody_let_it_is_named() {
    let says = |world: &World| decided(world).1.iter().any(|hold| hold.contains("(p) that serves"));
    let mut world = canary(&[pod("p", "b")]);
    assert!(says(&world), "{:?}", decided(&world).1);
    edit_intent(&mut world, |it| it.markers.push(marker(&gated("b"), Permit::Serve(1), "bob")));
    edit_live(&mut world, |live| live.memory.as_mut().unwrap().served = 1);
    assert!(!says(&world));
}

/// The second step of B, with these pods of it and of A, was entered so long ago that it is late.
fn late(pods: &[PodLive]) -> World {
    let (a, b) = (gated("a"), gated("b"));
    let mut world = canary(pods);
    edit_intent(&mut world, |it| {
        it.markers.extend([Permit::Serve(1), Permit::Step(2)].map(|it| marker(&b, it, "bob")));
    });
    edit_live(&mut world, |live| {
        let revision = Some("checkout-b".to_owned());
        let memory = Memory { revision, served: 2, step_entered: ago(900), ..at_step(&b, &a, 2, None) };
        (live.memory, live.partition) = (Some(memory), "50%".parse().unwrap());
        live.status.expected_updated = 5;
        live.status.updated_available = live.status.updated;
    });
    world
}

#[test]
fn a_release_is_not_late_for_pods_that_wait_for_us() {
    let clock = |world: &World| {
        let made = planned(world);
        assert_eq!(check(world, &made).get(&id()), None);
        let moved = &made.moves[&id()];
        (moved.decision.clone(), moved.memory.as_ref().unwrap().step_entered)
    };
    let began = [pod("new-1", "b"), pod("new-2", "b"), pod("new-3", "b")];
    let with = |more: &[PodLive]| late(&[&began, more].concat());
    assert_eq!(clock(&with(&[])).0, Decision::Fail, "nobody waits for us");
    let asking = with(&[asks("p"), asks("q")]);
    assert_eq!(clock(&asking), (Decision::Note, now()));
    assert_eq!(written(&asking), [one("p", "updating", "False"), one("q", "updating", "False")]);
    // They were let go before we went away, and are let in now.
    let dark = PodLive { serves: false, ready: false, ..pod("new-4", "b") };
    let back = with(&[dark]);
    assert_eq!(clock(&back), (Decision::Note, now()));
    assert_eq!(written(&back), [one("new-4", "gated", "True")]);
    // A write of the CloneSet that comes first gives them the time, too.
    let mut repaired = asking;
    edit_live(&mut repaired, |live| live.hooks = Arc::default());
    edit_live(&mut repaired, |live| live.paused = true);
    assert_eq!(clock(&repaired).0, Decision::Repair);
}

#[test]
fn a_pod_leaves_only_while_enough_others_are_there() {
    let gone = |name: &str| PodLive { ready: false, up: false, ..pod(name, "a") };
    let few = canary(&[asks("p"), asks("q"), gone("x"), gone("y")]);
    assert_eq!(written(&few), [], "eight are ready, and eight have to be");
    assert!(decided(&few).1.iter().any(|hold| hold.contains("too many pods are not available")));
    assert_eq!(written(&canary(&[asks("p"), asks("q"), gone("x")])).len(), 1);
    let broken = PodLive { ready: false, up: false, ..asks("q") };
    let pods = [asks("p"), broken, gone("x")];
    assert_eq!(
        written(&canary(&pods)),
        [one("q", "updating", "False")],
        "nobody misses one that is not ready"
    );
    let write = out(&pods[0]);
    lap(canary(&pods), vec![write.clone()]).breaks(Rule::Serving);
    lap(canary(&pods[..1]), vec![write]).passes();
    // What the entered release says of maxUnavailable counts.
    let mut world = canary(&[asks("p"), asks("q"), gone("x"), gone("y")]);
    edit(&mut world, |case| {
        let mut b = gated("b");
        let mut body = b.cloneset.value.open();
        body["spec"]["updateStrategy"]["maxUnavailable"] = "30%".into();
        b.cloneset.value = triton::fields::Compact::of(&body);
        case.documents.insert(b.digest, Arc::new(b));
    });
    assert_eq!(written(&world).len(), 1);
}

#[test]
fn a_pod_that_was_let_go_and_is_wanted_no_more_comes_back() {
    let new = PodLive { serves: false, ready: false, ..pod("new", "b") };
    let gone = PodLive { held: false, serves: false, ready: false, ..asks("p") };
    let wanted = canary(&[new.clone(), gone.clone()]);
    assert_eq!(written(&wanted), [], "the step has two");
    let full =
        canary(&[new.clone(), PodLive { name: "new-2".parse().unwrap(), ..new.clone() }, gone.clone()]);
    assert_eq!(written(&full), [one("p", "gated", "False")]);
    let held = PodLive { held: true, ..gone.clone() };
    let full =
        canary(&[new.clone(), PodLive { name: "new-2".parse().unwrap(), ..new.clone() }, held.clone()]);
    assert_eq!(written(&full), [one("p", "gated", "True")]);
    // Not before the hook has it again, and not one of another version.
    lap(canary(std::slice::from_ref(&gone)), vec![to(&gone, "gated", "True")]).breaks(Rule::Serving);
    let other = PodLive { revision: "checkout-z".to_owned(), ..held };
    lap(canary(std::slice::from_ref(&other)), vec![to(&other, "gated", "True")]).breaks(Rule::Serving);
}

#[test]
fn a_pod_of_which_kruise_asks_is_put_under_the_hook_again_as_it_serves() {
    let loose = |name: &str| PodLive { held: false, ..asks(name) };
    let dark = PodLive { serves: false, ready: false, ..pod("new", "b") };
    let world = canary(&[dark.clone(), PodLive { name: "new-2".parse().unwrap(), ..dark }, loose("p")]);
    assert_eq!(written(&world), [one("p", "gated", "True")]);
    assert_eq!(written(&canary(&[loose("p")])), [one("p", "updating", "False")], "there is room");
}

#[test]
fn an_old_leader_takes_no_pod_out() {
    let pods = [asks("p")];
    let old = triton::world::Write { forward: false, ..out(&pods[0]) };
    lap(canary(&pods), vec![old]).breaks(Rule::Forward);
    let made = planned(&canary(&pods));
    assert!(made.moves[&id()].serving.iter().all(|write| write.forward));
}

#[test]
fn no_pod_leaves_for_a_release_that_has_failed() {
    let pods = [asks("p")];
    let mut world = canary(&pods);
    let b = Release { ..gated("b") };
    edit(&mut world, |case| {
        let mut b = b.clone();
        b.strategy.on_failure = OnFailure::Hold;
        case.documents.insert(b.digest, Arc::new(b));
    });
    edit_live(&mut world, |live| {
        let memory = live.memory.as_mut().unwrap();
        memory.failed = Some(Try { template: memory.template, attempt: 1 });
    });
    assert_eq!(written(&world), []);
    assert!(decided(&world).1.iter().any(|hold| hold.contains("its release has failed")));
    lap(world, vec![out(&pods[0])]).breaks(Rule::Serving);
}

#[test]
fn pods_that_kruise_wants_back_are_told_and_left_alone() {
    let back = PodLive { revision: "checkout-b".to_owned(), ..asks("p") };
    let world = canary(&[back]);
    assert_eq!(written(&world), []);
    assert!(decided(&world).1.iter().any(|hold| hold.contains("CloneSetPartitionRollback")));
}

#[test]
fn a_pod_that_others_keep_by_the_same_hook_leaves_once_they_let_go() {
    let kept = |on_it: &[&str]| {
        let marks = |keys: &[&str]| Marks {
            labels: keys.iter().map(|key| ((*key).to_owned(), "yes".to_owned())).collect(),
            finalizers: vec![],
        };
        let mut world = canary(&[asks("p")]);
        edit_live(&mut world, |live| {
            let mut hooks = (*live.hooks).clone();
            hooks.get_mut("inPlaceUpdate").unwrap().labels.extend(marks(&["example.com/busy"]).labels);
            live.hooks = Arc::new(hooks);
        });
        edit(&mut world, |case| {
            let pod = asks("p");
            let (name, uid, version, owner) = (pod.name, pod.uid, pod.version, pod.owner);
            let (kept, since) = (Kept::BeforeUpdate, None);
            case.kept = [PodKept { name, uid, version, owner, kept, since, marks: marks(on_it) }].into();
        });
        written(&world)
    };
    assert_eq!(kept(&["example.com/busy"]), []);
    assert_eq!(kept(&[]), [one("p", "updating", "False")]);
}
