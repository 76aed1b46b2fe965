//! Pods that have our readiness gate, and what is written of one.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use crate::objects::keys::{SERVE, SERVE_UPDATING};
use crate::objects::{Kind, ObjectKey};
use crate::plan::facts::Facts;
use crate::world::{Action, Expect, PodLive, Write};

/// Most pods that one move lets in, lets go, or puts under the hook again, one write each: the next lap has the others, and a
/// rollback waits for these at most.
pub const WRITES_MAX: usize = 8;

impl Facts<'_> {
    /// The pods with our gate that this CloneSet has; `None` where they were not listed.
    pub fn gated_pods(&self) -> Option<impl Iterator<Item = &PodLive>> {
        Some(self.case.pods.as_ref()?.iter().filter(|pod| !pod.ending))
    }
}

/// The write of what is ours on a pod, as it was seen: whether it serves, and the label by which a hook keeps it.
#[must_use]
pub fn write(facts: &Facts<'_>, pod: &PodLive, label: &str, serves: bool, forward: bool) -> Write {
    let now = Timestamp::from_second(facts.now().as_second()).unwrap_or(facts.now());
    let reason = match (serves, label == SERVE_UPDATING) {
        (true, _) => "LetIn",
        (false, true) => "UpdatedInPlace",
        (false, false) => "Waits",
    };
    let condition = json!({
        "type": SERVE, "status": if serves { "True" } else { "False" }, "lastTransitionTime": now.to_string(),
        "reason": reason,
    });
    let body = json!({"metadata": {"labels": {SERVE: label}}, "status": {"conditions": [condition]}});
    let object = ObjectKey { kind: Kind::Pod, namespace: facts.id.namespace.clone(), name: pod.name.clone() };
    let expect = Expect::Same(pod.uid.clone(), pod.version.clone());
    Write { object, action: Action::Apply { body: Arc::new(body), expect }, forward }
}
