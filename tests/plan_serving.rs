//! Plans of releases whose pods serve by approval: their clocks, their failures, and what an approval is of.

use std::sync::Arc;

use triton::guard::check;
use triton::model::{ReleaseId, ResourceVersion, Uid};
use triton::plan::plan;
use triton::spec::{Release, Serve};
use triton::world::{Decision, Episode, Memory, Move, Permit, PodLive, Stage, World};

use crate::support::world::*;

fn decided(world: &World) -> Move {
    let plan = plan(world);
    assert_eq!(check(world, &plan), Default::default());
    plan.moves[&id()].clone()
}

/// Release B, whose first step has two pods that wait.
fn b() -> Release {
    let mut release = release("b");
    release.strategy.steps[0].serve = Serve::Approval { batch: None };
    release.strategy.steps[0].replicas = "2".parse().unwrap();
    release
}

/// A pod of B: whether it is up, and whether it serves.
fn pod(name: &str, up: bool, serves: bool) -> PodLive {
    PodLive {
        name: name.parse().unwrap(),
        uid: Uid::new(format!("uid-{name}")),
        version: ResourceVersion::new("90"),
        owner: Uid::new("uid-1"),
        revision: "checkout-b".to_owned(),
        stage: Stage::Settled,
        since: None,
        held: true,
        up,
        serves,
        ready: false,
        ending: false,
        ip: None,
    }
}

/// Step 1 of B was entered so many seconds ago, and has these pods.
fn waiting(entered: i64, pods: [PodLive; 2]) -> World {
    let (a, b) = (release("a"), b());
    let up = pods.iter().all(|pod| pod.up);
    let memory = Memory {
        revision: Some("checkout-b".to_owned()),
        step_entered: ago(entered),
        up,
        ..at_step(&b, &a, 1, None)
    };
    let mut world = world(intent(&b), Some(live(&b, Some(memory), "80%", 2)), &[&a, &b]);
    edit_live(&mut world, |live| live.status.updated_available = 0);
    edit(&mut world, |case| case.pods = Some(pods.into()));
    world
}

#[test]
fn an_approval_that_comes_late_gives_the_pods_the_time_of_the_step() {
    let mut world = waiting(3_600, [pod("one", true, false), pod("two", true, false)]);
    assert_eq!(decided(&world).decision, Decision::Hold, "nobody has let them in, and that is no failure");
    edit_intent(&mut world, |intent| intent.markers.push(marker(&b(), Permit::Serve(1), "bob")));
    let noted = decided(&world);
    let memory = noted.memory.expect("it is written");
    assert_eq!((noted.decision, memory.served, memory.step_entered), (Decision::Note, 1, now()));
}

#[test]
fn a_pod_that_is_let_in_and_does_not_serve_fails_its_step() {
    let fails = |pods| {
        let mut world = waiting(3_600, pods);
        edit_intent(&mut world, |intent| intent.markers.push(marker(&b(), Permit::Serve(1), "bob")));
        edit_live(&mut world, |live| {
            let memory = live.memory.as_mut().unwrap();
            (memory.served, memory.up) = (1, false);
        });
        decided(&world).decision == Decision::Fail
    };
    assert!(fails([pod("one", true, true), pod("two", true, true)]), "both are let in, and not ready");
    assert!(fails([pod("one", true, true), pod("two", true, false)]), "one of them is");
    assert!(fails([pod("one", false, false), pod("two", true, false)]), "one does not come up");
    assert!(!fails([pod("one", true, false), pod("two", true, false)]), "nothing but the gate keeps them");
}

#[test]
fn a_release_that_waits_takes_the_timer_from_no_other() {
    let mut world = waiting(3_600, [pod("one", true, false), pod("two", true, false)]);
    let (a, other) = (release("a"), release("c"));
    let revision = Some("checkout-c".to_owned());
    let memory = Memory { step_entered: ago(60), revision, ..at_step(&other, &a, 1, None) };
    let mut coming = live(&other, Some(memory), "99%", 1);
    coming.status.updated_available = 0;
    let beside = crate::support::world::world(intent(&other), Some(coming), &[&a, &other]);
    let named: ReleaseId = "shop/cart".parse().unwrap();
    world.cases.insert(named, Arc::clone(&beside.cases[&id()]));
    let wake = plan(&world).wake_at.expect("the other is late one day");
    assert!(wake > now(), "{wake}");
}

#[test]
fn what_was_let_in_is_of_one_digest_and_one_episode() {
    let mut world = waiting(60, [pod("one", true, false), pod("two", true, false)]);
    edit_live(&mut world, |live| live.memory.as_mut().unwrap().served = 1);
    let mut again = world.clone();
    edit_intent(&mut again, |intent| {
        let episode = Episode { first: commit(3), author: "Ann".into(), summary: String::new(), time: None };
        intent.episode = Some(episode);
    });
    let told = decided(&again);
    assert!(told.message.contains("was released again"), "{}", told.message);
    assert_eq!(told.memory.map(|memory| memory.served), Some(0));
    let other = Release { digest: triton::model::Digest::of(b"other"), ..b() };
    edit(&mut world, |case| {
        case.desired = triton::world::Desired::Release(Arc::new(intent(&other)));
        case.documents.insert(other.digest, Arc::new(other.clone()));
    });
    let entered = decided(&world);
    let memory = entered.memory.expect("it is written");
    assert_eq!((entered.decision, memory.digest, memory.served), (Decision::Enter(1), other.digest, 0));
}
