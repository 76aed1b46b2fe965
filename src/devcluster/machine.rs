//! The controllers of the embedded cluster against a clock: who acts next, and when.
//!
//! **Invariant:** does nothing by itself. It is told of every change (`observe`), says when it wants to act (`wake_at`),
//! and acts when it is called (`step`); equal seeds, changes and times give equal writes. The CloneSet controller's
//! cache lag and expectations are imitated by a delay between a change and the pass that sees it: a pass begins only
//! after all that the one before it wrote can be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::devcluster::cloneset::{CLONESETS, CloneSet};
use crate::devcluster::ids::Ids;
use crate::devcluster::json::{Body, text};
use crate::devcluster::kubelet::{Knobs, Step, delay, next, perform};
use crate::devcluster::pass::{Objects, Outcome, Pass};
use crate::devcluster::pods::{PODS, Pod, controller_uid};
use crate::devcluster::recorder::Recorder;
use crate::devcluster::revision::{REVISIONS, Revision};

/// Namespace and name.
type Key = (String, String);

/// Kruise's first delay after a failed pass; it doubles with each (client-go's default rate limiter).
const FIRST_RETRY: Duration = Duration::from_millis(5);
/// The longest delay after a failed pass.
const LAST_RETRY: Duration = Duration::from_secs(1_000);
/// From the start of a manager to its first pass: caches, webhooks, leader election (seen: 2.8–3.3 s).
const START_UP: Duration = Duration::from_millis(2_800);

/// From the start of a manager to its webhooks' first answer (seen: 0.3–0.7 s).
const WEBHOOKS_UP: Duration = Duration::from_millis(400);

/// What is to be done at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Pass(Key),
    Step(Key),
}

/// A CloneSet's place in the queue.
#[derive(Clone, Default)]
struct Work {
    due: Option<Timestamp>,
    running: Option<Pass>,
    /// It changed while its pass was under way.
    changed: bool,
    /// When it must be looked at although nothing changed.
    alarm: Option<Timestamp>,
    failed_in_a_row: u32,
}

/// The CloneSet controller, the scheduler and the kubelets.
#[derive(Clone)]
pub struct Machine {
    ids: Ids,
    /// How fast things go, and what goes wrong.
    pub knobs: Knobs,
    down: bool,
    answers_from: Option<Timestamp>,
    agenda: BTreeSet<(Timestamp, Task)>,
    sets: BTreeMap<Key, Work>,
    steps: BTreeMap<Key, (Step, Timestamp)>,
    /// Names of pods and revisions by resource and the uid of their controller, or by resource and namespace for those
    /// without one.
    owned: BTreeMap<(&'static str, String), BTreeSet<Key>>,
    recorder: Recorder,
}

/// A time so much later.
#[must_use]
pub fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

fn key(body: &Value) -> Key {
    (text(body, "/metadata/namespace").to_owned(), text(body, "/metadata/name").to_owned())
}

impl Machine {
    /// Controllers that have seen nothing yet.
    #[must_use]
    pub fn new(knobs: Knobs, ids: Ids) -> Machine {
        Machine {
            ids,
            knobs,
            down: false,
            answers_from: None,
            agenda: BTreeSet::new(),
            sets: BTreeMap::new(),
            steps: BTreeMap::new(),
            owned: BTreeMap::new(),
            recorder: Recorder::default(),
        }
    }

    /// The next time when `step` has something to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(time, _)| *time)
    }

    /// Whether what is due first is a kubelet's, else the CloneSet controller's.
    #[must_use]
    pub fn is_kubelets_turn(&self) -> bool {
        matches!(self.agenda.first(), Some((_, Task::Step(_))))
    }

    /// Whether the CloneSet controller's webhooks do not answer: it is stopped, or was just started.
    #[must_use]
    pub fn is_down(&self, now: Timestamp) -> bool {
        self.down || self.answers_from.is_some_and(|from| now < from)
    }

    /// Kills the CloneSet controller, in the middle of whatever it does. Kubelets go on.
    pub fn kill_manager(&mut self) {
        self.down = true;
        self.agenda.retain(|(_, task)| matches!(task, Task::Step(_)));
        for work in self.sets.values_mut() {
            *work = Work::default();
        }
    }

    /// Starts the CloneSet controller again; after a while it looks at every CloneSet.
    pub fn start_manager(&mut self, now: Timestamp) {
        self.down = false;
        self.answers_from = Some(after(now, WEBHOOKS_UP));
        self.recorder = Recorder::default();
        let keys: Vec<Key> = self.sets.keys().cloned().collect();
        for key in keys {
            self.schedule(&key, after(now, START_UP));
        }
    }

    /// Tells of one change; `before` and `after` as in a watch.
    pub fn observe(&mut self, resource: &str, before: Option<&Value>, after: Option<&Body>, now: Timestamp) {
        let plain = after.map(|after| -> &Value { after });
        let Some(shown) = plain.or(before) else { return };
        match resource {
            CLONESETS => self.enqueue(key(shown), now),
            PODS => {
                self.note_owner(PODS, before, plain, now);
                self.plan_step(&key(shown), after, now);
            }
            REVISIONS => self.note_owner(REVISIONS, before, plain, now),
            _other => {}
        }
    }

    /// Keeps the index of owners, and wakes those that it concerns.
    fn note_owner(
        &mut self,
        resource: &'static str,
        before: Option<&Value>,
        after: Option<&Value>,
        now: Timestamp,
    ) {
        for body in before.into_iter().chain(after) {
            if let Some(names) = self.owned.get_mut(&(resource, owner(body).to_owned())) {
                names.remove(&key(body));
            }
        }
        if let Some(body) = after {
            self.owned.entry((resource, owner(body).to_owned())).or_default().insert(key(body));
        }
        for body in before.into_iter().chain(after) {
            let namespace = text(body, "/metadata/namespace");
            let owners = crate::devcluster::json::items(body, "/metadata/ownerReferences");
            let names: Vec<String> = owners
                .filter(|owner| owner["kind"] == "CloneSet")
                .map(|owner| text(owner, "/name").to_owned())
                .collect();
            for name in names {
                let key = (namespace.to_owned(), name);
                if self.sets.contains_key(&key) {
                    self.enqueue(key, now);
                }
            }
        }
    }

    fn enqueue(&mut self, key: Key, now: Timestamp) {
        let (shortest, longest) = self.knobs.lag;
        let spread = (longest.saturating_sub(shortest)).as_millis() as u64 + 1;
        let work = self.sets.entry(key.clone()).or_default();
        if work.running.is_some() {
            work.changed = true;
        } else if !self.down {
            let lag = shortest + Duration::from_millis(self.ids.number() % spread);
            let due = after(now, lag);
            if work.due.is_none_or(|stands| due < stands) {
                self.schedule(&key, due);
            }
        }
    }

    fn schedule(&mut self, key: &Key, due: Timestamp) {
        let work = self.sets.entry(key.clone()).or_default();
        if let Some(stands) = work.due.replace(due) {
            self.agenda.remove(&(stands, Task::Pass(key.clone())));
        }
        self.agenda.insert((due, Task::Pass(key.clone())));
    }

    /// Plans what the kubelet does next to a pod; a step that was planned already keeps its time.
    fn plan_step(&mut self, key: &Key, pod: Option<&Body>, now: Timestamp) {
        let pod = pod.map(|body| Pod { body: body.clone() });
        let step = pod.as_ref().and_then(|pod| next(pod, &self.knobs));
        let stands = self.steps.get(key).copied();
        if step == stands.map(|(step, _)| step) {
            return;
        }
        if let Some((_, due)) = stands {
            self.agenda.remove(&(due, Task::Step(key.clone())));
            self.steps.remove(key);
        }
        if let (Some(step), Some(pod)) = (step, pod) {
            let due = after(now, delay(step, &pod, &self.knobs, &mut self.ids));
            self.steps.insert(key.clone(), (step, due));
            self.agenda.insert((due, Task::Step(key.clone())));
        }
    }

    /// Looks at a pod again after a knob was turned for it.
    pub fn reconsider(&mut self, pod: &Body, now: Timestamp) {
        self.plan_step(&key(pod), Some(pod), now);
    }

    /// Does the one thing that is due first, if its time has come. The caller must then `observe` what was written.
    /// Returns whether anything was due.
    pub fn step(&mut self, objects: &mut impl Objects, now: Timestamp) -> bool {
        if self.wake_at().is_none_or(|due| due > now) {
            return false;
        }
        match self.agenda.pop_first() {
            Some((_, Task::Step(key))) => self.kubelet(&key, objects, now),
            Some((_, Task::Pass(key))) => self.controller(&key, objects, now),
            None => return false,
        }
        true
    }

    fn kubelet(&mut self, key: &Key, objects: &mut impl Objects, now: Timestamp) {
        let Some((step, _)) = self.steps.remove(key) else { return };
        let Some(body) = objects.get(PODS, &key.0, &key.1) else { return };
        let mut pod = Pod { body };
        // A pod that another write has overtaken is planned again when that write is observed. A refused write is lost:
        // the pod changed meanwhile, or is gone.
        let _lost = match step {
            Step::Remove => objects.delete(PODS, &key.0, &key.1, true),
            Step::Bind => {
                perform(step, &mut pod, &self.knobs, &mut self.ids, now);
                objects.bind(pod.body)
            }
            Step::OpenGate | Step::Start | Step::Restart | Step::Ready | Step::NotReady => {
                perform(step, &mut pod, &self.knobs, &mut self.ids, now);
                objects.update_status(PODS, pod.body)
            }
        };
    }

    fn controller(&mut self, key: &Key, objects: &mut impl Objects, now: Timestamp) {
        let Some(work) = self.sets.get_mut(key) else { return };
        work.due = None;
        let (pass, outcome) = match work.running.take() {
            Some(mut pass) => {
                let mut recorder = self.recorder.on(objects, now);
                let outcome = pass.proceed(&mut recorder, &mut self.ids, now);
                (pass, outcome)
            }
            None => match self.begin(key, objects) {
                Some(pass) => (pass, None),
                None => {
                    self.sets.remove(key);
                    return;
                }
            },
        };
        match outcome {
            None => {
                let lag = if pass.is_before_status() { self.knobs.status_lag } else { Duration::ZERO };
                let due = after(now, self.knobs.write + lag);
                self.schedule(key, due);
                if let Some(work) = self.sets.get_mut(key) {
                    work.running = Some(pass);
                }
            }
            Some(outcome) => self.finish(key, outcome, now),
        }
    }

    fn begin(&mut self, key: &Key, objects: &impl Objects) -> Option<Pass> {
        let set = CloneSet::read(objects.get(CLONESETS, &key.0, &key.1)?);
        let read = |resource: &'static str, owner: &str| -> Vec<Body> {
            let keys = self.owned.get(&(resource, owner.to_owned())).into_iter().flatten();
            keys.filter_map(|(namespace, name)| objects.get(resource, namespace, name)).collect()
        };
        let pods = read(PODS, set.uid()).into_iter().map(|body| Pod { body }).collect();
        let orphans = read(REVISIONS, &key.0).into_iter();
        let orphans = orphans.filter(|body| set.spec.selector.matches(body["metadata"].get("labels")));
        let revisions = read(REVISIONS, set.uid()).into_iter().chain(orphans).map(Revision::read).collect();
        Some(Pass::begin(set, pods, revisions))
    }

    fn finish(&mut self, key: &Key, outcome: Outcome, now: Timestamp) {
        let Some(work) = self.sets.get_mut(key) else { return };
        work.failed_in_a_row = if outcome.failed { work.failed_in_a_row + 1 } else { 0 };
        let retry = (work.failed_in_a_row > 0).then(|| {
            FIRST_RETRY.saturating_mul(2_u32.saturating_pow(work.failed_in_a_row - 1)).min(LAST_RETRY)
        });
        let pause = outcome.again_in.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        let alarm = [retry, pause].into_iter().flatten().min().map(|delay| after(now, delay));
        let stands = work.alarm.filter(|stands| *stands > now);
        work.alarm = [alarm, stands].into_iter().flatten().min();
        let alarm = work.alarm;
        if std::mem::take(&mut work.changed) {
            self.enqueue(key.clone(), now);
        }
        let due = self.sets.get(key).and_then(|work| work.due);
        if let Some(alarm) = alarm.filter(|alarm| due.is_none_or(|due| *alarm < due)) {
            self.schedule(key, alarm);
        }
    }
}

fn owner(body: &Value) -> &str {
    match controller_uid(body) {
        "" => text(body, "/metadata/namespace"),
        uid => uid,
    }
}
