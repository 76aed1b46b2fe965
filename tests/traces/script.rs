//! A recorded script on any cluster: what it sees, compared with what was recorded, and what it writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use triton::devcluster::deletes::Propagation;
use triton::devcluster::json::Body;
use triton::devcluster::pods::Pod;
use triton::devcluster::sim::{Refused, Seen};

use crate::traces::flow;
use crate::traces::lines::recorded;
use crate::traces::picture::{self, Letters, Pods};
use crate::traces::story::Story;

/// A namespace with everything that the recorded scripts did in it, and to what reconciles it.
pub trait Cluster {
    /// Its name.
    fn namespace(&self) -> &str;
    /// Its time.
    fn now(&self) -> Timestamp;
    /// Goes on to the next write of somebody, at most until `until`. Returns whether there was one.
    fn step(&mut self, until: Timestamp) -> bool;
    /// The writes since the last call, oldest first.
    fn take_seen(&mut self) -> Vec<Seen>;
    /// A CloneSet, or `null`.
    fn cloneset(&self, name: &str) -> Body;
    /// All pods by name, also terminating ones.
    fn pods(&self) -> Vec<Pod>;
    /// Creates a CloneSet.
    fn create(&mut self, body: Value) -> Result<(), Refused>;
    /// Changes a CloneSet in one write.
    fn write(&mut self, name: &str, change: &dyn Fn(&mut Value)) -> Result<(), Refused>;
    /// Sets the size through the scale subresource.
    fn scale(&mut self, name: &str, replicas: i64);
    /// Deletes a CloneSet.
    fn delete(&mut self, name: &str, how: Propagation);
    /// Changes a pod and its status.
    fn change_pod(&mut self, name: &str, change: &dyn Fn(&mut Pod));
    /// Deletes a pod.
    fn delete_pod(&mut self, name: &str);
    /// Lets the containers of a pod be not ready from now on.
    fn break_pod(&mut self, name: &str);
    /// Kills the controller and its webhooks; `Ignore` is their failure policy where `ignored`.
    fn kill_manager(&mut self, ignored: bool);
    /// Starts them again.
    fn start_manager(&mut self);
}

/// What differed, and at which line.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The line's index.
    pub index: usize,
    /// What was wanted and what was there.
    pub text: String,
}

/// A script on its way.
#[derive(Clone)]
pub struct Script<C> {
    /// Where it happens.
    pub cluster: C,
    /// The CloneSet that it is about now.
    pub set: String,
    /// What was seen so far.
    pub story: Story,
    /// Names of the pods before the last write.
    pub before: Vec<String>,
    /// When it did something last.
    pub last_write: Timestamp,
}

impl<C: Cluster> Script<C> {
    /// One that has done nothing yet.
    pub fn new(cluster: C) -> Self {
        let last_write = cluster.now();
        let (set, story, before) = ("web".to_owned(), Story::default(), Vec::new());
        Self { cluster, set, story, before, last_write }
    }

    /// Takes down what was written since. Returns whether anything was.
    pub fn note_seen(&mut self) -> bool {
        let all = self.cluster.take_seen();
        for seen in &all {
            self.story.note(seen, |body| picture::has_done_step(&self.cluster.pods(), body, seen.at));
        }
        !all.is_empty()
    }

    /// The CloneSet that it is about, or `null`.
    pub fn body(&self) -> Body {
        self.cluster.cloneset(&self.set)
    }

    /// Pods that are not terminating, by name.
    pub fn live_pods(&self) -> Vec<Pod> {
        let mut pods = self.cluster.pods();
        pods.retain(|pod| !pod.is_terminating());
        pods
    }

    /// The pods as a line shows them.
    pub fn pods(&self) -> Pods {
        picture::pods(&self.cluster.pods(), &self.story.letters, self.cluster.now())
    }

    /// Goes on until something holds. Returns whether it did in time.
    pub fn step_until(&mut self, until: Timestamp, mut there: impl FnMut(&mut Self) -> bool) -> bool {
        while !there(self) {
            if !self.cluster.step(until) {
                return false;
            }
            self.note_seen();
        }
        true
    }

    /// Whether pods and CloneSet look like this.
    pub fn is_at(&mut self, pods: &Pods, cs: &Value) -> bool {
        let body = self.body();
        let gone = cs["deleted"] == 1 && body.is_null();
        (gone || picture::cs(&body, &mut self.story.letters) == *cs) && self.pods() == *pods
    }

    /// Whether there are so many pods of each revision of which these marks hold, at this generation.
    pub fn counts_like(&self, pods: &Pods, cs: &Value, marks: &[&str]) -> bool {
        let counts = |pods: &Pods| -> BTreeMap<String, Vec<i64>> {
            let count = |entry: &BTreeMap<String, i64>, mark| entry.get(mark).copied().unwrap_or(0);
            let counts = |entry| marks.iter().map(|mark| count(entry, *mark)).collect::<Vec<i64>>();
            let counts = pods.iter().map(|(letter, entry)| (letter.clone(), counts(entry)));
            counts.filter(|(_, counts)| counts.iter().any(|count| *count > 0)).collect()
        };
        counts(&self.pods()) == counts(pods) && self.body()["metadata"]["generation"] == cs["g"]
    }

    /// Compares pods and CloneSet with what was recorded before a line.
    pub fn compare(&mut self, trace: &[Value], index: usize) -> Result<(), Fault> {
        let Some((pods, cs)) = recorded(trace, index, &self.set) else { return Ok(()) };
        if self.is_at(&pods, &cs) {
            return Ok(());
        }
        let body = self.body();
        let (mine, status) = (self.pods(), picture::cs(&body, &mut self.story.letters));
        let line = &trace[index];
        let text = format!("before {line}:\n  want {pods:?}\n  have {mine:?}\n  want {cs}\n  have {status}");
        Err(Fault { index, text })
    }

    /// Compares what a note says of pods and status; the rest of a note is about the script.
    pub fn compare_note(&self, told: &Value, index: usize) -> Result<(), Fault> {
        let fault = |want: &str, have: String| {
            Err(Fault { index, text: format!("a note:\n  want {want}\n  have {have}") })
        };
        match told {
            Value::Array(parts) => parts.iter().try_for_each(|part| self.compare_note(part, index)),
            Value::String(line) if line.contains("| r=") => {
                let line = line
                    .rsplit_once("restarts ")
                    .map_or(line.as_str(), |(_, rest)| rest.split_once(", ").map_or(rest, |(_, line)| line));
                let mine = picture::note(&self.cluster.pods(), &self.body());
                if mine == line { Ok(()) } else { fault(line, mine) }
            }
            Value::String(line) if line.contains("kept ") => {
                let there = self.cluster.pods();
                let kept = self.before.iter().filter(|name| there.iter().any(|pod| pod.name() == *name));
                let mine = format!("kept {} of {}", kept.count(), self.before.len());
                if line.contains(&mine) { Ok(()) } else { fault(line, mine) }
            }
            _about_the_script => Ok(()),
        }
    }

    /// What the recorded script did without a line of its own.
    pub fn act_on_note(&mut self, trace: &[Value], index: usize) {
        match trace[index]["note"].as_str() {
            Some("three writes while down") => self.cluster.start_manager(),
            Some("write while it is down") => {
                let later = trace[index..].iter().find_map(|line| line["cs"]["R"].as_i64()).expect("a size");
                self.cluster.scale(&self.set, later);
                self.note_seen();
            }
            _reported => {}
        }
    }

    /// Does a `do` line.
    pub fn act(&mut self, trace: &[Value], index: usize) -> Result<(), Fault> {
        self.last_write = self.cluster.now();
        let what = &trace[index]["do"];
        let result = if let Some(refused) = what.get("rejected") {
            let wanted = (what["code"].as_u64(), what["msg"].as_str().unwrap_or_default());
            self.expect_refusal(refused.as_str().expect("what was rejected"), wanted, trace, index)
        } else {
            self.write_line(what.as_str().expect("a do line is text"), trace, index)
                .map_err(|refused| format!("{what}: {refused}"))
        };
        self.note_seen();
        result.map_err(|text| Fault { index, text })
    }

    fn write_line(&mut self, what: &str, trace: &[Value], index: usize) -> Result<(), Refused> {
        if let Some(fields) = what.strip_prefix("create ") {
            self.create(fields, trace, index)
        } else if let Some(fields) = what.strip_prefix("write ") {
            self.write(fields)
        } else if let Some(rest) = what.strip_prefix("scale subresource -> ") {
            let replicas = rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a size");
            self.cluster.scale(&self.set, replicas);
            Ok(())
        } else {
            self.act_on_pods(what, trace, index)
        }
    }

    fn create(&mut self, fields: &str, trace: &[Value], index: usize) -> Result<(), Refused> {
        let named = trace[index..].iter().find(|line| line.get("cs").is_some() && line["cs"]["g"] == 1);
        let name = named.and_then(|line| line["name"].as_str()).unwrap_or("web");
        let mut body = flow::base(self.cluster.namespace(), name);
        flow::apply(&mut body, &flow::fields(fields));
        self.set = name.to_owned();
        self.cluster.create(body)
    }

    /// Writes fields of the CloneSet.
    pub fn write(&mut self, fields: &str) -> Result<(), Refused> {
        let mut fields = flow::fields(fields);
        self.name_pods_to_delete(&mut fields)?;
        self.write_body(&|body| flow::apply(body, &fields))
    }

    /// Changes the CloneSet.
    pub fn write_body(&mut self, change: &dyn Fn(&mut Value)) -> Result<(), Refused> {
        self.before = self.live_pods().iter().map(|pod| pod.name().to_owned()).collect();
        self.cluster.write(&self.set.clone(), change)
    }

    /// Sends what was refused, and compares code and sentence.
    fn expect_refusal(
        &mut self,
        what: &str,
        wanted: (Option<u64>, &str),
        trace: &[Value],
        index: usize,
    ) -> Result<(), String> {
        let note = trace[index..].iter().find_map(|line| line["note"].as_str()).unwrap_or_default();
        let fields = what.split_once(' ').map_or("", |(_, fields)| fields);
        let mut fields = if fields.contains(':') { flow::fields(fields) } else { json!({}) };
        if note == "partition \"5\"" {
            fields["part"] = json!("5");
        }
        let result = if what.starts_with("create") {
            let name = wanted.1.split('"').nth(1).filter(|_| wanted.1.starts_with("CloneSet"));
            let mut body = flow::base(self.cluster.namespace(), name.unwrap_or("refused"));
            flow::apply(&mut body, &fields);
            self.cluster.create(body)
        } else if what.starts_with("write") {
            self.cluster.write(&self.set.clone(), &|body| flow::apply(body, &fields))
        } else {
            self.change_template(what)
        };
        let code = wanted.0.and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        match result {
            // Long sentences are cut off in the recordings.
            Err(refused)
                if refused.code == code && (code == 500 || refused.message.starts_with(wanted.1)) =>
            {
                Ok(())
            }
            other => Err(format!("{what}:\n  want {code} {}\n  have {other:?}", wanted.1)),
        }
    }

    /// The letter of a pod's revision.
    pub fn letter(&self, pod: &Pod) -> String {
        let letters: &Letters = &self.story.letters;
        letters.of_hash(pod.revision())
    }
}
