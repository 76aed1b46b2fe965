//! What is watched on demand: pods that wait, to serve or in a lifecycle hook, and what leads traffic to pods by weights.
//! Asked for where a release needs it, and seen beside it; and pods that Git names, which are looked at.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cluster::{Cache, Feed};
use crate::controller::looks::Looks;
use crate::controller::refusals::Refusals;
use crate::model::{ReleaseId, Uid};
use crate::world::{Case, Live, PodKept, PodLive};

/// The pods of every release that lets them serve by approval, and the endpoints of every one with weights.
#[derive(Default)]
pub struct Crowd {
    /// Pods that could not be let in: nothing else of a release is kept back by it.
    pub refusals: Refusals,
    /// Pods that Git names to be replaced.
    pub looks: Looks,
    listed: bool,
    endpoints: bool,
}

impl Crowd {
    /// A lap begins, with those releases that there are.
    pub fn begin_lap(&mut self, has: impl Fn(&ReleaseId) -> bool) {
        self.refusals.begin_lap(&has);
        self.looks.refusals.begin_lap(has);
    }

    /// Whether it has changed that all of them are known.
    pub fn has_turned(&mut self, cache: &Cache) -> bool {
        let before = (self.listed, self.endpoints);
        (self.listed, self.endpoints) = (cache.knows(Feed::Pods), cache.knows(Feed::Endpoints));
        before != (self.listed, self.endpoints)
    }

    /// Ready endpoints of a Service of a release; `None` where they are not known.
    #[must_use]
    pub fn ready(&self, cache: &Cache, id: &ReleaseId, service: &Uid) -> Option<u32> {
        cache.want(Feed::Endpoints);
        let slices = || cache.endpoints_of(id).into_iter().filter(|slice| slice.service == *service);
        let ready = || slices().flat_map(|slice| slice.ready.clone()).collect::<BTreeSet<String>>().len();
        self.endpoints.then(|| u32::try_from(ready()).unwrap_or(u32::MAX))
    }

    /// The watches without which a release waits.
    pub fn needed(case: &Case) -> impl Iterator<Item = Feed> {
        let pods = case.is_gated().then_some(Feed::Pods);
        let leads = case.has_weights() || case.blue_green().is_some();
        pods.into_iter().chain(leads.then_some(Feed::Endpoints))
    }

    /// Notes which pods of a release wait, and what was seen of those that Git names.
    pub fn see(&self, cache: &Cache, id: &ReleaseId, case: &mut Case) {
        case.pods = self.waiting(cache, id, case);
        case.kept = kept(cache, id, case);
        self.looks.show(id, case);
    }

    /// The pods of a release; `None` where it needs none, or they are not known.
    fn waiting(&self, cache: &Cache, id: &ReleaseId, case: &Case) -> Option<Arc<[PodLive]>> {
        if !case.is_gated() {
            return None;
        }
        cache.want(Feed::Pods);
        let owner = case.live.as_ref().map(|live| &live.uid);
        let pods = || cache.pods_of(id).into_iter().filter(|pod| Some(&pod.owner) == owner).collect();
        self.listed.then(pods)
    }
}

/// The pods of a release that a lifecycle hook of the user's may keep, as far as they are seen; none where its CloneSet has
/// none, nor while nobody says how they are.
fn kept(cache: &Cache, id: &ReleaseId, case: &Case) -> Arc<[PodKept]> {
    let has_any = |live: &&Live| live.hooks.values().any(|hook| !hook.are_ours());
    let Some(live) = case.live.as_ref().filter(has_any) else { return Arc::default() };
    cache.want(Feed::Kept);
    if cache.forbidden().contains_key(&Feed::Kept) {
        return Arc::default();
    }
    cache.kept_of(id).into_iter().filter(|pod| pod.owner == live.uid).collect()
}
