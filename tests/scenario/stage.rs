//! Where a scenario is played: a repository, an embedded cluster, and the daemon between them, all under paused time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use triton::cluster::Cluster;
use triton::controller::{Clock, Controller, Rules, Settings, Source};
use triton::devcluster::builtin::DEFINITIONS;
use triton::devcluster::controllers::Controllers;
use triton::devcluster::kubelet::Knobs;
use triton::devcluster::{DeleteHow, DevCluster, Options, Propagation, Store};
use triton::git::{Limits, Mirror, Remote};
use triton::model::Digest;
use triton::objects::crd::custom_resource_definition;
use triton::objects::{Kind, keys};
use triton::world::{People, Policy};

use crate::scenario::daemon::Daemon;
use crate::scenario::format::{Act, PolicyText, Span, dawn};
use crate::scenario::history::{BRANCH, History, NAMESPACE, RELEASE};
use crate::scenario::observer::{CLONESETS, Observer, PODS, tag};

/// Resource of the records.
const RECORDS: &str = "releases.triton.io";
/// Resource of leases.
const LEASES: &str = "leases.coordination.k8s.io";
/// Resource of ControllerRevisions.
const REVISIONS: &str = "controllerrevisions.apps";
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
    state: tempfile::TempDir,
    daemon: Option<Daemon>,
    paused: Option<Daemon>,
    old: Vec<Daemon>,
    rules: watch::Sender<Rules>,
    started: u32,
    observer: Observer,
    clock: Clock,
    remembered: BTreeMap<String, (String, Value)>,
    saved: Option<Value>,
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
        let policy = Policy {
            people: policy.people.then_some(People::CommitAuthors),
            bots: policy.bots.clone(),
            root,
            ..Policy::default()
        };
        let mut stage = Self {
            history: History::new(),
            cluster,
            controllers,
            client,
            state: tempfile::tempdir().expect("a temporary folder"),
            daemon: None,
            paused: None,
            old: Vec::new(),
            rules: watch::channel(Rules { policy: Arc::new(policy), accepted: None }).0,
            started: 0,
            observer: Observer::default(),
            clock: Clock::starting_at(dawn()),
            remembered: BTreeMap::new(),
            saved: None,
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
        let source = Source::new(mirror, "");
        let controller = Controller::new(cluster, source, settings, self.rules.subscribe(), self.clock);
        self.daemon = Some(Daemon::start(controller));
    }

    /// Kills the daemon, wherever it is.
    pub async fn kill(&mut self) {
        self.daemon.take().expect("the daemon runs").kill().await;
    }

    /// Waits until the lease names the branch's newest commit.
    pub async fn until_seen(&mut self) {
        let mut changes = self.cluster.store().changes();
        let end = tokio::time::Instant::now() + INTERVAL * 2;
        let lease = keys::lease(&self.rules.borrow().policy.root);
        let seen = |stage: &Self| {
            let lease = stage.store().get(LEASES, "default", &lease);
            lease.and_then(|it| it["metadata"]["annotations"][keys::HEAD].as_str()?.parse().ok())
        };
        while seen(self) != self.history.tip() {
            tokio::select! {
                biased;
                changed = changes.changed() => changed.expect("the cluster runs"),
                () = tokio::time::sleep_until(end) => panic!("the newest commit is not seen"),
            }
        }
        self.look();
    }

    /// Goes to another machine: nothing is left of what the daemon had on disk.
    pub fn move_away(&mut self) {
        self.state = tempfile::tempdir().expect("a temporary folder");
    }

    /// Stops the daemon in the middle of whatever it does.
    pub fn pause(&mut self) {
        let daemon = self.daemon.take().expect("the daemon runs");
        daemon.run(false);
        assert!(self.paused.replace(daemon).is_none(), "one daemon stands still at a time");
        // Another one is on another machine.
        self.move_away();
    }

    /// Lets the stopped one go on. Beside another one it finds its lease lost, and may end.
    pub fn resume(&mut self) {
        let daemon = self.paused.take().expect("a daemon stands still");
        daemon.run(true);
        if self.daemon.is_none() {
            self.daemon = Some(daemon);
        } else {
            self.old.push(daemon);
        }
    }

    /// The daemon's configuration accepts a commit as the head.
    pub fn accept(&mut self, name: &str) {
        self.observer.begin_anew();
        self.rules.send_modify(|rules| rules.accepted = Some(self.history.named(name)));
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
        let crashed = self.daemon.as_ref().is_some_and(Daemon::has_ended);
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
                let mut annotations = annotations.clone();
                let entered = self.cloneset()["metadata"]["annotations"][keys::DIGEST].clone();
                annotations.values_mut().filter(|it| *it == "{digest}").for_each(|it| *it = entered.clone());
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
                let image = image.clone();
                self.controllers.turn(|knobs| knobs.crashing.extend([image]));
            }
            Act::Heal(image) => self.controllers.turn(|knobs| knobs.crashing.retain(|it| it != image)),
            Act::Slow(images) => self.controllers.turn(|knobs| {
                let slow = images.iter().map(|(tag, span)| (format!(":{tag}"), duration(*span)));
                knobs.slow_images.extend(slow);
            }),
            Act::Lag(span) => self.cluster.knobs().set(|faults| faults.delay = duration(*span)),
            Act::Partition(partition) => {
                let cloneset = self.cloneset();
                self.observer.excuse(&tag(&cloneset["spec"]["template"]));
                self.patch(&json!({ "spec": { "updateStrategy": { "partition": partition } } })).await;
            }
            Act::Save {} => self.saved = Some(self.cloneset()),
            Act::Restore {} => self.restore(),
            Act::Reencode {} => self.reencode(),
        }
    }

    /// The CloneSet.
    fn cloneset(&self) -> Value {
        let cloneset = self.store().get(CLONESETS, NAMESPACE, RELEASE).expect("the CloneSet is there");
        Value::clone(&cloneset)
    }

    /// Puts the saved CloneSet in the place of the present one. With any partition, Kruise makes all pods of a new
    /// CloneSet with its template.
    fn restore(&mut self) {
        let mut saved = self.saved.clone().expect("the CloneSet was saved");
        self.observer.excuse(&tag(&saved["spec"]["template"]));
        if self.store().get(CLONESETS, NAMESPACE, RELEASE).is_some() {
            let how = DeleteHow { propagation: Some(Propagation::Background), ..DeleteHow::default() };
            self.store().delete(CLONESETS, NAMESPACE, RELEASE, &how).expect("it goes");
        }
        for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"] {
            saved["metadata"].as_object_mut().expect("it has metadata").remove(field);
        }
        saved.as_object_mut().expect("an object").remove("status");
        self.store().create(CLONESETS, HAND, saved).expect("it is made");
    }

    /// What is encoded from now on has other bytes than what was encoded before, and another name.
    fn reencode(&self) {
        for revision in self.store().list(REVISIONS, Some(NAMESPACE)) {
            let mut revision = Value::clone(&revision);
            let metadata =
                revision["data"]["spec"]["template"]["metadata"].as_object_mut().expect("metadata");
            if metadata.remove("creationTimestamp").is_none() {
                metadata.insert("creationTimestamp".to_owned(), Value::Null);
            }
            // The API server refuses to change one; a new encoder does not ask it.
            self.store().write(|state| state.put(REVISIONS, revision));
        }
        let mut cloneset = self.cloneset();
        cloneset["status"]["collisionCount"] = json!(1);
        self.store().update_status(CLONESETS, "kruise-manager", cloneset).expect("it is written");
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

/// A span as the clocks have it.
pub fn duration(span: Span) -> Duration {
    span.0.try_into().expect("time goes forward")
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
