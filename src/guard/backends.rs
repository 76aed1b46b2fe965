//! What a route leads to, read anew: which share of a rule each backend has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::model::Name;
use crate::spec::Match;
use crate::spec::routes::{beside, service_of};

/// A rule's backends: weights by name, and the fields of each but its name and its weight.
struct Backends<'v> {
    weights: BTreeMap<&'v str, u64>,
    fields: BTreeSet<(&'v str, String)>,
}

fn backends<'v>(rule: &'v Value, namespace: Option<&str>) -> Backends<'v> {
    let mut out = Backends { weights: BTreeMap::new(), fields: BTreeSet::new() };
    for backend in rule["backendRefs"].as_array().into_iter().flatten() {
        let name = service_of(backend, namespace).or_else(|| backend["name"].as_str()).unwrap_or_default();
        *out.weights.entry(name).or_default() += backend["weight"].as_u64().unwrap_or(1);
        let mut fields = backend.clone();
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("name");
            fields.remove("weight");
        }
        out.fields.insert((name, fields.to_string()));
    }
    out
}

/// How a body leads to the two revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Led {
    /// Services by whose stable one it leads to the proven revision.
    pub stable: BTreeSet<Name>,
    /// Services by whose canary one it leads to the entered revision.
    pub canary: BTreeSet<Name>,
    /// Services by whose canary one testers, and nobody else, reach the entered revision.
    pub testers: BTreeSet<Name>,
    /// The largest share of any Service's traffic that the entered revision gets, in hundredths of a percent, rounded up.
    pub share: u64,
}

/// Reads how `body` leads to the revisions of `services`, where it is `base` but for that, and for rules in front that lead
/// requests of `testers` alone. `None` where it is another route, or another backend's share of a rule is another one.
#[must_use]
pub fn read(base: &Value, body: &Value, services: &BTreeSet<Name>, testers: &[Match]) -> Option<Led> {
    let mut led = Led::default();
    let namespace = base["metadata"]["namespace"].as_str();
    let rules = |route: &Value| route["spec"]["rules"].as_array().cloned().unwrap_or_default();
    let (own, mut theirs) = (rules(base), rules(body));
    let first: Vec<Value> = theirs.drain(..theirs.len().checked_sub(own.len())?).collect();
    let mut rest = body.clone();
    if !first.is_empty() {
        rest["spec"]["rules"] = theirs.clone().into();
    }
    if bare(base)? != bare(&rest)? {
        return None;
    }
    for rule in &first {
        led.testers.extend(for_testers(rule, &own, namespace, services, testers)?);
    }
    for (before, after) in own.iter().zip(&theirs) {
        rule(&backends(before, namespace), &backends(after, namespace), services, &mut led)?;
    }
    Some(led)
}

/// Reads one rule into `led`.
fn rule(before: &Backends<'_>, after: &Backends<'_>, services: &BTreeSet<Name>, led: &mut Led) -> Option<()> {
    let all = |of: &Backends<'_>| of.weights.values().sum::<u64>();
    let mut seen = BTreeSet::new();
    for (name, weight) in &before.weights {
        let service = services.iter().find(|it| it.as_str() == *name);
        let [stable, canary] = [false, true].map(|canary| Some(beside(service?, canary)?.to_string()));
        let all_names = [Some((*name).to_owned()), stable.clone(), canary.clone()];
        let is_there = |it: &String| after.weights.contains_key(it.as_str());
        let named: Vec<String> = all_names.into_iter().flatten().filter(is_there).collect();
        let (stable, canary) = (stable.as_deref(), canary.as_deref());
        seen.extend(named.iter().cloned());
        let mixed = named.iter().any(|it| it == name) && named.len() > 1;
        let of = |name: Option<&str>| name.and_then(|it| after.weights.get(it)).copied().unwrap_or(0);
        let (own, stable, canary) = (of(Some(name)), of(stable), of(canary));
        let leads = all(before) > 0 || all(after) == 0;
        let exact = leads && (own + stable + canary) * all(before) == weight * all(after);
        let fields = |of: &Backends<'_>, name: &str| -> BTreeSet<String> {
            of.fields.iter().filter(|(it, _)| *it == name).map(|(_, fields)| fields.clone()).collect()
        };
        let same = named.iter().all(|it| fields(after, it) == fields(before, name));
        if named.is_empty() || mixed || !exact || !same {
            return None;
        }
        if let Some(service) = service {
            led.stable.extend((stable > 0).then(|| service.clone()));
            led.canary.extend((canary > 0).then(|| service.clone()));
            led.share = led.share.max((canary * 10_000).div_ceil((stable + canary).max(1)));
        }
    }
    after.weights.keys().all(|name| seen.contains(*name)).then_some(())
}

/// The Services by whose canary one a rule in front leads testers there, and nobody else: it is one of `own` for requests
/// of that one which a tester's match fits. `None` for any other rule.
fn for_testers(
    rule: &Value,
    own: &[Value],
    namespace: Option<&str>,
    services: &BTreeSet<Name>,
    testers: &[Match],
) -> Option<BTreeSet<Name>> {
    let matches = rule["matches"].as_array().filter(|it| !it.is_empty())?;
    let reached = |base: &Value| {
        let fits = |it: &Value| narrows(it, base) && testers.iter().any(|tester| is_testers(it, tester));
        let is_of = aside(base) == aside(rule) && matches.iter().all(fits);
        if is_of { reached(base, rule, namespace, services) } else { None }
    };
    own.iter().find_map(reached)
}

/// The Services by whose canary one `rule` leads to the pods of `base`, where it leads nowhere else: each backend of those
/// that gets any of `base` has the same share of it there. `None` where it is not so.
fn reached(
    base: &Value,
    rule: &Value,
    namespace: Option<&str>,
    services: &BTreeSet<Name>,
) -> Option<BTreeSet<Name>> {
    let mut base = base.clone();
    base["backendRefs"].as_array_mut()?.retain(|it| {
        let is_ours =
            service_of(it, namespace).is_some_and(|name| services.iter().any(|it| it.as_str() == name));
        is_ours && it["weight"].as_u64() != Some(0)
    });
    let (before, mut led) = (backends(&base, namespace), Led::default());
    self::rule(&before, &backends(rule, namespace), services, &mut led)?;
    let all = led.stable.is_empty() && led.canary.len() == before.weights.len();
    Some(led.canary).filter(|it| all && !it.is_empty())
}

/// A rule without its name, which requests it is for and where they go.
fn aside(rule: &Value) -> Value {
    let mut rule = rule.clone();
    if let Some(fields) = rule.as_object_mut() {
        fields.retain(|key, _| !matches!(key.as_str(), "name" | "matches" | "backendRefs"));
    }
    rule
}

/// The criteria of a match: names in small letters, values, and whether those are regular expressions.
fn criteria(of: &Value, field: &str) -> BTreeSet<(String, String, bool)> {
    let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let read = |it: &Value| {
        let name = text(it, "name");
        let name = if field == "headers" { name.to_ascii_lowercase() } else { name };
        (name, text(it, "value"), it["type"] == "RegularExpression")
    };
    of[field].as_array().into_iter().flatten().map(read).collect()
}

/// Whether a match fits only requests that any match of the rule `base` fits.
fn narrows(narrow: &Value, base: &Value) -> bool {
    let any = Value::Object(Map::new());
    let own = base["matches"].as_array().map_or(&[][..], Vec::as_slice);
    let own = if own.is_empty() { std::slice::from_ref(&any) } else { own };
    own.iter().any(|own| {
        let same = ["path", "method"].iter().all(|field| own.get(field) == narrow.get(field));
        let more = |field| criteria(own, field).is_subset(&criteria(narrow, field));
        same && more("headers") && more("queryParams")
    })
}

/// Whether a match fits only requests of this tester.
fn is_testers(narrow: &Value, tester: &Match) -> bool {
    [("headers", &tester.headers), ("queryParams", &tester.query)].into_iter().all(|(field, asked)| {
        let there = criteria(narrow, field);
        asked.iter().all(|it| {
            let name = if field == "headers" { it.name.to_ascii_lowercase() } else { it.name.clone() };
            there.contains(&(name, it.value.clone(), it.regular))
        })
    })
}

/// A route without its backends and what is not Git's; and how many rules it has.
fn bare(route: &Value) -> Option<Value> {
    let mut route = route.clone();
    route.as_object_mut()?.remove("metadata");
    for rule in route.pointer_mut("/spec/rules").and_then(Value::as_array_mut).into_iter().flatten() {
        rule.as_object_mut()?.remove("backendRefs");
    }
    Some(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;

    use crate::spec::Criterion;

    #[test]
    fn testers_of_a_rule_reach_its_own_services_with_their_shares() {
        let services = BTreeSet::from(["web".parse().unwrap(), "api".parse().unwrap()]);
        let header = Criterion { name: "x-tester".to_owned(), value: "yes".to_owned(), regular: false };
        let testers = [Match { headers: vec![header], query: Vec::new() }];
        let asked = json!([{"headers": [{"name": "x-tester", "value": "yes"}]}]);
        let to = |names: &[(&str, u64)]| -> Value {
            names.iter().map(|(name, weight)| json!({"name": name, "weight": weight})).collect()
        };
        let of = |rules: Value| json!({"spec": {"rules": rules}});
        let read = |own: Value, first: Value, rest: Value| {
            let base = of(json!([{"backendRefs": own}]));
            let body = of(json!([{"matches": asked, "backendRefs": first}, {"backendRefs": rest}]));
            read(&base, &body, &services, &testers).map(|led| led.testers)
        };
        let web = |first: &[(&str, u64)]| read(to(&[("web", 1)]), to(first), to(&[("web-stable", 1)]));
        assert_eq!(web(&[("web-canary", 1)]), Some(BTreeSet::from(["web".parse().unwrap()])));
        for wrong in
            [&[("api-canary", 1)][..], &[("web-canary", 0)], &[("web-canary", 1), ("api-canary", 1)], &[]]
        {
            assert_eq!(web(wrong), None, "{wrong:?}");
        }
        let both = |first: &[(&str, u64)]| {
            let rest = to(&[("web-stable", 2), ("api-stable", 1), ("old", 1)]);
            read(to(&[("web", 2), ("api", 1), ("old", 1)]), to(first), rest)
        };
        assert_eq!(both(&[("web-canary", 2), ("api-canary", 1)]), Some(services.clone()));
        for wrong in [
            &[("web-canary", 1), ("api-canary", 1)][..],
            &[("web-canary", 1)],
            &[("web-canary", 2), ("old", 1)],
        ] {
            assert_eq!(both(wrong), None, "{wrong:?}");
        }
    }
}
