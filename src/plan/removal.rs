//! Removal: Git no longer has a release. Its objects go, but only on evidence, and not too many at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Hold, Name, ReleaseId};
use crate::objects::{Kind, ObjectKey, keys};
use crate::plan::body;
use crate::plan::dark;
use crate::plan::holds;
use crate::plan::outcome::Outcome;
use crate::plan::start;
use crate::plan::weights;
use crate::spec::{self, Body};
use crate::traffic;
use crate::world::{
    Action, Case, CompanionLive, Decision, Desired, Expect, Live, Memory, Removal, World, Write,
};

/// The releases that may not go yet: one sync removed more of them than it may, and nobody has said that it is
/// meant.
#[must_use]
pub fn withheld(world: &World) -> BTreeSet<ReleaseId> {
    let unapproved: BTreeSet<ReleaseId> =
        gone(world).filter(|(_, it)| !it.approved).map(|(id, _)| id.clone()).collect();
    let (count, all, limit) = (unapproved.len(), world.cases.len(), world.policy.removal);
    let many = count > limit.releases as usize;
    let large = count * 100 > limit.percent as usize * all;
    if many && large { unapproved } else { BTreeSet::new() }
}

/// What Git no longer has and the cluster has as ours.
fn gone(world: &World) -> impl Iterator<Item = (&ReleaseId, &Removal)> {
    world.cases.iter().filter_map(|(id, case)| match &case.desired {
        Desired::Gone(removal) => is_ours(case).then_some((id, removal)),
        Desired::Release(_) | Desired::Broken(_) | Desired::Unknown => None,
    })
}

/// Whether anything says that the objects are ours to remove. Without memory and record nothing does: they are
/// somebody else's, or were left behind.
fn is_ours(case: &Case) -> bool {
    case.memory().is_some() || case.record.is_some()
}

/// Removes a release, or holds it.
#[must_use]
pub fn remove(
    world: &World,
    id: &ReleaseId,
    case: &Case,
    removal: &Removal,
    withheld: &BTreeSet<ReleaseId>,
) -> Outcome {
    if !world.source.is_readable() {
        return Outcome::hold('-', vec![holds::git(id, &world.source)]);
    }
    if !world.source.is_fresh(world.now, world.policy.stale_after) {
        return Outcome::hold('-', vec![holds::stale(id, &world.source)]);
    }
    if let Some(outcome) = start::untouchable(world, id, case) {
        return outcome;
    }
    if withheld.contains(id) {
        let path = world.policy.in_root(&spec::removal_of(removal.commit));
        let hold = holds::removal_too_large(id, withheld.len(), world.cases.len(), path);
        return Outcome::hold('-', vec![hold]);
    }
    if case.live.is_some() && case.memory().is_none() {
        return unowned(id, case);
    }
    if !is_ours(case) {
        return Outcome::of('-', Decision::Rest, String::new());
    }
    let orphan = match orphan(case) {
        Ok(orphan) => orphan,
        Err(which) => return Outcome::hold('-', vec![documents(id, &which)]),
    };
    if orphan && strands(case) {
        return Outcome::hold('-', vec![dark::strands(id)]);
    }
    let verb = if orphan { "left behind" } else { "deleted" };
    let message = format!("{id} was removed from Git in {}: its objects are {verb}", removal.commit.short());
    let mut outcome = Outcome::of('-', Decision::Remove, message);
    outcome.writes = if orphan { leave(world, id, case) } else { delete(world, id, case) };
    outcome
}

/// Whether a pod that is there, or that Kruise makes, has our gate: of the template that stands, or of the proven one
/// before it.
fn strands(case: &Case) -> bool {
    let Some(live) = &case.live else { return false };
    let memory = case.memory();
    let before = memory.and_then(Memory::top).filter(|_| memory.is_some_and(|it| !it.entered_is_proven()));
    let digests = memory.map(|memory| memory.digest).into_iter().chain(before.map(|top| top.digest));
    let mut written = digests.filter_map(|digest| case.documents.get(&digest));
    let listed = case.pods.as_ref().map_or_else(|| case.is_gated(), |pods| !pods.is_empty());
    live.gated || listed || written.any(|release| release.strategy.is_gated())
}

/// A CloneSet stands that is not ours: it was left behind, or somebody else made it. What serves its pods stays.
fn unowned(id: &ReleaseId, case: &Case) -> Outcome {
    let told = || format!("{id} was removed from Git: its CloneSet is not ours, and everything stays");
    let message = case.record.as_ref().map_or_else(String::new, |_| told());
    Outcome::of('-', Decision::Remove, message)
}

/// Whether the objects stay, as the entered release said.
fn orphan(case: &Case) -> Result<bool, String> {
    let Some(memory) = case.memory().or_else(|| case.recorded_memory()) else { return Ok(false) };
    let release = case.documents.get(&memory.digest);
    release.map(|release| release.orphan).ok_or_else(|| memory.version.clone())
}

fn documents(id: &ReleaseId, which: &str) -> Hold {
    let mut hold = holds::documents_lost(id, which);
    hold.message =
        format!("{id} was removed from Git, and the documents that say whether its objects stay are lost");
    hold
}

// Every write of a removal is sent only while the lease is ours: an old leader does not know that Git has the
// release again.

fn delete(world: &World, id: &ReleaseId, case: &Case) -> Vec<Write> {
    let mut writes = Vec::new();
    // The others first: memory of all of them stands in the one that is named as the release.
    for (object, live) in seconds(id, case).filter(|(_, live)| !live.deleting) {
        let action = Action::Delete { uid: live.uid.clone(), version: live.version.clone() };
        writes.push(Write { object, action, forward: true });
    }
    let ours = case.live.as_ref().filter(|_| case.memory().is_some());
    if let Some(live) = ours {
        let action = Action::Delete { uid: live.uid.clone(), version: live.version.clone() };
        writes.push(Write { object: ObjectKey::cloneset(id), action, forward: true });
    }
    for (key, there) in companions(world, id, case) {
        let action = Action::Delete { uid: there.uid.clone(), version: there.version.clone() };
        writes.push(Write { object: key.clone(), action, forward: true });
    }
    writes
}

/// Its second CloneSets, where it is switched as a whole: those that say that they are ours, or that we have applied.
fn seconds<'a>(id: &'a ReleaseId, case: &'a Case) -> impl Iterator<Item = (ObjectKey, &'a Live)> {
    let ours = case.twins.iter().filter(|(_, twin)| twin.live.root.is_some() || twin.live.drift.applied);
    ours.map(|(name, twin)| (ObjectKey { name: name.clone(), ..ObjectKey::cloneset(id) }, &twin.live))
}

/// The companions that go with the release: not those that the tree still names.
fn companions<'a>(
    world: &'a World,
    id: &'a ReleaseId,
    case: &'a Case,
) -> impl Iterator<Item = (&'a ObjectKey, &'a CompanionLive)> {
    case.companions.iter().filter(|(key, there)| {
        let allowed = world.policy.kinds.contains(&key.kind);
        there.release == id.to_string() && allowed && !world.named.contains(*key)
    })
}

/// Everything stays, without what made it ours. The CloneSet comes last: until then it remembers that all stay. What follows
/// one of several goes on following it: as Git has it, it would lead to the pods of all.
fn leave(world: &World, id: &ReleaseId, case: &Case) -> Vec<Write> {
    let Some(live) = case.live.as_ref().filter(|_| case.memory().is_some()) else { return Vec::new() };
    let written = |key: &ObjectKey| {
        let releases = case.entered().into_iter().chain(case.documents.values());
        releases.flat_map(|release| &release.companions).find(|it| it.body.key == *key)
    };
    let mut writes = Vec::new();
    for (key, there) in companions(world, id, case) {
        // One that no documents have keeps our marks, and is not touched beside a CloneSet that is not ours.
        let Some(companion) = written(key) else { continue };
        let expect = Expect::Same(there.uid.clone(), there.version.clone());
        let action = Action::Apply { body: Arc::new(as_it_follows(id, &companion.body, there)), expect };
        writes.push(Write { object: key.clone(), action, forward: true });
    }
    // What a route leads to that stays as it stands, stays with it.
    let stay = case
        .companions
        .iter()
        .filter(|(key, it)| it.leads.canary_of.is_none() && !writes.iter().any(|it| it.object == **key));
    let led: BTreeSet<&Name> = stay.flat_map(|(_, there)| &there.leads.to).collect();
    let besides = weights::besides(case, id).into_iter();
    let (services, canaries): (Vec<Write>, Vec<Write>) =
        besides.partition(|it| it.object.kind == Kind::Service);
    let unused: Vec<Write> = services.into_iter().filter(|it| !led.contains(&it.object.name)).collect();
    writes.extend(unused);
    // Beside an Ingress that leads to all pods, a canary Ingress would give more than its share.
    writes.splice(0..0, canaries);
    for (object, live) in seconds(id, case).chain([(ObjectKey::cloneset(id), live)]) {
        let expect = Expect::Same(live.uid.clone(), live.version.clone());
        let action = Action::Apply { body: body::left_behind(&object, live), expect };
        writes.push(Write { object, action, forward: true });
    }
    writes
}

/// A companion as Git has it, without our marks, but for which pods it follows.
fn as_it_follows(id: &ReleaseId, written: &Body, there: &CompanionLive) -> Value {
    let value = written.value.open();
    let Some(follows) = &there.leads.follows else { return value };
    let mut value = traffic::pinned(&value, id, follows.as_what, follows.to.as_deref());
    if let Some(labels) = value["metadata"]["labels"].as_object_mut() {
        labels.remove(keys::TRAFFIC);
    }
    value
}
