//! Webhooks that change what the daemon writes: no drift where there is none, no fight, no second rollout.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::between::Between;
use crate::cluster::hook::{Deed, Hook};
use crate::cluster::plane::Plane;
use crate::cluster::process::until;
use crate::cluster::scene::{Scene, TWO_STEPS};

fn says(text: &str) -> impl Fn(&Value) -> Option<()> {
    move |line| line.to_string().contains(text).then_some(())
}

fn generation(scene: &Scene) -> i64 {
    scene.cloneset().expect("a CloneSet")["metadata"]["generation"].as_i64().expect("a number")
}

/// A daemon that has read Git, and had a lap with it.
fn again(scene: &Scene) {
    let mut daemon = scene.daemon();
    daemon.until(says("HEAD was read"));
    scene.repo.put("triton.yaml", "apiVersion: triton.io/v1\nkind: Repository\n");
    daemon.until(says("HEAD was read"));
    daemon.kill();
}

fn adds_a_sidecar(object: &Value) -> Vec<Value> {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
    if containers.iter().any(|it| it["name"] == "proxy") {
        return Vec::new();
    }
    let proxy = json!({"name": "proxy", "image": "example/proxy:1"});
    vec![json!({"op": "add", "path": "/spec/template/spec/containers/-", "value": proxy})]
}

fn gives_more_memory(_: &Value) -> Vec<Value> {
    vec![
        json!({"op": "replace", "path": "/spec/template/spec/containers/0/resources/requests/memory", "value": "2Gi"}),
    ]
}

fn lets_all_go(_: &Value) -> Vec<Value> {
    vec![json!({"op": "add", "path": "/spec/updateStrategy/partition", "value": 0})]
}

fn keeps_all(_: &Value) -> Vec<Value> {
    vec![json!({"op": "add", "path": "/spec/updateStrategy/partition", "value": "100%"})]
}

fn forgets_the_step(object: &Value) -> Vec<Value> {
    let is_there = object["metadata"]["annotations"].get("triton.io/step").is_some();
    is_there
        .then(|| json!({"op": "remove", "path": "/metadata/annotations/triton.io~1step"}))
        .into_iter()
        .collect()
}

/// What a rollout looks like while a webhook changes each template.
fn rolls_out(namespace: &'static str, patch: fn(&Value) -> Vec<Value>) {
    let scene = Scene::begin(Plane::shared(), namespace, TWO_STEPS);
    let hook = Hook::of(&scene.plane, namespace);
    hook.does(Deed::Patch(patch));
    let mut daemon = scene.daemon();
    daemon.until(says("a mutating webhook changes what is written, which is no drift: spec.template"));
    scene.is_complete("A");
    let before = generation(&scene);
    daemon.kill();
    again(&scene);
    assert_eq!(generation(&scene), before, "nothing was written");
    let mut daemon = scene.daemon();
    scene.push("B");
    scene.holds("needs 1 approval for step 2");
    scene.has_pods(&[("A", 3), ("B", 1)]);
    daemon.kill();
    again(&scene);
    assert_eq!(generation(&scene), before + 1, "the first step alone");
    let _daemon = scene.daemon();
    scene.approve();
    scene.is_complete("B");
    scene.has_pods(&[("B", 4)]);
    assert_eq!(generation(&scene), before + 2, "one write for each step");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_webhook_that_adds_a_sidecar_is_no_drift_and_no_second_rollout() {
    rolls_out("sidecar", adds_a_sidecar);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_webhook_that_gives_more_memory_is_no_drift_and_no_second_rollout() {
    rolls_out("more-memory", gives_more_memory);
}

/// A webhook makes another partition of each one. Then it stops that.
fn is_rewritten(namespace: &'static str, patch: fn(&Value) -> Vec<Value>, named: &str, pods: &[(&str, u32)]) {
    let scene = Scene::begin(Plane::shared(), namespace, TWO_STEPS);
    let (hook, between) = (Hook::of(&scene.plane, namespace), Between::before(&scene.plane));
    let _daemon = scene.daemon_by(&between.kubeconfig());
    scene.is_complete("A");
    let (before, stood) = (between.asked("patch", "clonesets").len(), generation(&scene));
    hook.does(Deed::Patch(patch));
    scene.push("B");
    let message = scene.holds("a mutating webhook changes what is written");
    assert!(message.contains(named), "{message}");
    let asked = until("it is tried again", || {
        Some(between.asked("patch", "clonesets").split_off(before)).filter(|it| it.len() > 3)
    });
    for (pair, wait) in asked.windows(2).zip([1, 2, 4]) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(wait), "ever more slowly: {asked:?}");
    }
    scene.has_pods(pods);
    assert_eq!(
        generation(&scene),
        stood + 1,
        "one write, and from then on it was only asked what would become of it"
    );
    hook.does(Deed::Nothing);
    scene.holds("needs 1 approval for step 2");
    let strategy = scene.cloneset().expect("a CloneSet")["spec"]["updateStrategy"].clone();
    assert_eq!(strategy["partition"], "99%");
    scene.approve();
    scene.is_complete("B");
    scene.has_pods(&[("B", 4)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_webhook_that_lets_every_pod_go_is_named_and_not_fought_with() {
    // What it has let go stays: a partition never takes a pod back.
    is_rewritten("lets-go", lets_all_go, "partition was to be \"99%\", and is 0", &[("B", 4)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_webhook_that_keeps_every_pod_is_named_and_not_fought_with() {
    is_rewritten("keeps-all", keeps_all, "partition was to be \"99%\", and is \"100%\"", &[("A", 4)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_webhook_that_takes_our_memory_away_is_named_and_not_fought_with() {
    let named = "metadata.annotations[triton.io/step] was to be \"1\", and is nothing";
    is_rewritten("forgets", forgets_the_step, named, &[("A", 3), ("B", 1)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_webhook_that_does_not_answer_in_time_or_answers_nonsense_holds_until_it_works() {
    let scene = Scene::begin(Plane::shared(), "hook-fails", TWO_STEPS);
    let hook = Hook::of(&scene.plane, "hook-fails");
    let _daemon = scene.daemon();
    scene.is_complete("A");
    hook.does(Deed::Sleep);
    scene.push("B");
    let message = scene.holds("hook.example.com");
    assert!(message.contains("the API server is not available") && message.contains("deadline"), "{message}");
    scene.has_pods(&[("A", 4)]);
    hook.does(Deed::Nothing);
    scene.holds("needs 1 approval for step 2");
    scene.has_pods(&[("A", 3), ("B", 1)]);
    hook.does(Deed::Fail);
    scene.approve();
    let message = scene.holds("hook.example.com");
    assert!(message.contains("failed calling webhook"), "{message}");
    scene.has_pods(&[("A", 3), ("B", 1)]);
    hook.does(Deed::Nothing);
    scene.is_complete("B");
    scene.has_pods(&[("B", 4)]);
}
