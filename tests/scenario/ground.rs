//! The two grounds on which scenarios are played: the embedded cluster under paused time, and a real control plane.
//!
//! A ground has two clients, the daemon's and that of a person's hand, and a picture of its objects that every look is
//! taken at. It lets time pass, and says when the picture has changed.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use triton::devcluster::controllers::Controllers;
use triton::devcluster::kubelet::Knobs;
use triton::devcluster::{DevCluster, Options, Store};
use triton::objects::Kind;
use triton::objects::crd::custom_resource_definition;
use triton::objects::kind::Api;

use crate::scenario::format::dawn;
use crate::scenario::history::{NAMESPACE, RELEASE};
use crate::scenario::news::Done;
use crate::scenario::real::Real;
use crate::scenario::wire::Wire;

/// Resource of the records.
pub const RECORDS: &str = "releases.triton.io";
/// Resource of leases.
pub const LEASES: &str = "leases.coordination.k8s.io";
/// Resource of ControllerRevisions.
pub const REVISIONS: &str = "controllerrevisions.apps";
/// Resource of EndpointSlices.
pub const ENDPOINT_SLICES: &str = "endpointslices.discovery.k8s.io";
/// Resource of pods.
pub const PODS: &str = "pods";
/// Resource of Services.
pub const SERVICES: &str = "services";
/// Resource of CloneSets.
pub const CLONESETS: &str = "clonesets.apps.kruise.io";
/// Who acts on the cluster by hand.
pub const HAND: &str = "kubectl";
/// From which ids are drawn.
pub const SEED: u64 = 42;

/// What came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Something has changed.
    Change,
    /// The moment.
    End,
}

/// A ground.
pub enum Ground {
    /// The embedded cluster.
    Embedded(Box<Embedded>),
    /// A control plane.
    Real(Box<Real>),
}

impl Ground {
    /// The picture of its objects.
    pub fn store(&self) -> &Store {
        match self {
            Self::Embedded(ground) => ground.cluster.store(),
            Self::Real(ground) => &ground.picture.store,
        }
    }

    /// The daemon's client.
    pub fn client(&self) -> Client {
        match self {
            Self::Embedded(ground) => ground.client.clone(),
            Self::Real(ground) => ground.client.clone(),
        }
    }

    /// The client of a person.
    pub fn hand(&self) -> Client {
        match self {
            Self::Embedded(ground) => ground.hand.clone(),
            Self::Real(ground) => ground.hand.clone(),
        }
    }

    /// What the daemon's client goes through.
    pub fn wire(&self) -> &Wire {
        match self {
            Self::Embedded(ground) => &ground.wire,
            Self::Real(ground) => &ground.wire,
        }
    }

    /// Every write, in the words of the cluster, where it keeps them.
    pub fn noted(&self) -> Vec<String> {
        match self {
            Self::Embedded(ground) => {
                ground.cluster.knobs().writes().iter().map(|it| format!("{it:?}")).collect()
            }
            Self::Real(_) => Vec::new(),
        }
    }

    /// Stops the daemon's clock: what the scenario itself computes takes no time of the daemon's.
    pub fn freeze(&self) {
        match self {
            Self::Embedded(_) => {}
            Self::Real(_) => tokio::time::pause(),
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        match self {
            Self::Embedded(_) => {}
            Self::Real(_) => tokio::time::resume(),
        }
    }

    /// Lets time pass until something changes, or until `end`.
    pub async fn wait(&mut self, changes: &mut watch::Receiver<u64>, end: Instant) -> Came {
        match self {
            Self::Embedded(_) => {
                tokio::select! {
                    biased;
                    changed = changes.changed() => {
                        changed.expect("the cluster runs");
                        Came::Change
                    }
                    () = tokio::time::sleep_until(end) => Came::End,
                }
            }
            Self::Real(ground) => ground.wait(end).await,
        }
    }

    /// Waits until everything that has begun has come to rest, where that takes time of its own.
    pub async fn rest(&mut self) -> Came {
        match self {
            Self::Embedded(_) => Came::End,
            Self::Real(ground) => ground.rest().await,
        }
    }

    /// So much longer may something take than a scenario says: a real cluster has its own time.
    pub fn grace(&self) -> Duration {
        match self {
            Self::Embedded(_) => Duration::ZERO,
            Self::Real(_) => Duration::from_secs(300),
        }
    }

    /// So long after it was decided may a write be done: what it was decided on may be over by then.
    pub fn lateness(&self) -> Duration {
        match self {
            Self::Embedded(_) => Duration::ZERO,
            Self::Real(_) => Duration::from_secs(10),
        }
    }

    /// Whether the picture shows what a hand has done; where it does not, one more change is shown.
    pub async fn catch_up(&self, done: &Done) -> bool {
        match self {
            Self::Embedded(_) => true,
            Self::Real(ground) => ground.catch_up(done).await,
        }
    }

    /// Containers of this tag crash, or run again.
    pub fn crash(&self, image: &str, crashes: bool) {
        match self {
            Self::Embedded(ground) => ground.controllers.turn(|knobs| match crashes {
                true => drop(knobs.crashing.insert(image.to_owned())),
                false => drop(knobs.crashing.remove(image)),
            }),
            Self::Real(ground) => ground.health.crash(image, crashes),
        }
    }

    /// Pods of these tags take so much longer to come up.
    pub fn slow(&self, images: &BTreeMap<String, Duration>) {
        match self {
            Self::Embedded(ground) => ground.controllers.turn(|knobs| {
                knobs.slow_images.extend(images.iter().map(|(tag, span)| (format!(":{tag}"), *span)));
            }),
            Self::Real(ground) => ground.health.slow(images),
        }
    }

    /// Kruise is upgraded, and encodes templates in another way.
    pub fn reencode(&self) {
        match self {
            Self::Embedded(ground) => ground.reencode(),
            Self::Real(_) => panic!("nobody can encode what stands in a real cluster anew"),
        }
    }
}

/// The embedded cluster.
pub struct Embedded {
    cluster: DevCluster,
    controllers: Controllers,
    wire: Wire,
    client: Client,
    hand: Client,
}

impl Embedded {
    /// Makes it, with its controllers running.
    pub fn new() -> Self {
        let cluster = DevCluster::new(Options { start: dawn(), seed: SEED, collects: true });
        let namespace = json!({ "metadata": { "name": NAMESPACE } });
        cluster.store().create("namespaces", HAND, namespace).expect("a namespace");
        let definition = custom_resource_definition();
        let definitions = triton::devcluster::builtin::DEFINITIONS;
        cluster.store().create(definitions, HAND, definition).expect("the record's definition");
        let controllers = Controllers::new(cluster.store().clone(), Knobs::default(), SEED);
        tokio::spawn(controllers.clone().run());
        let wire = Wire::default();
        let client = Client::new(tower::Layer::layer(&wire, cluster.router()), NAMESPACE);
        let hand = Client::new(cluster.router(), NAMESPACE);
        Self { cluster, controllers, wire, client, hand }
    }

    /// What is encoded from now on has other bytes than what was encoded before, and another name.
    fn reencode(&self) {
        let store = self.cluster.store();
        for revision in store.list(REVISIONS, Some(NAMESPACE)) {
            let mut revision = Value::clone(&revision);
            let metadata =
                revision["data"]["spec"]["template"]["metadata"].as_object_mut().expect("metadata");
            if metadata.remove("creationTimestamp").is_none() {
                metadata.insert("creationTimestamp".to_owned(), Value::Null);
            }
            // The API server refuses to change one; a new encoder does not ask it.
            store.write(|state| state.put(REVISIONS, revision));
        }
        let cloneset = store.get(CLONESETS, NAMESPACE, RELEASE).expect("the CloneSet is there");
        let mut cloneset = Value::clone(&cloneset);
        cloneset["status"]["collisionCount"] = json!(1);
        store.update_status(CLONESETS, "kruise-manager", cloneset).expect("it is written");
    }
}

/// The kinds that scenarios look at, as the API has them.
pub fn kinds() -> Vec<Api> {
    let built_in = |group, plural, kind| Api { group, version: "v1", plural, kind };
    let mut kinds = vec![
        built_in("", "pods", "Pod"),
        built_in("apps", "controllerrevisions", "ControllerRevision"),
        built_in("coordination.k8s.io", "leases", "Lease"),
        built_in("discovery.k8s.io", "endpointslices", "EndpointSlice"),
        built_in("triton.io", "releases", "Release"),
        Kind::CloneSet.api(),
    ];
    kinds.extend(Kind::COMPANIONS.map(Kind::api));
    kinds
}

/// The resource of a kind, as `clonesets.apps.kruise.io`.
pub fn resource(api: &Api) -> String {
    if api.group.is_empty() { api.plural.to_owned() } else { format!("{}.{}", api.plural, api.group) }
}
