//! Whole bodies: server-side apply drops what is left out, so every write has everything that we own.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::{Amount, Name, ReleaseId};
use crate::objects::{ObjectKey, keys};
use crate::plan::steps::Shape;
use crate::spec::{Body, Release, hook};
use crate::world::{Live, Memory, Policy, twin_name};

/// The map under `key`, made if it is not there or not a map.
fn map_at<'a>(value: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    let fields = value.as_object_mut().expect("made a map above");
    let entry = fields.entry(key).or_insert_with(|| json!({}));
    if !entry.is_object() {
        *entry = json!({});
    }
    entry.as_object_mut().expect("made a map above")
}

/// Our label, and the annotations that say whose it is.
fn mark(value: &mut Value, id: &ReleaseId, policy: &Policy) {
    map_at(value, "metadata");
    let metadata = &mut value["metadata"];
    map_at(metadata, "labels").insert(keys::MANAGED_BY.into(), keys::MANAGED_BY_TRITON.into());
    let annotations = map_at(metadata, "annotations");
    annotations.insert(keys::RELEASE.into(), id.to_string().into());
    annotations.insert(keys::ROOT.into(), policy.root.clone().into());
}

/// The CloneSet of `release` in `shape`, with `memory`, and with our hook until it is proven. `own_size` is false where
/// another manager owns replicas.
#[must_use]
pub fn cloneset(
    release: &Release,
    shape: Shape,
    own_size: bool,
    memory: &Memory,
    policy: &Policy,
) -> Arc<Value> {
    let mut value = release.cloneset.value.open();
    if release.asks_first() && !memory.entered_is_proven() {
        hook::put_in(&mut value["spec"]);
    }
    finish(value, &release.id, shape, own_size, memory, policy)
}

/// The CloneSet as it stands, where the documents of the entered release are not to be had.
#[must_use]
pub fn as_it_stands(
    id: &ReleaseId,
    live: &Live,
    shape: Shape,
    own_size: bool,
    memory: &Memory,
    policy: &Policy,
) -> Arc<Value> {
    let mut value = live.stand.ours();
    identify(&mut value, &ObjectKey::cloneset(id));
    if memory.entered_is_proven() {
        hook::take_out(&mut value["spec"]);
    }
    finish(value, id, shape, own_size, memory, policy)
}

fn identify(value: &mut Value, key: &ObjectKey) {
    let api = key.kind.api();
    let metadata = map_at(value, "metadata");
    metadata.insert("name".into(), key.name.as_str().into());
    metadata.insert("namespace".into(), key.namespace.as_str().into());
    value["apiVersion"] = api.api_version().into();
    value["kind"] = api.kind.into();
}

fn finish(
    mut value: Value,
    id: &ReleaseId,
    shape: Shape,
    own_size: bool,
    memory: &Memory,
    policy: &Policy,
) -> Arc<Value> {
    mark(&mut value, id, policy);
    remember(&mut value, memory);
    sized(&mut value, shape, own_size);
    Arc::new(value)
}

/// What the rollout says of a CloneSet.
fn sized(value: &mut Value, shape: Shape, own_size: bool) {
    let spec = map_at(value, "spec");
    spec.remove("replicas");
    if own_size {
        spec.insert("replicas".into(), shape.size.into());
    }
    let strategy = map_at(&mut value["spec"], "updateStrategy");
    let partition = serde_json::to_value(shape.partition).expect("an amount becomes JSON");
    strategy.insert("partition".into(), partition);
    strategy.insert("paused".into(), false.into());
}

/// A second CloneSet of `release`, which is switched as a whole: the same but for its name, with nothing of the rollout in it.
#[must_use]
pub fn twin_base(release: &Release, policy: &Policy) -> Option<Value> {
    let mut value = release.cloneset.value.open();
    mark(&mut value, &release.id, policy);
    let name = twin_name(&release.id.name, release.template)?;
    let metadata = map_at(&mut value, "metadata");
    metadata.insert("name".into(), name.as_str().into());
    let template = release.template.to_string();
    map_at(&mut value["metadata"], "annotations").insert(keys::TWIN.into(), template.into());
    Some(value)
}

/// The same with so many pods, where that is ours to say, and every one of them on its template.
#[must_use]
pub fn twin(release: &Release, size: Option<u32>, policy: &Policy) -> Option<Arc<Value>> {
    let mut value = twin_base(release, policy)?;
    let shape = Shape { size: size.unwrap_or(0), partition: Amount::Count(0) };
    sized(&mut value, shape, size.is_some());
    Some(Arc::new(value))
}

/// Says which pods Kruise is to delete; without any, nothing.
pub fn ask(body: &mut Value, pods: Option<&BTreeSet<Name>>) {
    if let Some(scale) = body["spec"].get_mut("scaleStrategy").and_then(Value::as_object_mut) {
        scale.remove("podsToDelete");
    }
    if let Some(pods) = pods {
        let names: Vec<&str> = pods.iter().map(Name::as_str).collect();
        map_at(&mut body["spec"], "scaleStrategy").insert("podsToDelete".into(), names.into());
    }
}

/// Leaves no pod in memory: what is left out would stay where somebody else has written it.
pub fn forget_replaced(body: &mut Value) {
    map_at(&mut body["metadata"], "annotations").insert(keys::REPLACED.into(), String::new().into());
}

fn remember(value: &mut Value, memory: &Memory) {
    let annotations = map_at(&mut value["metadata"], "annotations");
    annotations.retain(|key, _| !keys::MEMORY.contains(&key.as_str()));
    annotations.extend(memory.to_annotations().into_iter().map(|(key, text)| (key, Value::String(text))));
}

/// Annotations alone, to an object of which we own nothing.
#[must_use]
pub fn adoption(id: &ReleaseId, memory: &Memory, policy: &Policy) -> Arc<Value> {
    let mut value = json!({});
    identify(&mut value, &ObjectKey::cloneset(id));
    mark(&mut value, id, policy);
    remember(&mut value, memory);
    Arc::new(value)
}

/// A CloneSet without anything that makes it ours: it is left behind.
#[must_use]
pub fn left_behind(key: &ObjectKey, live: &Live) -> Arc<Value> {
    let mut value = live.stand.ours();
    identify(&mut value, key);
    let metadata = &mut value["metadata"];
    map_at(metadata, "labels").remove(keys::MANAGED_BY);
    map_at(metadata, "annotations")
        .retain(|key, _| ![keys::RELEASE, keys::ROOT, keys::TWIN].contains(&&**key));
    Arc::new(value)
}

/// A companion as written, with our marks.
#[must_use]
pub fn companion(body: &Body, id: &ReleaseId, policy: &Policy) -> Arc<Value> {
    marked(body.value.open(), id, policy)
}

/// An object with our marks.
#[must_use]
pub fn marked(mut value: Value, id: &ReleaseId, policy: &Policy) -> Arc<Value> {
    mark(&mut value, id, policy);
    Arc::new(value)
}
