//! What the daemon costs on a real control plane at 1,000 releases, beside a raw loop of server-side applies of the
//! same objects by the same client.
//!
//! `cargo bench --bench cluster` starts a control plane with `tests/cluster/up` and prints a line for each measurement,
//! with the bound beside it. Machines differ, so compare ratios within a run. It ends with 0 whatever the numbers are.

mod many;
mod pods;
mod steps;
mod switch;
#[path = "../../tests/cluster"]
#[allow(dead_code, reason = "tests use all of it")]
mod cluster {
    pub mod plane;
    pub mod process;
}
#[path = "../../tests/repo.rs"]
#[allow(dead_code, reason = "tests use all of it")]
mod repo;

use std::time::Duration;

use cluster::plane::Plane;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let parts: [(&str, fn()); 4] =
        [("many", many::run), ("steps", steps::run), ("switch", switch::run), ("pods", pods::run)];
    for (name, run) in parts {
        if words.is_empty() || words.iter().any(|word| word == name) {
            run();
        }
    }
}

/// One line: what, how much, and what was promised.
fn line(what: &str, measured: &str, bound: &str) {
    println!("{what:<66} {measured:>14}   {bound}");
}

/// How long something took each time: the median, and what 99 of 100 keep to.
fn tell(what: &str, mut waits: Vec<Duration>) {
    waits.sort();
    let at =
        |share: usize| format!("{} ms", waits[(waits.len() * share / 100).min(waits.len() - 1)].as_millis());
    line(&format!("{what}: median"), &at(50), "≤ 100 ms");
    line("the same, 99 of 100", &at(99), "≤ 100 ms");
}

/// Lets the daemon's subject do everything, and defines the records.
fn prepare(plane: &Plane) {
    let subject = "--user=system:serviceaccount:triton-system:triton";
    plane.kubectl(&["create", "clusterrolebinding", "bench", "--clusterrole=cluster-admin", subject]);
    plane.define_record();
}

/// One release with one CloneSet.
fn release(namespace: &str, name: &str, replicas: u32, version: &str, steps: &str) -> String {
    format!(
        "apiVersion: triton.io/v1
kind: Release
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  strategy:
    steps: {steps}
---
{}",
        cloneset(namespace, name, replicas, version)
    )
}

/// One CloneSet, as somebody writes it.
fn cloneset(namespace: &str, name: &str, replicas: u32, version: &str) -> String {
    format!(
        "apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{namespace: {namespace}, name: {name}, labels: {{app: {name}}}}}
spec:
  replicas: {replicas}
  minReadySeconds: 0
  selector: {{matchLabels: {{app: {name}}}}}
  updateStrategy: {{type: InPlaceIfPossible, maxUnavailable: 100%}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: example/{name}:{version}
        ports: [{{containerPort: 8080}}]
        env: [{{name: LEVEL, value: info}}]
        resources: {{requests: {{cpu: 10m, memory: 16Mi}}, limits: {{memory: 64Mi}}}}
        readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 5}}
"
    )
}
