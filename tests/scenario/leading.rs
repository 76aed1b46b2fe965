//! Where traffic is led, as routes and EndpointSlices have it: what the observer asks of releases with weights.
//!
//! **Invariant:** no weight that is written points at a Service without a ready endpoint, and none gives a revision more
//! than the furthest step that was approved for it.

use std::collections::BTreeMap;

use serde_json::Value;
use triton::devcluster::Store;

use crate::scenario::ground::ENDPOINT_SLICES;
use crate::scenario::history::NAMESPACE;

/// Routes.
pub const ROUTES: [&str; 2] =
    ["httproutes.gateway.networking.k8s.io", "grpcroutes.gateway.networking.k8s.io"];

/// Weights of the first rule of the HTTPRoute of this name, in percent.
pub fn traffic(store: &Store, name: &str) -> BTreeMap<String, u64> {
    store.get(ROUTES[0], NAMESPACE, name).map(|route| weights(&route)).unwrap_or_default()
}

fn weights(route: &Value) -> BTreeMap<String, u64> {
    let backends = route["spec"]["rules"][0]["backendRefs"].as_array().cloned().unwrap_or_default();
    let weight = |it: &Value| it["weight"].as_u64().unwrap_or(1);
    let all: u64 = backends.iter().map(weight).sum();
    let percent = |it: &Value| (weight(it) * 100).checked_div(all).unwrap_or(0);
    backends.iter().map(|it| (it["name"].as_str().unwrap_or_default().to_owned(), percent(it))).collect()
}

/// Ready endpoints of a Service.
pub fn endpoints(store: &Store, service: &str) -> usize {
    let slices = store.list(ENDPOINT_SLICES, Some(NAMESPACE));
    let its = slices.iter().filter(|it| it["metadata"]["labels"]["kubernetes.io/service-name"] == *service);
    let ready = its.flat_map(|it| it["endpoints"].as_array().cloned().unwrap_or_default());
    ready.filter(|it| it["conditions"]["ready"] == true).count()
}

/// What is known of the routes of one release.
#[derive(Clone, Debug, Default)]
pub struct Led {
    /// Versions of routes when it was last looked.
    before: BTreeMap<String, String>,
    /// Whether the next that writes to them is a hand.
    pub lent: bool,
}

impl Led {
    /// Looks where traffic is led. `most` is the largest weight, in percent, that anything not proven may have.
    ///
    /// # Panics
    /// Where the invariant is broken.
    pub fn look(&mut self, store: &Store, name: &str, most: u64) {
        for resource in ROUTES {
            let Some(route) = store.get(resource, NAMESPACE, name) else { continue };
            let version = route["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            if self.before.insert(resource.to_owned(), version.clone()) == Some(version) {
                continue;
            }
            if std::mem::take(&mut self.lent) {
                continue;
            }
            for (service, percent) in weights(&route) {
                let is_ours = service.ends_with("-stable") || service.ends_with("-canary");
                let there = endpoints(store, &service);
                assert!(
                    !is_ours || percent == 0 || there > 0,
                    "{name}: {percent}% go to {service}, which leads to nothing"
                );
                let canary = service.ends_with("-canary");
                assert!(
                    !canary || percent <= most,
                    "{name}: {percent}% go to {service}, and {most}% are approved"
                );
            }
        }
    }
}
