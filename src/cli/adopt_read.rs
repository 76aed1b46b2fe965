//! What runs, as the documents that somebody would have written: what some manager has applied or set, without what
//! Kubernetes and Kruise fill in by themselves.

use serde_json::{Map, Value, json};

use crate::devcluster::defaulting::default_cloneset;
use crate::devcluster::rules::fill_defaults;
use crate::fields::{Ownership, extract};
use crate::objects::{Kind, keys};

/// Managers that fill in and count, and write nothing that anybody meant.
const CONTROLLERS: [&str; 3] = ["kruise-manager", "kube-controller-manager", "kube-scheduler"];
/// Annotations and labels that other tools keep for themselves, by their prefix: they mean nothing in Git.
const TOOLS: [&str; 7] = [
    "kubectl.kubernetes.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "argocd.argoproj.io/",
    "meta.helm.sh/",
    "helm.sh/resource-policy",
    "deployment.kubernetes.io/",
];

/// A CloneSet as somebody would have written it; `sized` is false where an autoscaler has its replicas.
#[must_use]
pub fn cloneset(live: &Value, sized: bool) -> Value {
    let mut written = written(live);
    if let Some(spec) = written.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
        let strategy = spec.get_mut("updateStrategy").and_then(Value::as_object_mut);
        if let Some(strategy) = strategy {
            strategy.remove("partition");
            strategy.remove("paused");
        }
        let scale = spec.get_mut("scaleStrategy").and_then(Value::as_object_mut);
        if let Some(scale) = scale {
            // Names of pods that are to go: an order of one moment.
            scale.remove("podsToDelete");
        }
    }
    let mut written = lean(written, default_cloneset);
    let spec = &mut written["spec"];
    for strategy in ["updateStrategy", "scaleStrategy"] {
        if spec[strategy].as_object().is_none_or(Map::is_empty)
            && let Some(fields) = spec.as_object_mut()
        {
            fields.remove(strategy);
        }
    }
    // What the selector and the containers need is there even where nobody owns it.
    for field in ["selector", "template"] {
        if spec.get(field).is_none_or(Value::is_null) {
            spec[field] = live["spec"][field].clone();
        }
    }
    if sized {
        spec["replicas"] = live.pointer("/spec/replicas").cloned().unwrap_or(json!(1));
    }
    written
}

/// A companion as somebody would have written it.
#[must_use]
pub fn companion(kind: Kind, live: &Value) -> Value {
    let api = kind.api();
    let dot = if api.group.is_empty() { "" } else { "." };
    let resource = format!("{}{dot}{}", api.plural, api.group);
    let mut companion = lean(written(live), |object| fill_defaults(&resource, object));
    if kind == Kind::ConfigMap {
        // Under another name it would be another template, and taking over moves no pod.
        companion["metadata"]["annotations"][keys::VERSIONED] = "false".into();
    }
    companion
}

/// What somebody applied or set; where nobody is known, all of it.
fn written(live: &Value) -> Value {
    let ownership = Ownership::of_everybody(live, &CONTROLLERS);
    let meant = [
        "spec",
        "data",
        "binaryData",
        "secrets",
        "imagePullSecrets",
        "automountServiceAccountToken",
        "immutable",
    ];
    let says = |object: &Value| meant.iter().any(|field| object.get(field).is_some());
    let mut object = extract(live, &ownership).filter(says).unwrap_or_else(|| live.clone());
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let mut metadata = Map::new();
    for name in ["namespace", "name"] {
        metadata.insert(name.to_owned(), live["metadata"][name].clone());
    }
    for map in ["labels", "annotations"] {
        let kept = object["metadata"][map].as_object().into_iter().flatten().filter(|(key, value)| {
            let is_tools = TOOLS.iter().any(|prefix| key.starts_with(prefix));
            let ours = key.strip_prefix(keys::GROUP).is_some_and(|rest| rest.starts_with('/'));
            !is_tools && !ours && *key != keys::MANAGED_BY && !value.is_null()
        });
        let kept: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        if !kept.is_empty() {
            metadata.insert(map.to_owned(), kept.into());
        }
    }
    object["metadata"] = metadata.into();
    without_nulls(&mut object);
    object
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `object` without the fields that `fill` puts in again with the very same value.
fn lean(object: Value, fill: impl Fn(&mut Value)) -> Value {
    let filled = |object: &Value| {
        let mut object = object.clone();
        fill(&mut object);
        object
    };
    let whole = filled(&object);
    let mut lean = object;
    let mut pointers = Vec::new();
    leaves(&lean["spec"], "/spec", &mut pointers);
    // From the leaves up: what has lost all its fields may itself be a default.
    for (parent, key) in pointers {
        let Some(taken) = take(&mut lean, &parent, &key) else { continue };
        let again = filled(&lean);
        // One that the filling does not know, and drops, is not filled in.
        let is_filled_in = again.pointer(&parent).and_then(|map| map.get(&key)) == Some(&taken);
        if !is_filled_in || again != whole {
            put(&mut lean, &parent, key, taken);
        }
    }
    lean
}

/// Every field of a map below `value`, the deepest first: the map's pointer and the field's name. Names of labels and
/// the like hold what they are: only maps with fields of the API's are looked into.
fn leaves(value: &Value, pointer: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, below) in fields {
                leaves(below, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), out);
                out.push((pointer.to_owned(), key.clone()));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{pointer}/{index}"), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn take(object: &mut Value, parent: &str, key: &str) -> Option<Value> {
    object.pointer_mut(parent)?.as_object_mut()?.remove(key)
}

fn put(object: &mut Value, parent: &str, key: String, value: Value) {
    if let Some(fields) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
        fields.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(fields: Value) -> Value {
        let mut object = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
            "metadata": {"namespace": "shop", "name": "web", "uid": "u", "labels": {"app": "web", "other": "x"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "n"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "app", "image": "r/web:1", "env": [{"name": "K", "value": "v"}],
                    "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5},
                    "resources": {"requests": {"cpu": "1"}}}],
                    "volumes": [{"name": "v", "configMap": {"name": "c"}}]}},
                "updateStrategy": {"type": "InPlaceIfPossible", "maxUnavailable": "25%", "partition": 0}},
            "status": {"replicas": 3},
        });
        default_cloneset(&mut object);
        object["metadata"]["managedFields"] = json!([{"manager": "kubectl-client-side-apply", "operation": "Update",
            "fieldsV1": fields}]);
        object
    }

    fn kubectls() -> Value {
        json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}},
                "f:annotations": {".": {}, "f:note": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}}},
            "f:spec": {".": {}, "f:replicas": {}, "f:selector": {}, "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": {}, "f:volumes": {}}},
                "f:updateStrategy": {".": {}, "f:type": {}, "f:maxUnavailable": {}}}})
    }

    #[test]
    fn what_was_filled_in_is_left_out_in_lists_that_are_owned_as_a_whole_too() {
        let written = cloneset(&live(kubectls()), true);
        let wanted = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
            "metadata": {"namespace": "shop", "name": "web", "labels": {"app": "web"}, "annotations": {"note": "n"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "app", "image": "r/web:1", "env": [{"name": "K", "value": "v"}],
                    "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5},
                    "resources": {"requests": {"cpu": "1"}}}],
                    "volumes": [{"name": "v", "configMap": {"name": "c"}}]}},
                "updateStrategy": {"type": "InPlaceIfPossible", "maxUnavailable": "25%"}},
        });
        assert_eq!(written, wanted);
    }

    #[test]
    fn a_size_that_an_autoscaler_has_is_left_out_and_a_zero_that_means_something_stays() {
        let mut live = live(kubectls());
        live["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(0);
        live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:terminationGracePeriodSeconds"] =
            json!({});
        let written = cloneset(&live, false);
        assert_eq!(written["spec"].get("replicas"), None);
        let mut newer = live.clone();
        newer["spec"]["progressDeadlineSeconds"] = json!(60);
        newer["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:progressDeadlineSeconds"] = json!({});
        assert_eq!(
            cloneset(&newer, true)["spec"]["progressDeadlineSeconds"],
            60,
            "a field of a later Kruise"
        );
        assert_eq!(written["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 0);
    }

    #[test]
    fn an_object_of_which_nobody_is_known_to_own_anything_is_taken_whole() {
        let mut live = live(json!({}));
        live["metadata"]["managedFields"] = json!([]);
        let written = cloneset(&live, true);
        assert_eq!(written["spec"]["template"]["spec"]["containers"][0]["image"], "r/web:1");
        assert_eq!(written["spec"]["template"]["spec"].get("dnsPolicy"), None);
        assert_eq!(written["metadata"]["labels"], json!({"app": "web", "other": "x"}));
    }

    #[test]
    fn a_configmap_keeps_its_name() {
        let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "cfg"},
            "data": {"colour": "green"}});
        let mut wanted = live.clone();
        wanted["metadata"]["annotations"] = json!({keys::VERSIONED: "false"});
        assert_eq!(companion(Kind::ConfigMap, &live), wanted);
    }

    #[test]
    fn a_service_loses_what_the_server_filled_in() {
        let live = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "web",
                "managedFields": [{"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {
                    "f:internalTrafficPolicy": {}, "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {
                        ".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}},
                    "f:selector": {}, "f:sessionAffinity": {}, "f:type": {}}}}]},
            "spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "internalTrafficPolicy": "Cluster",
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "selector": {"app": "web"},
                "sessionAffinity": "None", "type": "ClusterIP"}, "status": {"loadBalancer": {}}});
        assert_eq!(
            companion(Kind::Service, &live)["spec"],
            json!({"ports": [{"port": 80}], "selector": {"app": "web"}})
        );
    }
}
