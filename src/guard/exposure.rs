//! How many pods a write lets onto a template, against what Git permits.

use crate::guard::body::Sent;
use crate::guard::pods;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Motion;
use crate::model::Amount;
use crate::spec::Exchange;
use crate::spec::Initial;
use crate::world::Decision;

/// Checks the number of pods, the size, and that what is sent is what was written in Git.
///
/// # Errors
///
/// [`Rule::Exposure`] or [`Rule::Whole`].
pub fn check(motion: &Motion<'_>) -> Result<(), Violation> {
    check_pods(motion)?;
    check_size(motion)?;
    check_content(motion)
}

fn check_pods(motion: &Motion<'_>) -> Result<(), Violation> {
    let exposure = |holds, say: String| require(holds, Rule::Exposure, || say);
    let (exposed, already) = (motion.exposed, motion.already);
    if motion.is_note() {
        let size = motion.live.map_or(0, |live| live.replicas);
        let resized = motion.sent.replicas.is_some_and(|replicas| replicas != size);
        let live = motion.live.map(|live| live.kept());
        let kept = motion.sent.partition.partition_pods(size);
        let still = !resized && live.is_some_and(|live| kept >= live);
        return exposure(still, format!("memory alone is written, and the body keeps {kept} of {size} pods"));
    }
    if matches!(motion.scene.plan.decision, Decision::RollBack) {
        exposure(motion.proven, "a rollback leads to a template that is not proven".to_owned())?;
    }
    if motion.proven {
        let all = is_zero(motion.sent.partition);
        let partition = motion.sent.partition;
        return exposure(
            all,
            format!("a proven template is written with partition {partition}: pods would be left"),
        );
    }
    let create_all = motion.live.is_none()
        && motion.scene.is_first()
        && motion.release.is_some_and(|it| it.strategy.initial == Initial::All);
    let permitted = motion.permitted().max(already).max(scaled(motion));
    exposure(
        create_all || motion.is_in_place() || exposed <= permitted,
        format!("{exposed} pods of an unproven template, and Git permits {permitted} of {}", motion.size),
    )
}

/// Scaling keeps the share: pods, at the size after the write, of the entered release's last step that the live
/// partition holds at the live size.
fn scaled(motion: &Motion<'_>) -> u32 {
    let entered = motion.scene.memory().filter(|it| it.digest == motion.sent.memory.digest);
    let (Some(live), Some(entered), Some(release)) = (motion.live, entered, motion.release) else { return 0 };
    let resized = motion.sent.replicas.is_some_and(|replicas| replicas != live.replicas);
    if !resized || !motion.same_template || motion.grows {
        return 0;
    }
    let held = live.replicas - live.kept().min(live.replicas);
    let stands = |step: &u32| pods::of_step(&release.strategy.steps, *step, live.replicas) <= held;
    let step = (0..=entered.step).rev().find(stands).unwrap_or(0);
    motion.pods_of(step).unwrap_or(0)
}

fn is_zero(partition: Amount) -> bool {
    partition.partition_pods(u32::MAX) == 0
}

/// The size is HEAD's, or the live one; a rollback never touches it. It is left out only where it is another's.
fn check_size(motion: &Motion<'_>) -> Result<(), Violation> {
    let whole = |holds, message: &str| require(holds, Rule::Whole, || message.to_owned());
    let head = motion.scene.intent().and_then(|intent| intent.release.replicas);
    let Some(replicas) = motion.sent.replicas else {
        let another = motion.live.is_none_or(|live| live.replicas_owner.is_some());
        return whole(
            another,
            "the body has no replicas, and no other manager owns them: there would be one pod",
        );
    };
    let recorded = motion.scene.case.record.as_ref().map(|record| record.replicas);
    let written = motion.release.and_then(|release| release.replicas);
    let known = match motion.live {
        Some(live) => head == Some(replicas) || live.replicas == replicas,
        // One pod for an autoscaler to begin with, where nobody knows better.
        None => [head, recorded, written].contains(&Some(replicas)) || (head.is_none() && replicas == 1),
    };
    // The pods of a release that is switched as a whole may be in a second CloneSet.
    let mut twins = motion.scene.case.twins.values();
    let elsewhere = twins.any(|it| it.template == motion.sent.memory.template && it.live.replicas > 0);
    let known = known || (motion.live.is_none() && replicas == 0 && elsewhere);
    let growing = motion.grows && replicas <= motion.size;
    whole(known || growing, "the size is neither HEAD's nor the one that stands")
}

/// Where documents are at hand, the spec is theirs, but for what the rollout decides; on the way back to a proven
/// release its pods may be made anew, whatever it says of that.
fn check_content(motion: &Motion<'_>) -> Result<(), Violation> {
    let noted = motion.is_note() || motion.scene.plan.decision == Decision::Complete;
    let Some(release) = motion.release.filter(|_| !noted) else { return Ok(()) };
    let (sent, mut wanted) =
        (Sent::settled(motion.sent.spec), Sent::settled(&release.cloneset.value.open()["spec"]));
    let mut same = sent == wanted;
    if !same && motion.proven && motion.sent.memory.step_reached.is_none() {
        Exchange::loosen(&mut wanted);
        same = sent == wanted;
    }
    require(same, Rule::Whole, || "the spec is not the one of the release that memory names".to_owned())
}
