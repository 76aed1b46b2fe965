//! A body becomes an object of its kind: names, unknown fields, defaults, the form in which it is kept.

use serde_json::{Value, json};

use crate::devcluster::builtin::PODS;
use crate::devcluster::custom;
use crate::devcluster::kinds::Kind;
use crate::devcluster::normal::normalise;
use crate::devcluster::refusal::Refusal;
use crate::devcluster::rules;
use crate::devcluster::schema::Schema;
use crate::devcluster::typed::{misfits, type_name};

/// Brings an object into the form in which it is kept. Returns the paths of the fields that were unknown and went.
pub fn settle(object: &mut Value, kind: &Kind, metadata: &Schema) -> Vec<String> {
    let unknown = custom::prune(object, &kind.schema);
    whole_numbers(object);
    if kind.custom {
        custom::fill_defaults(object, &kind.schema);
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        normalise(&mut object["metadata"], metadata);
    } else {
        let resource = kind.resource();
        rules::fill_defaults(&resource, object);
        if resource == PODS {
            rules::sync_pod_addresses(object);
        }
        normalise(object, &kind.schema);
    }
    unknown
}

/// 5.0 is kept as 5.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
            // Beyond 2^53 a float is no exact whole number.
            if let Some(float) = whole.filter(|float| float.abs() < 9_007_199_254_740_992.0) {
                *value = json!(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Refuses a body of a built-in kind with a value of the wrong type, as Go's decoder does.
///
/// # Errors
/// 400 with the first such field.
pub fn refuse_wrong_types(object: &Value, kind: &Kind, version: &str) -> Result<(), Refusal> {
    let name = &kind.kind;
    let mut wrong = misfits(object, &kind.schema).into_iter().filter(|text| text.contains(": expected "));
    let Some(text) = wrong.next() else { return Ok(()) };
    let (path, expected) = text.split_once(": expected ").unwrap_or((&text, ""));
    let parts: Vec<&str> = path.trim_start_matches('.').split('.').collect();
    let found = parts.iter().try_fold(object, |value, part| value.get(*part)).map_or("value", type_name);
    let found = if found == "integer" { "number" } else { found };
    let wanted = expected.split([' ', ',']).next().unwrap_or_default();
    let field = if parts.len() > 1 { parts[..parts.len() - 1].join(".") } else { parts.join(".") };
    let message = format!(
        "{name} in version {version:?} cannot be handled as a {name}: json: cannot unmarshal {found} into Go struct \
         field {name}.{field} of type {wanted}"
    );
    Err(Refusal::bad_request(message))
}
