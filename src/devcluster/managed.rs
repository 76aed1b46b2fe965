//! `metadata.managedFields`: who owns which fields. Reading, writing, order, the limit of entries.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::devcluster::fieldset::FieldSet;

/// Update entries kept apart; the oldest beyond are merged (Kubernetes' `DefaultMaxUpdateManagers`).
const UPDATE_ENTRIES: usize = 10;

/// The name under which the oldest Update entries are merged.
const ANCIENT: &str = "ancient-changes";

/// Paths under metadata that the server decides and nobody owns.
const NOBODYS: [&str; 9] = [
    "f:name",
    "f:namespace",
    "f:creationTimestamp",
    "f:selfLink",
    "f:uid",
    "f:clusterName",
    "f:generation",
    "f:managedFields",
    "f:resourceVersion",
];

/// How a manager wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By anything else.
    Update,
}

/// What tells one entry from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// The name that the client gave or that its User-Agent begins with.
    pub name: String,
    /// How it wrote.
    pub operation: Operation,
    /// `status`, `scale`, or empty.
    pub subresource: String,
    /// The version it wrote in. Empty for Apply: an applier stays itself when it changes its version.
    pub version: String,
}

impl Manager {
    /// The manager of an apply.
    #[must_use]
    pub fn applier(name: &str, subresource: &str) -> Manager {
        Manager {
            name: name.to_owned(),
            operation: Operation::Apply,
            subresource: subresource.to_owned(),
            version: String::new(),
        }
    }

    /// The manager of any other write.
    #[must_use]
    pub fn updater(name: &str, subresource: &str, version: &str) -> Manager {
        Manager {
            name: name.to_owned(),
            operation: Operation::Update,
            subresource: subresource.to_owned(),
            version: version.to_owned(),
        }
    }

    /// The manager as a conflict names it.
    #[must_use]
    pub fn spoken(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.version.is_empty() {
            text.push_str(&format!(" using {}", self.version));
        }
        text
    }
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The owned paths.
    pub set: FieldSet,
    /// The version in which they are written.
    pub version: String,
    /// When the manager last changed something; none for an apply that only took ownership.
    pub time: Option<String>,
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed(pub BTreeMap<Manager, Entry>);

impl Managed {
    /// Reads `metadata.managedFields`. `None` where an entry has an operation or a type that does not exist.
    #[must_use]
    pub fn read(object: &Value) -> Option<Managed> {
        let mut all = Managed::default();
        for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let text = |key: &str| entry[key].as_str().unwrap_or_default();
            let version = text("apiVersion").to_owned();
            let manager = match text("operation") {
                "Apply" => Manager::applier(text("manager"), text("subresource")),
                "Update" => Manager::updater(text("manager"), text("subresource"), &version),
                _ => return None,
            };
            if text("fieldsType") != "FieldsV1" {
                return None;
            }
            let set = match entry.get("fieldsV1") {
                None | Some(Value::Null) => FieldSet::default(),
                Some(fields) => FieldSet::from_json(fields)?,
            };
            let time = entry["time"].as_str().map(str::to_owned);
            all.0.insert(manager, Entry { set, version, time });
        }
        Some(all)
    }

    /// Reads the entries that a write starts from: those in the new object if they are fit, else those of the live
    /// one. A client that sends `[{}]` empties the list; one that knows nothing of it changes nothing.
    #[must_use]
    pub fn of_write(live: &Value, new: &Value, subresource: &str) -> Managed {
        if subresource.is_empty() {
            if new["metadata"]["managedFields"] == json!([{}]) {
                return Managed::default();
            }
            if let Some(managed) = Managed::read(new).filter(|managed| !managed.0.is_empty()) {
                return managed;
            }
        }
        Managed::read(live).unwrap_or_default()
    }

    /// Writes `metadata.managedFields` into an object: Apply before Update, then by time, then by name.
    pub fn write(&self, object: &mut Value) {
        let Some(metadata) = object["metadata"].as_object_mut() else { return };
        let mut order: Vec<(&Manager, &Entry)> = self.0.iter().collect();
        order.sort_by_key(|(manager, entry)| sort_key(manager, entry));
        if order.is_empty() {
            metadata.remove("managedFields");
        } else {
            let entries = order.into_iter().map(|(manager, entry)| entry_json(manager, entry)).collect();
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }

    /// Takes out what nobody owns, and the entries that are left with nothing.
    pub fn strip(&mut self) {
        for entry in self.0.values_mut() {
            entry.set.cut(&["f:apiVersion"]);
            entry.set.cut(&["f:kind"]);
            for field in NOBODYS {
                entry.set.cut(&["f:metadata", field]);
            }
            entry.set.disown(&["f:metadata"]);
        }
        self.0.retain(|_, entry| !entry.set.is_empty());
    }

    /// Merges the oldest Update entries while there are too many.
    pub fn cap(&mut self) {
        loop {
            let mut updates: Vec<(&Manager, &Entry)> = self
                .0
                .iter()
                .filter(|(manager, _)| {
                    manager.operation == Operation::Update && manager.subresource.is_empty()
                })
                .collect();
            if updates.len() <= UPDATE_ENTRIES {
                return;
            }
            updates.sort_by_key(|(manager, entry)| sort_key(manager, entry));
            let oldest: Vec<Manager> =
                updates.iter().take(2).map(|(manager, _)| (*manager).clone()).collect();
            let mut merged: Option<Entry> = None;
            for manager in &oldest {
                let Some(entry) = self.0.remove(manager) else { continue };
                merged = Some(match merged {
                    None => entry,
                    Some(before) => Entry { set: before.set.union(&entry.set), ..entry },
                });
            }
            let Some(entry) = merged else { return };
            self.0.insert(Manager::updater(ANCIENT, "", &entry.version), entry);
        }
    }
}

fn sort_key(manager: &Manager, entry: &Entry) -> (Operation, Option<String>, String, String, String) {
    let version = entry.version.clone();
    (manager.operation, entry.time.clone(), manager.name.clone(), version, manager.subresource.clone())
}

fn entry_json(manager: &Manager, entry: &Entry) -> Value {
    let operation = match manager.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let mut json = json!({
        "manager": manager.name, "operation": operation, "apiVersion": entry.version,
        "fieldsType": "FieldsV1", "fieldsV1": entry.set.json(),
    });
    if let Some(time) = &entry.time {
        json["time"] = json!(time);
    }
    if !manager.subresource.is_empty() {
        json["subresource"] = json!(manager.subresource);
    }
    json
}
