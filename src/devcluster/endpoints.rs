//! EndpointSlices: which pods of a Service get traffic (Kubernetes, `pkg/controller/endpointslice`). One slice of a
//! Service, however many pods it has, with the labels of the Service; without hints, zones and addresses of more than one
//! family.
//!
//! A change costs the Services that it concerns, found by one of their labels.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::devcluster::json::{items, text};
use crate::devcluster::pods::{PODS, Pod};
use crate::devcluster::store::Store;

/// EndpointSlices.
pub const ENDPOINT_SLICES: &str = "endpointslices.discovery.k8s.io";
/// Services.
pub const SERVICES: &str = "services";
/// The manager that the controller writes as.
const MANAGER: &str = "kube-controller-manager";

/// Namespace and name.
type Key = (String, String);

#[derive(Clone, Debug, Default)]
struct Service {
    body: Value,
    /// Addresses by pod.
    endpoints: BTreeMap<String, Value>,
}

/// The Services that there are, and their pods.
#[derive(Debug, Default)]
pub struct Endpoints {
    services: BTreeMap<Key, Service>,
    /// Services by namespace and the first pair of their selector.
    by_label: BTreeMap<(String, String, String), BTreeSet<Key>>,
    touched: BTreeSet<Key>,
}

fn key(body: &Value) -> Key {
    (text(body, "/metadata/namespace").to_owned(), text(body, "/metadata/name").to_owned())
}

fn selector(service: &Value) -> impl Iterator<Item = (&str, &str)> {
    let pairs = service.pointer("/spec/selector").and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

fn selects(service: &Value, pod: &Pod) -> bool {
    selector(service).all(|(key, value)| pod.label(key) == Some(value))
}

/// The pod as an address of a Service; none before it has one, or after its end.
fn endpoint(service: &Value, pod: &Pod) -> Option<Value> {
    let ip = text(&pod.body, "/status/podIP");
    if ip.is_empty() || matches!(pod.phase(), "Succeeded" | "Failed") {
        return None;
    }
    let publishes = service.pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true));
    let serving = pod.is_true("Ready");
    let ready = publishes || (serving && !pod.is_terminating());
    Some(json!({
        "addresses": [ip],
        "conditions": {"ready": ready, "serving": serving, "terminating": pod.is_terminating()},
        "targetRef": {"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(),
            "uid": text(&pod.body, "/metadata/uid")},
        "nodeName": pod.node(),
    }))
}

impl Endpoints {
    /// Tells of one change; `before` and `after` as in a watch.
    pub fn observe(&mut self, resource: &str, before: Option<&Value>, after: Option<&Value>, store: &Store) {
        match resource {
            SERVICES => {
                if let Some(before) = before {
                    self.forget(before);
                }
                if let Some(after) = after {
                    self.learn(after, store);
                }
            }
            PODS => {
                if let Some(pod) = after.or(before) {
                    self.take(pod, after.is_some());
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, service: &Value) {
        let key = key(service);
        self.services.remove(&key);
        self.touched.remove(&key);
        if let Some((name, value)) = selector(service).next() {
            let place = (key.0.clone(), name.to_owned(), value.to_owned());
            if let Some(keys) = self.by_label.get_mut(&place) {
                keys.remove(&key);
            }
        }
    }

    fn learn(&mut self, service: &Value, store: &Store) {
        let key = key(service);
        // One without a selector has slices that somebody else makes.
        let Some((name, value)) = selector(service).next() else { return };
        let place = (key.0.clone(), name.to_owned(), value.to_owned());
        self.by_label.entry(place).or_default().insert(key.clone());
        let pods = store.list(PODS, Some(&key.0));
        let pods = pods.iter().map(|pod| Pod { body: Value::clone(pod).into() });
        let of = |pod: Pod| Some((pod.name().to_owned(), endpoint(service, &pod)?));
        let endpoints = pods.filter(|pod| selects(service, pod)).filter_map(of).collect();
        self.services.insert(key.clone(), Service { body: service.clone(), endpoints });
        self.touched.insert(key);
    }

    fn take(&mut self, body: &Value, is_there: bool) {
        let pod = Pod { body: body.clone().into() };
        let labels = body.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        let namespace = pod.namespace().to_owned();
        let places = labels
            .filter_map(|(key, value)| Some((namespace.clone(), key.clone(), value.as_str()?.to_owned())));
        let keys: BTreeSet<Key> = places.filter_map(|it| self.by_label.get(&it)).flatten().cloned().collect();
        for key in keys {
            let Some(service) = self.services.get_mut(&key) else { continue };
            let now = Some(&pod).filter(|pod| is_there && selects(&service.body, pod));
            let now = now.and_then(|pod| endpoint(&service.body, pod));
            if service.endpoints.get(pod.name()) == now.as_ref() {
                continue;
            }
            match now {
                Some(now) => service.endpoints.insert(pod.name().to_owned(), now),
                None => service.endpoints.remove(pod.name()),
            };
            self.touched.insert(key);
        }
    }

    /// Writes the slices of the Services that something has changed of.
    pub fn write(&mut self, store: &Store) {
        for key in std::mem::take(&mut self.touched) {
            let Some(service) = self.services.get(&key) else { continue };
            let slice = slice(service);
            let there = store.get(ENDPOINT_SLICES, &key.0, text(&slice, "/metadata/name"));
            // A refused write is lost: the Service is gone by now.
            let _lost = match there {
                None => store.create(ENDPOINT_SLICES, MANAGER, slice),
                Some(there) => {
                    let mut body = Value::clone(&there);
                    for field in ["endpoints", "ports"] {
                        body[field] = slice[field].clone();
                    }
                    body["metadata"]["labels"] = slice["metadata"]["labels"].clone();
                    store.update(ENDPOINT_SLICES, MANAGER, body)
                }
            };
        }
    }
}

fn slice(service: &Service) -> Value {
    let body = &service.body;
    let (namespace, name) = key(body);
    let ports: Vec<Value> = items(body, "/spec/ports")
        .map(|port| {
            let target = if port["targetPort"].is_u64() { &port["targetPort"] } else { &port["port"] };
            json!({"name": port["name"].as_str().unwrap_or_default(), "port": target, "protocol": "TCP"})
        })
        .collect();
    let mut labels = body.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    labels["kubernetes.io/service-name"] = name.as_str().into();
    labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io".into();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace, "name": format!("{name}-all"),
            "labels": labels,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": name,
                "uid": text(body, "/metadata/uid"), "controller": true, "blockOwnerDeletion": true}],
        },
        "addressType": "IPv4",
        "endpoints": service.endpoints.values().collect::<Vec<_>>(),
        "ports": ports,
    })
}
