//! Places in Kubernetes objects where only text may stand: labels, annotations, environment, configuration data.
//!
//! The API server refuses numbers and booleans there with a message that names no line. Values are never quoted:
//! what stands in an environment may be secret.

use crate::spec::node::{Node, Tree};
use crate::spec::read::quote_it;
use crate::spec::report::{Report, quote};

/// Maps of text in `metadata`.
const METADATA: [&str; 2] = ["labels", "annotations"];
/// Where the containers of a pod stand.
pub const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

/// Checks the labels and annotations of `node`, an object or a pod template that stands at `path`.
pub fn metadata(node: &Node, path: &str, report: &mut Report) {
    let Some(metadata) = node.get("metadata") else { return };
    for key in METADATA {
        map(metadata, key, &format!("{path}metadata"), report);
    }
}

/// Checks the pod template that stands at `path`, which ends in a dot.
pub fn template(template: &Node, path: &str, report: &mut Report) {
    metadata(template, path, report);
    let Some(spec) = template.get("spec") else { return };
    map(spec, "nodeSelector", &format!("{path}spec"), report);
    for list in CONTAINERS {
        for (index, container) in spec.get(list).into_iter().flat_map(Node::items).enumerate() {
            let path = format!("{path}spec.{list}[{index}]");
            for key in ["command", "args"] {
                for (index, item) in container.get(key).into_iter().flat_map(Node::items).enumerate() {
                    text(item, &format!("{path}.{key}[{index}]"), report);
                }
            }
            for key in ["name", "image"] {
                if let Some(node) = container.get(key) {
                    text(node, &format!("{path}.{key}"), report);
                }
            }
            for (index, variable) in container.get("env").into_iter().flat_map(Node::items).enumerate() {
                for key in ["name", "value"] {
                    if let Some(node) = variable.get(key) {
                        text(node, &format!("{path}.env[{index}].{key}"), report);
                    }
                }
            }
        }
    }
}

/// Checks that the field `key` of `node` is a map of text.
pub fn map(node: &Node, key: &str, path: &str, report: &mut Report) {
    let Some(field) = node.get(key) else { return };
    let path = format!("{path}{}{key}", if path.is_empty() { "" } else { "." });
    if !matches!(field.tree, Tree::Map(_)) {
        report.error(
            field.at,
            format!("`{path}` must be a map of text, not {}", field.what()),
            "write `key: value` below it",
        );
        return;
    }
    for entry in field.entries() {
        text(&entry.node, &format!("{path}.{}", quote(&entry.key)), report);
    }
}

/// Checks that `node` is text.
pub fn text(node: &Node, path: &str, report: &mut Report) {
    if node.text().is_none() {
        let message = format!("`{path}` must be text, not {}: Kubernetes refuses it", node.what());
        report.error(node.at, message, quote_it(node));
    }
}
