//! What the daemon leaves for people: on its lease, in its state folder, and no record of what never was.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::daemon::stage::Stage;
use crate::daemon::{GATED, STEPS};
use crate::repo::Repo;

const FILE: &str = "releases/shop/checkout.yaml";

/// A release that is announced in its record, and held before it is made.
async fn announced() -> Stage {
    let mut stage = Stage::set();
    stage.repo.put("freeze.yaml", "reason: stock taking\n");
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("it waits", |it| it.waits_for() == "freeze").await;
    assert!(stage.cloneset("checkout").is_null());
    stage
}

fn remove(stage: &Stage) {
    stage.repo.remove(FILE);
    stage.repo.commit("Never mind");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_was_announced_and_never_made_leaves_no_record_behind() {
    let stage = announced().await;
    remove(&stage);
    stage.until("its record is gone", |it| it.record("checkout").is_null()).await;
    stage.wait(30).await;
    assert!(stage.record("checkout").is_null());
}

#[tokio::test(start_paused = true)]
async fn such_a_record_goes_also_where_the_daemon_was_away_meanwhile() {
    let mut stage = announced().await;
    stage.stop().await;
    remove(&stage);
    stage.start();
    stage.until("its record is gone", |it| it.record("checkout").is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn such_a_record_stays_while_a_file_cannot_be_read_that_may_have_the_release() {
    let stage = announced().await;
    stage.repo.write("releases/shop/other.yaml", "kind: [\n");
    remove(&stage);
    stage.wait(60).await;
    assert!(!stage.record("checkout").is_null());
    stage.repo.remove("releases/shop/other.yaml");
    stage.repo.commit("Mend it");
    stage.until("its record is gone", |it| it.record("checkout").is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_somebody_made_by_hand_is_taken_over() {
    let mut stage = Stage::set();
    let record = json!({
        "apiVersion": "triton.io/v1",
        "kind": "Release",
        "metadata": {"namespace": "shop", "name": "checkout"},
        "spec": {"strategy": "careful"},
    });
    stage.cluster.store().create("releases.triton.io", "kubectl-client-side-apply", record).unwrap();
    stage.start();
    stage.wait(10).await;
    assert!(stage.record("checkout")["status"].is_null(), "no release of Git's, and nobody's");
    stage.release("1.0.0", STEPS);
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    let mut stripped = stage.record("checkout");
    stripped["metadata"]["annotations"].as_object_mut().unwrap().remove("triton.io/root").unwrap();
    stage.cluster.store().update("releases.triton.io", "kubectl-edit", stripped).unwrap();
    let root = |it: &Stage| it.record("checkout")["metadata"]["annotations"]["triton.io/root"].clone();
    assert!(root(&stage).is_null());
    stage.until("it is ours again", |it| root(it) == "0123abcd").await;
}

fn annotation(stage: &Stage, name: &str) -> Value {
    stage.lease()["metadata"]["annotations"][name].clone()
}

#[tokio::test(start_paused = true)]
async fn the_lease_names_a_head_as_told_only_when_the_records_tell_of_it() {
    let mut stage = Stage::set();
    stage.release("1.0.0", GATED);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    let head = stage.release("1.1.0", GATED).to_string();
    let is_told = |it: &Stage| annotation(it, "triton.io/told-head") == head.as_str();
    assert!(!is_told(&stage));
    stage
        .until("the head is told", |it| {
            assert!(!is_told(it) || it.at().starts_with("1.0.0 → 1.1.0"), "{}", it.at());
            is_told(it)
        })
        .await;
    // What changes no release is told as well.
    let next = stage.repo.put("README.md", "Ours\n").to_string();
    stage.until("the next is told", |it| annotation(it, "triton.io/told-head") == next.as_str()).await;
    assert_eq!(annotation(&stage, "triton.io/interval"), "5");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_written_keeps_no_other_from_being_told() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    let text = std::fs::read_to_string(stage.repo.file(FILE)).unwrap();
    let head = stage.repo.put("releases/away.yaml", &text.replace("namespace: shop", "namespace: away"));
    stage.start();
    let head = head.to_string();
    stage.until("the head is told", |it| annotation(it, "triton.io/told-head") == head.as_str()).await;
}

#[tokio::test(start_paused = true)]
async fn a_daemon_of_another_repository_at_the_same_root_is_told_whose_head_is_on_the_lease() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    let theirs = stage.repo.path().display().to_string();
    assert_eq!(annotation(&stage, "triton.io/repository"), theirs.as_str());
    stage.stop().await;
    let mut other = stage.beside();
    other.repo = Arc::new(Repo::new());
    other.release("2.0.0", STEPS);
    other.start();
    other.until("it holds", |it| it.waits_for() == "git").await;
    let hold = &other.record("checkout")["status"]["holds"][0]["message"];
    let message = hold.as_str().unwrap();
    assert!(message.contains(&format!("another repository, {theirs}")), "{message}");
    assert!(message.contains("--path"), "{message}");
    assert_eq!(other.pods(), [("example/checkout:1.0.0".to_owned(), 4)].into());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_observes_keeps_the_time_of_its_last_poll() {
    let mut stage = Stage::set();
    stage.observe = true;
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.wait(10).await;
    let first = stage.polled_at();
    stage.wait(10).await;
    assert_eq!(stage.polled_at().duration_since(first).as_secs(), 10);
}
