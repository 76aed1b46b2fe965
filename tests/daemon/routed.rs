//! Routes that the API server keeps from the daemon.

use triton::devcluster::Denial;

use crate::daemon::stage::Stage;
use crate::daemon::{STEPS, proven};

const WEIGHTS: &str = "[{replicas: 1, weight: 5%}, {replicas: 50%, approval: {}}, {replicas: 100%}]
    routes: [checkout]";
const ROUTES: &str = "apiVersion: v1
kind: Service
metadata: {namespace: shop, name: checkout}
spec:
  selector: {app: checkout}
  ports: [{port: 80, name: http}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: checkout}
spec: {rules: [{backendRefs: [{name: checkout, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {namespace: shop, name: checkout}
spec: {rules: [{backendRefs: [{name: checkout, port: 80}]}]}
";
const PLURALS: [&str; 2] = ["httproutes", "grpcroutes"];

/// The Services that every route leads to.
fn led(stage: &Stage) -> Vec<String> {
    let routes = PLURALS.map(|it| stage.object(&format!("{it}.gateway.networking.k8s.io"), "checkout"));
    let names = |it: &serde_json::Value| it["name"].as_str().unwrap_or_default().to_owned();
    let backends = routes.iter().flat_map(|it| it["spec"]["rules"][0]["backendRefs"].as_array());
    backends.flatten().map(names).collect()
}

#[tokio::test(start_paused = true)]
async fn routes_that_may_neither_be_seen_nor_written_any_more_keep_no_pod_from_going_back() {
    let stage = proven(STEPS).await;
    stage.repo.write("releases/shop/routes.yaml", ROUTES);
    stage.release("1.0.0", WEIGHTS);
    stage.until("it has routes", |it| led(it) == ["checkout", "checkout"]).await;
    stage.release("1.1.0", WEIGHTS);
    let shared = ["checkout-stable", "checkout-canary", "checkout-stable", "checkout-canary"];
    stage.until("the canary has its weight", |it| led(it) == shared && it.waits_for() == "approval").await;
    let denied = PLURALS.map(|plural| Denial { verb: "*", plural: plural.to_owned(), namespace: None });
    stage.cluster.knobs().set(|faults| faults.denials.extend(denied));
    stage.cluster.knobs().drop_watches();
    let is_told =
        |it: &Stage| it.record("checkout")["status"]["holds"].to_string().contains("cannot be seen");
    stage.until("it holds", is_told).await;
    stage.release("1.0.0", WEIGHTS);
    stage
        .until("every pod is back", |it| it.pods() == [("example/checkout:1.0.0".to_owned(), 4)].into())
        .await;
    let asked = stage.requests.lock().unwrap().len();
    stage.wait(60).await;
    let more = stage.requests.lock().unwrap().len() - asked;
    assert!(more < 100, "{more} requests in a minute");
    stage.cluster.knobs().set(|faults| faults.denials.clear());
    stage.until("it is healthy", |it| it.phase() == "Healthy" && led(it) == ["checkout", "checkout"]).await;
}
