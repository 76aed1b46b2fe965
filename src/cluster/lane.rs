//! The second lane of writes: records and Events, told when no workload is being written, coalesced to the newest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::cluster::apply::{EVENTS, RECORDS, Target};
use crate::cluster::cache::{Cache, Feed};
use crate::cluster::connect::Cluster;
use crate::cluster::error::Error;
use crate::cluster::project;
use crate::model::{Hold, ReleaseId, ResourceVersion, Uid};
use crate::objects::keys;
use crate::objects::record::ReleaseStatus;
use crate::world::{Action, Expect};

/// Events of one release that wait to be sent; the oldest go first. More than a handful at once tell nobody anything.
const EVENTS_MAX: usize = 8;
/// Records that are written at once: half of what workloads may take.
const WORKERS: usize = 4;
/// The first wait after a failure, doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait after a failure: who mends the cause sees it within a minute.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The wait from which on a failure that may pass by itself is told.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is to be told of one release.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    /// The record's spec, as in Git.
    pub spec: Value,
    /// The root that it belongs to.
    pub root: String,
    /// Where the daemon that wrote the record before has its lease, if that one is no more.
    pub heir_of: Option<String>,
    /// The record's status; what speaks of the record's generation is filled in here.
    pub status: ReleaseStatus,
}

/// One Event (events.k8s.io/v1), about a CloneSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Unique name of the Event: the same event told twice is one.
    pub name: String,
    /// When.
    pub time: jiff::Timestamp,
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// One word: the decision.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
    /// UID of the CloneSet, where there is one.
    pub about: Option<Uid>,
    /// Who tells it.
    pub instance: String,
}

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
    records: BTreeMap<ReleaseId, Option<Telling>>,
    notes: BTreeMap<ReleaseId, VecDeque<Note>>,
    failures: BTreeMap<ReleaseId, Failure>,
    writing: BTreeSet<ReleaseId>,
}

/// Everything that is to be told of one release. A telling of nothing is the record's end.
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
        self.busy.send_replace(true);
    }

    /// This lane goes on.
    pub fn resume(&self) {
        self.busy.send_replace(false);
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
        loop {
            let woken = self.wake.notified();
            while writing.len() < WORKERS
                && !*busy.borrow_and_update()
                && let Some(entry) = self.next()
            {
                let (cluster, cache) = (cluster.clone(), cache.clone());
                writing.push(async move {
                    let told = tell(&cluster, &cache, &entry).await;
                    (entry, told)
                });
            }
            // Where nothing can be begun, that ends by what is waited for beside.
            let retry_at = if writing.len() < WORKERS && !*busy.borrow() { self.next_retry() } else { None };
            tokio::select! {
                biased;
                Some((entry, told)) = writing.next() => self.settle(entry, told, &cache),
                // The sender lives as long as `self`.
                _ = busy.changed() => {}
                () = woken => {}
                () = sleep_until(retry_at) => {}
            }
        }
    }

    /// The next release that is not being written and does not wait after a failure, with everything about it.
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
        let Entry { id, telling, notes: _ } = entry;
        let mut queue = self.queue();
        queue.writing.remove(&id);
        let before = queue.failures.remove(&id);
        let was_told = before.as_ref().is_some_and(Failure::is_told);
        let Err(error) = told else {
            drop(queue);
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
        // Something newer may have been left here meanwhile.
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
    let id = &entry.id;
    match &entry.telling {
        Some(Some(telling)) => write_record(cluster, cache, id, telling).await?,
        Some(None) => delete_record(cluster, cache, id).await?,
        None => {}
    }
    for note in &entry.notes {
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

fn record_target(id: &ReleaseId, status: bool) -> Target<'_> {
    Target { api: RECORDS, namespace: id.namespace.as_str(), name: id.name.as_str(), status }
}

/// Writes a release's record: its spec where that differs, then its status where that does. Also the announcement of
/// a create goes through here, before the create.
///
/// # Errors
///
/// See [`Error`].
pub async fn write_record(
    cluster: &Cluster,
    cache: &Cache,
    id: &ReleaseId,
    telling: &Telling,
) -> Result<(), Error> {
    let seen = cache.record(id);
    let spec = json!({"spec": telling.spec});
    let ours = Some(cluster.namespace());
    let lease = seen.as_ref().and_then(|seen| seen.lease.as_deref());
    // Another daemon has written it since this was left here: what it says is not ours to replace.
    if lease.is_some() && lease != ours && lease != telling.heir_of.as_deref() {
        return Ok(());
    }
    let stands = seen.as_ref().is_some_and(|seen| {
        let is_marked = seen.live.root.as_deref() == Some(telling.root.as_str()) && lease == ours;
        is_marked && seen.stand.object() == spec
    });
    let mut known = seen
        .as_ref()
        .map(|seen| (Expect::Same(seen.live.uid.clone(), seen.live.version.clone()), seen.live.generation));
    if !stands {
        let body = json!({
            "metadata": {
                "labels": {keys::MANAGED_BY: keys::MANAGED_BY_TRITON},
                "annotations": {keys::ROOT: telling.root, keys::LEASE_NAMESPACE: cluster.namespace()},
            },
            "spec": telling.spec,
        });
        let expect = known.map_or(Expect::Absent, |(expect, _)| expect);
        let action = Action::Apply { body: Arc::new(body), expect };
        let object = cluster.send(record_target(id, false), &action).await?.unwrap_or_default();
        cache.wrote(Feed::Records, &object);
        known = project::record(&object)
            .map(|it| (Expect::Same(it.live.uid, it.live.version), it.live.generation));
    }
    let Some((expect, generation)) = known else {
        return Err(Error::Malformed("a record without UID or resourceVersion".to_owned()));
    };
    let status = at_generation(&telling.status, generation);
    if seen.is_some_and(|seen| seen.status() == status) {
        return Ok(());
    }
    let status = serde_json::to_value(status).map_err(|error| Error::Malformed(error.to_string()))?;
    let body = json!({"status": said(status)});
    let action = Action::Apply { body: Arc::new(body), expect };
    let object = cluster.send(record_target(id, true), &action).await?.unwrap_or_default();
    cache.wrote(Feed::Records, &object);
    Ok(())
}

fn at_generation(status: &ReleaseStatus, generation: i64) -> ReleaseStatus {
    let mut status = status.clone();
    status.observed_generation = generation;
    for condition in &mut status.conditions {
        condition.observed_generation = generation;
    }
    status
}

/// A value without nulls and empty maps: an apply of null is refused where the schema knows none, and an apply of an
/// empty map where there were entries before (recorded); what is left out is removed.
fn said(value: Value) -> Value {
    let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(key, value)| (key, said(value)));
            Value::Object(kept.filter(|(_, value)| !empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(said).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

async fn delete_record(cluster: &Cluster, cache: &Cache, id: &ReleaseId) -> Result<(), Error> {
    let Some(seen) = cache.record(id) else { return Ok(()) };
    let (uid, version): (Uid, ResourceVersion) = (seen.live.uid.clone(), seen.live.version.clone());
    cluster.send(record_target(id, false), &Action::Delete { uid, version }).await?;
    Ok(())
}

async fn write_note(cluster: &Cluster, id: &ReleaseId, note: &Note) -> Result<(), Error> {
    let api = cluster.clonesets().api();
    let regarding = json!({
        "apiVersion": api.api_version(),
        "kind": api.kind,
        "namespace": id.namespace.as_str(),
        "name": id.name.as_str(),
        "uid": note.about.as_ref().map(Uid::as_str).unwrap_or_default(),
    });
    let body = json!({
        "eventTime": format!("{:.6}", note.time),
        "type": note.kind,
        "reason": note.reason,
        "action": note.reason,
        "note": note.message,
        "reportingController": keys::GROUP,
        "reportingInstance": note.instance,
        "regarding": regarding,
    });
    let target = Target { api: EVENTS, namespace: id.namespace.as_str(), name: &note.name, status: false };
    let action = Action::Apply { body: Arc::new(body), expect: Expect::Absent };
    cluster.send(target, &action).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_sent_without_nulls_and_empty_maps() {
        let status = json!({"a": null, "b": {"c": null}, "d": [], "e": [{"f": null, "g": 1}], "h": ""});
        assert_eq!(said(status), json!({"d": [], "e": [{"g": 1}], "h": ""}));
    }
}
