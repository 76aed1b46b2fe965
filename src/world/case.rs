//! One release as it stands, and all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{Digest, Hold, ReleaseId};
use crate::objects::{Kind, ObjectKey};
use crate::spec::{Companion, Release};
use crate::world::intent::{Desired, Source};
use crate::world::live::{CompanionLive, Live, RecordLive};
use crate::world::memory::Memory;
use crate::world::policy::Policy;

/// Why the last write for a release was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The hold that tells it.
    pub hold: Hold,
}

/// One release: what Git says, what the cluster has.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What HEAD says.
    pub desired: Desired,
    /// Its CloneSet.
    pub live: Option<Live>,
    /// Its record.
    pub record: Option<RecordLive>,
    /// Documents that could be had of the releases that memory names: the entered one and the proven ones.
    pub documents: BTreeMap<Digest, Arc<Release>>,
    /// Its companions in the cluster: those that name it, and those of the same key.
    pub companions: BTreeMap<ObjectKey, CompanionLive>,
    /// Objects that it would make and that exist without being ours.
    pub strangers: BTreeSet<ObjectKey>,
    /// Why the last write was refused.
    pub refused: Option<Refusal>,
}

impl Case {
    /// The memory that counts: the object's own, or the record's where the object lost it. Memory with another UID
    /// is ignored; memory without one counts while the record's pending create has the same digest and episode.
    #[must_use]
    pub fn memory(&self) -> Option<&Memory> {
        let live = self.live.as_ref()?;
        if let Some(memory) = &live.memory {
            match &memory.uid {
                Some(uid) if *uid == live.uid => return Some(memory),
                Some(_) => {}
                None if self.is_pending(memory) => return Some(memory),
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

    /// Documents of the release that memory says is entered.
    #[must_use]
    pub fn entered(&self) -> Option<&Arc<Release>> {
        self.documents.get(&self.memory()?.digest)
    }

    fn is_pending(&self, memory: &Memory) -> bool {
        let pending = self.record.as_ref().and_then(|record| record.status.pending.as_ref());
        pending.is_some_and(|pending| {
            pending.digest == memory.digest.to_string()
                && pending.episode == memory.episode.map(|commit| commit.to_string())
        })
    }

    /// The companions that should stand now: the entered release's, with HEAD's autoscalers where HEAD can be read, and
    /// the ConfigMaps that pods of the proven release read as long as they may run beside the entered one.
    #[must_use]
    pub fn standing_companions(&self) -> Vec<&Companion> {
        let entered = self.entered().into_iter().flat_map(|release| &release.companions);
        let head = match &self.desired {
            Desired::Release(intent) => Some(&intent.release),
            Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
        };
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
    /// Whether the cluster serves the record's kind.
    pub has_records: bool,
    /// Desired ∪ live ∪ recorded.
    pub cases: BTreeMap<ReleaseId, Arc<Case>>,
    /// Every object that the tree names: none of them is pruned.
    pub named: Arc<BTreeSet<ObjectKey>>,
}
