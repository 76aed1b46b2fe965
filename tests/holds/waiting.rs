//! Worlds in which pods are up and do not serve.

use std::sync::Arc;

use triton::model::{Gate, ResourceVersion, Uid};
use triton::objects::record::Phase;
use triton::plan::plan;
use triton::spec::{OnFailure, Release, Serve};
use triton::world::{
    Desired, Freeze, Kept, Marks, Memory, Permit, PodKept, PodLive, Removal, Stage, Try, World,
};

use crate::holds::planner::{Story, a, with};
use crate::support::world::{
    at_step, commit, complete, edit, edit_intent, edit_live, intent, live, marker, release, world,
};

/// Release B, whose first step has its pods wait.
fn b(batch: Option<&str>) -> Release {
    let mut release = release("2.4.1");
    release.strategy.steps[0].serve = Serve::Approval { batch: batch.map(|it| it.parse().unwrap()) };
    release
}

/// A pod of B that is up.
fn pod(number: u32, serves: bool) -> PodLive {
    PodLive {
        name: format!("checkout-{number}").parse().unwrap(),
        uid: Uid::new(format!("pod-{number}")),
        version: ResourceVersion::new("90"),
        owner: Uid::new("uid-1"),
        revision: "checkout-2.4.1".to_owned(),
        stage: Stage::Settled,
        since: None,
        held: true,
        up: true,
        serves,
        ready: false,
        ending: false,
        ip: Some(format!("10.0.0.{number}")),
    }
}

/// Step 1 is entered, and so many pods of it are up.
fn up(batch: Option<&str>, pods: u32, serving: u32) -> World {
    let b = b(batch);
    let memory = Memory { revision: Some("checkout-2.4.1".to_owned()), ..at_step(&b, &a(), 1, None) };
    let mut world = world(intent(&b), Some(live(&b, Some(memory), "99%", 1)), &[&a(), &b]);
    edit_live(&mut world, |live| live.status.updated_available = 0);
    edit(&mut world, |case| case.pods = Some((1..=pods).map(|it| pod(it, it <= serving)).collect()));
    world
}

/// What is said of them.
pub fn stories() -> Vec<Story> {
    let given = |world: &mut World| {
        edit_intent(world, |intent| intent.markers.push(marker(&b(None), Permit::Serve(1), "Bob")));
    };
    let batch = with(up(Some("1"), 3, 1), |world| {
        edit_intent(world, |it| it.markers.push(marker(&b(Some("1")), Permit::Serve(1), "Bob")));
        edit_live(world, |live| live.memory.as_mut().unwrap().served = 1);
    });
    let frozen = with(up(None, 1, 0), |world| {
        given(world);
        let (path, reason) = ("freeze.yaml".to_owned(), "holidays".to_owned());
        edit_intent(world, |it| it.freezes.push(Arc::new(Freeze { path, reason, until: None })));
    });
    let unlisted = with(up(None, 1, 0), |world| edit(world, |case| case.pods = None));
    let crowded =
        with(world(intent(&a()), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a()]), |world| {
            let mut b = b(None);
            b.strategy.steps[0].replicas = "40%".parse().unwrap();
            edit(world, |case| {
                case.desired = Desired::Release(Arc::new(intent(&b)));
                case.pods = Some(Arc::from([]));
            });
        });
    let orphaned =
        with(world(intent(&a()), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a()]), |world| {
            let stays = Release { orphan: true, ..a() };
            edit(world, |case| {
                case.desired = Desired::Gone(Removal { commit: commit(3), approved: false });
                case.documents.insert(stays.digest, Arc::new(stays));
            });
            edit_live(world, |live| live.gated = true);
        });
    let suspended = with(up(None, 1, 0), |world| {
        given(world);
        edit_live(world, |live| live.suspend = Some("looking".to_owned()));
    });
    let several = with(up(None, 2, 0), |world| {
        edit_live(world, |live| live.suspend = Some("looking".to_owned()));
    });
    let left_over = with(up(None, 1, 0), |world| {
        edit(world, |case| {
            let earlier = PodLive { revision: "checkout-2.3.9".to_owned(), ..pod(2, false) };
            case.pods =
                Some(case.pods.iter().flat_map(|pods| pods.iter().cloned()).chain([earlier]).collect());
        });
    });
    let mut told = hooked();
    told.extend(in_place());
    told.extend(as_they_serve());
    told.extend(vec![
        ("a pod that is up while it is suspended in the cluster", suspended),
        ("pods that are up while it is suspended in the cluster", several),
        ("a pod of a revision that was left and never proven", left_over),
        ("a pod that waits to serve", up(None, 1, 0)),
        ("pods that wait to serve", up(None, 5, 0)),
        ("pods that wait for those before them", batch),
        ("a pod that waits for a freeze to end", frozen),
        ("pods that were not listed", unlisted),
        ("more pods that would wait than may be unavailable", crowded),
        ("removed, with pods that nobody would let in", orphaned),
    ]);
    told
}

/// Worlds in which Kruise asks before it updates pods in place.
fn in_place() -> Vec<Story> {
    let asks = |pods: u32| {
        with(up(None, 1, 0), |world| {
            edit(world, |case| {
                let old = |number: u32| PodLive {
                    revision: "checkout-2.4.0".to_owned(),
                    stage: Stage::Asks,
                    ..pod(number, true)
                };
                let all = case.pods.iter().flat_map(|pods| pods.iter().cloned());
                case.pods = Some(all.chain((2..2 + pods).map(old)).collect());
            });
        })
    };
    let gone = with(up(None, 0, 0), |world| {
        edit(world, |case| {
            let since = "2026-03-01T11:59:00Z".parse().ok();
            let revision = "checkout-2.4.0".to_owned();
            let pod = PodLive { revision, since, stage: Stage::Asks, held: false, ..pod(2, false) };
            case.pods = Some([pod].into());
        });
        edit_live(world, |live| live.status.updated = 0);
    });
    let few = with(asks(1), |world| {
        edit(world, |case| {
            let mut pods = case.pods.clone().unwrap().to_vec();
            pods.remove(0);
            pods[0].ready = true;
            case.pods = Some(pods.into());
        });
        edit_live(world, |live| live.status.updated = 0);
    });
    let failed = with(asks(2), |world| {
        edit_live(world, |live| {
            let memory = live.memory.as_mut().unwrap();
            memory.failed = Some(Try { template: memory.template, attempt: 1 });
        });
        edit(world, |case| {
            let mut b = b(None);
            b.strategy.on_failure = OnFailure::Hold;
            case.documents.insert(b.digest, Arc::new(b));
        });
    });
    let taken_back = with(up(None, 0, 0), |world| {
        edit(world, |case| case.pods = Some([PodLive { stage: Stage::Asks, ..pod(1, false) }].into()));
    });
    vec![
        ("a pod that Kruise would update in place, beyond the entered step", asks(1)),
        ("pods that Kruise would update in place, beyond the entered step", asks(3)),
        ("a pod that Kruise would update in place, while too many others are missing", few),
        ("pods that Kruise would update in place to what has failed", failed),
        ("a pod that Kruise would take back in place", taken_back),
        ("a pod that was let go, and that Kruise does not update", gone),
    ]
}

/// Worlds in which pods were, or would be, updated in place as they serve.
fn as_they_serve() -> Vec<Story> {
    let unasked = with(up(None, 0, 0), |world| {
        edit(world, |case| case.pods = Some([PodLive { ready: true, ..pod(1, true) }].into()));
    });
    let seen = |pods: u32, revision: &str| {
        with(world(intent(&b(None)), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a()]), |world| {
            let all = (1..=pods).map(|it| PodLive { revision: revision.to_owned(), ..pod(it, true) });
            edit(world, |case| case.pods = Some(all.collect()));
            edit_live(world, |live| live.gated = true);
        })
    };
    let loose = |pods: u32| {
        with(world(intent(&b(None)), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a()]), |world| {
            let all = (1..=pods).map(|it| PodLive { held: false, ..pod(it, true) });
            edit(world, |case| case.pods = Some(all.collect()));
        })
    };
    vec![
        ("a pod that serves, and that nobody has let in", unasked),
        ("a pod whose label was taken off", seen(9, "checkout-2.4.0")),
        ("pods that are seen later than they are counted", seen(10, "checkout-2.4.1")),
        ("a pod that would be updated in place as it serves", loose(1)),
        ("pods that would be updated in place as they serve", loose(2)),
    ]
}

#[test]
fn a_pod_in_a_hook_is_told_after_half_a_minute_from_when_it_is_there_and_leaves_the_release_healthy() {
    let (_, mut world) = hooked().swap_remove(1);
    edit(&mut world, |case| {
        let mut pods = case.kept.to_vec();
        pods[1].since = "2026-03-01T11:59:31Z".parse().ok();
        pods[2].since = "2026-03-01T11:59:40Z".parse().ok();
        case.kept = pods.into();
    });
    let told = |world: &World| {
        let plan = plan(world);
        let view = &plan.moves.values().next().unwrap().view;
        assert_eq!(view.phase, Phase::Healthy, "every pod is what Git says");
        let hold = view.holds.iter().find(|hold| hold.gate == Gate::Pods);
        (hold.map(|it| (it.message.clone(), it.since.unwrap().to_string())), plan.wake_at)
    };
    let (hold, wake_at) = told(&world);
    let (message, since) = hold.unwrap();
    assert!(message.contains("has 1 pod that waits to be updated in place (checkout-1)"), "{message}");
    assert_eq!((since.as_str(), wake_at), ("2026-03-01T11:59:00Z", "2026-03-01T12:00:01Z".parse().ok()));
    world.now = "2026-03-01T11:59:29Z".parse().unwrap();
    assert_eq!(told(&world), (None, "2026-03-01T11:59:30Z".parse().ok()));
    world.now = "2026-03-01T12:00:10Z".parse().unwrap();
    assert!(told(&world).0.unwrap().0.contains("has 3 pods"));
    world.now = "2026-02-01T12:00:00Z".parse().unwrap();
    let plan = plan(&world);
    let view = &plan.moves.values().next().unwrap().view;
    let hold = view.holds.iter().find(|hold| hold.gate == Gate::Pods).unwrap();
    assert!(
        hold.message.contains("has 3 pods") && hold.since.is_none(),
        "a clock that is months late: {hold:?}"
    );
}

/// Worlds in which a lifecycle hook of the CloneSet keeps pods.
fn hooked() -> Vec<Story> {
    let marks = |label: Option<&str>, finalizer: Option<&str>| Marks {
        labels: label.map(|key| (key.to_owned(), "yes".to_owned())).into_iter().collect(),
        finalizers: finalizer.map(str::to_owned).into_iter().collect(),
    };
    let kept = |kept: Kept, pods: u32, hook: Marks, on_it: Marks| {
        with(world(intent(&a()), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a()]), |world| {
            edit_live(world, |live| live.hooks = Arc::new([(kept.hook().to_owned(), hook)].into()));
            let pod = |number: u32| PodKept {
                name: format!("checkout-{number}").parse().unwrap(),
                uid: Uid::new(format!("pod-{number}")),
                version: ResourceVersion::new("90"),
                owner: Uid::new("uid-1"),
                kept,
                since: "2026-03-01T11:59:00Z".parse().ok(),
                marks: on_it.clone(),
            };
            edit(world, |case| case.kept = (1..=pods).map(pod).collect());
        })
    };
    let (label, finalizer) = (Some("example.com/busy"), Some("example.com/queue"));
    let both = marks(label, finalizer);
    vec![
        ("a pod that a label keeps", kept(Kept::BeforeDelete, 1, both.clone(), marks(label, None))),
        ("pods that a label and a finalizer keep", kept(Kept::BeforeUpdate, 3, both.clone(), both.clone())),
        ("a pod that a finalizer keeps", kept(Kept::BeforeDelete, 1, both, marks(None, finalizer))),
        (
            "a pod whose label is not on it again",
            kept(Kept::AfterUpdate, 1, marks(label, None), marks(None, None)),
        ),
    ]
}

/// Pods that Git names to be replaced.
pub fn named() -> Vec<Story> {
    let name = |name: &str| -> triton::model::Name { name.parse().unwrap() };
    let naming = |world: World| {
        with(world, |world| {
            edit_intent(world, |intent| {
                Arc::make_mut(&mut intent.release).replace =
                    [name("checkout-x2b4c"), name("checkout-zz9k1")].into();
            });
        })
    };
    let a = a();
    let resting = || naming(world(intent(&a), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]));
    let asked = with(resting(), |world| {
        edit_live(world, |live| {
            let pod = Some(triton::model::Uid::new("pod-1"));
            live.memory.as_mut().unwrap().replaced =
                [(name("checkout-x2b4c"), pod), (name("checkout-zz9k1"), None)].into();
            live.to_delete = [name("checkout-x2b4c")].into();
        });
    });
    let wrong = with(resting(), |world| {
        edit_intent(world, |intent| {
            let release = Arc::make_mut(&mut intent.release);
            release.replace.clear();
            release.replace_fault = Some("`spec.replace` must be a list, not a text".to_owned());
        });
    });
    let silent = with(resting(), |world| world.source.fetched_at = Some(crate::support::world::ago(9_000)));
    let b = release("2.4.1");
    let canary = world(intent(&b), Some(live(&b, Some(at_step(&b, &a, 1, Some(1))), "99%", 1)), &[&a, &b]);
    vec![
        ("pods that Git names are being replaced", asked),
        ("Git names pods that are to be looked at", resting()),
        ("Git names pods, and does not answer", silent),
        ("what Git names is no pod", wrong),
        ("Git names pods in the middle of a rollout", naming(canary)),
    ]
}
