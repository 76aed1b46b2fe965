//! One lap: observe → plan → guard → execute → report.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::cluster::{Cache, Error, Feed, SeenCompanion, Target, Telling, project};
use crate::controller::clock::Clock;
use crate::controller::execute::{Carried, Done, Executor};
use crate::controller::observe::Observer;
use crate::controller::record::{self, Outcome};
use crate::controller::report::{self, Told};
use crate::guard;
use crate::model::{Hold, ReleaseId};
use crate::objects::record::{Pending, View};
use crate::objects::{Kind, ObjectKey};
use crate::plan;
use crate::world::{Case, Decision, Memory, Move, Plan, World};

/// What of a move is told, as it was at the last lap.
struct Shown {
    view: View,
    memory: Option<Memory>,
    pending: Option<Pending>,
    violation: Option<Hold>,
}

impl Shown {
    fn of(decided: &Move, violation: Option<&Hold>) -> Self {
        let (view, memory, pending) = (decided.view.clone(), decided.memory.clone(), decided.pending.clone());
        Self { view, memory, pending, violation: violation.cloned() }
    }

    fn is_of(&self, decided: &Move, violation: Option<&Hold>) -> bool {
        self.view == decided.view
            && self.memory == decided.memory
            && self.pending == decided.pending
            && self.violation.as_ref() == violation
    }
}

/// Everything that a lap needs and leaves behind.
pub struct Laps {
    /// The one clock.
    pub clock: Clock,
    /// What was seen.
    pub observer: Observer,
    /// The hands; none where nothing is written.
    pub executor: Option<Executor>,
    /// Who tells it: the name of this process.
    pub holder: String,
    told: Told,
    shown: BTreeMap<ReleaseId, Shown>,
    /// What was last said that would be done, where nothing is.
    intents: BTreeMap<ReleaseId, String>,
}

impl Laps {
    /// Before the first lap.
    #[must_use]
    pub fn new(clock: Clock, observer: Observer, executor: Option<Executor>, holder: String) -> Self {
        Self {
            clock,
            observer,
            executor,
            holder,
            told: Told::default(),
            shown: BTreeMap::new(),
            intents: BTreeMap::new(),
        }
    }

    /// Does one lap; gives the next moment when time alone changes something.
    pub async fn lap(&mut self) -> Option<Timestamp> {
        let (world, changed) = self.observer.world(self.clock.now());
        let plan = plan::plan(&world);
        for id in self.observer.begin_lap(&world) {
            self.told.forget(&id);
            self.shown.remove(&id);
            self.intents.remove(&id);
        }
        let violations: BTreeMap<ReleaseId, Hold> =
            guard::check(&world, &plan).iter().map(|(id, it)| (id.clone(), it.hold())).collect();
        let Done { carried, left } = match &self.executor {
            Some(executor) => {
                let (observer, refusals) = (&self.observer, &self.observer.refusals);
                let sees = |id: &ReleaseId, it: &Move| {
                    matches!(it.decision, Decision::RollBack | Decision::Fail) || !observer.is_blind(id)
                };
                let may = |id: &ReleaseId| !violations.contains_key(id) && !refusals.waits(id);
                let moves = plan.moves.iter().filter(|(_, it)| !it.writes.is_empty());
                let moves: BTreeMap<_, _> = moves.filter(|(id, it)| may(id) && sees(id, it)).collect();
                let (clock, source, policy) = (self.clock, &world.source, &world.policy);
                let is_fresh = || source.is_fresh(clock.now(), policy.stale_after);
                executor.carry_out(&moves, &is_fresh).await
            }
            None => Done::default(),
        };
        self.settle(&plan, &carried).await;
        self.tell(&world, &plan, &changed, &carried, &violations);
        if left { Some(self.clock.now()) } else { plan.wake_at }
    }

    /// Takes in what became of the writes.
    async fn settle(&mut self, plan: &Plan, carried: &BTreeMap<ReleaseId, Carried>) {
        for (id, carried) in carried {
            for written in &carried.written {
                match &written.applied {
                    Some((sent, returned)) => self.observer.echoes.note(&written.key, sent, returned),
                    None => self.observer.echoes.forget(&written.key),
                }
            }
            self.observer.touch(id);
            match &carried.refused {
                None => {
                    self.observer.refusals.clear(id);
                }
                Some((key, error)) => self.refused(id, key, error).await,
            }
        }
        for (id, it) in &plan.moves {
            if it.writes.is_empty() && self.observer.refusals.clear(id) {
                self.observer.touch(id);
            }
        }
    }

    async fn refused(&mut self, id: &ReleaseId, key: &ObjectKey, error: &Error) {
        let is_companion = key.kind != Kind::CloneSet;
        if is_companion && *error == Error::Exists {
            match self.reclaim(id, key).await {
                Some(true) => return,
                Some(false) => self.observer.note_stranger(id, key.clone()),
                None => {}
            }
        }
        if self.observer.refusals.note(id, &key.to_string(), error, self.clock.now()) {
            tracing::warn!(release = %id, object = %key, category = error.category(), "refused: {error}");
        }
    }

    /// Looks whether a companion that exists is ours after all: somebody may have taken its label away, and it is not
    /// watched without. Gives whether it is; nothing where that cannot be told now.
    async fn reclaim(&self, id: &ReleaseId, key: &ObjectKey) -> Option<bool> {
        let executor = self.executor.as_ref()?;
        let (api, namespace, name) = (key.kind.api(), key.namespace.as_str(), key.name.as_str());
        let object = executor.cluster.read(Target { api, namespace, name, status: false }).await.ok()??;
        let seen: SeenCompanion = project::companion(&object)?;
        let ours = seen.live.release == id.to_string() && seen.stand.ownership.owners().has_ours();
        if ours {
            executor.cache.wrote(Feed::Companions(key.kind), &object);
        }
        Some(ours)
    }

    /// Tells what changed: to the log, to the record, as Events.
    fn tell(
        &mut self,
        world: &World,
        plan: &Plan,
        changed: &BTreeSet<ReleaseId>,
        carried: &BTreeMap<ReleaseId, Carried>,
        violations: &BTreeMap<ReleaseId, Hold>,
    ) {
        // Both are in one order: mostly the next one that was shown is the one.
        let mut shown = self.shown.iter().peekable();
        let is_news = |(id, it): &(&ReleaseId, &Move)| {
            let next = shown.next_if(|(other, _)| other == id).map(|(_, shown)| shown);
            let same = next
                .or_else(|| self.shown.get(*id))
                .is_some_and(|shown| shown.is_of(it, violations.get(*id)));
            !same || changed.contains(*id) || carried.contains_key(*id)
        };
        let news: Vec<_> = plan.moves.iter().filter(is_news).collect();
        for (id, it) in news {
            let violation = violations.get(id);
            let Some(case) = world.cases.get(id) else { continue };
            self.shown.insert(id.clone(), Shown::of(it, violation));
            let done = it.writes.is_empty() || carried.get(id).is_some_and(|it| it.refused.is_none());
            let before = self.told.before(id, case);
            self.tell_one(world, id, case, &Outcome { decided: it, done, violation, before: &before });
        }
    }

    /// Says what would be done, where nothing is, as often as that changes.
    fn tell_intent(&mut self, id: &ReleaseId, outcome: &Outcome<'_>) {
        let intent = intent(outcome);
        if self.intents.get(id) != Some(&intent) {
            let row = outcome.decided.row;
            tracing::info!(release = %id, row = %row, phase = ?outcome.decided.view.phase, "{intent}");
            self.intents.insert(id.clone(), intent);
        }
    }

    fn tell_one(&mut self, world: &World, id: &ReleaseId, case: &Case, outcome: &Outcome<'_>) {
        let Some(executor) = &self.executor else { return self.tell_intent(id, outcome) };
        log(id, outcome);
        if !world.has_records || !may_tell(&executor.cache, id, &world.policy.root) {
            return;
        }
        let seen = executor.cache.record(id);
        let about = case.live.as_ref().map(|live| live.uid.clone());
        if let Some(note) = report::note(world, id, outcome, about, &self.holder) {
            executor.lane.note(id, note);
        }
        let removed = outcome.decided.decision == Decision::Remove && outcome.violation.is_none();
        if removed && outcome.done {
            if seen.is_some() {
                executor.lane.forget(id);
            }
            self.told.forget(id);
            return;
        }
        let kept = seen.as_ref().map(|seen| seen.documents.clone()).unwrap_or_default();
        // What its documents are of is what the record itself says.
        let recorded = seen.as_ref().and_then(|seen| seen.live.memory.as_ref());
        let observer = &mut self.observer;
        let pack = |digest: &_| observer.packed(digest).map(|text| text.to_string());
        let documents = match outcome.memory(case) {
            Some(memory) => record::documents(memory, recorded, &kept, pack),
            None => kept,
        };
        let spec = report::spec(case, seen.map(|seen| seen.stand.object()["spec"].clone()));
        let status = record::status(world, case, outcome, documents);
        self.told.note(id, &status);
        self.observer.note_told(id, outcome.memory(case));
        executor.lane.tell(id, Telling { spec, root: world.policy.root.clone(), status });
    }
}

/// What a move would do, and what holds it.
fn intent(outcome: &Outcome<'_>) -> String {
    let decided = outcome.decided;
    let word = decided.decision.word();
    let does = match (&*decided.message, decided.writes.is_empty(), &decided.pending) {
        _ if outcome.violation.is_some() => "would do nothing".to_owned(),
        (_, true, Some(_)) => "would announce a create in its record, then make it".to_owned(),
        (_, true, None) if decided.view.holds.is_empty() => "would change nothing".to_owned(),
        (_, true, None) => "would hold".to_owned(),
        ("", false, _) => format!("would {word}"),
        (message, false, _) => format!("would {word}: {message}"),
    };
    let holds = outcome.violation.into_iter().chain(&decided.view.holds);
    holds.fold(does, |text, hold| format!("{text}; {}", hold.message))
}

/// A record of another root is not ours to write.
fn may_tell(cache: &Cache, id: &ReleaseId, root: &str) -> bool {
    cache.record(id).is_none_or(|seen| seen.live.root.as_deref() == Some(root))
}

fn log(id: &ReleaseId, outcome: &Outcome<'_>) {
    let decided = outcome.decided;
    let (row, decision) = (decided.row, decided.decision.word());
    if let Some(violation) = outcome.violation {
        tracing::error!(release = %id, row = %row, decision, "{}", violation.message);
    } else if outcome.is_told() {
        tracing::info!(release = %id, row = %row, decision, "{}", decided.message);
    }
    if outcome.done && decided.view.phase != outcome.before.view.phase {
        let why = decided.view.holds.first().map(|hold| hold.message.as_str()).unwrap_or_default();
        tracing::info!(release = %id, phase = ?decided.view.phase, "{why}");
    }
}
