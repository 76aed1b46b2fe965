//! Routes that share traffic by the weights of the steps: what must fit together for them, and the Services that they lead
//! to.
//!
//! A Service whose selector selects the pods of the release has two more beside it during a rollout, one with the pods of
//! each revision ([`beside`]); in the routes they stand in its place.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::Name;
use crate::objects::{Kind, ObjectKey};
use crate::spec::cloneset::CloneSet;
use crate::spec::document::Accompanying;
use crate::spec::ingress;
use crate::spec::matches;
use crate::spec::node::Spot;
use crate::spec::release::{Companion, Match, Release};
use crate::spec::strategy::WrittenStrategy;

/// Longest name of a Service (Kubernetes, "Object Names and IDs": a DNS label).
const SERVICE_NAME_MAX: usize = 63;
/// Longest value of a label, which the release's name becomes (Kubernetes, "Labels and Selectors").
const LABEL_MAX: usize = 63;
/// Largest weight of the base in a rule that is shared: each is multiplied by up to 100, and the Gateway API takes a
/// million (`backendRefs[].weight`).
pub const WEIGHT_MAX: u64 = 10_000;

/// What stands behind the name of a Service in those of the two beside it: of the proven revision, of the entered one.
const BESIDE: [&str; 2] = ["stable", "canary"];

/// The name of the Service beside `service`: `-stable` or `-canary`. `None` where it would be no name.
#[must_use]
pub fn beside(service: &Name, canary: bool) -> Option<Name> {
    format!("{service}-{}", BESIDE[usize::from(canary)]).parse().ok()
}

/// The Service beside which one of this name would be, and whether it is the one of the entered revision.
#[must_use]
pub fn base_of(name: &Name) -> Option<(Name, bool)> {
    [false, true].into_iter().find_map(|canary| {
        let base = name.as_str().strip_suffix(BESIDE[usize::from(canary)])?.strip_suffix('-')?;
        Some((base.parse().ok()?, canary))
    })
}

/// The Services of this namespace that the route or Ingress `body` leads to.
#[must_use]
pub fn led_to(body: &Value) -> BTreeSet<&str> {
    let rules = body.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    let refs = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    let refs = refs.filter_map(|it| service_of(it, body["metadata"]["namespace"].as_str()));
    refs.chain(ingress::paths(body).map(|(.., service)| service)).chain(ingress::by_default(body)).collect()
}

/// The Service of `namespace` that a `backendRef` names (Gateway API, `BackendObjectReference`).
#[must_use]
pub fn service_of<'v>(backend: &'v Value, namespace: Option<&str>) -> Option<&'v str> {
    let text = |key: &str| backend.get(key).and_then(Value::as_str);
    let is_service =
        text("group").unwrap_or_default().is_empty() && text("kind").unwrap_or("Service") == "Service";
    let here = text("namespace").is_none_or(|it| Some(it) == namespace);
    text("name").filter(|_| is_service && here)
}

/// Whether a Service selects pods with these labels, all of them and no others of the release's.
#[must_use]
pub fn selects(service: &Value, labels: &Value) -> bool {
    let external = service.pointer("/spec/type").is_some_and(|it| it == "ExternalName");
    !external && is_among(&service["spec"]["selector"], labels)
}

/// Whether all labels `selected`, and at least one, are among `labels`.
#[must_use]
pub fn is_among(selected: &Value, labels: &Value) -> bool {
    let selected = selected.as_object().filter(|it| !it.is_empty());
    selected.is_some_and(|it| it.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// The first label of a CloneSet's selector that is not among those `selected`: pods of others could be selected, which would
/// be lost where only those of one revision are meant.
#[must_use]
pub fn beyond(selected: &Value, selector: &Value) -> Option<String> {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let missing = labels.filter(|(key, value)| selected.get(key.as_str()) != Some(*value));
    let missing = missing.map(|(key, value)| format!("{key}: {}", value.as_str().unwrap_or_default()));
    let terms = selector["matchExpressions"].as_array().into_iter().flatten();
    let open = terms.filter(|term| !implies(selected, term));
    missing.chain(open.map(|term| term["key"].as_str().unwrap_or_default().to_owned())).next()
}

/// Whether every pod with the labels `selected` fits `term` (Kubernetes, `LabelSelectorRequirement`).
fn implies(selected: &Value, term: &Value) -> bool {
    let value = term["key"].as_str().and_then(|key| selected.get(key));
    let is_listed = |value: &Value| term["values"].as_array().is_some_and(|values| values.contains(value));
    match term["operator"].as_str() {
        Some("In") => value.is_some_and(is_listed),
        Some("NotIn") => value.is_some_and(|value| !is_listed(value)),
        Some("Exists") => value.is_some(),
        _ => false,
    }
}

impl Release {
    /// Its routes that share traffic by the weights of its steps.
    pub fn weighted_routes(&self) -> impl Iterator<Item = &Companion> {
        let named = |it: &&Companion| self.strategy.routes.contains(&it.body.key.name);
        self.companions.iter().filter(|it| it.body.key.kind.shares_traffic()).filter(named)
    }

    /// Its Services that select its pods and that a route of its leads to: those that can be shared.
    #[must_use]
    pub fn shared_services(&self) -> BTreeSet<Name> {
        let labels = self.cloneset.value.open()["spec"]["template"]["metadata"]["labels"].take();
        // Most Ingresses have nothing to do with weights.
        let is_meant = |it: &&Companion| {
            it.body.key.kind.is_route()
                || (it.body.key.kind.shares_traffic() && self.strategy.routes.contains(&it.body.key.name))
        };
        let routes = self.companions.iter().filter(is_meant);
        let routes: Vec<Value> = routes.map(|it| it.body.value.open()).collect();
        let led: BTreeSet<&str> = routes.iter().flat_map(led_to).collect();
        let services = self.companions.iter().filter(|it| it.body.key.kind == Kind::Service);
        let services = services.filter(|it| led.contains(it.body.key.name.as_str()));
        services
            .filter(|it| selects(&it.body.value.open(), &labels))
            .map(|it| it.body.key.name.clone())
            .collect()
    }

    /// The first label that a Service selects and its pods do not have.
    #[must_use]
    pub fn unselected_by(&self, service: &Value) -> Option<String> {
        let labels = self.cloneset.value.open()["spec"]["template"]["metadata"]["labels"].take();
        let selector = service.pointer("/spec/selector").and_then(Value::as_object)?;
        let (key, value) = selector.iter().find(|(key, value)| labels.get(key.as_str()) != Some(*value))?;
        Some(format!("{key}: {}", value.as_str().unwrap_or_default()))
    }

    /// Its Service of this name.
    #[must_use]
    pub fn service(&self, name: &Name) -> Option<&Companion> {
        let mut services = self.companions.iter().filter(|it| it.body.key.kind == Kind::Service);
        services.find(|it| it.body.key.name == *name)
    }

    /// Its companion with this key.
    #[must_use]
    pub fn companion(&self, key: &ObjectKey) -> Option<&Companion> {
        self.companions.iter().find(|it| it.body.key == *key)
    }
}

/// One check of the routes of a release: where its strategy is told of, and how.
struct Check<'c, 'f> {
    path: &'f str,
    /// Where each route is named; empty where the strategy stands in triton.yaml.
    routes_at: &'c [Spot],
    at: Spot,
    matches: &'c [Match],
    cloneset: &'c CloneSet,
    companions: &'c [(&'f str, &'c Accompanying)],
}

/// Checks the routes of a strategy against the companions of its release. `tell` is given the file, the place, the mistake
/// and its cure.
pub fn check<'f>(
    strategy: &WrittenStrategy,
    (path, at, inline): (&'f str, Spot, bool),
    cloneset: &CloneSet,
    companions: &[(&'f str, &Accompanying)],
    tell: &mut dyn FnMut(&'f str, Spot, String, String),
) {
    if strategy.strategy.routes.is_empty() {
        return;
    }
    let routes_at = if inline { strategy.routes_at.as_slice() } else { &[] };
    let matches = strategy.strategy.matches.as_slice();
    let check = Check { path, routes_at, at, matches, cloneset, companions };
    let mut shared = BTreeSet::new();
    for (index, name) in strategy.strategy.routes.iter().enumerate() {
        shared.append(&mut check.route(index, name, tell));
    }
    for name in shared {
        check.beside(&name, tell);
    }
    let release = cloneset.key.as_ref().map_or(0, |key| key.name.as_str().len());
    if release > LABEL_MAX {
        let message = format!(
            "a release with weights has a name of at most {LABEL_MAX} characters, and this one has {release}"
        );
        tell(path, at, message, "shorten it".to_owned());
    }
}

impl<'f> Check<'_, 'f> {
    fn of_kind(&self, is_it: impl Fn(Kind) -> bool) -> impl Iterator<Item = (&'f str, &Accompanying, &Name)> {
        let of_kind = self.companions.iter().filter(move |(_, it)| is_it(it.kind));
        of_kind.filter_map(|(path, it)| Some((*path, *it, &it.key.as_ref()?.name)))
    }

    fn labels(&self) -> Value {
        self.cloneset.body.open()["spec"]["template"]["metadata"]["labels"].take()
    }

    /// One route: gives the Services of the release that it leads to and that select its pods.
    fn route(
        &self,
        index: usize,
        name: &Name,
        tell: &mut dyn FnMut(&'f str, Spot, String, String),
    ) -> BTreeSet<Name> {
        let routes: Vec<_> = self.of_kind(Kind::shares_traffic).filter(|(.., it)| *it == name).collect();
        if routes.is_empty() {
            let known: Vec<String> =
                self.of_kind(Kind::shares_traffic).map(|(.., name)| name.to_string()).collect();
            let cure = match known.as_slice() {
                [] => "add the HTTPRoute, GRPCRoute or Ingress to the files of the release".to_owned(),
                known => format!("the release has {}", known.join(", ")),
            };
            let message = format!(
                "`routes` names `{name}`, and the release has no HTTPRoute, GRPCRoute or Ingress of that name"
            );
            tell(self.path, self.routes_at.get(index).copied().unwrap_or(self.at), message, cure);
        }
        let mut shared = BTreeSet::new();
        for (path, route, _) in routes {
            let body = route.body.open();
            let led = led_to(&body);
            let mine =
                self.of_kind(|kind| kind == Kind::Service).filter(|(.., it)| led.contains(it.as_str()));
            let (ours, others): (Vec<_>, Vec<_>) =
                mine.partition(|(_, service, _)| selects(&service.body.open(), &self.labels()));
            for (path, service, name) in &others {
                let message = format!(
                    "{} `{}` leads to Service `{name}`, whose selector does not select the pods of this release",
                    route.kind,
                    quoted(route)
                );
                tell(
                    path,
                    service.at,
                    message,
                    "write labels of the template into `spec.selector`".to_owned(),
                );
            }
            let weightless = |name: &Name| weight_to(&body, name.as_str()) == 0;
            if route.kind.is_route() && !ours.is_empty() && ours.iter().all(|(.., name)| weightless(name)) {
                let message = format!(
                    "{} `{}` gives the pods of this release weight 0: there is nothing that weights could share",
                    route.kind,
                    quoted(route)
                );
                tell(path, route.at, message, "write a weight above 0 in `backendRefs`".to_owned());
            }
            if ours.is_empty() && others.is_empty() {
                let message = format!(
                    "{} `{}` leads to no Service of this release: there is nothing that weights could share",
                    route.kind,
                    quoted(route)
                );
                let cure = "add the Service to the files of the release, and name it in `backendRefs`";
                tell(path, route.at, message, cure.to_owned());
            }
            let ours: BTreeSet<Name> = ours.into_iter().map(|(.., name)| name.clone()).collect();
            self.fits((path, route), &body, &ours, tell);
            shared.extend(ours);
        }
        shared
    }

    /// One route can have what is written into it: weights, and rules for testers.
    fn fits(
        &self,
        (path, route): (&'f str, &Accompanying),
        body: &Value,
        ours: &BTreeSet<Name>,
        tell: &mut dyn FnMut(&'f str, Spot, String, String),
    ) {
        if largest_weight(body).is_some_and(|weight| weight > WEIGHT_MAX) {
            let message = format!(
                "{} `{}` has a weight above {WEIGHT_MAX}: it could not be shared exactly",
                route.kind,
                quoted(route)
            );
            tell(path, route.at, message, "write smaller weights with the same proportion".to_owned());
        }
        if !route.kind.is_route() {
            self.ingress((path, route), body, ours, tell);
            return;
        }
        let namespace = body["metadata"]["namespace"].as_str();
        let leads = |rule: &&Value| {
            let backends = rule["backendRefs"].as_array().into_iter().flatten();
            let mut names = backends.filter_map(|it| service_of(it, namespace));
            names.any(|name| ours.iter().any(|it| it.as_str() == name))
        };
        if let Some((what, cure)) = matches::misfit(route.kind, body, leads, self.matches) {
            tell(path, route.at, format!("{} `{}` {what}", route.kind, quoted(route)), cure);
        }
    }

    /// One Ingress can share, by its canary Ingress.
    fn ingress(
        &self,
        (path, ingress): (&'f str, &Accompanying),
        body: &Value,
        ours: &BTreeSet<Name>,
        tell: &mut dyn FnMut(&'f str, Spot, String, String),
    ) {
        if let Some((what, cure)) = ingress::misfit(body, ours, self.matches) {
            tell(path, ingress.at, format!("Ingress `{}` {what}", quoted(ingress)), cure);
        }
        let is_ingress = |kind| kind == Kind::Ingress;
        let name = ingress.key.as_ref().map(|key| &key.name);
        let beside = name.and_then(|name| beside(name, true));
        if name.is_some() && beside.is_none() {
            let message =
                format!("the name of Ingress `{}` leaves no room for its canary Ingress's", quoted(ingress));
            tell(path, ingress.at, message, "shorten it".to_owned());
        }
        for (path, other, own) in self.of_kind(is_ingress).filter(|(.., it)| Some(*it) == beside.as_ref()) {
            let message = format!(
                "Ingress `{own}` is Triton's to make: it is the canary Ingress of `{}`",
                quoted(ingress)
            );
            tell(path, other.at, message, "give it another name".to_owned());
        }
        for (_, other, own) in self.of_kind(is_ingress).filter(|(.., it)| Some(*it) != name) {
            let theirs = other.body.open();
            // A rule without a path is for all.
            let of = |at: &str| if at.is_empty() { "/".to_owned() } else { at.to_owned() };
            let same = |(host, at, _): &(&str, &str, &str)| {
                ingress::paths(&theirs)
                    .any(|(host_there, at_there, _)| (host_there, of(at_there)) == (*host, of(at)))
            };
            if let Some((host, at, _)) = ingress::paths(body).find(same) {
                let message = format!(
                    "Ingress `{}` is for {host}{at}, as Ingress `{own}` is: ingress-nginx shares one alone",
                    quoted(ingress)
                );
                tell(path, ingress.at, message, "write the path into one of them".to_owned());
            }
        }
    }

    /// The two Services beside one that is shared can be made.
    fn beside(&self, name: &Name, tell: &mut dyn FnMut(&'f str, Spot, String, String)) {
        let is_service = |kind| kind == Kind::Service;
        let selector = self.cloneset.body.open()["spec"]["selector"].take();
        for (path, service, _) in self.of_kind(is_service).filter(|(.., it)| *it == name) {
            if let Some(label) = beyond(&service.body.open()["spec"]["selector"], &selector) {
                let message = format!(
                    "Service `{name}` is shared by weights, and may select pods of others: its selector lacks `{label}` of the CloneSet's"
                );
                let cure = "write every label of the CloneSet's `spec.selector` into it";
                tell(path, service.at, message, cure.to_owned());
            }
            let longest = name.as_str().len() + "-canary".len();
            if longest > SERVICE_NAME_MAX {
                let message = format!(
                    "Service `{name}` is shared by weights as `{name}-canary`, which has {longest} characters: Kubernetes takes {SERVICE_NAME_MAX}"
                );
                tell(path, service.at, message, "shorten its name".to_owned());
            }
        }
        for canary in [false, true] {
            let taken = beside(name, canary);
            for (path, service, own) in
                self.of_kind(is_service).filter(|(.., it)| Some(*it) == taken.as_ref())
            {
                let message = format!(
                    "Service `{own}` is Triton's to make: weights share the traffic of Service `{name}` by it"
                );
                tell(path, service.at, message, "give it another name".to_owned());
            }
        }
    }
}

fn quoted(companion: &Accompanying) -> &str {
    companion.key.as_ref().map_or("", |key| key.name.as_str())
}

/// What all `backendRefs` of a Service weigh in a route; one that says nothing weighs 1 (Gateway API, `BackendRef`).
fn weight_to(route: &Value, service: &str) -> u64 {
    let rules = route.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    let refs = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    let here = route["metadata"]["namespace"].as_str();
    let its = refs.filter(|it| service_of(it, here) == Some(service));
    its.map(|it| it["weight"].as_u64().unwrap_or(1)).sum()
}

fn largest_weight(route: &Value) -> Option<u64> {
    let rules = route.pointer("/spec/rules").and_then(Value::as_array)?.iter();
    let refs = rules.flat_map(|rule| rule["backendRefs"].as_array().into_iter().flatten());
    refs.filter_map(|it| it["weight"].as_u64()).max()
}
