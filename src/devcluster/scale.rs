//! Making and deleting pods: the first half of a pass (`sync/cloneset_scale.go:Scale`). If it does anything, the
//! second half, updating, waits for the next pass.
//!
//! Left out: volume claims, topology ranks (pods are ranked by node, as without spread constraints).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::devcluster::actions::{Action, Told};
use crate::devcluster::cloneset::{CloneSet, Hook};
use crate::devcluster::diffs::diffs;
use crate::devcluster::ids::Ids;
use crate::devcluster::lifecycle::{is_hooked, move_to};
use crate::devcluster::pods::{Pod, State, new_pod};
use crate::devcluster::revision::Active;

/// Letters in the random part of a pod's name.
const ID_LENGTH: usize = 5;

/// What to make or delete now, in order; `pods` are the active ones that the CloneSet owns.
#[must_use]
pub fn scale(set: &CloneSet, pods: &[Pod], active: &Active, ids: &mut Ids, now: Timestamp) -> Vec<Action> {
    let freed = free_preparing_delete(set, pods);
    if !freed.is_empty() {
        return freed;
    }
    let update_revision = active.update.short_hash();
    let diffs = diffs(set, pods, update_revision, now);
    if diffs.scale_up > 0 {
        let limit = diffs.scale_up_limit;
        let told = (diffs.scale_up > limit).then(|| {
            let sentence =
                format!("scaleUp is limited because of scaleStrategy.maxUnavailable, limit: {limit}");
            Action::Tell(Told::warning("ScaleUpLimited", sentence))
        });
        let made = make(set, active, limit, diffs.scale_up_old.min(limit), ids, now);
        return told.into_iter().chain((!made.is_empty()).then_some(Action::Create(made))).collect();
    }
    let preparing: Vec<&Pod> = pods.iter().filter(|pod| pod.state() == State::PreparingDelete).collect();
    let deletes = delete(set, &preparing);
    if !deletes.is_empty() {
        return deletes;
    }
    let mut limit = diffs.delete_ready_limit;
    let specified: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.is_specified(set) && pod.state() != State::PreparingDelete)
        .filter(|pod| may_delete(pod, &mut limit, now))
        .collect();
    let deletes = delete(set, &specified);
    if !deletes.is_empty() {
        return deletes;
    }
    let planned = pods.iter().any(|pod| pod.is_specified(set) || pod.state() == State::PreparingDelete);
    if diffs.scale_down == 0 || planned {
        return Vec::new();
    }
    let chosen = choose(set, pods, update_revision, diffs.scale_down, diffs.scale_down_old, now);
    let chosen: Vec<&Pod> = chosen.into_iter().filter(|pod| may_delete(pod, &mut limit, now)).collect();
    delete(set, &chosen)
}

/// Pods that are not ready go freely, ready ones as far as the limit lets them.
fn may_delete(pod: &Pod, limit: &mut i64, now: Timestamp) -> bool {
    if !pod.is_available(0, now) {
        return true;
    }
    *limit -= 1;
    *limit >= 0
}

/// Takes pods back that wait for the delete hook, where they are wanted again (`managePreparingDelete`). One that a
/// hook has marked not ready cannot regret.
fn free_preparing_delete(set: &CloneSet, pods: &[Pod]) -> Vec<Action> {
    let marks = |hook: &Option<Hook>| hook.as_ref().is_some_and(|hook| hook.mark_not_ready);
    if marks(&set.spec.pre_delete) || marks(&set.spec.in_place_update) {
        return Vec::new();
    }
    let planned = |pod: &&Pod| pod.is_specified(set) || pod.state() == State::PreparingDelete;
    let leaving = pods.iter().filter(planned).count();
    let wanted = (set.spec.replicas + leaving as i64 - pods.len() as i64).max(0) as usize;
    pods.iter()
        .filter(|pod| pod.state() == State::PreparingDelete && !pod.is_specified(set))
        .take(wanted)
        .flat_map(|pod| changes(pod, State::PreparingNormal, None))
        .collect()
}

fn changes(pod: &Pod, state: State, hook: Option<&Hook>) -> Vec<Action> {
    let changes = move_to(pod, state, hook, false);
    changes.into_iter().map(|change| Action::Change(pod.name().to_owned(), change, None)).collect()
}

/// Deletes pods; one that the delete hook holds is moved to PreparingDelete instead (`deletePods`).
fn delete(set: &CloneSet, pods: &[&Pod]) -> Vec<Action> {
    let hook = set.spec.pre_delete.as_ref();
    pods.iter()
        .flat_map(|pod| {
            if is_hooked(hook, pod) {
                changes(pod, State::PreparingDelete, hook)
            } else {
                vec![Action::Delete(pod.name().to_owned())]
            }
        })
        .collect()
}

/// New pods: the first `old` of the current revision, the rest of the update revision.
fn make(set: &CloneSet, active: &Active, count: i64, old: i64, ids: &mut Ids, now: Timestamp) -> Vec<Pod> {
    (0..count)
        .map(|index| {
            let revision = if index < old { &active.current } else { &active.update };
            let id = ids.suffix(ID_LENGTH);
            let mut template = revision.template().clone();
            if let Some(template) = template.as_object_mut() {
                template.remove("$patch");
            }
            new_pod(set, &template, revision.name(), &id, now)
        })
        .collect()
}

/// Which pods go in a scale-in (`choosePodsToDelete`, `utils/pod_sorter.go`): by share of the revisions, the least
/// useful first.
fn choose<'a>(
    set: &CloneSet,
    pods: &'a [Pod],
    update_revision: &str,
    total: i64,
    old: i64,
    now: Timestamp,
) -> Vec<&'a Pod> {
    let (updated, not_updated): (Vec<&Pod>, Vec<&Pod>) =
        pods.iter().partition(|pod| pod.revision() == update_revision);
    let old = old.min(total);
    let mut chosen = least_useful(set, not_updated, old, now);
    chosen.extend(least_useful(set, updated, total - old, now));
    chosen
}

fn least_useful<'a>(set: &CloneSet, mut pods: Vec<&'a Pod>, count: i64, now: Timestamp) -> Vec<&'a Pod> {
    let mut on_node: BTreeMap<String, usize> = BTreeMap::new();
    for pod in &pods {
        *on_node.entry(pod.node().to_owned()).or_default() += 1;
    }
    pods.sort_by_cached_key(|pod| {
        let available = pod.is_available(set.spec.min_ready_seconds, now);
        let neighbours = on_node.get(pod.node()).copied().unwrap_or(0);
        (health(pod), available, pod.is_true("Ready"), pod.deletion_cost(), Reverse(neighbours), youth(pod))
    });
    pods.truncate(usize::try_from(count).unwrap_or(0));
    pods
}

/// Unassigned before assigned, then Pending, Unknown, Running (kube `ActivePods.Less`, 1 and 2).
#[must_use]
pub fn health(pod: &Pod) -> (bool, u8) {
    let phase = match pod.phase() {
        "Running" => 2,
        "Unknown" => 1,
        _pending => 0,
    };
    (!pod.node().is_empty(), phase)
}

/// Most recently ready first, then more restarts, then newest (kube `ActivePods.Less`, 4 to 6). A missing time
/// comes first.
#[must_use]
pub fn youth(pod: &Pod) -> (Reverse<i64>, Reverse<i64>, Reverse<i64>) {
    let second = |text: Option<&str>| {
        text.and_then(|text| text.parse::<Timestamp>().ok()).map_or(i64::MAX, Timestamp::as_second)
    };
    let ready = pod.condition("Ready").filter(|ready| ready["status"] == "True");
    let since = ready.map_or(0, |ready| second(ready["lastTransitionTime"].as_str()));
    let created = second(pod.body["metadata"]["creationTimestamp"].as_str());
    (Reverse(since), Reverse(pod.restarts()), Reverse(created))
}
