//! Pods that wait, to serve or in a lifecycle hook: asked for where a release needs them, and seen beside it; and those
//! that Git names.

use std::sync::Arc;

use crate::cluster::{Cache, Feed};
use crate::controller::looks::Looks;
use crate::controller::refusals::Refusals;
use crate::model::ReleaseId;
use crate::world::{Case, PodKept, PodLive};

/// The pods of every release that lets them serve by approval.
#[derive(Default)]
pub struct Crowd {
    /// Pods that could not be let in: nothing else of a release is kept back by it.
    pub refusals: Refusals,
    /// Pods that Git names to be replaced.
    pub looks: Looks,
    listed: bool,
}

impl Crowd {
    /// A lap begins, with those releases that there are.
    pub fn begin_lap(&mut self, has: impl Fn(&ReleaseId) -> bool) {
        self.refusals.begin_lap(&has);
        self.looks.refusals.begin_lap(has);
    }

    /// Whether it has changed that all of them are known.
    pub fn has_turned(&mut self, cache: &Cache) -> bool {
        let before = std::mem::replace(&mut self.listed, cache.has_pods());
        before != self.listed
    }

    /// The pods of a release; `None` where it needs none, or they are not known.
    #[must_use]
    pub fn of(&self, cache: &Cache, id: &ReleaseId, case: &Case) -> Option<Arc<[PodLive]>> {
        if !case.is_gated() {
            return None;
        }
        cache.want(Feed::Pods);
        let owner = case.live.as_ref().map(|live| &live.uid);
        let pods = || cache.pods_of(id).into_iter().filter(|pod| Some(&pod.owner) == owner).collect();
        self.listed.then(pods)
    }
}

/// The pods of a release that a lifecycle hook may keep, as far as they are seen; none where its CloneSet has no hook, nor
/// while nobody says how they are.
#[must_use]
pub fn kept(cache: &Cache, id: &ReleaseId, case: &Case) -> Arc<[PodKept]> {
    let Some(live) = case.live.as_ref().filter(|live| !live.hooks.is_empty()) else { return Arc::default() };
    cache.want(Feed::Kept);
    if cache.forbidden().contains_key(&Feed::Kept) {
        return Arc::default();
    }
    cache.kept_of(id).into_iter().filter(|pod| pod.owner == live.uid).collect()
}
