//! Objects of custom kinds: unknown fields, defaults and validation by their schema, in Kubernetes' words.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::devcluster::kinds::Kind;
use crate::devcluster::refusal::Cause;
use crate::devcluster::schema::{Identity, Limits, Scalar, Schema, Shape};
use crate::devcluster::typed::{elements, same, type_name};

/// Drops the fields that the schema does not know and returns their paths, in order.
pub fn prune(value: &mut Value, schema: &Schema) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_below("", value, schema, &mut unknown);
    unknown
}

fn prune_below(at: &str, value: &mut Value, schema: &Schema, unknown: &mut Vec<String>) {
    match (&schema.shape, value) {
        (Shape::Map { fields, rest, .. }, Value::Object(map)) => {
            let join = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
            map.retain(|key, _| {
                let known = fields.contains_key(key) || rest.is_some();
                if !known {
                    unknown.push(join(key));
                }
                known
            });
            for (key, value) in map.iter_mut() {
                if let Some(child) = fields.get(key).or(rest.as_ref()) {
                    prune_below(&join(key), value, child, unknown);
                }
            }
        }
        (Shape::List { item, .. }, Value::Array(items)) => {
            for (index, value) in items.iter_mut().enumerate() {
                prune_below(&format!("{at}[{index}]"), value, item, unknown);
            }
        }
        (
            Shape::Map { .. } | Shape::List { .. } | Shape::Scalar(_) | Shape::Open | Shape::Sealed,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
        ) => {}
    }
}

/// Puts in the defaults of the schema where nothing stands, or null where null is not allowed.
pub fn fill_defaults(value: &mut Value, schema: &Schema) {
    match (&schema.shape, value) {
        (Shape::Map { fields, rest, .. }, Value::Object(map)) => {
            for (key, child) in fields {
                let missing = map.get(key).is_none_or(|value| value.is_null() && !child.nullable);
                if missing && let Some(default) = &child.default {
                    map.insert(key.clone(), default.clone());
                }
            }
            for (key, value) in map.iter_mut() {
                if let Some(child) = fields.get(key).or(rest.as_ref()) {
                    fill_defaults(value, child);
                }
            }
        }
        (Shape::List { item, .. }, Value::Array(items)) => {
            items.iter_mut().for_each(|value| fill_defaults(value, item));
        }
        (
            Shape::Map { .. } | Shape::List { .. } | Shape::Scalar(_) | Shape::Open | Shape::Sealed,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
        ) => {}
    }
}

/// What is wrong with an object by its kind's schema and its scale subresource.
#[must_use]
pub fn faults(object: &Value, kind: &Kind) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_children("", object, &kind.schema, &mut causes);
    check_scale(object, kind, &mut causes);
    duplicates("", object, &kind.schema, &mut causes);
    causes
}

/// What is wrong with the status alone, as a write to `/status` checks it: paths without `status`.
#[must_use]
pub fn status_faults(object: &Value, kind: &Kind) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let (Some(status), (Some(schema), _)) = (object.get("status"), kind.schema.field("status")) {
        check("", status, schema, &mut causes);
    }
    causes
}

fn check(at: &str, value: &Value, schema: &Schema, causes: &mut Vec<Cause>) {
    if value.is_null() && schema.nullable {
        return;
    }
    let before = causes.len();
    check_type(at, value, schema, causes);
    if causes.len() == before {
        check_limits(at, value, &schema.limits, causes);
        check_children(at, value, schema, causes);
    }
}

fn check_children(at: &str, value: &Value, schema: &Schema, causes: &mut Vec<Cause>) {
    match (&schema.shape, value) {
        (Shape::Map { fields, rest, .. }, Value::Object(map)) => {
            let join = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
            for (key, value) in map.iter().filter(|(key, _)| !at.is_empty() || key.as_str() != "metadata") {
                if let Some(child) = fields.get(key).or(rest.as_ref()) {
                    check(&join(key), value, child, causes);
                }
            }
        }
        (Shape::List { item, .. }, Value::Array(items)) => {
            for (index, value) in items.iter().enumerate() {
                check(&format!("{at}[{index}]"), value, item, causes);
            }
        }
        (
            Shape::Map { .. } | Shape::List { .. } | Shape::Scalar(_) | Shape::Open | Shape::Sealed,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
        ) => {}
    }
}

fn check_type(at: &str, value: &Value, schema: &Schema, causes: &mut Vec<Cause>) {
    let got = type_name(value);
    let wanted = match &schema.shape {
        Shape::Scalar(Scalar::String | Scalar::Time | Scalar::MicroTime) => "string",
        Shape::Scalar(Scalar::Integer) => "integer",
        Shape::Scalar(Scalar::Number) => "number",
        Shape::Scalar(Scalar::Boolean) => "boolean",
        Shape::Scalar(Scalar::IntOrString | Scalar::Quantity) => "integer,string",
        Shape::List { .. } => "array",
        Shape::Map { .. } => "object",
        Shape::Open | Shape::Sealed => return,
    };
    let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let fits = match (wanted, got) {
        ("number", "integer") => true,
        ("integer" | "integer,string", "number") => whole,
        ("integer,string", got) => got == "integer" || got == "string",
        (wanted, got) => wanted == got,
    };
    if fits {
        return;
    }
    let wrong = |wanted: &str| {
        let message = format!("Invalid value: {got:?}: {at} in body must be of type {wanted}: {got:?}");
        Cause { reason: "FieldValueTypeInvalid", message, field: at.to_owned() }
    };
    causes.push(wrong(wanted));
    if wanted == "integer,string" {
        let message = format!("Invalid value: \"\": {at:?} must validate at least one schema (anyOf)");
        causes.push(Cause { reason: "FieldValueInvalid", message, field: "<nil>".to_owned() });
        causes.push(wrong("integer"));
    }
}

fn check_limits(at: &str, value: &Value, limits: &Limits, causes: &mut Vec<Cause>) {
    let join = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    if let Value::Object(map) = value {
        for name in limits.required.iter().filter(|name| !map.contains_key(*name)) {
            causes.push(Cause::required(join(name), ""));
        }
    }
    if !limits.one_of.is_empty() && !limits.one_of.contains(value) {
        let known: Vec<String> = limits.one_of.iter().map(ToString::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", known.join(", "));
        causes.push(Cause { reason: "FieldValueNotSupported", message, field: at.to_owned() });
    }
    let mut bound = |why: String| {
        causes.push(Cause::invalid(at, &value.to_string(), &format!("{at} in body should be {why}")));
    };
    if let Some(number) = value.as_f64() {
        if let Some(least) = limits.minimum.filter(|least| number < *least) {
            bound(format!("greater than or equal to {least}"));
        }
        if let Some(most) = limits.maximum.filter(|most| number > *most) {
            bound(format!("less than or equal to {most}"));
        }
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as u64;
        if let Some(least) = limits.min_length.filter(|least| length < *least) {
            bound(format!("at least {least} chars long"));
        }
        if let Some(most) = limits.max_length.filter(|most| length > *most) {
            bound(format!("at most {most} chars long"));
        }
    }
    if let (Some(items), Some(most)) = (value.as_array(), limits.max_items)
        && items.len() as u64 > most
    {
        let message = format!("Too many: {}: must have at most {most} items", items.len());
        causes.push(Cause { reason: "FieldValueTooMany", message, field: at.to_owned() });
    }
}

/// The scale subresource wants a number of replicas that an int32 holds.
fn check_scale(object: &Value, kind: &Kind, causes: &mut Vec<Cause>) {
    let Some(scale) = &kind.scale else { return };
    let Some(replicas) = object.pointer(&scale.spec_replicas) else { return };
    let field = scale.spec_replicas.replace('/', ".");
    let why = match replicas.as_f64() {
        Some(number) if number > f64::from(i32::MAX) => {
            Some((replicas.to_string(), format!("should be less than or equal to {}", i32::MAX)))
        }
        Some(number) if number < 0.0 => {
            Some((replicas.to_string(), "should be a non-negative integer".to_owned()))
        }
        Some(_) => None,
        None => {
            let (shown, name) = match replicas {
                Value::Null => ("<nil>".to_owned(), "<nil>"),
                Value::String(text) => (text.clone(), "string"),
                other => (other.to_string(), type_name(other)),
            };
            let why = format!("{field} accessor error: {shown} is of the type {name}, expected int64");
            Some(("0".to_owned(), why))
        }
    };
    if let Some((shown, why)) = why {
        causes.push(Cause::invalid(field, &shown, &why));
    }
}

fn duplicates(at: &str, value: &Value, schema: &Schema, causes: &mut Vec<Cause>) {
    let join = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    if let (Shape::Map { fields, .. }, Value::Object(map)) = (&schema.shape, value) {
        for (key, value) in map.iter().filter(|(key, _)| !at.is_empty() || key.as_str() != "metadata") {
            if let Some(child) = fields.get(key) {
                duplicates(&join(key), value, child, causes);
            }
        }
    }
    if let Shape::List { identity: Identity::Set | Identity::Keys(_), .. } = &schema.shape {
        let mut seen = BTreeSet::new();
        for (index, (name, item)) in elements(schema, value).into_iter().enumerate() {
            if seen.insert(name.clone()) {
                continue;
            }
            let shown = match name.split_once(':') {
                Some(("k", keys)) => go_map(keys),
                Some((_, value)) => value.to_owned(),
                None => item.to_string(),
            };
            let message = format!("Duplicate value: {shown}");
            causes.push(Cause { reason: "FieldValueDuplicate", message, field: format!("{at}[{index}]") });
        }
    }
}

fn go_map(keys: &str) -> String {
    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
    let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
    format!("map[string]interface {{}}{{{}}}", pairs.join(", "))
}

/// Whether two objects differ outside metadata, and outside status where that is a subresource: what a custom
/// kind's generation counts.
#[must_use]
pub fn spec_differs(old: &Value, new: &Value, kind: &Kind) -> bool {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let counts = |key: &&String| key.as_str() != "metadata" && !(kind.status && key.as_str() == "status");
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).filter(counts).collect();
    keys.into_iter().any(|key| match (old.get(key), new.get(key)) {
        (Some(old), Some(new)) => !same(old, new),
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    })
}
