//! What leads traffic to the pods of a release, as it stands.

use std::collections::BTreeSet;

use crate::model::Name;
use crate::spec::Follower;

/// How a route shares the traffic of the Services that select the pods of a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// Not at all: it is as Git has it, and traffic follows the pods.
    #[default]
    Base,
    /// By revision: so much of it, in whole percent, goes to pods of the entered one, and the rest to those of the proven
    /// one.
    Split(u32),
}

/// Whose pods a Service of ours has, of the two beside one that is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Those of the proven revision.
    Stable,
    /// Those of the entered one.
    Canary,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Canary];
}

/// A Service of ours beside one that is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The one that is shared.
    pub service: Name,
    /// Whose pods this one has.
    pub role: Role,
    /// The revision that its selector has, by what stands behind the last dash of its name; empty where it has none.
    pub hash: String,
    /// Ready endpoints in its EndpointSlices; `None` where those are not watched, or were not listed yet.
    pub ready: Option<u32>,
}

/// What follows one of the CloneSets of a release that is switched as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follows {
    /// How.
    pub as_what: Follower,
    /// What it follows, where it is not as Git has it: a revision, by the label of its pods, or the name of a CloneSet.
    pub to: Option<String>,
    /// Of a Service: ready endpoints in its EndpointSlices; `None` where those are not watched, or were not listed yet.
    pub ready: Option<u32>,
}

/// What a companion does for the weights of its release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leads {
    /// Of a route: how it shares traffic.
    pub share: Share,
    /// Of a route: whether it has rules that lead testers to the entered revision, whatever it shares.
    pub testers: bool,
    /// Of a route: the Services that it leads to, by their names: it leads to nothing else of ours.
    pub to: BTreeSet<Name>,
    /// Of a canary Ingress: the one whose traffic it shares.
    pub canary_of: Option<Name>,
    /// Of a Service that is ours.
    pub beside: Option<Beside>,
    /// Of what follows one of the CloneSets of a release that is switched as a whole.
    pub follows: Option<Follows>,
}

/// What stands behind the last dash of a revision's name: the label that its pods have (Kruise,
/// `pkg/controller/cloneset/utils/cloneset_utils.go:GetShortHash`).
#[must_use]
pub fn hash_of(revision: &str) -> &str {
    revision.rsplit_once('-').map_or(revision, |(_, hash)| hash)
}
