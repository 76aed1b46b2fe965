//! What a fresh status proves of a step, and how long that was so (`reference`: completion predicates of CloneSets;
//! Kruise, `cloneset_status.go:calculateStatus`).

use jiff::{SignedDuration, Timestamp};

use crate::guard::permit;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Motion;
use crate::spec::Release;
use crate::world::{Live, Memory};

/// The step that `memory` names is reached at this moment, whatever memory says of that.
///
/// # Errors
///
/// [`Rule::Reached`] where the status does not prove it.
pub fn check_reached(motion: &Motion<'_>, memory: &Memory) -> Result<(), Violation> {
    let Some(live) = motion.live else {
        return reached(false, "a CloneSet that is only made now cannot have reached a step");
    };
    let last = motion.release.is_some_and(|release| memory.step >= release.last_step());
    reached(motion.same_template, "a step is called reached for a template that does not stand yet")?;
    let none_asked = motion.grows && motion.size > 0 && motion.pods_of(memory.step) == Some(0);
    reached(motion.proven || live.replicas > 0 || none_asked, "nothing is reached at zero replicas")?;
    let held =
        motion.pods_of(memory.step).is_none_or(|pods| pods <= live.replicas - live.kept().min(live.replicas));
    let emptied = motion.proven && live.replicas == 0;
    let done = held && (emptied || is_done(live, memory, motion.release, last));
    reached(done, "a step is called reached, and the status does not prove it")
}

/// When the entered step was reached: memory says it, else it is now, and the status proves it.
///
/// # Errors
///
/// [`Rule::Reached`] where neither does.
pub fn reached_at(motion: &Motion<'_>, entered: &Memory) -> Result<Timestamp, Violation> {
    match entered.step_reached {
        Some(reached) => Ok(reached.at),
        None => check_reached(motion, entered).map(|()| motion.scene.world.now),
    }
}

/// That the entered step was reached is told, where it is left before memory says so.
///
/// # Errors
///
/// [`Rule::Silence`] where it is not.
pub fn check_told(motion: &Motion<'_>, entered: &Memory) -> Result<(), Violation> {
    let noted = motion.scene.plan.noted.as_ref();
    let told = noted.filter(|it| !it.message.trim().is_empty()).and_then(|it| it.memory.as_ref());
    let tells = told.is_some_and(|it| it.step == entered.step && it.step_reached.is_some());
    require(entered.step_reached.is_some() || tells, Rule::Silence, || {
        format!("step {} is left as it is reached, and nobody is told", entered.step)
    })
}

/// A step of `release` that was reached at `since` has soaked, unless a hotfix marker opens that.
///
/// # Errors
///
/// [`Rule::Reached`] where it has not.
pub fn check_soaked(
    motion: &Motion<'_>,
    release: &Release,
    step: u32,
    since: Timestamp,
) -> Result<(), Violation> {
    let world = motion.scene.world;
    let soak = release.step(step).map_or(0, |step| step.soak);
    let soaked = world.now.duration_since(since) >= SignedDuration::from_secs(i64::from(soak));
    let intent = motion.scene.intent().filter(|intent| intent.release.digest == release.digest);
    let skipped = intent.is_some_and(|intent| permit::is_skipped(intent, &world.policy));
    require(soaked || skipped, Rule::Reached, || format!("step {step} is left before it has soaked"))
}

/// Whether the live status proves that as many pods as the live partition lets go are updated, and so many of them as
/// `release` asks for available; at the last step, of all.
#[must_use]
pub fn is_done(live: &Live, memory: &Memory, release: Option<&Release>, last: bool) -> bool {
    let status = &live.status;
    let pods = live.replicas - live.kept().min(live.replicas);
    let needed = release.map_or(pods, |release| release.strategy.enough(pods));
    let revision = memory.revision.as_ref().is_none_or(|it| *it == status.update_revision);
    live.is_fresh()
        && !live.drift.template
        && revision
        && status.expected_updated == pods
        && status.replicas == live.replicas
        && status.updated >= pods
        && status.updated_available >= needed
        && (!last || (live.kept() == 0 && status.available >= needed))
}

fn reached(holds: bool, message: &str) -> Result<(), Violation> {
    require(holds, Rule::Reached, || message.to_owned())
}
