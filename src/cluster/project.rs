//! Objects of the API as projections: what decisions look at, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cluster::tools::other_tool;
use crate::fields::{Ownership, Stand};
use crate::model::{Amount, Name, Namespace, Percent, ReleaseId, ResourceVersion, TemplateHash, Uid};
use crate::objects::record::{Documents, ReleaseStatus};
use crate::objects::{Kind, ObjectKey, keys};
use crate::world::{CompanionLive, CounterStatus, Drift, Leads, Live, Memory, PodLive, RecordLive, Stage};
use crate::world::{Kept, Marks, PodKept, twin_name};

/// A CloneSet as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenCloneSet {
    /// Its projection; `drift` is empty.
    pub live: Live,
    /// The release whose second CloneSet it is, and the template that its pods are to have.
    pub twin: Option<(ReleaseId, TemplateHash)>,
    /// A partition that is neither a count nor a percentage, as it stands: Kruise keeps every pod then.
    pub odd_partition: Option<String>,
}

/// A companion as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenCompanion {
    /// Its projection; `drift` is empty.
    pub live: CompanionLive,
    /// What a drift is computed from.
    pub stand: Stand,
    /// Whether it is a Service of ours beside one that is shared by weights.
    pub leads: bool,
}

/// A pod with our readiness gate as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenPod {
    /// Its projection.
    pub live: PodLive,
    /// The CloneSet that made it.
    pub release: Name,
}

/// An EndpointSlice of a Service of ours as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenEndpoints {
    /// Its UID.
    pub uid: Uid,
    /// The version that was seen.
    pub version: ResourceVersion,
    /// The Service that it is of.
    pub service: Uid,
    /// The release that the Service leads to, by its label.
    pub release: Name,
    /// Its ready endpoints: the pods' names, or addresses where there are none.
    pub ready: BTreeSet<String>,
}

/// A pod in a state in which a lifecycle hook may keep it, as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenKept {
    /// Its projection.
    pub live: PodKept,
    /// The CloneSet that made it.
    pub release: Name,
}

/// A record as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenRecord {
    /// Its projection; documents are left out of its status.
    pub live: RecordLive,
    /// They stand here.
    pub documents: Documents,
    /// Its spec, as bytes.
    pub stand: Stand,
    /// Where the daemon that wrote it has its lease.
    pub lease: Option<String>,
}

impl SeenRecord {
    /// Its status, documents included.
    #[must_use]
    pub fn status(&self) -> ReleaseStatus {
        ReleaseStatus { documents: self.documents.clone(), ..ReleaseStatus::clone(&self.live.status) }
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

fn count(object: &Value, pointer: &str) -> u32 {
    object.pointer(pointer).and_then(Value::as_u64).and_then(|it| it.try_into().ok()).unwrap_or(0)
}

fn map(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let entries = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn uid(object: &Value) -> Option<Uid> {
    text(object, "/metadata/uid").map(Uid::new)
}

fn version(object: &Value) -> Option<ResourceVersion> {
    text(object, "/metadata/resourceVersion").map(ResourceVersion::new)
}

/// Which release a CloneSet or a record of this namespace and name is; `None` where a name is none of ours.
#[must_use]
pub fn id(object: &Value) -> Option<ReleaseId> {
    let namespace: Namespace = text(object, "/metadata/namespace")?.parse().ok()?;
    let name: Name = text(object, "/metadata/name")?.parse().ok()?;
    Some(ReleaseId { namespace, name })
}

/// Which object it is.
#[must_use]
pub fn key(kind: Kind, object: &Value) -> Option<ObjectKey> {
    id(object).map(|id| ObjectKey { kind, namespace: id.namespace, name: id.name })
}

/// The object without status, server's metadata and memory.
#[must_use]
pub fn stand(object: &Value) -> Stand {
    let mut kept = object.clone();
    if let Some(fields) = kept.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| {
                let kept = ["name", "namespace", "labels", "annotations", "finalizers", "ownerReferences"];
                kept.contains(&name.as_str())
            });
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.retain(|name, _| !keys::MEMORY.contains(&name.as_str()));
            }
        }
    }
    Stand::owned_by(&kept, Ownership::of(object, keys::FIELD_MANAGER))
}

fn status(object: &Value) -> CounterStatus {
    let revision = |name: &str| text(object, &format!("/status/{name}")).unwrap_or_default().to_owned();
    let count = |name: &str| count(object, &format!("/status/{name}"));
    CounterStatus {
        observed_generation: object.pointer("/status/observedGeneration").and_then(Value::as_i64),
        replicas: count("replicas"),
        ready: count("readyReplicas"),
        available: count("availableReplicas"),
        updated: count("updatedReplicas"),
        updated_available: count("updatedAvailableReplicas"),
        expected_updated: count("expectedUpdatedReplicas"),
        current_revision: revision("currentRevision"),
        update_revision: revision("updateRevision"),
    }
}

/// `spec.updateStrategy.partition`; what cannot be read keeps every pod, as in Kruise.
fn partition(object: &Value) -> (Amount, Option<String>) {
    let keep_all = Amount::Percent(Percent::FULL);
    match object.pointer("/spec/updateStrategy/partition") {
        None | Some(Value::Null) => (Amount::Count(0), None),
        Some(Value::Number(number)) => match number.as_u64().map(u32::try_from) {
            Some(Ok(count)) => (Amount::Count(count), None),
            _ => (keep_all, Some(number.to_string())),
        },
        Some(Value::String(text)) if text.ends_with('%') => match text.parse() {
            Ok(amount) => (amount, None),
            Err(_) => (keep_all, Some(text.clone())),
        },
        Some(other) => (keep_all, Some(other.to_string())),
    }
}

/// `spec.scaleStrategy.podsToDelete`; what is no name is no pod.
fn to_delete(object: &Value) -> BTreeSet<Name> {
    let names = object.pointer("/spec/scaleStrategy/podsToDelete").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(|name| name.as_str()?.parse().ok()).collect()
}

/// A CloneSet; `None` where the object has no UID, version or name, which no server sends.
#[must_use]
pub fn cloneset(object: &Value) -> Option<SeenCloneSet> {
    let annotations = map(object, "/metadata/annotations");
    let stand = stand(object);
    let (partition, odd_partition) = partition(object);
    let replicas_owner = stand.ownership.owners().other_owner(&["spec", "replicas"]).map(str::to_owned);
    let replicas = object.pointer("/spec/replicas").map_or(1, |_| count(object, "/spec/replicas"));
    let live = Live {
        uid: uid(object)?,
        version: version(object)?,
        generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
        deleting: is_ending(object),
        replicas,
        partition,
        gated: text(object, "/spec/template/metadata/labels/triton.io~1serve") == Some(keys::SERVE_GATED),
        hooks: Arc::new(hooks(object)),
        paused: object.pointer("/spec/updateStrategy/paused") == Some(&Value::Bool(true)),
        to_delete: to_delete(object),
        replicas_owner,
        suspend: annotations.get(keys::SUSPEND).cloned(),
        rollback: annotations.get(keys::ROLLBACK).cloned(),
        root: annotations.get(keys::ROOT).cloned(),
        other_owner: other_tool(object),
        memory: Memory::from_annotations(&annotations),
        status: status(object),
        stand,
        drift: Drift::default(),
        rehearsal: None,
    };
    let twin = twin(object, &annotations);
    Some(SeenCloneSet { live, twin, odd_partition })
}

/// Whose second CloneSet it is: it says of which template, and is named as that of the release would be.
fn twin(object: &Value, annotations: &BTreeMap<String, String>) -> Option<(ReleaseId, TemplateHash)> {
    let template: TemplateHash = annotations.get(keys::TWIN)?.parse().ok()?;
    let own = id(object)?;
    let name: Name = own.name.as_str().rsplit_once('-')?.0.parse().ok()?;
    let named = twin_name(&name, template) == Some(own.name);
    named.then_some((ReleaseId { namespace: own.namespace, name }, template))
}

/// A companion.
#[must_use]
pub fn companion(object: &Value) -> Option<SeenCompanion> {
    let annotations = map(object, "/metadata/annotations");
    let stand = stand(object);
    let live = CompanionLive {
        uid: uid(object)?,
        version: version(object)?,
        release: annotations.get(keys::RELEASE).cloned().unwrap_or_default(),
        other_owner: other_tool(object),
        drift: Arc::default(),
        beside: stand.ownership.owners().beside().into(),
        applied: stand.ownership.owners().has_ours(),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        leads: Leads::default(),
    };
    let leads = object["metadata"]["labels"][keys::TRAFFIC].is_string();
    Some(SeenCompanion { live, stand, leads })
}

/// The lifecycle hooks of a CloneSet.
fn hooks(object: &Value) -> BTreeMap<String, Marks> {
    let hooks = object.pointer("/spec/lifecycle").and_then(Value::as_object).into_iter().flatten();
    let read = |(name, hook): (&String, &Value)| {
        let marks =
            Marks { labels: map(hook, "/labelsHandler"), finalizers: texts(hook, "/finalizersHandler") };
        (marks != Marks::default()).then(|| (name.clone(), marks))
    };
    hooks.filter_map(read).collect()
}

fn texts(object: &Value, pointer: &str) -> Vec<String> {
    let list = object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

/// Whether an object is being deleted.
fn is_ending(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|it| !it.is_null())
}

/// Whether a pod has ended by itself: it stays as it is, and counts no more (Kubernetes, `IsPodActive`).
fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"))
}

/// Since when a pod is where it is in its lifecycle.
fn state_time(pod: &Value) -> Option<Timestamp> {
    pod["metadata"]["annotations"].get(keys::KRUISE_STATE_TIME)?.as_str()?.parse().ok()
}

/// The CloneSet that made a pod.
fn owner(pod: &Value) -> Option<&Value> {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let is_it = |it: &&Value| it["controller"] == true && it["kind"] == Kind::CloneSet.api().kind;
    owners?.iter().find(is_it)
}

/// A pod in a state in which a lifecycle hook may keep it; `None` for any other, and for one that has ended by itself. One
/// that is being deleted waits for its finalizers, whatever state it was in.
#[must_use]
pub fn kept(object: &Value) -> Option<SeenKept> {
    let owner = owner(object)?;
    let mut labels = map(object, "/metadata/labels");
    let state = labels.get(keys::KRUISE_STATE)?;
    let mut kept = Kept::ALL.into_iter().find(|kept| kept.label() == state)?;
    if has_ended(object) {
        return None;
    }
    let since = state_time(object);
    if is_ending(object) {
        kept = Kept::BeforeDelete;
        labels.clear();
    }
    let live = PodKept {
        name: text(object, "/metadata/name")?.parse().ok()?,
        uid: uid(object)?,
        version: version(object)?,
        owner: Uid::new(text(owner, "/uid")?),
        kept,
        since,
        marks: Marks { finalizers: texts(object, "/metadata/finalizers"), labels },
    };
    Some(SeenKept { live, release: text(owner, "/name")?.parse().ok()? })
}

/// A pod; `None` for one that no CloneSet has made.
#[must_use]
pub fn pod(object: &Value) -> Option<SeenPod> {
    let owner = owner(object)?;
    let conditions = || object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let holds = |kind: &str| conditions().any(|it| it["type"] == kind && it["status"] == "True");
    let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
    let stage = match label(keys::KRUISE_STATE) {
        Some("PreparingUpdate") => Stage::Asks,
        Some("Updating") => Stage::Updating,
        Some(_) | None => Stage::Settled,
    };
    let live = PodLive {
        name: text(object, "/metadata/name")?.parse().ok()?,
        uid: uid(object)?,
        version: version(object)?,
        owner: Uid::new(text(owner, "/uid")?),
        revision: text(object, "/metadata/labels/controller-revision-hash").unwrap_or_default().to_owned(),
        stage,
        since: state_time(object),
        held: label(keys::SERVE) == Some(keys::SERVE_GATED),
        up: holds("ContainersReady") && stage != Stage::Updating,
        serves: holds(keys::SERVE),
        ready: holds("Ready"),
        ending: is_ending(object) || has_ended(object),
        ip: text(object, "/status/podIP").map(str::to_owned),
    };
    Some(SeenPod { live, release: text(owner, "/name")?.parse().ok()? })
}

/// An EndpointSlice; `None` for one that no Service has made, or of no Service of ours. That nothing is said of an endpoint's
/// readiness means that it is ready (Kubernetes, `discovery/v1`: `EndpointConditions`).
#[must_use]
pub fn endpoints(object: &Value) -> Option<SeenEndpoints> {
    let mut owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array)?.iter();
    let owner = owners.find(|it| it["kind"] == Kind::Service.api().kind)?;
    let listed = object.get("endpoints").and_then(Value::as_array).into_iter().flatten();
    let ready = listed.filter(|it| it.pointer("/conditions/ready") != Some(&Value::Bool(false)));
    let named = |it: &Value| {
        let name = text(it, "/targetRef/name").or_else(|| text(it, "/addresses/0"))?;
        Some(name.to_owned())
    };
    Some(SeenEndpoints {
        uid: uid(object)?,
        version: version(object)?,
        service: Uid::new(text(owner, "/uid")?),
        release: object["metadata"]["labels"][keys::TRAFFIC].as_str()?.parse().ok()?,
        ready: ready.filter_map(named).collect(),
    })
}

/// A record. A status that cannot be read is one that says nothing: the record is written again.
#[must_use]
pub fn record(object: &Value) -> Option<SeenRecord> {
    let annotations = map(object, "/metadata/annotations");
    let mut status: ReleaseStatus =
        object.get("status").cloned().and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default();
    let documents = std::mem::take(&mut status.documents);
    let live = RecordLive {
        uid: uid(object)?,
        version: version(object)?,
        generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
        root: annotations.get(keys::ROOT).cloned(),
        memory: Memory::from_annotations(&status.memory),
        replicas: status.view.pods.desired,
        status: Arc::new(status),
    };
    let spec = json!({"spec": object.get("spec").cloned().unwrap_or_default()});
    let lease = annotations.get(keys::LEASE_NAMESPACE).cloned();
    Some(SeenRecord { live, documents, stand: Stand::of(&spec), lease })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Value {
        json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
            "metadata": {"namespace": "shop", "name": "web", "uid": "u", "resourceVersion": "7", "generation": 3,
                "labels": {"app": "web"}, "annotations": {keys::STEP: "2", keys::SUSPEND: "", "note": "x"},
                "managedFields": [{"manager": "hpa", "operation": "Update", "subresource": "scale",
                    "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
            "spec": {"replicas": 5, "updateStrategy": {"partition": "99.5%"}, "template": {}},
            "status": {"observedGeneration": 3, "replicas": 5, "updatedReplicas": 1, "updateRevision": "web-1"},
        })
    }

    #[test]
    fn a_cloneset_becomes_what_decisions_look_at() {
        let seen = cloneset(&object()).unwrap();
        let live = seen.live;
        assert_eq!((live.replicas, live.partition.to_string()), (5, "99.5%".to_owned()));
        assert_eq!(live.replicas_owner.as_deref(), Some("hpa (scale)"));
        assert_eq!(live.suspend.as_deref(), Some(""));
        assert!(live.is_fresh() && !live.deleting && live.memory.is_none());
        assert_eq!(
            (live.status.updated, live.status.expected_updated, live.status.update_revision.as_str()),
            (1, 0, "web-1")
        );
        let stands = live.stand.ours();
        assert_eq!(stands["metadata"]["annotations"], json!({"note": "x", keys::SUSPEND: ""}));
        assert_eq!(stands.get("status"), None);
    }

    #[test]
    fn a_partition_that_cannot_be_read_keeps_every_pod() {
        for odd in [json!("5"), json!("120%"), json!(-1), json!({})] {
            let mut object = object();
            object["spec"]["updateStrategy"]["partition"] = odd;
            let seen = cloneset(&object).unwrap();
            assert_eq!(seen.live.kept(), 5);
            assert!(seen.odd_partition.is_some());
        }
        let mut bare = object();
        bare["spec"] = json!({});
        let seen = cloneset(&bare).unwrap();
        assert_eq!((seen.live.replicas, seen.live.kept(), seen.odd_partition), (1, 0, None));
    }

    #[test]
    fn a_pod_between_two_versions_is_not_up_and_the_label_says_whether_it_is_held() {
        let seen = |state: &str, label: &str, phase: &str| {
            let object = json!({
                "metadata": {"name": "p", "uid": "u", "resourceVersion": "1",
                    "labels": {keys::KRUISE_STATE: state, keys::SERVE: label},
                    "ownerReferences": [{"kind": "CloneSet", "name": "web", "uid": "o", "controller": true}]},
                "status": {"phase": phase, "conditions": [
                    {"type": "ContainersReady", "status": "True"}, {"type": keys::SERVE, "status": "False"}]}});
            let it = pod(&object).unwrap().live;
            (it.stage, it.held, it.up, it.ending)
        };
        assert_eq!(seen("Normal", "gated", "Running"), (Stage::Settled, true, true, false));
        assert_eq!(seen("PreparingUpdate", "updating", "Running"), (Stage::Asks, false, true, false));
        assert_eq!(seen("Updating", "updating", "Running"), (Stage::Updating, false, false, false));
        assert_eq!(seen("Updated", "updating", "Running"), (Stage::Settled, false, true, false));
        assert_eq!(seen("Normal", "gated", "Failed"), (Stage::Settled, true, true, true));
    }

    #[test]
    fn a_pod_that_has_ended_is_kept_by_nothing_and_one_that_is_being_deleted_by_its_finalizers_alone() {
        let pod = json!({
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "p", "resourceVersion": "8",
                "labels": {keys::KRUISE_STATE: "PreparingUpdate", "busy": "yes"}, "finalizers": ["queue"],
                "annotations": {keys::KRUISE_STATE_TIME: "2026-03-01T12:00:00Z"},
                "ownerReferences": [{"kind": "CloneSet", "name": "web", "uid": "u", "controller": true}]},
            "status": {"phase": "Running"},
        });
        let seen = kept(&pod).unwrap().live;
        assert_eq!((seen.kept, seen.marks.labels.len()), (Kept::BeforeUpdate, 2));
        assert_eq!(seen.since, "2026-03-01T12:00:00Z".parse().ok());
        for phase in ["Succeeded", "Failed"] {
            let mut ended = pod.clone();
            ended["status"]["phase"] = json!(phase);
            assert_eq!(kept(&ended), None);
        }
        let mut ending = pod;
        ending["metadata"]["deletionTimestamp"] = json!("2026-03-01T12:00:05Z");
        let seen = kept(&ending).unwrap().live;
        let marks = Marks { labels: BTreeMap::new(), finalizers: vec!["queue".to_owned()] };
        assert_eq!((seen.kept, seen.marks), (Kept::BeforeDelete, marks));
    }

    #[test]
    fn a_record_with_a_status_that_makes_no_sense_is_a_record_without_one() {
        let object = json!({"metadata": {"namespace": "a", "name": "b", "uid": "u", "resourceVersion": "1"},
            "status": {"holds": 7}});
        let seen = record(&object).unwrap();
        assert_eq!(*seen.live.status, ReleaseStatus::default());
        assert_eq!(seen.live.memory, None);
    }
}
