//! Carries out a plan: writes of one release in order, of several at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use serde_json::Value;
use tokio::time::{Duration, Instant};

use crate::cluster::{Cache, Cluster, Error, Feed, Lane, Lease};
use crate::controller::drift::rewritten;
use crate::controller::pulse::Pulse;
use crate::model::ReleaseId;
use crate::objects::{Kind, ObjectKey};
use crate::world::{Action, Decision, Move, Write};

/// Releases that are written at once. More do not make an API server faster, and eight keep one busy.
const WORKERS: usize = 8;
/// How long a lap starts moves that are not urgent: the next one plans those that are left again, and a revert that
/// has come meanwhile goes first.
const LAP: Duration = Duration::from_secs(2);

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

/// The object as it would be, or what the server has against it.
pub type Rehearsed = Result<Value, Error>;

/// What became of the writes of a lap.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// By release; those that were not begun are not there.
    pub carried: BTreeMap<ReleaseId, Carried>,
    /// Whether some were left to the next lap.
    pub left: bool,
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
    /// Hears of every answer.
    pub pulse: Pulse,
    /// Objects of which a mutating webhook made something else.
    pub rewritten: Rewritten,
}

/// Objects whose last write a mutating webhook made into another one. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Rewritten(Arc<Mutex<BTreeSet<ObjectKey>>>);

impl Rewritten {
    fn has(&self, key: &ObjectKey) -> bool {
        self.0.lock().expect("nothing panics while it is held").contains(key)
    }

    fn note(&self, key: &ObjectKey, is_so: bool) {
        let mut keys = self.0.lock().expect("nothing panics while it is held");
        if is_so {
            keys.insert(key.clone())
        } else {
            keys.remove(key)
        };
    }
}

impl Executor {
    /// Carries out `moves`; rollbacks before everything else. Nothing is sent that goes forward once `is_fresh` says
    /// that the last fetch has become too old.
    pub async fn carry_out(
        &self,
        moves: &BTreeMap<&ReleaseId, &Move>,
        is_fresh: &(dyn Fn() -> bool + Sync),
    ) -> Done {
        let mut order: Vec<(bool, ReleaseId, bool, Vec<Write>)> = moves
            .iter()
            .filter(|(_, it)| !it.writes.is_empty())
            .map(|(id, it)| {
                let urgent = matches!(it.decision, Decision::RollBack | Decision::Fail);
                // A repair may be marked as forward too, and needs no fetch.
                let bound = matches!(it.decision, Decision::Enter(_) | Decision::Create);
                (!urgent, ReleaseId::clone(id), bound, it.writes.clone())
            })
            .collect();
        if order.is_empty() {
            return Done::default();
        }
        order.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let began = Instant::now();
        self.lane.pause();
        let carried: Vec<_> = futures::stream::iter(order)
            .map(|(can_wait, id, bound, writes)| async move {
                if can_wait && began.elapsed() >= LAP {
                    return None;
                }
                let may_go = || !bound || is_fresh();
                Some((id, self.carry_out_one(&writes, &may_go).await))
            })
            .buffer_unordered(WORKERS)
            .collect()
            .await;
        self.lane.resume();
        let left = carried.iter().any(Option::is_none);
        Done { carried: carried.into_iter().flatten().collect(), left }
    }

    /// Asks what each of the writes would change, a few at once.
    pub async fn rehearse(&self, writes: Vec<(ReleaseId, Write)>) -> Vec<(ReleaseId, Rehearsed)> {
        let asked = writes.into_iter().map(|(id, write)| async move {
            let answer = self.cluster.rehearse(&write).await;
            self.pulse.beat();
            // What was learned wakes the next lap.
            self.cache.touch(&id);
            (id, answer.map(Option::unwrap_or_default))
        });
        futures::stream::iter(asked).buffer_unordered(WORKERS).collect().await
    }

    async fn carry_out_one(&self, writes: &[Write], may_go: &(dyn Fn() -> bool + Sync)) -> Carried {
        let mut carried = Carried { written: Vec::new(), refused: None };
        for write in writes {
            let sent = match self.is_still_rewritten(write).await {
                Some(error) => Err(error),
                None => self.send(write, may_go).await,
            };
            self.pulse.beat();
            match sent {
                Ok(written) => {
                    let applied = written.applied.as_ref();
                    let rewritten = applied.and_then(|(sent, returned)| rewritten(sent, returned));
                    carried.written.push(written);
                    self.rewritten.note(&write.object, rewritten.is_some());
                    if let Some(error) = rewritten {
                        carried.refused = Some((write.object.clone(), error));
                        break;
                    }
                }
                Err(error) => {
                    carried.refused = Some((write.object.clone(), error));
                    break;
                }
            }
        }
        carried
    }

    /// What would become of a write to an object whose last one was rewritten: what has no other end is not written again.
    async fn is_still_rewritten(&self, write: &Write) -> Option<Error> {
        let Action::Apply { body, .. } = &write.action else { return None };
        if !self.rewritten.has(&write.object) {
            return None;
        }
        match self.cluster.rehearse(write).await {
            Ok(after) => rewritten(body, &after.unwrap_or_default()),
            Err(error) => Some(error),
        }
    }

    async fn send(&self, write: &Write, may_go: &(dyn Fn() -> bool + Sync)) -> Result<Written, Error> {
        if write.forward && !may_go() {
            return Err(Error::NotSent("the last fetch of Git has become too old to go forward"));
        }
        if write.forward && self.lease.as_ref().is_some_and(|lease| !lease.allows_forward()) {
            return Err(Error::NotSent("the lease runs out before an answer could be in"));
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
            (Action::TakeOver { .. }, Some(object)) => {
                self.cache.wrote(feed, &object);
                None
            }
            (Action::Apply { .. } | Action::TakeOver { .. } | Action::Delete { .. }, _) => None,
        };
        Ok(Written { key: write.object.clone(), applied })
    }
}
