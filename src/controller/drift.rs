//! How the cluster differs from what we wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::project;
use crate::cluster::{Error, SeenCloneSet};
use crate::fields::{FieldChange, Fingerprint, Stand, compare, drift};
use crate::model::ReleaseId;
use crate::objects::{ObjectKey, keys};
use crate::plan::body;
use crate::spec::{Body, Release, hook};
use crate::world::{Drift, Policy};

/// Most changes that are told at once: whoever mends one sees the others.
const TOLD_MAX: usize = 3;

/// What the server made of our last apply of an object: differences that are there from the beginning are no drift.
struct Echo {
    wanted: Fingerprint,
    differences: Vec<FieldChange>,
}

/// What the server made of our own writes, for objects where it was not what we sent.
#[derive(Default)]
pub struct Echoes(BTreeMap<ObjectKey, Echo>);

/// A CloneSet as it should stand, but for what the planner compares itself: replicas, partition, paused, which pods are
/// deleted, our hook and memory.
#[must_use]
pub fn wanted_cloneset(release: &Release, policy: &Policy) -> Value {
    let mut wanted = Value::clone(&body::companion(&release.cloneset, &release.id, policy));
    without_rollout(&mut wanted);
    wanted
}

/// Takes out of a CloneSet what the rollout decides.
pub fn without_rollout(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    spec.remove("replicas");
    if let Some(strategy) = spec.get_mut("updateStrategy").and_then(Value::as_object_mut) {
        strategy.remove("partition");
        strategy.remove("paused");
    }
    if let Some(scale) = spec.get_mut("scaleStrategy").and_then(Value::as_object_mut) {
        scale.remove("podsToDelete");
    }
    hook::take_out(&mut object["spec"]);
}

impl Echoes {
    /// Notes what the server returned to an apply of `sent`.
    pub fn note(&mut self, key: &ObjectKey, sent: &Value, returned: &Value) {
        let wanted = asked(sent);
        let stand = project::stand(returned);
        let differences = differences(&wanted, &stand);
        let known = self.0.get(key).is_some_and(|it| it.differences == differences);
        if !known && !differences.is_empty() {
            let told = told(&differences);
            tracing::info!(object = %key, "a mutating webhook changes what is written, which is no drift: {told}");
        }
        if differences.is_empty() {
            self.0.remove(key);
        } else {
            self.0.insert(key.clone(), Echo { wanted: Fingerprint::of(&wanted), differences });
        }
    }

    /// Forgets an object.
    pub fn forget(&mut self, key: &ObjectKey) {
        self.0.remove(key);
    }

    /// Keeps those of the objects that there are.
    pub fn retain(&mut self, has: impl Fn(&ObjectKey) -> bool) {
        self.0.retain(|key, _| has(key));
    }

    /// How `key` differs from `wanted`.
    fn drift(&self, key: &ObjectKey, wanted: &Value, stand: &Stand) -> Vec<FieldChange> {
        let mut changes = differences(wanted, stand);
        let echo =
            self.0.get(key).filter(|echo| !changes.is_empty() && echo.wanted == Fingerprint::of(wanted));
        if let Some(echo) = echo {
            let known = |change: &FieldChange| {
                echo.differences.iter().any(|it| it.path == change.path && it.found == change.found)
            };
            changes.retain(|change| !known(change));
        }
        changes
    }

    /// How a CloneSet differs from `wanted`.
    ///
    /// A template whose revision is `revision`, the one that memory knows, is the template that we wrote, however the server
    /// spells it.
    #[must_use]
    pub fn cloneset(
        &self,
        key: &ObjectKey,
        wanted: &Value,
        seen: &SeenCloneSet,
        revision: Option<&str>,
    ) -> Drift {
        let mut changes = self.drift(key, wanted, &seen.live.stand);
        let live = &seen.live;
        let is_known = live.is_fresh() && revision.is_some_and(|it| *it == *live.status.update_revision);
        if is_known {
            changes.retain(|change| !is_template(change) || change.found.as_ref() == Some(&change.wanted));
        }
        let template = changes.iter().any(|it| is_template(it) && it.found.as_ref() != Some(&it.wanted));
        let owners = seen.live.stand.ownership.owners();
        let partition_owner = owners.other_owner(&["spec", "updateStrategy", "partition"]).map(str::to_owned);
        let beside = owners.beside().into();
        Drift { changes: changes.into(), template, partition_owner, beside, applied: owners.has_ours() }
    }

    /// How a companion differs from what Git says of it.
    #[must_use]
    pub fn companion(
        &self,
        written: &Body,
        id: &ReleaseId,
        stand: &Stand,
        policy: &Policy,
    ) -> Arc<[FieldChange]> {
        let wanted = body::companion(written, id, policy);
        self.drift(&written.key, &wanted, stand).into()
    }
}

/// What the server made of what the rollout decides in a CloneSet, and of memory, where that is not what was sent: to
/// write it once more would have the same end.
#[must_use]
pub fn rewritten(sent: &Value, returned: &Value) -> Option<Error> {
    if sent.get("kind").and_then(Value::as_str) != Some("CloneSet") {
        return None;
    }
    let mut wanted = json!({"spec": {"updateStrategy": {}}});
    wanted["spec"]["replicas"] = sent["spec"]["replicas"].clone();
    for name in ["partition", "paused"] {
        wanted["spec"]["updateStrategy"][name] = sent["spec"]["updateStrategy"][name].clone();
    }
    if let Some(list) = sent.pointer("/spec/scaleStrategy/podsToDelete") {
        wanted["spec"]["scaleStrategy"]["podsToDelete"] = list.clone();
    }
    let annotations = sent.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in annotations.filter(|(name, _)| keys::MEMORY.contains(&name.as_str())) {
        wanted["metadata"]["annotations"][name] = value.clone();
    }
    let mut changes = compare(&wanted, returned);
    // Our hook may be there though it is not sent: another manager can have it beside us.
    if hook::is_in(&sent["spec"]) && !hook::is_in(&returned["spec"]) {
        let path = format!("spec.lifecycle.{}", hook::FIELD);
        changes.push(FieldChange { path, wanted: keys::SERVE.into(), found: None, manager: None });
    }
    (!changes.is_empty()).then(|| Error::Rewritten(told(&changes)))
}

fn told(changes: &[FieldChange]) -> String {
    let value = |it: &Value| if it.is_null() { "nothing".to_owned() } else { it.to_string() };
    let told = changes.iter().take(TOLD_MAX).map(|it| {
        let found = it.found.as_ref().map_or_else(|| "nothing".to_owned(), value);
        format!("{} was to be {}, and is {found}", it.path, value(&it.wanted))
    });
    told.collect::<Vec<_>>().join("; ")
}

/// What of a body that was sent is compared later.
fn asked(sent: &Value) -> Value {
    let mut wanted = sent.clone();
    if let Some(annotations) = wanted.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|name, _| !keys::MEMORY.contains(&name.as_str()));
    }
    if wanted.get("kind").and_then(Value::as_str) == Some("CloneSet") {
        without_rollout(&mut wanted);
    }
    wanted
}

/// By value and by owner; by value alone where we never applied the object.
fn differences(wanted: &Value, stand: &Stand) -> Vec<FieldChange> {
    let object = stand.object();
    if stand.ownership.owners().has_ours() {
        drift(wanted, &object, &stand.ownership)
    } else {
        compare(wanted, &object)
    }
}

fn is_template(change: &FieldChange) -> bool {
    change.path == "spec" || change.path.starts_with("spec.template")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Kind;

    fn key() -> ObjectKey {
        ObjectKey { kind: Kind::Service, namespace: "shop".parse().unwrap(), name: "web".parse().unwrap() }
    }

    fn service(name: &str, image: &str) -> Value {
        json!({"kind": "Service", "metadata": {"name": "web", "managedFields": [
                {"manager": "triton", "operation": "Apply", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"type": name, "externalName": image}})
    }

    #[test]
    fn what_the_server_made_of_our_own_apply_is_no_drift_and_what_comes_later_is() {
        let mut echoes = Echoes::default();
        let (sent, returned) = (service("A", "b"), service("A", "rewritten"));
        let changes =
            |echoes: &Echoes, live: &Value| echoes.drift(&key(), &asked(&sent), &project::stand(live)).len();
        assert_eq!(changes(&echoes, &returned), 1);
        echoes.note(&key(), &sent, &returned);
        assert_eq!(changes(&echoes, &returned), 0);
        assert_eq!(changes(&echoes, &service("A", "edited")), 1);
        assert_eq!(changes(&echoes, &service("edited", "rewritten")), 1);
        echoes.note(&key(), &sent, &sent);
        assert_eq!(changes(&echoes, &returned), 1);
    }

    #[test]
    fn what_the_server_makes_of_the_rollouts_own_fields_is_named() {
        let cloneset = |partition: Value| json!({"kind": "CloneSet", "spec": {"replicas": 3, "updateStrategy": {"partition": partition, "paused": false}}});
        let sent = cloneset("99%".into());
        let mut returned = sent.clone();
        returned["spec"]["updateStrategy"].as_object_mut().unwrap().remove("paused");
        assert_eq!(rewritten(&sent, &returned), None, "what is absent is false");
        let told = rewritten(&sent, &cloneset(0.into())).unwrap().to_string();
        assert!(told.ends_with("spec.updateStrategy.partition was to be \"99%\", and is 0"), "{told}");
        let mut marks =
            json!({"kind": "CloneSet", "metadata": {"annotations": {"note": "x", keys::STEP: "2"}}});
        let told = rewritten(&marks, &sent).unwrap().to_string();
        assert!(told.contains(keys::STEP) && told.ends_with("is nothing"), "{told}");
        marks["metadata"]["annotations"].as_object_mut().unwrap().remove(keys::STEP);
        assert_eq!(rewritten(&marks, &sent), None, "what people write is compared as ever");
        assert_eq!(rewritten(&service("A", "b"), &service("A", "c")), None);
        let naming =
            |list: Value| json!({"kind": "CloneSet", "spec": {"scaleStrategy": {"podsToDelete": list}}});
        let told = rewritten(&naming(json!(["web-a"])), &sent).unwrap().to_string();
        assert!(told.contains("podsToDelete") && told.ends_with("is nothing"), "{told}");
        assert_eq!(rewritten(&naming(json!(["web-a"])), &naming(json!(["web-a"]))), None);
        assert_eq!(rewritten(&naming(json!([])), &naming(Value::Null)), None, "what is empty is absent");
    }

    #[test]
    fn what_the_rollout_decides_is_not_compared() {
        let mut object = json!({"kind": "CloneSet", "metadata": {"annotations": {"a": "b"}}, "spec": {
            "replicas": 3, "updateStrategy": {"partition": "50%", "paused": false, "type": "ReCreate"}}});
        object["metadata"]["annotations"][keys::STEP] = "2".into();
        assert_eq!(
            asked(&object),
            json!({"kind": "CloneSet", "metadata": {"annotations": {"a": "b"}},
                "spec": {"updateStrategy": {"type": "ReCreate"}}})
        );
    }
}
