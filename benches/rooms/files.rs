//! The release files of a large root: 10,000 of about 1 KB, as plain releases are.

use std::collections::BTreeMap;
use std::sync::Arc;

use triton::spec::{ParsedFile, Release, RepositoryFile, assemble, parse_file};

/// Releases in each measurement.
pub const RELEASES: usize = 10_000;
/// Folders that they lie in, each a namespace.
const FOLDERS: usize = 100;
/// The version that all of them begin with.
pub const FIRST: &str = "2.4.0";

/// Where the file of a release lies.
pub fn path(index: usize) -> String {
    format!("releases/{}/{}.yaml", namespace(index), name(index))
}

/// Its namespace; all have the same length.
pub fn namespace(index: usize) -> String {
    format!("team-{:03}", index % FOLDERS)
}

/// Its name; all have the same length.
pub fn name(index: usize) -> String {
    format!("app-{index:05}")
}

/// What stands in the file.
pub fn text(index: usize, version: &str) -> String {
    let (namespace, name) = (namespace(index), name(index));
    format!(
        "apiVersion: triton.io/v1
kind: Release
metadata: {{ namespace: {namespace}, name: {name} }}
spec:
  strategy:
    steps:
    - {{ replicas: 1, soak: 10m }}
    - {{ replicas: 50%, approval: {{}} }}
    - {{ replicas: 100% }}
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata:
  namespace: {namespace}
  name: {name}
  labels: {{ app: {name} }}
spec:
  replicas: 10
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      containers:
      - name: app
        image: registry.example/{namespace}/{name}:{version}
        ports: [{{ name: http, containerPort: 8080 }}]
        env: [{{ name: LOG_LEVEL, value: info }}]
        readinessProbe: {{ httpGet: {{ path: /healthz, port: http }} }}
        resources: {{ requests: {{ cpu: 100m, memory: 128Mi }}, limits: {{ memory: 256Mi }} }}
  updateStrategy: {{ type: InPlaceIfPossible, maxUnavailable: 20% }}
"
    )
}

/// Files, read.
pub fn parsed(indices: impl Iterator<Item = usize>, version: &str) -> BTreeMap<String, Arc<ParsedFile>> {
    indices.map(|index| (path(index), Arc::new(parse_file(text(index, version).as_bytes())))).collect()
}

/// The releases of some files.
pub fn releases(files: &BTreeMap<String, Arc<ParsedFile>>) -> Vec<Arc<Release>> {
    let assembled = assemble(files, &RepositoryFile::default());
    assembled.releases.into_values().map(|checked| checked.expect("the files have no mistakes")).collect()
}

/// One release.
pub fn release(index: usize, version: &str) -> Arc<Release> {
    releases(&parsed(std::iter::once(index), version)).remove(0)
}
