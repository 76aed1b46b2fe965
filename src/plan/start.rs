//! Rows a and c: a CloneSet that nobody may touch, and none at all.

use crate::model::{Hold, ReleaseId};
use crate::objects::ObjectKey;
use crate::plan::body;
use crate::plan::companions::companion_writes;
use crate::plan::facts::{Facts, Head};
use crate::plan::holds;
use crate::plan::led;
use crate::plan::outcome::{Outcome, fully_entered, made_again};
use crate::plan::serving::unlisted;
use crate::plan::shares::Shares;
use crate::plan::steps::{self, Shape};
use crate::spec::{Initial, Release};
use crate::world::{Action, Case, Decision, Desired, Expect, Memory, Try, World, Write};

/// Row a: suspended in the cluster, being deleted, or of another root. Of several CloneSets it is said on any.
#[must_use]
pub fn untouchable(world: &World, id: &ReleaseId, case: &Case) -> Option<Outcome> {
    let twins = case.twins.iter().map(|(name, twin)| (name, &twin.live));
    let mut all = twins.chain(case.live.iter().map(|live| (&id.name, live)));
    if let Some((on, reason)) = all.find_map(|(name, live)| Some((name, live.suspend.as_ref()?))) {
        return Some(Outcome::hold('a', vec![holds::suspended_in_cluster(id, on, reason)]));
    }
    let live = case.live.as_ref()?;
    if live.deleting {
        return Some(Outcome::hold('a', vec![holds::deleting(id)]));
    }
    let other = live.root.as_ref().filter(|root| **root != world.policy.root)?;
    Some(Outcome::hold('a', vec![holds::other_root(id, other)]))
}

/// Why HEAD cannot be followed.
#[must_use]
pub fn unreadable(world: &World, id: &ReleaseId, case: &Case) -> Vec<Hold> {
    match &case.desired {
        Desired::Broken(diagnostics) if world.source.is_readable() => vec![holds::broken(id, diagnostics)],
        Desired::Unknown if world.source.is_readable() => vec![holds::never_in_git(id)],
        _ => vec![holds::git(id, &world.source)],
    }
}

/// Row c: no CloneSet. The proven release is made again if the record has one; else the desired one for the first
/// time.
#[must_use]
pub fn create(world: &World, id: &ReleaseId, case: &Case) -> Outcome {
    if !world.has_records {
        return Outcome::hold('c', vec![holds::no_records(id)]);
    }
    let recorded = case.recorded_memory();
    if let Some(memory) = recorded.filter(|memory| memory.top().is_some()) {
        return create_again(world, id, case, memory);
    }
    first_create(world, id, case, recorded.and_then(|memory| memory.failed))
}

/// The proven release is made again: the one that Git desires where that is proven, else the newest.
fn create_again(world: &World, id: &ReleaseId, case: &Case, memory: &Memory) -> Outcome {
    let head = Head::of(world, case);
    let size = head.as_ref().and_then(|head| head.release().replicas);
    let size = size.or(case.record.as_ref().map(|record| record.replicas)).unwrap_or(1);
    let desired = head.as_ref().and_then(|head| {
        let place = memory.proven.iter().rposition(|proof| proof.template == head.release().template)?;
        let below_top = place + 1 < memory.proven.len() && world.policy.proven_depth > 0;
        let episode = head.intent.episode.as_ref().map(|it| it.first);
        below_top.then(|| {
            (head.release().clone(), episode, memory.proven.iter().take(place + 1).cloned().collect())
        })
    });
    // Of two releases with the proven template the entered one stood last.
    let newest = || {
        let top = memory.top()?;
        let stood = case.documents.get(&memory.digest).filter(|_| memory.template == top.template);
        let newest = || Some((case.documents.get(&top.digest)?, top.commit));
        let (release, episode) = stood.map(|release| (release, memory.episode)).or_else(newest)?;
        Some((release.clone(), episode, memory.proven.clone()))
    };
    let Some((release, episode, proven)) = desired.or_else(newest) else {
        let version = memory.top().map_or("", |top| &top.version);
        return Outcome::hold('c', vec![holds::documents_lost(id, version)]);
    };
    let memory = Memory { failed: memory.failed, proven, ..fully_entered(&release, episode, world.now) };
    let message = format!("{id} is made again as {}, which is proven", holds::named(&release));
    let shape = steps::shape(&release, release.last_step(), size, true);
    made(world, id, case, &release, shape, memory, message)
}

fn first_create(world: &World, id: &ReleaseId, case: &Case, failed: Option<Try>) -> Outcome {
    let Some(head) = Head::of(world, case) else {
        return Outcome::hold('c', unreadable(world, id, case));
    };
    let release = head.release();
    if !head.fresh {
        return Outcome::hold('c', vec![holds::stale(id, &world.source)]);
    }
    if let Some(hold) = kind_forbidden(world, id, release) {
        return Outcome::hold('c', vec![hold]);
    }
    if head.closed().is_some() {
        return Outcome::hold('c', holds::closed(id, &head)).waking(head.freeze.and_then(|it| it.until));
    }
    if failed.is_some_and(|it| it.covers(release.template, release.attempt)) {
        return Outcome::hold('c', vec![holds::failed_before_made(id, release)]);
    }
    let Some(episode) = &head.intent.episode else {
        return Outcome::hold('c', vec![holds::episode_unknown(id, &release.path)]);
    };
    // One that was made before keeps the size that an autoscaler gave it.
    let before = case.record.as_ref().filter(|record| record.memory.is_some()).map(|record| record.replicas);
    let size = release.replicas.or(before).unwrap_or(1);
    let by_steps = release.strategy.initial == Initial::Steps;
    if by_steps && head.permitted.furthest < 1 {
        return Outcome::hold('c', holds::not_permitted(id, &head, 1, size, None));
    }
    if let Some(hold) = unlisted(id, case, release) {
        return Outcome::hold('c', vec![hold]);
    }
    let step = if by_steps { 1 } else { release.last_step() };
    let served = if by_steps || !release.strategy.is_gated() { 0 } else { Memory::ALL };
    let memory = Memory { step, served, failed, ..fully_entered(release, Some(episode.first), world.now) };
    let shape = steps::shape(release, step, size, false);
    let message =
        format!("{id} is made for the first time: {} on {}", holds::pods(shape.size), holds::named(release));
    made(world, id, case, release, shape, memory, message)
}

/// Makes the CloneSet, after its companions, once an announcement stands on the lease.
fn made(
    world: &World,
    id: &ReleaseId,
    case: &Case,
    release: &Release,
    shape: Shape,
    memory: Memory,
    message: String,
) -> Outcome {
    let (writes, closed) =
        companion_writes(world, id, case, release.companions.iter(), true, &Shares::as_it_stands(case));
    // What is proven is made again whatever stands in the way of its companions.
    if !closed.is_empty() && memory.proven.is_empty() {
        return Outcome::hold('c', closed);
    }
    let Some(announcement) = &world.announcement else {
        let mut outcome = Outcome::hold('c', vec![holds::announcing(id)]);
        outcome.announces = true;
        return outcome;
    };
    let memory = Memory { create: Some(announcement.to_string()), ..memory };
    if let Some(outcome) = made_again(id, 'c', &writes) {
        return outcome.holding(closed);
    }
    // Its pods may be in a second CloneSet, of a release that is switched as a whole.
    let elsewhere = case.colour(release.template).is_some_and(|it| it.live.replicas > 0);
    let shape = if elsewhere { Shape { size: 0, ..shape } } else { shape };
    let body = body::cloneset(release, shape, true, &memory, &world.policy);
    let mut outcome = Outcome::of('c', Decision::Create, message);
    outcome.writes = writes;
    let action = Action::Apply { body, expect: Expect::Absent };
    outcome.writes.push(Write { object: ObjectKey::cloneset(id), action, forward: false });
    for write in &mut outcome.writes {
        write.forward = memory.proven.is_empty();
    }
    outcome.memory = Some(memory);
    outcome.holding(closed)
}

/// The namespace of a release, where the daemon's configuration does not allow it: nothing is written there.
#[must_use]
pub fn namespace_forbidden(world: &World, id: &ReleaseId) -> Option<Hold> {
    let what = || format!("namespace {}", id.namespace);
    (!world.policy.allows(id.namespace.as_str())).then(|| holds::not_allowed(id, &what(), "allow.namespaces"))
}

/// The first kind of a release's companions that the daemon's configuration does not allow.
#[must_use]
pub fn kind_forbidden(world: &World, id: &ReleaseId, release: &Release) -> Option<Hold> {
    let kinds = release.companions.iter().map(|companion| companion.body.key.kind);
    let mut refused = kinds.filter(|kind| !world.policy.kinds.contains(kind));
    refused.next().map(|kind| holds::kind_not_allowed(id, kind))
}

/// What keeps a release with blue/green from being entered with another version: it is switched as a whole no more, its pods move
/// back, or that version would be previewed where the present one serves.
#[must_use]
pub fn not_at_once(facts: &Facts<'_>, release: &Release) -> Option<Hold> {
    if release.template == facts.memory.template && facts.is_proven() {
        return None;
    }
    if facts.moves_home() {
        return Some(led::moves_home(facts));
    }
    let Some(next) = &release.strategy.blue_green else { return Some(led::leaves_both(facts, release)) };
    let top = facts.top().and_then(|top| facts.documents(top)?.strategy.blue_green.as_ref());
    top.filter(|top| top.active == next.preview).map(|top| led::changes_places(facts, release, &top.active))
}
