//! A real control plane as the ground of a scenario, in a namespace of its own.
//!
//! Kruise, the API server and the kubelets live in real time; the daemon's clock follows tokio's. While the world is
//! still (nothing has changed for a while, nothing is on its way to rest, no request of the daemon is under way), the
//! clock hops forward, a few seconds at a time, and each time the daemon has its turn before the next hop: so soaks,
//! deadlines, polls and the lease take their course, and hours pass in seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Wall};

use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Config};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use triton::devcluster::{DevCluster, Options, Store};
use triton::objects::kind::Api;

use crate::cluster::plane::Plane;
use crate::scenario::format::dawn;
use crate::scenario::ground::{Came, LEASES, SEED, kinds, resource};
use crate::scenario::health::Health;
use crate::scenario::history::NAMESPACE;
use crate::scenario::wire::Wire;

/// The furthest hop: the lease is renewed every two seconds and lost after ten.
const HOP: Duration = Duration::from_secs(5);
/// The furthest hop while requests are slow: they are what a scenario is about then.
const HOP_WHILE_SLOW: Duration = Duration::from_millis(250);
/// The daemon has had its turn after a hop when it was found idle so often, a millisecond apart.
const TURN: u32 = 5;
/// How long nothing changes before the world counts as still.
const STILL: Duration = Duration::from_millis(600);
/// And how long where something is on its way: a busy machine takes its time.
const STILL_MOVING: Duration = Duration::from_secs(20);
/// How long anything else is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The ground.
pub struct Real {
    plane: Plane,
    namespace: String,
    /// What the daemon's client goes through.
    pub wire: Wire,
    /// The daemon's client.
    pub client: Client,
    /// A person's client.
    pub hand: Client,
    /// The objects.
    pub picture: Picture,
    /// Of the pods.
    pub health: Health,
}

/// The objects, as watches tell of them. Clones are the same.
#[derive(Clone)]
pub struct Picture {
    /// Where they are looked at.
    pub store: Store,
    told: Arc<Mutex<Told>>,
}

struct Told {
    /// Versions in the real cluster, by resource and name.
    versions: BTreeMap<(String, String), u64>,
    /// The last versions of those that are gone.
    gone: BTreeMap<(String, String), u64>,
    listed: BTreeSet<String>,
    /// When something changed last, leases aside.
    changed: Wall,
}

impl Picture {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, api: &Api, object: DynamicObject) {
        let resource = resource(api);
        let mut value = serde_json::to_value(object).expect("JSON");
        value["apiVersion"] = api.api_version().into();
        value["kind"] = api.kind.into();
        let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let version = version(&value);
        let key = (resource.clone(), name);
        {
            let mut told = self.told();
            if told.versions.insert(key, version) == Some(version) {
                return;
            }
            if resource != LEASES {
                told.changed = Wall::now();
            }
        }
        self.store.write(|state| state.put(&resource, value));
    }

    fn take(&self, api: &Api, name: &str) {
        let resource = resource(api);
        self.store.write(|state| state.take(&resource, NAMESPACE, name));
        let mut told = self.told();
        let key = (resource, name.to_owned());
        if let Some(version) = told.versions.remove(&key) {
            told.gone.insert(key, version);
        }
        told.changed = Wall::now();
    }

    /// Takes away what a list no longer has.
    fn keep(&self, api: &Api, names: &BTreeSet<String>) {
        let resource = resource(api);
        for object in self.store.list(&resource, None) {
            if !names.contains(object.name()) {
                self.take(api, object.name());
            }
        }
        self.told().listed.insert(resource);
    }
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse().ok()).unwrap_or(0)
}

impl Real {
    /// Begins on the shared control plane, for the scenario of this name.
    pub async fn new(name: &str) -> Self {
        let plane = Plane::shared();
        let namespace = format!("scene-{name}-{}", std::process::id());
        let definition = include_str!("../../deploy/crd.yaml");
        plane.kubectl_reading(&["apply", "--server-side", "--force-conflicts", "-f", "-"], definition);
        let served = ["wait", "--for=condition=Established", "crd/releases.triton.io"];
        plane.kubectl(&served);
        plane.kubectl(&["create", "namespace", &namespace]);
        let wire = Wire::to(&namespace);
        let client = connect(&plane, &wire).await;
        let hand = connect(&plane, &Wire::to(&namespace)).await;
        let store = DevCluster::new(Options { start: dawn(), seed: SEED, collects: false }).store().clone();
        let told = Told {
            versions: BTreeMap::new(),
            gone: BTreeMap::new(),
            listed: BTreeSet::new(),
            changed: Wall::now(),
        };
        let picture = Picture { store, told: Arc::new(Mutex::new(told)) };
        for api in kinds() {
            tokio::spawn(follow(picture.clone(), hand.clone(), api));
        }
        let health = Health::new(picture.store.clone(), hand.clone());
        tokio::spawn(health.clone().tend());
        let ground = Self { plane, namespace, wire, client, hand, picture, health };
        let listed = || ground.picture.told().listed.clone();
        let lacks = || format!("{:?}", listed());
        ground.until("everything is listed", || listed().len() == kinds().len(), lacks).await;
        ground
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool, lacks: impl Fn() -> String) {
        let end = Wall::now() + PATIENCE;
        while !is_so() {
            assert!(Wall::now() < end, "{what}: not within {PATIENCE:?}\n{}", lacks());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// See [`crate::scenario::ground::Ground::wait`].
    pub async fn wait(&self, changes: &mut watch::Receiver<u64>, end: Instant) -> Came {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Came::End;
            }
            let furthest = if self.wire.lag().is_zero() { HOP } else { HOP_WHILE_SLOW };
            if self.is_still() && left > furthest.min(Duration::from_secs(1)) {
                self.hop(furthest.min(left)).await;
                if changes.has_changed().expect("the picture is there") {
                    changes.borrow_and_update();
                    return Came::Change;
                }
                continue;
            }
            if self.changed(changes, left.min(Duration::from_millis(20))).await {
                return Came::Change;
            }
        }
    }

    /// See [`crate::scenario::ground::Ground::rest`].
    pub async fn rest(&self, changes: &mut watch::Receiver<u64>) -> Came {
        while !self.is_still() {
            if self.changed(changes, Duration::from_millis(20)).await {
                return Came::Change;
            }
        }
        Came::End
    }

    async fn changed(&self, changes: &mut watch::Receiver<u64>, within: Duration) -> bool {
        tokio::select! {
            biased;
            changed = changes.changed() => {
                changed.expect("the picture is there");
                true
            }
            () = tokio::time::sleep(within) => false,
        }
    }

    /// Whether nothing happens, nor is about to.
    fn is_still(&self) -> bool {
        let silence = self.picture.told().changed.elapsed();
        let wanted = if self.is_moving() { STILL_MOVING } else { STILL };
        silence >= wanted && self.wire.is_idle()
    }

    /// Whether a CloneSet or a pod is on its way to where it will rest.
    fn is_moving(&self) -> bool {
        self.health.is_moving()
    }

    async fn hop(&self, span: Duration) {
        tokio::time::pause();
        tokio::time::advance(span).await;
        tokio::time::resume();
        let mut idle = 0;
        while idle < TURN {
            tokio::time::sleep(Duration::from_millis(1)).await;
            idle = if self.wire.is_idle() { idle + 1 } else { 0 };
        }
    }

    /// See [`crate::scenario::ground::Ground::catch_up`].
    pub async fn catch_up(&self) {
        for api in kinds() {
            let resource = resource(&api);
            let Ok(list) = api_of(&self.hand, &api).list(&ListParams::default()).await else { continue };
            let there: BTreeMap<String, u64> = list
                .items
                .iter()
                .map(|it| {
                    let version = it.metadata.resource_version.as_deref().unwrap_or_default();
                    (it.metadata.name.clone().unwrap_or_default(), version.parse().unwrap_or(0))
                })
                .collect();
            let at: u64 = list.metadata.resource_version.as_deref().unwrap_or_default().parse().unwrap_or(0);
            let late = || {
                let told = self.picture.told();
                let seen = |name: &str| {
                    let key = (resource.clone(), name.to_owned());
                    told.versions.get(&key).max(told.gone.get(&key)).copied()
                };
                let mine = told.versions.iter().filter(|((it, _), _)| *it == resource);
                let gone = mine.filter(|((_, name), version)| **version <= at && !there.contains_key(name));
                let gone = gone.map(|((_, name), _)| format!("{resource} {name} is there no more"));
                let newer = there.iter().filter(|(name, version)| seen(name) < Some(**version));
                let newer = newer.map(|(name, version)| format!("{resource} {name} has {version}"));
                gone.chain(newer).collect::<Vec<_>>()
            };
            self.until("the picture shows what was done", || late().is_empty(), || late().join("\n")).await;
        }
    }

    /// See [`crate::scenario::ground::Ground::leave`].
    pub async fn leave(&self) {
        self.plane.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

async fn config(plane: &Plane) -> Config {
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig("admin")).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("a configuration");
    // Hours pass in seconds: silence says nothing of a connection.
    config.read_timeout = None;
    config.default_retry = false;
    NAMESPACE.clone_into(&mut config.default_namespace);
    config
}

async fn connect(plane: &Plane, wire: &Wire) -> Client {
    ClientBuilder::try_from(config(plane).await).expect("a client").with_layer(wire).build()
}

/// The API of a kind in the scenario's namespace.
pub fn api_of(client: &Client, api: &Api) -> kube::Api<DynamicObject> {
    let resource = ApiResource {
        group: api.group.to_owned(),
        version: api.version.to_owned(),
        api_version: api.api_version(),
        kind: api.kind.to_owned(),
        plural: api.plural.to_owned(),
    };
    kube::Api::namespaced_with(client.clone(), NAMESPACE, &resource)
}

/// Follows the objects of a kind. One that is not served has none.
async fn follow(picture: Picture, client: Client, api: Api) {
    let objects = api_of(&client, &api);
    if let Err(kube::Error::Api(status)) = objects.list(&ListParams::default().limit(1)).await
        && status.code == 404
    {
        return picture.keep(&api, &BTreeSet::new());
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
            Ok(Event::InitDone) => picture.keep(&api, &names),
            Ok(Event::Apply(object)) => picture.put(&api, object),
            Ok(Event::Delete(object)) => {
                picture.take(&api, object.metadata.name.as_deref().unwrap_or_default())
            }
            Err(error) => {
                eprintln!("a watch of {} was interrupted: {error}", api.plural);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
