//! Tables: what `kubectl get` prints, computed by the server.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::devcluster::crd::NAME_HELP;
use crate::devcluster::kinds::{Column, Kind};

/// How a table is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The request's `includeObject`: `None`, `Object`, else the metadata.
    pub include: &'a str,
    /// Whether the columns are described: a watch does that only once.
    pub columns: bool,
    /// The time from which ages are counted.
    pub now: Timestamp,
}

/// The metadata of an object as an object of its own.
#[must_use]
pub fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// The objects as rows.
#[must_use]
pub fn table(objects: &[&Value], kind: &Kind, metadata: Value, look: Look<'_>) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| row(object, kind, look)).collect();
    let definitions = if look.columns { definitions(kind) } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

fn definitions(kind: &Kind) -> Value {
    let name = json!({
        "name": "Name", "type": "string", "format": "name", "description": NAME_HELP, "priority": 0,
    });
    let column = |column: &Column| {
        json!({
            "name": column.name, "type": column.data_type, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    };
    [name].into_iter().chain(kind.columns.iter().map(column)).collect()
}

fn row(object: &Value, kind: &Kind, look: Look<'_>) -> Value {
    let cells: Vec<Value> = [object["metadata"]["name"].clone()]
        .into_iter()
        .chain(kind.columns.iter().map(|column| cell(object, column, look.now)))
        .collect();
    let shown = match look.include {
        "None" => Value::Null,
        "Object" => object.clone(),
        _ => metadata_only(object),
    };
    json!({"cells": cells, "object": shown})
}

fn cell(object: &Value, column: &Column, now: Timestamp) -> Value {
    let age = |time: Option<&Value>| {
        let time = time.and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
        json!(time.map_or_else(|| "<unknown>".to_owned(), |time| human(now.as_second() - time.as_second())))
    };
    if let Some(name) = column.path.strip_prefix('#') {
        return computed(name, object);
    }
    if let Some(path) = column.path.strip_prefix('@') {
        return age(found(object, path).first().copied());
    }
    let values = found(object, &column.path);
    match (column.data_type.as_str(), values.as_slice()) {
        (_, []) => Value::Null,
        ("date", [time, ..]) => age(Some(*time)),
        ("string", [one]) => match one {
            Value::String(_) | Value::Null => (*one).clone(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => json!(one.to_string()),
        },
        ("string", many) => {
            let texts: Vec<String> = many.iter().map(|value| plain(value)).collect();
            json!(texts.join(","))
        }
        (_, [one, ..]) => (*one).clone(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The values at a simple JSONPath: `.a.b`, `.a[*].b`, `.a[0]`, `.conditions[?(@.type=="Ready")].status`, keys with
/// `\.` in them.
fn found<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut values = vec![object];
    for step in steps(path) {
        let mut next = Vec::new();
        for value in values {
            match &step {
                Step::Field(name) => next.extend(value.get(name)),
                Step::All => next.extend(value.as_array().into_iter().flatten()),
                Step::At(index) => next.extend(value.get(*index)),
                Step::Where(field, wanted) => {
                    let items = value.as_array().into_iter().flatten();
                    next.extend(items.filter(|item| item[field].as_str() == Some(wanted)));
                }
            }
        }
        values = next;
    }
    values
}

enum Step {
    Field(String),
    All,
    At(usize),
    Where(String, String),
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut word = String::new();
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => word.extend(letters.next()),
            '.' | '[' => {
                if !word.is_empty() {
                    steps.push(Step::Field(std::mem::take(&mut word)));
                }
                if letter == '[' {
                    let inner: String = letters.by_ref().take_while(|letter| *letter != ']').collect();
                    steps.push(bracket(&inner));
                }
            }
            letter => word.push(letter),
        }
    }
    if !word.is_empty() {
        steps.push(Step::Field(word));
    }
    steps
}

fn bracket(inner: &str) -> Step {
    if let Ok(index) = inner.parse() {
        return Step::At(index);
    }
    let condition = inner.trim_start_matches("?(@.").trim_end_matches(')');
    match condition.split_once("==") {
        Some((field, wanted)) => {
            Step::Where(field.trim().to_owned(), wanted.trim().trim_matches(['"', '\'']).to_owned())
        }
        None if inner == "*" => Step::All,
        None => Step::Field(inner.trim_matches(['"', '\'']).to_owned()),
    }
}

/// A duration as `kubectl get` shows it (`duration.HumanDuration`).
fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..0 => "<invalid>".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

/// Columns that are no single field.
fn computed(name: &str, object: &Value) -> Value {
    let statuses = || object["status"]["containerStatuses"].as_array().into_iter().flatten();
    match name {
        "data" => json!(object["data"].as_object().map_or(0, serde_json::Map::len)),
        "about" => {
            let about = &object["involvedObject"];
            json!(format!("{}/{}", plain(&about["kind"]).to_lowercase(), plain(&about["name"])))
        }
        "ready" => {
            let all = object["spec"]["containers"].as_array().map_or(0, Vec::len);
            json!(format!("{}/{all}", statuses().filter(|status| status["ready"] == true).count()))
        }
        "pod" if !object["metadata"]["deletionTimestamp"].is_null() => json!("Terminating"),
        "pod" => object["status"]["phase"].clone(),
        "restarts" => json!(statuses().filter_map(|status| status["restartCount"].as_i64()).sum::<i64>()),
        "ports" => {
            let ports = object["spec"]["ports"].as_array().into_iter().flatten();
            let texts: Vec<String> =
                ports.map(|port| format!("{}/{}", plain(&port["port"]), plain(&port["protocol"]))).collect();
            json!(if texts.is_empty() { "<none>".to_owned() } else { texts.join(",") })
        }
        "selector" => {
            let labels = object["spec"]["selector"].as_object().into_iter().flatten();
            let texts: Vec<String> = labels.map(|(key, value)| format!("{key}={}", plain(value))).collect();
            json!(if texts.is_empty() { "<none>".to_owned() } else { texts.join(",") })
        }
        _ => json!("<none>"),
    }
}
