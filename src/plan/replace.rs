//! Pods that Git names are replaced, each once.
//!
//! Kruise deletes what `scaleStrategy.podsToDelete` names, as fast as maxUnavailable lets it, and makes others in their
//! place: first as many of the current revision as the partition asks for, then of the template's
//! (`sync/cloneset_scale.go`). With every pod to be on a proven template both are that. So it is asked for only while the
//! release is complete, and a name that still waits leaves the list with the write that enters something else.

use std::collections::BTreeSet;

use crate::model::{Gate, Hold, Lift, LiftKind, Name, ReleaseId, Uid};
use crate::plan::facts::{Facts, Head};
use crate::plan::holds;
use crate::plan::outcome::Outcome;
use crate::plan::steps::Shape;
use crate::world::{Decision, Memory};

/// `web-a` or `web-a, web-b`.
fn list<'n>(names: impl IntoIterator<Item = &'n Name>) -> String {
    names.into_iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

fn hold(id: &ReleaseId, says: &str, lift: Lift) -> Hold {
    Hold { gate: Gate::Replace, since: None, message: format!("{id} {says}"), lift }
}

/// Names that Git has and that were not asked for yet.
fn open<'a>(facts: &'a Facts<'_>, head: &'a Head<'_>) -> impl Iterator<Item = &'a Name> {
    head.release().replace.iter().filter(|name| !facts.memory.replaced.contains(*name))
}

/// HEAD, while its release is complete and nothing in Git stops it.
fn complete<'a>(facts: &'a Facts<'_>) -> Option<&'a Head<'a>> {
    let (head, memory) = (facts.head.as_ref()?, facts.memory);
    let is_entered = head.release().digest == memory.digest && memory.step == facts.last_step();
    let is_complete = facts.top().is_some_and(|top| top.digest == memory.digest) && facts.is_proven();
    let stands = memory.step_reached.is_some() && !facts.live.drift.template;
    (is_entered && is_complete && stands && head.fresh).then_some(head)
}

/// Pods that are looked at before anything is asked of them.
#[must_use]
pub fn looks(facts: &Facts<'_>) -> Vec<Name> {
    let Some(head) = complete(facts).filter(|head| head.closed().is_none()) else { return Vec::new() };
    open(facts, head).filter(|name| !facts.case.looked.contains_key(*name)).cloned().collect()
}

/// Pods that may be asked for now: they were seen to be of this very CloneSet.
#[must_use]
pub fn found(facts: &Facts<'_>) -> BTreeSet<Name> {
    let Some(head) = complete(facts).filter(|head| head.closed().is_none()) else { return BTreeSet::new() };
    let owner = |name: &&Name| facts.case.looked.get(*name).and_then(Option::<Uid>::as_ref);
    open(facts, head).filter(|name| owner(name) == Some(&facts.live.uid)).cloned().collect()
}

/// Row m: what Git names is asked for, and what it names no more is not.
#[must_use]
pub fn asked(facts: &Facts<'_>) -> Option<Outcome> {
    let head = facts.head.as_ref()?;
    let found = found(facts);
    let left = left(facts, head);
    let mut says = Vec::new();
    if !found.is_empty() {
        says.push(format!("replaces {} that Git names: {}", counted(found.len()), list(&found)));
    }
    if !left.is_empty() {
        says.push(leaves(&left));
    }
    if says.is_empty() {
        return None;
    }
    let mut memory = facts.memory.clone();
    memory.replaced.extend(found);
    let message = format!("{} {}", facts.id, says.join(", and "));
    let release = facts.entered.map(|release| &**release);
    Some(facts.write('m', Decision::Replace, release, facts.entered_shape(), memory, message))
}

/// Pods that are still to be deleted, and that Git does not name any more.
fn left<'a>(facts: &'a Facts<'_>, head: &Head<'_>) -> Vec<&'a Name> {
    let pending = facts.live.to_delete.intersection(&facts.memory.replaced);
    pending.filter(|name| !head.release().replace.contains(*name)).collect()
}

fn leaves(left: &[&Name]) -> String {
    format!("leaves {} as it is, which Git does not name any more", list(left.iter().copied()))
}

/// From any row that writes nothing: what Git names no more is asked for no longer. That moves backward, so that no gate
/// stops it, and no fetch is too old for it.
#[must_use]
pub fn withdrawn(facts: &Facts<'_>, outcome: Outcome) -> Outcome {
    let Some(head) = &facts.head else { return outcome };
    let left = left(facts, head);
    let is_idle = matches!(outcome.decision, Decision::Hold | Decision::Rest);
    let writes = !outcome.writes.is_empty() || !outcome.looks.is_empty();
    if left.is_empty() || !is_idle || writes || facts.live.drift.template {
        return outcome;
    }
    let message = format!("{} {}", facts.id, leaves(&left));
    let written = facts.note(outcome.row, Decision::Replace, facts.memory.clone(), message);
    let Outcome { decision, message, writes, memory, .. } = written;
    Outcome { decision, message, writes, memory, ..outcome }
}

fn counted(count: usize) -> String {
    holds::pods(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Row g: with a smaller size the pods that Git names go first. They are looked at before that, unless they cannot be.
#[must_use]
pub fn looks_first(facts: &Facts<'_>, shape: Shape) -> Option<Outcome> {
    let looks = looks(facts);
    if shape.size >= facts.live.replicas || looks.is_empty() || facts.case.refused.is_some() {
        return None;
    }
    let says = format!(
        "is about to have {} pods fewer; those that Git names are looked at first",
        facts.live.replicas - shape.size
    );
    let outcome = Outcome::hold('g', vec![hold(facts.id, &says, Lift::wait())]);
    Some(Outcome { looks, ..outcome })
}

/// Adds what is to be said of pods that Git names and that are not replaced yet.
#[must_use]
pub fn told(facts: &Facts<'_>, mut outcome: Outcome) -> Outcome {
    let Some(head) = &facts.head else { return outcome };
    let pending: Vec<&Name> = facts
        .live
        .to_delete
        .intersection(&facts.memory.replaced)
        .filter(|name| head.release().replace.contains(*name))
        .collect();
    if !pending.is_empty() {
        let says = format!("replaces {} that Git names: {}", counted(pending.len()), list(pending));
        outcome.holds.push(hold(facts.id, &says, Lift::wait()));
    }
    let open: Vec<&Name> = open(facts, head).collect();
    if open.is_empty() || outcome.decision == Decision::Replace {
        return outcome;
    }
    if complete(facts).is_none() {
        let says =
            format!("replaces {} that Git names once it is complete: {}", counted(open.len()), list(open));
        outcome.holds.push(hold(facts.id, &says, Lift::wait()));
    } else if head.closed().is_some() {
        outcome.holds.extend(holds::closed(facts.id, head));
        outcome = outcome.waking(head.freeze.and_then(|freeze| freeze.until));
    } else {
        let is_other = |name: &&Name| {
            facts.case.looked.get(*name).is_some_and(|it| it.as_ref() != Some(&facts.live.uid))
        };
        let others: Vec<&Name> = open.into_iter().filter(is_other).collect();
        if !others.is_empty() {
            let says = format!("has no pod {}: take it out of spec.replace", list(others));
            let lift = Lift::by(LiftKind::Commit).path(&head.release().path);
            outcome.holds.push(hold(facts.id, &says, lift));
        }
    }
    outcome
}

impl Facts<'_> {
    /// The pods that a write with `memory` has in its list, where it says anything of them; memory keeps what Git names
    /// and what is still asked for.
    #[must_use]
    pub fn to_delete(&self, memory: &mut Memory, shape: Shape) -> Option<BTreeSet<Name>> {
        let (before, listed) = (&self.memory.replaced, &self.live.to_delete);
        if let Some(head) = &self.head {
            memory.replaced.retain(|name| head.release().replace.contains(name));
        }
        let is_asked = |name: &&Name| listed.contains(*name) || !before.contains(*name);
        let mut asked: BTreeSet<Name> = memory.replaced.iter().filter(is_asked).cloned().collect();
        if !memory.entered_is_proven() || !crate::plan::steps::is_zero(shape.partition) {
            memory.replaced.retain(|name| !asked.contains(name));
            asked.clear();
        }
        let is_ours = !before.is_empty() || !memory.replaced.is_empty();
        (is_ours && !(asked.is_empty() && listed.is_empty())).then_some(asked)
    }
}
