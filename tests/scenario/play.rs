//! Plays a scenario, step by step, twice.

use std::any::Any;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::EnvFilter;

use crate::scenario::accepted::{ACCEPTED, EMBEDDED_ONLY, UNTOLD};
use crate::scenario::format::{Picture, Scenario, Step, parse, read};
use crate::scenario::ground::{Embedded, Ground};
use crate::scenario::history::RELEASE;
use crate::scenario::leading::{testers, traffic};
use crate::scenario::real::Real;
use crate::scenario::serving::serving;
use crate::scenario::stage::{Stage, duration};
use crate::scenario::trace::Difference;

/// How long something may take to come about, where a scenario does not say.
const WITHIN: Duration = Duration::from_secs(60);

/// Plays the scenario in this file twice: both times the same must happen, to the millisecond.
pub fn twice(file: &str) {
    let log = Log::new();
    let scenario = read(file);
    let (first, second) = (once(file, &scenario), once(file, &scenario));
    log.expect_no_refusal(file);
    for (number, (one, other)) in first.iter().zip(&second).enumerate() {
        assert_eq!(one, other, "{file}: the two runs differ at entry {number}");
    }
    assert_eq!(first.len(), second.len(), "{file}: one run has more to tell");
}

/// What the daemon logs: told where `RUST_LOG` asks for it, on this thread alone, for other tests read what is logged on
/// theirs.
struct Log {
    refused: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

/// One line of it.
struct Line {
    is_told: bool,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Log {
    fn new() -> Self {
        let refused = Arc::<Mutex<Vec<String>>>::default();
        let (filter, of) = (EnvFilter::from_default_env(), Arc::clone(&refused));
        let lines = tracing_subscriber::fmt().with_env_filter(filter);
        let is_told = std::env::var_os(EnvFilter::DEFAULT_ENV).is_some();
        let lines = lines.with_writer(move || Line { is_told, refused: Arc::clone(&of) }).finish();
        Self { refused, _guard: tracing::subscriber::set_default(lines) }
    }

    /// No plan was refused by the guard: it is there for what nobody has thought of.
    fn expect_no_refusal(&self, file: &str) {
        let refused = self.refused.lock().expect("nobody panics here");
        assert!(refused.is_empty(), "{file}: the guard refuses\n{}", refused.join("\n"));
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        if self.is_told {
            print!("{text}");
        }
        if text.contains("breaks a rule of safety") {
            self.refused.lock().expect("nobody panics here").push(text.into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What somebody who panicked had to say.
pub fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

/// Plays a scenario that is written here, once.
pub fn text(text: &str) {
    let log = Log::new();
    once("here", &parse("here", text));
    log.expect_no_refusal("here");
}

fn once(file: &str, scenario: &Scenario) -> Vec<String> {
    embedded(async { play(file, scenario, Ground::Embedded(Box::new(Embedded::new()))).await.trace() })
}

/// Under paused time.
fn embedded<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    // The daemon stays on this thread: it owns the repository, which is not shared.
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), story)
}

/// How a scenario went on both grounds.
pub enum Went {
    /// It cannot be played on a control plane, for this reason.
    EmbeddedOnly(&'static str),
    /// Both went through.
    Both {
        /// Lines of the trace.
        lines: usize,
        /// Differences that are as they should be, each with its reason.
        accepted: Vec<(String, &'static str)>,
        /// Other differences.
        differences: Vec<String>,
        /// Both traces.
        traces: String,
    },
}

/// Plays the scenario in this file on the real control plane and on the embedded cluster: the same should happen.
pub fn on_both(file: &str) -> Went {
    if let Some((_, reason)) = EMBEDDED_ONLY.iter().find(|(it, _)| *it == file) {
        return Went::EmbeddedOnly(reason);
    }
    let log = Log::new();
    let scenario = read(file);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (real, interruptions) = tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), async {
        let ground = Real::new(file.trim_end_matches(".yaml")).await;
        let mut stage = play(file, &scenario, Ground::Real(Box::new(ground))).await;
        stage.settle().await;
        (stage.told(), stage.interruptions())
    });
    let embedded = embedded(async {
        let mut stage = play(file, &scenario, Ground::Embedded(Box::new(Embedded::new()))).await;
        stage.settle().await;
        stage.told()
    });
    log.expect_no_refusal(file);
    let ends = |step: &&Step| matches!(step, Step::Restart {} | Step::Kill {} | Step::Pause {});
    let mut untold = scenario.steps.iter().filter(ends).count() + interruptions;
    let (mut known, mut differences) = (Vec::new(), Vec::new());
    for found in embedded.differences(&real) {
        let reason = accepted(file, &found).or_else(|| {
            let is_untold = found.is_history() && untold > 0;
            untold -= usize::from(is_untold);
            is_untold.then_some(UNTOLD)
        });
        match reason {
            Some(reason) => known.push((found.to_string(), reason)),
            None => differences.push(found.to_string()),
        }
    }
    let traces = format!("embedded\n{embedded}\nreal\n{real}");
    Went::Both { lines: embedded.len(), accepted: known, differences, traces }
}

fn accepted(file: &str, found: &Difference) -> Option<&'static str> {
    let line = format!("{}{}", found.side, found.line);
    let same = |(it, about, lines, _): &&(&str, &str, &[&str], &str)| {
        *it == file && *about == found.about && lines.contains(&line.as_str())
    };
    ACCEPTED.iter().find(same).map(|(_, _, _, reason)| *reason)
}

async fn play(file: &str, scenario: &Scenario, ground: Ground) -> Stage {
    let mut stage = Stage::set(&scenario.policy, ground);
    for (number, step) in scenario.steps.iter().enumerate() {
        let place = format!("{file}, step {}", number + 1);
        perform(&mut stage, step, &place).await;
    }
    stage
}

/// Does what a step does to the repository; false where it does nothing to it.
fn perform_in_git(stage: &mut Stage, step: &Step) -> bool {
    match step {
        Step::Commit(commit) => stage.history.commit(commit),
        Step::Approve(approve) => stage.history.approve(approve),
        Step::Branch(name) => stage.history.branch(name),
        Step::Checkout(name) => stage.history.checkout(name),
        Step::Merge(merge) => stage.history.merge(merge),
        Step::Revert(revert) => stage.history.revert(revert),
        Step::Rewind(name) => stage.history.rewind(name),
        Step::Rewrite {} => stage.history.rewrite(),
        Step::DeleteBranch {} => stage.history.delete_branch(),
        Step::RestoreBranch {} => stage.history.restore_branch(),
        Step::Unreachable(away) => stage.history.unreachable(*away),
        Step::Empty(empty) => stage.history.empty(*empty),
        _ => return false,
    }
    true
}

async fn perform(stage: &mut Stage, step: &Step, place: &str) {
    stage.ground.freeze();
    let is_done = perform_in_git(stage, step);
    stage.ground.thaw();
    if is_done {
        return;
    }
    match step {
        Step::Cluster(act) => stage.act(act).await,
        Step::Advance(span) => drop(stage.pass(duration(*span), |_| false).await),
        Step::Remember(image) => stage.remember(image),
        Step::Replace(replace) => {
            stage.ground.freeze();
            stage.replace(replace);
            stage.ground.thaw();
        }
        Step::Restart {} => {
            stage.kill().await;
            stage.start();
        }
        Step::Kill {} => stage.kill().await,
        Step::Seen {} => stage.until_seen().await,
        Step::Start(start) => {
            if start.elsewhere {
                stage.move_away();
            }
            stage.start();
        }
        Step::Pause {} => stage.pause(),
        Step::Resume {} => stage.resume(),
        Step::Accept(name) => stage.accept(name),
        Step::Expect(expect) => {
            let within = expect.within.map_or(WITHIN, duration);
            let mut came = stage.pass(within, |stage| differences(stage, &expect.picture).is_empty()).await;
            let grace = stage.ground.grace();
            if !came && !grace.is_zero() {
                came = stage.pass(grace, |stage| differences(stage, &expect.picture).is_empty()).await;
            }
            assert!(
                came,
                "{place}: after {within:?}\n{}\n{}",
                differences(stage, &expect.picture).join("\n"),
                told(stage)
            );
        }
        Step::Stays(stays) => {
            stage.rest().await;
            let before = stage.writes();
            let changed =
                stage.pass(duration(stays.span), |stage| !differences(stage, &stays.picture).is_empty());
            let changed = changed.await;
            assert!(!changed, "{place}\n{}\n{}", differences(stage, &stays.picture).join("\n"), told(stage));
            let written = stage.writes().split_off(before.len());
            assert!(!stays.quiet || written.is_empty(), "{place}: this was written\n{}", written.join("\n"));
        }
        _ => {}
    }
}

/// What a person would look at next.
fn told(stage: &Stage) -> String {
    let status = serde_json::to_string_pretty(&stage.status(RELEASE)).unwrap_or_default();
    let writes = stage.writes();
    let last = writes.iter().rev().take(12).rev().cloned().collect::<Vec<_>>().join("\n");
    format!("status {status}\nlast writes\n{last}")
}

/// How the stage differs from a picture, each in a sentence.
fn differences(stage: &Stage, picture: &Picture) -> Vec<String> {
    let release = picture.release.as_deref().unwrap_or(RELEASE);
    let status = stage.status(release);
    let mut found = Vec::new();
    let mut same = |what: &str, wanted: Value, seen: &Value| {
        if wanted != *seen {
            found.push(format!("{what} is {seen}, not {wanted}"));
        }
    };
    if let Some(phase) = &picture.phase {
        same("phase", phase.as_str().into(), &status["phase"]);
    }
    if let Some(step) = picture.step {
        same("step", step.into(), &status["step"]);
    }
    if let Some(version) = &picture.version {
        same("version", version.as_str().into(), &status["version"]["to"]);
    }
    if let Some(pods) = picture.pods {
        let counts = [
            ("desired", pods.desired),
            ("updated", pods.updated),
            ("updatedAvailable", pods.updated_available),
        ];
        for (name, count) in counts.into_iter().filter_map(|(name, count)| Some((name, count?))) {
            same(name, count.into(), &status["pods"][name]);
        }
    }
    if let Some(images) = &picture.images {
        let seen = stage.images(release);
        same("pods by image", serde_json::json!(images), &serde_json::json!(seen));
    }
    for (what, wanted, seen) in led(stage, release, picture) {
        same(what, wanted, &seen);
    }
    let cloneset = stage.object(&format!("CloneSet/{release}"));
    if let Some(there) = picture.cloneset {
        same("a CloneSet", there.into(), &cloneset.is_some().into());
    }
    for (path, value) in &picture.fields {
        // A path with slashes is a pointer as it stands: names of annotations have dots.
        let pointer = if path.contains('/') { path.clone() } else { path.replace('.', "/") };
        let (kind, field) = pointer.split_once('/').expect("a field begins with its kind");
        let object = stage.object(&format!("{kind}/{release}")).unwrap_or_default();
        let seen = object.pointer(&format!("/{field}")).unwrap_or(&Value::Null);
        same(path, value.clone(), seen);
    }
    if let Some(untouched) = picture.untouched {
        same("untouched pods", untouched.into(), &stage.untouched().into());
    }
    if let Some(kept) = picture.kept {
        same("pods that were kept", kept.into(), &stage.kept().into());
    }
    for (name, wanted) in &picture.objects {
        let object = stage.object(name);
        match wanted {
            Value::Object(fields) => {
                let object = object.unwrap_or_default();
                fields.iter().for_each(|(field, value)| same(name, value.clone(), &object[field]));
            }
            there => same(name, there.clone(), &object.is_some().into()),
        }
    }
    found.extend(differences_told(&status, picture));
    found
}

/// Where traffic leads, as a picture has it and as it is.
fn led(stage: &Stage, release: &str, picture: &Picture) -> Vec<(&'static str, Value, Value)> {
    let pods = |service: &str| serde_json::json!(serving(stage.store(), service));
    let mut led = Vec::new();
    if let Some(serves) = &picture.serves {
        led.push(("serving pods by image", serde_json::json!(serves), pods(release)));
    }
    if let Some(previews) = &picture.previews {
        let seen = pods(&format!("{release}-preview"));
        led.push(("previewed pods by image", serde_json::json!(previews), seen));
    }
    if let Some(wanted) = &picture.traffic {
        let seen = serde_json::json!(traffic(stage.store(), release));
        led.push(("traffic", serde_json::json!(wanted), seen));
    }
    if let Some(wanted) = &picture.testers {
        let seen = serde_json::json!(testers(stage.store(), release));
        led.push(("testers", serde_json::json!(wanted), seen));
    }
    led
}

/// How the sentences of a status differ from a picture.
fn differences_told(status: &Value, picture: &Picture) -> Vec<String> {
    let mut found = Vec::new();
    let list = |of: &Value| of.as_array().cloned().unwrap_or_default();
    let holds = list(&status["holds"]);
    if let Some(gates) = &picture.gates {
        let mut seen: Vec<&str> = holds.iter().filter_map(|hold| hold["gate"].as_str()).collect();
        let mut wanted: Vec<&str> = gates.iter().map(String::as_str).collect();
        seen.sort_unstable();
        wanted.sort_unstable();
        if seen != wanted {
            found.push(format!("closed gates are {seen:?}, not {wanted:?}"));
        }
    }
    for part in &picture.holds {
        if !holds.iter().any(|hold| hold["message"].as_str().unwrap_or_default().contains(part.as_str())) {
            found.push(format!("no hold says `{part}`"));
        }
    }
    let ignored = list(&status["ignored"]);
    for (path, reason) in &picture.ignored {
        let says = |it: &Value, key: &str, part: &str| it[key].as_str().unwrap_or_default().contains(part);
        if !ignored.iter().any(|it| says(it, "path", path) && says(it, "reason", reason)) {
            found.push(format!("nothing ignored is `{path}` because `{reason}`, but {ignored:?}"));
        }
    }
    let history = list(&status["history"]);
    let told = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let mut entries = history.iter();
    for wanted in &picture.history {
        let (decision, part) = wanted.split_once(": ").unwrap_or((wanted, ""));
        if !entries.any(|it| it["decision"] == *decision && told(it, "message").contains(part)) {
            let told: Vec<String> = history
                .iter()
                .map(|it| format!("{}: {}", told(it, "decision"), told(it, "message")))
                .collect();
            found.push(format!("the history has no `{wanted}` in its place: {told:#?}"));
        }
    }
    found
}
