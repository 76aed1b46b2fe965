//! Plans of worlds made by hand: what random worlds found, each in the smallest form.

use std::sync::Arc;

use triton::guard::check;
use triton::model::{Amount, Gate, Hold, LiftKind, Uid};
use triton::objects::{Kind, keys};
use triton::plan::plan;
use triton::spec::Release;
use triton::world::{
    Action, Decision, Desired, Fault, Freeze, Memory, Move, Permit, RecordLive, Removal, World, Write,
};

use crate::support::switched::{at, done, switched, two};
use crate::support::world::*;

fn decided(world: &World) -> Move {
    let plan = plan(world);
    assert_eq!(check(world, &plan), Default::default());
    plan.moves[&id()].clone()
}

fn sent(write: &Write) -> &serde_json::Value {
    let Action::Apply { body, .. } = &write.action else { panic!("an apply") };
    body
}

/// B is entered at `step`, which memory says, over the proven A; `partition` is live.
fn climbing(step: u32, partition: &str) -> (World, Release) {
    let (a, b) = (release("a"), release("b"));
    let memory = at_step(&b, &a, step, None);
    let mut intent = intent(&b);
    intent.markers.extend([marker(&b, Permit::Step(2), "bob"), marker(&b, Permit::Step(3), "bob")]);
    (world(intent, Some(live(&b, Some(memory), partition, 1)), &[&a, &b]), b)
}

fn recorded(world: &mut World, step: u32) {
    edit(world, |case| {
        let memory = case.memory().cloned().map(|memory| Memory { step, ..memory });
        case.record = Some(RecordLive {
            uid: Uid::new("record"),
            version: triton::model::ResourceVersion::new("9"),
            generation: 1,
            root: Some(ROOT.to_owned()),
            status: Arc::default(),
            memory,
            replicas: 10,
        });
    });
}

fn freeze(world: &mut World) {
    let freeze = Freeze { path: "freeze.yaml".to_owned(), reason: "holidays".to_owned(), until: None };
    edit_intent(world, |intent| intent.freezes.push(Arc::new(freeze)));
}

/// Eleven pods where ten are asked for, five of them not available.
fn with_surplus(entered: i64) -> Vec<Hold> {
    let (mut world, _) = climbing(1, "99%");
    edit_live(&mut world, |live| {
        (live.status.replicas, live.status.available, live.status.ready) = (11, 6, 6);
        let memory = live.memory.as_mut().unwrap();
        (memory.step_entered, memory.revision) = (ago(entered), Some("checkout-b".to_owned()));
    });
    decided(&world).view.holds
}

#[test]
fn a_surplus_pod_that_kruise_may_not_delete_is_a_hold_with_its_cure() {
    let holds = with_surplus(700);
    let hold = holds.first().expect("it holds");
    let words = "shop/checkout has 11 pods and asks for 10, and Kruise deletes no ready one while 5 of them are \
                 not available";
    assert_eq!(hold.message, words);
    assert_eq!(hold.lift.kind, LiftKind::Cluster);
    let command = "kubectl delete pod -n shop <a pod of checkout that is not ready>";
    assert_eq!(hold.lift.command.as_deref(), Some(command));
}

#[test]
fn a_surplus_pod_that_may_be_on_its_way_is_waited_for() {
    let holds = with_surplus(30);
    assert_eq!(holds.first().map(|hold| hold.lift.kind), Some(LiftKind::Wait));
}

#[test]
fn a_step_edited_in_memory_goes_no_further_while_frozen() {
    let (mut world, _) = climbing(3, "99%");
    recorded(&mut world, 1);
    freeze(&mut world);
    let decided = decided(&world);
    assert_eq!((decided.decision, decided.memory.unwrap().step), (Decision::Repair, 1));
    assert_eq!(sent(&decided.writes[0])["spec"]["updateStrategy"]["partition"], "99%");
}

#[test]
fn a_step_edited_in_memory_goes_no_further_on_an_old_fetch() {
    let (mut world, _) = climbing(3, "99%");
    recorded(&mut world, 1);
    world.source.fetched_at = Some(ago(1_000));
    assert_eq!(decided(&world).memory.unwrap().step, 1);
}

#[test]
fn a_partition_edited_while_frozen_is_repaired_to_the_recorded_step() {
    let (mut world, _) = climbing(2, "100%");
    recorded(&mut world, 2);
    freeze(&mut world);
    let decided = decided(&world);
    assert_eq!((decided.decision, decided.memory.unwrap().step), (Decision::Repair, 2));
    assert_eq!(sent(&decided.writes[0])["spec"]["updateStrategy"]["partition"], "50%");
}

#[test]
fn while_git_is_away_a_step_of_no_more_pods_than_the_one_before_is_kept() {
    let (mut world, mut b) = climbing(2, "99%");
    b.strategy = strategy(&["1", "10%", "100%"]);
    edit(&mut world, |case| drop(case.documents.insert(b.digest, Arc::new(b.clone()))));
    recorded(&mut world, 2);
    world.source.fault = Some(triton::world::Fault::Unreachable { message: "no route".to_owned() });
    let decided = decided(&world);
    assert_ne!(decided.decision, Decision::Repair);
    assert_eq!(decided.memory.unwrap().step, 2);
}

/// Git has removed the release; its CloneSet is there, without memory and record.
fn left(marked: bool) -> World {
    let a = release("a");
    let mut world = world(intent(&a), Some(live(&a, None, "0%", 10)), &[&a]);
    edit(&mut world, |case| {
        case.desired = Desired::Gone(Removal { commit: commit(3), approved: false });
        case.live.as_mut().unwrap().root = marked.then(|| ROOT.to_owned());
    });
    world.named = Arc::default();
    world
}

#[test]
fn what_was_left_behind_keeps_its_companions() {
    let decided = decided(&left(false));
    assert_eq!(decided.writes, []);
}

#[test]
fn a_cloneset_that_is_not_ours_does_not_withhold_the_removal_of_one_that_is() {
    let mut world = left(false);
    let other: triton::model::ReleaseId = "shop/cart".parse().unwrap();
    let stranger = world.cases[&id()].clone();
    world.cases.insert(other, stranger);
    let a = release("a");
    edit(&mut world, |case| {
        case.live = Some(live(&a, Some(complete(&a)), "0%", 10));
    });
    let decided = decided(&world);
    assert_eq!(decided.decision, Decision::Remove);
    assert!(matches!(decided.writes[0].action, Action::Delete { .. }));
}

#[test]
fn a_cloneset_left_behind_is_adopted_again_with_its_whole_spec() {
    let a = Release { adopt: true, ..release("a") };
    let mut stands = live(&a, None, "0%", 10);
    stands.root = None;
    stands.drift.applied = true;
    let decided = decided(&world(intent(&a), Some(stands), &[&a]));
    assert_eq!(decided.decision, Decision::Adopt);
    let spec = &sent(&decided.writes[0])["spec"];
    assert_eq!(spec["template"], a.cloneset.value.open()["spec"]["template"]);
    let partition: Amount = serde_json::from_value(spec["updateStrategy"]["partition"].clone()).unwrap();
    assert_eq!(partition.partition_pods(10), 0);
}

#[test]
fn a_cloneset_of_others_is_adopted_by_annotations_alone() {
    let a = Release { adopt: true, ..release("a") };
    let mut stands = live(&a, None, "0%", 10);
    stands.root = None;
    let decided = decided(&world(intent(&a), Some(stands), &[&a]));
    assert_eq!(decided.decision, Decision::Adopt);
    assert!(sent(&decided.writes[0]).get("spec").is_none());
}

/// Git has removed a complete release; it was last read so many seconds ago, and does not answer now.
fn removed_while_git_is_away(fetched: i64) -> World {
    let a = release("a");
    let mut world = left(true);
    edit(&mut world, |case| case.live = Some(live(&a, Some(complete(&a)), "0%", 10)));
    world.source.fetched_at = Some(ago(fetched));
    world.source.fault = Some(Fault::Unreachable { message: "no route".to_owned() });
    world
}

#[test]
fn a_removal_goes_ahead_on_a_young_fetch_and_waits_on_an_old_one() {
    let young = decided(&removed_while_git_is_away(45));
    assert_eq!(young.decision, Decision::Remove);
    assert!(young.writes.iter().all(|write| write.forward));
    let old = decided(&removed_while_git_is_away(46));
    assert_eq!((old.decision, old.writes.len()), (Decision::Hold, 0));
    assert_eq!(old.view.holds[0].gate, Gate::Fetch);
}

#[test]
fn a_release_that_is_removed_from_git_is_not_removed_on_an_old_fetch_by_any_plan() {
    let mut world = removed_while_git_is_away(1);
    let removes = plan(&world);
    world.source.fetched_at = Some(ago(46));
    assert_eq!(check(&world, &removes).len(), 1);
}

/// B is desired and A, which is proven, was written again so long ago; its ten pods are still on something else.
fn going_back(seconds: i64, seen: bool) -> World {
    let (a, b) = (release("a"), release("b"));
    let memory = Memory { step_reached: None, step_entered: ago(seconds), ..complete(&a) };
    let mut world = world(intent(&b), Some(live(&a, Some(memory), "0%", 0)), &[&a, &b]);
    edit_live(&mut world, |live| {
        live.status.current_revision = "checkout-a".to_owned();
        if !seen {
            live.status.observed_generation = Some(live.generation - 1);
        }
    });
    world
}

#[test]
fn the_next_release_starts_beside_a_broken_one_but_not_because_kruise_is_away() {
    assert_eq!(decided(&going_back(599, true)).decision, Decision::Hold);
    assert_eq!(decided(&going_back(601, true)).decision, Decision::Enter(1));
    let away = decided(&going_back(601, false));
    assert_eq!((away.decision, away.writes.len()), (Decision::Hold, 0));
    assert_eq!(away.wake_at, None, "only Kruise can change it");
    let enters = plan(&going_back(601, true));
    assert_eq!(check(&going_back(601, false), &enters).len(), 1, "nor would the guard let it");
}

/// B stands at `step` over the proven A, with its pods there and memory not saying so; its steps do not soak.
fn arrived(step: u32, partition: &str, pods: u32, soak: u32) -> World {
    let (a, mut b) = (release("a"), release("b"));
    b.strategy.steps.iter_mut().for_each(|step| step.soak = soak);
    let mut intent = intent(&b);
    intent.markers.extend([marker(&b, Permit::Step(2), "bob"), marker(&b, Permit::Step(3), "bob")]);
    let memory = at_step(&b, &a, step, None);
    world(intent, Some(live(&b, Some(memory), partition, pods)), &[&a, &b])
}

#[test]
fn a_step_that_is_seen_reached_is_left_in_the_write_that_would_say_so() {
    let decided = decided(&arrived(1, "99%", 1, 0));
    assert_eq!((decided.decision.clone(), decided.writes.len()), (Decision::Enter(2), 1));
    let told: Vec<_> = decided.told().map(|it| (it.decision.word(), it.message.as_str())).collect();
    let enters =
        format!("shop/checkout enters step 2 of 3 of b ({}): 5 pods of 10", release("b").digest.short());
    let reached = "shop/checkout reached step 1 of 3: 1 pod updated and available";
    assert_eq!(told, [("Note", reached), ("Enter", enters.as_str())]);
    let noted = decided.noted.expect("it is told");
    assert_eq!((noted.writes.len(), noted.memory.map(|it| it.step)), (0, Some(1)));
    let memory = decided.memory.expect("it is written");
    assert_eq!((memory.step, memory.step_entered, memory.step_reached), (2, now(), None));
}

#[test]
fn a_last_step_that_is_seen_reached_completes_in_one_write() {
    let decided = decided(&arrived(3, "0%", 10, 0));
    let told: Vec<_> = decided.told().map(|it| it.decision.word()).collect();
    assert_eq!((told, decided.writes.len()), (vec!["Note", "Complete"], 1));
    let memory = decided.memory.expect("it is written");
    assert_eq!(memory.step_reached.map(|it| (it.at, it.pods)), Some((now(), 10)));
    assert!(memory.entered_is_proven());
}

#[test]
fn a_step_that_may_not_be_left_yet_is_only_said_to_be_reached() {
    let noted = |world: &World| {
        let decided = decided(world);
        let memory = decided.memory.expect("it is written");
        assert_eq!((decided.decision, decided.noted.is_none()), (Decision::Note, true));
        assert_eq!((memory.step, memory.step_reached.map(|it| it.at)), (1, Some(now())));
    };
    noted(&arrived(1, "99%", 1, 60));
    let mut frozen = arrived(1, "99%", 1, 0);
    freeze(&mut frozen);
    noted(&frozen);
    let mut unapproved = arrived(1, "99%", 1, 0);
    edit_intent(&mut unapproved, |intent| intent.markers.clear());
    noted(&unapproved);
    let mut old = arrived(1, "99%", 1, 0);
    old.source.fetched_at = Some(ago(1_000));
    noted(&old);
    let mut resized = arrived(1, "99%", 1, 0);
    edit_intent(&mut resized, |intent| Arc::make_mut(&mut intent.release).replicas = Some(20));
    noted(&resized);
    let mut drifted = arrived(1, "99%", 1, 0);
    edit(&mut drifted, |case| case.companions.clear());
    noted(&drifted);
}

/// B is entered at step 1 beside A; somebody has written step 2 into memory, and pods of B are missing.
#[test]
fn a_step_that_was_edited_into_memory_is_put_back_before_anything_is_told_of_it() {
    let mut world = two(at(2, true), 4, ("a", 10), ("b", 4));
    edit_intent(&mut world, |intent| intent.markers.clear());
    let back = decided(&world);
    assert_eq!(
        (&back.decision, back.row, back.told().count()),
        (&Decision::Repair, 'g', 1),
        "{}",
        back.message
    );
    assert_eq!(back.memory.unwrap().step, 1);
    // Steps of one pod each: the partition is that of both.
    let (mut world, b) = climbing(2, "99%");
    edit_intent(&mut world, |intent| intent.markers.retain(|it| it.permits == Some(Permit::Step(3))));
    let mut equal = b.clone();
    equal.strategy.steps[1].replicas = equal.strategy.steps[0].replicas;
    edit_intent(&mut world, |intent| intent.release = Arc::new(equal.clone()));
    edit(&mut world, |case| drop(case.documents.insert(equal.digest, Arc::new(equal.clone()))));
    let back = decided(&world);
    assert_eq!((&back.decision, back.row), (&Decision::Repair, 'g'), "{}", back.message);
    assert_eq!(back.memory.unwrap().step, 1);
}

/// Git has removed a release that is switched as a whole; its objects stay where it said so.
fn removed(memory: Memory, orphan: bool) -> World {
    let mut world = two(memory, 10, ("a", 10), ("b", 10));
    edit(&mut world, |case| {
        case.desired = Desired::Gone(Removal { commit: commit(3), approved: false });
        let documents = case.documents.values_mut();
        documents.for_each(|release| Arc::make_mut(release).orphan = orphan);
        case.twins.values_mut().for_each(|twin| twin.live.root = Some(ROOT.to_owned()));
    });
    world.named = Arc::default();
    world
}

#[test]
fn of_two_clonesets_the_one_that_remembers_is_deleted_last() {
    let decided = decided(&removed(at(1, true), false));
    assert!(decided.writes.iter().all(|it| matches!(it.action, Action::Delete { .. }) && it.forward));
    let sets: Vec<&str> = decided.writes.iter().map(|it| it.object.name.as_str()).take(2).collect();
    let twin = triton::world::twin_name(&id().name, switched("b").template).unwrap();
    assert_eq!(sets, [twin.as_str(), "checkout"]);
}

#[test]
fn what_is_left_behind_of_two_versions_follows_whom_it_followed() {
    let decided = decided(&removed(at(1, true), true));
    let led = |name: &str| {
        let mut services = decided.writes.iter().filter(|it| it.object == key(Kind::Service, name));
        let body = sent(services.next().unwrap());
        assert!(
            body["metadata"]["annotations"].is_null() && body["metadata"]["labels"][keys::TRAFFIC].is_null()
        );
        body["spec"]["selector"][keys::POD_TEMPLATE_HASH].clone()
    };
    assert_eq!((led("checkout"), led("checkout-preview")), ("a".into(), "b".into()));
    let sets = decided.writes.iter().filter(|it| it.object.kind == Kind::CloneSet);
    let names: Vec<&str> = sets.clone().map(|it| it.object.name.as_str()).collect();
    assert_eq!((names.len(), names[1]), (2, "checkout"), "the one that remembers is left last");
    for write in sets {
        let body = sent(write);
        assert_eq!(body["metadata"]["name"], *write.object.name.as_str());
        for mark in [keys::ROOT, keys::RELEASE, keys::TWIN] {
            assert!(body["metadata"]["annotations"][mark].is_null(), "{mark}");
        }
    }
}

#[test]
fn a_release_of_which_one_of_two_clonesets_is_suspended_is_left_alone() {
    for memory in [at(1, true), done()] {
        for gone in [false, true] {
            let mut world = two(memory.clone(), 10, ("a", 10), ("b", 10));
            edit(&mut world, |case| {
                case.twins.values_mut().for_each(|twin| twin.live.suspend = Some("a look".to_owned()));
                if gone {
                    (case.live, case.home) = (None, None);
                }
            });
            let decided = decided(&world);
            assert_eq!((decided.decision.clone(), decided.writes.len()), (Decision::Hold, 0));
            assert_eq!(decided.holds()[0].gate, Gate::Suspend);
            let lift = decided.holds()[0].lift.command.clone().unwrap();
            assert!(lift.starts_with("kubectl annotate cloneset checkout-"), "{lift}");
        }
    }
}
