//! Which objects may be touched at all, and with which preconditions.

use serde_json::Value;

use crate::guard::blue_green;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::{Motion, Scene};
use crate::guard::switch;
use crate::guard::weights;
use crate::model::{ResourceVersion, Uid};
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::versioned::named;
use crate::spec::{Companion, Release, config};
use crate::world::{Action, Case, Decision, Desired, Expect, Live, World, Write};

/// Checks that a write touches an object of this release, allowed by the daemon's configuration, exactly as it was
/// seen.
///
/// # Errors
///
/// [`Rule::Whole`], or [`Rule::Evidence`] or [`Rule::Forward`] for a delete.
pub fn check(scene: Scene<'_>, write: &Write) -> Result<(), Violation> {
    let key = &write.object;
    let whole = |holds, message: &str| require(holds, Rule::Whole, || format!("{key}: {message}"));
    let policy = &scene.world.policy;
    let namespace = key.namespace.as_str();
    whole(key.namespace == scene.id.namespace, "it is outside the release's namespace")?;
    whole(policy.allows(namespace), "the daemon's configuration does not allow its namespace")?;
    if key.kind == Kind::CloneSet {
        let named = key.name == scene.id.name || blue_green::is_twin(scene, key);
        whole(named, "it is not named as the release")?;
    } else {
        whole(policy.kinds.contains(&key.kind), "the daemon's configuration does not allow its kind")?;
    }
    whole(!scene.case.strangers.contains(key), "it exists and is not ours")?;
    match &write.action {
        Action::Apply { body, expect } => {
            whole(is_expected(scene, key, expect), "the write does not expect the object that was seen")?;
            whole(names(body, key), "the body names another object")?;
            whole(is_true_to_its_name(scene, key, body), "its name is not the one of what it says")?;
            if scene.plan.decision == Decision::Remove {
                let entered = scene.memory().and_then(|memory| scene.release(memory.digest));
                let stays = entered.is_some_and(|release| release.orphan);
                whole(stays, "its release does not say that its objects stay, and it is written")?;
                return switch::check_left(scene, key, body);
            }
            whole(
                is_marked(body, scene),
                "the body does not say which root and which release it belongs to",
            )?;
            let shared = weights::check_route(scene, write, body)?
                || weights::check_service(scene, key, body)?
                || switch::check_follower(scene, write, body)?;
            if key.kind != Kind::CloneSet && !shared {
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
        Action::Delete { uid, version } => {
            require(write.forward, Rule::Forward, || {
                format!("{key}: a delete is not marked as forward: an old leader could send it")
            })?;
            check_delete(scene, key, uid, version)
        }
    }
}

/// Whether the release says that what runs already is taken over.
fn is_asked(scene: Scene<'_>) -> bool {
    scene.intent().is_some_and(|intent| intent.release.adopt)
}

/// What was seen under this key: who it is, and at which version.
fn seen<'a>(scene: Scene<'a>, key: &ObjectKey) -> Option<(&'a Uid, &'a ResourceVersion)> {
    if key.kind == Kind::CloneSet {
        let twin = scene.case.twins.get(&key.name).map(|twin| &twin.live);
        let own = || scene.case.live.as_ref().filter(|_| key.name == scene.id.name);
        return twin.or_else(own).map(|live| (&live.uid, &live.version));
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
    // What pods of the proven release read stays as it was while another one is entered that does not have it.
    let has = |release: &Release| release.companions.iter().any(|it| it.body.key == *key);
    let has_it = digest.and_then(|digest| scene.release(digest)).is_some_and(has);
    let proven = scene.memory().and_then(|memory| scene.release(memory.top()?.digest));
    let proven = proven.filter(|_| key.kind == Kind::ConfigMap && !has_it);
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
    // What puts back the content that pods read asks nothing of Git, as every repair.
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
    if weights::check_delete(scene, key)? || blue_green::check_delete(scene, key)? {
        return Ok(());
    }
    evidence(key.kind != Kind::CloneSet, "a CloneSet is deleted only when its release is removed")?;
    evidence(!matches!(scene.case.desired, Desired::Unknown), "nothing is known of what Git says")?;
    evidence(!scene.world.named.contains(key) || is_left(scene, key), "the tree still names it")?;
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
    let after = scene.plan.memory.iter().flat_map(|memory| &memory.proven);
    after.flat_map(|proof| &proof.configs).any(|it| it == name) || is_read_in(scene.case, name)
}

/// Whether pods of one release read a ConfigMap, or may where they go back or on.
fn is_read_in(case: &Case, name: &str) -> bool {
    let memory = case.memory().or_else(|| case.recorded_memory());
    let mut stack = memory.into_iter().flat_map(|memory| &memory.proven);
    let stands = |live: &Live| config::names(&live.stand.object()["spec"]["template"]).contains(name);
    let head = case.desired.release();
    let mut known = case.documents.values().chain(head);
    stack.any(|proof| proof.configs.iter().any(|it| it == name))
        || known.any(|release| release.configs().iter().any(|it| it == name))
        || case.live.as_ref().is_some_and(stands)
}

/// Whether the tree has the name only for what is applied under another one, and no pods of another release read it.
fn is_left(scene: Scene<'_>, key: &ObjectKey) -> bool {
    let mut others = scene.world.cases.iter().filter(|(id, _)| *id != scene.id);
    scene.intent().is_some_and(|intent| intent.release.is_written_name(key))
        && !others.any(|(id, case)| id.namespace == key.namespace && is_read_in(case, key.name.as_str()))
}

/// Whether an object that names our release is a version of a ConfigMap that somebody else has made, and that does not say
/// what its name says: it cannot be changed, and is made again. One that we applied is never deleted for what it says, nor
/// one whose name is not the hash of what every release at hand has under it, nor beside any other write.
fn is_made_again(scene: Scene<'_>, key: &ObjectKey) -> bool {
    let mut versions = known(scene).flat_map(|it| &it.companions).filter(|it| it.body.key == *key).peekable();
    let is_version = versions.peek().is_some()
        && versions.all(|it| {
            let value = it.body.value.open();
            it.version_of.as_ref().is_some_and(|of| named(of.as_str(), &value) == key.name.as_str())
        });
    let content = |path: &str| path.starts_with("data") || path.starts_with("binaryData");
    let there = scene.case.companions.get(key);
    let there = there.filter(|it| it.release == scene.id.to_string() && !it.applied);
    let alone = scene.plan.writes.iter().all(|it| it.object.kind != Kind::CloneSet);
    is_version && alone && there.is_some_and(|it| it.drift.iter().any(|it| content(&it.path)))
}

/// A version of a ConfigMap is immutable, under a name with the hash of what the body says.
fn is_true_to_its_name(scene: Scene<'_>, key: &ObjectKey, body: &Value) -> bool {
    let has = |it: &&Companion| it.body.key == *key;
    let mut versions = known(scene).flat_map(|it| &it.companions).filter(has).peekable();
    let marked = body["metadata"]["annotations"][keys::VERSION_OF].as_str();
    match marked {
        Some(of) => body["immutable"] == true && named(of, body) == key.name.as_str(),
        None => versions.peek().is_none() || versions.any(|it| it.version_of.is_none()),
    }
}

/// What pods of a new template read stands, or is written before it.
///
/// # Errors
///
/// [`Rule::Whole`].
pub fn check_read(motion: &Motion<'_>) -> Result<(), Violation> {
    let scene = motion.scene;
    let begins = matches!(scene.plan.decision, Decision::Enter(_) | Decision::Create);
    // A way back is never kept waiting.
    if !begins || motion.proven || motion.same_template {
        return Ok(());
    }
    let read = config::names(motion.sent.template);
    let before = scene.plan.writes.iter().take_while(|it| it.object.kind != Kind::CloneSet);
    let written: Vec<&ObjectKey> =
        before.filter(|it| matches!(it.action, Action::Apply { .. })).map(|it| &it.object).collect();
    let versions = motion.release.into_iter().flat_map(|it| &it.companions);
    for version in versions.filter(|it| it.version_of.is_some() && read.contains(it.body.key.name.as_str())) {
        let key = &version.body.key;
        let stands = scene.case.companions.get(key).is_some_and(|it| it.release == scene.id.to_string());
        require(stands || written.contains(&key), Rule::Whole, || {
            format!("pods are to read {key}, which is neither there nor written before them")
        })?;
    }
    Ok(())
}

fn check_removal(scene: Scene<'_>, key: &ObjectKey) -> Result<(), Violation> {
    let evidence = |holds, message: &str| require(holds, Rule::Evidence, || format!("{key}: {message}"));
    let Desired::Gone(removal) = &scene.case.desired else {
        return evidence(false, "Git has not removed its release");
    };
    evidence(!scene.world.named.contains(key), "the tree still names it")?;
    let twin = scene.case.twins.get(&key.name).filter(|_| key.kind == Kind::CloneSet);
    if let Some(twin) = twin {
        evidence(blue_green::is_ours(scene, &twin.live), "it does not belong to this root")?;
        // The one that carried memory may be gone already.
        evidence(scene.memory().is_some(), "nothing is remembered of its release")?;
    } else if key.kind == Kind::CloneSet {
        let root = scene.case.live.as_ref().and_then(|live| live.root.as_deref());
        evidence(root == Some(&scene.world.policy.root), "it does not belong to this root")?;
        evidence(scene.case.memory().is_some(), "it is not ours by its UID")?;
    }
    let unowned = scene.case.live.is_some() && scene.case.memory().is_none();
    evidence(!unowned, "it serves a CloneSet that is not ours")?;
    let entered = scene.memory().and_then(|memory| scene.release(memory.digest));
    let stays = entered.is_some_and(|release| release.orphan) && !weights::is_beside(scene, key);
    evidence(!stays, "its release says that its objects stay")?;
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
