//! One release on a control plane, followed by daemons that a test starts and ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::judge::tag;
use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, Place, says, triton, until};
use crate::repo::Repo;

/// All pods at once.
pub const NO_STEPS: &str = "{}";
/// One pod, then an approval, then all of them.
pub const TWO_STEPS: &str = "{strategy: {steps: [{replicas: 1}, {replicas: 100%, approval: {}}]}}";
/// Pods of the release.
pub const PODS: u32 = 4;

/// A control plane, a repository with one release, and the namespace that is also its branch.
pub struct Scene {
    /// Where it runs.
    pub plane: Plane,
    /// What is followed.
    pub repo: Repo,
    /// Namespace, branch and place of the lease.
    pub namespace: &'static str,
    repository: String,
    spec: &'static str,
    state: TempDir,
}

impl Scene {
    /// With version A in Git. The record's kind is there.
    pub fn begin(plane: Plane, namespace: &'static str, spec: &'static str) -> Self {
        plane.define_record();
        Self::begin_bare(plane, namespace, spec)
    }

    /// With version A in Git. The record's kind may be absent.
    pub fn begin_bare(plane: Plane, namespace: &'static str, spec: &'static str) -> Self {
        plane.kubectl(&["create", "namespace", namespace]);
        let (repo, state) = (Repo::new(), tempfile::tempdir().expect("a temporary folder"));
        repo.git(&["checkout", "--quiet", "-b", namespace]);
        let repository = repo.path().display().to_string();
        let scene = Self { plane, repo, namespace, repository, spec, state };
        scene.push("A");
        scene
    }

    /// A commit with this version.
    pub fn push(&self, version: &str) {
        let (namespace, spec) = (self.namespace, self.spec);
        let text = format!(
            "apiVersion: triton.io/v1
kind: Release
metadata: {{namespace: {namespace}, name: web}}
spec: {spec}
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{namespace: {namespace}, name: web}}
spec:
  replicas: {PODS}
  selector: {{matchLabels: {{app: web}}}}
  updateStrategy: {{type: InPlaceIfPossible, maxUnavailable: 2}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers: [{{name: app, image: 'example/web:{version}', resources: {{requests: {{cpu: 1000m, memory: 1024Mi}}}}}}]
"
        );
        self.repo.put("releases/web.yaml", &text);
    }

    /// A commit that approves the next step.
    pub fn approve(&self) {
        self.says(&["approve", &format!("{}/web", self.namespace)]);
    }

    /// What a command says in the clone; it must succeed.
    pub fn says(&self, args: &[&str]) -> String {
        let mut command = triton(&self.plane.kubeconfig("admin"), self.namespace, self.state.path());
        says(command.args(args).current_dir(self.repo.path()))
    }

    /// The daemon, which keeps its state from one start to the next.
    pub fn daemon(&self) -> Daemon {
        self.daemon_of(self.state.path())
    }

    /// The daemon, which reaches the API server in its own way.
    pub fn daemon_by(&self, kubeconfig: &Path) -> Daemon {
        let (namespace, state) = (self.namespace, self.state.path());
        let place = Place { namespace, repository: &self.repository, branch: namespace, state };
        Daemon::by(kubeconfig, &place, &[])
    }

    /// A daemon with a state of its own.
    pub fn daemon_of(&self, state: &Path) -> Daemon {
        self.daemon_in(self.namespace, state)
    }

    /// A daemon whose lease is in `namespace`.
    pub fn daemon_in(&self, namespace: &str, state: &Path) -> Daemon {
        let place = Place { namespace, repository: &self.repository, branch: self.namespace, state };
        Daemon::start(&self.plane, "admin", &place, &[])
    }

    /// The CloneSet as it stands.
    pub fn cloneset(&self) -> Option<Value> {
        self.plane.get("clonesets.apps.kruise.io", self.namespace, "web")
    }

    /// The status of the record as it stands.
    pub fn status(&self) -> Option<Value> {
        Some(self.plane.get("releases.triton.io", self.namespace, "web")?["status"].clone())
    }

    /// Waits until the CloneSet has this version; gives how long that took.
    pub fn runs(&self, version: &str) -> Duration {
        let began = Instant::now();
        let has = |it: &Value| tag(&it["spec"]["template"]["spec"]) == version;
        until(&format!("version {version}"), || self.cloneset().filter(has));
        began.elapsed()
    }

    /// Waits until the record tells that this version is complete: nothing is left to write.
    pub fn is_complete(&self, version: &str) {
        until(&format!("{version} is complete"), || {
            let status = self.status()?;
            (status["version"]["to"] == version && status["phase"] == "Healthy").then_some(())
        });
    }

    /// Waits until a hold has this in its message.
    pub fn holds(&self, text: &str) -> String {
        until(text, || {
            let status = self.status()?;
            let mut messages = status["holds"].as_array()?.iter().filter_map(|it| it["message"].as_str());
            messages.find(|it| it.contains(text)).map(str::to_owned)
        })
    }

    /// Pods by version, those that are going left out.
    pub fn pods(&self) -> BTreeMap<String, u32> {
        let list = self.plane.kubectl(&["get", "pods", "--namespace", self.namespace, "--output", "json"]);
        let list: Value = serde_json::from_str(&list).expect("JSON");
        let mut counts = BTreeMap::new();
        let pods = list["items"].as_array().expect("a list").iter();
        for pod in pods.filter(|it| it["metadata"]["deletionTimestamp"].is_null()) {
            *counts.entry(tag(&pod["spec"])).or_default() += 1;
        }
        counts
    }

    /// Waits until there are these pods.
    pub fn has_pods(&self, wanted: &[(&str, u32)]) {
        let wanted: BTreeMap<String, u32> =
            wanted.iter().map(|(tag, count)| ((*tag).into(), *count)).collect();
        until(&format!("{wanted:?}"), || (self.pods() == wanted).then_some(()));
    }
}
