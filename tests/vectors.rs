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
use axum::http::{Request, Response};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use triton::devcluster::{DevCluster, Options};

use crate::exclusions::EXCLUSIONS;
use crate::tokens::{Mismatch, Tokens};

const FILES: [&str; 6] = ["apply", "core-kinds", "delete", "discovery", "list-watch", "patch"];

#[tokio::test(start_paused = true)]
async fn the_embedded_cluster_answers_as_the_real_server_did() {
    let mut wrong = Vec::new();
    let (mut equal, mut excluded) = (0, 0);
    for file in FILES {
        let text = std::fs::read_to_string(format!("tests/api-vectors/{file}.json")).unwrap();
        let group: Value = serde_json::from_str(&text).unwrap();
        for case in group["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            for (step, outcome) in replay(case).await.into_iter().enumerate() {
                let listed =
                    EXCLUSIONS.iter().find(|listed| listed.case == name && listed.steps.contains(&step));
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
    }
    println!("{equal} equal, {excluded} listed, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{} steps are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A watch that is open while other steps run.
struct OpenWatch {
    step: usize,
    until: usize,
    by_server: bool,
    events: Arc<Mutex<Vec<Value>>>,
    reader: tokio::task::JoinHandle<()>,
}

/// Runs one case in a cluster of its own. One outcome for each step.
async fn replay(case: &Value) -> Vec<Result<(), Mismatch>> {
    let start = "2026-11-22T10:00:00Z".parse().unwrap();
    let cluster = DevCluster::new(Options { start, seed: 1, collects: false });
    let router = cluster.router();
    let namespace = json!({"metadata": {"name": "t"}});
    cluster.store().create("namespaces", "vectors", namespace).unwrap();
    let mut tokens = Tokens::default();
    let mut outcomes = Vec::new();
    let mut watches: Vec<OpenWatch> = Vec::new();
    let steps = case["steps"].as_array().unwrap();
    for (index, step) in steps.iter().enumerate() {
        if case["timed"] == true {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        if step["action"] == "compact" {
            cluster.store().compact();
            outcomes.push(Ok(()));
            continue;
        }
        let response = router.clone().oneshot(request(step, &tokens)).await.unwrap();
        tokens.written(cluster.store().version());
        if step["watch"].is_string() && response.status().as_u16() == 200 {
            outcomes.push(check_head(step, &response, &mut tokens));
            watches.push(open_watch(index, step, response));
        } else {
            outcomes.push(check(step, response, &mut tokens).await);
        }
        close_watches(index, steps, &mut watches, &mut outcomes, &mut tokens).await;
    }
    outcomes
}

fn request(step: &Value, tokens: &Tokens) -> Request<Body> {
    let text = |field: &str| step[field].as_str().map(|text| tokens.fill(text));
    let body = match &step["body"] {
        Value::Null => String::new(),
        Value::String(text) => tokens.fill(text),
        other => tokens.fill(&as_python_writes(other)),
    };
    let mut request = Request::builder()
        .method(step["method"].as_str().unwrap())
        .uri(text("path").unwrap())
        .header("host", "devcluster")
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
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let reader = tokio::spawn(async move {
        let mut rest = String::new();
        let mut stream = response.into_body().into_data_stream();
        while let Some(Ok(bytes)) = stream.next().await {
            rest.push_str(std::str::from_utf8(&bytes).unwrap());
            while let Some((line, left)) = rest.split_once('\n') {
                seen.lock().unwrap().push(serde_json::from_str(line).unwrap());
                rest = left.to_owned();
            }
        }
    });
    OpenWatch {
        step: step_index,
        until: words.last().unwrap().parse().unwrap(),
        by_server: words[2] == "server",
        events,
        reader,
    }
}

async fn close_watches(
    index: usize,
    steps: &[Value],
    watches: &mut Vec<OpenWatch>,
    outcomes: &mut [Result<(), Mismatch>],
    tokens: &mut Tokens,
) {
    let (due, open): (Vec<_>, Vec<_>) =
        std::mem::take(watches).into_iter().partition(|watch| watch.until == index);
    *watches = open;
    for watch in due {
        if watch.by_server {
            watch.reader.await.unwrap();
        } else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            watch.reader.abort();
        }
        let events = Value::Array(watch.events.lock().unwrap().clone());
        let expected = &steps[watch.step]["response"]["events"];
        let outcome = tokens.compare("events", expected, &events).and_then(|()| tokens.in_order());
        if outcomes[watch.step].is_ok() {
            outcomes[watch.step] = outcome;
        }
    }
}

fn check_head(step: &Value, response: &Response<Body>, tokens: &mut Tokens) -> Result<(), Mismatch> {
    let expected = &step["response"];
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    tokens.compare("status", &expected["status"], &json!(response.status().as_u16()))?;
    let kind = expected["contentType"].as_str().unwrap_or("application/json");
    tokens.compare("contentType", &json!(kind), &json!(header("content-type")))?;
    tokens.compare("Retry-After", &expected["Retry-After"], &json!(header("retry-after")))?;
    let warnings: Vec<&str> =
        response.headers().get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    let known = expected.get("warnings").cloned().unwrap_or_else(|| json!([]));
    tokens.compare("warnings", &known, &json!(warnings))
}

async fn check(step: &Value, response: Response<Body>, tokens: &mut Tokens) -> Result<(), Mismatch> {
    let head = check_head(step, &response, tokens);
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let head = head.map_err(|why| {
        Mismatch(format!("{}\n      got {}", why.0, text.chars().take(400).collect::<String>()))
    });
    let Some(expected) = step["response"].get("body") else { return head };
    let trimmed = step["trimmed"].as_str().unwrap_or_default();
    if let Some(line) = expected.as_str() {
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
