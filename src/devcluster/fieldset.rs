//! Sets of field paths, as managedFields write them (FieldsV1).
//!
//! A path element is kept in the form that FieldsV1 gives it: `f:name`, `k:{"port":80}`, `v:"x"`.
//! See <https://kubernetes.io/docs/reference/using-api/server-side-apply/>.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::devcluster::schema::Schema;

/// A set of paths. The node at a path is in the set when it is `own`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Whether the path to this node is itself in the set.
    pub own: bool,
    /// What is below, by path element.
    pub below: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// The set of one path: the root of where it will be put.
    #[must_use]
    pub fn leaf() -> FieldSet {
        FieldSet { own: true, below: BTreeMap::new() }
    }

    /// Whether there is no path in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.own && self.below.values().all(FieldSet::is_empty)
    }

    /// Puts a set below this one, if there is anything in it.
    pub fn put(&mut self, element: String, set: FieldSet) {
        if !set.is_empty() {
            self.below.insert(element, set);
        }
    }

    /// Reads FieldsV1. `None` where it is not an object of objects.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<FieldSet> {
        let mut set = FieldSet::default();
        for (element, below) in value.as_object()? {
            if element == "." {
                set.own = true;
            } else {
                let mut below = FieldSet::from_json(below)?;
                below.own |= below.below.is_empty();
                set.below.insert(element.clone(), below);
            }
        }
        Some(set)
    }

    /// Writes FieldsV1.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut map = Map::new();
        for (element, below) in &self.below {
            let mut inner = below.json();
            if below.own
                && !below.below.is_empty()
                && let Some(inner) = inner.as_object_mut()
            {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.clone(), inner);
        }
        Value::Object(map)
    }

    /// All paths of both.
    #[must_use]
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        let mut all = self.clone();
        all.own |= other.own;
        for (element, set) in &other.below {
            let joined = all.below.get(element).map_or_else(|| set.clone(), |here| here.union(set));
            all.below.insert(element.clone(), joined);
        }
        all
    }

    /// The paths of this one that the other has not.
    #[must_use]
    pub fn minus(&self, other: &FieldSet) -> FieldSet {
        let mut left = FieldSet { own: self.own && !other.own, below: BTreeMap::new() };
        for (element, set) in &self.below {
            let rest = other.below.get(element).map_or_else(|| set.clone(), |there| set.minus(there));
            left.put(element.clone(), rest);
        }
        left
    }

    /// The paths that both have.
    #[must_use]
    pub fn common(&self, other: &FieldSet) -> FieldSet {
        let mut both = FieldSet { own: self.own && other.own, below: BTreeMap::new() };
        for (element, set) in &self.below {
            if let Some(there) = other.below.get(element) {
                both.put(element.clone(), set.common(there));
            }
        }
        both
    }

    /// Takes out a path and everything below it.
    pub fn cut(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        if rest.is_empty() {
            self.below.remove(*first);
        } else if let Some(child) = self.below.get_mut(*first) {
            child.cut(rest);
            if child.is_empty() {
                self.below.remove(*first);
            }
        }
    }

    /// Takes out one path and leaves what is below it.
    pub fn disown(&mut self, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else {
            self.own = false;
            return;
        };
        if let Some(child) = self.below.get_mut(*first) {
            child.disown(rest);
            if child.is_empty() {
                self.below.remove(*first);
            }
        }
    }

    /// The same set with the named fields on the way to its paths in it too: whoever owns `spec.replicas` has a
    /// say in whether `spec` is there.
    #[must_use]
    pub fn with_named_fields(&self, schema: Option<&Schema>) -> FieldSet {
        let mut all = FieldSet { own: self.own, below: BTreeMap::new() };
        for (element, set) in &self.below {
            let (child, named) = child_schema(schema, element);
            let mut below = set.with_named_fields(child);
            below.own |= named;
            all.below.insert(element.clone(), below);
        }
        all
    }

    /// Every path in the set as error messages write it, in order: `.spec.ports[port=80,protocol="TCP"].name`.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, at: &str, paths: &mut Vec<String>) {
        if self.own {
            paths.push(at.to_owned());
        }
        for (element, set) in &self.below {
            set.collect(&format!("{at}{}", spoken(element)), paths);
        }
    }
}

fn child_schema<'a>(schema: Option<&'a Schema>, element: &str) -> (Option<&'a Schema>, bool) {
    let Some(schema) = schema else { return (None, false) };
    match element.strip_prefix("f:") {
        Some(name) => schema.field(name),
        None => (schema.item(), false),
    }
}

/// A path element as messages write it.
#[must_use]
pub fn spoken(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("k", keys)) => format!("[{}]", spoken_keys(keys)),
        Some(_) | None => format!("[{element}]"),
    }
}

fn spoken_keys(keys: &str) -> String {
    let keys: BTreeMap<String, Value> = serde_json::from_str(keys).unwrap_or_default();
    let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: Value) -> FieldSet {
        FieldSet::from_json(&value).unwrap()
    }

    #[test]
    fn fieldsv1_is_written_as_it_was_read() {
        let text = json!({"f:spec": {".": {}, "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}}});
        assert_eq!(set(text.clone()).json(), text);
    }

    #[test]
    fn a_path_is_told_from_what_is_below_it() {
        let whole = set(json!({"f:a": {".": {}, "f:b": {}}}));
        let parent = set(json!({"f:a": {}}));
        assert_eq!(whole.minus(&parent), set(json!({"f:a": {"f:b": {}}})));
        assert_eq!(whole.common(&parent), parent);
        assert_eq!(parent.union(&set(json!({"f:a": {"f:b": {}}}))), whole);
    }

    #[test]
    fn paths_are_spoken_as_kubernetes_speaks_them() {
        let ports =
            set(json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}}}}}));
        assert_eq!(ports.paths(), vec![r#".spec.ports[port=80,protocol="TCP"].name"#]);
        assert_eq!(set(json!({"f:f": {"v:\"a\"": {}}})).paths(), vec![r#".f[="a"]"#]);
    }
}
