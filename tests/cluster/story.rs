//! The main job: a push starts a rollout, an approval takes it on, a revert takes it back.

use std::collections::BTreeMap;

use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, Place, says, triton, until};
use crate::repo::Repo;

/// A release of four pods.
fn files(namespace: &str, version: &str) -> String {
    format!(
        "apiVersion: triton.io/v1
kind: Release
metadata: {{namespace: {namespace}, name: checkout}}
spec:
  strategy:
    steps: [{{replicas: 1}}, {{replicas: 100%, approval: {{}}}}]
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{namespace: {namespace}, name: checkout}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: checkout}}}}
  template:
    metadata: {{labels: {{app: checkout}}}}
    spec:
      containers: [{{name: app, image: 'example/checkout:{version}'}}]
"
    )
}

/// Ready pods by version.
fn ready(plane: &Plane, namespace: &str) -> BTreeMap<String, u32> {
    let path = "jsonpath={range .items[*]}{.spec.containers[0].image} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
    let text = plane.kubectl(&["get", "pods", "--namespace", namespace, "--output", path]);
    let ready = text.lines().filter_map(|line| line.strip_suffix(" True")?.split_once(':'));
    let mut counts = BTreeMap::new();
    ready.for_each(|(_, version)| *counts.entry(version.to_owned()).or_default() += 1);
    counts
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_push_starts_a_rollout_an_approval_takes_it_on_and_a_revert_takes_it_back() {
    let (plane, namespace) = (Plane::shared(), "story");
    plane.kubectl(&["create", "namespace", namespace]);
    plane.kubectl_reading(&["apply", "--server-side", "-f", "-"], include_str!("../../deploy/crd.yaml"));
    let (repo, state) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.git(&["checkout", "--quiet", "-b", namespace]);
    repo.put("releases/checkout.yaml", &files(namespace, "A"));
    let repository = repo.path().display().to_string();
    let place = Place { namespace, repository: &repository, branch: namespace, state: state.path() };
    let _daemon = Daemon::start(&plane, "admin", &place, &[]);
    let pods = |wanted: &[(&str, u32)]| {
        let wanted: BTreeMap<String, u32> =
            wanted.iter().map(|(tag, count)| ((*tag).into(), *count)).collect();
        until(&format!("{wanted:?}"), || (ready(&plane, namespace) == wanted).then_some(()));
    };
    pods(&[("A", 4)]);
    repo.put("releases/checkout.yaml", &files(namespace, "B"));
    pods(&[("A", 3), ("B", 1)]);
    let mut approve = triton(&plane.kubeconfig("admin"), namespace, state.path());
    says(approve.args(["approve", "story/checkout"]).current_dir(repo.path()));
    pods(&[("B", 4)]);
    repo.git(&["revert", "--no-edit", "HEAD~1"]);
    pods(&[("A", 4)]);
}
