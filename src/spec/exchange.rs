//! How pods come to a new template: updated in place, or made anew.

use serde_json::Value;

use crate::fields::{FieldChange, templates};
use crate::spec::release::Body;

const IN_PLACE_ONLY: &str = "InPlaceOnly";
const IF_POSSIBLE: &str = "InPlaceIfPossible";

/// The type of an update strategy (`spec.updateStrategy`), where pods are updated in place if they can be.
#[must_use]
pub fn in_place(update: &Value) -> Option<&str> {
    update["type"].as_str().filter(|kind| matches!(*kind, IF_POSSIBLE | IN_PLACE_ONLY))
}

/// Seconds for which a pod that is updated in place is out of its Services before it is, as an update strategy says; until
/// then it runs what it ran, and Kruise counts it as updated (`inplace_update.go:Refresh`).
#[must_use]
pub fn time_to_leave(update: &Value) -> u64 {
    let grace = update.pointer("/inPlaceUpdateStrategy/gracePeriodSeconds").and_then(Value::as_u64);
    grace.filter(|_| in_place(update).is_some()).unwrap_or(0)
}

/// How the pods of one release become those of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Every pod stays where it is, and these of its containers start again with another image. Without any, only
    /// labels and annotations change.
    InPlace(Vec<String>),
    /// Every pod is deleted and another one is made, because of these fields; without any, because the release says
    /// `ReCreate`.
    Anew(Vec<String>),
    /// The release says `InPlaceOnly`, and these fields cannot be changed in place.
    Impossible(Vec<String>),
}

impl Exchange {
    /// Compares the templates of two CloneSets, as Kruise does for each pod: in place are images of containers, labels and annotations
    /// (Kruise 1.8, `inplace_update_defaults.go:defaultCalculateInPlaceUpdateSpec`; resources only behind a feature
    /// gate that is off).
    #[must_use]
    pub fn between(before: &Body, after: &Body) -> Self {
        let (mut old, new) = (before.value.open(), after.value.open());
        let kind = new.pointer("/spec/updateStrategy/type").and_then(Value::as_str).unwrap_or("ReCreate");
        if kind == "ReCreate" {
            return Self::Anew(Vec::new());
        }
        let images = take_images(&mut old, &new);
        let fields = lasting(&old, &new);
        match (fields.is_empty(), kind) {
            (true, _) => Self::InPlace(images),
            (false, IN_PLACE_ONLY) => Self::Impossible(fields),
            (false, _) => Self::Anew(fields),
        }
    }

    /// Lets the pods of a CloneSet that says `InPlaceOnly` be made anew where they have to be. Kruise refuses that word
    /// with a template that cannot come in place (`cloneset_core.go:ValidateCloneSetUpdate`).
    pub fn loosen(spec: &mut Value) {
        if let Some(kind) = spec.pointer_mut("/updateStrategy/type").filter(|kind| **kind == IN_PLACE_ONLY) {
            *kind = IF_POSSIBLE.into();
        }
    }

    /// Whether a change is what [`Exchange::loosen`] does.
    #[must_use]
    pub fn is_loosened(change: &FieldChange) -> bool {
        let found = change.found.as_ref().is_some_and(|found| *found == IF_POSSIBLE);
        change.path == "spec.updateStrategy.type" && change.wanted == IN_PLACE_ONLY && found
    }
}

/// Gives `old` the images of `new`, container by container, and tells the names of those that had another one.
fn take_images(old: &mut Value, new: &Value) -> Vec<String> {
    let at = "/spec/template/spec/containers";
    let containers = old.pointer_mut(at).and_then(Value::as_array_mut).into_iter().flatten();
    let wanted = new.pointer(at).and_then(Value::as_array).into_iter().flatten();
    let mut names = Vec::new();
    for (container, wanted) in containers.zip(wanted) {
        let both = container["image"].is_string() && wanted["image"].is_string();
        if both && container["image"] != wanted["image"] {
            container["image"] = wanted["image"].clone();
            names.push(wanted["name"].as_str().unwrap_or_default().to_owned());
        }
    }
    names
}

/// The fields below the pods' spec that differ. Kruise goes through lists by number: another order is another list.
fn lasting(old: &Value, new: &Value) -> Vec<String> {
    let order = |object: &Value| -> Vec<Value> {
        let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        containers.into_iter().flatten().map(|it| it["name"].clone()).collect()
    };
    if order(old) != order(new) {
        return vec!["spec.template.spec.containers".to_owned()];
    }
    let paths = templates(old, new).into_iter().map(|change| change.path);
    paths.filter(|path| !path.starts_with("spec.template.metadata")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fields::Compact;
    use crate::objects::{Kind, ObjectKey};

    fn between(kind: &str, before: &Value, after: &Value) -> Exchange {
        let body = |template: &Value| Body {
            key: ObjectKey {
                kind: Kind::CloneSet,
                namespace: "shop".parse().unwrap(),
                name: "web".parse().unwrap(),
            },
            value: Compact::of(&json!({"spec": {"template": template, "updateStrategy": {"type": kind}}})),
        };
        Exchange::between(&body(before), &body(after))
    }

    fn pods(containers: &Value) -> Value {
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}})
    }

    #[test]
    fn other_images_labels_and_annotations_leave_every_pod_where_it_is() {
        let before = pods(&json!([{"name": "app", "image": "a:1"}, {"name": "log", "image": "l:1"}]));
        let one = pods(&json!([{"name": "app", "image": "a:2"}, {"name": "log", "image": "l:1"}]));
        let both = pods(&json!([{"name": "app", "image": "a:2"}, {"name": "log", "image": "l:2"}]));
        let mut labelled = before.clone();
        labelled["metadata"]["annotations"] = json!({"team": "shop"});
        let started = |after: &Value, names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(between("InPlaceOnly", &before, after), Exchange::InPlace(names));
        };
        started(&one, &["app"]);
        started(&both, &["app", "log"]);
        started(&labelled, &[]);
    }

    #[test]
    fn any_other_field_makes_pods_anew_or_is_impossible() {
        let before = pods(&json!([{"name": "app", "image": "a:1"}]));
        let after = pods(&json!([{"name": "app", "image": "a:2", "args": ["-v"]}]));
        let field = "spec.template.spec.containers[name=app].args";
        assert_eq!(between("InPlaceIfPossible", &before, &after), Exchange::Anew(vec![field.to_owned()]));
        assert_eq!(between("InPlaceOnly", &before, &after), Exchange::Impossible(vec![field.to_owned()]));
        assert_eq!(between("ReCreate", &before, &after), Exchange::Anew(Vec::new()));
    }

    #[test]
    fn containers_in_another_order_are_other_containers() {
        let before = pods(&json!([{"name": "app", "image": "a:1"}, {"name": "log", "image": "l:1"}]));
        let after = pods(&json!([{"name": "log", "image": "l:1"}, {"name": "app", "image": "a:1"}]));
        let fields = vec!["spec.template.spec.containers".to_owned()];
        assert_eq!(between("InPlaceIfPossible", &before, &after), Exchange::Anew(fields));
    }

    #[test]
    fn the_image_of_an_init_container_cannot_be_changed_in_place() {
        let with = |image: &str| {
            let mut pod = pods(&json!([{"name": "app", "image": "a:1"}]));
            pod["spec"]["initContainers"] = json!([{"name": "setup", "image": image}]);
            pod
        };
        let fields = vec!["spec.template.spec.initContainers[name=setup].image".to_owned()];
        assert_eq!(between("InPlaceOnly", &with("s:1"), &with("s:2")), Exchange::Impossible(fields));
    }
}
