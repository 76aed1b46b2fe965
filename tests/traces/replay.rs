//! Replays one trace on the imitation, in virtual time: every `do` line drives it, every state at rest is compared.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use triton::devcluster::cloneset::CLONESETS;
use triton::devcluster::deletes::Propagation;
use triton::devcluster::json::Body;
use triton::devcluster::kubelet::Knobs;
use triton::devcluster::machine::after;
use triton::devcluster::pods::{PODS, Pod};
use triton::devcluster::sim::{Refused, Seen, Sim};

use crate::traces::lines::{SOON, recorded, shows_state, since_the_last_write, was_at_rest};
use crate::traces::picture::Pods;
use crate::traces::script::{Cluster, Fault, Script};

/// The namespace of every replay.
const NAMESPACE: &str = "s";
/// Time without a change after which the imitation is at rest: longer than any grace or minReadySeconds of the traces.
const REST: Duration = Duration::from_secs(7);
/// Longest wait for a picture in the middle of something.
const PATIENCE: Duration = Duration::from_secs(20);
/// Writes of the controllers after a picture, during which a recorded write may have come.
const STEPS: usize = 24;
/// Moments that are tried in all, for one trace and seed.
const BUDGET: usize = 80;

/// The imitation as a cluster with one namespace.
#[derive(Clone)]
pub struct Imitation(Sim);

impl Cluster for Imitation {
    fn namespace(&self) -> &str {
        NAMESPACE
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn step(&mut self, until: Timestamp) -> bool {
        self.0.step(until)
    }

    fn take_seen(&mut self) -> Vec<Seen> {
        self.0.take_seen()
    }

    fn cloneset(&self, name: &str) -> Body {
        self.0.get(CLONESETS, NAMESPACE, name).unwrap_or_else(|| Value::Null.into())
    }

    fn pods(&self) -> Vec<Pod> {
        self.0.list(PODS).map(|body| Pod { body: body.clone() }).collect()
    }

    fn create(&mut self, body: Value) -> Result<(), Refused> {
        self.0.create(body)
    }

    fn write(&mut self, name: &str, change: &dyn Fn(&mut Value)) -> Result<(), Refused> {
        self.0.write(NAMESPACE, name, change)
    }

    fn scale(&mut self, name: &str, replicas: i64) {
        self.0.scale(NAMESPACE, name, replicas);
    }

    fn delete(&mut self, name: &str, how: Propagation) {
        self.0.delete(NAMESPACE, name, how);
    }

    fn change_pod(&mut self, name: &str, change: &dyn Fn(&mut Pod)) {
        self.0.change_pod(NAMESPACE, name, change);
    }

    fn delete_pod(&mut self, name: &str) {
        self.0.delete_pod(NAMESPACE, name);
    }

    fn break_pod(&mut self, name: &str) {
        self.0.turn(|knobs| {
            knobs.unready.insert(name.to_owned());
        });
    }

    fn kill_manager(&mut self, ignored: bool) {
        if ignored {
            self.0.let_webhooks_fail();
        }
        self.0.kill_manager();
    }

    fn start_manager(&mut self) {
        self.0.start_manager();
    }
}

/// One replay. A clone goes on from the same moment.
#[derive(Clone)]
pub struct Replay(Script<Imitation>);

impl Deref for Replay {
    type Target = Script<Imitation>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Replay {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Replay {
    fn new(seed: u64) -> Replay {
        let start: Timestamp = "2026-11-22T09:00:00Z".parse().expect("a time");
        let mut sim = Sim::new(seed, start, Knobs::default());
        sim.refuse_image("r/app:deny");
        Replay(Script::new(Imitation(sim)))
    }

    /// Replays a whole trace, and looks for moments of its writes that lead to all that was recorded.
    ///
    /// # Errors
    /// The fault of the replay that came furthest.
    pub fn of(trace: &[Value], seed: u64) -> Result<Replay, Fault> {
        let mut budget = BUDGET;
        Replay::new(seed).go_on(trace, 0, &mut budget)
    }

    /// Events that came through, by reason.
    pub fn events(&self) -> BTreeMap<String, u64> {
        self.cluster.0.events().iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
    }

    fn go_on(mut self, trace: &[Value], from: usize, budget: &mut usize) -> Result<Replay, Fault> {
        for (index, line) in trace.iter().enumerate().skip(from) {
            let is_write = line.get("do").is_some();
            if is_write && index > 0 && !was_at_rest(trace, index) {
                return self.choose(trace, index, budget);
            }
            if shows_state(trace, index) {
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
        let since = since_the_last_write(trace, index);
        let in_time = Some(self.after_the_last_write(since));
        let recorded = recorded(trace, index, &self.set);
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
                let until = after(start.cluster.now(), Duration::from_millis(500));
                start.cluster.step(until);
                start.note_seen();
            }
        }
        Err(furthest)
    }

    fn after_the_last_write(&self, seconds: f64) -> Replay {
        let mut next = self.clone();
        let until = after(self.last_write, Duration::from_secs_f64(seconds));
        next.step_until(until, |_| false);
        next
    }

    fn at_picture(mut self, pods: &Pods, cs: &Value) -> Option<Replay> {
        let until = after(self.cluster.now(), PATIENCE);
        self.step_until(until, |replay| replay.is_at(pods, cs)).then_some(self)
    }

    fn at_counts(mut self, pods: &Pods, cs: &Value) -> Option<Replay> {
        let until = after(self.cluster.now(), PATIENCE);
        self.step_until(until, |replay| replay.counts_like(pods, cs, &["active"])).then_some(self)
    }

    /// Lets the imitation come to rest; where the recorded cluster was not at rest, only to the recorded picture.
    fn rest_or_wait(&mut self, trace: &[Value], index: usize) {
        if index > 0 && !was_at_rest(trace, index) {
            if let Some((pods, cs)) = recorded(trace, index, &self.set) {
                let until = after(self.cluster.now(), PATIENCE);
                self.step_until(until, |replay| replay.is_at(&pods, &cs));
            }
        } else {
            self.rest();
        }
    }

    fn rest(&mut self) {
        let mut until = after(self.cluster.now(), REST);
        while self.cluster.step(until) {
            if self.note_seen() {
                until = after(self.cluster.now(), REST);
            }
        }
    }
}
