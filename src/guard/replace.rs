//! Which pods a write asks Kruise to delete, against what Git names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::guard::permit;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Motion;
use crate::model::{Name, Uid};

/// Memory of pods: the one that was asked for, or none where a name is settled.
type Replaced = BTreeMap<Name, Option<Uid>>;

/// Checks that a body lists only pods that Git names, each asked for once, while every pod is to be on a proven template.
///
/// # Errors
///
/// [`Rule::Replace`].
pub fn check(motion: &Motion<'_>) -> Result<(), Violation> {
    let rule = |holds, message: &str| require(holds, Rule::Replace, || message.to_owned());
    let (listed, none, nobody) = (listed(motion.sent.spec)?, Replaced::new(), BTreeSet::new());
    let after = &motion.sent.memory.replaced;
    let was = motion.scene.memory().map_or(&none, |before| &before.replaced);
    let pending = motion.live.map_or(&nobody, |live| &live.to_delete);
    let git = motion.scene.intent().map(|intent| &intent.release.replace);
    rule(
        listed.iter().all(|name| git.is_none_or(|git| git.contains(name))),
        "a pod is deleted that Git does not name",
    )?;
    let asked = |name: &Name| after.get(name).and_then(Option::as_ref);
    rule(listed.iter().all(|name| asked(name).is_some()), "a pod is deleted, and memory does not say so")?;
    let goes_on = |name: &Name| pending.contains(name) && was.get(name) == after.get(name);
    let new: Vec<&Name> = listed.iter().filter(|name| !goes_on(name)).collect();
    let again = |name: &Name| was.get(name).is_some_and(|before| before.as_ref() != asked(name));
    rule(!new.iter().any(|name| again(name)), "a pod is deleted that was asked for before")?;
    rule(
        new.iter().all(|name| asked(name).is_some_and(|uid| may_ask(motion, name, uid))),
        "a pod is deleted that Git does not permit now, that is another's, or that nobody has looked at",
    )?;
    let full = motion.sent.partition.partition_pods(u32::MAX) == 0;
    let stands = motion.proven && full;
    rule(listed.is_empty() || stands, "a pod is deleted while a template stands that is not proven")?;
    rule(
        after.iter().all(|(name, uid)| match (uid, was.get(name)) {
            (now, Some(before)) if now == before => true,
            (Some(_), _) => listed.contains(name),
            (None, before) => has_gone(motion, name, before.and_then(Option::as_ref)),
        }),
        "memory names a pod that is not asked for, or was not seen to be gone",
    )?;
    rule(
        !stands || pending.iter().all(|name| asked(name).is_none() || listed.contains(name)),
        "a pod that is still to be deleted is forgotten",
    )?;
    let is_named = |name: &Name| git.is_none_or(|git| git.contains(name));
    rule(
        motion.live.is_none() || was.keys().all(|name| after.contains_key(name) || !is_named(name)),
        "a pod that was asked for is forgotten",
    )
}

/// Whether a body asks for a pod that the live object does not list: what is deleted does not come back.
///
/// # Errors
///
/// [`Rule::Replace`] where its list cannot be read.
pub fn asks(motion: &Motion<'_>) -> Result<bool, Violation> {
    let pending = motion.live.map(|live| &live.to_delete);
    Ok(listed(motion.sent.spec)?.iter().any(|name| pending.is_none_or(|pending| !pending.contains(name))))
}

/// The pod of this CloneSet that was seen under a name; nothing where nobody has looked.
fn seen<'a>(motion: &Motion<'a>, name: &Name) -> Option<Option<&'a Uid>> {
    let looked = motion.scene.case.looked.get(name)?.as_ref();
    Some(looked.filter(|it| motion.live.is_some_and(|live| live.uid == it.owner)).map(|it| &it.uid))
}

/// Whether a name was seen to be no pod of this CloneSet, or another one than was asked for.
fn has_gone(motion: &Motion<'_>, name: &Name, asked: Option<&Uid>) -> bool {
    match (seen(motion, name), asked) {
        (None, _) => false,
        (Some(None), _) => true,
        (Some(Some(_)), None) => false,
        (Some(Some(now)), Some(asked)) => now != asked,
    }
}

/// Whether this very pod may be asked for: the release is complete, Git permits it now, and the pod was seen to be of this
/// CloneSet.
fn may_ask(motion: &Motion<'_>, name: &Name, uid: &Uid) -> bool {
    let (scene, world) = (motion.scene, motion.scene.world);
    let (Some(before), Some(intent)) = (scene.memory(), scene.intent()) else { return false };
    let is_complete =
        before.top().is_some_and(|top| top.digest == before.digest && top.template == before.template)
            && before.step_reached.is_some()
            && before.digest == intent.release.digest
            && before.template == motion.sent.memory.template;
    let is_open = permit::closed(intent, &world.policy, world.now).is_none()
        && world.source.is_fresh(world.now, world.policy.stale_after);
    let is_own = seen(motion, name) == Some(Some(uid));
    is_complete && is_open && is_own && intent.release.replace.contains(name)
}

/// `scaleStrategy.podsToDelete` of a body.
fn listed(spec: &Value) -> Result<BTreeSet<Name>, Violation> {
    let list = match spec.pointer("/scaleStrategy/podsToDelete") {
        None => return Ok(BTreeSet::new()),
        Some(list) => list.as_array(),
    };
    let name = |it: &Value| it.as_str()?.parse().ok();
    let names: Option<BTreeSet<Name>> = list.and_then(|list| list.iter().map(name).collect());
    let message = "spec/scaleStrategy/podsToDelete is no list of names".to_owned();
    names.ok_or(Violation { rule: Rule::Replace, message })
}
