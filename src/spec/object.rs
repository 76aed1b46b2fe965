//! What every Kubernetes object of a release must have, and must not have.

use crate::model::{Name, Namespace};
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::read::quote_it;
use crate::spec::report::{Report, quote};
use crate::spec::texts;

/// Fields of `metadata` that the API server writes.
const SERVER_OWNED: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// Annotations that only the cluster has, or only a Release.
const CLUSTER_ONLY: [&str; 5] = [keys::ROOT, keys::RELEASE, keys::VERSION_OF, keys::SUSPEND, keys::ROLLBACK];

/// Namespace and name as written, each where it can be read.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// `metadata.namespace`.
    pub namespace: Option<Namespace>,
    /// Where it stands.
    pub namespace_at: Spot,
    /// `metadata.name`.
    pub name: Option<Name>,
    /// Where it stands.
    pub name_at: Spot,
}

impl Names {
    /// The object of `kind` that is named.
    #[must_use]
    pub fn key(&self, kind: Kind) -> Option<ObjectKey> {
        let (namespace, name) = (self.namespace.clone()?, self.name.clone()?);
        Some(ObjectKey { kind, namespace, name })
    }
}

/// Reads `metadata.namespace` and `metadata.name`.
pub fn names(node: &Node, report: &mut Report) -> Names {
    let Some(metadata) = node.get("metadata") else {
        report.error(node.at, "`metadata` is missing", "add `metadata: { namespace: …, name: … }`");
        return Names::default();
    };
    if !matches!(metadata.tree, Tree::Map(_)) {
        let message = format!("`metadata` must be a map, not {}", metadata.what());
        report.error(metadata.at, message, "write `metadata: { namespace: …, name: … }`");
        return Names::default();
    }
    let (namespace, namespace_at) = name(metadata, "namespace", report);
    let (name, name_at) = name(metadata, "name", report);
    Names { namespace, namespace_at, name, name_at }
}

fn name<T: std::str::FromStr<Err: std::fmt::Display>>(
    metadata: &Node,
    key: &str,
    report: &mut Report,
) -> (Option<T>, Spot) {
    let Some(node) = metadata.get(key) else {
        let cure = match key {
            "namespace" => "add `namespace:`; everything of a release lives in its namespace",
            _ => "add `name:`",
        };
        report.error(metadata.at, format!("`metadata.{key}` is missing"), cure);
        return (None, metadata.at);
    };
    let Some(text) = node.text() else {
        let message = format!("`metadata.{key}` must be text, not {}", node.what());
        report.error(node.at, message, quote_it(node));
        return (None, node.at);
    };
    match text.parse() {
        Ok(name) => (Some(name), node.at),
        Err(error) => {
            report.error(node.at, format!("`metadata.{key}`: {error}"), "use a name that Kubernetes accepts");
            (None, node.at)
        }
    }
}

/// Checks what holds for every object: text where text belongs, nothing that the API server or the rollout owns.
pub fn check(node: &Node, kind: Kind, report: &mut Report) {
    texts::metadata(node, "", report);
    if let Some(entry) = node.entry("status").filter(|entry| !matches!(entry.node.tree, Tree::Null)) {
        report.error(entry.at, "`status` is the cluster's to write", "delete it");
    }
    let Some(metadata) = node.get("metadata") else { return };
    for entry in metadata.entries() {
        // Generated manifests are full of `creationTimestamp: null`, which means nothing.
        let is_null = matches!(entry.node.tree, Tree::Null);
        if SERVER_OWNED.contains(&entry.key.as_str()) && !is_null {
            let message = format!("`metadata.{}` is the API server's to write", entry.key);
            report.error(entry.at, message, "delete it");
        }
    }
    for entry in metadata.get("annotations").into_iter().flat_map(Node::entries) {
        annotation(&entry.key, entry.at, kind, report);
    }
    if let Some(entry) = metadata.get("labels").and_then(|labels| labels.entry(keys::MANAGED_BY))
        && entry.node.text().is_some_and(|value| value != keys::MANAGED_BY_TRITON)
    {
        let message = format!("the label `{}` becomes `{}`", keys::MANAGED_BY, keys::MANAGED_BY_TRITON);
        report.warn(entry.at, message, "delete it, or write that value");
    }
}

fn annotation(key: &str, at: Spot, kind: Kind, report: &mut Report) {
    if keys::MEMORY.contains(&key) || CLUSTER_ONLY.contains(&key) {
        let cure = match key {
            keys::SUSPEND => "delete it, and write `spec.suspend: true` in the Release",
            keys::ROLLBACK => "delete it, and revert the commit",
            _ => "delete it",
        };
        report.error(at, format!("the annotation `{key}` lives in the cluster, not in Git"), cure);
    } else if key == keys::ADOPT || key == keys::ON_DELETE {
        let message = format!("the annotation `{key}` has no effect on a {kind}");
        report.error(at, message, "move it to the Release document");
    } else if key == keys::VERSIONED && kind == Kind::ConfigMap {
        // Its value is read with the rest of the ConfigMap.
    } else if key == keys::VERSIONED {
        let message = format!("the annotation `{key}` has no effect on a {kind}");
        report.error(at, message, "delete it: only ConfigMaps are versioned");
    } else if key.strip_prefix(keys::GROUP).is_some_and(|rest| rest.starts_with('/')) {
        report.error(at, format!("there is no annotation `{}`", quote(key)), "delete it");
    }
}
