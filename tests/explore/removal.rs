//! Removals: safety where a write deletes a CloneSet or leaves it behind, and what is left of a removed release at rest.

use triton::model::ReleaseId;
use triton::objects::keys;
use triton::world::Fault;

use crate::explore::daemon::STALE_AFTER;
use crate::explore::ledger::{Violation, require};
use crate::explore::line::removed_by;
use crate::explore::sim::Sim;

/// Releases that the newest head seen does not have although the cluster does, and that nobody has said may go; and
/// all releases. `also` counts as being in the cluster.
fn unasked(sim: &Sim, also: &ReleaseId) -> (Vec<ReleaseId>, usize) {
    let seen = sim.line.iter().position(|commit| Some(commit.number) == sim.seen);
    let line = &sim.line[..=seen.unwrap_or(sim.line.len() - 1)];
    let head = line.last().expect("a line has a commit");
    let there = |id: &ReleaseId| {
        let set = sim.cluster.sets.get(id).is_some_and(|set| set.annotations.contains_key(keys::RELEASE));
        id == also || set || sim.cluster.records.contains_key(id)
    };
    let gone = sim.ids.iter().filter(|id| !head.specs.contains_key(*id) && there(id));
    let unasked = gone.filter(|id| !head.removals.contains(&removed_by(line, id).number));
    let all = sim.ids.iter().filter(|id| head.specs.contains_key(*id) || there(id)).count();
    (unasked.cloned().collect(), all)
}

/// Whether the newest head seen does not have a release and it may go: not too many at once without a word.
#[must_use]
pub fn may_go(sim: &Sim, id: &ReleaseId) -> bool {
    let (unasked, all) = unasked(sim, id);
    !unasked.contains(id) || unasked.len() <= 1 || unasked.len() * 5 <= all
}

/// A CloneSet was deleted by a write, or left behind. That goes forward as a step does: on a fetch that is young enough,
/// whether or not Git answered a moment ago, and never while the branch is refused.
///
/// # Errors
/// The rule that it breaks.
pub fn removed(sim: &Sim, id: &ReleaseId, stays: bool) -> Result<(), Violation> {
    let head = sim.line.iter().find(|commit| Some(commit.number) == sim.seen);
    let gone = head.is_some_and(|head| !head.specs.contains_key(id));
    require(gone, "removal", || format!("{id} is removed though Git has it"))?;
    let refused = matches!(sim.daemon.fault, Some(Fault::Refused { .. }));
    require(!refused, "removal", || format!("{id} is removed while Git is refused"))?;
    let young = sim.daemon.fetched.is_some_and(|at| sim.now - at <= STALE_AFTER);
    require(young, "removal", || format!("{id} is removed on an old fetch"))?;
    require(may_go(sim, id), "removal", || format!("{id} is removed with others, and nobody said so"))?;
    let ledger = &sim.ledgers[id];
    let excused = ledger.excuses.hand || ledger.excuses.dirty || ledger.excuses.record_lost;
    let orphan = ledger.entry.as_ref().map(|entry| entry.doc.orphan);
    require(excused || orphan.is_none_or(|orphan| orphan == stays), "removal", || {
        format!("{id} is {}, on-delete says otherwise", if stays { "left behind" } else { "deleted" })
    })
}

/// Nothing of a removed release is left once events stop, unless it was to stay or waits for a word.
///
/// # Errors
/// What is left.
pub fn at_rest(sim: &Sim, id: &ReleaseId) -> Result<(), Violation> {
    let set = sim.cluster.sets.get(id);
    let marked = set.is_some_and(|set| set.annotations.contains_key(keys::RELEASE));
    if !marked && !sim.cluster.records.contains_key(id) {
        return companions_gone(sim, id);
    }
    let suspended = set.is_some_and(|set| set.annotations.contains_key(keys::SUSPEND));
    if suspended || !may_go(sim, id) {
        let holds = sim.holds.get(id).is_some_and(|holds| !holds.is_empty());
        return require(holds, "silence", || format!("{id} was removed from Git and stays without a word"));
    }
    let ours =
        set.is_some_and(|set| set.memory().is_some_and(|memory| memory.uid.as_ref() == Some(&set.uid)));
    let lost = sim.ledgers[id].excuses.record_lost;
    require(!ours || lost, "stuck", || format!("{id} was removed from Git and stays"))
}

fn companions_gone(sim: &Sim, id: &ReleaseId) -> Result<(), Violation> {
    let lost = sim.ledgers[id].excuses.record_lost || sim.left.contains(id);
    let mine = sim.cluster.things.iter().find(|(_, thing)| thing.release.as_deref() == Some(&id.to_string()));
    require(mine.is_none() || lost, "stuck", || format!("{id} was removed from Git, and its companions stay"))
}
