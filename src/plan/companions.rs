//! Companions: brought to what they should be, pruned when Git drops them and nobody may need them again.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Hold, ReleaseId};
use crate::objects::{Kind, ObjectKey};
use crate::plan::holds;
use crate::plan::shares::Shares;
use crate::spec::config::names;
use crate::spec::{Companion, Release};
use crate::world::{Action, Case, CompanionLive, Desired, Expect, Share, World, Write};

/// Writes that bring companions to what they should be, and the holds for those that are somebody else's, or of a
/// kind that is not allowed. With `all`, those that stand unchanged by the entered release's documents are written too
/// if the wanted text differs. Routes are written as `shares` has them.
#[must_use]
pub fn companion_writes<'a>(
    world: &World,
    id: &ReleaseId,
    case: &Case,
    wanted: impl Iterator<Item = &'a Companion>,
    all: bool,
    shares: &Shares,
) -> (Vec<Write>, Vec<Hold>) {
    let standing = case.standing_companions();
    let (mut writes, mut closed) = (Vec::new(), Vec::new());
    let path = case.desired.release().map_or("", |release| release.path.as_str());
    let wanted: Vec<&Companion> = wanted.collect();
    for companion in wanted.iter().copied() {
        let key = &companion.body.key;
        let there = case.companions.get(key);
        if !world.policy.kinds.contains(&key.kind) {
            closed.push(holds::kind_not_allowed(id, key.kind));
            continue;
        }
        if let Some(owner) = there.map(|there| &there.release).filter(|owner| **owner != id.to_string()) {
            // One of nobody's was looked at beside what Git desires.
            if owner.is_empty() && !all && !is_desired(case, companion) {
                continue;
            }
            let not_ours = match owner.as_str() {
                "" => untaken(id, case, key, there, path),
                owner => Some(holds::stranger(id, &format!("{key} of release {owner}"), path)),
            };
            if let Some(hold) = not_ours {
                closed.push(hold);
                continue;
            }
        } else if case.strangers.contains(key) {
            closed.push(holds::stranger(id, &key.to_string(), path));
            continue;
        }
        let same_text = !all || standing.iter().any(|it| it.body == companion.body);
        if there.is_some_and(|there| same_text && there.drift.is_empty() && !shares.shift(key, there)) {
            continue;
        }
        if let Some(there) = there.filter(|there| is_altered(case, companion, there)) {
            writes.push(delete(key, there));
            continue;
        }
        let expect = there.map_or(Expect::Absent, |it| Expect::Same(it.uid.clone(), it.version.clone()));
        let body = shares.body(companion, id, &world.policy);
        writes.push(Write { object: key.clone(), action: Action::Apply { body, expect }, forward: false });
    }
    let (more, barred) = canaries(world, id, case, &wanted, all, shares);
    writes.extend(more);
    closed.extend(barred);
    (writes, closed)
}

/// Writes of the canary Ingresses of those that are wanted, and the holds for those that are somebody else's.
fn canaries(
    world: &World,
    id: &ReleaseId,
    case: &Case,
    wanted: &[&Companion],
    all: bool,
    shares: &Shares,
) -> (Vec<Write>, Vec<Hold>) {
    let (mut writes, mut closed) = (Vec::new(), Vec::new());
    for (canary, base) in &shares.canaries {
        let Some(companion) = wanted.iter().find(|it| it.body.key == *base) else { continue };
        if !world.policy.kinds.contains(&base.kind) {
            continue;
        }
        let there = case.companions.get(canary);
        let shared = shares.of(canary) != Share::Split(0) || shares.leads_testers(canary);
        if !shared && there.is_none() {
            continue;
        }
        if there.is_some_and(|it| it.release != id.to_string()) || case.strangers.contains(canary) {
            let path = case.desired.release().map_or("", |release| release.path.as_str());
            closed.extend(shared.then(|| holds::stranger(id, &canary.to_string(), path)));
            continue;
        }
        let same_text = !all || case.standing_companions().iter().any(|it| it.body == companion.body);
        let settled = |it: &CompanionLive| same_text && it.drift.is_empty() && !shares.shift(canary, it);
        if there.is_some_and(settled) {
            continue;
        }
        let Some(body) = shares.canary(canary, companion, id, &world.policy) else { continue };
        let expect = there.map_or(Expect::Absent, |it| Expect::Same(it.uid.clone(), it.version.clone()));
        writes.push(Write { object: canary.clone(), action: Action::Apply { body, expect }, forward: false });
    }
    (writes, closed)
}

fn is_desired(case: &Case, companion: &Companion) -> bool {
    matches!(&case.desired, Desired::Release(intent) if intent.release.companions.contains(companion))
}

/// What keeps a companion that is nobody's from being taken over with its release: as the CloneSet, it moves nothing.
fn untaken(
    id: &ReleaseId,
    case: &Case,
    key: &ObjectKey,
    there: Option<&CompanionLive>,
    path: &str,
) -> Option<Hold> {
    let there = there?;
    if !matches!(&case.desired, Desired::Release(intent) if intent.release.adopt) {
        return Some(holds::stranger(id, &key.to_string(), path));
    }
    if let Some(owner) = &there.other_owner {
        return Some(holds::other_owner(id, key, owner, path));
    }
    // Our own marks are not there yet, and what has the wanted value changes hands alone.
    let moves = there.drift.iter().filter(|it| !it.is_mark() && it.found.as_ref() != Some(&it.wanted));
    let fields: Vec<&str> = moves.map(|it| it.path.as_str()).collect();
    (!fields.is_empty()).then(|| holds::differs(id, key, &fields.join(", "), path))
}

/// Takes from other managers what we own too, where the release says that what runs is taken over: a field that Git drops
/// later must not stay for their sake.
#[must_use]
pub fn take_overs(id: &ReleaseId, case: &Case) -> (Vec<Write>, BTreeSet<String>) {
    let (mut writes, mut managers) = (Vec::new(), BTreeSet::new());
    if !matches!(&case.desired, Desired::Release(intent) if intent.release.adopt) {
        return (writes, managers);
    }
    let cloneset =
        case.live.iter().map(|it| (ObjectKey::cloneset(id), &it.uid, &it.version, &it.drift.beside));
    let ours = case.companions.iter().filter(|(_, it)| it.release == id.to_string());
    let companions = ours.map(|(key, it)| (key.clone(), &it.uid, &it.version, &it.beside));
    for (object, uid, version, beside) in cloneset.chain(companions).filter(|(.., beside)| !beside.is_empty())
    {
        managers.extend(beside.iter().cloned());
        let action = Action::TakeOver { uid: uid.clone(), version: version.clone() };
        writes.push(Write { object, action, forward: false });
    }
    (writes, managers)
}

/// Deletes of companions that the entered release no longer has, that nothing in the tree is applied as, and that no pod
/// reads, now or where it goes back: by the present
/// leader only, an old one does not know the tree. What is ours and shares by weights goes its own way.
#[must_use]
pub fn prunes(world: &World, id: &ReleaseId, case: &Case) -> Vec<Write> {
    let standing = case.standing_companions();
    let is_config = |key: &ObjectKey| key.kind == Kind::ConfigMap;
    let mut unwanted: Vec<(&ObjectKey, &CompanionLive)> = case
        .companions
        .iter()
        .filter(|(key, there)| {
            there.release == id.to_string()
                && !there.deleting
                && world.policy.kinds.contains(&key.kind)
                && !standing.iter().any(|companion| companion.body.key == **key)
                && !(is_config(key) && is_proven_to_read(case, key.name.as_str()))
                && there.leads.beside.is_none()
                && there.leads.canary_of.is_none()
                && (!world.named.contains(*key) || is_left(world, id, case, key))
        })
        .collect();
    // Most of what is kept is kept for the stack, and told without opening anything.
    if unwanted.iter().any(|(key, _)| is_config(key)) {
        let read = read_now(case);
        unwanted.retain(|(key, _)| !is_config(key) || !read.contains(key.name.as_str()));
    }
    unwanted.into_iter().map(|(key, there)| delete(key, there)).collect()
}

/// By the present leader only: an old one does not know what Git says by now.
pub fn delete(key: &ObjectKey, there: &CompanionLive) -> Write {
    let action = Action::Delete { uid: there.uid.clone(), version: there.version.clone() };
    Write { object: key.clone(), action, forward: true }
}

/// Whether somebody has deleted a versioned ConfigMap, and made it anew with another content. It is immutable, so that it
/// goes and is made again as it was. What we have applied is what the server, or a webhook, made of what we wrote: pods
/// read it, and it is never deleted for that. Nor is one whose name two releases have for two contents.
fn is_altered(case: &Case, companion: &Companion, there: &CompanionLive) -> bool {
    let other = |field: &str| {
        let mut changes = there.drift.iter().filter(|it| it.found.as_ref() != Some(&it.wanted));
        changes.any(|it| it.path.starts_with(field))
    };
    let altered = !other("immutable") && (other("data") || other("binaryData"));
    let two = || {
        let says = content(companion);
        let mut known = at_hand(case).flat_map(|release| &release.companions);
        known.any(|it| it.body.key == companion.body.key && content(it) != says)
    };
    companion.version_of.is_some() && !there.applied && altered && !two()
}

/// What a ConfigMap says.
fn content(companion: &Companion) -> [Value; 2] {
    let value = companion.body.value.open();
    ["data", "binaryData"].map(|field| value[field].clone())
}

/// Every release of which the documents are at hand: the entered one, proven ones, the desired one.
fn at_hand(case: &Case) -> impl Iterator<Item = &Arc<Release>> {
    case.documents.values().chain(case.desired.release())
}

/// Whether a ConfigMap stands under a name that the tree has, and that nothing is applied under since it is versioned. It
/// stays as long as pods of any release here read it.
fn is_left(world: &World, id: &ReleaseId, case: &Case, key: &ObjectKey) -> bool {
    let others = || world.cases.iter().filter(|(it, _)| it.namespace == id.namespace && *it != id);
    let name = key.name.as_str();
    case.desired.release().is_some_and(|release| release.is_written_name(key))
        && !others().any(|(_, other)| is_proven_to_read(other, name))
        && !others().any(|(_, other)| read_now(other).contains(name))
}

/// Whether pods read a ConfigMap where a proven release is gone back to.
fn is_proven_to_read(case: &Case, name: &str) -> bool {
    let memory = case.memory().or_else(|| case.recorded_memory());
    let mut proven = memory.into_iter().flat_map(|memory| &memory.proven);
    proven.any(|proof| proof.configs.iter().any(|config| config == name))
}

/// The ConfigMaps that pods read, or that a release at hand lets them read.
fn read_now(case: &Case) -> BTreeSet<String> {
    let written = at_hand(case).flat_map(|release| release.configs());
    let live = case.live.iter().flat_map(|live| names(&live.stand.object()["spec"]["template"]));
    written.chain(live).collect()
}
