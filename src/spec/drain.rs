//! What `drain` makes of a release: every pod leaves traffic for that long before it is updated in place or deleted.
//!
//! Both by means that stand in the cluster and need no daemon to let go. Kruise takes a pod out of its Services for
//! `gracePeriodSeconds` before it changes an image (Kruise, `inplace_update.go:Refresh`). A pod that is deleted leaves its
//! Services at once (Kubernetes, `pkg/controller/endpointslice`: terminating is not ready), and a container that sleeps in its
//! `preStop` goes on answering meanwhile what still finds it (Kubernetes 1.30, `PodLifecycleSleepAction`; Kruise 1.8).
//! The sleep is part of the grace in which a pod has to end, so that one grows by it. A container whose image changes in
//! place is ended as one of a deleted pod is, `preStop` and all: in place a pod is drained twice, and out for both.
//!
//! **Invariant:** a container's own `preStop` stays as it is; a template that has been drained once does not change again.

use serde_json::{Value, json};

use crate::objects::Kind;
use crate::spec::cloneset::CloneSet;
use crate::spec::document::Accompanying;
use crate::spec::exchange::in_place;
use crate::spec::node::Spot;
use crate::spec::release::Strategy;
use crate::spec::report::{Report, quote};
use crate::spec::serve;
use crate::spec::strategy::WrittenStrategy;

/// Seconds in which a pod has to end, where its template does not say (Kubernetes, `core/v1` `PodSpec`).
const TERMINATION: u64 = 30;
/// Where Kruise reads how long a pod is out of traffic before it is updated in place.
const GRACE: &str = "/spec/updateStrategy/inPlaceUpdateStrategy/gracePeriodSeconds";

/// A container's own `preStop`.
fn own(container: &Value) -> Option<&Value> {
    container.pointer("/lifecycle/preStop").filter(|it| !it.is_null())
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten()
}

/// Whether a template stays as it is when it is drained: every container has a `preStop`.
#[must_use]
pub fn stands(template: &Value) -> bool {
    containers(template).all(|container| own(container).is_some())
}

/// Puts `drain` into a CloneSet. Containers beside it that end after all others (`restartPolicy` of an init container) need
/// no sleep of their own.
pub fn apply(cloneset: &mut Value, drain: u32) {
    if in_place(&cloneset["spec"]["updateStrategy"]).is_some() {
        set(
            cloneset,
            &["spec", "updateStrategy", "inPlaceUpdateStrategy", "gracePeriodSeconds"],
            drain.into(),
        );
    }
    let template = &mut cloneset["spec"]["template"];
    if stands(template) {
        return;
    }
    let containers = template.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten().filter(|container| own(container).is_none()) {
        set(container, &["lifecycle", "preStop"], json!({ "sleep": { "seconds": drain } }));
    }
    let grace = &template["spec"]["terminationGracePeriodSeconds"];
    if let Some(grace) = if grace.is_null() { Some(TERMINATION) } else { grace.as_u64() } {
        template["spec"]["terminationGracePeriodSeconds"] = grace.saturating_add(drain.into()).into();
    }
}

/// Sets the field at `path`; nothing where something on the way is neither absent nor a map, which the API server refuses.
fn set(value: &mut Value, path: &[&str], field: Value) {
    let [key, rest @ ..] = path else {
        *value = field;
        return;
    };
    if value.is_null() {
        *value = json!({});
    }
    if let Some(fields) = value.as_object_mut() {
        set(fields.entry(*key).or_insert(Value::Null), rest, field);
    }
}

/// Takes the wish for a drain out of a Release document: for a template that stands without it.
pub fn forget(release: &mut Value) {
    if let Some(strategy) = release.pointer_mut("/spec/strategy").and_then(Value::as_object_mut) {
        strategy.remove("drain");
    }
}

/// Checks the CloneSet of a release whose pods are drained. It is told at `drain` where the strategy stands in the release
/// itself (`inline`), else `at` its name.
pub fn check(strategy: &WrittenStrategy, inline: bool, at: Spot, cloneset: &CloneSet, report: &mut Report) {
    let Some(drain) = strategy.strategy.drain else { return };
    let at = strategy.drain_at.filter(|_| inline).unwrap_or(at);
    let body = cloneset.body.open();
    for (index, container) in containers(&body["spec"]["template"]).enumerate() {
        check_container(container, index, drain, at, report);
        check_grace(container, index, given(&body["spec"]["template"], drain), at, report);
    }
    if in_place(&body["spec"]["updateStrategy"]).is_none() {
        return;
    }
    let grace = body.pointer(GRACE).filter(|grace| !grace.is_null() && **grace != drain);
    if let Some(grace) = grace {
        let message = format!(
            "`drain` is {drain}s, and the CloneSet's `inPlaceUpdateStrategy.gracePeriodSeconds` is {}: both say how long a pod waits",
            quote(&grace.to_string())
        );
        report.error(at, message, "delete `gracePeriodSeconds`: `drain` writes it");
    }
    let deadline = strategy.strategy.deadline;
    let out = drain.saturating_mul(2);
    if out >= deadline {
        let message = format!(
            "in place a pod is out for twice its `drain`, {out}s here, and a step has failed after {deadline}s: none could be reached"
        );
        report.error(at, message, "write a shorter `drain`, or a longer `deadline`");
    } else if let Some(late) = cloneset.replicas.and_then(|it| late(&strategy.strategy, out, &body, it)) {
        let message = match late {
            Late::Step(step, rounds) => format!(
                "step {step} takes {rounds} rounds of pods in place, each out for {out}s (twice its `drain`), and has failed after {deadline}s"
            ),
            Late::Back(step, rounds) => format!(
                "the way back from step {step} takes {rounds} rounds of pods in place, each out for {out}s (twice its `drain`): {}s, and a step has failed after {deadline}s",
                rounds.saturating_mul(out)
            ),
        };
        report.warn(at, message, "write a longer `deadline`, smaller steps, or a larger `maxUnavailable`");
    }
}

/// What takes the deadline of a step or longer, and how many rounds of pods it takes.
enum Late {
    /// This step.
    Step(usize, u32),
    /// The way back of all pods of this step.
    Back(usize, u32),
}

/// The first step whose pods cannot all be through before its deadline; else the way back of the last step but one, which
/// most pods are on that a failure can find. Each pod is `out` for so many seconds.
fn late(strategy: &Strategy, out: u32, cloneset: &Value, replicas: u32) -> Option<Late> {
    let room = serve::room(&cloneset["spec"], replicas).max(1);
    let is_late = |rounds: u32| rounds.saturating_mul(out) >= strategy.deadline;
    let pods: Vec<u32> = strategy.steps.iter().map(|step| step.replicas.step_pods(replicas)).collect();
    let mut before = 0;
    let forward = pods.iter().enumerate().find_map(|(index, pods)| {
        let rounds = pods.saturating_sub(before).div_ceil(room);
        before = before.max(*pods);
        is_late(rounds).then_some(Late::Step(index + 1, rounds))
    });
    let last = pods.len().saturating_sub(1);
    let back = || {
        let rounds = pods[..last].last()?.div_ceil(room);
        is_late(rounds).then_some(Late::Back(last, rounds))
    };
    forward.or_else(back)
}

/// A container with a `preStop` of its own does not sleep in ours: it has to wait by itself.
fn check_container(container: &Value, index: usize, drain: u32, at: Spot, report: &mut Report) {
    let Some(own) = own(container) else { return };
    let name = container["name"].as_str().map(quote).unwrap_or_default();
    let field = format!("spec.template.spec.containers[{index}].lifecycle.preStop");
    match own.pointer("/sleep/seconds").map(Value::as_u64) {
        Some(Some(seconds)) if seconds >= u64::from(drain) => {}
        Some(Some(seconds)) => {
            let message = format!(
                "container `{name}` sleeps {seconds}s in a preStop of its own (`{field}`), and `drain` is {drain}s"
            );
            let cure = format!(
                "delete it: `drain` writes one, or write `seconds: {drain}` and a longer `terminationGracePeriodSeconds`"
            );
            report.error(at, message, cure);
        }
        Some(None) | None => {
            let message = format!(
                "container `{name}` has a preStop of its own (`{field}`), which stays as it is: deleted, the pod is drained only as long as that takes"
            );
            report.warn(at, message, format!("let it wait {drain}s, or delete it: `drain` writes one"));
        }
    }
}

/// Seconds in which a pod has to end, as they are applied.
fn given(template: &Value, drain: u32) -> Option<u64> {
    let grace = &template["spec"]["terminationGracePeriodSeconds"];
    let grace = if grace.is_null() { Some(TERMINATION) } else { grace.as_u64() }?;
    Some(if stands(template) { grace } else { grace.saturating_add(drain.into()) })
}

/// A container that sleeps for as long as its pod is `given` to end is killed out of its sleep; one that would sleep longer
/// the API server refuses (Kubernetes, `validation.go:validateSleepAction`).
fn check_grace(container: &Value, index: usize, given: Option<u64>, at: Spot, report: &mut Report) {
    let own = own(container).and_then(|it| it.pointer("/sleep/seconds")?.as_u64());
    let Some((seconds, given)) = own.zip(given).filter(|(seconds, given)| seconds >= given) else { return };
    let name = container["name"].as_str().map(quote).unwrap_or_default();
    let field = format!("spec.template.spec.containers[{index}].lifecycle.preStop");
    let sleeps = format!(
        "container `{name}` sleeps {seconds}s in a preStop of its own (`{field}`), and its pod is given {given}s to end"
    );
    let cure = format!(
        "write a `terminationGracePeriodSeconds` that leaves time after the {seconds}s, or a shorter sleep"
    );
    if seconds > given {
        report.error(at, format!("{sleeps}: the API server refuses it"), cure);
    } else {
        report.warn(at, format!("{sleeps}: no time is left to end in"), cure);
    }
}

/// Checks a companion of a release whose pods are drained.
pub fn check_service(companion: &Accompanying, report: &mut Report) {
    let publishes =
        || companion.body.open().pointer("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true));
    if companion.kind == Kind::Service && publishes() {
        let message = "`publishNotReadyAddresses` leaves pods in traffic that are drained (`drain`)";
        report.warn(
            companion.at,
            message,
            "delete the line, unless its clients look for themselves who answers",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(kind: &str, pod: Value) -> Value {
        let mut cloneset = json!({"spec": {"updateStrategy": {"type": kind}, "template": {"spec": pod}}});
        apply(&mut cloneset, 20);
        let once = cloneset.clone();
        apply(&mut cloneset, 20);
        assert_eq!(cloneset, once, "a template is drained once");
        cloneset
    }

    #[test]
    fn each_container_without_a_prestop_sleeps_and_the_pod_has_that_much_longer_to_end() {
        let pod = json!({"containers": [
            {"name": "app"},
            {"name": "own", "lifecycle": {"preStop": {"exec": {"command": ["quit"]}}}},
            {"name": "log", "lifecycle": {"postStart": {"exec": {"command": ["begin"]}}}},
        ]});
        let out = drained("ReCreate", pod);
        let spec = &out["spec"]["template"]["spec"];
        let sleep = json!({"sleep": {"seconds": 20}});
        assert_eq!(spec["containers"][0]["lifecycle"], json!({"preStop": sleep}));
        assert_eq!(spec["containers"][1]["lifecycle"], json!({"preStop": {"exec": {"command": ["quit"]}}}));
        assert_eq!(spec["containers"][2]["lifecycle"]["preStop"], sleep);
        assert!(spec["containers"][2]["lifecycle"]["postStart"].is_object());
        assert_eq!(spec["terminationGracePeriodSeconds"], 50);
        assert_eq!(out.pointer(GRACE), None, "nothing is updated in place");
        let written = drained("ReCreate", json!({"containers": [{}], "terminationGracePeriodSeconds": 5}));
        assert_eq!(written["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 25);
    }

    #[test]
    fn what_is_updated_in_place_waits_as_long_and_a_template_with_its_own_words_stays() {
        let own = json!({"containers": [{"lifecycle": {"preStop": {"sleep": {"seconds": 60}}}}]});
        let out = drained("InPlaceOnly", own.clone());
        assert_eq!(out["spec"]["template"]["spec"], own);
        assert_eq!(out.pointer(GRACE), Some(&json!(20)));
    }
}
