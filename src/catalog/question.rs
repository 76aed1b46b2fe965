//! What is asked of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::git::Repository;
use crate::model::{CommitId, Digest, ReleaseId};
use crate::world::Policy;

/// What the cluster remembers of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// *D* of the entered release.
    pub digest: Digest,
    /// *S* of the entered episode.
    pub episode: Option<CommitId>,
    /// Whether nothing is open: its last step is reached and proven.
    pub is_complete: bool,
}

/// What is asked. The head has been checked to descend from the last one seen, or was accepted by a person.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The mirror.
    pub repository: &'a Repository,
    /// The head to read.
    pub head: CommitId,
    /// The last head seen, as the Lease has it.
    pub seen: Option<CommitId>,
    /// What the cluster remembers, for every release that it has.
    pub known: &'a BTreeMap<ReleaseId, Known>,
    /// The daemon's configuration.
    pub policy: &'a Arc<Policy>,
}
