//! Updating a pod in place: what may be, how it starts, when it is over
//! (`pkg/util/inplaceupdate/inplace_update_defaults.go`).
//!
//! Left out: containers in batches by priority, environment from metadata, vertical scaling (gates off, or in need of
//! kruise-daemon).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::devcluster::clock::second;
use crate::devcluster::json::{differences, items, map, strings, text};
use crate::devcluster::pods::{Pod, REVISION, TEMPLATE_HASH, short_hash};
use crate::devcluster::revision::Revision;

/// What is being done to the pod: revision, time, the containers' old images.
const PROGRESS: &str = "apps.kruise.io/inplace-update-state";
/// What is to be done when the grace is over.
const GRACE: &str = "apps.kruise.io/inplace-update-grace";

/// An update in place, from one revision to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Replacement {
    /// The new revision's name.
    pub revision: String,
    /// New images by container.
    pub images: Vec<(String, String)>,
    /// Labels and annotations to set, or to remove where null.
    pub metadata: Value,
    /// Seconds before the images are replaced.
    pub grace_seconds: i64,
}

/// What takes a pod of `old` to `new` without making it anew, or `None` where that cannot be done: only images of
/// containers, and anything in the template's metadata, may differ (`defaultCalculateInPlaceUpdateSpec`).
#[must_use]
pub fn replacement(old: &Revision, new: &Revision, grace_seconds: i64) -> Option<Replacement> {
    let ops = differences(old.template(), new.template());
    let mut images = Vec::new();
    for op in ops.iter().filter(|op| !op.path.starts_with("/metadata")) {
        let index = op.path.strip_prefix("/spec/containers/")?.strip_suffix("/image")?;
        if op.op != "replace" || index.parse::<usize>().is_err() {
            return None;
        }
        let container = new.template().pointer(&format!("/spec/containers/{index}"))?;
        images.push((text(container, "/name").to_owned(), text(container, "/image").to_owned()));
    }
    let metadata = json!({
        "labels": map_patch(old.template(), new.template(), "/metadata/labels"),
        "annotations": map_patch(old.template(), new.template(), "/metadata/annotations"),
    });
    Some(Replacement { revision: new.name().to_owned(), images, metadata, grace_seconds })
}

fn map_patch(old: &Value, new: &Value, pointer: &str) -> Value {
    let mut patch = Map::new();
    for (key, _value) in strings(old, pointer) {
        patch.insert(key.to_owned(), Value::Null);
    }
    for (key, value) in strings(new, pointer) {
        patch.insert(key.to_owned(), json!(value));
    }
    for (key, value) in strings(old, pointer) {
        if patch.get(key).is_some_and(|new| new == value) {
            patch.remove(key);
        }
    }
    Value::Object(patch)
}

/// Begins an update in place: the revision changes at once, images and metadata now or after the grace.
pub fn start(pod: &mut Pod, replacement: &Replacement, now: Timestamp) {
    pod.set_label(REVISION, &replacement.revision);
    pod.set_label(TEMPLATE_HASH, short_hash(&replacement.revision));
    let progress = json!({"revision": replacement.revision, "updateTimestamp": second(now)});
    pod.set_annotation(PROGRESS, &progress.to_string());
    if replacement.grace_seconds > 0 {
        let images: Map<String, Value> =
            replacement.images.iter().map(|(name, image)| (name.clone(), json!(image))).collect();
        let later = json!({"revision": replacement.revision, "containerImages": images,
            "metaDataPatch": replacement.metadata, "graceSeconds": replacement.grace_seconds});
        pod.set_annotation(GRACE, &later.to_string());
    } else {
        replace(pod, &replacement.images, &replacement.metadata);
        pod.remove_annotation(GRACE);
    }
}

/// Whether the pod waits for the end of its grace.
#[must_use]
pub fn in_grace(pod: &Pod) -> bool {
    pod.annotation(GRACE).is_some()
}

/// Whole seconds of grace that are left, rounded up; `None` where it is over or never was (`finishGracePeriod`).
#[must_use]
pub fn grace_left(pod: &Pod, now: Timestamp) -> Option<i64> {
    let later: Value = serde_json::from_str(pod.annotation(GRACE)?).ok()?;
    let since: Timestamp = text(&progress(pod), "/updateTimestamp").parse().ok()?;
    let until = since.as_millisecond() + later["graceSeconds"].as_i64().unwrap_or(0) * 1000;
    let left = until - now.as_millisecond();
    (left > 0).then_some((left + 999) / 1000)
}

/// Ends the grace: the images are replaced, unless the pod has another revision by now.
pub fn end_grace(pod: &mut Pod) {
    let later: Value =
        pod.annotation(GRACE).and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    if text(&later, "/revision") == pod.label(REVISION).unwrap_or_default() {
        let images: Vec<(String, String)> =
            strings(&later, "/containerImages").map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        replace(pod, &images, &later["metaDataPatch"]);
    }
    pod.remove_annotation(GRACE);
}

fn progress(pod: &Pod) -> Value {
    pod.annotation(PROGRESS).and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}

fn replace(pod: &mut Pod, images: &[(String, String)], metadata: &Value) {
    let mut progress = progress(pod);
    for (name, image) in images {
        let id = items(&pod.body, "/status/containerStatuses")
            .find(|status| status["name"] == name.as_str())
            .map_or(Value::Null, |status| status["imageID"].clone());
        map(&mut progress, "lastContainerStatuses").insert(name.clone(), json!({"imageID": id}));
        let containers = pod.body["spec"]["containers"].as_array_mut().into_iter().flatten();
        for container in containers.filter(|container| container["name"] == name.as_str()) {
            container["image"] = json!(image);
        }
    }
    pod.set_annotation(PROGRESS, &progress.to_string());
    for field in ["labels", "annotations"] {
        let Some(patch) = metadata[field].as_object() else { continue };
        let target = map(&mut pod.body["metadata"], field);
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Whether nothing is left to wait for: no grace, and each container that got a new image runs it
/// (`defaultCheckContainersInPlaceUpdateCompleted`).
#[must_use]
pub fn is_complete(pod: &Pod) -> bool {
    if in_grace(pod) {
        return false;
    }
    let progress = progress(pod);
    let containers = progress["lastContainerStatuses"].as_object().into_iter().flatten();
    containers.into_iter().all(|(name, last)| {
        let wanted = items(&pod.body, "/spec/containers").find(|one| one["name"] == name.as_str());
        let runs = items(&pod.body, "/status/containerStatuses").find(|one| one["name"] == name.as_str());
        runs.is_some_and(|runs| {
            runs["imageID"] != last["imageID"]
                || wanted.is_some_and(|wanted| wanted["image"] == runs["image"])
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(name: &str, template: Value) -> Revision {
        Revision::read(json!({"metadata": {"name": name}, "data": {"spec": {"template": template}}}))
    }

    fn template(image: &str, extra: Value) -> Value {
        json!({"metadata": {"labels": {"app": "web"}, "annotations": extra},
            "spec": {"containers": [{"name": "c", "image": image}]}})
    }

    #[test]
    fn images_and_metadata_can_be_changed_in_place_and_nothing_else() {
        let a = revision("web-a", template("r/app:A", json!({"old": "1"})));
        let b = revision("web-b", template("r/app:B", json!({"new": "2"})));
        let change = replacement(&a, &b, 0).unwrap();
        assert_eq!(change.images, [("c".to_owned(), "r/app:B".to_owned())]);
        assert_eq!(change.metadata["annotations"], json!({"old": null, "new": "2"}));
        let mut other = template("r/app:B", json!({}));
        other["spec"]["containers"][0]["env"] = json!([]);
        assert_eq!(replacement(&a, &revision("web-c", other), 0), None);
        let mut init = template("r/app:A", json!({}));
        init["spec"]["initContainers"] = json!([{"name": "i", "image": "x"}]);
        assert_eq!(replacement(&a, &revision("web-d", init), 0), None);
    }

    #[test]
    fn an_update_is_over_when_the_container_runs_the_new_image() {
        let a = revision("web-a", template("r/app:A", json!({})));
        let b = revision("web-b", template("r/app:B", json!({})));
        let status = json!([{"name": "c", "image": "r/app:A", "imageID": "id-A"}]);
        let mut pod = Pod {
            body:
                json!({"metadata": {}, "spec": a.template()["spec"], "status": {"containerStatuses": status}})
                    .into(),
        };
        let now = Timestamp::from_second(1_000).unwrap();
        start(&mut pod, &replacement(&a, &b, 2).unwrap(), now);
        assert_eq!((pod.revision(), grace_left(&pod, now)), ("b", Some(2)));
        assert_eq!(pod.body["spec"]["containers"][0]["image"], "r/app:A", "the image waits for the grace");
        end_grace(&mut pod);
        assert_eq!(pod.body["spec"]["containers"][0]["image"], "r/app:B");
        assert!(!is_complete(&pod));
        pod.body["status"]["containerStatuses"] =
            json!([{"name": "c", "image": "r/app:B", "imageID": "id-B"}]);
        assert!(is_complete(&pod));
    }
}
