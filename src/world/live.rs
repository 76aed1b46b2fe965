//! What the cluster has: projections of the objects of a release.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::fields::{FieldChange, Stand};
use crate::model::{Amount, Name, ResourceVersion, TemplateHash, Uid};
use crate::objects::keys::{SERVE, SERVE_GATED};
use crate::objects::record::ReleaseStatus;
use crate::spec::{Release, hook};
use crate::world::hooks::Marks;
use crate::world::memory::Memory;
use crate::world::traffic::Leads;

/// The status of a CloneSet (Kruise, `cloneset_status.go:calculateStatus`); absent counters are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CounterStatus {
    /// Generation that the controller had seen; `None` where there is no status yet.
    pub observed_generation: Option<i64>,
    /// Active pods, surge included.
    pub replicas: u32,
    /// Pods that are ready.
    pub ready: u32,
    /// Pods that are available.
    pub available: u32,
    /// Pods on the update revision.
    pub updated: u32,
    /// Of these, available.
    pub updated_available: u32,
    /// Replicas less partition, as the controller rounds.
    pub expected_updated: u32,
    /// The revision that scaling and replacements use below the partition.
    pub current_revision: String,
    /// The revision of the template.
    pub update_revision: String,
}

/// A tool that applies objects from a source of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Flux, by a Kustomization.
    FluxKustomization,
    /// Flux, by a `HelmRelease`.
    FluxHelmRelease,
    /// Argo CD.
    ArgoCd,
    /// Helm.
    Helm,
}

/// Another tool that applies an object, as its marks and its managers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherTool {
    /// Which.
    pub tool: Tool,
    /// Its name for what it applies, `flux-system/apps`; empty where only its manager is known.
    pub name: String,
}

impl fmt::Display for OtherTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (alone, with) = match self.tool {
            Tool::FluxKustomization => ("Flux", "Flux Kustomization"),
            Tool::FluxHelmRelease => ("Flux", "Flux HelmRelease"),
            Tool::ArgoCd => ("Argo CD", "Argo CD Application"),
            Tool::Helm => ("Helm", "Helm release"),
        };
        if self.name.is_empty() { f.write_str(alone) } else { write!(f, "{with} {}", self.name) }
    }
}

/// How the live object differs from the entered release (where nothing is entered, from the desired one), but for
/// what the planner compares itself: replicas, partition, paused and memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drift {
    /// Field by field.
    pub changes: Arc<[FieldChange]>,
    /// Whether the pod template is another one.
    pub template: bool,
    /// Another manager that has the partition now.
    pub partition_owner: Option<String>,
    /// Other managers that own beside us what we have applied.
    pub beside: Arc<[String]>,
    /// Whether we have ever applied it, whatever its marks say by now: an apply that leaves the spec out drops it.
    pub applied: bool,
}

/// What a server-side dry-run of HEAD's release showed, for a CloneSet that is to be taken over as it stands now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rehearsal {
    /// The fields of the pod template that would become others: pods would be made anew.
    pub template: Arc<[FieldChange]>,
    /// HEAD's release with the template that stands, where the two differ; `None` where that cannot be made.
    pub standing: Option<Arc<Release>>,
}

/// A CloneSet in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Its UID.
    pub uid: Uid,
    /// The version that was seen.
    pub version: ResourceVersion,
    /// Bumped by every change of the spec.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `spec.replicas`.
    pub replicas: u32,
    /// `spec.updateStrategy.partition`; absent is 0.
    pub partition: Amount,
    /// Whether its template has our readiness gate, by the label that comes with it.
    pub gated: bool,
    /// `spec.updateStrategy.paused`.
    pub paused: bool,
    /// `spec.scaleStrategy.podsToDelete`: pods that Kruise is asked to delete and that are still there.
    pub to_delete: BTreeSet<Name>,
    /// Its lifecycle hooks, by their field: `preDelete`.
    pub hooks: Arc<BTreeMap<String, Marks>>,
    /// Another manager that owns `spec.replicas`, an autoscaler for one.
    pub replicas_owner: Option<String>,
    /// The annotation `triton.io/suspend`.
    pub suspend: Option<String>,
    /// The annotation `triton.io/rollback`.
    pub rollback: Option<String>,
    /// The annotation `triton.io/root`: which root it belongs to.
    pub root: Option<String>,
    /// Another tool that applies it too.
    pub other_owner: Option<OtherTool>,
    /// Its memory, whatever UID that names.
    pub memory: Option<Memory>,
    /// Its status.
    pub status: CounterStatus,
    /// Labels, annotations other than memory, and spec as they stand.
    pub stand: Stand,
    /// How it differs from the entered release; empty where the documents of that are not to be had.
    pub drift: Drift,
    /// What taking it over would change; `None` where that was not asked yet.
    pub rehearsal: Option<Rehearsal>,
}

impl Live {
    /// Whether the status speaks of the spec as it stands (`reference`: Kruise writes observedGeneration last).
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.status.observed_generation == Some(self.generation)
    }

    /// Whether Kruise asks before it updates a pod in place: it has our hook ([`crate::spec::hook`]).
    #[must_use]
    pub fn asks_first(&self) -> bool {
        let hook = self.hooks.get(hook::FIELD);
        hook.and_then(|it| it.labels.get(SERVE)).is_some_and(|value| value == SERVE_GATED)
    }

    /// Pods that the partition keeps on the old revision.
    #[must_use]
    pub fn kept(&self) -> u32 {
        self.partition.partition_pods(self.replicas)
    }
}

/// A second CloneSet of a release that is switched as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    /// The template that its pods are to have.
    pub template: TemplateHash,
    /// As it stands.
    pub live: Live,
}

/// A companion in the cluster: one that carries our label, or one of nobody's that is to be taken over.
#[derive(Clone, Debug, PartialEq)]
pub struct CompanionLive {
    /// Its UID.
    pub uid: Uid,
    /// The version that was seen.
    pub version: ResourceVersion,
    /// The release that it names, `namespace/name`; empty where it names none.
    pub release: String,
    /// Another tool that applies it too.
    pub other_owner: Option<OtherTool>,
    /// How it differs from what the entered release says, else, where it is nobody's, the desired one; empty where
    /// neither says anything of it.
    pub drift: Arc<[FieldChange]>,
    /// Other managers that own beside us what we have applied.
    pub beside: Arc<[String]>,
    /// Whether we have ever applied it.
    pub applied: bool,
    /// Whether it is being deleted, and somebody keeps it.
    pub deleting: bool,
    /// What it does for the weights of its release. Its drift is beside that: a route differs by its weights from nothing.
    pub leads: Leads,
}

/// Where a pod is between two versions, updated in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nowhere: it is on one, or is new, or is back from an update.
    Settled,
    /// Kruise wants to update it, and asks first, where a hook keeps it (`PreparingUpdate`).
    Asks,
    /// Kruise updates it (`Updating`).
    Updating,
}

/// Which pod has a name: another one may have had it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// This very pod.
    pub uid: Uid,
    /// The CloneSet that it is of.
    pub owner: Uid,
}

/// A pod of a release whose pods serve by approval: it has our readiness gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodLive {
    /// Its name.
    pub name: Name,
    /// Its UID.
    pub uid: Uid,
    /// The version that was seen.
    pub version: ResourceVersion,
    /// The CloneSet that made it.
    pub owner: Uid,
    /// The revision that it is of.
    pub revision: String,
    /// Where it is between two versions.
    pub stage: Stage,
    /// Since when it is there, where Kruise says so.
    pub since: Option<Timestamp>,
    /// Whether Kruise asks before it updates it in place, where the CloneSet has our hook: our label is on it.
    pub held: bool,
    /// Whether its containers are ready, and it is not being updated.
    pub up: bool,
    /// Whether our gate is open.
    pub serves: bool,
    /// Whether it is ready: all its gates are open.
    pub ready: bool,
    /// Whether it is on its way out, or has ended by itself (phase Succeeded or Failed).
    pub ending: bool,
    /// Its own address.
    pub ip: Option<String>,
}

impl PodLive {
    /// Whether it has left traffic to be updated in place, and Kruise has its answer.
    #[must_use]
    pub fn is_let_go(&self) -> bool {
        self.stage == Stage::Asks && !self.held && !self.serves
    }

    /// Whether it is of a revision: Kruise compares what stands behind the last dash
    /// (`pkg/controller/cloneset/utils/cloneset_utils.go:EqualToRevisionHash`).
    #[must_use]
    pub fn is_of(&self, revision: &str) -> bool {
        let hash = |name: &str| name.rsplit_once('-').map_or(name.len(), |(set, _)| set.len() + 1);
        !revision.is_empty() && self.revision[hash(&self.revision)..] == revision[hash(revision)..]
    }
}

/// The record in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordLive {
    /// Its UID.
    pub uid: Uid,
    /// The version that was seen.
    pub version: ResourceVersion,
    /// Bumped by every change of its spec.
    pub generation: i64,
    /// The annotation `triton.io/root`.
    pub root: Option<String>,
    /// Its status; documents may be left out of it where they were moved to the cache.
    pub status: Arc<ReleaseStatus>,
    /// Memory of the CloneSet, as the record has it.
    pub memory: Option<Memory>,
    /// Size at the last write, for a CloneSet that is made again.
    pub replicas: u32,
}
