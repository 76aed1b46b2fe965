//! The sentences about pods that are up and do not serve, and about what would leave them so.

use jiff::Timestamp;

use crate::model::{Gate, Hold, Lift, LiftKind, ReleaseId};
use crate::plan::facts::{Facts, Head};
use crate::plan::holds::{pods, suspended_in_cluster};
use crate::spec::{Permission, Release, marker_of};
use crate::world::PodLive;

/// Most addresses of pods that a sentence has: one is enough to try a version.
const ADDRESSES_MAX: usize = 3;

fn hold(gate: Gate, since: Option<Timestamp>, message: String, lift: Lift) -> Hold {
    Hold { gate, since, message, lift }
}

/// Pods that wait to serve, with their own addresses: so they can be tried.
fn addresses(dark: &[&PodLive]) -> String {
    let known: Vec<&str> = dark.iter().filter_map(|pod| pod.ip.as_deref()).collect();
    let shown = known.iter().take(ADDRESSES_MAX).copied().collect::<Vec<_>>().join(", ");
    match known.len() {
        0 => String::new(),
        many if many > ADDRESSES_MAX => format!(" ({shown} and {} more)", many - ADDRESSES_MAX),
        _ => format!(" ({shown})"),
    }
}

fn are_up(dark: &[&PodLive]) -> String {
    if dark.len() == 1 { "1 pod up".to_owned() } else { format!("{} pods up", dark.len()) }
}

/// Pods are up, and Git does not let those of `step` serve yet.
#[must_use]
pub fn waits_to_serve(facts: &Facts<'_>, head: &Head<'_>, step: u32, dark: &[&PodLive]) -> Hold {
    let id = facts.id;
    let release = head.release();
    let them = if dark.len() == 1 { "it" } else { "them" };
    let message = format!(
        "{id} has {} at step {}{}, and needs 1 approval to let {them} serve",
        are_up(dark),
        facts.memory.step,
        addresses(dark)
    );
    let marker = marker_of(id, &release.digest, Permission::Serve(step), "<any name>");
    let lift = Lift::by(LiftKind::Approve).path(head.policy.in_root(&marker));
    let command = format!("triton approve {id} --serve");
    hold(Gate::Serve, Some(facts.memory.step_entered), message, lift.command(command))
}

/// Pods are up, and are not let in at this moment: those before them come first (`batch`), or nothing goes forward.
#[must_use]
pub fn let_in_later(facts: &Facts<'_>, dark: &[&PodLive], permitted: bool) -> Hold {
    let why = if permitted {
        "those let in before them come first"
    } else {
        "no more are let in while nothing goes forward"
    };
    let message =
        format!("{} has {} at step {}{}: {why}", facts.id, are_up(dark), facts.memory.step, addresses(dark));
    hold(Gate::Serve, Some(facts.memory.step_entered), message, Lift::wait())
}

/// Pods are up, and it is suspended in the cluster: nothing is written, and so none is let in.
#[must_use]
pub fn suspended(facts: &Facts<'_>, dark: &[&PodLive]) -> Hold {
    let message = format!(
        "{} has {} that {} not serve{}: none is let in while it is suspended in the cluster",
        facts.id,
        are_up(dark),
        if dark.len() == 1 { "does" } else { "do" },
        addresses(dark)
    );
    hold(Gate::Serve, None, message, suspended_in_cluster(facts.id, "").lift)
}

/// Pods are up that are neither of the proven nor of the entered revision: nobody can let them in any more.
#[must_use]
pub fn left_over(facts: &Facts<'_>, dark: &[&PodLive]) -> Hold {
    let message = format!(
        "{} has {} of an earlier revision that was never proven{}: they do not serve until the rollout replaces them",
        facts.id,
        are_up(dark),
        addresses(dark)
    );
    hold(Gate::Serve, None, message, Lift::wait())
}

/// Pods of a release that serve by approval were not listed yet, and could not be let in.
#[must_use]
pub fn pods_unlisted(id: &ReleaseId) -> Hold {
    let message = format!("{id} serves by approval, and its pods are not listed yet: none can be let in");
    hold(Gate::Cluster, None, message, Lift::wait())
}

/// A step has more pods that wait to serve than may be unavailable.
#[must_use]
pub fn no_room(id: &ReleaseId, release: &Release, step: u32, dark: u32, room: u32) -> Hold {
    let message = format!(
        "{id} does not enter step {step}: {} would wait to serve at once, and maxUnavailable and maxSurge have room for \
         {room}",
        pods(dark)
    );
    let lift = Lift::by(LiftKind::Commit).path(&release.path);
    hold(
        Gate::Spec,
        None,
        message,
        lift.command(format!("set maxSurge: {dark} in the CloneSet, or smaller steps")),
    )
}

/// A release that was removed and is to be left behind: nobody would let its next pods in.
#[must_use]
pub fn strands(id: &ReleaseId) -> Hold {
    let message = format!(
        "{id} was removed from Git and its objects are to stay, and nobody would let its next pods serve; bring it back, \
         leave `serve: approval` out, and remove it once that has rolled to the end"
    );
    let lift = Lift::by(LiftKind::Commit).command("git revert the removal");
    hold(Gate::Serve, None, message, lift)
}
