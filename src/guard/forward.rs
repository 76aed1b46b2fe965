//! What must hold before anything new: a step, a template, a release.

use jiff::SignedDuration;

use crate::guard::permit;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Motion;
use crate::guard::status;
use crate::spec::exchange::time_to_leave;
use crate::world::{Decision, Intent, Live, Memory};

/// Checks a write that goes forward; one that does not passes.
///
/// # Errors
///
/// [`Rule::Forward`], [`Rule::Unreadable`], [`Rule::OneUnproven`] or [`Rule::Reached`].
pub fn check(motion: &Motion<'_>) -> Result<(), Violation> {
    let (before, after) = (motion.scene.memory(), &motion.sent.memory);
    let made = motion.live.is_none() && !motion.proven;
    let entered = before.filter(|_| motion.live.is_some());
    let other_template = entered.is_some_and(|it| it.template != after.template);
    let other_digest = entered.is_some_and(|it| it.digest != after.digest);
    let climbs = entered.is_some_and(|it| !motion.proven && !other_digest && after.step > it.step);
    // A return to a proven template passes every gate; a new release with the entered template does not.
    let back = motion.proven && other_template;
    let more = !motion.proven && !motion.is_note() && motion.exposed > ceiling(motion, entered);
    if !(made || climbs || more || (other_digest && !back)) {
        return Ok(());
    }
    let intent = check_gates(motion)?;
    if made {
        return check_first(motion);
    }
    let Some(entered) = entered else {
        return require(false, Rule::Whole, || "the object is not ours".to_owned());
    };
    let Some(live) = motion.live else { return Ok(()) };
    if climbs {
        return check_climb(motion, intent, entered, live);
    }
    if other_template {
        check_alone(motion, intent, entered, live)?;
        let first = after.step <= 1 && permit::furthest(intent, &motion.scene.world.policy) >= after.step;
        return require(first || motion.is_in_place(), Rule::Reached, || {
            format!("a new template begins at step {}", after.step)
        });
    }
    if other_digest {
        let resized = motion.sent.replicas.is_some_and(|replicas| replicas != live.replicas);
        let still = motion.proven || resized || motion.exposed <= motion.already;
        return require(still, Rule::Forward, || {
            "another release with the same template moves pods".to_owned()
        });
    }
    let pods = motion.exposed;
    require(false, Rule::Exposure, || format!("{pods} pods are let go, more than the entered step holds"))
}

/// Pods that the entered step holds, or the live partition lets go: a repair goes no further.
fn ceiling(motion: &Motion<'_>, entered: Option<&Memory>) -> u32 {
    let step = entered.filter(|it| it.digest == motion.sent.memory.digest).map(|it| it.step);
    step.and_then(|step| motion.pods_of(step)).unwrap_or(0).max(motion.already)
}

/// Everything that stops whatever is new.
fn check_gates<'a>(motion: &Motion<'a>) -> Result<&'a Intent, Violation> {
    let world = motion.scene.world;
    let forward = |holds, message: &str| require(holds, Rule::Forward, || message.to_owned());
    let readable = world.source.is_readable();
    require(readable, Rule::Unreadable, || "it goes forward while Git cannot be believed".to_owned())?;
    let fresh = world.source.is_fresh(world.now, world.policy.stale_after);
    forward(fresh, "it goes forward on a fetch that is too old")?;
    forward(world.has_records, "it goes forward without the record's kind in the cluster")?;
    let Some(intent) = motion.scene.intent() else {
        let message = "it goes forward, and HEAD has no release that can be followed".to_owned();
        return Err(Violation { rule: Rule::Forward, message });
    };
    let memory = &motion.sent.memory;
    forward(memory.digest == intent.release.digest, "it goes forward to a release that is not HEAD's")?;
    if let Some(why) = permit::closed(intent, &world.policy, world.now) {
        forward(false, &format!("it goes forward, and {why}"))?;
    }
    let top = motion.scene.memory().and_then(Memory::top).is_some_and(|top| top.template == memory.template);
    let failed = motion.scene.memory().and_then(|before| before.failed);
    let tried =
        failed.is_some_and(|it| it.template == memory.template && intent.release.attempt <= it.attempt);
    forward(top || !tried, "it goes forward with a try that has failed")?;
    let episode = intent.episode.as_ref().map(|episode| episode.first);
    forward(memory.episode == episode, "its memory names another episode than HEAD's")?;
    forward(motion.live.is_none() || episode.is_some(), "the beginning of its episode is not known")?;
    Ok(intent)
}

/// The first create: of HEAD's release, and only where nothing is proven that could be made again.
fn check_first(motion: &Motion<'_>) -> Result<(), Violation> {
    require(motion.scene.is_first(), Rule::OneUnproven, || {
        "a CloneSet is made with an unproven template, though another one is proven".to_owned()
    })
}

/// The next step of the same release: one, permitted, with the one before reached, healthy and soaked. That it was
/// reached may be seen in this very moment, and stand in no memory yet.
fn check_climb(motion: &Motion<'_>, intent: &Intent, entered: &Memory, live: &Live) -> Result<(), Violation> {
    let world = motion.scene.world;
    let (from, to) = (entered.step, motion.sent.memory.step);
    let reached = |holds, message: &str| require(holds, Rule::Reached, || format!("step {to}: {message}"));
    reached(to == from + 1, "steps are entered one by one")?;
    let furthest = permit::furthest(intent, &world.policy);
    require(to <= furthest, Rule::Exposure, || {
        format!("step {to} is entered, and Git permits step {furthest}")
    })?;
    require(live.is_fresh(), Rule::Forward, || "it goes forward on a status of an earlier spec".to_owned())?;
    require(!live.drift.template, Rule::Forward, || {
        "it goes forward from a template that is not ours".to_owned()
    })?;
    reached(motion.sent.memory.step_reached.is_none(), "a step that is only entered now cannot be reached")?;
    if from == 0 {
        return Ok(());
    }
    let since = status::reached_at(motion, entered)?;
    let holds = entered.step_reached.map_or(0, |it| it.pods.min(motion.pods_of(from).unwrap_or(it.pods)));
    let holds = intent.release.strategy.enough(holds);
    reached(live.status.updated_available >= holds, "pods of the step before it are not available")?;
    status::check_soaked(motion, &intent.release, from, since)?;
    status::check_told(motion, entered)
}

/// A new template starts when every pod is on the proven one; or nothing is proven, or the proven one is broken.
fn check_alone(motion: &Motion<'_>, intent: &Intent, entered: &Memory, live: &Live) -> Result<(), Violation> {
    let world = motion.scene.world;
    if motion.scene.is_first() {
        return Ok(());
    }
    let zero = live.replicas == 0 && intent.release.strategy.stepped;
    require(!zero, Rule::Forward, || {
        "a rollout starts at zero replicas, where nothing can be proven".to_owned()
    })?;
    let alone = |holds, message: &str| require(holds, Rule::OneUnproven, || message.to_owned());
    alone(entered.entered_is_proven(), "a new template starts while another unproven one is entered")?;
    let status = &live.status;
    let standing = motion.scene.release(entered.digest);
    let leave = standing.map_or(0, |it| time_to_leave(&it.cloneset.value.open()["spec"]["updateStrategy"]));
    let back = leave == 0 || entered.step_reached.is_some() || status.updated_available >= status.replicas;
    let settled = back
        && live.is_fresh()
        && !live.drift.template
        && live.kept() == 0
        && status.updated == status.replicas
        && status.current_revision == status.update_revision;
    let deadline = standing.map(|release| release.strategy.deadline);
    let deadline = deadline.unwrap_or(u32::MAX).min(intent.release.strategy.deadline);
    let waited = live.is_fresh()
        && world.now.duration_since(entered.step_entered) >= SignedDuration::from_secs(i64::from(deadline));
    alone(settled || waited, "a new template starts before every pod is on the proven one")?;
    let enters = matches!(motion.scene.plan.decision, Decision::Enter(_));
    alone(enters, "a new template is written by a decision that enters nothing")
}
