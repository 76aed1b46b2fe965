//! What the watches have seen, as one picture.
//!
//! **Invariant:** nothing is read from it before every first list is in, a kind that is not served or may not be listed
//! is never an empty one, and an older version of an object never replaces a newer one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kube::core::ObjectMeta;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cluster::error::Error;
use crate::cluster::feed::{Feed, FeedState};
use crate::cluster::picture::{Objects, Picture};
use crate::cluster::project::{SeenCloneSet, SeenCompanion, SeenEndpoints, SeenRecord};
use crate::cluster::seen::Seen;
use crate::model::{Name, ReleaseId};
use crate::objects::ObjectKey;
use crate::world::{PodKept, PodLive};

/// What the watches have seen; shared by them and the loop.
#[derive(Clone, Default)]
pub struct Cache {
    picture: Arc<Mutex<Picture>>,
    wake: Arc<Notify>,
    wants_pods: Arc<Notify>,
    wants_endpoints: Arc<Notify>,
    wants_kept: Arc<Notify>,
}

impl Cache {
    fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().expect("nothing panics while the picture is held")
    }

    /// Waits until something changed since the last call.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// The releases of which something changed since the last call.
    #[expect(clippy::must_use_candidate, reason = "a first picture is made of everything, and forgets this")]
    pub fn take_changed(&self) -> BTreeSet<ReleaseId> {
        std::mem::take(&mut self.picture().changed)
    }

    /// Whether every first list is in, or its kind is not served. CloneSets must be served. A kind of companions that
    /// may not be listed keeps nobody from starting: see [`Cache::forbidden`].
    #[must_use]
    pub fn is_synced(&self) -> bool {
        let picture = self.picture();
        Feed::all().all(|feed| match picture.states.get(&feed) {
            Some(FeedState::Synced) => true,
            Some(FeedState::NotServed) => feed != Feed::CloneSets,
            Some(FeedState::Listing(Some(Error::Forbidden(_)))) => matches!(feed, Feed::Companions(_)),
            Some(FeedState::Listing(_)) | None => false,
        })
    }

    /// What the daemon's account may not list or watch, or may no more, and why: what was seen of it is old.
    #[must_use]
    pub fn forbidden(&self) -> BTreeMap<Feed, Error> {
        self.picture().forbidden.clone()
    }

    /// How far each watch is.
    #[must_use]
    pub fn states(&self) -> BTreeMap<Feed, FeedState> {
        self.picture().states.clone()
    }

    /// Whether the cluster serves the record's kind.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.picture().states.get(&Feed::Records) == Some(&FeedState::Synced)
    }

    /// The names of every CloneSet and every record.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<ReleaseId> {
        let picture = self.picture();
        let of = |feed: Feed| picture.objects.get(&feed).into_iter().flatten();
        of(Feed::CloneSets).chain(of(Feed::Records)).filter_map(|(id, seen)| seen.release(id)).collect()
    }

    /// A CloneSet.
    #[must_use]
    pub fn cloneset(&self, id: &ReleaseId) -> Option<Arc<SeenCloneSet>> {
        match self.picture().objects.get(&Feed::CloneSets)?.get(id)? {
            Seen::CloneSet(seen) => Some(Arc::clone(seen)),
            Seen::Companion(_) | Seen::Record(_) | Seen::Pod(_) | Seen::Kept(_) | Seen::Endpoints(_) => None,
        }
    }

    /// The second CloneSets of a release, by name.
    #[must_use]
    pub fn twins_of(&self, id: &ReleaseId) -> Vec<(Name, Arc<SeenCloneSet>)> {
        let picture = self.picture();
        let names = picture.belonging.get(&(Feed::CloneSets, id.clone())).into_iter().flatten();
        let all = picture.objects.get(&Feed::CloneSets);
        let of = |key: &ReleaseId| match all?.get(key)? {
            Seen::CloneSet(seen) if key != id => Some((key.name.clone(), Arc::clone(seen))),
            _ => None,
        };
        names.filter_map(of).collect()
    }

    /// A record.
    #[must_use]
    pub fn record(&self, id: &ReleaseId) -> Option<Arc<SeenRecord>> {
        match self.picture().objects.get(&Feed::Records)?.get(id)? {
            Seen::Record(seen) => Some(Arc::clone(seen)),
            Seen::Companion(_) | Seen::CloneSet(_) | Seen::Pod(_) | Seen::Kept(_) | Seen::Endpoints(_) => {
                None
            }
        }
    }

    /// A companion that carries our label.
    #[must_use]
    pub fn companion(&self, key: &ObjectKey) -> Option<Arc<SeenCompanion>> {
        let id = ReleaseId { namespace: key.namespace.clone(), name: key.name.clone() };
        match self.picture().objects.get(&Feed::Companions(key.kind))?.get(&id)? {
            Seen::Companion(seen) => Some(Arc::clone(seen)),
            Seen::CloneSet(_) | Seen::Record(_) | Seen::Pod(_) | Seen::Kept(_) | Seen::Endpoints(_) => None,
        }
    }

    /// The companions that say they belong to a release.
    #[must_use]
    pub fn companions_of(&self, id: &ReleaseId) -> BTreeSet<ObjectKey> {
        self.picture().companions.get(id).cloned().unwrap_or_default()
    }

    /// Asks for a watch that opens on demand; once it is open, it stays so.
    pub fn want(&self, feed: Feed) {
        if !self.picture().states.contains_key(&feed) {
            self.wants(feed).notify_one();
        }
    }

    fn wants(&self, feed: Feed) -> &Notify {
        match feed {
            Feed::Endpoints => &self.wants_endpoints,
            Feed::Kept => &self.wants_kept,
            Feed::Pods | Feed::CloneSets | Feed::Companions(_) | Feed::Records => &self.wants_pods,
        }
    }

    /// Whether anything that stands needs a watch on demand: a CloneSet with our gate or with a hook, a Service that is ours.
    #[must_use]
    pub fn needs(&self, feed: Feed) -> bool {
        let picture = self.picture();
        picture.objects.values().flat_map(BTreeMap::values).any(|seen| match seen {
            Seen::CloneSet(seen) => {
                feed == Feed::Pods && seen.live.gated || feed == Feed::Kept && !seen.live.hooks.is_empty()
            }
            Seen::Companion(seen) => feed == Feed::Endpoints && seen.leads,
            Seen::Record(_) | Seen::Pod(_) | Seen::Kept(_) | Seen::Endpoints(_) => false,
        })
    }

    /// A watch on demand is not to be opened: nobody asks for more than is known.
    pub fn without(&self, feed: Feed) {
        self.replace(feed, BTreeMap::new());
    }

    /// Waits until somebody asks for a watch.
    pub(crate) async fn wanted(&self, feed: Feed) {
        self.wants(feed).notified().await;
        self.picture().states.insert(feed, FeedState::Listing(None));
    }

    /// Whether a watch that opens on demand is open, and everything that it tells of is known.
    #[must_use]
    pub fn knows(&self, feed: Feed) -> bool {
        let picture = self.picture();
        picture.states.get(&feed) == Some(&FeedState::Synced) && !picture.forbidden.contains_key(&feed)
    }

    /// The pods of a release that have our gate, by name.
    #[must_use]
    pub fn pods_of(&self, id: &ReleaseId) -> Vec<PodLive> {
        let live = |seen: &Seen| if let Seen::Pod(seen) = seen { Some(seen.live.clone()) } else { None };
        self.picture().belonging(Feed::Pods, id).filter_map(live).collect()
    }

    /// The pods of a release that a lifecycle hook may keep, by name.
    #[must_use]
    pub fn kept_of(&self, id: &ReleaseId) -> Vec<PodKept> {
        let live = |seen: &Seen| if let Seen::Kept(seen) = seen { Some(seen.live.clone()) } else { None };
        self.picture().belonging(Feed::Kept, id).filter_map(live).collect()
    }

    /// The EndpointSlices of a release's Services that are ours.
    #[must_use]
    pub fn endpoints_of(&self, id: &ReleaseId) -> Vec<Arc<SeenEndpoints>> {
        let of = |seen: &Seen| if let Seen::Endpoints(seen) = seen { Some(Arc::clone(seen)) } else { None };
        self.picture().belonging(Feed::Endpoints, id).filter_map(of).collect()
    }

    /// Whether something changed of a release since the last call of [`Cache::take_changed`].
    #[must_use]
    pub fn has_news(&self, id: &ReleaseId) -> bool {
        self.picture().changed.contains(id)
    }

    /// Takes what the server returned to a write of ours, before the watch tells it.
    pub fn wrote(&self, feed: Feed, object: &Value) {
        let Some((id, seen)) = Seen::of(feed, object) else { return };
        let mut picture = self.picture();
        let old = picture.objects.get(&feed).and_then(|it| it.get(&id));
        // A write that changed nothing has no event.
        let is_news = old.is_none_or(|old| old.identity() != seen.identity());
        if let Some(version) = seen.number().filter(|_| is_news) {
            picture.unheard.entry(feed).or_insert((id.clone(), version, Instant::now()));
        }
        drop(picture);
        self.put(feed, id, seen);
    }

    /// Whether a watch has not told a write of ours that was answered so long ago. Asked again, it is not.
    pub(crate) fn is_silent(&self, feed: Feed, patience: Duration) -> bool {
        let mut picture = self.picture();
        let is_due = picture.unheard.get(&feed).is_some_and(|(.., at)| at.elapsed() >= patience);
        is_due && picture.unheard.remove(&feed).is_some()
    }

    /// A companion that was not ours, and so not watched, is gone.
    pub fn lost(&self, key: &ObjectKey) {
        let id = ReleaseId { namespace: key.namespace.clone(), name: key.name.clone() };
        self.picture().set(Feed::Companions(key.kind), &id, None);
    }

    /// Something else is to be told of a release.
    pub(crate) fn touch(&self, id: &ReleaseId) {
        self.picture().changed.insert(id.clone());
        self.wake.notify_one();
    }

    /// A watch tells of an object. Gives whether it is known in this very version: what we wrote ourselves is.
    pub(crate) fn heard(&self, feed: Feed, object: &ObjectMeta) -> bool {
        let Some(id) = named(object) else { return false };
        let mut picture = self.picture();
        let version = number(object);
        let is_it = |(of, written, _): &(ReleaseId, u64, Instant)| {
            *of == id && version.is_none_or(|version| version >= *written)
        };
        if picture.unheard.get(&feed).is_some_and(is_it) {
            picture.unheard.remove(&feed);
        }
        let identity = (object.uid.as_deref(), object.resource_version.as_deref());
        picture.objects.get(&feed).and_then(|it| it.get(&id)).is_some_and(|known| {
            let (uid, version) = known.identity();
            identity == (Some(uid.as_str()), Some(version.as_str()))
        })
    }

    /// An object is as it is now.
    pub(crate) fn put(&self, feed: Feed, id: ReleaseId, seen: Seen) {
        let mut picture = self.picture();
        let old = picture.objects.get(&feed).and_then(|it| it.get(&id));
        if old.is_some_and(|old| old.identity() == seen.identity() || old.is_newer_than(&seen)) {
            return;
        }
        picture.set(feed, &id, Some(seen));
        drop(picture);
        self.wake.notify_one();
    }

    /// An object is gone; `seen` is its last state.
    pub(crate) fn remove(&self, feed: Feed, id: &ReleaseId, seen: &Seen) {
        let mut picture = self.picture();
        let known = picture.objects.get(&feed).and_then(|it| it.get(id));
        let same = known.is_some_and(|it| it.identity().0 == seen.identity().0 || seen.is_newer_than(it));
        if same {
            picture.set(feed, id, None);
            drop(picture);
            self.wake.notify_one();
        }
    }

    /// A watch tells of an object that is none any more of those that it is for.
    pub(crate) fn unread(&self, feed: Feed, object: &ObjectMeta) {
        let Some(id) = named(object) else { return };
        let mut picture = self.picture();
        let known = picture.objects.get(&feed).and_then(|it| it.get(&id));
        let is_newer = |known: &Seen| matches!((known.number(), number(object)), (Some(a), Some(b)) if a > b);
        if known.is_some_and(|known| !is_newer(known)) {
            picture.set(feed, &id, None);
            drop(picture);
            self.wake.notify_one();
        }
    }

    /// A whole list: what it does not have is gone.
    pub(crate) fn replace(&self, feed: Feed, list: Objects) {
        let mut picture = self.picture();
        picture.unheard.remove(&feed);
        let known = picture.objects.entry(feed).or_default();
        let gone: Vec<_> = known.keys().filter(|id| !list.contains_key(*id)).cloned().collect();
        for id in gone {
            picture.set(feed, &id, None);
        }
        for (id, seen) in list {
            let old = picture.objects.get(&feed).and_then(|it| it.get(&id));
            let keep = old.is_some_and(|old| old.identity() == seen.identity() || old.is_newer_than(&seen));
            if !keep {
                picture.set(feed, &id, Some(seen));
            }
        }
        picture.states.insert(feed, FeedState::Synced);
        picture.forbidden.remove(&feed);
        drop(picture);
        self.wake.notify_one();
    }

    /// A watch that was forbidden goes on from where it was.
    pub(crate) fn resumed(&self, feed: Feed) {
        self.picture().forbidden.remove(&feed);
        self.wake.notify_one();
    }

    /// A watch does not get on. A kind that was seen once keeps its objects, but for one that is served no more.
    pub(crate) fn stopped(&self, feed: Feed, error: Error) {
        let mut picture = self.picture();
        let is_news = matches!(error, Error::Forbidden(_))
            && picture.forbidden.insert(feed, error.clone()).as_ref() != Some(&error);
        let state = picture.states.entry(feed).or_insert(FeedState::Listing(None));
        let next = match (&*state, error) {
            (_, Error::NotServed(_)) => FeedState::NotServed,
            (FeedState::Synced, _) => FeedState::Synced,
            (_, error) => FeedState::Listing(Some(error)),
        };
        if is_news || *state != next {
            *state = next;
            drop(picture);
            self.wake.notify_one();
        }
    }
}

fn named(object: &ObjectMeta) -> Option<ReleaseId> {
    let namespace = object.namespace.as_ref()?.parse().ok()?;
    Some(ReleaseId { namespace, name: object.name.as_ref()?.parse().ok()? })
}

fn number(object: &ObjectMeta) -> Option<u64> {
    object.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Kind;
    use crate::objects::keys;
    use serde_json::json;

    fn seen(feed: Feed, name: &str, uid: &str, version: &str, release: &str) -> (ReleaseId, Seen) {
        let object = json!({"metadata": {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": version,
            "annotations": {keys::RELEASE: release}}});
        Seen::of(feed, &object).unwrap()
    }

    fn id(text: &str) -> ReleaseId {
        text.parse().unwrap()
    }

    fn put(cache: &Cache, feed: Feed, name: &str, uid: &str, version: &str) {
        let (id, seen) = seen(feed, name, uid, version, "shop/web");
        cache.put(feed, id, seen);
    }

    fn version(cache: &Cache) -> Option<String> {
        cache.cloneset(&id("shop/web")).map(|it| it.live.version.to_string())
    }

    #[test]
    fn nothing_counts_before_every_first_list_is_in() {
        let cache = Cache::default();
        for feed in Feed::all() {
            assert!(!cache.is_synced());
            cache.replace(feed, BTreeMap::new());
        }
        assert!(cache.is_synced() && cache.has_records());
        cache.stopped(Feed::Companions(Kind::HttpRoute), Error::NotServed("httproutes".into()));
        cache.stopped(Feed::Records, Error::NotServed("releases".into()));
        assert!(cache.is_synced() && !cache.has_records());
        cache.stopped(Feed::CloneSets, Error::Gone);
        assert!(cache.is_synced(), "a watch that is interrupted has seen everything once");
        cache.stopped(Feed::CloneSets, Error::NotServed("clonesets".into()));
        assert!(!cache.is_synced());
    }

    #[test]
    fn what_we_wrote_is_not_replaced_by_what_the_watch_saw_before() {
        let cache = Cache::default();
        put(&cache, Feed::CloneSets, "web", "u", "6");
        put(&cache, Feed::CloneSets, "web", "u", "5");
        assert_eq!(version(&cache).as_deref(), Some("6"));
        cache.replace(Feed::CloneSets, [seen(Feed::CloneSets, "web", "u", "4", "")].into());
        assert_eq!(version(&cache).as_deref(), Some("6"));
        put(&cache, Feed::CloneSets, "web", "u", "7");
        assert_eq!(version(&cache).as_deref(), Some("7"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_silent_that_does_not_tell_what_was_written() {
        let (cache, feed, patience) = (Cache::default(), Feed::CloneSets, Duration::from_secs(15));
        let write = |version: &str| {
            cache.wrote(
                feed,
                &json!({"metadata": {"namespace": "shop", "name": "web", "uid": "u",
                "resourceVersion": version}}),
            );
        };
        let tell = |name: &str, version: &str| {
            let (namespace, name) = (Some("shop".to_owned()), Some(name.to_owned()));
            let resource_version = Some(version.to_owned());
            cache.heard(feed, &ObjectMeta { namespace, name, resource_version, ..ObjectMeta::default() });
        };
        write("6");
        tokio::time::advance(patience / 2).await;
        assert!(!cache.is_silent(feed, patience));
        tell("web", "5");
        tell("other", "7");
        tokio::time::advance(patience / 2).await;
        assert!(cache.is_silent(feed, patience), "what it told was older, or of another");
        assert!(!cache.is_silent(feed, patience), "it is begun anew");
        write("8");
        tell("web", "9");
        put(&cache, feed, "web", "u", "9");
        write("9");
        tokio::time::advance(patience).await;
        assert!(!cache.is_silent(feed, patience), "one was told, the other changed nothing");
    }

    #[test]
    fn an_object_deleted_while_nobody_watched_is_gone_after_the_next_list() {
        let cache = Cache::default();
        put(&cache, Feed::CloneSets, "web", "u", "6");
        cache.take_changed();
        cache.replace(Feed::CloneSets, BTreeMap::new());
        assert_eq!(version(&cache), None);
        assert_eq!(cache.take_changed(), [id("shop/web")].into());
    }

    #[test]
    fn a_late_deletion_does_not_take_the_object_that_came_after() {
        let cache = Cache::default();
        put(&cache, Feed::CloneSets, "web", "new", "9");
        let (key, old) = seen(Feed::CloneSets, "web", "old", "8", "");
        cache.remove(Feed::CloneSets, &key, &old);
        assert_eq!(version(&cache).as_deref(), Some("9"));
        let (key, new) = seen(Feed::CloneSets, "web", "new", "10", "");
        cache.remove(Feed::CloneSets, &key, &new);
        assert_eq!(version(&cache), None);
    }

    #[test]
    fn an_object_that_can_no_longer_be_read_is_gone_unless_a_newer_one_is_known() {
        let cache = Cache::default();
        put(&cache, Feed::CloneSets, "web", "u", "9");
        let told = |version: &str| ObjectMeta {
            namespace: Some("shop".to_owned()),
            name: Some("web".to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        };
        cache.unread(Feed::CloneSets, &told("8"));
        assert_eq!(version(&cache).as_deref(), Some("9"));
        cache.unread(Feed::CloneSets, &told("10"));
        assert_eq!(version(&cache), None);
    }

    #[test]
    fn a_companion_that_changes_hands_is_news_for_both() {
        let cache = Cache::default();
        let feed = Feed::Companions(Kind::Service);
        let (key, mine) = seen(feed, "svc", "s", "1", "shop/web");
        cache.put(feed, key.clone(), mine);
        assert_eq!(cache.companions_of(&id("shop/web")).len(), 1);
        cache.take_changed();
        let (_, theirs) = seen(feed, "svc", "s", "2", "shop/cart");
        cache.put(feed, key, theirs);
        assert_eq!(cache.take_changed(), [id("shop/cart"), id("shop/web")].into());
        assert!(cache.companions_of(&id("shop/web")).is_empty());
    }
}
