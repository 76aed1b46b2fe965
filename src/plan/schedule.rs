//! The plan of the whole world: each release by itself, with what crosses releases looked at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{LiftKind, ReleaseId};
use crate::plan::adopt::adopt;
use crate::plan::facts::Facts;
use crate::plan::hooked::hooked;
use crate::plan::in_place::updating;
use crate::plan::outcome::Outcome;
use crate::plan::removal::{remove, withheld};
use crate::plan::serving::serving;
use crate::plan::start::{create, namespace_forbidden, untouchable};
use crate::plan::table::decide;
use crate::plan::view::view;
use crate::world::{Case, Decision, Desired, Live, Move, Plan, World};

/// Plans every release.
#[must_use]
pub fn plan(world: &World) -> Plan {
    let withheld = withheld(world);
    let mut wake_at = None;
    let one = |(id, case): (&ReleaseId, &Arc<Case>)| {
        let forbidden = namespace_forbidden(world, id);
        let is_allowed = forbidden.is_none();
        let mut outcome = match (forbidden, &case.desired) {
            (Some(hold), _) => Outcome::hold('a', vec![hold]),
            (None, Desired::Gone(removal)) => remove(world, id, case, removal, &withheld),
            (None, Desired::Release(_) | Desired::Broken(_) | Desired::Unknown) => standing(world, id, case),
        };
        if is_allowed {
            outcome = let_in(world, id, case, outcome);
            let (kept, due) = hooked(world.now, id, case);
            outcome.beside.extend(kept);
            outcome = outcome.waking(due);
        }
        // The last write was refused: the reason stands beside what is decided, which is tried again in its time.
        outcome.holds.extend(case.refused.iter().map(|refusal| refusal.hold.clone()));
        // Pods and companions may be held by the same thing.
        let mut said = BTreeSet::new();
        outcome.holds.retain(|hold| said.insert(hold.message.clone()));
        // What somebody can lift comes first, on every screen.
        outcome.holds.sort_by_key(|hold| hold.lift.kind == LiftKind::Wait);
        // A moment that is past wakes nobody, and must not stand before another release's.
        let coming = outcome.wake_at.filter(|at| *at > world.now);
        wake_at = [wake_at, coming].into_iter().flatten().min();
        (id.clone(), moved(world, id, case, outcome))
    };
    let moves = world.cases.iter().map(one).collect();
    Plan { moves, wake_at }
}

fn standing(world: &World, id: &ReleaseId, case: &Case) -> Outcome {
    if let Some(outcome) = untouchable(world, id, case) {
        return outcome;
    }
    let Some(live) = &case.live else { return create(world, id, case) };
    match Facts::of(world, id, case) {
        Some(facts) => decide(&facts),
        None => adopt(world, id, case, live),
    }
}

/// With the pods that are let in: whatever else holds a release, its pods of the proven revision serve.
fn let_in(world: &World, id: &ReleaseId, case: &Case, outcome: Outcome) -> Outcome {
    let is_ours = |live: &Live| live.root.as_ref().is_none_or(|root| *root == world.policy.root);
    let stays = outcome.decision != Decision::Remove && case.live.as_ref().is_some_and(is_ours);
    match Facts::of(world, id, case).filter(|_| stays) {
        Some(facts) => updating(&facts, serving(&facts, outcome)),
        None => outcome,
    }
}

fn moved(world: &World, id: &ReleaseId, case: &Case, outcome: Outcome) -> Move {
    let view = view(world, id, case, &outcome);
    let Outcome {
        row,
        decision,
        message,
        noted,
        writes,
        serving,
        looks,
        rehearsal,
        memory,
        announces,
        holds: _,
        beside: _,
        wake_at,
    } = outcome;
    // A rest that prunes is still a rest, and a hold writes nothing.
    debug_assert!(decision != Decision::Hold || writes.is_empty(), "a hold writes nothing");
    let memory = memory.or_else(|| case.memory().cloned());
    let noted = noted.map(|noted| Box::new(moved(world, id, case, *noted)));
    Move {
        decision,
        row,
        message,
        noted,
        writes,
        serving,
        looks,
        rehearsal,
        memory,
        announces,
        view,
        wake_at,
    }
}
