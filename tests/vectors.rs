//! Replays the answers that were recorded from a real API server (`tests/api-vectors`) against the embedded cluster.
//!
//! Tokens such as `<rv1>` stand for values of a run: the first answer that shows one binds it, later ones must agree.
//! Steps whose answers differ on purpose are listed in `exclusions` with their reason; one that agrees after all is
//! a failure too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use triton::devcluster::{DevCluster, Options};

use crate::exclusions::EXCLUSIONS;
use crate::tokens::{Mismatch, Tokens};

const FILES: [&str; 6] = ["apply", "core-kinds", "delete", "discovery", "list-watch", "patch"];

/// What answers.
pub trait Ground {
    /// Sends a request.
    fn send(&self, request: Request<Body>) -> impl Future<Output = Response<Body>>;
    /// A text of the recording as this ground is to hear it.
    fn asked(&self, text: String) -> String {
        text
    }
    /// A text of an answer as the recording would have it.
    fn told(&self, text: String) -> String {
        text
    }
    /// What a watch told as the recording would have it.
    fn watched(&self, lines: Vec<String>) -> Vec<String> {
        lines
    }
    /// Moves the clock to another second.
    fn tick(&self) -> impl Future<Output = ()>;
    /// Forgets everything but the newest state.
    fn compact(&self) -> impl Future<Output = ()>;
    /// The newest version that there is.
    fn version(&self) -> u64;
}

/// A cluster in this process.
struct Embedded(DevCluster);

impl Embedded {
    fn new() -> Self {
        let start = "2026-11-22T10:00:00Z".parse().unwrap();
        let cluster = DevCluster::new(Options { start, seed: 1, collects: false });
        let namespace = json!({"metadata": {"name": "t"}});
        cluster.store().create("namespaces", "vectors", namespace).unwrap();
        Self(cluster)
    }
}

impl Ground for Embedded {
    async fn send(&self, mut request: Request<Body>) -> Response<Body> {
        request.headers_mut().insert("host", HeaderValue::from_static("devcluster"));
        self.0.router().oneshot(request).await.unwrap()
    }

    async fn tick(&self) {
        tokio::time::advance(Duration::from_secs(1)).await;
    }

    async fn compact(&self) {
        self.0.store().compact();
    }

    fn version(&self) -> u64 {
        self.0.store().version()
    }
}

/// Every recorded case.
pub fn cases() -> Vec<Value> {
    let read = |file: &str| {
        let text = std::fs::read_to_string(format!("tests/api-vectors/{file}.json")).unwrap();
        let mut group: Value = serde_json::from_str(&text).unwrap();
        group["cases"].take()
    };
    FILES.iter().flat_map(|file| read(file).as_array().unwrap().clone()).collect()
}

/// How often an open watch is looked at for events that it has not yet told.
const EVENTS_LOOK: Duration = Duration::from_millis(10);
/// How many times.
const EVENTS_WAIT: u32 = 300;
/// How often something is asked again that the recording asked until it was so.
const POLLS: u32 = 20;

#[tokio::test(start_paused = true)]
async fn the_embedded_cluster_answers_as_the_real_server_did() {
    let mut wrong = Vec::new();
    let (mut equal, mut excluded) = (0, 0);
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        for (step, outcome) in replay(&case, &Embedded::new()).await.into_iter().enumerate() {
            let listed = EXCLUSIONS.iter().find(|listed| listed.case == name && listed.steps.contains(&step));
            match (outcome, listed) {
                (Ok(()), None) => equal += 1,
                (Err(_), Some(_)) => excluded += 1,
                (Err(why), None) => wrong.push(format!("{name} {step}: {}", why.0)),
                (Ok(()), Some(listed)) => {
                    wrong.push(format!("{name} {step}: agrees, but is listed: {}", listed.reason));
                }
            }
        }
    }
    println!("{equal} equal, {excluded} listed, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{} steps are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A watch that is open while other steps run.
struct OpenWatch {
    step: usize,
    until: usize,
    by_server: bool,
    lines: Arc<Mutex<Vec<String>>>,
    reader: tokio::task::JoinHandle<()>,
}

/// Runs one case on a ground that nothing else uses. One outcome for each step.
pub async fn replay(case: &Value, ground: &impl Ground) -> Vec<Result<(), Mismatch>> {
    let mut tokens = Tokens::default();
    let mut outcomes = Vec::new();
    let mut watches: Vec<OpenWatch> = Vec::new();
    let steps = case["steps"].as_array().unwrap();
    for (index, step) in steps.iter().enumerate() {
        if case["timed"] == true {
            ground.tick().await;
        }
        if step["action"] == "compact" {
            ground.compact().await;
            outcomes.push(Ok(()));
            continue;
        }
        let mut response = ground.send(request(step, &tokens, ground)).await;
        tokens.written(ground.version());
        if step["watch"].is_string() && response.status().as_u16() == 200 {
            outcomes.push(check_head(step, &response, &mut tokens));
            watches.push(open_watch(index, step, response));
        } else {
            // What was asked until it was so, is asked so again.
            let mut tries =
                if step["note"].as_str().is_some_and(|it| it.starts_with("poll:")) { POLLS } else { 0 };
            loop {
                let mut bound = tokens.clone();
                let outcome = check(step, response, &mut bound, ground).await;
                if outcome.is_ok() || tries == 0 {
                    tokens = bound;
                    outcomes.push(outcome);
                    break;
                }
                tries -= 1;
                ground.tick().await;
                response = ground.send(request(step, &tokens, ground)).await;
            }
        }
        close_watches(index, steps, &mut watches, &mut outcomes, &mut tokens, ground).await;
    }
    outcomes
}

fn request(step: &Value, tokens: &Tokens, ground: &impl Ground) -> Request<Body> {
    let fill = |text: &str| tokens.fill(&ground.asked(text.to_owned()));
    let text = |field: &str| step[field].as_str().map(fill);
    let body = match &step["body"] {
        Value::Null => String::new(),
        Value::String(text) => fill(text),
        other => fill(&as_python_writes(other)),
    };
    let mut request = Request::builder()
        .method(step["method"].as_str().unwrap())
        .uri(text("path").unwrap())
        .header("accept", text("accept").unwrap_or_else(|| "application/json".to_owned()));
    if let Some(kind) = text("contentType") {
        request = request.header("content-type", kind);
    }
    match step.get("userAgent") {
        Some(Value::Null) => {}
        Some(agent) => request = request.header("user-agent", agent.as_str().unwrap()),
        None => request = request.header("user-agent", "vectors/1.0"),
    }
    request.body(Body::from(body)).unwrap()
}

/// JSON with a space after each comma and colon: the script that recorded the answers wrote so, and one answer quotes
/// the body.
fn as_python_writes(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entry =
                |(key, value): (&String, &Value)| format!("{}: {}", json!(key), as_python_writes(value));
            format!("{{{}}}", map.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(as_python_writes).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn open_watch(step_index: usize, step: &Value, response: Response<Body>) -> OpenWatch {
    let words: Vec<&str> = step["watch"].as_str().unwrap().split(' ').collect();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    let reader = tokio::spawn(async move {
        let mut rest = String::new();
        let mut stream = response.into_body().into_data_stream();
        while let Some(Ok(bytes)) = stream.next().await {
            rest.push_str(std::str::from_utf8(&bytes).unwrap());
            while let Some((line, left)) = rest.split_once('\n') {
                seen.lock().unwrap().push(line.to_owned());
                rest = left.to_owned();
            }
        }
    });
    OpenWatch {
        step: step_index,
        until: words.last().unwrap().parse().unwrap(),
        by_server: words[2] == "server",
        lines,
        reader,
    }
}

async fn close_watches(
    index: usize,
    steps: &[Value],
    watches: &mut Vec<OpenWatch>,
    outcomes: &mut [Result<(), Mismatch>],
    tokens: &mut Tokens,
    ground: &impl Ground,
) {
    let (due, open): (Vec<_>, Vec<_>) =
        std::mem::take(watches).into_iter().partition(|watch| watch.until == index);
    *watches = open;
    for watch in due {
        let expected = &steps[watch.step]["response"]["events"];
        if watch.by_server {
            watch.reader.await.unwrap();
        } else {
            let missing = || watch.lines.lock().unwrap().len() < expected.as_array().map_or(0, Vec::len);
            let mut waits = EVENTS_WAIT;
            while waits > 0 && missing() {
                tokio::time::sleep(EVENTS_LOOK).await;
                waits -= 1;
            }
            // For one too many.
            tokio::time::sleep(EVENTS_LOOK).await;
            watch.reader.abort();
        }
        let lines = std::mem::take(&mut *watch.lines.lock().unwrap());
        let events =
            ground.watched(lines).into_iter().map(|line| serde_json::from_str(&ground.told(line)).unwrap());
        let outcome = tokens
            .compare("events", expected, &Value::Array(events.collect()))
            .and_then(|()| tokens.in_order());
        if outcomes[watch.step].is_ok() {
            outcomes[watch.step] = outcome;
        }
    }
}

fn check_head(step: &Value, response: &Response<Body>, tokens: &mut Tokens) -> Result<(), Mismatch> {
    let expected = &step["response"];
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    tokens.compare("status", &expected["status"], &json!(response.status().as_u16()))?;
    if response.status() != StatusCode::NO_CONTENT {
        let kind = expected["contentType"].as_str().unwrap_or("application/json");
        tokens.compare("contentType", &json!(kind), &json!(header("content-type")))?;
    }
    tokens.compare("Retry-After", &expected["Retry-After"], &json!(header("retry-after")))?;
    let warnings: Vec<&str> =
        response.headers().get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    let known = expected.get("warnings").cloned().unwrap_or_else(|| json!([]));
    tokens.compare("warnings", &known, &json!(warnings))
}

async fn check(
    step: &Value,
    response: Response<Body>,
    tokens: &mut Tokens,
    ground: &impl Ground,
) -> Result<(), Mismatch> {
    let head = check_head(step, &response, tokens);
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    // Go's comparisons have spaces that do not break, here and there.
    let text = ground.told(String::from_utf8_lossy(&bytes).replace('\u{a0}', " "));
    let head = head.map_err(|why| {
        Mismatch(format!("{}\n      got {}", why.0, text.chars().take(400).collect::<String>()))
    });
    let Some(expected) = step["response"].get("body") else { return head };
    let trimmed = step["trimmed"].as_str().unwrap_or_default();
    if let Some(line) = expected.as_str() {
        if line.starts_with("<binary, ") {
            return head.and(tokens.compare(
                "body",
                expected,
                &json!(format!("<binary, {} bytes>", bytes.len())),
            ));
        }
        let got = if trimmed.is_empty() { text } else { text.chars().take(line.chars().count()).collect() };
        return head.and(tokens.compare("body", expected, &json!(got)));
    }
    let mut got: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let mut expected = expected.clone();
    settle_unstable(step, &mut expected, &mut got);
    let body = if trimmed.is_empty() {
        tokens.compare("body", &expected, &got)
    } else {
        tokens.contains("body", &expected, &got)
    };
    head.and(body).and(tokens.in_order())
}

/// Brings what depends on Go's map order into one order, or takes it out.
fn settle_unstable(step: &Value, expected: &mut Value, got: &mut Value) {
    for what in step["unstable"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        for body in [&mut *expected, &mut *got] {
            if what.starts_with("body.message") {
                body["message"] = json!("unstable");
            }
            if what.starts_with("body.details.causes")
                && let Some(causes) = body["details"]["causes"].as_array_mut()
            {
                causes.sort_by_key(Value::to_string);
            }
        }
    }
}

/// Nothing is kept between requests but the cluster.
#[tokio::test(start_paused = true)]
async fn two_clusters_of_one_seed_give_equal_answers() {
    let answers = |router: Router| async move {
        let body = json!({"metadata": {"generateName": "c-"}, "data": {"a": "1"}}).to_string();
        let request = Request::post("/api/v1/namespaces/default/configmaps").body(Body::from(body)).unwrap();
        let response = router.oneshot(request).await.unwrap();
        to_bytes(response.into_body(), usize::MAX).await.unwrap()
    };
    let start = "2026-11-22T10:00:00Z".parse().unwrap();
    let cluster = || DevCluster::new(Options { start, seed: 9, collects: true }).router();
    assert_eq!(answers(cluster()).await, answers(cluster()).await);
}

/// Names of files that hold the vectors and are no others.
#[test]
fn every_file_of_vectors_is_replayed() {
    let mut names: BTreeMap<String, ()> = BTreeMap::new();
    for entry in std::fs::read_dir("tests/api-vectors").unwrap() {
        names.insert(entry.unwrap().file_name().into_string().unwrap(), ());
    }
    let known: Vec<String> = FILES.iter().map(|file| format!("{file}.json")).collect();
    assert_eq!(names.into_keys().collect::<Vec<_>>(), known);
}
