//! Routes of the Gateway API: the weights of a rule.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::model::Name;
use crate::spec::Match;
use crate::spec::routes::{beside, led_to, service_of};
use crate::world::Share;

/// What a `backendRef` weighs that says nothing of it (Gateway API, `BackendRef`).
const WEIGHT: u64 = 1;
/// Parts that a share is counted in: whole percent.
const PARTS: u64 = 100;

/// The route `base` with the traffic of `services` shared: each of their `backendRefs` becomes one for each revision that
/// gets any, and all weights of the rule are scaled, so that every backend keeps its exact share. Requests that any of
/// `testers` matches go to the entered revision, by rules in front.
#[must_use]
pub fn route(base: &Value, services: &BTreeSet<Name>, share: Share, testers: &[Match]) -> Value {
    let mut route = base.clone();
    let Share::Split(percent) = share else { return route };
    let canary = u64::from(percent).min(PARTS);
    let namespace = base["metadata"]["namespace"].as_str();
    let shared = |backend: &Value| {
        let name = service_of(backend, namespace)?;
        services.iter().find(|it| it.as_str() == name)
    };
    let Some(rules) = route.pointer_mut("/spec/rules").and_then(Value::as_array_mut) else { return route };
    let mut first: Vec<Value> = Vec::new();
    for rule in rules.iter_mut() {
        let Some(backends) = rule["backendRefs"].as_array().cloned() else { continue };
        if backends.iter().any(|it| shared(it).is_some()) {
            let led = backends.iter().filter_map(|it| split(it, shared(it)?, PARTS).pop());
            first.extend(for_testers(rule, led.collect(), testers));
            let split = backends.iter().flat_map(|it| match shared(it) {
                Some(service) => split(it, service, canary),
                None => vec![weighing(it, weight(it) * PARTS)],
            });
            rule["backendRefs"] = reduced(split.collect()).into();
        }
    }
    rules.splice(0..0, first);
    route
}

/// The rule in front of `rule` that leads testers to `backends`; none where nobody is one, or nothing leads there.
fn for_testers(rule: &Value, backends: Vec<Value>, testers: &[Match]) -> Option<Value> {
    let backends: Vec<Value> = backends.into_iter().filter(|it| weight(it) > 0).collect();
    if testers.is_empty() || backends.is_empty() {
        return None;
    }
    let mut first = rule.clone();
    // The names of rules are unique in a route.
    first.as_object_mut()?.remove("name");
    let any = vec![json!({})];
    let own = rule["matches"].as_array().filter(|it| !it.is_empty()).unwrap_or(&any);
    let both = own.iter().flat_map(|own| testers.iter().map(|tester| both(own, tester)));
    first["matches"] = both.collect();
    first["backendRefs"] = reduced(backends).into();
    Some(first)
}

/// What matches where `own` does and the request is of a tester.
fn both(own: &Value, tester: &Match) -> Value {
    let mut both = own.clone();
    for (of, criteria) in tester.asked() {
        let mut all = own[of.field].as_array().cloned().unwrap_or_default();
        for criterion in criteria {
            if !all.iter().any(|it| criterion.is(of, it)) {
                let mut wanted = json!({"name": criterion.name, "value": criterion.value});
                if criterion.regular {
                    wanted["type"] = "RegularExpression".into();
                }
                all.push(wanted);
            }
        }
        if !all.is_empty() {
            both[of.field] = all.into();
        }
    }
    both
}

/// The names beside `services` of one role.
fn named(services: &BTreeSet<Name>, canary: bool) -> BTreeSet<Name> {
    services.iter().filter_map(|it| beside(it, canary)).collect()
}

/// How many rules of `live` are in front for `testers`: the first ones that lead them, and nobody else, to the entered
/// revision alone, where any after them leads to the proven one.
fn tester_rules(live: &Value, services: &BTreeSet<Name>, testers: &[Match]) -> usize {
    let (stable, canary) = (named(services, false), named(services, true));
    let namespace = live["metadata"]["namespace"].as_str();
    let leads = |backend: &Value, names: &BTreeSet<Name>| {
        service_of(backend, namespace).is_some_and(|it| names.iter().any(|own| own.as_str() == it))
    };
    let rules = live.pointer("/spec/rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let backends = |rule: &Value| rule["backendRefs"].as_array().cloned().unwrap_or_default();
    let alone = |rule: &&Value| {
        let backends = backends(rule);
        let mut matches = rule["matches"].as_array().into_iter().flatten().peekable();
        let apart = matches.peek().is_some() && matches.all(|it| testers.iter().any(|one| one.is_in(it)));
        apart && !backends.is_empty() && backends.iter().all(|it| leads(it, &canary))
    };
    let first = rules.iter().take_while(alone).count();
    let shares = rules[first..].iter().any(|rule| backends(rule).iter().any(|it| leads(it, &stable)));
    if shares { first } else { 0 }
}

/// Whether `live` leads `testers` to the entered revision by rules of their own.
#[must_use]
pub fn leads_testers(live: &Value, services: &BTreeSet<Name>, testers: &[Match]) -> bool {
    tester_rules(live, services, testers) > 0
}

/// How `live` shares the traffic of `services`: the largest share of any rule that shares it, but those for `testers`.
#[must_use]
pub fn share_of(live: &Value, services: &BTreeSet<Name>, testers: &[Match]) -> Share {
    let (stable, canary) = (named(services, false), named(services, true));
    let led = led_to(live);
    if !stable.iter().chain(&canary).any(|it| led.contains(it.as_str())) {
        return Share::Base;
    }
    let namespace = live["metadata"]["namespace"].as_str();
    let rules = live.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    let percent = rules.skip(tester_rules(live, services, testers)).filter_map(|rule| {
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
fn split(backend: &Value, service: &Name, canary: u64) -> Vec<Value> {
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

    use crate::spec::Criterion;

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
        weights(&route(&base(backends), &services(), Share::Split(canary), &[]))
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
        let split = route(&base, &services(), Share::Split(5), &[]);
        assert_eq!(split["spec"]["hostnames"], base["spec"]["hostnames"]);
        assert_eq!(split["spec"]["rules"][1], base["spec"]["rules"][1]);
        for backend in split["spec"]["rules"][0]["backendRefs"].as_array().unwrap() {
            assert_eq!((&backend["port"], &backend["filters"]), (&json!(80), &json!([{"type": "x"}])));
        }
        assert_eq!(route(&base, &services(), Share::Base, &[]), base);
    }

    #[test]
    fn a_backend_of_another_namespace_or_kind_is_not_shared() {
        for other in [
            json!({"name": "web", "namespace": "elsewhere"}),
            json!({"name": "web", "kind": "Bucket"}),
            json!({"name": "web", "group": "example.com"}),
        ] {
            let base = base(json!([other]));
            assert_eq!(route(&base, &services(), Share::Split(5), &[]), base);
        }
    }

    #[test]
    fn the_rule_that_leads_most_to_the_entered_revision_says_how_a_route_shares() {
        let rule = |stable: u64, canary: u64| json!({"backendRefs": [{"name": "web-stable", "weight": stable}, {"name": "web-canary", "weight": canary}]});
        let of = |rules: Value| share_of(&json!({"spec": {"rules": rules}}), &services(), &[]);
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
            assert_eq!(share_of(&base(backends.clone()), &services(), &[]), Share::Base);
            for canary in 0..=100 {
                let split = route(&base(backends.clone()), &services(), Share::Split(canary), &[]);
                assert_eq!(share_of(&split, &services(), &[]), Share::Split(canary));
            }
        }
    }

    fn header(name: &str) -> Match {
        let criterion = Criterion { name: name.to_owned(), value: "yes".to_owned(), regular: false };
        Match { headers: vec![criterion], query: Vec::new() }
    }

    #[test]
    fn testers_have_a_rule_in_front_of_each_that_leads_to_the_release() {
        let mut base = base(json!([{"name": "web", "port": 80}, {"name": "old", "port": 80}]));
        base["spec"]["rules"][0]["name"] = "main".into();
        base["spec"]["rules"][0]["timeouts"] = json!({"request": "2s"});
        base["spec"]["rules"][0]["matches"] =
            json!([{"path": {"value": "/a"}, "headers": [{"name": "X-B", "value": "1"}]}, {"method": "GET"}]);
        let testers = [header("x-tester"), header("x-other")];
        let led = route(&base, &services(), Share::Split(0), &testers);
        let rules = led["spec"]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), 3, "none for the rule that leads elsewhere");
        assert_eq!(rules[0]["backendRefs"], json!([{"name": "web-canary", "port": 80, "weight": 1}]));
        let asked = |name: &str| json!({"name": name, "value": "yes"});
        let own = json!({"name": "X-B", "value": "1"});
        assert_eq!(
            rules[0]["matches"],
            json!([
                {"path": {"value": "/a"}, "headers": [own, asked("x-tester")]},
                {"path": {"value": "/a"}, "headers": [own, asked("x-other")]},
                {"method": "GET", "headers": [asked("x-tester")]},
                {"method": "GET", "headers": [asked("x-other")]},
            ])
        );
        assert_eq!((rules[0].get("name"), &rules[0]["timeouts"]), (None, &json!({"request": "2s"})));
        assert_eq!(rules[1], route(&base, &services(), Share::Split(0), &[])["spec"]["rules"][0]);
    }

    #[test]
    fn a_rule_for_testers_is_told_from_a_share() {
        for canary in 0..100 {
            let share = Share::Split(canary);
            let led =
                route(&base(json!([{"name": "web", "port": 80}])), &services(), share, &[header("x-tester")]);
            assert_eq!(read(&led), (share, true));
        }
        let whole = route(&base(json!([{"name": "web"}])), &services(), Share::Split(100), &[]);
        assert_eq!(read(&whole), (Share::Split(100), false));
    }

    /// What a route shares, and whether it leads testers.
    fn read(route: &Value) -> (Share, bool) {
        let testers = [header("x-tester")];
        (share_of(route, &services(), &testers), leads_testers(route, &services(), &testers))
    }

    #[test]
    fn a_rule_in_front_for_anybody_else_is_a_share() {
        let base = base(json!([{"name": "web", "port": 80}]));
        let led = route(&base, &services(), Share::Split(5), &[header("x-tester")]);
        let others = [
            json!([]),
            json!([{"path": {"value": "/"}}]),
            json!([{"headers": [{"name": "x-other", "value": "yes"}]}]),
        ];
        for matches in others {
            let mut edited = led.clone();
            edited["spec"]["rules"][0]["matches"] = matches;
            assert_eq!(read(&edited), (Share::Split(100), false), "{edited}");
        }
    }

    #[test]
    fn a_parameter_in_other_letters_is_another_one() {
        let mut base = base(json!([{"name": "web", "port": 80}]));
        let own = json!({"name": "Preview", "value": "yes"});
        base["spec"]["rules"][0]["matches"] = json!([{"queryParams": [own], "headers": [own]}]);
        let asked = header("preview").headers;
        let testers = [Match { headers: asked.clone(), query: asked }];
        let led = route(&base, &services(), Share::Split(0), &testers);
        let both = &led["spec"]["rules"][0]["matches"][0];
        assert_eq!(both["queryParams"], json!([own, {"name": "preview", "value": "yes"}]));
        assert_eq!(both["headers"], json!([own]));
    }
}
