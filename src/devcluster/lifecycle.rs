//! Hooks, and the changes that the controller makes to a single pod (`pkg/util/lifecycle`, `pkg/util/inplaceupdate`,
//! `pkg/util/podreadiness`).
//!
//! A change is data: it is decided from a pod as listed, and applied to the pod as it stands when its turn comes.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::devcluster::clock::second;
use crate::devcluster::cloneset::{CloneSet, Hook};
use crate::devcluster::inplace::{self, Replacement};
use crate::devcluster::json::{list, map};
use crate::devcluster::pods::{IN_PLACE_READY, POD_READY, Pod, SPECIFIED_DELETE, STATE, STATE_TIME, State};

/// Why a hook has closed the gate `KruisePodReady`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReadyKey {
    /// Before an update in place.
    PreUpdate,
    /// Before a delete.
    PreDelete,
}

impl NotReadyKey {
    fn message(self) -> Value {
        let key = match self {
            NotReadyKey::PreUpdate => "preUpdateHook",
            NotReadyKey::PreDelete => "preDeleteHook",
        };
        json!({"userAgent": "Lifecycle", "key": key})
    }
}

/// One write to one pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Opens or closes the gate `InPlaceUpdateReady`.
    InPlaceReady(bool),
    /// Adds or takes back a reason against readiness.
    NotReady(NotReadyKey, bool),
    /// Moves the pod in its lifecycle; the hook's labels and finalizers are put on where one is given.
    Lifecycle(State, Option<Hook>),
    /// Updates in place: revision and state at once, images now or after the grace.
    InPlace(Replacement),
    /// The grace is over: images now.
    EndGrace,
    /// Marks it to be deleted.
    SpecifiedDelete,
    /// Gives it up: it no longer matches the selector.
    Release,
}

impl Change {
    /// Whether the change is of the status subresource.
    #[must_use]
    pub fn is_of_status(&self) -> bool {
        match self {
            Change::InPlaceReady(_) | Change::NotReady(..) => true,
            Change::Lifecycle(..)
            | Change::InPlace(_)
            | Change::EndGrace
            | Change::SpecifiedDelete
            | Change::Release => false,
        }
    }

    /// Applies the change to a pod as it stands now.
    pub fn apply(&self, pod: &mut Pod, now: Timestamp) {
        match self {
            Change::InPlaceReady(holds) => {
                pod.set_condition(IN_PLACE_READY, *holds, now);
                pod.close_ready();
            }
            Change::NotReady(key, add) => set_not_ready(pod, *key, *add, now),
            Change::Lifecycle(state, hook) => {
                pod.set_label(STATE, state.label());
                pod.set_annotation(STATE_TIME, &second(now));
                if let Some(hook) = hook {
                    put_hook_on(pod, hook);
                }
            }
            Change::InPlace(replacement) => {
                pod.set_label(STATE, State::Updating.label());
                pod.set_annotation(STATE_TIME, &second(now));
                inplace::start(pod, replacement, now);
            }
            Change::EndGrace => inplace::end_grace(pod),
            Change::SpecifiedDelete => pod.set_label(SPECIFIED_DELETE, "true"),
            Change::Release => {
                map(&mut pod.body, "metadata").remove("ownerReferences");
            }
        }
    }
}

fn set_not_ready(pod: &mut Pod, key: NotReadyKey, add: bool, now: Timestamp) {
    let stands = pod.condition(POD_READY).and_then(|condition| condition["message"].as_str());
    let mut keys: Vec<Value> = stands.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    keys.retain(|one| *one != key.message());
    if add {
        keys.push(key.message());
    }
    pod.set_condition(POD_READY, keys.is_empty(), now);
    let conditions = list(&mut pod.body["status"], "conditions");
    if let Some(condition) = conditions.iter_mut().find(|condition| condition["type"] == POD_READY) {
        let message = if keys.is_empty() { String::new() } else { Value::Array(keys).to_string() };
        condition["message"] = json!(message);
    }
    pod.close_ready();
}

fn put_hook_on(pod: &mut Pod, hook: &Hook) {
    for (key, value) in &hook.labels {
        pod.set_label(key, value);
    }
    let finalizers = list(&mut pod.body["metadata"], "finalizers");
    for finalizer in hook.finalizers.iter().filter(|finalizer| !finalizer.is_empty()) {
        if !finalizers.iter().any(|one| one == finalizer) {
            finalizers.push(json!(finalizer));
        }
    }
    if finalizers.is_empty() {
        map(&mut pod.body, "metadata").remove("finalizers");
    }
}

fn has_finalizer(pod: &Pod, finalizer: &str) -> bool {
    crate::devcluster::json::items(&pod.body, "/metadata/finalizers").any(|one| one == finalizer)
}

/// Whether a hook holds the pod: any of its labels or finalizers is on it (`lifecycle.IsPodHooked`).
#[must_use]
pub fn is_hooked(hook: Option<&Hook>, pod: &Pod) -> bool {
    hook.is_some_and(|hook| {
        hook.finalizers.iter().any(|finalizer| has_finalizer(pod, finalizer))
            || hook.labels.iter().any(|(key, value)| pod.label(key) == Some(value))
    })
}

/// Whether all labels and finalizers of a hook are on the pod; without a hook they are not
/// (`lifecycle.IsPodAllHooked`).
#[must_use]
pub fn is_all_hooked(hook: Option<&Hook>, pod: &Pod) -> bool {
    hook.is_some_and(|hook| {
        hook.finalizers.iter().all(|finalizer| has_finalizer(pod, finalizer))
            && hook.labels.iter().all(|(key, value)| pod.label(key) == Some(value))
    })
}

/// The changes that bring a pod into `state`; none where it is there. `hook` marks it not ready if it says so
/// (`lifecycle.UpdatePodLifecycle`); `put_on` is for `UpdatePodLifecycleWithHandler`.
#[must_use]
pub fn move_to(pod: &Pod, state: State, hook: Option<&Hook>, put_on: bool) -> Vec<Change> {
    if pod.state() == state {
        return Vec::new();
    }
    let marks = hook.is_some_and(|hook| hook.mark_not_ready);
    let readiness = match state {
        State::PreparingUpdate if marks => Some(Change::NotReady(NotReadyKey::PreUpdate, true)),
        State::PreparingDelete if marks => Some(Change::NotReady(NotReadyKey::PreDelete, true)),
        State::Updated | State::Normal if marks && pod.condition(POD_READY).is_some() => {
            Some(Change::NotReady(NotReadyKey::PreUpdate, false))
        }
        State::PreparingNormal
        | State::Normal
        | State::PreparingUpdate
        | State::Updating
        | State::Updated
        | State::PreparingDelete => None,
    };
    let hook = if put_on { hook.cloned() } else { None };
    readiness.into_iter().chain([Change::Lifecycle(state, hook)]).collect()
}

/// Where a pod should be in its lifecycle by itself, or `None` (`sync/cloneset_update.go:refreshPodState`).
#[must_use]
pub fn next_state(set: &CloneSet, pod: &Pod, update_revision: &str) -> Option<State> {
    let hook = set.spec.in_place_update.as_ref();
    let free = hook.is_none() || is_all_hooked(hook, pod);
    let back = set.spec.has_lifecycle && !is_all_hooked(hook, pod);
    let go = |holds: bool| holds.then_some(State::Normal);
    match pod.state() {
        State::PreparingNormal => {
            let hook = set.spec.pre_normal.as_ref();
            go(!pod.node().is_empty() && (hook.is_none() || is_all_hooked(hook, pod)))
        }
        State::PreparingUpdate if pod.revision() != update_revision => None,
        State::Updating if !inplace::is_complete(pod) => None,
        State::PreparingUpdate | State::Updating if back => Some(State::Updated),
        State::PreparingUpdate | State::Updating => Some(State::Normal),
        State::Updated => go(free),
        State::Normal | State::PreparingDelete => None,
    }
}
