//! Who serves, as EndpointSlices have it: what the observer asks of every release that has a Service.
//!
//! **Invariant:** no pod of an image that is not proven serves before Git has let it, and the pods that serve never become
//! fewer than the size less maxUnavailable, but for those that a hand has taken or broken.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use triton::devcluster::{Object, Store};
use triton::spec::Serve;

use crate::scenario::ground::{CLONESETS, ENDPOINT_SLICES, PODS, SERVICES};
use crate::scenario::health::{condition, is_true};
use crate::scenario::observer::tag;
use crate::scenario::reading::Tree;

/// The furthest step up to which a line lets pods serve of a release at its tip; none where they serve by themselves.
pub fn let_in(line: &[&Tree], name: &str) -> Option<u32> {
    let tip = line.first()?;
    let release = tip.release(name)?;
    if !release.strategy.is_gated() {
        return None;
    }
    let run = line.iter().take_while(|tree| tree.digest(name) == Some(release.digest)).count();
    let (first, before) = (line[run - 1], line.get(run));
    let markers = tip.markers(name, release.digest);
    let skipped =
        markers.iter().any(|(path, permit)| *permit == "skip" && !before.is_some_and(|tree| tree.has(path)));
    let given = |step: u32| {
        let wanted = format!("serve-{step}");
        markers.iter().any(|(path, permit)| *permit == wanted && !first.has(path))
    };
    let open = |(number, serve): &(u32, Serve)| *serve == Serve::Automatic || skipped || given(*number);
    let steps = (1..).zip(release.strategy.steps.iter().map(|step| step.serve));
    Some(steps.take_while(open).last().map_or(0, |(number, _)| number))
}

/// Pods that the Service of a release leads to.
///
/// One that says itself that it leaves is none of them. EndpointSlices follow what pods say, and on a busy cluster they do
/// so seconds later: the controller that has read an old one tries again after 1 s, 2 s, 4 s (`defaultSyncBackOff` in
/// Kubernetes' `pkg/controller/endpointslice/endpointslice_controller.go`).
pub fn led_to(store: &Store, name: &str) -> Vec<Object> {
    let slices = store.list(ENDPOINT_SLICES, None);
    let mine = slices.iter().filter(|it| it["metadata"]["labels"]["kubernetes.io/service-name"] == *name);
    let endpoints = mine.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let ready = endpoints.filter(|it| it["conditions"]["ready"] == true);
    let uids: BTreeSet<&str> = ready.filter_map(|it| it["targetRef"]["uid"].as_str()).collect();
    let (pods, owners) = (store.list(PODS, None), store.list(CLONESETS, None));
    // The garbage collector takes those of a CloneSet that is gone.
    let is_left = |pod: &Object| {
        let owner = &pod["metadata"]["ownerReferences"][0]["uid"];
        owner.is_string() && !owners.iter().any(|it| *owner == *it.uid())
    };
    pods.into_iter().filter(|pod| uids.contains(pod.uid()) && !leaves(pod) && !is_left(pod)).collect()
}

/// How many pods a Service selects that say themselves that they serve, whether EndpointSlices have followed or not.
pub fn ready(store: &Store, name: &str) -> u32 {
    let services = store.list(SERVICES, None);
    let service = services.iter().find(|it| it.name() == name);
    let Some(selector) = service.and_then(|it| it["spec"]["selector"].as_object()) else { return 0 };
    let is_selected =
        |pod: &Object| selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value);
    let is_ready = |pod: &Object| is_true(pod, "Ready") && !leaves(pod);
    let pods = store.list(PODS, None);
    let count = pods.iter().filter(|pod| is_selected(pod) && is_ready(pod)).count();
    u32::try_from(count).expect("so many pods there are not")
}

/// Whether a pod says itself that it serves no more.
fn leaves(pod: &Value) -> bool {
    let is_false = |kind: &str| condition(pod, kind).is_some_and(|it| it["status"] == "False");
    !pod["metadata"]["deletionTimestamp"].is_null() || is_false("Ready") || is_false("InPlaceUpdateReady")
}

/// Pods that the Service of a release leads to, by image tag.
pub fn serving(store: &Store, name: &str) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for pod in led_to(store, name) {
        *found.entry(tag(&pod)).or_default() += 1;
    }
    found
}

/// What is known of the pods of one release.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Pods that served when it was last looked.
    before: BTreeMap<String, u32>,
    /// The size at which all have served, since it was last another one.
    whole: Option<u32>,
    /// Pods that a hand has taken.
    pub taken: u32,
}

impl Served {
    /// A hand breaks pods, or takes all of them: how few serve says nothing until all do again.
    pub fn disturb(&mut self) {
        self.whole = None;
    }

    /// Looks at who serves. `allowed` says of an image how many may; none where it does not matter.
    ///
    /// # Panics
    /// Where the invariant is broken.
    pub fn look(&mut self, store: &Store, name: &str, allowed: impl Fn(&str) -> Option<u32>) {
        let now = serving(store, name);
        if now == self.before {
            return;
        }
        for (image, count) in &now {
            let before = self.before.get(image).copied().unwrap_or(0);
            if let Some(most) = allowed(image).filter(|most| count > most && *count > before) {
                panic!("{name}: {count} pods of {image} serve, and Git lets {most}");
            }
        }
        let cloneset = store.list(CLONESETS, None).into_iter().find(|it| it.name() == name);
        let size = cloneset.as_ref().and_then(|it| it["spec"]["replicas"].as_u64());
        let size = size.and_then(|size| u32::try_from(size).ok()).unwrap_or(0);
        let all: u32 = now.values().sum();
        if self.whole != Some(size) {
            self.whole = (all >= size).then_some(size);
        } else if let Some(cloneset) = cloneset {
            let least =
                size.saturating_sub(unavailable(&cloneset["spec"]["updateStrategy"], size) + self.taken);
            let enough = all >= least || ready(store, name) >= least;
            assert!(enough, "{name}: {all} pods serve, fewer than {least}: {now:?}");
        }
        self.before = now;
    }
}

/// maxUnavailable, told as naively as can be.
fn unavailable(update: &Value, size: u32) -> u32 {
    let share = |text: &str| {
        let percent: u32 = text.trim_end_matches('%').parse().expect("a percentage");
        // Rounded down only where pods may surge.
        let surges = !matches!(&update["maxSurge"], Value::Null) && update["maxSurge"] != 0;
        if surges { size * percent / 100 } else { (size * percent).div_ceil(100) }
    };
    match &update["maxUnavailable"] {
        Value::Number(count) => count.as_u64().and_then(|it| u32::try_from(it).ok()).unwrap_or(0),
        Value::String(text) => share(text),
        _ => share("20%"),
    }
}
