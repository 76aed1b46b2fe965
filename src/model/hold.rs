//! Why a release does not move.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is closed. One word each, the same in status, metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// A step asks for approvals that Git does not have.
    Approval,
    /// `spec.step` caps the rollout.
    Cap,
    /// The step has not been healthy for long enough.
    Soak,
    /// Pods of the step are up and do not serve yet.
    Serve,
    /// Pods of the step are not available yet.
    Pods,
    /// Traffic is not led by the step's weight yet.
    Traffic,
    /// Pods that Git names are not replaced yet.
    Replace,
    /// Pods are being taken back to the proven release.
    RollingBack,
    /// `spec.suspend`, or the annotation in the cluster.
    Suspend,
    /// A `freeze.yaml`.
    Freeze,
    /// This template has failed.
    Failed,
    /// The CloneSet is at zero replicas, where nothing can be proven.
    Zero,
    /// The release's files have mistakes.
    Spec,
    /// The branch cannot be read, or was rewritten.
    Git,
    /// The last successful fetch is too old.
    Fetch,
    /// The object belongs to somebody else, or to nobody.
    Ownership,
    /// The daemon's configuration does not allow it.
    Policy,
    /// The documents of an earlier release are not to be had.
    Documents,
    /// A removal waits for its evidence or its approval.
    Removal,
    /// The API server refused a request.
    Cluster,
    /// The CloneSet controller does not answer.
    Controller,
    /// The revision changed without Git.
    Revision,
    /// The plan broke a rule of safety and was refused.
    Guard,
}

impl Gate {
    /// Its word, as it stands in JSON, logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Cap => "cap",
            Self::Soak => "soak",
            Self::Serve => "serve",
            Self::Pods => "pods",
            Self::Traffic => "traffic",
            Self::Replace => "replace",
            Self::RollingBack => "rolling-back",
            Self::Suspend => "suspend",
            Self::Freeze => "freeze",
            Self::Failed => "failed",
            Self::Zero => "zero",
            Self::Spec => "spec",
            Self::Git => "git",
            Self::Fetch => "fetch",
            Self::Ownership => "ownership",
            Self::Policy => "policy",
            Self::Documents => "documents",
            Self::Removal => "removal",
            Self::Cluster => "cluster",
            Self::Controller => "controller",
            Self::Revision => "revision",
            Self::Guard => "guard",
        }
    }
}

/// Which kind of act opens a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LiftKind {
    /// A commit that adds an approval marker.
    Approve,
    /// A commit that edits or removes a file.
    Commit,
    /// A command against the cluster.
    Cluster,
    /// An edit of the daemon's configuration.
    Configure,
    /// Nobody: it opens by itself.
    Wait,
}

/// Who can open a gate, with which file or command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lift {
    /// The kind of act.
    pub kind: LiftKind,
    /// The file to add, edit or remove, from the repository's top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The command to type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Lift {
    /// Opens by itself.
    #[must_use]
    pub const fn wait() -> Self {
        Self { kind: LiftKind::Wait, path: None, command: None }
    }

    /// Opened by an act of `kind`.
    #[must_use]
    pub const fn by(kind: LiftKind) -> Self {
        Self { kind, path: None, command: None }
    }

    /// With the file to touch; where none is known (empty), without.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into()).filter(|path| !path.is_empty());
        self
    }

    /// With the command to type.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }
}

/// One closed gate: what is missing, since when, and who can lift it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// What is closed.
    pub gate: Gate,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// One sentence that names the object: what is missing.
    pub message: String,
    /// Who can open it.
    pub lift: Lift,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_has_the_word_that_it_has_in_json() {
        let schema = schemars::schema_for!(Gate);
        let cases = schema.as_value()["oneOf"].as_array().unwrap();
        assert!(cases.len() >= 20, "{cases:?}");
        for case in cases {
            let gate: Gate = serde_json::from_value(case["const"].clone()).unwrap();
            assert_eq!(case["const"], gate.word());
        }
    }
}
