//! Scheduler and kubelets, as one state machine per pod: bound, started, ready, restarted in place, removed.
//!
//! The states are those of the KWOK stages under which the traces were recorded. An image whose tag contains `bad`
//! never gets ready; of `preStop` only the sleep is done. What nodes do besides (resources, probes, images, logs) is left
//! out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::devcluster::clock::second;
use crate::devcluster::ids::Ids;
use crate::devcluster::json::items;
use crate::devcluster::pods::{POD_READY, Pod};

/// Nodes of the cluster; pods are spread over them by their number.
const NODES: u64 = 3;

/// How long things take, and which pods misbehave. Delays are drawn between the value and a quarter more.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// From creation to a node.
    pub bind: Duration,
    /// From a node to running containers.
    pub start: Duration,
    /// From open gates and running containers to Ready.
    pub ready: Duration,
    /// From a new image to its running container.
    pub restart: Duration,
    /// From a delete to the pod's end.
    pub end: Duration,
    /// Added to `ready` where an image contains the text.
    pub slow_images: BTreeMap<String, Duration>,
    /// Pods (by name) whose containers are not ready, however good their image is.
    pub unready: BTreeSet<String>,
    /// Tags of images whose containers are not ready, in whichever pod they run, and names of ConfigMaps that leave no
    /// container ready which takes its environment from them.
    pub crashing: BTreeSet<String>,
    /// From the moment when the controller is told of a change to its pass: shortest and longest.
    pub lag: (Duration, Duration),
    /// What one write of the controller takes.
    pub write: Duration,
    /// From the controller's last change to pods to its status.
    pub status_lag: Duration,
}

impl Default for Knobs {
    fn default() -> Knobs {
        let millis = Duration::from_millis;
        Knobs {
            bind: millis(50),
            start: millis(200),
            ready: millis(200),
            restart: millis(300),
            end: millis(300),
            slow_images: BTreeMap::new(),
            unready: BTreeSet::new(),
            crashing: BTreeSet::new(),
            lag: (millis(20), millis(100)),
            write: millis(4),
            status_lag: Duration::ZERO,
        }
    }
}

/// The next thing that happens to a pod by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Kruise's pod readiness controller opens its gate for the first time.
    OpenGate,
    /// The scheduler finds a node.
    Bind,
    /// Containers start.
    Start,
    /// Containers start again, with another image or another health.
    Restart,
    /// The pod becomes ready.
    Ready,
    /// The pod is no longer ready.
    NotReady,
    /// The containers have ended and the pod goes.
    Remove,
}

/// What happens next to a pod, or `None` while it rests.
#[must_use]
pub fn next(pod: &Pod, knobs: &Knobs) -> Option<Step> {
    if pod.is_terminating() {
        let held = items(&pod.body, "/metadata/finalizers").next().is_some();
        return (!held).then_some(Step::Remove);
    }
    if pod.gates().any(|gate| gate == POD_READY) && pod.condition(POD_READY).is_none() {
        return Some(Step::OpenGate);
    }
    match pod.phase() {
        "Pending" | "" if pod.node().is_empty() => return Some(Step::Bind),
        "Pending" | "" => return Some(Step::Start),
        "Running" => {}
        _ended => return None,
    }
    let stale = items(&pod.body, "/spec/containers").any(|container| is_changed(pod, container));
    let healthy = is_healthy(pod, knobs);
    if stale || pod.is_true("ContainersReady") != healthy {
        return Some(Step::Restart);
    }
    let ready = healthy && pod.gates().all(|gate| pod.is_true(gate));
    match (pod.is_true("Ready"), ready) {
        (false, true) => Some(Step::Ready),
        (true, false) => Some(Step::NotReady),
        (true, true) | (false, false) => None,
    }
}

fn images(pod: &Pod) -> impl Iterator<Item = &str> {
    items(&pod.body, "/spec/containers").filter_map(|container| container["image"].as_str())
}

/// The ConfigMaps that containers take their environment from.
fn configs(pod: &Pod) -> impl Iterator<Item = &str> {
    let sources = items(&pod.body, "/spec/containers").flat_map(|container| items(container, "/envFrom"));
    sources.filter_map(|source| source["configMapRef"]["name"].as_str())
}

fn is_bad(image: &str) -> bool {
    let named = image.split('@').next().unwrap_or_default();
    named.rsplit_once(':').is_some_and(|(_name, tag)| !tag.contains('/') && tag.contains("bad"))
}

fn is_healthy(pod: &Pod, knobs: &Knobs) -> bool {
    let crashes = |image: &str| image.rsplit(':').next().is_some_and(|tag| knobs.crashing.contains(tag));
    let misread = configs(pod).any(|name| knobs.crashing.contains(name));
    !images(pod).any(|image| is_bad(image) || crashes(image))
        && !misread
        && !knobs.unready.contains(pod.name())
}

/// How long the step takes.
#[must_use]
pub fn delay(step: Step, pod: &Pod, knobs: &Knobs, ids: &mut Ids) -> Duration {
    let slow = || {
        let slow = knobs.slow_images.iter().filter(|(part, _)| images(pod).any(|one| one.contains(*part)));
        slow.map(|(_, delay)| *delay).max().unwrap_or_default()
    };
    let least = match step {
        Step::OpenGate => Duration::from_millis(10),
        Step::Bind => knobs.bind,
        Step::Start => knobs.start,
        Step::Restart => knobs.restart,
        Step::Ready => knobs.ready + slow(),
        Step::NotReady => Duration::from_millis(20),
        Step::Remove => knobs.end,
    };
    let drawn = least + Duration::from_millis(ids.number() % (least.as_millis() as u64 / 4 + 1));
    let asleep = match step {
        Step::Remove if pod.phase() == "Running" => {
            asleep(pod, |_| true, "/metadata/deletionGracePeriodSeconds")
        }
        Step::Restart => asleep(pod, |it| is_changed(pod, it), "/spec/terminationGracePeriodSeconds"),
        Step::Remove | Step::OpenGate | Step::Bind | Step::Start | Step::Ready | Step::NotReady => 0,
    };
    drawn + Duration::from_secs(asleep)
}

/// For how many seconds containers that are to end go on running because one of them sleeps in its `preStop`; no longer
/// than the pod is given to end. It is so for a pod that is deleted and for a container that is ended because its image has
/// changed (Kubernetes, `kuberuntime_container.go:killContainer`).
fn asleep(pod: &Pod, ends: impl Fn(&Value) -> bool, given: &str) -> u64 {
    let sleeps = |container: &Value| container.pointer("/lifecycle/preStop/sleep/seconds")?.as_u64();
    let ending = items(&pod.body, "/spec/containers").filter(|container| ends(container));
    let longest = ending.filter_map(sleeps).max().unwrap_or(0);
    longest.min(pod.body.pointer(given).and_then(Value::as_u64).unwrap_or(0))
}

/// Whether a container is to run with another image than the one that it runs with.
fn is_changed(pod: &Pod, container: &Value) -> bool {
    let runs = items(&pod.body, "/status/containerStatuses").find(|one| one["name"] == container["name"]);
    runs.is_none_or(|runs| runs["image"] != container["image"])
}

/// Does the step to the pod: to its status, and for `Bind` to its spec as well. `Remove` is the caller's.
pub fn perform(step: Step, pod: &mut Pod, knobs: &Knobs, ids: &mut Ids, now: Timestamp) {
    match step {
        Step::OpenGate => pod.set_condition(POD_READY, true, now),
        Step::Bind => {
            pod.body["spec"]["nodeName"] = json!(format!("node-{}", ids.number() % NODES));
            pod.set_condition("PodScheduled", true, now);
        }
        Step::Start => {
            pod.body["status"]["phase"] = json!("Running");
            pod.body["status"]["startTime"] = json!(second(now));
            let address = ids.number();
            let ip = format!("10.{}.{}.{}", address >> 8 & 0x7f, address >> 16 & 0xff, address >> 24 & 0xff);
            pod.body["status"]["podIP"] = json!(ip);
            pod.set_condition("Initialized", true, now);
            run_containers(pod, knobs, now);
            pod.set_condition("Ready", false, now);
        }
        Step::Restart => run_containers(pod, knobs, now),
        Step::Ready => pod.set_condition("Ready", true, now),
        Step::NotReady => pod.set_condition("Ready", false, now),
        Step::Remove => {}
    }
}

/// Gives each container a status with its image; one whose image changed has restarted once more.
fn run_containers(pod: &mut Pod, knobs: &Knobs, now: Timestamp) {
    let healthy = is_healthy(pod, knobs);
    let statuses: Vec<Value> = items(&pod.body, "/spec/containers")
        .map(|container| {
            let was =
                items(&pod.body, "/status/containerStatuses").find(|one| one["name"] == container["name"]);
            let restarts = was.map_or(0, |was| {
                was["restartCount"].as_i64().unwrap_or(0) + i64::from(was["image"] != container["image"])
            });
            let image = container["image"].as_str().unwrap_or_default();
            json!({"name": container["name"], "image": image, "imageID": format!("kwok://{image}"),
                "ready": healthy, "started": true, "restartCount": restarts,
                "state": {"running": {"startedAt": second(now)}}})
        })
        .collect();
    pod.body["status"]["containerStatuses"] = Value::Array(statuses);
    pod.set_condition("ContainersReady", healthy, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(image: &str, knobs: &Knobs) -> (Vec<Step>, Pod) {
        let mut pod = Pod {
            body: json!({"metadata": {"name": "web-x"}, "spec": {
                "containers": [{"name": "c", "image": image}],
                "readinessGates": [{"conditionType": "KruisePodReady"}]}})
            .into(),
        };
        let (mut ids, now) = (Ids::seeded(1), Timestamp::from_second(1_000).unwrap());
        let mut steps = Vec::new();
        while let Some(step) = next(&pod, knobs) {
            perform(step, &mut pod, knobs, &mut ids, now);
            steps.push(step);
        }
        (steps, pod)
    }

    #[test]
    fn a_pod_is_bound_started_and_ready_and_restarts_for_a_new_image() {
        let knobs = Knobs::default();
        let (steps, mut pod) = walk("r/app:A", &knobs);
        assert_eq!(steps, [Step::OpenGate, Step::Bind, Step::Start, Step::Ready]);
        pod.body["spec"]["containers"][0]["image"] = json!("r/app:B");
        assert_eq!(next(&pod, &knobs), Some(Step::Restart));
    }

    #[test]
    fn a_deleted_pod_runs_on_while_a_container_sleeps_and_no_longer_than_it_is_given() {
        let knobs = Knobs { end: Duration::ZERO, ..Knobs::default() };
        let (_, mut pod) = walk("r/app:A", &knobs);
        pod.body["spec"]["containers"][0]["lifecycle"]["preStop"] = json!({"sleep": {"seconds": 20}});
        let mut end = |given: u64| {
            pod.body["metadata"]["deletionTimestamp"] = json!("2026-03-01T08:00:00Z");
            pod.body["metadata"]["deletionGracePeriodSeconds"] = json!(given);
            assert_eq!(next(&pod, &knobs), Some(Step::Remove));
            delay(Step::Remove, &pod, &knobs, &mut Ids::seeded(1)).as_secs()
        };
        assert_eq!((end(50), end(5), end(0)), (20, 5, 0));
    }

    #[test]
    fn a_container_sleeps_before_it_restarts_with_another_image_and_not_because_a_probe_says_no() {
        let knobs = Knobs { restart: Duration::ZERO, ..Knobs::default() };
        let (_, mut pod) = walk("r/app:A", &knobs);
        pod.body["spec"]["containers"][0]["lifecycle"]["preStop"] = json!({"sleep": {"seconds": 20}});
        let mut restart = |image: &str, given: u64| {
            pod.body["spec"]["containers"][0]["image"] = json!(image);
            pod.body["spec"]["terminationGracePeriodSeconds"] = json!(given);
            delay(Step::Restart, &pod, &knobs, &mut Ids::seeded(1)).as_secs()
        };
        assert_eq!((restart("r/app:B", 50), restart("r/app:B", 5), restart("r/app:A", 50)), (20, 5, 0));
    }

    #[test]
    fn a_bad_image_and_a_pod_held_unready_never_get_ready() {
        assert_eq!(walk("r/app:bad-1", &Knobs::default()).0.last(), Some(&Step::Start));
        assert_eq!(
            walk("r/bad/app:A", &Knobs::default()).0.last(),
            Some(&Step::Ready),
            "only the tag counts"
        );
        let held = Knobs { unready: BTreeSet::from(["web-x".to_owned()]), ..Knobs::default() };
        assert_eq!(walk("r/app:A", &held).0.last(), Some(&Step::Start));
    }
}
