//! Replays one trace: every `do` line drives the imitation, every state at rest is compared.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use triton::devcluster::cloneset::CLONESETS;
use triton::devcluster::json::Body;
use triton::devcluster::kubelet::Knobs;
use triton::devcluster::machine::after;
use triton::devcluster::pods::{PODS, Pod};
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
/// Longest wait for a picture in the middle of something.
const PATIENCE: Duration = Duration::from_secs(20);
/// Writes of the controllers after a picture, during which a recorded write may have come.
const STEPS: usize = 24;
/// Moments that are tried in all, for one trace and seed.
const BUDGET: usize = 80;
/// Seconds after a write within which the next one was sent without looking.
const SOON: f64 = 0.35;

/// One replay. A clone goes on from the same moment.
#[derive(Clone)]
pub struct Replay {
    pub sim: Sim,
    /// The CloneSet that the script is about now.
    pub set: String,
    pub letters: Letters,
    /// Revisions as they came, moved and went: letter, name, number, end.
    pub revisions: Vec<Value>,
    /// Every state of the CloneSets, as a `cs` line shows it.
    pub written: Vec<Value>,
    /// Statuses that said more than the pods.
    pub early: Vec<Value>,
    /// Names of the pods before the last write.
    pub before: Vec<String>,
    /// When the script did something last.
    last_write: Timestamp,
}

/// What differed, and at which line: the first of its replay.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The line's index.
    pub index: usize,
    /// What was wanted and what was there.
    pub text: String,
}

/// The lines before `end` that have `key`, the nearest first.
fn before<'a>(trace: &'a [Value], end: usize, key: &'static str) -> impl Iterator<Item = &'a Value> {
    trace[..end].iter().rev().filter(move |line| line.get(key).is_some())
}

fn time(line: &Value) -> f64 {
    line["t"].as_f64().unwrap_or(f64::MAX)
}

/// Whether a note is about pods and status.
fn tells_of_state(told: &Value) -> bool {
    match told {
        Value::Array(parts) => parts.iter().any(tells_of_state),
        Value::String(line) => line.contains("| r="),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Whether the recorded cluster was at rest before a line.
fn was_at_rest(trace: &[Value], index: usize) -> bool {
    let marks = ["pods", "cs", "do", "rev"];
    let last = trace[..index].iter().rev().find(|line| marks.iter().any(|key| line.get(key).is_some()));
    last.is_some_and(|last| time(&trace[index]) - time(last) > QUIET)
}

impl Replay {
    fn new(seed: u64) -> Replay {
        let start: Timestamp = "2026-11-22T09:00:00Z".parse().expect("a time");
        let mut sim = Sim::new(seed, start, Knobs::default());
        sim.refuse_image("r/app:deny");
        Replay {
            sim,
            set: "web".to_owned(),
            letters: Letters::default(),
            revisions: Vec::new(),
            written: Vec::new(),
            early: Vec::new(),
            before: Vec::new(),
            last_write: start,
        }
    }

    /// Replays a whole trace, and looks for moments of its writes that lead to all that was recorded.
    ///
    /// # Errors
    /// The fault of the replay that came furthest.
    pub fn of(trace: &[Value], seed: u64) -> Result<Replay, Fault> {
        let mut budget = BUDGET;
        Replay::new(seed).go_on(trace, 0, &mut budget)
    }

    fn go_on(mut self, trace: &[Value], from: usize, budget: &mut usize) -> Result<Replay, Fault> {
        for (index, line) in trace.iter().enumerate().skip(from) {
            let is_write = line.get("do").is_some();
            if is_write && index > 0 && !was_at_rest(trace, index) {
                return self.choose(trace, index, budget);
            }
            let refused = line["do"].is_object();
            if (is_write && !refused) || tells_of_state(&line["v"]) || index + 1 == trace.len() {
                self.rest_or_wait(trace, index);
                self.compare(trace, index)?;
            }
            if is_write {
                self.act(trace, index)?;
            } else if line.get("note").is_some() {
                self.compare_note(&line["v"], index)?;
                self.act_on_note(trace, index);
            }
        }
        Ok(self)
    }

    /// Tries one moment after the other for a write that was not sent at rest: as long after the last write as recorded
    /// if that was soon, then when the recorded picture is there and so many writes of the controllers later, then the
    /// same with the recorded numbers of pods.
    fn choose(self, trace: &[Value], index: usize, budget: &mut usize) -> Result<Replay, Fault> {
        let since = time(&trace[index]) - before(trace, index, "do").next().map_or(0.0, time);
        let in_time = Some(self.after_the_last_write(since.max(0.0)));
        let recorded = self.recorded(trace, index);
        let shown = recorded.as_ref().and_then(|(pods, cs)| self.clone().at_picture(pods, cs));
        let starts = if since < SOON {
            vec![(in_time, 1), (shown, 3)]
        } else {
            let counted = recorded.as_ref().and_then(|(pods, cs)| self.clone().at_counts(pods, cs));
            vec![(shown.clone(), 1), (in_time, 1), (shown, STEPS), (counted, STEPS)]
        };
        let mut furthest = Fault { index, text: format!("no moment for {}", trace[index]) };
        for (start, steps) in starts {
            let Some(mut start) = start else { continue };
            for _step in 0..steps {
                if *budget == 0 {
                    return Err(furthest);
                }
                *budget -= 1;
                let mut next = start.clone();
                let result = next.act(trace, index).and_then(|()| next.go_on(trace, index + 1, budget));
                match result {
                    Ok(replay) => return Ok(replay),
                    Err(fault) if fault.index > furthest.index => furthest = fault,
                    Err(_) => {}
                }
                let until = after(start.sim.now(), Duration::from_millis(500));
                start.sim.step(until);
                start.note_seen();
            }
        }
        Err(furthest)
    }

    fn after_the_last_write(&self, seconds: f64) -> Replay {
        let mut next = self.clone();
        let until = after(self.last_write, Duration::from_secs_f64(seconds));
        while next.sim.step(until) {
            next.note_seen();
        }
        next
    }

    fn at_picture(mut self, pods: &Pods, cs: &Value) -> Option<Replay> {
        self.step_until(|replay| replay.is_at(pods, cs)).then_some(self)
    }

    fn at_counts(mut self, pods: &Pods, cs: &Value) -> Option<Replay> {
        let counts = |pods: &Pods| -> BTreeMap<String, i64> {
            let active = |entry: &BTreeMap<String, i64>| entry.get("active").copied().unwrap_or(0);
            let counts = pods.iter().map(|(letter, entry)| (letter.clone(), active(entry)));
            counts.filter(|(_, count)| *count > 0).collect()
        };
        let wanted = counts(pods);
        let there = |replay: &mut Replay| {
            counts(&replay.pods()) == wanted && replay.body()["metadata"]["generation"] == cs["g"]
        };
        self.step_until(there).then_some(self)
    }

    /// Events that came through, by reason.
    pub fn events(&self) -> BTreeMap<String, u64> {
        self.sim.events().iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
    }

    fn body(&self) -> Body {
        self.sim.get(CLONESETS, NAMESPACE, &self.set).unwrap_or_else(|| Value::Null.into())
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
                let mut cs = picture::cs(body, &mut self.letters);
                if body["metadata"]["name"] != "web" {
                    cs["name"] = body["metadata"]["name"].clone();
                }
                if picture::is_step_done(&cs) && !picture::has_done_step(&self.sim, body) {
                    self.early.push(cs.clone());
                }
                self.written.push(cs);
            }
        }
        !all.is_empty()
    }

    /// The pictures of pods and CloneSet that were recorded last before a line.
    fn recorded(&self, trace: &[Value], index: usize) -> Option<(Pods, Value)> {
        let line = &trace[index];
        let text = line["do"].as_str().unwrap_or_default();
        // A kill takes a moment: a status on its way is still written. A delete is shown before it returns.
        let soon = |later: &&Value| text.contains("killed") && time(later) < time(line) + 0.1;
        let name = if self.set == "web" { Value::Null } else { json!(self.set) };
        let later = trace[index + 1..].iter().take_while(|line| line.get("do").is_none()).take_while(soon);
        let cs = later.filter(|line| line.get("cs").is_some()).last();
        let shown =
            |line: &&Value| line["name"] == name && !(text.contains("delete") && line["cs"]["deleted"] == 1);
        let cs = cs.or_else(|| before(trace, index, "cs").find(shown))?["cs"].clone();
        let pods = before(trace, index, "pods").next().and_then(|line| line["pods"].as_str())?;
        let mut pods = picture::read(pods);
        if before(trace, index, "do").count() == 1 {
            // Creation is recorded only where a status was written: who was pending then may run by now.
            for entry in pods.values_mut() {
                entry.remove("pend");
            }
        }
        Some((pods, cs))
    }

    fn step_until(&mut self, mut there: impl FnMut(&mut Replay) -> bool) -> bool {
        let until = after(self.sim.now(), PATIENCE);
        while !there(self) {
            if !self.sim.step(until) {
                return false;
            }
            self.note_seen();
        }
        true
    }

    /// Lets the imitation come to rest; where the recorded cluster was not at rest, only to the recorded picture.
    fn rest_or_wait(&mut self, trace: &[Value], index: usize) {
        if index > 0 && !was_at_rest(trace, index) {
            let recorded = self.recorded(trace, index);
            if let Some((pods, cs)) = recorded {
                self.step_until(|replay| replay.is_at(&pods, &cs));
            }
        } else {
            self.rest();
        }
    }

    fn compare(&mut self, trace: &[Value], index: usize) -> Result<(), Fault> {
        let Some((pods, cs)) = self.recorded(trace, index) else { return Ok(()) };
        if self.is_at(&pods, &cs) {
            return Ok(());
        }
        let body = self.body();
        let (mine, status) = (self.pods(), picture::cs(&body, &mut self.letters));
        let line = &trace[index];
        let text = format!("before {line}:\n  want {pods:?}\n  have {mine:?}\n  want {cs}\n  have {status}");
        Err(Fault { index, text })
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
    fn compare_note(&self, told: &Value, index: usize) -> Result<(), Fault> {
        let fault = |want: &str, have: String| {
            Err(Fault { index, text: format!("a note:\n  want {want}\n  have {have}") })
        };
        match told {
            Value::Array(parts) => parts.iter().try_for_each(|part| self.compare_note(part, index)),
            Value::String(line) if line.contains("| r=") => {
                let line = line
                    .rsplit_once("restarts ")
                    .map_or(line.as_str(), |(_, rest)| rest.split_once(", ").map_or(rest, |(_, line)| line));
                let mine = picture::note(&self.sim, &self.body());
                if mine == line { Ok(()) } else { fault(line, mine) }
            }
            Value::String(line) if line.contains("kept ") => {
                let there = |name: &&String| self.sim.get(PODS, NAMESPACE, name).is_some();
                let (kept, all) = (self.before.iter().filter(there).count(), self.before.len());
                let mine = format!("kept {kept} of {all}");
                if line.contains(&mine) { Ok(()) } else { fault(line, mine) }
            }
            _about_the_script => Ok(()),
        }
    }

    /// What the recorded script did without a line of its own.
    fn act_on_note(&mut self, trace: &[Value], index: usize) {
        match trace[index]["note"].as_str() {
            Some("three writes while down") => self.sim.start_manager(),
            Some("write while it is down") => {
                let later = trace[index..].iter().find_map(|line| line["cs"]["R"].as_i64()).expect("a size");
                self.sim.scale(NAMESPACE, &self.set, later);
                self.note_seen();
            }
            _reported => {}
        }
    }

    fn act(&mut self, trace: &[Value], index: usize) -> Result<(), Fault> {
        self.last_write = self.sim.now();
        let result = self.write_line(trace, index);
        self.note_seen();
        result
    }

    fn write_line(&mut self, trace: &[Value], index: usize) -> Result<(), Fault> {
        let what = &trace[index]["do"];
        if let Some(refused) = what.get("rejected") {
            let wanted = (what["code"].as_u64(), what["msg"].as_str().unwrap_or_default());
            let refused = refused.as_str().expect("what was rejected");
            let result = self.expect_refusal(refused, wanted, trace, index);
            return result.map_err(|text| Fault { index, text });
        }
        let what = what.as_str().expect("a do line is text");
        let result = if let Some(fields) = what.strip_prefix("create ") {
            self.create(fields, trace, index)
        } else if let Some(fields) = what.strip_prefix("write ") {
            self.write(fields)
        } else if let Some(rest) = what.strip_prefix("scale subresource -> ") {
            let replicas = rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a size");
            self.sim.scale(NAMESPACE, &self.set, replicas);
            Ok(())
        } else {
            self.act_on_pods(what, trace, index);
            Ok(())
        };
        result.map_err(|refused| Fault { index, text: format!("{what}: {refused}") })
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
