//! The daemon's own loop, with a real repository and the embedded cluster, under paused time.

mod audit;
mod chaos;
mod creates;
mod doors;
mod events;
mod health;
mod lease;
mod metrics;
mod quiet;
mod refused;
mod routed;
pub mod stage;

use stage::Stage;

pub const STEPS: &str = "[{replicas: 1, soak: 5s}, {replicas: 50%}, {replicas: 100%}]";
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
    stage.wait(600).await;
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
    let all = [("example/checkout:1.0.0".to_owned(), 4)].into();
    stage.until("every pod is back", |it| it.pods() == all && it.phase() == "Degraded").await;
}

/// A release that is complete, ready for a story.
pub async fn proven(steps: &str) -> Stage {
    let mut stage = Stage::set();
    stage.release("1.0.0", steps);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage
}

#[tokio::test(start_paused = true)]
async fn nothing_changed_means_no_writes_but_the_lease() {
    let stage = proven(STEPS).await;
    stage.wait(60).await;
    stage.cluster.knobs().clear_writes();
    stage.wait(300).await;
    let writes = stage.cluster.knobs().writes();
    let others: Vec<_> = writes.iter().filter(|it| !it.path.contains("/leases/")).collect();
    assert_eq!(others.len(), 0, "{others:#?}");
    assert!((140..160).contains(&writes.len()), "{} renewals", writes.len());
}

#[tokio::test(start_paused = true)]
async fn an_edit_by_hand_is_repaired_and_its_author_named() {
    let stage = proven(GATED).await;
    let mut edited = stage.cloneset("checkout");
    edited["spec"]["template"]["spec"]["containers"][0]["image"] = "example/checkout:evil".into();
    edited["spec"]["minReadySeconds"] = 7.into();
    stage.cluster.store().update("clonesets.apps.kruise.io", "kubectl-edit", edited).unwrap();
    stage.until("it is repaired", |it| it.history("Repair") == 1 && it.phase() == "Healthy").await;
    // Pods that Kruise marked before it saw the repair go all the same, and come back as they were.
    let all = [("example/checkout:1.0.0".to_owned(), 4)].into();
    stage.until("all pods are back", |it| it.pods() == all && it.phase() == "Healthy").await;
    assert_eq!(stage.cloneset("checkout")["spec"]["minReadySeconds"], 7, "what we do not own is left alone");
    let told = stage.record("checkout")["status"]["history"].to_string();
    assert!(told.contains("kubectl-edit"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_killed_daemon_ends_in_the_same_place() {
    let mut stage = proven(STEPS).await;
    stage.release("1.1.0", STEPS);
    for _ in 0..40 {
        tokio::time::sleep(std::time::Duration::from_millis(730)).await;
        stage.kill().await;
        stage.start();
        tokio::time::sleep(std::time::Duration::from_secs(16)).await;
    }
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
    let entered = stage.history("Enter");
    assert_eq!(entered, 3, "{:#}", stage.record("checkout")["status"]["history"]);
}

#[tokio::test(start_paused = true)]
async fn a_release_removed_from_git_is_deleted_with_its_record() {
    let stage = proven(STEPS).await;
    stage.repo.remove("releases/shop/checkout.yaml");
    stage.repo.commit("Remove checkout");
    stage
        .until("it is gone", |it| it.cloneset("checkout").is_null() && it.record("checkout").is_null())
        .await;
    stage.wait(30).await;
    assert!(stage.record("checkout").is_null() && stage.pods().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cloneset_deleted_by_hand_comes_back_proven() {
    let stage = proven(GATED).await;
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    stage.delete("clonesets.apps.kruise.io", "checkout");
    stage.until("it is back", |it| it.pods() == [("example/checkout:1.0.0".to_owned(), 4)].into()).await;
    stage.until("it waits again", |it| it.waits_for() == "approval").await;
    assert_eq!(stage.pods()["example/checkout:1.1.0"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_rewritten_branch_is_not_followed() {
    let stage = proven(STEPS).await;
    stage.release("1.1.0", STEPS);
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
    stage.repo.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    stage.wait(60).await;
    assert_eq!(stage.pods(), [("example/checkout:1.1.0".to_owned(), 4)].into());
    assert_eq!(stage.waits_for(), "git");
    let head = stage.repo.id("HEAD");
    stage.rules.send_modify(|rules| rules.accepted = Some(head));
    stage.until("1.0.0 is back", |it| it.phase() == "Healthy" && it.at() == "1.0.0 3/3").await;
}

#[tokio::test(start_paused = true)]
async fn without_the_records_kind_nothing_new_is_made() {
    let mut stage = Stage::set();
    stage.delete("customresourcedefinitions.apiextensions.k8s.io", "releases.triton.io");
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.wait(30).await;
    assert!(stage.cloneset("checkout").is_null());
    stage.install_records();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_named_with_the_rule_to_add() {
    let mut stage = Stage::set();
    let denial = triton::devcluster::Denial { verb: "patch", plural: "clonesets".into(), namespace: None };
    stage.cluster.knobs().set(|faults| faults.denials.push(denial));
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("it is refused", |it| it.waits_for() == "cluster" && it.phase() == "Degraded").await;
    let hold = &stage.record("checkout")["status"]["holds"][0];
    assert!(hold["message"].as_str().unwrap().contains("add this rule to its role"), "{hold}");
    stage.cluster.knobs().set(|faults| faults.denials.clear());
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_found_out() {
    let stage = proven(STEPS).await;
    let failure = triton::devcluster::Failure {
        verb: "patch",
        plural: "clonesets".into(),
        times: 3,
        with: triton::devcluster::Refusal::internal("the connection was cut"),
        after: true,
    };
    stage.cluster.knobs().set(|faults| faults.failures.push(failure));
    stage.release("1.1.0", STEPS);
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
}

const COMPANIONS: &str = "apiVersion: v1
kind: Service
metadata: {namespace: shop, name: checkout}
spec:
  selector: {app: checkout}
  ports: [{port: 80, name: http}]
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: shop, name: checkout}
data: {color: blue}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {namespace: shop, name: checkout}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: checkout}}
";

/// As [`proven`], with companions in a file of their own.
async fn accompanied() -> Stage {
    let mut stage = Stage::set();
    stage.repo.write("releases/shop/companions.yaml", COMPANIONS);
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage
}

#[tokio::test(start_paused = true)]
async fn companions_are_applied_repaired_and_pruned_with_the_release() {
    let stage = accompanied().await;
    let mut service = stage.object("services", "checkout");
    assert_eq!(service["spec"]["ports"][0]["port"], 80);
    service["spec"]["ports"][0]["name"] = "edited".into();
    service["metadata"]["labels"] = serde_json::json!({});
    stage.cluster.store().update("services", "kubectl-edit", service).unwrap();
    let mut budget = stage.object("poddisruptionbudgets.policy", "checkout");
    budget["spec"]["minAvailable"] = 3.into();
    stage.cluster.store().update("poddisruptionbudgets.policy", "kubectl-edit", budget).unwrap();
    stage
        .until("both are repaired", |it| {
            let service = it.object("services", "checkout");
            service["spec"]["ports"][0]["name"] == "http"
                && service["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "triton"
                && it.object("poddisruptionbudgets.policy", "checkout")["spec"]["minAvailable"] == 1
        })
        .await;
    stage.repo.remove("releases/shop/companions.yaml");
    stage.repo.commit("Without companions");
    stage
        .until("they are pruned", |it| {
            it.object("services", "checkout").is_null() && it.object("configmaps", "checkout").is_null()
        })
        .await;
    assert_eq!(stage.pods(), [("example/checkout:1.0.0".to_owned(), 4)].into());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_not_ours_is_not_touched() {
    let mut stage = Stage::set();
    let foreign = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"color": "red"},
        "metadata": {"namespace": "shop", "name": "checkout"}});
    stage.cluster.store().create("configmaps", "somebody", foreign).unwrap();
    stage.repo.write("releases/shop/companions.yaml", COMPANIONS);
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("it says so", |it| it.waits_for() == "ownership").await;
    assert_eq!(stage.object("configmaps", "checkout")["data"]["color"], "red");
    stage.delete("configmaps", "checkout");
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    assert_eq!(stage.object("configmaps", "checkout")["data"]["color"], "blue");
}

#[tokio::test(start_paused = true)]
async fn a_cloneset_that_exists_is_taken_over_only_when_its_release_says_so() {
    let mut stage = Stage::set();
    let spec = serde_json::json!({"replicas": 4, "selector": {"matchLabels": {"app": "checkout"}}, "template": {
        "metadata": {"labels": {"app": "checkout"}},
        "spec": {"containers": [{"name": "app", "image": "example/checkout:1.0.0"}]}}});
    let live = serde_json::json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "spec": spec,
        "metadata": {"namespace": "shop", "name": "checkout"}});
    stage.cluster.store().create("clonesets.apps.kruise.io", "kubectl-create", live).unwrap();
    stage.wait(10).await;
    let pods = stage.pod_names();
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("it says so", |it| it.waits_for() == "ownership").await;
    stage.edit_release(|text| {
        text.replace(
            "name: checkout}\nspec:\n  strategy",
            "name: checkout, annotations: {triton.io/adopt: \"true\"}}\nspec:\n  strategy",
        )
    });
    stage.until("it is healthy", |it| it.phase() == "Healthy").await;
    stage.wait(30).await;
    assert_eq!(stage.pod_names(), pods, "adopting moves no pod");
    assert_eq!(stage.phase(), "Healthy");
}

#[tokio::test(start_paused = true)]
async fn a_person_takes_a_release_back_in_the_cluster_while_git_is_away() {
    let stage = proven(STEPS).await;
    stage.release("1.1.0", STEPS);
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
    let digest = stage.record("checkout")["status"]["digest"].as_str().unwrap().to_owned();
    stage.hide_repository();
    stage.wait(60).await;
    stage.annotate("triton.io/rollback", &digest[..12]);
    stage
        .until("every pod is back", |it| it.pods() == [("example/checkout:1.0.0".to_owned(), 4)].into())
        .await;
    std::fs::rename(stage.repo.file("hidden"), stage.repo.file(".git")).unwrap();
    let told = "is kept on 1.0.0: 1.1.0 was taken back in the cluster (triton.io/rollback), and Git still says 1.1.0";
    stage
        .until("that is said", |it| it.record("checkout")["status"]["holds"].to_string().contains(told))
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_annotation_suspend_always_wins() {
    let stage = proven(STEPS).await;
    stage.annotate("triton.io/suspend", "an incident");
    stage.release("1.1.0", STEPS);
    stage.until("it holds", |it| it.waits_for() == "suspend").await;
    stage.cluster.knobs().clear_writes();
    stage.wait(120).await;
    let writes = stage.cluster.knobs().writes();
    assert!(!writes.iter().any(|it| it.path.contains("/clonesets/")), "{writes:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_starts_while_git_is_away_still_repairs() {
    let mut stage = proven(STEPS).await;
    stage.stop().await;
    stage.start_without_git();
    stage.wait(20).await;
    let mut edited = stage.cloneset("checkout");
    edited["spec"]["template"]["spec"]["containers"][0]["image"] = "example/checkout:evil".into();
    stage.cluster.store().update("clonesets.apps.kruise.io", "kubectl-edit", edited).unwrap();
    stage.until("it is repaired", |it| it.history("Repair") == 1).await;
    stage
        .until("every pod is back", |it| it.pods() == [("example/checkout:1.0.0".to_owned(), 4)].into())
        .await;
}

#[tokio::test(start_paused = true)]
async fn two_runs_of_one_story_are_equal() {
    let tell = async || {
        let stage = proven(STEPS).await;
        stage.release("1.1.0", STEPS);
        stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
        stage.wait(30).await;
        stage.cluster.knobs().writes()
    };
    let first = tell().await;
    assert_eq!(first, tell().await);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_edited_is_put_right() {
    let stage = proven(STEPS).await;
    let before = stage.record("checkout");
    let mut edited = before.clone();
    edited["spec"]["path"] = "elsewhere.yaml".into();
    stage.cluster.store().update("releases.triton.io", "kubectl-edit", edited).unwrap();
    stage.until("it is put right", |it| it.record("checkout")["spec"] == before["spec"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_that_asks_for_it_is_left_behind() {
    let stage = proven(STEPS).await;
    stage.edit_release(|text| {
        text.replace(
            "name: checkout}\nspec:\n  strategy",
            "name: checkout, annotations: {triton.io/on-delete: orphan}}\nspec:\n  strategy",
        )
    });
    stage.wait(30).await;
    assert_eq!(stage.phase(), "Healthy");
    stage.repo.remove("releases/shop/checkout.yaml");
    stage.repo.commit("Remove checkout");
    stage.until("the record is gone", |it| it.record("checkout").is_null()).await;
    stage.wait(30).await;
    let left = stage.cloneset("checkout");
    assert_eq!(left["metadata"]["labels"]["app.kubernetes.io/managed-by"], serde_json::Value::Null);
    assert_eq!(left["metadata"]["annotations"]["triton.io/step"], serde_json::Value::Null);
    assert_eq!(stage.pods(), [("example/checkout:1.0.0".to_owned(), 4)].into());
    stage.release("1.0.0", STEPS);
    stage.until("it is not taken by accident", |it| it.waits_for() == "ownership").await;
    stage.edit_release(|text| {
        text.replace(
            "name: checkout}\nspec:\n  strategy",
            "name: checkout, annotations: {triton.io/adopt: 'true'}}\nspec:\n  strategy",
        )
    });
    stage.until("it is taken over again", |it| it.phase() == "Healthy").await;
    // Not to be paused is what it is without a word.
    let spec = |object: &serde_json::Value| {
        let mut spec = object["spec"].clone();
        spec["updateStrategy"].as_object_mut().unwrap().retain(|_, value| value.as_bool() != Some(false));
        spec
    };
    assert_eq!(spec(&stage.cloneset("checkout")), spec(&left));
    assert_eq!(stage.pods(), [("example/checkout:1.0.0".to_owned(), 4)].into());
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_no_watch_was_open_is_seen() {
    let stage = proven(STEPS).await;
    let refused = triton::devcluster::Failure {
        verb: "watch",
        plural: "clonesets".into(),
        times: 4,
        with: triton::devcluster::Refusal::internal("not now"),
        after: false,
    };
    stage.cluster.knobs().set(|faults| faults.failures.push(refused));
    stage.cluster.knobs().drop_watches();
    stage.wait(1).await;
    stage.delete("clonesets.apps.kruise.io", "checkout");
    stage.cluster.store().compact();
    stage.until("it is made again", |it| it.history("Create") == 2 && it.phase() == "Healthy").await;
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_keeps_the_size_that_it_gave() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.edit_release(|text| text.replace("  replicas: 4\n", ""));
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.scale(6).await;
    stage.until("six pods", |it| it.pods() == [("example/checkout:1.0.0".to_owned(), 6)].into()).await;
    stage.edit_release(|text| text.replace("checkout:1.0.0", "checkout:1.1.0"));
    stage.until("step 1", |it| it.at() == "1.0.0 → 1.1.0 1/3").await;
    stage.scale(8).await;
    stage.until("1.1.0 is healthy", |it| it.at() == "1.1.0 3/3" && it.phase() == "Healthy").await;
    assert_eq!(stage.pods(), [("example/checkout:1.1.0".to_owned(), 8)].into());
    assert_eq!(stage.history("Repair"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_observes_writes_nothing() {
    let mut stage = Stage::set();
    stage.observe = true;
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.wait(60).await;
    assert_eq!(stage.cluster.knobs().writes(), []);
    let head = stage.repo.id("HEAD").to_string();
    assert_eq!(stage.seen(), head, "what it saw last it knows after a restart");
}

#[tokio::test(start_paused = true)]
async fn a_dead_kruise_manager_is_waited_for_in_peace() {
    let stage = proven(STEPS).await;
    stage.controllers.kill_manager();
    stage.release("1.1.0", STEPS);
    stage.until("step 1 is entered", |it| it.at() == "1.0.0 → 1.1.0 1/3").await;
    stage.wait(5).await;
    stage.cluster.knobs().clear_writes();
    stage.wait(30).await;
    assert_eq!(stage.pods(), [("example/checkout:1.0.0".to_owned(), 4)].into());
    let writes = stage.cluster.knobs().writes();
    assert!(writes.iter().all(|it| it.path.contains("/leases/")), "{writes:#?}");
    stage.controllers.start_manager();
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
}
