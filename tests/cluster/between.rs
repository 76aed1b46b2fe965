//! What stands between a daemon and the real API server, and does what a test tells it: it answers in the server's place,
//! keeps answers to itself, is slow, and hurts watches. Everything else goes through as it is.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{broadcast, oneshot};

use crate::cluster::plane::Plane;

/// Largest body that goes through: far more than an API server takes.
const BODY_MAX: usize = 16 << 20;

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It is answered with this code, and never sent on.
    Answer(u16),
    /// The same, with a page of text, and seconds to wait in the head alone: as a busy API server does it.
    Busy(u32),
    /// It is carried out, and nothing is answered.
    Lost,
    /// It is sent on so much later, whether somebody still waits for its answer or not.
    Late(Duration),
}

/// What becomes of every open watch of a kind.
#[derive(Clone, Copy, Debug)]
pub enum Hurt {
    /// An event that says 410.
    Expired,
    /// Half an event, and the connection is gone.
    Cut,
    /// Nothing comes any more, and nobody says so.
    Silent,
}

struct Rule {
    verb: &'static str,
    plural: &'static str,
    times: u32,
    fault: Fault,
}

struct Shared {
    client: kube::Client,
    rules: Mutex<VecDeque<Rule>>,
    asked: Mutex<Vec<(&'static str, String, Instant)>>,
    hurts: broadcast::Sender<(&'static str, Hurt)>,
}

/// One that stands between. It goes when it is dropped.
pub struct Between {
    shared: Arc<Shared>,
    folder: TempDir,
    end: Option<oneshot::Sender<()>>,
}

impl Between {
    /// Stands before `plane`, and reaches it as admin.
    pub fn before(plane: &Plane) -> Self {
        let (plane, (end, ended), (begun, begins)) =
            (plane.beside(), oneshot::channel::<()>(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let shared = Arc::new(Shared {
                    client: plane.client("admin", "default").await,
                    rules: Mutex::default(),
                    asked: Mutex::default(),
                    hurts: broadcast::channel(8).0,
                });
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let address = listener.local_addr().expect("an address");
                begun.send((Arc::clone(&shared), address)).expect("somebody waits");
                let door = Router::new().fallback(pass).with_state(shared);
                tokio::select! {
                    _ = ended => {}
                    served = axum::serve(listener, door) => served.expect("it serves"),
                }
            });
        });
        let (shared, address) = begins.recv().expect("it begins");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "apiVersion: v1
kind: Config
current-context: between
contexts: [{{ name: between, context: {{ cluster: between, user: between }} }}]
clusters: [{{ name: between, cluster: {{ server: \"http://{address}\" }} }}]
users: [{{ name: between, user: {{}} }}]
"
        );
        std::fs::write(folder.path().join("between.kubeconfig"), text).expect("a file");
        Self { shared, folder, end: Some(end) }
    }

    /// How a daemon reaches the API server through it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("between.kubeconfig")
    }

    /// From now on so many requests of this verb, as RBAC spells it, and kind are treated so; rules are used up in order.
    pub fn rule(&self, verb: &'static str, plural: &'static str, times: u32, fault: Fault) {
        self.shared.rules.lock().expect("rules").push_back(Rule { verb, plural, times, fault });
    }

    /// Whether every rule is used up.
    pub fn is_done(&self) -> bool {
        self.shared.rules.lock().expect("rules").is_empty()
    }

    /// Hurts every open watch of a kind; there must be one.
    pub fn hurt(&self, plural: &'static str, hurt: Hurt) {
        self.shared.hurts.send((plural, hurt)).expect("a watch is open");
    }

    /// When requests of this verb and kind came.
    pub fn asked(&self, verb: &str, plural: &str) -> Vec<Instant> {
        let asked = self.shared.asked.lock().expect("requests");
        asked.iter().filter(|it| it.0 == verb && it.1 == plural).map(|it| it.2).collect()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        drop(self.end.take());
    }
}

/// Verb and plural of a request.
fn verb(request: &Request) -> (&'static str, String) {
    let path: Vec<&str> = request.uri().path().trim_start_matches('/').split('/').collect();
    let below = if path[0] == "api" { 2 } else { 3 };
    let below =
        if path.get(below) == Some(&"namespaces") && path.len() > below + 2 { below + 2 } else { below };
    let is_watch = request.uri().query().is_some_and(|it| it.split('&').any(|it| it.starts_with("watch=")));
    let verb = match (request.method().as_str(), path.len() > below + 1) {
        ("GET", false) if is_watch => "watch",
        ("GET", false) => "list",
        ("GET", true) => "get",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => "create",
    };
    (verb, path.get(below).copied().unwrap_or_default().to_owned())
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Infallible> {
    let (verb, plural) = verb(&request);
    let fault = {
        shared.asked.lock().expect("requests").push((verb, plural.clone(), Instant::now()));
        let mut rules = shared.rules.lock().expect("rules");
        let found = rules.iter().position(|it| it.verb == verb && it.plural == plural);
        found.map(|at| {
            let rule = &mut rules[at];
            let fault = rule.fault;
            rule.times -= 1;
            if rule.times == 0 {
                rules.remove(at);
            }
            fault
        })
    };
    Ok(match fault {
        None if verb == "watch" => watched(forward(&shared, request).await, plural, shared.hurts.subscribe()),
        None => forward(&shared, request).await,
        Some(Fault::Answer(code)) => refusal(code),
        Some(Fault::Busy(seconds)) => {
            let busy = Response::builder().status(429).header("Retry-After", seconds);
            busy.body("Too many requests, please try again later.\n".into()).expect("an answer")
        }
        Some(Fault::Lost) => {
            forward(&shared, request).await;
            std::future::pending().await
        }
        Some(Fault::Late(after)) => {
            let sent = tokio::spawn(async move {
                tokio::time::sleep(after).await;
                forward(&shared, request).await
            });
            sent.await.expect("it was sent")
        }
    })
}

fn refusal(code: u16) -> Response {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        _ => "InternalError",
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": format!("it was answered with {code}")});
    let head = Response::builder().status(code).header("Content-Type", "application/json");
    head.body(status.to_string().into()).expect("an answer")
}

async fn forward(shared: &Shared, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    for name in ["host", "connection", "content-length", "transfer-encoding"] {
        head.headers.remove(name);
    }
    let bytes = to_bytes(body, BODY_MAX).await.expect("a body");
    let request = Request::from_parts(head, kube::client::Body::from(bytes.to_vec()));
    match shared.client.send(request).await {
        Ok(response) => {
            let (mut head, body) = response.into_parts();
            head.headers.remove("transfer-encoding");
            Response::from_parts(head, Body::new(body))
        }
        Err(error) => {
            let page = Response::builder().status(502).body(format!("{error:?}").into());
            page.expect("an answer")
        }
    }
}

/// A watch that can be hurt.
fn watched(response: Response, plural: String, hurts: broadcast::Receiver<(&'static str, Hurt)>) -> Response {
    let (head, body) = response.into_parts();
    let begin = (Some(body.into_data_stream()), hurts, plural, false);
    let events = stream::unfold(begin, |(open, mut hurts, plural, is_broken)| async move {
        let broken = || std::io::Error::other("cut");
        let Some(mut events) = open else {
            return is_broken.then(|| (Err(broken()), (None, hurts, plural, false)));
        };
        loop {
            tokio::select! {
                hurt = hurts.recv() => match hurt {
                    Ok((kind, _)) if kind != plural => {}
                    Ok((_, Hurt::Expired)) => {
                        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                            "reason": "Expired", "message": "too old resource version"});
                        let event = format!("{}\n", json!({"type": "ERROR", "object": status}));
                        return Some((Ok(event.into()), (None, hurts, plural, false)));
                    }
                    Ok((_, Hurt::Cut)) => {
                        let half = r#"{"type":"MODIFIED","object":{"kind":"CloneSet","metadata":{"na"#;
                        return Some((Ok(half.into()), (None, hurts, plural, true)));
                    }
                    Ok((_, Hurt::Silent)) | Err(_) => std::future::pending::<()>().await,
                },
                event = events.next() => {
                    let event = event?.map_err(std::io::Error::other);
                    return Some((event, (Some(events), hurts, plural, false)));
                }
            }
        }
    });
    Response::from_parts(head, Body::from_stream(events))
}
