//! Pods that Git names are replaced, each once.
//!
//! Kruise deletes what `scaleStrategy.podsToDelete` names, as fast as maxUnavailable lets it, and makes others in their
//! place: first as many of the current revision as the partition asks for, then of the template's
//! (`sync/cloneset_scale.go`). With every pod to be on a proven template both are that. So it is asked for only while the
//! release is complete, and a name that still waits leaves the list with the write that enters something else.
//!
//! A name that Git has is *open* until it is settled. It is looked at before it is asked for, and again once Kruise
//! has it in its list no more: the very pod that was asked for is asked for again, by whomever the list was changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Gate, Hold, Lift, LiftKind, Name, ReleaseId, Uid};
use crate::plan::facts::{Facts, Head};
use crate::plan::holds;
use crate::plan::outcome::Outcome;
use crate::plan::steps::{Shape, is_zero};
use crate::spec::Release;
use crate::world::{Decision, Memory};

/// `web-a` or `web-a, web-b`.
fn list<'n>(names: impl IntoIterator<Item = &'n Name>) -> String {
    names.into_iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

fn hold(id: &ReleaseId, says: &str, lift: Lift) -> Hold {
    Hold { gate: Gate::Replace, since: None, message: format!("{id} {says}"), lift }
}

/// The pod that was asked for under a name that is not settled.
fn asked_for<'a>(memory: &'a Memory, name: &Name) -> Option<&'a Uid> {
    memory.replaced.get(name).and_then(Option::as_ref)
}

/// Whether Kruise is still to delete it.
fn is_pending(facts: &Facts<'_>, name: &Name) -> bool {
    facts.live.to_delete.contains(name) && asked_for(facts.memory, name).is_some()
}

/// Names that Git has and that are not settled.
fn open<'a>(facts: &'a Facts<'_>, head: &'a Head<'_>) -> impl Iterator<Item = &'a Name> {
    head.release().replace.iter().filter(|name| facts.memory.replaced.get(*name) != Some(&None))
}

/// Whether HEAD's release is the one that stands, proven and reached.
fn is_complete(facts: &Facts<'_>, head: &Head<'_>) -> bool {
    let memory = facts.memory;
    let is_entered = head.release().digest == memory.digest && memory.step == facts.last_step();
    let is_complete = facts.top().is_some_and(|top| top.digest == memory.digest) && facts.is_proven();
    is_entered && is_complete && memory.step_reached.is_some()
}

/// HEAD, while pods may be asked for: of one CloneSet alone.
fn unlocked<'a>(facts: &'a Facts<'_>) -> Option<&'a Head<'a>> {
    let head = facts.head.as_ref()?;
    let stands = is_complete(facts, head) && !facts.live.drift.template;
    let several = facts.is_blue_green();
    (stands && head.fresh && head.closed().is_none() && !several).then_some(head)
}

/// Names that count as their pods are seen: those that may be asked for, and once nothing is to be deleted any more,
/// those that were.
fn unseen<'a>(facts: &'a Facts<'_>, head: &'a Head<'_>) -> impl Iterator<Item = &'a Name> {
    let goes_on = head.release().replace.iter().any(|name| is_pending(facts, name));
    open(facts, head).filter(move |name| asked_for(facts.memory, name).is_none() || !goes_on)
}

/// The pods that are to be looked at.
#[must_use]
pub fn looks(facts: &Facts<'_>) -> Vec<Name> {
    unlocked(facts).map_or_else(Vec::new, |head| unseen(facts, head).cloned().collect())
}

/// What the looks came to.
#[derive(Default)]
struct Seen {
    /// Pods of this very CloneSet that are to be asked for.
    found: BTreeMap<Name, Option<Uid>>,
    /// Names whose pod was asked for, and is gone.
    gone: BTreeSet<Name>,
    /// Names of no pod of this CloneSet.
    absent: BTreeSet<Name>,
    /// Names that were not looked at yet.
    missing: bool,
}

fn seen(facts: &Facts<'_>) -> Seen {
    let mut seen = Seen::default();
    for name in looks(facts) {
        let Some(looked) = facts.case.looked.get(&name) else {
            seen.missing = true;
            continue;
        };
        let own = looked.as_ref().filter(|it| it.owner == facts.live.uid).map(|it| &it.uid);
        match (asked_for(facts.memory, &name), own) {
            (Some(asked), Some(own)) if asked != own => drop(seen.gone.insert(name)),
            (Some(_), None) => drop(seen.gone.insert(name)),
            (None, None) => drop(seen.absent.insert(name)),
            (_, Some(own)) => drop(seen.found.insert(name, Some(own.clone()))),
        }
    }
    seen
}

/// Row m: what Git names is asked for, and what it names no more is not. All names are looked at before, as far as they
/// can be.
#[must_use]
pub fn asked(facts: &Facts<'_>) -> Option<Outcome> {
    let head = facts.head.as_ref()?;
    let mut seen = seen(facts);
    if seen.missing && facts.case.unlooked.is_none() {
        seen = Seen::default();
    }
    let left = left(facts, head, &seen.found);
    let stays = |name: &Name, uid| keeps(head.release(), name, uid);
    let known = facts.memory.replaced.iter();
    let dropped: Vec<&Name> = known.filter(|(name, uid)| !stays(name, uid)).map(|(name, _)| name).collect();
    let mut says = Vec::new();
    if !seen.found.is_empty() {
        says.push(format!(
            "replaces {} that Git names: {}",
            counted(seen.found.len()),
            list(seen.found.keys())
        ));
    }
    if !left.is_empty() {
        says.push(leaves(head, &left));
    }
    let moves = !says.is_empty();
    if !seen.gone.is_empty() {
        says.push(format!("has replaced {} that Git names: {}", counted(seen.gone.len()), list(&seen.gone)));
    }
    if !seen.absent.is_empty() {
        says.push(format!("has no pod {}, which Git names: nothing to replace", list(&seen.absent)));
    }
    if says.is_empty() && !dropped.is_empty() {
        says.push(format!("forgets {}, which Git does not name any more", list(dropped)));
    }
    if says.is_empty() {
        return None;
    }
    let mut memory = facts.memory.clone();
    memory.replaced.extend(seen.found);
    memory.replaced.extend(seen.gone.into_iter().chain(seen.absent).map(|name| (name, None)));
    let message = format!("{} {}", facts.id, says.join(", and "));
    if !moves {
        return Some(facts.note('m', Decision::Note, memory, message));
    }
    let release = facts.entered.map(|release| &**release);
    Some(facts.write('m', Decision::Replace, release, facts.entered_shape(), memory, message))
}

/// Pods in the list that Git does not ask for, where the list is ours: somebody's who asks for pods beside us, or pods
/// that Git named before.
fn left<'a>(facts: &'a Facts<'_>, head: &Head<'_>, found: &BTreeMap<Name, Option<Uid>>) -> Vec<&'a Name> {
    if found.is_empty() && !facts.memory.replaced.values().any(Option::is_some) {
        return Vec::new();
    }
    let all_on_it = facts.is_proven() && is_zero(facts.live.partition);
    let stays = |name: &Name| {
        let is_named = all_on_it && head.release().replace.contains(name);
        is_named && (found.contains_key(name) || is_pending(facts, name))
    };
    facts.live.to_delete.iter().filter(|name| !stays(name)).collect()
}

fn leaves(head: &Head<'_>, left: &[&Name]) -> String {
    let why = match head.release().replace_fault {
        Some(_) => "while `spec.replace` cannot be read whole",
        None => "which Git does not ask for now",
    };
    format!("leaves {} as it is, {why}", list(left.iter().copied()))
}

/// Whether memory keeps a name: one that Git has; and while that cannot be read whole, one that is settled, which Git may
/// have too.
fn keeps(release: &Release, name: &Name, asked: &Option<Uid>) -> bool {
    release.replace.contains(name) || (release.replace_fault.is_some() && asked.is_none())
}

/// From any row that writes nothing: what Git names no more is asked for no longer. That moves backward, so that no gate
/// stops it, and no fetch is too old for it.
#[must_use]
pub fn withdrawn(facts: &Facts<'_>, outcome: Outcome) -> Outcome {
    let Some(head) = &facts.head else { return outcome };
    let left = left(facts, head, &BTreeMap::new());
    let is_idle = matches!(outcome.decision, Decision::Hold | Decision::Rest);
    if left.is_empty() || !is_idle || !outcome.writes.is_empty() || facts.live.drift.template {
        return outcome;
    }
    let message = format!("{} {}", facts.id, leaves(head, &left));
    let written = facts.note(outcome.row, Decision::Replace, facts.memory.clone(), message);
    let Outcome { decision, message, writes, memory, .. } = written;
    Outcome { decision, message, writes, memory, ..outcome }
}

fn counted(count: usize) -> String {
    holds::pods(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Row g: with a smaller size the pods that Git names go first. They are looked at before that, unless they cannot be;
/// [`told`] says so.
#[must_use]
pub fn looks_first(facts: &Facts<'_>, shape: Shape) -> Option<Outcome> {
    if shape.size >= facts.live.replicas || !seen(facts).missing || facts.case.unlooked.is_some() {
        return None;
    }
    Some(Outcome::hold('g', Vec::new()))
}

/// Row g: memory of a repair that takes pods away, those first that Git names.
pub fn go_first(facts: &Facts<'_>, shape: Shape, memory: &mut Memory) {
    if shape.size < facts.live.replicas {
        memory.replaced.extend(seen(facts).found);
    }
}

/// Adds which pods are to be looked at, and what is to be said of those that are not replaced yet.
#[must_use]
pub fn told(facts: &Facts<'_>, mut outcome: Outcome) -> Outcome {
    let Some(head) = &facts.head else { return outcome };
    if matches!(outcome.decision, Decision::RollBack | Decision::Fail) {
        return outcome;
    }
    outcome.looks = looks(facts);
    if let Some(fault) = &head.release().replace_fault {
        let says = format!("cannot replace all that Git names: {fault}");
        let lift = Lift::by(LiftKind::Commit).path(&head.release().path);
        outcome.holds.push(hold(facts.id, &says, lift));
    }
    if outcome.decision == Decision::Replace {
        return outcome;
    }
    let pending: Vec<&Name> = open(facts, head).filter(|name| is_pending(facts, name)).collect();
    let others: Vec<&Name> = unseen(facts, head).collect();
    if !pending.is_empty() {
        let (count, status) = (counted(pending.len()), &facts.live.status);
        let says = format!(
            "replaces {count} that Git names, as maxUnavailable lets it: {}; {} of {} available",
            list(pending),
            status.available,
            holds::pods(facts.live.replicas)
        );
        outcome.holds.push(hold(facts.id, &says, Lift::wait()));
    }
    if others.is_empty() {
        return outcome;
    }
    let (count, names) = (counted(others.len()), list(others));
    if is_complete(facts, head) && head.closed().is_some() {
        outcome.holds.extend(holds::closed(facts.id, head));
        return outcome.waking(head.freeze.and_then(|freeze| freeze.until));
    }
    let until = match (is_complete(facts, head), unlocked(facts)) {
        (false, _) => "once it is complete",
        (true, None) => "once nothing else holds the release",
        (true, Some(_)) => "once they were looked at",
    };
    let says = format!("replaces {count} that Git names {until}: {names}");
    outcome.holds.push(hold(facts.id, &says, Lift::wait()));
    outcome.holds.extend(facts.case.unlooked.iter().map(|refusal| refusal.hold.clone()));
    outcome
}

impl Facts<'_> {
    /// Leaves in memory what Git names.
    pub fn forget_unnamed(&self, memory: &mut Memory) {
        if let Some(head) = &self.head {
            memory.replaced.retain(|name, asked| keeps(head.release(), name, asked));
        }
    }

    /// The pods that a write with `memory` has in its list, where it says anything of them; memory keeps what Git names.
    #[must_use]
    pub fn to_delete(&self, memory: &mut Memory, shape: Shape) -> Option<BTreeSet<Name>> {
        let (before, listed) = (&self.memory.replaced, &self.live.to_delete);
        self.forget_unnamed(memory);
        let found = seen(self).found;
        let mut asked: BTreeSet<Name> = memory
            .replaced
            .iter()
            .filter(|(name, uid)| uid.is_some() && (is_pending(self, name) || found.get(*name) == Some(*uid)))
            .map(|(name, _)| name.clone())
            .collect();
        if !memory.entered_is_proven() || !is_zero(shape.partition) {
            asked.clear();
        }
        let is_ours = before.values().chain(memory.replaced.values()).any(Option::is_some);
        (is_ours && !(asked.is_empty() && listed.is_empty())).then_some(asked)
    }
}
