//! What is watched, and how far that is.

use std::fmt;

use crate::cluster::error::Error;
use crate::objects::Kind;

/// One watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feed {
    /// Every CloneSet.
    CloneSets,
    /// The companions of one kind that carry our label.
    Companions(Kind),
    /// Every record.
    Records,
    /// The pods with our readiness gate; watched once a release needs it.
    Pods,
    /// The EndpointSlices of the Services that are ours beside those that are shared by weights; watched once a release
    /// needs it.
    Endpoints,
    /// The pods in a state in which a lifecycle hook may keep them; watched once a CloneSet of a release has one.
    Kept,
}

impl Feed {
    /// Every watch that is open from the start.
    pub fn all() -> impl Iterator<Item = Self> {
        let companions = Kind::COMPANIONS.into_iter().map(Self::Companions);
        [Self::CloneSets, Self::Records].into_iter().chain(companions)
    }

    /// The watches that open once somebody asks for them.
    pub const ON_DEMAND: [Self; 3] = [Self::Pods, Self::Kept, Self::Endpoints];
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CloneSets => f.write_str("CloneSets"),
            Self::Companions(kind) => write!(f, "{kind} companions"),
            Self::Records => f.write_str("records (releases.triton.io)"),
            Self::Pods => f.write_str("pods that serve by approval"),
            Self::Endpoints => f.write_str("EndpointSlices of what weights lead to"),
            Self::Kept => f.write_str("pods in lifecycle hooks"),
        }
    }
}

/// How far a watch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedState {
    /// The first list is not in yet; with what stops it.
    Listing(Option<Error>),
    /// Everything is known.
    Synced,
    /// The cluster does not serve the kind.
    NotServed,
}
