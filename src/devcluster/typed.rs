//! Values under a schema, as server-side apply sees them: who could own what, what differs, how two are merged,
//! what is left when fields are taken out.
//!
//! The rules are those of Kubernetes' structured merge diff, as far as the recorded vectors show them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::devcluster::fieldset::{FieldSet, spoken};
use crate::devcluster::schema::{Scalar, Schema, Shape, View};

/// Equal as Kubernetes compares: 5 and 5.0 are one number.
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_),
            _,
        ) => a == b,
    }
}

/// The paths that someone who sends `value` owns.
#[must_use]
pub fn owned(value: &Value, schema: &Schema) -> FieldSet {
    let mut set = FieldSet::default();
    match schema.view(value) {
        View::Leaf => set.own = true,
        View::Map => {
            for (key, value) in value.as_object().into_iter().flatten() {
                let (child, named) = schema.field(key);
                let mut below = child.map_or_else(FieldSet::leaf, |child| owned(value, child));
                below.own |= !named || value.is_null() || value.as_object().is_some_and(Map::is_empty);
                set.put(format!("f:{key}"), below);
            }
        }
        View::Set | View::Keyed(_) => {
            for (element, item) in elements(schema, value) {
                let mut below = schema.item().map_or_else(FieldSet::leaf, |child| owned(item, child));
                below.own = true;
                set.put(element, below);
            }
        }
    }
    set
}

/// The items of a list with their names as path elements.
#[must_use]
pub fn elements<'a>(schema: &Schema, list: &'a Value) -> Vec<(String, &'a Value)> {
    let view = schema.view(list);
    list.as_array().into_iter().flatten().map(|item| (element(view, item), item)).collect()
}

fn element(view: View<'_>, item: &Value) -> String {
    match view {
        View::Keyed(keys) => {
            let mut name = Map::new();
            for (key, default) in keys {
                let value = item.get(key).filter(|value| !value.is_null()).or(default.as_ref());
                if let Some(value) = value {
                    name.insert(key.clone(), value.clone());
                }
            }
            format!("k:{}", Value::Object(name))
        }
        View::Leaf | View::Map | View::Set => format!("v:{item}"),
    }
}

/// What differs between two values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// There only in the new one.
    pub added: FieldSet,
    /// There only in the old one.
    pub removed: FieldSet,
    /// Different in both.
    pub modified: FieldSet,
}

impl Difference {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.modified.is_empty()
    }

    fn put(&mut self, element: &str, below: Difference) {
        if below.is_empty() {
            return;
        }
        self.added.put(element.to_owned(), below.added);
        self.removed.put(element.to_owned(), below.removed);
        self.modified.put(element.to_owned(), below.modified);
    }
}

/// Compares two values of one schema; `None` is a value that is not there.
#[must_use]
pub fn compare(old: Option<&Value>, new: Option<&Value>, schema: &Schema) -> Difference {
    let mut found = Difference::default();
    let (Some(sample), view) = (old.or(new), common_view(old, new, schema)) else { return found };
    if old == new {
        return found;
    }
    let hollow = is_hollow(old) && is_hollow(new);
    if view == View::Leaf || hollow {
        match (old, new) {
            (Some(old), Some(new)) => found.modified.own = !same(old, new),
            (Some(_), None) => found.removed.own = true,
            (None, _) => found.added.own = true,
        }
        return found;
    }
    if view == View::Map {
        for key in keys_of(old, new) {
            let (was, is) = (old.and_then(|old| old.get(key)), new.and_then(|new| new.get(key)));
            let below = match schema.field(key).0 {
                Some(child) => compare(was, is, child),
                None => compare(was, is, &Schema::of(Shape::Sealed)),
            };
            found.put(&format!("f:{key}"), below);
        }
    } else {
        compare_items(&mut found, old, new, schema, sample);
    }
    found.added.own |= old.is_none();
    found.removed.own |= new.is_none();
    found
}

fn compare_items(
    found: &mut Difference,
    old: Option<&Value>,
    new: Option<&Value>,
    schema: &Schema,
    sample: &Value,
) {
    let group = |list: Option<&Value>| {
        let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for item in list.and_then(Value::as_array).into_iter().flatten() {
            groups.entry(element(schema.view(sample), item)).or_default().push(item.clone());
        }
        groups
    };
    let (was, is) = (group(old), group(new));
    let sealed = Schema::of(Shape::Sealed);
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    for name in names {
        let below = match (was.get(name).map(Vec::as_slice), is.get(name).map(Vec::as_slice)) {
            (Some([old]), Some([new])) => compare(Some(old), Some(new), schema.item().unwrap_or(&sealed)),
            (Some([old]), None) => compare(Some(old), None, schema.item().unwrap_or(&sealed)),
            (None, Some([new])) => compare(None, Some(new), schema.item().unwrap_or(&sealed)),
            (old, new) => {
                let (old, new) = (old.map(|old| json!(old)), new.map(|new| json!(new)));
                compare(old.as_ref(), new.as_ref(), &sealed)
            }
        };
        found.put(name, below);
    }
}

/// Merges what is applied over what is live. `None` is nothing at all.
#[must_use]
pub fn merge(live: Option<&Value>, applied: Option<&Value>, schema: &Schema) -> Option<Value> {
    let view = common_view(live, applied, schema);
    if view == View::Leaf || (is_hollow(live) && is_hollow(applied)) {
        return applied.or(live).cloned();
    }
    let sealed = Schema::of(Shape::Sealed);
    if view == View::Map {
        let mut merged = Map::new();
        for key in keys_of(live, applied) {
            let (was, is) = (live.and_then(|live| live.get(key)), applied.and_then(|new| new.get(key)));
            if let Some(value) = merge(was, is, schema.field(key).0.unwrap_or(&sealed)) {
                merged.insert(key.clone(), value);
            }
        }
        return (!merged.is_empty()).then_some(Value::Object(merged));
    }
    let items = merge_items(live, applied, schema);
    (!items.is_empty()).then_some(Value::Array(items))
}

/// Items of both lists. The applied order holds among the applied items; a live item that is not applied keeps
/// its place before the items that followed it.
fn merge_items(live: Option<&Value>, applied: Option<&Value>, schema: &Schema) -> Vec<Value> {
    let sealed = Schema::of(Shape::Sealed);
    let child = schema.item().unwrap_or(&sealed);
    let old = live.map(|live| elements(schema, live)).unwrap_or_default();
    let new = applied.map(|applied| elements(schema, applied)).unwrap_or_default();
    let old_at: BTreeMap<&str, &Value> = old.iter().map(|(name, item)| (name.as_str(), *item)).collect();
    let new_names: BTreeSet<&str> = new.iter().map(|(name, _)| name.as_str()).collect();
    let mut merged = Vec::new();
    let mut waiting = old.iter().peekable();
    for (name, item) in &new {
        if old_at.contains_key(name.as_str()) {
            while let Some((passed, kept)) = waiting.next_if(|(passed, _)| passed != name) {
                if !new_names.contains(passed.as_str()) {
                    merged.push((*kept).clone());
                }
            }
            waiting.next_if(|(passed, _)| passed == name);
        } else {
            while let Some((_, kept)) = waiting.next_if(|(passed, _)| !new_names.contains(passed.as_str())) {
                merged.push((*kept).clone());
            }
        }
        merged.extend(merge(old_at.get(name.as_str()).copied(), Some(item), child));
    }
    merged.extend(
        waiting.filter(|(name, _)| !new_names.contains(name.as_str())).map(|(_, kept)| (*kept).clone()),
    );
    merged
}

/// Takes the paths of a set out of a value. A map or list that is left without anything becomes `None`, which its
/// parent writes as null: so does Kubernetes.
#[must_use]
pub fn without(value: &Value, set: &FieldSet, schema: &Schema) -> Option<Value> {
    let sealed = Schema::of(Shape::Sealed);
    match schema.view(value) {
        View::Map => {
            let mut left = Map::new();
            for (key, value) in value.as_object()? {
                match set.below.get(&format!("f:{key}")) {
                    Some(gone) if gone.own => {}
                    Some(gone) if !gone.is_empty() => {
                        let child = schema.field(key).0.unwrap_or(&sealed);
                        left.insert(key.clone(), without(value, gone, child).unwrap_or(Value::Null));
                    }
                    Some(_) | None => {
                        left.insert(key.clone(), value.clone());
                    }
                }
            }
            (!left.is_empty()).then_some(Value::Object(left))
        }
        View::Set | View::Keyed(_) => {
            let mut left = Vec::new();
            for (name, item) in elements(schema, value) {
                match set.below.get(&name) {
                    Some(gone) if gone.own => {}
                    Some(gone) if !gone.is_empty() => {
                        left.push(
                            without(item, gone, schema.item().unwrap_or(&sealed)).unwrap_or(Value::Null),
                        );
                    }
                    Some(_) | None => left.push(item.clone()),
                }
            }
            (!left.is_empty()).then_some(Value::Array(left))
        }
        View::Leaf => match value {
            Value::Object(_) | Value::Array(_) => None,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value.clone()),
        },
    }
}

/// What makes a value unfit to be applied, each with its path: wrong types, unknown fields, items that come twice.
#[must_use]
pub fn misfits(value: &Value, schema: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    look_for_misfits("", value, schema, &mut found);
    found
}

fn look_for_misfits(at: &str, value: &Value, schema: &Schema, found: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    match &schema.shape {
        Shape::Scalar(scalar) => {
            if let Some(expected) = wrong_scalar(*scalar, value) {
                found.push(format!("{at}: {expected}"));
            }
        }
        Shape::Map { fields, rest, .. } => {
            let Some(map) = value.as_object() else {
                found.push(format!("{at}: expected map, got {}", go_value(value)));
                return;
            };
            for (key, value) in map {
                let path = format!("{at}.{key}");
                match fields.get(key).or(rest.as_ref()) {
                    Some(child) => look_for_misfits(&path, value, child, found),
                    None => found.push(format!("{path}: field not declared in schema")),
                }
            }
        }
        Shape::List { item, identity } => {
            let Some(list) = value.as_array() else {
                found.push(format!("{at}: expected list, got {}", go_value(value)));
                return;
            };
            let mut seen = BTreeSet::new();
            for (index, (name, value)) in
                elements(schema, Value::as_array(value).map_or(&Value::Null, |_| value))
                    .into_iter()
                    .enumerate()
            {
                let atomic = *identity == crate::devcluster::schema::Identity::Atomic;
                let place = if atomic { format!("[{index}]") } else { spoken(&name) };
                if !atomic && !seen.insert(name.clone()) {
                    found.push(format!("{at}: duplicate entries for key {place}"));
                }
                look_for_misfits(&format!("{at}{place}"), value, item, found);
            }
            debug_assert!(list.len() >= seen.len(), "every name belongs to an item");
        }
        Shape::Open | Shape::Sealed => {}
    }
}

fn wrong_scalar(scalar: Scalar, value: &Value) -> Option<String> {
    match (scalar, value) {
        (Scalar::Integer | Scalar::Number, Value::Number(_))
        | (Scalar::String | Scalar::Time | Scalar::MicroTime, Value::String(_))
        | (Scalar::Boolean, Value::Bool(_))
        | (Scalar::IntOrString | Scalar::Quantity, Value::Number(_) | Value::String(_) | Value::Bool(_)) => {
            None
        }
        (Scalar::Integer | Scalar::Number, other) => {
            Some(format!("expected numeric (int or float), got {}", type_name(other)))
        }
        (Scalar::String | Scalar::Time | Scalar::MicroTime, other) => {
            Some(format!("expected string, got {}", go_value(other)))
        }
        (Scalar::Boolean, other) => Some(format!("expected boolean, got {}", go_value(other))),
        (Scalar::IntOrString | Scalar::Quantity, Value::Object(_) | Value::Array(_)) => None,
        (Scalar::IntOrString | Scalar::Quantity, Value::Null) => None,
    }
}

/// The name that OpenAPI gives to the type of a value.
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The value as Go prints the wrapper that it is in.
fn go_value(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            format!("&{{[{}]}}", items.join(" "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            format!("&value.valueUnstructured{{Value:{value}}}")
        }
    }
}

fn common_view<'a>(a: Option<&Value>, b: Option<&Value>, schema: &'a Schema) -> View<'a> {
    let present =
        |value: Option<&Value>| value.filter(|value| !value.is_null()).map(|value| schema.view(value));
    match (present(a), present(b)) {
        (Some(a), Some(b)) if a != b => View::Leaf,
        (Some(view), _) | (None, Some(view)) => view,
        (None, None) => View::Leaf,
    }
}

fn is_hollow(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => false,
    }
}

fn keys_of<'a>(a: Option<&'a Value>, b: Option<&'a Value>) -> BTreeSet<&'a String> {
    let keys = |value: Option<&'a Value>| value.and_then(Value::as_object).into_iter().flat_map(Map::keys);
    keys(a).chain(keys(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcluster::notation::structures;

    fn merged(live: Value, applied: Value) -> Value {
        let shapes = structures(
            "Port {\n  port int\n  name string\n}\nSpec {\n  ports [Port](port)\n  set [string]set\n}\n",
        );
        merge(Some(&live), Some(&applied), &shapes["Spec"]).unwrap()
    }

    #[test]
    fn items_that_are_not_applied_keep_their_place_among_those_that_are() {
        let set = merged(json!({"set": ["b", "a"]}), json!({"set": ["c", "a"]}));
        assert_eq!(set, json!({"set": ["b", "c", "a"]}));
    }

    #[test]
    fn an_item_is_merged_with_its_like_wherever_it_stands() {
        let live = json!({"ports": [{"port": 1, "name": "x"}, {"port": 2}]});
        let ports = merged(live, json!({"ports": [{"port": 2, "name": "y"}, {"port": 1}]}));
        assert_eq!(ports, json!({"ports": [{"port": 2, "name": "y"}, {"port": 1, "name": "x"}]}));
    }

    #[test]
    fn five_and_five_point_zero_are_one_number() {
        assert!(same(&json!({"a": [5]}), &json!({"a": [5.0]})));
        assert!(!same(&json!(5), &json!("5")));
    }
}
