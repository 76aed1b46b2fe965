//! How many pods to make, delete and update (`sync/cloneset_sync_utils.go:calculateDiffsWithExpectation`), with the
//! gates CloneSetPartitionRollback and PreparingUpdateAsUpdate off.
//!
//! "Old" is every pod that is not on the update revision.

use jiff::Timestamp;

use crate::devcluster::cloneset::CloneSet;
use crate::devcluster::pods::{Pod, State};
use crate::devcluster::rounding::{partition_pods, scaled_whole};

/// The numbers of one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diffs {
    /// Pods missing.
    pub scale_up: i64,
    /// Of those, how many on the current revision.
    pub scale_up_old: i64,
    /// How many may be made now.
    pub scale_up_limit: i64,
    /// Pods too many, besides those marked for deletion.
    pub scale_down: i64,
    /// Of those, how many old ones.
    pub scale_down_old: i64,
    /// Ready pods that may be deleted now.
    pub delete_ready_limit: i64,
    /// Pods to bring to the update revision.
    pub update: i64,
    /// Pods that may be unavailable while updating.
    pub update_max_unavailable: i64,
}

/// What one side, old or new, consists of.
#[derive(Default)]
struct Side {
    all: i64,
    active: i64,
    preparing_delete: i64,
    to_delete: i64,
    unavailable: i64,
}

impl Side {
    fn count(set: &CloneSet, pods: &[Pod], now: Timestamp, belongs: impl Fn(&Pod) -> bool) -> Side {
        let mut side = Side::default();
        for pod in pods.iter().filter(|pod| belongs(pod)) {
            side.all += 1;
            if pod.state() == State::PreparingDelete {
                side.preparing_delete += 1;
                continue;
            }
            side.active += 1;
            if pod.is_specified(set) {
                side.to_delete += 1;
            } else if !pod.is_available(set.spec.min_ready_seconds, now) {
                side.unavailable += 1;
            }
        }
        side
    }
}

/// Computes the numbers for the active pods of a CloneSet. `update_revision` is a short hash.
#[must_use]
pub fn diffs(set: &CloneSet, pods: &[Pod], update_revision: &str, now: Timestamp) -> Diffs {
    let spec = &set.spec;
    let replicas = spec.replicas;
    let partition = partition_pods(spec.partition.as_ref(), replicas).unwrap_or(0);
    let surge = spec.max_surge.as_ref().filter(|_surge| !spec.paused);
    let max_surge = surge.map_or(0, |surge| scaled_whole(surge, replicas, true).unwrap_or(0));
    let max_unavailable = scaled_whole(&spec.max_unavailable, replicas, max_surge == 0).unwrap_or(0);
    let scale_max_unavailable = spec
        .scale_max_unavailable
        .as_ref()
        .map_or(i64::from(i32::MAX), |limit| scaled_whole(limit, replicas, true).unwrap_or(0));

    let new = Side::count(set, pods, now, |pod| pod.revision() == update_revision);
    let old = Side::count(set, pods, now, |pod| pod.revision() != update_revision);
    let preparing_delete = new.preparing_delete + old.preparing_delete;
    let to_delete = new.to_delete + old.to_delete;
    let unavailable = preparing_delete + new.unavailable + old.unavailable;

    // Never back: too few old pods or too many new ones are left as they are.
    let too_many_old = (old.active - partition).max(0);
    let too_few_new = (replicas - partition - new.active).max(0);

    let surge_for_delete = (unavailable + to_delete - max_unavailable).clamp(0, to_delete);
    let surge_for_update = too_many_old.min(too_few_new);
    let (surge, surge_old) = if surge_for_delete >= surge_for_update {
        let surge = max_surge.min(surge_for_delete);
        (surge, surge.min((surge_for_delete - new.to_delete).max(0)))
    } else {
        (max_surge.min(surge_for_update), 0)
    };

    let left_out =
        if spec.exclude_preparing_delete { (preparing_delete, old.preparing_delete) } else { (0, 0) };
    let present = new.all + old.all - left_out.0;
    let present_old = old.all - left_out.1;
    let expected = replicas + surge;
    let expected_old = partition + surge_old;
    let surplus = new.all + old.all - replicas;

    let mut diffs = Diffs::default();
    if expected > present {
        diffs.scale_up = expected - present;
        diffs.scale_up_old = (expected_old - present_old).max(0);
        diffs.scale_up_limit = diffs.scale_up.min((scale_max_unavailable - unavailable).max(0));
    }
    if present - to_delete > expected {
        diffs.scale_down = present - to_delete - expected;
        diffs.scale_down_old = (present_old - old.to_delete - expected_old).max(0);
    }
    if to_delete > 0 || diffs.scale_down > 0 {
        diffs.delete_ready_limit = (max_unavailable + surplus - unavailable).max(0);
    }
    diffs.update = too_many_old.min(too_few_new);
    if diffs.update > 0 {
        diffs.update_max_unavailable = max_unavailable + surplus;
    }
    diffs
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    fn set(replicas: i64, strategy: Value) -> CloneSet {
        CloneSet::read(json!({"spec": {"replicas": replicas, "updateStrategy": strategy}}))
    }

    /// Pods from a line such as `5A 2b 1B!`: lower case is not ready, `!` is marked for deletion.
    fn pods(line: &str) -> Vec<Pod> {
        let mut pods = Vec::new();
        for word in line.split_whitespace() {
            let marked = word.ends_with('!');
            let word = word.trim_end_matches('!');
            let (count, letter) = word.split_at(word.len() - 1);
            let ready = letter.chars().all(char::is_uppercase);
            for _pod in 0..count.parse().unwrap() {
                let mut pod = Pod { body: json!({"metadata": {}, "status": {"phase": "Running"}}).into() };
                pod.set_label("controller-revision-hash", &format!("web-{}", letter.to_uppercase()));
                pod.set_condition("Ready", ready, at());
                if marked {
                    pod.set_label("apps.kruise.io/specified-delete", "true");
                }
                pods.push(pod);
            }
        }
        pods
    }

    fn numbers(set: &CloneSet, line: &str) -> Diffs {
        diffs(set, &pods(line), "B", at())
    }

    #[test]
    fn a_step_updates_as_many_pods_as_partition_lets_go() {
        let ten = set(10, json!({"partition": "50%"}));
        let diffs = numbers(&ten, "10A");
        assert_eq!((diffs.update, diffs.update_max_unavailable, diffs.scale_up), (5, 2, 0));
        assert_eq!(numbers(&ten, "5A 5B").update, 0);
    }

    #[test]
    fn raising_partition_moves_nothing_back() {
        let raised = set(10, json!({"partition": "90%"}));
        assert_eq!(numbers(&raised, "5A 5B"), Diffs::default());
    }

    #[test]
    fn scaling_up_shares_the_new_pods_by_partition() {
        let integer = numbers(&set(20, json!({"partition": 8})), "8A 2B");
        assert_eq!((integer.scale_up, integer.scale_up_old, integer.scale_up_limit), (10, 0, 10));
        let percent = numbers(&set(20, json!({"partition": "80%"})), "8A 2B");
        assert_eq!((percent.scale_up, percent.scale_up_old), (10, 8));
    }

    #[test]
    fn scaling_in_takes_the_old_ones_first_at_partition_0() {
        let diffs = numbers(&set(4, json!({"partition": 0, "paused": true})), "4A 4B");
        assert_eq!((diffs.scale_down, diffs.scale_down_old, diffs.delete_ready_limit), (4, 4, 5));
    }

    #[test]
    fn surge_makes_pods_of_the_new_revision_first() {
        let strategy = json!({"partition": 3, "maxUnavailable": 1, "maxSurge": 1});
        let diffs = numbers(&set(5, strategy.clone()), "5A");
        assert_eq!((diffs.scale_up, diffs.scale_up_old), (1, 0));
        let diffs = numbers(&set(5, strategy), "5A 1b");
        assert_eq!((diffs.scale_up, diffs.update, diffs.update_max_unavailable), (0, 1, 2));
    }

    #[test]
    fn surge_pods_of_a_bad_revision_can_stay_for_ever() {
        let wedged = set(6, json!({"partition": "50%", "maxUnavailable": 0, "maxSurge": 2, "paused": true}));
        let diffs = numbers(&wedged, "6A 2b");
        assert_eq!((diffs.scale_down, diffs.scale_down_old, diffs.delete_ready_limit), (2, 3, 0));
    }

    #[test]
    fn pods_marked_for_deletion_get_a_replacement_first_where_surge_allows_it() {
        let surge = set(5, json!({"maxUnavailable": 0, "maxSurge": 1}));
        let diffs = numbers(&surge, "4B 1B!");
        assert_eq!((diffs.scale_up, diffs.delete_ready_limit), (1, 0));
        assert_eq!(numbers(&surge, "5B 1B!").delete_ready_limit, 1);
    }
}
