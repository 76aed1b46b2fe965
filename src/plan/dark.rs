//! The sentences about pods that are up and do not serve, and about what would leave them so.

use jiff::Timestamp;

use crate::model::{Gate, Hold, Lift, LiftKind, ReleaseId};
use crate::objects::keys::{SERVE, SERVE_GATED};
use crate::plan::facts::{Facts, Head};
use crate::plan::holds::{pods, suspended_in_cluster};
use crate::spec::{Permission, Release, marker_of, roomier};
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
    let them = if dark.len() == 1 { "it" } else { "them" };
    let message = format!(
        "{id} has {} at step {}{}, and needs 1 approval to let {them} serve",
        are_up(dark),
        facts.memory.step,
        addresses(dark)
    );
    hold(Gate::Serve, Some(facts.memory.step_entered), message, to_serve(id, head, step))
}

/// Pods that were let in once serve, and Git does not let those of step 1 serve: no tester is led to them.
#[must_use]
pub fn testers_wait(facts: &Facts<'_>, head: &Head<'_>) -> Hold {
    let id = facts.id;
    let message =
        format!("{id} leads testers to its pods once it has 1 approval to let those of step 1 serve");
    hold(Gate::Serve, Some(facts.memory.step_entered), message, to_serve(id, head, 1))
}

/// The approval that lets the pods of `step` serve.
fn to_serve(id: &ReleaseId, head: &Head<'_>, step: u32) -> Lift {
    let marker = marker_of(id, &head.release().digest, Permission::Serve(step), "<any name>");
    let lift = Lift::by(LiftKind::Approve).path(head.policy.in_root(&marker));
    lift.command(format!("triton approve {id} --serve"))
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

/// Pods are up, and it is suspended in the cluster, and so none is let in.
#[must_use]
pub fn suspended(facts: &Facts<'_>, dark: &[&PodLive]) -> Hold {
    let message = format!(
        "{} has {} that {} not serve{}: none is let in while it is suspended in the cluster",
        facts.id,
        are_up(dark),
        if dark.len() == 1 { "does" } else { "do" },
        addresses(dark)
    );
    hold(Gate::Serve, None, message, suspended_in_cluster(facts.id, &facts.id.name, "").lift)
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

/// Why a pod of which Kruise asks before it updates it in place is not let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// The entered step has its pods.
    StepIsFull,
    /// One that is ready cannot be spared.
    FewAreReady,
    /// Its release has failed.
    Failed,
    /// It is of the entered release, and Kruise would take it back.
    IsNew,
}

/// Pods of which Kruise asks before it updates them in place, and which nobody lets go.
#[must_use]
pub fn asks(id: &ReleaseId, waiting: &[&PodLive], why: Stays) -> Hold {
    let (verb, stay) =
        if waiting.len() == 1 { ("waits", "stays as it is") } else { ("wait", "stay as they are") };
    let (why, lift) = match why {
        Stays::StepIsFull => ("the entered step has its pods already", Lift::wait()),
        Stays::FewAreReady => ("too many pods are not available", Lift::wait()),
        Stays::Failed => ("its release has failed", Lift::wait()),
        Stays::IsNew => (
            "Kruise would take back what is new (its feature gate CloneSetPartitionRollback)",
            Lift::by(LiftKind::Cluster).command("turn that gate of the kruise-manager off"),
        ),
    };
    let message = format!(
        "{id} has {} that {verb} to be updated in place{}, and {stay}: {why}",
        count(waiting),
        named(waiting)
    );
    hold(Gate::Pods, None, message, lift)
}

/// Fewer pods are seen than Kruise counts, by the label that comes with our gate.
#[must_use]
pub fn unlabelled(id: &ReleaseId, seen: u32, there: u32) -> Hold {
    let message = format!(
        "{id} sees {seen} of its {there} pods, by their label {SERVE}: nothing new is written before it sees the others, \
         which would be updated in place as they serve; a pod without the label gets it back ({SERVE}={SERVE_GATED}), or is \
         to be deleted"
    );
    let command = format!("kubectl get pods -n {} -l '!{SERVE}'", id.namespace);
    hold(Gate::Pods, None, message, Lift::by(LiftKind::Cluster).command(command))
}

/// The pods that are seen are not those that Kruise counts on the newest template.
#[must_use]
pub fn unlike(id: &ReleaseId, seen: u32, there: u32) -> Hold {
    let message = format!(
        "{id} sees {seen} of {there} pods on the template that stands: nothing new is written before it sees what Kruise \
         counts"
    );
    hold(Gate::Pods, None, message, Lift::wait())
}

/// More pods of the entered release serve than Git lets.
#[must_use]
pub fn unasked(id: &ReleaseId, serve: &[&PodLive], most: u32) -> Hold {
    let verb = if serve.len() == 1 { "serves" } else { "serve" };
    let message = format!(
        "{id} has {}{} that {verb}, and Git lets {most}: approve it, or delete what is too many, which comes back and waits",
        count(serve),
        named(serve)
    );
    let lift = Lift::by(LiftKind::Approve).command(format!("triton approve {id} --serve"));
    hold(Gate::Serve, None, message, lift)
}

fn count(some: &[&PodLive]) -> String {
    pods(u32::try_from(some.len()).unwrap_or(u32::MAX))
}

/// Pods that have left traffic, and that Kruise has not begun to update.
#[must_use]
pub fn gone(id: &ReleaseId, late: &[&PodLive]) -> Hold {
    let message = format!(
        "{id} has {} out of traffic{} that Kruise has asked for and does not update in place yet: it updates none while too \
         many pods are not available",
        count(late),
        named(late)
    );
    hold(Gate::Pods, late.iter().filter_map(|pod| pod.since).min(), message, Lift::wait())
}

/// Pods that serve, and that Kruise would update in place as they do.
#[must_use]
pub fn loose(id: &ReleaseId, loose: &[&PodLive]) -> Hold {
    let (verb, them) = if loose.len() == 1 { ("serves", "it") } else { ("serve", "them") };
    let message = format!(
        "{id} has {} that {verb}, and that an update in place would not take out of traffic{}: nothing new is written \
         before Kruise asks of {them} again",
        count(loose),
        named(loose)
    );
    hold(Gate::Pods, None, message, Lift::wait())
}

/// The first of some pods by its name: ` (checkout-x and 2 more)`.
fn named(some: &[&PodLive]) -> String {
    match some {
        [] => String::new(),
        [only] => format!(" ({})", only.name),
        [first, ..] => format!(" ({} and {} more)", first.name, some.len() - 1),
    }
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
        lift.command(format!(
            "set {}: {dark} in the CloneSet, or smaller steps",
            roomier(&release.cloneset.value.open()["spec"])
        )),
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
