//! What a write may change, by the part that it writes: the rules of Kubernetes' registry strategies.

use serde_json::{Value, json};

use crate::devcluster::custom;
use crate::devcluster::kinds::Kind;
use crate::devcluster::refusal::Cause;
use crate::devcluster::rules;

/// Which part of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status.
    Status,
    /// The number of replicas.
    Scale,
}

impl Part {
    /// As managedFields name it.
    #[must_use]
    pub fn subresource(self) -> &'static str {
        match self {
            Part::Main => "",
            Part::Status => "status",
            Part::Scale => "scale",
        }
    }
}

/// Who writes what, and how.
#[derive(Clone, Debug)]
pub struct By<'a> {
    /// The field manager.
    pub manager: &'a str,
    /// The version of the kind in which it writes: `v1alpha1`.
    pub version: &'a str,
    /// Which part.
    pub part: Part,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// What is wrong with an object beyond its metadata.
#[must_use]
pub fn faults(kind: &Kind, old: Option<&Value>, new: &Value, part: Part) -> Vec<Cause> {
    match (kind.custom, part) {
        (true, Part::Status) => custom::status_faults(new, kind),
        (true, Part::Main | Part::Scale) => custom::faults(new, kind),
        (false, Part::Main | Part::Scale) => rules::faults(&kind.resource(), old, new),
        (false, Part::Status) => Vec::new(),
    }
}

/// What a client cannot take away: uid, times and counters that only the server writes.
pub fn keep_server_fields(live: &Value, new: &mut Value) {
    let (old, new) = (&live["metadata"], &mut new["metadata"]);
    for field in ["uid", "deletionTimestamp"] {
        if new.get(field).is_none_or(|value| value.is_null() || value == "") {
            set_or_remove(new, field, old.get(field).cloned());
        }
    }
    for field in
        ["creationTimestamp", "generation", "deletionGracePeriodSeconds", "selfLink", "namespace", "name"]
    {
        set_or_remove(new, field, old.get(field).cloned());
    }
}

/// Keeps what the written part does not reach, and counts the generation.
pub fn prepare_update(kind: &Kind, live: &Value, new: &mut Value, part: Part) {
    match part {
        Part::Status => {
            let status = new.get("status").cloned();
            let entries = new["metadata"].get("managedFields").cloned();
            let metadata = new["metadata"].clone();
            let mut kept = live.clone();
            set_or_remove(&mut kept, "status", status);
            if kind.custom {
                set_or_remove(&mut kept["metadata"], "managedFields", entries);
            } else {
                kept["metadata"] = metadata;
            }
            kept["apiVersion"] = live["apiVersion"].clone();
            *new = kept;
        }
        Part::Main | Part::Scale => {
            if kind.status {
                set_or_remove(new, "status", live.get("status").cloned());
            }
            let counts = if kind.custom {
                custom::spec_differs(live, new, kind)
            } else {
                new.get("spec") != live.get("spec")
            };
            if kind.generation && counts {
                new["metadata"]["generation"] =
                    json!(live["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
            }
        }
    }
}

/// The text of a value, or `""`.
#[must_use]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Takes a field away.
pub fn remove(target: &mut Value, field: &str) {
    if let Some(target) = target.as_object_mut() {
        target.remove(field);
    }
}

/// Puts a value under a field, or takes the field away.
pub fn set_or_remove(target: &mut Value, field: &str, value: Option<Value>) {
    match (value, target.as_object_mut()) {
        (Some(value), Some(map)) => {
            map.insert(field.to_owned(), value);
        }
        (None, Some(map)) => {
            map.remove(field);
        }
        (Some(_) | None, None) => {}
    }
}
