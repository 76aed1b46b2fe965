//! The log: what was decided of a release, and where it is.

use crate::controller::audit::Audit;
use crate::controller::record::{self, Outcome};
use crate::model::{Gate, Hold, LiftKind, ReleaseId};
use crate::objects::record::View;
use crate::world::{Case, World};

/// What a move would do, and what holds it.
#[must_use]
pub fn intent(outcome: &Outcome<'_>) -> String {
    let decided = outcome.decided;
    let word = decided.decision.word();
    let does = match (&*decided.message, decided.writes.is_empty()) {
        _ if outcome.violation.is_some() => "would do nothing".to_owned(),
        (_, true) if !decided.looks.is_empty() => "would Replace pods, once they were looked at".to_owned(),
        _ if decided.rehearsal.is_some() => "would Adopt, after a dry-run".to_owned(),
        (_, true) if decided.view.holds.is_empty() => "would change nothing".to_owned(),
        (_, true) => "would hold".to_owned(),
        ("", false) => format!("would {word}"),
        (message, false) => format!("would {word}: {message}"),
    };
    let holds = outcome.violation.into_iter().chain(&decided.view.holds);
    holds.fold(does, |text, hold| format!("{text}; {}", hold.message))
}

/// Tells a decision, and where the release is, where either changed.
pub fn log(world: &World, id: &ReleaseId, case: &Case, outcome: &Outcome<'_>) {
    let decided = outcome.decided;
    if let Some(violation) = outcome.violation {
        let decision = decided.decision.word();
        tracing::error!(release = %id, row = %decided.row, decision, "{}", violation.message);
    } else if outcome.is_told() {
        Audit::of(world, id, case, outcome).tell();
    }
    if outcome.done {
        log_place(id, outcome);
    }
}

/// Says where a release is, where that changed. What passes within moments is for those who look closely.
fn log_place(id: &ReleaseId, outcome: &Outcome<'_>) {
    let (view, before) = (&outcome.decided.view, &outcome.before.view);
    let gate = |view: &View| view.holds.first().map(|hold| hold.gate);
    let moved = view.phase != before.phase || gate(view) != gate(before);
    // A transition that closes no gate has said it all.
    if !moved || (outcome.is_told() && view.holds.is_empty()) {
        return;
    }
    let phase = view.phase.word();
    let message = match record::sentence(view, outcome.decided) {
        why if why.is_empty() => format!("{id} goes on"),
        // A hold names its release.
        why if view.holds.is_empty() => format!("{id}: {why}"),
        why => why,
    };
    let momentary = |hold: &Hold| match hold.gate {
        Gate::Controller => true,
        gate => gate == Gate::Cluster && hold.lift.kind == LiftKind::Wait,
    };
    if view.phase == before.phase && view.holds.first().is_none_or(momentary) {
        tracing::debug!(release = %id, phase, "{message}");
    } else {
        tracing::info!(release = %id, phase, "{message}");
    }
}
