//! What happened, told: what goes into the record beside its status, and Events.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cluster::Note;
use crate::controller::record::Outcome;
use crate::model::{Digest, Gate, ReleaseId, Uid};
use crate::objects::record::{Documents, Phase, ReleaseStatus};
use crate::spec::Release;
use crate::world::{Case, Decision, Desired, Intent, Move, World};

/// The Event that tells a transition; `None` where there is none to tell.
#[must_use]
pub fn note(
    world: &World,
    id: &ReleaseId,
    outcome: &Outcome<'_>,
    about: Option<Uid>,
    instance: &str,
) -> Option<Note> {
    let decided = outcome.decided;
    let (kind, reason, message) = if outcome.is_told() { transition(decided) } else { stop(outcome)? };
    let text = format!("{id} {} {message}", world.now);
    // Events are read by their times: what was noted on the way comes first.
    let after = SignedDuration::from_micros(i64::from(decided.noted.is_some()));
    Some(Note {
        name: format!("{}.{}", id.name, Digest::of(text.as_bytes()).short()),
        time: world.now.checked_add(after).unwrap_or(world.now),
        kind,
        reason,
        message,
        about,
        instance: instance.to_owned(),
    })
}

/// A decision that was carried out.
fn transition(decided: &Move) -> (&'static str, &'static str, String) {
    let kind = match decided.decision {
        Decision::Fail | Decision::RollBack => "Warning",
        Decision::Rest
        | Decision::Hold
        | Decision::Note
        | Decision::Create
        | Decision::Adopt
        | Decision::Enter(_)
        | Decision::Repair
        | Decision::Shift
        | Decision::Replace
        | Decision::Complete
        | Decision::Remove => "Normal",
    };
    (kind, decided.decision.word(), decided.message.clone())
}

/// A release that begins to wait for a person, or to need one. A repository that cannot be followed stops all of them,
/// and is no event of each.
fn stop(outcome: &Outcome<'_>) -> Option<(&'static str, &'static str, String)> {
    let view = &outcome.decided.view;
    if !outcome.done || outcome.violation.is_some() || view.phase == outcome.before.view.phase {
        return None;
    }
    let (kind, reason) = match view.phase {
        Phase::Paused => ("Normal", "Paused"),
        Phase::Degraded => ("Warning", "Degraded"),
        Phase::Healthy | Phase::Progressing | Phase::RollingBack => return None,
    };
    let hold = view.holds.first().filter(|hold| hold.gate != Gate::Git)?;
    Some((kind, reason, hold.message.clone()))
}

/// The record's spec: the release as Git has it, else as it was told before.
#[must_use]
pub fn spec(case: &Case, before: Option<Value>) -> Value {
    match &case.desired {
        Desired::Release(intent) => spec_of(intent),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => before.unwrap_or_else(|| json!({})),
    }
}

fn spec_of(intent: &Intent) -> Value {
    let release: &Release = &intent.release;
    let steps = release.strategy.steps.iter().map(|step| {
        let mut out = json!({"replicas": step.replicas});
        if step.soak > 0 {
            out["soakSeconds"] = step.soak.into();
        }
        if let Some(approval) = step.approval {
            out["approval"] = json!({"count": approval.count, "notAuthor": approval.not_author});
        }
        out
    });
    let mut spec = json!({
        "path": release.path,
        "digest": release.digest.long(),
        "attempt": release.attempt,
        "suspend": release.suspend,
        "strategy": {"steps": steps.collect::<Vec<_>>(), "deadlineSeconds": release.strategy.deadline},
    });
    if let Some(episode) = &intent.episode {
        spec["commit"] = episode.first.to_string().into();
        spec["author"] = episode.author.as_str().into();
        spec["summary"] = episode.summary.as_str().into();
    }
    if let Some(cap) = release.cap {
        spec["step"] = cap.into();
    }
    spec
}

/// What was told last of each release: the lane writes later than we plan.
#[derive(Default)]
pub struct Told(BTreeMap<ReleaseId, ReleaseStatus>);

impl Told {
    /// What was told of a release before: by this process, else what its record says.
    #[must_use]
    pub fn before(&self, id: &ReleaseId, case: &Case) -> ReleaseStatus {
        let recorded = || case.record.as_ref().map(|it| ReleaseStatus::clone(&it.status));
        self.0.get(id).cloned().or_else(recorded).unwrap_or_default()
    }

    /// Notes what is told.
    pub fn note(&mut self, id: &ReleaseId, status: &ReleaseStatus) {
        let status = ReleaseStatus { documents: Documents::default(), ..status.clone() };
        self.0.insert(id.clone(), status);
    }

    /// A release is gone.
    pub fn forget(&mut self, id: &ReleaseId) {
        self.0.remove(id);
    }
}
