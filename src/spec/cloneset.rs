//! The CloneSet of a release: what Kruise would refuse, or what would fight with the rollout.

use serde_json::Value;

use crate::fields::Compact;
use crate::model::{Amount, TemplateHash};
use crate::objects::cloneset::UPDATE_STRATEGY;
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::canonical;
use crate::spec::config::{self, Reference};
use crate::spec::image;
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::object;
use crate::spec::order;
use crate::spec::pod;
use crate::spec::read::unknown_cure;
use crate::spec::readiness;
use crate::spec::report::{Report, quote};
use crate::spec::selector;
use crate::spec::texts;

/// Most replicas: more pods than a cluster has (Kubernetes, "Considerations for large clusters": 150,000).
pub const REPLICAS_MAX: u32 = 100_000;
/// From this length on, pods cannot be made: their label `controller-revision-hash` is `<name>-<hash>`, at most 63
/// characters (Kruise, `sync/cloneset_scale.go`).
pub const NAME_MAX: usize = 52;

const SPEC: [&str; 10] = [
    "replicas",
    "selector",
    "template",
    "volumeClaimTemplates",
    "scaleStrategy",
    "updateStrategy",
    "revisionHistoryLimit",
    "minReadySeconds",
    "lifecycle",
    "progressDeadlineSeconds",
];
/// A CloneSet as far as it can be read.
#[derive(Clone, Debug)]
pub struct CloneSet {
    /// Where the document begins.
    pub at: Spot,
    /// Where its namespace stands.
    pub namespace_at: Spot,
    /// Where its name stands.
    pub name_at: Spot,
    /// Which one.
    pub key: Option<ObjectKey>,
    /// As written, without `replicas`, `partition`, `paused` and `podsToDelete`.
    pub body: Compact,
    /// The bytes that go into the digest: as written, without `replicas`.
    pub canonical: String,
    /// Hash of the template as written.
    pub template: TemplateHash,
    /// The places of the template that name ConfigMaps.
    pub reads: Vec<Reference>,
    /// Image tag of the first container.
    pub version: String,
    /// `spec.replicas`.
    pub replicas: Option<u32>,
    /// Where `spec.replicas` stands.
    pub replicas_at: Option<Spot>,
    /// Where `spec.updateStrategy.type` stands.
    pub type_at: Option<Spot>,
}

/// Reads a CloneSet. Mistakes go to `report`.
pub fn read(node: &Node, report: &mut Report) -> CloneSet {
    let names = object::names(node, report);
    object::check(node, Kind::CloneSet, report);
    if names.name.as_ref().is_some_and(|name| name.as_str().len() >= NAME_MAX) {
        let message = format!("the name has {NAME_MAX} characters or more: Kruise cannot make pods of it");
        report.warn(names.name_at, message, "shorten it");
    }
    let spec = map_at(node, "spec", "spec", report);
    if let Some(spec) = spec {
        unknown(spec, &SPEC, "spec", report);
        check_template(spec, report);
        selector::check(spec, report);
        check_update(spec, report);
        readiness::check_hooks(spec, report);
        let listed = spec.get("scaleStrategy").and_then(|scale| scale.entry("podsToDelete"));
        if let Some(scale) =
            listed.filter(|entry| !matches!(&entry.node.tree, Tree::List(items) if items.is_empty()))
        {
            let message =
                "`spec.scaleStrategy.podsToDelete` belongs to the rollout: Kruise takes names out of it";
            report.error(
                scale.at,
                message,
                "delete the line, and write the names as `spec.replace` of the Release",
            );
        }
    }
    let replicas = spec.and_then(|spec| spec.entry("replicas"));
    let value = node.to_value();
    CloneSet {
        at: node.at,
        namespace_at: names.namespace_at,
        name_at: names.name_at,
        key: names.key(Kind::CloneSet),
        canonical: canonical::json(&without(&value, &[&["spec", "replicas"]])),
        template: TemplateHash::of(canonical::json(&value["spec"]["template"]).as_bytes()),
        reads: spec.and_then(|it| it.get("template")).map(config::references).unwrap_or_default(),
        version: image::version(&value),
        replicas: replicas.and_then(|entry| count(&entry.node, report)),
        replicas_at: replicas.map(|entry| entry.at),
        type_at: spec.and_then(|it| it.find(&["updateStrategy", "type"])).map(|node| node.at),
        body: Compact::of(&without(
            &value,
            &[
                &["spec", "replicas"],
                &["spec", "updateStrategy", "partition"],
                &["spec", "updateStrategy", "paused"],
                &["spec", "scaleStrategy", "podsToDelete"],
            ],
        )),
    }
}

/// `value` without the fields at `paths`.
#[must_use]
pub fn without(value: &Value, paths: &[&[&str]]) -> Value {
    let mut value = value.clone();
    for path in paths {
        let Some((last, parents)) = path.split_last() else { continue };
        let parent = parents.iter().try_fold(&mut value, |at, key| at.get_mut(*key));
        if let Some(fields) = parent.and_then(Value::as_object_mut) {
            fields.remove(*last);
        }
    }
    value
}

/// The map at `key`, which must be there.
fn map_at<'n>(node: &'n Node, key: &str, path: &str, report: &mut Report) -> Option<&'n Node> {
    let Some(field) = node.get(key) else {
        report.error(node.at, format!("`{path}` is missing"), format!("add `{key}:`"));
        return None;
    };
    if !matches!(field.tree, Tree::Map(_)) {
        report.error(
            field.at,
            format!("`{path}` must be a map, not {}", field.what()),
            "write its fields below it",
        );
        return None;
    }
    Some(field)
}

/// The API server drops fields that the CloneSet does not have, without a word (Kruise 1.8.3, run).
fn unknown(node: &Node, known: &[&str], path: &str, report: &mut Report) {
    for entry in node.entries() {
        if !known.contains(&entry.key.as_str()) {
            let message =
                format!("a CloneSet has no field `{path}.{}`: the API server drops it", quote(&entry.key));
            report.warn(entry.at, message, unknown_cure(&entry.key, known));
        }
    }
}

fn count(node: &Node, report: &mut Report) -> Option<u32> {
    let number = match &node.tree {
        Tree::Null => return None,
        Tree::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Tree::Bool(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => None,
    };
    if number.is_none_or(|number| number > REPLICAS_MAX) {
        let message = format!("`spec.replicas` must be a whole number from 0 to {REPLICAS_MAX}");
        report.error(node.at, message, "write such a number, without quotes");
        return None;
    }
    number
}

fn check_template(spec: &Node, report: &mut Report) {
    let Some(template) = map_at(spec, "template", "spec.template", report) else { return };
    texts::template(template, "spec.template.", report);
    readiness::check_template(template, report);
    let containers = template.find(&["spec", "containers"]);
    if containers.is_none_or(|list| list.items().is_empty()) {
        let at = containers.or(template.get("spec")).unwrap_or(template).at;
        report.error(
            at,
            "`spec.template.spec.containers` has no container",
            "add `- name: …` and `image: …` below it",
        );
    }
    if let Some(spec) = template.get("spec") {
        pod::check_spec(spec, "spec.template.spec", report);
    }
    for list in texts::CONTAINERS {
        let containers = template.find(&["spec", list]).into_iter().flat_map(Node::items);
        for (index, container) in containers.enumerate() {
            let path = format!("spec.template.spec.{list}[{index}]");
            pod::check_container(container, &path, report);
            image::check(container, &path, report);
        }
    }
    if let Some(policy) =
        template.find(&["spec", "restartPolicy"]).filter(|policy| policy.text() != Some("Always"))
    {
        let message = "`spec.template.spec.restartPolicy` can only be Always in a CloneSet";
        report.error(policy.at, message, "delete the line");
    }
}

fn check_update(spec: &Node, report: &mut Report) {
    let Some(update) = spec.get("updateStrategy") else { return };
    if !matches!(update.tree, Tree::Map(_)) {
        let message = format!("`spec.updateStrategy` must be a map, not {}", update.what());
        report.error(update.at, message, "write its fields below it");
        return;
    }
    unknown(update, &UPDATE_STRATEGY, "spec.updateStrategy", report);
    check_owned_by_rollout(update, report);
    if let Some(kind) = update.get("type") {
        let known = ["ReCreate", "InPlaceIfPossible", "InPlaceOnly"];
        match kind.text() {
            Some(text) if known.contains(&text) => {}
            Some("OnDelete") => report.error(
                kind.at,
                "`spec.updateStrategy.type: OnDelete` waits for pods to be deleted by hand: no step would ever be reached",
                "write InPlaceIfPossible or ReCreate",
            ),
            Some(_) | None => {
                let message = "`spec.updateStrategy.type` is none that Kruise knows";
                report.error(kind.at, message, "write ReCreate, InPlaceIfPossible or InPlaceOnly");
            }
        }
    }
    check_restart(spec, update, report);
    order::check(update, report);
    let unavailable = speed(update, "maxUnavailable", report);
    let surge = speed(update, "maxSurge", report);
    if surge == Some(false) && update.get("type").and_then(Node::text) == Some("InPlaceOnly") {
        let at = update.entry("maxSurge").map_or(update.at, |entry| entry.at);
        let message = "`maxSurge` has no pods to make with InPlaceOnly, and Kruise refuses it";
        report.error(at, message, "leave it out, or write InPlaceIfPossible");
    }
    if unavailable == Some(true) && surge != Some(false) {
        let at = update.entry("maxUnavailable").map_or(update.at, |entry| entry.at);
        let message = "`maxUnavailable` and `maxSurge` are both 0: no pod could ever be replaced";
        report.error(at, message, "write 1 or more, or a percentage, for one of them");
    }
}

/// An annotation by which pods are to start again, where Kruise patches it onto them as they run.
fn check_restart(spec: &Node, update: &Node, report: &mut Report) {
    let kind = update.get("type").and_then(Node::text).unwrap_or("ReCreate");
    let annotations = spec.find(&["template", "metadata", "annotations"]);
    let Some(entry) = annotations.and_then(|it| it.entry(keys::RESTARTED)).filter(|_| kind != "ReCreate")
    else {
        return;
    };
    let message = format!(
        "`{}` starts no pod again with `type: {kind}`: it is patched onto pods that run",
        keys::RESTARTED
    );
    report.warn(
        entry.at,
        message,
        "delete the line, and replace the pods: triton restart NS/NAME --pods SELECTOR",
    );
}

/// Whether a limit is zero; `None` where it is not written or cannot be read.
fn speed(update: &Node, key: &str, report: &mut Report) -> Option<bool> {
    let node = update.get(key)?;
    let amount: Option<Amount> = match &node.tree {
        Tree::Number(number) => number.to_string().parse().ok(),
        // Kruise 1.9 lets a share with decimals in and then counts it as nothing (`GetValueFromIntOrPercent`).
        Tree::Text(text) if text.ends_with('%') && !text.contains('.') => text.parse().ok(),
        Tree::Null | Tree::Bool(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => None,
    };
    if amount.is_none() {
        let message =
            format!("`spec.updateStrategy.{key}` is neither a count of pods nor a whole percentage");
        report.error(node.at, message, "write a count as 1, or a percentage as 20%");
    }
    Some(matches!(amount?.to_string().as_str(), "0" | "0%"))
}

/// `partition` and `paused` are the rollout's: their defaults are harmless, anything else would be undone.
fn check_owned_by_rollout(update: &Node, report: &mut Report) {
    for key in ["partition", "paused"] {
        let Some(entry) = update.entry(key) else { continue };
        let harmless = match &entry.node.tree {
            Tree::Null => true,
            Tree::Bool(paused) => key == "paused" && !paused,
            Tree::Number(number) => key == "partition" && number.as_u64() == Some(0),
            Tree::Text(text) => key == "partition" && text == "0%",
            Tree::List(_) | Tree::Map(_) => false,
        };
        let message = format!("`spec.updateStrategy.{key}` belongs to the rollout");
        if harmless {
            report.warn(entry.at, message, "delete the line");
        } else if key == "partition" {
            report.error(entry.at, message, "delete the line, and write steps in the Release");
        } else {
            report.error(entry.at, message, "delete the line, and write `spec.suspend: true` in the Release");
        }
    }
}
