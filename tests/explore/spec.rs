//! Releases of the simulated repository: what is written, how it is counted, and what the program is given for it.
//!
//! The arithmetic of steps is this file's own, from `cloneset.md` A.3: the checker must not lean on what it checks.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use triton::fields::Compact;
use triton::model::{Digest, ReleaseId, TemplateHash};
use triton::objects::{Kind, ObjectKey};
use triton::spec::{Approval, Body, Companion, Initial, OnFailure, Release, Serve, Step, Strategy};

/// Pods that a step asks for.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// So many.
    Pods(u32),
    /// This share, in percent.
    Share(u32),
}

/// One written step: pods, approvals, whether the writer's own is refused, soak in seconds.
pub type Written = (Ask, u32, bool, u32);

/// The strategies that worlds use. The fifth is none at all.
pub const STRATEGIES: &[&[Written]] = &[
    &[(Ask::Pods(1), 0, false, 2), (Ask::Share(50), 1, false, 1), (Ask::Share(100), 1, false, 0)],
    &[(Ask::Share(50), 0, false, 2), (Ask::Share(100), 0, false, 1)],
    &[
        (Ask::Pods(0), 1, false, 1),
        (Ask::Pods(1), 0, false, 2),
        (Ask::Share(25), 1, false, 0),
        (Ask::Share(75), 2, false, 1),
        (Ask::Share(100), 0, false, 0),
    ],
    &[(Ask::Pods(1), 1, false, 1), (Ask::Share(100), 0, false, 0)],
    &[],
    &[(Ask::Share(20), 0, false, 1), (Ask::Share(100), 1, true, 0)],
    &[(Ask::Pods(2), 0, false, 0), (Ask::Share(60), 0, false, 0), (Ask::Share(100), 0, false, 0)],
];

/// A moment of the simulation.
#[must_use]
pub fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("within the calendar")
}

/// Seconds after which a step that is not healthy has failed, in every strategy.
pub const DEADLINE: i64 = 25;

/// `maxUnavailable` and `maxSurge`, as written.
pub const PACES: &[(&str, &str)] =
    &[("40%", "0"), ("20%", "0"), ("1", "0"), ("0", "1"), ("25%", "50%"), ("100%", "0"), ("40%", "2")];

/// What the digest is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doc {
    /// The pod template, in one letter.
    pub template: char,
    /// Index into [`STRATEGIES`].
    pub strategy: usize,
    /// `onFailure: hold`.
    pub hold: bool,
    /// What the companion Service says.
    pub service: u32,
    /// `spec.attempt`.
    pub attempt: u32,
    /// `initial: steps`.
    pub by_steps: bool,
    /// `triton.io/adopt`.
    pub adopt: bool,
    /// `triton.io/on-delete: orphan`.
    pub orphan: bool,
    /// Pods are updated in place where they can be; else they are made again.
    pub in_place: bool,
    /// Index into [`PACES`].
    pub pace: usize,
}

impl Doc {
    /// The written steps; without any it is one of 100 %.
    #[must_use]
    pub fn steps(&self) -> &'static [Written] {
        let written = STRATEGIES[self.strategy];
        if written.is_empty() { &[(Ask::Share(100), 0, false, 0)] } else { written }
    }

    /// Number of the last step.
    #[must_use]
    pub fn last(&self) -> u32 {
        u32::try_from(self.steps().len()).expect("few steps")
    }

    /// Pods on the new template at `step`, at `size` pods in all.
    #[must_use]
    pub fn pods_at(&self, step: u32, size: u32) -> u32 {
        if step >= self.last() {
            return size;
        }
        let asked = self.steps()[..step as usize].iter().map(|(ask, ..)| match ask {
            Ask::Pods(pods) => (*pods).min(size),
            Ask::Share(0) => 0,
            // A partition of the rest, rounded up, with one pod let go where there is more than one.
            Ask::Share(percent) => {
                let kept = (size * (100 - percent)).div_ceil(100).min(size);
                size - if size > 1 && kept == size { size - 1 } else { kept }
            }
        });
        asked.max().unwrap_or(0).min(size.saturating_sub(1))
    }
}

/// A release as its file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spec {
    /// What the digest is made of.
    pub doc: Doc,
    /// `replicas`; none where an autoscaler owns them.
    pub replicas: Option<u32>,
    /// `spec.step`.
    pub cap: Option<u32>,
    /// `spec.suspend`.
    pub suspend: bool,
    /// Whether the file can be read.
    pub valid: bool,
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doc = &self.doc;
        write!(f, "{} strategy {}", doc.template, doc.strategy)?;
        match self.replicas {
            Some(replicas) => write!(f, ", {replicas} replicas")?,
            None => write!(f, ", replicas left to the autoscaler")?,
        }
        write!(f, "{}", if doc.by_steps { ", initial: steps" } else { "" })?;
        write!(f, "{}", if doc.hold { ", onFailure: hold" } else { "" })?;
        write!(f, "{}", if doc.adopt { ", adopt" } else { "" })?;
        write!(f, "{}", if doc.orphan { ", on-delete: orphan" } else { "" })?;
        let (unavailable, surge) = PACES[doc.pace];
        let how = if doc.in_place { "in place" } else { "made again" };
        write!(f, ", pods {how}, {unavailable} unavailable, {surge} surge")
    }
}

/// *T* of a template.
#[must_use]
pub fn template_hash(template: char) -> TemplateHash {
    TemplateHash::of(template.to_string().as_bytes())
}

/// *D* of a release.
#[must_use]
pub fn digest(id: &ReleaseId, doc: &Doc) -> Digest {
    Digest::of(&documents(id, doc))
}

fn documents(id: &ReleaseId, doc: &Doc) -> Vec<u8> {
    format!("{id} {doc:?}").into_bytes()
}

/// The object of `kind` that belongs to a release.
#[must_use]
pub fn key(id: &ReleaseId, kind: Kind) -> ObjectKey {
    ObjectKey { kind, namespace: id.namespace.clone(), name: id.name.clone() }
}

/// The image of a template.
#[must_use]
pub fn image(template: char) -> String {
    format!("app:{template}")
}

/// A template as it is written.
#[must_use]
pub fn template_text(id: &ReleaseId, template: char) -> Value {
    json!({
        "metadata": { "labels": { "app": id.name.as_str() } },
        "spec": { "containers": [{ "name": "app", "image": image(template) }] },
    })
}

/// The letter of a template as the cluster has it.
#[must_use]
pub fn template_letter(text: &Value) -> Option<char> {
    text["spec"]["containers"][0]["image"].as_str()?.chars().last()
}

/// `spec.selector` of a release.
#[must_use]
pub fn selector(id: &ReleaseId) -> Value {
    json!({ "matchLabels": { "app": id.name.as_str() } })
}

/// `maxUnavailable` or `maxSurge` as JSON.
fn amount(text: &str) -> Value {
    text.parse::<u32>().map_or_else(|_| json!(text), |count| json!(count))
}

/// Fields of the spec that every release writes and people edit by hand, with what it writes.
#[must_use]
pub fn written_fields(doc: &Doc) -> [(&'static str, Value); 4] {
    let (unavailable, surge) = PACES[doc.pace];
    [
        ("revisionHistoryLimit", LIMIT.into()),
        ("updateStrategy/type", if doc.in_place { "InPlaceIfPossible" } else { "ReCreate" }.into()),
        ("updateStrategy/maxUnavailable", amount(unavailable)),
        ("updateStrategy/maxSurge", amount(surge)),
    ]
}

/// `revisionHistoryLimit` of every spec: a field of ours that people edit by hand.
pub const LIMIT: u32 = 10;

/// What the program is given for a spec.
#[must_use]
pub fn release(id: &ReleaseId, spec: &Spec) -> Arc<Release> {
    let doc = &spec.doc;
    let mut written = json!({
        "apiVersion": Kind::CloneSet.api().api_version(),
        "kind": "CloneSet",
        "metadata": { "namespace": id.namespace.as_str(), "name": id.name.as_str() },
        "spec": { "selector": selector(id), "template": template_text(id, doc.template) },
    });
    for (path, value) in written_fields(doc) {
        match path.split_once('/') {
            Some((map, field)) => written["spec"][map][field] = value,
            None => written["spec"][path] = value,
        }
    }
    if let Some(replicas) = spec.replicas {
        written["spec"]["replicas"] = replicas.into();
    }
    Arc::new(Release {
        id: id.clone(),
        path: format!("releases/{id}.yaml"),
        strategy: strategy(doc),
        cap: spec.cap,
        suspend: spec.suspend,
        replace: Default::default(),
        replace_fault: None,
        attempt: doc.attempt,
        adopt: doc.adopt,
        orphan: doc.orphan,
        digest: digest(id, doc),
        template: template_hash(doc.template),
        documents: documents(id, doc).into(),
        version: doc.template.to_string(),
        replicas: spec.replicas,
        cloneset: Body { key: key(id, Kind::CloneSet), value: Compact::of(&written) },
        companions: companions(id, spec),
    })
}

fn strategy(doc: &Doc) -> Strategy {
    let step = |(ask, count, not_author, soak): &Written| Step {
        replicas: match ask {
            Ask::Pods(pods) => pods.to_string(),
            Ask::Share(percent) => format!("{percent}%"),
        }
        .parse()
        .expect("an amount"),
        soak: *soak,
        approval: (*count > 0).then_some(Approval { count: *count, not_author: *not_author }),
        serve: Serve::Automatic,
        weight: None,
    };
    Strategy {
        matches: Vec::new(),
        steps: doc.steps().iter().map(step).collect(),
        stepped: !STRATEGIES[doc.strategy].is_empty(),
        blue_green: None,
        initial: if doc.by_steps { Initial::Steps } else { Initial::All },
        deadline: u32::try_from(DEADLINE).expect("small"),
        on_failure: if doc.hold { OnFailure::Hold } else { OnFailure::Rollback },
        routes: Vec::new(),
        drain: None,
        failure_threshold: triton::model::Amount::Count(0),
    }
}

fn companions(id: &ReleaseId, spec: &Spec) -> Vec<Companion> {
    let companion = |kind: Kind, says: Value| Companion {
        body: Body {
            key: key(id, kind),
            value: Compact::of(&json!({
                "apiVersion": kind.api().api_version(),
                "kind": kind.api().kind,
                "metadata": { "namespace": id.namespace.as_str(), "name": id.name.as_str() },
                "spec": says,
            })),
        },
        version_of: None,
    };
    let service = (spec.doc.service > 0)
        .then(|| companion(Kind::Service, json!({ "selector": { "app": spec.doc.service.to_string() } })));
    let autoscaler = spec
        .replicas
        .is_none()
        .then(|| companion(Kind::HorizontalPodAutoscaler, json!({ "maxReplicas": 8 })));
    service.into_iter().chain(autoscaler).collect()
}
