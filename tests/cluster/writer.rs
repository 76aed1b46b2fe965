//! One writer: who stands by goes on within seconds, and who has lost the lease writes nothing more.

use serde_json::{Value, json};

use crate::cluster::judge::tag;
use crate::cluster::plane::Plane;
use crate::cluster::scene::{NO_STEPS, Scene, TWO_STEPS};

fn waits(line: &Value) -> Option<()> {
    line.to_string().contains("waiting for the lease").then_some(())
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_second_replica_goes_on_within_seconds_after_the_first_was_killed_or_stopped() {
    let scene = Scene::begin(Plane::shared(), "replicas", NO_STEPS);
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = scene.daemon_of(one.path());
    scene.is_complete("A");
    let mut second = scene.daemon_of(other.path());
    second.until(waits);
    first.kill();
    scene.push("B");
    let killed = scene.runs("B");
    scene.is_complete("B");
    let mut third = scene.daemon_of(one.path());
    third.until(waits);
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0));
    scene.push("C");
    let stopped = scene.runs("C");
    println!("first write of the next one: {killed:?} after a kill, {stopped:?} after a stop");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_daemon_that_stood_still_until_another_one_acts_ends_without_a_write() {
    let scene = Scene::begin(Plane::shared(), "stands-still", NO_STEPS);
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = scene.daemon_of(one.path());
    scene.is_complete("A");
    let mut second = scene.daemon_of(other.path());
    second.until(waits);
    first.signal("STOP");
    scene.push("B");
    scene.runs("B");
    scene.is_complete("B");
    // Something that the first one would repair, if it still thought that it may.
    second.kill();
    let stray = json!({"spec": {"template": {"metadata": {"labels": {"stray": "yes"}}}}});
    let apply = ["patch", "clonesets.apps.kruise.io", "web", "-n", scene.namespace, "--type=merge", "-p"];
    scene.plane.kubectl(&[&apply[..], &[&stray.to_string()]].concat());
    let before = scene.cloneset().unwrap();
    first.signal("CONT");
    assert_eq!(first.wait(), Some(2));
    let after = scene.cloneset().unwrap();
    assert_eq!(before["metadata"]["managedFields"], after["metadata"]["managedFields"]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_daemon_whose_lease_is_taken_away_ends_at_once() {
    let scene = Scene::begin(Plane::shared(), "taken-away", NO_STEPS);
    let state = tempfile::tempdir().unwrap();
    let mut daemon = scene.daemon_of(state.path());
    scene.is_complete("A");
    let leases = scene.plane.kubectl(&["get", "leases", "-n", scene.namespace, "-o", "name"]);
    let took =
        json!({"spec": {"holderIdentity": "somebody-else", "acquireTime": "2026-01-01T00:00:00.000000Z"}});
    scene.plane.kubectl(&[
        "patch",
        leases.trim(),
        "-n",
        scene.namespace,
        "--type=merge",
        "-p",
        &took.to_string(),
    ]);
    scene.push("B");
    assert_eq!(daemon.wait(), Some(2));
    assert_eq!(scene.cloneset().map(|it| tag(&it["spec"]["template"]["spec"])).as_deref(), Some("A"));
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn two_daemons_of_one_root_by_mistake_do_not_fight_and_the_second_names_the_first() {
    let scene = Scene::begin(Plane::shared(), "twins", TWO_STEPS);
    scene.plane.kubectl(&["create", "namespace", "twins-beside"]);
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = scene.daemon_of(one.path());
    scene.is_complete("A");
    let mut second = scene.daemon_in("twins-beside", other.path());
    let named = |line: &Value| {
        line.to_string().contains("another daemon follows the same branch").then(|| line["holder"].clone())
    };
    let holder = second.until(named);
    let lease = |it: &str| -> Value {
        serde_json::from_str(&scene.plane.kubectl(&["get", "leases", "-n", it, "-o", "json"])).unwrap()
    };
    assert_eq!(lease("twins")["items"][0]["spec"]["holderIdentity"], holder);
    // The first one goes on as if it were alone.
    scene.push("B");
    scene.holds("needs 1 approval for step 2");
    scene.approve();
    scene.is_complete("B");
    // Once it has ended, the second one is no mistake any more: so a daemon moves to another namespace.
    first.signal("TERM");
    assert_eq!(first.wait(), Some(0));
    scene.push("C");
    scene.holds("needs 1 approval for step 2");
    let record = scene.plane.get("releases.triton.io", "twins", "web").unwrap();
    assert_eq!(record["metadata"]["annotations"]["triton.io/lease-namespace"], "twins-beside");
}
