//! The two Services beside one that is shared.

use serde_json::{Map, Value, json};

use crate::model::{Name, ReleaseId};
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::routes;
use crate::world::{Beside, Role};

/// Fields of a Service that the two beside it have as well. What leads into the cluster from outside, or is an address of
/// its own, is the user's Service's alone.
const TAKEN_OVER: [&str; 7] = [
    "publishNotReadyAddresses",
    "sessionAffinity",
    "sessionAffinityConfig",
    "internalTrafficPolicy",
    "trafficDistribution",
    "ipFamilies",
    "ipFamilyPolicy",
];

/// The Service beside `service` whose pods `role` names.
#[must_use]
pub fn beside(release: &ReleaseId, service: &Name, role: Role) -> Option<ObjectKey> {
    let name = routes::beside(service, role == Role::Canary)?;
    Some(ObjectKey { kind: Kind::Service, namespace: release.namespace.clone(), name })
}

/// The body of the Service beside `base`, with the pods of the revision that has this hash.
#[must_use]
pub fn service(base: &Value, release: &ReleaseId, beside: &Beside) -> Option<Value> {
    let key = self::beside(release, &beside.service, beside.role)?;
    let spec = &base["spec"];
    let kept = TAKEN_OVER.into_iter().filter_map(|field| Some((field.to_owned(), spec.get(field)?.clone())));
    let mut made: Map<String, Value> = kept.collect();
    let mut selector = spec["selector"].as_object()?.clone();
    selector.insert(keys::POD_TEMPLATE_HASH.to_owned(), beside.hash.as_str().into());
    made.insert("selector".to_owned(), selector.into());
    let mut ports = spec["ports"].as_array().cloned().unwrap_or_default();
    for port in ports.iter_mut().filter_map(Value::as_object_mut) {
        port.remove("nodePort");
    }
    made.insert("ports".to_owned(), ports.into());
    if spec["clusterIP"] == "None" {
        made.insert("clusterIP".to_owned(), "None".into());
    }
    let api = Kind::Service.api();
    Some(json!({
        "apiVersion": api.api_version(), "kind": api.kind,
        "metadata": {
            "namespace": key.namespace.as_str(), "name": key.name.as_str(),
            "labels": {keys::TRAFFIC: release.name.as_str()},
        },
        "spec": made,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_ports_and_the_pods_of_one_revision_and_no_address_of_its_own() {
        let base = json!({"metadata": {"namespace": "shop", "name": "web", "annotations": {"dns": "shop.example"}},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "sessionAffinity": "ClientIP",
                "selector": {"app": "web"},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080}]}});
        let of = Beside {
            service: "web".parse().unwrap(),
            role: Role::Canary,
            hash: "5f6b".to_owned(),
            ready: None,
        };
        let made = service(&base, &"shop/checkout".parse().unwrap(), &of).unwrap();
        assert_eq!(made["metadata"]["name"], "web-canary");
        assert_eq!(made["metadata"].get("annotations"), None);
        assert_eq!(made["metadata"]["labels"], json!({keys::TRAFFIC: "checkout"}));
        assert_eq!(
            made["spec"],
            json!({"sessionAffinity": "ClientIP", "selector": {"app": "web", "pod-template-hash": "5f6b"},
                "ports": [{"name": "http", "port": 80, "targetPort": 8080}]})
        );
    }
}
