//! Memory where pods are watched: a thousand releases with ten thousand pods, of which fifty let theirs serve by approval.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::api::{DynamicObject, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use triton::cluster::resource;
use triton::objects::Kind;

use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, Place, until};
use crate::many::{Made, OURS, Peak, RELEASES, WORKERS, is_quiet, mebibytes, memory};
use crate::repo::Repo;
use crate::{line, prepare, release};

/// Releases whose pods serve by approval.
const GATED: usize = 50;
/// Pods of each release.
const PODS: u32 = 10;

/// Measures.
pub fn run() {
    // No controller: pods are made here, and none comes up.
    let plane = Plane::bare();
    prepare(&plane);
    plane.kubectl(&["create", "namespace", OURS]);
    let (repo, state) = (Repo::new(), tempfile::tempdir().expect("a temporary folder"));
    for number in 0..RELEASES {
        let name = format!("app-{number}");
        let by_approval = "[{replicas: 1, serve: approval}, {replicas: 100%}]";
        let steps = if number < GATED { by_approval } else { "[{replicas: 100%}]" };
        let text = release(OURS, &name, PODS, "1", steps).replace("InPlaceIfPossible", "ReCreate");
        repo.write(&format!("releases/{name}.yaml"), &text);
    }
    repo.commit("A thousand releases");
    let repository = repo.path().display().to_string();
    let place = Place { namespace: OURS, repository: &repository, branch: "main", state: state.path() };
    let daemon = Daemon::start(&plane, "triton", &place, &[]);
    let peak = Peak::of(daemon.id());
    let mut made = Made::default();
    until("all are applied", || (made.count(&plane) >= RELEASES).then_some(()));
    tokio::runtime::Runtime::new().expect("a runtime").block_on(make_pods(&plane));
    until("it comes to rest", || is_quiet(&plane).then_some(()));
    let (rests, most) = (memory(daemon.id()), peak.end());
    line("memory at rest (RssAnon), 10,000 pods, 50 releases by approval", &mebibytes(rests), "≤ 80 MiB");
    line("the same at its peak", &mebibytes(most), "≤ 80 MiB");
}

/// Makes every CloneSet's pods, as Kruise would.
async fn make_pods(plane: &Plane) {
    let client = plane.client("admin", OURS).await;
    let clonesets: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), OURS, &resource(Kind::CloneSet.api()));
    let all = clonesets.list(&ListParams::default()).await.expect("a list").items;
    let (all, next) = (Arc::new(all), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> =
        (0..WORKERS).map(|_| tokio::spawn(work(client.clone(), all.clone(), next.clone()))).collect();
    for worker in workers {
        worker.await.expect("it works");
    }
}

async fn work(client: Client, clonesets: Arc<Vec<DynamicObject>>, next: Arc<AtomicUsize>) {
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client, OURS);
    while let Some(cloneset) = clonesets.get(next.fetch_add(1, Ordering::Relaxed)) {
        for number in 0..PODS {
            let pod = serde_json::from_value(pod(cloneset, number)).expect("a pod");
            // Admission waits for the namespace's service account at first.
            while pods.create(&PostParams::default(), &pod).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn pod(cloneset: &DynamicObject, number: u32) -> Value {
    let mut pod = cloneset.data["spec"]["template"].clone();
    let name = cloneset.metadata.name.as_deref().unwrap_or_default();
    pod["metadata"]["name"] = format!("{name}-{number}").into();
    pod["metadata"]["labels"]["controller-revision-hash"] = format!("{name}-5d9f7c6b48").into();
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps.kruise.io/v1alpha1",
        "kind": "CloneSet",
        "name": name,
        "uid": cloneset.metadata.uid,
        "controller": true,
    }]);
    pod
}
