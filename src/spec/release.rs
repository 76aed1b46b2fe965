//! The checked types: what a release says once nothing is wrong with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::fields::Compact;
use crate::model::{Amount, Digest, Name, ReleaseId, TemplateHash};
use crate::objects::{Kind, ObjectKey};

/// One step of a strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Pods on the new revision at this step.
    pub replicas: Amount,
    /// Seconds that it stays healthy before it is left.
    pub soak: u32,
    /// Who must approve before it is entered.
    pub approval: Option<Approval>,
    /// How its pods come to serve.
    pub serve: Serve,
    /// The share of the traffic that its pods get by the routes of the strategy, in whole percent; where it is not written,
    /// that of the step before.
    pub weight: Option<u32>,
}

impl Step {
    /// Whether its pods serve once Git permits it.
    #[must_use]
    pub fn serves_by_approval(&self) -> bool {
        self.serve != Serve::Automatic
    }
}

/// How the pods of a step come to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// By themselves, once they are ready.
    Automatic,
    /// Once they are up, when Git permits it.
    Approval {
        /// So many at a time: the next ones when these are ready. All at once where it is not written.
        batch: Option<Amount>,
    },
}

/// What a step asks for before it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Markers that it takes; at least 1.
    pub count: u32,
    /// Whether writers of the spec do not count.
    pub not_author: bool,
}

/// How many pods the very first create makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// All at once: there is nothing to compare with.
    All,
    /// By the steps, too.
    Steps,
}

/// What follows when a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Every pod goes back to the proven release.
    Rollback,
    /// The rollout stays where it is.
    Hold,
}

/// A header or a parameter of the query that a request has (Gateway API, `HTTPHeaderMatch`, `HTTPQueryParamMatch`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Criterion {
    /// Its name.
    pub name: String,
    /// Its value, or what that matches.
    pub value: String,
    /// Whether `value` is a regular expression.
    pub regular: bool,
}

/// Requests of testers: those that have all of this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Headers; their names are told apart whatever the case of their letters.
    pub headers: Vec<Criterion>,
    /// Parameters of the query.
    pub query: Vec<Criterion>,
}

/// How the whole traffic of a release moves at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlueGreen {
    /// The Service whose pods serve; it points at the new revision from step 2 on.
    pub active: Name,
    /// The Service by which the new revision is tried; it points at it from step 1 on.
    pub preview: Name,
    /// Seconds for which the old revision stays as it was after the switch; at least 1.
    pub keep: u32,
}

/// How a release is rolled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// As written, never empty: without steps it is one of 100 %, and blue/green has its two: `previewReplicas` with its
    /// `soak`, and 100 % with its `approval`.
    pub steps: Vec<Step>,
    /// Whether steps were written, or blue/green.
    pub stepped: bool,
    /// The second CloneSet and the Services of blue/green.
    pub blue_green: Option<BlueGreen>,
    /// How the first create is made.
    pub initial: Initial,
    /// Seconds after which a step that is not healthy has failed.
    pub deadline: u32,
    /// What follows when a step fails.
    pub on_failure: OnFailure,
    /// The routes of the release that share traffic by the weights of the steps: each HTTPRoute and GRPCRoute of these
    /// names.
    pub routes: Vec<Name>,
    /// Requests that these routes lead to pods of the entered revision at any weight: those that any of these match.
    pub matches: Vec<Match>,
    /// Seconds for which a pod leaves traffic before it is updated in place or deleted, where it is drained.
    pub drain: Option<u32>,
    /// Pods of a step that need not be available for it to be reached; a share is of the step's pods, rounded down.
    pub failure_threshold: Amount,
}

/// One object as written in Git; a CloneSet without `replicas`, `partition`, `paused` and `podsToDelete`, which the rollout
/// writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Which object.
    pub key: ObjectKey,
    /// The document.
    pub value: Compact,
}

/// An object that is applied with a release.
#[derive(Clone, Debug, PartialEq)]
pub struct Companion {
    /// The object as it is applied.
    pub body: Body,
    /// The name that Git has, where it is applied immutable under one with its content's hash.
    pub version_of: Option<Name>,
}

impl Companion {
    /// What people call it: its kind and the name that they wrote.
    #[must_use]
    pub fn written(&self) -> ObjectKey {
        let name = self.version_of.as_ref().unwrap_or(&self.body.key.name).clone();
        ObjectKey { name, ..self.body.key.clone() }
    }

    /// Whether it belongs to the digest: an autoscaler does not.
    #[must_use]
    pub fn is_autoscaler(&self) -> bool {
        self.body.key.kind == Kind::HorizontalPodAutoscaler
    }
}

/// One release, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Its name.
    pub id: ReleaseId,
    /// The file with its `Release` document, from the repository's top; empty where it was read from the record.
    pub path: String,
    /// How it is rolled out.
    pub strategy: Strategy,
    /// `spec.step`: Git permits no step beyond it.
    pub cap: Option<u32>,
    /// `spec.suspend`.
    pub suspend: bool,
    /// `spec.replace`: pods that are replaced, each once.
    pub replace: BTreeSet<Name>,
    /// What of `spec.replace` cannot be read, and is left out: it stops nothing else.
    pub replace_fault: Option<String>,
    /// `spec.attempt`, from 1.
    pub attempt: u32,
    /// Whether a CloneSet that exists may be taken over.
    pub adopt: bool,
    /// Whether its objects stay when its file is deleted.
    pub orphan: bool,
    /// *D*.
    pub digest: Digest,
    /// *T*.
    pub template: TemplateHash,
    /// The bytes that hash to the digest; [`Release::from_documents`] reads them again.
    pub documents: Arc<[u8]>,
    /// Image tag of the first container, for people; the whole image where it has no tag.
    pub version: String,
    /// `replicas`, where Git owns them.
    pub replicas: Option<u32>,
    /// The CloneSet; its template reads each versioned ConfigMap by the name that is applied.
    pub cloneset: Body,
    /// Everything else, in the order in which it is applied.
    pub companions: Vec<Companion>,
}

impl Strategy {
    /// How many of `pods` on the new revision have to be available: all but those that may fail, and never none.
    #[must_use]
    pub fn enough(&self, pods: u32) -> u32 {
        pods.saturating_sub(self.failure_threshold.scaled(pods, false)).max(pods.min(1))
    }

    /// Whether pods of any step serve by approval: then all of them have a readiness gate of ours.
    #[must_use]
    pub fn is_gated(&self) -> bool {
        self.steps.iter().any(Step::serves_by_approval)
    }

    /// The Service that is pointed at the new revision at the step `number` (from 1), with blue/green.
    #[must_use]
    pub fn service(&self, number: u32) -> Option<&Name> {
        let of = self.blue_green.as_ref()?;
        match number {
            1 => Some(&of.preview),
            2 => Some(&of.active),
            _ => None,
        }
    }

    /// Share of the traffic, in whole percent, that belongs to the step `number` (from 1): the last weight that is written up
    /// to it; 0 before the first.
    #[must_use]
    pub fn weight(&self, number: u32) -> u32 {
        let steps = self.steps.iter().take(usize::try_from(number).unwrap_or(usize::MAX));
        steps.filter_map(|step| step.weight).next_back().unwrap_or(0)
    }
}

impl Release {
    /// Its step `number`, from 1; there is none for 0, which is before all of them.
    #[must_use]
    pub fn step(&self, number: u32) -> Option<&Step> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.strategy.steps.get(index)
    }

    /// Number of its last step.
    #[must_use]
    pub fn last_step(&self) -> u32 {
        u32::try_from(self.strategy.steps.len()).unwrap_or(u32::MAX)
    }
}
