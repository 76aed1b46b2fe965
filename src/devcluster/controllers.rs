//! The controllers over the store, in life: one task that is woken by changes and by the clock.
//!
//! **Invariants:** one writer at a time; changes are seen in the order of their resourceVersions; under paused time, and
//! with equal seeds and requests, two runs are equal.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::devcluster::actions::Told;
use crate::devcluster::admission::{WEBHOOK, check};
use crate::devcluster::cloneset::CLONESETS;
use crate::devcluster::defaulting::admit_cloneset;
use crate::devcluster::deletes::DeleteHow;
use crate::devcluster::endpoints::{Endpoints, SERVICES};
use crate::devcluster::events::EventType;
use crate::devcluster::ids::Ids;
use crate::devcluster::json::Body;
use crate::devcluster::kubelet::Knobs;
use crate::devcluster::machine::Machine;
use crate::devcluster::pass::Objects;
use crate::devcluster::pods::PODS;
use crate::devcluster::revision::REVISIONS;
use crate::devcluster::store::{Admission, Change, Store};

/// What the controllers watch.
const WATCHED: [&str; 4] = [SERVICES, CLONESETS, REVISIONS, PODS];
/// Longest sleep with nothing to do; only so that a sleep has an end.
const IDLE: Duration = Duration::from_secs(3_600);
/// Timers count in milliseconds; a shorter wait would spin.
const TICK: Duration = Duration::from_millis(1);
/// The manager that Kruise's writes carry.
const KRUISE: &str = "kruise-manager";

/// A handle on the controllers of one cluster. Clones are the same controllers.
#[derive(Clone)]
pub struct Controllers {
    store: Store,
    shared: Arc<Shared>,
}

struct Shared {
    machine: Mutex<Machine>,
    endpoints: Mutex<Endpoints>,
    turned: Notify,
}

/// Kruise's webhooks for CloneSets, for the store. Names in `podsToDelete` are not looked up here.
#[must_use]
pub fn cloneset_admission() -> Admission {
    Admission { name: WEBHOOK, mutate: admit_cloneset, validate: |old, new| check(new, old, &|_pod| true) }
}

impl Controllers {
    /// Controllers for a store; they do nothing until [`Controllers::run`]. CloneSets are admitted by Kruise's webhooks
    /// from now on.
    #[must_use]
    pub fn new(store: Store, knobs: Knobs, seed: u64) -> Controllers {
        store.write(|state| state.admissions.insert(CLONESETS.to_owned(), cloneset_admission()));
        let machine = Mutex::new(Machine::new(knobs, Ids::seeded(seed)));
        Controllers {
            store,
            shared: Arc::new(Shared { machine, endpoints: Mutex::default(), turned: Notify::new() }),
        }
    }

    /// Turns knobs; pods that they concern are looked at again.
    pub fn turn(&self, change: impl FnOnce(&mut Knobs)) {
        let mut machine = self.machine();
        change(&mut machine.knobs);
        for pod in self.store.list(PODS, None) {
            machine.reconsider(&Body::from((*pod).clone()), self.store.clock().now());
        }
        drop(machine);
        self.shared.turned.notify_one();
    }

    /// Kills the CloneSet controller, in the middle of whatever it does; its webhooks stay.
    pub fn kill_manager(&self) {
        self.machine().kill_manager();
    }

    /// Starts the CloneSet controller again.
    pub fn start_manager(&self) {
        let now = self.store.clock().now();
        self.machine().start_manager(now);
        self.shared.turned.notify_one();
    }

    /// Runs the controllers until the task is dropped.
    pub async fn run(self) {
        let mut changes = self.store.changes();
        let mut seen = self.look_at_all();
        loop {
            changes.borrow_and_update();
            seen = self.observe(seen);
            let now = self.store.clock().now();
            let due = self.machine().wake_at();
            if due.is_some_and(|due| due <= now) {
                self.step(now);
                // Clients have their turn between any two writes.
                yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                gone = changes.changed() => if gone.is_err() { return },
                () = self.shared.turned.notified() => {}
                () = sleep(pause(now, due)) => {}
            }
        }
    }

    fn endpoints(&self) -> MutexGuard<'_, Endpoints> {
        self.shared.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.shared.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, now: Timestamp) {
        let mut machine = self.machine();
        let manager = if machine.is_kubelets_turn() { "kubelet" } else { KRUISE };
        machine.step(&mut Hands { store: &self.store, manager }, now);
    }

    /// Shows the machine everything that is there. Returns the version at which that was so.
    fn look_at_all(&self) -> u64 {
        let now = self.store.clock().now();
        let version = self.store.read(|state| {
            let mut machine = self.machine();
            for resource in WATCHED {
                for object in state.list(resource, None) {
                    machine.observe(resource, None, Some(&Body::from((*object).clone())), now);
                }
            }
            state.version()
        });
        let mut endpoints = self.endpoints();
        for service in self.store.list(SERVICES, None) {
            endpoints.observe(SERVICES, None, Some(&service), &self.store);
        }
        endpoints.write(&self.store);
        version
    }

    /// Shows the machine what changed after `seen`, in order. Returns the newest version shown.
    fn observe(&self, seen: u64) -> u64 {
        let changes: Result<(Vec<(&str, Change)>, u64), _> = self.store.read(|state| {
            let mut all = Vec::new();
            for resource in WATCHED {
                all.extend(state.changes_since(resource, seen)?.into_iter().map(|change| (resource, change)));
            }
            Ok::<_, crate::devcluster::refusal::Refusal>((all, state.version()))
        });
        let Ok((mut changes, version)) = changes else { return self.look_at_all() };
        changes.sort_by_key(|(_, change)| change.version);
        let now = self.store.clock().now();
        let (mut machine, mut endpoints) = (self.machine(), self.endpoints());
        for (resource, change) in changes {
            endpoints.observe(resource, change.before.as_deref(), change.after.as_deref(), &self.store);
            let after = change.after.as_deref().map(|after| Body::from(after.clone()));
            machine.observe(resource, change.before.as_deref(), after.as_ref(), now);
        }
        drop(machine);
        endpoints.write(&self.store);
        version
    }
}

fn pause(now: Timestamp, due: Option<Timestamp>) -> Duration {
    let until = due.map(|due| due.duration_since(now));
    let until = until.map_or(IDLE, |until| until.try_into().unwrap_or(TICK));
    until.clamp(TICK, IDLE)
}

/// The store as one writer sees it.
struct Hands<'a> {
    store: &'a Store,
    manager: &'static str,
}

impl Objects for Hands<'_> {
    fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Body> {
        self.store.get(resource, namespace, name).map(|object| Body::from((*object).clone()))
    }

    fn create(&mut self, resource: &str, object: Body) -> Result<(), String> {
        let created = self.store.create(resource, self.manager, object.into_value());
        created.map(|_| ()).map_err(|refusal| refusal.message)
    }

    fn update(&mut self, resource: &str, object: Body) -> Result<(), String> {
        let updated = self.store.update(resource, self.manager, object.into_value());
        updated.map(|_| ()).map_err(|refusal| refusal.message)
    }

    fn update_status(&mut self, resource: &str, object: Body) -> Result<(), String> {
        let updated = self.store.update_status(resource, self.manager, object.into_value());
        updated.map(|_| ()).map_err(|refusal| refusal.message)
    }

    fn bind(&mut self, pod: Body) -> Result<(), String> {
        self.store.write(|state| state.put(PODS, pod.into_value()));
        Ok(())
    }

    fn delete(&mut self, resource: &str, namespace: &str, name: &str, at_once: bool) -> Result<(), String> {
        let how = DeleteHow { grace: at_once.then_some(0), ..DeleteHow::default() };
        let deleted = self.store.delete(resource, namespace, name, &how);
        deleted.map(|_| ()).map_err(|refusal| refusal.message)
    }

    fn tell(&mut self, about: &Value, told: &Told) {
        let kind = if told.warning { EventType::Warning } else { EventType::Normal };
        self.store.record_event("cloneset-controller", about, kind, told.reason, &told.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devcluster::builtin::{NAMESPACES, built_in};
    use crate::devcluster::clock::Clock;
    use crate::devcluster::crd::{installed, kind_of};
    use crate::devcluster::kinds::Kinds;
    use serde_json::json;

    fn store(seed: u64) -> Store {
        let (built_in, metadata) = built_in();
        let custom = installed();
        let custom = custom.iter().filter_map(|definition| kind_of(definition, &metadata));
        let mut kinds = Kinds::default();
        built_in.into_iter().chain(custom).for_each(|kind| kinds.insert(kind));
        let clock = Clock::starting_at("2026-11-22T10:00:00Z".parse().unwrap());
        let store = Store::new(clock, seed, kinds, metadata);
        store.create(NAMESPACES, "test", json!({"metadata": {"name": "default"}})).unwrap();
        store
    }

    fn cloneset(image: &str) -> Value {
        json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 5, "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": image}]}}},
        })
    }

    async fn roll(seed: u64) -> Vec<String> {
        let store = store(seed);
        let controllers = Controllers::new(store.clone(), Knobs::default(), seed);
        let task = tokio::spawn(controllers.clone().run());
        store.create(CLONESETS, "test", cloneset("r/app:A")).unwrap();
        sleep(Duration::from_secs(3)).await;
        let mut body = (*store.get(CLONESETS, "default", "web").unwrap()).clone();
        assert_eq!(body["status"]["availableReplicas"], 5, "{body}");
        body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("r/app:B");
        body["spec"]["updateStrategy"]["partition"] = json!("50%");
        store.update(CLONESETS, "test", body).unwrap();
        sleep(Duration::from_secs(10)).await;
        let body = store.get(CLONESETS, "default", "web").unwrap();
        assert_eq!(body["status"]["updatedAvailableReplicas"], 2);
        assert_eq!(body["status"]["observedGeneration"], 2);
        let told: Vec<String> =
            store.list("events", None).iter().map(|event| event.text("/reason").to_owned()).collect();
        assert_eq!(told.iter().filter(|reason| *reason == "SuccessfulCreate").count(), 7);
        task.abort();
        store.list(PODS, None).iter().map(|pod| pod.json().to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollout_over_the_store_steps_and_equal_seeds_give_equal_clusters() {
        let first = roll(7).await;
        assert_eq!(first.len(), 5);
        assert_eq!(first, roll(7).await);
    }
}
