//! The companions of what stands: repaired beside what is decided for the pods.

use crate::model::Hold;
use crate::objects::ObjectKey;
use crate::plan::blue_green;
use crate::plan::companions::{companion_writes, prunes, take_overs};
use crate::plan::facts::Facts;
use crate::plan::outcome::Outcome;
use crate::plan::shares::Shares;
use crate::plan::weights;
use crate::world::{Decision, Share, Write};

/// Adds the repair of companions to what is decided for the pods. It takes a lap that moves no pod, and comes before
/// the next step of the same release and before its completion; it never stands in the way of a failure, of a rollback
/// or of a release that may be its cure. Routes share what the moment asks for: before pods go back, and before the last
/// step lets all of them go, in the same move; a weight that falls goes first and alone. Where a route is refused, nothing
/// that is written to the CloneSet waits for it.
#[must_use]
pub fn tended(facts: &Facts<'_>, mut outcome: Outcome) -> Outcome {
    if facts.is_blue_green() {
        let outcome = blue_green::tended(facts, outcome);
        return taken_over(facts, &outcome).unwrap_or(outcome);
    }
    let enters = matches!(outcome.decision, Decision::Enter(_));
    let shares = weights::before(facts, &outcome.decision);
    let (writes, mut closed) = standing_writes(facts, &shares);
    let beside = if enters { &Decision::Hold } else { &outcome.decision };
    let (services, barred) = weights::services(facts, beside);
    closed.extend(barred);
    let blocked = !closed.is_empty();
    let goes = !outcome.writes.is_empty();
    if outcome.decision == Decision::RollBack && goes {
        outcome.holds.extend(closed);
        let mut routes = standing_routes(facts, &writes);
        weights::leave_refused(facts, &mut routes);
        return led_first(outcome, routes);
    }
    for mut first in [weights::falls(facts, &writes, &shares), weights::lost(facts, &services)] {
        if goes {
            weights::leave_refused(facts, &mut first);
        }
        // One that is refused keeps no other one back.
        first.sort_by_key(|it| facts.case.is_refused(&it.object));
        if !first.is_empty() {
            let next = weights::shift(facts, 'g', first, Some(&shares)).holding(outcome.holds);
            return next.waking(outcome.wake_at);
        }
    }
    if let Some(prepared) = weights::prepared(facts, &outcome) {
        return prepared;
    }
    outcome.holds.extend(closed);
    // A companion that is refused keeps no pod that Git names from being replaced.
    let replaces = outcome.decision == Decision::Replace && facts.case.refused.is_some();
    let gives_way = may_wait(&outcome.decision) && (!enters || outcome.row == 'q') && !replaces;
    let goes_on = gives_way && (enters || outcome.decision == Decision::Complete);
    if gives_way && !(services.is_empty() && writes.is_empty()) {
        let drifted = writes.len() > weights::shifts(facts, &writes, &shares).len();
        let all: Vec<Write> = services.into_iter().chain(writes).collect();
        let mut next = weights::shift(facts, 'g', all, Some(&shares)).holding(outcome.holds);
        if drifted {
            let names: Vec<String> = next.writes.iter().map(|write| write.object.to_string()).collect();
            next.message = format!("{} repairs its companions: {}", facts.id, names.join(", "));
            next.decision = Decision::Repair;
        }
        return next.waking(outcome.wake_at);
    }
    if let Some(taken) = taken_over(facts, &outcome) {
        return taken;
    }
    if goes_on && blocked {
        return Outcome::hold(outcome.row, outcome.holds).waking(outcome.wake_at);
    }
    if enters && outcome.row == 'q' {
        let next = weights::shares(facts, &outcome.decision);
        let (writes, _) = standing_writes(facts, &next);
        return led_first(outcome, weights::shifts(facts, &writes, &next));
    }
    outcome
}

/// Routes that share, or that weights are led by, and are written: as pods go back, what somebody has edited of them goes
/// along. No other route has to do with pods.
fn standing_routes(facts: &Facts<'_>, writes: &[Write]) -> Vec<Write> {
    let leads = |key: &ObjectKey| {
        let there = facts.case.companions.get(key);
        let mut weighted = facts.entered.iter().flat_map(|release| release.weighted_routes());
        let shares = there.is_some_and(|it| it.leads.share != Share::Base);
        key.kind.shares_traffic() && (shares || (there.is_some() && weighted.any(|it| it.body.key == *key)))
    };
    writes.iter().filter(|it| leads(&it.object)).cloned().collect()
}

fn standing_writes(facts: &Facts<'_>, shares: &Shares) -> (Vec<Write>, Vec<Hold>) {
    let standing = facts.case.standing_companions();
    companion_writes(facts.world, facts.id, facts.case, standing.into_iter(), false, shares)
}

/// Routes are written before anything else of a move.
fn led_first(mut outcome: Outcome, mut routes: Vec<Write>) -> Outcome {
    routes.append(&mut outcome.writes);
    outcome.writes = routes;
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
        | Decision::Shift
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
