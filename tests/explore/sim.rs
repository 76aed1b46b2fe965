//! One simulated world: Git, cluster, clock and daemon, and everything that can happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use triton::devcluster::sim::Sim as Kube;
use triton::guard::check;
use triton::model::{Hold, ReleaseId};
use triton::objects::record::Phase;
use triton::objects::{Kind, keys};
use triton::plan::plan;
use triton::world::{Action, Decision, Plan, World, Write};

use crate::explore::bugs::Bug;
use crate::explore::cluster::{Cluster, Refused, foreign};
use crate::explore::daemon::{Daemon, recorded, same_record};
use crate::explore::judge::{Scene, wrote};
use crate::explore::ledger::{Ledger, Names, Violation, leave};
use crate::explore::line::Commit;
use crate::explore::pods::CloneSet;
use crate::explore::removal::removed;
use crate::explore::spec::{digest, key, release};
use crate::explore::story::Setup;

/// The names of the releases, by their numbers.
pub const NAMES: &[&str] = &["shop/checkout", "shop/cart", "shop/search"];

/// When stories begin, in seconds.
const BEGIN: i64 = 100;
/// Seconds before that in which what exists already comes to rest.
const SETTLE: i64 = 20;

/// What one lap did.
#[derive(Clone, Debug, Default)]
pub struct Lap {
    /// CloneSets that were written and are other ones now, with the row that decided.
    pub wrote: Vec<(ReleaseId, char)>,
}

/// One world.
#[derive(Clone)]
pub struct Sim {
    /// How it began.
    pub setup: Setup,
    /// The releases.
    pub ids: Vec<ReleaseId>,
    /// The clock, in seconds.
    pub now: i64,
    /// The line, as the server has it.
    pub line: Vec<Arc<Commit>>,
    /// Length of the line that the server shows.
    pub served: usize,
    /// Whether Git answers.
    pub answers: bool,
    /// Number of the next commit.
    pub next: u32,
    /// The cluster.
    pub cluster: Cluster,
    /// The present leader.
    pub daemon: Daemon,
    /// The newest head that any process has seen.
    pub seen: Option<u32>,
    /// A paused leader: its plan, and when it was made.
    pub old: Option<(Plan, i64)>,
    /// Bad templates.
    pub bad: BTreeSet<char>,
    /// Rounds without any process.
    pub down: u32,
    /// Rounds until Kruise's manager, which is dead, is started again.
    pub dead: u32,
    /// What the checker knows.
    pub ledgers: BTreeMap<ReleaseId, Ledger>,
    /// Names of digests.
    pub names: Names,
    /// Holds of the last lap.
    pub holds: BTreeMap<ReleaseId, Vec<Hold>>,
    /// Phases of the last lap.
    pub phases: BTreeMap<ReleaseId, Phase>,
    /// CloneSets as they were made first: what somebody may have exported then.
    pub made: BTreeMap<ReleaseId, Value>,
    /// Releases whose objects were left behind.
    pub left: BTreeSet<ReleaseId>,
    /// Surplus pods that were deleted because a hold asked for it.
    pub cures: u64,
    /// Whether crashes are compared with what comes without them.
    pub forks: bool,
    /// Crashes that were compared with what comes without them.
    pub pairs: u64,
    /// Rounds that the longest way to rest took.
    pub longest: u32,
    /// Writes so far: release, row, decision, step.
    pub writes: Vec<String>,
    /// Things that happened.
    pub events: u64,
    /// Requests that changed nothing.
    pub vain: u64,
    /// The planted bug.
    pub bug: Option<Bug>,
    /// What happened, in words, where somebody listens.
    pub log: Option<Vec<String>>,
}

impl Sim {
    /// A world at its beginning.
    #[must_use]
    pub fn new(setup: &Setup, bug: Option<Bug>, listen: bool) -> Self {
        let ids: Vec<ReleaseId> =
            NAMES.iter().take(setup.specs.len()).map(|name| name.parse().expect("a name")).collect();
        let first = Commit {
            number: 1,
            author: setup.author,
            specs: ids.iter().cloned().zip(setup.specs.iter().copied()).collect(),
            marks: BTreeSet::new(),
            freeze: None,
            removals: BTreeSet::new(),
        };
        let mut sim = Self {
            setup: setup.clone(),
            now: BEGIN,
            line: Vec::new(),
            served: 0,
            answers: true,
            next: 2,
            cluster: Cluster::new(&ids, setup.chance, BEGIN - SETTLE),
            daemon: Daemon::default(),
            seen: None,
            old: None,
            bad: setup.bad.iter().copied().collect(),
            down: 0,
            dead: 0,
            ledgers: ids.iter().map(|id| (id.clone(), Ledger::default())).collect(),
            names: Names::default(),
            holds: BTreeMap::new(),
            phases: BTreeMap::new(),
            made: BTreeMap::new(),
            left: BTreeSet::new(),
            cures: 0,
            forks: false,
            pairs: 0,
            longest: 0,
            writes: Vec::new(),
            events: 0,
            vain: 0,
            bug,
            log: listen.then(Vec::new),
            ids,
        };
        sim.push(first);
        for template in &setup.bad {
            sim.cluster.turn(*template, true);
        }
        if setup.found {
            sim.found();
        }
        sim.cluster.advance(sim.now);
        sim
    }

    /// CloneSets that are there before the program.
    fn found(&mut self) {
        for id in self.ids.clone() {
            let spec = self.line[0].specs[&id];
            self.cluster.make(foreign(&release(&id, &spec), spec.replicas.unwrap_or(3)));
        }
    }

    /// Adds a commit to the line and serves it.
    pub fn push(&mut self, commit: Commit) {
        for (id, spec) in &commit.specs {
            self.names.docs.insert(digest(id, &spec.doc), spec.doc);
        }
        self.line.push(Arc::new(commit));
        self.served = self.line.len();
    }

    /// Says what happens, where somebody listens.
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            let text = text();
            let same = |it: &str| it.split_once(": ").map(|(_, rest)| rest.to_owned());
            if text.starts_with("    ") && log.iter().rev().take(6).any(|it| same(it) == same(&text)) {
                return;
            }
            log.push(text);
        }
    }

    /// So many seconds pass for pods and their controllers.
    pub fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        if self.dead > 0 {
            self.dead -= 1;
            if self.dead == 0 {
                self.cluster.touch(Kube::start_manager);
            }
        }
        self.cluster.advance(self.now);
        for ledger in self.ledgers.values_mut() {
            ledger.excuses.broken_top |= ledger.proven.last().is_some_and(|top| self.bad.contains(top));
        }
    }

    /// Kruise's manager dies.
    pub fn kill_manager(&mut self, rounds: u32) {
        self.dead = rounds;
        self.cluster.touch(Kube::kill_manager);
    }

    /// Git is asked.
    pub fn poll(&mut self) {
        let line = self.line[..self.served].to_vec();
        let line = self.answers.then_some(line.as_slice());
        if self.bug == Some(Bug::HeadForgotten) {
            self.cluster.lease = None;
        }
        self.daemon.poll(line, &self.ids, &mut self.cluster, self.now);
        let head = self.daemon.reading.as_ref().filter(|_| self.daemon.fault.is_none());
        self.seen = self.seen.max(head.map(|reading| reading.head().number));
    }

    /// The process ends and begins again.
    pub fn restart(&mut self) {
        self.daemon = Daemon::default();
        self.holds.clear();
        if self.bug == Some(Bug::ProofForgotten) {
            forget_proof(&mut self.cluster);
        }
    }

    fn world(&mut self) -> World {
        let mut world = self.daemon.observe(&self.cluster, &self.ids, self.setup.people, self.now);
        if let Some(bug) = self.bug {
            bug.facts(&mut world, &self.names);
        }
        world
    }

    fn decide(&mut self) -> (World, Plan) {
        let world = self.world();
        let mut plan = plan(&world);
        if let Some(bug) = self.bug {
            bug.decisions(&world, &mut plan);
        }
        (world, plan)
    }

    /// The leader asks Git, plans, and is paused before it writes.
    pub fn pause(&mut self) {
        self.poll();
        let (_, plan) = self.decide();
        self.old = Some((plan, self.now));
    }

    /// The paused leader wakes and writes what it had planned. Another one leads: nothing goes forward.
    ///
    /// # Errors
    /// The rule that a write breaks.
    pub fn wake(&mut self) -> Result<(), Violation> {
        let Some((plan, since)) = self.old.take() else { return Ok(()) };
        let leads = since == self.now;
        for (id, decided) in &plan.moves {
            for write in &decided.writes {
                if write.forward && !leads && self.bug != Some(Bug::LeaseIgnored) {
                    break;
                }
                if self.send(id, write, decided.row)? == Sent::Refused {
                    break;
                }
            }
        }
        Ok(())
    }

    /// One lap: observe, plan, write; it stops after `budget` writes.
    ///
    /// # Errors
    /// The rule that a write breaks.
    pub fn lap(&mut self, mut budget: u32) -> Result<Lap, Violation> {
        self.events += 1;
        let (world, plan) = self.decide();
        self.guarded(&world, &plan)?;
        let mut lap = Lap::default();
        let mut done = BTreeMap::new();
        for (id, decided) in &plan.moves {
            self.tell(id, decided);
            done.insert(id.clone(), true);
            for write in &decided.writes {
                if budget == 0 {
                    self.restart();
                    return Ok(lap);
                }
                budget -= 1;
                match self.send(id, write, decided.row)? {
                    Sent::Changed if write.object.kind == Kind::CloneSet => {
                        lap.wrote.push((id.clone(), decided.row));
                    }
                    Sent::Changed | Sent::Same => {}
                    Sent::Refused => {
                        done.insert(id.clone(), false);
                        break;
                    }
                }
            }
        }
        for (id, _) in done.iter().filter(|(_, done)| **done) {
            if self.record(&world, &plan, id) {
                if budget == 0 {
                    self.restart();
                    return Ok(lap);
                }
                budget -= 1;
            }
        }
        let announces = plan.moves.values().any(|it| it.announces);
        if announces {
            if budget == 0 {
                self.restart();
                return Ok(lap);
            }
            self.daemon.create = Some(self.cluster.announce(self.now).into());
        }
        let creates = announces || plan.moves.values().any(|it| it.decision == Decision::Create);
        self.cluster.withdraw(self.daemon.create.as_deref().filter(|_| creates), self.now);
        let stands = |create: &Arc<str>| self.cluster.creates.contains_key(&**create);
        self.daemon.create = self.daemon.create.take().filter(stands);
        self.phases = plan.moves.iter().map(|(id, decided)| (id.clone(), decided.view.phase)).collect();
        self.holds = plan.moves.into_iter().map(|(id, decided)| (id, decided.view.holds)).collect();
        Ok(lap)
    }

    /// The guard finds nothing wrong with a plan, unless a bug was planted in it.
    fn guarded(&mut self, world: &World, plan: &Plan) -> Result<(), Violation> {
        let found = if self.bug.is_none() { check(world, plan) } else { BTreeMap::new() };
        let Some((id, violation)) = found.into_iter().next() else { return Ok(()) };
        self.tell(&id, &plan.moves[&id]);
        let text = format!("row {}: {:?}: {}", plan.moves[&id].row, violation.rule, violation.message);
        Err(Violation { rule: "guard", text })
    }

    fn tell(&mut self, id: &ReleaseId, decided: &triton::world::Move) {
        let now = self.now;
        self.say(|| {
            let holds: Vec<&str> = decided.view.holds.iter().map(|hold| hold.message.as_str()).collect();
            let memory = decided.memory.as_ref().map_or_else(String::new, |it| {
                let proven = crate::explore::ledger::letters(it).iter().collect::<String>();
                let reached = it.step_reached.map(|it| it.pods);
                format!(
                    "{} step {} reached {reached:?} failed {:?} proven {proven}",
                    it.version,
                    it.step,
                    it.failed.map(|it| it.attempt)
                )
            });
            let writes = decided.writes.len();
            format!(
                "    {now}: {id} {} {:?}, {writes} writes: {} | {memory} | {holds:?}",
                decided.row, decided.decision, decided.message
            )
        });
    }

    /// Writes the record after a move; whether it is another one now.
    fn record(&mut self, world: &World, plan: &Plan, id: &ReleaseId) -> bool {
        let (case, decided) = (&world.cases[id], &plan.moves[id]);
        let before = self.cluster.records.get(id);
        if decided.decision == Decision::Remove {
            if self.ledgers[id].entry.as_ref().is_some_and(|entry| entry.doc.orphan) {
                self.left.insert(id.clone());
            }
            self.ledgers.insert(id.clone(), Ledger::default());
            return self.cluster.records.remove(id).is_some();
        }
        let Some(mut record) = recorded(case, decided, before, &self.cluster, id) else { return false };
        if before.is_some_and(|before| same_record(before, &record)) {
            return false;
        }
        record.version = self.cluster.tick();
        self.cluster.records.insert(id.clone(), record);
        true
    }

    /// Sends one write, and has the checker look at what it did.
    fn send(&mut self, id: &ReleaseId, write: &Write, row: char) -> Result<Sent, Violation> {
        self.events += 1;
        let before = self.cluster.sets.get(id).cloned();
        let mut write = write.clone();
        if let Some(bug) = self.bug.filter(|_| write.object.kind == Kind::CloneSet) {
            bug.carried_out(&self.cluster, id, &mut write.action);
        }
        match self.cluster.write(id, &write) {
            Err(Refused::Conflict | Refused::Down) => return Ok(Sent::Refused),
            Err(Refused::Harmful(text)) => return Err(Violation { rule: "whole", text }),
            Ok(false) => {
                self.vain += 1;
                return Ok(Sent::Same);
            }
            Ok(true) => {}
        }
        if write.object.kind != Kind::CloneSet {
            self.companion(id, &write)?;
            return Ok(Sent::Changed);
        }
        if let (None, Some(body)) = (&before, self.cluster.body(id)) {
            self.made.insert(id.clone(), body);
        }
        self.judge(id, before.as_ref(), row)?;
        Ok(Sent::Changed)
    }

    fn judge(&mut self, id: &ReleaseId, before: Option<&CloneSet>, row: char) -> Result<(), Violation> {
        let Some(after) = self.cluster.sets.get(id) else {
            return removed(self, id, false);
        };
        if !after.annotations.contains_key(keys::RELEASE) {
            removed(self, id, true)?;
            self.left.insert(id.clone());
            return Ok(());
        }
        self.left.remove(id);
        let scene = Scene {
            id,
            now: self.now,
            before,
            after,
            creates: &self.cluster.creates,
            line: &self.line,
            seen: self.seen,
            follows: self.daemon.reading.as_ref().map(|reading| reading.head().number),
            fetched: self.daemon.fetched,
            bad: &self.bad,
            people: self.setup.people,
            names: &self.names,
        };
        let ledger = self.ledgers.get_mut(id).expect("every release has one");
        let judged = wrote(ledger, &scene);
        let text = format!("{id} {row}: {} of {} at {}", after.template, after.replicas, after.partition);
        self.writes.push(text);
        judged.map_err(|violation| Violation { text: format!("row {row}: {}", violation.text), ..violation })
    }

    /// While Git is frozen no companion becomes what the entered release does not say.
    fn companion(&self, id: &ReleaseId, write: &Write) -> Result<(), Violation> {
        let Action::Apply { body, .. } = &write.action else {
            return crate::explore::ledger::require(!self.left.contains(id), "removal", || {
                format!("{} of {id} is deleted, and was to stay", write.object)
            });
        };
        let leave = leave(&self.line, self.seen, id, self.setup.people, self.now);
        let ledger = &self.ledgers[id];
        let entered = ledger.entry.as_ref().map(|entry| entry.doc.service);
        let is_service = write.object == key(id, Kind::Service);
        let says = body["spec"]["selector"]["app"].as_str().and_then(|text| text.parse::<u32>().ok());
        let frozen = leave.is_some_and(|leave| leave.closed);
        let made = !self.cluster.sets.contains_key(id);
        let fine = !is_service || !frozen || says == entered || made || ledger.excuses.hand;
        crate::explore::ledger::require(fine, "closed", || {
            format!("the Service of {id} changes while frozen")
        })
    }
}

/// Keeps of each proven stack the newest entry alone.
fn forget_proof(cluster: &mut Cluster) {
    let sets = cluster.sets.iter().filter_map(|(id, set)| Some((id.clone(), set.memory.clone()?)));
    for (id, mut memory) in sets.collect::<Vec<_>>() {
        memory.proven.drain(..memory.proven.len().saturating_sub(1));
        let kept = memory.to_annotations().remove(keys::PROVEN);
        cluster.edit(&id, |body| body["metadata"]["annotations"][keys::PROVEN] = kept.into());
    }
}

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Changed,
    Same,
    Refused,
}
