//! The three patches besides apply: JSON merge patch (RFC 7386), JSON patch (RFC 6902), strategic merge patch.
//!
//! Of strategic merge patches there is what kubectl sends: merging by key, `$patch: delete|replace`,
//! `$deleteFromPrimitiveList`, `$setElementOrder`, `$retainKeys`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::devcluster::refusal::Refusal;
use crate::devcluster::schema::{Identity, Schema, Shape};

/// Applies a JSON merge patch.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_patch(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Applies a JSON patch.
///
/// # Errors
/// 422 without details, whichever operation fails.
pub fn json_patch(target: &mut Value, operations: &[Value]) -> Result<(), Refusal> {
    let failed = || Refusal {
        code: 422,
        reason: "Invalid",
        message: "the server rejected our request due to an error in our request".to_owned(),
        details: Some(Value::Object(Map::new())),
    };
    operations.iter().try_for_each(|operation| one_operation(target, operation).ok_or_else(failed))
}

fn one_operation(target: &mut Value, operation: &Value) -> Option<()> {
    let path = operation["path"].as_str()?;
    match operation["op"].as_str()? {
        "test" => (target.pointer(path)? == &operation["value"]).then_some(()),
        "remove" => take(target, path).map(|_| ()),
        "add" => put(target, path, operation.get("value")?.clone(), true),
        "replace" => put(target, path, operation.get("value")?.clone(), false),
        "move" => {
            let value = take(target, operation["from"].as_str()?)?;
            put(target, path, value, true)
        }
        "copy" => {
            let value = target.pointer(operation["from"].as_str()?)?.clone();
            put(target, path, value, true)
        }
        _ => None,
    }
}

fn split(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn take(target: &mut Value, path: &str) -> Option<Value> {
    let (parent, last) = split(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(map) => map.remove(&last),
        Value::Array(items) => {
            let index: usize = last.parse().ok()?;
            (index < items.len()).then(|| items.remove(index))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn put(target: &mut Value, path: &str, value: Value, insert: bool) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    let (parent, last) = split(path)?;
    match target.pointer_mut(parent)? {
        Value::Object(map) => {
            map.insert(last, value);
        }
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => {
            let index: usize = last.parse().ok()?;
            if insert && index <= items.len() {
                items.insert(index, value);
            } else {
                *items.get_mut(index)? = value;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    }
    Some(())
}

/// Applies a strategic merge patch under the kind's schema.
pub fn strategic_patch(target: &mut Value, patch: &Value, schema: &Schema) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if patch.get("$patch").is_some_and(|word| word == "replace") || !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return };
    if let Some(keep) = patch.get("$retainKeys").and_then(Value::as_array) {
        map.retain(|key, _| keep.iter().any(|kept| kept == key));
    }
    let open = Schema::of(Shape::Open);
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        let child = schema.field(key).0.unwrap_or(&open);
        if value.is_null() {
            map.remove(key);
        } else if value.is_object() {
            strategic_patch(map.entry(key.clone()).or_insert(Value::Null), value, child);
        } else if let (Some(items), Some(name)) = (value.as_array(), merge_key(child)) {
            let list = map.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
            merge_list(list, items, name, child.item().unwrap_or(&open));
        } else if let (Some(items), true) = (value.as_array(), is_set(child)) {
            let list = map.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
            join_set(list, items);
        } else {
            map.insert(key.clone(), value.clone());
        }
    }
    for (key, order) in patch {
        if let Some(list) = key.strip_prefix("$setElementOrder/") {
            set_order(map, list, order, schema);
        }
        if let (Some(list), Some(gone)) = (key.strip_prefix("$deleteFromPrimitiveList/"), order.as_array())
            && let Some(items) = map.get_mut(list).and_then(Value::as_array_mut)
        {
            items.retain(|item| !gone.contains(item));
        }
    }
}

/// The field by which a strategic patch tells the items of a list apart: the first key of the list.
fn merge_key(schema: &Schema) -> Option<&str> {
    match &schema.shape {
        Shape::List { identity: Identity::Keys(keys), .. } => keys.first().map(|(key, _)| key.as_str()),
        Shape::List { .. } | Shape::Scalar(_) | Shape::Map { .. } | Shape::Open | Shape::Sealed => None,
    }
}

fn is_set(schema: &Schema) -> bool {
    matches!(schema.shape, Shape::List { identity: Identity::Set, .. })
}

/// Merges items by their key; new ones come first, as Kubernetes puts them.
fn merge_list(list: &mut Value, patch: &[Value], key: &str, item: &Schema) {
    let Some(items) = list.as_array_mut() else {
        *list = Value::Array(patch.to_vec());
        return;
    };
    if patch.iter().any(|change| change.get("$patch").is_some_and(|word| word == "replace")) {
        items.clear();
    }
    let mut new = Vec::new();
    for change in patch {
        let word = change.get("$patch").and_then(Value::as_str);
        let found = items.iter().position(|found| found.get(key) == change.get(key));
        match (word, found) {
            (Some("delete"), Some(index)) => {
                items.remove(index);
            }
            (Some(_), _) => {}
            (None, Some(index)) => strategic_patch(&mut items[index], change, item),
            (None, None) => {
                let mut added = Value::Null;
                strategic_patch(&mut added, change, item);
                new.push(added);
            }
        }
    }
    new.append(items);
    *items = new;
}

fn join_set(list: &mut Value, patch: &[Value]) {
    let Some(items) = list.as_array_mut() else { return };
    for item in patch {
        if !items.contains(item) {
            items.push(item.clone());
        }
    }
}

/// Orders a list as the patch says; items that it does not name keep their places behind.
fn set_order(map: &mut Map<String, Value>, list: &str, order: &Value, schema: &Schema) {
    let key = schema.field(list).0.and_then(merge_key).map(str::to_owned);
    let Some(items) = map.get_mut(list).and_then(Value::as_array_mut) else { return };
    let name = |item: &Value| key.as_ref().map_or_else(|| item.clone(), |key| item[key].clone());
    let wanted: Vec<Value> = order.as_array().into_iter().flatten().map(name).collect();
    let place = |item: &Value| wanted.iter().position(|wanted| *wanted == name(item)).unwrap_or(wanted.len());
    let unique: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
    if unique.len() == wanted.len() {
        items.sort_by_key(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_sets_and_removes() {
        let mut object = json!({"a": {"b": 1, "c": 2}});
        merge_patch(&mut object, &json!({"a": {"b": null, "d": [1]}}));
        assert_eq!(object, json!({"a": {"c": 2, "d": [1]}}));
    }

    #[test]
    fn a_json_patch_that_fails_says_nothing_of_why() {
        let mut object = json!({"a": 1});
        let refusal = json_patch(&mut object, &[json!({"op": "remove", "path": "/b"})]).unwrap_err();
        assert_eq!(refusal.code, 422);
        json_patch(&mut object, &[json!({"op": "add", "path": "/x~1y", "value": 2})]).unwrap();
        assert_eq!(object, json!({"a": 1, "x/y": 2}));
    }
}
