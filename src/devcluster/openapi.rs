//! Schemas of custom kinds, from `openAPIV3Schema` of their definitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::devcluster::schema::{Identity, Limits, Scalar, Schema, Shape};

/// Reads one OpenAPI schema. What it does not say is open.
#[must_use]
pub fn schema(openapi: &Value) -> Schema {
    let text = |key: &str| openapi[key].as_str().unwrap_or_default();
    let keeps_unknown = openapi["x-kubernetes-preserve-unknown-fields"] == true;
    let shape = if openapi["x-kubernetes-int-or-string"] == true {
        Shape::Scalar(Scalar::IntOrString)
    } else {
        match text("type") {
            "string" => Shape::Scalar(Scalar::String),
            "integer" => Shape::Scalar(Scalar::Integer),
            "number" => Shape::Scalar(Scalar::Number),
            "boolean" => Shape::Scalar(Scalar::Boolean),
            "array" => list(openapi),
            "object" if keeps_unknown && openapi.get("properties").is_none() => Shape::Open,
            "object" => map(openapi, keeps_unknown),
            _ => Shape::Open,
        }
    };
    Schema {
        shape,
        nullable: openapi["nullable"] == true,
        default: openapi.get("default").cloned(),
        always: false,
        limits: limits(openapi),
    }
}

fn list(openapi: &Value) -> Shape {
    let item = Arc::new(schema(&openapi["items"]));
    let identity = match openapi["x-kubernetes-list-type"].as_str() {
        Some("set") => Identity::Set,
        Some("map") => {
            let keys = openapi["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            let keys = keys.filter_map(Value::as_str);
            let default = |key: &str| openapi["items"]["properties"][key].get("default").cloned();
            Identity::Keys(keys.map(|key| (key.to_owned(), default(key))).collect())
        }
        Some(_) | None => Identity::Atomic,
    };
    Shape::List { item, identity }
}

fn map(openapi: &Value, keeps_unknown: bool) -> Shape {
    let mut fields = BTreeMap::new();
    for (name, property) in openapi["properties"].as_object().into_iter().flatten() {
        fields.insert(name.clone(), Arc::new(schema(property)));
    }
    let rest = match &openapi["additionalProperties"] {
        Value::Object(_) => Some(Arc::new(schema(&openapi["additionalProperties"]))),
        Value::Bool(true) => Some(Arc::new(Schema::of(Shape::Open))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            keeps_unknown.then(|| Arc::new(Schema::of(Shape::Open)))
        }
    };
    Shape::Map { fields, rest, atomic: openapi["x-kubernetes-map-type"] == "atomic" }
}

fn limits(openapi: &Value) -> Limits {
    let names = openapi["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Limits {
        required: names.map(str::to_owned).collect(),
        one_of: openapi["enum"].as_array().cloned().unwrap_or_default(),
        minimum: openapi["minimum"].as_f64(),
        maximum: openapi["maximum"].as_f64(),
        min_length: openapi["minLength"].as_u64(),
        max_length: openapi["maxLength"].as_u64(),
        max_items: openapi["maxItems"].as_u64(),
    }
}
