//! Which objects may be touched at all, and with which preconditions.

use serde_json::Value;

use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Scene;
use crate::model::{ResourceVersion, Uid};
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::{Release, config};
use crate::world::{Action, Decision, Desired, Expect, Live, World, Write};

/// Checks that a write touches an object of this release, allowed by the daemon's configuration, exactly as it was
/// seen.
///
/// # Errors
///
/// [`Rule::Whole`], or [`Rule::Evidence`] for a delete.
pub fn check(scene: Scene<'_>, write: &Write) -> Result<(), Violation> {
    let key = &write.object;
    let whole = |holds, message: &str| require(holds, Rule::Whole, || format!("{key}: {message}"));
    let policy = &scene.world.policy;
    let namespace = key.namespace.as_str();
    whole(key.namespace == scene.id.namespace, "it is outside the release's namespace")?;
    whole(policy.allows(namespace), "the daemon's configuration does not allow its namespace")?;
    if key.kind == Kind::CloneSet {
        whole(key.name == scene.id.name, "it is not named as the release")?;
    } else {
        whole(policy.kinds.contains(&key.kind), "the daemon's configuration does not allow its kind")?;
    }
    whole(!scene.case.strangers.contains(key), "it exists and is not ours")?;
    match &write.action {
        Action::Apply { body, expect } => {
            whole(is_expected(scene, key, expect), "the write does not expect the object that was seen")?;
            whole(names(body, key), "the body names another object")?;
            if scene.plan.decision == Decision::Remove {
                let entered = scene.memory().and_then(|memory| scene.release(memory.digest));
                let stays = entered.is_some_and(|release| release.orphan);
                return whole(stays, "its release does not say that its objects stay, and it is written");
            }
            whole(
                is_marked(body, scene),
                "the body does not say which root and which release it belongs to",
            )?;
            if key.kind != Kind::CloneSet {
                whole(is_entered(scene, key, body), "it is not as the release that is entered says")?;
            }
            Ok(())
        }
        Action::TakeOver { uid, version } => {
            let very_object = seen(scene, key).is_some_and(|it| it == (uid, version));
            whole(very_object, "the taking over does not name the object that was seen")?;
            let ours = match scene.case.companions.get(key) {
                Some(companion) => companion.release == scene.id.to_string(),
                None => key.kind == Kind::CloneSet && scene.case.memory().is_some(),
            };
            whole(ours && is_asked(scene), "it is taken from others, and is not ours")
        }
        Action::Delete { uid, version } => check_delete(scene, key, uid, version),
    }
}

/// Whether the release says that what runs already is taken over.
fn is_asked(scene: Scene<'_>) -> bool {
    scene.intent().is_some_and(|intent| intent.release.adopt)
}

/// What was seen under this key: who it is, and at which version.
fn seen<'a>(scene: Scene<'a>, key: &ObjectKey) -> Option<(&'a Uid, &'a ResourceVersion)> {
    if key.kind == Kind::CloneSet {
        return scene.case.live.as_ref().map(|live| (&live.uid, &live.version));
    }
    scene.case.companions.get(key).map(|companion| (&companion.uid, &companion.version))
}

fn is_expected(scene: Scene<'_>, key: &ObjectKey, expect: &Expect) -> bool {
    match (seen(scene, key), expect) {
        (None, Expect::Absent) => true,
        (Some((uid, version)), Expect::Same(same_uid, same_version)) => {
            // One of nobody's is taken over with its release, where that says so and no other tool applies it.
            let ours = scene.case.companions.get(key).is_none_or(|it| {
                let free = it.release.is_empty() && it.other_owner.is_none() && is_asked(scene);
                it.release == scene.id.to_string() || free
            });
            uid == same_uid && version == same_version && ours
        }
        (None, Expect::Same(..)) | (Some(_), Expect::Absent) => false,
    }
}

fn names(body: &Value, key: &ObjectKey) -> bool {
    let api = key.kind.api();
    body["apiVersion"] == *api.api_version()
        && body["kind"] == *api.kind
        && body["metadata"]["name"] == *key.name.as_str()
        && body["metadata"]["namespace"] == *key.namespace.as_str()
}

fn is_marked(body: &Value, scene: Scene<'_>) -> bool {
    let annotations = &body["metadata"]["annotations"];
    annotations[keys::ROOT] == *scene.world.policy.root && annotations[keys::RELEASE] == *scene.id.to_string()
}

/// Whether a companion is as the release that is entered after the move has it, or an autoscaler as HEAD has it:
/// a freeze stops a Service as well. Where those documents are not at hand, it cannot be told.
fn is_entered(scene: Scene<'_>, key: &ObjectKey, body: &Value) -> bool {
    let content = |value: &Value| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("metadata");
        }
        value
    };
    let says = |release: &Release| {
        let mut companions = release.companions.iter();
        companions.any(|it| it.body.key == *key && content(&it.body.value.open()) == content(body))
    };
    let digest = scene.plan.memory.as_ref().map(|memory| memory.digest);
    let entered = digest.map(|digest| scene.release(digest).is_none_or(says));
    let head = scene.intent().filter(|_| key.kind == Kind::HorizontalPodAutoscaler);
    // What pods of the proven release read stays true to its name while another one is entered.
    let proven = scene.memory().and_then(|memory| scene.release(memory.top()?.digest));
    let proven = proven.filter(|_| key.kind == Kind::ConfigMap && body["immutable"] == true);
    entered.unwrap_or(true) || head.is_some_and(|intent| says(&intent.release)) || proven.is_some_and(says)
}

fn check_delete(
    scene: Scene<'_>,
    key: &ObjectKey,
    uid: &Uid,
    version: &ResourceVersion,
) -> Result<(), Violation> {
    let evidence = |holds, message: &str| require(holds, Rule::Evidence, || format!("{key}: {message}"));
    let very_object = seen(scene, key).is_some_and(|it| it == (uid, version));
    evidence(very_object, "the delete does not name the object that was seen")?;
    if scene.plan.decision != Decision::Remove && is_made_again(scene, key) {
        return Ok(());
    }
    evidence(scene.world.source.is_readable(), "nothing is deleted while Git cannot be read")?;
    if let Some(companion) = scene.case.companions.get(key) {
        evidence(companion.release == scene.id.to_string(), "it belongs to another release")?;
    }
    if scene.plan.decision == Decision::Remove {
        let world = scene.world;
        let fresh = world.source.is_fresh(world.now, world.policy.stale_after);
        evidence(fresh, "nothing is removed on a fetch that is too old")?;
        return check_removal(scene, key);
    }
    evidence(key.kind != Kind::CloneSet, "a CloneSet is deleted only when its release is removed")?;
    evidence(!matches!(scene.case.desired, Desired::Unknown), "nothing is known of what Git says")?;
    evidence(!scene.world.named.contains(key), "the tree still names it")?;
    let after = scene.plan.memory.as_ref();
    let settled = after.is_some_and(|memory| memory.entered_is_proven() && memory.step_reached.is_some());
    evidence(settled, "companions are pruned once the release is complete, not before")?;
    let entered = after.and_then(|memory| scene.release(memory.digest));
    let dropped = entered.is_some_and(|release| release.companions.iter().all(|it| it.body.key != *key));
    evidence(dropped, "the release that is entered has it, or its documents are not at hand")?;
    let read = key.kind == Kind::ConfigMap && is_read(scene, key.name.as_str());
    evidence(!read, "pods read it, or will where they go back")
}

/// Every release of which anything is known here: HEAD's, the entered one, the proven ones at hand.
fn known<'a>(scene: Scene<'a>) -> impl Iterator<Item = &'a Release> {
    let head = scene.intent().map(|intent| &intent.release);
    scene.case.documents.values().chain(head).map(|release| &**release)
}

/// Whether a ConfigMap is named by pods that run, or by a release that the stack lets them go back to.
fn is_read(scene: Scene<'_>, name: &str) -> bool {
    let after = scene.plan.memory.as_ref();
    let mut stack = after.into_iter().chain(scene.memory()).flat_map(|memory| &memory.proven);
    let stands = |live: &Live| config::names(&live.stand.object()["spec"]["template"]).contains(name);
    stack.any(|proof| proof.configs.iter().any(|it| it == name))
        || known(scene).any(|release| release.configs().iter().any(|it| it == name))
        || scene.case.live.as_ref().is_some_and(stands)
}

/// Whether an object of ours is a version of a ConfigMap that does not say any more what its name says: it cannot be
/// changed, and is made again.
fn is_made_again(scene: Scene<'_>, key: &ObjectKey) -> bool {
    let is_version =
        known(scene).flat_map(|it| &it.companions).any(|it| it.body.key == *key && it.version_of.is_some());
    let content = |path: &str| path.starts_with("data") || path.starts_with("binaryData");
    let there = scene.case.companions.get(key).filter(|it| it.release == scene.id.to_string());
    is_version && there.is_some_and(|it| it.drift.iter().any(|it| content(&it.path)))
}

fn check_removal(scene: Scene<'_>, key: &ObjectKey) -> Result<(), Violation> {
    let evidence = |holds, message: &str| require(holds, Rule::Evidence, || format!("{key}: {message}"));
    let Desired::Gone(removal) = &scene.case.desired else {
        return evidence(false, "Git has not removed its release");
    };
    evidence(!scene.world.named.contains(key), "the tree still names it")?;
    if key.kind == Kind::CloneSet {
        let root = scene.case.live.as_ref().and_then(|live| live.root.as_deref());
        evidence(root == Some(&scene.world.policy.root), "it does not belong to this root")?;
        evidence(scene.case.memory().is_some(), "it is not ours by its UID")?;
    }
    let unowned = scene.case.live.is_some() && scene.case.memory().is_none();
    evidence(!unowned, "it serves a CloneSet that is not ours")?;
    let entered = scene.memory().and_then(|memory| scene.release(memory.digest));
    evidence(!entered.is_some_and(|release| release.orphan), "its release says that its objects stay")?;
    evidence(
        removal.approved || is_within_limit(scene.world),
        "more is removed at once than is allowed unasked",
    )
}

/// Whether all that is gone and not approved stays within what one sync may remove.
fn is_within_limit(world: &World) -> bool {
    let limit = world.policy.removal;
    let unasked = world.cases.values().filter(|case| {
        let stands = case.memory().is_some() || case.record.is_some();
        stands && matches!(&case.desired, Desired::Gone(removal) if !removal.approved)
    });
    let (gone, all) = (unasked.count() as u64, world.cases.len() as u64);
    gone <= u64::from(limit.releases) || gone * 100 <= u64::from(limit.percent) * all
}
