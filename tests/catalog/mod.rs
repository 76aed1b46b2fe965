//! The catalog against real histories: which episode this is, which markers count and why not the others.

mod branches;
mod episodes;
mod markers;
mod people;
mod random;
mod removal;

use std::collections::BTreeMap;
use std::sync::Arc;

use triton::catalog::{Catalog, Known, Question, Reading};
use triton::git::Repository;
use triton::model::{CommitId, ReleaseId};
use triton::spec::Diagnostic;
use triton::world::{Desired, Intent, Policy, Removal};

use crate::repo::Repo;

/// The release of most tests.
const FILE: &str = "releases/checkout.yaml";

/// Its documents with one image; the second and third step want an approval.
fn checkout(image: &str) -> String {
    spec("checkout", image, "")
}

/// A release's documents; `more` stands in its `spec`.
fn spec(name: &str, image: &str, more: &str) -> String {
    format!(
        "apiVersion: triton.io/v1
kind: Release
metadata: {{ namespace: shop, name: {name} }}
spec:
  {more}
  strategy:
    steps:
    - replicas: 1
    - replicas: 50%
      approval: {{}}
    - replicas: 100%
      approval: {{ notAuthor: true }}
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{ namespace: shop, name: {name} }}
spec:
  replicas: 10
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec: {{ containers: [{{ name: main, image: 'shop/{name}:{image}' }}] }}
"
    )
}

/// A repository and the daemon that reads it, head after head.
struct Shop {
    repo: Repo,
    root: String,
    catalog: Catalog,
    seen: Option<CommitId>,
    known: BTreeMap<ReleaseId, Known>,
    policy: Policy,
}

impl Shop {
    fn new() -> Self {
        Self::with_root("")
    }

    fn with_root(root: &str) -> Self {
        Self {
            repo: Repo::new(),
            root: root.to_owned(),
            catalog: Catalog::new(root),
            seen: None,
            known: BTreeMap::new(),
            policy: Policy::default(),
        }
    }

    /// The daemon dies and starts again; what the cluster remembers and the last head seen are kept.
    fn restart(&mut self) {
        self.restart_beside();
    }

    /// Starts anew, and returns the catalog that would have gone on.
    fn restart_beside(&mut self) -> Catalog {
        std::mem::replace(&mut self.catalog, Catalog::new(&self.root))
    }

    /// Polls and reads the head.
    fn read(&mut self) -> Reading {
        let head = self.repo.id("HEAD");
        let repository = Repository::open(self.repo.path()).unwrap();
        let policy = Arc::new(self.policy.clone());
        let question =
            Question { repository: &repository, head, seen: self.seen, known: &self.known, policy: &policy };
        let reading = self.catalog.read(&question).unwrap();
        self.seen = Some(head);
        reading
    }

    /// What the head says of a release.
    fn desired(&mut self, release: &str) -> Desired {
        self.read().desired.remove(&id(release)).unwrap_or(Desired::Unknown)
    }

    /// The release as the head has it.
    fn intent(&mut self) -> Arc<Intent> {
        match self.desired("shop/checkout") {
            Desired::Release(intent) => intent,
            other => panic!("no release: {other:?}"),
        }
    }

    /// First commit of the episode.
    fn first(&mut self) -> CommitId {
        self.intent().episode.as_ref().expect("its beginning was found").first
    }

    /// The cluster remembers the episode as it is now.
    fn remember(&mut self) {
        let intent = self.intent();
        let episode = intent.episode.as_ref().map(|episode| episode.first);
        let known = Known { digest: intent.release.digest, episode, is_complete: false };
        self.known.insert(id("shop/checkout"), known);
    }

    /// Path of a marker for the digest that the head has.
    fn marker(&mut self, name: &str) -> String {
        let digest = self.intent().release.digest.long();
        format!("approvals/shop/checkout/{digest}/{name}.yaml")
    }

    /// The markers that are reported: their names with who brought them, or why they do not count.
    fn markers(&mut self) -> Vec<String> {
        let intent = self.intent();
        let line = |marker: &triton::world::Marker| {
            let name = marker.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".yaml");
            match &marker.counts {
                Ok(approver) => format!("{name}: {}", approver.name),
                Err(why) => format!("{name} ignored: {why}"),
            }
        };
        intent.markers.iter().map(line).collect()
    }

    fn removal(&mut self, release: &str) -> Removal {
        match self.desired(release) {
            Desired::Gone(removal) => removal,
            other => panic!("not gone: {other:?}"),
        }
    }

    fn broken(&mut self, release: &str) -> Arc<[Diagnostic]> {
        match self.desired(release) {
            Desired::Broken(diagnostics) => diagnostics,
            other => panic!("not broken: {other:?}"),
        }
    }

    /// On a new branch from `base`.
    fn branch(&self, name: &str, base: &str) {
        self.repo.git(&["switch", "--quiet", "-c", name, base]);
    }

    /// Merges a branch into main as a forge does, in somebody's name.
    fn merge(&self, who: &str, branch: &str) -> CommitId {
        self.repo.git(&["switch", "--quiet", "main"]);
        self.repo.git_as(who, &["merge", "--quiet", "--no-ff", "-m", &format!("Merge {branch}"), branch]);
        self.repo.id("HEAD")
    }
}

fn id(release: &str) -> ReleaseId {
    release.parse().unwrap()
}
