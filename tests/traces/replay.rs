//! Replays one trace: every `do` line drives the imitation, every state at rest is compared.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use triton::devcluster::cloneset::{CLONESETS, CloneSet};
use triton::devcluster::deletes::Propagation;
use triton::devcluster::kubelet::Knobs;
use triton::devcluster::machine::after;
use triton::devcluster::pods::{PODS, Pod, State};
use triton::devcluster::revision::REVISIONS;
use triton::devcluster::sim::{Refused, Seen, Sim};

use crate::traces::flow;
use crate::traces::picture::{self, Letters, Pods};

/// The namespace of every replay.
pub const NAMESPACE: &str = "s";
/// Seconds without a line after which the recorded cluster was at rest.
const QUIET: f64 = 0.9;
/// Time without a change after which the imitation is at rest: longer than any grace or minReadySeconds of the traces.
const REST: Duration = Duration::from_secs(7);
/// Longest wait for a state in the middle of something.
const PATIENCE: Duration = Duration::from_secs(60);

/// One replay.
pub struct Replay {
    pub sim: Sim,
    /// The CloneSet that the script is about now.
    pub set: String,
    pub letters: Letters,
    /// Revisions as they came, moved and went: letter, name, number, end.
    pub revisions: Vec<Value>,
    /// Every state of the CloneSets, as a `cs` line shows it.
    pub written: Vec<Value>,
    /// What differed.
    pub faults: Vec<String>,
    /// Names of the pods before the last write.
    pub before: Vec<String>,
}

/// The lines before `end` that have `key`, the nearest first.
fn before<'a>(trace: &'a [Value], end: usize, key: &'static str) -> impl Iterator<Item = &'a Value> {
    trace[..end].iter().rev().filter(move |line| line.get(key).is_some())
}

fn time(line: &Value) -> f64 {
    line["t"].as_f64().unwrap_or(f64::MAX)
}

impl Replay {
    /// Replays a whole trace.
    pub fn of(trace: &[Value], seed: u64) -> Replay {
        let start: Timestamp = "2026-11-22T09:00:00Z".parse().expect("a time");
        let mut replay = Replay {
            sim: Sim::new(seed, start, Knobs::default()),
            set: "web".to_owned(),
            letters: Letters::default(),
            revisions: Vec::new(),
            written: Vec::new(),
            faults: Vec::new(),
            before: Vec::new(),
        };
        for (index, line) in trace.iter().enumerate() {
            if line.get("do").is_some() {
                replay.reach(trace, index);
                replay.act(trace, index);
                replay.note_seen();
            } else if line.get("note").is_some() {
                replay.reach(trace, index);
                replay.compare_note(&line["v"], &line["note"]);
            }
        }
        replay.reach(trace, trace.len() - 1);
        replay
    }

    /// Events that came through, by reason.
    pub fn events(&self) -> BTreeMap<String, u64> {
        self.sim.events().iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
    }

    fn body(&self) -> Value {
        self.sim.get(CLONESETS, NAMESPACE, &self.set).unwrap_or(Value::Null)
    }

    /// Takes down what was written since. Returns whether anything was.
    fn note_seen(&mut self) -> bool {
        let all = self.sim.take_seen();
        for Seen { resource, before, after, .. } in &all {
            if resource == REVISIONS {
                let shown = after.as_ref().or(before.as_ref()).expect("a write has an object");
                let name = shown["metadata"]["name"].as_str().expect("a name");
                let mut line = json!({"rev": self.letters.of(name), "name": name, "n": shown["revision"]});
                if after.is_none() {
                    line["gone"] = json!(1);
                } else if shown["metadata"].get("ownerReferences").is_none() {
                    line["orphan"] = json!(1);
                }
                self.revisions.push(line);
            } else if resource == CLONESETS
                && let Some(body) = after
            {
                self.written.push(picture::cs(body, &mut self.letters));
            }
        }
        !all.is_empty()
    }

    /// Brings the imitation to where the recorded cluster was before line `index`, and tells where it cannot be had.
    fn reach(&mut self, trace: &[Value], index: usize) {
        let line = &trace[index];
        let killed = line["do"].as_str().is_some_and(|what| what.contains("killed"));
        // The kill takes a moment: a status on its way is still written.
        let soon = |later: &&Value| killed && time(later) < time(line) + 0.1;
        let name = if self.set == "web" { Value::Null } else { json!(self.set) };
        let cs = trace[index..].iter().take_while(soon).filter(|line| line.get("cs").is_some()).last();
        let cs = cs.or_else(|| before(trace, index, "cs").find(|line| line["name"] == name));
        let pods = before(trace, index, "pods").next().and_then(|line| line["pods"].as_str());
        let (Some(pods), Some(cs)) = (pods, cs) else { return };
        let (pods, cs) = (picture::read(pods), &cs["cs"]);
        let marks = ["pods", "cs", "do", "rev"];
        let last = trace[..index].iter().rev().find(|line| marks.iter().any(|key| line.get(key).is_some()));
        if last.is_some_and(|last| time(line) - time(last) > QUIET) {
            self.rest();
        } else {
            let until = after(self.sim.now(), PATIENCE);
            while !self.is_at(&pods, cs) && self.sim.step(until) {
                self.note_seen();
            }
        }
        if !self.is_at(&pods, cs) {
            let body = self.body();
            let (mine, status) = (self.pods(), picture::cs(&body, &mut self.letters));
            self.faults.push(format!(
                "before {line}:\n  want {pods:?}\n  have {mine:?}\n  want {cs}\n  have {status}"
            ));
        }
    }

    pub fn pods(&self) -> Pods {
        picture::pods(&self.sim, &self.letters)
    }

    fn is_at(&mut self, pods: &Pods, cs: &Value) -> bool {
        let body = self.body();
        let gone = cs["deleted"] == 1 && body.is_null();
        (gone || picture::cs(&body, &mut self.letters) == *cs) && self.pods() == *pods
    }

    fn rest(&mut self) {
        let mut until = after(self.sim.now(), REST);
        while self.sim.step(until) {
            if self.note_seen() {
                until = after(self.sim.now(), REST);
            }
        }
    }

    /// Compares what a note says of pods and status; the rest of a note is about the script.
    fn compare_note(&mut self, told: &Value, note: &Value) {
        match told {
            Value::Array(parts) => parts.iter().for_each(|part| self.compare_note(part, note)),
            Value::String(line) if line.contains("| r=") => {
                let line = line
                    .rsplit_once("restarts ")
                    .map_or(line.as_str(), |(_, rest)| rest.split_once(", ").map_or(rest, |(_, line)| line));
                let mine = picture::note(&self.sim, &self.body());
                if mine != line {
                    self.faults.push(format!("note {note}:\n  want {line}\n  have {mine}"));
                }
            }
            Value::String(line) if line.contains("kept ") => {
                let there = |name: &&String| self.sim.get(PODS, NAMESPACE, name).is_some();
                let (kept, all) = (self.before.iter().filter(there).count(), self.before.len());
                if !line.contains(&format!("kept {kept} of {all}")) {
                    self.faults.push(format!("note {note}:\n  want {line}\n  have kept {kept} of {all}"));
                }
            }
            _about_the_script => {}
        }
    }

    fn act(&mut self, trace: &[Value], index: usize) {
        let what = &trace[index]["do"];
        if let Some(refused) = what.get("rejected") {
            let wanted = (what["code"].as_u64(), what["msg"].as_str().unwrap_or_default());
            self.expect_refusal(refused.as_str().expect("what was rejected"), wanted, trace, index);
            return;
        }
        let what = what.as_str().expect("a do line is text");
        if let Some(fields) = what.strip_prefix("create ") {
            self.create(fields, trace, index).expect("a recorded create is accepted");
        } else if let Some(fields) = what.strip_prefix("write ") {
            self.write(fields).expect("a recorded write is accepted");
        } else if let Some(rest) = what.strip_prefix("scale subresource -> ") {
            let replicas = rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a size");
            self.sim.scale(NAMESPACE, &self.set, replicas);
        } else {
            self.act_on_pods(what, trace, index);
        }
    }

    fn create(&mut self, fields: &str, trace: &[Value], index: usize) -> Result<(), Refused> {
        let named = trace[index..].iter().find(|line| line.get("cs").is_some() && line["cs"]["g"] == 1);
        let name = named.and_then(|line| line["name"].as_str()).unwrap_or("web");
        let mut body = flow::base(NAMESPACE, name);
        flow::apply(&mut body, &flow::fields(fields));
        self.set = name.to_owned();
        self.sim.create(body)
    }

    pub fn write(&mut self, fields: &str) -> Result<(), Refused> {
        let mut fields = flow::fields(fields);
        self.name_pods_to_delete(&mut fields);
        self.before = self.all_pods().iter().map(|pod| pod.name().to_owned()).collect();
        self.sim.write(NAMESPACE, &self.set.clone(), |body| flow::apply(body, &fields))
    }

    pub fn all_pods(&self) -> Vec<Pod> {
        let pods = self.sim.list(PODS).map(|body| Pod { body: body.clone() });
        pods.filter(|pod| !pod.is_terminating()).collect()
    }
}
