//! The controllers over a few objects in memory, against a virtual clock: a cluster without an API.
//!
//! For tests and explorers that drive many small worlds fast. Writes to CloneSets pass the webhooks; server-side apply,
//! watches and everything else that makes an API are `store`'s. Equal seeds and equal calls give equal worlds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::devcluster::actions::Told;
use crate::devcluster::admission::{WEBHOOK, check, check_schema};
use crate::devcluster::clock::second;
use crate::devcluster::cloneset::CLONESETS;
use crate::devcluster::defaulting::admit_cloneset;
use crate::devcluster::deletes::Propagation;
use crate::devcluster::ids::Ids;
use crate::devcluster::json::{Body, items, map, strings, text};
use crate::devcluster::kubelet::Knobs;
use crate::devcluster::machine::{Machine, after};
use crate::devcluster::pass::Objects;
use crate::devcluster::pods::{PODS, Pod, controller_uid};
use crate::devcluster::revision::REVISIONS;

/// Longest value of a label.
const LABEL_LIMIT: usize = 63;
/// What keeps an owner until its dependents are gone.
const FOREGROUND: &str = "foregroundDeletion";
/// What keeps an owner until its dependents are free.
const ORPHAN: &str = "orphan";
/// How often dependents of owners that are gone are looked for.
const COLLECTION: Duration = Duration::from_millis(100);

/// One write, as a watch would show it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// The resource's name.
    pub resource: String,
    /// The object before.
    pub before: Option<Body>,
    /// The object after.
    pub after: Option<Body>,
}

/// Why a write was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// HTTP status.
    pub code: u16,
    /// The API's sentence.
    pub message: String,
}

impl Refused {
    /// The code in words.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self.code {
            404 => "NotFound",
            409 => "Conflict",
            422 => "Invalid",
            _other => "InternalError",
        }
    }

    /// Whether the same write may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.code >= 500
    }
}

/// What stands in memory.
#[derive(Clone)]
struct Shelf {
    now: Timestamp,
    version: u64,
    ids: Ids,
    /// By resource, namespace and name.
    objects: BTreeMap<String, (String, Body)>,
    unseen: Vec<Seen>,
    events: BTreeMap<&'static str, u64>,
    /// Pods with one of these images are refused, as a quota would.
    refused_images: BTreeSet<String>,
}

impl Shelf {
    fn put(&mut self, resource: &str, mut after: Body) {
        self.version += 1;
        after["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let place = place(resource, text(&after, "/metadata/namespace"), text(&after, "/metadata/name"));
        let before = self.objects.insert(place, (resource.to_owned(), after.clone()));
        self.note(resource, before.map(|(_, body)| body), Some(after));
    }

    fn take(&mut self, resource: &str, namespace: &str, name: &str) {
        self.version += 1;
        let before = self.objects.remove(&place(resource, namespace, name));
        self.note(resource, before.map(|(_, body)| body), None);
    }

    fn note(&mut self, resource: &str, before: Option<Body>, after: Option<Body>) {
        self.unseen.push(Seen { at: self.now, resource: resource.to_owned(), before, after });
    }

    fn refusal(&self, resource: &str, object: &Value) -> Option<String> {
        let name = text(object, "/metadata/name");
        let long = strings(object, "/metadata/labels").find(|(_, value)| value.len() > LABEL_LIMIT);
        if let Some((_, value)) = long {
            let limit = format!("must be no more than {LABEL_LIMIT} characters");
            return Some(format!(
                "Pod {name:?} is invalid: metadata.labels: Invalid value: {value:?}: {limit}"
            ));
        }
        let image = items(object, "/spec/containers").find_map(|container| container["image"].as_str());
        let refused = resource == PODS && image.is_some_and(|image| self.refused_images.contains(image));
        refused.then(|| format!("pods {name:?} is forbidden: no more pods"))
    }
}

fn place(resource: &str, namespace: &str, name: &str) -> String {
    format!("{resource}/{namespace}/{name}")
}

impl Objects for Shelf {
    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Body> {
        self.objects.get(&place(resource, namespace, name)).map(|(_, body)| body.clone())
    }

    fn create(&mut self, resource: &str, mut object: Body) -> Result<(), String> {
        let (namespace, name) = (text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
        if self.objects.contains_key(&place(resource, namespace, name)) {
            return Err(format!("{resource} {name:?} already exists"));
        }
        if let Some(refusal) = self.refusal(resource, &object) {
            return Err(refusal);
        }
        object["metadata"]["uid"] = json!(self.ids.uid());
        object["metadata"]["creationTimestamp"] = json!(second(self.now));
        object["metadata"]["generation"] = json!(1);
        self.put(resource, object);
        Ok(())
    }

    fn update(&mut self, resource: &str, mut object: Body) -> Result<(), String> {
        let name = text(&object, "/metadata/name").to_owned();
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let missing = || format!("{resource} {name:?} not found");
        let old = self.get(resource, &namespace, &name).ok_or_else(missing)?;
        for field in ["uid", "creationTimestamp", "generation", "deletionTimestamp", "resourceVersion"] {
            match old["metadata"].get(field) {
                Some(value) => object["metadata"][field] = value.clone(),
                None => {
                    map(&mut object, "metadata").remove(field);
                }
            }
        }
        object["status"] = old["status"].clone();
        if object["spec"] != old["spec"] {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            object["metadata"]["generation"] = json!(generation);
        }
        let held = items(&object, "/metadata/finalizers").next().is_some();
        if resource != PODS && object["metadata"]["deletionTimestamp"].is_string() && !held {
            self.take(resource, &namespace, &name);
        } else if object != old {
            self.put(resource, object);
        }
        Ok(())
    }

    fn update_status(&mut self, resource: &str, object: Body) -> Result<(), String> {
        let (namespace, name) = (text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
        let missing = || format!("{resource} {name:?} not found");
        let old = self.get(resource, namespace, name).ok_or_else(missing)?;
        let mut new = old.clone();
        new["status"] = object["status"].clone();
        if new != old {
            self.put(resource, new);
        }
        Ok(())
    }

    fn bind(&mut self, pod: Body) -> Result<(), String> {
        self.put(PODS, pod);
        Ok(())
    }

    fn delete(&mut self, resource: &str, namespace: &str, name: &str, at_once: bool) -> Result<(), String> {
        let missing = || format!("{resource} {name:?} not found");
        let mut old = self.get(resource, namespace, name).ok_or_else(missing)?;
        let held = items(&old, "/metadata/finalizers").next().is_some();
        let runs = resource == PODS && !at_once && !text(&old, "/spec/nodeName").is_empty();
        if !held && !runs {
            self.take(resource, namespace, name);
        } else if old["metadata"]["deletionTimestamp"].is_null() {
            old["metadata"]["deletionTimestamp"] = json!(second(self.now));
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            old["metadata"]["generation"] = json!(generation);
            self.put(resource, old);
        }
        Ok(())
    }

    fn tell(&mut self, _about: &Value, told: &Told) {
        *self.events.entry(told.reason).or_default() += 1;
    }
}

/// A small cluster in virtual time. A clone is a second world that goes on from the same moment.
#[derive(Clone)]
pub struct Sim {
    shelf: Shelf,
    machine: Machine,
    seen: Vec<Seen>,
    collect_at: Option<Timestamp>,
    webhooks_may_fail: bool,
}

impl Sim {
    /// An empty cluster whose clock shows `start`.
    #[must_use]
    pub fn new(seed: u64, start: Timestamp, knobs: Knobs) -> Sim {
        let shelf = Shelf {
            now: start,
            version: 100,
            ids: Ids::seeded(seed),
            objects: BTreeMap::new(),
            unseen: Vec::new(),
            events: BTreeMap::new(),
            refused_images: BTreeSet::new(),
        };
        let machine = Machine::new(knobs, Ids::seeded(seed.wrapping_add(1)));
        Sim { shelf, machine, seen: Vec::new(), collect_at: None, webhooks_may_fail: false }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shelf.now
    }

    /// An object as last written.
    #[must_use]
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Body> {
        self.shelf.get(resource, namespace, name)
    }

    /// All objects of a resource, by namespace and name.
    pub fn list(&self, resource: &str) -> impl Iterator<Item = &Body> {
        let (from, to) = (format!("{resource}/"), format!("{resource}0"));
        self.shelf.objects.range(from..to).map(|(_, (_, body))| body)
    }

    /// How many Events of each reason came through.
    #[must_use]
    pub fn events(&self) -> &BTreeMap<&'static str, u64> {
        &self.shelf.events
    }

    /// The writes since the last call, oldest first.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// Creates a CloneSet, through the webhooks.
    ///
    /// # Errors
    /// What a webhook says, or that it is there.
    pub fn create(&mut self, mut body: Value) -> Result<(), Refused> {
        self.admit(&mut body, None)?;
        let conflict = |message| Refused { code: 409, message };
        self.shelf.create(CLONESETS, body.into()).map_err(conflict)?;
        self.tell_machine();
        Ok(())
    }

    /// Changes a CloneSet in one write, through the webhooks. Only metadata and spec count.
    ///
    /// # Errors
    /// What a webhook says, or that it is not there.
    pub fn write(
        &mut self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<(), Refused> {
        let missing = || Refused { code: 404, message: format!("{CLONESETS} {name:?} not found") };
        let old = self.get(CLONESETS, namespace, name).ok_or_else(missing)?;
        let mut new = (*old).clone();
        change(&mut new);
        self.admit(&mut new, Some(&old))?;
        self.shelf.update(CLONESETS, new.into()).map_err(|message| Refused { code: 409, message })?;
        self.tell_machine();
        Ok(())
    }

    /// Sets the size through the scale subresource, which passes no webhook of Kruise.
    pub fn scale(&mut self, namespace: &str, name: &str, replicas: i64) {
        if let Some(mut body) = self.get(CLONESETS, namespace, name) {
            body["spec"]["replicas"] = json!(replicas);
            let _there = self.shelf.update(CLONESETS, body);
            self.tell_machine();
        }
    }

    /// Changes a pod, its status too, as someone with a client would.
    pub fn change_pod(&mut self, namespace: &str, name: &str, change: impl FnOnce(&mut Pod)) {
        if let Some(body) = self.get(PODS, namespace, name) {
            let mut pod = Pod { body };
            change(&mut pod);
            let status = pod.body["status"].clone();
            let _there = self.shelf.update(PODS, pod.body);
            if let Some(mut body) = self.get(PODS, namespace, name) {
                body["status"] = status;
                let _there = self.shelf.update_status(PODS, body);
            }
            self.tell_machine();
        }
    }

    /// Deletes a pod.
    pub fn delete_pod(&mut self, namespace: &str, name: &str) {
        let _gone = self.shelf.delete(PODS, namespace, name, false);
        self.tell_machine();
    }

    /// Deletes a CloneSet.
    pub fn delete(&mut self, namespace: &str, name: &str, how: Propagation) {
        let Some(mut body) = self.get(CLONESETS, namespace, name) else { return };
        let finalizer = match how {
            Propagation::Background => None,
            Propagation::Foreground => Some(FOREGROUND),
            Propagation::Orphan => Some(ORPHAN),
        };
        if let Some(finalizer) = finalizer {
            body["metadata"]["finalizers"] = json!([finalizer]);
            let _there = self.shelf.update(CLONESETS, body);
        }
        let _gone = self.shelf.delete(CLONESETS, namespace, name, false);
        self.tell_machine();
        self.collect_at = Some(after(self.now(), COLLECTION));
    }

    /// Turns knobs; pods that they concern are looked at again.
    pub fn turn(&mut self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.machine.knobs);
        let now = self.now();
        let pods: Vec<Body> = self.list(PODS).cloned().collect();
        for pod in &pods {
            self.machine.reconsider(pod, now);
        }
    }

    /// Refuses new pods with this image, as a quota would.
    pub fn refuse_image(&mut self, image: &str) {
        self.shelf.refused_images.insert(image.to_owned());
    }

    /// Lets writes pass without webhooks while those are dead (`failurePolicy: Ignore`).
    pub fn let_webhooks_fail(&mut self) {
        self.webhooks_may_fail = true;
    }

    /// Kills the CloneSet controller and its webhooks.
    pub fn kill_manager(&mut self) {
        self.machine.kill_manager();
    }

    /// Starts them again.
    pub fn start_manager(&mut self) {
        self.machine.start_manager(self.now());
    }

    /// The next moment when something happens by itself.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        [self.machine.wake_at(), self.collect_at].into_iter().flatten().min()
    }

    /// Lets the next thing happen, if it happens by `until`; else moves the clock there. Returns whether it did.
    pub fn step(&mut self, until: Timestamp) -> bool {
        let Some(due) = self.wake_at().filter(|due| *due <= until) else {
            self.shelf.now = self.shelf.now.max(until);
            return false;
        };
        self.shelf.now = self.shelf.now.max(due);
        if self.collect_at == Some(due) {
            self.collect();
        } else {
            self.machine.step(&mut self.shelf, due);
        }
        self.tell_machine();
        true
    }

    /// Lets so much time pass.
    pub fn advance(&mut self, time: Duration) {
        let until = after(self.now(), time);
        while self.step(until) {}
    }

    fn tell_machine(&mut self) {
        for seen in std::mem::take(&mut self.shelf.unseen) {
            self.machine.observe(&seen.resource, seen.before.as_deref(), seen.after.as_ref(), seen.at);
            self.seen.push(seen);
        }
    }

    fn admit(&self, body: &mut Value, old: Option<&Value>) -> Result<(), Refused> {
        if self.machine.is_down(self.now()) && self.webhooks_may_fail {
            return Ok(());
        }
        if self.machine.is_down(self.now()) {
            let message = "Internal error occurred: failed calling webhook \"mcloneset.kb.io\"".to_owned();
            return Err(Refused { code: 500, message });
        }
        admit_cloneset(body);
        let name = text(body, "/metadata/name");
        if let Some((path, sentence)) = check_schema(body) {
            let message = format!("CloneSet.apps.kruise.io {name:?} is invalid: {path}: {sentence}");
            return Err(Refused { code: 422, message });
        }
        let namespace = text(body, "/metadata/namespace");
        let has_pod = |name: &str| self.get(PODS, namespace, name).is_some();
        check(body, old, &has_pod).map_err(|why| {
            let message = format!("admission webhook {WEBHOOK:?} denied the request: {why}");
            Refused { code: 422, message }
        })
    }

    /// Deletes what owners that are gone, or that wait for it, have left; frees what owners want to leave.
    fn collect(&mut self) {
        let sets: BTreeMap<String, Body> =
            self.list(CLONESETS).map(|body| (text(body, "/metadata/uid").to_owned(), body.clone())).collect();
        let waits = |body: &Value, what: &str| items(body, "/metadata/finalizers").any(|one| one == what);
        let mut left = BTreeSet::new();
        for (resource, mut body) in self.shelf.objects.clone().into_values() {
            let (namespace, name) = (text(&body, "/metadata/namespace"), text(&body, "/metadata/name"));
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            let owner = controller_uid(&body).to_owned();
            let set = sets.get(&owner);
            if owner.is_empty() || (resource != PODS && resource != REVISIONS) {
                continue;
            }
            if set.is_some_and(|set| waits(set, ORPHAN)) {
                map(&mut body, "metadata").remove("ownerReferences");
                let _there = self.shelf.update(&resource, body);
            } else if set.is_none_or(|set| waits(set, FOREGROUND)) {
                left.insert(owner);
                let _gone = self.shelf.delete(&resource, &namespace, &name, false);
            }
        }
        let mut waiting = !left.is_empty();
        for (uid, mut set) in sets {
            if left.contains(&uid) {
                waiting = true;
            } else if waits(&set, ORPHAN) || waits(&set, FOREGROUND) {
                map(&mut set, "metadata").remove("finalizers");
                let _there = self.shelf.update(CLONESETS, set);
            }
        }
        self.collect_at = waiting.then(|| after(self.shelf.now, COLLECTION));
    }
}
