//! The lease: one daemon writes, and what it last saw of Git is remembered beside it.
//!
//! Whether it is ours is judged by the monotonic clock of this process alone, from the moment *before* a renewal was
//! sent; the times in the object are for people.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cluster::apply::{LEASES, REQUEST_TIMEOUT, Target};
use crate::cluster::connect::Cluster;
use crate::cluster::error::Error;
use crate::model::{CommitId, Digest, ResourceVersion, Uid};
use crate::objects::keys;
use crate::world::{Action, Expect};

/// How long a lease lasts without a renewal (Kubernetes' default for its own controllers).
pub const DURATION: Duration = Duration::from_secs(15);
/// How long renewals may fail before the lease counts as lost (Kubernetes' default). Together with
/// [`REQUEST_TIMEOUT`] it is [`DURATION`].
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is renewed, or asked for (Kubernetes' default).
pub const RETRY: Duration = Duration::from_secs(2);

/// Announcements of creates that stand on a lease. A process has one at a time, and one of another process stays only
/// where a CloneSet of it still has no UID in its memory.
pub const CREATES_MAX: usize = 16;

/// The present moment, as the one clock of the program tells it.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What stands on a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The head that was seen last.
    pub head: Option<CommitId>,
    /// The repository that it is of; none where that was never written down.
    pub repository: Option<String>,
    /// The head that the records tell of.
    pub told: Option<CommitId>,
    /// When Git was last asked with success.
    pub polled_at: Option<Timestamp>,
    /// Announcements of creates, the newest last.
    pub creates: Vec<String>,
}

/// Why the lease is not ours yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Another daemon holds it: which, and whether it is one of another repository.
    Held(String),
    /// The API server did not do what was asked.
    Failed(Error),
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held(who) => f.write_str(who),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

/// What the holder of a lease follows, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follows {
    /// The repository, without credentials.
    pub repository: String,
    /// Time between two polls.
    pub interval: Duration,
}

/// The lease of one root.
pub struct Lease {
    cluster: Cluster,
    namespace: String,
    name: String,
    holder: String,
    follows: Follows,
    now: Now,
    state: Mutex<State>,
    /// What the next renewal writes. Apart from the state, which is held while a request is under way.
    notes: std::sync::Mutex<Notes>,
    renewed: std::sync::Mutex<Option<Instant>>,
}

#[derive(Clone, Default)]
struct Notes {
    polled_at: Option<Timestamp>,
    told: Option<CommitId>,
    creates: Vec<String>,
}

#[derive(Default)]
struct State {
    standing: Standing,
    object: Option<Value>,
    /// When the object was first seen as it is.
    seen_at: Option<Instant>,
    acquired_at: Option<Timestamp>,
    transitions: i64,
}

impl Lease {
    /// The lease `triton-<root>` in the cluster's own namespace, for `holder`: a name that no other process has.
    #[must_use]
    pub fn new(cluster: &Cluster, root: &str, holder: impl Into<String>, follows: Follows, now: Now) -> Self {
        Self {
            namespace: cluster.namespace().to_owned(),
            cluster: cluster.clone(),
            name: keys::lease(root),
            holder: holder.into(),
            follows,
            now,
            state: Mutex::default(),
            notes: std::sync::Mutex::default(),
            renewed: std::sync::Mutex::default(),
        }
    }

    /// Waits until the lease is ours and gives what stands on it. After each try that did not succeed, `waits` hears why.
    ///
    /// # Errors
    ///
    /// What will not pass by itself: a namespace that does not exist. A missing right is waited for: a person adds it,
    /// and need not start anything anew.
    pub async fn acquire(&self, waits: impl Fn(&Wait)) -> Result<Standing, Error> {
        let mut told = None;
        loop {
            let wait = match self.try_acquire().await {
                Ok(None) => return Ok(self.state.lock().await.standing.clone()),
                Ok(Some(who)) => Wait::Held(who),
                Err(error) if passes(&error) => Wait::Failed(error),
                Err(error) => return Err(error),
            };
            waits(&wait);
            if told.as_ref() != Some(&wait) {
                let why = match &wait {
                    Wait::Held(who) => who.clone(),
                    Wait::Failed(error) => error.hold("it cannot be had").message,
                };
                tracing::info!(lease = %self.name, namespace = %self.namespace, "waiting for the lease: {why}");
                told = Some(wait);
            }
            tokio::time::sleep(self.until_free().await.min(RETRY)).await;
        }
    }

    /// Time until the lease runs out, if nobody renews it; none that was ever seen is free at once.
    async fn until_free(&self) -> Duration {
        let state = self.state.lock().await;
        let seen = state.seen_at.filter(|_| state.object.is_some());
        let left = seen.map(|at| lasts(state.object.as_ref()).saturating_sub(at.elapsed()));
        // One that should be ours and is not is asked for no faster than any other.
        left.filter(|left| !left.is_zero()).unwrap_or(RETRY)
    }

    /// Takes the lease where it is free; else tells what it waits for.
    async fn try_acquire(&self) -> Result<Option<String>, Error> {
        let mut state = self.state.lock().await;
        let object = self.cluster.read(self.target()).await?;
        if state.seen_at.is_none() || version(object.as_ref()) != version(state.object.as_ref()) {
            state.seen_at = Some(Instant::now());
        }
        state.object = object;
        let text =
            |pointer: &str| state.object.as_ref().and_then(|it| it.pointer(pointer)).and_then(Value::as_str);
        let annotation = |key: &str| text(&format!("/metadata/annotations/{}", key.replace('/', "~1")));
        let holder = text("/spec/holderIdentity").unwrap_or_default().to_owned();
        let expired = state.seen_at.is_some_and(|at| at.elapsed() >= lasts(state.object.as_ref()));
        if !holder.is_empty() && holder != self.holder && !expired {
            return Ok(Some(held(&holder, annotation(keys::REPOSITORY), &self.follows.repository)));
        }
        // Taken for never seen, it would permit a branch that was rewritten.
        let malformed = |text: &str| {
            let (head, lease) = (keys::HEAD, &self.name);
            Error::Malformed(format!("the annotation {head} of lease {lease} is no commit: {text:?}"))
        };
        let head = annotation(keys::HEAD).map(|it| it.parse().map_err(|_| malformed(it))).transpose()?;
        let standing = Standing {
            head,
            repository: annotation(keys::REPOSITORY).map(str::to_owned),
            told: annotation(keys::TOLD).and_then(|it| it.parse().ok()),
            polled_at: annotation(keys::POLLED_AT).and_then(|it| it.parse().ok()),
            creates: annotation(keys::CREATES)
                .into_iter()
                .flat_map(|it| it.split(','))
                .map(str::to_owned)
                .collect(),
        };
        self.notes().creates.clone_from(&standing.creates);
        let transitions = state.object.as_ref().and_then(|it| it.pointer("/spec/leaseTransitions")?.as_i64());
        state.transitions = transitions.map_or(0, |it| it + i64::from(holder != self.holder));
        state.standing = standing;
        state.acquired_at = Some((self.now)());
        self.write(&mut state, &self.holder).await?;
        tracing::info!(lease = %self.name, namespace = %self.namespace, "the lease is ours");
        Ok(None)
    }

    /// Renews the lease for as long as it is ours; gives why it is lost.
    pub async fn keep(&self) -> Error {
        loop {
            tokio::time::sleep(RETRY).await;
            // The process stood still for longer than that: somebody else may act by now.
            if self.age().is_none_or(|age| age >= DURATION) {
                *self.renewed() = None;
                return Error::LeaseLost("it ran out while this process stood still".to_owned());
            }
            match self.renew().await {
                Ok(()) => {}
                Err(error) if error.is_transient() && self.age().is_some_and(|age| age < RENEW_DEADLINE) => {
                    tracing::warn!(lease = %self.name, category = error.category(), %error, "renewal failed");
                }
                Err(error) => {
                    *self.renewed() = None;
                    return error;
                }
            }
        }
    }

    async fn renew(&self) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let Err(error) = self.write(&mut state, &self.holder).await else { return Ok(()) };
        if error != Error::Conflict {
            return Err(error);
        }
        // Either a renewal of ours whose answer was lost, or another daemon.
        let object = self.cluster.read(self.target()).await?;
        let text = |pointer: &str| object.as_ref().and_then(|it| it.pointer(pointer)).and_then(Value::as_str);
        let acquired = text("/spec/acquireTime").and_then(|it| it.parse::<Timestamp>().ok());
        // Versions only grow. What was seen since the older state was saved is no more, and the watches would wait for
        // versions that were there already: only a new start sees what there is.
        if object.is_some() && number(object.as_ref()) < number(state.object.as_ref()) {
            return Err(Error::LeaseLost("the API server has gone back to an older state".to_owned()));
        }
        // One that was acquired at another moment is another process's, whatever its name.
        let ours = acquired == state.acquired_at;
        match text("/spec/holderIdentity") {
            Some(holder) if holder == self.holder && ours => state.object = object,
            Some(holder) if holder == self.holder => {
                return Err(Error::LeaseLost(format!("another daemon of the name {holder} holds it")));
            }
            Some(holder) => return Err(Error::LeaseLost(format!("{holder} holds it"))),
            None => return Err(Error::LeaseLost("nobody holds it".to_owned())),
        }
        self.write(&mut state, &self.holder).await
    }

    /// Whether a write that brings something new may be sent: the lease is ours until its answer is in.
    #[must_use]
    pub fn allows_forward(&self) -> bool {
        self.age().is_some_and(|age| age + REQUEST_TIMEOUT <= DURATION)
    }

    /// Writes down the head that is about to be used.
    ///
    /// # Errors
    ///
    /// Any: the head must not be used then.
    pub async fn record_head(&self, head: CommitId) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let standing = &state.standing;
        if standing.head == Some(head) && standing.repository.as_ref() == Some(&self.follows.repository) {
            return Ok(());
        }
        let after = Standing {
            head: Some(head),
            repository: Some(self.follows.repository.clone()),
            ..state.standing.clone()
        };
        let before = std::mem::replace(&mut state.standing, after);
        let written = self.write(&mut state, &self.holder).await;
        if written.is_err() {
            state.standing = before;
        }
        written
    }

    /// Announces creates, under a name that stood on no lease before: it is made of the version that the lease had.
    ///
    /// # Errors
    ///
    /// Any: nothing may be made under it then.
    pub async fn announce(&self) -> Result<String, Error> {
        let mut state = self.state.lock().await;
        let of = json!([&self.holder, (self.now)(), version(state.object.as_ref())]);
        let create = Digest::of(of.to_string().as_bytes()).short().to_string();
        let before = self.notes().creates.clone();
        let oldest = (before.len() + 1).saturating_sub(CREATES_MAX);
        let after = before.iter().skip(oldest).chain([&create]).cloned().collect();
        self.notes().creates = after;
        let written = self.write(&mut state, &self.holder).await;
        if written.is_err() {
            self.notes().creates = before;
        }
        written.map(|()| create)
    }

    /// Withdraws an announcement: it is gone with the next renewal.
    pub fn withdraw(&self, create: &str) {
        self.notes().creates.retain(|it| it != create);
    }

    /// Notes when Git was last asked with success: it is written with the next renewal.
    pub fn note_poll(&self, at: Timestamp) {
        self.notes().polled_at = Some(at);
    }

    /// Notes that the records tell of `head`: it is written with the next renewal.
    pub fn note_told(&self, head: CommitId) {
        self.notes().told = Some(head);
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().expect("nothing panics while it is held")
    }

    /// Gives the lease back, so that the next daemon need not wait until it runs out.
    pub async fn release(&self) {
        if self.renewed().take().is_some() {
            let mut state = self.state.lock().await;
            if let Err(error) = self.write(&mut state, "").await {
                tracing::info!(lease = %self.name, %error, "the lease was not given back");
            }
            *self.renewed() = None;
        }
    }

    fn renewed(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.renewed.lock().expect("nothing panics while it is held")
    }

    /// Time since the last renewal was sent; `None` while the lease is not ours.
    fn age(&self) -> Option<Duration> {
        self.renewed().map(|at| at.elapsed())
    }

    fn target(&self) -> Target<'_> {
        Target { api: LEASES, namespace: &self.namespace, name: &self.name, status: false }
    }

    async fn write(&self, state: &mut State, holder: &str) -> Result<(), Error> {
        let identity = state.object.as_ref().and_then(|object| {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            Some((text("/metadata/uid")?.to_owned(), text("/metadata/resourceVersion")?.to_owned()))
        });
        let expect = identity.map_or(Expect::Absent, |(uid, version)| {
            Expect::Same(Uid::new(uid), ResourceVersion::new(version))
        });
        let action = Action::Apply { body: Arc::new(self.body(state, holder)), expect };
        let sent_at = Instant::now();
        state.object = self.cluster.send(self.target(), &action).await?;
        *self.renewed() = Some(sent_at);
        Ok(())
    }

    fn body(&self, state: &State, holder: &str) -> Value {
        let mut annotations = serde_json::Map::new();
        let (notes, standing) = (self.notes().clone(), &state.standing);
        let creates = Some(notes.creates.join(",")).filter(|text| !text.is_empty());
        let texts = [
            (keys::HEAD, standing.head.map(|head| head.to_string())),
            (keys::REPOSITORY, standing.repository.clone()),
            (keys::TOLD, notes.told.or(standing.told).map(|head| head.to_string())),
            (keys::INTERVAL, Some(self.follows.interval.as_secs().to_string())),
            (keys::CREATES, creates),
            (keys::POLLED_AT, notes.polled_at.or(standing.polled_at).map(|at| at.to_string())),
        ];
        for (key, text) in texts {
            annotations.extend(text.map(|text| (key.to_owned(), text.into())));
        }
        json!({
            "metadata": {
                "labels": {keys::MANAGED_BY: keys::MANAGED_BY_TRITON},
                "annotations": annotations,
            },
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": DURATION.as_secs(),
                "acquireTime": state.acquired_at.map(micro),
                "renewTime": micro((self.now)()),
                "leaseTransitions": state.transitions,
            },
        })
    }
}

/// Whether a lease that could not be had may be had later, without this process being started anew.
fn passes(error: &Error) -> bool {
    error.is_transient() || matches!(error, Error::Exists | Error::Forbidden(_))
}

/// Why the lease cannot be had: who holds it, and whether that is a daemon of another repository.
fn held(holder: &str, theirs: Option<&str>, ours: &str) -> String {
    match theirs.filter(|theirs| *theirs != ours) {
        None => format!("{holder} holds it"),
        Some(theirs) => format!(
            "{holder} holds it for another repository, {theirs}; a root is named by its branch and path alone: give \
             this daemon another --branch or --path"
        ),
    }
}

/// How long a lease lasts without a renewal, as it says.
fn lasts(object: Option<&Value>) -> Duration {
    let seconds = object.and_then(|it| it.pointer("/spec/leaseDurationSeconds")?.as_u64());
    seconds.map_or(DURATION, Duration::from_secs)
}

/// A time as Kubernetes' `MicroTime`.
fn micro(at: Timestamp) -> String {
    format!("{at:.6}")
}

fn version(object: Option<&Value>) -> Option<&str> {
    object.and_then(|it| it.pointer("/metadata/resourceVersion")).and_then(Value::as_str)
}

/// The version as a number, where there is one.
fn number(object: Option<&Value>) -> Option<u64> {
    version(object).and_then(|it| it.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_of_another_repository_is_named_with_the_cure() {
        let ours = "https://git.example/shop/deploy";
        assert_eq!(held("a-1", Some(ours), ours), "a-1 holds it");
        assert_eq!(held("a-1", None, ours), "a-1 holds it");
        let other = held("a-1", Some("https://git.example/stock/deploy"), ours);
        assert!(other.contains("another repository, https://git.example/stock/deploy"), "{other}");
        assert!(other.contains("--path"), "{other}");
    }
}
