//! The mutating webhook of CloneSets (`mcloneset.kb.io`, `apis/apps/defaults/v1alpha1.go`): defaults, and what is lost
//! when a document passes through Go's structs.
//!
//! The webhook answers with its own writing of the object where it had something to fill in, and with nothing at all
//! where it had not: what is whole already stays as it was sent, `paused: false` as well.
//!
//! **Invariant:** defaulting twice is defaulting once. Unknown fields vanish where they are likely to be met: in `spec`,
//! its strategies, the template's spec and its containers. Deeper ones stay, where the real one drops them.

use serde_json::{Map, Value, json};

use crate::devcluster::json::map;
use crate::devcluster::quantity::canonical;

/// The fields of `CloneSetSpec` in 1.8.3.
const SPEC: [&str; 9] = [
    "replicas",
    "selector",
    "template",
    "volumeClaimTemplates",
    "scaleStrategy",
    "updateStrategy",
    "revisionHistoryLimit",
    "minReadySeconds",
    "lifecycle",
];
/// The fields of `CloneSetUpdateStrategy`.
const UPDATE_STRATEGY: [&str; 8] = [
    "type",
    "partition",
    "maxUnavailable",
    "maxSurge",
    "paused",
    "priorityStrategy",
    "scatterStrategy",
    "inPlaceUpdateStrategy",
];
/// The fields of `CloneSetScaleStrategy`.
const SCALE_STRATEGY: [&str; 3] = ["podsToDelete", "maxUnavailable", "disablePVCReuse"];
/// The fields of a Kubernetes 1.30 `PodSpec`.
const POD_SPEC: [&str; 40] = [
    "volumes",
    "initContainers",
    "containers",
    "ephemeralContainers",
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "activeDeadlineSeconds",
    "dnsPolicy",
    "nodeSelector",
    "serviceAccountName",
    "serviceAccount",
    "automountServiceAccountToken",
    "nodeName",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "shareProcessNamespace",
    "securityContext",
    "imagePullSecrets",
    "hostname",
    "subdomain",
    "affinity",
    "schedulerName",
    "tolerations",
    "hostAliases",
    "priorityClassName",
    "priority",
    "dnsConfig",
    "readinessGates",
    "runtimeClassName",
    "enableServiceLinks",
    "preemptionPolicy",
    "overhead",
    "topologySpreadConstraints",
    "setHostnameAsFQDN",
    "os",
    "hostUsers",
    "schedulingGates",
    "resourceClaims",
    "resources",
];
/// The fields of a Kubernetes 1.30 `Container`.
const CONTAINER: [&str; 24] = [
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "ports",
    "envFrom",
    "env",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "volumeMounts",
    "volumeDevices",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
];
/// Read and write for the owner, read for others: 0644.
const FILE_MODE: i64 = 420;

/// What Kruise's webhook makes of an object (`pkg/webhook/cloneset/mutating`): itself, written by Go and with defaults,
/// where one was missing; else nothing. The template is written by Go in any case: the controller reads it so.
pub fn admit_cloneset(body: &mut Value) {
    let mut read = body.clone();
    pass_through_structs(&mut read);
    let mut filled = read.clone();
    fill_in(&mut filled);
    if filled == read {
        body["spec"]["template"] = filled["spec"]["template"].take();
    } else {
        *body = filled;
    }
}

/// Writes an object as Go does, with every default, in place.
pub fn default_cloneset(body: &mut Value) {
    pass_through_structs(body);
    fill_in(body);
}

/// Drops what Go's structs do not know or leave out when it is empty, and adds what they never leave out.
fn pass_through_structs(body: &mut Value) {
    drop_nulls(&mut body["spec"]);
    let spec = map(body, "spec");
    keep_only(spec, &SPEC);
    drop_empty(spec, &["minReadySeconds", "volumeClaimTemplates"]);
    // Go writes a missing selector as null, which the definition then refuses.
    set(spec, "selector", Value::Null);
    let spec = &mut body["spec"];
    if let Some(lifecycle) = spec.get_mut("lifecycle").and_then(Value::as_object_mut) {
        for hook in lifecycle.values_mut().filter_map(Value::as_object_mut) {
            drop_empty(hook, &["markPodNotReady", "labelsHandler", "finalizersHandler"]);
        }
    }
    let scale = map(spec, "scaleStrategy");
    keep_only(scale, &SCALE_STRATEGY);
    drop_empty(scale, &["podsToDelete", "disablePVCReuse"]);
    let strategy = map(spec, "updateStrategy");
    keep_only(strategy, &UPDATE_STRATEGY);
    drop_empty(strategy, &["type", "paused", "scatterStrategy"]);
    if let Some(in_place) = strategy.get_mut("inPlaceUpdateStrategy").and_then(Value::as_object_mut) {
        drop_empty(in_place, &["gracePeriodSeconds"]);
    }
    pass_template_through_structs(&mut spec["template"]);
}

fn pass_template_through_structs(template: &mut Value) {
    let metadata = map(template, "metadata");
    drop_empty(metadata, &["labels", "annotations", "finalizers"]);
    metadata.insert("creationTimestamp".to_owned(), Value::Null);
    let spec = map(template, "spec");
    keep_only(spec, &POD_SPEC);
    let kept_empty = ["containers", "securityContext"];
    let fields: Vec<String> =
        spec.keys().filter(|field| !kept_empty.contains(&field.as_str())).cloned().collect();
    drop_empty(spec, &fields.iter().map(String::as_str).collect::<Vec<_>>());
    let spec = &mut template["spec"];
    for field in ["initContainers", "containers"] {
        each(spec, field, pass_container_through_structs);
    }
}

fn pass_container_through_structs(container: &mut Map<String, Value>) {
    keep_only(container, &CONTAINER);
    drop_empty(
        container,
        &[
            "command",
            "args",
            "workingDir",
            "ports",
            "envFrom",
            "env",
            "volumeMounts",
            "stdin",
            "stdinOnce",
            "tty",
        ],
    );
    set(container, "resources", json!({}));
    for kind in ["limits", "requests"] {
        let quantities = container["resources"].get_mut(kind).and_then(Value::as_object_mut);
        for quantity in quantities.into_iter().flat_map(Map::values_mut) {
            let text = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
            *quantity = json!(canonical(&text));
        }
    }
}

fn fill_in(body: &mut Value) {
    let spec = map(body, "spec");
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    let spec = &mut body["spec"];
    default_strategy(map(spec, "updateStrategy"));
    default_template(&mut spec["template"]);
}

fn default_strategy(strategy: &mut Map<String, Value>) {
    set(strategy, "type", json!("ReCreate"));
    set(strategy, "partition", json!(0));
    set(strategy, "maxUnavailable", json!("20%"));
    set(strategy, "maxSurge", json!(0));
    if matches!(strategy["type"].as_str(), Some("InPlaceIfPossible" | "InPlaceOnly")) {
        set(strategy, "inPlaceUpdateStrategy", json!({}));
    }
}

fn default_template(template: &mut Value) {
    let spec = map(template, "spec");
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "schedulerName", json!("default-scheduler"));
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    let spec = &mut template["spec"];
    // Kruise says Always for containers before Kubernetes' own rule is asked, which init containers get.
    each(spec, "containers", |container| set(container, "imagePullPolicy", json!("Always")));
    each(spec, "initContainers", |container| {
        let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
        let tag =
            image.rsplit('/').next().and_then(|name| name.split_once(':')).map_or("latest", |(_, tag)| tag);
        let policy = if tag == "latest" { "Always" } else { "IfNotPresent" };
        set(container, "imagePullPolicy", json!(policy));
    });
    for field in ["initContainers", "containers"] {
        each(spec, field, default_container);
    }
    each(spec, "volumes", default_volume);
}

fn default_container(container: &mut Map<String, Value>) {
    set(container, "terminationMessagePath", json!("/dev/termination-log"));
    set(container, "terminationMessagePolicy", json!("File"));
    let mut body = Value::Object(std::mem::take(container));
    each(&mut body, "ports", |port| set(port, "protocol", json!("TCP")));
    each(&mut body, "env", |env| {
        if let Some(field) = env.get_mut("valueFrom").and_then(|from| from.get_mut("fieldRef")) {
            set(as_map(field), "apiVersion", json!("v1"));
        }
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = body.get_mut(probe) {
            default_probe(as_map(probe));
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) = body.pointer_mut(&format!("/lifecycle/{hook}/httpGet")) {
            default_http_get(as_map(get));
        }
    }
    *container = std::mem::take(as_map(&mut body));
}

fn default_probe(probe: &mut Map<String, Value>) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        set(probe, field, json!(value));
    }
    if let Some(get) = probe.get_mut("httpGet") {
        default_http_get(as_map(get));
    }
}

fn default_http_get(get: &mut Map<String, Value>) {
    set(get, "path", json!("/"));
    set(get, "scheme", json!("HTTP"));
}

fn default_volume(volume: &mut Map<String, Value>) {
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source) {
            set(as_map(source), "defaultMode", json!(FILE_MODE));
        }
    }
    if volume.len() == 1 {
        set(volume, "emptyDir", json!({}));
    }
}

fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made a map just now")
}

fn each(value: &mut Value, field: &str, mut change: impl FnMut(&mut Map<String, Value>)) {
    let list = value.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut).for_each(&mut change);
}

fn set(target: &mut Map<String, Value>, field: &str, value: Value) {
    target.entry(field).or_insert(value);
}

fn keep_only(target: &mut Map<String, Value>, known: &[&str]) {
    target.retain(|field, _| known.contains(&field.as_str()));
}

/// Removes fields that Go leaves out when they are empty.
fn drop_empty(target: &mut Map<String, Value>, fields: &[&str]) {
    target.retain(|field, value| !fields.contains(&field.as_str()) || !is_empty(value));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaulted(spec: Value) -> Value {
        let mut body = json!({"metadata": {"name": "web"}, "spec": spec});
        default_cloneset(&mut body);
        let once = body.clone();
        default_cloneset(&mut body);
        assert_eq!(body, once, "defaulting twice is defaulting once");
        body["spec"].clone()
    }

    #[test]
    fn a_bare_set_gets_the_recorded_defaults() {
        let spec = defaulted(json!({
            "selector": {"matchLabels": {"app": "web"}},
            "updateStrategy": {"type": "InPlaceIfPossible", "partition": null, "paused": false},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "r/app:A"}]}},
        }));
        assert_eq!(spec["replicas"], 1);
        assert_eq!(
            spec["updateStrategy"],
            json!({"type": "InPlaceIfPossible", "partition": 0, "maxUnavailable": "20%", "maxSurge": 0, "inPlaceUpdateStrategy": {}})
        );
        assert_eq!((&spec["scaleStrategy"], &spec["revisionHistoryLimit"]), (&json!({}), &json!(10)));
        let recorded = json!({
            "metadata": {"creationTimestamp": null, "labels": {"app": "web"}},
            "spec": {
                "containers": [{"image": "r/app:A", "imagePullPolicy": "Always", "name": "c", "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "securityContext": {}, "terminationGracePeriodSeconds": 30,
            },
        });
        assert_eq!(spec["template"], recorded);
    }

    #[test]
    fn an_object_that_lacks_nothing_stays_as_it_was_sent() {
        let mut body = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "r/app:A"}]}}}});
        body["spec"]["updateStrategy"] = json!({"paused": false});
        admit_cloneset(&mut body);
        assert_eq!(
            body["spec"]["updateStrategy"].get("paused"),
            None,
            "it was written anew with its defaults"
        );
        body["spec"]["updateStrategy"]["paused"] = json!(false);
        let sent = body.clone();
        admit_cloneset(&mut body);
        assert_eq!(body, sent);
    }

    #[test]
    fn a_rich_container_gets_the_recorded_defaults_and_canonical_quantities() {
        let spec = defaulted(json!({"template": {"spec": {
            "contaners": [],
            "volumes": [{"name": "v", "configMap": {"name": "x"}}],
            "containers": [{"name": "c", "ports": [{"containerPort": 80}],
                "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                "readinessProbe": {"httpGet": {"port": 80, "path": "/"}},
                "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}],
        }}}));
        let container = &spec["template"]["spec"]["containers"][0];
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
        assert_eq!(container["readinessProbe"]["httpGet"]["scheme"], "HTTP");
        assert_eq!(container["readinessProbe"]["failureThreshold"], 3);
        assert_eq!(container["resources"]["limits"], json!({"cpu": "1", "memory": "1Gi"}));
        assert_eq!(spec["template"]["spec"]["volumes"][0]["configMap"]["defaultMode"], 420);
        assert_eq!(spec["template"]["spec"].get("contaners"), None);
    }
}
