//! The CloneSet's status (`pkg/controller/cloneset/cloneset_status.go`), as 1.8.3 writes it.
//!
//! It describes the pods as they were listed, before the pass acted on them. Conditions are those of this pass only:
//! a failure is gone with the next status that is written, and a condition alone is no reason to write.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::devcluster::clock::second;
use crate::devcluster::cloneset::CloneSet;
use crate::devcluster::pods::Pod;
use crate::devcluster::revision::Active;
use crate::devcluster::rounding::partition_pods;

/// Which half of a pass failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Making and deleting.
    Scale,
    /// Updating.
    Update,
}

/// A failure of a pass.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where.
    pub half: Half,
    /// Go's error text.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// The fields that make a status worth writing (`inconsistentStatus`); conditions are not among them.
const COMPARED: [&str; 10] = [
    "replicas",
    "readyReplicas",
    "availableReplicas",
    "updatedReplicas",
    "updatedReadyReplicas",
    "updatedAvailableReplicas",
    "expectedUpdatedReplicas",
    "currentRevision",
    "updateRevision",
    "labelSelector",
];

/// The new status, if it differs from the one that stands. `pods` are the active ones from before the pass.
#[must_use]
pub fn status(
    set: &CloneSet,
    pods: &[Pod],
    active: &Active,
    failures: &[Failure],
    now: Timestamp,
) -> Option<Value> {
    let new = calculate(set, pods, active, failures, now);
    let old = &set.body["status"];
    let generation = |status: &Value| status["observedGeneration"].as_i64().unwrap_or(0);
    let count = |status: &Value, field: &str| status.get(field).cloned().unwrap_or_else(|| json!(0));
    let differs = generation(&new) > generation(old)
        || COMPARED.iter().any(|field| count(&new, field) != count(old, field));
    differs.then_some(new)
}

fn calculate(set: &CloneSet, pods: &[Pod], active: &Active, failures: &[Failure], now: Timestamp) -> Value {
    let target = active.update.short_hash();
    let min_ready = set.spec.min_ready_seconds;
    let count = |test: &dyn Fn(&Pod) -> bool| pods.iter().filter(|pod| test(pod)).count() as i64;
    let is_updated = |pod: &Pod| pod.revision() == target;
    let is_ready = |pod: &Pod| pod.is_update_ready(0, now);
    let is_available = |pod: &Pod| pod.is_available(min_ready, now);
    let replicas = pods.len() as i64;
    let updated = count(&is_updated);
    // "No need to wait all of them ready": a revision that never worked can become current.
    let all = updated == replicas && replicas == set.spec.replicas;
    let current = if all { &active.update } else { &active.current };
    let mut status = Map::new();
    let mut set_field = |field: &str, value: Value| status.insert(field.to_owned(), value);
    set_field("observedGeneration", json!(set.generation()));
    set_field("replicas", json!(replicas));
    set_field("readyReplicas", json!(count(&is_ready)));
    set_field("availableReplicas", json!(count(&is_available)));
    set_field("updatedReplicas", json!(updated));
    set_field("updatedReadyReplicas", json!(count(&|pod| is_updated(pod) && is_ready(pod))));
    let updated_available = count(&|pod| is_updated(pod) && is_available(pod));
    if updated_available > 0 {
        set_field("updatedAvailableReplicas", json!(updated_available));
    }
    if let Ok(kept) = partition_pods(set.spec.partition.as_ref(), set.spec.replicas)
        && set.spec.replicas != kept
    {
        set_field("expectedUpdatedReplicas", json!(set.spec.replicas - kept));
    }
    set_field("currentRevision", json!(current.name()));
    set_field("updateRevision", json!(active.update.name()));
    set_field("collisionCount", json!(set.body["status"]["collisionCount"].as_i64().unwrap_or(0)));
    set_field("labelSelector", json!(set.spec.selector.line()));
    if !failures.is_empty() {
        set_field("conditions", failures.iter().map(condition).collect());
    }
    Value::Object(status)
}

fn condition(failure: &Failure) -> Value {
    let kind = match failure.half {
        Half::Scale => "FailedScale",
        Half::Update => "FailedUpdate",
    };
    json!({"type": kind, "status": "True", "lastTransitionTime": second(failure.at), "message": failure.message})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcluster::revision::active;

    fn set(generation: i64, replicas: i64, status: Value) -> CloneSet {
        CloneSet::read(json!({
            "metadata": {"name": "web", "generation": generation},
            "spec": {"replicas": replicas, "updateStrategy": {"partition": "100%"}, "template": {},
                "selector": {"matchLabels": {"app": "web"}}},
            "status": status,
        }))
    }

    fn at() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    #[test]
    fn zero_counts_that_kruise_omits_are_absent_and_the_others_are_there() {
        let set = set(1, 10, Value::Null);
        let new = status(&set, &[], &active(&set, &[]), &[], at()).unwrap();
        assert_eq!(new.get("updatedAvailableReplicas"), None);
        assert_eq!(new.get("expectedUpdatedReplicas"), None);
        assert_eq!((&new["replicas"], &new["updatedReadyReplicas"]), (&json!(0), &json!(0)));
        assert_eq!((&new["labelSelector"], new.get("conditions")), (&json!("app=web"), None));
    }

    #[test]
    fn a_failure_alone_is_not_written_and_does_not_stay() {
        let empty = set(1, 0, Value::Null);
        let revisions = active(&empty, &[]);
        let failure = Failure { half: Half::Scale, message: "no".to_owned(), at: at() };
        let first = status(&empty, &[], &revisions, std::slice::from_ref(&failure), at()).unwrap();
        assert_eq!(first["conditions"][0]["message"], "no");
        let stands = set(1, 0, first.clone());
        assert!(status(&stands, &[], &revisions, &[], at()).is_none(), "nothing compared has changed");
        let next = status(&set(2, 0, first), &[], &revisions, &[], at()).unwrap();
        assert_eq!(next.get("conditions"), None);
    }

    #[test]
    fn at_zero_replicas_the_update_revision_becomes_current() {
        let set = set(2, 0, json!({"currentRevision": "web-old"}));
        let new = status(&set, &[], &active(&set, &[]), &[], at()).unwrap();
        assert_eq!(new["currentRevision"], new["updateRevision"]);
    }
}
