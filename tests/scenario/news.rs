//! The objects of a control plane as watches tell of them, shown one change at a time: what was so for a moment only is
//! seen as well, however late the news of it came.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Wall};

use futures::StreamExt as _;
use kube::Client;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::sync::Notify;
use triton::devcluster::Store;
use triton::objects::kind::Api;

use crate::scenario::ground::{LEASES, resource};
use crate::scenario::history::NAMESPACE;

/// How long news is kept back, so that older news from another watch comes before it.
const KEPT: Duration = Duration::from_millis(20);

/// The objects. Clones are the same.
#[derive(Clone)]
pub struct Picture {
    /// Where they are looked at.
    pub store: Store,
    /// The same as the last news have it, shown or not.
    pub latest: Store,
    told: Arc<Mutex<Told>>,
    came: Arc<Notify>,
}

/// What a hand has done to an object.
pub enum Done {
    /// Written, in this version.
    Version(String, String, u64),
    /// Deleted, the one of this uid.
    Deleted(String, String, String),
}

/// One change.
enum News {
    Put(Value),
    Taken(String),
    /// The objects of a list: no others are there.
    Listed(BTreeSet<String>),
}

type Key = (String, String);

struct Told {
    /// What is not shown yet: the oldest version first, then as it came.
    news: BTreeMap<(u64, u64), (Wall, String, News)>,
    came: u64,
    /// Versions that news came of, by resource and name; the last ones of those that are gone, too.
    versions: BTreeMap<Key, u64>,
    /// Versions that are shown.
    shown: BTreeMap<Key, u64>,
    /// Resources that were listed.
    listed: BTreeSet<String>,
    /// When the last news came, leases aside.
    changed: Wall,
}

impl Picture {
    /// An empty one on these stores.
    pub fn new(store: Store, latest: Store) -> Self {
        let told = Told {
            news: BTreeMap::new(),
            came: 0,
            versions: BTreeMap::new(),
            shown: BTreeMap::new(),
            listed: BTreeSet::new(),
            changed: Wall::now(),
        };
        Self { store, latest, told: Arc::new(Mutex::new(told)), came: Arc::default() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, resource: &str, version: u64, news: News) {
        let mut told = self.told();
        if resource != LEASES {
            told.changed = Wall::now();
        }
        told.came += 1;
        let place = (version, told.came);
        told.news.insert(place, (Wall::now(), resource.to_owned(), news));
        drop(told);
        self.came.notify_one();
    }

    fn put(&self, api: &Api, object: DynamicObject) {
        let resource = resource(api);
        let mut value = serde_json::to_value(object).expect("JSON");
        value["apiVersion"] = api.api_version().into();
        value["kind"] = api.kind.into();
        let (key, version) = ((resource.clone(), name(&value)), version(&value));
        if self.told().versions.insert(key, version) != Some(version) {
            self.latest.write(|state| state.put(&resource, value.clone()));
            self.tell(&resource, version, News::Put(value));
        }
    }

    fn take(&self, api: &Api, object: &DynamicObject) {
        let resource = resource(api);
        let value = serde_json::to_value(object).expect("JSON");
        let (name, version) = (name(&value), version(&value));
        self.told().versions.insert((resource.clone(), name.clone()), version);
        self.latest.write(|state| state.take(&resource, NAMESPACE, &name));
        self.tell(&resource, version, News::Taken(name));
    }

    /// Shows the next change; false where it is not time for one.
    pub fn show(&self) -> bool {
        let next = {
            let mut told = self.told();
            let is_due = told.news.first_key_value().is_some_and(|(_, (at, _, _))| at.elapsed() >= KEPT);
            if is_due { told.news.pop_first() } else { None }
        };
        let Some(((version, _), (_, resource, news))) = next else { return false };
        match news {
            News::Put(value) => {
                let name = name(&value);
                self.store.write(|state| state.put(&resource, value));
                self.told().shown.insert((resource, name), version);
            }
            News::Taken(name) => {
                self.store.write(|state| state.take(&resource, NAMESPACE, &name));
                self.told().shown.insert((resource, name), version);
            }
            News::Listed(names) => {
                let gone =
                    self.store.list(&resource, None).into_iter().filter(|it| !names.contains(it.name()));
                for object in gone {
                    self.store.write(|state| state.take(&resource, NAMESPACE, object.name()));
                }
                self.told().listed.insert(resource);
            }
        }
        true
    }

    /// Waits for news, so long at most, and not longer than what has come is kept back.
    pub async fn wait(&self, within: Duration) {
        let within = if self.told().news.is_empty() { within } else { within.min(KEPT) };
        tokio::select! {
            biased;
            () = self.came.notified() => {}
            () = tokio::time::sleep(within) => {}
        }
    }

    /// How long no news has come; none where some is still to be shown.
    pub fn silence(&self) -> Option<Duration> {
        let told = self.told();
        told.news.is_empty().then(|| told.changed.elapsed())
    }

    /// How many resources were listed.
    pub fn listed(&self) -> usize {
        self.told().listed.len()
    }

    /// Whether news has come of these versions, by the plural of the kind and name.
    pub fn has_heard_of(&self, written: &BTreeMap<Key, u64>) -> bool {
        let told = self.told();
        written.iter().all(|((plural, name), version)| {
            let is_it = |key: &Key| key.1 == *name && key.0.split('.').next() == Some(plural);
            told.versions.iter().any(|(key, heard)| is_it(key) && heard >= version)
        })
    }

    /// Whether this is shown.
    pub fn shows(&self, done: &Done) -> bool {
        match done {
            Done::Version(resource, name, version) => {
                self.told().shown.get(&(resource.clone(), name.clone())).is_some_and(|it| it >= version)
            }
            Done::Deleted(resource, name, uid) => {
                let there = self.store.get(resource, NAMESPACE, name);
                there.is_none_or(|it| it.uid() != uid || it["metadata"].get("deletionTimestamp").is_some())
            }
        }
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// An object's version; 0 where it has none.
pub fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// The API of a kind in the scenario's namespace.
pub fn api_of(client: &Client, api: &Api) -> kube::Api<DynamicObject> {
    kube::Api::namespaced_with(client.clone(), NAMESPACE, &triton::cluster::resource(*api))
}

/// Follows the objects of a kind. One that is not served has none.
pub async fn follow(picture: Picture, client: Client, api: Api) {
    let objects = api_of(&client, &api);
    let listed = |names: &BTreeSet<String>| {
        picture.tell(&resource(&api), 0, News::Listed(names.clone()));
    };
    if let Err(kube::Error::Api(status)) = objects.list(&ListParams::default().limit(1)).await
        && status.code == 404
    {
        return listed(&BTreeSet::new());
    }
    let mut events = pin!(watcher(objects, watcher::Config::default()));
    let mut names = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => names.clear(),
            Ok(Event::InitApply(object)) => {
                names.extend(object.metadata.name.clone());
                picture.put(&api, object);
            }
            Ok(Event::InitDone) => listed(&names),
            Ok(Event::Apply(object)) => picture.put(&api, object),
            Ok(Event::Delete(object)) => picture.take(&api, &object),
            Err(error) => {
                eprintln!("a watch of {} was interrupted: {error}", api.plural);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
