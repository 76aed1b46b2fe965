//! One release on a real control plane, led from a forge.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::cluster::forge::Clone;
use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, Place, says, triton, until};

/// The release `checkout` of four pods, in a namespace and a root of its own that are named alike: the branch is
/// `main`, as everybody's on a forge.
pub struct Scene {
    pub plane: Plane,
    namespace: &'static str,
    update: &'static str,
    strategy: &'static str,
    state: tempfile::TempDir,
}

impl Scene {
    /// A namespace for it, and nothing else yet.
    pub fn new(namespace: &'static str, update: &'static str, strategy: &'static str) -> Self {
        let plane = Plane::shared();
        plane.kubectl(&["create", "namespace", namespace]);
        plane.define_record();
        Self { plane, namespace, update, strategy, state: tempfile::tempdir().unwrap() }
    }

    /// Commits the release with this version, and these further lines of its spec.
    pub fn write_with(&self, clone: &Clone, version: &str, more: &str, message: &str) {
        let Self { namespace, update, strategy, .. } = self;
        let text = format!(
            "apiVersion: triton.io/v1
kind: Release
metadata: {{namespace: {namespace}, name: checkout}}
spec:
  strategy: {strategy}
{more}---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{namespace: {namespace}, name: checkout}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: checkout}}}}
  updateStrategy: {{type: {update}, maxUnavailable: 2}}
  template:
    metadata: {{labels: {{app: checkout}}}}
    spec:
      readinessGates: [{{conditionType: InPlaceUpdateReady}}]
      containers: [{{name: app, image: 'example/checkout:{version}'}}]
"
        );
        clone.put(&self.file(), &text, message);
    }

    /// Commits the release with this version.
    pub fn write(&self, clone: &Clone, version: &str, message: &str) {
        self.write_with(clone, version, "", message);
    }

    /// Where the release stands in the repository.
    pub fn file(&self) -> String {
        format!("{}/releases/checkout.yaml", self.namespace)
    }

    /// A file of this name beside the daemon's state.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }

    /// Starts the daemon with these lines as its configuration.
    pub fn daemon(&self, repository: &str, configuration: &str) -> Daemon {
        let file = self.configure(configuration);
        let place = Place { namespace: self.namespace, repository, branch: "main", state: self.state.path() };
        let file = file.display().to_string();
        Daemon::start(&self.plane, "admin", &place, &["--path", self.namespace, "--config", &file])
    }

    /// Writes these lines as the daemon's configuration, which it reads again.
    pub fn configure(&self, configuration: &str) -> PathBuf {
        let file = self.beside("daemon.yaml");
        let text = format!("apiVersion: triton.io/v1\nkind: Configuration\n{configuration}\n");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// What a command of the program says to somebody in a clone.
    pub fn types(&self, clone: &Clone, args: &[&str]) -> String {
        says(&mut self.command(clone, args))
    }

    /// What a command says against somebody.
    pub fn types_wrong(&self, clone: &Clone, args: &[&str]) -> String {
        let output = self.command(clone, args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn command(&self, clone: &Clone, args: &[&str]) -> Command {
        let mut command = triton(&self.plane.kubeconfig("admin"), self.namespace, self.state.path());
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_SSL_CAINFO");
        command.args(args).current_dir(clone.path().join(self.namespace));
        command
    }

    /// Somebody approves the next step, on a branch for a pull request, whose name this is.
    pub fn approve(&self, clone: &Clone) -> String {
        let said = self.types(clone, &["approve", &self.release(), "--pr"]);
        let branch = said.lines().find_map(|line| line.strip_prefix("pushed ")?.strip_suffix(" to origin"));
        branch.unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    /// How its name is typed.
    pub fn release(&self) -> String {
        format!("{}/checkout", self.namespace)
    }

    /// Somebody changes the CloneSet by hand, and it is mended.
    pub fn mends(&self) {
        let patch = "{\"spec\": {\"updateStrategy\": {\"maxUnavailable\": 1}}}";
        let args = [
            "patch",
            "cloneset",
            "checkout",
            "--namespace",
            self.namespace,
            "--type",
            "merge",
            "--patch",
            patch,
        ];
        self.plane.kubectl(&args);
        let stands = || self.plane.get("cloneset", self.namespace, "checkout");
        let is_mended = |it: Value| it["spec"]["updateStrategy"]["maxUnavailable"] == 2;
        until("it is mended", || stands().is_some_and(is_mended).then_some(()));
    }

    /// Waits until so many pods of these versions are ready, and no others.
    pub fn pods(&self, wanted: &[(&str, u32)]) {
        self.plane.has_ready(self.namespace, wanted);
    }

    /// The pods' own ids.
    pub fn uids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self
            .list()
            .iter()
            .map(|pod| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
            .collect();
        ids.sort();
        ids
    }

    fn list(&self) -> Vec<Value> {
        let text = self.plane.kubectl(&["get", "pods", "--namespace", self.namespace, "--output", "json"]);
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// What `triton status` says of the release.
    pub fn status(&self) -> Value {
        let mut command = triton(&self.plane.kubeconfig("admin"), self.namespace, self.state.path());
        let output =
            command.args(["status", &self.release(), "-o", "json"]).current_dir(self.state.path()).output();
        serde_json::from_slice::<Value>(&output.unwrap().stdout).map_or(Value::Null, |it| it[0].clone())
    }

    /// Its holds, each as `gate: message`.
    pub fn holds(&self) -> Vec<String> {
        let status = self.status();
        let holds = status["holds"].as_array().cloned().unwrap_or_default();
        let text = |hold: &Value, key: &str| hold[key].as_str().unwrap_or_default().to_owned();
        holds.iter().map(|hold| format!("{}: {}", text(hold, "gate"), text(hold, "message"))).collect()
    }

    /// Waits until the release is healthy at this version.
    pub fn complete(&self, version: &str) {
        let is_there = |it: &Value| it["phase"] == "Healthy" && it["version"]["to"] == version;
        until(&format!("{version} is complete"), || is_there(&self.status()).then_some(()));
    }

    /// Waits until something in Git does not count, and gives why.
    pub fn ignored(&self) -> String {
        until("something is ignored", || self.status()["ignored"][0]["reason"].as_str().map(str::to_owned))
    }

    /// Waits until a hold says all of these words, and gives it.
    pub fn hold(&self, words: &[&str]) -> String {
        let says = |hold: &String| words.iter().all(|word| hold.contains(word));
        until(&format!("a hold with {words:?}"), || self.holds().into_iter().find(says))
    }
}
