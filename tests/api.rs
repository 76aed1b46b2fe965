//! The embedded cluster as kube's client meets it, in the same process and under paused time.

use std::time::Duration;

use axum::http::Request;
use futures::{StreamExt, TryStreamExt};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};
use tower::ServiceExt;
use triton::devcluster::{Denial, DevCluster, Failure, Options, Refusal};

fn cluster() -> DevCluster {
    let start = "2026-11-22T10:00:00Z".parse().unwrap();
    DevCluster::new(Options { start, seed: 7, collects: true })
}

fn client(cluster: &DevCluster) -> Client {
    let router = cluster.router();
    let service = router.into_service::<kube::client::Body>();
    let service = service.map_request(|request: Request<kube::client::Body>| request);
    Client::new(service, "default")
}

fn api(client: &Client, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::default_namespaced_with(client.clone(), &resource)
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn clone_set(replicas: i64) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": {}},
    })
}

#[tokio::test(start_paused = true)]
async fn a_client_applies_and_is_told_of_conflicts() {
    let cluster = cluster();
    let sets = api(&client(&cluster), "apps.kruise.io", "v1alpha1", "CloneSet");
    let by = |manager: &str| PatchParams::apply(manager);
    let made = sets.patch("web", &by("one"), &Patch::Apply(clone_set(3))).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let refused = sets.patch("web", &by("two"), &Patch::Apply(clone_set(4))).await.unwrap_err();
    assert!(refused.to_string().contains(r#"conflict with "one": .spec.replicas"#), "{refused}");
    let forced = sets.patch("web", &by("two").force(), &Patch::Apply(clone_set(4))).await.unwrap();
    assert_eq!(forced.metadata.generation, Some(2));
    let writes = cluster.knobs().writes();
    assert_eq!(writes.iter().map(|write| write.code).collect::<Vec<_>>(), [201, 409, 200]);
    assert!(writes.iter().all(|write| write.verb == "apply"));
    assert_eq!(writes[2].manager, "two");
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happens_and_can_be_dropped() {
    let cluster = cluster();
    let maps = api(&client(&cluster), "", "v1", "ConfigMap");
    maps.create(&PostParams::default(), &object(config_map("a"))).await.unwrap();
    let listed = maps.list(&ListParams::default()).await.unwrap();
    let version = listed.metadata.resource_version.unwrap();
    let mut watch = maps.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let event = watch.try_next().await.unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Deleted(gone) if gone.metadata.name.as_deref() == Some("a")));
    cluster.knobs().drop_watches();
    assert!(watch.try_next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_what_is_forgotten_is_told_410() {
    let cluster = cluster();
    let maps = api(&client(&cluster), "", "v1", "ConfigMap");
    let mut watch = maps.watch(&WatchParams::default(), "1").await.unwrap().boxed();
    let event = watch.try_next().await.unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Error(status) if status.code == 410));
}

#[tokio::test(start_paused = true)]
async fn requests_fail_and_are_denied_as_the_knobs_say() {
    let cluster = cluster();
    let maps = api(&client(&cluster), "", "v1", "ConfigMap");
    cluster.knobs().set(|faults| {
        let with = Refusal::new(503, "ServiceUnavailable", "try again");
        faults.failures.push(Failure {
            verb: "create",
            plural: "configmaps".to_owned(),
            times: 1,
            with,
            after: true,
        });
    });
    let create = || async { maps.create(&PostParams::default(), &object(config_map("a"))).await };
    assert!(create().await.unwrap_err().to_string().contains("try again"));
    assert!(cluster.store().get("configmaps", "default", "a").is_some(), "only the answer was lost");
    cluster.knobs().set(|faults| {
        let denial = Denial { verb: "create", plural: "configmaps".to_owned(), namespace: None };
        faults.denials.push(denial);
    });
    let denied = create().await.unwrap_err().to_string();
    let text =
        r#"User "admin" cannot create resource "configmaps" in API group "" in the namespace "default""#;
    assert!(denied.contains(text), "{denied}");
    cluster.knobs().set(|faults| {
        faults.denials.clear();
        faults.delay = Duration::from_secs(5);
    });
    let before = tokio::time::Instant::now();
    assert!(create().await.unwrap_err().to_string().contains("already exists"));
    assert_eq!(before.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn what_an_object_owns_goes_with_it() {
    let cluster = cluster();
    let store = cluster.store();
    let make = |name: &str, owner: Option<&str>| {
        let mut map = config_map(name);
        map["metadata"]["namespace"] = json!("default");
        if let Some(owner) = owner {
            let uid = store.get("configmaps", "default", owner).unwrap().uid().to_owned();
            let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid});
            map["metadata"]["ownerReferences"] = json!([reference]);
        }
        store.create("configmaps", "test", map).unwrap();
    };
    let there = || {
        let all = store.list("configmaps", Some("default"));
        all.iter().map(|map| map.name().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let maps = api(&client(&cluster), "", "v1", "ConfigMap");
    make("a", None);
    make("b", Some("a"));
    make("c", Some("b"));
    maps.delete("a", &DeleteParams::background()).await.unwrap();
    assert_eq!(there(), "");
    make("a", None);
    make("b", Some("a"));
    maps.delete("a", &DeleteParams::foreground()).await.unwrap();
    assert_eq!(there(), "");
    make("a", None);
    make("b", Some("a"));
    maps.delete("a", &DeleteParams::orphan()).await.unwrap();
    assert_eq!(there(), "b");
    assert!(store.get("configmaps", "default", "b").unwrap()["metadata"]["ownerReferences"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let cluster = cluster();
    let store = cluster.store();
    store.create("namespaces", "test", json!({"metadata": {"name": "shop"}})).unwrap();
    let mut map = config_map("a");
    map["metadata"] = json!({"name": "a", "namespace": "shop", "finalizers": ["x.io/a"]});
    store.create("configmaps", "test", map).unwrap();
    store.delete("namespaces", "", "shop", &Default::default()).unwrap();
    let waiting = store.get("namespaces", "", "shop").unwrap();
    assert_eq!(waiting.text("/status/phase"), "Terminating");
    let mut map = (*store.get("configmaps", "shop", "a").unwrap()).clone();
    map["metadata"]["finalizers"] = json!([]);
    store.update("configmaps", "test", map).unwrap();
    assert!(store.get("namespaces", "", "shop").is_none());
    let mut map = config_map("b");
    map["metadata"]["namespace"] = json!("shop");
    let refused = store.create("configmaps", "test", map).unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (404, r#"namespaces "shop" not found"#));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_objects_are_written_listed_and_paged() {
    let cluster = cluster();
    let store = cluster.store();
    for number in 0..1_000 {
        let mut map = config_map(&format!("c{number:03}"));
        map["metadata"]["namespace"] = json!("default");
        store.create("configmaps", "test", map).unwrap();
    }
    let maps = api(&client(&cluster), "", "v1", "ConfigMap");
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 1_000);
    let page = maps.list(&ListParams::default().limit(300)).await.unwrap();
    assert_eq!((page.items.len(), page.metadata.remaining_item_count), (300, Some(700)));
}

#[tokio::test(start_paused = true)]
async fn a_controller_awaits_the_next_change() {
    let cluster = cluster();
    let store = cluster.store().clone();
    let mut changes = store.changes();
    let before = store.version();
    let waiting = tokio::spawn(async move { changes.changed().await.map(|()| *changes.borrow()) });
    tokio::task::yield_now().await;
    let mut map = config_map("a");
    map["metadata"]["namespace"] = json!("default");
    store.create("configmaps", "test", map).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), before + 1);
    let seen = store.changes_since("configmaps", before).unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].after.as_ref().unwrap().name(), "a");
}

#[tokio::test]
async fn the_kubeconfig_reaches_the_cluster_over_a_socket() {
    let cluster = cluster();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = DevCluster::kubeconfig(listener.local_addr().unwrap());
    let server = tokio::spawn(cluster.serve(listener));
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&text).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    assert_eq!(client.apiserver_version().await.unwrap().minor, "30");
    server.abort();
}
