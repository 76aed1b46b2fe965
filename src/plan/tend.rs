//! The companions of what stands: repaired beside what is decided for the pods.

use crate::plan::companions::{companion_writes, prunes, take_overs};
use crate::plan::facts::Facts;
use crate::plan::outcome::Outcome;
use crate::world::Decision;

/// Adds the repair of companions to what is decided for the pods. It takes a lap that moves no pod, and comes before
/// the next step of the same release and before its completion; it never stands in the way of a failure, of a rollback
/// or of a release that may be its cure.
#[must_use]
pub fn tended(facts: &Facts<'_>, mut outcome: Outcome) -> Outcome {
    let standing = facts.case.standing_companions();
    let (writes, closed) = companion_writes(facts.world, facts.id, facts.case, standing.into_iter(), false);
    let blocked = !closed.is_empty();
    outcome.holds.extend(closed);
    let enters = matches!(outcome.decision, Decision::Enter(_));
    // A companion that is refused keeps no pod that Git names from being replaced.
    let replaces = outcome.decision == Decision::Replace && facts.case.refused.is_some();
    let gives_way = may_wait(&outcome.decision) && (!enters || outcome.row == 'q') && !replaces;
    let goes_on = gives_way && (enters || outcome.decision == Decision::Complete);
    if gives_way && !writes.is_empty() {
        let names: Vec<String> = writes.iter().map(|write| write.object.to_string()).collect();
        let message = format!("{} repairs its companions: {}", facts.id, names.join(", "));
        let mut repair = Outcome::of('g', Decision::Repair, message).holding(outcome.holds);
        repair.writes = writes;
        return repair.waking(outcome.wake_at);
    }
    if let Some(taken) = taken_over(facts, &outcome) {
        return taken;
    }
    if goes_on && blocked {
        return Outcome::hold(outcome.row, outcome.holds).waking(outcome.wake_at);
    }
    outcome
}

/// What nobody reads any more goes before another release is entered, once every pod is on the proven one: whoever pushes
/// faster than the steps never lets a release complete. One that is refused keeps nothing back.
#[must_use]
pub fn cleared(facts: &Facts<'_>) -> Option<Outcome> {
    let settled = facts.memory.step_reached.is_some() && facts.all_on_proven() && facts.entered.is_some();
    if !settled || facts.case.refused.is_some() {
        return None;
    }
    let outcome = pruned(facts, Outcome::of('k', Decision::Repair, String::new()));
    (!outcome.writes.is_empty()).then_some(outcome)
}

/// Adds the deletes of what Git no longer has.
#[must_use]
pub fn pruned(facts: &Facts<'_>, mut outcome: Outcome) -> Outcome {
    outcome.writes = prunes(facts.world, facts.id, facts.case);
    if !outcome.writes.is_empty() {
        let names: Vec<String> = outcome.writes.iter().map(|write| write.object.to_string()).collect();
        outcome.message = format!("{} prunes what Git no longer has: {}", facts.id, names.join(", "));
    }
    outcome
}

/// What can be decided a lap later as well: it moves no pod back, and loses nothing.
fn may_wait(decision: &Decision) -> bool {
    match decision {
        Decision::Rest | Decision::Hold | Decision::Replace | Decision::Complete | Decision::Enter(_) => true,
        Decision::Note
        | Decision::Create
        | Decision::Adopt
        | Decision::Repair
        | Decision::Fail
        | Decision::RollBack
        | Decision::Remove => false,
    }
}

/// What was adopted becomes ours alone, before anything new is entered. One that is refused keeps nothing back.
fn taken_over(facts: &Facts<'_>, outcome: &Outcome) -> Option<Outcome> {
    let (writes, managers) = take_overs(facts.id, facts.case);
    let moves = !outcome.writes.is_empty();
    if !may_wait(&outcome.decision) || writes.is_empty() || (moves && facts.case.refused.is_some()) {
        return None;
    }
    let managers: Vec<String> = managers.into_iter().collect();
    let message = format!("{} is Triton's alone: {} owned fields of it too", facts.id, managers.join(", "));
    let mut taken = Outcome::of('g', Decision::Repair, message).holding(outcome.holds.clone());
    taken.writes = writes;
    Some(taken.waking(outcome.wake_at))
}
