//! What a row decides, before it is put into words and shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::model::{Amount, CommitId, Hold, Name, ReleaseId};
use crate::objects::ObjectKey;
use crate::plan::body;
use crate::plan::companions::companion_writes;
use crate::plan::facts::Facts;
use crate::plan::holds;
use crate::plan::shares::Shares;
use crate::plan::steps::{self, Shape};
use crate::spec::{Companion, Exchange, Release};
use crate::world::{Action, Decision, Expect, Memory, Proof, Share, Try, Write};

/// What one row decides.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The row's letter.
    pub row: char,
    /// The decision.
    pub decision: Decision,
    /// One sentence; empty where nothing moves.
    pub message: String,
    /// What the write of row f would have said, where it goes into this one.
    pub noted: Option<Box<Outcome>>,
    /// In order.
    pub writes: Vec<Write>,
    /// Pods that are let in, each by itself.
    pub serving: Vec<Write>,
    /// Pods that count as they are seen.
    pub looks: Vec<Name>,
    /// A write to be tried by a dry-run.
    pub rehearsal: Option<Write>,
    /// Memory after the writes, where it changes.
    pub memory: Option<Memory>,
    /// Whether a create is to be announced.
    pub announces: bool,
    /// Every closed gate.
    pub holds: Vec<Hold>,
    /// What keeps single pods, told after them: it is no state of the release.
    pub beside: Vec<Hold>,
    /// The next moment when time alone changes this.
    pub wake_at: Option<Timestamp>,
}

impl Outcome {
    /// Nothing is written.
    #[must_use]
    pub fn hold(row: char, holds: Vec<Hold>) -> Self {
        Self::of(row, Decision::Hold, String::new()).holding(holds)
    }

    /// A decision without writes yet.
    #[must_use]
    pub fn of(row: char, decision: Decision, message: String) -> Self {
        let (writes, holds) = (Vec::new(), Vec::new());
        Self {
            row,
            decision,
            message,
            noted: None,
            writes,
            serving: Vec::new(),
            looks: Vec::new(),
            rehearsal: None,
            memory: None,
            announces: false,
            holds,
            beside: Vec::new(),
            wake_at: None,
        }
    }

    /// With holds.
    #[must_use]
    pub fn holding(mut self, holds: Vec<Hold>) -> Self {
        self.holds = holds;
        self
    }

    /// With a moment to wake at, if it is earlier.
    #[must_use]
    pub fn waking(mut self, at: Option<Timestamp>) -> Self {
        self.wake_at = [self.wake_at, at].into_iter().flatten().min();
        self
    }
}

/// Memory of a release whose pods are all to be on it, as it begins.
#[must_use]
pub fn fully_entered(release: &Release, episode: Option<CommitId>, now: Timestamp) -> Memory {
    Memory {
        uid: None,
        create: None,
        digest: release.digest,
        template: release.template,
        episode,
        version: release.version.clone(),
        step: release.last_step(),
        step_entered: now,
        step_reached: None,
        revision: None,
        served: 0,
        up: false,
        replaced: BTreeMap::new(),
        home: None,
        failed: None,
        proven: Vec::new(),
    }
}

/// Companions that have to go before they are made again: a lap of its own, before a pod reads them. Nothing else of
/// `writes` is sent with them.
#[must_use]
pub fn made_again(id: &ReleaseId, row: char, writes: &[Write]) -> Option<Outcome> {
    let deletes = writes.iter().filter(|write| matches!(write.action, Action::Delete { .. }));
    let deletes: Vec<Write> = deletes.cloned().collect();
    let names: Vec<String> = deletes.iter().map(|write| write.object.to_string()).collect();
    let message = format!("{id} makes companions again before they are read: {}", names.join(", "));
    let mut outcome = Outcome::of(row, Decision::Repair, message);
    outcome.writes = deletes;
    (!names.is_empty()).then_some(outcome)
}

/// That `step` is entered, in one sentence.
#[must_use]
pub fn entering(facts: &Facts<'_>, release: &Release, step: u32) -> String {
    let shape = facts.shape(release, step);
    let enters =
        format!("{} enters step {step} of {} of {}", facts.id, release.last_step(), holds::named(release));
    let Some(service) = release.strategy.service(step) else {
        let pods = shape.size - shape.partition.partition_pods(shape.size);
        return format!("{enters}: {} of {}", holds::pods(pods), facts.wanted_size());
    };
    let pods = holds::pods(steps::beside(release, step, shape.size));
    if step < release.last_step() {
        return format!("{enters}: {pods} beside the {} that serve, at Service {service}", shape.size);
    }
    format!("{enters}: Service {service} is to lead to its {pods}")
}

impl Facts<'_> {
    fn this_object(&self) -> Expect {
        Expect::Same(self.live.uid.clone(), self.live.version.clone())
    }

    /// Whether Git says the size.
    #[must_use]
    pub fn in_git(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.release().replicas.is_some())
    }

    /// Replicas are left out only where another manager owns them and Git does not.
    fn owns_size(&self) -> bool {
        self.in_git() || self.live.replicas_owner.is_none()
    }

    /// The home of a release that is switched as a whole, with so many pods and the memory that it has.
    #[must_use]
    pub fn home_write(&self, size: u32, own_size: bool) -> Write {
        let mut memory = self.memory.clone();
        memory.home = self.home_after(&memory);
        (memory.uid, memory.create) = (Some(self.live.uid.clone()), None);
        self.home_body(size, own_size, &memory)
    }

    /// The same, with another memory.
    #[must_use]
    pub fn home_body(&self, size: u32, own_size: bool, memory: &Memory) -> Write {
        let live = self.case.home.as_ref().unwrap_or(self.live);
        let shape = Shape { size, partition: Amount::Count(0) };
        let mut body = match self.home_release(memory) {
            Some(release) => body::cloneset(release, shape, own_size, memory, self.policy()),
            None => body::as_it_stands(self.id, live, shape, own_size, memory, self.policy()),
        };
        self.forget_replaced(&mut body, memory);
        let action = Action::Apply { body, expect: self.this_object() };
        Write { object: ObjectKey::cloneset(self.id), action, forward: false }
    }

    fn forget_replaced(&self, body: &mut Arc<Value>, memory: &Memory) {
        if memory.replaced.is_empty() && !self.memory.replaced.is_empty() {
            body::forget_replaced(Arc::make_mut(body));
        }
    }

    /// The write of the CloneSet: `release` in `shape`, with `memory`.
    fn cloneset_write(
        &self,
        release: Option<&Release>,
        shape: Shape,
        memory: &mut Memory,
        forward: bool,
    ) -> Write {
        if self.is_blue_green() {
            self.forget_unnamed(memory);
            let live = self.case.home.as_ref().unwrap_or(self.live);
            let own = self.in_git() || live.replicas_owner.is_none();
            return Write { forward, ..self.home_body(live.replicas, own, memory) };
        }
        let pods = self.to_delete(memory, shape);
        // A pod that is deleted does not come back: an old leader must not ask for it.
        let asks = pods.iter().flatten().any(|name| !self.live.to_delete.contains(name));
        let own = self.owns_size();
        let mut body = match release {
            Some(release) => body::cloneset(release, shape, own, memory, self.policy()),
            None => body::as_it_stands(self.id, self.live, shape, own, memory, self.policy()),
        };
        body::ask(Arc::make_mut(&mut body), pods.as_ref());
        self.forget_replaced(&mut body, memory);
        if self.may_make_anew(memory) {
            Exchange::loosen(&mut Arc::make_mut(&mut body)["spec"]);
        }
        Write {
            object: ObjectKey::cloneset(self.id),
            action: Action::Apply { body, expect: self.this_object() },
            forward: forward || asks,
        }
    }

    /// The CloneSet is written with `memory`.
    #[must_use]
    pub fn write(
        &self,
        row: char,
        decision: Decision,
        release: Option<&Release>,
        shape: Shape,
        mut memory: Memory,
        message: String,
    ) -> Outcome {
        (memory.uid, memory.create) = (Some(self.live.uid.clone()), None);
        memory.home = self.home_after(&memory);
        // A repair of an unproven release can bring pods to it again: an old leader must not send it.
        let forward = match decision {
            Decision::Enter(_) => true,
            Decision::Repair => !memory.entered_is_proven(),
            Decision::Rest
            | Decision::Hold
            | Decision::Note
            | Decision::Create
            | Decision::Adopt
            | Decision::Shift
            | Decision::Replace
            | Decision::Fail
            | Decision::RollBack
            | Decision::Complete
            | Decision::Remove => false,
        };
        let mut outcome = Outcome::of(row, decision, message);
        outcome.writes.push(self.cloneset_write(release, shape, &mut memory, forward));
        outcome.memory = Some(memory);
        outcome
    }

    /// Memory alone: the body as it stands, with new annotations.
    #[must_use]
    pub fn note(&self, row: char, decision: Decision, mut memory: Memory, message: String) -> Outcome {
        // A step edited by hand to one that the release does not have.
        memory.step = memory.step.min(self.last_step());
        let shape = Shape { size: self.live.replicas, partition: self.live.partition };
        let release = self.entered.map(|release| &**release);
        self.write(row, decision, release, shape, memory, message)
    }

    /// Every pod goes to `target`, a proven release, with `proven` as the stack: template and partition 0 in one
    /// write. Replicas and autoscalers are never touched; companions follow in the next lap.
    #[must_use]
    pub fn roll_back(
        &self,
        row: char,
        target: &Proof,
        proven: Vec<Proof>,
        failed: Option<Try>,
        why: &str,
    ) -> Outcome {
        let Some(release) = self.documents(target) else {
            return Outcome::hold(row, vec![holds::documents_lost(self.id, &target.version)]);
        };
        self.roll_back_to(row, release, target.commit, proven, failed, why)
    }

    /// As [`Facts::roll_back`], to documents at hand.
    #[must_use]
    pub fn roll_back_to(
        &self,
        row: char,
        release: &Arc<Release>,
        episode: Option<CommitId>,
        proven: Vec<Proof>,
        failed: Option<Try>,
        why: &str,
    ) -> Outcome {
        let replaced = self.memory.replaced.clone();
        let memory = Memory { failed, proven, replaced, ..fully_entered(release, episode, self.now()) };
        let shape = Shape { size: self.live.replicas, partition: Amount::Count(0) };
        let message = format!("{} goes back to {}: {why}", self.id, holds::named(release));
        self.write(row, Decision::RollBack, Some(release), shape, memory, message)
    }

    /// The stack as the next rollout finds it: a release with the proven template that was reached stands for it, even
    /// where the next one came before it was complete.
    #[must_use]
    pub fn stood(&self) -> Vec<Proof> {
        let memory = self.memory;
        let mut proven = memory.proven.clone();
        let Some(top) = proven.last_mut().filter(|_| self.is_proven()) else { return proven };
        // Kruise may have encoded it anew since it was proven.
        let revision = memory.revision.clone().or_else(|| top.revision.clone());
        if memory.step_reached.is_some() {
            let (digest, commit, version) = (memory.digest, memory.episode, memory.version.clone());
            let (template, configs) = (memory.template, std::mem::take(&mut top.configs));
            *top = Proof { template, digest, commit, revision, version, configs };
        } else {
            top.revision = revision;
        }
        proven
    }

    /// Enters `step` of the desired release, companions first, with routes as `shares` has them.
    #[must_use]
    pub fn enter(
        &self,
        row: char,
        release: &Release,
        step: u32,
        memory: Memory,
        message: String,
        shares: &Shares,
    ) -> Outcome {
        let shape = self.shape(release, step);
        let changes_release = release.digest != self.memory.digest;
        let (mut before, strangers) = match changes_release {
            true => {
                // Nobody looks after the weights of a route that the release does not have.
                let shares_alone = |it: &&Companion| {
                    let there = self.case.companions.get(&it.body.key);
                    let ours = there.filter(|it| it.release == self.id.to_string());
                    let shares = ours.is_some_and(|it| it.leads.share != Share::Base);
                    shares && release.companion(&it.body.key).is_none()
                };
                let entered = self.entered.into_iter().flat_map(|it| &it.companions);
                let wanted = entered.filter(shares_alone).chain(&release.companions);
                companion_writes(self.world, self.id, self.case, wanted, true, shares)
            }
            false => (Vec::new(), Vec::new()),
        };
        if !strangers.is_empty() {
            return Outcome::hold(row, strangers);
        }
        if let Some(outcome) = made_again(self.id, row, &before) {
            return outcome;
        }
        let mut outcome = self.write(row, Decision::Enter(step), Some(release), shape, memory, message);
        // Companions of a release that is not entered are as new as its template.
        for write in &mut before {
            write.forward = true;
        }
        outcome.writes = shares.left.iter().cloned().chain(before).chain(outcome.writes).collect();
        outcome
    }
}
