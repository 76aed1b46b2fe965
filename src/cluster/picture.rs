//! All that the watches have seen, and whose it is. [`crate::cluster::cache`] says what may come into it.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::cluster::error::Error;
use crate::cluster::feed::{Feed, FeedState};
use crate::cluster::seen::Seen;
use crate::model::ReleaseId;
use crate::objects::ObjectKey;

/// Objects of one watch by namespace and name.
pub type Objects = BTreeMap<ReleaseId, Seen>;

/// Everything seen.
#[derive(Default)]
pub struct Picture {
    /// By watch.
    pub objects: BTreeMap<Feed, Objects>,
    /// Where each watch is.
    pub states: BTreeMap<Feed, FeedState>,
    /// The watches that are not allowed.
    pub forbidden: BTreeMap<Feed, Error>,
    /// Companions by release.
    pub companions: BTreeMap<ReleaseId, BTreeSet<ObjectKey>>,
    /// What is watched on demand, and second CloneSets, by release, each by namespace and name.
    pub belonging: BTreeMap<(Feed, ReleaseId), BTreeSet<ReleaseId>>,
    /// The releases of which something changed.
    pub changed: BTreeSet<ReleaseId>,
    /// The oldest write of ours that each watch has not told yet, its version, and when it was answered.
    pub unheard: BTreeMap<Feed, (ReleaseId, u64, Instant)>,
}

impl Picture {
    /// What a watch on demand has of a release, by name.
    pub fn belonging(&self, feed: Feed, id: &ReleaseId) -> impl Iterator<Item = &Seen> {
        let (names, all) = (self.belonging.get(&(feed, id.clone())), self.objects.get(&feed));
        names.into_iter().flatten().filter_map(move |name| all?.get(name))
    }

    fn index(&mut self, feed: Feed, id: &ReleaseId, before: Option<&ReleaseId>, now: Option<&ReleaseId>) {
        if let Some(place) = before.map(|it| (feed, it.clone()))
            && let Some(ids) = self.belonging.get_mut(&place)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.belonging.remove(&place);
            }
        }
        if let Some(release) = now {
            self.belonging.entry((feed, release.clone())).or_default().insert(id.clone());
        }
    }

    /// Puts or takes one object, and notes whose it is and was.
    pub fn set(&mut self, feed: Feed, id: &ReleaseId, seen: Option<Seen>) {
        let objects = self.objects.entry(feed).or_default();
        let now = seen.as_ref().and_then(|seen| seen.release(id));
        let old = match seen {
            Some(seen) => objects.insert(id.clone(), seen),
            None => objects.remove(id),
        };
        let before = old.and_then(|seen| seen.release(id));
        let is_other = |it: &Option<ReleaseId>| it.as_ref().is_some_and(|it| it != id);
        let is_twin = feed == Feed::CloneSets && (is_other(&before) || is_other(&now));
        if Feed::ON_DEMAND.contains(&feed) || is_twin {
            self.index(feed, id, before.as_ref(), now.as_ref());
        }
        if let Feed::Companions(kind) = feed {
            let key = ObjectKey { kind, namespace: id.namespace.clone(), name: id.name.clone() };
            if let Some(release) = &before
                && let Some(keys) = self.companions.get_mut(release)
            {
                keys.remove(&key);
                if keys.is_empty() {
                    self.companions.remove(release);
                }
            }
            if let Some(release) = &now {
                self.companions.entry(release.clone()).or_default().insert(key);
            }
        }
        self.changed.extend(before.into_iter().chain(now));
    }
}
