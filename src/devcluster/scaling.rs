//! The scale subresource: the number of replicas, alone.

use axum::response::Response;
use serde_json::{Value, json};

use crate::devcluster::body;
use crate::devcluster::kinds::Scale;
use crate::devcluster::modify::{PatchType, Writing, patch_type};
use crate::devcluster::ownership::disown;
use crate::devcluster::patch::{json_patch, merge_patch};
use crate::devcluster::refusal::Refusal;
use crate::devcluster::reply::json_reply;
use crate::devcluster::request::Target;
use crate::devcluster::store::{Object, Store};
use crate::devcluster::strategy::{By, Part};

/// Answers a GET of `/scale`.
///
/// # Errors
/// 404, or 500 where the object says no number of replicas.
pub fn get(store: &Store, target: &Target, scale: &Scale) -> Result<Response, Refusal> {
    let resource = target.kind.resource();
    let found = store.get(&resource, &target.namespace, &target.name);
    let object = found.ok_or_else(|| Refusal::not_found(&resource, &target.name))?;
    if object.pointer(&scale.spec_replicas).is_none() {
        let path = scale.spec_replicas.replace('/', ".");
        let why = format!("the spec replicas field {path:?} does not exist");
        let mut refusal = Refusal::new(500, "InternalError", format!("Internal error occurred: {why}"));
        refusal.details = Some(json!({"causes": [{"message": why}]}));
        return Err(refusal);
    }
    Ok(json_reply(200, &scale_of(&object, scale)))
}

/// The object's scale.
#[must_use]
pub fn scale_of(object: &Object, scale: &Scale) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[field] = object["metadata"][field].clone();
    }
    let wanted = object.pointer(&scale.spec_replicas).and_then(Value::as_i64).unwrap_or(0);
    let spec = if wanted == 0 { json!({}) } else { json!({"replicas": wanted}) };
    let have = object.pointer(&scale.status_replicas).and_then(Value::as_i64).unwrap_or(0);
    let mut status = json!({"replicas": have});
    let selector = scale.label_selector.as_ref().map_or("", |path| object.text(path));
    if !selector.is_empty() {
        status["selector"] = json!(selector);
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// Answers a PUT or PATCH of `/scale`.
///
/// # Errors
/// As writes of the object itself.
pub fn write(writing: &Writing<'_>, scale: &Scale, patching: bool) -> Result<Response, Refusal> {
    let target = writing.target;
    let form = if patching {
        let form = patch_type(&writing.asked.content_type, true)?;
        if form == PatchType::Apply {
            let text = format!(
                "failed to convert new object (/{}; autoscaling/v1, Kind=Scale) to proper version: request to \
                 convert CR to an invalid group/version: autoscaling/v1",
                target.name
            );
            return Err(Refusal::internal(text));
        }
        Some(form)
    } else {
        None
    };
    let undecoded = |why: String| Refusal::bad_request(format!("error decoding patch: {why}"));
    let (sent, _) = body::read(writing.bytes).map_err(undecoded)?;
    let resource = target.kind.resource();
    let dry_run = writing.asked.get("dryRun") == "All";
    let by = By { manager: writing.asked.manager(), version: &target.version, part: Part::Scale, dry_run };
    let written = writing.store.write(|state| {
        let live = state
            .find(&resource, &target.namespace, &target.name)
            .ok_or_else(|| Refusal::not_found(&resource, &target.name))?;
        let mut wanted = sent.clone();
        if let Some(form) = form {
            wanted = scale_of(&live, scale);
            match form {
                PatchType::Json => json_patch(&mut wanted, sent.as_array().map_or(&[], Vec::as_slice))?,
                PatchType::Merge | PatchType::Strategic | PatchType::Apply => merge_patch(&mut wanted, &sent),
            }
        }
        let new = scaled(&live, &wanted, scale);
        state.replace(&target.kind, &live, new, &by)
    })?;
    Ok(json_reply(200, &scale_of(&written, scale)))
}

/// The object with the wanted number of replicas. Without a resourceVersion it is written over whatever is there.
/// Zero is said by saying no number (`omitempty` in autoscaling/v1), and so is nobody's from then on: whoever scales
/// next does not own it either, until someone writes it into the object itself.
fn scaled(live: &Object, wanted: &Value, scale: &Scale) -> Value {
    let mut new = (**live).clone();
    let replicas = wanted["spec"]["replicas"].as_i64().filter(|replicas| *replicas != 0);
    if replicas.is_none() {
        disown(&mut new, &scale.spec_replicas);
    }
    if let Some((parent, field)) = scale.spec_replicas.rsplit_once('/')
        && let Some(parent) = new.pointer_mut(parent)
    {
        parent[field] = json!(replicas.unwrap_or(0));
    }
    let said = wanted["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !said.is_empty() {
        new["metadata"]["resourceVersion"] = json!(said);
    }
    new
}
