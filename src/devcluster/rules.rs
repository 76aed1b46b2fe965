//! Defaults and checks of the built-in kinds, as far as the embedded cluster needs them.
//!
//! Left out: most of Pod validation, quantities, Ingress, webhooks' and controllers' own fields.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::devcluster::builtin::{
    CONTROLLER_REVISIONS, DEFINITIONS, NAMESPACES, POD_DISRUPTION_BUDGETS, PODS,
};
use crate::devcluster::crd::default_names;
use crate::devcluster::refusal::Cause;

/// Seconds that a pod is given to end when it does not say (`DefaultTerminationGracePeriodSeconds`).
pub const POD_GRACE: i64 = 30;

/// Puts in the defaults that count as the writer's own: those of Kubernetes' API machinery.
pub fn fill_defaults(resource: &str, object: &mut Value) {
    match resource {
        "services" => default_service(object),
        "secrets" => default_secret(object),
        NAMESPACES => {
            let name = object["metadata"]["name"].clone();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        }
        PODS => default_pod(&mut object["spec"]),
        "horizontalpodautoscalers.autoscaling" => {
            put_if_missing(&mut object["spec"], "minReplicas", json!(1));
            let target = json!({"type": "Utilization", "averageUtilization": 80});
            let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
            put_if_missing(&mut object["spec"], "metrics", cpu);
        }
        DEFINITIONS => default_names(object),
        _ => {}
    }
}

/// Puts in what the server itself decides: nobody owns it. `number` makes addresses that differ.
pub fn prepare_create(resource: &str, object: &mut Value, number: u64) {
    match resource {
        "services" => {
            let spec = &mut object["spec"];
            let address = format!("10.96.{}.{}", (number >> 8) & 0x7f, number & 0xff);
            put_if_missing(spec, "clusterIP", json!(address));
            let address = spec["clusterIP"].clone();
            put_if_missing(spec, "clusterIPs", json!([address]));
            put_if_missing(spec, "ipFamilies", json!(["IPv4"]));
            put_if_missing(spec, "ipFamilyPolicy", json!("SingleStack"));
        }
        NAMESPACES => {
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({"phase": "Active"});
        }
        PODS => prepare_pod(object),
        _ => {}
    }
}

fn prepare_pod(pod: &mut Value) {
    let missing = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    let tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let keys = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
    let new = keys.iter().filter(|key| !tolerations.iter().any(|toleration| toleration["key"] == **key));
    let all: Vec<Value> = tolerations.iter().cloned().chain(new.map(|key| missing(key))).collect();
    pod["spec"]["tolerations"] = json!(all);
    put_if_missing(&mut pod["spec"], "priority", json!(0));
    put_if_missing(&mut pod["spec"], "preemptionPolicy", json!("PreemptLowerPriority"));
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let asks = containers.clone().any(|container| !container["resources"]["requests"].is_null());
    let class = if asks { "Burstable" } else { "BestEffort" };
    pod["status"] = json!({"phase": "Pending", "qosClass": class});
}

fn default_service(service: &mut Value) {
    let spec = &mut service["spec"];
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        put_if_missing(port, "protocol", json!("TCP"));
        let target = port["port"].clone();
        put_if_missing(port, "targetPort", target);
    }
    put_if_missing(spec, "type", json!("ClusterIP"));
    put_if_missing(spec, "sessionAffinity", json!("None"));
    put_if_missing(spec, "internalTrafficPolicy", json!("Cluster"));
}

fn default_secret(secret: &mut Value) {
    put_if_missing(secret, "type", json!("Opaque"));
    let Some(plain) = secret.as_object_mut().and_then(|secret| secret.remove("stringData")) else { return };
    for (key, value) in plain.as_object().into_iter().flatten() {
        secret["data"][key] = json!(STANDARD.encode(value.as_str().unwrap_or_default()));
    }
}

fn default_pod(spec: &mut Value) {
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            default_container(container);
        }
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    put_if_missing(spec, "restartPolicy", json!("Always"));
    put_if_missing(spec, "terminationGracePeriodSeconds", json!(POD_GRACE));
    put_if_missing(spec, "dnsPolicy", json!("ClusterFirst"));
    put_if_missing(spec, "securityContext", json!({}));
    put_if_missing(spec, "schedulerName", json!("default-scheduler"));
    put_if_missing(spec, "enableServiceLinks", json!(true));
}

fn default_container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let tag = image.rsplit('/').next().unwrap_or_default().split_once(':').map_or("latest", |(_, tag)| tag);
    let policy = if tag == "latest" { "Always" } else { "IfNotPresent" };
    if image.is_empty()
        && let Some(container) = container.as_object_mut()
    {
        container.remove("image");
    }
    put_if_missing(container, "imagePullPolicy", json!(policy));
    put_if_missing(container, "terminationMessagePath", json!("/dev/termination-log"));
    put_if_missing(container, "terminationMessagePolicy", json!("File"));
    for port in container["ports"].as_array_mut().into_iter().flatten() {
        put_if_missing(port, "protocol", json!("TCP"));
    }
    if let Some(container) = container.as_object_mut() {
        container.retain(|_, value| !value.is_null());
    }
}

/// Pods' addresses come in two forms; the list follows the single one.
pub fn sync_pod_addresses(pod: &mut Value) {
    let address = pod["status"]["podIP"].clone();
    if address.is_string() && pod["status"]["podIPs"][0]["ip"] != address {
        pod["status"]["podIPs"] = json!([{"ip": address}]);
    }
}

/// What is wrong with an object of a built-in kind; `old` is what it is to replace.
#[must_use]
pub fn faults(resource: &str, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    match resource {
        "configmaps" => config_map_faults(old, new, &mut causes),
        "secrets" if old.is_some_and(|old| old["type"] != new["type"]) => {
            causes.push(Cause::invalid("type", &new["type"].to_string(), "field is immutable"));
        }
        "services" => service_faults(old, new, &mut causes),
        PODS => pod_faults(old, new, &mut causes),
        "horizontalpodautoscalers.autoscaling" => {
            let most = new["spec"]["maxReplicas"].as_i64().unwrap_or(0);
            let least = new["spec"]["minReplicas"].as_i64().unwrap_or(1);
            let mut wrong = |why: &str| {
                causes.push(Cause::invalid("spec.maxReplicas", &most.to_string(), why));
            };
            if most < 1 {
                wrong("must be greater than 0");
            }
            if most < least {
                wrong("must be greater than or equal to `minReplicas`");
            }
        }
        POD_DISRUPTION_BUDGETS => {
            let set = |field: &str| !new["spec"][field].is_null();
            if set("minAvailable") && set("maxUnavailable") {
                let shown = new["spec"].to_string();
                let why = "minAvailable and maxUnavailable cannot be both set";
                causes.push(Cause::invalid("spec", &shown, why));
            }
        }
        "leases.coordination.k8s.io" => lease_faults(new, &mut causes),
        CONTROLLER_REVISIONS if old.is_some_and(|old| old["data"] != new["data"]) => {
            causes.push(Cause::invalid("data", &new["data"].to_string(), "field is immutable"));
        }
        "events" => {
            let about = new["involvedObject"]["namespace"].as_str().unwrap_or_default();
            let own = new["metadata"]["namespace"].as_str().unwrap_or_default();
            if about != own && !(about.is_empty() && own == "default") {
                let why = "does not match event.namespace";
                causes.push(Cause::invalid("involvedObject.namespace", &format!("{about:?}"), why));
            }
        }
        "events.events.k8s.io" => {
            let about = new["regarding"]["namespace"].as_str().unwrap_or_default();
            if new["metadata"]["namespace"] != about {
                let why = "does not match event.namespace";
                causes.push(Cause::invalid("involvedObject.namespace", &format!("{about:?}"), why));
            }
            if new["eventTime"].is_null() {
                causes.push(Cause::required("eventTime", ""));
            }
        }
        _ => {}
    }
    causes
}

fn lease_faults(new: &Value, causes: &mut Vec<Cause>) {
    let duration = &new["spec"]["leaseDurationSeconds"];
    if duration.as_i64().is_some_and(|duration| duration < 1) {
        let field = "spec.leaseDurationSeconds";
        causes.push(Cause::invalid(field, &duration.to_string(), "must be greater than 0"));
    }
    for field in ["acquireTime", "renewTime"] {
        let time = &new["spec"][field];
        if time.as_str().is_some_and(|time| !is_micro_time(time)) {
            let why = "must be a time with six digits after the point";
            causes.push(Cause::invalid(format!("spec.{field}"), &time.to_string(), why));
        }
    }
}

/// Go reads `metav1.MicroTime` only with exactly six digits after the point.
fn is_micro_time(text: &str) -> bool {
    let digits = text.split_once('.').map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).count());
    digits == Some(6) && text.parse::<jiff::Timestamp>().is_ok()
}

fn config_map_faults(old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    let why_key = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
                   or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    let empty = Map::new();
    let binary = new["binaryData"].as_object().unwrap_or(&empty);
    for key in new["data"].as_object().unwrap_or(&empty).keys() {
        let field = format!("data[{key}]");
        if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            causes.push(Cause::invalid(field.clone(), &format!("{key:?}"), why_key));
        }
        if binary.contains_key(key) {
            causes.push(Cause::invalid(field, &format!("{key:?}"), "duplicate of key present in binaryData"));
        }
    }
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return };
    for field in ["immutable", "data", "binaryData"] {
        if old[field] != new[field] {
            causes.push(Cause::forbidden(field, "field is immutable when `immutable` is set"));
        }
    }
}

fn service_faults(old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    let ports = new["spec"]["ports"].as_array().cloned().unwrap_or_default();
    if ports.len() > 1 {
        for (index, _) in ports.iter().enumerate().filter(|(_, port)| port["name"].is_null()) {
            causes.push(Cause::required(format!("spec.ports[{index}].name"), ""));
        }
    }
    let Some(old) = old else { return };
    let (was, is) = (&old["spec"]["clusterIP"], &new["spec"]["clusterIP"]);
    if was.is_string() && was != is {
        let shown = format!("[]string{{{was}}}");
        causes.push(Cause::invalid("spec.clusterIPs[0]", &shown, "may not change once set"));
    }
}

fn pod_faults(old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    let containers = |pod: &Value| pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    if containers(new).is_empty() {
        causes.push(Cause::required("spec.containers", ""));
    }
    for (index, container) in containers(new).iter().enumerate() {
        if container["image"].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("spec.containers[{index}].image"), ""));
        }
    }
    let Some(old) = old else { return };
    if containers(old).len() != containers(new).len() {
        let why = "pod updates may not add or remove containers";
        causes.push(Cause::forbidden("spec.containers", why));
        return;
    }
    if fixed_part(old) != fixed_part(new) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                   existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                   previously negative)";
        causes.push(Cause::forbidden("spec", why));
    }
}

/// A pod's spec without what may change.
fn fixed_part(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                container.remove("image");
            }
        }
    }
    if let Some(spec) = spec.as_object_mut() {
        for field in ["activeDeadlineSeconds", "tolerations", "initContainers"] {
            let empty = spec.get(field).is_some_and(Value::is_null);
            if field != "initContainers" || empty {
                spec.remove(field);
            }
        }
    }
    spec
}

fn put_if_missing(target: &mut Value, field: &str, value: Value) {
    if let Some(target) = target.as_object_mut()
        && target.get(field).is_none_or(|found| found.is_null() || found == "")
    {
        target.insert(field.to_owned(), value);
    }
}
