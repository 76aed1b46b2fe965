//! Where a scenario is played: a repository, an embedded cluster, and the daemon between them, all under paused time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use triton::cluster::Cluster;
use triton::controller::{Clock, Controller, Rules, Settings, Source};
use triton::devcluster::builtin::DEFINITIONS;
use triton::devcluster::controllers::Controllers;
use triton::devcluster::kubelet::Knobs;
use triton::devcluster::{DeleteHow, DevCluster, Options, Propagation, Store};
use triton::git::{Limits, Mirror, Remote};
use triton::model::Digest;
use triton::objects::Kind;
use triton::objects::crd::custom_resource_definition;
use triton::world::{People, Policy};

use crate::scenario::format::{Act, PolicyText, dawn};
use crate::scenario::history::{BRANCH, History, NAMESPACE, RELEASE};
use crate::scenario::observer::{CLONESETS, Observer, PODS, tag};

/// Resource of the records.
const RECORDS: &str = "releases.triton.io";
/// From which ids are drawn.
const SEED: u64 = 42;
/// Time between two polls.
const INTERVAL: Duration = Duration::from_secs(15);
/// Who acts on the cluster by hand.
const HAND: &str = "kubectl";

/// The stage.
pub struct Stage {
    /// The repository.
    pub history: History,
    cluster: DevCluster,
    controllers: Controllers,
    client: Client,
    policy: Arc<Policy>,
    state: tempfile::TempDir,
    daemon: Option<JoinHandle<()>>,
    started: u32,
    observer: Observer,
    clock: Clock,
    remembered: BTreeMap<String, (String, Value)>,
}

impl Stage {
    /// Sets it, with the daemon running.
    pub fn set(policy: &PolicyText) -> Self {
        let cluster = DevCluster::new(Options { start: dawn(), seed: SEED, collects: true });
        let namespace = json!({ "metadata": { "name": NAMESPACE } });
        cluster.store().create("namespaces", HAND, namespace).expect("a namespace");
        let records = custom_resource_definition();
        cluster.store().create(DEFINITIONS, HAND, records).expect("the record's definition");
        let controllers = Controllers::new(cluster.store().clone(), Knobs::default(), SEED);
        tokio::spawn(controllers.clone().run());
        let client = Client::new(cluster.router(), "default");
        let root = Digest::of(format!("{BRANCH}\n").as_bytes()).to_string()[..8].to_owned();
        let policy =
            Policy { people: policy.people.then_some(People::CommitAuthors), root, ..Policy::default() };
        let mut stage = Self {
            history: History::new(),
            cluster,
            controllers,
            client,
            policy: Arc::new(policy),
            state: tempfile::tempdir().expect("a temporary folder"),
            daemon: None,
            started: 0,
            observer: Observer::default(),
            clock: Clock::starting_at(dawn()),
            remembered: BTreeMap::new(),
        };
        stage.start();
        stage
    }

    /// Starts the daemon.
    pub fn start(&mut self) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        self.started += 1;
        let address = self.history.path().display().to_string();
        let remote = Remote::new(&address, BRANCH).expect("a path");
        let mirror = Mirror::open(self.state.path(), remote, Limits::default()).expect("a mirror");
        let settings = Settings {
            interval: INTERVAL,
            holder: format!("daemon-{}", self.started),
            inline: true,
            observe: None,
        };
        let cluster = Cluster::new(self.client.clone());
        let (sender, rules) = watch::channel(Rules { policy: Arc::clone(&self.policy), accepted: None });
        let controller = Controller::new(cluster, Source::new(mirror, ""), settings, rules, self.clock);
        self.daemon = Some(tokio::task::spawn_local(async move {
            // The rules never change, but a channel without a sender is closed.
            let _sender = sender;
            let ended = controller.run(std::future::pending()).await;
            panic!("the daemon ended: {ended:?}");
        }));
    }

    /// Kills the daemon, wherever it is.
    pub async fn kill(&mut self) {
        let daemon = self.daemon.take().expect("the daemon runs");
        daemon.abort();
        let ended = daemon.await.expect_err("it never ends by itself");
        assert!(ended.is_cancelled(), "the daemon has panicked: {ended}");
    }

    /// Lets time pass, and looks at everything that changes. Stops early when `done`.
    pub async fn pass(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = tokio::time::Instant::now() + time;
        let mut changes = self.cluster.store().changes();
        self.look();
        if done(self) {
            return true;
        }
        let mut looked = self.store().version();
        loop {
            if self.has_changed_since(looked) {
                looked = self.store().version();
                self.look();
                if done(self) {
                    return true;
                }
            }
            tokio::select! {
                biased;
                changed = changes.changed() => changed.expect("the cluster runs"),
                () = tokio::time::sleep_until(end) => {
                    self.look();
                    return done(self);
                }
            }
        }
    }

    /// Whether anything has changed that a picture shows. Leases are renewed all the time.
    fn has_changed_since(&self, version: u64) -> bool {
        let shown = Kind::COMPANIONS.into_iter().map(|kind| resource(&format!("{}/x", kind.api().kind)).0);
        let shown: Vec<String> = shown.chain([CLONESETS, PODS, RECORDS].map(str::to_owned)).collect();
        self.store().read(|state| shown.iter().any(|resource| state.written_since(resource, version)))
    }

    /// Remembers the pods with this image.
    pub fn remember(&mut self, image: &str) {
        let pods = self.store().list(PODS, Some(NAMESPACE));
        let mine = pods.iter().filter(|pod| tag(pod) == *image);
        self.remembered = mine.map(|pod| (pod.uid().to_owned(), (image.to_owned(), restarts(pod)))).collect();
    }

    /// How many of the remembered pods are as they were.
    pub fn untouched(&self) -> usize {
        let pods = self.store().list(PODS, Some(NAMESPACE));
        let same = |pod: &&triton::devcluster::Object| {
            self.remembered.get(pod.uid()) == Some(&(tag(pod), restarts(pod)))
        };
        pods.iter().filter(same).count()
    }

    /// How many of the remembered pods are there, whatever they run.
    pub fn kept(&self) -> usize {
        let pods = self.store().list(PODS, Some(NAMESPACE));
        pods.iter().filter(|pod| self.remembered.contains_key(pod.uid())).count()
    }

    fn look(&mut self) {
        let crashed = self.daemon.as_ref().is_some_and(JoinHandle::is_finished);
        assert!(!crashed, "the daemon has ended");
        self.observer.look_at_git(&self.history);
        let store = self.cluster.store().clone();
        self.observer.look_at_cluster(&store);
    }

    /// The objects of the cluster.
    pub fn store(&self) -> &Store {
        self.cluster.store()
    }

    /// The record's status; null where there is none.
    pub fn status(&self, release: &str) -> Value {
        let record = self.store().get(RECORDS, NAMESPACE, release);
        record.map_or(Value::Null, |record| record["status"].clone())
    }

    /// An object, as `CloneSet/checkout`.
    pub fn object(&self, named: &str) -> Option<Value> {
        let (resource, name) = resource(named);
        self.store().get(&resource, NAMESPACE, &name).map(|object| (*object).clone())
    }

    /// So many requests that meant to write, so far, without those for records, Events and the lease.
    pub fn writes(&self) -> Vec<String> {
        let aside = ["/leases", "/events", "/releases"];
        let writes = self.cluster.knobs().writes().into_iter();
        let ours = writes.filter(|write| !aside.iter().any(|it| write.path.contains(it)));
        ours.map(|write| format!("{} {} {} {}", write.time, write.verb, write.path, write.code)).collect()
    }

    /// Everything that was written, and how everything stands: equal for equal scenarios.
    pub fn trace(&self) -> Vec<String> {
        let mut trace: Vec<String> =
            self.cluster.knobs().writes().iter().map(|it| format!("{it:?}")).collect();
        for resource in [CLONESETS, PODS, RECORDS] {
            trace.extend(self.store().list(resource, None).iter().map(|object| object.json().to_owned()));
        }
        trace
    }

    /// Somebody acts.
    pub async fn act(&mut self, act: &Act) {
        match act {
            Act::KillPod(image) => {
                let pods = self.store().list(PODS, Some(NAMESPACE));
                let pod = pods.iter().find(|pod| tag(pod) == *image);
                let name = pod.unwrap_or_else(|| panic!("no pod runs {image}")).name().to_owned();
                self.store().delete(PODS, NAMESPACE, &name, &DeleteHow::default()).expect("it goes");
            }
            Act::Delete(named) => {
                let (resource, name) = resource(named);
                let how = DeleteHow { propagation: Some(Propagation::Background), ..DeleteHow::default() };
                self.store().delete(&resource, NAMESPACE, &name, &how).expect("it goes");
            }
            Act::Patch(patch) => {
                // What a person writes into the template by hand, nobody has approved.
                if let Some(template) = patch.pointer("/spec/template") {
                    self.observer.excuse(&tag(template));
                }
                self.patch(patch).await;
            }
            Act::Annotate(annotations) => {
                self.patch(&json!({ "metadata": { "annotations": annotations } })).await;
            }
            Act::Scale(replicas) => {
                let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
                self.clonesets().patch_scale(RELEASE, &hand(), &patch).await.expect("it is scaled");
            }
            Act::Create(object) => {
                let kind = object["kind"].as_str().unwrap_or_default();
                let (resource, _) = resource(&format!("{kind}/x"));
                self.store().create(&resource, HAND, object.clone()).expect("it is made");
            }
            Act::Break(image) => {
                let broken = self.names_of(image);
                self.controllers.turn(|knobs| knobs.unready.extend(broken));
            }
            Act::Mend(image) => {
                let mended = self.names_of(image);
                self.controllers.turn(|knobs| knobs.unready.retain(|pod| !mended.contains(pod)));
            }
        }
    }

    /// The names of the pods with this image tag.
    fn names_of(&self, image: &str) -> Vec<String> {
        let pods = self.store().list(PODS, Some(NAMESPACE));
        pods.iter().filter(|pod| tag(pod) == *image).map(|pod| pod.name().to_owned()).collect()
    }

    async fn patch(&self, patch: &Value) {
        let patched = self.clonesets().patch(RELEASE, &hand(), &Patch::Merge(patch)).await;
        patched.expect("it is patched");
    }

    fn clonesets(&self) -> Api<DynamicObject> {
        let api = Kind::CloneSet.api();
        let resource = ApiResource {
            group: api.group.to_owned(),
            version: api.version.to_owned(),
            api_version: api.api_version(),
            kind: api.kind.to_owned(),
            plural: api.plural.to_owned(),
        };
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource)
    }

    /// Pods by image tag.
    pub fn images(&self, release: &str) -> BTreeMap<String, u32> {
        crate::scenario::observer::images(self.store(), release)
    }
}

/// How often a pod's container was restarted.
fn restarts(pod: &Value) -> Value {
    pod["status"]["containerStatuses"][0]["restartCount"].clone()
}

fn hand() -> PatchParams {
    PatchParams { field_manager: Some(HAND.to_owned()), ..PatchParams::default() }
}

/// Resource and name of `CloneSet/checkout`.
fn resource(named: &str) -> (String, String) {
    let (kind, name) = named.split_once('/').expect("an object is Kind/name");
    if kind == "Release" {
        return (RECORDS.to_owned(), name.to_owned());
    }
    let all = std::iter::once(Kind::CloneSet).chain(Kind::COMPANIONS);
    let api = all.map(Kind::api).find(|api| api.kind == kind).unwrap_or_else(|| panic!("no kind is {kind}"));
    let group = if api.group.is_empty() { String::new() } else { format!(".{}", api.group) };
    (format!("{}{group}", api.plural), name.to_owned())
}
