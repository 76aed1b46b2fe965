//! The simulated cluster: CloneSets, companions, records and the lease; writes as server-side apply of whole bodies
//! would do them, and the projections that the program looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use triton::fields::{FieldChange, Stand};
use triton::model::{Amount, Digest, ReleaseId, ResourceVersion, Uid};
use triton::objects::record::{Pending, ReleaseStatus};
use triton::objects::{Kind, ObjectKey, keys};
use triton::spec::{Companion, Release};
use triton::world::{Action, CompanionLive, Drift, Expect, Live, Memory, RecordLive, Write};

use crate::explore::pods::CloneSet;
use crate::explore::spec::{LIMIT, selector, template_hash, template_letter, template_text};

/// A companion.
#[derive(Clone, Debug)]
pub struct Thing {
    /// UID.
    pub uid: Uid,
    /// resourceVersion.
    pub version: u64,
    /// The release whose label it carries.
    pub release: Option<String>,
    /// `spec`.
    pub says: Value,
}

/// The record of a release.
#[derive(Clone, Debug)]
pub struct Record {
    /// UID.
    pub uid: Uid,
    /// resourceVersion.
    pub version: u64,
    /// Memory.
    pub memory: Option<Memory>,
    /// Documents that it keeps.
    pub documents: BTreeMap<Digest, Arc<Release>>,
    /// An announced create.
    pub pending: Option<Pending>,
    /// Size at the last write.
    pub replicas: u32,
}

/// Why a write did not go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 409: something else is there than was expected.
    Conflict,
    /// The body is one that must never be sent.
    Harmful(String),
}

/// Everything in the cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// CloneSets.
    pub sets: BTreeMap<ReleaseId, CloneSet>,
    /// Records.
    pub records: BTreeMap<ReleaseId, Record>,
    /// Companions.
    pub things: BTreeMap<ObjectKey, Thing>,
    /// The last head seen, on the Lease.
    pub lease: Option<u32>,
    serial: u64,
}

impl Cluster {
    /// The next resourceVersion; UIDs are made of it too.
    pub fn tick(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A UID that nothing had before.
    pub fn new_uid(&mut self) -> Uid {
        Uid::new(format!("uid-{}", self.tick()))
    }

    /// Carries out one write; whether the object is another one now.
    ///
    /// # Errors
    /// Where another object is there than was expected, or the body harms.
    pub fn write(&mut self, id: &ReleaseId, write: &Write) -> Result<bool, Refused> {
        let found = match write.object.kind {
            Kind::CloneSet => self.sets.get(id).map(|set| (set.uid.clone(), set.version)),
            _ => self.things.get(&write.object).map(|thing| (thing.uid.clone(), thing.version)),
        };
        let found = found.map(|(uid, version)| (uid, ResourceVersion::new(version.to_string())));
        match &write.action {
            Action::Delete { uid, version } => {
                if found != Some((uid.clone(), version.clone())) {
                    return Err(Refused::Conflict);
                }
                match write.object.kind {
                    Kind::CloneSet => drop(self.sets.remove(id)),
                    _ => drop(self.things.remove(&write.object)),
                }
                Ok(true)
            }
            Action::Apply { body, expect } => {
                let expected = match expect {
                    Expect::Absent => None,
                    Expect::Same(uid, version) => Some((uid.clone(), version.clone())),
                };
                if found != expected {
                    return Err(Refused::Conflict);
                }
                match write.object.kind {
                    Kind::CloneSet => self.apply_set(id, body),
                    _ => Ok(self.apply_thing(&write.object, body)),
                }
            }
        }
    }

    fn apply_thing(&mut self, key: &ObjectKey, body: &Value) -> bool {
        let release = body["metadata"]["annotations"][keys::RELEASE].as_str().map(str::to_owned);
        let says = body["spec"].clone();
        if self.things.get(key).is_some_and(|thing| thing.release == release && thing.says == says) {
            return false;
        }
        let version = self.tick();
        let uid =
            self.things.get(key).map_or_else(|| Uid::new(format!("uid-{version}")), |it| it.uid.clone());
        self.things.insert(key.clone(), Thing { uid, version, release, says });
        true
    }

    fn apply_set(&mut self, id: &ReleaseId, body: &Value) -> Result<bool, Refused> {
        let mut set = match self.sets.get(id) {
            Some(set) => set.clone(),
            None => blank(self.new_uid()),
        };
        let before = set.clone();
        apply_spec(&mut set, body)?;
        apply_annotations(&mut set, body);
        let spec = |set: &CloneSet| (set.template, set.replicas, set.partition, set.paused, set.limit);
        if !self.sets.contains_key(id) || spec(&set) != spec(&before) {
            set.generation += 1;
        }
        let same = spec(&set) == spec(&before)
            && set.annotations == before.annotations
            && set.sizer == before.sizer
            && set.applied == before.applied;
        if self.sets.contains_key(id) && same {
            return Ok(false);
        }
        set.version = self.tick();
        self.sets.insert(id.clone(), set);
        Ok(true)
    }
}

fn blank(uid: Uid) -> CloneSet {
    CloneSet {
        uid,
        version: 0,
        generation: 0,
        template: '?',
        replicas: 1,
        partition: Amount::Count(0),
        paused: false,
        limit: LIMIT,
        annotations: BTreeMap::new(),
        applied: false,
        sizer: None,
        status: triton::world::CounterStatus::default(),
        current: None,
        pods: Vec::new(),
    }
}

/// A CloneSet that somebody else made.
#[must_use]
pub fn foreign(uid: Uid, version: u64, template: char, replicas: u32) -> CloneSet {
    CloneSet { version, generation: 1, template, replicas, ..blank(uid) }
}

fn apply_spec(set: &mut CloneSet, body: &Value) -> Result<(), Refused> {
    let harmful = |what: &str| Err(Refused::Harmful(what.to_owned()));
    let Some(spec) = body.get("spec") else {
        return if set.applied || set.template == '?' {
            harmful("metadata alone removes the spec")
        } else {
            Ok(())
        };
    };
    let Some(template) = template_letter(&spec["template"]) else {
        return harmful("the body has no template");
    };
    let strategy = &spec["updateStrategy"];
    let Ok(partition) = serde_json::from_value::<Amount>(strategy["partition"].clone()) else {
        return harmful("the body has no partition, and the default lets every pod go");
    };
    set.template = template;
    set.partition = partition;
    set.paused = strategy["paused"].as_bool().unwrap_or(false);
    set.limit = u32::try_from(spec["revisionHistoryLimit"].as_u64().unwrap_or(0)).unwrap_or(0);
    match spec["replicas"].as_u64() {
        Some(replicas) => {
            let replicas = u32::try_from(replicas).unwrap_or(u32::MAX);
            if replicas != set.replicas {
                set.sizer = None;
            }
            set.replicas = replicas;
        }
        // Nobody else owns it: the API server drops it, and the default is one pod.
        None if set.sizer.is_none() => set.replicas = 1,
        None => {}
    }
    set.applied = true;
    Ok(())
}

fn apply_annotations(set: &mut CloneSet, body: &Value) {
    set.annotations.retain(|key, _| !is_ours(key));
    let sent = body["metadata"]["annotations"].as_object().into_iter().flatten();
    let texts = sent.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    set.annotations.extend(texts);
}

fn is_ours(key: &str) -> bool {
    keys::MEMORY.contains(&key) || key == keys::RELEASE || key == keys::ROOT
}

impl CloneSet {
    /// Memory in its annotations.
    #[must_use]
    pub fn memory(&self) -> Option<Memory> {
        Memory::from_annotations(&self.annotations)
    }

    /// What the program sees of it; `entered` is what it is compared with.
    #[must_use]
    pub fn project(&self, id: &ReleaseId, entered: Option<&Release>) -> Live {
        let annotation = |key: &str| self.annotations.get(key).cloned();
        let ours: BTreeMap<&String, &String> = self
            .annotations
            .iter()
            .filter(|(key, _)| **key == keys::RELEASE || **key == keys::ROOT)
            .collect();
        let body = json!({
            "metadata": { "namespace": id.namespace.as_str(), "name": id.name.as_str(), "annotations": ours },
            "spec": {
                "selector": selector(),
                "template": template_text(self.template),
                "revisionHistoryLimit": self.limit,
                "replicas": self.replicas,
            },
        });
        Live {
            uid: self.uid.clone(),
            version: ResourceVersion::new(self.version.to_string()),
            generation: self.generation,
            deleting: false,
            replicas: self.replicas,
            partition: self.partition,
            paused: self.paused,
            replicas_owner: self.sizer.map(str::to_owned),
            suspend: annotation(keys::SUSPEND),
            rollback: annotation(keys::ROLLBACK),
            root: annotation(keys::ROOT),
            other_owner: None,
            memory: self.memory(),
            status: self.status.clone(),
            stand: Stand::of(&body),
            drift: self.drift(entered),
        }
    }

    fn drift(&self, entered: Option<&Release>) -> Drift {
        // Without documents only the template can be told, by its hash.
        let Some(entered) = entered else {
            let other = self.memory().is_some_and(|memory| memory.template != template_hash(self.template));
            return Drift { template: other, ..Drift::default() };
        };
        let change = |path: &str, wanted: Value, found: Value| FieldChange {
            path: path.to_owned(),
            wanted,
            found: Some(found),
            manager: Some("kubectl-edit".to_owned()),
        };
        let template = template_hash(self.template) != entered.template;
        let mut changes = Vec::new();
        if template {
            let found = self.template.to_string().into();
            changes.push(change("spec.template.spec.containers", Value::Null, found));
        }
        if self.limit != LIMIT {
            changes.push(change("spec.revisionHistoryLimit", LIMIT.into(), self.limit.into()));
        }
        Drift { changes: changes.into(), template, ..Drift::default() }
    }
}

impl Record {
    /// What the program sees of it.
    #[must_use]
    pub fn project(&self) -> RecordLive {
        let status = ReleaseStatus { pending: self.pending.clone(), ..ReleaseStatus::default() };
        RecordLive {
            uid: self.uid.clone(),
            version: ResourceVersion::new(self.version.to_string()),
            generation: 1,
            root: Some(String::new()),
            status: Arc::new(status),
            memory: self.memory.clone(),
            replicas: self.replicas,
        }
    }
}

impl Cluster {
    /// The companions of a release, and the objects that are in its way; `standing` is what they are compared with.
    #[must_use]
    pub fn companions(
        &self,
        id: &ReleaseId,
        standing: &[&Companion],
        wanted: &[Companion],
    ) -> (BTreeMap<ObjectKey, CompanionLive>, BTreeSet<ObjectKey>) {
        let (mut ours, mut strangers) = (BTreeMap::new(), BTreeSet::new());
        for (key, thing) in &self.things {
            let named =
                standing.iter().any(|it| it.body.key == *key) || wanted.iter().any(|it| it.body.key == *key);
            match &thing.release {
                Some(release) if *release == id.to_string() || named => {
                    let text = standing
                        .iter()
                        .find(|it| it.body.key == *key)
                        .map(|it| it.body.value.open()["spec"].clone());
                    let drift = text.filter(|text| *text != thing.says).map(|text| FieldChange {
                        path: "spec".to_owned(),
                        wanted: text.clone(),
                        found: Some(thing.says.clone()),
                        manager: None,
                    });
                    let live = CompanionLive {
                        uid: thing.uid.clone(),
                        version: ResourceVersion::new(thing.version.to_string()),
                        release: release.clone(),
                        drift: drift.into_iter().collect(),
                    };
                    ours.insert(key.clone(), live);
                }
                None if named => drop(strangers.insert(key.clone())),
                Some(_) | None => {}
            }
        }
        (ours, strangers)
    }
}
