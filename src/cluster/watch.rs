//! The watches: one task for each kind, all feeding one cache.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::api::{DynamicObject, WatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::apply::{RECORDS, REQUEST_TIMEOUT, resource};
use crate::cluster::cache::Cache;
use crate::cluster::connect::{Cluster, WATCH_SECONDS};
use crate::cluster::error::{Attempt, Error};
use crate::cluster::feed::Feed;
use crate::cluster::requests::OK;
use crate::cluster::seen::Seen;
use crate::objects::CloneSetVersion;
use crate::objects::Kind;
use crate::objects::keys::{KRUISE_STATE, MANAGED_BY, MANAGED_BY_TRITON, SERVE, TRAFFIC};
use crate::objects::kind::Api as Served;
use crate::world::Kept;

/// Objects in one page of a list: kube's own choice, half a megabyte of CloneSets.
const PAGE: u32 = 500;
/// The first wait after a failure, doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest wait after a failure: an API server that comes back is noticed soon, and hundreds of daemons do not
/// keep it down.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// Longest wait for one page of a list. A watch may be silent for minutes, and a list may not: one whose answer was lost
/// is asked for again.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a watch may be silent about a write of ours. One whose connection was lost without a word is noticed while a
/// rollout moves, and not only when it should have ended by itself.
const ECHO: Duration = Duration::from_secs(15);
/// How soon a kind without which nothing works is asked for again, where the cluster does not serve it.
const RECHECK: Duration = Duration::from_secs(10);
/// How soon any other kind is: Gateway API is not installed in every cluster, and nobody waits for it.
const RECHECK_COMPANION: Duration = Duration::from_secs(300);

/// EndpointSlices.
const ENDPOINT_SLICES: Served =
    Served { group: "discovery.k8s.io", version: "v1", plural: "endpointslices", kind: "EndpointSlice" };

/// A name that no object need have: a watch of it tells whether one may be begun.
const NOBODY: &str = "triton.io";
/// How soon a kind of companions that may not be listed is asked for again: a person adds the right, and waits.
const RECHECK_FORBIDDEN: Duration = Duration::from_secs(30);

impl Feed {
    fn served(self, cluster: &Cluster) -> Served {
        match self {
            Self::CloneSets => cluster.clonesets().api(),
            Self::Companions(kind) => kind.api(),
            Self::Records => RECORDS,
            Self::Endpoints => ENDPOINT_SLICES,
            Self::Pods | Self::Kept => Kind::Pod.api(),
        }
    }

    fn config(self) -> watcher::Config {
        let config = watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS);
        match self {
            Self::CloneSets | Self::Records => config,
            Self::Companions(_) => config.labels(&format!("{MANAGED_BY}={MANAGED_BY_TRITON}")),
            Self::Pods => config.labels(SERVE),
            Self::Endpoints => config.labels(TRAFFIC),
            Self::Kept => {
                let states = Kept::ALL.map(Kept::label).join(",");
                config.labels(&format!("{KRUISE_STATE} in ({states})"))
            }
        }
    }

    const fn recheck(self) -> Duration {
        match self {
            Self::CloneSets | Self::Records | Self::Pods | Self::Kept | Self::Endpoints => RECHECK,
            Self::Companions(_) => RECHECK_COMPANION,
        }
    }

    fn attempt(self, cluster: &Cluster) -> Attempt {
        let api = self.served(cluster);
        Attempt {
            verb: "list",
            resource: api.plural.to_owned(),
            group: api.group.to_owned(),
            namespace: String::new(),
        }
    }
}

/// Starts every watch, some of them once they are asked for. They end when the set is dropped.
#[must_use]
pub fn watch(cluster: &Cluster, cache: &Cache) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for feed in Feed::all() {
        tasks.spawn(follow(cluster.clone(), cache.clone(), feed));
    }
    for feed in Feed::ON_DEMAND {
        let (cluster, cache) = (cluster.clone(), cache.clone());
        tasks.spawn(async move {
            cache.wanted(feed).await;
            follow(cluster, cache, feed).await;
        });
    }
    tasks
}

async fn follow(cluster: Cluster, cache: Cache, feed: Feed) {
    let all = || -> Api<DynamicObject> { Api::all_with(cluster.client(), &resource(feed.served(&cluster))) };
    let mut api = all();
    let mut events = pin!(watcher(api.clone(), feed.config()));
    let (mut list, mut is_listing) = (BTreeMap::new(), true);
    let mut delay = RETRY_FIRST;
    let mut failed_at: Option<Instant> = None;
    loop {
        let patience = if is_listing { PAGE_TIMEOUT } else { ECHO };
        let Ok(event) = tokio::time::timeout(patience, events.next()).await else {
            if is_listing || cache.is_silent(feed, ECHO) {
                given_up(&cluster, &cache, feed, is_listing);
                events.set(watcher(api.clone(), feed.config()));
            }
            continue;
        };
        let Some(event) = event else { return };
        match event {
            Ok(Event::Init) => (list, is_listing) = (BTreeMap::new(), true),
            Ok(Event::InitApply(object)) => list.extend(seen(&cluster, feed, &object)),
            Ok(Event::InitDone) => {
                tracing::debug!(feed = ?feed, objects = list.len(), "listed");
                cluster.requests().note("list", OK);
                cache.replace(feed, std::mem::take(&mut list));
                is_listing = false;
                delay = RETRY_FIRST;
            }
            Ok(Event::Apply(object)) => applied(&cluster, &cache, feed, &object),
            Ok(Event::Delete(object)) => deleted(&cluster, &cache, feed, &object),
            Err(error) => {
                let verb = verb(&error);
                let error = classify(error, feed.attempt(&cluster));
                cluster.requests().note(verb, error.category());
                if begins_anew(&cluster, feed, &error) {
                    (api, is_listing) = (all(), true);
                    events.set(watcher(api.clone(), feed.config()));
                    if matches!(error, Error::NotServed(_)) && cluster.clonesets() == CloneSetVersion::V1beta1
                    {
                        continue;
                    }
                }
                if failed_at.is_some_and(|at| at.elapsed() > 2 * RETRY_MAX) {
                    delay = RETRY_FIRST;
                }
                let wait = wait_after(&error, feed, delay);
                tracing::debug!(feed = ?feed, category = error.category(), %error, "watch interrupted");
                let is_blind = verb == "watch" && matches!(error, Error::Forbidden(_));
                cache.stopped(feed, error);
                tokio::time::sleep(wait).await;
                if is_blind {
                    until_allowed(&api, feed.attempt(&cluster), wait).await;
                    cache.resumed(feed);
                }
                failed_at = Some(Instant::now());
                delay = RETRY_MAX.min(delay * 2);
            }
        }
    }
}

fn applied(cluster: &Cluster, cache: &Cache, feed: Feed, object: &DynamicObject) {
    if cache.heard(feed, &object.metadata) {
        return;
    }
    match seen(cluster, feed, object) {
        Some((id, seen)) => cache.put(feed, id, seen),
        None => cache.unread(feed, &object.metadata),
    }
    // The answer to a write of ours may have come in between: nothing else will tell of it.
    cache.heard(feed, &object.metadata);
}

fn deleted(cluster: &Cluster, cache: &Cache, feed: Feed, object: &DynamicObject) {
    cache.heard(feed, &object.metadata);
    match seen(cluster, feed, object) {
        Some((id, seen)) => cache.remove(feed, &id, &seen),
        None => cache.unread(feed, &object.metadata),
    }
}

fn given_up(cluster: &Cluster, cache: &Cache, feed: Feed, is_listing: bool) {
    let (verb, waited) = if is_listing { ("list", PAGE_TIMEOUT) } else { ("watch", ECHO) };
    let error = Error::TimedOut(waited.as_secs());
    cluster.requests().note(verb, error.category());
    if !is_listing {
        let seconds = waited.as_secs();
        tracing::warn!("the watch of {feed} is silent about a write of {seconds} s ago: it is begun anew");
    }
    cache.stopped(feed, error);
}

/// Whether everything is listed again after this: what was seen last is too old to go on from, which kube takes for news
/// only where an event says so; or CloneSets are asked for in the other version from now on.
fn begins_anew(cluster: &Cluster, feed: Feed, error: &Error) -> bool {
    match (error, feed) {
        (Error::Gone, _) => true,
        (Error::NotServed(_), Feed::CloneSets) => {
            cluster.ask_clonesets_in(cluster.clonesets().other());
            true
        }
        _ => false,
    }
}

fn wait_after(error: &Error, feed: Feed, delay: Duration) -> Duration {
    match (error, feed) {
        (Error::NotServed(_), _) => feed.recheck(),
        (Error::Forbidden(_), Feed::Companions(_) | Feed::Pods | Feed::Kept | Feed::Endpoints) => {
            RECHECK_FORBIDDEN
        }
        _ => delay.max(error.asked()),
    }
}

async fn until_allowed(api: &Api<DynamicObject>, attempt: Attempt, wait: Duration) {
    while !may_watch(api, attempt.clone()).await {
        tokio::time::sleep(wait).await;
    }
}

/// Whether a watch may be begun. One that goes on after it was forbidden tells nobody so: the right is asked for first.
/// What else is wrong, and stays so, the watch itself will tell.
async fn may_watch(api: &Api<DynamicObject>, attempt: Attempt) -> bool {
    let nobody = WatchParams::default().fields(&format!("metadata.name={NOBODY}")).timeout(1);
    let asked = tokio::time::timeout(REQUEST_TIMEOUT, api.watch(&nobody, "0")).await;
    match asked {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            let error = Error::from_kube(error, attempt);
            !error.is_transient() && !matches!(error, Error::Forbidden(_))
        }
        Err(_) => false,
    }
}

fn seen(cluster: &Cluster, feed: Feed, object: &DynamicObject) -> Option<(crate::model::ReleaseId, Seen)> {
    let mut value = serde_json::to_value(object).ok()?;
    if feed == Feed::CloneSets {
        cluster.clonesets().decode(&mut value);
    }
    Seen::of(feed, &value)
}

/// What was asked when a watch was interrupted. A watch that goes on as it should tells nobody that it was asked for.
const fn verb(error: &watcher::Error) -> &'static str {
    match error {
        watcher::Error::InitialListFailed(_) | watcher::Error::NoResourceVersion => "list",
        watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::WatchError(_) => "watch",
    }
}

fn classify(error: watcher::Error, attempt: Attempt) -> Error {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Error::from_kube(error, attempt),
        watcher::Error::WatchError(status) => Error::from_kube(kube::Error::Api(status), attempt),
        watcher::Error::NoResourceVersion => Error::Malformed("a list without a resourceVersion".to_owned()),
    }
}
