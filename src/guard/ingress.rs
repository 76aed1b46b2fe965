//! What an Ingress and its canary Ingress lead to, read anew.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::guard::backends::Led;
use crate::model::Name;
use crate::objects::{Kind, ObjectKey};
use crate::spec::Match;
use crate::spec::ingress::annotation;
use crate::spec::routes::{base_of, beside};

/// The Ingress whose canary Ingress this one would be.
#[must_use]
pub fn base(key: &ObjectKey) -> Option<ObjectKey> {
    let (name, canary) = base_of(&key.name).filter(|_| key.kind == Kind::Ingress)?;
    canary.then(|| ObjectKey { name, ..key.clone() })
}

/// A path of an Ingress: its host, everything of it but the Service's name, and that name.
type Path = (String, String, String);

fn paths(body: &Value) -> Vec<Path> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for rule in list(&body["spec"]["rules"]) {
        for mut path in list(&rule["http"]["paths"]) {
            let name = path.pointer_mut("/backend/service/name").map(Value::take).unwrap_or_default();
            let name = name.as_str().unwrap_or_default().to_owned();
            all.push((rule["host"].to_string(), path.to_string(), name));
        }
    }
    all
}

/// A spec without its rules.
fn aside(body: &Value) -> Map<String, Value> {
    let mut spec = body["spec"].as_object().cloned().unwrap_or_default();
    spec.remove("rules");
    spec
}

fn service<'s>(services: &'s BTreeSet<Name>, name: &str) -> Option<&'s Name> {
    services.iter().find(|it| it.as_str() == name)
}

/// Reads how `body` leads to the proven revision of `services`, where it is `before` but for that: by all paths that lead
/// there, or by none. `None` where it is another Ingress.
#[must_use]
pub fn read(before: &Value, body: &Value, services: &BTreeSet<Name>) -> Option<Led> {
    let (own, theirs) = (paths(before), paths(body));
    if aside(before) != aside(body) || own.len() != theirs.len() {
        return None;
    }
    let mut led = Led::default();
    let mut kept = false;
    for (own, theirs) in own.iter().zip(&theirs) {
        let stable = |name: &&Name| beside(name, false).is_some_and(|it| it.as_str() == theirs.2);
        let turned = service(services, &own.2).filter(stable);
        if (&own.0, &own.1) != (&theirs.0, &theirs.1) || (turned.is_none() && own.2 != theirs.2) {
            return None;
        }
        kept |= turned.is_none() && service(services, &own.2).is_some();
        led.stable.extend(turned.cloned());
    }
    (led.stable.is_empty() || !kept).then_some(led)
}

/// Reads what `body` gives the entered revision of the traffic of the Ingress `before`, and which testers. `None` where it
/// gives anything else, or to anybody else.
#[must_use]
pub fn read_canary(
    before: &Value,
    body: &Value,
    services: &BTreeSet<Name>,
    testers: &[Match],
) -> Option<Led> {
    let own = paths(before);
    let mut reached = BTreeSet::new();
    for (host, path, name) in paths(body) {
        let mut same = own.iter().filter(|(own_host, own_path, _)| (own_host, own_path) == (&host, &path));
        let leads = |it: &&Path| {
            service(services, &it.2)
                .filter(|it| beside(it, true).is_some_and(|it| it.as_str() == name))
                .is_some()
        };
        reached.insert(service(services, &same.find(leads)?.2)?.clone());
    }
    let class = |body: &Value| body["spec"]["ingressClassName"].clone();
    let known = body["spec"].as_object()?.keys().all(|it| it == "rules" || it == "ingressClassName");
    let annotations = &body["metadata"]["annotations"];
    let text = |last: &str| annotations[annotation(last)].as_str();
    let weight: u64 = text("canary-weight")?.parse().ok().filter(|it| *it <= 100)?;
    let nothing = |last: &str| text(last).is_none_or(str::is_empty);
    let is_one = text("canary") == Some("true") && text("canary-weight-total").is_none_or(|it| it == "100");
    // ingress-nginx leads on whoever has a cookie of affinity, whatever the weight, unless it is told not to.
    let lets_go = weight > 0 || text("affinity-canary-behavior") == Some("legacy");
    if class(before) != class(body) || !known || !is_one || !lets_go || !nothing("canary-by-cookie") {
        return None;
    }
    let mut led = Led { share: weight * 100, ..Led::default() };
    if weight > 0 {
        led.canary.clone_from(&reached);
    }
    if let Some(header) = text("canary-by-header").filter(|it| !it.is_empty()) {
        let asked = testers.iter().flat_map(|it| &it.headers).find(|it| it.name == header)?;
        let mut fields = ["canary-by-header-value", "canary-by-header-pattern"];
        if asked.regular {
            fields.reverse();
        }
        if text(fields[0]) != Some(&asked.value) || !nothing(fields[1]) {
            return None;
        }
        led.testers = reached;
    }
    Some(led)
}
