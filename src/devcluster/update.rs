//! Bringing pods to the update revision: the second half of a pass (`sync/cloneset_update.go:Update`).
//!
//! Left out: scatterStrategy, PodUnavailableBudgets, image pre-download, waits for kruise-daemon.

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::devcluster::actions::{Action, Told};
use crate::devcluster::cloneset::{CloneSet, Method};
use crate::devcluster::diffs::{Diffs, diffs};
use crate::devcluster::inplace::{grace_left, in_grace, is_complete, replacement};
use crate::devcluster::lifecycle::{Change, is_hooked, move_to, next_state};
use crate::devcluster::pods::{IN_PLACE_READY, Pod, State};
use crate::devcluster::revision::{Active, Revision};
use crate::devcluster::scale::{health, youth};

/// What the second half does.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// In order.
    pub actions: Vec<Action>,
    /// Why it stopped, for the condition FailedUpdate.
    pub failure: Option<String>,
    /// Seconds until a grace is over.
    pub wait: Option<i64>,
}

/// What to do now; `pods` are the active ones, `revisions` those that were there when the pass began.
#[must_use]
pub fn update(
    set: &CloneSet,
    pods: &[Pod],
    revisions: &[Revision],
    active: &Active,
    now: Timestamp,
) -> Update {
    let mut update = refresh(set, pods, active, now);
    let moved = |action: &Action| matches!(action, Action::Change(_, Change::Lifecycle(..), _));
    if update.actions.iter().any(moved) || set.spec.paused {
        return update;
    }
    let target = active.update.short_hash();
    let diffs = diffs(set, pods, target, now);
    let mut candidates: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.revision() != target && pod.state() != State::PreparingDelete && !in_grace(pod))
        .collect();
    sort(set, &mut candidates);
    limit(set, pods, &diffs, target, &mut candidates, now);
    for pod in candidates {
        match update_pod(set, pod, revisions, active) {
            Ok(actions) => update.actions.extend(actions),
            Err(failure) => {
                update.failure = Some(failure);
                break;
            }
        }
    }
    if set.spec.grace_seconds > 0 && !update.actions.is_empty() {
        update.wait = Some(update.wait.unwrap_or(i64::MAX).min(set.spec.grace_seconds));
    }
    update
}

/// Moves every pod on in its own life, paused or not (`refreshPodState`): ends graces, opens the gate of updates
/// that are over, changes states.
fn refresh(set: &CloneSet, pods: &[Pod], active: &Active, now: Timestamp) -> Update {
    let mut update = Update::default();
    for pod in pods {
        let change = |change: Change| Action::Change(pod.name().to_owned(), change, None);
        if in_grace(pod) {
            match grace_left(pod, now) {
                Some(seconds) => update.wait = Some(update.wait.unwrap_or(i64::MAX).min(seconds)),
                None => update.actions.push(change(Change::EndGrace)),
            }
        } else if is_complete(pod)
            && !pod.is_true(IN_PLACE_READY)
            && pod.gates().any(|gate| gate == IN_PLACE_READY)
        {
            update.actions.push(change(Change::InPlaceReady(true)));
        }
        if let Some(state) = next_state(set, pod, active.update.short_hash()) {
            let changes = move_to(pod, state, set.spec.in_place_update.as_ref(), false);
            update.actions.extend(changes.into_iter().map(change));
        }
    }
    update
}

/// The order of update: kube's `ActivePods.Less`, then priorities, then those in PreparingUpdate first
/// (`SortUpdateIndexes`).
fn sort(set: &CloneSet, pods: &mut [&Pod]) {
    pods.sort_by_cached_key(|pod| (health(pod), pod.is_true("Ready"), youth(pod)));
    if !set.spec.weights.is_empty() {
        let weight = |pod: &Pod| -> i64 {
            let terms = set.spec.weights.iter();
            let labels = pod.body["metadata"].get("labels");
            terms.filter(|(_, selector)| selector.matches(labels)).map(|(weight, _)| weight).sum()
        };
        pods.sort_by_cached_key(|pod| Reverse(weight(pod)));
    } else if !set.spec.order_keys.is_empty() {
        pods.sort_by_cached_key(|pod| order(set, pod));
    }
    pods.sort_by_key(|pod| pod.state() != State::PreparingUpdate);
}

/// `orderPriority`: pods without any of the keys come first, then by key, larger trailing numbers first.
fn order(set: &CloneSet, pod: &Pod) -> (i64, Reverse<i64>) {
    let keys = set.spec.order_keys.iter().zip(0_i64..);
    let mut found = keys.filter_map(|(key, level)| Some((level, pod.label(key)?)));
    found.next().map_or((-1, Reverse(0)), |(level, value)| {
        let digits = value.len() - value.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
        (level, Reverse(value[value.len() - digits..].parse().unwrap_or(0)))
    })
}

/// Stops where too many pods would be unavailable (`limitUpdateIndexes`): those of the target revision count
/// always, so that a revision that never gets ready stops by itself; an unavailable old pod is free.
fn limit(
    set: &CloneSet,
    pods: &[Pod],
    diffs: &Diffs,
    target: &str,
    candidates: &mut Vec<&Pod>,
    now: Timestamp,
) {
    let available = |pod: &Pod| pod.is_available(set.spec.min_ready_seconds, now);
    let mut unavailable = pods.iter().filter(|pod| !available(pod)).count() as i64;
    let on_target = pods.iter().filter(|pod| !available(pod) && pod.revision() == target).count() as i64;
    candidates.truncate(usize::try_from(diffs.update).unwrap_or(0));
    let mut chosen = 0_usize;
    for pod in candidates.iter() {
        if on_target + chosen as i64 >= diffs.update_max_unavailable {
            break;
        }
        if available(pod) {
            if unavailable >= diffs.update_max_unavailable {
                break;
            }
            unavailable += 1;
        }
        chosen += 1;
    }
    candidates.truncate(chosen);
}

/// Begins the update of one pod (`updatePod`): in place, or by marking it for deletion.
fn update_pod(
    set: &CloneSet,
    pod: &Pod,
    revisions: &[Revision],
    active: &Active,
) -> Result<Vec<Action>, String> {
    let name = pod.name().to_owned();
    if set.spec.method != Method::ReCreate {
        let old = revisions.iter().find(|revision| revision.short_hash() == pod.revision());
        let how = old.and_then(|old| replacement(old, &active.update, set.spec.grace_seconds));
        if let Some(how) = how {
            return Ok(update_in_place(set, pod, Change::InPlace(how), active.update.name()));
        }
        if set.spec.method == Method::InPlaceOnly {
            return Err(format!(
                "find Pod {name} update strategy is InPlaceOnly but can not update in-place"
            ));
        }
    }
    let revision = active.update.name();
    let told = format!("successfully patch pod {name} specified-delete for update(revision {revision})");
    let told = Told::normal("SuccessfulUpdatePodReCreate", told);
    Ok(vec![Action::Change(name, Change::SpecifiedDelete, Some(told))])
}

fn update_in_place(set: &CloneSet, pod: &Pod, update: Change, revision: &str) -> Vec<Action> {
    let name = pod.name().to_owned();
    let hook = set.spec.in_place_update.as_ref();
    let change = |change: Change| Action::Change(name.clone(), change, None);
    let prepare = |put_on: bool| move_to(pod, State::PreparingUpdate, hook, put_on).into_iter().map(change);
    match pod.state() {
        State::PreparingNormal | State::Normal if is_hooked(hook, pod) => return prepare(false).collect(),
        State::Updated => return if hook.is_some() { prepare(true).collect() } else { Vec::new() },
        State::PreparingUpdate if is_hooked(hook, pod) => return Vec::new(),
        State::PreparingDelete => return Vec::new(),
        State::PreparingNormal | State::Normal | State::PreparingUpdate | State::Updating => {}
    }
    let told = format!("successfully update pod {name} in-place(revision {revision})");
    let told = Told::normal("SuccessfulUpdatePodInPlace", told);
    let gate = pod.gates().any(|gate| gate == IN_PLACE_READY);
    let close = gate.then(|| Action::Change(name.clone(), Change::InPlaceReady(false), None));
    close.into_iter().chain([Action::Change(name.clone(), update, Some(told))]).collect()
}
