//! What holds a release because of what the daemon cannot see, or is not to write.

use std::collections::BTreeMap;

use crate::cluster::{Error, Feed};
use crate::model::{Gate, Hold, Lift, LiftKind, ReleaseId};
use crate::objects::{keys, record};
use crate::world::Policy;

/// Companions that the daemon's account may not see: what cannot be seen is neither made nor repaired.
#[must_use]
pub fn unseen(whose: &str, feed: Feed, error: &Error) -> Hold {
    match feed {
        Feed::CloneSets | Feed::Records | Feed::Pods | Feed::Kept | Feed::Endpoints => {
            error.hold(&format!("{whose}: {feed} cannot be seen"))
        }
        Feed::Companions(kind) => error.hold(&format!("{whose}: companions of kind {kind} cannot be seen")),
    }
}

/// A record that another daemon writes, of the root `root`: this one can tell nothing there, and makes nothing
/// beside it.
#[must_use]
pub fn foreign(id: &ReleaseId, root: &str) -> Hold {
    let message = format!(
        "the record Release {id} belongs to another root ({root}) and is not written: name the release otherwise in \
         one of the two repositories, or delete the record"
    );
    let command =
        format!("kubectl delete {}.{} {} -n {}", record::PLURAL, keys::GROUP, id.name, id.namespace);
    let lift = Lift::by(LiftKind::Cluster).command(command);
    Hold { gate: Gate::Ownership, since: None, message, lift }
}

/// Says in the log what may not be listed or watched, as far as it keeps anybody waiting.
pub fn tell_unseen(forbidden: &BTreeMap<Feed, Error>, policy: &Policy) {
    for (feed, error) in forbidden {
        match feed {
            Feed::CloneSets | Feed::Records => {
                tracing::error!("{}", unseen("every release waits", *feed, error).message);
            }
            Feed::Pods => {
                tracing::error!("{}", unseen("releases that serve by approval wait", *feed, error).message);
            }
            Feed::Endpoints => {
                tracing::error!("{}", unseen("releases with weights wait", *feed, error).message);
            }
            Feed::Kept => {
                tracing::warn!("{}", unseen("nothing is said of those that wait", *feed, error).message);
            }
            Feed::Companions(kind) if policy.kinds.contains(kind) => {
                tracing::warn!(kind = %kind, "{}", unseen("releases that have one wait", *feed, error).message);
            }
            Feed::Companions(_) => {}
        }
    }
}
