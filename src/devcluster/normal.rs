//! Objects of built-in kinds as Go's types would write them: what is empty goes, what is always shown comes.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::devcluster::schema::{Scalar, Schema, Shape};

/// Brings an object into the form in which the server keeps and shows it. Unknown fields are left alone.
pub fn normalise(value: &mut Value, schema: &Schema) {
    match &schema.shape {
        Shape::Map { fields, rest, .. } => {
            let Some(map) = value.as_object_mut() else { return };
            if !fields.is_empty() {
                map.retain(|key, value| !drops(value, fields.get(key)));
            }
            for (key, value) in map.iter_mut() {
                if let Some(child) = fields.get(key).or(rest.as_ref()) {
                    if value.is_null() && fields.is_empty() && matches!(child.shape, Shape::Scalar(_)) {
                        *value = zero(child);
                    }
                    normalise(value, child);
                }
            }
            for (key, child) in fields.iter().filter(|(_, child)| child.always) {
                if map.get(key).is_none_or(Value::is_null) {
                    map.insert(key.clone(), zero(child));
                }
            }
            map.retain(|key, value| !drops(value, fields.get(key)));
        }
        Shape::List { item, .. } => {
            for value in value.as_array_mut().into_iter().flatten() {
                normalise(value, item);
            }
        }
        Shape::Scalar(_) | Shape::Open | Shape::Sealed => {}
    }
}

/// Whether Go's `omitempty` leaves the field out.
fn drops(value: &Value, field: Option<&Arc<Schema>>) -> bool {
    let Some(field) = field.filter(|field| !field.always) else { return false };
    match (value, &field.shape) {
        (Value::Null, _) => true,
        (Value::String(text), Shape::Scalar(Scalar::String)) => text.is_empty(),
        (Value::Array(items), _) => items.is_empty(),
        (Value::Object(map), Shape::Map { fields, .. }) => fields.is_empty() && map.is_empty(),
        (Value::Object(_) | Value::String(_) | Value::Bool(_) | Value::Number(_), _) => false,
    }
}

fn zero(schema: &Schema) -> Value {
    match &schema.shape {
        Shape::Scalar(Scalar::String) => json!(""),
        Shape::Scalar(Scalar::Integer | Scalar::Number) => json!(0),
        Shape::Scalar(Scalar::Boolean) => json!(false),
        Shape::Scalar(Scalar::IntOrString | Scalar::Quantity | Scalar::Time | Scalar::MicroTime)
        | Shape::List { .. }
        | Shape::Sealed => Value::Null,
        Shape::Map { .. } | Shape::Open => {
            let mut empty = Value::Object(Map::new());
            normalise(&mut empty, schema);
            empty
        }
    }
}
