//! The validating webhook of CloneSets (`vcloneset.kb.io`, `pkg/webhook/cloneset/validating/validation.go`) and what
//! the custom resource definition says itself, with the recorded sentences.
//!
//! Of the checks of a pod template only the first ones that people run into are here: labels, restart policy,
//! containers with name and image.

use serde_json::Value;

use crate::devcluster::cloneset::{CloneSet, Method, Selector};
use crate::devcluster::json::{differences, items, strings, text};
use crate::devcluster::rounding::{IntOrString, scaled_whole, scaled_with_decimals};

/// The fields of `spec` that an update may touch.
const MUTABLE: [&str; 8] = [
    "replicas",
    "template",
    "lifecycle",
    "scaleStrategy",
    "updateStrategy",
    "minReadySeconds",
    "volumeClaimTemplates",
    "revisionHistoryLimit",
];

/// What the definition refuses: path and sentence of each. Checked after defaulting, before the webhook.
#[must_use]
pub fn check_schema(body: &Value) -> Option<(&'static str, String)> {
    let spec = &body["spec"];
    if !spec["selector"].is_object() {
        let sentence = r#"Invalid value: "null": spec.selector in body must be of type object: "null""#;
        return Some(("spec.selector", sentence.to_owned()));
    }
    let replicas = spec["replicas"].as_i64().filter(|replicas| *replicas < 0)?;
    Some((".spec.replicas", format!("Invalid value: {replicas}: should be a non-negative integer")))
}

/// The webhook's name, as refusals say it.
pub const WEBHOOK: &str = "vcloneset.kb.io";

/// What the webhook refuses; `old` on update, `has_pod` whether a pod of that name is there.
///
/// # Errors
/// The sentence, which the API puts behind the webhook's name.
pub fn check(new: &Value, old: Option<&Value>, has_pod: &dyn Fn(&str) -> bool) -> Result<(), String> {
    let mut errors = Vec::new();
    if let Some(old) = old {
        check_change(new, old, &mut errors);
    }
    check_spec(new, old, has_pod, &mut errors);
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

fn check_change(new: &Value, old: &Value, errors: &mut Vec<String>) {
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !MUTABLE.contains(&field.as_str()));
        }
        spec
    };
    if fixed(&new["spec"]) != fixed(&old["spec"]) {
        errors.push(
            "spec: Forbidden: updates to cloneset spec for fields other than 'replicas', 'template', \
             'lifecycle', 'scaleStrategy', 'updateStrategy', 'minReadySeconds', 'volumeClaimTemplates' and \
             'revisionHistoryLimit' are forbidden"
                .to_owned(),
        );
    }
    if CloneSet::read(new.clone()).spec.method == Method::InPlaceOnly {
        let ops = differences(&old["spec"]["template"]["spec"], &new["spec"]["template"]["spec"]);
        let is_image = |path: &str| path.starts_with("/containers/") && path.ends_with("/image");
        if let Some(op) = ops.iter().find(|op| op.op != "replace" || !is_image(&op.path)) {
            let found = format!("{} {}", op.op, op.path);
            errors.push(format!(
                "spec: Forbidden: only allowed to update images in spec for InPlaceOnly, but found {found}"
            ));
        }
    }
}

fn check_spec(new: &Value, old: Option<&Value>, has_pod: &dyn Fn(&str) -> bool, errors: &mut Vec<String>) {
    let spec = &new["spec"];
    let selector = Selector::read(&spec["selector"]);
    let labels = spec.pointer("/template/metadata/labels");
    if selector.is_empty() {
        let sentence = "empty selector is not valid for cloneset.";
        errors.push(format!("spec.selector: Invalid value: v1.LabelSelector{{}}: {sentence}"));
    } else if !selector.matches(labels) {
        let printed: Vec<String> = strings(spec, "/template/metadata/labels")
            .map(|(key, value)| format!("{key:?}:{value:?}"))
            .collect();
        errors.push(format!(
            "spec.template.metadata.labels: Invalid value: map[string]string{{{}}}: `selector` does not match template `labels`",
            printed.join(", ")
        ));
    }
    check_pod_spec(&spec["template"]["spec"], errors);
    check_pods_to_delete(new, old, has_pod, errors);
    check_strategy(&spec["updateStrategy"], spec["replicas"].as_i64().unwrap_or(1), errors);
}

fn check_pod_spec(spec: &Value, errors: &mut Vec<String>) {
    let at = "spec.template.spec";
    if items(spec, "/containers").next().is_none() {
        errors.push(format!("{at}.containers: Required value"));
    }
    for (index, container) in items(spec, "/containers").enumerate() {
        for field in ["name", "image"] {
            if text(container, &format!("/{field}")).is_empty() {
                errors.push(format!("{at}.containers[{index}].{field}: Required value"));
            }
        }
    }
    let policy = text(spec, "/restartPolicy");
    if policy != "Always" {
        errors
            .push(format!("{at}.restartPolicy: Unsupported value: {policy:?}: supported values: \"Always\""));
    }
    if !spec["activeDeadlineSeconds"].is_null() {
        errors.push(format!(
            "{at}.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in cloneset is not Supported"
        ));
    }
}

fn check_pods_to_delete(
    new: &Value,
    old: Option<&Value>,
    has_pod: &dyn Fn(&str) -> bool,
    errors: &mut Vec<String>,
) {
    let names = |body: &Value| -> Vec<String> {
        items(body, "/spec/scaleStrategy/podsToDelete").filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let listed = names(new);
    let twice: Vec<&str> = (0..listed.len())
        .filter(|index| listed[..*index].contains(&listed[*index]))
        .map(|index| listed[index].as_str())
        .collect();
    let at = "spec.scaleStrategy.podsToDelete: Invalid value";
    if !twice.is_empty() {
        let printed: Vec<String> = listed.iter().map(|name| format!("{name:?}")).collect();
        let printed = printed.join(", ");
        errors.push(format!("{at}: []string{{{printed}}}: duplicated items [{}]", twice.join(" ")));
        return;
    }
    let known = old.map(names).unwrap_or_default();
    for name in listed.iter().filter(|name| !known.contains(name) && !has_pod(name)) {
        errors.push(format!("{at}: {name:?}: find pod {name} failed: Pod {name:?} not found"));
    }
}

fn check_strategy(strategy: &Value, replicas: i64, errors: &mut Vec<String>) {
    let at = "spec.updateStrategy";
    let method = text(strategy, "/type");
    if !matches!(method, "ReCreate" | "InPlaceIfPossible" | "InPlaceOnly") {
        errors.push(format!(
            "{at}.type: Invalid value: {method:?}: must be 'ReCreate', InPlaceIfPossible or 'InPlaceOnly'"
        ));
    }
    let amount = |field: &str| IntOrString::read(strategy.get(field)).unwrap_or(IntOrString::Int(0));
    let refused = |field: &str, amount: &IntOrString, error: &str| {
        let value = amount.text();
        format!(
            "{at}.{field}: Invalid value: {value:?}: failed getValueFromIntOrPercent for {field}: {error}"
        )
    };
    let partition = amount("partition");
    match scaled_with_decimals(&partition, replicas) {
        Ok(pods) if pods < 0 => {
            errors.push(format!("{at}.partition: Invalid value: {pods}: must be greater than or equal to 0"));
        }
        Ok(_) => {}
        Err(error) => errors.push(refused("partition", &partition, &error)),
    }
    let (max_unavailable, max_surge) = (amount("maxUnavailable"), amount("maxSurge"));
    let mut pods = |field: &str, amount: &IntOrString| {
        scaled_whole(amount, replicas, true).unwrap_or_else(|error| {
            errors.push(refused(field, amount, &error));
            0
        })
    };
    let unavailable = pods("maxUnavailable", &max_unavailable);
    let surge = pods("maxSurge", &max_surge);
    if replicas > 0 && unavailable < 1 && surge < 1 {
        errors.push(format!(
            "{at}.maxUnavailable: Invalid value: {}: maxUnavailable and maxSurge should not both be less than 1",
            max_unavailable.go_syntax()
        ));
    }
    if method == "InPlaceOnly" && surge > 0 {
        let value = max_surge.text();
        errors.push(format!(
            "{at}.maxSurge: Invalid value: {value:?}: can not use maxSurge with strategy type InPlaceOnly"
        ));
    }
}
