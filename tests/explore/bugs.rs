//! Planted bugs: faults put into what the planner is told, into what it decides, or into how that is carried out, to
//! see that the checker notices each of them. The planner itself has no switches.

use std::sync::Arc;

use triton::model::{Amount, Percent};
use triton::spec::Release;
use triton::world::{Approver, Case, Desired, Intent, Live, Memory, NotCounted, World};

use crate::explore::ledger::Names;

/// One planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    // In what the planner is told.
    /// `spec.step` counts as it stands in the commit that brought the spec.
    CapAsWritten,
    /// Markers that came with the spec, or before it, count.
    MarkersOfHead,
    /// Markers for another digest with the same template count.
    MarkersOfTemplate,
    /// The episode is the one of memory, though the line had another release between.
    EpisodeOfMemory,
    /// A status is taken for fresh whatever generation it saw.
    NeverStale,
    /// Updated pods are taken for available ones.
    UpdatedIsAvailable,
    /// Memory of another object counts.
    ForeignMemory,
    /// `triton.io/suspend` is not seen.
    SuspendUnseen,
    /// Freezes and `spec.suspend` are not seen.
    FreezeUnseen,
    /// What was proven is forgotten with the CloneSet.
    RecordUnread,
    /// A fetch is never too old.
    FetchAlwaysFresh,
    /// A rewound or rewritten branch is followed as it was read before.
    RefusalUnseen,
    /// No step soaks.
    NoSoak,
    /// No step asks for approval.
    NoApproval,
    /// No time is given to get healthy.
    Impatient,
    /// Failures are not remembered.
    FailureForgotten,
    /// Memory's step is believed to have been reached.
    ReachedByMemory,
    /// An edited template is not noticed.
    TemplateUnseen,
    /// Memory without a UID is believed, whatever announcement it names.
    CopyBelieved,
    /// The record is believed to say what memory says.
    MemoryBelieved,
    /// Freezes with an end are not seen.
    FreezeEndUnseen,
    /// A freeze has no end.
    FreezeForEver,
    /// Every removal is taken for an approved one.
    RemovalUnasked,
    /// `on-delete: orphan` is not seen.
    OrphanForgotten,
    /// Nobody looks whose fields a CloneSet has before it is adopted.
    AdoptedBlindly,
    // In what it decides.
    /// A partition in proportion, rounded down.
    PartitionInProportion,
    /// A partition as a count.
    PartitionAsCount,
    /// The next step but one.
    StepTooFar,
    /// The first step lets every pod go.
    WholeAtOnce,
    /// A rollback leaves the partition.
    RollBackKeepsPartition,
    /// A rollback leaves what is above its target proven.
    RollBackKeepsProof,
    /// A revert waits for the end of a freeze.
    FrozenRevert,
    /// The next release starts while another unproven one runs.
    TwoUnproven,
    /// The same template under a new digest goes on at the same number of step.
    StepByNumber,
    /// Nothing is repaired.
    NoRepair,
    /// Replicas are left out.
    ReplicasDropped,
    /// Memory is written without the spec.
    MemoryAlone,
    /// The partition is left out.
    PartitionDropped,
    /// The next template is written with the memory of before.
    MemoryLeftBehind,
    /// Nothing is said.
    Silent,
    /// Holds name no cure.
    CureUnsaid,
    /// `maxSurge` is left out.
    SurgeDropped,
    // In how that is carried out.
    /// The last head seen is not remembered.
    HeadForgotten,
    /// An old leader sends what it planned, lease or not.
    LeaseIgnored,
    /// Writes expect nothing.
    VersionIgnored,
    /// A restart forgets what was proven below the newest.
    ProofForgotten,
}

/// Every planted bug.
pub const ALL: &[Bug] = &[
    Bug::CapAsWritten,
    Bug::MarkersOfHead,
    Bug::MarkersOfTemplate,
    Bug::EpisodeOfMemory,
    Bug::NeverStale,
    Bug::UpdatedIsAvailable,
    Bug::ForeignMemory,
    Bug::SuspendUnseen,
    Bug::FreezeUnseen,
    Bug::RecordUnread,
    Bug::FetchAlwaysFresh,
    Bug::RefusalUnseen,
    Bug::NoSoak,
    Bug::NoApproval,
    Bug::Impatient,
    Bug::FailureForgotten,
    Bug::ReachedByMemory,
    Bug::TemplateUnseen,
    Bug::CopyBelieved,
    Bug::MemoryBelieved,
    Bug::FreezeEndUnseen,
    Bug::FreezeForEver,
    Bug::RemovalUnasked,
    Bug::OrphanForgotten,
    Bug::AdoptedBlindly,
    Bug::PartitionInProportion,
    Bug::PartitionAsCount,
    Bug::StepTooFar,
    Bug::WholeAtOnce,
    Bug::RollBackKeepsPartition,
    Bug::RollBackKeepsProof,
    Bug::FrozenRevert,
    Bug::TwoUnproven,
    Bug::StepByNumber,
    Bug::NoRepair,
    Bug::ReplicasDropped,
    Bug::MemoryAlone,
    Bug::PartitionDropped,
    Bug::MemoryLeftBehind,
    Bug::Silent,
    Bug::CureUnsaid,
    Bug::SurgeDropped,
    Bug::HeadForgotten,
    Bug::LeaseIgnored,
    Bug::VersionIgnored,
    Bug::ProofForgotten,
];

impl Bug {
    /// Doctors what the planner is told.
    pub fn facts(self, world: &mut World, names: &Names) {
        let now = world.now;
        match self {
            Self::FetchAlwaysFresh => world.source.fetched_at = Some(now),
            Self::RefusalUnseen => {
                world.source.fault = None;
                world.source.fetched_at = Some(now);
            }
            _ => {}
        }
        for case in world.cases.values_mut() {
            let case = Arc::make_mut(case);
            self.told(case);
            if let (Self::RemovalUnasked, Desired::Gone(removal)) = (self, &mut case.desired) {
                removal.approved = true;
            }
            let memory = case.memory().cloned();
            if let Desired::Release(intent) = &mut case.desired {
                let intent = Arc::make_mut(intent);
                self.read(intent, memory.as_ref(), names);
                self.written(Arc::make_mut(&mut intent.release));
            }
            for release in case.documents.values_mut() {
                self.written(Arc::make_mut(release));
            }
        }
    }

    fn told(self, case: &mut Case) {
        if self == Self::RecordUnread
            && case.live.is_none()
            && let Some(record) = &mut case.record
        {
            record.status = Arc::default();
            record.memory = None;
        }
        case.announced |= self == Self::CopyBelieved;
        let Some(live) = &mut case.live else { return };
        let step = live.memory.as_ref().map(|memory| memory.step);
        match self {
            Self::MemoryBelieved => {
                let memory = case.record.as_mut().and_then(|record| record.memory.as_mut());
                if let (Some(memory), Some(step)) = (memory, step) {
                    memory.step = step;
                }
            }
            Self::AdoptedBlindly => live.drift.applied = false,
            Self::NeverStale => live.status.observed_generation = Some(live.generation),
            Self::UpdatedIsAvailable => live.status.updated_available = live.status.updated,
            Self::SuspendUnseen => live.suspend = None,
            Self::TemplateUnseen => live.drift = triton::world::Drift::default(),
            _ => self.remembered(live),
        }
    }

    fn remembered(self, live: &mut Live) {
        let uid = live.uid.clone();
        let Some(memory) = &mut live.memory else { return };
        match self {
            Self::ForeignMemory => memory.uid = Some(uid),
            Self::FailureForgotten => memory.failed = None,
            Self::ReachedByMemory if memory.step_reached.is_none() => {
                let pods = live.status.updated;
                memory.step_reached = Some(triton::world::Reached { at: memory.step_entered, pods });
            }
            _ => {}
        }
    }

    fn read(self, intent: &mut Intent, memory: Option<&Memory>, names: &Names) {
        let digest = intent.release.digest;
        let template = names.docs.get(&digest).map(|doc| doc.template);
        let other = memory.filter(|it| it.digest == digest).and_then(|it| it.episode);
        let first = intent.episode.as_ref().map(|episode| episode.first);
        match self {
            Self::CapAsWritten => intent.cap = intent.release.cap,
            Self::FreezeUnseen => intent.freezes.clear(),
            Self::FreezeEndUnseen => intent.freezes.retain(|freeze| freeze.until.is_none()),
            Self::FreezeForEver => {
                intent.freezes.iter_mut().for_each(|freeze| Arc::make_mut(freeze).until = None);
            }
            Self::EpisodeOfMemory if other.is_some() && other != first => {
                if let (Some(episode), Some(other)) = (&mut intent.episode, other) {
                    episode.first = other;
                }
            }
            Self::EpisodeOfMemory => return,
            _ => {}
        }
        let head = first.expect("every episode is known here");
        for marker in &mut intent.markers {
            let same_template = names
                .docs
                .iter()
                .any(|(digest, doc)| marker.path.contains(&digest.long()) && Some(doc.template) == template);
            let counts = match (self, &marker.counts) {
                (Self::MarkersOfHead | Self::EpisodeOfMemory, Err(NotCounted::BeforeSpec)) => true,
                (Self::MarkersOfTemplate, Err(NotCounted::OtherDigest)) => same_template,
                _ => false,
            };
            if counts {
                let name = marker.path.clone();
                marker.counts = Ok(Approver { email: name.clone(), name, commit: head });
            }
        }
    }

    fn written(self, release: &mut Release) {
        let steps = &mut release.strategy.steps;
        match self {
            Self::NoSoak => steps.iter_mut().for_each(|step| step.soak = 0),
            Self::NoApproval => steps.iter_mut().for_each(|step| step.approval = None),
            Self::Impatient => release.strategy.deadline = 0,
            Self::FreezeUnseen => release.suspend = false,
            Self::OrphanForgotten => release.orphan = false,
            _ => {}
        }
    }
}

/// A share of pods, rounded down to whole percents.
#[must_use]
pub fn in_proportion(pods: u32, size: u32) -> Amount {
    let kept = 100 - (100 * pods).div_ceil(size.max(1)).min(100);
    Amount::Percent(Percent::whole(kept).expect("at most 100"))
}
