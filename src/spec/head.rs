//! The `Release` document: strategy, `step`, `suspend`, `attempt`, and its two annotations.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::{Name, ReleaseId};
use crate::objects::keys;
use crate::spec::cloneset::without;
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::object;
use crate::spec::read::{Fields, unknown_cure};
use crate::spec::report::{Report, quote};
use crate::spec::strategy::{self, WrittenStrategy};
use crate::spec::texts;

/// Highest `spec.step` and `spec.attempt`: nobody means more, and sums of them still fit.
const NUMBER_MAX: u32 = 1_000_000;

/// Most pods that `spec.replace` names: all of them are remembered in one annotation of the CloneSet, which has 256 KiB
/// for all that it has (Kubernetes, `TotalAnnotationSizeLimitB`), and each is looked at once.
pub const REPLACE_MAX: usize = 100;

/// The strategy that a release asks for.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// None: the repository's default.
    Default,
    /// One of the repository's, by name; where the name stands.
    Named(String, Spot),
    /// This one.
    Inline(Box<WrittenStrategy>),
    /// It cannot be read.
    Broken,
}

/// A `Release` document as far as it can be read.
#[derive(Clone, Debug)]
pub struct Head {
    /// Where the document begins.
    pub at: Spot,
    /// Where its name stands.
    pub name_at: Spot,
    /// Which release.
    pub id: Option<ReleaseId>,
    /// As written, without `spec.step`, `spec.suspend`, `spec.replace` and `spec.strategy`; no `spec` where nothing else
    /// is in it.
    pub value: Value,
    /// Its strategy.
    pub wanted: Wanted,
    /// `spec.step`.
    pub cap: Option<u32>,
    /// Where `spec.step` stands.
    pub cap_at: Option<Spot>,
    /// `spec.suspend`.
    pub suspend: bool,
    /// `spec.replace`.
    pub replace: BTreeSet<Name>,
    /// Where `spec.replace` stands.
    pub replace_at: Option<Spot>,
    /// What of `spec.replace` cannot be read, the first of it.
    pub replace_fault: Option<String>,
    /// `spec.attempt`.
    pub attempt: u32,
    /// The annotation `triton.io/adopt`.
    pub adopt: bool,
    /// The annotation `triton.io/on-delete: orphan`.
    pub orphan: bool,
}

/// Reads a `Release` document. Mistakes go to `report`.
pub fn read(node: &Node, report: &mut Report) -> Head {
    let names = object::names(node, report);
    let mut head = Head {
        at: node.at,
        name_at: names.name_at,
        id: names.namespace.zip(names.name).map(|(namespace, name)| ReleaseId { namespace, name }),
        value: without(
            &node.to_value(),
            &["step", "suspend", "replace", "strategy"]
                .map(|field| ["spec", field])
                .each_ref()
                .map(|it| &it[..]),
        ),
        wanted: Wanted::Default,
        cap: None,
        cap_at: None,
        suspend: false,
        replace: BTreeSet::new(),
        replace_at: None,
        replace_fault: None,
        attempt: 1,
        adopt: false,
        orphan: false,
    };
    if head.value["spec"].as_object().is_some_and(serde_json::Map::is_empty) {
        head.value = without(&head.value, &[&["spec"]]);
    }
    let Some(fields) = Fields::open(node, "", &["apiVersion", "kind", "metadata", "spec"], report) else {
        return head;
    };
    texts::metadata(node, "", report);
    if let Some(metadata) = node.get("metadata").filter(|metadata| matches!(metadata.tree, Tree::Map(_))) {
        let _ = Fields::open(metadata, "metadata", &["namespace", "name", "labels", "annotations"], report);
        let annotations = metadata.get("annotations").map_or(&[][..], Node::entries);
        annotations.iter().for_each(|entry| annotation(&entry.key, entry.at, &entry.node, &mut head, report));
    }
    if let Some(spec) = fields.get("spec", report) {
        read_spec(spec, &mut head, report);
    }
    head
}

fn read_spec(node: &Node, head: &mut Head, report: &mut Report) {
    let known = ["strategy", "step", "suspend", "replace", "attempt"];
    let Some(fields) = Fields::open(node, "spec", &known, report) else { return };
    head.cap = fields.number("step", 0..=NUMBER_MAX, report);
    head.cap_at = fields.key_at("step");
    head.suspend = fields.flag("suspend", report).unwrap_or(false);
    if let Some(node) = fields.get("replace", report) {
        (head.replace, head.replace_fault) = replaced(node, report);
        head.replace_at = fields.key_at("replace");
    }
    head.attempt = fields.number("attempt", 1..=NUMBER_MAX, report).unwrap_or(1);
    head.wanted = match fields.get("strategy", report) {
        None if fields.key_at("strategy").is_some() => Wanted::Broken,
        None => Wanted::Default,
        Some(Node { tree: Tree::Text(name), at }) => Wanted::Named(name.clone(), *at),
        Some(node) if matches!(node.tree, Tree::Map(_)) => strategy::read(node, "spec.strategy", report)
            .map_or(Wanted::Broken, |it| Wanted::Inline(Box::new(it))),
        Some(node) => {
            let message = format!("`spec.strategy` must be a name or a map, not {}", node.what());
            report.error(node.at, message, "write `steps:` below it, or a name from triton.yaml");
            Wanted::Broken
        }
    };
}

/// The pods that `spec.replace` names, and the first thing that is wrong with it. A mistake is a warning: it is no part of
/// the digest, and must neither void an approval nor stand in the way of a revert.
fn replaced(node: &Node, report: &mut Report) -> (BTreeSet<Name>, Option<String>) {
    let (mut names, mut fault) = (BTreeSet::new(), None);
    let mut wrong = |at: Spot, message: String, cure: &str| {
        report.warn(at, message.clone(), cure);
        fault.get_or_insert(message);
    };
    if !matches!(node.tree, Tree::List(_)) {
        let message = format!("`spec.replace` must be a list, not {}", node.what());
        wrong(node.at, message, "write the names of pods, as `[web-x2b4c]`");
    }
    for item in node.items() {
        let name: Result<Name, String> = match item.text() {
            Some(text) => text.parse::<Name>().map_err(|why| why.to_string()),
            None => Err(format!("{} is no name of a pod", item.what())),
        };
        match name {
            Ok(name) if names.len() < REPLACE_MAX || names.contains(&name) => drop(names.insert(name)),
            Ok(_) => {
                let message = format!("`spec.replace` names more than {REPLACE_MAX} pods");
                wrong(node.at, message, "take out those that are replaced: triton restart --pods does");
            }
            Err(why) => wrong(item.at, format!("`spec.replace`: {why}"), "write the name of a pod"),
        }
    }
    (names, fault)
}

fn annotation(key: &str, at: Spot, node: &Node, head: &mut Head, report: &mut Report) {
    match key {
        // That it is no text is told already.
        keys::ADOPT | keys::ON_DELETE if node.text().is_none() => {}
        keys::ADOPT => match node.text() {
            Some("true") => head.adopt = true,
            Some("false") => {}
            Some(_) | None => {
                report.error(
                    node.at,
                    format!("`{key}` must be \"true\" or \"false\""),
                    "write \"true\", with quotes",
                );
            }
        },
        keys::ON_DELETE => match node.text() {
            Some("orphan") => head.orphan = true,
            Some(_) | None => {
                let cure = "write `orphan` to leave the objects behind, or delete the line";
                report.error(node.at, format!("`{key}` can only be `orphan`"), cure);
            }
        },
        keys::SUSPEND => {
            let message = format!("the annotation `{key}` lives in the cluster, on the CloneSet");
            report.error(at, message, "write `spec.suspend: true`");
        }
        key if key.strip_prefix(keys::GROUP).is_some_and(|rest| rest.starts_with('/')) => {
            let cure = unknown_cure(key, &[keys::ADOPT, keys::ON_DELETE]);
            report.error(at, format!("a Release has no annotation `{}`", quote(key)), cure);
        }
        _ => {}
    }
}
