//! Small helpers for objects kept as JSON: documents that are cheap to clone, places in them, differences between two.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::{Map, Value};

/// A JSON document that is cheap to clone: the copy is made by the first change.
#[derive(Clone, Debug, PartialEq)]
pub struct Body(Arc<Value>);

impl Body {
    /// The document by itself; copied only if someone else has it too.
    #[must_use]
    pub fn into_value(self) -> Value {
        Arc::unwrap_or_clone(self.0)
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Body {
        Body(Arc::new(value))
    }
}

impl Deref for Body {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl DerefMut for Body {
    fn deref_mut(&mut self) -> &mut Value {
        Arc::make_mut(&mut self.0)
    }
}

/// What stands at a pointer whose keys have no `~` and which enters no list.
fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(value, |value, key| value.get(key))
}

/// The string at a pointer, or `""`.
#[must_use]
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The map under `field`, made if it is missing or not a map.
pub fn map<'a>(value: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !value.get(field).is_some_and(Value::is_object) {
        value[field] = Value::Object(Map::new());
    }
    match &mut value[field] {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("it was made a map just now")
        }
    }
}

/// The list under `field`, made if it is missing or not a list.
pub fn list<'a>(value: &'a mut Value, field: &str) -> &'a mut Vec<Value> {
    if !value.get(field).is_some_and(Value::is_array) {
        value[field] = Value::Array(Vec::new());
    }
    match &mut value[field] {
        Value::Array(list) => list,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            unreachable!("it was made a list just now")
        }
    }
}

/// The items of the list at a pointer; none if there is no list.
pub fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    at(value, pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The entries of the map of strings at a pointer, sorted by key; none if there is no map.
pub fn strings<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
    let entries = at(value, pointer).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// One operation of a JSON patch, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// `add`, `replace` or `remove`.
    pub op: &'static str,
    /// A JSON pointer.
    pub path: String,
}

/// What must be done to `old` to make it `new`, as the Go library jsonpatch says it: maps by key, lists by index.
#[must_use]
pub fn differences(old: &Value, new: &Value) -> Vec<Op> {
    let mut ops = Vec::new();
    compare(old, new, "", &mut ops);
    ops
}

fn compare(old: &Value, new: &Value, path: &str, ops: &mut Vec<Op>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, before) in old {
                let path = format!("{path}/{}", escape(key));
                match new.get(key) {
                    Some(after) => compare(before, after, &path, ops),
                    None => ops.push(Op { op: "remove", path }),
                }
            }
            for key in new.keys().filter(|key| !old.contains_key(*key)) {
                ops.push(Op { op: "add", path: format!("{path}/{}", escape(key)) });
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, (before, after)) in old.iter().zip(new).enumerate() {
                compare(before, after, &format!("{path}/{index}"), ops);
            }
            for index in new.len()..old.len() {
                ops.push(Op { op: "remove", path: format!("{path}/{index}") });
            }
            for index in old.len()..new.len() {
                ops.push(Op { op: "add", path: format!("{path}/{index}") });
            }
        }
        (old, new) if old != new => ops.push(Op { op: "replace", path: path.to_owned() }),
        _same => {}
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_the_smallest_place_that_changed() {
        let old = json!({"containers": [{"name": "c", "image": "a"}], "grace": 30});
        let new = json!({"containers": [{"name": "c", "image": "b", "env": []}, {"name": "d"}]});
        let ops: Vec<String> =
            differences(&old, &new).iter().map(|op| format!("{} {}", op.op, op.path)).collect();
        assert_eq!(
            ops,
            ["replace /containers/0/image", "add /containers/0/env", "add /containers/1", "remove /grace"]
        );
    }
}
