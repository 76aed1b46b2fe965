//! Discovery: which groups, versions and resources there are. And the version of the server.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::devcluster::kinds::{Kind, Kinds};

/// Verbs in the order in which the real server lists them: built-in kinds, custom kinds.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CUSTOM_VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const PART_VERBS: [&str; 3] = ["get", "patch", "update"];

/// The Kubernetes whose behaviour the vectors recorded.
#[must_use]
pub fn version() -> Value {
    json!({
        "major": "1", "minor": "30", "gitVersion": "v1.30.10", "gitCommit": "$Format:%H$", "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.26.8", "compiler": "gc", "platform": "linux/amd64",
    })
}

/// `/api`.
#[must_use]
pub fn core_versions(host: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
    })
}

/// The kinds by group and version.
fn groups(kinds: &Kinds) -> BTreeMap<String, BTreeMap<String, Vec<Arc<Kind>>>> {
    let mut groups: BTreeMap<String, BTreeMap<String, Vec<Arc<Kind>>>> = BTreeMap::new();
    for kind in kinds.iter() {
        for version in &kind.versions {
            let group = groups.entry(kind.group.clone()).or_default();
            group.entry(version.clone()).or_default().push(kind.clone());
        }
    }
    groups
}

/// `/apis`.
#[must_use]
pub fn group_list(kinds: &Kinds) -> Value {
    let groups = groups(kinds);
    let names = groups.keys().filter(|name| !name.is_empty());
    let list: Vec<Value> = names.filter_map(|name| group_entry(kinds, name)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list})
}

fn group_entry(kinds: &Kinds, name: &str) -> Option<Value> {
    let groups = groups(kinds);
    let entry = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions: Vec<Value> = groups.get(name)?.keys().rev().map(entry).collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

/// `/apis/GROUP`.
#[must_use]
pub fn group(kinds: &Kinds, name: &str) -> Option<Value> {
    let mut entry = group_entry(kinds, name)?;
    entry["kind"] = json!("APIGroup");
    entry["apiVersion"] = json!("v1");
    Some(entry)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
#[must_use]
pub fn resource_list(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let groups = groups(kinds);
    let kinds = groups.get(group)?.get(version)?;
    let mut resources = Vec::new();
    for kind in kinds {
        resources.push(resource(kind));
        let part = |name: &str| {
            json!({
                "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind.kind, "verbs": PART_VERBS,
            })
        };
        if kind.status {
            resources.push(part("status"));
        }
        if kind.scale.is_some() {
            let mut scale = part("scale");
            scale["group"] = json!("autoscaling");
            scale["version"] = json!("v1");
            scale["kind"] = json!("Scale");
            resources.push(scale);
        }
        if kind.resource() == "pods" {
            resources.push(json!({
                "name": "pods/binding", "singularName": "", "namespaced": true, "kind": "Binding",
                "verbs": ["create"],
            }));
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    if !group.is_empty() {
        list["apiVersion"] = json!("v1");
    }
    Some(list)
}

fn verbs(kind: &Kind) -> Vec<&'static str> {
    let all = if kind.custom { CUSTOM_VERBS } else { VERBS };
    let whole = kind.plural != "namespaces";
    all.into_iter().filter(|verb| whole || *verb != "deletecollection").collect()
}

fn resource(kind: &Kind) -> Value {
    let mut resource = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": verbs(kind), "storageVersionHash": storage_hash(kind),
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    resource
}

/// A name for the stored version, where the real server has a hash: clients only compare it.
fn storage_hash(kind: &Kind) -> String {
    format!("{}/{}", kind.resource(), kind.storage_version())
}

/// The document that says to kubectl which kinds take `fieldValidation`: no schemas, only that.
#[must_use]
pub fn openapi(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let groups = groups(kinds);
    let mut paths = serde_json::Map::new();
    for kind in groups.get(group)?.get(version)? {
        let base =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
        let patch = json!({
            "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation")],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind.kind},
        });
        paths.insert(format!("{base}{scope}/{}/{{name}}", kind.plural), json!({"patch": patch}));
    }
    let info = json!({"title": "Kubernetes", "version": "v1.30.10"});
    Some(json!({"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}))
}

/// `/openapi/v3`.
#[must_use]
pub fn openapi_index(kinds: &Kinds) -> Value {
    let mut paths = serde_json::Map::new();
    for (group, versions) in groups(kinds) {
        for version in versions.keys() {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let url = format!("/openapi/v3/{path}?hash=0");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}
