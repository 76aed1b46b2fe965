//! What pods read of ConfigMaps, and what a ConfigMap says.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::model::Digest;
use crate::objects::keys;
use crate::spec::canonical;
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::report::Report;
use crate::spec::texts::CONTAINERS;

/// Fields of a ConfigMap that are its content.
const CONTENT: [&str; 2] = ["data", "binaryData"];

/// A place in a pod template that names a ConfigMap (Kubernetes, `core/v1`: `ConfigMapVolumeSource`,
/// `ConfigMapProjection`, `ConfigMapEnvSource`, `ConfigMapKeySelector`). Annotations are no such place.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// Where it stands in the file.
    pub at: Spot,
    /// Where it stands in the template, as a JSON pointer.
    pub pointer: String,
    /// The keys that must be there, and where they are named.
    pub keys: Vec<(String, Spot)>,
}

/// Every place of the pod template `template` that names a ConfigMap.
#[must_use]
pub fn references(template: &Node) -> Vec<Reference> {
    let mut found = Vec::new();
    let Some(spec) = template.get("spec") else { return found };
    for (volume, at) in items(spec, "volumes", "/spec") {
        found.extend(reference(volume, "configMap", &at));
        let sources = volume.get("projected").map(|it| items(it, "sources", &format!("{at}/projected")));
        for (source, at) in sources.into_iter().flatten() {
            found.extend(reference(source, "configMap", &at));
        }
    }
    for list in CONTAINERS {
        for (container, at) in items(spec, list, "/spec") {
            for (source, at) in items(container, "envFrom", &at) {
                found.extend(reference(source, "configMapRef", &at));
            }
            for (variable, at) in items(container, "env", &at) {
                let from = variable.get("valueFrom");
                found
                    .extend(from.and_then(|it| reference(it, "configMapKeyRef", &format!("{at}/valueFrom"))));
            }
        }
    }
    found
}

/// The names of the ConfigMaps that the pod template `template` reads.
#[must_use]
pub fn names(template: &Value) -> BTreeSet<String> {
    references(&Node::from_value(template)).into_iter().map(|it| it.name).collect()
}

/// The items of the list `key` of `node`, which stands at `at`, each with its pointer.
fn items<'n>(node: &'n Node, key: &str, at: &str) -> Vec<(&'n Node, String)> {
    let items = node.get(key).map_or(&[][..], Node::items);
    items.iter().enumerate().map(|(index, item)| (item, format!("{at}/{key}/{index}"))).collect()
}

fn reference(node: &Node, key: &str, at: &str) -> Option<Reference> {
    let source = node.get(key)?;
    let name = source.get("name")?;
    let optional = matches!(source.get("optional"), Some(Node { tree: Tree::Bool(true), .. }));
    let items = source.get("items").map_or(&[][..], Node::items);
    let keys = items.iter().chain([source]).filter_map(|item| item.get("key"));
    let keys = keys.filter(|_| !optional).filter_map(|key| Some((key.text()?.to_owned(), key.at)));
    Some(Reference {
        name: name.text()?.to_owned(),
        at: name.at,
        pointer: format!("{at}/{key}/name"),
        keys: keys.collect(),
    })
}

/// What a ConfigMap says.
#[derive(Clone, Debug)]
pub struct Content {
    /// Of its data and binaryData: the same for the same content, whatever the object is called.
    pub hash: Digest,
    /// Its keys.
    pub keys: BTreeSet<String>,
    /// Whether it says `triton.io/versioned: "false"`.
    pub opted_out: bool,
    /// Where it says `immutable: false`.
    pub mutable_at: Option<Spot>,
}

impl Content {
    /// Reads the ConfigMap `node`. Mistakes go to `report`.
    pub fn read(node: &Node, report: &mut Report) -> Self {
        let annotation = node.find(&["metadata", "annotations", keys::VERSIONED]);
        let opted_out = annotation.and_then(Node::text) == Some("false");
        // That it is no text is told already.
        if let Some(other) = annotation.filter(|it| !opted_out && it.text().is_some()) {
            let cure = "write \"false\" where all pods are to see every change at once, or delete the line";
            report.error(other.at, format!("`{}` can only be \"false\"", keys::VERSIONED), cure);
        }
        let mutable = node.get("immutable").filter(|it| matches!(it.tree, Tree::Bool(false)));
        let fields = |key| node.get(key).into_iter().flat_map(Node::entries);
        // An empty field says what a missing one says.
        let said = CONTENT.into_iter().filter(|key| fields(key).next().is_some());
        let said: Map<String, Value> =
            said.filter_map(|key| Some((key.to_owned(), node.get(key)?.to_value()))).collect();
        Self {
            hash: Digest::of(canonical::json(&Value::Object(said)).as_bytes()),
            keys: CONTENT.into_iter().flat_map(fields).map(|entry| entry.key.clone()).collect(),
            opted_out,
            mutable_at: mutable.map(|it| it.at),
        }
    }
}

/// Every object reference in `node` to a ConfigMap, as `{kind: ConfigMap, name: …}`.
#[must_use]
pub fn pointed_at(node: &Node) -> Vec<(String, Spot)> {
    let mut found = Vec::new();
    if node.get("kind").and_then(Node::text) == Some("ConfigMap")
        && let Some(name) = node.get("name")
    {
        found.extend(name.text().map(|text| (text.to_owned(), name.at)));
    }
    let below = node.entries().iter().map(|entry| &entry.node).chain(node.items());
    found.extend(below.flat_map(pointed_at));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn volumes_projections_and_environments_are_read_and_annotations_are_not() {
        let template = json!({
            "metadata": {"annotations": {"config": "no"}},
            "spec": {
                "volumes": [
                    {"name": "a", "configMap": {"name": "mounted", "items": [{"key": "k", "path": "p"}]}},
                    {"name": "b", "projected": {"sources": [{"secret": {"name": "no"}}, {"configMap": {"name": "projected"}}]}},
                    {"name": "c", "secret": {"secretName": "no"}},
                ],
                "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "all"}}]}],
                "containers": [{"name": "c", "env": [
                    {"name": "X", "value": "no"},
                    {"name": "Y", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "y"}}},
                    {"name": "Z", "valueFrom": {"configMapKeyRef": {"name": "maybe", "key": "z", "optional": true}}},
                ]}],
            },
        });
        let found = references(&Node::from_value(&template));
        let told: Vec<(&str, usize)> = found.iter().map(|it| (&*it.name, it.keys.len())).collect();
        assert_eq!(told, [("mounted", 1), ("projected", 0), ("all", 0), ("one", 1), ("maybe", 0)]);
        for reference in found {
            assert_eq!(template.pointer(&reference.pointer), Some(&json!(reference.name)));
        }
    }

    #[test]
    fn the_same_content_has_the_same_hash_whatever_it_is_called() {
        let of = |value: Value| Content::read(&Node::from_value(&value), &mut Report::default()).hash;
        let one = of(json!({"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}}));
        assert_eq!(
            one,
            of(json!({"metadata": {"name": "b"}, "data": {"y": "2", "x": "1"}, "binaryData": {}}))
        );
        assert_ne!(one, of(json!({"data": {"x": "1", "y": "3"}})));
        assert_ne!(of(json!({"data": {"x": "MQ=="}})), of(json!({"binaryData": {"x": "MQ=="}})));
    }
}
