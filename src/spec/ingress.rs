//! Ingresses of ingress-nginx: what they lead to, and what keeps one from sharing traffic by a canary Ingress.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::Name;
use crate::spec::release::{Criterion, Match};

/// The class of Ingresses that share traffic by annotations (ingress-nginx, "Annotations", "Canary").
const CLASS: &str = "nginx";
/// The class, as Kubernetes before 1.18 had it.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";
/// What annotations of ingress-nginx begin with.
const PREFIX: &str = "nginx.ingress.kubernetes.io/";
/// How annotations of an Ingress begin that count on its canary Ingress as well (ingress-nginx, "Canary").
const SHARED: [&str; 4] = ["affinity", "load-balance", "session-cookie", "upstream-hash-by"];

/// What ingress-nginx takes beside letters and digits as the value of a header; whatever else is in it counts as nothing
/// (ingress-nginx, `internal/ingress/annotations/parser`: `BasicCharsRegex`).
const OF_VALUE: &str = "-._~/:";
/// And as an expression (`IsValidRegex`).
const OF_PATTERN: &str = "-._~/:^$[](){}*+?|&=\\";

/// An annotation of ingress-nginx by its last part.
#[must_use]
pub fn annotation(last: &str) -> String {
    format!("{PREFIX}{last}")
}

/// Whether an annotation of an Ingress stands on its canary Ingress as well.
#[must_use]
pub fn is_shared(annotation: &str) -> bool {
    let ours = annotation.strip_prefix(PREFIX);
    ours.is_some_and(|last| SHARED.iter().any(|it| last.starts_with(it))) || annotation == OLD_CLASS
}

/// The backends of the paths of an Ingress: of each, its host, its path, empty where it has none, and the Service.
pub fn paths(body: &Value) -> impl Iterator<Item = (&str, &str, &str)> {
    let rules = body.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    rules.flat_map(|rule| {
        let host = rule["host"].as_str().unwrap_or_default();
        let paths = rule["http"]["paths"].as_array().into_iter().flatten();
        paths.filter_map(move |path| {
            let service = path["backend"]["service"]["name"].as_str()?;
            Some((host, path["path"].as_str().unwrap_or_default(), service))
        })
    })
}

/// The Service that an Ingress leads to where none of its rules fits.
#[must_use]
pub fn by_default(body: &Value) -> Option<&str> {
    body.pointer("/spec/defaultBackend/service/name").and_then(Value::as_str)
}

/// Why ingress-nginx cannot share the traffic of an Ingress, and what to do.
#[must_use]
pub fn misfit(body: &Value, ours: &BTreeSet<Name>, matches: &[Match]) -> Option<(String, String)> {
    let told = |what: &str, cure: &str| Some((what.to_owned(), cure.to_owned()));
    let annotations = &body["metadata"]["annotations"];
    let class = body.pointer("/spec/ingressClassName").unwrap_or(&annotations[OLD_CLASS]);
    if class != CLASS {
        let class =
            class.as_str().map_or_else(|| "has no class".to_owned(), |it| format!("is of class `{it}`"));
        return told(
            &format!("{class} (`spec.ingressClassName`): weights are led by Ingresses of `{CLASS}` alone"),
            "write `ingressClassName: nginx`, or share by an HTTPRoute",
        );
    }
    let mut own = annotations.as_object().into_iter().flatten().map(|(key, _)| key);
    if let Some(own) = own.find(|key| key.starts_with(&annotation("canary"))) {
        return told(
            &format!("has the annotation `{own}`: weights are Triton's to write, into its canary Ingress"),
            "delete the line",
        );
    }
    if by_default(body).is_some_and(|name| ours.iter().any(|it| it.as_str() == name)) {
        return told(
            "leads to the release by `spec.defaultBackend`, which ingress-nginx does not share",
            "write a rule for it in `spec.rules`",
        );
    }
    if annotations[annotation("ssl-passthrough")] == "true" {
        return told(
            "passes TLS on unread (`ssl-passthrough`): ingress-nginx shares none of it",
            "delete the annotation",
        );
    }
    let mut ours_alone = paths(body).filter(|(.., service)| ours.iter().any(|it| it.as_str() == *service));
    if ours_alone.any(|(_, path, _)| path.is_empty()) {
        return told(
            "leads to the release by a rule without a `path`, which ingress-nginx does not share",
            "write `path: /`",
        );
    }
    let one_header = |it: &Match| it.query.is_empty() && it.headers.len() == 1;
    if matches.len() > 1 || !matches.iter().all(one_header) {
        return told(
            "can lead testers by one header alone, and `matches` asks for more",
            "write one match of one header, or lead testers by an HTTPRoute",
        );
    }
    untaken(matches.first()?.headers.first()?)
}

/// Why ingress-nginx cannot lead testers by a header, and what to do.
fn untaken(header: &Criterion) -> Option<(String, String)> {
    let cure = |what: &str| format!("write another {what}, or lead testers by an HTTPRoute");
    let has = |text: &str, more: &str| text.chars().all(|it| it.is_ascii_alphanumeric() || more.contains(it));
    if !has(&header.name, "-") {
        let name = &header.name;
        let what = format!("cannot lead testers by header `{name}`: nginx passes on letters, digits and `-`");
        return Some((what, cure("name")));
    }
    let (what, more) = if header.regular { ("expression", OF_PATTERN) } else { ("value", OF_VALUE) };
    let value = &header.value;
    (!has(value, more)).then(|| {
        let told = format!(
            "cannot lead testers by `{value}`: ingress-nginx takes letters, digits and `{more}` in {} {what}",
            if header.regular { "an" } else { "a" }
        );
        (told, cure(what))
    })
}
