//! How soon the next step is written when the pods of one are there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use triton::cluster::resource;
use triton::objects::Kind;

use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, PATIENCE, Place};
use crate::repo::Repo;
use crate::{prepare, release, tell};

/// Rollouts at once: how long the last of them waits for the others is part of what is measured.
const RELEASES: usize = 40;
/// Rollouts one after the other, with nothing beside them.
const ALONE: usize = 10;
const NAMESPACE: &str = "steps";
/// Steps that follow each other by themselves.
const STEPS: &str = "[{replicas: 1}, {replicas: 2}, {replicas: 3}, {replicas: 100%}]";
/// Of these, so many are written when the pods of another one are there.
const FOLLOWING: usize = 3;

/// Measures.
pub fn run() {
    let plane = Plane::own();
    prepare(&plane);
    plane.kubectl(&["create", "namespace", NAMESPACE]);
    let (repo, state) = (Repo::new(), tempfile::tempdir().expect("a temporary folder"));
    let repository = repo.path().display().to_string();
    let write = |numbers: Range<usize>, version: &str| {
        for number in numbers {
            let name = format!("app-{number}");
            repo.write(&format!("releases/{name}.yaml"), &release(NAMESPACE, &name, 4, version, STEPS));
        }
        repo.commit(version);
    };
    write(0..RELEASES, "1");
    let place = Place { namespace: NAMESPACE, repository: &repository, branch: "main", state: state.path() };
    let _daemon = Daemon::start(&plane, "triton", &place, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (at_once, alone) = runtime.block_on(async {
        let mut seen = Seen::new(&plane).await;
        seen.until(|seen| seen.complete("1") == RELEASES).await;
        seen.waits.clear();
        write(0..RELEASES, "2");
        seen.until(|seen| seen.complete("2") == RELEASES && seen.waits.len() >= RELEASES * FOLLOWING).await;
        let at_once = std::mem::take(&mut seen.waits);
        for number in 0..ALONE {
            write(number..number + 1, "3");
            let done = number + 1;
            seen.until(|seen| seen.complete("3") == done && seen.waits.len() >= done * FOLLOWING).await;
        }
        (at_once, seen.waits)
    });
    tell("pods of a step there → next step written, one rollout alone", alone);
    tell(&format!("pods of a step there → next step written, {RELEASES} rollouts at once"), at_once);
}

/// What an observer of the API has seen.
struct Seen {
    events: futures::stream::BoxStream<'static, watcher::Result<Event<DynamicObject>>>,
    /// CloneSets as they are.
    now: BTreeMap<String, Value>,
    /// Since when the pods of the present step are there.
    there: BTreeMap<String, Instant>,
    waits: Vec<Duration>,
}

impl Seen {
    async fn new(plane: &Plane) -> Self {
        let clonesets = resource(Kind::CloneSet.api());
        let api = Api::namespaced_with(plane.client("admin", NAMESPACE).await, NAMESPACE, &clonesets);
        let events = watcher(api, watcher::Config::default()).boxed();
        Self { events, now: BTreeMap::new(), there: BTreeMap::new(), waits: Vec::new() }
    }

    /// How many have all pods on a version.
    fn complete(&self, version: &str) -> usize {
        let complete = |it: &&Value| {
            let image = it["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            image.ends_with(&format!(":{version}")) && wanted(it) == Some(4) && is_there(it)
        };
        self.now.values().filter(complete).count()
    }

    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while !done(self) {
            let event = tokio::time::timeout_at(end, self.events.next()).await.expect("it comes in time");
            if let Some(Ok(Event::Apply(object) | Event::InitApply(object))) = event {
                self.note(serde_json::to_value(object).expect("JSON"));
            }
        }
    }

    fn note(&mut self, cloneset: Value) {
        let name = cloneset["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let before = self.now.insert(name.clone(), cloneset.clone()).unwrap_or_default();
        if before["metadata"]["generation"] != cloneset["metadata"]["generation"]
            && let Some(since) = self.there.remove(&name)
            // Another template waits for a commit, and not for pods.
            && before["spec"]["template"] == cloneset["spec"]["template"]
        {
            self.waits.push(since.elapsed());
        }
        if is_there(&cloneset) {
            self.there.entry(name).or_insert_with(Instant::now);
        } else {
            self.there.remove(&name);
        }
    }
}

/// Pods that the present step wants.
fn wanted(cloneset: &Value) -> Option<u64> {
    cloneset["status"]["expectedUpdatedReplicas"].as_u64()
}

/// Whether the pods of the present step are there.
fn is_there(cloneset: &Value) -> bool {
    let (status, metadata) = (&cloneset["status"], &cloneset["metadata"]);
    status["observedGeneration"] == metadata["generation"]
        && wanted(cloneset).is_some_and(|wanted| wanted > 0)
        && status["updatedAvailableReplicas"].as_u64() >= wanted(cloneset)
}
