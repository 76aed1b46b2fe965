//! The log as auditors read it: one JSON line for each transition.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use triton::cli::log;
use triton::cli::output::{Format, Paint};

use crate::daemon::stage::Stage;
use crate::daemon::{COMPANIONS, GATED, STEPS};

const README: &str = include_str!("../../README.md");

/// What this thread logs, while it lives.
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

#[derive(Clone)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> Self {
        // While one thread alone listens, `tracing` asks whichever thread meets a line first whether anybody wants it, and
        // remembers a no for all of them. So that there is always somebody, one listener that keeps nothing is everybody's.
        let _ =
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(LevelFilter::INFO));
        let text = Arc::new(Mutex::new(Vec::new()));
        let paper = Paper(Arc::clone(&text));
        let filter = EnvFilter::new("warn,triton=info,audit=info");
        let lines = log::subscriber(Format::Json, Paint::NONE, filter, move || paper.clone());
        Self { text, _guard: tracing::subscriber::set_default(lines) }
    }

    /// Every line. Each says something, and names a level and a time.
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &lines {
            assert!(line["message"].as_str().is_some_and(|it| !it.is_empty()), "{line}");
            assert!(line["time"].is_string() && line["level"].is_string(), "{line}");
        }
        lines
    }

    /// Every audit.
    fn audits(&self) -> Vec<Value> {
        let lines = self.lines();
        let of = |line: &Value| {
            let audit = line.get("audit")?;
            assert_eq!(line["message"], audit["reason"], "{line}");
            assert_eq!(line["release"], audit["release"], "{line}");
            Some(audit.clone())
        };
        lines.iter().filter_map(of).collect()
    }

    /// The decisions that were told, and the step after each.
    fn told(&self) -> Vec<String> {
        let of = |it: &Value| match (it["decision"].as_str().unwrap(), &it["step"]) {
            (decision, Value::Null) => decision.to_owned(),
            (decision, step) => format!("{decision} {step}"),
        };
        self.audits().iter().map(of).collect()
    }
}

/// The fields that the README documents, with what it says of each.
fn documented() -> Vec<(String, String)> {
    let (_, rest) = README.split_once("\n| field of `audit` |").expect("a table of the fields");
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with("| `"));
    let of = |row: &str| {
        let mut cells = row.trim_matches('|').split(" | ");
        let name = cells.next().unwrap().trim().trim_matches('`').to_owned();
        (name, cells.next().unwrap().trim().to_owned())
    };
    rows.map(of).collect()
}

/// Whether a value is of the type that the README says.
fn is_of(value: &Value, kind: &str) -> bool {
    let (kind, nullable) = kind.strip_suffix(" or null").map_or((kind, false), |kind| (kind, true));
    match (kind, value) {
        (_, Value::Null) => nullable,
        ("time", Value::String(text)) => text.parse::<jiff::Timestamp>().is_ok(),
        ("word" | "sentence", Value::String(text)) => !text.is_empty(),
        ("text", Value::String(_)) => true,
        ("number", Value::Number(number)) => number.is_u64(),
        ("list of `{who, commit}`", Value::Array(items)) => {
            items.iter().all(|it| it["who"].is_string() && it["commit"].is_string())
        }
        _ => false,
    }
}

async fn proven(steps: &str) -> Stage {
    let mut stage = Stage::set();
    stage.release("1.0.0", steps);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage
}

#[tokio::test(start_paused = true)]
async fn a_whole_rollout_is_told_line_by_line_as_the_readme_says() {
    let log = Log::begin();
    let mut stage = proven(GATED).await;
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    let digest = stage.record("checkout")["status"]["digest"].as_str().unwrap().to_owned();
    let spec = stage.repo.id("HEAD").to_string();
    stage.repo.write(&format!("approvals/shop/checkout/{digest}/2.aaaa.yaml"), "reason: looks good\n");
    stage.repo.git(&["add", "--all"]);
    stage.repo.git_as("Bea", &["commit", "--quiet", "--message", "Approve"]);
    let approved = stage.repo.id("HEAD").to_string();
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
    stage.stop().await;

    let audits = log.audits();
    let fields = documented();
    for audit in &audits {
        let has: BTreeSet<&str> = audit.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(has, fields.iter().map(|(name, _)| name.as_str()).collect(), "{audit:#}");
        for (name, kind) in &fields {
            assert!(is_of(&audit[name], kind), "{name}: {kind}, and it is {}", audit[name]);
        }
    }
    let steps = ["Create 3", "Note 3", "Complete 3", "Enter 1", "Note 1", "Enter 2", "Note 2", "Enter 3"];
    let all: Vec<&str> = steps.into_iter().chain(["Note 3", "Complete 3"]).collect();
    assert_eq!(log.told(), all);
    let history = stage.record("checkout")["status"]["history"].clone();
    let told: Vec<&Value> = audits.iter().map(|it| &it["reason"]).collect();
    let kept: Vec<&Value> = history.as_array().unwrap().iter().map(|it| &it["message"]).collect();
    assert_eq!(told, kept, "the record tells the same");
    let entered = audits.iter().find(|it| it["decision"] == "Enter" && it["step"] == 2).unwrap();
    assert_eq!((&entered["from"], &entered["to"]), (&"1.0.0".into(), &"1.1.0".into()));
    assert_eq!((&entered["commit"], &entered["author"]), (&spec.into(), &"Ann".into()));
    assert_eq!((&entered["digest"], &entered["head"]), (&digest.into(), &approved.clone().into()));
    let by = serde_json::json!([{"who": "Bea", "commit": approved}]);
    assert_eq!((&entered["approvals"], &entered["steps"]), (&by, &3.into()));
    assert!(audits.iter().all(|it| it["skips"] == serde_json::json!([])));
}

#[tokio::test(start_paused = true)]
async fn who_let_pods_serve_is_told_in_the_log_and_in_the_record() {
    const BY_APPROVAL: &str = "[{replicas: 1, serve: approval}, {replicas: 100%}]";
    let log = Log::begin();
    let mut stage = proven(BY_APPROVAL).await;
    let digest_of = |it: &Stage| it.record("checkout")["status"]["digest"].as_str().unwrap().to_owned();
    stage.release("1.1.0", BY_APPROVAL);
    stage.until("it waits", |it| it.waits_for() == "serve").await;
    let serve = |it: &Stage| it.record("checkout")["status"]["steps"][0]["serve"].clone();
    assert_eq!(serve(&stage), serde_json::json!([]), "nobody yet");
    let marker = format!("approvals/shop/checkout/{}/serve-1.aaaa.yaml", digest_of(&stage));
    stage.repo.write(&marker, "reason: looks good\n");
    stage.repo.git(&["add", "--all"]);
    stage.repo.git_as("Bea", &["commit", "--quiet", "--message", "Let it serve"]);
    let by = serde_json::json!([{"who": "Bea", "commit": stage.repo.id("HEAD").to_string()}]);
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 2/2").await;
    stage.stop().await;
    assert_eq!(serve(&stage), by);
    let audits = log.audits();
    let told = audits.iter().find(|it| it["reason"].as_str().unwrap().contains("serve, by Bea")).unwrap();
    assert_eq!((&told["decision"], &told["approvals"]), (&"Note".into(), &by));
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_its_rollback_are_two_lines_and_a_restart_tells_nothing_again() {
    let log = Log::begin();
    let mut stage = proven(STEPS).await;
    let before = log.told().len();
    stage.release("bad", STEPS);
    stage.until("it failed", |it| it.waits_for() == "failed").await;
    let all = [("example/checkout:1.0.0".to_owned(), 4)].into();
    stage.until("every pod is back", |it| it.pods() == all && it.phase() == "Degraded").await;
    stage.wait(60).await;
    let told = log.told();
    assert_eq!(told[before..], ["Enter 1", "Fail 1", "RollBack 3", "Note 3"]);
    let audits = log.audits();
    let (failed, back) = (&audits[before + 1], &audits[before + 2]);
    assert_eq!((&failed["from"], &failed["to"]), (&"1.0.0".into(), &"bad".into()));
    assert_eq!((&back["from"], &back["to"]), (&"bad".into(), &"1.0.0".into()));
    stage.kill().await;
    stage.start();
    stage.wait(300).await;
    assert_eq!(log.told(), told);
}

#[tokio::test(start_paused = true)]
async fn a_repair_and_a_removal_are_one_line_each() {
    let log = Log::begin();
    let mut stage = Stage::set();
    stage.repo.write("releases/shop/companions.yaml", COMPANIONS);
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    let before = log.told().len();
    let mut service = stage.object("services", "checkout");
    service["spec"]["ports"][0]["name"] = "edited".into();
    stage.cluster.store().update("services", "kubectl-edit", service).unwrap();
    let name = |it: &Stage| it.object("services", "checkout")["spec"]["ports"][0]["name"].clone();
    stage.until("it is repaired", |it| name(it) == "http").await;
    stage.wait(60).await;
    assert_eq!(log.told()[before..], ["Repair 3"]);
    for path in ["releases/shop/checkout.yaml", "releases/shop/companions.yaml"] {
        stage.repo.remove(path);
    }
    stage.repo.commit("Remove checkout");
    stage.until("it is gone", |it| it.record("checkout").is_null()).await;
    stage.wait(60).await;
    assert_eq!(log.told()[before + 1..], ["Remove"]);
    let audits = log.audits();
    let removed = audits.last().unwrap();
    assert_eq!((&removed["from"], &removed["to"]), (&"1.0.0".into(), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_told_all_the_same() {
    let log = Log::begin();
    let stage = proven(STEPS).await;
    let before = log.told().len();
    let failure = triton::devcluster::Failure {
        verb: "patch",
        plural: "clonesets".into(),
        times: 1,
        with: triton::devcluster::Refusal::internal("the connection was cut"),
        after: true,
    };
    stage.cluster.knobs().set(|faults| faults.failures.push(failure));
    stage.release("1.1.0", STEPS);
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
    let steps = ["Enter 1", "Note 1", "Enter 2", "Note 2", "Enter 3", "Note 3", "Complete 3"];
    assert_eq!(log.told()[before..], steps);
    assert_eq!(stage.history("Enter"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_answer_was_lost_is_told_all_the_same() {
    let log = Log::begin();
    let stage = proven(STEPS).await;
    stage.repo.write("releases/shop/companions.yaml", COMPANIONS.split("---").next().unwrap());
    stage.release("1.1.0", STEPS);
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
    let failure = triton::devcluster::Failure {
        verb: "delete",
        plural: "services".into(),
        times: 1,
        with: triton::devcluster::Refusal::internal("the connection was cut"),
        after: true,
    };
    stage.cluster.knobs().set(|faults| faults.failures.push(failure));
    let before = log.told().len();
    stage.repo.remove("releases/shop/companions.yaml");
    stage.repo.commit("Drop the Service");
    stage.wait(60).await;
    assert!(stage.object("services", "checkout").is_null(), "it is gone");
    assert_eq!(log.told()[before..], ["Enter 3", "Note 3", "Complete 3", "Rest 3"]);
    let pruned = "prunes what Git no longer has: Service shop/checkout";
    let history = stage.record("checkout")["status"]["history"].to_string();
    assert_eq!(history.matches(pruned).count(), 1, "{history}");
}

#[tokio::test(start_paused = true)]
async fn a_way_back_whose_answer_was_lost_names_the_version_that_was_left() {
    let log = Log::begin();
    let stage = proven(GATED).await;
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    let before = log.told().len();
    let failure = triton::devcluster::Failure {
        verb: "patch",
        plural: "clonesets".into(),
        times: 1,
        with: triton::devcluster::Refusal::internal("the connection was cut"),
        after: true,
    };
    stage.cluster.knobs().set(|faults| faults.failures.push(failure));
    stage.repo.git(&["revert", "--no-edit", "HEAD"]);
    stage.until("1.0.0 is healthy again", |it| it.at() == "1.0.0 3/3" && it.phase() == "Healthy").await;
    assert_eq!(log.told()[before..], ["RollBack 3", "Note 3"]);
    let back = &log.audits()[before];
    assert_eq!((&back["from"], &back["to"]), (&"1.1.0".into(), &"1.0.0".into()));
}

#[tokio::test(start_paused = true)]
async fn an_adoption_is_one_line() {
    let log = Log::begin();
    let mut stage = Stage::set();
    let spec = serde_json::json!({"replicas": 4, "selector": {"matchLabels": {"app": "checkout"}}, "template": {
        "metadata": {"labels": {"app": "checkout"}},
        "spec": {"containers": [{"name": "app", "image": "example/checkout:1.0.0"}]}}});
    let live = serde_json::json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "spec": spec,
        "metadata": {"namespace": "shop", "name": "checkout"}});
    stage.cluster.store().create("clonesets.apps.kruise.io", "kubectl-create", live).unwrap();
    stage.wait(10).await;
    stage.release("1.0.0", STEPS);
    stage.edit_release(|text| {
        text.replace(
            "name: checkout}\nspec:\n  strategy",
            "name: checkout, annotations: {triton.io/adopt: \"true\"}}\nspec:\n  strategy",
        )
    });
    stage.start();
    stage.until("it is healthy", |it| it.phase() == "Healthy").await;
    stage.wait(60).await;
    assert_eq!(log.told().iter().filter(|it| it.starts_with("Adopt")).count(), 1, "{:?}", log.told());
    let adopted = log.audits().into_iter().find(|it| it["decision"] == "Adopt").unwrap();
    assert_eq!((&adopted["from"], &adopted["to"]), (&Value::Null, &"1.0.0".into()));
}

#[tokio::test(start_paused = true)]
async fn a_hotfix_names_who_opened_the_gates() {
    let log = Log::begin();
    let stage = proven(GATED).await;
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    let digest = stage.record("checkout")["status"]["digest"].as_str().unwrap().to_owned();
    stage.repo.put(&format!("approvals/shop/checkout/{digest}/skip.aaaa.yaml"), "reason: it burns\n");
    stage.until("1.1.0 is healthy", |it| it.phase() == "Healthy" && it.at() == "1.1.0 3/3").await;
    let audits = log.audits();
    let entered = audits.iter().find(|it| it["decision"] == "Enter" && it["step"] == 2).unwrap();
    assert_eq!((&entered["skips"][0]["who"], &entered["approvals"]), (&"Ann".into(), &serde_json::json!([])));
}
