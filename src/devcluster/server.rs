//! The HTTP face: one handler that finds out what is asked and who answers it.

use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{Method, header};
use axum::response::Response;
use serde_json::{Value, json};

use crate::devcluster::body::{self, BODY_LIMIT, OBJECT_LIMIT};
use crate::devcluster::discovery;
use crate::devcluster::knobs::{TestKnobs, USER, Write};
use crate::devcluster::list;
use crate::devcluster::modify::Writing;
use crate::devcluster::refusal::Refusal;
use crate::devcluster::removal;
use crate::devcluster::reply::{json_reply, no_page, refused, text_reply};
use crate::devcluster::request::{Asked, Target, target};
use crate::devcluster::scaling;
use crate::devcluster::store::Store;
use crate::devcluster::watching;

/// What answers requests. Cheap to clone; clones are the same cluster.
#[derive(Clone, Debug)]
pub struct Face {
    /// Its objects.
    pub store: Store,
    /// Its faults and its log of writes.
    pub knobs: TestKnobs,
}

/// Answers any request.
pub async fn serve(Shared(face): Shared<Face>, request: Request) -> Response {
    let (parts, content) = request.into_parts();
    let asked = Asked::read(&parts.method, &parts.uri, &parts.headers);
    let delay = face.knobs.delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Ok(bytes) = to_bytes(content, BODY_LIMIT).await else {
        let text = format!("Request entity too large: limit is {BODY_LIMIT}");
        return refused(&Refusal::new(413, "RequestEntityTooLarge", text));
    };
    let found = face.store.read(|state| target(&asked.path, &state.kinds));
    match found {
        Some(target) => about_resource(&face, &target, &asked, &bytes).await,
        None => review(&face, &asked, &bytes)
            .or_else(|| discover(&face, &asked, host))
            .unwrap_or_else(|| nothing(&asked)),
    }
}

/// Answers a request about a resource and notes it in the log if it meant to write.
async fn about_resource(face: &Face, target: &Target, asked: &Asked, bytes: &[u8]) -> Response {
    let time = face.store.clock().now();
    let verb = verb(asked, target);
    if face.knobs.is_silent(verb, &target.kind.plural) {
        std::future::pending::<()>().await;
    }
    let answer = answer(face, target, asked, bytes, verb).await;
    let response = answer.unwrap_or_else(|refusal| refused(&refusal));
    if !matches!(verb, "get" | "list" | "watch") {
        let applies = asked.content_type == "application/apply-patch+yaml";
        let verb = if verb == "patch" && applies { "apply" } else { verb };
        let manager = if verb.starts_with("delete") { "" } else { asked.manager() }.to_owned();
        let code = response.status().as_u16();
        face.knobs.note(Write { verb, path: asked.uri.clone(), manager, time, code });
    }
    response
}

/// The verb as authorization names it.
fn verb(asked: &Asked, target: &Target) -> &'static str {
    let single = !target.name.is_empty();
    match &asked.method {
        &Method::POST => "create",
        &Method::PUT => "update",
        &Method::PATCH => "patch",
        &Method::DELETE if single => "delete",
        &Method::DELETE => "deletecollection",
        &Method::GET | &Method::HEAD if single => "get",
        &Method::GET if target.watch || asked.is_true("watch") => "watch",
        &Method::GET => "list",
        _ => "",
    }
}

async fn answer(
    face: &Face,
    target: &Target,
    asked: &Asked,
    bytes: &[u8],
    verb: &'static str,
) -> Result<Response, Refusal> {
    let (kind, knobs) = (&target.kind, &face.knobs);
    knobs.authorize(verb, &kind.group, &kind.plural, &target.namespace, &target.name)?;
    knobs.fail(verb, &kind.plural, false)?;
    if bytes.len() > OBJECT_LIMIT {
        return Err(Refusal::internal("etcdserver: request is too large"));
    }
    let writing = Writing { store: &face.store, target, asked, bytes };
    let response = match (target.subresource.as_str(), verb) {
        ("" | "status", "get") if target.subresource.is_empty() || kind.status => {
            list::get(&face.store, target, asked).await
        }
        ("", "list") => list::list(&face.store, target, asked).await,
        ("", "watch") => watching::watch(&face.store, knobs, target, asked),
        ("", "create") if target.name.is_empty() || kind.custom => writing.post(),
        ("" | "status", "update" | "patch")
            if !target.name.is_empty() && (target.subresource.is_empty() || kind.status) =>
        {
            if verb == "update" { writing.put() } else { writing.patch() }
        }
        ("", "delete") => removal::delete(&writing),
        ("", "deletecollection") => removal::delete_collection(&writing),
        ("binding", "create") if kind.resource() == "pods" => removal::bind(&writing),
        ("finalize", "update") if kind.resource() == "namespaces" => removal::finalize(&writing),
        ("scale", "get" | "update" | "patch") => match &kind.scale {
            Some(scale) if verb == "get" => scaling::get(&face.store, target, scale),
            Some(scale) => scaling::write(&writing, scale, verb == "patch"),
            None => Err(Refusal::not_found(&kind.resource(), &target.name)),
        },
        _ => Err(not_allowed(target, verb)),
    };
    knobs.fail(verb, &kind.plural, true)?;
    response
}

fn not_allowed(target: &Target, verb: &str) -> Refusal {
    let resource = target.kind.resource();
    if target.kind.custom && target.name.is_empty() && matches!(verb, "update" | "patch") {
        return Refusal::bad_request("name must be provided");
    }
    if verb == "get" {
        return Refusal::not_found(&resource, &target.name);
    }
    if !target.kind.custom {
        let text = "the server does not allow this method on the requested resource";
        return Refusal { details: Some(json!({})), ..Refusal::new(405, "MethodNotAllowed", text) };
    }
    let text = format!("{verb} is not supported on resources of kind {resource:?}");
    Refusal::new(405, "MethodNotAllowed", text).about(&resource, "")
}

/// Answers what is not about a resource.
fn discover(face: &Face, asked: &Asked, host: &str) -> Option<Response> {
    if asked.method != Method::GET {
        return None;
    }
    let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
    let found: Option<Value> = face.store.read(|state| match parts.as_slice() {
        ["version"] => Some(discovery::version()),
        ["api"] => Some(discovery::core_versions(host)),
        ["apis"] => Some(discovery::group_list(&state.kinds)),
        ["api", version] => discovery::resource_list(&state.kinds, "", version),
        ["apis", group] => discovery::group(&state.kinds, group),
        ["apis", group, version] => discovery::resource_list(&state.kinds, group, version),
        ["openapi", "v3"] => Some(discovery::openapi_index(&state.kinds)),
        ["openapi", "v3", "api", version] => discovery::openapi(&state.kinds, "", version),
        ["openapi", "v3", "apis", group, version] => discovery::openapi(&state.kinds, group, version),
        _ => None,
    });
    match parts.as_slice() {
        ["healthz" | "livez" | "readyz"] | ["readyz", "ping"] => {
            Some(text_reply(200, "text/plain; charset=utf-8", "ok".to_owned()))
        }
        _ => found.map(|found| json_reply(200, &found)),
    }
}

/// Answers a path that nobody serves: below the built-in groups with a Status, elsewhere with a line of text.
fn nothing(asked: &Asked) -> Response {
    if asked.path == "/version" {
        let text = "the server does not allow this method on the requested resource";
        return refused(&Refusal { details: Some(json!({})), ..Refusal::new(405, "MethodNotAllowed", text) });
    }
    if asked.path.starts_with("/api/") {
        let text = "the server could not find the requested resource";
        return refused(&Refusal { details: Some(json!({})), ..Refusal::new(404, "NotFound", text) });
    }
    no_page()
}

/// Answers reviews of the caller's own rights: all is allowed that the knobs do not deny.
fn review(face: &Face, asked: &Asked, bytes: &[u8]) -> Option<Response> {
    let about_self = match (asked.method == Method::POST, asked.path.as_str()) {
        (true, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") => false,
        (true, "/apis/authentication.k8s.io/v1/selfsubjectreviews") => true,
        (_, _) => return None,
    };
    let mut review = match body::read(bytes) {
        Err(why) => return Some(refused(&Refusal::bad_request(why))),
        Ok((review, _)) => review,
    };
    review["metadata"] = json!({"creationTimestamp": face.store.clock().second()});
    review["status"] = if about_self {
        json!({"userInfo": {"username": USER, "groups": ["system:masters", "system:authenticated"]}})
    } else {
        let wanted = review["spec"]["resourceAttributes"].clone();
        let text = |field: &str| wanted[field].as_str().unwrap_or_default();
        let (verb, group, plural) = (text("verb"), text("group"), text("resource"));
        let verdict = face.knobs.authorize(verb, group, plural, text("namespace"), text("name"));
        json!({"allowed": verdict.is_ok()})
    };
    Some(json_reply(201, &review))
}
