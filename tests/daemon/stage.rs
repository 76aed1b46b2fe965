//! A stage: a real repository, the embedded cluster, the daemon's own loop, and a clock that stands still while
//! nobody waits for it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use triton::cluster::Cluster;
use triton::controller::{Clock, Controller, Settings, Source};
use triton::devcluster::controllers::Controllers;
use triton::devcluster::kubelet;
use triton::devcluster::{DevCluster, Options};
use triton::git::{Limits, Mirror, Remote};
use triton::model::CommitId;
use triton::objects::crd::custom_resource_definition;
use triton::world::Policy;

use crate::repo::Repo;

/// What the clocks show at first.
const START: &str = "2026-11-22T10:00:00Z";
/// Time between two polls.
const INTERVAL: Duration = Duration::from_secs(5);

/// Everything of one story.
pub struct Stage {
    /// The repository that people commit to.
    pub repo: Repo,
    /// The cluster.
    pub cluster: DevCluster,
    /// Its CloneSet controller and kubelets.
    pub controllers: Controllers,
    state: tempfile::TempDir,
    policy: Policy,
    clock: Clock,
    daemon: Option<Daemon>,
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
        store
            .create("customresourcedefinitions.apiextensions.k8s.io", "test", custom_resource_definition())
            .unwrap();
        let controllers = Controllers::new(store.clone(), kubelet::Knobs::default(), 7);
        tokio::spawn(controllers.clone().run());
        Self {
            repo: Repo::new(),
            cluster,
            controllers,
            state: tempfile::tempdir().unwrap(),
            policy: Policy { root: "0123abcd".into(), stale_after: 30, ..Policy::default() },
            clock: Clock::starting_at(start),
            daemon: None,
            started: 0,
        }
    }

    /// A way to the cluster for a client in this process.
    pub fn client(&self) -> Cluster {
        let service = self.cluster.router().into_service::<kube::client::Body>();
        Cluster::new(kube::Client::new(service, "default"))
    }

    /// Starts the daemon.
    pub fn start(&mut self) {
        let remote = Remote::new(self.repo.path().to_str().unwrap(), "main").unwrap();
        let mirror = Mirror::open(self.state.path(), remote, Limits::default()).unwrap();
        self.started += 1;
        let settings = Settings {
            interval: INTERVAL,
            policy: std::sync::Arc::new(self.policy.clone()),
            accepted: None,
            holder: format!("daemon-{}", self.started),
            inline: true,
            observe: false,
        };
        let source = Source::new(mirror, "");
        let controller = Controller::new(self.client(), source, settings, self.clock);
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

    /// Lets so many seconds pass.
    pub async fn wait(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Lets time pass until `is` holds of the story, at most two minutes.
    pub async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..1_200 {
            if is(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let record = serde_json::to_string_pretty(&self.record("checkout")["status"]).unwrap();
        panic!("not within two minutes: {what}\n{record}\n{:#}", self.cloneset("checkout"));
    }

    fn object(&self, resource: &str, name: &str) -> Value {
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
