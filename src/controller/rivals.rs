//! Other daemons of the same root. A root is named by its branch and path, and so is its lease: two daemons whose leases
//! are in different namespaces know nothing of each other, but for the records, which say where their writer's lease is.
//!
//! **Invariant:** while the writer of a record holds its lease, or that cannot be told, nothing of that release is
//! written by anybody else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::{Duration, Instant};

use crate::cluster::lease::{DURATION, RETRY};
use crate::cluster::{Cluster, Error, LEASES, Target};
use crate::model::{Gate, Hold, Lift, LiftKind, ReleaseId};
use crate::objects::{keys, record};

/// What is known of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its lease was not looked at yet.
    Unknown,
    /// It holds its lease, by this name.
    Acts(String),
    /// It has given its lease back, or let it run out.
    Gone,
    /// Its lease cannot be looked at.
    Unseen(Error),
}

struct Rival {
    state: State,
    /// Its lease as it was last seen, and since when it is like that.
    version: Option<String>,
    since: Instant,
    releases: BTreeSet<ReleaseId>,
}

/// Every other daemon that a record names.
pub struct Rivals {
    /// Where our own lease is; nowhere for who writes nothing, and whom nobody disturbs.
    ours: Option<String>,
    all: BTreeMap<String, Rival>,
    look_at: Instant,
}

impl Rivals {
    /// None known yet; our own lease is in the namespace `ours`, or nowhere for who writes nothing.
    #[must_use]
    pub fn new(ours: Option<&str>) -> Self {
        Self { ours: ours.map(str::to_owned), all: BTreeMap::new(), look_at: Instant::now() }
    }

    /// Notes whose record a release has. Gives why it is not ours to write, while that is so.
    pub fn hold(&mut self, id: &ReleaseId, lease: Option<&str>) -> Option<Hold> {
        let ours = self.ours.as_deref()?;
        let theirs = lease.filter(|it| *it != ours);
        self.all.retain(|namespace, rival| {
            Some(namespace.as_str()) == theirs || !rival.releases.remove(id) || !rival.releases.is_empty()
        });
        let namespace = theirs?;
        let unknown = || Rival {
            state: State::Unknown,
            version: None,
            since: Instant::now(),
            releases: BTreeSet::new(),
        };
        let rival = self.all.entry(namespace.to_owned()).or_insert_with(unknown);
        rival.releases.insert(id.clone());
        if rival.state == State::Unknown {
            self.look_at = Instant::now();
        }
        told(id, namespace, &rival.state)
    }

    /// Whether one of them writes a release, or may do so: nothing of it is ours to write or to tell.
    #[must_use]
    pub fn write(&self, id: &ReleaseId) -> bool {
        self.all.values().any(|rival| rival.state != State::Gone && rival.releases.contains(id))
    }

    /// When leases are looked at again; never where there is none to look at.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        (!self.all.is_empty()).then_some(self.look_at)
    }

    /// Looks at the leases of all of them, where it is time. Gives the releases of which something else is to be said.
    pub async fn look(&mut self, cluster: &Cluster, root: &str) -> BTreeSet<ReleaseId> {
        let mut changed = BTreeSet::new();
        if self.next().is_none_or(|at| at > Instant::now()) {
            return changed;
        }
        for (namespace, rival) in &mut self.all {
            let target = Target { api: LEASES, namespace, name: &keys::lease(root), status: false };
            let state = rival.judge(cluster.read(target).await);
            if state != rival.state {
                match &state {
                    State::Acts(holder) => {
                        tracing::error!(holder, namespace, "another daemon follows the same branch and path");
                    }
                    State::Unseen(error) => tracing::error!(
                        namespace,
                        "releases that were written from there are not touched: whether that daemon still acts \
                         cannot be seen: {error}"
                    ),
                    State::Unknown | State::Gone => {}
                }
                rival.state = state;
                changed.extend(rival.releases.iter().cloned());
            }
        }
        self.look_at = Instant::now() + RETRY;
        changed
    }
}

impl Rival {
    /// What its lease says. Clocks are not compared: it counts as held for as long as it is renewed before our eyes.
    fn judge(&mut self, lease: Result<Option<Value>, Error>) -> State {
        let lease = match lease {
            Ok(Some(lease)) => lease,
            Ok(None) => return State::Gone,
            // What was seen before holds on while nobody answers.
            Err(error) if error.is_transient() => return self.state.clone(),
            Err(error) => return State::Unseen(error),
        };
        let text = |pointer: &str| lease.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let version = text("/metadata/resourceVersion");
        if version != self.version {
            (self.version, self.since) = (version, Instant::now());
        }
        let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64);
        let lasts = seconds.map_or(DURATION, Duration::from_secs);
        match text("/spec/holderIdentity").filter(|holder| !holder.is_empty()) {
            Some(holder) if self.since.elapsed() < lasts => State::Acts(holder),
            Some(_) | None => State::Gone,
        }
    }
}

/// Why a release is not ours to write.
#[must_use]
pub fn told(id: &ReleaseId, namespace: &str, state: &State) -> Option<Hold> {
    let (message, lift) = match state {
        State::Gone => return None,
        State::Unknown => (
            format!("{id} was written by a daemon in namespace {namespace}, whose lease is looked at"),
            Lift::wait(),
        ),
        State::Acts(holder) => {
            let message = format!(
                "{id} is written by another daemon, {holder}, which follows the same branch and path with its lease \
                 in namespace {namespace}"
            );
            (
                message,
                Lift::by(LiftKind::Configure)
                    .command("end one of the two, or give it another --branch or --path"),
            )
        }
        State::Unseen(error) => {
            let message = format!(
                "{id} was written by a daemon in namespace {namespace}, and whether it still acts cannot be seen: \
                 {error}; where it is no more, take its mark away"
            );
            let (plural, group, key) = (record::PLURAL, keys::GROUP, keys::LEASE_NAMESPACE);
            let command = format!("kubectl annotate {plural}.{group} {} -n {} {key}-", id.name, id.namespace);
            (message, Lift::by(LiftKind::Cluster).command(command))
        }
    };
    Some(Hold { gate: Gate::Ownership, since: None, message, lift })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lease(version: &str, holder: &str) -> Result<Option<Value>, Error> {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": 15});
        Ok(Some(json!({"metadata": {"resourceVersion": version}, "spec": spec})))
    }

    #[tokio::test(start_paused = true)]
    async fn another_daemon_acts_for_as_long_as_its_lease_is_renewed() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        let mut rivals = Rivals::new(Some("here"));
        assert!(rivals.hold(&id, None).is_none() && rivals.hold(&id, Some("here")).is_none());
        assert_eq!(rivals.next(), None, "nothing is asked where there is nobody");
        assert!(rivals.hold(&id, Some("there")).is_some(), "nothing is written before it was looked at");
        assert!(rivals.write(&id));
        let mut rival = rivals.all.remove("there").unwrap();
        let acts = State::Acts("triton-2".to_owned());
        assert_eq!(rival.judge(lease("1", "triton-2")), acts);
        tokio::time::advance(Duration::from_secs(14)).await;
        assert_eq!(rival.judge(lease("2", "triton-2")), acts);
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(rival.judge(lease("2", "triton-2")), State::Gone);
        assert_eq!(rival.judge(lease("3", "")), State::Gone, "it was given back");
        assert_eq!(rival.judge(Ok(None)), State::Gone);
    }

    #[tokio::test(start_paused = true)]
    async fn a_release_that_changes_hands_is_held_no_more() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        let mut rivals = Rivals::new(Some("here"));
        rivals.hold(&id, Some("there"));
        assert!(rivals.hold(&id, Some("here")).is_none() && !rivals.write(&id));
        assert_eq!(rivals.next(), None);
    }
}
