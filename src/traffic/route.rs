//! Routes of the Gateway API: the weights of a rule.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::model::Name;
use crate::spec::routes::{beside, led_to, service_of};
use crate::world::Share;

/// What a `backendRef` weighs that says nothing of it (Gateway API, `BackendRef`).
const WEIGHT: u64 = 1;
/// Parts that a share is counted in: whole percent.
const PARTS: u64 = 100;

/// The route `base` with the traffic of `services` shared: each of their `backendRefs` becomes one for each revision that
/// gets any, and all weights of the rule are scaled, so that every backend keeps its exact share.
#[must_use]
pub fn route(base: &Value, services: &BTreeSet<Name>, share: Share) -> Value {
    let mut route = base.clone();
    let Share::Split(canary) = share else { return route };
    let namespace = base["metadata"]["namespace"].as_str();
    let shared = |backend: &Value| {
        let name = service_of(backend, namespace)?;
        services.iter().find(|it| it.as_str() == name)
    };
    let rules = route.pointer_mut("/spec/rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let Some(backends) = rule.get_mut("backendRefs").and_then(Value::as_array_mut) else { continue };
        if backends.iter().any(|it| shared(it).is_some()) {
            let split = backends.iter().flat_map(|it| match shared(it) {
                Some(service) => split(it, service, canary),
                None => vec![weighing(it, weight(it) * PARTS)],
            });
            *backends = reduced(split.collect());
        }
    }
    route
}

/// How `live` shares the traffic of `services`: the largest share of any rule that shares it.
#[must_use]
pub fn share_of(live: &Value, services: &BTreeSet<Name>) -> Share {
    let named =
        |canary: bool| services.iter().filter_map(move |it| beside(it, canary)).collect::<BTreeSet<Name>>();
    let (stable, canary) = (named(false), named(true));
    let led = led_to(live);
    if !stable.iter().chain(&canary).any(|it| led.contains(it.as_str())) {
        return Share::Base;
    }
    let namespace = live["metadata"]["namespace"].as_str();
    let rules = live.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    let percent = rules.filter_map(|rule| {
        let sum = |names: &BTreeSet<Name>| -> u64 {
            let backends = rule["backendRefs"].as_array().into_iter().flatten();
            let of = |it: &&Value| {
                service_of(it, namespace).is_some_and(|it| names.iter().any(|own| own.as_str() == it))
            };
            backends.filter(of).map(weight).sum()
        };
        let (stable, canary) = (sum(&stable), sum(&canary));
        // A part of a percent counts as one: nothing is taken for less than it is.
        let all = stable + canary;
        (all > 0).then(|| (canary * PARTS).div_ceil(all))
    });
    Share::Split(percent.max().and_then(|it| u32::try_from(it).ok()).unwrap_or(0))
}

fn weight(backend: &Value) -> u64 {
    backend.get("weight").and_then(Value::as_u64).unwrap_or(WEIGHT)
}

fn weighing(backend: &Value, weight: u64) -> Value {
    let mut backend = backend.clone();
    backend["weight"] = json!(weight);
    backend
}

/// A backend for each revision that gets any of what `backend` gets; where that gets nothing, the proven one stands for it.
fn split(backend: &Value, service: &Name, canary: u32) -> Vec<Value> {
    let canary = u64::from(canary).min(PARTS);
    let parts = [(false, PARTS - canary), (true, canary)].into_iter().filter(|(_, part)| *part > 0);
    parts
        .filter_map(|(is_canary, part)| {
            let mut backend = weighing(backend, weight(backend) * part);
            backend["name"] = beside(service, is_canary)?.as_str().into();
            Some(backend)
        })
        .collect()
}

/// The same backends with the smallest weights of the same proportion.
fn reduced(mut backends: Vec<Value>) -> Vec<Value> {
    let gcd = |a: u64, b: u64| {
        let (mut a, mut b) = (a, b);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let divisor = backends.iter().map(weight).fold(0, gcd);
    for backend in backends.iter_mut().filter(|_| divisor > 1) {
        let smaller = weight(backend) / divisor;
        backend["weight"] = json!(smaller);
    }
    backends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services() -> BTreeSet<Name> {
        BTreeSet::from(["web".parse().unwrap()])
    }

    fn base(backends: Value) -> Value {
        json!({
            "kind": "HTTPRoute", "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"hostnames": ["shop.example"], "rules": [
                {"matches": [{"path": {"value": "/"}}], "backendRefs": backends},
                {"backendRefs": [{"name": "elsewhere", "port": 80}]}]},
        })
    }

    fn weights(route: &Value) -> Vec<(String, u64)> {
        let refs = route["spec"]["rules"][0]["backendRefs"].as_array().unwrap();
        refs.iter().map(|it| (it["name"].as_str().unwrap().to_owned(), weight(it))).collect()
    }

    fn shared(backends: Value, canary: u32) -> Vec<(String, u64)> {
        weights(&route(&base(backends), &services(), Share::Split(canary)))
    }

    fn of(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
        pairs.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
    }

    #[test]
    fn one_service_becomes_two_with_its_whole_share() {
        let one = || json!([{"name": "web", "port": 80}]);
        assert_eq!(shared(one(), 5), of(&[("web-stable", 19), ("web-canary", 1)]));
        assert_eq!(shared(one(), 50), of(&[("web-stable", 1), ("web-canary", 1)]));
        assert_eq!(shared(one(), 0), of(&[("web-stable", 1)]));
        assert_eq!(shared(one(), 100), of(&[("web-canary", 1)]));
    }

    #[test]
    fn other_backends_keep_their_exact_share() {
        let two =
            || json!([{"name": "web", "port": 80, "weight": 90}, {"name": "old", "port": 80, "weight": 10}]);
        assert_eq!(shared(two(), 5), of(&[("web-stable", 171), ("web-canary", 9), ("old", 20)]));
        assert_eq!(shared(two(), 0), of(&[("web-stable", 9), ("old", 1)]));
        for canary in 0..=100 {
            let all = shared(two(), canary);
            let sum: u64 = all.iter().map(|(_, weight)| weight).sum();
            let of = |name: &str| all.iter().find(|(it, _)| it == name).map_or(0, |(_, weight)| *weight);
            assert_eq!(of("old") * 10, sum, "at {canary}%");
            assert_eq!(of("web-canary") * 1000, sum * 9 * u64::from(canary), "at {canary}%");
        }
    }

    #[test]
    fn everything_else_of_a_route_is_as_in_git() {
        let base = base(json!([{"name": "web", "port": 80, "filters": [{"type": "x"}]}]));
        let split = route(&base, &services(), Share::Split(5));
        assert_eq!(split["spec"]["hostnames"], base["spec"]["hostnames"]);
        assert_eq!(split["spec"]["rules"][1], base["spec"]["rules"][1]);
        for backend in split["spec"]["rules"][0]["backendRefs"].as_array().unwrap() {
            assert_eq!((&backend["port"], &backend["filters"]), (&json!(80), &json!([{"type": "x"}])));
        }
        assert_eq!(route(&base, &services(), Share::Base), base);
    }

    #[test]
    fn a_backend_of_another_namespace_or_kind_is_not_shared() {
        for other in [
            json!({"name": "web", "namespace": "elsewhere"}),
            json!({"name": "web", "kind": "Bucket"}),
            json!({"name": "web", "group": "example.com"}),
        ] {
            let base = base(json!([other]));
            assert_eq!(route(&base, &services(), Share::Split(5)), base);
        }
    }

    #[test]
    fn the_rule_that_leads_most_to_the_entered_revision_says_how_a_route_shares() {
        let rule = |stable: u64, canary: u64| json!({"backendRefs": [{"name": "web-stable", "weight": stable}, {"name": "web-canary", "weight": canary}]});
        let of = |rules: Value| share_of(&json!({"spec": {"rules": rules}}), &services());
        assert_eq!(of(json!([rule(1, 0), rule(1, 1)])), Share::Split(50));
        assert_eq!(of(json!([rule(0, 0), rule(19, 1)])), Share::Split(5));
        assert_eq!(of(json!([rule(999, 1)])), Share::Split(1));
        assert_eq!(of(json!([rule(0, 0)])), Share::Split(0));
    }

    #[test]
    fn what_was_shared_is_read_again() {
        let all =
            [json!([{"name": "web", "weight": 3}]), json!([{"name": "old", "weight": 7}, {"name": "web"}])];
        for backends in all {
            assert_eq!(share_of(&base(backends.clone()), &services()), Share::Base);
            for canary in 0..=100 {
                let split = route(&base(backends.clone()), &services(), Share::Split(canary));
                assert_eq!(share_of(&split, &services()), Share::Split(canary));
            }
        }
    }
}
