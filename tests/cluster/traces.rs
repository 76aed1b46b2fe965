//! The recordings of the real controller, replayed on the real controller: do they still hold?
//!
//! Each in a namespace of its own, several at a time. Compared are the states at rest: pods by revision with every mark,
//! the `cs` line with its status, the notes; at the end the revisions with their names and numbers, and that no status
//! ever said that a step is done before its pods were available. A write that was sent while things moved is sent when
//! the recorded picture is seen; real time races there, so such a trace is tried a few times.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use triton::devcluster::machine::after;

use crate::cluster::plane::Plane;
use crate::cluster::traces_apply::{self, Apply};
use crate::cluster::traces_world::{Namespace, REFUSES};
use crate::traces::ends;
use crate::traces::lines::{
    SOON, first_in_movement, recorded, shows_state, since_the_last_write, traces, was_at_rest,
};
use crate::traces::script::{Cluster as _, Fault, Script};

/// Traces that are not replayed, with the reason.
const LEFT_OUT: [(&str, &str); 1] = [("drift", "the text that was applied is not recorded")];

/// Traces whose states depend on a race, with what races. Their way is not compared; and where no try wins the race,
/// states are compared up to that write, and at the end.
const RACES: [(&str, &str); 9] = [
    ("bad-image-paused-ip", "how many pods had moved when the pause was seen"),
    ("bad-image-paused-rc", "how many pods had moved when the pause was seen"),
    ("recreate-cs-foreground", "how often the revision comes back while garbage is collected"),
    ("restart-manager-ip", "which status was the last before the kill"),
    ("restart-manager-rc", "which status was the last before the kill"),
    ("two-writes-ip", "whether pods moved in the 50 ms between two writes"),
    ("two-writes-rc", "whether pods moved in the 50 ms between two writes"),
    ("zero-ip-fast", "whether a pass saw the size zero"),
    ("zero-rc-fast", "whether a pass saw the size zero"),
];

/// Those of them whose race decides the end too.
const DECIDED: [&str; 5] =
    ["recreate-cs-foreground", "two-writes-ip", "two-writes-rc", "zero-ip-fast", "zero-rc-fast"];

/// What the API server says of a write that it takes a moment later.
const NOT_YET: [&str; 2] = ["failed calling webhook", "object is being deleted"];

/// Of the traces only those whose names have this variable's text in them.
const PART: &str = "TRITON_TRACES";
/// Traces at a time.
const WORKERS: usize = 6;
/// Tries of a trace with writes in the middle of a movement, each at other moments.
const TRIES: usize = 5;
/// Longest wait for a picture at rest, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a picture must stay, to be one at rest.
const STAY: Duration = Duration::from_millis(1500);
/// Silence after which everything is at rest, where the picture is not known.
const SILENCE: Duration = Duration::from_secs(4);
/// Pause before a write is sent again.
const AGAIN: Duration = Duration::from_millis(200);
/// Longest wait for a picture in the middle of something.
const MOMENT: Duration = Duration::from_secs(20);

/// One trace on its way.
struct Run {
    script: Script<Namespace>,
    attempt: usize,
    is_race: bool,
    is_decided: bool,
    /// In the last try the line of the write that races: states are not compared but the last one.
    race: Option<usize>,
}

impl Run {
    fn go(&mut self, trace: &[Value]) -> Result<(), Fault> {
        for (index, line) in trace.iter().enumerate() {
            let is_write = line.get("do").is_some();
            if index > 0 && !was_at_rest(trace, index) && (is_write || shows_state(trace, index)) {
                self.await_moment(trace, index);
                if !is_write && !self.is_after_race(trace, index) {
                    self.script.compare(trace, index)?;
                }
            } else if shows_state(trace, index) {
                self.rest(trace, index)?;
            }
            if is_write {
                self.act(trace, index)?;
            } else if line.get("note").is_some() {
                if !self.is_after_race(trace, index) {
                    self.script.compare_note(&line["v"], index)?;
                }
                self.script.act_on_note(trace, index);
                if line["note"] == "dry run: replicas left out" {
                    self.script.cluster.scale_as("hpa", &self.script.set, 7);
                }
            }
        }
        self.compare_end(trace)
    }

    /// Applies what a line says, and compares the answer with what was recorded of it.
    fn apply(&mut self, apply: &Apply, trace: &[Value], index: usize) -> Result<(), Fault> {
        let what = &trace[index]["do"];
        let result = match self.script.cluster.apply(apply) {
            Ok(answer) if what.is_string() => traces_apply::compare(trace, index, &answer),
            Err(refused) if what["code"] == refused.code && what["msg"] == refused.message => Ok(()),
            other => Err(format!("{what}:\n  have {other:?}")),
        };
        self.script.note_seen();
        result.map_err(|text| Fault { index, text })
    }

    /// Does a line; again where the webhooks are still starting, or what is made anew has not gone yet.
    fn act(&mut self, trace: &[Value], index: usize) -> Result<(), Fault> {
        let what = &trace[index]["do"];
        if let Some(apply) = what.as_str().or(what["rejected"].as_str()).and_then(traces_apply::apply) {
            return self.apply(&apply, trace, index);
        }
        let end = Instant::now() + PATIENCE;
        loop {
            match self.script.act(trace, index) {
                Err(fault)
                    if trace[index]["do"].is_string()
                        && NOT_YET.iter().any(|it| fault.text.contains(it))
                        && Instant::now() < end =>
                {
                    self.script.cluster.step(after(Timestamp::now(), AGAIN));
                    self.script.note_seen();
                }
                result => return result,
            }
        }
    }

    fn is_after_race(&self, trace: &[Value], index: usize) -> bool {
        self.race.is_some_and(|race| index > race) && (self.is_decided || index + 1 < trace.len())
    }

    /// Waits until the recorded picture is there, and stays.
    fn rest(&mut self, trace: &[Value], index: usize) -> Result<(), Fault> {
        let Some((pods, cs)) = recorded(trace, index, &self.script.set) else { return Ok(()) };
        if self.is_after_race(trace, index) {
            while self.script.cluster.step(after(Timestamp::now(), SILENCE)) {
                self.script.note_seen();
            }
            return Ok(());
        }
        let end = after(Timestamp::now(), PATIENCE);
        while self.script.step_until(end, |script| script.is_at(&pods, &cs)) {
            let stays = after(Timestamp::now(), STAY);
            if !self.script.step_until(stays, |script| !script.is_at(&pods, &cs)) {
                return Ok(());
            }
        }
        self.script.compare(trace, index)
    }

    /// Waits for the moment of a write, or of a note, in the middle of a movement: as long after the last write as
    /// recorded where that was soon; else until the recorded picture is there, or with each try less of it.
    fn await_moment(&mut self, trace: &[Value], index: usize) {
        let since = since_the_last_write(trace, index);
        let is_write = trace[index].get("do").is_some();
        let script = &mut self.script;
        if is_write && (since < SOON || self.attempt == 2) {
            let then = after(script.last_write, Duration::from_secs_f64(since));
            script.step_until(then, |_| false);
        } else if let Some((pods, cs)) = recorded(trace, index, &script.set) {
            let marks: &[&str] =
                if self.attempt == 0 { &["active", "ready", "available"] } else { &["active"] };
            let end = after(Timestamp::now(), MOMENT);
            let there = |script: &mut Script<Namespace>| {
                script.is_at(&pods, &cs) || (is_write && script.counts_like(&pods, &cs, marks))
            };
            // What does not come before everything rests does not come.
            while Timestamp::now() < end
                && !there(script)
                && script.cluster.step(after(Timestamp::now(), STAY))
            {
                script.note_seen();
            }
        }
    }

    /// Where writes raced with the controller, its way is not the recorded one; what it led to is.
    fn compare_end(&self, trace: &[Value]) -> Result<(), Fault> {
        let cluster = &self.script.cluster;
        let story = cluster.story();
        let differences = if self.is_race && self.attempt + 1 == TRIES {
            ends::of_any_race(trace, &story)
        } else if self.is_race || first_in_movement(trace).is_some() {
            ends::of_any_way(trace, &story)
        } else {
            ends::differences(trace, &story, &cluster.events())
        };
        let fault = || Fault { index: trace.len() - 1, text: differences.join("\n") };
        if differences.is_empty() { Ok(()) } else { Err(fault()) }
    }
}

/// A control plane with what all its traces share.
struct Stage {
    plane: Arc<Plane>,
    client: Client,
    runtime: Runtime,
}

impl Stage {
    fn new(plane: Plane) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let client = runtime.block_on(plane.client("admin", "default"));
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "refuses"},
            "spec": {
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
                ]},
                "validations": [{
                    "expression": "object.spec.containers.all(c, c.image != 'r/app:deny')",
                    "message": "no more pods",
                }],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "refuses"},
            "spec": {
                "policyName": "refuses", "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {REFUSES: "deny"}}},
            },
        });
        for object in [policy, binding] {
            plane.kubectl_reading(&["apply", "-f", "-"], &object.to_string());
        }
        Self { plane: Arc::new(plane), client, runtime }
    }

    /// Replays a trace once.
    fn attempt(&self, name: &str, trace: &[Value], attempt: usize) -> Result<(), String> {
        let namespace = format!("trace-{name}-{attempt}");
        let runtime = self.runtime.handle().clone();
        let namespace = Namespace::new(self.client.clone(), runtime, self.plane.clone(), &namespace);
        let is_race = RACES.iter().any(|(race, _)| *race == name);
        let race = first_in_movement(trace).filter(|_| is_race && attempt + 1 == TRIES);
        let is_decided = DECIDED.contains(&name);
        let mut run = Run { script: Script::new(namespace), attempt, is_race, is_decided, race };
        run.go(trace).map_err(|fault| format!("line {}: {}", fault.index + 1, fault.text))
    }
}

/// Replays so many at a time of the traces that are wanted; `attempt` replays one once.
fn replay(
    workers: usize,
    wanted: impl Fn(&str) -> bool,
    attempt: impl Fn(&str, &[Value], usize) -> Result<(), String> + Sync,
) {
    let part = std::env::var(PART).unwrap_or_default();
    let all = traces().into_iter().rev();
    let todo: Vec<_> = all.filter(|(name, _)| wanted(name) && name.contains(&part)).collect();
    let (todo, faults) = (Mutex::new(todo), Mutex::new(Vec::new()));
    let work = || {
        while let Some((name, trace)) = { todo.lock().unwrap().pop() } {
            let began = Instant::now();
            let mut tries = Vec::new();
            let is_true = (0..TRIES)
                .any(|index| attempt(&name, &trace, index).map_err(|fault| tries.push(fault)).is_ok());
            let fault = format!("{name}, {:.1} s: {}", began.elapsed().as_secs_f64(), tries.join("\n"));
            println!("{} {fault}", if is_true { "true" } else { "FALSE" });
            faults.lock().unwrap().extend((!is_true).then_some(fault));
        }
    };
    thread::scope(|scope| {
        for _worker in 0..workers {
            scope.spawn(work);
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} traces are no longer true\n{}", faults.len(), faults.join("\n"));
}

/// Whether a trace kills the manager.
fn kills(name: &str) -> bool {
    name.starts_with("restart-")
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn the_real_controller_goes_where_it_went_when_it_was_recorded() {
    let left_out = |name: &str| LEFT_OUT.iter().any(|(left_out, _)| *left_out == name);
    let stage = Stage::new(Plane::shared());
    replay(
        WORKERS,
        |name| !kills(name) && !left_out(name),
        |name, trace, index| stage.attempt(name, trace, index),
    );
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_killed_controller_goes_on_where_it_went_on_when_it_was_recorded() {
    replay(1, kills, |name, trace, index| Stage::new(Plane::own()).attempt(name, trace, index));
}

#[test]
fn what_is_left_out_and_what_races_are_recordings() {
    let all = traces();
    for (name, _) in LEFT_OUT.iter().chain(&RACES) {
        assert!(all.iter().any(|(trace, _)| trace == name), "{name} is there");
    }
}
