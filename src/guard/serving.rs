//! Which pods are let in: those of the proven revision, and of an unproven one no more than Git permits; and which leave.

use serde_json::{Value, json};

use crate::guard::hook;
use crate::guard::permit;
use crate::guard::pods;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Scene;
use crate::model::{ResourceVersion, Uid};
use crate::objects::{Kind, keys};
use crate::spec::Initial;
use crate::world::{Action, Decision, Desired, Expect, Live, Memory, PodLive, Stage, Write};

/// What a write does to a pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// It serves, under the hook.
    In,
    /// It waits, under the hook.
    Back,
    /// It leaves traffic, and the hook lets it go.
    Out,
}

/// Checks every pod that a move writes.
///
/// # Errors
///
/// [`Rule::Whole`] where it is none of the release's, or more is written than what is ours; [`Rule::Serving`] or
/// [`Rule::Exposure`] where it is not permitted; [`Rule::Forward`] where nothing new may serve at all.
pub fn check(scene: Scene<'_>) -> Result<(), Violation> {
    let suspended = scene.case.live.as_ref().is_some_and(|live| live.suspend.is_some());
    let (mut more, mut left) = (0_u32, Vec::new());
    for write in &scene.plan.serving {
        let (pod, deed) = check_pod(scene, write)?;
        let serving =
            |holds, message: &str| require(holds, Rule::Serving, || format!("pod {}: {message}", pod.name));
        let live = scene.case.live.as_ref();
        let (Some(live), Some(memory)) = (live, scene.memory()) else {
            return serving(false, "its CloneSet is not ours");
        };
        match deed {
            Deed::Out => {
                hook::check_leaving(scene, live, pod, write.forward)?;
                left.push(pod);
                continue;
            }
            Deed::Back => {
                let changes = pod.stage == Stage::Updating && !pod.ready;
                let stays = pod.stage != Stage::Updating && !pod.serves;
                serving(stays || changes, "it is taken out of traffic, and nobody asks for it")?;
                continue;
            }
            // Nothing changes but that the hook has it again.
            Deed::In if pod.serves && pod.stage != Stage::Updating => continue,
            Deed::In => {}
        }
        require(!suspended, Rule::Forward, || {
            "it is suspended in the cluster, and pods are let in".to_owned()
        })?;
        let proven = is_proven(live, memory, pod);
        let kept = pod.stage == Stage::Asks && pod.held && proven && live.asks_first();
        serving(pod.stage == Stage::Settled || kept, "it would be updated in place as it serves")?;
        if proven {
            continue;
        }
        let entered = !memory.entered_is_proven() && is_entered(live, memory, pod);
        serving(entered, "it is of a revision that is neither proven nor entered")?;
        serving(write.forward, "an old leader could let it in")?;
        serving(pod.up, "its containers are not ready")?;
        let leaves = matches!(scene.plan.decision, Decision::RollBack | Decision::Fail | Decision::Remove);
        serving(!leaves, "its release is being left")?;
        more += 1;
    }
    if let (Some(live), Some(memory)) = (&scene.case.live, scene.memory()) {
        hook::check_left(scene, live, memory, &left)?;
    }
    if more == 0 {
        return Ok(());
    }
    check_permitted(scene, more)
}

/// `more` pods of the entered revision are let in.
fn check_permitted(scene: Scene<'_>, more: u32) -> Result<(), Violation> {
    let (Some(live), Some(memory)) = (&scene.case.live, scene.memory()) else { return Ok(()) };
    let all = scene.case.pods.iter().flat_map(|pods| pods.iter());
    let there = all.filter(|pod| pod.serves && !pod.ending && is_entered(live, memory, pod)).count();
    let serve = u32::try_from(there).unwrap_or(u32::MAX).saturating_add(more);
    let permitted = permitted(scene, live, memory);
    require(serve <= permitted, Rule::Serving, || {
        format!("{serve} pods of an unproven template would serve, and {permitted} may")
    })
}

/// Pods of the entered release, not proven, that may serve: as many as the markers at HEAD permit; where HEAD cannot be
/// asked, as both copies of memory say that it did. While nothing goes forward no more than did already.
fn permitted(scene: Scene<'_>, live: &Live, memory: &Memory) -> u32 {
    let Some(release) = scene.release(memory.digest) else { return 0 };
    let grows = scene.is_first() && release.strategy.initial == Initial::Steps;
    let wanted = scene.intent().and_then(|intent| intent.release.replicas).filter(|_| grows);
    let size = wanted.unwrap_or(live.replicas);
    let pods = |step: u32| match step as usize {
        step if step >= release.strategy.steps.len() => u32::MAX,
        _ => pods::of_step(&release.strategy.steps, step, size),
    };
    let same = |it: &&Memory| it.uid == memory.uid && it.digest == memory.digest;
    let both = scene.case.recorded_memory().filter(same).map_or(0, |it| it.served.min(memory.served));
    let came_at_once = both == Memory::ALL && scene.is_first() && release.strategy.initial == Initial::All;
    let head = scene.intent().filter(|intent| intent.release.digest == memory.digest);
    let step = match head {
        Some(intent) => permit::served(intent, &scene.world.policy).min(memory.served),
        None => both,
    };
    let step = if step == Memory::ALL { 0 } else { step.min(memory.step) };
    let most = if came_at_once { u32::MAX } else { pods(step) };
    if !is_stopped(scene, memory) {
        return most;
    }
    let before =
        memory.step.checked_sub(1).map_or(0, |step| pods::of_step(&release.strategy.steps, step, size));
    most.min(memory.step_reached.map_or(before, |reached| reached.pods))
}

/// Whether the entered release does not go forward, by somebody's will or because it has failed.
fn is_stopped(scene: Scene<'_>, memory: &Memory) -> bool {
    let world = scene.world;
    let head = scene.intent().is_some_and(|intent| {
        intent.release.digest != memory.digest
            || intent.episode.as_ref().map(|it| it.first) != memory.episode
            || permit::closed(intent, &world.policy, world.now).is_some()
    });
    scene.has_failed(memory) || head || matches!(scene.case.desired, Desired::Gone(_))
}

/// The pod that is written, as it was seen, and what is done to it; of it our condition and our label alone are.
fn check_pod<'a>(scene: Scene<'a>, write: &Write) -> Result<(&'a PodLive, Deed), Violation> {
    let key = &write.object;
    let whole = |holds, message: &str| require(holds, Rule::Whole, || format!("{key}: {message}"));
    let named = key.kind == Kind::Pod && key.namespace == scene.id.namespace;
    whole(
        named && scene.world.policy.allows(key.namespace.as_str()),
        "it is no pod of the release's namespace",
    )?;
    let pods = scene.case.pods.iter().flat_map(|pods| pods.iter());
    let Some(pod) = pods.into_iter().find(|pod| pod.name == key.name) else {
        return Err(Violation { rule: Rule::Whole, message: format!("{key}: it was not seen") });
    };
    let owned = scene.case.live.as_ref().is_some_and(|live| live.uid == pod.owner);
    whole(owned, "another CloneSet has made it")?;
    let Action::Apply { body, expect } = &write.action else {
        return Err(Violation { rule: Rule::Whole, message: format!("{key}: a pod is only let in or out") });
    };
    let same = |uid: &Uid, version: &ResourceVersion| *uid == pod.uid && *version == pod.version;
    whole(matches!(expect, Expect::Same(uid, version) if same(uid, version)), "it is not as it was seen")?;
    let deed = deed(body).ok_or_else(|| Violation {
        rule: Rule::Whole,
        message: format!("{key}: more is written than whether it serves, or less"),
    })?;
    Ok((pod, deed))
}

/// What a body does, where it is whole: server-side apply takes off what it leaves out.
fn deed(body: &Value) -> Option<Deed> {
    let [condition] = body.pointer("/status/conditions")?.as_array()?.as_slice() else { return None };
    let label = body["metadata"]["labels"][keys::SERVE].as_str()?;
    let deed = match (condition["status"].as_str()?, label) {
        ("True", keys::SERVE_GATED) => Deed::In,
        ("False", keys::SERVE_GATED) => Deed::Back,
        ("False", keys::SERVE_UPDATING) => Deed::Out,
        _ => return None,
    };
    let whole = json!({"metadata": {"labels": {keys::SERVE: label}}, "status": {"conditions": [condition]}});
    (condition["type"] == keys::SERVE && *body == whole).then_some(deed)
}

/// The revision of the entered template, as far as it is known.
fn entered<'a>(live: &'a Live, memory: &'a Memory) -> Option<&'a str> {
    match &memory.revision {
        Some(revision) => Some(revision),
        None if live.is_fresh() && !live.drift.template => Some(&live.status.update_revision),
        None => None,
    }
}

fn is_entered(live: &Live, memory: &Memory, pod: &PodLive) -> bool {
    entered(live, memory).is_some_and(|revision| pod.is_of(revision))
}

/// Whether the pod is of the proven revision. Kruise's current revision says nothing of that.
fn is_proven(live: &Live, memory: &Memory, pod: &PodLive) -> bool {
    let Some(top) = memory.top() else { return false };
    let stands = live.is_fresh() && !live.drift.template && pod.is_of(&live.status.update_revision);
    if memory.entered_is_proven() {
        let known = memory.revision.as_ref().or(top.revision.as_ref());
        return stands || known.is_some_and(|it| pod.is_of(it));
    }
    let proven = top.revision.as_ref().is_some_and(|it| pod.is_of(it));
    proven && !stands && !is_entered(live, memory, pod)
}
