//! A refused request, as Kubernetes tells it: a `Status` with code, reason, message and details.

use serde_json::{Map, Value, json};

/// Why the API refused. Written to the wire as `kind: Status` with the same code as the HTTP answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// HTTP status, 400 to 599.
    pub code: u16,
    /// `metav1.StatusReason`; empty where Kubernetes gives none.
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
    /// `metav1.StatusDetails` as JSON.
    pub details: Option<Value>,
}

impl Refusal {
    /// A refusal without details.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: None }
    }

    /// 400 BadRequest.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "BadRequest", message)
    }

    /// 500 without a reason: what the real server answers where its own code fails on the input.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Refusal {
        Refusal::new(500, "", message)
    }

    /// 404 of a missing object. `resource` is `plural` or `plural.group`.
    #[must_use]
    pub fn not_found(resource: &str, name: &str) -> Refusal {
        Refusal::new(404, "NotFound", format!("{resource} {name:?} not found")).about(resource, name)
    }

    /// 409 of a name that is taken.
    #[must_use]
    pub fn already_exists(resource: &str, name: &str) -> Refusal {
        let message = format!("{resource} {name:?} already exists");
        Refusal::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// 409 of a write that was planned from another version of the object.
    #[must_use]
    pub fn conflict(resource: &str, name: &str, why: &str) -> Refusal {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {why}");
        Refusal::new(409, "Conflict", message).about(resource, name)
    }

    /// 409 of a stale resourceVersion.
    #[must_use]
    pub fn stale(resource: &str, name: &str) -> Refusal {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Refusal::conflict(resource, name, why)
    }

    /// 403 of a rule; `why` follows "forbidden: ".
    #[must_use]
    pub fn forbidden(resource: &str, name: &str, why: &str) -> Refusal {
        let message = match name {
            "" => format!("{resource} is forbidden: {why}"),
            name => format!("{resource} {name:?} is forbidden: {why}"),
        };
        Refusal::new(403, "Forbidden", message).about(resource, name)
    }

    /// 410: what was asked for is no longer kept.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Refusal {
        Refusal::new(410, "Expired", message)
    }

    /// 422 with its causes. `kind` is the kind's name, `group` may be empty.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Refusal {
        let mut text: Vec<String> = Vec::new();
        for sentence in causes.iter().map(Cause::sentence) {
            if !text.contains(&sentence) {
                text.push(sentence);
            }
        }
        let text = match text.as_slice() {
            [] => "<nil>".to_owned(),
            [one] => one.clone(),
            more => format!("[{}]", more.join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut details = Map::new();
        insert_unless_empty(&mut details, "name", name);
        insert_unless_empty(&mut details, "group", group);
        insert_unless_empty(&mut details, "kind", kind);
        if !causes.is_empty() {
            details.insert("causes".to_owned(), causes.iter().map(Cause::json).collect());
        }
        let message = format!("{qualified} {name:?} is invalid: {text}");
        let details = Some(Value::Object(details));
        Refusal { code: 422, reason: "Invalid", message, details }
    }

    /// Adds the object's name and resource to the details, as most refusals have them.
    #[must_use]
    pub fn about(mut self, resource: &str, name: &str) -> Refusal {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let mut details = Map::new();
        insert_unless_empty(&mut details, "name", name);
        insert_unless_empty(&mut details, "group", group);
        insert_unless_empty(&mut details, "kind", plural);
        self.details = Some(Value::Object(details));
        self
    }

    /// The `Status` object on the wire.
    #[must_use]
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }

    /// The reason in few words, for counting; bounded by the reasons of Kubernetes.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match (self.reason, self.code) {
            ("", 422) => "Invalid",
            ("", _) => "InternalError",
            (reason, _) => reason,
        }
    }

    /// Whether the same request may succeed later without a change to it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.code, 429 | 500 | 503 | 504)
    }
}

/// One field of a 422.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired` and so on.
    pub reason: &'static str,
    /// The sentence without the field's path.
    pub message: String,
    /// The field's path: `spec.replicas`.
    pub field: String,
}

impl Cause {
    /// `Invalid value: …`.
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: &str, why: &str) -> Cause {
        let message = format!("Invalid value: {value}: {why}");
        Cause { reason: "FieldValueInvalid", message, field: field.into() }
    }

    /// `Required value`, with an explanation where there is one.
    #[must_use]
    pub fn required(field: impl Into<String>, why: &str) -> Cause {
        let message =
            if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Cause { reason: "FieldValueRequired", message, field: field.into() }
    }

    /// `Forbidden: …`.
    #[must_use]
    pub fn forbidden(field: impl Into<String>, why: &str) -> Cause {
        Cause { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field: field.into() }
    }

    fn sentence(&self) -> String {
        if self.field.is_empty() { self.message.clone() } else { format!("{}: {}", self.field, self.message) }
    }

    fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

fn insert_unless_empty(map: &mut Map<String, Value>, key: &str, value: &str) {
    if !value.is_empty() {
        map.insert(key.to_owned(), json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_object_is_told_as_kubernetes_tells_it() {
        let status = Refusal::not_found("clonesets.apps.kruise.io", "web").status();
        assert_eq!(status["message"], r#"clonesets.apps.kruise.io "web" not found"#);
        let details = json!({"name": "web", "group": "apps.kruise.io", "kind": "clonesets"});
        assert_eq!(status["details"], details);
        assert_eq!((status["code"].as_u64(), status["reason"].as_str()), (Some(404), Some("NotFound")));
    }
}
