//! Companions: brought to what they should be, pruned when Git drops them.

use crate::model::{Hold, ReleaseId};
use crate::objects::ObjectKey;
use crate::plan::body;
use crate::plan::holds;
use crate::spec::Companion;
use crate::world::{Action, Case, CompanionLive, Desired, Expect, World, Write};

/// Writes that bring companions to what they should be, and the holds for those that are somebody else's, or of a
/// kind that is not allowed. With `all`, those that stand unchanged by the entered release's documents are written too
/// if the wanted text differs.
#[must_use]
pub fn companion_writes<'a>(
    world: &World,
    id: &ReleaseId,
    case: &Case,
    wanted: impl Iterator<Item = &'a Companion>,
    all: bool,
) -> (Vec<Write>, Vec<Hold>) {
    let standing = case.standing_companions();
    let (mut writes, mut closed) = (Vec::new(), Vec::new());
    let path = match &case.desired {
        Desired::Release(intent) => intent.release.path.as_str(),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => "",
    };
    for companion in wanted {
        let key = &companion.body.key;
        let there = case.companions.get(key);
        if !world.policy.kinds.contains(&key.kind) {
            closed.push(holds::kind_not_allowed(id, key.kind));
            continue;
        }
        if let Some(owner) = there.map(|there| &there.release).filter(|owner| **owner != id.to_string()) {
            closed.push(holds::stranger(id, &format!("{key} of release {owner}"), path));
            continue;
        }
        if case.strangers.contains(key) {
            closed.push(holds::stranger(id, &key.to_string(), path));
            continue;
        }
        let same_text = !all || standing.iter().any(|it| it.body == companion.body);
        if there.is_some_and(|there| same_text && there.drift.is_empty()) {
            continue;
        }
        let expect = there.map_or(Expect::Absent, |it| Expect::Same(it.uid.clone(), it.version.clone()));
        let body = body::companion(&companion.body, id, &world.policy);
        writes.push(Write { object: key.clone(), action: Action::Apply { body, expect }, forward: false });
    }
    (writes, closed)
}

/// Deletes of companions that the entered release no longer has and that nothing in the tree names: by the present
/// leader only, an old one does not know the tree.
#[must_use]
pub fn prunes(world: &World, id: &ReleaseId, case: &Case) -> Vec<Write> {
    let standing = case.standing_companions();
    let unwanted = case.companions.iter().filter(|(key, there)| {
        there.release == id.to_string()
            && world.policy.kinds.contains(&key.kind)
            && !world.named.contains(*key)
            && !standing.iter().any(|companion| companion.body.key == **key)
    });
    let delete = |(key, there): (&ObjectKey, &CompanionLive)| Write {
        object: key.clone(),
        action: Action::Delete { uid: there.uid.clone(), version: there.version.clone() },
        forward: true,
    };
    unwanted.map(delete).collect()
}
