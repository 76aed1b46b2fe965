//! From a move to the status of its record. No value in it ticks: equal facts give equal bytes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::controller::documents::pack;
use crate::model::Digest;
use crate::objects::keys;
use crate::objects::record::{Condition, Documents, HISTORY_MAX, Phase, ReleaseStatus, Transition, View};
use crate::world::{Case, Decision, Memory, Move, World};

/// The status that the record should have. `done` says whether the move's writes all went through.
#[must_use]
pub fn status(world: &World, case: &Case, decided: &Move, done: bool) -> ReleaseStatus {
    let empty = ReleaseStatus::default();
    let before = case.record.as_ref().map_or(&empty, |record| &record.status);
    let generation = case.record.as_ref().map_or(1, |record| record.generation);
    let standing = case.memory().or_else(|| case.recorded_memory());
    let memory = if done { decided.memory.as_ref().or(standing) } else { standing };
    let mut view = decided.view.clone();
    date_holds(&mut view, &before.view, world.now);
    let phase = view.phase;
    let sentence = sentence(&view, decided);
    ReleaseStatus {
        observed_generation: generation,
        conditions: conditions(phase, &sentence, &before.conditions, generation, world.now),
        version_text: version_text(&view),
        step_text: format!("{}/{}", view.step, view.steps.len()),
        pods_text: format!("{}/{}", view.pods.updated_available, view.pods.desired),
        waits_for: view.holds.first().map(|hold| word(hold.gate)).unwrap_or_default(),
        since: view.holds.first().and_then(|hold| hold.since),
        history: history(world, decided, done, &before.history),
        memory: memory.map(Memory::to_annotations).unwrap_or_default(),
        pending: pending(case, decided, before),
        inventory: case.companions.keys().map(|key| format!("{}/{}", key.kind, key.name)).collect(),
        documents: memory.map(|memory| documents(case, memory, before)).unwrap_or_default(),
        view,
    }
}

/// A hold that was there before keeps the moment at which it began.
fn date_holds(view: &mut View, before: &View, now: Timestamp) {
    for hold in &mut view.holds {
        let known = before.holds.iter().find(|it| it.gate == hold.gate).and_then(|it| it.since);
        hold.since = hold.since.or(known).or(Some(now));
    }
}

/// A closed enum's word as JSON has it.
fn word<T: serde::Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

fn version_text(view: &View) -> String {
    match (&view.version.from, &view.version.to) {
        (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
        (from, to) => to.as_ref().or(from.as_ref()).cloned().unwrap_or_default(),
    }
}

/// What the conditions say: the first hold, else what happens.
fn sentence(view: &View, decided: &Move) -> String {
    if let Some(hold) = view.holds.first() {
        return hold.message.clone();
    }
    match view.phase {
        Phase::Healthy => "every pod runs what Git says".to_owned(),
        Phase::Progressing | Phase::Paused | Phase::RollingBack | Phase::Degraded => decided.message.clone(),
    }
}

/// `Ready`, `Reconciling` and `Stalled` in the form of kstatus. A release that waits for a person is still
/// reconciling: `kubectl wait` waits with it.
fn conditions(
    phase: Phase,
    message: &str,
    before: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let (ready, stalled) = match phase {
        Phase::Healthy => (true, false),
        Phase::Progressing | Phase::Paused | Phase::RollingBack => (false, false),
        Phase::Degraded => (false, true),
    };
    let condition = |kind: &str, is: bool| {
        let status = if is { "True" } else { "False" };
        let known = before.iter().find(|it| it.kind == kind && it.status == status);
        Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: word(phase),
            message: message.to_owned(),
            last_transition_time: known.map_or(now, |it| it.last_transition_time),
            observed_generation: generation,
        }
    };
    vec![
        condition("Ready", ready),
        condition("Reconciling", !ready && !stalled),
        condition("Stalled", stalled),
    ]
}

/// Whether a decision is a transition that people are told of.
#[must_use]
pub const fn is_told(decided: &Move) -> bool {
    match decided.decision {
        Decision::Rest | Decision::Hold => false,
        Decision::Note
        | Decision::Create
        | Decision::Adopt
        | Decision::Enter(_)
        | Decision::Repair
        | Decision::Fail
        | Decision::RollBack
        | Decision::Complete
        | Decision::Remove => !decided.message.is_empty(),
    }
}

fn history(world: &World, decided: &Move, done: bool, before: &[Transition]) -> Vec<Transition> {
    let mut history = before.to_vec();
    if done && is_told(decided) {
        history.push(Transition {
            time: world.now,
            decision: decided.decision.word().to_owned(),
            message: decided.message.clone(),
            digest: decided.memory.as_ref().map(|memory| memory.digest.long()),
            step: decided.memory.as_ref().map_or(0, |memory| memory.step),
            head: world.source.head.map(|head| head.to_string()),
        });
    }
    history.drain(..history.len().saturating_sub(HISTORY_MAX));
    history
}

/// An announced create stays announced until the object's memory knows its own UID.
fn pending(case: &Case, decided: &Move, before: &ReleaseStatus) -> Option<crate::objects::record::Pending> {
    if decided.pending.is_some() {
        return decided.pending.clone();
    }
    let live = case.live.as_ref();
    let settled = live.and_then(|live| live.memory.as_ref()).is_some_and(|memory| memory.uid.is_some());
    before.pending.clone().filter(|_| !settled)
}

/// The documents that are needed when Git is away: the entered release's, and those of the release that a rollback
/// would go to.
fn documents(case: &Case, memory: &Memory, before: &ReleaseStatus) -> Documents {
    let target = memory.proven.iter().rev().find(|proof| proof.template != memory.template);
    let kept = kept(before);
    let text = |digest: Digest| {
        let known = kept.get(&digest).map(|text| (*text).clone());
        known.or_else(|| case.documents.get(&digest).and_then(|release| pack(&release.documents)))
    };
    Documents { entered: text(memory.digest), proven: target.and_then(|proof| text(proof.digest)) }
}

/// What the record keeps already, by digest.
fn kept(before: &ReleaseStatus) -> BTreeMap<Digest, &String> {
    let Some(memory) = Memory::from_annotations(&before.memory) else { return BTreeMap::new() };
    let target = memory.proven.iter().rev().find(|proof| proof.template != memory.template);
    let entered = before.documents.entered.as_ref().map(|text| (memory.digest, text));
    let proven = target.map(|proof| proof.digest).zip(before.documents.proven.as_ref());
    entered.into_iter().chain(proven).collect()
}

/// Digest of the entered release, as the record has it.
#[must_use]
pub fn recorded_digest(status: &ReleaseStatus) -> Option<Digest> {
    status.memory.get(keys::DIGEST)?.parse().ok()
}
