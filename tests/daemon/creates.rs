//! Creates: announced on the lease, many at once, and never taken for what somebody has copied.

use serde_json::{Value, json};
use triton::objects::keys;

use crate::daemon::stage::Stage;
use crate::daemon::{GATED, STEPS, proven};

const CLONESETS: &str = "clonesets.apps.kruise.io";

/// The announcements on the lease.
fn announced(stage: &Stage) -> Vec<String> {
    let lease = stage.lease();
    let text = lease["metadata"]["annotations"][keys::CREATES].as_str().unwrap_or_default();
    text.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

/// The CloneSet as it was before its memory had a UID.
fn unnamed(stage: &Stage, create: &str) -> Value {
    let mut object = stage.cloneset("checkout");
    let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
    assert!(annotations.remove(keys::UID).is_some(), "its memory has a UID: {annotations:?}");
    annotations.remove(keys::STEP_REACHED);
    annotations.insert(keys::CREATE.to_owned(), create.into());
    object
}

#[tokio::test(start_paused = true)]
async fn many_creates_are_announced_by_one_write_before_the_first_of_them() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    let text = std::fs::read_to_string(stage.repo.path().join("releases/shop/checkout.yaml")).unwrap();
    for number in 0..20 {
        let name = format!("other-{number}");
        stage.repo.write(&format!("releases/shop/{name}.yaml"), &text.replace("checkout", &name));
    }
    stage.repo.commit("Twenty more");
    stage.cluster.knobs().clear_writes();
    stage.start();
    stage
        .until("all are made", |it| (0..20).all(|number| !it.cloneset(&format!("other-{number}")).is_null()))
        .await;
    let announcements = announced(&stage);
    assert_eq!(announcements.len(), 1, "{announcements:?}");
    let writes = stage.cluster.knobs().writes();
    let paths: Vec<&str> = writes.iter().map(|it| it.path.as_str()).collect();
    let first = |what: &str| paths.iter().position(|it| it.contains(what));
    let last_create = paths.iter().rposition(|it| it.contains("/clonesets/")).unwrap();
    assert!(first("/leases/") < first("/clonesets/"), "{paths:#?}");
    let before = &paths[..last_create.min(paths.len())];
    let creates = before.iter().filter(|it| it.contains("/clonesets/")).count();
    assert!(creates >= 20, "{creates} before the last one: {paths:#?}");
    stage.wait(60).await;
    assert_eq!(announced(&stage), [""; 0], "each has its UID");
}

#[tokio::test(start_paused = true)]
async fn what_was_made_just_before_a_crash_is_known_again_without_record_and_uid() {
    let mut stage = proven(STEPS).await;
    let create = announced(&stage).pop().expect("it stands for some time");
    stage.kill().await;
    let object = unnamed(&stage, &create);
    stage.cluster.store().update(CLONESETS, "triton", object).unwrap();
    stage.delete("releases.triton.io", "checkout");
    stage.start();
    stage.until("it goes on", |it| it.phase() == "Healthy").await;
    let memory = stage.cloneset("checkout")["metadata"].clone();
    assert_eq!(memory["annotations"][keys::UID], memory["uid"]);
    stage.wait(60).await;
    assert_eq!(announced(&stage), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_exported_before_it_had_a_uid_is_not_ours() {
    let stage = proven(GATED).await;
    let create = announced(&stage).pop().expect("it stands for some time");
    let mut copy = unnamed(&stage, &create);
    stage.wait(60).await;
    assert_eq!(announced(&stage), [""; 0], "nothing needs it any more");
    stage.delete(CLONESETS, "checkout");
    let metadata = copy["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| ["name", "namespace", "labels", "annotations"].contains(&key.as_str()));
    copy["status"] = json!(null);
    stage.cluster.store().create(CLONESETS, "kubectl", copy).unwrap();
    stage.until("it holds", |it| it.waits_for() == "ownership").await;
    stage.wait(30).await;
    let annotations = stage.cloneset("checkout")["metadata"]["annotations"].clone();
    assert!(annotations[keys::UID].is_null(), "nothing was written: {annotations:#}");
}

#[tokio::test(start_paused = true)]
async fn what_another_root_tells_of_is_not_made_beside_it() {
    let mut stage = Stage::set();
    let record = json!({
        "apiVersion": "triton.io/v1",
        "kind": "Release",
        "metadata": {"namespace": "shop", "name": "checkout", "annotations": {(keys::ROOT): "ffff0000"}},
        "spec": {},
    });
    stage.cluster.store().create("releases.triton.io", "triton", record).unwrap();
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.wait(30).await;
    assert!(stage.cloneset("checkout").is_null());
    stage.delete("releases.triton.io", "checkout");
    stage.until("it is made", |it| it.phase() == "Healthy").await;
}
