//! The recorded answers of a real API server, asked again of one: they stay true.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use kube::Client;
use serde_json::{Value, json};

use crate::cluster::plane::Plane;
use crate::vectors::{Ground, cases, replay};

/// The one step that a young server answers otherwise: its cache still has its first event, where the recorded one had
/// forgotten it.
const YOUNG: (&str, usize) = ("compaction", 10);
/// How often a case is tried: what falls into one second in the recording may not fall into one here.
const TRIES: usize = 3;

/// A namespace of a real API server, for one run of one case.
struct Real<'a> {
    client: Client,
    plane: &'a Plane,
    /// What the recording calls `t`.
    name: String,
}

impl<'a> Real<'a> {
    async fn new(plane: &'a Plane, name: String) -> Self {
        plane.kubectl(&["create", "namespace", &name]);
        Self { client: plane.client("admin", &name).await, plane, name }
    }
}

impl Ground for Real<'_> {
    async fn send(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("it is here");
        self.client.send(Request::from_parts(head, body.into())).await.expect("it answers").map(Body::new)
    }

    fn asked(&self, text: String) -> String {
        let alone = |letter: Option<char>| !letter.is_some_and(|it| it.is_ascii_alphanumeric());
        let mut asked = String::new();
        for (at, letter) in text.char_indices() {
            let (before, after) = (&text[..at], &text[at + letter.len_utf8()..]);
            // Behind the `=` of a selector as well, which is encoded in a path.
            let begins = before.ends_with("%3D") || alone(before.chars().last());
            let named = letter == 't' && begins && alone(after.chars().next());
            if named { asked.push_str(&self.name) } else { asked.push(letter) }
        }
        asked
    }

    fn told(&self, text: String) -> String {
        text.replace(&self.name, "t")
    }

    fn watched(&self, mut lines: Vec<String>) -> Vec<String> {
        // The server's clock for bookmarks goes by whole seconds: what is due just before the end of a watch may come
        // in two of them (apiserver, storage/cacher/cache_watcher.go, nextBookmarkTime).
        lines.dedup_by(|next, last| next == last && next.contains(r#""type":"BOOKMARK""#));
        lines
    }

    async fn tick(&self) {
        second_begins().await;
    }

    async fn compact(&self) {
        let etcd = std::fs::read_to_string(self.plane.dir().join("etcd")).expect("etcd has an address");
        let ask = async |path: &str, body: Value| {
            let answer = reqwest::Client::new().post(format!("{}/v3/kv/{path}", etcd.trim()));
            let answer = answer.body(body.to_string()).send().await.expect("etcd answers");
            serde_json::from_slice::<Value>(&answer.bytes().await.expect("a body")).expect("JSON")
        };
        let newest = ask("range", json!({ "key": "AA==" })).await["header"]["revision"].clone();
        ask("compaction", json!({ "revision": newest })).await;
    }

    fn version(&self) -> u64 {
        // Others write as well: every version of the present may be.
        u64::MAX
    }
}

/// Waits until the system's clock shows the beginning of another second.
async fn second_begins() {
    let now = jiff::Timestamp::now().subsec_nanosecond().unsigned_abs();
    tokio::time::sleep(Duration::from_nanos(1_000_000_000 - u64::from(now))).await;
}

#[tokio::test]
#[ignore = "tests/cluster/test runs it"]
async fn a_real_api_server_answers_as_it_was_recorded() {
    let plane = Plane::bare();
    let mut wrong = Vec::new();
    let mut equal = 0;
    for (number, case) in cases().iter().enumerate() {
        let name = case["name"].as_str().unwrap();
        let is_young = |step: usize| (name, step) == YOUNG;
        let mut outcomes = Vec::new();
        for again in 0..TRIES {
            let ground = Real::new(&plane, format!("tq{number}x{again}")).await;
            second_begins().await;
            outcomes = replay(case, &ground).await;
            if outcomes.iter().enumerate().all(|(step, outcome)| outcome.is_ok() || is_young(step)) {
                break;
            }
        }
        for (step, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(()) => equal += 1,
                Err(_) if is_young(step) => {}
                Err(why) => wrong.push(format!("{name} {step}: {}", why.0)),
            }
        }
    }
    println!("{equal} equal, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{} steps are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
