//! What the cluster has of 10,000 releases: one is really rolled out, by the daemon in the embedded cluster, and the
//! objects of the others are made after its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use triton::cluster::Cluster;
use triton::controller::{Clock, Controller, Rules, Settings, Source};
use triton::devcluster::builtin::{DEFINITIONS, NAMESPACES};
use triton::devcluster::controllers::Controllers;
use triton::devcluster::{DevCluster, Options, kubelet};
use triton::git::{Limits, Mirror, Remote};
use triton::model::CommitId;
use triton::objects::crd::custom_resource_definition;
use triton::spec::Release;
use triton::world::Policy;

use crate::files::{FIRST, name, namespace, path, release, text};
use crate::history::git;

/// Everything begins now.
pub const START: &str = "2026-01-02T03:04:05Z";
/// The root that every object belongs to.
pub const ROOT: &str = "0badcafe";
/// From which ids are drawn.
const SEED: u64 = 7;
/// Longest time that the rollout may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The objects of one release as the API returns them.
pub struct Pattern {
    release: Arc<Release>,
    cloneset: String,
    record: String,
}

/// The daemon's configuration.
pub fn policy() -> Arc<Policy> {
    Arc::new(Policy { root: ROOT.into(), ..Policy::default() })
}

/// The moment at which everything begins.
pub fn start() -> Timestamp {
    START.parse().expect("a moment")
}

impl Pattern {
    /// Rolls one release out.
    pub fn new() -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
        let (cloneset, record) = runtime.block_on(rolled_out());
        Self::of(cloneset.to_string(), record.to_string())
    }

    fn of(cloneset: String, record: String) -> Self {
        Self { release: release(0, FIRST), cloneset, record }
    }

    /// Writes it down, for a process that is not to do what it took.
    pub fn save(&self, folder: &Path) {
        std::fs::write(folder.join("cloneset.json"), &self.cloneset).expect("a file");
        std::fs::write(folder.join("record.json"), &self.record).expect("a file");
    }

    /// Reads it again.
    pub fn load(folder: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
        Self::of(read("cloneset.json"), read("record.json"))
    }

    /// The CloneSet of another release.
    pub fn cloneset(&self, index: usize, release: &Release) -> Value {
        self.another(&self.cloneset, index, release)
    }

    /// The record of another release.
    pub fn record(&self, index: usize, release: &Release) -> Value {
        self.another(&self.record, index, release)
    }

    /// Bytes of a CloneSet as JSON.
    pub fn size(&self) -> usize {
        self.cloneset.len()
    }

    /// The first commit of every episode.
    pub fn commit(&self) -> CommitId {
        let record: Value = serde_json::from_str(&self.record).expect("JSON");
        record["status"]["commit"].as_str().and_then(|text| text.parse().ok()).expect("a commit")
    }

    /// The same text with the names, digests and UIDs of another release.
    fn another(&self, text: &str, index: usize, release: &Release) -> Value {
        let own = &self.release;
        let mut object: Value = serde_json::from_str(
            &text
                .replace(&own.digest.to_string(), &release.digest.to_string())
                .replace(&own.digest.long(), &release.digest.long())
                .replace(&own.template.to_string(), &release.template.to_string())
                .replace(&namespace(0), &namespace(index))
                .replace(&name(0), &name(index)),
        )
        .expect("JSON");
        // Every memory names the CloneSet by its UID.
        let uid = format!("{index:08x}-0000-4000-8000-000000000000");
        for pointer in
            ["/metadata/uid", "/metadata/annotations/triton.io~1uid", "/status/memory/triton.io~1uid"]
        {
            if let Some(place) = object.pointer_mut(pointer) {
                *place = uid.clone().into();
            }
        }
        object["metadata"]["resourceVersion"] = (1_000_000 + index).to_string().into();
        object
    }
}

/// The CloneSet and the record of the first release, once it is healthy.
async fn rolled_out() -> (Value, Value) {
    let cluster = DevCluster::new(Options { start: start(), seed: SEED, collects: true });
    let store = cluster.store();
    store.create(NAMESPACES, "bench", json!({"metadata": {"name": namespace(0)}})).expect("a namespace");
    store.create(DEFINITIONS, "bench", custom_resource_definition()).expect("the record's kind");
    let controllers = Controllers::new(store.clone(), kubelet::Knobs::default(), SEED);
    tokio::spawn(controllers.run());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let repository = folder.path().join("repository");
    std::fs::create_dir(&repository).expect("a folder");
    commit_first(&repository);
    tokio::spawn(daemon(&cluster, &folder.path().join("state"), &repository).run(std::future::pending()));
    let get = |resource: &str| {
        let object = store.get(resource, &namespace(0), &name(0));
        object.map(|it| Value::clone(&it)).unwrap_or_default()
    };
    let healthy = async {
        while get("releases.triton.io")["status"]["phase"] != "Healthy" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // What is told once more of a release that rests.
        tokio::time::sleep(Duration::from_secs(60)).await;
    };
    tokio::time::timeout(PATIENCE, healthy).await.expect("the release becomes healthy");
    (get("clonesets.apps.kruise.io"), get("releases.triton.io"))
}

fn commit_first(repository: &Path) {
    git(repository, &["init", "--quiet", "--bare", "--initial-branch=main"], "");
    let (path, text) = (path(0), text(0, FIRST));
    let commit = format!(
        "commit refs/heads/main\ncommitter Ann <ann@example.com> 1700000000 +0000\ndata <<E\nFirst\nE\n\
         M 100644 inline {path}\ndata {}\n{text}\n",
        text.len()
    );
    git(repository, &["fast-import", "--quiet"], &commit);
}

fn daemon(cluster: &DevCluster, state: &Path, repository: &Path) -> Controller {
    let service = cluster.router().into_service::<kube::client::Body>();
    let client = Cluster::new(kube::Client::new(service, "default"));
    let remote = Remote::new(repository.to_str().expect("a plain path"), "main").expect("an address");
    let mirror = Mirror::open(state, remote, Limits::default()).expect("a mirror");
    let settings = Settings {
        interval: Duration::from_secs(15),
        holder: "bench".to_owned(),
        inline: true,
        observe: None,
    };
    let rules = watch::Sender::new(Rules { policy: policy(), accepted: None });
    let (source, clock) = (Source::new(mirror, ""), Clock::starting_at(start()));
    Controller::new(client, source, settings, rules.subscribe(), clock)
}
