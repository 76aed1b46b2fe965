//! What memory claims, against what the write does and what the status proves.

use crate::guard::permit;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Motion;
use crate::guard::status;
use crate::model::TemplateHash;
use crate::spec::{Initial, Release};
use crate::world::{Decision, Memory, Proof, Try};

/// Checks the memory in a body.
///
/// # Errors
///
/// [`Rule::Reached`], [`Rule::Whole`] or [`Rule::Forward`].
pub fn check(motion: &Motion<'_>) -> Result<(), Violation> {
    check_whole(motion)?;
    check_step(motion)?;
    check_revision(motion)?;
    check_reached(motion)?;
    check_proven(motion)?;
    check_failed(motion)?;
    check_served(motion)?;
    if motion.scene.plan.decision == Decision::Complete { check_complete(motion) } else { Ok(()) }
}

fn whole(holds: bool, message: &str) -> Result<(), Violation> {
    require(holds, Rule::Whole, || message.to_owned())
}

fn reached(holds: bool, message: &str) -> Result<(), Violation> {
    require(holds, Rule::Reached, || message.to_owned())
}

/// Memory is the plan's, of this object, and its digest and its template belong together.
fn check_whole(motion: &Motion<'_>) -> Result<(), Violation> {
    let memory = &motion.sent.memory;
    whole(
        motion.scene.plan.memory.as_ref() == Some(memory),
        "memory in the body is not the one of the plan",
    )?;
    let uid = motion.live.map(|live| &live.uid);
    whole(memory.uid.as_ref() == uid, "memory does not name the UID of the object")?;
    let announcement = motion.scene.world.announcement.as_deref().filter(|_| motion.live.is_none());
    let announced = motion.live.is_some() || announcement.is_some();
    whole(announced, "a create is not announced: its memory would not count")?;
    whole(memory.create.as_deref() == announcement, "memory names another announcement than the lease")?;
    let before = motion.scene.memory();
    let mut pairs = before.into_iter().flat_map(|before| {
        let entered = (before.digest, before.template);
        before.proven.iter().map(|proof| (proof.digest, proof.template)).chain([entered])
    });
    let written = motion.release.is_some_and(|release| release.template == memory.template);
    let known = written || pairs.any(|pair| pair == (memory.digest, memory.template));
    whole(known, "memory names a digest and a template that do not belong together")
}

/// The step exists, and the write lets as many pods go as it holds.
fn check_step(motion: &Motion<'_>) -> Result<(), Violation> {
    let memory = &motion.sent.memory;
    if let Some(release) = motion.release {
        reached(memory.step <= release.last_step(), "memory names a step that the release does not have")?;
    }
    if let Decision::Enter(step) = motion.scene.plan.decision {
        reached(step == memory.step, "the decision and memory name two steps")?;
    }
    let claimed = motion.pods_of(memory.step).filter(|_| !motion.is_note()).unwrap_or(0);
    let size = motion.sent.replicas.unwrap_or(motion.exposed);
    let claimed = if motion.grows { claimed.min(size) } else { claimed };
    reached(motion.exposed >= claimed, "memory claims a step that the write does not let the pods reach")
}

/// The revision of a template is what a fresh status showed while that template stood.
fn check_revision(motion: &Motion<'_>) -> Result<(), Violation> {
    let Some(revision) = &motion.sent.memory.revision else { return Ok(()) };
    let carried = motion.scene.memory().is_some_and(|before| {
        before.template == motion.sent.memory.template && before.revision.as_ref() == Some(revision)
    });
    let seen = motion.live.is_some_and(|live| live.is_fresh() && live.status.update_revision == *revision);
    let shown = carried || (seen && motion.same_template);
    reached(shown, "memory names a revision that no fresh status has shown for this template")
}

/// `step reached` is carried over, or proven by a fresh status.
fn check_reached(motion: &Motion<'_>) -> Result<(), Violation> {
    let memory = &motion.sent.memory;
    let Some(claim) = memory.step_reached else { return Ok(()) };
    let before = motion.scene.memory();
    let carried = before.is_some_and(|before| {
        let same =
            before.template == memory.template && before.step_reached.map(|it| it.at) == Some(claim.at);
        let climbs = before.digest == memory.digest && memory.step > before.step;
        let fewer = before.step_reached.is_some_and(|it| claim.pods <= it.pods);
        same && !climbs && (fewer || motion.proven)
    });
    if carried {
        return Ok(());
    }
    status::check_reached(motion, memory)
}

/// Proof is kept, taken back or, by Complete alone, added.
fn check_proven(motion: &Motion<'_>) -> Result<(), Violation> {
    let after = &motion.sent.memory.proven;
    let completes = motion.scene.plan.decision == Decision::Complete;
    let template = motion.sent.memory.template;
    let was = |it: TemplateHash| motion.scene.is_proven(it);
    let earned = after.iter().all(|proof| was(proof.template) || (completes && proof.template == template));
    reached(earned, "memory calls a template proven that has not completed a rollout")?;
    if motion.scene.plan.decision == Decision::RollBack {
        let top = after.last().is_some_and(|proof| proof.template == template);
        reached(top, "after a rollback the template that it leads to is the newest proven one")?;
    }
    let moves = completes || motion.scene.plan.decision == Decision::RollBack;
    let before = motion.scene.memory().map_or(&[][..], |before| &before.proven);
    let templates = |proofs: &[Proof]| proofs.iter().map(|proof| proof.template).collect::<Vec<_>>();
    let (stood, stands) = (templates(before), templates(after));
    // A CloneSet may be made again as a proven release below the newest: those above it are proven no more.
    let back = motion.live.is_none() && stood.starts_with(&stands) && stands.last() == Some(&template);
    let kept = stood == stands || back;
    whole(moves || kept, "the body's memory has lost what was proven")?;
    // Pods of a proven revision serve by themselves: none is called so that was not the proven template's.
    let entered = motion.scene.memory().map(|before| (before.template, &before.revision));
    let seen = after.iter().all(|proof| {
        let carried =
            || before.iter().any(|it| it.template == proof.template && it.revision == proof.revision);
        let is_entered = || {
            let sent = (motion.sent.memory.template, &motion.sent.memory.revision);
            [entered, Some(sent)].contains(&Some((proof.template, &proof.revision)))
        };
        proof.revision.is_none() || carried() || is_entered()
    });
    whole(seen, "a revision is called proven that no status has shown for its template")
}

/// A failure is written for the entered try, and erased only when its template is proven after all.
fn check_failed(motion: &Motion<'_>) -> Result<(), Violation> {
    let Some(before) = motion.scene.memory() else { return Ok(()) };
    let (old, new) = (before.failed, motion.sent.memory.failed);
    if old == new {
        return Ok(());
    }
    let template = motion.sent.memory.template;
    let erased = |old: Try| motion.scene.plan.decision == Decision::Complete && old.template == template;
    let holds = match (old, new) {
        (Some(old), None) => erased(old),
        (_, Some(new)) => new.template == before.template,
        (None, None) => true,
    };
    require(holds, Rule::Forward, || {
        "memory forgets a failure, or names one of a template not tried".to_owned()
    })
}

/// Up to which step pods may serve: as it was for the same release, or as Git permits while nothing stands in the way.
fn check_served(motion: &Motion<'_>) -> Result<(), Violation> {
    let memory = &motion.sent.memory;
    let serving = |holds, message: &str| require(holds, Rule::Serving, || message.to_owned());
    if memory.served == 0 {
        return Ok(());
    }
    let same =
        |it: &&Memory| motion.live.is_some() && it.digest == memory.digest && it.episode == memory.episode;
    let before = motion.scene.memory().filter(same);
    if before.is_some_and(|before| memory.served <= before.served) {
        return Ok(());
    }
    if memory.served == Memory::ALL {
        let all = motion.release.is_some_and(|it| it.strategy.initial == Initial::All);
        let first = motion.live.is_none() && motion.scene.is_first();
        return serving(
            all && first,
            "memory lets every pod serve, and the CloneSet is not made for the first time",
        );
    }
    let world = motion.scene.world;
    let intent = motion.scene.intent().filter(|it| it.release.digest == memory.digest);
    let permitted = intent.is_some_and(|intent| {
        let open = permit::closed(intent, &world.policy, world.now).is_none()
            && world.source.is_fresh(world.now, world.policy.stale_after)
            && memory.episode == intent.episode.as_ref().map(|it| it.first);
        open && memory.served <= permit::served(intent, &world.policy).min(memory.step)
    });
    serving(permitted, "memory lets pods of a step serve, and Git does not permit it now")
}

/// Complete: the last step was reached, and at this moment every pod is updated and available.
fn check_complete(motion: &Motion<'_>) -> Result<(), Violation> {
    let memory = &motion.sent.memory;
    let before = motion.scene.memory();
    let (Some(live), Some(before)) = (motion.live, before) else {
        return reached(false, "a release completes without an object of ours");
    };
    let last = motion
        .release
        .is_some_and(|release| before.step == release.last_step() && memory.step == before.step);
    reached(last, "a release completes before its last step")?;
    reached(before.digest == memory.digest, "a release completes that was not entered")?;
    let since = status::reached_at(motion, before)?;
    if let (Some(release), false) = (motion.release, motion.proven) {
        status::check_soaked(motion, release, before.step, since)?;
    }
    let settled = live.status.current_revision == live.status.update_revision;
    reached(live.replicas > 0 || motion.proven, "nothing is proven at zero replicas")?;
    reached(
        settled && status::is_done(live, memory, motion.release, true),
        "a release completes, and the status does not prove it",
    )?;
    let reads = motion.release.map(Release::configs);
    let written = reads.is_none_or(|reads| memory.top().is_some_and(|top| top.configs == reads));
    reached(written, "a release completes, and what its pods read is not written down")?;
    // One proven release always stays: without it a failure could not be taken back.
    let depth = motion.scene.world.policy.proven_depth.max(1);
    reached(memory.entered_is_proven(), "a release completes and is not written down as proven")?;
    reached(memory.proven.len() <= depth, "more proven releases are kept than the configuration allows")?;
    status::check_told(motion, before)
}
