//! Where traffic is led, as routes and EndpointSlices have it: what the observer asks of releases with weights.
//!
//! **Invariant:** no weight that is written points at a Service without a ready endpoint, and none gives a revision more
//! than the furthest step that was approved for it. A rule for testers leads to nothing but an approved revision.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use triton::devcluster::Store;
use triton::objects::keys;

use crate::scenario::ground::ENDPOINT_SLICES;
use crate::scenario::history::NAMESPACE;

/// Routes.
pub const ROUTES: [&str; 2] =
    ["httproutes.gateway.networking.k8s.io", "grpcroutes.gateway.networking.k8s.io"];

/// Ingresses.
const INGRESSES: &str = "ingresses.networking.k8s.io";

/// Weights of the last rule of the route of this name, in percent: everybody's. Of an HTTPRoute, where there is one; of
/// Ingresses, where there is no route.
pub fn traffic(store: &Store, name: &str) -> BTreeMap<String, u64> {
    let Some(ingress) = store.get(INGRESSES, NAMESPACE, name) else {
        return rules(store, name).last().map(weights).unwrap_or_default();
    };
    let canary = store.get(INGRESSES, NAMESPACE, &format!("{name}-canary"));
    let given = canary.as_ref().map_or(0, |canary| given(canary));
    let kept = (backend(&ingress), 100 - given);
    let all = canary.map(|canary| (backend(&canary), given)).into_iter().chain([kept]);
    all.filter(|(_, percent)| *percent > 0).collect()
}

/// Weights of the first rule of the route of this name, in percent, where it is one for testers.
pub fn testers(store: &Store, name: &str) -> BTreeMap<String, u64> {
    let canary = store.get(INGRESSES, NAMESPACE, &format!("{name}-canary"));
    if let Some(canary) = canary.filter(|canary| asks(canary)) {
        return BTreeMap::from([(backend(&canary), 100)]);
    }
    let rules = rules(store, name);
    rules.first().filter(|_| rules.len() > 1).map(weights).unwrap_or_default()
}

fn canary_annotation<'v>(ingress: &'v Value, last: &str) -> Option<&'v str> {
    ingress["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/canary{last}")].as_str()
}

/// What a canary Ingress takes as ingress-nginx reads it, in percent; one that nobody has marked as such is none.
fn given(canary: &Value) -> u64 {
    let number = |last: &str| canary_annotation(canary, last).map(|it| it.parse().expect("a number"));
    let all: u64 = number("-weight-total").unwrap_or(100).max(100);
    if canary_annotation(canary, "") == Some("true") { number("-weight").unwrap_or(0) * 100 / all } else { 0 }
}

/// Whether it takes requests by a header or a cookie. What is empty counts as absent.
fn asks(canary: &Value) -> bool {
    let is_there = |last: &str| canary_annotation(canary, last).is_some_and(|it| !it.is_empty());
    is_there("-by-header") || is_there("-by-cookie")
}

/// Whether whoever was led there by a cookie of affinity stays there at a weight of nothing.
fn keeps(canary: &Value) -> bool {
    canary["metadata"]["annotations"]["nginx.ingress.kubernetes.io/affinity-canary-behavior"] != "legacy"
}

/// The Service of the first path of an Ingress.
fn backend(ingress: &Value) -> String {
    let name = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"];
    name.as_str().unwrap_or_default().to_owned()
}

fn rules(store: &Store, name: &str) -> Vec<Value> {
    let route = ROUTES.iter().find_map(|resource| store.get(resource, NAMESPACE, name));
    route.and_then(|route| route["spec"]["rules"].as_array().cloned()).unwrap_or_default()
}

fn weights(rule: &Value) -> BTreeMap<String, u64> {
    let backends = rule["backendRefs"].as_array().cloned().unwrap_or_default();
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
    /// When a Service that is ours last led to pods, as the wall's clock has it.
    led_at: BTreeMap<String, Instant>,
    /// Whether the next that writes to them is a hand.
    pub lent: bool,
}

impl Led {
    /// Looks where traffic is led. `most` is the largest weight, in percent, that anything not proven may have; `any`: whether
    /// a step of it was approved; `lateness`: for how long what a write was decided on may be over.
    ///
    /// # Panics
    /// Where the invariant is broken.
    pub fn look(&mut self, store: &Store, name: &str, most: u64, any: bool, lateness: Duration) {
        for service in ["stable", "canary"].map(|side| format!("{name}-{side}")) {
            if endpoints(store, &service) > 0 {
                self.led_at.insert(service, Instant::now());
            }
        }
        self.look_at_ingresses(store, name, most, any, lateness);
        for resource in ROUTES {
            let Some(route) = store.get(resource, NAMESPACE, name) else { continue };
            let version = route["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            if self.before.insert(resource.to_owned(), version.clone()) == Some(version) {
                continue;
            }
            if std::mem::take(&mut self.lent) {
                continue;
            }
            let rules = route["spec"]["rules"].as_array().cloned().unwrap_or_default();
            let Some((last, first)) = rules.split_last() else { continue };
            for (service, _) in first.iter().flat_map(weights) {
                assert!(service.ends_with("-canary"), "{name}: a rule for testers leads to {service}");
                assert!(
                    self.leads(store, &service, lateness),
                    "{name}: testers go to {service}, which leads to nothing"
                );
                assert!(any, "{name}: testers go to {service}, and nothing is approved");
            }
            for (service, percent) in weights(last) {
                let is_ours = service.ends_with("-stable") || service.ends_with("-canary");
                assert!(
                    !is_ours || percent == 0 || self.leads(store, &service, lateness),
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

    /// Whether a Service leads to pods, or did when a write that is done only now was decided.
    fn leads(&self, store: &Store, service: &str, lateness: Duration) -> bool {
        let lately = || self.led_at.get(service).is_some_and(|at| at.elapsed() < lateness);
        endpoints(store, service) > 0 || lately()
    }

    fn look_at_ingresses(&mut self, store: &Store, name: &str, most: u64, any: bool, lateness: Duration) {
        let canary = format!("{name}-canary");
        for one in [name, &canary] {
            let Some(ingress) = store.get(INGRESSES, NAMESPACE, one) else { continue };
            let version = ingress["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
            if self.before.insert(format!("{INGRESSES} {one}"), version.clone()) == Some(version) {
                continue;
            }
            if std::mem::take(&mut self.lent) {
                continue;
            }
            let percent = if one == canary { given(&ingress) } else { 0 };
            let leads = one == name || percent > 0 || asks(&ingress);
            let service = backend(&ingress);
            let is_ours = service.ends_with("-stable") || service.ends_with("-canary");
            assert!(
                !leads || !is_ours || self.leads(store, &service, lateness),
                "{name}: {one} leads to {service}, which leads to nothing"
            );
            assert!(percent <= most, "{name}: {percent}% go to {service}, and {most}% are approved");
            let is_written = ingress["metadata"]["annotations"][keys::RELEASE].is_string();
            let is_marked = one == name || canary_annotation(&ingress, "") == Some("true");
            assert!(is_marked, "{name}: two Ingresses have the same paths");
            assert!(
                one == name || !is_written || percent > 0 || !keeps(&ingress),
                "{name}: nothing is to go to {service}, and who has its cookie does"
            );
            assert!(
                one == name || !asks(&ingress) || any,
                "{name}: testers go to {service}, and nothing is approved"
            );
        }
    }
}
