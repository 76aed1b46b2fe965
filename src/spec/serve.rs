//! What `serve: approval` makes of a release, and what must fit together for it.

use serde_json::Value;

use crate::model::{Amount, Percent};
use crate::objects::Kind;
use crate::spec::cloneset::CloneSet;
use crate::spec::document::Accompanying;
use crate::spec::exchange::in_place;
use crate::spec::hook;
use crate::spec::node::Spot;
use crate::spec::release::{Step, Strategy};
use crate::spec::report::Report;
use crate::spec::strategy::WrittenStrategy;

/// Checks the CloneSet of a release whose pods serve by approval. Places of steps are known where the strategy stands in
/// the release itself (`inline`); else everything is told `at` its name.
pub fn check(strategy: &WrittenStrategy, inline: bool, at: Spot, cloneset: &CloneSet, report: &mut Report) {
    let steps = &strategy.strategy.steps;
    let Some(first) = steps.iter().position(Step::serves_by_approval) else { return };
    let place = |index: usize| strategy.steps_at.get(index).filter(|_| inline).copied().unwrap_or(at);
    let body = cloneset.body.open();
    let in_place = in_place(&body["spec"]["updateStrategy"]);
    let field = format!("spec.lifecycle.{}", hook::FIELD);
    if in_place.is_some() && body["spec"]["lifecycle"].get(hook::FIELD).is_some_and(|it| !it.is_null()) {
        let message = format!(
            "`{field}` of the CloneSet beside `serve: approval`: that hook is the rollout's, by which pods leave traffic \
             before they are updated in place"
        );
        report.error(place(first), message, format!("delete `{field}`, or write `type: ReCreate`"));
        return;
    }
    let Some(replicas) = cloneset.replicas else { return };
    let empty = (first..steps.len()).find(|index| {
        steps[*index].serves_by_approval() && replicas > 0 && dark(&strategy.strategy, *index, replicas) == 0
    });
    if let Some(index) = empty {
        let message = format!(
            "step {} has no pods of its own that could wait to serve: those of the next step wait for its approval",
            index + 1
        );
        report.warn(place(index), message, "write `serve: approval` at the steps that add pods");
    }
    let room = room(&body["spec"], replicas);
    let crowded = (0..steps.len()).find(|index| dark(&strategy.strategy, *index, replicas) > room);
    if let Some(index) = crowded {
        let dark = dark(&strategy.strategy, index, replicas);
        let message = format!(
            "step {} has {dark} pods that wait to serve, and maxUnavailable and maxSurge have room for {room}: \
             Kruise makes no more",
            index + 1
        );
        let cure = format!("write `{}: {dark}` in the CloneSet, or smaller steps", roomier(&body["spec"]));
        report.error(place(index), message, cure);
    }
}

/// The field of `updateStrategy` that makes room for more pods that wait: with InPlaceOnly Kruise refuses a `maxSurge`.
#[must_use]
pub fn roomier(spec: &Value) -> &'static str {
    match in_place(&spec["updateStrategy"]) {
        Some("InPlaceOnly") => "maxUnavailable",
        Some(_) | None => "maxSurge",
    }
}

/// Checks a companion of a release whose pods serve by approval.
pub fn check_service(companion: &Accompanying, report: &mut Report) {
    let publishes =
        || companion.body.open().pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true));
    if companion.kind == Kind::Service && publishes() {
        let message =
            "`publishNotReadyAddresses` lets pods serve that wait for an approval (`serve: approval`)";
        report.error(companion.at, message, "delete the line, or leave `serve: approval` out");
    }
}

/// Pods of the step at `index` that wait to serve at once, at `replicas` pods in all; 0 where they serve by themselves.
#[must_use]
pub fn dark(strategy: &Strategy, index: usize, replicas: u32) -> u32 {
    let Some(step) = strategy.steps.get(index).filter(|step| step.serves_by_approval()) else {
        return 0;
    };
    let before = strategy.steps[..index].iter().map(|step| step.replicas.step_pods(replicas)).max();
    step.replicas.step_pods(replicas).saturating_sub(before.unwrap_or(0))
}

/// Pods that need not be available while a CloneSet with this `spec` is updated: maxUnavailable and maxSurge as Kruise
/// counts them (Kruise, `sync/cloneset_sync_utils.go:calculateDiffsWithExpectation`).
#[must_use]
pub fn room(spec: &Value, replicas: u32) -> u32 {
    unavailable(spec, replicas).saturating_add(surge(spec, replicas))
}

/// Of `replicas`, those that may be missing while a CloneSet with this `spec` is updated: maxUnavailable alone.
#[must_use]
pub fn unavailable(spec: &Value, replicas: u32) -> u32 {
    let most = amount(spec, "maxUnavailable").or(Percent::whole(20).map(Amount::Percent));
    most.map_or(0, |it| it.scaled(replicas, surge(spec, replicas) == 0))
}

fn surge(spec: &Value, replicas: u32) -> u32 {
    amount(spec, "maxSurge").map_or(0, |surge| surge.scaled(replicas, true))
}

fn amount(spec: &Value, key: &str) -> Option<Amount> {
    serde_json::from_value(spec.pointer(&format!("/updateStrategy/{key}"))?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn there_is_room_for_what_kruise_lets_be_unavailable() {
        let room = |update: Value, replicas| room(&json!({ "updateStrategy": update }), replicas);
        assert_eq!((room(json!({}), 10), room(json!({}), 3)), (2, 1));
        assert_eq!(room(json!({"maxSurge": 1}), 4), 1, "with a surge a share is rounded down");
        assert_eq!(room(json!({"maxUnavailable": 0, "maxSurge": "50%"}), 5), 3);
        assert_eq!(room(json!({"maxUnavailable": 3, "maxSurge": 1}), 10), 4);
    }
}
