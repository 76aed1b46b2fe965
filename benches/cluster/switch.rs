//! How soon the active Service leads to other pods: once an approval is seen, and once a revert is.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use triton::cluster::resource;
use triton::model::CommitId;
use triton::objects::{Kind, keys, record};

use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, PATIENCE, Place, says};
use crate::repo::Repo;
use crate::{prepare, release, tell};

/// Rollouts one after the other, with nothing beside them.
const RELEASES: usize = 10;
const NAMESPACE: &str = "switch";

/// Measures.
pub fn run() {
    let plane = Plane::own();
    prepare(&plane);
    plane.kubectl(&["create", "namespace", NAMESPACE]);
    let (repo, state) = (Repo::new(), tempfile::tempdir().expect("a temporary folder"));
    for (key, value) in [("user.name", "Bo"), ("user.email", "bo@example.com"), ("commit.gpgsign", "false")] {
        repo.git(&["config", key, value]);
    }
    repo.write("triton.yaml", "apiVersion: triton.io/v1\nkind: Repository\n");
    (0..RELEASES).for_each(|number| write(&repo, number, "1"));
    repo.commit("1");
    let repository = repo.path().display().to_string();
    let place = Place { namespace: NAMESPACE, repository: &repository, branch: "main", state: state.path() };
    let _daemon = Daemon::start(&plane, "triton", &place, &[]);
    // Git blocks this thread; another one watches meanwhile.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (there, back) = runtime.block_on(async {
        let mut seen = Seen::new(plane.client("admin", NAMESPACE).await);
        let (mut there, mut back) = (Vec::new(), Vec::new());
        for number in 0..RELEASES {
            seen.is(number, "Healthy").await;
            write(&repo, number, "2");
            repo.commit("2");
            seen.is(number, "Paused").await;
            let approve = format!("{NAMESPACE}/app-{number}");
            let clone = repo.path().display().to_string();
            says(Command::new(env!("CARGO_BIN_EXE_triton")).args(["approve", &approve, "-C", &clone]));
            there.push(seen.switch(number, repo.id("HEAD")).await);
            seen.is(number, "Healthy").await;
            write(&repo, number, "1");
            back.push(seen.switch(number, repo.commit("1 again")).await);
        }
        (there, back)
    });
    tell("approval seen → active Service written", there);
    tell("revert seen → active Service written back", back);
}

fn write(repo: &Repo, number: usize, version: &str) {
    let name = format!("app-{number}");
    let strategy = format!("blueGreen: {{active: {name}, preview: {name}-preview, approval: {{}}}}");
    let text = release(NAMESPACE, &name, 4, version, "STEPS").replace("steps: STEPS", &strategy);
    let service = |name: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{namespace: {NAMESPACE}, name: {name}}}\n\
             spec: {{selector: {{app: app-{number}}}, ports: [{{port: 80, targetPort: 8080}}]}}\n"
        )
    };
    let services = service(&name) + &service(&format!("{name}-preview"));
    repo.write(
        &format!("releases/{name}.yaml"),
        &(text.replace("InPlaceIfPossible", "ReCreate") + &services),
    );
}

/// What an observer of the API has seen, and when.
struct Seen {
    events: UnboundedReceiver<(Instant, Value)>,
    /// Which pods each Service leads to.
    leads: BTreeMap<String, Value>,
    records: Api<DynamicObject>,
}

impl Seen {
    fn new(client: Client) -> Self {
        let (tell, events) = unbounded_channel();
        let watch = |kind: ApiResource| {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind);
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut events = watcher(api, watcher::Config::default()).boxed();
                while let Some(event) = events.next().await {
                    if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
                        let object = serde_json::to_value(object).expect("JSON");
                        tell.send((Instant::now(), object)).expect("somebody hears");
                    }
                }
            });
        };
        watch(ApiResource::from_gvk(&GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease")));
        watch(resource(Kind::Service.api()));
        let record = ApiResource::from_gvk(&GroupVersionKind::gvk(keys::GROUP, "v1", record::KIND));
        let records = Api::namespaced_with(client.clone(), NAMESPACE, &record);
        Self { events, leads: BTreeMap::new(), records }
    }

    /// Waits for the phase of a release.
    async fn is(&self, number: usize, phase: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.records.get_opt(&format!("app-{number}")).await.ok().flatten();
            if found.is_some_and(|it| it.data["status"]["phase"] == phase) {
                return;
            }
            assert!(Instant::now() < end, "app-{number} is not {phase}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// From when the daemon has seen `head`, as its lease tells, until the active Service leads to other pods.
    async fn switch(&mut self, number: usize, head: CommitId) -> Duration {
        let (name, head) = (format!("app-{number}"), head.to_string());
        let (mut since, mut switched) = (None, None);
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let event = tokio::time::timeout_at(end, self.events.recv()).await.expect("it comes in time");
            let (at, object) = event.expect("a watch goes on");
            if object["metadata"]["annotations"][keys::HEAD] == head {
                since.get_or_insert(at);
            } else if let Some(service) = object["metadata"]["name"].as_str() {
                let hash = object["spec"]["selector"][keys::POD_TEMPLATE_HASH].clone();
                let before = self.leads.insert(service.to_owned(), hash.clone());
                let is_other = before.is_some_and(|before| !before.is_null() && before != hash);
                switched = switched.or(Some(at).filter(|_| service == name && is_other));
            }
            // Two watches: the later event may come first.
            if let (Some(since), Some(switched)) = (since, switched) {
                return switched.saturating_duration_since(since);
            }
        }
    }
}
