//! The wire between the daemon and a cluster: it notes what is sent, can be slow, can refuse, can lose answers, and can lead
//! to another namespace.
//!
//! What takes time arrives all the same, whether whoever sent it waits for the answer, stands still or is gone: a network
//! takes nothing back.
//!
//! On a control plane that scenarios share, each has a namespace of its own. The wire alone knows its name: what passes
//! to the cluster has it in the place of [`NAMESPACE`], what comes back has it no more, and what is asked of all
//! namespaces is asked of this one. So files, digests and commits are the same on every ground.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::BoxError;
use axum::body::{Body as Answered, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, Uri, header};
use futures::{Stream, StreamExt as _};
use kube::client::Body;
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt as _};

use crate::scenario::ground::{LEASES, kinds, resource};
use crate::scenario::history::NAMESPACE;
use crate::scenario::news::version;

/// How long an answer is waited for, in real time: a control plane on a machine that has too much to do stands still for
/// tens of seconds.
const ANSWER: Duration = Duration::from_secs(120);

/// A request that meant to write.
#[derive(Clone, Debug)]
pub struct Sent {
    /// As in HTTP.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// What was sent.
    pub body: Value,
    /// How it was answered; 0 while it is not.
    pub code: u16,
}

/// One wire. Clones are the same.
#[derive(Clone, Default)]
pub struct Wire(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// The namespace behind the wire, where it has another name there.
    namespace: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lag: Duration,
    /// Plurals of what is refused, whoever may write it.
    refused: Vec<String>,
    /// Plurals of what is written and not answered.
    muted: Vec<String>,
    sent: Vec<Sent>,
    /// The versions that writes have made, by plural and name, without those of leases.
    written: BTreeMap<(String, String), u64>,
    /// When requests were sent that are not answered, by their number.
    under_way: BTreeMap<u64, Instant>,
    last: u64,
}

impl Wire {
    /// A wire that leads to this namespace.
    pub fn to(namespace: &str) -> Self {
        Self(Arc::new(Inner { namespace: Some(namespace.to_owned()), state: Mutex::default() }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every request waits so long before it is sent.
    pub fn slow(&self, lag: Duration) {
        self.state().lag = lag;
    }

    /// How long every request waits.
    pub fn lag(&self) -> Duration {
        self.state().lag
    }

    /// Every write to objects of these plurals is refused, until others are named.
    pub fn refuse(&self, plurals: &[String]) {
        self.state().refused = plurals.to_vec();
    }

    /// Every write to objects of these plurals is done and not answered, until others are named.
    pub fn mute(&self, plurals: &[String]) {
        self.state().muted = plurals.to_vec();
    }

    /// Whether the answer to a write is lost.
    fn is_muted(&self, noted: usize) -> bool {
        let state = self.state();
        let path = state.sent[noted].path.split('?').next().unwrap_or_default();
        state.muted.iter().any(|it| path.split('/').any(|part| part == *it))
    }

    /// The answer to a request that is refused here.
    fn refusal(&self, request: &Request<Body>) -> Option<Response<Answered>> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let path = request.uri().path();
        let state = self.state();
        let plural = state.refused.iter().find(|it| path.split('/').any(|part| part == **it))?;
        let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
            "message": format!("nobody may write {plural} now")});
        let answer = Response::builder().status(403).header(header::CONTENT_TYPE, "application/json");
        let answer = answer.body(Answered::from(body.to_string())).expect("an answer");
        (!reads).then_some(answer)
    }

    /// Everything that meant to write, so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }

    /// The versions that writes have made of objects that scenarios look at, by plural and name.
    pub fn written(&self) -> BTreeMap<(String, String), u64> {
        self.state().written.clone()
    }

    /// Keeps the version that an answer to a write tells of.
    fn keep_version(&self, noted: usize, body: &[u8]) {
        let mut state = self.state();
        let Sent { path, code, .. } = &state.sent[noted];
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut segments = path.rsplit('/');
        let (name, plural) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
        let is_shown = kinds().iter().any(|api| api.plural == plural && resource(api) != LEASES);
        if !(200..300).contains(code) || query.contains("dryRun") || !is_shown {
            return;
        }
        let key = (plural.to_owned(), name.to_owned());
        let version = version(&serde_json::from_slice(body).unwrap_or(Value::Null));
        let kept = state.written.entry(key).or_default();
        *kept = version.max(*kept);
    }

    /// Whether nothing is sent that is not answered, watches aside.
    pub fn is_idle(&self) -> bool {
        self.state().under_way.values().all(|at| at.elapsed() > ANSWER)
    }

    fn note(&self, request: &Request<Body>, body: &[u8]) -> Option<usize> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut state = self.state();
        (!reads).then(|| {
            let body = serde_json::from_slice(body).unwrap_or(Value::Null);
            let (method, path) = (request.method().to_string(), request.uri().to_string());
            state.sent.push(Sent { method, path, body, code: 0 });
            state.sent.len() - 1
        })
    }

    /// The address behind the wire.
    fn address(&self, method: &Method, uri: &Uri) -> Uri {
        let Some(namespace) = &self.0.namespace else { return uri.clone() };
        let path = uri.path();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let is_collection = match segments.first() {
            Some(&"api") => segments.len() == 3,
            Some(&"apis") => segments.len() == 4,
            _ => false,
        };
        let aside = ["namespaces", "nodes", "customresourcedefinitions"];
        let path = match segments.split_last() {
            Some((plural, group)) if *method == Method::GET && is_collection && !aside.contains(plural) => {
                format!("/{}/namespaces/{namespace}/{plural}", group.join("/"))
            }
            _ => {
                let named: Vec<&str> = path.split('/').collect();
                let place = named.windows(2).position(|it| *it == ["namespaces", NAMESPACE]);
                let there = |index: usize| place.is_some_and(|place| place + 1 == index);
                let named = named.iter().enumerate();
                let named = named.map(|(index, it)| if there(index) { namespace.as_str() } else { *it });
                named.collect::<Vec<_>>().join("/")
            }
        };
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(format!("{path}{query}").parse().expect("a path"));
        Uri::from_parts(parts).expect("an address")
    }

    fn outward(&self, body: Bytes) -> Bytes {
        let Some(namespace) = &self.0.namespace else { return body };
        let text = String::from_utf8_lossy(&body);
        let (here, there) =
            (format!("\"namespace\":\"{NAMESPACE}\""), format!("\"namespace\":\"{namespace}\""));
        text.replace(&here, &there).into()
    }

    fn homeward(&self, body: Bytes) -> Bytes {
        let Some(namespace) = &self.0.namespace else { return body };
        String::from_utf8_lossy(&body).replace(namespace, NAMESPACE).into()
    }
}

/// A request under way. It ends however it ends.
struct UnderWay(Wire, u64);

impl UnderWay {
    fn new(wire: &Wire) -> Self {
        let mut state = wire.state();
        state.last += 1;
        let number = state.last;
        state.under_way.insert(number, Instant::now());
        Self(wire.clone(), number)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state().under_way.remove(&self.1);
    }
}

impl<S> Layer<S> for Wire {
    type Service = Tapped<S>;

    fn layer(&self, inner: S) -> Tapped<S> {
        Tapped { wire: self.clone(), inner: Arc::new(tokio::sync::Mutex::new(inner)) }
    }
}

/// A service behind a wire.
#[derive(Clone)]
pub struct Tapped<S> {
    wire: Wire,
    inner: Arc<tokio::sync::Mutex<S>>,
}

impl<S, B> Service<Request<Body>> for Tapped<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Answered>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answered>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let lag = self.wire.lag();
        let carried = carry(self.wire.clone(), Arc::clone(&self.inner), request);
        let is_at_once = lag.is_zero();
        if is_at_once && self.wire.0.namespace.is_none() {
            return Box::pin(carried);
        }
        let arrives = async move {
            if !is_at_once {
                tokio::time::sleep(lag).await;
            }
            carried.await
        };
        Box::pin(async move { tokio::spawn(arrives).await? })
    }
}

/// Takes a request to the cluster, and its answer back.
async fn carry<S, B>(
    wire: Wire,
    inner: Arc<tokio::sync::Mutex<S>>,
    request: Request<Body>,
) -> Result<Response<Answered>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    let under_way = (!is_watch).then(|| UnderWay::new(&wire));
    let (mut parts, body) = request.into_parts();
    let body = body.collect_bytes().await?;
    let noted = wire.note(&Request::from_parts(parts.clone(), Body::empty()), &body);
    if let Some(answer) = wire.refusal(&Request::from_parts(parts.clone(), Body::empty())) {
        if let Some(noted) = noted {
            wire.state().sent[noted].code = answer.status().as_u16();
        }
        return Ok(answer);
    }
    parts.uri = wire.address(&parts.method, &parts.uri);
    let body = wire.outward(body);
    parts.headers.remove(header::CONTENT_LENGTH);
    let request = Request::from_parts(parts, Body::from(body.to_vec()));
    let answer = {
        let mut inner = inner.lock().await;
        inner.ready().await.map_err(Into::into)?.call(request)
    };
    let (mut parts, body) = answer.await.map_err(Into::into)?.into_parts();
    if let Some(noted) = noted {
        wire.state().sent[noted].code = parts.status.as_u16();
        if wire.is_muted(noted) {
            drop(under_way);
            return std::future::pending().await;
        }
    }
    let body = Answered::new(body);
    if wire.0.namespace.is_none() {
        return Ok(Response::from_parts(parts, body));
    }
    forget_length(&mut parts.headers);
    if is_watch {
        let lines = lines(body.into_data_stream());
        let lines = lines.map(move |line| line.map(|line| wire.homeward(line)));
        return Ok(Response::from_parts(parts, Answered::from_stream(lines)));
    }
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    if let Some(noted) = noted {
        wire.keep_version(noted, &body);
    }
    drop(under_way);
    Ok(Response::from_parts(parts, Answered::from(wire.homeward(body))))
}

fn forget_length(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_LENGTH);
}

/// The lines of a stream, whole.
fn lines(
    stream: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
    let state = (Box::pin(stream), Vec::<u8>::new());
    futures::stream::unfold(state, |(mut stream, mut rest)| async move {
        loop {
            if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
                let behind = rest.split_off(end + 1);
                return Some((Ok(rest.into()), (stream, behind)));
            }
            match stream.next().await {
                Some(Ok(bytes)) => rest.extend_from_slice(&bytes),
                Some(Err(error)) => return Some((Err(error), (stream, rest))),
                None if rest.is_empty() => return None,
                None => return Some((Ok(std::mem::take(&mut rest).into()), (stream, rest))),
            }
        }
    })
}
