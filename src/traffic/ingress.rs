//! Ingresses of ingress-nginx: one leads to the proven revision, and its *canary Ingress* gives the entered one its share.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::model::Name;
use crate::objects::{Kind, ObjectKey};
use crate::spec::Match;
use crate::spec::ingress::{annotation, is_shared};
use crate::spec::routes::{base_of, beside, led_to};
use crate::world::Share;

/// Annotations that say which requests a canary Ingress takes, whatever its weight (ingress-nginx, "Canary").
const BY_REQUEST: [&str; 4] =
    ["canary-by-header", "canary-by-header-value", "canary-by-header-pattern", "canary-by-cookie"];

/// The canary Ingress of `key`, by which the entered revision gets its share. `None` for what is no Ingress.
#[must_use]
pub fn canary(key: &ObjectKey) -> Option<ObjectKey> {
    let name = beside(&key.name, true).filter(|_| key.kind == Kind::Ingress)?;
    Some(ObjectKey { name, ..key.clone() })
}

/// The Ingress whose canary Ingress one of this key would be.
#[must_use]
pub fn canary_of(key: &ObjectKey) -> Option<ObjectKey> {
    let (name, canary) = base_of(&key.name).filter(|_| key.kind == Kind::Ingress)?;
    canary.then(|| ObjectKey { name, ..key.clone() })
}

/// The Ingress `base`: where its traffic is shared, it leads to the proven revision.
#[must_use]
pub fn ingress(base: &Value, services: &BTreeSet<Name>, share: Share) -> Value {
    let mut ingress = base.clone();
    if share != Share::Base {
        turn(&mut ingress, services, false, false);
    }
    ingress
}

/// Lets the paths that lead to `services` lead to those beside them; with `alone`, no others are left.
fn turn(ingress: &mut Value, services: &BTreeSet<Name>, canary: bool, alone: bool) {
    let rules = ingress.pointer_mut("/spec/rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        let Some(paths) = rule.pointer_mut("/http/paths").and_then(Value::as_array_mut) else { continue };
        paths.retain_mut(|path| {
            let name = path.pointer_mut("/backend/service/name");
            let next = name.as_ref().and_then(|name| services.iter().find(|it| **name == *it.as_str()));
            let next = next.and_then(|service| beside(service, canary));
            let is_there = next.is_some();
            if let (Some(name), Some(next)) = (name, next) {
                *name = next.as_str().into();
            }
            is_there || !alone
        });
    }
    if let Some(rules) = ingress.pointer_mut("/spec/rules").and_then(Value::as_array_mut).filter(|_| alone) {
        rules.retain(|rule| {
            rule.pointer("/http/paths").and_then(Value::as_array).is_some_and(|it| !it.is_empty())
        });
    }
}

/// The canary Ingress of `base`, by which the entered revision gets `percent` of the traffic, and requests of testers.
#[must_use]
pub fn canary_ingress(
    base: &Value,
    services: &BTreeSet<Name>,
    percent: u32,
    testers: &[Match],
) -> Option<Value> {
    let mut body = base.clone();
    turn(&mut body, services, true, true);
    let name: Name = base["metadata"]["name"].as_str()?.parse().ok()?;
    let own = base["metadata"]["annotations"].as_object().into_iter().flatten();
    let own = own.filter(|(key, _)| is_shared(key)).map(|(key, value)| (key.clone(), value.clone()));
    let mut annotations: Map<String, Value> = own.collect();
    let mut say = |last: &str, value: &str| annotations.insert(annotation(last), value.into());
    say("canary", "true");
    say("canary-weight", &percent.to_string());
    say("canary-weight-total", "100");
    // What is empty counts as absent. Written it is ours, and what somebody adds there is put back.
    for last in BY_REQUEST {
        say(last, "");
    }
    if let Some(header) = testers.first().and_then(|it| it.headers.first()) {
        say("canary-by-header", &header.name);
        let value = if header.regular { "canary-by-header-pattern" } else { "canary-by-header-value" };
        say(value, &header.value);
    }
    // Whoever has a cookie of affinity would stay there at a weight of nothing.
    if percent == 0 {
        say("affinity-canary-behavior", "legacy");
    }
    let mut spec = json!({"rules": body["spec"]["rules"]});
    if let Some(class) = base["spec"].get("ingressClassName") {
        spec["ingressClassName"] = class.clone();
    }
    Some(json!({
        "apiVersion": base["apiVersion"], "kind": base["kind"],
        "metadata": {
            "namespace": base["metadata"]["namespace"], "name": beside(&name, true)?.as_str(),
            "annotations": annotations,
        },
        "spec": spec,
    }))
}

/// How `live` shares the traffic of `services`: it leads to the proven revision, or as Git has it.
#[must_use]
pub fn stands(live: &Value, services: &BTreeSet<Name>) -> Share {
    let led = led_to(live);
    let mut stable = services.iter().filter_map(|it| beside(it, false));
    if stable.any(|it| led.contains(it.as_str())) { Share::Split(0) } else { Share::Base }
}

/// What a canary Ingress, as it stands, gives the entered revision: a share of the traffic in whole percent, and whether
/// testers. One that does not say that it is such a one counts for everything.
#[must_use]
pub fn gives(live: &Value) -> (u32, bool) {
    let text = |last: &str| live["metadata"]["annotations"][annotation(last)].as_str();
    let percent = match text("canary") {
        Some("true") => text("canary-weight").map_or(0, |it| it.parse().unwrap_or(100)),
        Some(_) | None => 100,
    };
    let asks = |last: &str| text(last).is_some_and(|it| !it.is_empty());
    (percent.min(100), asks("canary-by-header") || asks("canary-by-cookie"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::spec::Criterion;

    fn base() -> Value {
        let path = |path: &str, service: &str| json!({"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}});
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"namespace": "shop", "name": "shop", "annotations": {
                "nginx.ingress.kubernetes.io/affinity": "cookie", "nginx.ingress.kubernetes.io/rewrite-target": "/"}},
            "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["shop.example"]}], "rules": [
                {"host": "shop.example", "http": {"paths": [path("/", "web"), path("/old", "old")]}},
                {"host": "old.example", "http": {"paths": [path("/", "old")]}}]},
        })
    }

    fn services() -> BTreeSet<Name> {
        BTreeSet::from(["web".parse().unwrap()])
    }

    #[test]
    fn one_leads_to_the_proven_revision_and_the_other_gives_the_entered_one_its_share() {
        let stable = ingress(&base(), &services(), Share::Split(5));
        assert_eq!(
            stable["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"],
            "web-stable"
        );
        assert_eq!(stable["spec"]["rules"][1], base()["spec"]["rules"][1]);
        assert_eq!(ingress(&base(), &services(), Share::Base), base());
        let header = Criterion { name: "x-tester".to_owned(), value: "yes|no".to_owned(), regular: true };
        let testers = [Match { headers: vec![header], query: Vec::new() }];
        let canary = canary_ingress(&base(), &services(), 5, &testers).unwrap();
        assert_eq!(canary["metadata"]["name"], "shop-canary");
        assert_eq!(
            canary["metadata"]["annotations"],
            json!({
                "nginx.ingress.kubernetes.io/affinity": "cookie",
                "nginx.ingress.kubernetes.io/canary": "true",
                "nginx.ingress.kubernetes.io/canary-weight": "5",
                "nginx.ingress.kubernetes.io/canary-weight-total": "100",
                "nginx.ingress.kubernetes.io/canary-by-header": "x-tester",
                "nginx.ingress.kubernetes.io/canary-by-header-value": "",
                "nginx.ingress.kubernetes.io/canary-by-header-pattern": "yes|no",
                "nginx.ingress.kubernetes.io/canary-by-cookie": "",
            })
        );
        assert_eq!(led_to(&canary), BTreeSet::from(["web-canary"]));
        assert_eq!((canary["spec"].get("tls"), &canary["spec"]["ingressClassName"]), (None, &json!("nginx")));
    }

    #[test]
    fn nobody_stays_with_a_canary_that_gets_nothing() {
        let behavior = |percent: u32| {
            let canary = canary_ingress(&base(), &services(), percent, &[]).unwrap();
            canary["metadata"]["annotations"]["nginx.ingress.kubernetes.io/affinity-canary-behavior"].clone()
        };
        assert_eq!((behavior(0), behavior(1)), (json!("legacy"), Value::Null));
    }

    #[test]
    fn what_was_shared_is_read_again() {
        assert_eq!(stands(&base(), &services()), Share::Base);
        assert_eq!(stands(&ingress(&base(), &services(), Share::Split(5)), &services()), Share::Split(0));
        for percent in 0..=100 {
            let canary = canary_ingress(&base(), &services(), percent, &[]).unwrap();
            assert_eq!(gives(&canary), (percent, false));
        }
        assert_eq!(gives(&base()), (100, false), "it would have a share of everything");
    }
}
