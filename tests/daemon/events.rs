//! Events: one for each transition, and none beside.

use serde_json::Value;

use crate::daemon::stage::Stage;
use crate::daemon::{GATED, STEPS, proven};

/// Our Events, by their time: the reason and the note of each.
fn events(stage: &Stage) -> Vec<(String, String)> {
    let all = stage.cluster.store().list("events.events.k8s.io", Some("shop"));
    let mut ours: Vec<Value> = all.iter().map(|it| Value::clone(it)).collect();
    ours.retain(|it| it["reportingController"] == "triton.io");
    ours.sort_by_key(|it| it["eventTime"].to_string());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ours.iter().map(|it| (text(&it["reason"]), text(&it["note"]))).collect()
}

fn reasons(stage: &Stage) -> Vec<String> {
    events(stage).into_iter().map(|(reason, _)| reason).collect()
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_waits_is_told_once_however_long_it_waits_and_whoever_restarts() {
    let mut stage = proven(GATED).await;
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    stage.wait(5).await;
    let told = reasons(&stage);
    assert_eq!(told, ["Create", "Note", "Complete", "Enter", "Note", "Paused"]);
    let (_, waits) = events(&stage).pop().unwrap();
    assert_eq!(waits, stage.record("checkout")["status"]["holds"][0]["message"].as_str().unwrap());
    for number in 0..5 {
        stage.repo.put("NOTES", &format!("{number}"));
        stage.wait(30).await;
    }
    stage.kill().await;
    stage.start();
    stage.wait(120).await;
    assert_eq!(reasons(&stage), told);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_rests_is_told_nothing_of() {
    let mut stage = proven(STEPS).await;
    stage.wait(5).await;
    let told = reasons(&stage);
    assert_eq!(told, ["Create", "Note", "Complete"]);
    stage.wait(600).await;
    stage.stop().await;
    stage.start();
    stage.wait(600).await;
    assert_eq!(reasons(&stage), told);
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_cannot_be_followed_is_no_event_of_each_release() {
    let stage = proven(STEPS).await;
    stage.wait(5).await;
    let told = reasons(&stage);
    stage.hide_repository();
    stage.until("it holds", |it| it.waits_for() == "git" && it.phase() == "Degraded").await;
    stage.wait(60).await;
    assert_eq!(reasons(&stage), told);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_refused_is_told_once() {
    let stage = proven(STEPS).await;
    stage.edit_release(|text| text.replace("replicas: 1,", "replicas: none,"));
    stage.until("it is broken", |it| it.phase() == "Degraded").await;
    stage.wait(300).await;
    assert_eq!(reasons(&stage), ["Create", "Note", "Complete", "Degraded"]);
}
