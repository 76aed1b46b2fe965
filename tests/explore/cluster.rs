//! The simulated cluster: CloneSets and pods are those of the embedded cluster's imitation of Kruise; companions,
//! records and the lease stand beside it. Writes are what server-side apply of whole bodies does, and the projections
//! are what the program looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use triton::devcluster::Propagation;
use triton::devcluster::cloneset::CLONESETS;
use triton::devcluster::kubelet::Knobs;
use triton::devcluster::sim::Sim as Kube;
use triton::fields::{FieldChange, Stand};
use triton::model::{Amount, Digest, ReleaseId, ResourceVersion, Uid};
use triton::objects::{Kind, ObjectKey, keys};
use triton::spec::{Companion, Release};
use triton::world::{Action, CompanionLive, Drift, Expect, Live, Memory, RecordLive, Write};

use crate::explore::pods::{CloneSet, Owners};
use crate::explore::spec::{selector, template_hash, template_letter, template_text, time};

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
    /// Size at the last write.
    pub replicas: u32,
}

/// Why a write did not go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 409: something else is there than was expected.
    Conflict,
    /// 500: Kruise's webhooks do not answer.
    Down,
    /// The body is one that must never be sent.
    Harmful(String),
}

/// How fast things go: as by default, but that what always follows at once does so, which spares passes.
#[must_use]
pub fn knobs() -> Knobs {
    let millis = Duration::from_millis;
    Knobs {
        bind: millis(1),
        start: millis(1),
        ready: millis(300),
        lag: (millis(40), millis(120)),
        ..Knobs::default()
    }
}

/// Everything in the cluster.
#[derive(Clone)]
pub struct Cluster {
    /// CloneSets, pods and revisions, with the controllers that move them.
    kube: Kube,
    /// CloneSets as they are now.
    pub sets: BTreeMap<ReleaseId, CloneSet>,
    /// Records.
    pub records: BTreeMap<ReleaseId, Record>,
    /// Companions.
    pub things: BTreeMap<ObjectKey, Thing>,
    /// The last head seen, on the Lease.
    pub lease: Option<u32>,
    /// Announcements of creates, on the Lease, and when each was needed last.
    pub creates: BTreeMap<String, i64>,
    /// Changes of CloneSets, pods and revisions so far.
    pub changes: u64,
    ids: Vec<ReleaseId>,
    serial: u64,
}

impl Cluster {
    /// An empty cluster at `now`. `seed` decides delays and names.
    #[must_use]
    pub fn new(ids: &[ReleaseId], seed: u64, now: i64) -> Self {
        Self {
            kube: Kube::new(seed, time(now), knobs()),
            sets: BTreeMap::new(),
            records: BTreeMap::new(),
            things: BTreeMap::new(),
            lease: None,
            creates: BTreeMap::new(),
            changes: 0,
            ids: ids.to_vec(),
            serial: 0,
        }
    }

    /// The next resourceVersion; UIDs are made of it too.
    pub fn tick(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Lets the controllers and kubelets act until `now`.
    pub fn advance(&mut self, now: i64) {
        while self.kube.step(time(now)) {}
        self.look();
    }

    /// Does something to the cluster from outside.
    pub fn touch(&mut self, act: impl FnOnce(&mut Kube)) {
        act(&mut self.kube);
        self.look();
    }

    /// Turns pods of a template bad, or good again.
    pub fn turn(&mut self, template: char, bad: bool) {
        self.touch(|kube| {
            kube.turn(|knobs| {
                if bad {
                    knobs.crashing.insert(template.to_string());
                } else {
                    knobs.crashing.remove(&template.to_string());
                }
            });
        });
    }

    /// Edits the spec or the annotations of a CloneSet by hand, as `kubectl edit` does; webhooks may refuse it.
    pub fn edit(&mut self, id: &ReleaseId, change: impl FnOnce(&mut Value)) {
        self.touch(|kube| drop(kube.write(id.namespace.as_str(), id.name.as_str(), change)));
    }

    /// Makes a CloneSet from a whole body.
    pub fn make(&mut self, body: Value) {
        self.touch(|kube| drop(kube.create(body)));
    }

    /// The whole body of a CloneSet.
    #[must_use]
    pub fn body(&self, id: &ReleaseId) -> Option<Value> {
        Some((*self.kube.get(CLONESETS, id.namespace.as_str(), id.name.as_str())?).clone())
    }

    /// Deletes a CloneSet; its pods follow.
    pub fn delete(&mut self, id: &ReleaseId) {
        self.touch(|kube| kube.delete(id.namespace.as_str(), id.name.as_str(), Propagation::Background));
    }

    /// Reads again what has changed.
    fn look(&mut self) {
        let seen = self.kube.take_seen();
        if seen.is_empty() {
            return;
        }
        self.changes += seen.len() as u64;
        let mut changed = BTreeSet::new();
        for body in seen.iter().filter_map(|seen| seen.after.as_ref().or(seen.before.as_ref())) {
            let owner = body["metadata"]["ownerReferences"][0]["name"].as_str();
            changed.extend(owner.or_else(|| body["metadata"]["name"].as_str()).map(str::to_owned));
        }
        for id in self.ids.iter().filter(|id| changed.contains(id.name.as_str())) {
            let before = self.sets.remove(id);
            let Some(mut set) = CloneSet::read(&self.kube, id, Owners::default()) else { continue };
            if let Some(before) = before.filter(|before| before.uid == set.uid) {
                set.owners = before.owners;
            }
            self.sets.insert(id.clone(), set);
        }
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
                    Kind::CloneSet => self.delete(id),
                    _ => drop(self.things.remove(&write.object)),
                }
                Ok(true)
            }
            Action::TakeOver { .. } => Ok(false),
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
        let before = self.sets.get(id).map(|set| set.version);
        let mut owners = self.sets.get(id).map(|set| set.owners.clone()).unwrap_or_default();
        harmless(body, before.is_none() || !owners.ours.is_empty())?;
        let (namespace, name) = (id.namespace.as_str(), id.name.as_str());
        let outcome = if before.is_some() {
            self.kube.write(namespace, name, |live| merge(live, body, &mut owners))
        } else {
            let mut made = json!({
                "apiVersion": Kind::CloneSet.api().api_version(), "kind": "CloneSet",
                "metadata": { "namespace": namespace, "name": name },
            });
            merge(&mut made, body, &mut owners);
            self.kube.create(made)
        };
        outcome.map_err(|refused| match refused.code {
            409 => Refused::Conflict,
            500 => Refused::Down,
            _ => Refused::Harmful(refused.message),
        })?;
        self.look();
        let Some(set) = self.sets.get_mut(id) else { return Ok(true) };
        let changed = before != Some(set.version) || set.owners.ours != owners.ours;
        set.owners = owners;
        Ok(changed)
    }
}

/// A body that must never be sent: one that lets pods go by what it leaves out.
fn harmless(body: &Value, whole: bool) -> Result<(), Refused> {
    let harmful = |what: &str| Err(Refused::Harmful(what.to_owned()));
    let Some(spec) = body.get("spec") else {
        return if whole { harmful("metadata alone removes the spec") } else { Ok(()) };
    };
    if template_letter(&spec["template"]).is_none() {
        return harmful("the body has no template");
    }
    if serde_json::from_value::<Amount>(spec["updateStrategy"]["partition"].clone()).is_err() {
        return harmful("the body has no partition, and the default lets every pod go");
    }
    Ok(())
}

/// Server-side apply, forced: what is sent is set, what was sent before and is not any more is taken away.
fn merge(live: &mut Value, body: &Value, owners: &mut Owners) {
    let annotations = &mut live["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.retain(|key, _| !is_ours(key));
        let sent = body["metadata"]["annotations"].as_object().into_iter().flatten();
        annotations.extend(sent.map(|(key, text)| (key.clone(), text.clone())));
    }
    let Some(spec) = body["spec"].as_object() else { return };
    let inner = |strategy: &Value| -> Vec<(String, Value)> {
        let fields = strategy.as_object().into_iter().flatten();
        fields.map(|(field, value)| (format!("updateStrategy/{field}"), value.clone())).collect()
    };
    let outer = spec.iter().filter(|(field, _)| *field != "updateStrategy");
    let mut sent: BTreeMap<String, Value> =
        outer.map(|(field, value)| (field.clone(), value.clone())).collect();
    sent.extend(inner(&spec.get("updateStrategy").cloned().unwrap_or_default()));
    // Another manager's size stays where it is left out; written differently it is ours again.
    if sent.get("replicas").is_some_and(|size| *size != live["spec"]["replicas"]) {
        owners.sizer = None;
    }
    let lost = owners.ours.iter().filter(|path| !sent.contains_key(*path));
    let lost: Vec<String> =
        lost.filter(|path| *path != "replicas" || owners.sizer.is_none()).cloned().collect();
    for path in lost {
        *place(live, &path) = Value::Null;
    }
    for (path, value) in &sent {
        *place(live, path) = value.clone();
    }
    owners.ours = sent.into_keys().collect();
}

fn place<'a>(live: &'a mut Value, path: &str) -> &'a mut Value {
    match path.split_once('/') {
        Some((map, field)) => &mut live["spec"][map][field],
        None => &mut live["spec"][path],
    }
}

/// A CloneSet that somebody else made: the body of a release.
#[must_use]
pub fn foreign(release: &Release, replicas: u32) -> Value {
    let mut body = release.cloneset.value.open();
    body["spec"]["replicas"] = replicas.into();
    body
}

fn is_ours(key: &str) -> bool {
    keys::MEMORY.contains(&key) || key == keys::RELEASE || key == keys::ROOT
}

impl CloneSet {
    /// Memory in its annotations.
    #[must_use]
    pub fn memory(&self) -> Option<Memory> {
        self.memory.clone()
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
        let strategy = &self.spec["updateStrategy"];
        let body = json!({
            "metadata": { "namespace": id.namespace.as_str(), "name": id.name.as_str(), "annotations": ours },
            "spec": {
                "selector": selector(id),
                "template": template_text(id, self.template),
                "revisionHistoryLimit": self.spec["revisionHistoryLimit"],
                "updateStrategy": {
                    "type": strategy["type"],
                    "maxUnavailable": strategy["maxUnavailable"],
                    "maxSurge": strategy["maxSurge"],
                    "partition": self.partition,
                    "paused": self.paused,
                },
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
            gated: false,
            hooks: Arc::default(),
            paused: self.paused,
            to_delete: Default::default(),
            replicas_owner: self.owners.sizer.map(str::to_owned),
            suspend: annotation(keys::SUSPEND),
            rollback: annotation(keys::ROLLBACK),
            root: annotation(keys::ROOT),
            other_owner: None,
            memory: self.memory(),
            status: self.status.clone(),
            stand: Stand::of(&body),
            drift: self.drift(entered),
            rehearsal: None,
        }
    }

    /// How it differs from `entered`, as far as that can be told.
    #[must_use]
    pub fn drift(&self, entered: Option<&Release>) -> Drift {
        // Without documents only the template can be told, by its hash.
        let Some(entered) = entered else {
            let other = self.memory.as_ref().is_some_and(|it| it.template != template_hash(self.template));
            return Drift { template: other, applied: !self.owners.ours.is_empty(), ..Drift::default() };
        };
        let change = |path: String, wanted: Value, found: Value| FieldChange {
            path,
            wanted,
            found: Some(found),
            manager: Some("kubectl-edit".to_owned()),
        };
        let template = template_hash(self.template) != entered.template;
        let mut changes = Vec::new();
        if template {
            let found = self.template.to_string().into();
            changes.push(change("spec.template.spec.containers".to_owned(), Value::Null, found));
        }
        let body = entered.cloneset.value.open();
        let written = &body["spec"];
        let strategy = written["updateStrategy"].as_object().into_iter().flatten();
        let fields = strategy.map(|(field, wanted)| (format!("updateStrategy/{field}"), wanted));
        let limit = ("revisionHistoryLimit".to_owned(), &written["revisionHistoryLimit"]);
        for (path, wanted) in fields.chain([limit]).filter(|(path, wanted)| self.field(path) != *wanted) {
            let found = self.field(&path).clone();
            changes.push(change(format!("spec.{}", path.replace('/', ".")), wanted.clone(), found));
        }
        let applied = !self.owners.ours.is_empty();
        Drift { changes: changes.into(), template, applied, ..Drift::default() }
    }
}

impl Record {
    /// What the program sees of it.
    #[must_use]
    pub fn project(&self) -> RecordLive {
        RecordLive {
            uid: self.uid.clone(),
            version: ResourceVersion::new(self.version.to_string()),
            generation: 1,
            root: Some(String::new()),
            status: Arc::default(),
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
                        other_owner: None,
                        drift: drift.into_iter().collect(),
                        beside: [].into(),
                        applied: true,
                        deleting: false,
                        leads: triton::world::Leads::default(),
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
