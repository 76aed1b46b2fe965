//! Row f: what is seen and memory does not say yet: a UID, a revision, a step reached or lost.

use crate::plan::facts::Facts;
use crate::plan::holds;
use crate::plan::outcome::Outcome;
use crate::plan::serving;
use crate::plan::weights;
use crate::world::{Decision, Memory, Reached};

/// Writes what memory does not say yet; `None` where it says everything.
#[must_use]
pub fn observed(facts: &Facts<'_>) -> Option<Outcome> {
    // Memory that had to be taken from the record, and fields that drifted, are written again and told, by row g. So is a
    // partition that is not the one of the step in memory, and a step that nothing lets stand: either may have been edited,
    // and nothing is noted before that is settled.
    let drifted = !facts.is_ours() || facts.changes().next().is_some();
    let edited = facts.standing_step() != facts.memory.step;
    if drifted || edited || facts.live.memory.as_ref() != Some(facts.memory) {
        return None;
    }
    if says_everything(facts) {
        return None;
    }
    let mut memory = Memory { uid: Some(facts.live.uid.clone()), create: None, ..facts.memory.clone() };
    let mut message = String::new();
    let waited = serving::note_waited(facts, &mut memory);
    let told = serving::note(facts, &mut memory).or_else(|| serving::note_up(facts, &mut memory)).or(waited);
    if let Some(told) = told {
        return Some(facts.note('f', Decision::Note, memory, told));
    }
    if facts.live.is_fresh() {
        if let Some(outcome) = revision(facts, &mut memory) {
            return Some(outcome);
        }
        message = reached(facts, &mut memory);
    }
    // Seen, and nothing to tell: what is under way goes on.
    let goes_back = message.is_empty() && facts.is_proven() && memory.step_reached.is_none();
    let holds =
        if goes_back && facts.live.replicas > 0 { vec![holds::rolling_back(facts)] } else { Vec::new() };
    (memory != *facts.memory).then(|| facts.note('f', Decision::Note, memory, message).holding(holds))
}

/// Whether there is nothing that memory could say more: a release that rests is not worth a copy of it.
fn says_everything(facts: &Facts<'_>) -> bool {
    let (memory, live) = (facts.memory, facts.live);
    let is_reached =
        memory.revision.as_ref() == Some(&live.status.update_revision) && memory.step_reached.is_some();
    memory.uid.as_ref() == Some(&live.uid) && facts.is_proven() && (is_reached || !live.is_fresh())
}

/// Learns the revision of the entered template; until then no pod of it could have been late. At zero replicas it is
/// forgotten, so that leaving zero starts the step's clock, whoever scales. One that changes later, without Git (an
/// upgrade of Kruise encodes templates anew), restarts the clock too, and holds the step for one lap.
fn revision(facts: &Facts<'_>, memory: &mut Memory) -> Option<Outcome> {
    if facts.live.replicas == 0 && !facts.is_proven() {
        memory.revision = None;
        return None;
    }
    let update = &facts.live.status.update_revision;
    let Some(before) = memory.revision.replace(update.clone()) else {
        if !facts.is_proven() && memory.step_reached.is_none() {
            memory.step_entered = facts.now();
        }
        return None;
    };
    if before == *update {
        return None;
    }
    if !facts.is_proven() {
        memory.step_entered = facts.now();
        memory.step_reached = None;
    }
    let hold = holds::revision_changed(facts, &before);
    let message = hold.message.clone();
    Some(facts.note('f', Decision::Note, memory.clone(), message).holding(vec![hold]))
}

/// That the step is reached, or lost again: fewer updated pods are available than it was reached with.
fn reached(facts: &Facts<'_>, memory: &mut Memory) -> String {
    let (id, step, last) = (facts.id, memory.step, facts.last_step());
    let asked = facts.step_pods();
    let Some(was) = memory.step_reached else {
        if !facts.step_done() || !weights::stand(facts) {
            return String::new();
        }
        memory.step_reached = Some(Reached { at: facts.now(), pods: asked });
        let available = facts.live.status.updated_available;
        let there = if available < asked {
            format!("updated, {available} of them")
        } else {
            "updated and".to_owned()
        };
        return format!("{id} reached step {step} of {last}: {} {there} available", holds::pods(asked));
    };
    if facts.is_proven() || facts.live.replicas == 0 {
        return String::new();
    }
    if asked < was.pods {
        memory.step_reached = Some(Reached { pods: asked, ..was });
    }
    if facts.live.status.updated_available < facts.enough(was.pods.min(asked)) {
        memory.step_reached = None;
        memory.step_entered = facts.now();
        return format!(
            "{id} lost step {step} of {last}: fewer updated pods are available than it was reached with"
        );
    }
    String::new()
}
