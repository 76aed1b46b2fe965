//! Slips of the pen in pod templates.
//!
//! The CloneSet's schema does not describe its template: the API server takes an unknown field and drops it, without a
//! word (Kruise 1.8.3, run), and a pod with `readinesProbe` is ready at once. Only what looks like a known field is
//! told, so that new fields of Kubernetes pass.

use crate::spec::node::Node;
use crate::spec::read::nearest;
use crate::spec::report::{Report, quote};

/// Fields of a pod's `spec` (Kubernetes 1.33, `core/v1` `PodSpec`).
const POD: [&str; 40] = [
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];
/// Fields of a container (Kubernetes 1.33, `core/v1` `Container`).
const CONTAINER: [&str; 25] = [
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "restartPolicyRules",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

/// Checks the fields of a pod's `spec` that stands at `path`.
pub fn check_spec(spec: &Node, path: &str, report: &mut Report) {
    check(spec, &POD, path, report);
}

/// Checks the fields of a container that stands at `path`.
pub fn check_container(container: &Node, path: &str, report: &mut Report) {
    check(container, &CONTAINER, path, report);
}

fn check(node: &Node, known: &[&str], path: &str, report: &mut Report) {
    for entry in node.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        if let Some(near) = nearest(&entry.key, known) {
            let message =
                format!("a pod has no field `{path}.{}`: the API server drops it", quote(&entry.key));
            report.warn(entry.at, message, format!("did you mean `{near}`?"));
        }
    }
}
