//! Who owns which fields: `metadata.managedFields`, cut down to what a comparison asks.
//!
//! Format: Kubernetes, `FieldsV1`: `f:NAME` is a field, `k:{…}` an item of a list by its keys, `v:…` an item of a
//! set; an empty object is a leaf, which owns all below it; `.` is the item or map itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The owners of one object's fields, as compact bytes: a cache keeps thousands of them. Clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership(Arc<[u8]>);

type Set = Map<String, Value>;

/// The owners of one object's fields, opened for reading.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// What we applied.
    applied: Option<Set>,
    /// What a webhook changed in the course of our own apply: the API server notes that under our name too, but as
    /// an update, and takes it out of what we applied.
    updated: Option<Set>,
    others: Vec<Other>,
}

/// What another manager owns.
type Other = (String, Set, Through);

/// By what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Through {
    /// The object itself.
    Object,
    /// One of its subresources.
    Subresource,
}

impl Ownership {
    /// Takes what matters from an object: the applied fields of `manager`, and everybody else's but those of the
    /// status.
    #[must_use]
    pub fn of(object: &Value, manager: &str) -> Self {
        let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let (mut applied, mut updated) = (Value::Null, Value::Null);
        let mut others = Vec::new();
        for entry in entries.into_iter().flatten() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            // What is no set owns nothing, and does not hide what the other sets own.
            let Some(fields) = entry.get("fieldsV1").filter(|it| it.is_object()).cloned() else { continue };
            match (text("manager"), text("operation"), text("subresource")) {
                (_, _, "status") => {}
                (name, "Apply", "") if name == manager => applied = fields,
                (name, _, "") if name == manager => updated = fields,
                (name, _, "") => others.push(json!([name, fields, Through::Object])),
                (name, _, subresource) => {
                    others.push(json!([format!("{name} ({subresource})"), fields, Through::Subresource]));
                }
            }
        }
        Self(json!([applied, updated, others]).to_string().into_bytes().into())
    }

    /// What anybody has applied or set, as if `applied` were all of it: for an object that nobody has taken over yet.
    /// What was written through a subresource is left out, and so is what the managers in `controllers` wrote.
    #[must_use]
    pub fn of_everybody(object: &Value, controllers: &[&str]) -> Self {
        let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let mut all = Value::Null;
        for entry in entries.into_iter().flatten() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            let fields = entry.get("fieldsV1").unwrap_or(&Value::Null);
            let is_empty = fields.as_object().is_none_or(Map::is_empty);
            if !is_empty && text("subresource").is_empty() && !controllers.contains(&text("manager")) {
                unite(&mut all, fields);
            }
        }
        Self(json!([all, null, []]).to_string().into_bytes().into())
    }

    /// Opens them.
    #[must_use]
    pub fn owners(&self) -> Owners {
        type Kept = (Option<Set>, Option<Set>, Vec<Other>);
        let (applied, updated, others): Kept = serde_json::from_slice(&self.0).unwrap_or_default();
        Owners { applied, updated, others }
    }
}

/// Adds the set `more` to `all`. A leaf owns all below it.
fn unite(all: &mut Value, more: &Value) {
    let Value::Object(more) = more else { return };
    match all {
        Value::Object(set) if set.is_empty() => {}
        Value::Object(set) if more.is_empty() => set.clear(),
        Value::Object(set) => {
            for (name, below) in more {
                unite(set.entry(name).or_insert(Value::Null), below);
            }
        }
        _ => *all = Value::Object(more.clone()),
    }
}

/// The set `theirs` without what `ours` has too; `None` where nothing is left. Where we own fields of a map, a bare entry
/// of theirs says only that there is such a map: the server leaves it where a forced apply took the rest.
fn less(theirs: &Set, ours: &Set) -> Option<Set> {
    let mut left = Set::new();
    for (name, below) in theirs {
        let kept = match (below, ours.get(name)) {
            (below, None) => Some(below.clone()),
            (Value::Object(below), Some(Value::Object(ours))) if !below.is_empty() && !ours.is_empty() => {
                less(below, ours).map(Value::Object)
            }
            (_, Some(_)) => None,
        };
        if let Some(kept) = kept {
            left.insert(name.clone(), kept);
        }
    }
    // That there is a map at all is nobody's alone while others own what is in it.
    left.retain(|name, _| name != "." || !ours.keys().any(|name| name != "."));
    (!left.is_empty()).then_some(left)
}

/// `metadata.managedFields` of `object` as it is once `manager` owns alone what it has applied; `None` where that is so
/// already. Of the others' sets only that goes; an entry that has nothing else goes with it (as client-go's `csaupgrade`
/// does for kubectl's).
#[must_use]
pub fn sole(object: &Value, manager: &str) -> Option<Value> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let text =
        |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_ours = |entry: &&Value| text(entry, "manager") == manager && text(entry, "operation") == "Apply";
    let ours = entries.iter().filter(|it| text(it, "subresource").is_empty()).find(is_ours)?;
    let ours = ours.get("fieldsV1")?.as_object()?;
    let kept: Vec<Value> = entries
        .iter()
        .filter_map(|entry| {
            let theirs = entry.get("fieldsV1").and_then(Value::as_object);
            match theirs {
                Some(set) if text(entry, "manager") != manager && text(entry, "subresource").is_empty() => {
                    let mut entry = entry.clone();
                    entry["fieldsV1"] = less(set, ours)?.into();
                    Some(entry)
                }
                Some(_) | None => Some(entry.clone()),
            }
        })
        .collect();
    (kept != *entries).then(|| kept.into())
}

impl Owners {
    /// Whether we ever applied the object.
    #[must_use]
    pub const fn has_ours(&self) -> bool {
        self.applied.is_some()
    }

    /// Another manager that owns the field at `path`, by the names of its fields.
    #[must_use]
    pub fn other_owner(&self, path: &[&str]) -> Option<&str> {
        let owns =
            |tree: &Set| path.iter().fold(Node::Part(tree), |node, field| node.field(field)) != Node::Nothing;
        self.others.iter().find(|(_, tree, _)| owns(tree)).map(|(manager, ..)| manager.as_str())
    }

    /// The other managers that own beside us what we have applied, each once: a field that we leave out one day would
    /// stay for their sake. Subresources are others' business, an autoscaler's for one.
    #[must_use]
    pub fn beside(&self) -> Vec<String> {
        let Some(ours) = &self.applied else { return Vec::new() };
        let shares = |set: &Set| less(set, ours).as_ref() != Some(set);
        let object = self.others.iter().filter(|(.., through)| *through == Through::Object);
        let names: BTreeSet<&String> =
            object.filter(|(_, set, _)| shares(set)).map(|(name, ..)| name).collect();
        names.into_iter().cloned().collect()
    }

    /// Where reading begins.
    #[must_use]
    pub fn root(&self) -> Place<'_> {
        let ours = [&self.applied, &self.updated].map(|set| set.as_ref().map_or(Node::Nothing, Node::Part));
        let others = self.others.iter().map(|(name, tree, _)| (name.as_str(), Node::Part(tree)));
        Place { ours, others: others.collect() }
    }
}

/// What one manager owns at one place of an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node<'a> {
    /// Nothing.
    Nothing,
    /// Some of what is below.
    Part(&'a Set),
    /// The field and all below it.
    Whole,
}

impl<'a> Node<'a> {
    fn below(found: Option<&'a Value>) -> Self {
        match found {
            None => Self::Nothing,
            Some(Value::Object(map)) if !map.is_empty() => Self::Part(map),
            Some(_) => Self::Whole,
        }
    }

    /// The field `name` below.
    #[must_use]
    pub fn field(self, name: &str) -> Self {
        match self {
            Self::Part(map) => Self::below(map.get(&format!("f:{name}"))),
            Self::Nothing | Self::Whole => self,
        }
    }

    /// The item of a list: by its keys, or by its value in a set.
    #[must_use]
    pub fn item(self, item: &Value) -> Self {
        let Self::Part(map) = self else { return self };
        let fits = |name: &str| {
            if let Some(keys) = name.strip_prefix("k:") {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                // A key that was left out has its default, which the server wrote into the set: `protocol: TCP`.
                let fits = |(key, value): (&String, &Value)| item.get(key).is_none_or(|it| it == value);
                return item.is_object() && !keys.is_empty() && keys.iter().all(fits);
            }
            name.strip_prefix("v:")
                .is_some_and(|text| serde_json::from_str::<Value>(text).ok().as_ref() == Some(item))
        };
        map.iter().find(|(name, _)| fits(name)).map_or(Self::Nothing, |(_, below)| Self::below(Some(below)))
    }
}

/// How much of a place is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nothing.
    None,
    /// Some of what is below.
    Some,
    /// The field and all below it.
    All,
}

/// One place of an object, and who owns what there.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// What we own: by apply, and by update.
    ours: [Node<'a>; 2],
    others: Vec<(&'a str, Node<'a>)>,
}

impl Place<'_> {
    /// The field `name` below.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        Self { ours: self.ours.map(|node| node.field(name)), others: self.step(|node| node.field(name)) }
    }

    /// The item of a list below.
    #[must_use]
    pub fn item(&self, item: &Value) -> Self {
        Self { ours: self.ours.map(|node| node.item(item)), others: self.step(|node| node.item(item)) }
    }

    /// How much of it is ours.
    #[must_use]
    pub fn ours(&self) -> Share {
        match self.ours {
            [Node::Nothing, Node::Nothing] => Share::None,
            [Node::Whole, _] | [_, Node::Whole] => Share::All,
            [Node::Part(_), _] | [_, Node::Part(_)] => Share::Some,
        }
    }

    /// Another manager that owns something here.
    #[must_use]
    pub fn other(&self) -> Option<&str> {
        self.others.first().map(|(manager, _)| *manager)
    }
}

impl<'a> Place<'a> {
    fn step(&self, step: impl Fn(Node<'a>) -> Node<'a>) -> Vec<(&'a str, Node<'a>)> {
        let next = self.others.iter().map(|(manager, node)| (*manager, step(*node)));
        next.filter(|(_, node)| *node != Node::Nothing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Value {
        json!({"metadata": {"managedFields": [
            {"manager": "triton", "operation": "Apply", "fieldsV1": {"f:spec": {
                "f:selector": {}, "f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {".": {}, "f:name": {}}}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
                "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kruise-manager", "operation": "Update", "subresource": "status",
                "fieldsV1": {"f:status": {"f:replicas": {}}}},
        ]}})
    }

    #[test]
    fn an_autoscaler_is_seen_as_the_owner_of_replicas() {
        let owners = Ownership::of(&object(), "triton").owners();
        assert_eq!(owners.other_owner(&["spec", "replicas"]), Some("kube-controller-manager (scale)"));
        assert_eq!(owners.other_owner(&["status", "replicas"]), None);
        assert_eq!(owners.other_owner(&["spec", "template"]), None);
    }

    #[test]
    fn a_leaf_owns_all_below_it_and_a_list_item_is_found_by_its_keys() {
        let owners = Ownership::of(&object(), "triton").owners();
        let spec = owners.root().field("spec");
        assert_eq!(spec.field("selector").field("matchLabels").ours(), Share::All);
        let ports = spec.field("ports");
        assert_eq!(ports.item(&json!({"port": 80})).field("name").ours(), Share::All);
        assert_eq!(ports.item(&json!({"port": 80})).field("targetPort").ours(), Share::None);
        assert_eq!(ports.item(&json!({"port": 81})).ours(), Share::None);
    }

    #[test]
    fn what_anybody_wrote_is_one_set_without_subresources_and_controllers() {
        let mut object = object();
        let edited = json!({"manager": "kubectl-edit", "operation": "Update",
            "fieldsV1": {"f:spec": {"f:ports": {}, "f:paused": {}}}});
        let kruise =
            json!({"manager": "kruise-manager", "operation": "Update", "fieldsV1": {"f:spec": {"f:x": {}}}});
        object["metadata"]["managedFields"].as_array_mut().unwrap().extend([edited, kruise]);
        let owners = Ownership::of_everybody(&object, &["kruise-manager"]).owners();
        let spec = owners.root().field("spec");
        assert_eq!(["ports", "paused", "selector"].map(|name| spec.field(name).ours()), [Share::All; 3]);
        assert_eq!(["replicas", "x"].map(|name| spec.field(name).ours()), [Share::None; 2]);
    }

    #[test]
    fn what_kubectl_owns_beside_us_is_ours_alone_afterwards_and_the_rest_stays_its_own() {
        let mut object = object();
        let kubectls = json!({"manager": "kubectl-client-side-apply", "operation": "Update", "time": "t", "fieldsV1": {
            "f:metadata": {"f:annotations": {".": {}, "f:last": {}}},
            "f:spec": {".": {}, "f:selector": {}, "f:replicas": {}, "f:ports": {".": {},
                r#"k:{"port":80,"protocol":"TCP"}"#: {".": {}, "f:name": {}, "f:targetPort": {}}}}}});
        let created = json!({"manager": "kubectl-create", "operation": "Update", "fieldsV1": {"f:spec": {"f:selector": {}}}});
        let entries = object["metadata"]["managedFields"].as_array_mut().unwrap();
        entries.extend([kubectls, created]);
        let before = Ownership::of(&object, "triton").owners();
        assert_eq!(before.beside(), ["kubectl-client-side-apply", "kubectl-create"]);
        let after = sole(&object, "triton").unwrap();
        let left: Vec<&Value> = after.as_array().unwrap().iter().map(|it| &it["manager"]).collect();
        assert_eq!(
            left,
            ["triton", "kube-controller-manager", "kruise-manager", "kubectl-client-side-apply"]
        );
        let kubectls = json!({"f:metadata": {"f:annotations": {".": {}, "f:last": {}}}, "f:spec": {"f:replicas": {},
            "f:ports": {r#"k:{"port":80,"protocol":"TCP"}"#: {"f:targetPort": {}}}}});
        let bare = json!({"f:spec": {"f:ports": {}}});
        let ours = object["metadata"]["managedFields"][0]["fieldsV1"].as_object().unwrap();
        assert_eq!(less(bare.as_object().unwrap(), ours), None);
        assert_eq!(after[3]["fieldsV1"], kubectls);
        object["metadata"]["managedFields"] = after;
        assert_eq!(Ownership::of(&object, "triton").owners().beside(), Vec::<String>::new());
        assert_eq!(sole(&object, "triton"), None);
        assert_eq!(sole(&object, "somebody"), None);
    }

    #[test]
    fn an_object_without_managed_fields_is_owned_by_nobody() {
        let owners = Ownership::of(&json!({}), "triton").owners();
        assert!(!owners.has_ours() && !Ownership::default().owners().has_ours());
    }
}
