//! One daemon writes: the next one waits for its lease, and gets it when the first one ends.

use std::time::Duration;

use crate::daemon::stage::Stage;
use crate::daemon::{STEPS, proven};

fn holder(stage: &Stage) -> String {
    stage.lease()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_second_daemon_waits_until_the_first_is_gone() {
    let mut stage = proven(STEPS).await;
    let mut second = stage.beside();
    second.start();
    stage.wait(60).await;
    assert_eq!(holder(&stage), "daemon-1");
    stage.kill().await;
    stage.wait(20).await;
    assert_eq!(holder(&stage), "other-1");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_loses_its_lease_ends() {
    let mut stage = proven(STEPS).await;
    let mut taken = stage.lease();
    taken["spec"]["holderIdentity"] = "somebody".into();
    stage.cluster.store().update("leases.coordination.k8s.io", "thief", taken).unwrap();
    stage.wait(5).await;
    let error = stage.ended().await.unwrap_err();
    assert_eq!(error.to_string(), "the lease is lost: somebody holds it");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_ended_while_it_renews_its_lease_gives_it_back() {
    let mut stage = proven(STEPS).await;
    stage.cluster.knobs().set(|faults| faults.delay = Duration::from_secs(3));
    stage.requests.lock().unwrap().clear();
    let renews = |stage: &Stage| stage.requests.lock().unwrap().iter().any(|it| it.contains("/leases/"));
    stage.until("a renewal is under way", renews).await;
    tokio::time::timeout(Duration::from_secs(60), stage.stop()).await.expect("it ends");
    assert_eq!(holder(&stage), "", "nobody holds it");
}
