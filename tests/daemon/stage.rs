//! A stage: a real repository, the embedded cluster, the daemon's own loop, and a clock that stands still while
//! nobody waits for it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use triton::cluster::Cluster;
use triton::controller::{Clock, Controller, Pulse, Rules, Settings, Source};
use triton::devcluster::controllers::Controllers;
use triton::devcluster::kubelet;
use triton::devcluster::{DeleteHow, DevCluster, Options, Propagation};
use triton::git::{Limits, Mirror, Remote};
use triton::model::CommitId;
use triton::objects::crd::custom_resource_definition;
use triton::world::Policy;

use crate::repo::Repo;

/// What the clocks show at first.
const START: &str = "2026-11-22T10:00:00Z";
/// Time between two polls.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Everything of one story.
pub struct Stage {
    /// The repository that people commit to.
    pub repo: Arc<Repo>,
    /// The cluster.
    pub cluster: DevCluster,
    /// Its CloneSet controller and kubelets.
    pub controllers: Controllers,
    state: tempfile::TempDir,
    /// The daemon's configuration.
    pub rules: Arc<watch::Sender<Rules>>,
    clock: Clock,
    daemon: Option<Daemon>,
    name: &'static str,
    /// Whether the daemon only looks.
    pub observe: bool,
    /// Where the repository is served; none for its folder.
    pub address: Option<String>,
    /// What the daemon asked the cluster: method, path and query.
    pub requests: Arc<Mutex<Vec<String>>>,
    /// Whether Git is read on the loop's own thread.
    pub inline: bool,
    /// What the loop of the last daemon shows of itself.
    pub pulse: Option<Pulse>,
    started: u32,
}

struct Daemon {
    task: JoinHandle<Result<(), triton::cluster::Error>>,
    stop: oneshot::Sender<()>,
}

impl Stage {
    /// A cluster with the record's kind and the namespace `shop`, and an empty repository. No daemon yet.
    pub fn set() -> Self {
        let start = START.parse().unwrap();
        let cluster = DevCluster::new(Options { start, seed: 7, collects: true });
        let store = cluster.store();
        let namespace = json!({"metadata": {"name": "shop"}});
        store.create("namespaces", "test", namespace).unwrap();
        let controllers = Controllers::new(store.clone(), kubelet::Knobs::default(), 7);
        tokio::spawn(controllers.clone().run());
        let policy = Policy { root: "0123abcd".into(), stale_after: 30, ..Policy::default() };
        let rules = Rules { policy: Arc::new(policy), accepted: None };
        let stage = Self {
            repo: Arc::new(Repo::new()),
            cluster,
            controllers,
            state: tempfile::tempdir().unwrap(),
            rules: Arc::new(watch::Sender::new(rules)),
            clock: Clock::starting_at(start),
            daemon: None,
            name: "daemon",
            observe: false,
            address: None,
            requests: Arc::default(),
            inline: true,
            pulse: None,
            started: 0,
        };
        // A repository has more than one file: one that has none any more was emptied by accident.
        stage.repo.write("README.md", "Shop\n");
        stage.install_records();
        stage
    }

    /// Installs the record's kind.
    pub fn install_records(&self) {
        let store = self.cluster.store();
        store
            .create("customresourcedefinitions.apiextensions.k8s.io", "test", custom_resource_definition())
            .unwrap();
    }

    /// The same stage for a second daemon.
    pub fn beside(&self) -> Self {
        Self {
            repo: Arc::clone(&self.repo),
            cluster: self.cluster.clone(),
            controllers: self.controllers.clone(),
            state: tempfile::tempdir().unwrap(),
            rules: Arc::clone(&self.rules),
            clock: self.clock,
            daemon: None,
            name: "other",
            observe: false,
            address: None,
            requests: Arc::default(),
            inline: true,
            pulse: None,
            started: 0,
        }
    }

    /// Deletes an object by hand.
    pub fn delete(&self, resource: &str, name: &str) {
        let how = DeleteHow { propagation: Some(Propagation::Background), ..DeleteHow::default() };
        let namespace = if resource.starts_with("customresource") { "" } else { "shop" };
        self.cluster.store().delete(resource, namespace, name, &how).unwrap();
    }

    /// Annotates the CloneSet `checkout` by hand.
    pub fn annotate(&self, key: &str, value: &str) {
        let mut object = self.cloneset("checkout");
        object["metadata"]["annotations"][key] = value.into();
        self.cluster.store().update("clonesets.apps.kruise.io", "kubectl-annotate", object).unwrap();
    }

    /// Edits the file of `checkout` and commits it.
    pub fn edit_release(&self, edit: impl Fn(String) -> String) {
        let path = "releases/shop/checkout.yaml";
        let before = std::fs::read_to_string(self.repo.file(path)).unwrap();
        let after = edit(before.clone());
        assert_ne!(before, after, "the edit changes something");
        self.repo.put(path, &after);
    }

    /// Takes the repository away.
    pub fn hide_repository(&self) {
        std::fs::rename(self.repo.file(".git"), self.repo.file("hidden")).unwrap();
    }

    /// Starts the daemon with an empty state folder and a repository that is away.
    pub fn start_without_git(&mut self) {
        self.hide_repository();
        self.state = tempfile::tempdir().unwrap();
        self.start();
    }

    /// The daemon's state folder.
    pub fn state_folder(&self) -> &Path {
        self.state.path()
    }

    /// Names of the pods of `checkout`.
    pub fn pod_names(&self) -> Vec<String> {
        self.cluster.store().list("pods", Some("shop")).iter().map(|pod| pod.name().to_owned()).collect()
    }

    /// The daemon's lease.
    pub fn lease(&self) -> Value {
        let lease = self.cluster.store().get("leases.coordination.k8s.io", "default", "triton-0123abcd");
        lease.map(|it| Value::clone(&it)).unwrap_or_default()
    }

    fn seen_line(&self, number: usize) -> String {
        let text = std::fs::read_to_string(self.state.path().join("seen")).unwrap();
        text.lines().nth(number).unwrap().to_owned()
    }

    /// The head that a daemon which only looks has seen last.
    pub fn seen(&self) -> String {
        self.seen_line(0)
    }

    /// When such a daemon last asked Git.
    pub fn polled_at(&self) -> jiff::Timestamp {
        self.seen_line(1).parse().unwrap()
    }

    /// How often the record of `checkout` tells of a decision.
    pub fn history(&self, decision: &str) -> usize {
        let record = self.record("checkout");
        let history = record["status"]["history"].as_array().cloned().unwrap_or_default();
        history.iter().filter(|it| it["decision"] == decision).count()
    }

    /// A way to the cluster for a client in this process.
    pub fn client(&self) -> Cluster {
        let requests = Arc::clone(&self.requests);
        let service = self.cluster.router().into_service::<kube::client::Body>();
        let service = service.map_request(move |request: axum::http::Request<kube::client::Body>| {
            requests.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
            request
        });
        Cluster::new(kube::Client::new(service, "default"))
    }

    /// Starts the daemon.
    pub fn start(&mut self) {
        let folder = self.repo.path().to_str().unwrap();
        let remote = Remote::new(self.address.as_deref().unwrap_or(folder), "main").unwrap();
        let mirror = Mirror::open(self.state.path(), remote, Limits::default()).unwrap();
        self.started += 1;
        let settings = Settings {
            interval: INTERVAL,
            holder: format!("{}-{}", self.name, self.started),
            // A client of HTTP has threads of its own, and waits for them.
            inline: self.inline && self.address.is_none(),
            observe: self.observe.then(|| self.state.path().join("seen")),
        };
        let source = Source::new(mirror, "");
        let controller = Controller::new(self.client(), source, settings, self.rules.subscribe(), self.clock);
        self.pulse = Some(controller.pulse());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(controller.run(async move {
            let _ = stopped.await;
        }));
        self.daemon = Some(Daemon { task, stop });
    }

    /// Ends the daemon as a person would.
    pub async fn stop(&mut self) {
        let daemon = self.daemon.take().unwrap();
        let _ = daemon.stop.send(());
        daemon.task.await.unwrap().unwrap();
    }

    /// Ends the daemon in the middle of whatever it does.
    pub async fn kill(&mut self) {
        let daemon = self.daemon.take().unwrap();
        daemon.task.abort();
        let _ = daemon.task.await;
    }

    /// How the daemon ended by itself.
    pub async fn ended(&mut self) -> Result<(), triton::cluster::Error> {
        self.daemon.take().unwrap().task.await.unwrap()
    }

    /// Gives `checkout` another size, as an autoscaler does.
    pub async fn scale(&self, replicas: u32) {
        let service = self.cluster.router().into_service::<kube::client::Body>();
        let client = kube::Client::new(service, "default");
        let kind = kube::core::GroupVersionKind::gvk("apps.kruise.io", "v1alpha1", "CloneSet");
        let resource = kube::core::ApiResource::from_gvk_with_plural(&kind, "clonesets");
        let api: kube::Api<kube::core::DynamicObject> = kube::Api::namespaced_with(client, "shop", &resource);
        let patch = kube::api::Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let params =
            kube::api::PatchParams { field_manager: Some("autoscaler".into()), ..Default::default() };
        api.patch_scale("checkout", &params, &patch).await.unwrap();
    }

    /// Lets so many seconds pass.
    pub async fn wait(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Lets time pass until `is` holds of the story, at most two minutes.
    pub async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..1_200 {
            assert_ne!(self.waits_for(), "guard", "{:#}", self.record("checkout")["status"]);
            if is(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let record = serde_json::to_string_pretty(&self.record("checkout")["status"]).unwrap();
        panic!("not within two minutes: {what}\n{record}\n{:#}", self.cloneset("checkout"));
    }

    /// An object in `shop`; null where there is none.
    pub fn object(&self, resource: &str, name: &str) -> Value {
        self.cluster.store().get(resource, "shop", name).map(|it| Value::clone(&it)).unwrap_or_default()
    }

    /// The record of a release; null where there is none.
    pub fn record(&self, name: &str) -> Value {
        self.object("releases.triton.io", name)
    }

    /// A CloneSet; null where there is none.
    pub fn cloneset(&self, name: &str) -> Value {
        self.object("clonesets.apps.kruise.io", name)
    }

    /// The phase that the record of `checkout` tells.
    pub fn phase(&self) -> String {
        self.record("checkout")["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// The version and step that the record of `checkout` tells.
    pub fn at(&self) -> String {
        let status = &self.record("checkout")["status"];
        format!(
            "{} {}",
            status["versionText"].as_str().unwrap_or(""),
            status["stepText"].as_str().unwrap_or("")
        )
    }

    /// What the record of `checkout` waits for.
    pub fn waits_for(&self) -> String {
        self.record("checkout")["status"]["waitsFor"].as_str().unwrap_or_default().to_owned()
    }

    /// Pods of `checkout` by image.
    pub fn pods(&self) -> std::collections::BTreeMap<String, usize> {
        let mut count = std::collections::BTreeMap::new();
        for pod in self.cluster.store().list("pods", Some("shop")) {
            let pod: Value = Value::clone(&pod);
            if pod["metadata"]["deletionTimestamp"].is_null() {
                let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
                *count.entry(image.to_owned()).or_default() += 1;
            }
        }
        count
    }

    /// Commits `checkout` with this image tag.
    pub fn release(&self, version: &str, steps: &str) -> CommitId {
        let release = format!(
            "apiVersion: triton.io/v1
kind: Release
metadata: {{namespace: shop, name: checkout}}
spec:
  strategy:
    steps: {steps}
    deadline: 60s
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{namespace: shop, name: checkout}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: checkout}}}}
  template:
    metadata: {{labels: {{app: checkout}}}}
    spec:
      containers:
      - name: app
        image: example/checkout:{version}
"
        );
        self.repo.put("releases/shop/checkout.yaml", &release)
    }
}
