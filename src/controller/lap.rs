//! One lap: observe → plan → guard → execute → report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::{Cache, Error, Feed, SeenCompanion, Target, Telling, project};
use crate::controller::audit::Audit;
use crate::controller::clock::Clock;
use crate::controller::execute::{Carried, Done, Executor};
use crate::controller::observe::Observer;
use crate::controller::pulse::{Pulse, Survey};
use crate::controller::record::{self, Outcome};
use crate::controller::report::{self, Told};
use crate::guard;
use crate::model::{Gate, Hold, LiftKind, ReleaseId};
use crate::objects::record::{Pending, View};
use crate::objects::{Kind, ObjectKey};
use crate::plan;
use crate::world::{Case, Decision, Desired, Memory, Move, Plan, World};

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

/// What a lap came to.
#[derive(Clone, Copy, Debug)]
pub struct Lapped {
    /// The next moment when time alone changes something.
    pub wake_at: Option<Timestamp>,
    /// Whether everything that could be written at once was.
    pub settled: bool,
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
    /// What the loop shows of itself.
    pub pulse: Pulse,
    told: Told,
    shown: BTreeMap<ReleaseId, Shown>,
    /// What was last said that would be done, where nothing is.
    intents: BTreeMap<ReleaseId, String>,
    /// Moves whose last answer was lost, and what they were planned from: whether they happened is seen later.
    doubtful: BTreeMap<ReleaseId, (Move, Arc<Case>)>,
    /// Removals that were told, by their sentence.
    removed: BTreeMap<ReleaseId, String>,
}

impl Laps {
    /// Before the first lap.
    #[must_use]
    pub fn new(
        clock: Clock,
        observer: Observer,
        executor: Option<Executor>,
        holder: String,
        pulse: Pulse,
    ) -> Self {
        Self {
            clock,
            observer,
            executor,
            holder,
            pulse,
            told: Told::default(),
            shown: BTreeMap::new(),
            intents: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            removed: BTreeMap::new(),
        }
    }

    /// Does one lap.
    pub async fn lap(&mut self) -> Lapped {
        let (world, changed) = self.observer.world(self.clock.now());
        let plan = plan::plan(&world);
        for id in self.observer.begin_lap(&world) {
            self.told.forget(&id);
            self.shown.remove(&id);
            self.intents.remove(&id);
        }
        let violations: BTreeMap<ReleaseId, Hold> =
            guard::check(&world, &plan).iter().map(|(id, it)| (id.clone(), it.hold(id))).collect();
        let Done { carried, left } = match &self.executor {
            Some(executor) => {
                let (observer, refusals) = (&self.observer, &self.observer.refusals);
                let sees = |id: &ReleaseId, it: &Move| {
                    matches!(it.decision, Decision::RollBack | Decision::Fail) || !observer.is_blind(id)
                };
                let may = |id: &ReleaseId| {
                    !violations.contains_key(id) && !refusals.waits(id) && !observer.rivals.write(id)
                };
                let moves = plan.moves.iter().filter(|(_, it)| !it.writes.is_empty());
                let moves: BTreeMap<_, _> = moves.filter(|(id, it)| may(id) && sees(id, it)).collect();
                let (clock, source, policy) = (self.clock, &world.source, &world.policy);
                let is_fresh = || source.is_fresh(clock.now(), policy.stale_after);
                executor.carry_out(&moves, &is_fresh).await
            }
            None => Done::default(),
        };
        self.settle(&world, &plan, &carried).await;
        self.rehearse(&plan, &violations).await;
        self.tell(&world, &plan, &changed, &carried, &violations);
        self.pulse.surveyed(Survey::of(&world, &plan, violations.keys()));
        let settled = !left && self.executor.is_some() && is_settled(&plan, &carried);
        Lapped { wake_at: if left { Some(self.clock.now()) } else { plan.wake_at }, settled }
    }

    /// Takes in what became of the writes.
    async fn settle(&mut self, world: &World, plan: &Plan, carried: &BTreeMap<ReleaseId, Carried>) {
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
                    self.doubtful.remove(id);
                    self.count(plan.moves.get(id), carried);
                }
                Some((key, error)) => {
                    self.refused(id, key, error).await;
                    self.pulse.beat();
                    if let (Some(it), Some(case)) = (plan.moves.get(id), world.cases.get(id))
                        && is_doubtful(it, case, error)
                    {
                        self.doubtful.insert(id.clone(), (it.clone(), Arc::clone(case)));
                    }
                }
            }
        }
        for (id, it) in &plan.moves {
            if it.writes.is_empty() && it.rehearsal.is_none() && self.observer.refusals.clear(id) {
                self.observer.touch(id);
            }
        }
    }

    /// Asks the server what taking CloneSets over would change, where that is to be known before anything is written.
    async fn rehearse(&mut self, plan: &Plan, violations: &BTreeMap<ReleaseId, Hold>) {
        let Some(executor) = &self.executor else { return };
        let refusals = &self.observer.refusals;
        let may = |id: &ReleaseId| !violations.contains_key(id) && !refusals.waits(id);
        let asked = plan.moves.iter().filter_map(|(id, it)| Some((id.clone(), it.rehearsal.clone()?)));
        let asked = asked.filter(|(id, _)| may(id)).collect();
        for (id, answer) in executor.rehearse(asked).await {
            match answer {
                Ok(after) => {
                    self.observer.refusals.clear(&id);
                    self.observer.note_rehearsal(&id, &after);
                }
                Err(error) => self.refused(&id, &ObjectKey::cloneset(&id), &error).await,
            }
        }
    }

    /// Counts a move that was carried out.
    fn count(&self, decided: Option<&Move>, carried: &Carried) {
        let Some(decided) = decided else { return };
        self.pulse.count(|tally| {
            tally.decided(&decided.decision);
            if decided.decision == Decision::Repair {
                for written in &carried.written {
                    *tally.repaired.entry(written.key.kind).or_default() += 1;
                }
            }
        });
    }

    async fn refused(&mut self, id: &ReleaseId, key: &ObjectKey, error: &Error) {
        let is_companion = key.kind != Kind::CloneSet;
        let looked = if is_companion && matches!(error, Error::Exists | Error::Conflict) {
            self.reclaim(id, key).await
        } else {
            Ok(None)
        };
        match looked {
            Ok(Some(true)) => {
                self.observer.note_free(id, key);
                return;
            }
            Ok(Some(false)) => self.observer.note_stranger(id, key.clone()),
            Ok(None) | Err(_) => {}
        }
        // Whose it is cannot be told without looking: why not, is what somebody has to mend.
        let error = looked.as_ref().err().filter(|it| !it.is_transient()).unwrap_or(error);
        if self.observer.refusals.note(id, &key.to_string(), error, self.clock.now()) {
            let refused = error.hold("refused").message;
            tracing::warn!(release = %id, object = %key, category = error.category(), "{refused}");
        }
    }

    /// Looks whether a companion that exists is ours after all, or nobody's: somebody may have taken its label away, and
    /// it is not watched without. Gives whether it may be; nothing where it is gone.
    async fn reclaim(&self, id: &ReleaseId, key: &ObjectKey) -> Result<Option<bool>, Error> {
        let Some(executor) = self.executor.as_ref() else { return Ok(None) };
        let (api, namespace, name) = (key.kind.api(), key.namespace.as_str(), key.name.as_str());
        let target = Target { api, namespace, name, status: false };
        let Some(object) = executor.cluster.read(target).await? else {
            executor.cache.lost(key);
            return Ok(None);
        };
        let Some(seen): Option<SeenCompanion> = project::companion(&object) else { return Ok(None) };
        let named = seen.live.release == id.to_string() && seen.stand.ownership.owners().has_ours();
        // The plan says whether one that names no release is to be taken over.
        let ours = named || (seen.live.release.is_empty() && self.observer.adopts(id));
        if ours {
            executor.cache.wrote(Feed::Companions(key.kind), &object);
        }
        Ok(Some(ours))
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
        self.doubtful.retain(|id, _| plan.moves.contains_key(id));
        let removes = |id: &ReleaseId| plan.moves.get(id).is_some_and(|it| it.decision == Decision::Remove);
        self.removed.retain(|id, _| removes(id));
        let doubtful: Vec<ReleaseId> = self.doubtful.keys().cloned().collect();
        for id in doubtful {
            if let Some(case) = world.cases.get(&id) {
                self.tell_late(world, &id, case);
            }
        }
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
            let again = self.removed.get(id) == Some(&it.message);
            self.tell_one(world, id, case, &Outcome { decided: it, done, violation, before: &before, again });
        }
    }

    /// Tells of a move whose answer was lost, once the cluster shows that it happened.
    fn tell_late(&mut self, world: &World, id: &ReleaseId, case: &Case) {
        let happened = self.doubtful.get(id).is_some_and(|(late, _)| late.memory.as_ref() == case.memory());
        if !happened {
            return;
        }
        let Some((late, then)) = self.doubtful.remove(id) else { return };
        self.pulse.count(|tally| tally.decided(&late.decision));
        let before = self.told.before(id, &then);
        let outcome = Outcome { decided: &late, done: true, violation: None, before: &before, again: false };
        self.tell_one(world, id, &then, &outcome);
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
        log(world, id, case, outcome);
        let may_tell = may_tell(&executor.cache, id, &world.policy.root) && !self.observer.rivals.write(id);
        if !world.has_records || !may_tell {
            return;
        }
        let seen = executor.cache.record(id);
        let about = case.live.as_ref().map(|live| live.uid.clone());
        if let Some(note) = report::note(world, id, outcome, about, &self.holder) {
            executor.lane.note(id, note);
        }
        let removed = outcome.decided.decision == Decision::Remove && outcome.violation.is_none();
        if removed && outcome.done {
            self.removed.insert(id.clone(), outcome.decided.message.clone());
            if seen.is_some() {
                executor.lane.forget(id);
            }
            self.told.forget(id);
            return;
        }
        // Neither Git nor the cluster knows it any more: a record told now would come back from the dead.
        if matches!(case.desired, Desired::Gone(_)) && case.memory().is_none() && seen.is_none() {
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
        let seen_lease = seen.as_ref().and_then(|seen| seen.lease.clone());
        let spec = report::spec(case, seen.map(|seen| seen.stand.object()["spec"].clone()));
        let status = record::status(world, case, outcome, documents);
        self.told.note(id, &status);
        self.observer.note_told(id, outcome.memory(case));
        let (root, heir_of) = (world.policy.root.clone(), seen_lease);
        executor.lane.tell(id, Telling { spec, root, heir_of, status });
    }
}

/// What a move would do, and what holds it.
fn intent(outcome: &Outcome<'_>) -> String {
    let decided = outcome.decided;
    let word = decided.decision.word();
    let does = match (&*decided.message, decided.writes.is_empty(), &decided.pending) {
        _ if outcome.violation.is_some() => "would do nothing".to_owned(),
        _ if decided.rehearsal.is_some() => "would Adopt, after a dry-run".to_owned(),
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
    cache.record(id).is_none_or(|seen| seen.live.root.as_deref().is_none_or(|theirs| theirs == root))
}

/// Whether a move that was refused may have happened all the same, and can be told from one that did not: by the memory
/// that it writes.
fn is_doubtful(decided: &Move, case: &Case, error: &Error) -> bool {
    let lost = matches!(
        error,
        Error::TimedOut(_) | Error::Unavailable { .. } | Error::Malformed(_) | Error::Rewritten(_)
    );
    lost && decided.memory.is_some() && decided.memory.as_ref() != case.memory()
}

/// Whether nothing of a plan waits for another lap: no create was announced, and no answer is missing.
fn is_settled(plan: &Plan, carried: &BTreeMap<ReleaseId, Carried>) -> bool {
    let announced = plan.moves.values().any(|it| it.pending.is_some() && it.writes.is_empty());
    let missing = |it: &Carried| it.refused.as_ref().is_some_and(|(_, error)| error.is_transient());
    !announced && !carried.values().any(missing)
}

fn log(world: &World, id: &ReleaseId, case: &Case, outcome: &Outcome<'_>) {
    let decided = outcome.decided;
    if let Some(violation) = outcome.violation {
        let decision = decided.decision.word();
        tracing::error!(release = %id, row = %decided.row, decision, "{}", violation.message);
    } else if outcome.is_told() {
        Audit::of(world, id, case, outcome).tell();
    }
    if outcome.done {
        log_place(id, outcome);
    }
}

/// Says where a release is, where that changed. What passes within moments is for those who look closely.
fn log_place(id: &ReleaseId, outcome: &Outcome<'_>) {
    let (view, before) = (&outcome.decided.view, &outcome.before.view);
    let gate = |view: &View| view.holds.first().map(|hold| hold.gate);
    let moved = view.phase != before.phase || gate(view) != gate(before);
    // A transition that closes no gate has said it all.
    if !moved || (outcome.is_told() && view.holds.is_empty()) {
        return;
    }
    let phase = view.phase.word();
    let message = match record::sentence(view, outcome.decided) {
        why if why.is_empty() => format!("{id} goes on"),
        // A hold names its release.
        why if view.holds.is_empty() => format!("{id}: {why}"),
        why => why,
    };
    let momentary = |hold: &Hold| match hold.gate {
        Gate::Controller => true,
        gate => gate == Gate::Cluster && hold.lift.kind == LiftKind::Wait,
    };
    if view.phase == before.phase && view.holds.first().is_none_or(momentary) {
        tracing::debug!(release = %id, phase, "{message}");
    } else {
        tracing::info!(release = %id, phase, "{message}");
    }
}
