//! The facts of one release with a CloneSet and memory, and the questions that the rows ask of them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::fields::FieldChange;
use crate::model::{Amount, Gate, ReleaseId};
use crate::plan::permit::{Permitted, permitted};
use crate::plan::steps::{self, Shape};
use crate::spec::exchange::time_to_leave;
use crate::spec::{Exchange, Initial, Release};
use crate::world::{Case, Desired, Freeze, Intent, Live, Memory, Policy, Proof, Try, World};

/// What HEAD says of a release, if HEAD can be followed.
#[derive(Clone)]
pub struct Head<'a> {
    /// As read.
    pub intent: &'a Intent,
    /// The daemon's configuration.
    pub policy: &'a Policy,
    /// What it permits.
    pub permitted: Permitted,
    /// The freeze that holds now, unless a skip marker opens it.
    pub freeze: Option<&'a Freeze>,
    /// Whether the last fetch is young enough to go forward.
    pub fresh: bool,
}

impl<'a> Head<'a> {
    /// Reads HEAD; `None` where it cannot be followed.
    #[must_use]
    pub fn of(world: &'a World, case: &'a Case) -> Option<Self> {
        let Desired::Release(intent) = &case.desired else { return None };
        if !world.source.is_readable() {
            return None;
        }
        let permitted = permitted(intent, &world.policy);
        let freeze = intent.freezes.iter().find(|freeze| freeze.holds_at(world.now));
        let freeze = freeze.filter(|_| !permitted.skip).map(|freeze| &**freeze);
        let fresh = world.source.is_fresh(world.now, world.policy.stale_after);
        Some(Self { intent, policy: &world.policy, permitted, freeze, fresh })
    }

    /// The desired release.
    #[must_use]
    pub fn release(&self) -> &'a Arc<Release> {
        &self.intent.release
    }

    /// The gate that a person has closed in Git for everything but rollbacks, if one is.
    #[must_use]
    pub fn closed(&self) -> Option<Gate> {
        if self.release().suspend {
            return Some(Gate::Suspend);
        }
        self.freeze.map(|_| Gate::Freeze)
    }
}

/// One release whose CloneSet is ours.
pub struct Facts<'a> {
    /// Its name.
    pub id: &'a ReleaseId,
    /// Everything.
    pub world: &'a World,
    /// The release.
    pub case: &'a Case,
    /// HEAD, where it can be followed.
    pub head: Option<Head<'a>>,
    /// The CloneSet.
    pub live: &'a Live,
    /// The memory that counts.
    pub memory: &'a Memory,
    /// Documents of the entered release, where they could be had.
    pub entered: Option<&'a Arc<Release>>,
}

impl<'a> Facts<'a> {
    /// Gathers the facts; `None` where there is no CloneSet, or no memory of it.
    #[must_use]
    pub fn of(world: &'a World, id: &'a ReleaseId, case: &'a Case) -> Option<Self> {
        let live = case.live.as_ref()?;
        let memory = case.memory()?;
        let head = Head::of(world, case);
        Some(Self { id, world, case, head, live, memory, entered: case.entered() })
    }

    /// The same release, as if this were its memory.
    #[must_use]
    pub fn remembering<'b>(&'b self, memory: &'b Memory) -> Facts<'b> {
        let Self { id, world, case, head, live, memory: _, entered } = self;
        Facts { id, world, case, head: head.clone(), live, memory, entered: *entered }
    }

    /// The present moment.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.world.now
    }

    /// The daemon's configuration.
    #[must_use]
    pub fn policy(&self) -> &'a Policy {
        &self.world.policy
    }

    /// The size that should stand: HEAD's, or the live one where Git owns none or cannot be read.
    #[must_use]
    pub fn wanted_size(&self) -> u32 {
        self.head.as_ref().and_then(|head| head.release().replicas).unwrap_or(self.live.replicas)
    }

    /// Whether anything was ever proven.
    #[must_use]
    pub fn anything_proven(&self) -> bool {
        !self.memory.proven.is_empty()
    }

    /// Whether the entered template is the newest proven one.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.memory.entered_is_proven()
    }

    /// Number of the entered release's last step; where its documents are lost, the step that memory names.
    #[must_use]
    pub fn last_step(&self) -> u32 {
        self.entered.map_or(self.memory.step, |release| release.last_step())
    }

    /// The entered step as the record has it, the second copy of memory; 0 where it has none of this release.
    #[must_use]
    pub fn recorded_step(&self) -> u32 {
        let same = |it: &&Memory| it.uid == self.memory.uid && it.digest == self.memory.digest;
        self.case.recorded_memory().filter(same).map_or(0, |memory| memory.step)
    }

    /// Pods beyond those asked for that Kruise may not delete: ready ones stay while too many others are not available
    /// (`sync/cloneset_scale.go`, deleteReadyLimit). Told by the deadline: before it they may just be on their way.
    #[must_use]
    pub fn surplus(&self) -> Option<u32> {
        let (live, status) = (self.live, &self.live.status);
        let stuck = live.is_fresh() && self.is_late() && status.available < status.replicas;
        Some(status.replicas.saturating_sub(live.replicas)).filter(|surplus| *surplus > 0 && stuck)
    }

    /// Replicas and partition of `step` of `release`, at the size that should stand.
    #[must_use]
    pub fn shape(&self, release: &Release, step: u32) -> Shape {
        // A size that is capped by steps cannot be told from a live size once HEAD is not to be read.
        if self.head.is_none() && release.strategy.initial == Initial::Steps && !self.anything_proven() {
            return Shape { size: self.live.replicas, partition: self.live.partition };
        }
        steps::shape(release, step, self.wanted_size(), self.anything_proven())
    }

    /// Replicas and partition of the entered step; those that stand, where its documents are lost.
    #[must_use]
    pub fn entered_shape(&self) -> Shape {
        match self.entered {
            Some(release) => self.shape(release, self.memory.step),
            // A proven release keeps no pod back, whatever its documents say.
            None if self.is_proven() => Shape { size: self.live.replicas, partition: Amount::Count(0) },
            None => Shape { size: self.live.replicas, partition: self.live.partition },
        }
    }

    /// Pods on the entered revision at the entered step, at the live size.
    #[must_use]
    pub fn step_pods(&self) -> u32 {
        let size = self.live.replicas;
        if self.is_blue_green() && !self.is_proven() && self.anything_proven() {
            return self.pods_beside(self.memory.step);
        }
        let partition = match self.entered {
            Some(_) if self.is_building() => return size,
            Some(release) => steps::partition(release, self.memory.step, size),
            None => self.live.partition,
        };
        size - partition.partition_pods(size)
    }

    /// Whether the first release is being made by steps: they cap the replicas.
    #[must_use]
    pub fn is_building(&self) -> bool {
        self.entered.is_some_and(|it| self.builds(it))
    }

    /// Whether `release` would be made by steps that cap the replicas.
    #[must_use]
    pub fn builds(&self, release: &Release) -> bool {
        !self.anything_proven() && release.strategy.initial == Initial::Steps
    }

    /// Whether template and partition are as the entered step has them, at the live size: a size that Git or an
    /// autoscaler changes does not undo what the step has reached.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let live = self.live;
        // What is memory's alone is told by memory; what stands is brought to it.
        if self.is_blue_green() {
            return true;
        }
        let as_entered = match self.entered {
            Some(_) if self.is_building() => live.replicas == self.entered_shape().size,
            Some(release) => {
                let partition = steps::partition(release, self.memory.step, live.replicas);
                steps::same_partition(live.partition, partition)
            }
            None => true,
        };
        as_entered && !live.drift.template
    }

    /// How the live object differs from the entered release, but for what a way back has made of it.
    pub fn changes(&self) -> impl Iterator<Item = &'a FieldChange> {
        let is_back = self.is_proven() && self.memory.step_reached.is_none();
        self.live.drift.changes.iter().filter(move |it| !(is_back && Exchange::is_loosened(it)))
    }

    /// Whether a write with `memory` leads back to a proven release, and pods may be made anew until all of them are
    /// there: nothing stands in the way of a way back.
    #[must_use]
    pub fn may_make_anew(&self, memory: &Memory) -> bool {
        let another = memory.template != self.memory.template || self.live.drift.template;
        let loosened = another || self.live.drift.changes.iter().any(Exchange::is_loosened);
        memory.entered_is_proven() && memory.step_reached.is_none() && loosened
    }

    /// Whether the controller has seen the spec as it stands, and the revision is the one that memory knows.
    #[must_use]
    pub fn status_is_ours(&self) -> bool {
        let revision = self.memory.revision.as_ref();
        self.live.is_fresh() && revision.is_none_or(|it| *it == self.live.status.update_revision)
    }

    /// The race-free predicate that the entered step is reached. At zero replicas only a proven release is.
    ///
    /// Source: Kruise writes observedGeneration at the end of a pass, with counts from before it acted
    /// (`cloneset_status.go`): counts can be late, not early.
    #[must_use]
    pub fn step_done(&self) -> bool {
        let (status, size) = (&self.live.status, self.live.replicas);
        // The first release, made by steps, may begin with a step of no pods.
        let none_asked = self.is_building() && self.wanted_size() > 0;
        if size == 0 && !self.is_proven() && !none_asked {
            return false;
        }
        let asked = self.step_pods();
        self.is_ours()
            && self.status_is_ours()
            && status.expected_updated == asked
            && status.replicas == size
            && status.updated >= asked
            && status.updated_available >= self.enough(asked)
    }

    /// How many of `pods` on the entered revision have to be available.
    #[must_use]
    pub fn enough(&self, pods: u32) -> u32 {
        self.entered.map_or(pods, |release| release.strategy.enough(pods))
    }

    /// Whether every pod is on the newest proven revision: fresh, all updated, current = update revision. Pods that are
    /// missing are on none: a proven release that cannot be whole again must not keep its cure away. One that has time to
    /// leave before it is updated in place counts as updated, and runs what it ran: on the way back it is awaited.
    #[must_use]
    pub fn all_on_proven(&self) -> bool {
        let status = &self.live.status;
        let update = |release: &Release| release.cloneset.value.open()["spec"]["updateStrategy"].take();
        let some_leave = self.memory.step_reached.is_none()
            && status.updated_available < status.replicas
            && self.entered.is_some_and(|release| time_to_leave(&update(release)) > 0);
        self.is_proven()
            && !some_leave
            && !self.live.drift.template
            && steps::is_zero(self.live.partition)
            && self.status_is_ours()
            && status.updated == status.replicas
            && status.current_revision == status.update_revision
    }

    /// HEAD, where it says anything of the entered release.
    #[must_use]
    pub fn asked(&self) -> Option<&Head<'a>> {
        self.head.as_ref().filter(|head| head.release().digest == self.memory.digest)
    }

    /// Whether somebody or something has stopped the entered release: HEAD has another one or none, or has it again; it is
    /// suspended or frozen, or has failed. A HEAD that cannot be read says nothing of that.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let by_head = self.head.as_ref().is_some_and(|head| {
            let episode = head.intent.episode.as_ref().map(|episode| episode.first);
            let is_it = head.release().digest == self.memory.digest && episode == self.memory.episode;
            !is_it || head.closed().is_some()
        });
        let gone = matches!(self.case.desired, Desired::Gone(_));
        by_head || gone || self.live.suspend.is_some() || self.has_failed(self.entered_try())
    }

    /// The step that may stand: the lower of memory's step and the larger of what Git permits and what the live partition
    /// already permits. While a gate is closed nothing goes forward: the step in memory may have been edited, so more than
    /// the partition permits is written only if the record, its second copy, says so too.
    #[must_use]
    pub fn standing_step(&self) -> u32 {
        let Some(release) = self.entered else { return self.memory.step };
        let step = self.memory.step.min(release.last_step());
        if self.is_proven() || (self.is_blue_green() && !self.anything_proven()) {
            return release.last_step();
        }
        if step == 0 {
            return 0;
        }
        let live = |permitted: u32| {
            if self.is_blue_green() {
                self.case.level(self.memory.template)
            } else if self.live.drift.template {
                0
            } else if self.is_building() {
                steps::position_building(release, self.live.replicas, self.wanted_size(), permitted)
            } else {
                steps::position(release, self.live.partition, self.live.replicas, permitted)
            }
        };
        let recorded = self.recorded_step();
        match &self.head {
            Some(head) if head.release().digest == self.memory.digest => {
                let permitted = step.min(head.permitted.furthest.max(live(0)));
                let open = head.fresh && head.closed().is_none();
                if open { permitted } else { permitted.min(recorded.max(live(recorded))) }
            }
            Some(_) | None => step.min(live(recorded)),
        }
    }

    /// The entered try.
    #[must_use]
    pub fn entered_try(&self) -> Try {
        let known = self.memory.failed.filter(|failed| failed.template == self.memory.template);
        let attempt =
            self.entered.map_or(known.map_or(1, |failed| failed.attempt), |release| release.attempt);
        Try { template: self.memory.template, attempt }
    }

    /// Whether a try has failed.
    #[must_use]
    pub fn has_failed(&self, of: Try) -> bool {
        self.memory.failed.is_some_and(|failed| failed.covers(of.template, of.attempt))
    }

    /// The desired release's try.
    #[must_use]
    pub fn desired_try(release: &Release) -> Try {
        Try { template: release.template, attempt: release.attempt }
    }

    /// When the entered step is past its deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let seconds = self.entered?.strategy.deadline;
        self.memory.step_entered.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok()
    }

    /// Whether that is past; a release without documents is never late.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| self.now() > deadline)
    }

    /// When the entered step has soaked, once it is reached.
    #[must_use]
    pub fn soaked_at(&self) -> Option<Timestamp> {
        let soak = self.entered?.step(self.memory.step)?.soak;
        let reached = self.memory.step_reached?;
        reached.at.checked_add(SignedDuration::from_secs(i64::from(soak))).ok()
    }

    /// The newest proven release.
    #[must_use]
    pub fn top(&self) -> Option<&'a Proof> {
        self.memory.top()
    }

    /// Documents of a proven release.
    #[must_use]
    pub fn documents(&self, proof: &Proof) -> Option<&'a Arc<Release>> {
        self.case.documents.get(&proof.digest)
    }
}
