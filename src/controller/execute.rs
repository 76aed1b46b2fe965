//! Carries out a plan: writes of one release in order, of several at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use serde_json::Value;

use crate::cluster::{Cache, Cluster, Error, Feed, Lane, Lease};
use crate::model::ReleaseId;
use crate::objects::{Kind, ObjectKey};
use crate::world::{Action, Decision, Move, Write};

/// Releases that are written at once. More do not make an API server faster, and eight keep one busy.
const WORKERS: usize = 8;

/// One write that was carried out.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object.
    pub key: ObjectKey,
    /// The body that was sent, and what the server made of it; nothing for a delete.
    pub applied: Option<(Arc<Value>, Value)>,
}

/// What became of the writes of one release.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Those that were carried out, in order.
    pub written: Vec<Written>,
    /// The one that was refused, and why; those after it were not sent.
    pub refused: Option<(ObjectKey, Error)>,
}

/// The hands of the loop.
pub struct Executor {
    /// The cluster.
    pub cluster: Cluster,
    /// What the watches see; our own writes stand there at once.
    pub cache: Cache,
    /// The lane of records, which waits meanwhile.
    pub lane: Lane,
    /// The lease; none where nobody else can write.
    pub lease: Option<Arc<Lease>>,
}

impl Executor {
    /// Carries out `moves`; rollbacks before everything else.
    pub async fn carry_out(&self, moves: &BTreeMap<&ReleaseId, &Move>) -> BTreeMap<ReleaseId, Carried> {
        let mut order: Vec<_> = moves.iter().filter(|(_, it)| !it.writes.is_empty()).collect();
        if order.is_empty() {
            return BTreeMap::new();
        }
        order.sort_by_key(|(id, it)| (!matches!(it.decision, Decision::RollBack | Decision::Fail), **id));
        let order: Vec<(ReleaseId, Vec<Write>)> =
            order.into_iter().map(|(id, it)| (ReleaseId::clone(id), it.writes.clone())).collect();
        self.lane.pause();
        let carried = futures::stream::iter(order)
            .map(|(id, writes)| async move { (id, self.carry_out_one(&writes).await) })
            .buffer_unordered(WORKERS)
            .collect()
            .await;
        self.lane.resume();
        carried
    }

    async fn carry_out_one(&self, writes: &[Write]) -> Carried {
        let mut carried = Carried { written: Vec::new(), refused: None };
        for write in writes {
            match self.send(write).await {
                Ok(written) => carried.written.push(written),
                Err(error) => {
                    carried.refused = Some((write.object.clone(), error));
                    break;
                }
            }
        }
        carried
    }

    async fn send(&self, write: &Write) -> Result<Written, Error> {
        if write.forward && self.lease.as_ref().is_some_and(|lease| !lease.allows_forward()) {
            let message = "the lease runs out before an answer could be in".to_owned();
            return Err(Error::Unavailable { message, retry_after: None });
        }
        let feed = match write.object.kind {
            Kind::CloneSet => Feed::CloneSets,
            companion => Feed::Companions(companion),
        };
        let returned = self.cluster.write(write).await?;
        let applied = match (&write.action, returned) {
            (Action::Apply { body, .. }, Some(object)) => {
                self.cache.wrote(feed, &object);
                Some((Arc::clone(body), object))
            }
            (Action::Apply { .. } | Action::Delete { .. }, _) => None,
        };
        Ok(Written { key: write.object.clone(), applied })
    }
}
