//! The second lane of writes: records and Events, coalesced to the newest.
//!
//! They are told when no workload is being written, or slowly where that does not end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::cluster::cache::Cache;
use crate::cluster::connect::Cluster;
use crate::cluster::error::Error;
use crate::cluster::telling::{Note, Telling, delete_record, write_note, write_record};
use crate::model::{Hold, ReleaseId};

/// Events of one release that wait to be sent; the oldest go first. More than a handful at once tell nobody anything.
const EVENTS_MAX: usize = 8;
/// Releases that are told of at once: half of what workloads may take.
const WORKERS: usize = 8;
/// How long these wait for workloads. From then on they are written one by one: people are told late, and are told.
const HELD_MAX: Duration = Duration::from_secs(2);
/// The first wait after a failure, doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait after a failure: who mends the cause sees it within a minute.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The wait from which on a failure that may pass by itself is told.
const PATIENCE: Duration = Duration::from_secs(8);

/// A release of which the last telling failed.
struct Failure {
    /// When it is tried again.
    at: Instant,
    wait: Duration,
    error: Error,
}

impl Failure {
    /// Whether it is worth a word: what passes by itself has some tries.
    fn is_told(&self) -> bool {
        !self.error.is_transient() || self.wait >= PATIENCE
    }
}

#[derive(Default)]
struct Queue {
    /// A telling of nothing is the record's end.
    records: BTreeMap<ReleaseId, Option<Telling>>,
    notes: BTreeMap<ReleaseId, VecDeque<Note>>,
    failures: BTreeMap<ReleaseId, Failure>,
    writing: BTreeSet<ReleaseId>,
}

/// What is to be told of one release.
struct Entry {
    id: ReleaseId,
    telling: Option<Option<Telling>>,
    notes: VecDeque<Note>,
}

/// Where the loop leaves what is to be told.
#[derive(Clone)]
pub struct Lane {
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
    busy: Arc<watch::Sender<bool>>,
}

impl Default for Lane {
    fn default() -> Self {
        Self { queue: Arc::default(), wake: Arc::default(), busy: Arc::new(watch::Sender::new(false)) }
    }
}

impl Lane {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics while the queue is held")
    }

    /// Leaves the newest state of a release's record. What was left before and not yet written is dropped.
    pub fn tell(&self, id: &ReleaseId, telling: Telling) {
        self.queue().records.insert(id.clone(), Some(telling));
        self.wake.notify_one();
    }

    /// The release is gone, and its record goes as well.
    pub fn forget(&self, id: &ReleaseId) {
        self.queue().records.insert(id.clone(), None);
        self.wake.notify_one();
    }

    /// Leaves an Event.
    pub fn note(&self, id: &ReleaseId, note: Note) {
        let mut queue = self.queue();
        let notes = queue.notes.entry(id.clone()).or_default();
        if notes.len() == EVENTS_MAX {
            notes.pop_front();
        }
        notes.push_back(note);
        drop(queue);
        self.wake.notify_one();
    }

    /// Workloads are being written: this lane waits.
    pub fn pause(&self) {
        self.busy.send_if_modified(|busy| !std::mem::replace(busy, true));
    }

    /// This lane goes on.
    pub fn resume(&self) {
        self.busy.send_if_modified(|busy| std::mem::replace(busy, false));
    }

    /// Whether everything that was left here is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let queue = self.queue();
        queue.records.is_empty() && queue.notes.is_empty() && queue.writing.is_empty()
    }

    /// Whether every record tells what was left here last, but for those that the server does not take.
    #[must_use]
    pub fn is_told(&self) -> bool {
        let queue = self.queue();
        let fails = |id: &ReleaseId| queue.failures.contains_key(id);
        queue.records.keys().chain(&queue.writing).all(fails)
    }

    /// Writes what is left here, a few releases at once, for as long as the process lives.
    pub async fn run(self, cluster: Cluster, cache: Cache) {
        let mut busy = self.busy.subscribe();
        let mut writing = FuturesUnordered::new();
        let mut held_since = None;
        loop {
            let woken = self.wake.notified();
            let held = *busy.borrow_and_update();
            held_since = held_since.filter(|_| held).or_else(|| held.then(Instant::now));
            let workers = match held_since.map(|since: Instant| since.elapsed() >= HELD_MAX) {
                None => WORKERS,
                Some(true) => 1,
                Some(false) => 0,
            };
            while writing.len() < workers {
                let Some(entry) = self.next() else { break };
                let (cluster, cache) = (cluster.clone(), cache.clone());
                writing.push(async move {
                    let told = tell(&cluster, &cache, &entry).await;
                    (entry, told)
                });
            }
            // Where nothing can be begun, that ends by what is waited for beside.
            let retry_at = if writing.len() < workers { self.next_retry() } else { None };
            let held_until = held_since.filter(|_| workers == 0).map(|since| since + HELD_MAX);
            tokio::select! {
                biased;
                Some((entry, told)) = writing.next() => self.settle(entry, told, &cache),
                // The sender lives as long as `self`.
                _ = busy.changed() => {}
                () = woken => {}
                () = sleep_until([retry_at, held_until].into_iter().flatten().min()) => {}
            }
        }
    }

    /// The next release of which there is something to tell, that is not being written and does not wait after a
    /// failure.
    fn next(&self) -> Option<Entry> {
        let mut queue = self.queue();
        let now = Instant::now();
        let free = |id: &&ReleaseId| {
            !queue.writing.contains(*id) && queue.failures.get(*id).is_none_or(|failure| failure.at <= now)
        };
        let id = queue.records.keys().chain(queue.notes.keys()).find(free)?.clone();
        let telling = queue.records.remove(&id);
        let notes = queue.notes.remove(&id).unwrap_or_default();
        queue.writing.insert(id.clone());
        Some(Entry { id, telling, notes })
    }

    /// When the next one may be tried again.
    fn next_retry(&self) -> Option<Instant> {
        let queue = self.queue();
        let left = queue.records.keys().chain(queue.notes.keys()).filter(|id| !queue.writing.contains(*id));
        left.filter_map(|id| queue.failures.get(id)).map(|failure| failure.at).min()
    }

    /// Why the record of a release is not written, until it is.
    #[must_use]
    pub fn failure(&self, id: &ReleaseId) -> Option<Hold> {
        let queue = self.queue();
        let failure = queue.failures.get(id).filter(|failure| failure.is_told())?;
        Some(failure.error.hold(&format!("the record Release {id}")))
    }

    fn settle(&self, entry: Entry, told: Result<(), Error>, cache: &Cache) {
        let Entry { id, telling, .. } = entry;
        let mut queue = self.queue();
        queue.writing.remove(&id);
        let before = queue.failures.remove(&id);
        let was_told = before.as_ref().is_some_and(Failure::is_told);
        let Err(error) = told else {
            drop(queue);
            // The next one of these may have waited for it.
            self.wake.notify_one();
            if was_told {
                cache.touch(&id);
            }
            return;
        };
        let is_news = before.as_ref().is_none_or(|it| it.error != error);
        if is_news {
            let message = error.hold(&format!("the record Release {id}")).message;
            tracing::warn!(release = %id, category = error.category(), "{message}");
        }
        let wait = before.map_or(RETRY_FIRST, |it| RETRY_MAX.min(it.wait * 2));
        let failure = Failure { at: Instant::now() + wait.max(error.asked()), wait, error };
        let tells = failure.is_told() && (is_news || !was_told);
        queue.failures.insert(id.clone(), failure);
        // Unless something newer was left meanwhile.
        if let Some(telling) = telling {
            queue.records.entry(id.clone()).or_insert(telling);
        }
        drop(queue);
        if tells {
            cache.touch(&id);
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn tell(cluster: &Cluster, cache: &Cache, entry: &Entry) -> Result<(), Error> {
    let Entry { id, telling, notes } = entry;
    match telling {
        Some(Some(telling)) => write_record(cluster, cache, id, telling).await?,
        Some(None) => delete_record(cluster, cache, id).await?,
        None => {}
    }
    for note in notes {
        match write_note(cluster, id, note).await {
            // Told before, or nobody to tell.
            Ok(()) | Err(Error::Exists | Error::NoNamespace(_)) => {}
            // An Event is worth no second try; a right that is missing is worth a word.
            Err(error @ Error::Forbidden(_)) => {
                tracing::warn!(release = %id, category = error.category(), "{}", error.hold("an Event").message);
            }
            Err(error) => tracing::debug!(release = %id, %error, "an Event was not written"),
        }
    }
    Ok(())
}
