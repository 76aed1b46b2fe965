//! The program in the simulation: what it reads of Git, the world that it makes of it, and how a plan is carried
//! out: workloads first, then the records, and it may stop between any two writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use triton::model::{Digest, Lift, LiftKind, ReleaseId, Uid};
use triton::spec::Release;
use triton::world::{Case, Desired, Fault, Memory, Move, People, Policy, Rehearsal, Source, World};

use crate::explore::cluster::{Cluster, Record};
use crate::explore::line::{Commit, desired};
use crate::explore::pods::Owners;
use crate::explore::spec::{digest, release, time};

/// Seconds after which a fetch is too old to go forward.
pub const STALE_AFTER: i64 = 6;

/// Seconds for which an announcement stays that nothing needs.
pub const KEPT: i64 = 15;

/// One reading of the repository.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The line up to the head that was read.
    pub line: Vec<Arc<Commit>>,
    /// What it says, by release.
    pub desired: BTreeMap<ReleaseId, Desired>,
}

impl Reading {
    fn of(line: &[Arc<Commit>], ids: &[ReleaseId]) -> Self {
        let desired = ids.iter().map(|id| (id.clone(), desired(line, id))).collect();
        Self { line: line.to_vec(), desired }
    }

    /// The commit that was read.
    #[must_use]
    pub fn head(&self) -> &Commit {
        self.line.last().expect("a line has a commit")
    }

    /// The documents of a digest, at one of the commits that memory names or at HEAD.
    fn documents(&self, id: &ReleaseId, wanted: Digest, memory: &Memory) -> Option<Arc<Release>> {
        let proofs = memory.proven.iter().filter_map(|proof| proof.commit);
        let named: Vec<_> = memory.episode.into_iter().chain(proofs).collect();
        let commits = self
            .line
            .iter()
            .rev()
            .filter(|commit| commit.number == self.head().number || named.contains(&commit.id()));
        let specs = commits.filter_map(|commit| commit.specs.get(id)).filter(|spec| spec.valid);
        specs
            .map(|spec| (digest(id, &spec.doc), spec))
            .find(|(it, _)| *it == wanted)
            .map(|(_, it)| release(id, it))
    }
}

/// What one process knows; a restart loses all of it.
#[derive(Clone, Debug, Default)]
pub struct Daemon {
    /// What was read last and is followed.
    pub reading: Option<Arc<Reading>>,
    /// When Git was last asked with success.
    pub fetched: Option<i64>,
    /// What is wrong with Git.
    pub fault: Option<Fault>,
    /// The announcement that its creates carry.
    pub create: Option<Arc<str>>,
    looked: BTreeMap<ReleaseId, (Stamp, Option<Arc<Case>>)>,
}

/// Versions of what a case is made of.
#[derive(Clone, Debug, PartialEq)]
struct Stamp {
    head: Option<u32>,
    set: Option<(Uid, u64, Owners)>,
    record: Option<u64>,
    things: (usize, u64),
    creates: Vec<String>,
}

impl Daemon {
    /// Asks Git, which shows `line`; `None` where it does not answer.
    pub fn poll(&mut self, line: Option<&[Arc<Commit>]>, ids: &[ReleaseId], cluster: &mut Cluster, now: i64) {
        let Some(line) = line else {
            self.fault = Some(Fault::Unreachable { message: "no route".to_owned() });
            return;
        };
        let head = line.last().expect("a line has a commit").number;
        if let Some(seen) = cluster.lease
            && !line.iter().any(|commit| commit.number == seen)
        {
            let lift = Lift::by(LiftKind::Configure).path("git.acceptHead");
            self.fault = Some(Fault::Refused { message: "the branch was rewritten".to_owned(), lift });
            return;
        }
        // The head is remembered on the Lease before it is used.
        cluster.lease = Some(head);
        self.fault = None;
        self.fetched = Some(now);
        if self.reading.as_ref().is_none_or(|reading| reading.head().number != head) {
            self.reading = Some(Arc::new(Reading::of(line, ids)));
        }
    }

    /// The world as this process sees it. A release of which nothing changed is not looked at again.
    #[must_use]
    pub fn observe(&mut self, cluster: &Cluster, ids: &[ReleaseId], people: bool, now: i64) -> World {
        let policy = Policy {
            stale_after: u32::try_from(STALE_AFTER).expect("small"),
            people: people.then_some(People::CommitAuthors),
            ..Policy::default()
        };
        let source = Source {
            head: self.reading.as_ref().map(|reading| reading.head().id()),
            fetched_at: self.fetched.map(time),
            fault: self.fault.clone(),
        };
        for id in ids {
            let stamp = self.stamp(cluster, id);
            if self.looked.get(id).is_some_and(|(looked, _)| *looked == stamp) {
                continue;
            }
            let desired = self.reading.as_ref().map_or(Desired::Unknown, |it| it.desired[id].clone());
            let gone = matches!(desired, Desired::Gone(_) | Desired::Unknown);
            let there = cluster.sets.contains_key(id) || cluster.records.contains_key(id);
            let case = (!gone || there).then(|| Arc::new(self.case(cluster, id, desired)));
            self.looked.insert(id.clone(), (stamp, case));
        }
        let case = |id: &ReleaseId| Some((id.clone(), self.looked.get(id)?.1.clone()?));
        let cases: BTreeMap<ReleaseId, Arc<Case>> = ids.iter().filter_map(case).collect();
        let named = cases.values().filter_map(|case| match &case.desired {
            Desired::Release(intent) => Some(&intent.release),
            Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
        });
        let objects = named.flat_map(|it| it.companions.iter().map(|it| &it.body).chain([&it.cloneset]));
        World {
            now: time(now),
            policy: Arc::new(policy),
            source,
            announcement: self.create.clone(),
            has_records: true,
            named: Arc::new(objects.map(|body| body.key.clone()).collect()),
            cases,
        }
    }

    /// What a case is made of: the head, and the versions of everything in the cluster.
    fn stamp(&self, cluster: &Cluster, id: &ReleaseId) -> Stamp {
        let things = cluster.things.values().map(|thing| thing.version).sum();
        let set = cluster.sets.get(id);
        Stamp {
            head: self.reading.as_ref().map(|reading| reading.head().number),
            set: set.map(|set| (set.uid.clone(), set.version, set.owners.clone())),
            record: cluster.records.get(id).map(|record| record.version),
            things: (cluster.things.len(), things),
            creates: cluster.creates.keys().cloned().collect(),
        }
    }

    fn case(&self, cluster: &Cluster, id: &ReleaseId, desired: Desired) -> Case {
        let record = cluster.records.get(id);
        let set = cluster.sets.get(id);
        let create = set.and_then(|set| set.memory.as_ref()?.create.as_ref());
        let mut case = Case {
            desired,
            announced: create.is_some_and(|create| cluster.creates.contains_key(create)),
            live: set.map(|set| set.project(id, None)),
            record: record.map(Record::project),
            home: None,
            twins: BTreeMap::new(),
            documents: BTreeMap::new(),
            companions: BTreeMap::new(),
            pods: None,
            looked: BTreeMap::new(),
            unlooked: None,
            kept: Arc::default(),
            strangers: std::collections::BTreeSet::new(),
            refused: None,
        };
        let memory = case.memory().or_else(|| case.recorded_memory()).cloned();
        if let Some(memory) = &memory {
            let wanted = memory.proven.iter().map(|proof| proof.digest).chain([memory.digest]);
            case.documents =
                wanted.filter_map(|it| Some((it, self.documents(record, id, it, memory)?))).collect();
        }
        let head = match &case.desired {
            Desired::Release(intent) => Some(intent.release.clone()),
            Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
        };
        let compared = match case.memory() {
            Some(memory) => case.documents.get(&memory.digest).cloned(),
            None => head.clone(),
        };
        if let (Some(live), Some(set)) = (&mut case.live, set) {
            live.drift = set.drift(compared.as_deref());
            // No release of these worlds has documents that another template could be put into.
            let template = live.drift.changes.iter().filter(|it| it.path.starts_with("spec.template"));
            live.rehearsal = Some(Rehearsal { template: template.cloned().collect(), standing: None });
        }
        let wanted = head.map(|release| release.companions.clone()).unwrap_or_default();
        let standing = case.standing_companions();
        let (companions, strangers) = cluster.companions(id, &standing, &wanted);
        (case.companions, case.strangers) = (companions, strangers);
        case
    }

    fn documents(
        &self,
        record: Option<&Record>,
        id: &ReleaseId,
        wanted: Digest,
        memory: &Memory,
    ) -> Option<Arc<Release>> {
        let kept = record.and_then(|record| record.documents.get(&wanted)).cloned();
        kept.or_else(|| self.reading.as_ref()?.documents(id, wanted, memory))
    }
}

impl Cluster {
    /// Announces creates on the Lease.
    pub fn announce(&mut self, now: i64) -> String {
        let create = format!("create-{}", self.tick());
        self.creates.insert(create.clone(), now);
        create
    }

    /// Withdraws announcements that nothing has needed for some time; `own` is needed by its process.
    pub fn withdraw(&mut self, own: Option<&str>, now: i64) {
        let unnamed = self.sets.values().filter_map(|set| set.memory.as_ref()).filter(|it| it.uid.is_none());
        let needed: Vec<&str> = unnamed.filter_map(|it| it.create.as_deref()).chain(own).collect();
        for (create, at) in &mut self.creates {
            if needed.contains(&create.as_str()) {
                *at = now;
            }
        }
        self.creates.retain(|_, at| now - *at < KEPT);
    }
}

/// The record as it should be after a move, or `None` where there is nothing to record.
#[must_use]
pub fn recorded(
    case: &Case,
    decided: &Move,
    before: Option<&Record>,
    fresh: &Cluster,
    id: &ReleaseId,
) -> Option<Record> {
    let standing = case.memory().or_else(|| case.recorded_memory());
    let memory = decided.memory.as_ref().or(standing).cloned();
    if memory.is_none() && before.is_none() {
        return None;
    }
    let known = before.map(|record| record.documents.clone()).unwrap_or_default();
    let head = match &case.desired {
        Desired::Release(intent) => Some(&intent.release),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
    };
    let mut documents = BTreeMap::new();
    if let Some(memory) = &memory {
        let target = memory.proven.iter().rev().find(|proof| proof.template != memory.template);
        for wanted in target.map(|proof| proof.digest).into_iter().chain([memory.digest]) {
            let head = head.filter(|release| release.digest == wanted);
            if let Some(release) = known.get(&wanted).or_else(|| case.documents.get(&wanted)).or(head) {
                documents.insert(wanted, release.clone());
            }
        }
    }
    let record = before.map(|record| (record.uid.clone(), record.version));
    let (uid, version) = record.unwrap_or_else(|| (triton::model::Uid::new(format!("record-{id}")), 0));
    Some(Record {
        uid,
        version,
        memory,
        documents,
        replicas: fresh.sets.get(id).map(|set| set.replicas).or(before.map(|it| it.replicas)).unwrap_or(1),
    })
}

/// Whether two records say the same.
#[must_use]
pub fn same_record(a: &Record, b: &Record) -> bool {
    let digests = |record: &Record| record.documents.keys().copied().collect::<Vec<_>>();
    (&a.memory, a.replicas, digests(a)) == (&b.memory, b.replicas, digests(b))
}
