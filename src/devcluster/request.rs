//! What a request asks for: path, query and headers, taken apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Query;
use axum::http::{HeaderMap, Method, Uri, header};

use crate::devcluster::kinds::{Kind, Kinds};
use crate::devcluster::refusal::{Cause, Refusal};

/// Longest name of a field manager (`FieldManagerMaxLength`).
const MANAGER_LIMIT: usize = 128;

/// A request, taken apart but not yet understood.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: String,
    /// Path and query as they came.
    pub uri: String,
    /// Its query; of a name that comes twice the first counts.
    pub query: BTreeMap<String, String>,
    /// The media types that it takes, best first.
    pub accept: Vec<String>,
    /// The media type of its body, without parameters.
    pub content_type: String,
    /// The manager that the User-Agent begins with.
    pub agent: String,
}

impl Asked {
    /// Takes a request apart.
    #[must_use]
    pub fn read(method: &Method, uri: &Uri, headers: &HeaderMap) -> Asked {
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let pairs =
            Query::<Vec<(String, String)>>::try_from_uri(uri).map(|pairs| pairs.0).unwrap_or_default();
        let mut query = BTreeMap::new();
        for (name, value) in pairs {
            query.entry(name).or_insert(value);
        }
        let accept = text(header::ACCEPT).unwrap_or("*/*").split(',').map(|kind| kind.trim().to_owned());
        let content_type = text(header::CONTENT_TYPE).unwrap_or("application/json");
        let agent = text(header::USER_AGENT).unwrap_or_default().split('/').next().unwrap_or_default();
        Asked {
            method: method.clone(),
            path: uri.path().to_owned(),
            uri: uri.to_string(),
            query,
            accept: accept.collect(),
            content_type: content_type.split(';').next().unwrap_or_default().trim().to_owned(),
            agent: if agent.is_empty() { "unknown".to_owned() } else { agent.to_owned() },
        }
    }

    /// A value of the query, or `""`.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A value of the query as Go reads a bool from a query: anything but "false" and "0" is true.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| !matches!(value.as_str(), "false" | "0"))
    }

    /// A whole number of the query.
    ///
    /// # Errors
    /// 400 where it is none.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refusal::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
            }),
        }
    }

    /// The field manager of a write, checked as the options of `kind` (`PatchOptions`) are.
    ///
    /// # Errors
    /// 422 for a manager, a dryRun or a fieldValidation that is not to be had.
    pub fn check_write_options(&self, kind: &str) -> Result<(), Refusal> {
        let mut causes = Vec::new();
        let manager = self.get("fieldManager");
        if manager.len() > MANAGER_LIMIT {
            let message = format!("Too long: must have at most {MANAGER_LIMIT} bytes");
            causes.push(Cause { reason: "FieldValueTooLong", message, field: "fieldManager".to_owned() });
        }
        let odd = manager.chars().enumerate().find(|(_, letter)| letter.is_control());
        if let Some((place, letter)) = odd {
            let shown = manager.replace(letter, &format!("\\x{:02x}", u32::from(letter)));
            let why = format!("invalid character U+{:04X} (at position {place})", u32::from(letter));
            causes.push(Cause::invalid("fieldManager", &format!("\"{shown}\""), &why));
        }
        let unsupported = |field: &str, shown: String, known: &str| {
            let message = format!("Unsupported value: {shown}: supported values: {known}");
            Cause { reason: "FieldValueNotSupported", message, field: field.to_owned() }
        };
        let dry_run = self.get("dryRun");
        if !matches!(dry_run, "" | "All") {
            causes.push(unsupported("dryRun", format!("[]string{{{dry_run:?}}}"), "\"All\""));
        }
        let validation = self.get("fieldValidation");
        if !matches!(validation, "" | "Ignore" | "Strict" | "Warn") {
            let known = "\"\", \"Ignore\", \"Strict\", \"Warn\"";
            causes.push(unsupported("fieldValidation", format!("{validation:?}"), known));
        }
        refuse_options(kind, &causes)
    }

    /// The field manager, or what the User-Agent begins with.
    #[must_use]
    pub fn manager(&self) -> &str {
        match self.get("fieldManager") {
            "" => &self.agent,
            manager => manager,
        }
    }
}

/// 422 about the options of a request.
///
/// # Errors
/// Unless there are no causes.
pub fn refuse_options(kind: &str, causes: &[Cause]) -> Result<(), Refusal> {
    if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid("meta.k8s.io", kind, "", causes)) }
}

/// The resource, object or subresource that a path names.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind.
    pub kind: Arc<Kind>,
    /// The version asked for.
    pub version: String,
    /// The namespace, empty for cluster-scoped kinds and lists over all namespaces.
    pub namespace: String,
    /// The object's name, empty for a collection.
    pub name: String,
    /// `status`, `scale`, … or empty.
    pub subresource: String,
    /// Whether the path is one of the old `/watch/` paths.
    pub watch: bool,
}

/// Finds what a path names. `None` where the path is not one of a resource that is served.
#[must_use]
pub fn target(path: &str, kinds: &Kinds) -> Option<Target> {
    let mut parts = path.trim_matches('/').split('/');
    let (group, version) = match parts.next()? {
        "api" => ("", parts.next()?),
        "apis" => (parts.next()?, parts.next()?),
        _ => return None,
    };
    let mut rest: Vec<&str> = parts.collect();
    let watch = rest.first() == Some(&"watch");
    if watch {
        rest.remove(0);
    }
    let in_namespace = rest.len() > 2 && rest[0] == "namespaces" && !is_namespace_part(rest[2], group);
    let namespace = if in_namespace { rest[1] } else { "" };
    let rest = if in_namespace { &rest[2..] } else { &rest[..] };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, subresource] => (*plural, *name, *subresource),
        _ => return None,
    };
    let kind = kinds.get(&crate::devcluster::kinds::resource_name(group, plural))?;
    let served = kind.versions.iter().any(|served| served == version);
    let fits = kind.namespaced != namespace.is_empty() || (kind.namespaced && name.is_empty());
    (served && fits).then(|| Target {
        kind,
        version: version.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
        watch,
    })
}

fn is_namespace_part(word: &str, group: &str) -> bool {
    group.is_empty() && matches!(word, "status" | "finalize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcluster::builtin::built_in;

    fn found(path: &str) -> Option<(String, String, String, String)> {
        let mut kinds = Kinds::default();
        built_in().0.into_iter().for_each(|kind| kinds.insert(kind));
        let target = target(path, &kinds)?;
        Some((target.kind.resource(), target.namespace, target.name, target.subresource))
    }

    #[test]
    fn a_path_names_a_resource_an_object_or_a_part_of_it() {
        let names = |a: &str, b: &str, c: &str, d: &str| {
            Some((a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned()))
        };
        assert_eq!(found("/api/v1/pods"), names("pods", "", "", ""));
        assert_eq!(found("/api/v1/namespaces/t/pods/p/status"), names("pods", "t", "p", "status"));
        assert_eq!(found("/api/v1/namespaces/t"), names("namespaces", "", "t", ""));
        assert_eq!(found("/api/v1/namespaces/t/finalize"), names("namespaces", "", "t", "finalize"));
        let leases = "leases.coordination.k8s.io";
        assert_eq!(
            found("/apis/coordination.k8s.io/v1/watch/namespaces/t/leases"),
            names(leases, "t", "", "")
        );
        assert_eq!(
            found("/apis/coordination.k8s.io/v1/leases/l"),
            None,
            "a namespaced object without a namespace"
        );
        assert_eq!(found("/apis/coordination.k8s.io/v9/leases"), None);
    }
}
