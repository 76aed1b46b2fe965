//! Carries out a move: its writes in order, each if the one before succeeded.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::cluster::{Cache, Cluster, Error, Feed, Lane, Lease, SeenCompanion, Target, project};
use crate::controller::drift::rewritten;
use crate::controller::looks::Glance;
use crate::controller::pulse::Pulse;
use crate::model::{Name, ReleaseId};
use crate::objects::{Kind, ObjectKey};
use crate::world::{Action, Looked, Write};

/// One write that was carried out.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object.
    pub key: ObjectKey,
    /// The body that was sent, and what the server made of it; nothing for a delete.
    pub applied: Option<(Arc<Value>, Value)>,
}

/// A write that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The object.
    pub key: ObjectKey,
    /// Why.
    pub error: Error,
    /// Of a companion that stands in the way, whether it may be ours after all; nothing where it is gone, or none is.
    pub looked: Result<Option<bool>, Error>,
}

/// What became of the writes of one release.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// Those that were carried out, in order.
    pub written: Vec<Written>,
    /// The one that was refused; those after it were not sent.
    pub refused: Option<Refused>,
    /// Pods that could not be let in.
    pub kept_out: Vec<(ObjectKey, Error)>,
}

/// The object as it would be, or what the server has against it.
pub type Rehearsed = Result<Value, Error>;

/// The hands of the loop.
#[derive(Clone)]
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
    /// Carries out the writes of a release. Nothing is sent that goes forward once `may_go` denies it. Where `adopts`,
    /// companions of nobody's are the release's to take over.
    pub async fn carry_out(
        &self,
        id: &ReleaseId,
        writes: &[Write],
        adopts: bool,
        may_go: &(dyn Fn() -> bool + Send + Sync),
    ) -> Carried {
        let mut carried = Carried::default();
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
                        carried.refused =
                            Some(Refused { key: write.object.clone(), error, looked: Ok(None) });
                        break;
                    }
                }
                Err(error) => {
                    let key = write.object.clone();
                    let is_companion = key.kind != Kind::CloneSet;
                    let looked = if is_companion && matches!(error, Error::Exists | Error::Conflict) {
                        self.reclaim(id, &key, adopts).await
                    } else {
                        Ok(None)
                    };
                    self.pulse.beat();
                    carried.refused = Some(Refused { key, error, looked });
                    break;
                }
            }
        }
        carried
    }

    /// Lets pods in, each by itself. Gives those that could not be; what keeps all of them out ends it.
    pub async fn let_in(
        &self,
        pods: &[Write],
        may_go: &(dyn Fn() -> bool + Send + Sync),
    ) -> Vec<(ObjectKey, Error)> {
        let mut kept_out = Vec::new();
        for write in pods {
            if let Err(error) = self.send(write, may_go).await {
                // One that has changed meanwhile says nothing of the others.
                let ends = error.is_transient() && !matches!(error, Error::Conflict);
                kept_out.push((write.object.clone(), error));
                if ends {
                    break;
                }
            }
            self.pulse.beat();
        }
        kept_out
    }

    /// Asks what a write would change.
    pub async fn rehearse(&self, write: &Write) -> Rehearsed {
        let answer = self.cluster.rehearse(write).await;
        self.pulse.beat();
        answer.map(Option::unwrap_or_default)
    }

    /// Looks at pods, one after another. What keeps one from being seen ends it: it keeps the others too.
    pub async fn look(&self, id: &ReleaseId, names: &[Name]) -> Glance {
        let (api, namespace) = (Kind::Pod.api(), id.namespace.as_str());
        let mut glance = Glance::default();
        for name in names {
            let found =
                self.cluster.read(Target { api, namespace, name: name.as_str(), status: false }).await;
            self.pulse.beat();
            match found {
                Ok(object) => {
                    let pod = object.as_ref().and_then(project::pod).filter(|it| !it.live.ending);
                    let looked = pod.map(|it| Looked { uid: it.live.uid, owner: it.live.owner });
                    glance.seen.push((name.clone(), looked));
                }
                Err(error) => {
                    glance.failed = Some((name.clone(), error));
                    break;
                }
            }
        }
        glance
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

    async fn send(&self, write: &Write, may_go: &(dyn Fn() -> bool + Send + Sync)) -> Result<Written, Error> {
        if write.forward && !may_go() {
            return Err(Error::NotSent("the last fetch of Git has become too old to go forward"));
        }
        if write.forward && self.lease.as_ref().is_some_and(|lease| !lease.allows_forward()) {
            return Err(Error::NotSent("the lease runs out before an answer could be in"));
        }
        let feed = match write.object.kind {
            Kind::CloneSet => Feed::CloneSets,
            Kind::Pod => Feed::Pods,
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

    /// Looks whether a companion that exists is ours after all, or nobody's: somebody may have taken its label away, and
    /// it is not watched without. Gives whether it may be; nothing where it is gone.
    async fn reclaim(&self, id: &ReleaseId, key: &ObjectKey, adopts: bool) -> Result<Option<bool>, Error> {
        let (api, namespace, name) = (key.kind.api(), key.namespace.as_str(), key.name.as_str());
        let target = Target { api, namespace, name, status: false };
        let Some(object) = self.cluster.read(target).await? else {
            self.cache.lost(key);
            return Ok(None);
        };
        let Some(seen): Option<SeenCompanion> = project::companion(&object) else { return Ok(None) };
        let named = seen.live.release == id.to_string() && seen.stand.ownership.owners().has_ours();
        // The plan says whether one that names no release is to be taken over.
        let ours = named || (seen.live.release.is_empty() && adopts);
        if ours {
            self.cache.wrote(Feed::Companions(key.kind), &object);
        }
        Ok(Some(ours))
    }
}
