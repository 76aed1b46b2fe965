//! The health of pods on a real control plane, beyond what its kubelets do: images that crash, and slow ones.
//!
//! Kubelets start containers and make pods ready once all readiness gates are open. Here one gate, Kruise's own, is
//! closed for pods that crash, and for slow ones until the daemon's clock has gone on so far. Kruise opens it once, for a
//! new pod; closed early, it leaves the kubelet nothing to take back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use triton::devcluster::{Object, Store};
use triton::objects::kind::Api;

use crate::scenario::ground::{CLONESETS, PODS};
use crate::scenario::news::api_of;
use crate::scenario::observer::tag;

/// The gate that Kruise gives to every pod.
const GATE: &str = "KruisePodReady";
/// What Kruise notes on a pod that leaves before it is updated in place (`pkg/util/inplaceupdate`).
const GRACE: &str = "apps.kruise.io/inplace-update-grace";
/// Only so that a sleep has an end.
const IDLE: Duration = Duration::from_secs(3_600);

/// Who looks after the pods. Clones are the same.
#[derive(Clone)]
pub struct Health {
    store: Store,
    client: Client,
    state: Arc<Mutex<State>>,
    turned: Arc<Notify>,
}

#[derive(Default)]
struct State {
    crashing: BTreeSet<String>,
    slow: BTreeMap<String, Duration>,
    /// Pods that were up when it was said what is slow, by uid and image.
    up: BTreeSet<(String, String)>,
    /// Until when a pod is held back, by its uid and image.
    held: BTreeMap<(String, String), Instant>,
}

impl State {
    /// Whether the containers of a pod that runs are well.
    fn is_well(&self, pod: &Object) -> bool {
        let (tag, held) = (tag(pod), self.held.get(&key(pod)));
        !tag.contains("bad")
            && !tag.split('+').any(|part| self.crashing.contains(part))
            && held.is_none_or(|until| *until <= Instant::now())
    }
}

impl Health {
    /// Looks after the pods of a picture through this client.
    pub fn new(store: Store, client: Client) -> Self {
        Self { store, client, state: Arc::default(), turned: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Containers of this tag crash, or run again.
    pub fn crash(&self, image: &str, crashes: bool) {
        match crashes {
            true => drop(self.state().crashing.insert(image.to_owned())),
            false => drop(self.state().crashing.remove(image)),
        }
        self.turned.notify_one();
    }

    /// Pods of these tags take so much longer to come up.
    /// Those that are on their way begin anew.
    pub fn slow(&self, images: &BTreeMap<String, Duration>) {
        let mut state = self.state();
        state.slow.extend(images.iter().map(|(tag, span)| (tag.clone(), *span)));
        state.held.retain(|(_, tag), _| !images.contains_key(tag));
        let is_up = |pod: &&Object| runs(pod) && is_true(pod, "Ready");
        state.up = self.store.list(PODS, None).iter().filter(is_up).map(key).collect();
        drop(state);
        self.turned.notify_one();
    }

    /// Looks after them for ever.
    pub async fn tend(self) {
        let pods = Api { group: "", version: "v1", plural: "pods", kind: "Pod" };
        let pods = api_of(&self.client, &pods);
        let mut changes = self.store.changes();
        loop {
            let due = self.due().into_iter().map(|(name, patch)| {
                let pods = &pods;
                async move {
                    let patch = Patch::Strategic(patch);
                    // One that is gone needs no care, and what failed is seen again.
                    if let Err(error) = pods.patch_status(&name, &PatchParams::default(), &patch).await {
                        eprintln!("pod {name} was not told of its health: {error}");
                    }
                }
            });
            futures::future::join_all(due).await;
            let next = self.state().held.values().copied().filter(|at| *at > Instant::now()).min();
            tokio::select! {
                biased;
                changed = changes.changed() => if changed.is_err() { return },
                () = self.turned.notified() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(|| Instant::now() + IDLE)) => {}
            }
        }
    }

    /// What has to be said of which pod.
    fn due(&self) -> Vec<(String, Value)> {
        let mut state = self.state();
        let mut due = Vec::new();
        let pods = self.store.list(PODS, None);
        // One that runs something else now, and this again one day, comes up anew.
        let runs_still =
            |(uid, image): &(String, String)| pods.iter().any(|pod| pod.uid() == uid && tag(pod) == *image);
        state.held.retain(|pod, _| runs_still(pod));
        for pod in pods.iter().filter(|pod| is_meant_to_run(pod)) {
            if let Some(span) = state.slow.get(&tag(pod)).copied()
                && !span.is_zero()
                && !state.up.contains(&key(pod))
            {
                state.held.entry(key(pod)).or_insert_with(|| Instant::now() + span);
            }
            let well = state.is_well(pod);
            if let Some(gate) = condition(pod, GATE)
                && well != (gate["status"] == "True")
                && (well || !pod["spec"]["containers"][0]["image"].as_str().is_some_and(is_bad))
            {
                let status = if well { "True" } else { "False" };
                let at = &gate["lastTransitionTime"];
                let gate = json!({ "type": GATE, "status": status, "lastTransitionTime": at });
                due.push((pod.name().to_owned(), json!({ "status": { "conditions": [gate] } })));
            }
        }
        due
    }

    /// Whether a pod or a CloneSet is on its way to where it will rest.
    pub fn is_moving(&self) -> bool {
        let state = self.state();
        let mut pods = self.store.list(PODS, None);
        pods.retain(|pod| pod["status"]["phase"] != "Failed");
        let clonesets = self.store.list(CLONESETS, None);
        // What a CloneSet leaves behind is collected.
        let is_owned = |pod: &Object| {
            let owner = &pod["metadata"]["ownerReferences"][0]["uid"];
            owner.is_null() || clonesets.iter().any(|it| *owner == *it.uid())
        };
        // One that Kruise gives time to leave is updated in place after it.
        let leaves = |pod: &Object| pod["metadata"]["annotations"].get(GRACE).is_some();
        let rests = |pod: &Object| {
            is_owned(pod) && runs(pod) && !leaves(pod) && state.is_well(pod) == is_true(pod, "Ready")
        };
        if !pods.iter().all(rests) {
            return true;
        }
        let all_well = pods.iter().all(|pod| is_true(pod, "Ready"));
        clonesets.iter().any(|cloneset| {
            let count = |pointer: &str| cloneset.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
            let mine =
                pods.iter().filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == *cloneset.uid());
            let (mut there, mut ready) = (0, 0);
            for pod in mine {
                there += 1;
                ready += u64::from(is_true(pod, "Ready"));
            }
            let is_told = count("/status/observedGeneration") == count("/metadata/generation")
                && count("/status/replicas") == there
                && count("/status/readyReplicas") == ready
                // Until `minReadySeconds` have passed, which are Kruise's.
                && count("/status/availableReplicas") == ready;
            let is_done = count("/spec/replicas") == there
                && count("/status/updatedReplicas") >= count("/status/expectedUpdatedReplicas");
            !is_told || all_well && !is_done
        })
    }
}

/// A pod, as long as it runs what it runs.
fn key(pod: &Object) -> (String, String) {
    (pod.uid().to_owned(), tag(pod))
}

/// Whether nobody ends a pod.
fn is_meant_to_run(pod: &Object) -> bool {
    pod["metadata"].get("deletionTimestamp").is_none()
}

/// Whether a pod's containers run with the images that they should have, and nobody ends it.
fn runs(pod: &Object) -> bool {
    let image = &pod["spec"]["containers"][0]["image"];
    is_meant_to_run(pod)
        && pod["status"]["phase"] == "Running"
        && pod["status"]["containerStatuses"][0]["image"] == *image
}

/// Whether the kubelet itself keeps the image from getting ready.
fn is_bad(image: &str) -> bool {
    image.contains("bad")
}

/// A pod's condition of this kind.
pub fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    pod["status"]["conditions"].as_array()?.iter().find(|it| it["type"] == kind)
}

/// Whether a pod's condition of this kind is true.
pub fn is_true(pod: &Value, kind: &str) -> bool {
    condition(pod, kind).is_some_and(|it| it["status"] == "True")
}
