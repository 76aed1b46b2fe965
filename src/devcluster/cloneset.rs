//! A CloneSet as the controller reads it: the fields that its decisions use, beside the untouched document.

use serde_json::Value;

use crate::devcluster::json::{Body, items, strings, text};
use crate::devcluster::rounding::IntOrString;

/// The resource's name in the store.
pub const CLONESETS: &str = "clonesets.apps.kruise.io";
/// What owner references say.
pub const API_VERSION: &str = "apps.kruise.io/v1alpha1";
/// Leaves pods in PreparingDelete out of the count when scaling (`apis/apps/v1alpha1/cloneset_types.go`).
const EXCLUDE_PREPARING_DELETE: &str = "apps.kruise.io/cloneset-scaling-exclude-preparing-delete";

/// How pods move to a new revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Deleted, then made anew.
    ReCreate,
    /// Containers restarted in their pods where the change allows it, else as `ReCreate`.
    InPlaceIfPossible,
    /// In place or not at all.
    InPlaceOnly,
}

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<(String, String)>,
    /// Key, operator, values.
    expressions: Vec<(String, String, Vec<String>)>,
}

impl Selector {
    /// Reads `matchLabels` and `matchExpressions`.
    #[must_use]
    pub fn read(value: &Value) -> Selector {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let expressions = items(value, "/matchExpressions").map(|expression| {
            let values = items(expression, "/values").filter_map(Value::as_str).map(str::to_owned).collect();
            (text(expression, "/key").to_owned(), text(expression, "/operator").to_owned(), values)
        });
        Selector {
            labels: strings(value, "/matchLabels").map(owned).collect(),
            expressions: expressions.collect(),
        }
    }

    /// Whether it selects nothing in particular.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.expressions.is_empty()
    }

    /// Whether an object with these labels (a JSON map) is selected.
    #[must_use]
    pub fn matches(&self, labels: Option<&Value>) -> bool {
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        self.labels.iter().all(|(key, value)| label(key) == Some(value))
            && self.expressions.iter().all(|(key, operator, values)| {
                let listed = label(key).is_some_and(|value| values.iter().any(|one| one == value));
                match operator.as_str() {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => label(key).is_some(),
                    _does_not_exist => label(key).is_none(),
                }
            })
    }

    /// The selector on one line, as `labels.Selector.String()` writes it for `status.labelSelector`.
    #[must_use]
    pub fn line(&self) -> String {
        let labels = self.labels.iter().map(|(key, value)| (key, format!("{key}={value}")));
        let expressions = self.expressions.iter().map(|(key, operator, values)| {
            let values = values.join(",");
            let line = match operator.as_str() {
                "In" => format!("{key} in ({values})"),
                "NotIn" => format!("{key} notin ({values})"),
                "Exists" => key.clone(),
                _does_not_exist => format!("!{key}"),
            };
            (key, line)
        });
        let mut lines: Vec<(&String, String)> = labels.chain(expressions).collect();
        lines.sort();
        lines.into_iter().map(|(_key, line)| line).collect::<Vec<_>>().join(",")
    }
}

/// A hook of `spec.lifecycle`: labels and finalizers by which someone holds a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    /// `labelsHandler`.
    pub labels: Vec<(String, String)>,
    /// `finalizersHandler`.
    pub finalizers: Vec<String>,
    /// `markPodNotReady`.
    pub mark_not_ready: bool,
}

impl Hook {
    fn read(value: Option<&Value>) -> Option<Hook> {
        let value = value.filter(|value| value.is_object())?;
        Some(Hook {
            labels: strings(value, "/labelsHandler").map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            finalizers: items(value, "/finalizersHandler")
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            mark_not_ready: value["markPodNotReady"] == true,
        })
    }
}

/// `spec`, with the defaults that the controller falls back to.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Pods wanted.
    pub replicas: i64,
    /// Which pods are its own, besides ownership.
    pub selector: Selector,
    /// `updateStrategy.type`.
    pub method: Method,
    /// Pods to keep on the old revision.
    pub partition: Option<IntOrString>,
    /// Absent is 20 %.
    pub max_unavailable: IntOrString,
    /// Absent is none.
    pub max_surge: Option<IntOrString>,
    /// Stops updates, not scaling.
    pub paused: bool,
    /// Seconds between leaving the endpoints and the restart in place.
    pub grace_seconds: i64,
    /// Seconds ready before available.
    pub min_ready_seconds: i64,
    /// Old revisions kept.
    pub history_limit: usize,
    /// `scaleStrategy.maxUnavailable`: limits scale-up only.
    pub scale_max_unavailable: Option<IntOrString>,
    /// `scaleStrategy.podsToDelete`.
    pub pods_to_delete: Vec<String>,
    /// `lifecycle.preNormal`.
    pub pre_normal: Option<Hook>,
    /// `lifecycle.inPlaceUpdate`.
    pub in_place_update: Option<Hook>,
    /// `lifecycle.preDelete`.
    pub pre_delete: Option<Hook>,
    /// Whether `lifecycle` is there at all.
    pub has_lifecycle: bool,
    /// `priorityStrategy.weightPriority`.
    pub weights: Vec<(i64, Selector)>,
    /// `priorityStrategy.orderPriority`: keys of labels that end in a number.
    pub order_keys: Vec<String>,
    /// A label of the object: pods in PreparingDelete do not count when scaling.
    pub exclude_preparing_delete: bool,
}

/// A CloneSet.
#[derive(Clone, Debug)]
pub struct CloneSet {
    /// The whole document.
    pub body: Body,
    /// What the controller reads of `spec`.
    pub spec: Spec,
}

impl CloneSet {
    /// Reads a document. Nothing is refused: what is missing has Kruise's default.
    #[must_use]
    pub fn read(body: impl Into<Body>) -> CloneSet {
        let body = body.into();
        let spec = Spec::read(&body);
        CloneSet { body, spec }
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.body, "/metadata/name")
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        text(&self.body, "/metadata/namespace")
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> &str {
        text(&self.body, "/metadata/uid")
    }

    /// `metadata.generation`.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.body["metadata"]["generation"].as_i64().unwrap_or(0)
    }

    /// Whether it is being deleted (it waits for finalizers).
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        !text(&self.body, "/metadata/deletionTimestamp").is_empty()
    }

    /// `spec.template`.
    #[must_use]
    pub fn template(&self) -> &Value {
        &self.body["spec"]["template"]
    }
}

impl Spec {
    fn read(body: &Value) -> Spec {
        let (spec, strategy) = (&body["spec"], &body["spec"]["updateStrategy"]);
        let hook = |name: &str| Hook::read(spec.pointer(&format!("/lifecycle/{name}")));
        let weight =
            |term: &Value| (term["weight"].as_i64().unwrap_or(0), Selector::read(&term["matchSelector"]));
        let default_unavailable = || IntOrString::Text("20%".to_owned());
        let names =
            |pointer: &str| items(spec, pointer).filter_map(Value::as_str).map(str::to_owned).collect();
        let order_key = |term: &Value| text(term, "/orderedKey").to_owned();
        Spec {
            replicas: spec["replicas"].as_i64().unwrap_or(1),
            selector: Selector::read(&spec["selector"]),
            method: match text(strategy, "/type") {
                "InPlaceIfPossible" => Method::InPlaceIfPossible,
                "InPlaceOnly" => Method::InPlaceOnly,
                _recreate => Method::ReCreate,
            },
            partition: IntOrString::read(strategy.get("partition")),
            max_unavailable: IntOrString::read(strategy.get("maxUnavailable"))
                .unwrap_or_else(default_unavailable),
            max_surge: IntOrString::read(strategy.get("maxSurge")),
            paused: strategy["paused"] == true,
            grace_seconds: strategy["inPlaceUpdateStrategy"]["gracePeriodSeconds"].as_i64().unwrap_or(0),
            min_ready_seconds: spec["minReadySeconds"].as_i64().unwrap_or(0),
            history_limit: spec["revisionHistoryLimit"].as_u64().map_or(10, |limit| limit as usize),
            scale_max_unavailable: IntOrString::read(spec.pointer("/scaleStrategy/maxUnavailable")),
            pods_to_delete: names("/scaleStrategy/podsToDelete"),
            pre_normal: hook("preNormal"),
            in_place_update: hook("inPlaceUpdate"),
            pre_delete: hook("preDelete"),
            has_lifecycle: spec["lifecycle"].is_object(),
            weights: items(strategy, "/priorityStrategy/weightPriority").map(weight).collect(),
            order_keys: items(strategy, "/priorityStrategy/orderPriority").map(order_key).collect(),
            exclude_preparing_delete: body["metadata"]["labels"][EXCLUDE_PREPARING_DELETE] == "true",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_match_and_read_as_one_line() {
        let selector = Selector::read(&json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "canary", "operator": "DoesNotExist"}],
        }));
        assert!(selector.matches(Some(&json!({"app": "web", "tier": "b"}))));
        assert!(!selector.matches(Some(&json!({"app": "web", "tier": "b", "canary": "1"}))));
        assert!(!selector.matches(Some(&json!({"app": "web"}))));
        assert_eq!(selector.line(), "app=web,!canary,tier in (a,b)");
        assert_eq!(Selector::read(&json!({"matchLabels": {"app": "web"}})).line(), "app=web");
    }

    #[test]
    fn a_bare_spec_has_the_defaults_of_the_controller() {
        let set = CloneSet::read(json!({"metadata": {"name": "web", "generation": 3}, "spec": {}}));
        assert_eq!((set.name(), set.generation(), set.spec.replicas), ("web", 3, 1));
        assert_eq!(set.spec.method, Method::ReCreate);
        assert_eq!(set.spec.max_unavailable, IntOrString::Text("20%".to_owned()));
        assert_eq!(set.spec.history_limit, 10);
    }
}
