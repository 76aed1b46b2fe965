//! What happened, told: the record's status, Events, log lines.
//!
//! No value in it ticks: a release that rests is told once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cluster::{Note, Telling};
use crate::model::{CommitId, Digest, Gate, Hold, ReleaseId, Uid};
use crate::objects::record::{
    Condition, Documents, HISTORY_MAX, Pending, Phase, ReleaseStatus, Transition, View,
};
use crate::spec::Release;
use crate::world::{Case, Decision, Desired, Intent, Memory, Move};

/// What is told of one release, and from what.
pub struct Story<'a> {
    /// The release.
    pub id: &'a ReleaseId,
    /// As it was planned.
    pub case: &'a Case,
    /// What was decided.
    pub plan: &'a Move,
    /// Whether the decision was carried out, or nothing was to be written.
    pub done: bool,
    /// What forbids the decision, where the checker refused it.
    pub violation: Option<Hold>,
    /// What was told before.
    pub before: &'a ReleaseStatus,
    /// The present moment.
    pub now: Timestamp,
    /// Head of the branch.
    pub head: Option<CommitId>,
}

impl Story<'_> {
    /// Whether the decision moves the release, so that history keeps it.
    #[must_use]
    pub fn is_transition(&self) -> bool {
        let moves = match self.plan.decision {
            Decision::Rest | Decision::Hold | Decision::Note => false,
            Decision::Create
            | Decision::Adopt
            | Decision::Enter(_)
            | Decision::Repair
            | Decision::Fail
            | Decision::RollBack
            | Decision::Complete
            | Decision::Remove => true,
        };
        moves && self.done && self.violation.is_none() && !self.plan.writes.is_empty()
    }

    /// The record's status.
    #[must_use]
    pub fn status(&self, documents: Documents) -> ReleaseStatus {
        let view = self.view();
        let conditions = self.conditions(&view);
        let memory = if self.done { self.plan.memory.as_ref() } else { self.case.memory() };
        let recorded = || self.case.recorded_memory();
        let memory = memory.or_else(recorded).map(|it| it.to_annotations()).unwrap_or_default();
        ReleaseStatus {
            observed_generation: self.before.observed_generation,
            version_text: version_text(&view),
            step_text: step_text(&view),
            pods_text: format!("{}/{}", view.pods.updated, view.pods.desired),
            waits_for: view.holds.first().map(|hold| word(hold.gate)).unwrap_or_default(),
            since: view.holds.first().and_then(|hold| hold.since),
            conditions,
            history: self.history(),
            memory,
            pending: self.pending(),
            inventory: self.inventory(),
            documents,
            view,
        }
    }

    /// What people see. A decision that was not carried out has not moved anything: what was seen before still
    /// stands, but for the reasons.
    fn view(&self) -> View {
        let mut view = if self.done && self.violation.is_none() {
            self.plan.view.clone()
        } else {
            View {
                holds: self.plan.view.holds.clone(),
                pods: self.plan.view.pods.clone(),
                ..self.before.view.clone()
            }
        };
        if let Some(violation) = &self.violation {
            view.holds.insert(0, violation.clone());
            view.phase = Phase::Degraded;
        } else if !self.done && self.case.refused.is_some() {
            view.phase = Phase::Degraded;
        }
        for hold in &mut view.holds {
            if hold.since.is_none() {
                let known = self.before.view.holds.iter().find(|it| it.gate == hold.gate);
                hold.since = known.and_then(|it| it.since).or(Some(self.now));
            }
        }
        view
    }

    /// The create that is under way: until the object's memory names its UID, this is what makes that memory count.
    fn pending(&self) -> Option<Pending> {
        let nameless = |memory: &Memory| memory.uid.is_none();
        let made = self.case.live.as_ref().and_then(|live| live.memory.as_ref()).is_some_and(nameless);
        let named = self.done && self.plan.memory.as_ref().is_some_and(|memory| !nameless(memory));
        let kept = || self.before.pending.clone().filter(|_| made && !named);
        self.plan.pending.clone().or_else(kept)
    }

    fn history(&self) -> Vec<Transition> {
        let mut history = self.before.history.clone();
        if self.is_transition() {
            history.push(Transition {
                time: self.now,
                decision: self.plan.decision.word().to_owned(),
                message: self.plan.message.clone(),
                digest: self.plan.memory.as_ref().map(|memory| memory.digest.long()),
                step: self.plan.memory.as_ref().map_or(0, |memory| memory.step),
                head: self.head.map(|head| head.to_string()),
            });
        }
        let surplus = history.len().saturating_sub(HISTORY_MAX);
        history.drain(..surplus);
        history
    }

    fn inventory(&self) -> Vec<String> {
        let ours = self.case.companions.iter().filter(|(_, it)| it.release == self.id.to_string());
        ours.map(|(key, _)| format!("{}/{}", key.kind, key.name)).collect()
    }

    /// In kstatus's form: what moves is `Reconciling`, what needs mending is `Stalled`, what is complete is `Ready`.
    fn conditions(&self, view: &View) -> Vec<Condition> {
        let reason =
            view.holds.first().map_or_else(|| format!("{:?}", view.phase), |hold| pascal(&word(hold.gate)));
        let message = match view.holds.first() {
            Some(hold) => hold.message.clone(),
            None if !self.plan.message.is_empty() && view.phase != Phase::Healthy => {
                self.plan.message.clone()
            }
            None => format!("{} runs {}", self.id, view.version.to.as_deref().unwrap_or("nothing yet")),
        };
        let (ready, reconciling, stalled) = match view.phase {
            Phase::Healthy => ("True", "False", "False"),
            Phase::Progressing | Phase::Paused | Phase::RollingBack => ("False", "True", "False"),
            Phase::Degraded => ("False", "False", "True"),
        };
        let one = |(kind, status): (&str, &str)| {
            let before = self.before.conditions.iter().find(|it| it.kind == kind && it.status == status);
            Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                reason: reason.clone(),
                message: message.clone(),
                last_transition_time: before.map_or(self.now, |it| it.last_transition_time),
                observed_generation: self.before.observed_generation,
            }
        };
        [("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled)].into_iter().map(one).collect()
    }

    /// An Event for what moved.
    #[must_use]
    pub fn note(&self, about: Option<Uid>, instance: &str) -> Option<Note> {
        if !self.is_transition() {
            return None;
        }
        let kind = match self.plan.decision {
            Decision::Fail | Decision::RollBack => "Warning",
            Decision::Rest
            | Decision::Hold
            | Decision::Note
            | Decision::Create
            | Decision::Adopt
            | Decision::Enter(_)
            | Decision::Repair
            | Decision::Complete
            | Decision::Remove => "Normal",
        };
        let text = format!("{} {} {}", self.id, self.now, self.plan.message);
        Some(Note {
            name: format!("{}.{}", self.id.name, &Digest::of(text.as_bytes()).short()),
            time: self.now,
            kind,
            reason: self.plan.decision.word(),
            message: self.plan.message.clone(),
            about,
            instance: instance.to_owned(),
        })
    }

    /// The record as it is to be written.
    #[must_use]
    pub fn telling(&self, root: &str, documents: Documents, spec_before: Option<Value>) -> Telling {
        let spec = match &self.case.desired {
            Desired::Release(intent) => spec_of(intent),
            Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => {
                spec_before.unwrap_or_else(|| json!({}))
            }
        };
        Telling { spec, root: root.to_owned(), status: self.status(documents) }
    }
}

/// The release as it stands in Git, for people.
fn spec_of(intent: &Intent) -> Value {
    let release: &Release = &intent.release;
    let steps = release.strategy.steps.iter().map(|step| {
        let mut out = json!({"replicas": step.replicas});
        if step.soak > 0 {
            out["soakSeconds"] = step.soak.into();
        }
        if let Some(approval) = step.approval {
            out["approval"] = json!({"count": approval.count, "notAuthor": approval.not_author});
        }
        out
    });
    let mut spec = json!({
        "path": release.path,
        "digest": release.digest.long(),
        "attempt": release.attempt,
        "suspend": release.suspend,
        "strategy": {"steps": steps.collect::<Vec<_>>(), "deadlineSeconds": release.strategy.deadline},
    });
    if let Some(episode) = &intent.episode {
        spec["commit"] = episode.first.to_string().into();
        spec["author"] = episode.author.as_str().into();
        spec["summary"] = episode.summary.as_str().into();
    }
    if let Some(cap) = release.cap {
        spec["step"] = cap.into();
    }
    spec
}

/// The documents that the record keeps: of the entered release, and of the newest proven one where that is another.
#[must_use]
pub fn documents(
    plan: &Move,
    case: &Case,
    kept: &Documents,
    mut pack: impl FnMut(&Digest) -> Option<String>,
) -> Documents {
    let Some(memory) = plan.memory.as_ref().or_else(|| case.recorded_memory()) else {
        return Documents::default();
    };
    let before = case.recorded_memory();
    let stood = |digest: Digest| {
        let entered = before.filter(|it| it.digest == digest).and(kept.entered.clone());
        let proven =
            before.and_then(|it| it.top()).filter(|top| top.digest == digest).and(kept.proven.clone());
        entered.or(proven)
    };
    let mut of = |digest: Digest| pack(&digest).or_else(|| stood(digest));
    let top = memory.top().map(|top| top.digest).filter(|top| *top != memory.digest);
    Documents { entered: of(memory.digest), proven: top.and_then(of) }
}

fn version_text(view: &View) -> String {
    match (&view.version.from, &view.version.to) {
        (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
        (_, Some(to)) => to.clone(),
        (Some(from), None) => from.clone(),
        (None, None) => String::new(),
    }
}

fn step_text(view: &View) -> String {
    if view.steps.is_empty() { String::new() } else { format!("{}/{}", view.step, view.steps.len()) }
}

/// The gate's word on the wire.
fn word(gate: Gate) -> String {
    serde_json::to_value(gate).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}

/// `rolling-back` as `RollingBack`: reasons of conditions are written so.
fn pascal(word: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|it| it.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    word.split('-').map(capital).collect()
}

/// What was told last of each release, and not yet seen again in its record: the lane writes later than we plan.
#[derive(Default)]
pub struct Told(BTreeMap<ReleaseId, ReleaseStatus>);

impl Told {
    /// What was told of a release before: by this process, else what its record says.
    #[must_use]
    pub fn before(&self, id: &ReleaseId, case: &Case) -> ReleaseStatus {
        let recorded = || case.record.as_ref().map(|it| ReleaseStatus::clone(&it.status));
        self.0.get(id).cloned().or_else(recorded).unwrap_or_default()
    }

    /// Notes what is told.
    pub fn note(&mut self, id: &ReleaseId, status: &ReleaseStatus) {
        let status = ReleaseStatus { documents: Documents::default(), ..status.clone() };
        self.0.insert(id.clone(), status);
    }

    /// A release is gone.
    pub fn forget(&mut self, id: &ReleaseId) {
        self.0.remove(id);
    }
}
