//! One lap: observe → plan → guard → execute → report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::{Cache, Telling};
use crate::controller::clock::Clock;
use crate::controller::errands::{Came, Errand, Errands, Part, has_happened, is_doubtful};
use crate::controller::execute::{Carried, Executor, Refused};
use crate::controller::log::{intent, log};
use crate::controller::looks::{Looks, missing};
use crate::controller::observe::Observer;
use crate::controller::pulse::{Pulse, Survey};
use crate::controller::record::{self, Outcome};
use crate::controller::refusals::Urgency;
use crate::controller::report::{self, Told};
use crate::guard;
use crate::model::{Hold, ReleaseId};
use crate::objects::record::View;
use crate::objects::{Kind, ObjectKey};
use crate::plan;
use crate::world::{Case, Decision, Desired, Memory, Move, Plan, World};

/// What of a move is told, as it was at the last lap.
struct Shown {
    view: View,
    memory: Option<Memory>,
    violation: Option<Hold>,
}

impl Shown {
    fn of(decided: &Move, violation: Option<&Hold>) -> Self {
        let (view, memory) = (decided.view.clone(), decided.memory.clone());
        Self { view, memory, violation: violation.cloned() }
    }

    fn is_of(&self, decided: &Move, violation: Option<&Hold>) -> bool {
        self.view == decided.view && self.memory == decided.memory && self.violation.as_ref() == violation
    }
}

/// What a lap came to.
#[derive(Clone, Copy, Debug)]
pub struct Lapped {
    /// The next moment when time alone changes something.
    pub wake_at: Option<Timestamp>,
    /// Whether everything is written that could be at once.
    pub settled: bool,
}

/// A move that has come back.
pub type Returned = (ReleaseId, Errand, Came);

/// Everything that a lap needs and leaves behind.
pub struct Laps {
    /// The one clock.
    pub clock: Clock,
    /// What was seen.
    pub observer: Observer,
    /// Moves under way; none where nothing is written.
    errands: Option<Errands>,
    /// Who tells it: the name of this process.
    pub holder: String,
    /// What the loop shows of itself.
    pub pulse: Pulse,
    /// Releases that something was to be told of while a move of theirs was still to be carried out.
    untold: BTreeSet<ReleaseId>,
    /// Whether creates waited for an announcement at the last lap.
    announces: bool,
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
            errands: executor.map(|executor| Errands::new(executor, clock)),
            holder,
            pulse,
            untold: BTreeSet::new(),
            announces: false,
            told: Told::default(),
            shown: BTreeMap::new(),
            intents: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            removed: BTreeMap::new(),
        }
    }

    /// Does one lap. What it decides is begun, and goes on beside the loop: see [`Laps::returned`].
    pub fn lap(&mut self) -> Lapped {
        if let Some(errands) = &mut self.errands {
            errands.recall();
        }
        while let Some(returned) = self.errands.as_mut().and_then(Errands::try_returned) {
            self.settle(returned);
        }
        let (world, mut changed) = self.observer.world(self.clock.now());
        let plan = plan::plan(&world);
        for id in self.observer.begin_lap(&world) {
            self.told.forget(&id);
            self.shown.remove(&id);
            self.intents.remove(&id);
        }
        let found = guard::check(&world, &plan);
        let is_away = |id: &ReleaseId| self.errands.as_ref().is_some_and(|it| it.is_away(id));
        let found = found.iter().filter(|(id, _)| !is_away(id));
        let violations: BTreeMap<ReleaseId, Hold> = found.map(|(id, it)| (id.clone(), it.hold(id))).collect();
        self.clear_refusals(&plan);
        let begun = self.begin(&world, &plan, &violations);
        for id in Looks::stale(&world, &plan).filter(|id| !begun.contains(*id)) {
            self.observer.crowd.looks.forget(id);
            self.observer.touch(id);
        }
        changed.append(&mut self.untold);
        self.tell(&world, &plan, &changed, &begun, &violations);
        self.pulse.surveyed(Survey::of(&world, &plan, violations.keys()));
        self.announces = self.errands.is_some() && plan.moves.values().any(|it| it.announces);
        let creates = plan.moves.values().any(|it| it.announces || it.decision == Decision::Create);
        self.observer.announced.look(&world.cases, creates || !self.is_idle());
        let settled =
            self.errands.is_some() && self.is_idle() && !self.announces && !self.observer.refusals.may_pass();
        Lapped { wake_at: plan.wake_at, settled }
    }

    /// Whether creates wait for an announcement that may be written now.
    #[must_use]
    pub fn announces(&self) -> bool {
        self.announces && self.observer.announced.may_announce()
    }

    /// Whether no move is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.errands.as_ref().is_none_or(Errands::is_idle)
    }

    /// A move that has come back; never where none is under way.
    pub async fn returned(&mut self) -> Returned {
        match &mut self.errands {
            Some(errands) => errands.returned().await,
            None => std::future::pending().await,
        }
    }

    /// Ends every move that is under way.
    pub fn end(&mut self) {
        if let Some(errands) = &mut self.errands {
            errands.end();
        }
    }

    /// Begins what the plan has to do, as far as it may be done now. Gives the releases of which something is to be
    /// written: they are told when it is.
    fn begin(
        &mut self,
        world: &World,
        plan: &Plan,
        violations: &BTreeMap<ReleaseId, Hold>,
    ) -> BTreeSet<ReleaseId> {
        let Some(errands) = &mut self.errands else { return BTreeSet::new() };
        let (observer, refusals) = (&self.observer, &self.observer.refusals);
        let part = |id: &ReleaseId, it: &Move| {
            let urgency = Urgency::of(it);
            let sees = urgency > Urgency::Usual || !observer.is_blind(id);
            let (alone, sound) = (!observer.rivals.write(id), !violations.contains_key(id));
            let writes = (!it.writes.is_empty() && sees && alone) || it.rehearsal.is_some();
            let writes = writes && sound && !refusals.waits(id, urgency);
            let waits = || observer.crowd.refusals.waits(id, Urgency::Usual);
            let serving = !it.serving.is_empty() && alone && sound && !waits();
            let looks = world.cases.get(id).is_some_and(|case| missing(it, case).next().is_some());
            let looks = looks && sound && !observer.crowd.looks.refusals.waits(id, Urgency::Usual);
            Part { writes, serving, looks }
        };
        let parts = plan.moves.iter().map(|(id, it)| (id, it, part(id, it)));
        let moves: Vec<_> = parts.filter(|(.., part)| part.writes || part.serving || part.looks).collect();
        let writes = moves.iter().filter(|(_, it, part)| part.writes && !it.writes.is_empty());
        let begun = writes.map(|(id, ..)| ReleaseId::clone(id)).collect();
        errands.judged(world, moves, &|id| observer.adopts(id));
        errands.begin(&|id, case| observer.stands(id, case));
        begun
    }

    /// Takes in what became of a move, and begins the next one that waits.
    pub fn settle(&mut self, (id, errand, came): Returned) {
        self.observer.touch(&id);
        match came {
            Came::Rehearsed(Ok(after)) => {
                self.observer.refusals.clear(&id);
                self.observer.note_rehearsal(&id, &errand.case, &after);
            }
            Came::Rehearsed(Err(error)) => {
                let key = ObjectKey::cloneset(&id);
                self.refused(&id, &Refused { key, error, looked: Ok(None) }, Urgency::Usual);
            }
            Came::Looked(glance) => self.observer.crowd.looks.settle(&id, glance, self.clock.now()),
            Came::Carried(carried) => {
                self.settle_pods(&id, &errand, &carried);
                if errand.part.writes {
                    self.settle_writes(&id, errand, &carried);
                }
            }
        }
        if let Some(errands) = &mut self.errands {
            errands.begin(&|id, case| self.observer.stands(id, case));
        }
    }

    /// Pods that could not be let in are tried again, by themselves.
    fn settle_pods(&mut self, id: &ReleaseId, errand: &Errand, carried: &Carried) {
        let refusals = &mut self.observer.crowd.refusals;
        if errand.part.serving && carried.kept_out.is_empty() {
            refusals.clear(id);
        }
        for (key, error) in carried.kept_out.iter().take(1) {
            if refusals.note(id, key, error, Urgency::Usual, self.clock.now()) {
                let refused = error.hold("not let in").message;
                tracing::warn!(release = %id, object = %key, category = error.category(), "{refused}");
            }
        }
    }

    fn settle_writes(&mut self, id: &ReleaseId, errand: Errand, carried: &Carried) {
        for written in &carried.written {
            match &written.applied {
                Some((sent, returned)) => self.observer.echoes.note(&written.key, sent, returned),
                None => self.observer.echoes.forget(&written.key),
            }
        }
        let Errand { decided, case, scene, .. } = errand;
        // It was seen before the write, and says nothing of what came after it.
        self.observer.crowd.looks.forget(id);
        if let Some(refused) = &carried.refused {
            // What was refused of something else does not keep pods from going back.
            let most = if refused.key.kind == Kind::CloneSet { Urgency::Pods } else { Urgency::Traffic };
            self.refused(id, refused, Urgency::of(&decided).min(most));
            let others = carried.written.iter().map(|it| &it.key).filter(|key| **key != refused.key);
            self.observer.refusals.written(id, others);
        } else {
            // Traffic that moves says nothing of what else was refused.
            if decided.decision == Decision::Shift {
                self.observer.refusals.written(id, carried.written.iter().map(|it| &it.key));
            } else {
                self.observer.refusals.clear(id);
            }
            self.doubtful.remove(id);
            self.count(&decided, carried);
        }
        self.shown.insert(id.clone(), Shown::of(&decided, None));
        self.tell_written(&scene, id, &case, &decided, carried.refused.is_none());
        if carried.refused.as_ref().is_some_and(|refused| is_doubtful(&decided, &case, &refused.error)) {
            self.doubtful.insert(id.clone(), (decided, case));
        }
    }

    /// Of a release that is to be written no more, no refusal stands.
    fn clear_refusals(&mut self, plan: &Plan) {
        for (id, it) in &plan.moves {
            let is_away = self.errands.as_ref().is_some_and(|errands| errands.is_away(id));
            let rests = it.writes.is_empty() && it.rehearsal.is_none() && !is_away;
            if rests && self.observer.refusals.clear(id) {
                self.observer.touch(id);
            }
            if it.looks.is_empty() && self.observer.crowd.looks.refusals.clear(id) {
                self.observer.touch(id);
            }
            if it.serving.is_empty() && !is_away && self.observer.crowd.refusals.clear(id) {
                self.observer.touch(id);
            }
        }
    }

    /// Counts a move that was carried out.
    fn count(&self, decided: &Move, carried: &Carried) {
        self.pulse.count(|tally| {
            decided.told().for_each(|it| tally.decided(&it.decision));
            if decided.decision == Decision::Repair {
                for written in &carried.written {
                    *tally.repaired.entry(written.key.kind).or_default() += 1;
                }
            }
        });
    }

    fn refused(&mut self, id: &ReleaseId, refused: &Refused, bars: Urgency) {
        let Refused { key, error, looked } = refused;
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
        if self.observer.refusals.note(id, key, error, bars, self.clock.now()) {
            let refused = error.hold("refused").message;
            tracing::warn!(release = %id, object = %key, category = error.category(), "{refused}");
        }
    }

    /// Tells what changed: to the log, to the record, as Events.
    fn tell(
        &mut self,
        world: &World,
        plan: &Plan,
        changed: &BTreeSet<ReleaseId>,
        begun: &BTreeSet<ReleaseId>,
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
            !same || changed.contains(*id)
        };
        let news: Vec<_> = plan.moves.iter().filter(is_news).collect();
        for (id, it) in news {
            let violation = violations.get(id);
            let Some(case) = world.cases.get(id) else { continue };
            // That a create is to be announced is over before anybody could read it.
            let is_momentary = it.announces && self.observer.announced.may_announce();
            let is_away = self.errands.as_ref().is_some_and(|errands| errands.is_away(id));
            if begun.contains(id) || is_away || is_momentary {
                self.untold.insert(id.clone());
                continue;
            }
            self.shown.insert(id.clone(), Shown::of(it, violation));
            let done = it.writes.is_empty();
            let before = self.told.before(id, case);
            let again = self.removed.get(id) == Some(&it.message);
            self.tell_one(world, id, case, &Outcome { decided: it, done, violation, before: &before, again });
        }
    }

    /// Tells of a move whose answer was lost, once the cluster shows that it happened.
    fn tell_late(&mut self, world: &World, id: &ReleaseId, case: &Case) {
        let happened = self.doubtful.get(id).is_some_and(|(late, _)| has_happened(late, case));
        if !happened {
            return;
        }
        let Some((late, then)) = self.doubtful.remove(id) else { return };
        self.pulse.count(|tally| late.told().for_each(|it| tally.decided(&it.decision)));
        self.tell_written(world, id, &then, &late, true);
    }

    /// Tells what became of a move that writes, and before it what it noted on the way.
    fn tell_written(&mut self, world: &World, id: &ReleaseId, case: &Case, decided: &Move, done: bool) {
        for decided in decided.told() {
            let before = self.told.before(id, case);
            let again = self.removed.get(id) == Some(&decided.message);
            let outcome = Outcome { decided, done, violation: None, before: &before, again };
            self.tell_one(world, id, case, &outcome);
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
        let Some(Errands { executor, .. }) = &self.errands else { return self.tell_intent(id, outcome) };
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

/// A record of another root is not ours to write.
fn may_tell(cache: &Cache, id: &ReleaseId, root: &str) -> bool {
    cache.record(id).is_none_or(|seen| seen.live.root.as_deref().is_none_or(|theirs| theirs == root))
}
