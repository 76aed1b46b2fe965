//! What we sent against what is there.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::fields::change::FieldChange;
use crate::fields::owned::{Ownership, Place, Share};
use crate::fields::quantity::{is_quantity, same_quantity};

/// Fields of `metadata` that are compared; the others name the object or are the server's.
const METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// Every field of `wanted` that `found` does not have with an equal value. Fields only in `found` are invisible,
/// but for items of lists that belong together as one value.
#[must_use]
pub fn compare(wanted: &Value, found: &Value) -> Vec<FieldChange> {
    walk(Walk::of(wanted), wanted, found, None, true)
}

/// As [`compare`], of two states of pods as their controller reads them: `false`, 0 and an empty map that only one of
/// them has are changes, but where Go leaves them out.
#[must_use]
pub fn compare_exactly(wanted: &Value, found: &Value) -> Vec<FieldChange> {
    walk(Walk { exactly: true, ..Walk::of(wanted) }, wanted, found, None, true)
}

/// As [`compare`], for an object that we never applied: each change names a manager who has the field.
#[must_use]
pub fn compare_named(wanted: &Value, found: &Value, ownership: &Ownership) -> Vec<FieldChange> {
    let owners = ownership.owners();
    walk(Walk::of(wanted), wanted, found, Some(&owners.root()), true)
}

/// Every field of `wanted` that `found` does not have with an equal value, or that is not ours any more. Each change
/// names the manager who has the field now, where managed fields tell.
#[must_use]
pub fn drift(wanted: &Value, found: &Value, ownership: &Ownership) -> Vec<FieldChange> {
    let owners = ownership.owners();
    walk(Walk::of(wanted), wanted, found, Some(&owners.root()), false)
}

/// `lost`: that we do not own it is no news.
fn walk(
    mut walk: Walk<'_>,
    wanted: &Value,
    found: &Value,
    place: Option<&Place<'_>>,
    lost: bool,
) -> Vec<FieldChange> {
    for (name, value) in wanted.as_object().into_iter().flatten() {
        let here = Path { above: None, step: Step::Field(name) };
        let place = place.map(|it| it.field(name));
        match name.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                for part in METADATA {
                    let Some(value) = value.get(part) else { continue };
                    let there = found.get(name).and_then(|it| it.get(part));
                    let place = place.as_ref().map(|it| it.field(part));
                    walk.value(&here.field(part), value, there, place.as_ref(), lost);
                }
            }
            _ => walk.value(&here, value, found.get(name), place.as_ref(), lost),
        }
    }
    walk.changes
}

/// One place of an object as people write it, linked to the one above.
#[derive(Clone)]
struct Path<'a> {
    above: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone)]
enum Step<'a> {
    Field(&'a str),
    Named(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    const fn field(&'a self, name: &'a str) -> Self {
        Self { above: Some(self), step: Step::Field(name) }
    }

    /// The item of a list: by its name where it has one.
    fn item(&'a self, item: &'a Value, index: usize) -> Self {
        let step = name_of(item).map_or(Step::Index(index), Step::Named);
        Self { above: Some(self), step }
    }

    const fn name(&self) -> &str {
        match self.step {
            Step::Field(name) => name,
            Step::Named(_) | Step::Index(_) => "",
        }
    }

    fn is_quantity(&self) -> bool {
        is_quantity(self.above.map_or("", Path::name), self.name())
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Field(name) if name.contains(['.', '/']) => write!(f, "[{name}]"),
            Step::Field(name) if self.above.is_some() => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Named(name) => write!(f, "[name={name}]"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

/// The names of a list's items, where every item has one and none is there twice.
fn names(items: &[Value]) -> Option<Vec<&str>> {
    let names: Option<Vec<&str>> = items.iter().map(name_of).collect();
    names.filter(|names| names.iter().collect::<BTreeSet<_>>().len() == names.len())
}

/// The keys of the lists that the API server merges item by item, with the defaults that it fills in. All other
/// lists of the kinds that we apply are one value; in a CloneSet all are, `containers` too.
fn keys_of(kind: &str, path: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match (kind, path) {
        ("Service", "spec.ports") => Some(&[("port", ""), ("protocol", "TCP")]),
        ("ServiceAccount", "secrets") => Some(&[("name", "")]),
        (_, "metadata.ownerReferences") => Some(&[("uid", "")]),
        _ => None,
    }
}

/// Whether a value says nothing, so that the server may leave it out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether a Go type leaves the value out when it writes JSON (`omitempty`). Where the difference matters, the field
/// is a pointer there and its value stays.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => value.is_empty(),
        Value::Null | Value::Array(_) | Value::Object(_) => is_nothing(value),
    }
}

/// Fields of a pod that are no pointers in Go, so that it leaves them out where they are zero (Kubernetes,
/// `core/v1/types.go`). Every other one is written as it stands.
const PLAIN: [&str; 16] = [
    "annotations",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "initialDelaySeconds",
    "labels",
    "limits",
    "nodeSelector",
    "readOnly",
    "requests",
    "resources",
    "stdin",
    "stdinOnce",
    "subPath",
    "tty",
    "value",
];

struct Walk<'a> {
    kind: &'a str,
    exactly: bool,
    changes: Vec<FieldChange>,
}

impl<'a> Walk<'a> {
    fn of(wanted: &'a Value) -> Self {
        let kind = wanted.get("kind").and_then(Value::as_str).unwrap_or_default();
        Self { kind, exactly: false, changes: Vec::new() }
    }

    /// Whether it is all the same that one side lacks this.
    fn may_lack(&self, path: &Path<'_>, value: &Value) -> bool {
        let plain = || matches!(path.step, Step::Field(name) if PLAIN.contains(&name));
        is_zero(value) && (!self.exactly || matches!(value, Value::Null | Value::Array(_)) || plain())
    }

    /// Compares one value; `lost` when it was reported higher up that we own none of it.
    fn value(
        &mut self,
        path: &Path<'_>,
        wanted: &Value,
        found: Option<&Value>,
        place: Option<&Place<'_>>,
        lost: bool,
    ) {
        let found = found.filter(|it| !it.is_null());
        let nothing = is_nothing(wanted);
        if wanted.is_null() || (nothing && found.is_none() && self.may_lack(path, wanted)) {
            return;
        }
        let lost_here = !lost && !nothing && place.is_some_and(|place| place.ours() == Share::None);
        let before = self.changes.len();
        match (wanted, found) {
            (Value::Object(wanted), Some(Value::Object(found))) => {
                for (name, value) in wanted {
                    let place = place.map(|it| it.field(name));
                    let lost = lost || lost_here;
                    self.value(&path.field(name), value, found.get(name), place.as_ref(), lost);
                }
            }
            (Value::Array(wanted), Some(Value::Array(found))) => {
                self.list(path, wanted, found, place, lost || lost_here);
            }
            (wanted, Some(found)) if equal(path, wanted, found) => {}
            (wanted, None) if self.may_lack(path, wanted) => {}
            (wanted, found) => self.push(path, wanted.clone(), found, place),
        }
        if lost_here && self.changes.len() == before {
            // It says what is wanted, however the server spells it.
            self.push(path, wanted.clone(), found.map(|_| wanted), place);
        }
    }

    fn list(
        &mut self,
        path: &Path<'_>,
        wanted: &[Value],
        found: &[Value],
        place: Option<&Place<'_>>,
        lost: bool,
    ) {
        let merged = place.is_some_and(|place| place.ours() == Share::Some);
        if let Some(keys) = keys_of(self.kind, &path.to_string()) {
            let key = |item: &Value| -> Vec<Value> {
                let of =
                    |(key, default): &(&str, &str)| item.get(*key).cloned().unwrap_or(Value::from(*default));
                keys.iter().map(of).collect()
            };
            let pairs = wanted.iter().map(|item| (item, found.iter().find(|it| key(it) == key(item))));
            self.items(path, pairs, place, lost);
        } else if path.to_string() == "metadata.finalizers" {
            let pairs = wanted.iter().map(|item| (item, found.iter().find(|it| *it == item)));
            self.items(path, pairs, place, lost);
        } else if let (Some(names), Some(there)) = (names(wanted), names(found)) {
            let named = |name: &str| found.iter().find(|item| name_of(item) == Some(name));
            self.items(path, wanted.iter().map(|item| (item, name_of(item).and_then(named))), place, lost);
            let added = found.iter().zip(&there).filter(|(_, name)| !merged && !names.contains(name));
            let before = self.changes.len();
            for (item, name) in added {
                let path = Path { above: Some(path), step: Step::Named(name) };
                self.push(&path, Value::Null, Some(item), place);
            }
            let reordered = names.len() == there.len() && names != there && self.changes.len() == before;
            if reordered && names.iter().all(|name| there.contains(name)) && !merged {
                self.push(path, Value::from(wanted.to_vec()), Some(&Value::from(found.to_vec())), place);
            }
        } else if wanted.iter().chain(found).any(Value::is_object) {
            self.items(
                path,
                wanted.iter().enumerate().map(|(index, item)| (item, found.get(index))),
                place,
                lost,
            );
            for (index, item) in found.iter().enumerate().skip(wanted.len()).filter(|_| !merged) {
                let path = Path { above: Some(path), step: Step::Index(index) };
                self.push(&path, Value::Null, Some(item), place);
            }
        } else if wanted != found {
            self.push(path, Value::from(wanted.to_vec()), Some(&Value::from(found.to_vec())), place);
        }
    }

    fn items<'v>(
        &mut self,
        path: &Path<'_>,
        pairs: impl Iterator<Item = (&'v Value, Option<&'v Value>)>,
        place: Option<&Place<'_>>,
        lost: bool,
    ) {
        for (index, (item, found)) in pairs.enumerate() {
            let place = place.map(|it| it.item(item));
            self.value(&path.item(item, index), item, found, place.as_ref(), lost);
        }
    }

    fn push(&mut self, path: &Path<'_>, wanted: Value, found: Option<&Value>, place: Option<&Place<'_>>) {
        self.changes.push(FieldChange {
            path: path.to_string(),
            wanted,
            found: found.cloned(),
            manager: place.and_then(Place::other).map(str::to_owned),
        });
    }
}

fn equal(path: &Path<'_>, wanted: &Value, found: &Value) -> bool {
    let same_number = || wanted.as_f64().is_some_and(|number| found.as_f64() == Some(number));
    wanted == found || same_number() || (path.is_quantity() && same_quantity(wanted, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cloneset(spec: Value) -> Value {
        json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "metadata": {"name": "web"}, "spec": spec})
    }

    fn pods(containers: Value) -> Value {
        cloneset(json!({"template": {"spec": {"containers": containers}}}))
    }

    fn told(changes: &[FieldChange]) -> Vec<String> {
        let text = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        changes.iter().map(|it| format!("{}: {} -> {}", it.path, it.wanted, text(&it.found))).collect()
    }

    #[test]
    fn what_the_server_filled_in_is_invisible() {
        let wanted = pods(json!([{"name": "app", "image": "a:1", "resources": {"limits": {"cpu": "1000m"}},
            "env": [{"name": "A", "value": ""}], "tty": false, "securityContext": {}}]));
        let found = json!({"metadata": {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"replicas": 1,
            "template": {"metadata": {"creationTimestamp": null}, "spec": {"dnsPolicy": "ClusterFirst", "containers": [
            {"name": "app", "image": "a:1", "resources": {"limits": {"cpu": "1"}}, "env": [{"name": "A"}],
            "imagePullPolicy": "Always"}]}}}});
        assert_eq!(told(&compare(&wanted, &found)), Vec::<String>::new());
    }

    #[test]
    fn another_image_is_named_by_its_container() {
        let wanted = pods(json!([{"name": "log", "image": "l"}, {"name": "app", "image": "a:1"}]));
        let found = pods(json!([{"name": "log", "image": "l"}, {"name": "app", "image": "a:2"}]));
        let path = "spec.template.spec.containers[name=app].image";
        assert_eq!(told(&compare(&wanted, &found)), [format!(r#"{path}: "a:1" -> "a:2""#)]);
    }

    #[test]
    fn a_container_added_removed_or_moved_is_a_change() {
        let both = pods(json!([{"name": "a"}, {"name": "b"}]));
        let one = pods(json!([{"name": "a"}]));
        let moved = pods(json!([{"name": "b"}, {"name": "a"}]));
        let path = "spec.template.spec.containers";
        assert_eq!(told(&compare(&one, &both)), [format!(r#"{path}[name=b]: null -> {{"name":"b"}}"#)]);
        assert_eq!(told(&compare(&both, &one)), [format!(r#"{path}[name=b]: {{"name":"b"}} -> nothing"#)]);
        assert_eq!(compare(&both, &moved)[0].path, path);
    }

    #[test]
    fn lists_without_names_are_compared_by_place() {
        let wanted =
            json!({"kind": "HTTPRoute", "spec": {"hostnames": ["a"], "rules": [{"matches": [{"p": 1}]}]}});
        let found = json!({"kind": "HTTPRoute", "spec": {"hostnames": ["b"], "rules": [{"matches": [{"p": 2}]}, {}]}});
        let paths: Vec<_> = compare(&wanted, &found).into_iter().map(|it| it.path).collect();
        assert_eq!(paths, ["spec.hostnames", "spec.rules[0].matches[0].p", "spec.rules[1]"]);
        let emptied = compare(&json!({"spec": {"args": []}}), &json!({"spec": {"args": ["x"]}}));
        assert_eq!(told(&emptied), [r#"spec.args: [] -> ["x"]"#]);
    }

    #[test]
    fn a_port_that_somebody_added_to_a_service_is_theirs() {
        let wanted = json!({"kind": "Service", "spec": {"ports": [{"port": 80, "name": "http"}]}});
        let found = json!({"kind": "Service", "spec": {"ports": [{"port": 81, "protocol": "TCP"},
            {"port": 80, "name": "http", "protocol": "TCP", "targetPort": 80}]}});
        assert_eq!(compare(&wanted, &found), []);
        let gone =
            json!({"kind": "Service", "spec": {"ports": [{"port": 80, "name": "http", "protocol": "UDP"}]}});
        assert_eq!(compare(&wanted, &gone)[0].path, "spec.ports[name=http]");
    }

    #[test]
    fn labels_are_compared_and_the_servers_metadata_is_not() {
        let wanted = json!({"metadata": {"name": "x", "uid": "1", "labels": {"a.b/c": "1"}, "annotations": {"d": "2"}}});
        let found = json!({"metadata": {"name": "x", "uid": "2", "annotations": {"d": "2", "e": "3"}}});
        assert_eq!(told(&compare(&wanted, &found)), [r#"metadata.labels: {"a.b/c":"1"} -> nothing"#]);
        let other = json!({"metadata": {"labels": {"a.b/c": "2"}, "annotations": {"d": "2"}}});
        assert_eq!(compare(&wanted, &other)[0].path, "metadata.labels[a.b/c]");
    }

    fn owned(found: &mut Value, ours: Value, others: Value) -> Ownership {
        found["metadata"]["managedFields"] = json!([
            {"manager": "triton", "operation": "Apply", "fieldsV1": ours},
            {"manager": "kubectl-set", "operation": "Update", "fieldsV1": others},
        ]);
        Ownership::of(found, "triton")
    }

    #[test]
    fn kubectl_set_image_is_drift_with_its_name() {
        let wanted = pods(json!([{"name": "app", "image": "a:1"}]));
        let mut found = pods(json!([{"name": "app", "image": "a:2"}]));
        let template = |fields: Value| json!({"f:spec": {"f:template": {"f:spec": fields}}});
        let ownership = owned(&mut found, json!({}), template(json!({"f:containers": {}})));
        let changes = drift(&wanted, &found, &ownership);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].path, "spec.template.spec.containers[name=app].image");
        assert_eq!(changes[0].manager.as_deref(), Some("kubectl-set"));
    }

    #[test]
    fn a_field_taken_with_its_value_unchanged_is_drift() {
        let wanted = cloneset(json!({"minReadySeconds": 5, "selector": {"matchLabels": {"a": "b"}}}));
        let mut found = wanted.clone();
        let ours = json!({"f:spec": {"f:selector": {}}});
        let ownership = owned(&mut found, ours, json!({"f:spec": {"f:minReadySeconds": {}}}));
        let changes = drift(&wanted, &found, &ownership);
        assert_eq!(told(&changes), ["spec.minReadySeconds: 5 -> 5"]);
        assert_eq!(changes[0].manager.as_deref(), Some("kubectl-set"));
    }

    #[test]
    fn what_a_webhook_changed_in_our_own_apply_is_still_ours() {
        let wanted = cloneset(json!({"minReadySeconds": 5}));
        let mut found = wanted.clone();
        found["metadata"]["managedFields"] = json!([
            {"manager": "triton", "operation": "Apply", "fieldsV1": {}},
            {"manager": "triton", "operation": "Update", "fieldsV1": {"f:spec": {"f:minReadySeconds": {}}}},
        ]);
        assert_eq!(drift(&wanted, &found, &Ownership::of(&found, "triton")), []);
    }

    #[test]
    fn before_it_is_ours_a_difference_has_the_name_of_who_wrote_it_and_what_is_the_same_is_none() {
        let wanted = cloneset(json!({"minReadySeconds": 5, "selector": {"matchLabels": {"a": "b"}}}));
        let found = cloneset(json!({"minReadySeconds": 7, "selector": {"matchLabels": {"a": "b"}}}));
        let mut found = found;
        found["metadata"]["managedFields"] = json!([{"manager": "kubectl-edit", "operation": "Update",
            "fieldsV1": {"f:spec": {"f:minReadySeconds": {}, "f:selector": {}}}}]);
        let changes = compare_named(&wanted, &found, &Ownership::of(&found, "triton"));
        assert_eq!(told(&changes), ["spec.minReadySeconds: 5 -> 7"]);
        assert_eq!(changes[0].manager.as_deref(), Some("kubectl-edit"));
    }

    #[test]
    fn a_field_lost_with_what_the_server_filled_in_below_it_is_lost_and_not_changed() {
        let wanted = pods(json!([{"name": "app", "image": "a:1"}]));
        let mut found = pods(json!([{"name": "app", "image": "a:1", "imagePullPolicy": "Always"}]));
        let ownership = owned(&mut found, json!({"f:metadata": {"f:labels": {}}}), json!({"f:spec": {}}));
        let changes = drift(&wanted, &found, &ownership);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].path.as_str(), changes[0].found.as_ref()), ("spec", Some(&changes[0].wanted)));
    }

    #[test]
    fn an_object_that_we_never_applied_is_all_drift_once_per_field() {
        let wanted = cloneset(json!({"replicas": 1, "selector": {"matchLabels": {"a": "b"}}}));
        let changes = drift(&wanted, &wanted, &Ownership::default());
        assert_eq!(told(&changes).len(), 1);
        assert_eq!(changes[0].path, "spec");
    }
}
