//! The metrics, read as Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};

use triton::cluster::Requests;
use triton::controller::pulse::{STEPS_MAX, Survey};
use triton::controller::{Clock, Pulse};
use triton::model::ReleaseId;
use triton::server::metrics::{self, GATES, METRICS};
use triton::world::Decision;

use crate::daemon::health::page;
use crate::daemon::stage::Stage;
use crate::daemon::{GATED, STEPS, proven};
use crate::support::world as scene;

const README: &str = include_str!("../../README.md");

/// Every sample by its name and labels.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

async fn read(stage: &Stage) -> BTreeMap<String, f64> {
    let (status, text) = page(stage, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    samples(&text)
}

#[tokio::test(start_paused = true)]
async fn the_metrics_move_with_a_rollout() {
    let stage = proven(GATED).await;
    let before = read(&stage).await;
    assert_eq!(before["triton_releases{phase=\"Healthy\"}"], 1.0);
    assert_eq!(before["triton_decisions_total{decision=\"Create\"}"], 1.0);
    assert_eq!(before["triton_decisions_total{decision=\"Complete\"}"], 1.0);
    assert_eq!(before["triton_commit_applied_seconds_count"], 1.0);
    assert!(!before.keys().any(|it| it.starts_with("triton_step_age_seconds")), "nothing is in rollout");
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    stage.wait(600).await;
    let waiting = read(&stage).await;
    assert_eq!(waiting["triton_holds{gate=\"approval\"}"], 1.0);
    assert_eq!(waiting["triton_releases{phase=\"Paused\"}"], 1.0);
    assert_eq!(waiting["triton_decisions_total{decision=\"Enter\"}"], 1.0);
    assert_eq!(waiting["triton_commit_applied_seconds_count"], 2.0);
    let took = waiting["triton_commit_applied_seconds_sum"] - before["triton_commit_applied_seconds_sum"];
    assert!(took < 1.0, "{took}");
    let age = waiting["triton_step_age_seconds{release=\"shop/checkout\"}"];
    assert!((600.0..640.0).contains(&age), "{age}");
    assert!(waiting["triton_git_fetch_age_seconds"] <= 5.0);
    assert!(waiting["triton_loop_age_seconds"] <= 10.0);
    // The commits of tests are of 14 November 2023.
    assert!(waiting["triton_git_head_age_seconds"] > 9e7);
    assert_eq!(waiting["triton_active"], 1.0);
    let polls = "triton_git_polls_total{result=\"answered\"}";
    assert!(waiting[polls] >= before[polls] + 119.0, "{}", waiting[polls]);
    let patches = "triton_api_requests_total{verb=\"patch\",result=\"ok\"}";
    assert!(waiting[patches] > before[patches]);
    assert!(waiting["triton_lap_seconds_count"] > before["triton_lap_seconds_count"]);
    stage.repo.git(&["revert", "--no-edit", "HEAD"]);
    stage.until("1.0.0 is healthy again", |it| it.at() == "1.0.0 3/3" && it.phase() == "Healthy").await;
    assert_eq!(read(&stage).await["triton_decisions_total{decision=\"RollBack\"}"], 1.0);
}

#[tokio::test(start_paused = true)]
async fn repairs_refusals_and_a_git_that_is_away_are_counted() {
    let stage = proven(STEPS).await;
    let mut edited = stage.cloneset("checkout");
    edited["spec"]["template"]["spec"]["containers"][0]["image"] = "example/checkout:evil".into();
    stage.cluster.store().update("clonesets.apps.kruise.io", "kubectl-edit", edited).unwrap();
    stage.until("it is repaired", |it| it.history("Repair") == 1 && it.phase() == "Healthy").await;
    let denial = triton::devcluster::Denial { verb: "patch", plural: "clonesets".into(), namespace: None };
    stage.cluster.knobs().set(|faults| faults.denials.push(denial));
    stage.release("1.1.0", STEPS);
    stage.until("it is refused", |it| it.waits_for() == "cluster").await;
    stage.hide_repository();
    stage.wait(20).await;
    let read = read(&stage).await;
    assert_eq!(read["triton_drift_repaired_total{kind=\"CloneSet\"}"], 1.0);
    assert_eq!(read["triton_drift_repaired_total{kind=\"Service\"}"], 0.0);
    assert!(read["triton_api_requests_total{verb=\"patch\",result=\"forbidden\"}"] >= 2.0);
    assert!(read["triton_git_polls_total{result=\"refused\"}"] >= 3.0, "{read:#?}");
    assert_eq!(read["triton_decisions_total{decision=\"Enter\"}"], 0.0, "what was refused is not counted");
}

fn pulse() -> Pulse {
    Pulse::new(Clock::starting_at(scene::now()), Requests::default())
}

#[tokio::test]
async fn a_thousand_rollouts_are_no_thousand_series() {
    let (old, new) = (scene::release("checkout:1"), scene::release("checkout:2"));
    let memory = scene::at_step(&new, &old, 1, None);
    let world = scene::world(scene::intent(&new), None, &[]);
    let one = scene::plan(Decision::Hold, Some(memory), vec![]).moves.into_values().next().unwrap();
    let mut plan = triton::world::Plan::default();
    for number in 0..1_000 {
        let id: ReleaseId = format!("shop/checkout-{number}").parse().unwrap();
        let mut it = one.clone();
        if let Some(memory) = &mut it.memory {
            memory.step_entered = scene::ago(10_000 - number);
        }
        plan.moves.insert(id, it);
    }
    let pulse = pulse();
    pulse.surveyed(Survey::of(&world, &plan, std::iter::empty()));
    let page = metrics::page(&pulse).unwrap();
    let samples = samples(&page);
    let named: BTreeSet<_> = samples.keys().filter(|it| it.contains("shop/")).collect();
    assert_eq!(named.len(), STEPS_MAX);
    assert!(samples.len() < 200, "{}", samples.len());
    let longest = samples["triton_step_age_seconds{release=\"shop/checkout-0\"}"];
    assert!(longest >= 10_000.0, "those that stand longest are named: {longest}");
    assert!(!page.contains("shop/checkout-50\""));
}

/// What a page says of its metrics: name, kind and help.
fn declared(page: &str) -> Vec<(String, String, String)> {
    let mut declared = Vec::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            declared.push((name.to_owned(), String::new(), help.to_owned()));
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let last = declared.last_mut().expect("HELP comes first");
            assert_eq!(last.0, name);
            last.1 = kind.to_owned();
        }
    }
    declared
}

#[tokio::test(start_paused = true)]
async fn the_page_the_table_and_the_readme_say_the_same_of_every_metric() {
    let stage = proven(GATED).await;
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    let (_, text) = page(&stage, "/metrics").await;
    let series = samples(&text);
    let mut rows = Vec::new();
    let mut meant = Vec::new();
    for metric in METRICS {
        let base = metric.name.trim_end_matches("_total");
        meant.push((base.to_owned(), metric.kind().to_owned(), metric.help.to_owned()));
        assert!(metric.name.starts_with("triton_"));
        let of = |series: &&String| {
            let name = series.split('{').next().unwrap_or_default();
            let parts = ["_sum", "_count", "_bucket"].map(|part| format!("{base}{part}"));
            name == metric.name || (metric.kind() == "histogram" && parts.iter().any(|part| part == name))
        };
        let mine: Vec<&String> = series.keys().filter(of).collect();
        assert!(!mine.is_empty(), "no sample of {}", metric.name);
        for it in mine {
            let labels = it.split_once('{').map_or("", |(_, labels)| labels).split(',');
            let names: Vec<&str> = labels.filter_map(|label| Some(label.split_once('=')?.0)).collect();
            let names: Vec<&str> = names.into_iter().filter(|name| *name != "le").collect();
            assert_eq!(names, metric.labels, "{it}");
        }
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        rows.push(format!("| `{}` | {} | {labels} | {} |", metric.name, metric.kind(), metric.help));
    }
    assert_eq!(declared(&text), meant);
    let shown: Vec<&str> = README.lines().filter(|line| line.starts_with("| `triton_")).collect();
    assert_eq!(shown, rows, "the README's table of metrics");
}

#[test]
fn every_gate_has_a_series() {
    let schema = schemars::schema_for!(triton::model::Gate);
    let gates = schema.as_value()["oneOf"].as_array().unwrap();
    let words: BTreeSet<&str> = gates.iter().map(|case| case["const"].as_str().unwrap()).collect();
    let listed: BTreeSet<String> =
        GATES.iter().map(|it| serde_json::to_value(it).unwrap().as_str().unwrap().to_owned()).collect();
    assert_eq!(listed.iter().map(String::as_str).collect::<BTreeSet<_>>(), words);
}
