//! The daemon's own loop, with a real repository and the embedded cluster, under paused time.

mod stage;

use stage::Stage;

const STEPS: &str = "[{replicas: 1, soak: 5s}, {replicas: 50%}, {replicas: 100%}]";
const GATED: &str = "[{replicas: 1}, {replicas: 50%, approval: {}}, {replicas: 100%}]";

#[tokio::test(start_paused = true)]
async fn a_first_release_is_made_and_a_push_walks_it_through_its_steps() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    assert_eq!(stage.pods(), [("example/checkout:1.0.0".to_owned(), 4)].into());
    stage.release("1.1.0", STEPS);
    stage.until("step 1", |it| it.at() == "1.0.0 → 1.1.0 1/3").await;
    stage.until("step 2", |it| it.at() == "1.0.0 → 1.1.0 2/3").await;
    assert_eq!(stage.pods()["example/checkout:1.1.0"], 1);
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy").await;
    assert_eq!(stage.pods(), [("example/checkout:1.1.0".to_owned(), 4)].into());
    stage.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_step_that_asks_for_approval_waits_for_as_long_as_nobody_approves() {
    let mut stage = Stage::set();
    stage.release("1.0.0", GATED);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    stage.wait(3_600).await;
    assert_eq!(stage.pods()["example/checkout:1.1.0"], 1);
    let digest = stage.record("checkout")["status"]["digest"].as_str().unwrap().to_owned();
    stage.repo.put(&format!("approvals/shop/checkout/{digest}/2.aaaa.yaml"), "reason: looks good\n");
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy").await;
    assert_eq!(stage.pods(), [("example/checkout:1.1.0".to_owned(), 4)].into());
}

#[tokio::test(start_paused = true)]
async fn a_revert_brings_every_pod_back_without_any_gate() {
    let mut stage = Stage::set();
    stage.release("1.0.0", GATED);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    stage.repo.git(&["revert", "--no-edit", "HEAD"]);
    stage.until("1.0.0 is healthy again", |it| it.at() == "1.0.0 3/3" && it.phase() == "Healthy").await;
    assert_eq!(stage.pods(), [("example/checkout:1.0.0".to_owned(), 4)].into());
}

#[tokio::test(start_paused = true)]
async fn a_bad_version_is_taken_back_by_itself() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.release("bad", STEPS);
    stage.until("it failed", |it| it.waits_for() == "failed").await;
    stage
        .until("every pod is back", |it| it.pods() == [("example/checkout:1.0.0".to_owned(), 4)].into())
        .await;
    assert_eq!(stage.phase(), "Degraded");
}
