//! The lifecycle hook by which Kruise asks before it updates a pod in place, where pods serve by approval.
//!
//! A pod that is updated in place keeps its conditions: one that serves would go on serving, with a version that nobody has
//! let in yet. So the CloneSet of an unproven release has the hook `inPlaceUpdate` (Kruise, `apis/apps/pub/lifecycle.go`).
//! It keeps every pod with the label that comes with our gate, until that has another value; the pod serves meanwhile.
//!
//! **Invariant:** it belongs to the rollout, as the partition does. A proven release has none: nothing that goes back to it
//! waits for us.

use serde_json::{Value, json};

use crate::objects::keys::{SERVE, SERVE_GATED};
use crate::spec::exchange::in_place;
use crate::spec::release::Release;

/// Seconds that a pod is out of traffic before its containers change, where neither `drain` nor the CloneSet says so:
/// EndpointSlices and those who read them follow a pod that leaves, and do so later (Kubernetes, "EndpointSlices"; seen: up
/// to seconds where much happens at once). Until then what they lead to is still the old version.
const LEAVING: u32 = 5;

/// The field of `spec.lifecycle` that it stands in.
pub const FIELD: &str = "inPlaceUpdate";

impl Release {
    /// Whether Kruise is to ask before it updates a pod in place: its pods serve by approval, and may be updated so.
    #[must_use]
    pub fn asks_first(&self) -> bool {
        self.strategy.is_gated() && in_place(&self.cloneset.value.open()["spec"]["updateStrategy"]).is_some()
    }
}

/// Gives the pods of a CloneSet that are updated in place the time to leave, where its own words give none.
pub fn give_time(cloneset: &mut Value) {
    let Some(update) = cloneset.pointer_mut("/spec/updateStrategy").filter(|it| in_place(it).is_some())
    else {
        return;
    };
    if !update["inPlaceUpdateStrategy"].is_object() {
        update["inPlaceUpdateStrategy"] = json!({});
    }
    let own = &mut update["inPlaceUpdateStrategy"]["gracePeriodSeconds"];
    if own.is_null() {
        *own = LEAVING.into();
    }
}

/// Puts it into the `spec` of a CloneSet.
pub fn put_in(spec: &mut Value) {
    if !spec["lifecycle"].is_object() {
        spec["lifecycle"] = json!({});
    }
    spec["lifecycle"][FIELD] = json!({"labelsHandler": {SERVE: SERVE_GATED}});
}

/// Takes it out of the `spec` of a CloneSet; any other stays.
pub fn take_out(spec: &mut Value) {
    if !is_in(spec) {
        return;
    }
    let Some(fields) = spec.as_object_mut() else { return };
    let is_empty = fields.get_mut("lifecycle").and_then(Value::as_object_mut).is_some_and(|hooks| {
        hooks.remove(FIELD);
        hooks.is_empty()
    });
    if is_empty {
        fields.remove("lifecycle");
    }
}

/// Whether the `spec` of a CloneSet has it.
#[must_use]
pub fn is_in(spec: &Value) -> bool {
    spec.get("lifecycle")
        .and_then(|it| it.get(FIELD)?.get("labelsHandler")?.get(SERVE))
        .is_some_and(|value| value == SERVE_GATED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_have_time_to_leave_unless_their_cloneset_has_words_of_its_own() {
        let given = |update: Value| {
            let mut cloneset = json!({"spec": {"updateStrategy": update}});
            give_time(&mut cloneset);
            cloneset["spec"]["updateStrategy"]["inPlaceUpdateStrategy"]["gracePeriodSeconds"].clone()
        };
        assert_eq!(given(json!({"type": "InPlaceOnly"})), 5);
        let own = |seconds: u32| json!({"type": "InPlaceIfPossible", "inPlaceUpdateStrategy": {"gracePeriodSeconds": seconds}});
        assert_eq!((given(own(0)), given(own(9))), (json!(0), json!(9)));
        assert_eq!(given(json!({"type": "ReCreate"})), Value::Null);
        let mut silent = json!({"spec": {"replicas": 1}});
        give_time(&mut silent);
        assert_eq!(silent, json!({"spec": {"replicas": 1}}));
    }

    #[test]
    fn it_goes_as_it_came_and_leaves_every_other() {
        for before in [json!({}), json!({"lifecycle": {"preDelete": {"labelsHandler": {"a": "b"}}}})] {
            let mut spec = before.clone();
            put_in(&mut spec);
            assert!(is_in(&spec));
            take_out(&mut spec);
            assert_eq!(spec, before);
        }
        let mut other = json!({"lifecycle": {"inPlaceUpdate": {"labelsHandler": {"a": "b"}}}});
        let before = other.clone();
        take_out(&mut other);
        assert_eq!(other, before);
    }
}
