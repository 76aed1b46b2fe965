//! DELETE of objects and collections; binding of pods.

use axum::response::Response;
use serde_json::{Value, json};

use crate::devcluster::body;
use crate::devcluster::builtin::{NAMESPACES, PODS};
use crate::devcluster::deletes::{DeleteHow, Deleted, Propagation};
use crate::devcluster::list::in_version;
use crate::devcluster::modify::Writing;
use crate::devcluster::refusal::{Cause, Refusal};
use crate::devcluster::reply::{json_reply, object_reply};
use crate::devcluster::request::refuse_options;
use crate::devcluster::selectors::Selector;
use crate::devcluster::store::Object;
use crate::devcluster::strategy::set_or_remove;

/// Answers a DELETE of one object.
///
/// # Errors
/// As [`crate::devcluster::store::State::delete`].
pub fn delete(writing: &Writing<'_>) -> Result<Response, Refusal> {
    let how = how(writing)?;
    let target = writing.target;
    let resource = target.kind.resource();
    let deleted = writing.store.write(|state| {
        let found = state.find(&resource, &target.namespace, &target.name);
        let live = found.ok_or_else(|| Refusal::not_found(&resource, &target.name))?;
        state.delete(&target.kind, &live, &how)
    })?;
    let now = writing.store.clock().now();
    let whole =
        |object: &Object| object_reply(200, &in_version(object, target), &target.kind, writing.asked, now);
    match deleted {
        Deleted::Waiting(object) => Ok(whole(&object)),
        Deleted::Gone(object) if target.kind.returns_deleted => Ok(whole(&object)),
        Deleted::Gone(object) => {
            let mut details = json!({"name": object.name(), "kind": target.kind.plural, "uid": object.uid()});
            if !target.kind.group.is_empty() {
                details["group"] = json!(target.kind.group);
            }
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
            });
            Ok(json_reply(200, &status))
        }
    }
}

/// Answers a DELETE of a collection with what was in it.
///
/// # Errors
/// 400 for selectors that cannot be read.
pub fn delete_collection(writing: &Writing<'_>) -> Result<Response, Refusal> {
    let how = how(writing)?;
    let (target, asked) = (writing.target, writing.asked);
    let selector = Selector::read(asked.get("labelSelector"), asked.get("fieldSelector"), &target.kind)?;
    let resource = target.kind.resource();
    let (found, version) = writing.store.write(|state| {
        let all = state.list(&resource, Some(&target.namespace));
        let found: Vec<Object> = all.into_iter().filter(|object| selector.matches(object)).collect();
        let version = state.version();
        for object in &found {
            state.delete(&target.kind, object, &how)?;
        }
        Ok::<_, Refusal>((found, version))
    })?;
    let items: Vec<Value> = found.iter().map(|object| (**object).clone()).collect();
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if target.kind.custom {
        metadata["continue"] = json!("");
    }
    let list = json!({
        "kind": format!("{}List", target.kind.kind), "apiVersion": target.kind.api_version(&target.version),
        "metadata": metadata, "items": items,
    });
    Ok(json_reply(200, &list))
}

/// How a DELETE wants it, from its body or its query.
fn how(writing: &Writing<'_>) -> Result<DeleteHow, Refusal> {
    let asked = writing.asked;
    let options = if writing.bytes.is_empty() {
        let mut options = json!({});
        for field in ["propagationPolicy", "gracePeriodSeconds", "orphanDependents"] {
            let text = asked.get(field);
            if !text.is_empty() {
                options[field] = text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number));
            }
        }
        options
    } else {
        let undecoded =
            |why: String| Refusal::internal(format!("couldn't get version/kind; json parse error: {why}"));
        body::read(writing.bytes).map_err(undecoded)?.0
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(kind) = text(&options["kind"]).filter(|kind| kind != "DeleteOptions") {
        let version = text(&options["apiVersion"]).unwrap_or_default();
        let why = format!("no kind {kind:?} is registered for version {version:?} in scheme");
        return Err(Refusal::internal(why));
    }
    let said = text(&options["propagationPolicy"]);
    let orphan = options["orphanDependents"].as_bool();
    let mut causes = Vec::new();
    if let (Some(said), Some(_)) = (&said, orphan) {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", &format!("{said:?}"), why));
    }
    let propagation = match (said.as_deref(), orphan) {
        (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (None, None) => None,
        (Some(other), _) => {
            let known = "\"Foreground\", \"Background\", \"Orphan\", \"nil\"";
            let message = format!("Unsupported value: {other:?}: supported values: {known}");
            let field = "propagationPolicy".to_owned();
            causes.push(Cause { reason: "FieldValueNotSupported", message, field });
            None
        }
    };
    refuse_options("DeleteOptions", &causes)?;
    Ok(DeleteHow {
        uid: text(&options["preconditions"]["uid"]),
        version: text(&options["preconditions"]["resourceVersion"]),
        grace: options["gracePeriodSeconds"].as_i64(),
        propagation,
        dry_run: asked.get("dryRun") == "All" || options["dryRun"] == json!(["All"]),
    })
}

/// Answers a POST of `/binding`: the pod goes to its node.
///
/// # Errors
/// 404 without the pod, 409 if it is bound already.
pub fn bind(writing: &Writing<'_>) -> Result<Response, Refusal> {
    let target = writing.target;
    let undecoded = |why: String| Refusal::bad_request(format!("error decoding binding: {why}"));
    let (binding, _) = body::read(writing.bytes).map_err(undecoded)?;
    let node = binding["target"]["name"].clone();
    writing.store.write(|state| {
        let found = state.find(PODS, &target.namespace, &target.name);
        let live = found.ok_or_else(|| Refusal::not_found(PODS, &target.name))?;
        let bound = live.text("/spec/nodeName");
        if !bound.is_empty() {
            let why = format!("pod {} is already assigned to node {bound:?}", target.name);
            return Err(Refusal::conflict("pods/binding", &target.name, &why));
        }
        let mut pod = (*live).clone();
        pod["spec"]["nodeName"] = node;
        let condition = json!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": state.clock.second(),
        });
        let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.push(condition);
        pod["status"]["conditions"] = json!(conditions);
        state.put(PODS, pod);
        Ok(())
    })?;
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(json_reply(201, &status))
}

/// Answers a PUT of a namespace's `/finalize`: a namespace that is going and has no finalizer left goes.
///
/// # Errors
/// 404 without the namespace.
pub fn finalize(writing: &Writing<'_>) -> Result<Response, Refusal> {
    let target = writing.target;
    let undecoded = |why: String| Refusal::bad_request(format!("error decoding namespace: {why}"));
    let (sent, _) = body::read(writing.bytes).map_err(undecoded)?;
    let written = writing.store.write(|state| {
        let found = state.find(NAMESPACES, "", &target.name);
        let live = found.ok_or_else(|| Refusal::not_found(NAMESPACES, &target.name))?;
        let mut new = (*live).clone();
        let left = sent["spec"]["finalizers"].as_array().filter(|left| !left.is_empty());
        set_or_remove(&mut new["spec"], "finalizers", left.map(|left| json!(left)));
        if left.is_none() && !new["metadata"]["deletionTimestamp"].is_null() {
            state.remove(NAMESPACES, &live);
            return Ok::<_, Refusal>(Object::new(new));
        }
        Ok(state.put(NAMESPACES, new))
    })?;
    let now = writing.store.clock().now();
    Ok(object_reply(200, &written, &target.kind, writing.asked, now))
}
