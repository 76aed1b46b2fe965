//! The bytes that are hashed: sorted, compact JSON.
//!
//! **Invariant:** never changes. Approvals are given to digests, so an upgrade that hashed differently would void
//! every one of them.

use serde_json::Value;

/// `value` as JSON without spaces, keys in the order of their bytes.
#[must_use]
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string())
        }
        Value::Array(items) => list(items.iter().map(json), out),
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

fn list(items: impl Iterator<Item = String>, out: &mut String) {
    out.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&item);
    }
    out.push(']');
}

/// The list of documents that are canonical already, in the order of their bytes: neither files nor the order within
/// them matter.
#[must_use]
pub fn documents(mut documents: Vec<String>) -> String {
    documents.sort();
    let mut out = String::new();
    list(documents.into_iter(), &mut out);
    out
}
