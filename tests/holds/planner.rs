//! A world for every hold that the planner makes.

use std::collections::BTreeSet;
use std::sync::Arc;

use triton::fields::Compact;
use triton::model::{Lift, LiftKind, ResourceVersion, Uid};
use triton::objects::Kind;
use triton::objects::record::ReleaseStatus;
use triton::plan::plan;
use triton::spec::{Approval, Diagnostic, OnFailure, Release, Severity};
use triton::world::{
    Desired, Fault, Freeze, Memory, People, Permit, Policy, RecordLive, Removal, Try, World,
};

use crate::holds::Told;
use crate::holds::leading::stories as leading;
use crate::holds::switching::stories as switching;
use crate::holds::taken::taken;
use crate::holds::waiting::{named, stories as waiting_pods};
use crate::support::world::{
    ago, at_step, commit, complete, edit, edit_intent, edit_live, id, intent, key, live, marker, release,
    world,
};

/// A story that ends in holds.
pub type Story = (&'static str, World);

/// Every hold of the worlds below.
pub fn told() -> Vec<Told> {
    let stories = [
        untouchable(),
        taken(),
        made(),
        refused_by_policy(),
        companions(),
        git(),
        closed(),
        approvals(),
        caps(),
        under_way(),
        surplus(),
        failures(),
        removals(),
        waiting_pods(),
        leading(),
        switching(),
        named(),
    ];
    let (mut told, mut silent) = (Vec::new(), Vec::new());
    for (story, world) in stories.into_iter().flatten() {
        let moves = plan(&world).moves;
        let made = &moves[&id()];
        if made.holds().is_empty() {
            silent.push(format!("{story}: {:?}: {}", made.decision, made.message));
        }
        told.extend(made.holds().iter().map(|hold| Told { story, hold: hold.clone() }));
    }
    assert!(silent.is_empty(), "nothing is held\n{}", silent.join("\n"));
    told
}

pub fn a() -> Release {
    release("2.4.0")
}

fn b() -> Release {
    release("2.4.1")
}

/// Release A is complete, and Git says nothing new.
fn resting() -> World {
    world(intent(&a()), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a()])
}

/// Release A is complete, and Git says B.
fn starting() -> World {
    world(intent(&b()), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a(), &b()])
}

/// Release B stands at step 1, which is reached, above A.
fn canary() -> World {
    world(intent(&b()), Some(live(&b(), Some(at_step(&b(), &a(), 1, Some(1))), "99%", 1)), &[&a(), &b()])
}

/// There is no CloneSet yet.
fn nothing() -> World {
    let mut world = world(intent(&a()), None, &[&a()]);
    edit(&mut world, |case| case.companions.clear());
    world
}

pub fn with(mut world: World, change: impl FnOnce(&mut World)) -> World {
    change(&mut world);
    world
}

pub fn record(memory: Option<Memory>) -> RecordLive {
    RecordLive {
        uid: Uid::new("uid-9"),
        version: ResourceVersion::new("9"),
        generation: 1,
        root: None,
        status: Arc::new(ReleaseStatus::default()),
        memory,
        replicas: 10,
    }
}

/// Memory of a release at step 1 above A, not reached yet.
fn waiting(release: &Release) -> Memory {
    Memory { revision: Some("checkout-2.4.1".into()), ..at_step(release, &a(), 1, None) }
}

fn failed(release: &Release) -> Option<Try> {
    Some(Try { template: release.template, attempt: 1 })
}

fn surplus() -> Vec<Story> {
    let late = with(canary(), |world| {
        edit_live(world, |live| {
            (live.status.replicas, live.status.available) = (11, 6);
            let memory = live.memory.as_mut().unwrap();
            memory.step_entered = ago(700);
        });
    });
    vec![("more pods than asked for, and none may go", late)]
}

fn untouchable() -> Vec<Story> {
    let live = |change: fn(&mut triton::world::Live)| with(resting(), |world| edit_live(world, change));
    vec![
        ("suspended in the cluster", live(|live| live.suspend = Some("true".into()))),
        ("suspended in the cluster, with a reason", live(|live| live.suspend = Some("an incident".into()))),
        ("being deleted", live(|live| live.deleting = true)),
        ("of another root", live(|live| live.root = Some("ffff0000".into()))),
    ]
}

fn made() -> Vec<Story> {
    let lost = with(nothing(), |world| {
        edit(world, |case| {
            case.documents.clear();
            case.desired = Desired::Unknown;
            case.record = Some(record(Some(complete(&a()))));
        });
    });
    let failed_before = with(nothing(), |world| {
        let memory = Memory { failed: failed(&a()), proven: vec![], ..complete(&a()) };
        edit(world, |case| case.record = Some(record(Some(memory))));
    });
    let unknown_episode =
        |world: World| with(world, |world| edit_intent(world, |intent| intent.episode = None));
    vec![
        ("without the record's kind", with(nothing(), |world| world.has_records = false)),
        ("about to be made", with(nothing(), |it| it.announcement = None)),
        ("gone with its documents", lost),
        ("failed before it was lost", failed_before),
        ("made on an old fetch", with(nothing(), |world| world.source.fetched_at = Some(ago(100)))),
        ("begun too long ago", unknown_episode(nothing())),
        ("begun too long ago, while another one runs", unknown_episode(starting())),
    ]
}

fn policy(world: World, change: impl FnOnce(&mut Policy)) -> World {
    with(world, |world| change(Arc::make_mut(&mut world.policy)))
}

fn refused_by_policy() -> Vec<Story> {
    vec![
        (
            "in a namespace that is not allowed",
            policy(resting(), |it| it.namespaces = Some(BTreeSet::from(["stock".to_owned()]))),
        ),
        (
            "with a companion that is not allowed",
            policy(starting(), |it| it.kinds.retain(|kind| *kind != Kind::Service)),
        ),
    ]
}

fn companions() -> Vec<Story> {
    let service = || key(Kind::Service, "checkout");
    let strange = |world: World| {
        with(world, |world| {
            edit(world, |case| {
                case.companions.clear();
                case.strangers.insert(service());
            });
        })
    };
    let of_another = with(starting(), |world| {
        edit(world, |case| case.companions.get_mut(&service()).unwrap().release = "shop/cart".to_owned());
    });
    let changed = with(strange(starting()), |world| {
        edit_intent(world, |intent| {
            let companion = &mut Arc::make_mut(&mut intent.release).companions[0].body;
            companion.value = Compact::of(&serde_json::json!({"new": true}));
        });
    });
    let blind = with(strange(resting()), |world| {
        edit(world, |case| case.desired = Desired::Broken([flaw(9)].into()))
    });
    vec![
        ("with a Service of another release", of_another),
        ("with a Service that somebody else made", changed),
        ("with a Service that somebody else made, while its file is broken", blind),
    ]
}

fn flaw(line: u32) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        path: "releases/shop/checkout.yaml".into(),
        line,
        column: 3,
        message: "unknown field `spec.stratgey`".into(),
        cure: "did you mean `strategy`?".into(),
        snippet: String::new(),
    }
}

fn git() -> Vec<Story> {
    let fault = |fault: Option<Fault>, head: bool| {
        with(resting(), |world| {
            world.source.fault = fault;
            world.source.head = world.source.head.filter(|_| head);
        })
    };
    let away = || Fault::Unreachable { message: "cannot reach https://forge.example/shop: timed out".into() };
    let rewritten = Fault::Refused {
        message:
            "the branch was rewritten: its head 0303030 does not descend from 0202020, the last one seen"
                .into(),
        lift: Lift::by(LiftKind::Configure)
            .command("git: {acceptHead: 0303030303030303030303030303030303030303}"),
    };
    let old = |fault: Option<Fault>| {
        with(canary(), |world| {
            world.source.fetched_at = Some(ago(100));
            world.source.fault = fault;
        })
    };
    let desired = |desired: Desired| with(resting(), |world| edit(world, |case| case.desired = desired));
    vec![
        ("before Git was read", fault(None, false)),
        ("Git away from the start", fault(Some(away()), false)),
        ("the branch rewritten", fault(Some(rewritten), true)),
        ("an old fetch", old(None)),
        ("an old fetch, and why", old(Some(away()))),
        ("never in Git", desired(Desired::Unknown)),
        ("one mistake", desired(Desired::Broken([flaw(9)].into()))),
        ("three mistakes", desired(Desired::Broken([flaw(9), flaw(10), flaw(11)].into()))),
        ("mistakes of which none is told", desired(Desired::Broken([].into()))),
    ]
}

fn closed() -> Vec<Story> {
    let freeze = |until: Option<&str>| Freeze {
        path: "freeze.yaml".into(),
        reason: "holidays".into(),
        until: until.map(|until| until.parse().unwrap()),
    };
    let frozen = |until| {
        with(starting(), |world| edit_intent(world, |intent| intent.freezes = vec![Arc::new(freeze(until))]))
    };
    let suspended = |world: World| {
        with(world, |world| edit_intent(world, |intent| Arc::make_mut(&mut intent.release).suspend = true))
    };
    let empty = |replicas: Option<u32>| {
        with(starting(), |world| {
            edit_intent(world, |intent| Arc::make_mut(&mut intent.release).replicas = replicas);
            edit_live(world, |live| {
                live.replicas = 0;
                (live.status.replicas, live.status.updated, live.status.updated_available) = (0, 0, 0);
            });
        })
    };
    let in_place_only = with(starting(), |world| {
        edit_intent(world, |intent| {
            let body = &mut Arc::make_mut(&mut intent.release).cloneset;
            let mut value = body.value.open();
            value["spec"]["updateStrategy"]["type"] = "InPlaceOnly".into();
            value["spec"]["template"]["spec"]["priorityClassName"] = "high".into();
            body.value = Compact::of(&value);
        });
    });
    let drained = with(in_place_only.clone(), |world| {
        edit_intent(world, |intent| Arc::make_mut(&mut intent.release).strategy.drain = Some(30));
    });
    vec![
        ("a template that cannot come in place", in_place_only),
        ("a drain that cannot come in place", drained),
        ("suspended in Git", suspended(starting())),
        ("suspended in Git in the middle", suspended(canary())),
        ("frozen", frozen(None)),
        ("frozen for a time", frozen(Some("2026-03-02T08:00:00Z"))),
        ("at zero replicas by Git", empty(Some(0))),
        ("at zero replicas by an autoscaler", empty(None)),
    ]
}

fn approvals() -> Vec<Story> {
    let asks = |count: u32, not_author: bool, people: bool, given: &[&str]| {
        let mut world = canary();
        edit_intent(&mut world, |intent| {
            let release = Arc::make_mut(&mut intent.release);
            release.strategy.steps[1].approval = Some(Approval { count, not_author });
            intent.markers = given.iter().map(|who| marker(&b(), Permit::Step(2), who)).collect();
        });
        policy(world, |it| it.people = people.then_some(People::CommitAuthors))
    };
    let first = with(starting(), |world| {
        edit_intent(world, |intent| {
            let steps = &mut Arc::make_mut(&mut intent.release).strategy.steps;
            steps[0].approval = Some(Approval { count: 1, not_author: false });
        });
    });
    vec![
        ("one approval", asks(1, false, false, &[])),
        ("two approvals", asks(2, false, true, &[])),
        ("one more approval", asks(2, false, true, &["Bob"])),
        ("two approvals, without people", asks(2, false, false, &[])),
        ("somebody else's approval, without people", asks(1, true, false, &[])),
        ("an approval for the first step", first),
    ]
}

fn caps() -> Vec<Story> {
    let capped = |written: u32, counts: u32| {
        with(canary(), |world| {
            edit_intent(world, |intent| {
                Arc::make_mut(&mut intent.release).cap = Some(written);
                intent.cap = Some(counts);
                intent.markers = vec![marker(&b(), Permit::Step(2), "Bob")];
            });
        })
    };
    vec![("a cap", capped(1, 1)), ("a cap that is left over", capped(3, 1))]
}

fn under_way() -> Vec<Story> {
    let at = |change: fn(&mut triton::world::Live)| {
        let memory = waiting(&b());
        let mut world = world(intent(&b()), Some(live(&b(), Some(memory), "99%", 0)), &[&a(), &b()]);
        edit_live(&mut world, change);
        world
    };
    let soaking = with(canary(), |world| {
        edit_live(world, |live| {
            let memory = live.memory.as_mut().unwrap();
            memory.step_reached.as_mut().unwrap().at = ago(10);
        });
    });
    let back = |git: &Release| {
        let memory = Memory { step_entered: ago(60), step_reached: None, ..complete(&a()) };
        let mut world = world(intent(git), Some(live(&a(), Some(memory), "0", 10)), &[&a(), &b()]);
        edit_live(&mut world, |live| {
            (live.status.updated, live.status.updated_available) = (7, 6);
            live.status.current_revision = "checkout-2.4.1".into();
        });
        world
    };
    let spared = {
        let failure_threshold = triton::model::Amount::Count(1);
        let b = Release { strategy: triton::spec::Strategy { failure_threshold, ..b().strategy }, ..b() };
        let memory = Memory { step: 2, ..waiting(&b) };
        let live = live(&b, Some(memory), "50%", 3);
        world(intent(&b), Some(live), &[&a(), &b])
    };
    let revised = with(canary(), |world| {
        edit_live(world, |live| live.status.update_revision = "checkout-5d9f".into());
    });
    let surplus = |live: &mut triton::world::Live| {
        (live.status.replicas, live.status.updated, live.status.updated_available) = (12, 1, 1);
    };
    vec![
        ("soaking", soaking),
        ("pods not available", at(|_| {})),
        ("pods not available, of which some may fail", spared),
        ("pods too many", at(surplus)),
        ("the controller away", at(|live| live.status.observed_generation = Some(3))),
        ("going back", back(&a())),
        ("going back before something new starts", back(&b())),
        ("another revision without Git", revised),
    ]
}

fn failures() -> Vec<Story> {
    let stays = |on_failure: OnFailure| {
        let b = Release { strategy: triton::spec::Strategy { on_failure, ..b().strategy }, ..b() };
        let memory = Memory { failed: failed(&b), ..waiting(&b) };
        world(intent(&b), Some(live(&b, Some(memory), "99%", 0)), &[&a(), &b])
    };
    let kept = with(starting(), |world| {
        edit_live(world, |live| live.memory.as_mut().unwrap().failed = failed(&b()));
    });
    let left = with(starting(), |world| {
        edit_live(world, |live| {
            live.memory.as_mut().unwrap().failed = failed(&b());
            live.rollback = Some(b().digest.short().to_string());
        });
    });
    let away = with(stays(OnFailure::Hold), |world| world.source.head = None);
    let lost = with(stays(OnFailure::Rollback), |world| {
        edit(world, |case| drop(case.documents.remove(&a().digest)));
    });
    let edited = with(resting(), |world| {
        edit(world, |case| {
            case.documents.clear();
            case.desired = Desired::Unknown;
        });
        edit_live(world, |live| live.drift.template = true);
    });
    vec![
        ("failed, and stays", stays(OnFailure::Hold)),
        ("failed, and stays while Git is away", away),
        ("failed, and was taken back", kept),
        ("taken back in the cluster", left),
        ("failed, with no documents to go back to", lost),
        ("edited by hand, with no documents to repair it from", edited),
    ]
}

fn removals() -> Vec<Story> {
    let gone = || Desired::Gone(Removal { commit: commit(3), approved: false });
    let lost = with(resting(), |world| {
        edit(world, |case| {
            case.desired = gone();
            case.documents.clear();
        });
    });
    let many = with(resting(), |world| {
        edit(world, |case| case.desired = gone());
        let case = Arc::clone(&world.cases[&id()]);
        world.cases.insert("shop/cart".parse().unwrap(), case);
    });
    let rewritten = with(resting(), |world| {
        edit(world, |case| case.desired = gone());
        world.source.fault =
            Some(Fault::Refused { message: "the branch was rewritten".into(), lift: Lift::wait() });
    });
    vec![
        ("removed, with no documents that say what becomes of it", lost),
        ("removed with too many others", many),
        ("removed from a branch that cannot be believed", rewritten),
    ]
}
