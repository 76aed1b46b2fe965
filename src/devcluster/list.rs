//! Lists and single reads.

use std::time::Duration;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::devcluster::refusal::{Cause, Refusal};
use crate::devcluster::reply::{Form, form, json_reply, object_reply, refused, text_reply};
use crate::devcluster::request::{Asked, Target, refuse_options};
use crate::devcluster::selectors::Selector;
use crate::devcluster::store::{Object, Store};
use crate::devcluster::table::{Look, metadata_only, table};

/// How long a read of a version of the future waits for it (`blockTimeout` of the watch cache).
const PATIENCE: Duration = Duration::from_secs(3);

/// A continue token: where a list goes on, and at which version.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    /// The version that the whole list shows; -1 for whatever is newest.
    version: i64,
    /// The last key that was shown, within the namespace if there is one.
    after: String,
}

impl Token {
    fn write(&self) -> String {
        let start = json!(format!("{}\u{0}", self.after));
        URL_SAFE_NO_PAD.encode(format!(r#"{{"v":"meta.k8s.io/v1","rv":{},"start":{start}}}"#, self.version))
    }

    fn read(text: &str) -> Result<Token, Refusal> {
        let bad = || Refusal::bad_request("invalid continue token: continue key is not valid");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        let after = token["start"].as_str().ok_or_else(bad)?.trim_end_matches('\u{0}').to_owned();
        Ok(Token { version: token["rv"].as_i64().ok_or_else(bad)?, after })
    }
}

/// Answers a GET of one object.
pub async fn get(store: &Store, target: &Target, asked: &Asked) -> Result<Response, Refusal> {
    wait_for_version(store, asked).await?;
    let resource = target.kind.resource();
    let found = store.get(&resource, &target.namespace, &target.name);
    let object = found.ok_or_else(|| Refusal::not_found(&resource, &target.name))?;
    let object = in_version(&object, target);
    Ok(object_reply(200, &object, &target.kind, asked, store.clock().now()))
}

/// Answers a GET of a collection.
pub async fn list(store: &Store, target: &Target, asked: &Asked) -> Result<Response, Refusal> {
    check_match(asked, false)?;
    let selector = Selector::read(asked.get("labelSelector"), asked.get("fieldSelector"), &target.kind)?;
    let limit = usize::try_from(asked.number("limit")?.unwrap_or(0)).unwrap_or(0);
    wait_for_version(store, asked).await?;
    let page = match page(store, target, asked, &selector, limit) {
        Ok(page) => page,
        Err(Denied::Refused(refusal)) => return Err(refusal),
        Err(Denied::Expired(refusal, token)) => {
            let mut status = refusal.status();
            status["metadata"]["continue"] = json!(token);
            return Ok(json_reply(410, &status));
        }
    };
    Ok(page.reply(target, asked, store))
}

/// A part of a list.
struct Page {
    objects: Vec<Object>,
    version: u64,
    token: String,
    remaining: Option<usize>,
}

enum Denied {
    Refused(Refusal),
    Expired(Refusal, String),
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Denied {
        Denied::Refused(refusal)
    }
}

fn page(
    store: &Store,
    target: &Target,
    asked: &Asked,
    selector: &Selector,
    limit: usize,
) -> Result<Page, Denied> {
    let resource = target.kind.resource();
    let namespace = (!target.namespace.is_empty()).then_some(target.namespace.as_str());
    let token = match asked.get("continue") {
        "" => None,
        _ if !asked.get("resourceVersion").is_empty() => {
            let text = "specifying resource version is not allowed when using continue";
            return Err(Refusal::bad_request(text).into());
        }
        text => Some(Token::read(text)?),
    };
    let exact = match (&token, parse_version(asked)?) {
        (Some(token), _) => u64::try_from(token.version).ok(),
        (None, Some(version)) if version > 0 => {
            let said = asked.get("resourceVersionMatch");
            (said == "Exact" || (said.is_empty() && limit > 0)).then_some(version)
        }
        (None, _) => None,
    };
    let (all, version) = store
        .read(|state| match exact {
            None => Ok((state.list(&resource, namespace), state.version())),
            Some(version) => state.list_at(&resource, namespace, version).map(|objects| (objects, version)),
        })
        .map_err(|refusal| match &token {
            None => Denied::Refused(refusal),
            Some(token) => expired(&Token { version: -1, after: token.after.clone() }),
        })?;
    let key = |object: &Object| match namespace {
        Some(_) => object.name().to_owned(),
        None if target.kind.namespaced => format!("{}/{}", object.namespace(), object.name()),
        None => object.name().to_owned(),
    };
    let after = token.as_ref().map(|token| token.after.as_str());
    let mut left: Vec<Object> = all
        .into_iter()
        .filter(|object| after.is_none_or(|after| key(object).as_str() > after))
        .filter(|object| selector.matches(object))
        .collect();
    let total = left.len();
    let mut page = Page { objects: Vec::new(), version, token: String::new(), remaining: None };
    if limit > 0 && total > limit {
        left.truncate(limit);
        let after = left.last().map(key).unwrap_or_default();
        let version = i64::try_from(version).unwrap_or(-1);
        page.token = Token { version, after }.write();
        page.remaining = selector.is_everything().then_some(total - limit);
    }
    page.objects = left;
    Ok(page)
}

fn expired(token: &Token) -> Denied {
    let text = "The provided continue parameter is too old to display a consistent list result. You can start a new \
                list without the continue parameter, or use the continue token in this response to retrieve the \
                remainder of the results. Continuing with the provided token results in an inconsistent list - \
                objects that were created, modified, or deleted between the time the first chunk was returned and now \
                may show up in the list.";
    Denied::Expired(Refusal::expired(text), token.write())
}

impl Page {
    fn metadata(&self, custom: bool) -> Value {
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if custom || !self.token.is_empty() {
            metadata["continue"] = json!(self.token);
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        metadata
    }

    fn reply(self, target: &Target, asked: &Asked, store: &Store) -> Response {
        let kind = &target.kind;
        match form(asked) {
            Err(refusal) => refused(&refusal),
            Ok(Form::Metadata) => {
                let text = "you requested PartialObjectMetadata, but the requested object is a list \
                            (*unstructured.UnstructuredList)";
                refused(&Refusal::new(406, "NotAcceptable", text))
            }
            Ok(Form::MetadataList) => {
                let items: Vec<Value> = self.objects.iter().map(|object| metadata_only(object)).collect();
                let metadata = self.metadata(false);
                let list = json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items,
                });
                json_reply(200, &list)
            }
            Ok(Form::Table) => {
                let rows: Vec<&Value> = self.objects.iter().map(|object| &**object).collect();
                let now = store.clock().now();
                let look = Look { include: asked.get("includeObject"), columns: true, now };
                json_reply(200, &table(&rows, kind, self.metadata(false), look))
            }
            Ok(Form::Whole | Form::Yaml) => text_reply(200, "application/json", self.whole(target)),
        }
    }

    /// The list as JSON, put together from the objects' own JSON.
    fn whole(&self, target: &Target) -> String {
        let kind = &target.kind;
        let item = |object: &Object| match kind.custom {
            true => in_version(object, target).json().to_owned(),
            false => object.bare_json().to_owned(),
        };
        let items: Vec<String> = self.objects.iter().map(item).collect();
        format!(
            r#"{{"kind":"{}List","apiVersion":"{}","metadata":{},"items":[{}]}}"#,
            kind.kind,
            kind.api_version(&target.version),
            self.metadata(kind.custom),
            items.join(",")
        )
    }
}

/// The object as the asked version shows it.
#[must_use]
pub fn in_version(object: &Object, target: &Target) -> Object {
    let version = target.kind.api_version(&target.version);
    if object.text("/apiVersion") == version {
        return object.clone();
    }
    let mut other = (**object).clone();
    other["apiVersion"] = json!(version);
    Object::new(other)
}

/// The resourceVersion of a request.
///
/// # Errors
/// 500 where it is no number, as the real server answers.
pub fn parse_version(asked: &Asked) -> Result<Option<u64>, Refusal> {
    match asked.get("resourceVersion") {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            Refusal::internal(format!("resourceVersion: Invalid value: {text:?}: {why}"))
        }),
    }
}

/// Refuses combinations of options that Kubernetes refuses.
///
/// # Errors
/// 422.
pub fn check_match(asked: &Asked, watch: bool) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    let said = asked.get("resourceVersionMatch");
    let version = asked.get("resourceVersion");
    let field = "resourceVersionMatch";
    if watch {
        if !asked.get("sendInitialEvents").is_empty() {
            let why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
            causes.push(Cause::forbidden("sendInitialEvents", why));
        } else if !said.is_empty() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            causes.push(Cause::forbidden(field, why));
        }
        return refuse_options("ListOptions", &causes);
    }
    match (said, version) {
        ("", _) => {}
        (_, "") => {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            causes.push(Cause::forbidden(field, why));
        }
        ("Exact", "0") => {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(Cause::forbidden(field, why));
        }
        ("Exact" | "NotOlderThan", _) => {}
        (other, _) => {
            let message =
                format!("Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\"");
            causes.push(Cause { reason: "FieldValueNotSupported", message, field: field.to_owned() });
        }
    }
    refuse_options("ListOptions", &causes)
}

/// Waits until the store has reached the version that is asked for.
async fn wait_for_version(store: &Store, asked: &Asked) -> Result<(), Refusal> {
    let Some(wanted) = parse_version(asked)? else { return Ok(()) };
    let mut changes = store.changes();
    let reached = tokio::time::timeout(PATIENCE, changes.wait_for(|version| *version >= wanted)).await;
    if reached.is_ok() {
        return Ok(());
    }
    let current = store.version();
    let text = format!("Timeout: Too large resource version: {wanted}, current: {current}");
    let mut refusal = Refusal::new(504, "Timeout", text);
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    refusal.details = Some(json!({"causes": [cause], "retryAfterSeconds": 1}));
    Err(refusal)
}
