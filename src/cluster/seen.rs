//! One object of a watch, as a projection.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::feed::Feed;
use crate::cluster::project::{
    self, SeenCloneSet, SeenCompanion, SeenEndpoints, SeenKept, SeenPod, SeenRecord,
};
use crate::model::{ReleaseId, ResourceVersion, Uid};

/// One object as it was seen.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A CloneSet.
    CloneSet(Arc<SeenCloneSet>),
    /// A companion.
    Companion(Arc<SeenCompanion>),
    /// A record.
    Record(Arc<SeenRecord>),
    /// A pod with our readiness gate.
    Pod(Arc<SeenPod>),
    /// An EndpointSlice of a Service of ours.
    Endpoints(Arc<SeenEndpoints>),
    /// A pod that a lifecycle hook may keep.
    Kept(Arc<SeenKept>),
}

impl Seen {
    /// Reads an object of a watch; `None` for one without UID, version or a name that we could write.
    #[must_use]
    pub fn of(feed: Feed, object: &Value) -> Option<(ReleaseId, Self)> {
        let id = project::id(object)?;
        let seen = match feed {
            Feed::CloneSets => Self::CloneSet(Arc::new(project::cloneset(object)?)),
            Feed::Companions(_) => Self::Companion(Arc::new(project::companion(object)?)),
            Feed::Records => Self::Record(Arc::new(project::record(object)?)),
            Feed::Pods => Self::Pod(Arc::new(project::pod(object)?)),
            Feed::Endpoints => Self::Endpoints(Arc::new(project::endpoints(object)?)),
            Feed::Kept => Self::Kept(Arc::new(project::kept(object)?)),
        };
        Some((id, seen))
    }

    /// Which object it is, in which version.
    #[must_use]
    pub fn identity(&self) -> (&Uid, &ResourceVersion) {
        match self {
            Self::CloneSet(it) => (&it.live.uid, &it.live.version),
            Self::Companion(it) => (&it.live.uid, &it.live.version),
            Self::Record(it) => (&it.live.uid, &it.live.version),
            Self::Pod(it) => (&it.live.uid, &it.live.version),
            Self::Endpoints(it) => (&it.uid, &it.version),
            Self::Kept(it) => (&it.live.uid, &it.live.version),
        }
    }

    /// Whether `other` is an earlier version. Versions grow (Kubernetes, "Resource versions", since 1.35 by
    /// contract and before in fact); where they cannot be compared, what comes later counts.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        matches!((self.number(), other.number()), (Some(this), Some(other)) if this > other)
    }

    /// Its version, where that is a number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.identity().1.as_str().parse().ok()
    }

    /// The release that it belongs to: a companion says so, the others are named as theirs.
    #[must_use]
    pub fn release(&self, id: &ReleaseId) -> Option<ReleaseId> {
        match self {
            Self::CloneSet(it) => Some(it.twin.as_ref().map_or(id, |(release, _)| release).clone()),
            Self::Record(_) => Some(id.clone()),
            Self::Companion(it) => it.live.release.parse().ok(),
            Self::Pod(it) => Some(ReleaseId { namespace: id.namespace.clone(), name: it.release.clone() }),
            Self::Endpoints(it) => {
                Some(ReleaseId { namespace: id.namespace.clone(), name: it.release.clone() })
            }
            Self::Kept(it) => Some(ReleaseId { namespace: id.namespace.clone(), name: it.release.clone() }),
        }
    }
}
