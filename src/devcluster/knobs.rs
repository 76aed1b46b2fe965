//! What tests may turn: failures, refusals, delays, dropped watches. And what they may read: the log of writes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::devcluster::refusal::Refusal;

/// Writes kept in the log; the oldest go first.
pub const WRITES_KEPT: usize = 10_000;

/// The user who asks, as refusals name it.
pub const USER: &str = "admin";

/// Faults, as plain data. Nothing is wrong by default.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Requests that fail, each so many times.
    pub failures: Vec<Failure>,
    /// What the user has no right to.
    pub denials: Vec<Denial>,
    /// How long every request takes before it is looked at.
    pub delay: Duration,
    /// Verb and resource of requests that are never answered.
    pub silent: Option<(&'static str, String)>,
}

/// Fails the next requests of one verb on one resource.
#[derive(Clone, Debug)]
pub struct Failure {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// `clonesets`.
    pub plural: String,
    /// How many more requests fail.
    pub times: u32,
    /// With what.
    pub with: Refusal,
    /// Whether the write is done all the same and only its answer is lost.
    pub after: bool,
}

/// What the user may not do.
#[derive(Clone, Debug)]
pub struct Denial {
    /// As in [`Failure`]; `*` for all.
    pub verb: &'static str,
    /// `clonesets`; `*` for all.
    pub plural: String,
    /// Only in this namespace; `None` everywhere.
    pub namespace: Option<String>,
}

/// One request that meant to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// `create`, `update`, `patch`, `apply`, `delete`.
    pub verb: &'static str,
    /// Path and query.
    pub path: String,
    /// The field manager, empty for deletes.
    pub manager: String,
    /// When it came.
    pub time: Timestamp,
    /// The status it was answered with.
    pub code: u16,
}

/// The knobs and the log of one cluster. Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct TestKnobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    faults: Mutex<Faults>,
    writes: Mutex<VecDeque<Write>>,
    dropped: watch::Sender<u64>,
}

impl Default for TestKnobs {
    fn default() -> TestKnobs {
        TestKnobs(Arc::new(Inner {
            faults: Mutex::new(Faults::default()),
            writes: Mutex::new(VecDeque::new()),
            dropped: watch::Sender::new(0),
        }))
    }
}

impl TestKnobs {
    /// Changes the faults.
    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut lock(&self.0.faults));
    }

    /// Ends every watch that is open now, without a word to its client.
    pub fn drop_watches(&self) {
        self.0.dropped.send_modify(|count| *count += 1);
    }

    /// The log of writes, oldest first.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        lock(&self.0.writes).iter().cloned().collect()
    }

    /// Forgets the log of writes.
    pub fn clear_writes(&self) {
        lock(&self.0.writes).clear();
    }

    /// Tells when watches are dropped.
    #[must_use]
    pub fn dropped(&self) -> watch::Receiver<u64> {
        self.0.dropped.subscribe()
    }

    /// How long a request waits before it is looked at.
    #[must_use]
    pub fn delay(&self) -> Duration {
        lock(&self.0.faults).delay
    }

    /// Whether a request is never answered.
    #[must_use]
    pub fn is_silent(&self, verb: &str, plural: &str) -> bool {
        lock(&self.0.faults).silent.as_ref().is_some_and(|(of, on)| *of == verb && on == plural)
    }

    /// Adds to the log.
    pub fn note(&self, write: Write) {
        let mut writes = lock(&self.0.writes);
        if writes.len() == WRITES_KEPT {
            writes.pop_front();
        }
        writes.push_back(write);
    }

    /// The failure that is due for a request, before or `after` it was done.
    ///
    /// # Errors
    /// That failure.
    pub fn fail(&self, verb: &str, plural: &str, after: bool) -> Result<(), Refusal> {
        let mut faults = lock(&self.0.faults);
        let due = faults.failures.iter_mut().find(|failure| {
            failure.times > 0 && failure.verb == verb && failure.plural == plural && failure.after == after
        });
        match due {
            None => Ok(()),
            Some(failure) => {
                failure.times -= 1;
                Err(failure.with.clone())
            }
        }
    }

    /// Whether the user has the right to a request.
    ///
    /// # Errors
    /// 403 in the words of Kubernetes.
    pub fn authorize(
        &self,
        verb: &str,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), Refusal> {
        let faults = lock(&self.0.faults);
        let denied = faults.denials.iter().any(|denial| {
            (denial.verb == "*" || denial.verb == verb)
                && (denial.plural == "*" || denial.plural == plural)
                && denial.namespace.as_ref().is_none_or(|denied| denied == namespace)
        });
        if !denied {
            return Ok(());
        }
        let place = match namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let why = format!("User {USER:?} cannot {verb} resource {plural:?} in API group {group:?} {place}");
        let resource = crate::devcluster::kinds::resource_name(group, plural);
        Err(Refusal::forbidden(&resource, name, &why))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
