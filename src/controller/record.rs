//! From a move to the status of its record. No value in it ticks: equal facts give equal bytes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{Digest, Gate, Hold};
use crate::objects::record::{
    CloneSetView, Condition, Documents, HISTORY_MAX, Phase, ReleaseStatus, Transition, View,
};
use crate::world::{Case, Memory, Move, World};

/// What became of a move.
pub struct Outcome<'a> {
    /// What was decided.
    pub decided: &'a Move,
    /// Whether its writes all went through.
    pub done: bool,
    /// What the checker has against it.
    pub violation: Option<&'a Hold>,
    /// What was told before.
    pub before: &'a ReleaseStatus,
    /// Whether this very transition was told before: a removal is planned until the cluster shows that it is done.
    pub again: bool,
}

impl Outcome<'_> {
    /// Memory as it stands after it.
    #[must_use]
    pub fn memory<'a>(&'a self, case: &'a Case) -> Option<&'a Memory> {
        let standing = case.memory().or_else(|| case.recorded_memory());
        if self.done { self.decided.memory.as_ref().or(standing) } else { standing }
    }

    /// Whether it is a transition that people are told of.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.done && !self.again && self.violation.is_none() && !self.decided.message.is_empty()
    }

    /// What people see. A move that was not carried out has moved nothing: what was seen before still stands, but
    /// for the reasons. One that changes no memory is of what stands.
    fn view(&self, case: &Case, now: Timestamp) -> View {
        let planned = &self.decided.view;
        let mut view = planned.clone();
        if !self.done {
            let refused = planned.holds.iter().any(|hold| hold.gate == Gate::Cluster);
            let phase = if refused { Phase::Degraded } else { self.before.view.phase };
            let stands = case.memory().is_some() && self.decided.memory.as_ref() == case.memory();
            let shown = if stands { planned } else { &self.before.view };
            let (holds, pods) = (planned.holds.clone(), planned.pods.clone());
            let clonesets = planned.clonesets.clone();
            view = View { holds, pods, clonesets, phase, ..shown.clone() };
        }
        if let Some(violation) = self.violation {
            view.holds.insert(0, violation.clone());
            view.phase = Phase::Degraded;
        }
        date_holds(&mut view, &self.before.view, now);
        view
    }
}

/// The status that the record should have.
#[must_use]
pub fn status(world: &World, case: &Case, outcome: &Outcome<'_>, documents: Documents) -> ReleaseStatus {
    let before = outcome.before;
    let generation = case.record.as_ref().map_or(1, |record| record.generation);
    let view = outcome.view(case, world.now);
    let phase = view.phase;
    let sentence = sentence(&view, outcome.decided);
    let memory = outcome.memory(case);
    ReleaseStatus {
        observed_generation: generation,
        conditions: conditions(phase, &sentence, &before.conditions, generation, world.now),
        version_text: view.version.text().unwrap_or_default(),
        step_text: format!("{}/{}", view.step, view.steps.len()),
        pods_text: view.pods_text(view.pods.updated_available),
        waits_for: view.holds.first().map(|hold| hold.gate.word().to_owned()).unwrap_or_default(),
        since: view.holds.first().and_then(|hold| hold.since),
        history: history(world, outcome),
        memory: memory.map(Memory::to_annotations).unwrap_or_default(),
        documents,
        view,
    }
}

/// A hold that was there before, of the same release, keeps the moment at which it began.
fn date_holds(view: &mut View, before: &View, now: Timestamp) {
    let same = view.digest == before.digest;
    for hold in &mut view.holds {
        let known = before.holds.iter().find(|it| same && it.gate == hold.gate).and_then(|it| it.since);
        hold.since = hold.since.or(known).or(Some(now));
    }
}

/// What the conditions say: the first hold, else what happens. Empty where nothing does.
#[must_use]
pub fn sentence(view: &View, decided: &Move) -> String {
    if let Some(hold) = view.holds.first() {
        return hold.message.clone();
    }
    match view.phase {
        Phase::Healthy => match view.clonesets.iter().find_map(kept) {
            Some(kept) => format!("what serves is what Git says; {kept}"),
            None => "every pod runs what Git says".to_owned(),
        },
        Phase::Progressing | Phase::Paused | Phase::RollingBack | Phase::Degraded => decided.message.clone(),
    }
}

/// Which pods are kept beside those that serve, and until when.
fn kept(it: &CloneSetView) -> Option<String> {
    let (version, until) = (it.version.as_ref()?, it.until?);
    Some(format!("the pods of {version} stay until {until}"))
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
            reason: phase.word().to_owned(),
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

fn history(world: &World, outcome: &Outcome<'_>) -> Vec<Transition> {
    let decided = outcome.decided;
    let mut history = outcome.before.history.clone();
    if outcome.is_told() {
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

/// The documents that are needed when Git is away: the entered release's, and those of the release that a rollback
/// would go to. `kept` is what the record has already; `pack` makes what it has not.
#[must_use]
pub fn documents(
    memory: &Memory,
    recorded: Option<&Memory>,
    kept: &Documents,
    mut pack: impl FnMut(&Digest) -> Option<String>,
) -> Documents {
    let mut known: BTreeMap<Digest, &String> = BTreeMap::new();
    if let Some(recorded) = recorded {
        let entered = kept.entered.as_ref().map(|text| (recorded.digest, text));
        let proven = below(recorded).zip(kept.proven.as_ref());
        known.extend(entered.into_iter().chain(proven));
    }
    let mut text = |digest: Digest| known.get(&digest).map(|text| (*text).clone()).or_else(|| pack(&digest));
    Documents { entered: text(memory.digest), proven: below(memory).and_then(text) }
}

/// The release that a rollback would go to.
#[must_use]
pub fn below(memory: &Memory) -> Option<Digest> {
    let other = memory.proven.iter().rev().find(|proof| proof.template != memory.template);
    other.map(|proof| proof.digest)
}
