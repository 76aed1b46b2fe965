//! What happens to API servers in real life: they stop, hang, come back from a backup, and lack a kind or a controller.

use std::process::Command;

use serde_json::Value;

use crate::cluster::plane::Plane;
use crate::cluster::process::until;
use crate::cluster::scene::{Scene, TWO_STEPS};

fn says<'a>(text: &'a str) -> impl Fn(&Value) -> Option<()> + 'a {
    move |line| line.to_string().contains(text).then_some(())
}

fn sh(command: &str) {
    assert!(Command::new("bash").args(["-ec", command]).status().expect("a shell").success(), "{command}");
}

/// Stops the API server and its store, does something to the store, and starts them again with all their clients.
fn restored(plane: &Plane, backup: &str) {
    let programs = ["kruise-manager", "kube-controller-manager", "kube-scheduler", "kwok"];
    programs.iter().for_each(|it| plane.stop(it));
    plane.stop("kube-apiserver");
    plane.stop("etcd");
    let store = std::fs::read_to_string(plane.dir().join("store")).unwrap();
    sh(&format!("rm -rf {store}/member; cp -r {backup}/member {store}/", store = store.trim()));
    plane.start("etcd");
    plane.start("kube-apiserver");
    until("the API server answers", || plane.is_up().then_some(()));
    programs.iter().for_each(|it| plane.start(it));
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_cluster_that_comes_back_from_an_older_backup_is_looked_at_anew_and_goes_through_its_steps() {
    let scene = Scene::begin(Plane::own(), "backup", TWO_STEPS);
    let mut daemon = scene.daemon();
    scene.is_complete("A");
    let backup = tempfile::tempdir().unwrap();
    scene.plane.stop("etcd");
    let store = std::fs::read_to_string(scene.plane.dir().join("store")).unwrap();
    sh(&format!("cp -r {}/member {}/", store.trim(), backup.path().display()));
    scene.plane.start("etcd");
    until("the API server answers", || scene.plane.is_up().then_some(()));
    scene.push("B");
    scene.holds("needs 1 approval for step 2");
    scene.has_pods(&[("A", 3), ("B", 1)]);
    // The store that comes back knows nothing of B, nor of the step that it is on.
    restored(&scene.plane, &backup.path().display().to_string());
    assert_eq!(daemon.wait(), Some(2), "what it has seen is no more");
    let mut daemon = scene.daemon();
    daemon.until(says("enters step 1 of 2 of B"));
    scene.holds("needs 1 approval for step 2");
    scene.has_pods(&[("A", 3), ("B", 1)]);
    scene.approve();
    scene.has_pods(&[("B", 4)]);
    scene.is_complete("B");
}

/// Kills the API server, or makes it hang, while pods of a step are under way.
fn stopped_for_half_a_minute(namespace: &'static str, stop: fn(&Plane), go_on: fn(&Plane)) {
    let scene = Scene::begin(Plane::own(), namespace, TWO_STEPS);
    let mut daemon = scene.daemon();
    scene.is_complete("A");
    scene.push("B");
    daemon.until(says("enters step 1 of 2 of B"));
    stop(&scene.plane);
    // The lease cannot be renewed, and the daemon ends by itself; the next one waits for the API server.
    assert_eq!(daemon.wait(), Some(2));
    let mut daemon = scene.daemon();
    scene.approve();
    std::thread::sleep(std::time::Duration::from_secs(20));
    go_on(&scene.plane);
    daemon.until(says("enters step 2 of 2 of B"));
    scene.has_pods(&[("B", 4)]);
    scene.is_complete("B");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn an_api_server_that_is_killed_in_the_middle_of_a_step_and_starts_half_a_minute_later_loses_no_step() {
    stopped_for_half_a_minute("killed", |it| it.stop("kube-apiserver"), |it| it.start("kube-apiserver"));
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn an_api_server_that_hangs_in_the_middle_of_a_step_for_half_a_minute_loses_no_step() {
    let hang = |it: &Plane| it.signal("kube-apiserver", "STOP");
    stopped_for_half_a_minute("hangs", hang, |it| it.signal("kube-apiserver", "CONT"));
}
