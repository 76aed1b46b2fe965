//! From what was seen to the world that is planned: case by case, and only those of which something changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::catalog::{Known, Reading, differing};
use crate::cluster::{Cache, Error, Feed, Lane, SeenRecord};
use crate::controller::announced::Announced;
use crate::controller::asked::{is_named, named, remembered, same_desire};
use crate::controller::crowd::Crowd;
use crate::controller::documents::{Shelf, recorded};
use crate::controller::drift::Echoes;
use crate::controller::follow::{self, Following};
use crate::controller::led::Led;
use crate::controller::refusals::Refusals;
use crate::controller::rehearsals::Rehearsals;
use crate::controller::rivals::Rivals;
use crate::controller::source::Sought;
use crate::controller::unseen::{foreign, tell_unseen, unseen};
use crate::model::{Digest, Hold, ReleaseId};
use crate::objects::{Kind, ObjectKey};
use crate::spec::{Companion, Release};
use crate::world::{Case, Desired, Memory, Policy, RecordLive, Refusal, Removal, Source, World};

/// Everything that was seen, and what became of our writes.
pub struct Observer {
    cache: Cache,
    lane: Lane,
    policy: Arc<Policy>,
    /// The repository, as far as it was read.
    pub source: Source,
    reading: Reading,
    shelf: Shelf,
    /// What the server made of our writes.
    pub echoes: Echoes,
    /// Writes that were refused.
    pub refusals: Refusals,
    /// Pods that somebody asks about.
    pub crowd: Crowd,
    strangers: BTreeMap<ReleaseId, BTreeSet<ObjectKey>>,
    /// Companions of nobody's, with the release that takes them over.
    free: BTreeSet<(ReleaseId, ObjectKey)>,
    /// What dry-runs showed.
    rehearsals: Rehearsals,
    /// Memory as it was told last: the record has it later.
    told: BTreeMap<ReleaseId, Memory>,
    /// What may not be listed or watched.
    forbidden: BTreeMap<Feed, Error>,
    /// Releases that have one of such a kind.
    blind: BTreeSet<ReleaseId>,
    /// Announcements of creates.
    pub announced: Announced,
    /// Other daemons of the same root; nobody disturbs who writes nothing.
    pub rivals: Rivals,
    cases: BTreeMap<ReleaseId, Arc<Case>>,
    /// What the cluster remembers, as the catalog asks it.
    known: Arc<BTreeMap<ReleaseId, Known>>,
    dirty: BTreeSet<ReleaseId>,
    changed: BTreeSet<ReleaseId>,
    /// Releases that are no more.
    gone: BTreeSet<ReleaseId>,
    sought: Sought,
    lost: BTreeMap<Digest, ReleaseId>,
}

impl Observer {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(cache: Cache, lane: Lane, policy: Arc<Policy>) -> Self {
        Self {
            cache,
            lane,
            policy,
            source: Source::default(),
            reading: Reading::default(),
            shelf: Shelf::default(),
            echoes: Echoes::default(),
            refusals: Refusals::default(),
            crowd: Crowd::default(),
            strangers: BTreeMap::new(),
            free: BTreeSet::new(),
            rehearsals: Rehearsals::default(),
            told: BTreeMap::new(),
            forbidden: BTreeMap::new(),
            blind: BTreeSet::new(),
            announced: Announced::default(),
            rivals: Rivals::new(None),
            cases: BTreeMap::new(),
            known: Arc::default(),
            dirty: BTreeSet::new(),
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
            sought: Sought::new(),
            lost: BTreeMap::new(),
        }
    }

    /// The daemon's configuration.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Takes another configuration.
    pub fn set_policy(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
        self.touch_all();
    }

    fn touch_all(&mut self) {
        self.dirty.extend(self.cache.ids());
        self.dirty.extend(self.reading.desired.keys().cloned());
    }

    /// Whether a release is still as it was seen: nothing new of it, from the cluster or from Git.
    #[must_use]
    pub fn stands(&self, id: &ReleaseId, case: &Arc<Case>) -> bool {
        let same = self.cases.get(id).is_some_and(|it| Arc::ptr_eq(it, case));
        same && !self.dirty.contains(id) && !self.cache.has_news(id)
    }

    /// Whether something of a release cannot be seen: only going back is safe then.
    #[must_use]
    pub fn is_blind(&self, id: &ReleaseId) -> bool {
        self.blind.contains(id)
    }

    /// Looks whether there are kinds that may not be listed or watched.
    fn look_for_forbidden(&mut self) {
        let forbidden = self.cache.forbidden();
        if forbidden != self.forbidden {
            tell_unseen(&forbidden, &self.policy);
            self.forbidden = forbidden;
            self.touch_all();
        }
    }

    /// Why something of a release cannot be seen.
    fn unseen(&self, id: &ReleaseId, case: &Case) -> Option<Hold> {
        if self.forbidden.is_empty() {
            return None;
        }
        let desired = match &case.desired {
            Desired::Release(intent) => intent.release.companions.as_slice(),
            Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => &[],
        };
        let feeds = desired.iter().chain(case.standing_companions());
        let feeds = feeds.map(|it| Feed::Companions(it.body.key.kind));
        let all = [Feed::CloneSets, Feed::Records].into_iter().chain(Crowd::needed(case));
        all.chain(feeds).find_map(|feed| Some(unseen(&id.to_string(), feed, self.forbidden.get(&feed)?)))
    }

    /// A release is to be looked at again.
    pub fn touch(&mut self, id: &ReleaseId) {
        self.dirty.insert(id.clone());
    }

    /// Takes what Git says now.
    pub fn take_reading(&mut self, reading: Reading) {
        for id in differing(&self.reading.desired, &reading.desired, same_desire) {
            // Git may have said meanwhile that what stands is to be taken over.
            self.strangers.remove(&id);
            self.dirty.insert(id);
        }
        let unknown = self.cases.iter().filter(|(_, case)| case.desired == Desired::Unknown);
        self.dirty.extend(unknown.map(|(id, _)| id.clone()));
        self.reading = reading;
        // Another line may have what this one had not.
        self.dirty.extend(std::mem::take(&mut self.lost).into_values());
    }

    /// Takes documents that were found in history; those that it does not have are lost.
    pub fn take_documents(&mut self, found: &[Arc<Release>], absent: &Sought) {
        for release in found {
            self.shelf.put(release);
            self.dirty.insert(release.id.clone());
        }
        for (digest, (id, _)) in absent {
            self.lost.insert(*digest, id.clone());
            self.dirty.insert(id.clone());
        }
    }

    /// Documents that are to be looked for in history.
    #[must_use]
    pub fn sought(&self) -> Sought {
        self.sought.clone()
    }

    /// Memory of a release is told, and stands in its record once that is written.
    pub fn note_told(&mut self, id: &ReleaseId, memory: Option<&Memory>) {
        match memory {
            Some(memory) => self.told.insert(id.clone(), memory.clone()),
            None => self.told.remove(id),
        };
    }

    /// An object that a release would make exists and is not ours.
    pub fn note_stranger(&mut self, id: &ReleaseId, key: ObjectKey) {
        self.strangers.entry(id.clone()).or_default().insert(key);
        self.dirty.insert(id.clone());
    }

    /// What a dry-run of HEAD's release made of the CloneSet of `case`, which is to be taken over.
    pub fn note_rehearsal(&mut self, id: &ReleaseId, case: &Case, after: &Value) {
        // A rollback goes to it by its documents, and no commit has them.
        if let Some(standing) = self.rehearsals.note(id, case, after) {
            self.shelf.put(&standing);
        }
        self.dirty.insert(id.clone());
    }

    /// A companion that exists is nobody's, and is to be taken over.
    pub fn note_free(&mut self, id: &ReleaseId, key: &ObjectKey) {
        self.free.insert((id.clone(), key.clone()));
    }

    /// Forgets the strangers of a release, and what is nobody's: it is not watched, and may be gone.
    pub fn forget_strangers(&mut self) {
        for (id, key) in std::mem::take(&mut self.free) {
            if self.cache.companion(&key).is_some_and(|seen| seen.live.release.is_empty()) {
                self.cache.lost(&key);
            }
            self.dirty.insert(id);
        }
        for (id, _) in std::mem::take(&mut self.strangers) {
            self.dirty.insert(id);
        }
    }

    /// Whether Git says that what runs of a release already is taken over.
    #[must_use]
    pub fn adopts(&self, id: &ReleaseId) -> bool {
        let desired = self.reading.desired.get(id);
        matches!(desired, Some(Desired::Release(intent)) if intent.release.adopt)
    }

    /// Whether any release waits for an object that is not ours.
    #[must_use]
    pub fn has_strangers(&self) -> bool {
        !self.strangers.is_empty() || !self.free.is_empty()
    }

    /// Documents as the record keeps them.
    pub fn packed(&mut self, digest: &Digest) -> Option<Arc<str>> {
        self.shelf.packed(digest)
    }

    /// A lap begins: what is kept of releases and objects that are no more is forgotten. Returns those releases.
    pub fn begin_lap(&mut self, world: &World) -> BTreeSet<ReleaseId> {
        let mut gone = std::mem::take(&mut self.gone);
        gone.retain(|id| !world.cases.contains_key(id));
        self.refusals.begin_lap(|id| !gone.contains(id));
        self.crowd.begin_lap(|id| !gone.contains(id));
        for id in &gone {
            self.strangers.remove(id);
            self.rehearsals.forget(id);
            self.crowd.looks.forget(id);
            self.told.remove(id);
        }
        let is_cloneset = |key: &ObjectKey| key.kind == Kind::CloneSet;
        let of = |key: &ObjectKey| ReleaseId { namespace: key.namespace.clone(), name: key.name.clone() };
        let cache = &self.cache;
        self.echoes.retain(|key| {
            if is_cloneset(key) { cache.cloneset(&of(key)).is_some() } else { cache.companion(key).is_some() }
        });
        gone
    }

    /// What the cluster remembers, as the catalog asks it.
    #[must_use]
    pub fn known(&mut self) -> Arc<BTreeMap<ReleaseId, Known>> {
        self.refresh();
        Arc::clone(&self.known)
    }

    /// Notes what the cluster remembers of a release.
    fn note_known(&mut self, id: &ReleaseId) {
        let known = self.cases.get(id).and_then(|case| remembered(case));
        if self.known.get(id) == known.as_ref() {
            return;
        }
        let all = Arc::make_mut(&mut self.known);
        match known {
            Some(known) => all.insert(id.clone(), known),
            None => all.remove(id),
        };
    }

    /// Looks again at every release of which something changed.
    fn refresh(&mut self) {
        self.look_for_forbidden();
        if self.crowd.has_turned(&self.cache) {
            self.touch_all();
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.extend(self.cache.take_changed());
        if dirty.is_empty() {
            return;
        }
        for id in &dirty {
            match self.case(id) {
                Some(case) => {
                    self.shelf.retain(id, |digest| case.documents.contains_key(digest));
                    self.cases.insert(id.clone(), Arc::new(case));
                }
                None => {
                    self.shelf.retain(id, |_| false);
                    self.cases.remove(id);
                    self.blind.remove(id);
                    self.gone.insert(id.clone());
                }
            }
            self.note_known(id);
        }
        let cases = &self.cases;
        self.sought.retain(|_, (id, _)| cases.contains_key(id));
        self.changed.append(&mut dirty);
    }

    /// The world at `now`, and the releases of which something changed since the last one.
    pub fn world(&mut self, now: Timestamp) -> (World, BTreeSet<ReleaseId>) {
        self.refresh();
        let world = World {
            now,
            policy: Arc::clone(&self.policy),
            source: self.source.clone(),
            announcement: self.announced.own(),
            has_records: self.cache.has_records(),
            cases: self.cases.clone(),
            named: Arc::clone(&self.reading.named),
        };
        (world, std::mem::take(&mut self.changed))
    }

    /// One release; `None` where neither Git nor the cluster has it as ours.
    fn case(&mut self, id: &ReleaseId) -> Option<Case> {
        let ours = |root: Option<&String>| root == Some(&self.policy.root);
        let seen = self.cache.cloneset(id).filter(|it| it.twin.is_none());
        if let Some(odd) = seen.as_ref().and_then(|it| it.odd_partition.as_ref()) {
            tracing::warn!(release = %id, "its partition is no count and no percentage, and Kruise keeps every pod: {odd}");
        }
        let desired = self.reading.desired.get(id).cloned();
        let recorded =
            self.cache.record(id).filter(|it| it.live.root.is_some() || is_named(desired.as_ref()));
        let foreign = recorded
            .as_ref()
            .and_then(|it| it.live.root.as_deref())
            .filter(|root| *root != self.policy.root)
            .map(|root| foreign(id, root));
        let lease = recorded.as_ref().filter(|_| foreign.is_none()).and_then(|it| it.lease.as_deref());
        let rival = self.rivals.hold(id, lease);
        // One that we do not even know may be of another repository.
        if rival.is_some() && desired.is_none() {
            return None;
        }
        let is_theirs = foreign.is_some() && seen.is_none();
        let elsewhere = foreign.or(rival);
        let record = recorded.filter(|_| elsewhere.is_none());
        let is_ours = record.is_some() || seen.as_ref().is_some_and(|it| ours(it.live.root.as_ref()));
        if desired.is_none() && !is_ours {
            return None;
        }
        let memory = seen.as_ref().and_then(|it| it.live.memory.as_ref());
        let mut case = Case {
            desired: desired.unwrap_or_else(|| self.unnamed(record.as_deref().filter(|_| seen.is_none()))),
            live: follow::asked(&self.cache, id, seen.as_deref(), &self.policy),
            home: None,
            twins: BTreeMap::new(),
            announced: memory.is_some_and(|memory| self.announced.covers(memory)),
            record: record.as_ref().map(|it| self.record(id, it)),
            documents: BTreeMap::new(),
            companions: BTreeMap::new(),
            looked: BTreeMap::new(),
            unlooked: None,
            strangers: self.strangers.get(id).cloned().unwrap_or_default(),
            pods: None,
            kept: Arc::default(),
            refused: (self.refusals.of(id).or_else(|| self.crowd.refusals.of(id)))
                .or_else(|| Some(Refusal::of(self.lane.failure(id).or(elsewhere)?))),
        };
        case.documents = self.documents(id, &case, record.as_deref());
        self.rehearsals.show(id, &mut case);
        case.twins = follow::twins(&self.cache, &self.echoes, id, &case, &self.policy);
        if let Some(seen) = &seen {
            let drift = follow::home(&self.echoes, id, &case, seen, &self.policy);
            if let Some(live) = &mut case.live {
                live.drift = drift;
            }
        }
        self.companions(id, &mut case);
        case.see_as_one();
        self.crowd.see(&self.cache, id, &mut case);
        match self.unseen(id, &case) {
            Some(hold) => {
                self.blind.insert(id.clone());
                // What was refused stays known: a way back goes past it.
                let objects = case.refused.take().map(|it| it.objects).unwrap_or_default();
                case.refused = Some(Refusal { hold, objects });
            }
            // What another root tells of is not made beside it.
            None if is_theirs => drop(self.blind.insert(id.clone())),
            None => drop(self.blind.remove(id)),
        }
        Some(case)
    }

    /// What is to be said of a release that Git does not name. One that was told of and never made has no pod to
    /// lose, and no memory by which its commits could be looked for: a whole tree without it is all the evidence that
    /// there can be.
    fn unnamed(&self, record: Option<&SeenRecord>) -> Desired {
        let unmade = record.is_some_and(|it| it.live.memory.is_none());
        match self.source.head.filter(|_| unmade && self.reading.is_whole) {
            Some(commit) => Desired::Gone(Removal { commit, approved: true }),
            None => Desired::Unknown,
        }
    }

    /// A record, with the memory that is on its way to it.
    fn record(&self, id: &ReleaseId, seen: &SeenRecord) -> RecordLive {
        let mut record = seen.live.clone();
        if let Some(memory) = self.told.get(id) {
            record.memory = Some(memory.clone());
        }
        record
    }

    /// Documents of the releases that memory names, from where they can be had. Those below the top are looked for
    /// only where somebody asks to go back.
    fn documents(
        &mut self,
        id: &ReleaseId,
        case: &Case,
        record: Option<&SeenRecord>,
    ) -> BTreeMap<Digest, Arc<Release>> {
        let desired = case.desired.release();
        let mut found = BTreeMap::new();
        for (digest, commit) in named(case) {
            let release = match (desired, self.shelf.get(&digest)) {
                (Some(release), _) if release.digest == digest => Some(Arc::clone(release)),
                (_, Some(release)) => Some(Arc::clone(release)),
                (_, None) => record.and_then(|it| recorded(it, digest)).map(Arc::new),
            };
            match (release, commit) {
                (Some(release), _) => {
                    self.shelf.put(&release);
                    self.sought.remove(&digest);
                    found.insert(digest, release);
                }
                (None, Some(commit)) if !self.lost.contains_key(&digest) => {
                    self.sought.insert(digest, (id.clone(), commit));
                }
                (None, _) => {
                    self.sought.remove(&digest);
                }
            }
        }
        found
    }

    fn companions(&self, id: &ReleaseId, case: &mut Case) {
        let of = |it: &Companion| (it.body.key.clone(), it.body.clone());
        let standing: BTreeMap<ObjectKey, _> = case.standing_companions().into_iter().map(of).collect();
        let mut keys = self.cache.companions_of(id);
        let mut desired = BTreeMap::new();
        if let Desired::Release(intent) = &case.desired {
            desired.extend(intent.release.companions.iter().map(of));
        }
        keys.extend(standing.keys().chain(desired.keys()).cloned());
        let led = Led::of(&self.cache, id, case);
        let is_led = keys.iter().any(|key| self.cache.companion(key).is_some_and(|seen| seen.leads));
        let following = Following::of(case, is_led);
        for key in keys {
            let Some(seen) = self.cache.companion(&key) else { continue };
            let mut live = seen.live.clone();
            // One of nobody's is taken over by what is about to be written; a version of before has one content only, and
            // may be needed again.
            let free = desired.get(&key).filter(|_| live.release.is_empty());
            let again = desired.get(&key).filter(|_| key.kind == Kind::ConfigMap);
            let written = free.or(standing.get(&key)).or(again);
            let watched = (&self.cache, &self.crowd);
            let led = || led.as_ref().and_then(|led| led.read(watched, &key, &seen, written));
            let read = following.read(watched, id, &seen, (&key, written)).or_else(led);
            if let Some(wanted) = read.as_ref().and_then(|(_, body)| body.as_ref()).or(written) {
                live.drift = self.echoes.companion(wanted, id, &seen.stand, &self.policy);
            }
            live.leads = read.map(|(leads, _)| leads).unwrap_or_default();
            case.companions.insert(key, live);
        }
    }
}
