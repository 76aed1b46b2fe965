//! The record: the `Release` object in the cluster, which tells people the story of a rollout.
//!
//! It has what Git says in `spec` and what happened in `status`. It is a record: editing it changes nothing and is
//! undone. No value in it ticks, so that a release that rests causes no writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Hold;

/// Kind of the record, and of the document in Git.
pub const KIND: &str = "Release";
/// The record's name in URLs.
pub const PLURAL: &str = "releases";
/// Transitions that `history` keeps; the oldest go first. Older ones are Git's.
pub const HISTORY_MAX: usize = 20;
/// Largest compressed document kept, in bytes of base64: two of them and the rest stay below etcd's 1.5 MiB.
pub const DOCUMENTS_MAX: usize = 384 * 1024;

/// Where a release is, in one word.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// Complete: every pod runs what Git says.
    Healthy,
    /// Moving, or waiting for pods or time.
    #[default]
    Progressing,
    /// Only a person can let it go on.
    Paused,
    /// Every pod goes back to the proven release.
    RollingBack,
    /// Failed or refused.
    Degraded,
}

impl Phase {
    /// Its word, as it stands in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::RollingBack => "RollingBack",
            Self::Degraded => "Degraded",
        }
    }
}

/// State of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Left behind, or the last one of a complete release.
    Done,
    /// The entered step.
    Here,
    /// The next one, and a person must act before it is entered.
    Waiting,
    /// The step at which this template failed.
    Failed,
    /// Not entered yet.
    Ahead,
}

/// One approval that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalView {
    /// Name of the author of the commit that brought the marker.
    pub who: String,
    /// That commit, seven digits or more.
    pub commit: String,
}

/// One step as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// As written: `1`, `50%`.
    pub target: String,
    /// Pods on the new revision at this step, at the present size.
    pub pods: u32,
    /// Share of the traffic that these pods get by the routes of the strategy, in whole percent; absent where traffic follows
    /// the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Whether requests of testers reach these pods at any weight, by the matches of the strategy; absent where they do not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub testers: bool,
    /// The Service that is pointed at these pods at this step; absent but with blue/green.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Where the rollout is with it.
    pub state: StepState,
    /// Approvals that it asks for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub needs: u32,
    /// Seconds that it soaks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub soak: u32,
    /// When it was entered, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub entered_at: Option<Timestamp>,
    /// Approvals that count for it.
    #[serde(default)]
    pub approvals: Vec<ApprovalView>,
    /// Who has let its pods serve, of a step that asks for it: nobody yet where it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serve: Option<Vec<ApprovalView>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Versions (image tags) of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// Of the proven release.
    #[serde(default)]
    pub from: Option<String>,
    /// Of the release that is entered, or that waits to be.
    #[serde(default)]
    pub to: Option<String>,
}

impl Versions {
    /// `2.4.0 → 2.4.1`, or the one version that there is; nothing where there is none.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from != to => Some(format!("{from} → {to}")),
            (from, to) => to.as_ref().or(from.as_ref()).cloned(),
        }
    }
}

/// Counts of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// The size.
    pub desired: u32,
    /// On the new revision.
    pub updated: u32,
    /// Of these, available.
    pub updated_available: u32,
}

/// What the pods of one CloneSet of a release with blue/green are there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The active Service leads to them.
    Serves,
    /// They are to serve, and do not yet.
    Next,
    /// They have served, and stay to go back to.
    Kept,
    /// Nobody needs them: they go.
    Leaves,
}

/// One CloneSet of a release with blue/green that has pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloneSetView {
    /// Its name.
    pub name: String,
    /// Version of its pods; absent where nobody knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Pods that it is to have now.
    pub pods: u32,
    /// What they are there for.
    pub role: Role,
    /// Until when they are kept, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
}

/// Something in Git that has no effect, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ignored {
    /// The file, from the repository's top.
    pub path: String,
    /// Why it does not count.
    pub reason: String,
}

/// What people, scripts and screens see of one release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Where it is, in one word.
    pub phase: Phase,
    /// From which version to which.
    #[serde(default)]
    pub version: Versions,
    /// First commit of the episode that is entered, or that waits to be.
    #[serde(default)]
    pub commit: Option<String>,
    /// Digest of that release, 32 hexadecimal digits.
    #[serde(default)]
    pub digest: Option<String>,
    /// Digest of the proven release, 32 hexadecimal digits.
    #[serde(default)]
    pub proven_digest: Option<String>,
    /// The entered step; 0 is before step 1.
    #[serde(default)]
    pub step: u32,
    /// Every step.
    #[serde(default)]
    pub steps: Vec<StepView>,
    /// Counts of pods.
    #[serde(default)]
    pub pods: Pods,
    /// The CloneSets that have pods, where those are not all of the one that is named as the release: only with blue/green.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clonesets: Vec<CloneSetView>,
    /// Every closed gate. Empty only where the release is complete or has just moved.
    #[serde(default)]
    pub holds: Vec<Hold>,
    /// What in Git has no effect.
    #[serde(default)]
    pub ignored: Vec<Ignored>,
}

impl View {
    /// Whether its new pods stand beside those that serve, and do not serve themselves.
    #[must_use]
    pub fn is_beside(&self) -> bool {
        let Some((_, before_last)) = self.steps.split_last() else { return false };
        let entered = usize::try_from(self.step).ok().and_then(|step| step.checked_sub(1));
        entered.and_then(|index| before_last.get(index)).is_some_and(|step| step.service.is_some())
    }

    /// Pods on the new revision, `count` of them, and the size: `5/10`; `+3/3` for three beside the three that serve.
    #[must_use]
    pub fn pods_text(&self, count: u32) -> String {
        let sign = if self.is_beside() { "+" } else { "" };
        format!("{sign}{count}/{}", self.pods.desired)
    }
}

/// A condition in the form that kstatus and `kubectl wait` read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reconciling` or `Stalled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// When `status` last changed.
    #[schemars(with = "String")]
    pub last_transition_time: Timestamp,
    /// Generation of the record that it speaks of.
    #[serde(default)]
    pub observed_generation: i64,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// When.
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// What was decided: `Create`, `Enter`, `Complete`, `RollBack` …
    pub decision: String,
    /// In one sentence.
    pub message: String,
    /// Digest that it is about, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The step after it.
    #[serde(default)]
    pub step: u32,
    /// Head of the branch at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// Documents of releases that may be needed when Git is away: base64 of gzip of the bytes that hash to the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Documents {
    /// Of the entered release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<String>,
    /// Of the top proven release, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<String>,
}

/// Status of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// Generation of the record that this status was written for.
    #[serde(default)]
    pub observed_generation: i64,
    /// What people see.
    #[serde(flatten)]
    pub view: View,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// `version.to`, with `version.from` before it while they differ; for the printer columns.
    #[serde(default)]
    pub version_text: String,
    /// As `2/3`; for the printer columns.
    #[serde(default)]
    pub step_text: String,
    /// As `5/10`; for the printer columns.
    #[serde(default)]
    pub pods_text: String,
    /// The first hold's gate; for the printer columns.
    #[serde(default)]
    pub waits_for: String,
    /// When the first hold began; for the printer columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// The last transitions, newest last.
    #[serde(default)]
    pub history: Vec<Transition>,
    /// The same memory as in the annotations of the CloneSet, by annotation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub memory: BTreeMap<String, String>,
    /// What is needed when Git is away.
    #[serde(default)]
    pub documents: Documents,
}
