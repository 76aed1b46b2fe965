//! One release as it stands, and all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{Digest, Hold, Name, ReleaseId};
use crate::objects::{Kind, ObjectKey};
use crate::spec::{Companion, Release};
use crate::world::hooks::PodKept;
use crate::world::intent::{Desired, Source};
use crate::world::live::{CompanionLive, Live, Looked, PodLive, RecordLive, Twin};
use crate::world::memory::Memory;
use crate::world::policy::Policy;
use crate::world::traffic::Share;

/// Why the last write for a release was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The hold that tells it.
    pub hold: Hold,
    /// What was not written, and was not since; none where something else than a write is refused.
    pub objects: BTreeSet<ObjectKey>,
}

impl Refusal {
    /// One of something else than a write.
    #[must_use]
    pub const fn of(hold: Hold) -> Self {
        Self { hold, objects: BTreeSet::new() }
    }
}

/// One release: what Git says, what the cluster has.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What HEAD says.
    pub desired: Desired,
    /// Its CloneSet; of a release that is switched as a whole, all of them as one ([`crate::world::colours`]).
    pub live: Option<Live>,
    /// The CloneSet of that name by itself, where `live` is all of them as one.
    pub home: Option<Live>,
    /// The others, by name.
    pub twins: BTreeMap<Name, Twin>,
    /// Whether memory of it that names no UID names an announcement that stands on the lease: then it was made under
    /// that one, and is no copy.
    pub announced: bool,
    /// Its record.
    pub record: Option<RecordLive>,
    /// Documents that could be had of the releases that memory names: the entered one and the proven ones.
    pub documents: BTreeMap<Digest, Arc<Release>>,
    /// Its companions in the cluster: those that name it, and those of the same key.
    pub companions: BTreeMap<ObjectKey, CompanionLive>,
    /// Its pods that have our readiness gate, by name; `None` where they are not watched, or were not listed yet.
    pub pods: Option<Arc<[PodLive]>>,
    /// Pods that Git names to be replaced and that were looked at; none where there is no such pod, or it is on its way
    /// out.
    pub looked: BTreeMap<Name, Option<Looked>>,
    /// Why pods could not be looked at.
    pub unlooked: Option<Refusal>,
    /// Its pods that may be kept by a lifecycle hook.
    pub kept: Arc<[PodKept]>,
    /// Objects that it would make and that exist without being ours.
    pub strangers: BTreeSet<ObjectKey>,
    /// Why the last write was refused.
    pub refused: Option<Refusal>,
}

impl Case {
    /// The memory that counts: the object's own, or the record's where the object lost it. Memory with another UID
    /// is ignored; memory without one counts while the announcement of its create stands on the lease.
    #[must_use]
    pub fn memory(&self) -> Option<&Memory> {
        let live = self.live.as_ref()?;
        if let Some(memory) = &live.memory {
            match &memory.uid {
                Some(uid) if *uid == live.uid => return Some(memory),
                Some(_) => {}
                None if self.announced => return Some(memory),
                None => {}
            }
        }
        let memory = self.record.as_ref()?.memory.as_ref()?;
        (memory.uid.as_ref() == Some(&live.uid)).then_some(memory)
    }

    /// The memory by which a CloneSet that is not there would be made again.
    #[must_use]
    pub fn recorded_memory(&self) -> Option<&Memory> {
        self.record.as_ref()?.memory.as_ref()
    }

    /// Whether the last write of this object was refused.
    #[must_use]
    pub fn is_refused(&self, key: &ObjectKey) -> bool {
        self.refused.as_ref().is_some_and(|it| it.objects.contains(key))
    }

    /// Documents of the release that memory says is entered.
    #[must_use]
    pub fn entered(&self) -> Option<&Arc<Release>> {
        self.documents.get(&self.memory()?.digest)
    }

    /// Whether any release that has to do with it lets its pods serve by approval, or the CloneSet that stands does.
    /// Where the documents of one are lost, it may.
    #[must_use]
    pub fn is_gated(&self) -> bool {
        let desired = matches!(&self.desired, Desired::Release(intent) if intent.release.strategy.is_gated());
        let stands = self.live.as_ref().is_some_and(|live| live.gated);
        let is_lost = |memory: &Memory| {
            let top = memory.top().filter(|_| !memory.entered_is_proven());
            top.is_some_and(|top| !self.documents.contains_key(&top.digest))
        };
        let known = self.documents.values().any(|release| release.strategy.is_gated());
        desired || stands || known || self.memory().is_some_and(is_lost)
    }

    /// Whether the entered release shares traffic by weights, or the desired one, or it is shared as it stands.
    #[must_use]
    pub fn has_weights(&self) -> bool {
        let desired =
            matches!(&self.desired, Desired::Release(intent) if !intent.release.strategy.routes.is_empty());
        let entered = || self.entered().is_some_and(|release| !release.strategy.routes.is_empty());
        let stands = |it: &CompanionLive| it.leads.share != Share::Base || it.leads.beside.is_some();
        desired || entered() || self.companions.values().any(stands)
    }

    /// The companions that should stand now: the entered release's, with HEAD's autoscalers where HEAD can be read, and
    /// the ConfigMaps that pods of the proven release read as long as they may run beside the entered one.
    #[must_use]
    pub fn standing_companions(&self) -> Vec<&Companion> {
        let entered = self.entered().into_iter().flat_map(|release| &release.companions);
        let head = self.desired.release();
        let autoscalers = head.into_iter().flat_map(|release| &release.companions);
        let mut standing: Vec<&Companion> = entered
            .filter(|companion| !companion.is_autoscaler())
            .chain(autoscalers.filter(|companion| companion.is_autoscaler()))
            .collect();
        for companion in self.read_beside() {
            if !standing.iter().any(|it| it.body.key == companion.body.key) {
                standing.push(companion);
            }
        }
        standing
    }

    /// What pods of the newest proven release read while another one is entered.
    fn read_beside(&self) -> impl Iterator<Item = &Companion> {
        let memory = self.memory().filter(|memory| !memory.entered_is_proven());
        let proven = memory.and_then(|memory| self.documents.get(&memory.top()?.digest));
        let entered = self.entered().filter(|_| proven.is_some());
        let has = move |key: &ObjectKey| {
            entered.is_some_and(|it| it.companions.iter().any(|it| it.body.key == *key))
        };
        proven.into_iter().flat_map(move |release| {
            let companions = release.companions.iter().filter(|it| it.body.key.kind == Kind::ConfigMap);
            companions.filter(move |it| {
                let name = it.body.key.name.as_str();
                // A version is there because pods read it.
                it.version_of.is_some()
                    || (!has(&it.body.key) && release.configs().iter().any(|it| it == name))
            })
        })
    }
}

/// Everything that a plan is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// The present moment.
    pub now: Timestamp,
    /// The daemon's configuration.
    pub policy: Arc<Policy>,
    /// The repository.
    pub source: Source,
    /// The announcement that creates carry from now on; none where none stands on the lease.
    pub announcement: Option<Arc<str>>,
    /// Whether the cluster serves the record's kind.
    pub has_records: bool,
    /// Desired ∪ live ∪ recorded.
    pub cases: BTreeMap<ReleaseId, Arc<Case>>,
    /// Every object that the tree names: none of them is pruned.
    pub named: Arc<BTreeSet<ObjectKey>>,
}
