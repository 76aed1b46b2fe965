//! A pod as the CloneSet controller and the kubelets read it: a document with names for what matters in it.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::devcluster::clock::second;
use crate::devcluster::cloneset::{API_VERSION, CloneSet};
use crate::devcluster::json::{Body, items, list, map, text};

pub use crate::devcluster::builtin::PODS;
/// The pod's revision: the full name of a ControllerRevision (without the gate CloneSetShortHash).
pub const REVISION: &str = "controller-revision-hash";
/// The last part of the revision's name.
pub const TEMPLATE_HASH: &str = "pod-template-hash";
/// The random part of the pod's name.
const INSTANCE: &str = "apps.kruise.io/cloneset-instance-id";
/// Marks a pod to be deleted; any value counts (`pkg/util/specifieddelete`).
pub const SPECIFIED_DELETE: &str = "apps.kruise.io/specified-delete";
/// Where in its life a pod is (`apis/apps/pub/lifecycle.go`).
pub const STATE: &str = "lifecycle.apps.kruise.io/state";
/// When the state was last changed.
pub const STATE_TIME: &str = "lifecycle.apps.kruise.io/timestamp";
/// Condition and readiness gate: False while the pod is updated in place.
pub const IN_PLACE_READY: &str = "InPlaceUpdateReady";
/// Condition and readiness gate: False while a hook says so. Injected by the pod webhook.
pub const POD_READY: &str = "KruisePodReady";
/// Read first when pods are chosen for scale-in, after their health.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// `lifecycle.apps.kruise.io/state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Made, not yet normal.
    PreparingNormal,
    /// As it should be; also a pod without the label.
    Normal,
    /// Waits for the hook before the update in place.
    PreparingUpdate,
    /// Is being updated in place.
    Updating,
    /// Updated, waits for the hook after it.
    Updated,
    /// Waits for the hook before it is deleted.
    PreparingDelete,
}

impl State {
    /// The label's value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            State::PreparingNormal => "PreparingNormal",
            State::Normal => "Normal",
            State::PreparingUpdate => "PreparingUpdate",
            State::Updating => "Updating",
            State::Updated => "Updated",
            State::PreparingDelete => "PreparingDelete",
        }
    }
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The whole document.
    pub body: Body,
}

impl Pod {
    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.body, "/metadata/name")
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        text(&self.body, "/metadata/namespace")
    }

    /// A label's value.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.body["metadata"]["labels"].get(key)?.as_str()
    }

    /// An annotation's value.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.body["metadata"]["annotations"].get(key)?.as_str()
    }

    /// The node that it is bound to, or `""`.
    #[must_use]
    pub fn node(&self) -> &str {
        text(&self.body, "/spec/nodeName")
    }

    /// `status.phase`.
    #[must_use]
    pub fn phase(&self) -> &str {
        text(&self.body, "/status/phase")
    }

    /// Whether it was deleted and waits for its kubelet.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        !text(&self.body, "/metadata/deletionTimestamp").is_empty()
    }

    /// Whether the controller counts it: neither terminating nor at its end (kube `IsPodActive`).
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.is_terminating() && !matches!(self.phase(), "Succeeded" | "Failed")
    }

    /// A condition of its status.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Value> {
        items(&self.body, "/status/conditions").find(|condition| condition["type"] == kind)
    }

    /// Whether a condition is there and True.
    #[must_use]
    pub fn is_true(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition["status"] == "True")
    }

    /// The conditions that its readiness waits for.
    pub fn gates(&self) -> impl Iterator<Item = &str> {
        items(&self.body, "/spec/readinessGates").filter_map(|gate| gate["conditionType"].as_str())
    }

    /// The revision's short hash: what stands after the last `-`.
    #[must_use]
    pub fn revision(&self) -> &str {
        short_hash(self.label(REVISION).unwrap_or_default())
    }

    /// Its place in the lifecycle.
    #[must_use]
    pub fn state(&self) -> State {
        match self.label(STATE) {
            Some("PreparingNormal") => State::PreparingNormal,
            Some("PreparingUpdate") => State::PreparingUpdate,
            Some("Updating") => State::Updating,
            Some("Updated") => State::Updated,
            Some("PreparingDelete") => State::PreparingDelete,
            Some(_) | None => State::Normal,
        }
    }

    /// Whether it is marked for deletion, by its label or in `scaleStrategy.podsToDelete`.
    #[must_use]
    pub fn is_specified(&self, set: &CloneSet) -> bool {
        self.label(SPECIFIED_DELETE).is_some()
            || set.spec.pods_to_delete.iter().any(|name| name == self.name())
    }

    /// Ready for at least `min_ready_seconds` and not in an update in place
    /// (`pkg/controller/cloneset/core/cloneset_core.go:IsPodUpdateReady`). A Ready condition without a time is
    /// never old enough.
    #[must_use]
    pub fn is_update_ready(&self, min_ready_seconds: i64, now: Timestamp) -> bool {
        let Some(ready) = self.condition("Ready").filter(|ready| ready["status"] == "True") else {
            return false;
        };
        let since = || ready["lastTransitionTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let long_enough = min_ready_seconds == 0
            || since().is_some_and(|since| {
                since.as_millisecond() + min_ready_seconds * 1_000 < now.as_millisecond()
            });
        let updating = self.condition(IN_PLACE_READY).is_some_and(|condition| condition["status"] != "True");
        self.phase() == "Running" && long_enough && !updating
    }

    /// What counts as available: the same, in the state Normal (`sync/cloneset_sync_utils.go:IsPodAvailable`).
    #[must_use]
    pub fn is_available(&self, min_ready_seconds: i64, now: Timestamp) -> bool {
        self.state() == State::Normal && self.is_update_ready(min_ready_seconds, now)
    }

    /// `controller.kubernetes.io/pod-deletion-cost`, 0 where it is absent or no number.
    #[must_use]
    pub fn deletion_cost(&self) -> i64 {
        self.annotation(DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0)
    }

    /// Most restarts of one of its containers.
    #[must_use]
    pub fn restarts(&self) -> i64 {
        let counts = items(&self.body, "/status/containerStatuses");
        counts.filter_map(|status| status["restartCount"].as_i64()).max().unwrap_or(0)
    }

    /// Sets a label.
    pub fn set_label(&mut self, key: &str, value: &str) {
        map(&mut self.body["metadata"], "labels").insert(key.to_owned(), json!(value));
    }

    /// Sets an annotation.
    pub fn set_annotation(&mut self, key: &str, value: &str) {
        map(&mut self.body["metadata"], "annotations").insert(key.to_owned(), json!(value));
    }

    /// Removes an annotation.
    pub fn remove_annotation(&mut self, key: &str) {
        map(&mut self.body["metadata"], "annotations").remove(key);
    }

    /// Sets a condition of the status; its time moves only when its status does.
    pub fn set_condition(&mut self, kind: &str, holds: bool, now: Timestamp) {
        let status = if holds { "True" } else { "False" };
        let conditions = list(map_of_status(&mut self.body), "conditions");
        let stands = conditions.iter_mut().find(|condition| condition["type"] == kind);
        let fresh = json!({"type": kind, "status": status, "lastTransitionTime": second(now)});
        match stands {
            Some(condition) if condition["status"] == status => {}
            Some(condition) => *condition = fresh,
            None => conditions.push(fresh),
        }
    }

    /// Says no to readiness at once where a gate is closed, as Kruise does without waiting for the kubelet
    /// (`pkg/util/pods.go:SetPodReadyCondition`): Ready=False without a time. Containers that are not ready keep it
    /// to the kubelet.
    pub fn close_ready(&mut self) {
        let open = self.gates().all(|gate| self.is_true(gate));
        if open || !self.is_true("Ready") || !self.is_true("ContainersReady") {
            return;
        }
        let conditions = list(map_of_status(&mut self.body), "conditions");
        if let Some(ready) = conditions.iter_mut().find(|condition| condition["type"] == "Ready") {
            *ready = json!({"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady",
                "lastTransitionTime": null});
        }
    }
}

fn map_of_status(body: &mut Body) -> &mut Value {
    let body: &mut Value = body;
    map(body, "status");
    &mut body["status"]
}

/// The part of a revision's name after the last `-`, by which pods and revisions are compared.
#[must_use]
pub fn short_hash(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(_set, hash)| hash)
}

/// A new pod of a CloneSet (`core/cloneset_core.go:newVersionedPods`, and the pod webhook's readiness gate).
/// `template` is the one of the revision, `id` five letters.
#[must_use]
pub fn new_pod(set: &CloneSet, template: &Value, revision: &str, id: &str, now: Timestamp) -> Pod {
    let meta = &template["metadata"];
    let mut pod = Pod {
        body: Body::from(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("{}-{id}", set.name()),
                "generateName": format!("{}-", set.name()),
                "namespace": set.namespace(),
                "ownerReferences": [owner_reference(set)],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        })),
    };
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = meta.get(field).filter(|value| !value.is_null()) {
            pod.body["metadata"][field] = value.clone();
        }
    }
    pod.set_label(REVISION, revision);
    pod.set_label(TEMPLATE_HASH, short_hash(revision));
    pod.set_label(INSTANCE, id);
    pod.set_label(STATE, State::PreparingNormal.label());
    pod.set_annotation(STATE_TIME, &second(now));
    let gates = list(&mut pod.body["spec"], "readinessGates");
    gates.push(json!({"conditionType": IN_PLACE_READY}));
    gates.push(json!({"conditionType": POD_READY}));
    pod
}

/// The owner reference by which the CloneSet claims its pods and revisions.
#[must_use]
pub fn owner_reference(set: &CloneSet) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "CloneSet", "name": set.name(), "uid": set.uid(),
        "controller": true, "blockOwnerDeletion": true})
}

/// The uid of the controlling owner, or `""`.
#[must_use]
pub fn controller_uid(body: &Value) -> &str {
    items(body, "/metadata/ownerReferences")
        .find(|owner| owner["controller"] == true)
        .map_or("", |owner| text(owner, "/uid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn web() -> CloneSet {
        CloneSet::read(json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": {}}))
    }

    #[test]
    fn a_new_pod_carries_both_hashes_its_owner_and_both_gates() {
        let template = json!({"metadata": {"labels": {"app": "web"}, "creationTimestamp": null}, "spec": {"containers": []}});
        let pod = new_pod(&web(), &template, "web-764b8b9977", "5jzqm", at(0));
        assert_eq!(
            (pod.name(), pod.revision(), pod.state()),
            ("web-5jzqm", "764b8b9977", State::PreparingNormal)
        );
        assert_eq!(pod.label(TEMPLATE_HASH), Some("764b8b9977"));
        assert_eq!(pod.gates().collect::<Vec<_>>(), ["InPlaceUpdateReady", "KruisePodReady"]);
        assert_eq!(controller_uid(&pod.body), "u");
    }

    #[test]
    fn ready_counts_as_available_only_after_min_ready_seconds_and_in_the_state_normal() {
        let mut pod = new_pod(&web(), &json!({"spec": {}}), "web-a", "x", at(0));
        pod.body["status"]["phase"] = json!("Running");
        pod.set_condition("Ready", true, at(0));
        assert!(
            pod.is_update_ready(0, at(0)) && !pod.is_update_ready(4, at(4)) && pod.is_update_ready(4, at(5))
        );
        assert!(!pod.is_available(0, at(0)), "PreparingNormal");
        pod.set_label(STATE, "Normal");
        assert!(pod.is_available(0, at(0)));
        pod.set_condition(IN_PLACE_READY, false, at(1));
        assert!(!pod.is_available(0, at(9)));
    }
}
