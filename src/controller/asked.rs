//! What is asked of a case: what memory names, what the cluster remembers, whether Git says the same as before.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Known;
use crate::model::{CommitId, Digest};
use crate::world::{Case, Desired, Live};

/// What the cluster remembers of a release.
#[must_use]
pub fn remembered(case: &Case) -> Option<Known> {
    let memory = case.memory().or_else(|| case.recorded_memory())?;
    let proven = memory.top().is_some_and(|top| top.digest == memory.digest);
    let is_complete = proven && memory.step_reached.is_some() && case.live.is_some();
    Some(Known { digest: memory.digest, episode: memory.episode, is_complete })
}

/// The releases that memory names and whose documents are needed, with the commit that may have them.
#[must_use]
pub fn named(case: &Case) -> BTreeMap<Digest, Option<CommitId>> {
    let Some(memory) = case.memory().or_else(|| case.recorded_memory()) else { return BTreeMap::new() };
    let asked = case.live.as_ref().is_some_and(|live: &Live| live.rollback.is_some());
    let needed = |digest| asked || memory.top().is_some_and(|top| top.digest == digest);
    let proven = memory.proven.iter().filter(|proof| needed(proof.digest));
    let mut named: BTreeMap<_, _> = proven.map(|proof| (proof.digest, proof.commit)).collect();
    named.entry(memory.digest).or_insert(memory.episode);
    if let Some(home) = memory.home {
        let proof = memory.proven.iter().find(|proof| proof.digest == home);
        named.entry(home).or_insert(proof.and_then(|proof| proof.commit));
    }
    named
}

/// Whether Git says the same as before. Releases are shared while their text stands, and never compared by value.
#[must_use]
pub fn same_desire(a: &Desired, b: &Desired) -> bool {
    match (a, b) {
        (Desired::Release(a), Desired::Release(b)) if Arc::ptr_eq(a, b) => true,
        (Desired::Release(a), Desired::Release(b)) => {
            Arc::ptr_eq(&a.release, &b.release)
                && a.episode == b.episode
                && a.cap == b.cap
                && a.markers == b.markers
                && a.freezes == b.freezes
        }
        (Desired::Broken(a), Desired::Broken(b)) => a == b,
        (Desired::Gone(a), Desired::Gone(b)) => a == b,
        (Desired::Unknown, Desired::Unknown) => true,
        (Desired::Release(_) | Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown, _) => false,
    }
}

/// Whether HEAD has a release. Then a record without a root is taken over: it was made by hand, from the very file
/// perhaps, or has lost its mark.
#[must_use]
pub fn is_named(desired: Option<&Desired>) -> bool {
    match desired {
        Some(Desired::Release(_) | Desired::Broken(_)) => true,
        Some(Desired::Gone(_) | Desired::Unknown) | None => false,
    }
}
