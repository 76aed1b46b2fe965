//! Which pods a write asks Kruise to delete, against what Git names.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::guard::permit;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Motion;
use crate::model::Name;

/// Checks that a body lists only pods that Git names, each asked for once, while every pod is to be on a proven template.
///
/// # Errors
///
/// [`Rule::Replace`].
pub fn check(motion: &Motion<'_>) -> Result<(), Violation> {
    let rule = |holds, message: &str| require(holds, Rule::Replace, || message.to_owned());
    let listed = listed(motion.sent.spec)?;
    let (after, none) = (&motion.sent.memory.replaced, BTreeSet::new());
    let was = motion.scene.memory().map_or(&none, |before| &before.replaced);
    let pending = motion.live.map_or(&none, |live| &live.to_delete);
    let git = motion.scene.intent().map(|intent| &intent.release.replace);
    rule(
        listed.iter().all(|name| git.is_none_or(|git| git.contains(name))),
        "a pod is deleted that Git does not name",
    )?;
    rule(listed.is_subset(after), "a pod is deleted, and memory does not say so")?;
    let new: BTreeSet<&Name> = listed.iter().filter(|name| !pending.contains(*name)).collect();
    rule(new.iter().all(|name| !was.contains(*name)), "a pod is deleted that was asked for before")?;
    let foreign =
        listed.iter().any(|name| pending.contains(name) && !was.contains(name) && !may_ask(motion, name));
    rule(!foreign, "a pod is deleted that nobody has looked at")?;
    rule(
        new.iter().all(|name| may_ask(motion, name)),
        "a pod is deleted that Git does not permit now, or that is another's",
    )?;
    let full = motion.sent.partition.partition_pods(u32::MAX) == 0;
    rule(
        listed.is_empty() || (motion.proven && full),
        "a pod is deleted while a template stands that is not proven",
    )?;
    rule(
        after.iter().all(|name| was.contains(name) || listed.contains(name)),
        "memory names a pod that is not asked for",
    )?;
    let kept = |name: &Name| !(was.contains(name) && pending.contains(name) && after.contains(name));
    rule(
        after.iter().all(|name| kept(name) || listed.contains(name)),
        "a pod that is still to be deleted is forgotten",
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

/// Whether one more pod may be asked for: the release is complete, Git permits it now, and the pod was seen to be of this
/// CloneSet.
fn may_ask(motion: &Motion<'_>, name: &Name) -> bool {
    let (scene, world) = (motion.scene, motion.scene.world);
    let (Some(live), Some(before), Some(intent)) = (motion.live, scene.memory(), scene.intent()) else {
        return false;
    };
    let is_complete =
        before.top().is_some_and(|top| top.digest == before.digest && top.template == before.template)
            && before.step_reached.is_some()
            && before.digest == intent.release.digest
            && before.template == motion.sent.memory.template;
    let is_open = permit::closed(intent, &world.policy, world.now).is_none()
        && world.source.is_fresh(world.now, world.policy.stale_after);
    let is_own = scene.case.looked.get(name).is_some_and(|owner| owner.as_ref() == Some(&live.uid));
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
