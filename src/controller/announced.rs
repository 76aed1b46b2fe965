//! Creates are announced on the lease, many at once, before the first of them is sent.
//!
//! A create cannot know the UID of what it makes. Its memory names an announcement instead, and counts while that one
//! stands on the lease: for as long as it takes until every such object has its UID in its memory. What was copied
//! from one of them, and is applied later, names an announcement that stands no more.
//!
//! **Invariant:** an announcement is on the lease before it is used, and used by the process that has written it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use crate::cluster::{LEASE_DURATION, Lease};
use crate::model::ReleaseId;
use crate::world::{Case, Memory};

/// How long an announcement stays that nothing needs: a create of which nobody heard any more, of this process or of
/// one before, has come through by then or never will.
const KEPT: Duration = LEASE_DURATION;
/// The wait after an announcement that was refused: the lease is renewed twice meanwhile, or is lost.
const RETRY: Duration = Duration::from_secs(4);

/// The announcements that stand.
#[derive(Default)]
pub struct Announced {
    /// None where nothing is written: memory without a UID is believed there, and creates are told as they would be.
    lease: Option<Arc<Lease>>,
    /// This process's.
    own: Option<Arc<str>>,
    /// All of them, and since when nothing needs each.
    standing: BTreeMap<String, Option<Instant>>,
    not_before: Option<Instant>,
}

impl Announced {
    /// Those that stood on the lease when it became ours.
    #[must_use]
    pub fn of(lease: Option<Arc<Lease>>, creates: Vec<String>) -> Self {
        let standing = creates.into_iter().map(|create| (create, Some(Instant::now()))).collect();
        Self { lease, standing, ..Self::default() }
    }

    /// What creates carry from now on.
    #[must_use]
    pub fn own(&self) -> Option<Arc<str>> {
        if self.lease.is_none() { Some(Arc::from("observed")) } else { self.own.clone() }
    }

    /// Whether memory names no UID, and an announcement that stands.
    #[must_use]
    pub fn covers(&self, memory: &Memory) -> bool {
        let stands = memory.create.as_ref().is_some_and(|create| self.standing.contains_key(create));
        memory.uid.is_none() && (stands || self.lease.is_none())
    }

    /// Whether one may be written now, if it is asked for.
    #[must_use]
    pub fn may_announce(&self) -> bool {
        let waited = self.not_before.is_none_or(|moment| moment <= Instant::now());
        self.own.is_none() && self.lease.is_some() && waited
    }

    /// Announces the creates that follow; whether that was done. Else it may be tried again later.
    pub async fn announce(&mut self) -> bool {
        let Some(lease) = &self.lease else { return false };
        match lease.announce().await {
            Ok(create) => {
                self.own = Some(Arc::from(create.as_str()));
                self.standing.insert(create, None);
            }
            Err(error) => {
                self.not_before = Some(Instant::now() + RETRY);
                let message = error.hold("creates are not announced").message;
                tracing::warn!(category = error.category(), "{message}");
            }
        }
        self.own.is_some()
    }

    /// Looks which of them are needed: this process's where it `creates`, and those by which memory counts.
    pub fn look(&mut self, cases: &BTreeMap<ReleaseId, Arc<Case>>, creates: bool) {
        if self.standing.is_empty() {
            return;
        }
        let memories = cases.values().filter_map(|case| case.live.as_ref()?.memory.as_ref());
        let unnamed = memories.filter(|memory| memory.uid.is_none());
        let mut needed: BTreeSet<&str> = unnamed.filter_map(|memory| memory.create.as_deref()).collect();
        needed.extend(self.own.as_deref().filter(|_| creates));
        for (create, idle) in &mut self.standing {
            if needed.contains(create.as_str()) {
                *idle = None;
            } else {
                idle.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Withdraws those that nothing has needed for some time.
    pub fn withdraw(&mut self) {
        let idle = |since: &Option<Instant>| since.is_some_and(|since| since.elapsed() >= KEPT);
        let over: Vec<String> =
            self.standing.iter().filter(|(_, since)| idle(since)).map(|(create, _)| create.clone()).collect();
        for create in over {
            self.standing.remove(&create);
            self.own.take_if(|own| **own == *create);
            if let Some(lease) = &self.lease {
                lease.withdraw(&create);
            }
        }
    }
}
