//! What can go wrong with the API server, and the sentence for the person who can mend it.

use std::time::Duration;

use kube::core::Status;

use crate::model::{Gate, Hold, Lift, LiftKind};

/// Longest text of the API server that is passed on, in characters: admission webhooks write pages.
const MESSAGE_MAX: usize = 400;
/// Seconds that an API server with too much to do asks to wait (`retryAfter` in apiserver's `filters/maxinflight.go`): of
/// a watch's answer the head, where it says so, cannot be seen.
const BUSY: u32 = 1;
/// The longest wait that a server is heard with: nobody but the daemon would end a longer one.
const ASKED_MAX: Duration = Duration::from_secs(600);

/// What was tried: for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The verb, as RBAC spells it.
    pub verb: &'static str,
    /// The resource's plural, with `/status` where that is meant.
    pub resource: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The namespace; empty for all.
    pub namespace: String,
}

/// Why the API server did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The object is not the one that the write was planned from.
    #[error("the object changed while the write was under way")]
    Conflict,
    /// An object of that name exists already.
    #[error("an object of that name exists already")]
    Exists,
    /// There is no such object any more.
    #[error("the object is gone")]
    Gone,
    /// The daemon's account may not do it.
    #[error(
        "the API server does not let the daemon {} {}{} in {}",
        .0.verb, .0.resource, dotted(&.0.group), place(&.0.namespace)
    )]
    Forbidden(Attempt),
    /// The daemon's credentials are not accepted.
    #[error("the API server does not accept the daemon's credentials: {0}")]
    Unauthorized(String),
    /// Admission said no: a webhook, a quota, a namespace that is being deleted.
    #[error("admission denied it: {0}")]
    Denied(String),
    /// The write was taken, and something on the way made another one of it.
    #[error("a mutating webhook changes what is written: {0}")]
    Rewritten(String),
    /// The object breaks its schema or a validation.
    #[error("the API server finds the object invalid: {0}")]
    Invalid(String),
    /// The cluster does not serve the kind.
    #[error("the cluster does not serve {0}")]
    NotServed(String),
    /// The namespace does not exist.
    #[error("the namespace {0} does not exist")]
    NoNamespace(String),
    /// The server is overloaded, starting, or cannot be reached.
    #[error("the API server is not available: {message}{}", asked(*retry_after))]
    Unavailable {
        /// What it said.
        message: String,
        /// Seconds that it asks to wait.
        retry_after: Option<u32>,
    },
    /// No answer in time: whether the write happened is not known.
    #[error("the API server did not answer within {0} s")]
    TimedOut(u64),
    /// It was not sent: what permitted it has run out meanwhile.
    #[error("it was not sent: {0}")]
    NotSent(&'static str),
    /// The lease is not ours any more, and why.
    #[error("the lease is lost: {0}")]
    LeaseLost(String),
    /// Kubeconfig or service account cannot be used.
    #[error("cannot connect to a cluster: {0}")]
    Config(String),
    /// The answer cannot be read.
    #[error("the API server's answer cannot be read: {0}")]
    Malformed(String),
}

fn dotted(group: &str) -> String {
    if group.is_empty() { String::new() } else { format!(".{group}") }
}

fn asked(seconds: Option<u32>) -> String {
    seconds.map_or_else(String::new, |it| format!("; it asks to wait {it} s"))
}

fn place(namespace: &str) -> String {
    if namespace.is_empty() { "all namespaces".to_owned() } else { format!("namespace {namespace}") }
}

impl Error {
    /// One word, for metrics and logs.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Exists => "exists",
            Self::Gone => "gone",
            Self::Forbidden(_) => "forbidden",
            Self::Unauthorized(_) => "unauthorized",
            Self::Denied(_) => "denied",
            Self::Rewritten(_) => "rewritten",
            Self::Invalid(_) => "invalid",
            Self::NotServed(_) => "not-served",
            Self::NoNamespace(_) => "no-namespace",
            Self::Unavailable { .. } => "unavailable",
            Self::TimedOut(_) => "timed-out",
            Self::NotSent(_) => "not-sent",
            Self::LeaseLost(_) => "lease-lost",
            Self::Config(_) => "config",
            Self::Malformed(_) => "malformed",
        }
    }

    /// Whether the same request may succeed without anybody's doing.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Conflict | Self::Gone | Self::Unavailable { .. } | Self::TimedOut(_) | Self::NotSent(_) => {
                true
            }
            Self::Exists
            | Self::Forbidden(_)
            | Self::Unauthorized(_)
            | Self::Denied(_)
            | Self::Rewritten(_)
            | Self::Invalid(_)
            | Self::NotServed(_)
            | Self::NoNamespace(_)
            | Self::LeaseLost(_)
            | Self::Config(_)
            | Self::Malformed(_) => false,
        }
    }

    /// What kube's client says, for what was tried.
    #[must_use]
    pub fn from_kube(error: kube::Error, attempt: Attempt) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(&status, attempt),
            kube::Error::SerdeError(error) => Self::Malformed(short(&error.to_string())),
            kube::Error::InferConfig(error) => Self::Config(short(&error.to_string())),
            kube::Error::InferKubeconfig(error) => Self::Config(short(&error.to_string())),
            kube::Error::Auth(error) => Self::Unauthorized(short(&error.to_string())),
            other => Self::Unavailable { message: short(&chain(&other)), retry_after: None },
        }
    }

    /// As a server says it that asks, in the head of its answer, to wait for so many seconds.
    #[must_use]
    pub fn asked_to_wait(self, seconds: Option<u32>) -> Self {
        match self {
            Self::Unavailable { message, retry_after } => {
                Self::Unavailable { message, retry_after: seconds.or(retry_after) }
            }
            other => other,
        }
    }

    /// How long the server is left alone, because it asked for that.
    #[must_use]
    pub fn asked(&self) -> Duration {
        match self {
            Self::Unavailable { retry_after, .. } => {
                ASKED_MAX.min(Duration::from_secs(retry_after.unwrap_or_default().into()))
            }
            _ => Duration::ZERO,
        }
    }

    fn from_status(status: &Status, attempt: Attempt) -> Self {
        let message = short(&status.message);
        let details = status.details.as_ref();
        let about = details.map(|it| it.kind.as_str()).unwrap_or_default();
        match status.code {
            401 => Self::Unauthorized(message),
            403 if status.message.contains(" cannot ") => {
                Self::Forbidden(Attempt { verb: verb(&status.message).unwrap_or(attempt.verb), ..attempt })
            }
            403 if attempt.verb == "patch" && is_without_reason(&status.message) => {
                Self::Forbidden(Attempt { verb: "create", ..attempt })
            }
            404 if about == "namespaces" => Self::NoNamespace(attempt.namespace),
            404 if details.is_some_and(|it| !it.name.is_empty()) => Self::Gone,
            404 => Self::NotServed(format!("{}{}", attempt.resource, dotted(&attempt.group))),
            409 if status.reason == "AlreadyExists" => Self::Exists,
            409 => Self::Conflict,
            410 => Self::Gone,
            // Apply answers a UID of another object so (recorded), where an update would be a conflict.
            422 if is_uid_mismatch(status) => Self::Conflict,
            // Apply answers a field that the schema does not have with a plain 500 (recorded).
            500 if status.message.contains("field not declared in schema")
                || status.message.contains("failed to create typed patch object") =>
            {
                Self::Invalid(message)
            }
            429 | 500..=599 => {
                let seconds = details.map(|it| it.retry_after_seconds).filter(|it| *it > 0);
                let least = (status.code == 429).then_some(BUSY);
                Self::Unavailable { message, retry_after: seconds.or(least) }
            }
            // Webhooks say it in one way, policies (ValidatingAdmissionPolicy) in another.
            _ if ["denied the request", "denied request"].iter().any(|it| status.message.contains(it)) => {
                Self::Denied(message)
            }
            403 => Self::Denied(message),
            _ => Self::Invalid(message),
        }
    }

    /// The hold of a release whose write of `object` was answered so.
    #[must_use]
    pub fn hold(&self, object: &str) -> Hold {
        let gate = match self {
            Self::Exists => Gate::Ownership,
            _ => Gate::Cluster,
        };
        Hold { gate, since: None, message: format!("{object}: {self}{}", self.cure()), lift: self.lift() }
    }

    fn cure(&self) -> String {
        match self {
            Self::Forbidden(it) => format!(
                "; add this rule to its role: apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"{}\"]",
                it.group, it.resource, it.verb
            ),
            Self::NotServed(_) => "; install its CustomResourceDefinition".to_owned(),
            Self::Exists => "; it is not ours: rename it in Git, or remove it from the cluster".to_owned(),
            Self::Conflict
            | Self::Gone
            | Self::Unauthorized(_)
            | Self::Denied(_)
            | Self::Rewritten(_)
            | Self::Invalid(_)
            | Self::NoNamespace(_)
            | Self::Unavailable { .. }
            | Self::TimedOut(_)
            | Self::NotSent(_)
            | Self::LeaseLost(_)
            | Self::Config(_)
            | Self::Malformed(_) => String::new(),
        }
    }

    fn lift(&self) -> Lift {
        match self {
            Self::Conflict | Self::Gone | Self::Unavailable { .. } | Self::TimedOut(_) | Self::NotSent(_) => {
                Lift::wait()
            }
            Self::Denied(_) => {
                Lift::by(LiftKind::Commit).command("commit what admission asks for, or change its rule")
            }
            Self::Rewritten(_) => Lift::by(LiftKind::Cluster)
                .command("kubectl get mutatingwebhookconfigurations, and change its rule"),
            Self::Invalid(_) => Lift::by(LiftKind::Commit).command("mend the field that it names, in Git"),
            Self::NoNamespace(name) => {
                Lift::by(LiftKind::Cluster).command(format!("kubectl create namespace {name}"))
            }
            Self::Forbidden(it) => {
                let scope =
                    if it.namespace.is_empty() { "-A".to_owned() } else { format!("-n {}", it.namespace) };
                let check =
                    format!("kubectl auth can-i {} {}{} {scope}", it.verb, it.resource, dotted(&it.group));
                Lift::by(LiftKind::Cluster).command(check)
            }
            Self::Exists => {
                Lift::by(LiftKind::Cluster).command("rename it in Git, or remove it from the cluster")
            }
            Self::Unauthorized(_) | Self::Config(_) => {
                Lift::by(LiftKind::Cluster).command("mend the daemon's kubeconfig or service account")
            }
            Self::NotServed(_) => Lift::by(LiftKind::Cluster).command("install its CustomResourceDefinition"),
            Self::LeaseLost(_) => Lift::wait(),
            Self::Malformed(_) => {
                Lift::by(LiftKind::Cluster).command("kubectl version, to compare client and server")
            }
        }
    }
}

/// The verb that RBAC missed: an apply that would create needs `create` as well as `patch`.
fn verb(message: &str) -> Option<&'static str> {
    let word = message.split_once(" cannot ")?.1.split(' ').next()?;
    ["get", "list", "watch", "create", "update", "patch", "delete"].into_iter().find(|verb| *verb == word)
}

/// Whether it is how a create is denied that an apply became: nobody is named, nothing is said, at the most what RBAC
/// could not find (recorded; `withAuthorization` in apiserver's `handlers/create.go`). Admission says why.
fn is_without_reason(message: &str) -> bool {
    let reason = message.split_once(" is forbidden:").map(|(_, reason)| reason.trim());
    reason.is_some_and(|reason| reason.is_empty() || reason.starts_with("RBAC: "))
}

fn is_uid_mismatch(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.field == "metadata.uid")
}

fn short(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_MAX) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}

/// The error and its sources, each said once: "connection refused" is at the bottom of four layers.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        Attempt {
            verb: "patch",
            resource: "clonesets".into(),
            group: "apps.kruise.io".into(),
            namespace: "shop".into(),
        }
    }

    fn answer(json: serde_json::Value) -> Error {
        let status: Status = serde_json::from_value(json).unwrap();
        Error::from_kube(kube::Error::Api(Box::new(status)), attempt())
    }

    #[test]
    fn a_missing_right_names_verb_resource_and_rule() {
        let message =
            r#"clonesets.apps.kruise.io "web" is forbidden: User "x" cannot create resource "clonesets""#;
        let error = answer(serde_json::json!({"code": 403, "reason": "Forbidden", "message": message}));
        let hold = error.hold("CloneSet shop/web");
        assert_eq!(
            hold.message,
            "CloneSet shop/web: the API server does not let the daemon create clonesets.apps.kruise.io in namespace \
             shop; add this rule to its role: apiGroups: [\"apps.kruise.io\"], resources: [\"clonesets\"], verbs: \
             [\"create\"]"
        );
        assert_eq!(hold.lift.command.unwrap(), "kubectl auth can-i create clonesets.apps.kruise.io -n shop");
    }

    #[test]
    fn an_apply_that_may_not_create_is_answered_without_a_reason() {
        for reason in ["", "RBAC: clusterrole.rbac.authorization.k8s.io \"x\" not found"] {
            let message = format!("clonesets.apps.kruise.io \"web\" is forbidden: {reason}");
            let error = answer(serde_json::json!({"code": 403, "reason": "Forbidden", "message": message}));
            assert!(error.hold("").message.contains("verbs: [\"create\"]"), "{error}");
        }
    }

    #[test]
    fn each_answer_has_its_meaning() {
        let status = |code: u16, reason: &str, message: &str, details: serde_json::Value| {
            answer(
                serde_json::json!({"code": code, "reason": reason, "message": message, "details": details}),
            )
        };
        let uid = serde_json::json!({"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid"}]});
        let named = serde_json::json!({"name": "web", "kind": "clonesets"});
        let namespace = serde_json::json!({"name": "shop", "kind": "namespaces"});
        let wait = serde_json::json!({"retryAfterSeconds": 7});
        let cases = [
            (status(409, "Conflict", "modified", named.clone()), "conflict"),
            (status(409, "AlreadyExists", "", named.clone()), "exists"),
            (status(422, "Invalid", "field is immutable", uid), "conflict"),
            (status(422, "Invalid", "spec.replicas", named.clone()), "invalid"),
            (status(404, "NotFound", "not found", named.clone()), "gone"),
            (status(404, "NotFound", "not found", namespace), "no-namespace"),
            (status(404, "", "404 page not found", serde_json::Value::Null), "not-served"),
            (status(403, "Forbidden", "exceeded quota: pods", named), "denied"),
            (status(500, "", ".spec.x: field not declared in schema", serde_json::Value::Null), "invalid"),
            (
                status(400, "BadRequest", "admission webhook \"v\" denied the request: no", wait.clone()),
                "denied",
            ),
            (status(429, "TooManyRequests", "slow down", wait), "unavailable"),
        ];
        for (error, category) in cases {
            assert_eq!(error.category(), category, "{error:?}");
        }
    }

    #[test]
    fn a_page_of_a_webhook_is_cut_to_a_sentence() {
        let message = "admission webhook denied the request: ".to_owned() + &"é".repeat(10_000);
        let json = serde_json::json!({"code": 403, "reason": "Forbidden", "message": message});
        let told = answer(json).hold("CloneSet shop/web").message;
        assert!(told.ends_with("é…") && told.chars().count() < 500, "{}", told.len());
    }
}
