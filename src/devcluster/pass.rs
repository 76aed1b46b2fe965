//! One pass of the CloneSet controller over one CloneSet (`cloneset_controller.go:doReconcile`), write by write.
//!
//! A pass decides from what it listed when it began. Its order is Kruise's: the update revision, pods made or
//! deleted, else pods updated, then the status with the counts from before, then clean-up.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::devcluster::actions::{Action, Told};
use crate::devcluster::cloneset::{CLONESETS, CloneSet};
use crate::devcluster::ids::Ids;
use crate::devcluster::json::Body;
use crate::devcluster::lifecycle::Change;
use crate::devcluster::pods::{PODS, Pod};
use crate::devcluster::revision::{Active, REVISIONS, Revision, Step, active, surplus};
use crate::devcluster::scale::scale;
use crate::devcluster::status::{Failure, Half, status};
use crate::devcluster::update::update;

/// The objects of a cluster, as the controller and the kubelets use them. Errors are the API's sentences.
pub trait Objects {
    /// The object as last written.
    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Body>;
    /// Creates an object.
    ///
    /// # Errors
    /// What the API says.
    fn create(&mut self, resource: &str, object: Body) -> Result<(), String>;
    /// Replaces an object but for its status.
    ///
    /// # Errors
    /// What the API says.
    fn update(&mut self, resource: &str, object: Body) -> Result<(), String>;
    /// Replaces an object's status.
    ///
    /// # Errors
    /// What the API says.
    fn update_status(&mut self, resource: &str, object: Body) -> Result<(), String>;
    /// Replaces a pod that was just read, node and status at once: what the subresource `binding` does.
    ///
    /// # Errors
    /// What the API says.
    fn bind(&mut self, pod: Body) -> Result<(), String>;
    /// Deletes an object; `at_once` without the grace that a running pod is given.
    ///
    /// # Errors
    /// What the API says.
    fn delete(&mut self, resource: &str, namespace: &str, name: &str, at_once: bool) -> Result<(), String>;
    /// Records an Event about an object.
    fn tell(&mut self, about: &Value, told: &Told);
}

/// Where a pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Revision,
    Scale,
    Update,
    Status,
    CleanUp,
    Over,
}

/// What a pass wants when it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Seconds after which it must run again although nothing changed.
    pub again_in: Option<i64>,
    /// Whether it failed: then it is tried again, later each time.
    pub failed: bool,
}

/// A pass under way.
#[derive(Clone, Debug)]
pub struct Pass {
    set: CloneSet,
    pods: Vec<Pod>,
    revisions: Vec<Revision>,
    active: Active,
    stage: Stage,
    queue: VecDeque<Action>,
    /// Pods to make at once, next.
    batch: usize,
    acted: bool,
    failures: Vec<Failure>,
    wait: Option<i64>,
}

impl Pass {
    /// Begins a pass over what the cluster shows now: `pods` and `revisions` are those that the CloneSet owns, and
    /// revisions without an owner that its selector matches.
    #[must_use]
    pub fn begin(set: CloneSet, pods: Vec<Pod>, mut revisions: Vec<Revision>) -> Pass {
        revisions.sort_by(|one, two| (one.number(), one.name()).cmp(&(two.number(), two.name())));
        let active = active(&set, &revisions);
        let selected = |pod: &Pod| set.spec.selector.matches(pod.body["metadata"].get("labels"));
        let (pods, strays): (Vec<Pod>, Vec<Pod>) =
            pods.into_iter().filter(Pod::is_active).partition(selected);
        let release = |pod: Pod| Action::Change(pod.name().to_owned(), Change::Release, None);
        let queue = strays.into_iter().map(release).collect();
        Pass {
            set,
            pods,
            revisions,
            active,
            stage: Stage::Revision,
            queue,
            batch: 1,
            acted: false,
            failures: Vec::new(),
            wait: None,
        }
    }

    /// Writes the update revision where it is not there. Returns whether it was not.
    fn write_revision(&self, objects: &mut impl Objects) -> bool {
        // A lost race is seen by the next pass.
        let _lost = match &self.active.step {
            Step::Nothing => return false,
            Step::Create(revision) => objects.create(REVISIONS, revision.body.clone()),
            Step::Renumber(revision) => objects.update(REVISIONS, revision.body.clone()),
        };
        true
    }

    /// Whether the next thing to do is the status.
    #[must_use]
    pub fn is_before_status(&self) -> bool {
        self.stage == Stage::Status
    }

    /// Does the next write. Returns the outcome when the pass is over.
    pub fn proceed(&mut self, objects: &mut impl Objects, ids: &mut Ids, now: Timestamp) -> Option<Outcome> {
        while self.stage != Stage::Over {
            if let Some(action) = self.queue.pop_front() {
                match self.act(action, objects, now) {
                    Ok(()) => return None,
                    Err(message) => self.fail(message, now),
                }
                continue;
            }
            match self.stage {
                Stage::Revision => {
                    self.stage = Stage::Scale;
                    if !self.set.is_deleting() {
                        self.queue.extend(scale(&self.set, &self.pods, &self.active, ids, now));
                    }
                    if self.write_revision(objects) {
                        return None;
                    }
                }
                Stage::Scale if self.acted || self.set.is_deleting() => self.stage = Stage::Status,
                Stage::Scale => self.plan_update(now),
                Stage::Update => {
                    self.stage = Stage::Status;
                    return None;
                }
                Stage::Status => {
                    self.stage = Stage::CleanUp;
                    if self.write_status(objects, now) {
                        return None;
                    }
                }
                Stage::CleanUp => {
                    self.clean_up(objects);
                    self.stage = Stage::Over;
                }
                Stage::Over => {}
            }
        }
        Some(self.outcome(now))
    }

    fn plan_update(&mut self, now: Timestamp) {
        let update = update(&self.set, &self.pods, &self.revisions, &self.active, now);
        self.queue.extend(update.actions);
        self.wait = update.wait;
        self.stage = Stage::Update;
        if let Some(message) = update.failure {
            self.failures.push(Failure { half: Half::Update, message, at: now });
        }
    }

    fn fail(&mut self, message: String, now: Timestamp) {
        let half = if self.stage == Stage::Update { Half::Update } else { Half::Scale };
        self.queue.clear();
        self.failures.push(Failure { half, message, at: now });
    }

    fn act(&mut self, action: Action, objects: &mut impl Objects, now: Timestamp) -> Result<(), String> {
        match action {
            Action::Create(pods) => self.create(pods, objects),
            Action::Delete(name) => {
                objects.delete(PODS, self.set.namespace(), &name, false).inspect_err(|error| {
                    let sentence = format!("failed to delete pod {name}: {error}");
                    objects.tell(&self.set.body, &Told::warning("FailedDelete", sentence));
                })?;
                self.acted = true;
                let sentence = format!("succeed to delete pod {name}");
                objects.tell(&self.set.body, &Told::normal("SuccessfulDelete", sentence));
                Ok(())
            }
            Action::Change(name, change, told) => {
                self.change(&name, &change, objects, now)?;
                // Giving a pod up belongs to neither half of the pass.
                self.acted |= change != Change::Release;
                if let Some(told) = told {
                    objects.tell(&self.set.body, &told);
                }
                Ok(())
            }
            Action::Tell(told) => {
                objects.tell(&self.set.body, &told);
                Ok(())
            }
        }
    }

    /// Makes the next batch: one pod, then two, four and so on; what is left waits its turn.
    fn create(&mut self, mut pods: Vec<Pod>, objects: &mut impl Objects) -> Result<(), String> {
        let rest = pods.split_off(self.batch.min(pods.len()));
        self.batch *= 2;
        let mut refused = None;
        for pod in pods {
            match objects.create(PODS, pod.body.clone()) {
                Ok(()) => {
                    self.acted = true;
                    let sentence = format!("succeed to create pod {}", pod.name());
                    objects.tell(&self.set.body, &Told::normal("SuccessfulCreate", sentence));
                }
                Err(error) => {
                    let sentence = format!("failed to create pod: {error}, pod: {}", *pod.body);
                    objects.tell(&self.set.body, &Told::warning("FailedCreate", sentence));
                    refused = Some(error);
                }
            }
        }
        if !rest.is_empty() && refused.is_none() {
            self.queue.push_front(Action::Create(rest));
        }
        refused.map_or(Ok(()), Err)
    }

    fn change(
        &self,
        name: &str,
        change: &Change,
        objects: &mut impl Objects,
        now: Timestamp,
    ) -> Result<(), String> {
        let gone = || format!("pods {name:?} not found");
        let mut pod = Pod { body: objects.get(PODS, self.set.namespace(), name).ok_or_else(gone)? };
        change.apply(&mut pod, now);
        if change.is_of_status() {
            objects.update_status(PODS, pod.body)
        } else {
            objects.update(PODS, pod.body)
        }
    }

    /// Writes the status onto the object as it stands, where it differs from the one that the pass began with.
    fn write_status(&self, objects: &mut impl Objects, now: Timestamp) -> bool {
        let Some(status) = status(&self.set, &self.pods, &self.active, &self.failures, now) else {
            return false;
        };
        let Some(mut latest) = objects.get(CLONESETS, self.set.namespace(), self.set.name()) else {
            return false;
        };
        latest["status"] = status;
        objects.update_status(CLONESETS, latest).is_ok()
    }

    /// Names of pods that are gone leave `podsToDelete` (a write to spec by Kruise itself), and revisions that nothing
    /// uses leave the history.
    fn clean_up(&self, objects: &mut impl Objects) {
        let there = |name: &&String| self.pods.iter().any(|pod| pod.name() == *name);
        let names = &self.set.spec.pods_to_delete;
        let kept: Vec<&String> = names.iter().filter(there).collect();
        if kept.len() < names.len()
            && let Some(mut latest) = objects.get(CLONESETS, self.set.namespace(), self.set.name())
        {
            if kept.is_empty() {
                if let Some(scale) = latest["spec"]["scaleStrategy"].as_object_mut() {
                    scale.remove("podsToDelete");
                }
            } else {
                latest["spec"]["scaleStrategy"]["podsToDelete"] = json!(kept);
            }
            // Refused or not, the next pass tries again while names are left.
            let _refused = objects.update(CLONESETS, latest);
        }
        for name in surplus(&self.set, &self.pods, &self.revisions, &self.active) {
            let _gone = objects.delete(REVISIONS, self.set.namespace(), &name, true);
        }
    }

    fn outcome(&self, now: Timestamp) -> Outcome {
        let min_ready = self.set.spec.min_ready_seconds;
        let waits =
            self.pods.iter().any(|pod| pod.is_update_ready(0, now) != pod.is_available(min_ready, now));
        let settle = (min_ready > 0 && waits).then_some(min_ready);
        let again_in = [settle, self.wait].into_iter().flatten().min();
        Outcome { again_in, failed: !self.failures.is_empty() }
    }
}
