//! One writer: who stands by goes on within seconds, and who has lost the lease writes nothing more.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::judge::tag;
use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, Place, until};
use crate::repo::Repo;

/// A release of two pods without steps.
pub fn files(namespace: &str, version: &str) -> String {
    format!(
        "apiVersion: triton.io/v1
kind: Release
metadata: {{namespace: {namespace}, name: web}}
spec: {{}}
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{namespace: {namespace}, name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: app, image: 'example/web:{version}'}}]}}
"
    )
}

/// A control plane, a repository with one release, and the namespace that is also its branch.
struct Scene {
    plane: Plane,
    repo: Repo,
    repository: String,
    namespace: &'static str,
}

impl Scene {
    fn begin(namespace: &'static str) -> Self {
        let (plane, repo) = (Plane::shared(), Repo::new());
        plane.kubectl(&["create", "namespace", namespace]);
        plane.kubectl_reading(&["apply", "--server-side", "-f", "-"], include_str!("../../deploy/crd.yaml"));
        repo.git(&["checkout", "--quiet", "-b", namespace]);
        let repository = repo.path().display().to_string();
        let scene = Self { plane, repo, repository, namespace };
        scene.push("A");
        scene
    }

    fn push(&self, version: &str) {
        self.repo.put("releases/web.yaml", &files(self.namespace, version));
    }

    fn daemon(&self, state: &Path) -> Daemon {
        self.daemon_in(self.namespace, state)
    }

    /// A daemon whose lease is in `namespace`.
    fn daemon_in(&self, namespace: &str, state: &Path) -> Daemon {
        let place = Place { namespace, repository: &self.repository, branch: self.namespace, state };
        Daemon::start(&self.plane, "admin", &place, &[])
    }

    fn cloneset(&self) -> Option<Value> {
        self.plane.get("clonesets.apps.kruise.io", self.namespace, "web")
    }

    /// Waits until the CloneSet has this version; gives how long that took.
    fn runs(&self, version: &str) -> Duration {
        let began = Instant::now();
        let has = |it: &Value| tag(&it["spec"]["template"]["spec"]) == version;
        until(&format!("version {version}"), || self.cloneset().filter(has));
        began.elapsed()
    }

    /// Waits until the record tells that this version is complete: nothing is left to write.
    fn is_complete(&self, version: &str) {
        until(&format!("{version} is complete"), || {
            let record = self.plane.get("releases.triton.io", self.namespace, "web")?;
            let status = &record["status"];
            (status["version"]["to"] == version && status["phase"] == "Healthy").then_some(())
        });
    }
}

fn waits(line: &Value) -> Option<()> {
    line.to_string().contains("waiting for the lease").then_some(())
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_second_replica_goes_on_within_seconds_after_the_first_was_killed_or_stopped() {
    let scene = Scene::begin("replicas");
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = scene.daemon(one.path());
    scene.is_complete("A");
    let mut second = scene.daemon(other.path());
    second.until(waits);
    first.kill();
    scene.push("B");
    let killed = scene.runs("B");
    scene.is_complete("B");
    let mut third = scene.daemon(one.path());
    third.until(waits);
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0));
    scene.push("C");
    let stopped = scene.runs("C");
    println!("first write of the next one: {killed:?} after a kill, {stopped:?} after a stop");
    // A lease lasts 15 s; one that was given back is asked for every 2 s.
    assert!(killed < Duration::from_secs(22) && stopped < Duration::from_secs(8), "{killed:?}, {stopped:?}");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_daemon_that_stood_still_until_another_one_acts_ends_without_a_write() {
    let scene = Scene::begin("stands-still");
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = scene.daemon(one.path());
    scene.is_complete("A");
    let mut second = scene.daemon(other.path());
    second.until(waits);
    first.signal("STOP");
    scene.push("B");
    scene.runs("B");
    scene.is_complete("B");
    // Something that the first one would repair, if it still thought that it may.
    second.kill();
    let stray = json!({"spec": {"template": {"metadata": {"labels": {"stray": "yes"}}}}});
    let apply = ["patch", "clonesets.apps.kruise.io", "web", "-n", scene.namespace, "--type=merge", "-p"];
    scene.plane.kubectl(&[&apply[..], &[&stray.to_string()]].concat());
    let before = scene.cloneset().unwrap();
    first.signal("CONT");
    assert_eq!(first.wait(), Some(2));
    let after = scene.cloneset().unwrap();
    assert_eq!(before["metadata"]["managedFields"], after["metadata"]["managedFields"]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_daemon_whose_lease_is_taken_away_ends_at_once() {
    let scene = Scene::begin("taken-away");
    let state = tempfile::tempdir().unwrap();
    let mut daemon = scene.daemon(state.path());
    scene.is_complete("A");
    let leases = scene.plane.kubectl(&["get", "leases", "-n", scene.namespace, "-o", "name"]);
    let took =
        json!({"spec": {"holderIdentity": "somebody-else", "acquireTime": "2026-01-01T00:00:00.000000Z"}});
    scene.plane.kubectl(&[
        "patch",
        leases.trim(),
        "-n",
        scene.namespace,
        "--type=merge",
        "-p",
        &took.to_string(),
    ]);
    let began = Instant::now();
    assert_eq!(daemon.wait(), Some(2));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
