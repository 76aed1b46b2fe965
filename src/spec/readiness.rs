//! Our readiness gate in the template of pods, and the label by which those that have it are known.
//!
//! A pod is ready only when every gate of its template is true (Kubernetes, "Pod readiness"): one that has ours stays
//! out of every Service until we say so.

use serde_json::{Value, json};

use crate::objects::keys::{SERVE, SERVE_GATED};
use crate::spec::node::Node;
use crate::spec::report::Report;

/// Puts gate and label into a template; one that has them stays as it is.
pub fn gate(template: &mut Value) {
    let is_map = |value: &Value| value.is_object();
    if !is_map(template) || !is_map(&template["spec"]) {
        return;
    }
    if !is_map(&template["metadata"]) {
        template["metadata"] = json!({});
    }
    if !is_map(&template["metadata"]["labels"]) {
        template["metadata"]["labels"] = json!({});
    }
    template["metadata"]["labels"][SERVE] = SERVE_GATED.into();
    let spec = &mut template["spec"];
    if !spec["readinessGates"].is_array() {
        spec["readinessGates"] = json!([]);
    }
    let ours = json!({ "conditionType": SERVE });
    if let Some(gates) = spec["readinessGates"].as_array_mut().filter(|gates| !gates.contains(&ours)) {
        gates.push(ours);
    }
}

/// Whether a template, as it is applied, has our gate.
#[must_use]
pub fn is_gated(template: &Value) -> bool {
    let gates = template.pointer("/spec/readinessGates").and_then(Value::as_array);
    gates.is_some_and(|gates| gates.iter().any(|gate| gate["conditionType"] == SERVE))
}

/// Takes the wish for our gate out of a Release document: for a template that stands without it.
pub fn forget(release: &mut Value) {
    let steps = release.pointer_mut("/spec/strategy/steps").and_then(Value::as_array_mut);
    for step in steps.into_iter().flatten().filter_map(Value::as_object_mut) {
        step.retain(|key, _| key != "serve" && key != "batch");
    }
}

/// Checks that a template does not name what is ours.
pub fn check_template(template: &Node, report: &mut Report) {
    let cure = "delete it: `serve: approval` in a step adds it";
    let gates = template.find(&["spec", "readinessGates"]).into_iter().flat_map(Node::items);
    for gate in gates.filter(|gate| gate.get("conditionType").and_then(Node::text) == Some(SERVE)) {
        report.error(gate.at, format!("the readiness gate `{SERVE}` is the rollout's"), cure);
    }
    let label = template.find(&["metadata", "labels"]).and_then(|labels| labels.entry(SERVE));
    if let Some(label) = label {
        report.error(label.at, format!("the label `{SERVE}` is the rollout's"), cure);
    }
}

/// Checks that no lifecycle hook in the `spec` of a CloneSet names what is ours: nobody would take it off.
pub fn check_hooks(spec: &Node, report: &mut Report) {
    for hook in ["preDelete", "preNormal", "inPlaceUpdate"] {
        let label = spec.find(&["lifecycle", hook, "labelsHandler"]).and_then(|labels| labels.entry(SERVE));
        if let Some(label) = label {
            let message = format!("the label `{SERVE}` in `spec.lifecycle.{hook}` is the rollout's");
            report.error(
                label.at,
                message,
                "delete it: `serve: approval` in a step brings the hook that it takes",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_gated_once() {
        let mut template = json!({"spec": {"containers": [], "readinessGates": [{"conditionType": "a"}]}});
        assert!(!is_gated(&template));
        gate(&mut template);
        let once = template.clone();
        gate(&mut template);
        assert_eq!(template, once);
        assert!(is_gated(&template));
        assert_eq!(template["metadata"]["labels"][SERVE], SERVE_GATED);
        assert_eq!(template["spec"]["readinessGates"].as_array().unwrap().len(), 2);
    }
}
