//! The documents of one release → the release: its strategy, its digest, and what only shows between documents.

use serde_json::{Value, json};

use crate::model::{Digest, Name};
use crate::objects::{Kind, keys};
use crate::spec::applied::applied;
use crate::spec::canonical;
use crate::spec::cloneset::CloneSet;
use crate::spec::config;
use crate::spec::document::{self, Accompanying, Document};
use crate::spec::drain;
use crate::spec::file::RepositoryFile;
use crate::spec::head::{Head, Wanted};
use crate::spec::node::{Node, Spot};
use crate::spec::read::unnamed_cure;
use crate::spec::readiness;
use crate::spec::release::{Body, Initial, Release};
use crate::spec::report::{Report, quote};
use crate::spec::serve;
use crate::spec::strategy::{self, WrittenStrategy};
use crate::spec::versioned;

/// The strategy of `head`, and where the release names it. `None` where there is none to be had, which is told.
pub fn resolve(
    head: &Head,
    repository: &RepositoryFile,
    report: &mut Report,
) -> Option<(WrittenStrategy, Spot)> {
    let (name, at) = match &head.wanted {
        Wanted::Inline(strategy) => return Some(((**strategy).clone(), strategy.at)),
        Wanted::Broken => return None,
        Wanted::Named(name, at) => (name, *at),
        Wanted::Default if repository.unreadable => {
            let message = "triton.yaml cannot be read, so the default strategy is not known";
            report.error(head.at, message, "mend triton.yaml");
            return None;
        }
        Wanted::Default => match &repository.default {
            Some(name) => (name, head.at),
            None => return Some((WrittenStrategy::default(), head.at)),
        },
    };
    let shown = quote(name);
    match repository.strategies.get(name) {
        Some(Some(strategy)) => return Some((strategy.clone(), at)),
        Some(None) => {
            report.error(at, format!("the strategy `{shown}` has mistakes"), "mend it in triton.yaml")
        }
        None if repository.unreadable => {
            let message = format!("triton.yaml cannot be read, so the strategy `{shown}` is not known");
            report.error(at, message, "mend triton.yaml");
        }
        None => {
            let known: Vec<&str> = repository.strategies.keys().map(String::as_str).collect();
            let cure = match known.as_slice() {
                [] => "add it to triton.yaml under `spec.strategies`".to_owned(),
                known => unnamed_cure(name, known),
            };
            report.error(at, format!("triton.yaml has no strategy `{shown}`"), cure);
        }
    }
    None
}

/// Checks what only shows when strategy and size are known together.
pub fn check_strategy(
    head: &Head,
    strategy: &WrittenStrategy,
    at: Spot,
    cloneset: &CloneSet,
    report: &mut Report,
) {
    let steps = &strategy.strategy.steps;
    let inline = matches!(head.wanted, Wanted::Inline(_));
    if let Some(replicas) = cloneset.replicas
        && let Some((index, pods, before)) = strategy::falls_at(&strategy.strategy, replicas)
    {
        let message = format!(
            "steps never fall: of {replicas} pods, step {} ({}) is {pods}, after {before}",
            index + 1,
            steps[index].replicas
        );
        let place = strategy.steps_at.get(index).filter(|_| inline).copied();
        report.error(place.unwrap_or(at), message, "write both steps as counts, or both as percentages");
    }
    if strategy.strategy.initial == Initial::Steps && cloneset.replicas_at.is_none() {
        let message =
            "`initial: steps` needs `spec.replicas` in the CloneSet: the first pods are counted from it";
        let place = strategy.initial_at.filter(|_| inline);
        report.error(place.unwrap_or(at), message, "add `replicas`, or write `initial: all`");
    }
    serve::check(strategy, inline, at, cloneset, report);
    drain::check(strategy, inline, at, cloneset, report);
    if let (Some(cap), Some(place)) = (head.cap, head.cap_at)
        && cap as usize > steps.len()
    {
        let message = format!("`spec.step` is {cap}, and the strategy has {} steps", steps.len());
        report.warn(place, message, "write a step that there is, or delete the line");
    }
    if let (Some(fault), Some(place)) = (none_by_name(head, strategy), head.replace_at) {
        let cure = "take it out, and delete the pod with kubectl: its CloneSet makes another";
        report.warn(place, fault, cure);
    }
}

/// Why no pod is replaced by its name: pods of blue/green may be in a second CloneSet, and only the first one is asked.
fn none_by_name(head: &Head, strategy: &WrittenStrategy) -> Option<String> {
    let named = !head.replace.is_empty() && strategy.strategy.blue_green.is_some();
    named.then(|| "`spec.replace` names pods, and blueGreen replaces none by name".to_owned())
}

/// The release that `head`, `cloneset` and `companions` are; the file with its `Release` document is `path`.
#[must_use]
pub fn release(
    head: &Head,
    strategy: &WrittenStrategy,
    cloneset: &CloneSet,
    companions: &[&Accompanying],
    path: &str,
) -> Option<Release> {
    let mut value = head.value.clone();
    if !strategy.value.is_null() {
        match value.get_mut("spec") {
            Some(spec) => spec["strategy"] = strategy.value.clone(),
            None => value["spec"] = json!({ "strategy": strategy.value }),
        }
    }
    let digested = companions.iter().filter(|companion| companion.kind != Kind::HorizontalPodAutoscaler);
    let mut texts: Vec<String> = digested.map(|companion| companion.canonical.clone()).collect();
    texts.push(canonical::json(&value));
    texts.push(cloneset.canonical.clone());
    let documents = canonical::documents(texts).into_bytes();
    let (body, template, mut bodies) = versioned::apply(cloneset, companions);
    let rank = |kind: Kind| Kind::COMPANIONS.iter().position(|it| *it == kind);
    bodies.sort_by_key(|it| (rank(it.body.key.kind), it.body.key.clone()));
    let (body, template) = applied((body, template), &strategy.strategy);
    let none_by_name = none_by_name(head, strategy);
    Some(Release {
        id: head.id.clone()?,
        path: path.to_owned(),
        strategy: strategy.strategy.clone(),
        cap: head.cap,
        suspend: head.suspend,
        replace: head.replace.iter().filter(|_| none_by_name.is_none()).cloned().collect(),
        replace_fault: none_by_name.or_else(|| head.replace_fault.clone()),
        attempt: head.attempt,
        adopt: head.adopt,
        orphan: head.orphan,
        digest: Digest::of(&documents),
        template,
        documents: documents.into(),
        version: cloneset.version.clone(),
        replicas: cloneset.replicas,
        cloneset: Body { key: cloneset.key.clone()?, value: body },
        companions: bodies,
    })
}

/// Why a release cannot be had from its documents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentsError {
    /// They are other ones.
    #[error("the documents hash to {found}, not to {expected}")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What they are.
        found: Digest,
    },
    /// They are none that this program can read.
    #[error("the documents are not those of a release")]
    Unreadable,
}

impl DocumentsError {
    /// A word for metrics.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Mismatch { .. } => "mismatch",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether trying again can help: never.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        false
    }
}

impl Release {
    /// The release that this one would be with `template` in its CloneSet; `None` where that is none that could be read
    /// again.
    #[must_use]
    pub fn with_template(&self, template: &Value) -> Option<Self> {
        let mut values: Vec<Value> = serde_json::from_slice(&self.documents).ok()?;
        if !readiness::is_gated(template) {
            // It would not be the template that stands.
            values.iter_mut().for_each(readiness::forget);
        }
        if !drain::stands(template) {
            values.iter_mut().for_each(drain::forget);
        }
        let is_cloneset = |it: &&mut Value| it["kind"] == Kind::CloneSet.api().kind;
        let cloneset = values.iter_mut().find(is_cloneset)?;
        cloneset.get_mut("spec")?.as_object_mut()?.insert("template".to_owned(), template.clone());
        // What stands reads its ConfigMaps by the names that stand, and none that came later.
        let stands = config::names(template);
        let is_versioned = |it: &Value| {
            let named = |name: &Name| it["metadata"]["name"] == *name.as_str();
            let mut versions = self.companions.iter().filter_map(|it| it.version_of.as_ref());
            it["kind"] == Kind::ConfigMap.api().kind && versions.any(named)
        };
        values.retain(|it| {
            !is_versioned(it) || it["metadata"]["name"].as_str().is_some_and(|name| stands.contains(name))
        });
        for config in values.iter_mut().filter(|it| is_versioned(it)) {
            config["metadata"]["annotations"][keys::VERSIONED] = "false".into();
        }
        let texts = values.iter().map(canonical::json).collect();
        let documents = canonical::documents(texts).into_bytes();
        let release = Self::from_documents(&documents, Digest::of(&documents)).ok()?;
        Some(Self { path: self.path.clone(), adopt: self.adopt, ..release })
    }

    /// Reads what [`Release::documents`] holds again. The result has no path, no replicas, no autoscalers, no cap, no
    /// pods to replace, and is not suspended: those are not in the digest. Rules that came later are not applied to it:
    /// what was entered once can be gone back to.
    ///
    /// # Errors
    /// Where the bytes do not hash to `expected`, or are no documents of a release.
    pub fn from_documents(bytes: &[u8], expected: Digest) -> Result<Self, DocumentsError> {
        let found = Digest::of(bytes);
        if found != expected {
            return Err(DocumentsError::Mismatch { expected, found });
        }
        let values: Vec<Value> = serde_json::from_slice(bytes).map_err(|_| DocumentsError::Unreadable)?;
        let mut ignored = Report::default();
        let documents: Vec<Document> =
            values.iter().map(|value| document::read(&Node::from_value(value), &mut ignored)).collect();
        let head = documents.iter().find_map(Document::head);
        let cloneset = documents.iter().find_map(Document::cloneset);
        let companions: Vec<&Accompanying> = documents.iter().filter_map(Document::companion).collect();
        let read = head.zip(cloneset).and_then(|(head, cloneset)| {
            let strategy = match &head.wanted {
                Wanted::Inline(strategy) => (**strategy).clone(),
                Wanted::Default => WrittenStrategy::default(),
                Wanted::Named(..) | Wanted::Broken => return None,
            };
            release(head, &strategy, cloneset, &companions, "")
        });
        let release = read.ok_or(DocumentsError::Unreadable)?;
        Ok(Self { documents: bytes.into(), digest: expected, ..release })
    }
}
