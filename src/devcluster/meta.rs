//! Rules of `metadata` that hold for every kind.

use serde_json::Value;

use crate::devcluster::kinds::Kind;
use crate::devcluster::refusal::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Longest name of an object (`DNS1123SubdomainMaxLength`).
const NAME_LIMIT: usize = 253;

/// Longest value of a label (`LabelValueMaxLength`).
const LABEL_LIMIT: usize = 63;

/// Bytes of all annotations together (`TotalAnnotationSizeLimitB`).
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

const KEY_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// What is wrong with the metadata of an object, whether new or old.
#[must_use]
pub fn faults(object: &Value) -> Vec<Cause> {
    let metadata = &object["metadata"];
    let mut causes = Vec::new();
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if !is_subdomain(name) {
        causes.push(Cause::invalid("metadata.name", &format!("{name:?}"), SUBDOMAIN));
    }
    for value in metadata["labels"].as_object().into_iter().flat_map(|labels| labels.values()) {
        let value = value.as_str().unwrap_or_default();
        if !is_label_value(value) {
            causes.push(Cause::invalid("metadata.labels", &format!("{value:?}"), LABEL_VALUE));
        }
    }
    for field in ["labels", "annotations"] {
        for key in metadata[field].as_object().into_iter().flat_map(|map| map.keys()) {
            let name = key.split_once('/').map_or(key.as_str(), |(_, name)| name);
            if name.is_empty() || !is_label_value(name) {
                causes.push(Cause::invalid(format!("metadata.{field}"), &format!("{key:?}"), KEY_NAME));
            }
        }
    }
    let annotations = metadata["annotations"].as_object().into_iter().flatten();
    let size: usize = annotations.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > ANNOTATIONS_LIMIT {
        let message = format!("Too long: must have at most {ANNOTATIONS_LIMIT} bytes");
        let field = "metadata.annotations".to_owned();
        causes.push(Cause { reason: "FieldValueTooLong", message, field });
    }
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        if owner["uid"].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::invalid("metadata.ownerReferences.uid", "\"\"", "uid must not be empty"));
        }
    }
    causes
}

/// What an update may not change.
#[must_use]
pub fn changed_faults(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in ["uid", "deletionTimestamp"] {
        let (was, is) = (&old["metadata"][field], &new["metadata"][field]);
        if was != is {
            let shown = match field {
                "deletionTimestamp" => go_time(is),
                _ => is.to_string(),
            };
            causes.push(Cause::invalid(format!("metadata.{field}"), &shown, "field is immutable"));
        }
    }
    if !old["metadata"]["deletionTimestamp"].is_null() {
        let had = |finalizer: &Value| finalizers(old).any(|before| before == finalizer);
        let new: Vec<String> =
            finalizers(new).filter(|finalizer| !had(finalizer)).map(ToString::to_string).collect();
        if !new.is_empty() {
            let list = new.join(", ");
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    causes
}

/// The finalizers of an object.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten()
}

/// Warnings about new finalizers without a domain.
#[must_use]
pub fn warnings(before: Option<&Value>, object: &Value) -> Vec<String> {
    let plain = |finalizer: &&str| {
        let known = matches!(*finalizer, "orphan" | "foregroundDeletion" | "kubernetes");
        let had = before.is_some_and(|before| finalizers(before).any(|found| found == *finalizer));
        !finalizer.contains('/') && !known && !had
    };
    let names = finalizers(object).filter_map(Value::as_str).filter(plain);
    let advice =
        "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers";
    names.map(|name| format!("metadata.finalizers: {name:?}: {advice}")).collect()
}

/// The causes of an update, as often as the real server repeats them in the details: custom kinds are checked by
/// their strategy and by the registry again.
#[must_use]
pub fn repeated(causes: Vec<Cause>, kind: &Kind) -> Vec<Cause> {
    if !kind.custom {
        return causes;
    }
    let times = |cause: Cause| {
        let count = match cause.field.as_str() {
            "metadata.ownerReferences.uid" => 3,
            "metadata.uid" | "metadata.deletionTimestamp" | "metadata.finalizers" => 2,
            _ => 1,
        };
        std::iter::repeat_n(cause, count)
    };
    causes.into_iter().flat_map(times).collect()
}

fn is_subdomain(name: &str) -> bool {
    let part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    name.len() <= NAME_LIMIT && name.split('.').all(part)
}

fn is_label_value(value: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    value.len() <= LABEL_LIMIT
        && value.bytes().all(inner)
        && edge(value.bytes().next())
        && edge(value.bytes().next_back())
}

fn go_time(time: &Value) -> String {
    let text = time.as_str().unwrap_or_default().replace('T', " ");
    format!("{} +0000 UTC", text.trim_end_matches('Z'))
}
