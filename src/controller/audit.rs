//! The line that tells a transition to auditors: who wrote what, who approved it, what was done. Its fields are a
//! contract, and documented in the README.

use jiff::Timestamp;
use serde::Serialize;

use crate::controller::record::Outcome;
use crate::model::ReleaseId;
use crate::objects::record::{ApprovalView, Phase, StepView};
use crate::world::{Approver, Case, Decision, Desired, Intent, Memory, Permit, World};

/// What such lines are told apart by in the log.
pub const TARGET: &str = "audit";
/// The field of the log in which it stands, as JSON.
pub const FIELD: &str = "audit";

/// One transition. Every field is always there; null is what is not known, or does not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// When it was decided.
    pub time: Timestamp,
    /// Namespace and name.
    pub release: String,
    /// What was decided, in one word.
    pub decision: &'static str,
    /// Why, in one sentence.
    pub reason: String,
    /// Where the release is after it, in one word.
    pub phase: Phase,
    /// Version (image tag) that pods leave.
    pub from: Option<String>,
    /// Version that they go to.
    pub to: Option<String>,
    /// First commit that has the release which they go to.
    pub commit: Option<String>,
    /// Author of that commit.
    pub author: Option<String>,
    /// Digest of that release, 32 hexadecimal digits.
    pub digest: Option<String>,
    /// The step after it.
    pub step: Option<u32>,
    /// Steps that the release has.
    pub steps: usize,
    /// Who approved the step that is entered, or let its pods serve.
    pub approvals: Vec<ApprovalView>,
    /// Who opened its gates by a hotfix marker.
    pub skips: Vec<ApprovalView>,
    /// Head of the branch.
    pub head: Option<String>,
}

impl Audit {
    /// Of a transition.
    #[must_use]
    pub fn of(world: &World, id: &ReleaseId, case: &Case, outcome: &Outcome<'_>) -> Self {
        let decided = outcome.decided;
        let before = case.memory().or_else(|| case.recorded_memory());
        let after = decided.memory.as_ref().or(before);
        // A removal goes to nothing; what it is about is what stood.
        let to = after.filter(|_| decided.decision != Decision::Remove);
        let version = |memory: &Memory| memory.version.clone();
        let from = match decided.decision {
            Decision::RollBack | Decision::Remove => before.map(version),
            Decision::Rest
            | Decision::Hold
            | Decision::Note
            | Decision::Create
            | Decision::Adopt
            | Decision::Enter(_)
            | Decision::Repair
            | Decision::Shift
            | Decision::Replace
            | Decision::Fail
            | Decision::Complete => before.and_then(Memory::top).map(|proof| proof.version.clone()),
        };
        let intent = intent(case).filter(|it| after.is_some_and(|memory| memory.digest == it.release.digest));
        let episode = intent.and_then(|it| it.episode.as_ref());
        let commit = after.and_then(|memory| memory.episode).or_else(|| episode.map(|it| it.first));
        let (approvals, skips) = match (decided.decision.clone(), intent) {
            (Decision::Enter(step), Some(intent)) => (approvals(outcome, step), skips(intent)),
            (Decision::Note, Some(intent)) if served(after) > served(before) => {
                (serve_approvals(outcome, served(after)), skips(intent))
            }
            _ => (Vec::new(), Vec::new()),
        };
        Self {
            time: world.now,
            release: id.to_string(),
            decision: decided.decision.word(),
            reason: decided.message.clone(),
            phase: decided.view.phase,
            from,
            to: to.map(version),
            commit: commit.map(|it| it.to_string()),
            author: episode.filter(|it| Some(it.first) == commit).map(|it| it.author.clone()),
            digest: after.map(|memory| memory.digest.long()),
            step: to.map(|memory| memory.step),
            steps: decided.view.steps.len(),
            approvals,
            skips,
            head: world.source.head.map(|head| head.to_string()),
        }
    }

    /// Writes the line.
    pub fn tell(&self) {
        let line = serde_json::to_string(self).expect("plain data becomes JSON");
        let (release, reason) = (&self.release, &self.reason);
        match self.decision {
            "Fail" | "RollBack" => tracing::warn!(target: TARGET, release, audit = line, "{reason}"),
            _ => tracing::info!(target: TARGET, release, audit = line, "{reason}"),
        }
    }
}

fn intent(case: &Case) -> Option<&Intent> {
    match &case.desired {
        Desired::Release(intent) => Some(intent),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
    }
}

fn step_view<'a>(outcome: &'a Outcome<'_>, step: u32) -> Option<&'a StepView> {
    let place = usize::try_from(step).unwrap_or(usize::MAX).checked_sub(1)?;
    outcome.decided.view.steps.get(place)
}

fn approvals(outcome: &Outcome<'_>, step: u32) -> Vec<ApprovalView> {
    step_view(outcome, step).map(|view| view.approvals.clone()).unwrap_or_default()
}

/// The step up to which pods were let in.
fn served(memory: Option<&Memory>) -> u32 {
    memory.map_or(0, |memory| memory.served)
}

fn serve_approvals(outcome: &Outcome<'_>, step: u32) -> Vec<ApprovalView> {
    step_view(outcome, step).and_then(|view| view.serve.clone()).unwrap_or_default()
}

fn skips(intent: &Intent) -> Vec<ApprovalView> {
    let view = |it: &Approver| ApprovalView { who: it.name.clone(), commit: it.commit.to_string() };
    let skip = intent.markers.iter().filter(|marker| marker.permits == Some(Permit::Skip));
    skip.filter_map(|marker| marker.counts.as_ref().ok()).map(view).collect()
}
