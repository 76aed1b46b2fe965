//! A daemon that has seen 10,000 complete releases: its laps, and what it keeps in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;

use triton::catalog::Reading;
use triton::cluster::{Cache, Feed, Lane, Requests};
use triton::controller::lap::Laps;
use triton::controller::observe::Observer;
use triton::controller::{Clock, Pulse};
use triton::guard;
use triton::model::CommitId;
use triton::objects::ObjectKey;
use triton::plan::plan;
use triton::spec::Release;
use triton::world::{Desired, Episode, Intent, Source, World};

use crate::files::{FIRST, RELEASES, parsed, releases};
use crate::measure::{Begun, ROUNDS, Spent, Took, line, once, rounds};
use crate::objects::{Pattern, policy, start};

/// Releases that a commit changes.
const CHANGED: usize = RELEASES / 10;
/// The commit that changes them.
const SECOND: CommitId = CommitId::from_bytes([2; 20]);

/// What Git says: these releases, each since `first`.
pub fn reading(releases: impl IntoIterator<Item = Arc<Release>>, first: CommitId) -> Reading {
    let mut reading = Reading::default();
    let mut named = BTreeSet::new();
    for release in releases {
        named.insert(ObjectKey::cloneset(&release.id));
        reading.desired.insert(release.id.clone(), desired(&release, first));
    }
    reading.named = Arc::new(named);
    reading
}

fn desired(release: &Arc<Release>, first: CommitId) -> Desired {
    let episode =
        Episode { first, author: "Ann".into(), summary: "A new release".into(), time: Some(start()) };
    let (release, episode) = (Arc::clone(release), Some(episode));
    Desired::Release(Arc::new(Intent { release, episode, cap: None, markers: vec![], freezes: vec![] }))
}

/// A daemon that has seen the objects of `releases` in the cluster and in Git, and has done no lap yet.
pub fn daemon(pattern: &Pattern, releases: &[Arc<Release>]) -> (Cache, Laps) {
    let cache = Cache::default();
    for (index, release) in releases.iter().enumerate() {
        cache.wrote(Feed::CloneSets, &pattern.cloneset(index, release));
        cache.wrote(Feed::Records, &pattern.record(index, release));
    }
    let mut observer = Observer::new(cache.clone(), Lane::default(), policy());
    observer.take_reading(reading(releases.iter().cloned(), pattern.commit()));
    observer.source = Source { head: Some(pattern.commit()), fetched_at: Some(start()), fault: None };
    (cache, laps(observer))
}

/// Laps of a loop that writes nothing.
pub fn laps(observer: Observer) -> Laps {
    let clock = Clock::starting_at(start());
    Laps::new(clock, observer, None, "bench".to_owned(), Pulse::new(clock, Requests::default()))
}

/// The releases of the root, in the order of their numbers.
pub fn in_order() -> Vec<Arc<Release>> {
    let mut releases = releases(&parsed(0..RELEASES, FIRST));
    releases.sort_by(|a, b| a.id.name.cmp(&b.id.name));
    releases
}

/// Measures planning and laps.
pub fn run() {
    println!("daemon with {RELEASES} releases");
    let pattern = Pattern::new();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(measure(&pattern));
}

async fn measure(pattern: &Pattern) {
    let releases = in_order();
    let (cache, mut laps) = daemon(pattern, &releases);
    let mut first = None;
    line("first look at everything", once(|| first = Some(world(&mut laps))), None);
    let resting = first.expect("it was just made");
    let planned = plan(&resting);
    assert!(planned.moves.values().all(|it| it.writes.is_empty() && it.view.holds.is_empty()), "all rest");
    line("plan, nothing changed", rounds(|| drop(black_box(plan(&resting)))), Some(50));
    line("guard, nothing changed", rounds(|| drop(black_box(guard::check(&resting, &planned)))), None);
    let changed = with_new_versions(pattern, &releases);
    let planned = plan(&changed);
    let moving = planned.moves.values().filter(|decided| !decided.writes.is_empty()).count();
    assert_eq!(moving, CHANGED);
    line(&format!("plan, {CHANGED} changed"), rounds(|| drop(black_box(plan(&changed)))), Some(100));
    line(
        &format!("guard, {CHANGED} changed"),
        rounds(|| assert!(black_box(guard::check(&changed, &planned)).is_empty())),
        None,
    );

    line("first lap", Took::of(vec![took(&mut laps).await]), None);
    line("lap, nothing changed", laps_after(&mut laps, |_| {}).await, None);
    let change = |round: usize| {
        let index = round * 1_000;
        let mut object = pattern.cloneset(index, &releases[index]);
        object["metadata"]["resourceVersion"] = (2_000_000 + round).to_string().into();
        object["status"]["readyReplicas"] = 9.into();
        cache.wrote(Feed::CloneSets, &object);
    };
    line("lap, one CloneSet changed", laps_after(&mut laps, change).await, None);
    line("what the cluster remembers, for Git", rounds(|| drop(black_box(laps.observer.known()))), None);
}

fn world(laps: &mut Laps) -> World {
    let (mut world, _) = laps.observer.world(start());
    // The watch says so once its first list is in; here nobody watches.
    world.has_records = true;
    world
}

async fn took(laps: &mut Laps) -> Spent {
    let begun = Begun::now();
    black_box(laps.lap());
    begun.spent()
}

async fn laps_after(laps: &mut Laps, mut before: impl FnMut(usize)) -> Took {
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        before(round);
        all.push(took(laps).await);
    }
    Took::of(all)
}

/// The same world after a commit that gave some releases a new version.
fn with_new_versions(pattern: &Pattern, releases: &[Arc<Release>]) -> World {
    let (_, mut laps) = daemon(pattern, releases);
    world(&mut laps);
    let mut now = reading(releases.iter().cloned(), pattern.commit());
    let changed: BTreeMap<_, _> = parsed(0..CHANGED, "2.4.1");
    for release in crate::files::releases(&changed) {
        now.desired.insert(release.id.clone(), desired(&release, SECOND));
    }
    laps.observer.take_reading(now);
    world(&mut laps)
}
