//! A real control plane as the ground of a scenario, in a namespace of its own.
//!
//! Kruise, the API server and the kubelets live in real time; the daemon's clock follows tokio's. While the world is
//! still (nothing has changed for a while, nothing is on its way to rest, no request of the daemon is under way), the
//! clock hops forward, a few seconds at a time, and each time the daemon has its turn before the next hop: so soaks,
//! deadlines, polls and the lease take their course, and hours pass in seconds. While the daemon waits for an answer, or
//! the scenario itself computes, the clock stands still: a machine that has too much to do does not make anything late.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant as Wall};

use kube::api::{DynamicObject, PostParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::time::Instant;
use triton::cluster::resource;
use triton::devcluster::{DevCluster, Options};
use triton::objects::kind::Api;

use crate::cluster::plane::Plane;
use crate::scenario::format::dawn;
use crate::scenario::ground::{Came, SEED, kinds};
use crate::scenario::health::Health;
use crate::scenario::history::NAMESPACE;
use crate::scenario::news::{Done, Picture, follow};
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
/// How often it is looked whether what moves has come to rest.
const LOOK: Duration = Duration::from_millis(50);
/// How long anything else is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// The ground.
pub struct Real {
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

impl Real {
    /// Begins on the shared control plane, for the scenario of this name.
    pub async fn new(name: &str) -> Self {
        let plane = Plane::shared();
        // One that is played again finds nothing of the first time.
        let namespace = format!("scene-{name}-{:08x}", RandomState::new().build_hasher().finish() >> 32);
        let wire = Wire::to(&namespace);
        let client = connect(&plane, &wire).await;
        let hand = connect(&plane, &Wire::to(&namespace)).await;
        let api = Api { group: "", version: "v1", plural: "namespaces", kind: "Namespace" };
        let namespaces = kube::Api::<DynamicObject>::all_with(hand.clone(), &resource(api));
        let object = DynamicObject::new(&namespace, &resource(api));
        namespaces.create(&PostParams::default(), &object).await.expect("a namespace");
        let options = || Options { start: dawn(), seed: SEED, collects: false };
        let store = || DevCluster::new(options()).store().clone();
        let picture = Picture::new(store(), store());
        for api in kinds() {
            tokio::spawn(follow(picture.clone(), hand.clone(), api));
        }
        let health = Health::new(picture.latest.clone(), hand.clone());
        tokio::spawn(health.clone().tend());
        let ground = Self { wire, client, hand, picture, health };
        let end = Wall::now() + PATIENCE;
        while ground.picture.listed() < kinds().len() {
            assert!(Wall::now() < end, "everything is listed: not within {PATIENCE:?}");
            if !ground.picture.show() {
                ground.picture.wait(PATIENCE).await;
            }
        }
        ground
    }

    /// See [`crate::scenario::ground::Ground::wait`].
    pub async fn wait(&self, end: Instant) -> Came {
        loop {
            if self.picture.show() {
                return Came::Change;
            }
            self.await_answers().await;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Came::End;
            }
            let furthest = if self.wire.lag().is_zero() { HOP } else { HOP_WHILE_SLOW };
            if self.is_still() && left > furthest.min(Duration::from_secs(1)) {
                self.hop(furthest.min(left)).await;
            } else {
                self.picture.wait(left.min(self.until_still())).await;
            }
        }
    }

    /// See [`crate::scenario::ground::Ground::rest`].
    pub async fn rest(&self) -> Came {
        loop {
            if self.picture.show() {
                return Came::Change;
            }
            self.await_answers().await;
            if self.is_still() {
                return Came::End;
            }
            self.picture.wait(self.until_still()).await;
        }
    }

    /// Whether nothing happens, nor is about to, and everything that the daemon has written has been heard of.
    fn is_still(&self) -> bool {
        let is_quiet = |wanted: Duration| self.picture.silence().is_some_and(|silence| silence >= wanted);
        is_quiet(STILL)
            && self.wire.is_idle()
            && self.picture.has_heard_of(&self.wire.written())
            && (is_quiet(STILL_MOVING) || !self.health.is_moving())
    }

    /// When it is worth to look again whether everything is still.
    fn until_still(&self) -> Duration {
        let silence = self.picture.silence().unwrap_or_default();
        STILL.saturating_sub(silence).max(LOOK)
    }

    /// Lets the clock hop, and the daemon do what it does then, in no time.
    async fn hop(&self, span: Duration) {
        tokio::time::pause();
        tokio::time::advance(span).await;
        let mut idle = 0;
        while idle < TURN {
            self.breathe().await;
            idle = if self.wire.is_idle() { idle + 1 } else { 0 };
        }
        tokio::time::resume();
    }

    /// Waits while requests of the daemon are under way. However long a busy machine takes to answer, it takes none of
    /// the daemon's time.
    async fn await_answers(&self) {
        tokio::time::pause();
        while !self.wire.is_idle() {
            self.breathe().await;
        }
        tokio::time::resume();
    }

    /// A moment of real time for everybody else. A paused clock stands still meanwhile: while something blocks, tokio
    /// does not advance it.
    async fn breathe(&self) {
        let moment = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)));
        moment.await.expect("a sleep ends");
    }

    /// See [`crate::scenario::ground::Ground::catch_up`].
    pub async fn catch_up(&self, done: &Done) -> bool {
        let end = Wall::now() + PATIENCE;
        while !self.picture.shows(done) {
            if self.picture.show() {
                return false;
            }
            assert!(Wall::now() < end, "what was done is not shown within {PATIENCE:?}");
            self.picture.wait(LOOK).await;
        }
        true
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
