//! Requests of testers, and how many a route can have.

use std::fmt::Write as _;

use crate::spec::{one, wrong};

/// A release with these matches, and a route with these rules.
fn tested(matches: &str, rules: &str) -> String {
    format!(
        "apiVersion: triton.io/v1
kind: Release
metadata: {{ namespace: shop, name: checkout }}
spec: {{ strategy: {{ routes: [checkout], matches: {matches}, steps: [{{ replicas: 1, weight: 0% }}, {{ replicas: 100% }}] }} }}
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{ namespace: shop, name: checkout }}
spec:
  replicas: 10
  selector: {{ matchLabels: {{ app: checkout }} }}
  template:
    metadata: {{ labels: {{ app: checkout }} }}
    spec: {{ containers: [{{ name: app, image: 'shop/checkout:1' }}] }}
---
apiVersion: v1
kind: Service
metadata: {{ namespace: shop, name: web }}
spec: {{ selector: {{ app: checkout }}, ports: [{{ port: 80 }}] }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ namespace: shop, name: checkout }}
spec: {{ rules: [{rules}] }}
"
    )
}

const RULE: &str = "{ backendRefs: [{ name: web, port: 80 }] }";

/// So many of something, by its number.
fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    let mut all = String::new();
    for index in 0..count {
        write!(all, "{}{}", if index > 0 { ", " } else { "" }, one(index)).unwrap();
    }
    format!("[{all}]")
}

fn headers(count: usize) -> String {
    format!("[{{ headers: {} }}]", many(count, |index| format!("{{ name: x-{index}, value: a }}")))
}

fn matches(count: usize) -> String {
    many(count, |index| format!("{{ headers: [{{ name: x-tester, value: v{index} }}] }}"))
}

/// Rules that lead to the release, each with so many matches of its own.
fn rules(count: usize, own: usize) -> String {
    let own = many(own, |index| format!("{{ path: {{ value: /{index} }} }}"));
    many(count, |_| format!("{{ matches: {own}, backendRefs: [{{ name: web, port: 80 }}] }}"))
        .trim_matches(['[', ']'])
        .to_owned()
}

fn told(matches: &str, rules: &str) -> String {
    wrong(&[("releases/a.yaml", &tested(matches, rules))])
}

#[test]
fn headers_and_parameters_are_read() {
    let text = "[{ headers: [{ name: cookie, value: '^beta$', type: RegularExpression }, { name: x-t, value: 'a' }], queryParams: [{ name: p, value: '1', type: Exact }] }]";
    let release = one(&[("releases/a.yaml", &tested(text, RULE))]);
    let [one] = release.strategy.matches.as_slice() else { panic!("one match") };
    let regular: Vec<bool> = one.headers.iter().chain(&one.query).map(|it| it.regular).collect();
    assert_eq!(regular, [true, false, false]);
    assert_eq!((&*one.headers[0].value, &*one.query[0].name), ("^beta$", "p"));
}

#[test]
fn another_match_is_another_digest() {
    let digest = |text: &str| one(&[("releases/a.yaml", &tested(text, RULE))]).digest;
    assert_ne!(digest(&matches(1)), digest(&matches(2)));
}

#[test]
fn each_limit_of_matches_is_the_last_that_is_taken() {
    let one = |field: &str, name: usize, value: usize| {
        format!("[{{ {field}: [{{ name: {}, value: {} }}] }}]", "x".repeat(name), "v".repeat(value))
    };
    let pairs = [
        (matches(8), matches(9), "more than 8 matches"),
        (headers(16), headers(17), "more than 16"),
        (one("headers", 256, 1), one("headers", 257, 1), "1 to 256 characters"),
        (one("headers", 1, 4096), one("headers", 1, 4097), "1 to 4096 characters"),
        (one("queryParams", 1, 1024), one("queryParams", 1, 1025), "1 to 1024 characters"),
    ];
    for (most, more, what) in pairs {
        assert_eq!(told(&most, RULE), "", "{what}");
        assert!(told(&more, RULE).contains(what), "{}", told(&more, RULE));
    }
    let elsewhere = "{ backendRefs: [{ name: other, port: 80 }] }, ";
    let pairs = [
        (rules(8, 1), format!("{elsewhere}{}", rules(8, 1)), 1, "17 rules"),
        (rules(1, 8), rules(1, 9), 8, "72 matches in one rule"),
        (rules(2, 7), rules(2, 8), 8, "144 matches"),
    ];
    for (most, more, testers, what) in pairs {
        assert_eq!(told(&matches(testers), &most), "", "{what}");
        assert!(told(&matches(testers), &more).contains(what), "{}", told(&matches(testers), &more));
    }
    let own = many(9, |index| format!("{{ name: y-{index}, value: a }}"));
    let rule = format!("{{ matches: [{{ headers: {own} }}], backendRefs: [{{ name: web, port: 80 }}] }}");
    assert_eq!(told(&headers(7), &rule), "");
    assert!(told(&headers(8), &rule).contains("more than 16 `headers` in one match"));
}

#[test]
fn what_the_route_asks_for_itself_is_no_mistake_where_it_is_the_same() {
    let rule = |value: &str| {
        format!(
            "{{ matches: [{{ headers: [{{ name: X-Tester, value: {value} }}] }}], backendRefs: [{{ name: web, port: 80 }}] }}"
        )
    };
    assert_eq!(told(&matches(1), &rule("v0")), "");
    assert!(told(&matches(1), &rule("v1")).contains("could not have both values"));
}

#[test]
fn a_prefix_that_is_rewritten_takes_one_match() {
    let filter = "filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } }]";
    let path = "matches: [{ path: { value: /shop } }]";
    let of_rule = format!("{{ {path}, {filter}, backendRefs: [{{ name: web, port: 80 }}] }}");
    let of_backend = format!("{{ {path}, backendRefs: [{{ name: web, port: 80, {filter} }}] }}");
    for rule in [of_rule, of_backend] {
        assert_eq!(told(&matches(1), &rule), "");
        assert!(told(&matches(2), &rule).contains("rewrites a prefix"), "{}", told(&matches(2), &rule));
        let elsewhere = rule.replace("name: web", "name: other");
        assert_eq!(told(&matches(2), &format!("{RULE}, {elsewhere}")), "");
    }
}

#[test]
fn a_service_of_another_namespace_has_no_testers() {
    let theirs = "{ backendRefs: [{ name: web, namespace: elsewhere, port: 80 }] }";
    assert_eq!(told(&matches(1), &format!("{RULE}, {}", vec![theirs; 14].join(", "))), "");
}
