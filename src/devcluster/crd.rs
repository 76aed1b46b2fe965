//! Custom kinds: what a CustomResourceDefinition makes of itself, and those that are there from the start.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::devcluster::kinds::{Column, Kind, Scale};
use crate::devcluster::openapi;
use crate::devcluster::schema::{Schema, Shape};

/// The kind's definitions that every embedded cluster has: OpenKruise's CloneSet (as v1.8 and v1.9 serve it), and of the
/// Gateway API HTTPRoute and GRPCRoute with what releases say of them: names, defaults and lists as in its v1, and no rules
/// of CEL.
const INSTALLED: [&str; 3] = [
    include_str!("crds/clonesets.json"),
    include_str!("crds/httproutes.json"),
    include_str!("crds/grpcroutes.json"),
];

/// What an object's own name says, in a table.
pub const NAME_HELP: &str = "Name must be unique within a namespace. Is required when creating resources, although some \
resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended \
for creation idempotence and configuration definition. Cannot be updated. More info: \
https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// The definitions of the kinds that every embedded cluster has.
///
/// # Panics
/// Never: the files are compiled in and a test reads them.
#[must_use]
pub fn installed() -> Vec<Value> {
    let read = |text: &&str| serde_json::from_str(text).expect("the definition is JSON");
    INSTALLED.iter().map(read).collect()
}

/// The kind that a definition makes. `metadata` is the shape of every object's metadata. `None` where the
/// definition has no version that is stored.
#[must_use]
pub fn kind_of(definition: &Value, metadata: &Arc<Schema>) -> Option<Kind> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(&text).collect::<Vec<String>>();
    let versions: Vec<&Value> = spec["versions"].as_array()?.iter().collect();
    let stored = *versions.iter().find(|version| version["storage"] == true)?;
    let mut served: Vec<&Value> =
        versions.iter().filter(|version| version["served"] == true).copied().collect();
    served.sort_by_key(|version| version["storage"] != true);
    let names = &spec["names"];
    let kind = text(&names["kind"]);
    Some(Kind {
        group: text(&spec["group"]),
        versions: served.iter().map(|version| text(&version["name"])).collect(),
        plural: text(&names["plural"]),
        singular: names["singular"].as_str().map_or_else(|| kind.to_lowercase(), str::to_owned),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        status: !stored["subresources"]["status"].is_null(),
        scale: scale_of(&stored["subresources"]["scale"]),
        generation: true,
        unconditional: false,
        returns_deleted: false,
        custom: true,
        schema: Arc::new(root_schema(stored, metadata)),
        columns: columns_of(&stored["additionalPrinterColumns"]),
        kind,
    })
}

fn root_schema(version: &Value, metadata: &Arc<Schema>) -> Schema {
    let mut root = openapi::schema(&version["schema"]["openAPIV3Schema"]);
    if let Shape::Map { fields, .. } = &mut root.shape {
        let string = Arc::new(openapi::schema(&json!({"type": "string"})));
        fields.insert("apiVersion".to_owned(), string.clone());
        fields.insert("kind".to_owned(), string);
        fields.insert("metadata".to_owned(), metadata.clone());
    }
    root
}

fn scale_of(scale: &Value) -> Option<Scale> {
    let pointer = |key: &str| scale[key].as_str().map(|path| path.replace('.', "/"));
    Some(Scale {
        spec_replicas: pointer("specReplicasPath")?,
        status_replicas: pointer("statusReplicasPath")?,
        label_selector: pointer("labelSelectorPath"),
    })
}

fn columns_of(columns: &Value) -> Vec<Column> {
    let mut all = Vec::new();
    for column in columns.as_array().into_iter().flatten() {
        let text = |key: &str| column[key].as_str().unwrap_or_default().to_owned();
        all.push(Column {
            name: text("name"),
            data_type: text("type"),
            format: text("format"),
            description: text("description"),
            priority: column["priority"].as_i64().unwrap_or(0),
            path: text("jsonPath"),
        });
    }
    if all.is_empty() {
        all.push(Column {
            name: "Age".to_owned(),
            data_type: "date".to_owned(),
            format: String::new(),
            description: String::new(),
            priority: 0,
            path: ".metadata.creationTimestamp".to_owned(),
        });
    }
    all
}

/// Fills in the names that a definition may leave out.
pub fn default_names(definition: &mut Value) {
    let Some(kind) = definition["spec"]["names"]["kind"].as_str().map(str::to_owned) else { return };
    let names = &mut definition["spec"]["names"];
    if names.get("singular").is_none() {
        names["singular"] = json!(kind.to_lowercase());
    }
    if names.get("listKind").is_none() {
        names["listKind"] = json!(format!("{kind}List"));
    }
    if definition["spec"].get("conversion").is_none() {
        definition["spec"]["conversion"] = json!({"strategy": "None"});
    }
    if definition["status"]["storedVersions"].is_null() {
        let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
        let stored: Vec<Value> = versions
            .filter(|version| version["storage"] == true)
            .map(|version| version["name"].clone())
            .collect();
        definition["status"]["storedVersions"] = json!(stored);
    }
}
