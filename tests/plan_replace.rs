//! Pods that Git names: asked for once, when every pod may be of the entered release, and never beside anything new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use triton::guard::{Rule, check};
use triton::model::{Gate, Hold, Lift, Name, Uid};
use triton::objects::keys;
use triton::plan::plan;
use triton::spec::Release;
use triton::world::{Action, Decision, Freeze, Looked, Memory, Move, Refusal, World};

use crate::support::switched::{done, switched, two};
use crate::support::world::*;

/// The pod that has a name.
fn pod(name: &str) -> Uid {
    Uid::new(format!("pod-{name}"))
}

/// Memory of pods that were asked for.
fn asked(names: &[&str]) -> BTreeMap<Name, Option<Uid>> {
    names.iter().map(|name| (name.parse().unwrap(), Some(pod(name)))).collect()
}

/// Memory of names that are settled.
fn settled(names: &[&str]) -> BTreeMap<Name, Option<Uid>> {
    names.iter().map(|name| (name.parse().unwrap(), None)).collect()
}

fn names(names: &[&str]) -> BTreeSet<Name> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// A is complete, and Git names these pods of it.
fn complete_naming(named: &[&str]) -> World {
    let a = release("a");
    let head = Release { replace: names(named), ..a.clone() };
    world(intent(&head), Some(live(&a, Some(complete(&a)), "0%", 10)), &[&a])
}

/// What was seen of a pod: the CloneSet that it is of.
fn looked(world: &mut World, name: &str, owner: Option<&str>) {
    let looked = owner.map(|owner| Looked { uid: pod(name), owner: Uid::new(owner) });
    edit(world, |case| drop(case.looked.insert(name.parse().unwrap(), looked)));
}

fn decided(world: &World) -> Move {
    let plan = plan(world);
    assert_eq!(check(world, &plan), Default::default());
    plan.moves[&id()].clone()
}

/// The pods that Kruise is asked to delete, where a write says anything of them.
fn listed(decided: &Move) -> Option<BTreeSet<Name>> {
    let [write] = decided.writes.as_slice() else { return None };
    let Action::Apply { body, .. } = &write.action else { panic!("an apply") };
    let list = body.pointer("/spec/scaleStrategy/podsToDelete")?;
    Some(list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().parse().unwrap()).collect())
}

fn says(decided: &Move, part: &str) -> bool {
    decided.holds().iter().any(|hold| hold.gate == Gate::Replace && hold.message.contains(part))
}

#[test]
fn pods_are_looked_at_before_they_are_asked_for_and_then_asked_for_once() {
    let mut world = complete_naming(&["web-a", "web-b"]);
    let first = decided(&world);
    assert_eq!((first.decision, first.looks.len(), first.writes.len()), (Decision::Rest, 2, 0));
    looked(&mut world, "web-a", Some("uid-1"));
    looked(&mut world, "web-b", Some("uid-1"));
    let asks = decided(&world);
    assert_eq!((asks.decision.clone(), listed(&asks)), (Decision::Replace, Some(names(&["web-a", "web-b"]))));
    let memory = asks.memory.unwrap();
    assert_eq!(memory.replaced, asked(&["web-a", "web-b"]));
    edit_live(&mut world, |live| {
        live.memory = Some(memory);
        live.to_delete = names(&["web-b"]);
    });
    edit(&mut world, |case| case.looked.clear());
    let waits = decided(&world);
    assert_eq!((waits.decision.clone(), waits.looks.len()), (Decision::Rest, 0));
    assert!(says(&waits, "replaces 1 pod that Git names, as maxUnavailable lets it: web-b; 10 of 10 pods"));
    edit_live(&mut world, |live| live.to_delete.clear());
    assert_eq!(decided(&world).looks.len(), 2, "whether they are gone");
    looked(&mut world, "web-a", None);
    looked(&mut world, "web-b", None);
    let settles = decided(&world);
    assert_eq!((settles.decision.clone(), listed(&settles)), (Decision::Note, None));
    assert!(settles.message.ends_with("has replaced 2 pods that Git names: web-a, web-b"));
    assert_eq!(settles.memory.as_ref().unwrap().replaced, settled(&["web-a", "web-b"]));
    edit_live(&mut world, |live| live.memory = settles.memory.clone());
    edit(&mut world, |case| case.looked.clear());
    let rests = decided(&world);
    assert!(rests.holds().is_empty() && rests.looks.is_empty(), "a name that is still in Git does nothing");
}

#[test]
fn a_name_that_another_pod_has_by_now_is_not_deleted_again() {
    let mut world = complete_naming(&["web-a"]);
    edit_live(&mut world, |live| live.memory.as_mut().unwrap().replaced = asked(&["web-a"]));
    let other = Looked { uid: Uid::new("pod-of-later"), owner: Uid::new("uid-1") };
    edit(&mut world, |case| drop(case.looked.insert("web-a".parse().unwrap(), Some(other))));
    let settles = decided(&world);
    assert_eq!((settles.decision.clone(), listed(&settles)), (Decision::Note, None));
    assert_eq!(settles.memory.unwrap().replaced, settled(&["web-a"]));
}

#[test]
fn a_list_that_is_edited_by_hand_is_made_whole_again() {
    let mut emptied = complete_naming(&["web-a"]);
    edit_live(&mut emptied, |live| live.memory.as_mut().unwrap().replaced = asked(&["web-a"]));
    assert_eq!(decided(&emptied).looks, ["web-a".parse::<Name>().unwrap()]);
    looked(&mut emptied, "web-a", Some("uid-1"));
    let again = decided(&emptied);
    assert_eq!((again.decision.clone(), listed(&again)), (Decision::Replace, Some(names(&["web-a"]))));
    let mut added = complete_naming(&["web-a"]);
    edit_live(&mut added, |live| {
        live.memory.as_mut().unwrap().replaced = asked(&["web-a"]);
        live.to_delete = names(&["web-a", "web-z"]);
    });
    let leaves = decided(&added);
    assert_eq!(listed(&leaves), Some(names(&["web-a"])));
    assert!(leaves.message.contains("leaves web-z as it is"), "{}", leaves.message);
    let mut theirs = complete_naming(&["web-a"]);
    edit_live(&mut theirs, |live| {
        live.memory.as_mut().unwrap().replaced = settled(&["web-a"]);
        live.to_delete = names(&["web-z"]);
    });
    assert!(decided(&theirs).writes.is_empty(), "the list is ours only while we ask for pods");
}

#[test]
fn a_companion_that_is_refused_keeps_no_pod_from_being_looked_at_or_replaced() {
    let mut world = complete_naming(&["web-a"]);
    edit(&mut world, |case| case.companions.clear());
    let repairs = decided(&world);
    assert_eq!((repairs.decision.clone(), repairs.looks.len()), (Decision::Repair, 1));
    looked(&mut world, "web-a", Some("uid-1"));
    assert_eq!(decided(&world).decision, Decision::Repair, "it comes first");
    let hold = Hold {
        gate: Gate::Cluster,
        since: None,
        message: "Service shop/checkout is refused".to_owned(),
        lift: Lift::wait(),
    };
    edit(&mut world, |case| case.refused = Some(Refusal { hold, objects: BTreeSet::new() }));
    let asks = decided(&world);
    assert_eq!((asks.decision.clone(), listed(&asks)), (Decision::Replace, Some(names(&["web-a"]))));
}

#[test]
fn pods_that_cannot_be_looked_at_keep_nothing_else_back_and_are_told() {
    let mut world = complete_naming(&["web-a", "web-b"]);
    edit_live(&mut world, |live| (live.replicas, live.status.replicas) = (11, 11));
    let hold = Hold {
        gate: Gate::Cluster,
        since: None,
        message: "Pod shop/web-b is not seen".to_owned(),
        lift: Lift::wait(),
    };
    edit(&mut world, |case| case.unlooked = Some(Refusal { hold: hold.clone(), objects: BTreeSet::new() }));
    looked(&mut world, "web-a", Some("uid-1"));
    let scales = decided(&world);
    assert_eq!((scales.decision.clone(), listed(&scales)), (Decision::Repair, Some(names(&["web-a"]))));
    edit_live(&mut world, |live| (live.replicas, live.status.replicas) = (10, 10));
    edit_live(&mut world, |live| live.memory.as_mut().unwrap().replaced = asked(&["web-a"]));
    edit_live(&mut world, |live| live.to_delete = names(&["web-a"]));
    let rests = decided(&world);
    assert!(rests.holds().contains(&hold) && says(&rests, "once they were looked at: web-b"));
    assert_eq!(rests.looks.len(), 1, "it is tried again");
}

#[test]
fn a_name_of_no_pod_is_told_once_and_the_others_go_on() {
    let mut world = complete_naming(&["web-a", "web-b", "web-c"]);
    looked(&mut world, "web-a", Some("uid-1"));
    looked(&mut world, "web-b", None);
    assert!(decided(&world).writes.is_empty(), "all are looked at before");
    looked(&mut world, "web-c", Some("another"));
    let asks = decided(&world);
    assert_eq!(listed(&asks), Some(names(&["web-a"])));
    let says = "replaces 1 pod that Git names: web-a, and has no pod web-b, web-c, which Git names: nothing to replace";
    assert!(asks.message.ends_with(says), "{}", asks.message);
    let settled = settled(&["web-b", "web-c"]).into_iter().chain(asked(&["web-a"])).collect();
    assert_eq!(asks.memory.unwrap().replaced, settled);
}

#[test]
fn in_the_middle_of_a_rollout_named_pods_wait_and_those_asked_for_are_asked_for_again_later() {
    let (a, b) = (release("a"), release("b"));
    let head = Release { replace: names(&["web-a", "web-b"]), ..b.clone() };
    let replaced = settled(&["web-a"]).into_iter().chain(asked(&["web-b"])).collect();
    let memory = Memory { replaced, ..complete(&a) };
    let mut stands = live(&a, Some(memory), "0%", 10);
    stands.to_delete = names(&["web-b"]);
    let enters = decided(&world(intent(&head), Some(stands), &[&a, &b]));
    assert_eq!(enters.decision, Decision::Enter(1));
    let kept: BTreeMap<_, _> = settled(&["web-a"]).into_iter().chain(asked(&["web-b"])).collect();
    assert_eq!(enters.memory.as_ref().unwrap().replaced, kept, "what is done stays done");
    let Action::Apply { body, .. } = &enters.writes.last().unwrap().action else { panic!("an apply") };
    assert_eq!(body["spec"]["scaleStrategy"]["podsToDelete"], serde_json::json!([]));
    let memory = Memory { replaced: kept, ..at_step(&b, &a, 1, Some(1)) };
    let mut world = world(intent(&head), Some(live(&b, Some(memory), "99%", 1)), &[&a, &b]);
    looked(&mut world, "web-b", Some("uid-1"));
    let waits = decided(&world);
    assert_eq!((waits.decision.clone(), waits.looks.len()), (Decision::Hold, 0));
    assert!(says(&waits, "replaces 1 pod that Git names once it is complete: web-b"), "{:?}", waits.holds());
}

#[test]
fn a_freeze_and_an_old_fetch_stop_it() {
    let mut frozen = complete_naming(&["web-a"]);
    looked(&mut frozen, "web-a", Some("uid-1"));
    let mut old = frozen.clone();
    let freeze = Freeze { path: "freeze.yaml".to_owned(), reason: "holidays".to_owned(), until: None };
    edit_intent(&mut frozen, |intent| intent.freezes.push(Arc::new(freeze)));
    let stops = decided(&frozen);
    assert!(stops.writes.is_empty() && stops.holds().iter().any(|hold| hold.gate == Gate::Freeze));
    old.source.fetched_at = Some(ago(9_000));
    assert!(decided(&old).writes.is_empty());
}

#[test]
fn a_name_that_leaves_git_leaves_the_list_and_a_repair_keeps_the_others() {
    let mut world = complete_naming(&["web-b"]);
    edit_live(&mut world, |live| {
        live.memory.as_mut().unwrap().replaced = asked(&["web-a", "web-b"]);
        live.to_delete = names(&["web-a", "web-b"]);
    });
    let mut resized = world.clone();
    let leaves = decided(&world);
    assert_eq!((leaves.decision.clone(), listed(&leaves)), (Decision::Replace, Some(names(&["web-b"]))));
    edit_live(&mut resized, |live| live.replicas = 9);
    let repairs = decided(&resized);
    assert_eq!((repairs.decision.clone(), listed(&repairs)), (Decision::Repair, Some(names(&["web-b"]))));
}

#[test]
fn while_the_names_cannot_be_read_whole_what_is_settled_stays_settled() {
    let mut world = complete_naming(&[]);
    edit_intent(&mut world, |intent| {
        let fault = "`spec.replace` must be a list, not a text".to_owned();
        Arc::make_mut(&mut intent.release).replace_fault = Some(fault);
    });
    edit_live(&mut world, |live| live.memory.as_mut().unwrap().replaced = settled(&["web-a"]));
    assert!(decided(&world).writes.is_empty(), "nothing is forgotten");
    edit_live(&mut world, |live| {
        let replaced = settled(&["web-a"]).into_iter().chain(asked(&["web-b"]));
        live.memory.as_mut().unwrap().replaced = replaced.collect();
        live.to_delete = names(&["web-b"]);
    });
    let leaves = decided(&world);
    assert_eq!((leaves.decision.clone(), listed(&leaves)), (Decision::Replace, Some(names(&[]))));
    assert!(leaves.message.ends_with("leaves web-b as it is, while `spec.replace` cannot be read whole"));
    assert_eq!(leaves.memory.unwrap().replaced, settled(&["web-a"]));
}

#[test]
fn names_that_were_asked_for_are_promised_nothing_while_another_is_still_to_be_deleted() {
    let mut world = complete_naming(&["web-a", "web-b", "web-c"]);
    edit_live(&mut world, |live| {
        live.memory.as_mut().unwrap().replaced = asked(&["web-a", "web-b"]);
        live.to_delete = names(&["web-b"]);
    });
    let waits = decided(&world);
    assert!(says(&waits, "replaces 1 pod that Git names once they were looked at: web-c"));
    assert!(!says(&waits, "web-a"), "{:?}", waits.holds());
}

#[test]
fn a_name_that_leaves_git_leaves_the_list_whatever_else_waits() {
    let mut frozen = complete_naming(&["web-b"]);
    edit_live(&mut frozen, |live| {
        live.memory.as_mut().unwrap().replaced = asked(&["web-a", "web-b"]);
        live.to_delete = names(&["web-a", "web-b"]);
    });
    let mut old = frozen.clone();
    let mut back = frozen.clone();
    let freeze = Freeze { path: "freeze.yaml".to_owned(), reason: "holidays".to_owned(), until: None };
    edit_intent(&mut frozen, |intent| intent.freezes.push(Arc::new(freeze.clone())));
    old.source.fetched_at = Some(ago(9_000));
    edit_live(&mut back, |live| {
        live.memory.as_mut().unwrap().step_reached = None;
        (live.status.updated, live.status.updated_available) = (3, 3);
    });
    let b = Release { replace: names(&["web-b"]), ..release("b") };
    let mut stopped = complete_naming(&["web-b"]);
    stopped = world(intent(&b), stopped.cases[&id()].live.clone(), &[&release("a"), &b]);
    edit_live(&mut stopped, |live| {
        live.memory.as_mut().unwrap().replaced = asked(&["web-a", "web-b"]);
        live.to_delete = names(&["web-a", "web-b"]);
    });
    edit_intent(&mut stopped, |intent| intent.freezes.push(Arc::new(freeze)));
    for (what, world) in
        [("frozen", frozen), ("old fetch", old), ("on the way back", back), ("next one", stopped)]
    {
        let leaves = decided(&world);
        assert_eq!(
            (leaves.decision.clone(), listed(&leaves)),
            (Decision::Replace, Some(names(&["web-b"]))),
            "{what}"
        );
        assert!(leaves.message.contains("leaves web-a as it is"), "{what}: {}", leaves.message);
        assert!(!leaves.writes[0].forward, "{what}: it needs no lease");
        assert!(!says(&leaves, "web-a"), "{what}: no hold promises to replace it");
    }
}

#[test]
fn what_asks_for_a_pod_is_marked_as_forward_and_the_guard_demands_it() {
    let mut world = complete_naming(&["web-a"]);
    looked(&mut world, "web-a", Some("uid-1"));
    let asks = decided(&world);
    assert!(asks.writes[0].forward);
    let mut unmarked = plan(&world);
    unmarked.moves.get_mut(&id()).unwrap().writes[0].forward = false;
    assert_eq!(check(&world, &unmarked).remove(&id()).map(|violation| violation.rule), Some(Rule::Forward));
}

#[test]
fn with_a_smaller_size_named_pods_go_first() {
    let mut world = complete_naming(&["web-a"]);
    edit_live(&mut world, |live| (live.replicas, live.status.replicas) = (11, 11));
    let looks = decided(&world);
    assert_eq!((looks.decision.clone(), looks.looks.len()), (Decision::Hold, 1));
    looked(&mut world, "web-a", Some("uid-1"));
    let scales = decided(&world);
    assert_eq!((scales.decision.clone(), listed(&scales)), (Decision::Repair, Some(names(&["web-a"]))));
}

#[test]
fn memory_edited_by_hand_deletes_nothing_that_git_does_not_name() {
    let mut world = complete_naming(&[]);
    edit_live(&mut world, |live| {
        live.memory.as_mut().unwrap().replaced = asked(&["web-a"]);
        live.to_delete = names(&["web-a"]);
    });
    let leaves = decided(&world);
    assert_eq!(listed(&leaves), Some(names(&[])));
}

/// What the guard says of a plan whose body lists these pods.
fn judged(world: &World, edit: impl FnOnce(&mut serde_json::Value, &mut Memory)) -> Option<Rule> {
    let mut plan = plan(world);
    let decided = plan.moves.get_mut(&id()).unwrap();
    let memory = decided.memory.as_mut().unwrap();
    let Action::Apply { body, .. } = &mut decided.writes.last_mut().unwrap().action else {
        panic!("an apply")
    };
    let body = Arc::make_mut(body);
    edit(body, memory);
    let mut annotations = body["metadata"]["annotations"].take();
    annotations.as_object_mut().unwrap().retain(|key, _| !keys::MEMORY.contains(&key.as_str()));
    for (key, text) in memory.to_annotations() {
        annotations[key] = text.into();
    }
    body["metadata"]["annotations"] = annotations;
    check(world, &plan).remove(&id()).map(|violation| violation.rule)
}

#[test]
fn the_guard_lets_no_pod_be_deleted_that_git_does_not_name_or_twice_or_unseen() {
    let mut world = complete_naming(&["web-a", "web-b"]);
    looked(&mut world, "web-a", Some("uid-1"));
    looked(&mut world, "web-b", None);
    let list = |list: &'static [&'static str]| {
        move |body: &mut serde_json::Value, memory: &mut Memory| {
            body["spec"]["scaleStrategy"]["podsToDelete"] = list.into();
            memory.replaced = asked(list);
        }
    };
    assert_eq!(judged(&world, list(&["web-a"])), None);
    assert_eq!(judged(&world, list(&["web-a", "web-c"])), Some(Rule::Replace), "Git does not name it");
    assert_eq!(judged(&world, list(&["web-a", "web-b"])), Some(Rule::Replace), "it is no pod of this one");
    let forgets = |body: &mut serde_json::Value, memory: &mut Memory| {
        body["spec"]["scaleStrategy"]["podsToDelete"] = ["web-a"].as_slice().into();
        memory.replaced.clear();
    };
    assert_eq!(judged(&world, forgets), Some(Rule::Replace), "it would be asked for twice");
    let claims =
        |_: &mut serde_json::Value, memory: &mut Memory| memory.replaced = asked(&["web-a", "web-b"]);
    assert_eq!(judged(&world, claims), Some(Rule::Replace), "it would never be asked for");
}

#[test]
fn the_guard_lets_no_pod_be_deleted_beside_an_unproven_template() {
    let (a, b) = (release("a"), release("b"));
    let head = Release { replace: names(&["web-a"]), ..b.clone() };
    let mut world = world(intent(&head), Some(live(&a, Some(complete(&a)), "0%", 10)), &[&a, &b]);
    looked(&mut world, "web-a", Some("uid-1"));
    let asks = |body: &mut serde_json::Value, memory: &mut Memory| {
        body["spec"]["scaleStrategy"]["podsToDelete"] = ["web-a"].as_slice().into();
        memory.replaced = asked(&["web-a"]);
    };
    assert_eq!(judged(&world, asks), Some(Rule::Replace));
}

#[test]
fn of_a_release_with_two_clonesets_no_pod_is_asked_for_and_what_was_is_forgotten_once() {
    let (a, b) = (switched("a"), switched("b"));
    let memory = Memory { replaced: asked(&["web-a"]), ..done() };
    let mut world = two(memory, 10, ("b", 10), ("b", 10));
    edit(&mut world, |case| drop(case.documents.insert(a.digest, Arc::new(a.clone()))));
    edit_intent(&mut world, |intent| {
        let fault = "`spec.replace` names pods, and blueGreen replaces none by name".to_owned();
        intent.release = Arc::new(Release { replace_fault: Some(fault), ..b.clone() });
    });
    let forgets = decided(&world);
    assert_eq!((forgets.decision.clone(), forgets.looks.len()), (Decision::Note, 0));
    let memory = forgets.memory.unwrap();
    assert_eq!(memory.replaced, BTreeMap::new());
    edit(&mut world, |case| {
        for live in case.live.iter_mut().chain(&mut case.home) {
            live.memory = Some(memory.clone());
        }
    });
    let after = decided(&world);
    assert_eq!(after.writes, []);
    let says = "cannot replace all that Git names: `spec.replace` names pods, and blueGreen";
    assert!(after.holds().iter().any(|it| it.message.contains(says)), "{:?}", after.holds());
}

#[test]
fn what_was_taken_over_becomes_ours_alone_where_it_is_switched_as_a_whole_too() {
    let mut world = two(done(), 10, ("b", 10), ("b", 10));
    edit_intent(&mut world, |intent| Arc::make_mut(&mut intent.release).adopt = true);
    edit(&mut world, |case| {
        for live in case.live.iter_mut().chain(&mut case.home) {
            live.drift.beside = ["kubectl".to_owned()].into();
        }
    });
    let taken = decided(&world);
    assert!(matches!(taken.writes[..], [ref write] if matches!(write.action, Action::TakeOver { .. })));
}
