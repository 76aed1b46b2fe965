//! A namespace of a real control plane, as the scripts of the recordings see it: watches tell what happens, requests
//! do what a script says.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use kube::Client;
use kube::api::{
    DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy, Request,
    WatchEvent, WatchParams,
};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use triton::devcluster::cloneset::CLONESETS;
use triton::devcluster::deletes::Propagation;
use triton::devcluster::json::Body;
use triton::devcluster::machine::after;
use triton::devcluster::pods::{PODS, Pod};
use triton::devcluster::revision::REVISIONS;
use triton::devcluster::sim::{Refused, Seen};

use crate::cluster::plane::Plane;
use crate::cluster::traces_apply::Apply;
use crate::traces::picture;
use crate::traces::script::Cluster;
use crate::traces::story::Story;

/// What is watched, and where it is served.
const WATCHED: [(&str, &str, &str); 3] = [
    (PODS, "api/v1", "pods"),
    (CLONESETS, "apis/apps.kruise.io/v1alpha1", "clonesets"),
    (REVISIONS, "apis/apps/v1", "controllerrevisions"),
];
/// The program with the CloneSet controller and its webhooks.
const MANAGER: &str = "kruise-manager";
/// How often a write is tried again that met another one: controllers write statuses all the time.
const TRIES: usize = 20;
/// Pause of a watch before it begins again.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for a watch to tell what was written.
const PATIENCE: Duration = Duration::from_secs(60);
/// The label of the namespaces in which pods with the image `deny` are refused.
pub const REFUSES: &str = "triton-tests/refuses";

/// A request on its way.
type Sent = axum::http::Request<Vec<u8>>;

/// A write, as a watch told it: the resource, and the object; `None` where it is gone.
struct Told {
    resource: &'static str,
    object: Value,
    gone: bool,
}

/// A namespace with what the watches have shown so far.
pub struct Namespace {
    client: Client,
    runtime: Handle,
    name: String,
    plane: Arc<Plane>,
    told: Receiver<Told>,
    watches: Vec<JoinHandle<()>>,
    objects: BTreeMap<(&'static str, String), Body>,
    /// Everything seen, with its place in the one order of all writes.
    log: Vec<(u64, Seen)>,
    /// How much of it was taken.
    taken: usize,
}

impl Namespace {
    /// Makes one, and watches it.
    pub fn new(client: Client, runtime: Handle, plane: Arc<Plane>, name: &str) -> Self {
        let body = json!({"metadata": {"name": name, "labels": {REFUSES: "deny"}}});
        let create = Request::new("/api/v1/namespaces").create(&PostParams::default(), bytes(&body));
        let made = runtime.block_on(client.request::<Value>(create.expect("a request")));
        let made = made.unwrap_or_else(|error| panic!("namespace {name}: {error}"));
        let version = made["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
        let (tell, told) = channel();
        let watches = WATCHED.map(|(resource, api, plural)| {
            let url = format!("/{api}/namespaces/{name}/{plural}");
            runtime.spawn(watch(client.clone(), resource, url, version.clone(), tell.clone()))
        });
        let (objects, log, watches) = (BTreeMap::new(), Vec::new(), watches.into());
        Self { client, runtime, name: name.to_owned(), plane, told, watches, objects, log, taken: 0 }
    }

    /// All that was seen, in the order of the writes.
    pub fn story(&self) -> Story {
        let mut log: Vec<&(u64, Seen)> = self.log.iter().collect();
        log.sort_by_key(|(version, _)| *version);
        let (mut story, mut pods) = (Story::default(), BTreeMap::new());
        // Pods at every moment since the last status: one that was true may be written when it is no longer.
        let mut moments: Vec<Vec<Pod>> = vec![Vec::new()];
        for (_, seen) in log {
            let shown = seen.after.as_ref().or(seen.before.as_ref()).expect("a write has an object");
            if seen.resource == PODS {
                let name = shown["metadata"]["name"].to_string();
                match &seen.after {
                    Some(body) => pods.insert(name, Pod { body: body.clone() }),
                    None => pods.remove(&name),
                };
                moments.push(pods.values().cloned().collect());
            }
            story.note(seen, |body| moments.iter().any(|pods| picture::has_done_step(pods, body, seen.at)));
            let status = |body: &Option<Body>| body.as_ref().map(|body| body["status"].clone());
            if seen.resource == CLONESETS && status(&seen.before) != status(&seen.after) {
                moments.drain(..moments.len() - 1);
            }
        }
        story
    }

    /// Events by reason.
    pub fn events(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        let request =
            Request::new(format!("/api/v1/namespaces/{}/events", self.name)).list(&ListParams::default());
        let list = self.send(request).expect("events are listed");
        let events = list["items"].as_array().into_iter().flatten();
        for event in events.filter(|event| event["involvedObject"]["kind"] == "CloneSet") {
            let reason = event["reason"].as_str().unwrap_or_default().to_owned();
            *counts.entry(reason).or_default() += event["count"].as_u64().unwrap_or(1);
        }
        counts
    }

    /// Sets the size through the scale subresource, as this field manager.
    pub fn scale_as(&self, manager: &str, name: &str, replicas: i64) {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let how = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        let scale = self.requests(CLONESETS).patch_subresource("scale", name, &how, &patch);
        self.send(scale).expect("the scale subresource takes a size");
    }

    /// Applies on the server's side.
    pub fn apply(&self, apply: &Apply) -> Result<Value, Refused> {
        let how =
            PatchParams { dry_run: apply.is_dry, force: apply.force, ..PatchParams::apply(apply.manager) };
        let body = Patch::Apply(json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
            "metadata": {"name": apply.name, "namespace": self.name}, "spec": apply.spec,
        }));
        self.send(self.requests(CLONESETS).patch(apply.name, &how, &body))
    }

    fn requests(&self, resource: &str) -> Request {
        let (_, api, plural) = WATCHED.iter().find(|(name, ..)| *name == resource).expect("it is watched");
        Request::new(format!("/{api}/namespaces/{}/{plural}", self.name))
    }

    fn send(&self, request: Result<Sent, impl Debug>) -> Result<Value, Refused> {
        let sent = self.client.request::<Value>(request.expect("a request"));
        self.runtime.block_on(sent).map_err(|error| match error {
            kube::Error::Api(status) => Refused { code: status.code, message: status.message },
            other => Refused { code: 0, message: other.to_string() },
        })
    }

    /// Reads an object, changes it and writes it back, until no other write came between.
    fn change(
        &self,
        resource: &str,
        name: &str,
        mut write: impl FnMut(&Request, Value) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let requests = self.requests(resource);
        for _try in 0..TRIES {
            let live = self.send(requests.get(name, &GetParams::default()))?;
            match write(&requests, live) {
                Err(Refused { code: 409, message }) if message.contains("has been modified") => {}
                result => return result,
            }
        }
        Err(Refused { code: 409, message: format!("{name} is written by others all the time") })
    }

    /// Waits until the watch has told what a write answered, so that the next line of a script sees it.
    fn await_told(&mut self, resource: &'static str, answer: &Value) {
        let version = |object: &Value| object["metadata"]["resourceVersion"].as_str()?.parse::<u64>().ok();
        let place = (resource, answer["metadata"]["name"].as_str().unwrap_or_default().to_owned());
        let is_told =
            |told: &Self| told.objects.get(&place).is_none_or(|body| version(body) >= version(answer));
        let end = after(Timestamp::now(), PATIENCE);
        while !is_told(self) && self.step(end) {}
    }

    fn take(&mut self, told: Told) {
        let Told { resource, object, gone } = told;
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let version = text("resourceVersion").parse().expect("one etcd counts writes");
        let place = (resource, text("name"));
        let after = (!gone).then(|| Body::from(object));
        let before = match after.clone() {
            Some(body) => self.objects.insert(place, body),
            None => self.objects.remove(&place),
        };
        self.log.push((version, Seen { at: Timestamp::now(), resource: resource.to_owned(), before, after }));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
        let delete = Request::new("/api/v1/namespaces").delete(&self.name, &DeleteParams::default());
        let _gone = self.send(delete);
    }
}

/// Tells every write from a version on. It ends with the one who listens.
async fn watch(client: Client, resource: &'static str, url: String, mut version: String, tell: Sender<Told>) {
    loop {
        let request = Request::new(&url).watch(&WatchParams::default(), &version).expect("a request");
        if let Ok(events) = client.request_events::<Value>(request).await {
            let mut events = pin!(events);
            while let Ok(Some(event)) = events.try_next().await {
                let (object, gone) = match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                    WatchEvent::Deleted(object) => (object, true),
                    WatchEvent::Bookmark(mark) => {
                        version = mark.metadata.resource_version;
                        continue;
                    }
                    WatchEvent::Error(status) => panic!("{url}: {}", status.message),
                };
                version = object["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
                if tell.send(Told { resource, object, gone }).is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

impl Cluster for Namespace {
    fn namespace(&self) -> &str {
        &self.name
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn step(&mut self, until: Timestamp) -> bool {
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        let told = self.told.recv_timeout(left);
        let is_some = told.is_ok();
        told.into_iter().for_each(|told| self.take(told));
        is_some
    }

    fn take_seen(&mut self) -> Vec<Seen> {
        let from = std::mem::replace(&mut self.taken, self.log.len());
        self.log[from..].iter().map(|(_, seen)| seen.clone()).collect()
    }

    fn cloneset(&self, name: &str) -> Body {
        self.objects.get(&(CLONESETS, name.to_owned())).cloned().unwrap_or_else(|| Value::Null.into())
    }

    fn pods(&self) -> Vec<Pod> {
        let pods = self.objects.iter().filter(|((resource, _), _)| *resource == PODS);
        pods.map(|(_, body)| Pod { body: body.clone() }).collect()
    }

    fn create(&mut self, body: Value) -> Result<(), Refused> {
        let create = self.requests(CLONESETS).create(&PostParams::default(), bytes(&body));
        self.send(create).map(drop)
    }

    fn write(&mut self, name: &str, change: &dyn Fn(&mut Value)) -> Result<(), Refused> {
        self.change(CLONESETS, name, |requests, mut body| {
            change(&mut body);
            let replace = requests.replace(name, &PostParams::default(), bytes(&body));
            self.send(replace).map(drop)
        })
    }

    fn scale(&mut self, name: &str, replicas: i64) {
        self.scale_as("unknown", name, replicas);
    }

    fn delete(&mut self, name: &str, how: Propagation) {
        let policy = match how {
            Propagation::Background => PropagationPolicy::Background,
            Propagation::Foreground => PropagationPolicy::Foreground,
            Propagation::Orphan => PropagationPolicy::Orphan,
        };
        let how = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
        let delete = self.requests(CLONESETS).delete(name, &how);
        self.send(delete).expect("it may be deleted");
    }

    fn change_pod(&mut self, name: &str, change: &dyn Fn(&mut Pod)) {
        let mut answer = Value::Null;
        let result = self.change(PODS, name, |requests, live| {
            let mut pod = Pod { body: live.clone().into() };
            change(&mut pod);
            let mut body = pod.body.into_value();
            let status = body["status"].take();
            if body["metadata"] != live["metadata"] {
                body["status"] = live["status"].clone();
                let replace = requests.replace(name, &PostParams::default(), bytes(&body));
                body = self.send(replace)?;
                answer = body.clone();
            }
            if status != live["status"] {
                body["status"] = status;
                let replace =
                    requests.replace_subresource("status", name, &PostParams::default(), bytes(&body));
                answer = self.send(replace)?;
            }
            Ok(())
        });
        result.unwrap_or_else(|refused| panic!("pod {name}: {refused}"));
        self.await_told(PODS, &answer);
    }

    fn delete_pod(&mut self, name: &str) {
        let delete = self.requests(PODS).delete(name, &DeleteParams::default());
        let answer = self.send(delete).unwrap_or_else(|refused| panic!("pod {name}: {refused}"));
        self.await_told(PODS, &answer);
    }

    fn break_pod(&mut self, name: &str) {
        let now = self.now();
        self.change_pod(name, &|pod| pod.set_condition("ContainersReady", false, now));
    }

    fn kill_manager(&mut self, ignored: bool) {
        self.plane.stop(MANAGER);
        for kind in ["mutating", "validating"].into_iter().filter(|_| ignored) {
            let url = format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations");
            let (requests, name) = (Request::new(url), format!("kruise-{kind}-webhook-configuration"));
            let get = requests.get(&name, &GetParams::default());
            let mut body = self.send(get).expect("it is there");
            for hook in body["webhooks"].as_array_mut().expect("webhooks") {
                hook["failurePolicy"] = json!("Ignore");
            }
            let replace = requests.replace(&name, &PostParams::default(), bytes(&body));
            self.send(replace).expect("it is changed");
        }
    }

    fn start_manager(&mut self) {
        self.plane.start(MANAGER);
    }
}
