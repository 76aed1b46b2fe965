//! The objects of the embedded cluster: kept in memory, versioned, with a bounded log of changes for watches.
//!
//! Invariants: every write has the next resourceVersion; a change stands in its resource's log before the write
//! returns; nothing here waits. What a write must look like (generation, finalizers, ownership) is decided by
//! `writes` and `deletes`, which add the methods that controllers call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::devcluster::clock::Clock;
use crate::devcluster::ids::Ids;
use crate::devcluster::kinds::{Kind, Kinds};
use crate::devcluster::refusal::Refusal;
use crate::devcluster::schema::Schema;

/// Changes kept per resource; older ones are 410 to watches. A demo's rollout writes some hundred a minute, and a
/// test of 10,000 objects can miss two writes of each.
pub const LOG_LIMIT: usize = 20_000;

/// The resourceVersion before the first write. Above 1, because clients send "1" for "no object has this".
const FIRST_VERSION: u64 = 100;

/// An object as stored: immutable, shared, with its `metadata.resourceVersion` in place.
#[derive(Clone, Debug)]
pub struct Object(Arc<Stored>);

#[derive(Debug)]
struct Stored {
    value: Value,
    json: OnceLock<String>,
    bare: OnceLock<String>,
}

impl Object {
    /// Wraps a finished value.
    #[must_use]
    pub fn new(value: Value) -> Object {
        Object(Arc::new(Stored { value, json: OnceLock::new(), bare: OnceLock::new() }))
    }

    /// The object as JSON; written once, however many lists and watches send it.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.json.get_or_init(|| self.0.value.to_string())
    }

    /// The object as JSON without kind and apiVersion: as it stands in lists of built-in kinds.
    #[must_use]
    pub fn bare_json(&self) -> &str {
        self.0.bare.get_or_init(|| {
            let mut bare = self.0.value.clone();
            if let Some(bare) = bare.as_object_mut() {
                bare.remove("kind");
                bare.remove("apiVersion");
            }
            bare.to_string()
        })
    }

    /// `metadata.resourceVersion`.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.text("/metadata/resourceVersion").parse().unwrap_or(0)
    }

    /// The string at a JSON pointer, or `""`.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`, empty for cluster-scoped objects.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0.value
    }
}

/// One write, as watches see it.
#[derive(Clone, Debug)]
pub struct Change {
    /// The resourceVersion that the write made.
    pub version: u64,
    /// The object before; `None` when it was created.
    pub before: Option<Object>,
    /// The object after; `None` when it was removed.
    pub after: Option<Object>,
}

/// The store. Cheap to clone; clones are the same store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    state: Mutex<State>,
    newest: watch::Sender<u64>,
}

/// What the lock guards. Only this room's writing files touch it.
#[derive(Debug)]
pub struct State {
    /// Time, for those who write.
    pub clock: Clock,
    /// Uids and name suffixes.
    pub ids: Ids,
    /// The served kinds.
    pub kinds: Kinds,
    /// The shape of every object's metadata.
    pub metadata: Arc<Schema>,
    /// Admission by resource.
    pub admissions: BTreeMap<String, Admission>,
    /// Whether garbage is collected and namespaces are emptied: the controllers that every cluster has.
    pub collects: bool,
    version: u64,
    compacted: u64,
    shelves: BTreeMap<String, Shelf>,
    owners: Owners,
}

/// A webhook of a kind: runs on writes to the kind itself, not to its status or scale.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// Its name, as refusals say it: `vcloneset.kb.io`.
    pub name: &'static str,
    /// Puts in defaults.
    pub mutate: fn(&mut Value),
    /// Refuses with a sentence; the first argument is the object before the write.
    pub validate: fn(Option<&Value>, &Value) -> Result<(), String>,
}

/// Where an object stands: resource, namespace, name.
pub type Place = (String, String, String);

/// Who is there, and whom they own: by uid.
#[derive(Debug, Default)]
struct Owners {
    places: BTreeMap<String, Place>,
    dependents: BTreeMap<String, BTreeSet<Place>>,
}

/// All objects of one resource.
#[derive(Debug, Default)]
struct Shelf {
    objects: BTreeMap<String, Object>,
    log: VecDeque<Change>,
    /// Changes up to this version are no longer in the log.
    forgotten: u64,
}

/// The key under which etcd would sort an object.
fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Store {
    /// An empty store that serves `kinds`. Equal seeds give equal uids.
    #[must_use]
    pub fn new(clock: Clock, seed: u64, kinds: Kinds, metadata: Arc<Schema>) -> Store {
        let state = State {
            clock,
            ids: Ids::seeded(seed),
            kinds,
            metadata,
            admissions: BTreeMap::new(),
            collects: true,
            version: FIRST_VERSION,
            compacted: FIRST_VERSION,
            shelves: BTreeMap::new(),
            owners: Owners::default(),
        };
        Store(Arc::new(Shared { clock, state: Mutex::new(state), newest: watch::Sender::new(FIRST_VERSION) }))
    }

    /// The cluster's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// The kind behind `plural.group`, if it is served.
    #[must_use]
    pub fn kind(&self, resource: &str) -> Option<Arc<Kind>> {
        self.lock().kinds.get(resource)
    }

    /// The object, as last written. `resource` is `pods` or `clonesets.apps.kruise.io`; `namespace` is empty for
    /// cluster-scoped kinds.
    #[must_use]
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Object> {
        self.lock().find(resource, namespace, name)
    }

    /// All objects of a resource, in one namespace or in all, by namespace and name.
    #[must_use]
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Object> {
        self.lock().list(resource, namespace)
    }

    /// The newest resourceVersion.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// Tells the newest resourceVersion after every write: await `changed()` to act when something did.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    /// The changes of a resource after `version`, oldest first. 410 where some of them are forgotten.
    ///
    /// # Errors
    /// `Expired`, when the log does not reach back to `version`.
    pub fn changes_since(&self, resource: &str, version: u64) -> Result<Vec<Change>, Refusal> {
        self.lock().changes_since(resource, version)
    }

    /// Forgets all states up to now, as a compaction of etcd does: lists of them and continue tokens are 410. Watches
    /// are served from the log, which stays.
    pub fn compact(&self) {
        let mut state = self.lock();
        state.compacted = state.version;
    }

    /// Runs one write under the lock, then tells those who wait for changes.
    pub fn write<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.version;
        let result = action(&mut state);
        let after = state.version;
        drop(state);
        if after != before {
            self.0.newest.send_replace(after);
        }
        result
    }

    /// Runs one read under the lock: all that it sees is of one moment.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The newest resourceVersion.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The object, as last written.
    #[must_use]
    pub fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<Object> {
        self.shelves.get(resource)?.objects.get(&key(namespace, name)).cloned()
    }

    /// All objects of a resource, in one namespace or in all, by namespace and name.
    #[must_use]
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Object> {
        let Some(shelf) = self.shelves.get(resource) else { return Vec::new() };
        match namespace {
            None => shelf.objects.values().cloned().collect(),
            Some(namespace) => {
                let (from, to) = (format!("{namespace}/"), format!("{namespace}0"));
                shelf.objects.range(from..to).map(|(_, object)| object.clone()).collect()
            }
        }
    }

    /// All objects of a resource as they were at `version`, by taking the log back.
    ///
    /// # Errors
    /// `Expired`, when the log does not reach back to `version`.
    pub fn list_at(
        &self,
        resource: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Object>, Refusal> {
        if version < self.compacted {
            return Err(Refusal::expired("The resourceVersion for the provided list is too old."));
        }
        let changes = self.changes_since(resource, version)?;
        let here = |object: &Object| namespace.is_none_or(|namespace| object.namespace() == namespace);
        let mut then: BTreeMap<String, Object> = self
            .list(resource, namespace)
            .into_iter()
            .map(|object| (key(object.namespace(), object.name()), object))
            .collect();
        for change in changes.into_iter().rev() {
            match (change.before, change.after) {
                (Some(before), _) if here(&before) => {
                    then.insert(key(before.namespace(), before.name()), before);
                }
                (None, Some(after)) => {
                    then.remove(&key(after.namespace(), after.name()));
                }
                (Some(_) | None, _) => {}
            }
        }
        Ok(then.into_values().collect())
    }

    /// The changes of a resource after `version`, oldest first.
    ///
    /// # Errors
    /// `Expired`, when the log does not reach back to `version`.
    pub fn changes_since(&self, resource: &str, version: u64) -> Result<Vec<Change>, Refusal> {
        let Some(shelf) = self.shelves.get(resource) else { return since_the_start(version) };
        let oldest = shelf.forgotten.max(FIRST_VERSION);
        if version < oldest {
            return Err(Refusal::expired(format!("too old resource version: {version} ({oldest})")));
        }
        let first = shelf.log.partition_point(|change| change.version <= version);
        Ok(shelf.log.range(first..).cloned().collect())
    }

    /// Whether anything of a resource was written after `version`.
    #[must_use]
    pub fn written_since(&self, resource: &str, version: u64) -> bool {
        let Some(shelf) = self.shelves.get(resource) else { return false };
        shelf.log.back().is_some_and(|change| change.version > version) || version < shelf.forgotten
    }

    /// Puts an object in its place, under the next resourceVersion.
    pub fn put(&mut self, resource: &str, mut value: Value) -> Object {
        self.version += 1;
        let version = self.version;
        value["metadata"]["resourceVersion"] = json!(version.to_string());
        let object = Object::new(value);
        let shelf = self.shelves.entry(resource.to_owned()).or_default();
        let before = shelf.objects.insert(key(object.namespace(), object.name()), object.clone());
        self.owners.note(resource, before.as_ref(), Some(&object));
        shelf.note(Change { version, before, after: Some(object.clone()) });
        object
    }

    /// Puts an object in its place under the version of the last write: another view of what was just written.
    pub fn put_view(&mut self, resource: &str, value: Value) {
        self.version -= 1;
        self.put(resource, value);
    }

    /// Takes an object away, under the next resourceVersion. Returns what stood there.
    pub fn take(&mut self, resource: &str, namespace: &str, name: &str) -> Option<Object> {
        let shelf = self.shelves.get_mut(resource)?;
        let before = shelf.objects.remove(&key(namespace, name))?;
        self.version += 1;
        self.owners.note(resource, Some(&before), None);
        shelf.note(Change { version: self.version, before: Some(before.clone()), after: None });
        Some(before)
    }

    /// The objects that name this uid as an owner.
    #[must_use]
    pub fn dependents(&self, uid: &str) -> Vec<Place> {
        self.owners.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Where the object with this uid stands.
    #[must_use]
    pub fn place_of(&self, uid: &str) -> Option<Place> {
        self.owners.places.get(uid).cloned()
    }

    /// Whether an object with this uid is there.
    #[must_use]
    pub fn is_there(&self, uid: &str) -> bool {
        self.owners.places.contains_key(uid)
    }
}

/// The changes of a resource that was never written.
fn since_the_start(version: u64) -> Result<Vec<Change>, Refusal> {
    if version >= FIRST_VERSION {
        return Ok(Vec::new());
    }
    Err(Refusal::expired(format!("too old resource version: {version} ({FIRST_VERSION})")))
}

impl Owners {
    fn note(&mut self, resource: &str, before: Option<&Object>, after: Option<&Object>) {
        let place =
            |object: &Object| (resource.to_owned(), object.namespace().to_owned(), object.name().to_owned());
        if let Some(before) = before {
            self.places.remove(before.uid());
            for owner in owner_uids(before) {
                if let Some(places) = self.dependents.get_mut(owner) {
                    places.remove(&place(before));
                    if places.is_empty() {
                        self.dependents.remove(owner);
                    }
                }
            }
        }
        if let Some(after) = after {
            self.places.insert(after.uid().to_owned(), place(after));
            for owner in owner_uids(after) {
                self.dependents.entry(owner.to_owned()).or_default().insert(place(after));
            }
        }
    }
}

/// The uids of an object's owners.
pub fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.filter_map(|owner| owner["uid"].as_str())
}

impl Shelf {
    fn note(&mut self, change: Change) {
        if self.log.len() == LOG_LIMIT
            && let Some(oldest) = self.log.pop_front()
        {
            self.forgotten = oldest.version;
        }
        self.log.push_back(change);
    }
}
