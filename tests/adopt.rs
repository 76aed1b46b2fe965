//! CloneSets that run already: written to files by `triton adopt`, taken over by the daemon as they stand.

use serde_json::{Value, json};
use triton::cli::adopt::{AdoptArgs, run_in};
use triton::cli::clone::PublishArgs;
use triton::cli::output::Printer;
use triton::cli::records::ClusterArgs;
use triton::devcluster::Denial;

use crate::daemon::stage::Stage;

const CLONESETS: &str = "clonesets.apps.kruise.io";
const FILE: &str = "releases/shop/checkout.yaml";

/// A CloneSet of four pods, as `kubectl apply` makes one.
fn manifest() -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
        "metadata": {"namespace": "shop", "name": "checkout"},
        "spec": {
            "replicas": 4, "minReadySeconds": 1, "selector": {"matchLabels": {"app": "checkout"}},
            "template": {"metadata": {"labels": {"app": "checkout"}, "annotations": {"team": "a"}},
                "spec": {"terminationGracePeriodSeconds": 10, "containers": [{"name": "app", "image": "example/checkout:1.0.0",
                    "env": [{"name": "K", "value": "v"}]}]}},
            "updateStrategy": {"type": "InPlaceIfPossible", "maxUnavailable": "50%"},
        },
    })
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "checkout"},
        "spec": {"selector": {"app": "checkout"}, "ports": [{"port": 80}]}})
}

/// A shop that somebody runs with kubectl.
async fn running() -> Stage {
    let stage = Stage::set();
    stage.cluster.store().create(CLONESETS, "kubectl-client-side-apply", manifest()).unwrap();
    stage.cluster.store().create("services", "kubectl-client-side-apply", service()).unwrap();
    stage.until("it runs", |it| it.pods() == pods("1.0.0", 4)).await;
    stage.wait(10).await;
    stage
}

fn pods(version: &str, count: usize) -> std::collections::BTreeMap<String, usize> {
    [(format!("example/checkout:{version}"), count)].into()
}

/// `triton adopt 'shop/*'` in the clone.
async fn adopt(stage: &Stage, companions: bool) -> Result<(), String> {
    for (key, value) in [("user.name", "Bo"), ("user.email", "bo@example.com"), ("commit.gpgsign", "false")] {
        stage.repo.git(&["config", key, value]);
    }
    let args = AdoptArgs {
        pattern: "shop/*".parse().unwrap(),
        companions,
        strategy: None,
        dry_run: false,
        dir: stage.repo.path().to_owned(),
        publish: PublishArgs::default(),
        cluster: ClusterArgs::default(),
    };
    run_in(&args, stage.client(), &Printer::SILENT).await.map(drop).map_err(|error| error.to_string())
}

/// Whether its mark, its UIDs and its pods are those of before.
fn same_pods(stage: &Stage) -> Vec<Value> {
    let pods = stage.cluster.store().list("pods", Some("shop"));
    pods.iter().map(|pod| json!([pod.uid(), pod["status"]["containerStatuses"][0]["restartCount"]])).collect()
}

fn history(stage: &Stage) -> Vec<String> {
    let record = stage.record("checkout");
    let history = record["status"]["history"].as_array().cloned().unwrap_or_default();
    history
        .iter()
        .map(|it| format!("{}: {}", it["decision"].as_str().unwrap(), it["message"].as_str().unwrap()))
        .collect()
}

fn hold(stage: &Stage) -> String {
    stage.record("checkout")["status"]["holds"].to_string()
}

/// Managers that own anything of the object itself beside us and the status.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let own = entries.iter().filter(|it| it["subresource"].as_str().is_none_or(str::is_empty));
    own.map(|it| it["manager"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_written_down_and_taken_over_as_it_stands_and_from_then_on_git_decides() {
    let mut stage = running().await;
    let (before, pods_before) = (stage.cloneset("checkout"), same_pods(&stage));
    adopt(&stage, true).await.unwrap();
    assert!(
        adopt(&stage, true).await.unwrap_err().contains("no CloneSet of shop/*"),
        "what is written is left alone"
    );
    stage.edit_release(|text| text.replace("soak: 5m", "soak: 5s"));
    stage.start();
    stage.until("it is healthy", |it| it.phase() == "Healthy").await;
    stage.until("it is its own", |it| history(it).iter().any(|it| it.contains("Triton's alone"))).await;
    stage.wait(60).await;
    let after = stage.cloneset("checkout");
    assert_eq!(before["metadata"]["generation"], after["metadata"]["generation"]);
    assert_eq!((same_pods(&stage), &before["spec"]), (pods_before, &after["spec"]));
    assert_eq!(managers(&after), ["triton"], "{:#}", after["metadata"]["managedFields"]);
    // What the server filled in, and Git does not say, stays its writer's.
    let service = stage.object("services", "checkout")["metadata"]["managedFields"].clone();
    assert_eq!(service.to_string().matches("f:selector").count(), 1, "{service:#}");
    let told = history(&stage);
    assert_eq!(told.iter().filter(|it| it.starts_with("Adopt")).count(), 1, "{told:?}");
    assert_eq!(
        told.iter().filter(|it| it.contains("kubectl-client-side-apply owned")).count(),
        1,
        "{told:?}"
    );

    stage.edit_release(|text| text.replace("checkout:1.0.0", "checkout:1.1.0"));
    stage.until("step 1", |it| it.pods().get("example/checkout:1.1.0") == Some(&1)).await;
    stage.until("1.1.0 is healthy", |it| it.pods() == pods("1.1.0", 4) && it.phase() == "Healthy").await;

    stage.edit_release(|text| text.replace("  minReadySeconds: 1\n", ""));
    stage
        .until("what Git drops goes", |it| it.cloneset("checkout")["spec"].get("minReadySeconds").is_none())
        .await;
    stage.edit_release(|text| text.replace("      terminationGracePeriodSeconds: 10\n", ""));
    let grace = |it: &Stage| {
        it.cloneset("checkout")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].clone()
    };
    stage.until("and in the template the default comes back", |it| grace(it) == 30).await;
}

#[tokio::test(start_paused = true)]
async fn where_git_differs_what_runs_is_kept_as_proven_and_the_difference_takes_its_steps() {
    let mut stage = running().await;
    adopt(&stage, true).await.unwrap();
    // No comparison by what Git says can see it: of the containers all fields belong together, and this one would go.
    stage.edit_release(|text| {
        text.replace("        env:\n        - name: K\n          value: v\n", "")
            .replace("soak: 5m", "soak: 30s")
            .replace("    steps:", "    deadline: 60s\n    steps:")
    });
    let pods_before = same_pods(&stage);
    stage.start();
    stage.until("step 1", |it| it.waits_for() == "soak").await;
    let told = history(&stage);
    assert!(
        told[0].starts_with("Adopt: shop/checkout is taken over as it stands, as 1.0.0; Git differs at "),
        "{told:?}"
    );
    assert!(told[0].contains("containers[name=app].env, and that comes by its steps"), "{told:?}");
    let kept = same_pods(&stage).iter().filter(|pod| pods_before.contains(pod)).count();
    assert_eq!(kept, 3, "one pod at the first step");
    stage.until("all of them", |it| it.phase() == "Healthy").await;
    assert_eq!(stage.cloneset("checkout")["spec"]["template"]["spec"]["containers"][0].get("env"), None);
    // Back to what was there before Git.
    stage.edit_release(|text| text.replace("checkout:1.0.0", "checkout:bad"));
    stage.until("it failed", |it| it.waits_for() == "failed").await;
    stage.until("every pod is back", |it| it.pods() == pods("1.0.0", 4)).await;
}

/// A shop whose pods read a ConfigMap.
async fn running_with_configuration() -> Stage {
    let stage = Stage::set();
    let store = stage.cluster.store();
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "cfg"},
        "data": {"colour": "green"}});
    store.create("configmaps", "kubectl-client-side-apply", config).unwrap();
    let mut cloneset = manifest();
    cloneset["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "cfg"}}]);
    store.create(CLONESETS, "kubectl-client-side-apply", cloneset).unwrap();
    stage.until("it runs", |it| it.pods() == pods("1.0.0", 4)).await;
    stage.wait(10).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn configuration_that_is_taken_over_keeps_its_name_until_git_wants_it_versioned() {
    let mut stage = running_with_configuration().await;
    adopt(&stage, true).await.unwrap();
    let text = std::fs::read_to_string(stage.repo.file(FILE)).unwrap();
    assert!(text.contains("triton.io/versioned: \"false\""), "{text}");
    let pods_before = same_pods(&stage);
    stage.edit_release(|text| text.replace("soak: 5m", "soak: 5s"));
    stage.start();
    stage.until("it is healthy", |it| it.phase() == "Healthy").await;
    let owner =
        |it: &Stage| it.object("configmaps", "cfg")["metadata"]["annotations"]["triton.io/release"].clone();
    stage.until("the ConfigMap is ours", |it| owner(it) == "shop/checkout").await;
    stage.wait(20).await;
    assert_eq!(same_pods(&stage), pods_before);
    stage.edit_release(|text| text.replace("  annotations:\n    triton.io/versioned: \"false\"\n", ""));
    stage.until("step 1", |it| it.waits_for() == "soak").await;
    let kept = same_pods(&stage).iter().filter(|pod| pods_before.contains(pod)).count();
    assert_eq!(kept, 3, "one pod at the first step");
    stage.until("all of them", |it| it.phase() == "Healthy").await;
    let read = &stage.cloneset("checkout")["spec"]["template"]["spec"]["containers"][0]["envFrom"];
    assert_eq!(read[0]["configMapRef"]["name"], "cfg-3c17a258");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_versions_at_once_what_runs_takes_over_as_it_stands_and_goes_on_by_steps() {
    let mut stage = running_with_configuration().await;
    adopt(&stage, true).await.unwrap();
    let opted = "  annotations:\n    triton.io/versioned: \"false\"\n";
    stage.edit_release(|text| {
        let text = text.replace(opted, "").replace("soak: 5m", "soak: 30s");
        text.replace("    steps:", "    deadline: 60s\n    steps:").replace("checkout:1.0.0", "checkout:bad")
    });
    let pods_before = same_pods(&stage);
    stage.start();
    stage.until("one pod tries", |it| it.pods().len() == 2).await;
    let told = history(&stage);
    assert!(told[0].contains("is taken over as it stands, as 1.0.0; Git differs at"), "{told:?}");
    stage.until("it failed", |it| it.waits_for() == "failed").await;
    stage.until("every pod is back", |it| it.pods() == pods("1.0.0", 4)).await;
    let kept = same_pods(&stage).iter().filter(|pod| pods_before.contains(pod)).count();
    assert_eq!(kept, 3, "one pod tried");
    let read = |it: &Stage| {
        let cloneset = it.cloneset("checkout");
        cloneset["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"].clone()
    };
    assert_eq!(read(&stage), "cfg");
    stage.edit_release(|text| text.replace("checkout:bad", "checkout:1.0.1"));
    stage.until("all of them", |it| it.phase() == "Healthy").await;
    assert_eq!(read(&stage), "cfg-3c17a258");
    assert_eq!(stage.object("configmaps", "cfg")["metadata"]["annotations"], Value::Null, "nobody took it");
}

#[tokio::test(start_paused = true)]
async fn a_bad_first_version_goes_back_to_what_ran_before_git() {
    let mut stage = running().await;
    adopt(&stage, false).await.unwrap();
    stage.edit_release(|text| {
        text.replace("checkout:1.0.0", "checkout:bad")
            .replace("soak: 5m", "soak: 5s")
            .replace("    steps:", "    deadline: 20s\n    steps:")
    });
    let before = stage.cloneset("checkout")["spec"]["template"].clone();
    stage.start();
    stage.until("it is entered", |it| it.pods().contains_key("example/checkout:bad")).await;
    stage.wait(700).await;
    assert_eq!((stage.pods(), stage.waits_for()), (pods("1.0.0", 4), "failed".to_owned()));
    assert_eq!(stage.cloneset("checkout")["spec"]["template"], before);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_taken_over_as_it_stands_or_not_at_all() {
    let mut stage = running().await;
    adopt(&stage, true).await.unwrap();
    stage.edit_release(|text| text.replace("- port: 80", "- port: 81"));
    stage.start();
    stage.until("it holds", |it| hold(it).contains("it differs from Git at spec.ports")).await;
    assert_eq!(stage.object("services", "checkout")["spec"]["ports"][0]["port"], 80);
    let mut helms = stage.object("services", "checkout");
    helms["metadata"]["annotations"] = json!({"meta.helm.sh/release-name": "web"});
    stage.cluster.store().update("services", "helm", helms).unwrap();
    stage.edit_release(|text| text.replace("- port: 81", "- port: 80"));
    stage.until("it is Helm's", |it| hold(it).contains("also applied by Helm release web")).await;
    let mut others = stage.object("services", "checkout");
    others["metadata"]["annotations"] = json!({"triton.io/release": "shop/cart"});
    stage.cluster.store().update("services", "helm", others).unwrap();
    stage.until("it is another release's", |it| hold(it).contains("exists and is not ours")).await;
    let mut free = stage.object("services", "checkout");
    free["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    stage.cluster.store().update("services", "helm", free).unwrap();
    stage.until("it is taken over", |it| it.phase() == "Healthy" && hold(it) == "[]").await;
    let service = stage.object("services", "checkout");
    assert_eq!(service["metadata"]["annotations"]["triton.io/release"], "shop/checkout");
}

#[tokio::test(start_paused = true)]
async fn what_was_left_behind_is_taken_over_again_with_all_that_belongs_to_it() {
    let mut stage = running().await;
    adopt(&stage, true).await.unwrap();
    stage.edit_release(|text| {
        text.replace(
            "triton.io/adopt: \"true\"",
            "triton.io/adopt: \"true\"\n    triton.io/on-delete: orphan",
        )
    });
    stage.start();
    stage.until("it is healthy", |it| it.phase() == "Healthy").await;
    stage.wait(20).await;
    let text = std::fs::read_to_string(stage.repo.file(FILE)).unwrap();
    stage.repo.remove(FILE);
    stage.repo.commit("Leave the shop to itself");
    stage.until("it is left", |it| it.record("checkout").is_null()).await;
    let (left, pods_left) = (stage.cloneset("checkout"), same_pods(&stage));
    assert_eq!(
        stage.object("services", "checkout")["metadata"]["annotations"]["triton.io/release"],
        Value::Null
    );
    stage.repo.put(FILE, &text);
    stage.until("it is back", |it| it.phase() == "Healthy").await;
    stage.wait(20).await;
    // Not to be paused is what it is without a word: Kruise's webhook drops the word when it writes anything else.
    let spec = |mut cloneset: Value| {
        let strategy = cloneset["spec"]["updateStrategy"].as_object_mut().expect("a strategy");
        strategy.retain(|field, value| field != "paused" || *value != json!(false));
        cloneset["spec"].take()
    };
    assert_eq!((spec(stage.cloneset("checkout")), same_pods(&stage)), (spec(left), pods_left));
    let service = stage.object("services", "checkout");
    assert_eq!(service["metadata"]["annotations"]["triton.io/release"], "shop/checkout");
    assert_eq!(hold(&stage), "[]");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_over_while_no_dry_run_can_show_what_would_move() {
    let mut stage = running().await;
    adopt(&stage, false).await.unwrap();
    let denial = Denial { verb: "patch", plural: "clonesets".into(), namespace: None };
    stage.cluster.knobs().set(|faults| faults.denials.push(denial));
    stage.start();
    stage
        .until("it holds", |it| hold(it).contains("resources: [\\\"clonesets\\\"], verbs: [\\\"patch\\\"]"))
        .await;
    stage.wait(120).await;
    assert_eq!(managers(&stage.cloneset("checkout")), ["kubectl-client-side-apply"]);
    stage.cluster.knobs().set(|faults| faults.denials.clear());
    stage.until("it is taken over", |it| it.phase() == "Healthy").await;
}
