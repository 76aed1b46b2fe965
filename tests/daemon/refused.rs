//! What the API server refuses, and what another daemon takes away.

use crate::daemon::stage::Stage;
use crate::daemon::{COMPANIONS, GATED, STEPS, proven};

#[tokio::test(start_paused = true)]
async fn a_lease_taken_by_another_daemon_of_the_same_name_is_lost() {
    let mut stage = proven(STEPS).await;
    let mut taken = stage.lease();
    assert_eq!(taken["spec"]["holderIdentity"], "daemon-1");
    taken["spec"]["acquireTime"] = "2026-11-22T11:00:00.000000Z".into();
    stage.cluster.store().update("leases.coordination.k8s.io", "twin", taken).unwrap();
    stage.wait(5).await;
    let error = stage.ended().await.unwrap_err();
    assert_eq!(error.to_string(), "the lease is lost: another daemon of the name daemon-1 holds it");
}

#[tokio::test(start_paused = true)]
async fn a_release_goes_on_while_its_record_cannot_be_written_and_is_told_later() {
    let stage = proven(GATED).await;
    let denial = triton::devcluster::Denial { verb: "patch", plural: "releases".into(), namespace: None };
    stage.cluster.knobs().set(|faults| faults.denials.push(denial));
    stage.release("1.1.0", GATED);
    stage.wait(20).await;
    assert_eq!(stage.pods()["example/checkout:1.1.0"], 1, "the workload goes first");
    stage.delete("clonesets.apps.kruise.io", "checkout");
    stage.until("it is back", |it| it.pods().contains_key("example/checkout:1.0.0")).await;
    stage.cluster.knobs().set(|faults| faults.denials.clear());
    stage.until("it is told", |it| it.waits_for() == "approval" && it.at() == "1.0.0 → 1.1.0 1/3").await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_listed_holds_the_releases_that_have_it_and_no_others() {
    let mut stage = Stage::set();
    let denial = triton::devcluster::Denial { verb: "list", plural: "services".into(), namespace: None };
    stage.cluster.knobs().set(|faults| faults.denials.push(denial));
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.repo.write("releases/shop/companions.yaml", COMPANIONS);
    stage.release("1.1.0", STEPS);
    stage.until("it holds", |it| it.waits_for() == "cluster").await;
    stage.wait(20).await;
    assert_eq!(stage.pods(), [("example/checkout:1.0.0".to_owned(), 4)].into());
    let hold = stage.record("checkout")["status"]["holds"][0]["message"].to_string();
    assert!(hold.contains("resources: [\\\"services\\\"], verbs: [\\\"list\\\"]"), "{hold}");
    stage.cluster.knobs().set(|faults| faults.denials.clear());
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_may_not_be_begun_again_holds_every_release_until_the_right_is_back() {
    for plural in ["clonesets", "releases"] {
        let stage = proven(STEPS).await;
        let denial = triton::devcluster::Denial { verb: "watch", plural: plural.into(), namespace: None };
        stage.cluster.knobs().set(|faults| faults.denials.push(denial));
        stage.cluster.knobs().drop_watches();
        stage.until("it holds", |it| it.waits_for() == "cluster").await;
        let hold = stage.record("checkout")["status"]["holds"][0]["message"].to_string();
        assert!(hold.contains(&format!("{plural}.")) && hold.contains("verbs: [\\\"watch\\\"]"), "{hold}");
        stage.release("1.1.0", STEPS);
        stage.wait(120).await;
        assert_eq!(stage.pods(), [("example/checkout:1.0.0".to_owned(), 4)].into());
        stage.cluster.knobs().set(|faults| faults.denials.clear());
        stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_companion_that_may_not_be_looked_at_holds_with_the_right_that_is_missing() {
    let stage = proven(STEPS).await;
    stage.repo.write("releases/shop/companions.yaml", COMPANIONS);
    stage.release("1.0.0", STEPS);
    stage.until("it has companions", |it| !it.object("services", "checkout").is_null()).await;
    let denial = triton::devcluster::Denial { verb: "get", plural: "services".into(), namespace: None };
    stage.cluster.knobs().set(|faults| faults.denials.push(denial));
    let mut service = stage.object("services", "checkout");
    service["metadata"]["labels"].as_object_mut().unwrap().remove("app.kubernetes.io/managed-by");
    stage.cluster.store().update("services", "somebody", service).unwrap();
    stage.until("it holds", |it| it.waits_for() == "cluster").await;
    let hold = stage.record("checkout")["status"]["holds"][0]["message"].to_string();
    assert!(hold.contains("resources: [\\\"services\\\"], verbs: [\\\"get\\\"]"), "{hold}");
    stage.cluster.knobs().set(|faults| faults.denials.clear());
    stage.until("it is healthy", |it| it.phase() == "Healthy" && it.waits_for().is_empty()).await;
}
