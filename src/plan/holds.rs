//! The sentences: every hold that a plan can make, each naming the release, what is missing and who can lift it.

use jiff::Timestamp;

use crate::model::{Amount, Gate, Hold, Lift, LiftKind, Name, ReleaseId};
use crate::objects::{Kind, ObjectKey, keys};
use crate::plan::facts::{Facts, Head};
use crate::plan::handover::hand_over;
use crate::plan::permit::{Missing, asked, missing};
use crate::plan::steps;
use crate::spec::{Diagnostic, Permission, Release, marker_of};
use crate::world::{Fault, OtherTool, Source};

fn hold(gate: Gate, since: Option<Timestamp>, message: String, lift: Lift) -> Hold {
    Hold { gate, since, message, lift }
}

/// `kubectl annotate` of a CloneSet.
fn annotate(id: &ReleaseId, annotation: &str) -> String {
    format!("kubectl annotate cloneset {} -n {} {annotation}", id.name, id.namespace)
}

/// The name of a release for people: version first, then twelve digits of the digest.
#[must_use]
pub fn named(release: &Release) -> String {
    format!("{} ({})", release.version, release.digest.short())
}

/// `1 pod`, `5 pods`.
#[must_use]
pub fn pods(count: u32) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

/// Suspended in the cluster, `on` this CloneSet.
#[must_use]
pub fn suspended_in_cluster(id: &ReleaseId, on: &Name, reason: &str) -> Hold {
    let why = if reason.is_empty() || reason == "true" { String::new() } else { format!(": {reason}") };
    let message = format!("{id} is suspended in the cluster by the annotation {}{why}", keys::SUSPEND);
    let on = ReleaseId { name: on.clone(), ..id.clone() };
    let remove = annotate(&on, &format!("{}-", keys::SUSPEND));
    hold(Gate::Suspend, None, message, Lift::by(LiftKind::Cluster).command(remove))
}

/// The CloneSet is being deleted.
#[must_use]
pub fn deleting(id: &ReleaseId) -> Hold {
    let message = format!("CloneSet {id} is being deleted; it is made again once it is gone");
    hold(Gate::Ownership, None, message, Lift::wait())
}

/// The CloneSet was made by somebody else.
#[must_use]
pub fn not_ours(id: &ReleaseId, path: &str, why: &str) -> Hold {
    let message = format!("CloneSet {id} exists and is not ours, so it is not touched: {why}");
    hold(Gate::Ownership, None, message, Lift::by(LiftKind::Commit).path(path))
}

/// A dry-run shows what taking a CloneSet over would change.
#[must_use]
pub fn rehearsing(id: &ReleaseId) -> Hold {
    let message = format!("{id} is about to be taken over; a dry-run shows first whether a pod would move");
    hold(Gate::Cluster, None, message, Lift::wait())
}

/// The CloneSet belongs to another root.
#[must_use]
pub fn other_root(id: &ReleaseId, root: &str) -> Hold {
    let message = format!("CloneSet {id} belongs to another root ({}: {root})", keys::ROOT);
    let command = annotate(id, &format!("{}-", keys::ROOT));
    hold(Gate::Ownership, None, message, Lift::by(LiftKind::Cluster).command(command))
}

/// Another tool applies an object too.
#[must_use]
pub fn other_owner(id: &ReleaseId, object: &ObjectKey, owner: &OtherTool, path: &str) -> Hold {
    let what = if object.kind == Kind::CloneSet { id.to_string() } else { object.to_string() };
    let steps = hand_over(owner);
    let message =
        format!("{what} is also applied by {owner}, and two writers would fight; hand it over: {steps}");
    hold(Gate::Ownership, None, message, Lift::by(LiftKind::Commit).path(path))
}

/// A companion exists and is not ours.
#[must_use]
pub fn stranger(id: &ReleaseId, object: &str, path: &str) -> Hold {
    let message = format!("{id} would make {object}, which exists and is not ours");
    let lift = Lift::by(LiftKind::Commit).path(path);
    hold(Gate::Ownership, None, message, lift.command("rename it in Git, or remove it from the cluster"))
}

/// A companion stands that is nobody's, and Git says something else of it.
#[must_use]
pub fn differs(id: &ReleaseId, object: &ObjectKey, fields: &str, path: &str) -> Hold {
    let message = format!(
        "{id} takes {object} over only as it stands, and it differs from Git at {fields}; write it as it is first"
    );
    hold(Gate::Ownership, None, message, Lift::by(LiftKind::Commit).path(path))
}

/// The cluster has no kind for the record.
#[must_use]
pub fn no_records(id: &ReleaseId) -> Hold {
    let message = format!("{id} is not made before the cluster serves releases.{}", keys::GROUP);
    let lift = Lift::by(LiftKind::Cluster).path("deploy/crd.yaml");
    hold(Gate::Cluster, None, message, lift.command("kubectl apply -f deploy/crd.yaml"))
}

/// An announcement has to stand on the lease before a create is sent.
#[must_use]
pub fn announcing(id: &ReleaseId) -> Hold {
    let message = format!("{id} is about to be made; the lease announces that first");
    hold(Gate::Cluster, None, message, Lift::wait())
}

/// The documents of an earlier release are not to be had.
#[must_use]
pub fn documents_lost(id: &ReleaseId, which: &str) -> Hold {
    let message =
        format!("{id} should go back to {which}, whose documents are neither in its record nor in Git");
    let lift = Lift::by(LiftKind::Commit).command("git revert, so that Git has that release again");
    hold(Gate::Documents, None, message, lift)
}

/// The daemon's configuration does not allow something.
#[must_use]
pub fn not_allowed(id: &ReleaseId, what: &str, key: &str) -> Hold {
    let message = format!("{id} holds: the daemon's configuration does not allow {what}");
    hold(Gate::Policy, None, message, Lift::by(LiftKind::Configure).path(key))
}

/// A template that the release itself forbids.
#[must_use]
pub fn not_in_place(id: &ReleaseId, entered: &Release, release: &Release, fields: &[String]) -> Hold {
    let drain = if entered.strategy.drain == release.strategy.drain { "" } else { " (as `drain` does)" };
    let message = format!(
        "{id} says InPlaceOnly, and {} cannot come in place: it changes {}{drain}; write InPlaceIfPossible, or leave that as \
         it is",
        named(release),
        fields.join(", ")
    );
    hold(Gate::Spec, None, message, Lift::by(LiftKind::Commit).path(&release.path))
}

/// A kind that may not be a companion.
#[must_use]
pub fn kind_not_allowed(id: &ReleaseId, kind: Kind) -> Hold {
    not_allowed(id, &format!("kind {kind} as a companion"), "allow.kinds")
}

/// The cluster has a release that no commit of the branch ever had.
#[must_use]
pub fn never_in_git(id: &ReleaseId) -> Hold {
    let message =
        format!("{id} is in the cluster, and no commit of this branch ever had it: it stays as it is");
    let lift = Lift::by(LiftKind::Commit).command("commit its files, or delete its objects by hand");
    hold(Gate::Git, None, message, lift)
}

/// Git cannot be followed.
#[must_use]
pub fn git(id: &ReleaseId, source: &Source) -> Hold {
    match &source.fault {
        Some(Fault::Refused { message, lift }) => {
            hold(Gate::Git, None, format!("{id} starts nothing new: {message}"), lift.clone())
        }
        Some(Fault::Unreachable { message }) => {
            let message = format!("{id} starts nothing new: Git cannot be read: {message}");
            hold(Gate::Git, source.fetched_at, message, Lift::wait())
        }
        None => {
            let message = format!("{id} starts nothing new: Git has not been read yet");
            hold(Gate::Git, None, message, Lift::wait())
        }
    }
}

/// The last fetch is too old.
#[must_use]
pub fn stale(id: &ReleaseId, source: &Source) -> Hold {
    let why = match &source.fault {
        Some(Fault::Unreachable { message } | Fault::Refused { message, .. }) => format!(": {message}"),
        None => String::new(),
    };
    let message = format!("{id} takes no step: the last successful fetch is too old{why}");
    hold(Gate::Fetch, source.fetched_at, message, Lift::wait())
}

/// HEAD's files have mistakes.
#[must_use]
pub fn broken(id: &ReleaseId, diagnostics: &[Diagnostic]) -> Hold {
    let first =
        diagnostics.first().map_or_else(|| "its files cannot be read".to_owned(), ToString::to_string);
    let more = match diagnostics.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let path = diagnostics.first().map_or("", |first| first.path.as_str());
    let message = format!("{id} stays where it is: {first}{more}");
    hold(Gate::Spec, None, message, Lift::by(LiftKind::Commit).path(path).command("triton check"))
}

/// The beginning of the episode lies too far back.
#[must_use]
pub fn episode_unknown(id: &ReleaseId, path: &str) -> Hold {
    let message =
        format!("{id} holds: the commit that began this release lies further back than is searched");
    let lift = Lift::by(LiftKind::Commit).path(path);
    hold(Gate::Git, None, message, lift.command("commit a change to the release, such as a new spec.attempt"))
}

/// `spec.suspend` or a freeze.
#[must_use]
pub fn closed(id: &ReleaseId, head: &Head<'_>) -> Vec<Hold> {
    let mut out = Vec::new();
    let release = head.release();
    if release.suspend {
        let message = format!("{id} takes no step: spec.suspend is true");
        let lift = Lift::by(LiftKind::Commit).path(&release.path);
        out.push(hold(Gate::Suspend, None, message, lift.command("set spec.suspend: false")));
    }
    if let Some(freeze) = head.freeze {
        let until = freeze.until.map_or_else(String::new, |until| format!(" until {until}"));
        let message = format!("{id} takes no step: frozen{until}: {}", freeze.reason);
        let lift = Lift::by(LiftKind::Commit).path(&freeze.path);
        out.push(hold(Gate::Freeze, None, message, lift.command(format!("git rm {}", freeze.path))));
    }
    out
}

/// At zero replicas nothing can be proven.
#[must_use]
pub fn zero(id: &ReleaseId, release: &Release) -> Hold {
    let message =
        format!("{id} is at zero replicas: {} waits until there are pods to try it on", named(release));
    let lift = match release.replicas {
        Some(_) => Lift::by(LiftKind::Commit).path(&release.path).command("raise spec.replicas"),
        None => {
            let scale = format!("kubectl scale cloneset {} -n {} --replicas=1", id.name, id.namespace);
            Lift::by(LiftKind::Cluster).command(scale)
        }
    };
    hold(Gate::Zero, None, message, lift)
}

/// What keeps `step` from being permitted: approvals, the cap, or both; every step up to it is looked at.
#[must_use]
pub fn not_permitted(
    id: &ReleaseId,
    head: &Head<'_>,
    step: u32,
    size: u32,
    since: Option<Timestamp>,
) -> Vec<Hold> {
    (1..=step).flat_map(|step| not_permitted_by_itself(id, head, step, size, since)).collect()
}

fn not_permitted_by_itself(
    id: &ReleaseId,
    head: &Head<'_>,
    step: u32,
    size: u32,
    since: Option<Timestamp>,
) -> Vec<Hold> {
    let release = head.release();
    let target = release.step(step).map(|it| it.replicas);
    let asked = pods(steps::pods(release, step, size));
    let share = match (release.strategy.service(step), target) {
        (Some(service), _) => format!("Service {service}"),
        (None, Some(percent @ Amount::Percent(_))) => format!("{percent} = {asked} of {size}"),
        (None, Some(Amount::Count(_)) | None) => format!("{asked} of {size}"),
    };
    let mut out = Vec::new();
    if let Some(missing) = head.missing(step) {
        out.push(approval(id, head, step, &share, &missing, since));
    }
    if head.intent.cap.is_some_and(|cap| step > cap) {
        let cap = head.intent.cap.unwrap_or_default();
        let stands = match release.cap {
            Some(written) if written > cap => format!(
                "spec.step is {written} since the commit that began this release, where it counts as at most 1; a \
                 later commit that changes it counts"
            ),
            Some(_) | None => format!("spec.step is {cap}"),
        };
        let message = format!("{id} does not enter step {step} ({share}): {stands}");
        let lift = Lift::by(LiftKind::Commit).path(&release.path);
        out.push(hold(Gate::Cap, since, message, lift.command(format!("triton step {id} {step}"))));
    }
    out
}

impl Head<'_> {
    /// What `step` lacks, unless a skip marker opens it.
    fn missing(&self, step: u32) -> Option<Missing> {
        if self.permitted.skip { None } else { missing(self.intent, self.policy, step) }
    }
}

fn approval(
    id: &ReleaseId,
    head: &Head<'_>,
    step: u32,
    share: &str,
    missing: &Missing,
    since: Option<Timestamp>,
) -> Hold {
    let release = head.release();
    match missing {
        Missing::People => {
            let asked = asked(release, step).map_or(1, |asked| asked.count);
            let what =
                if asked > 1 { format!("{asked} approvals") } else { "somebody else's approval".to_owned() };
            let message = format!(
                "{id} cannot count the approvals of step {step}: it asks for {what}, and the daemon's configuration \
                 does not say where people come from (people.from)"
            );
            hold(Gate::Policy, since, message, Lift::by(LiftKind::Configure).path("people.from"))
        }
        Missing::Approvals { missing, count } => {
            let approvals = match (missing, count) {
                (1, 1) => "1 approval".to_owned(),
                (1, _) => format!("1 more approval of {count}"),
                (missing, _) => format!("{missing} approvals"),
            };
            let message = format!("{id} needs {approvals} for step {step} ({share})");
            let marker = marker_of(id, &release.digest, Permission::Step(step), "<any name>");
            let lift = Lift::by(LiftKind::Approve).path(head.policy.in_root(&marker));
            hold(Gate::Approval, since, message, lift.command(format!("triton approve {id}")))
        }
    }
}

/// The step has not been healthy for long enough.
#[must_use]
pub fn soaking(facts: &Facts<'_>, until: Timestamp) -> Hold {
    let (id, step) = (facts.id, facts.memory.step);
    let since = facts.memory.step_reached.map(|reached| reached.at);
    let message = format!("{id} soaks at step {step} of {} until {}", facts.last_step(), to_seconds(until));
    hold(Gate::Soak, since, message, Lift::wait())
}

/// Whole seconds, rounded up, for people.
#[must_use]
pub fn to_seconds(time: Timestamp) -> Timestamp {
    let second = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(time)
}

/// Pods of the step are not available yet.
#[must_use]
pub fn pods_not_ready(facts: &Facts<'_>) -> Hold {
    let (id, status) = (facts.id, &facts.live.status);
    let since = Some(facts.memory.step_entered);
    if !facts.live.is_fresh() {
        let message = format!("{id} waits for the CloneSet controller to see the last change");
        return hold(Gate::Controller, since, message, Lift::wait());
    }
    if let Some(hold) = surplus(facts) {
        return hold;
    }
    let asked = facts.step_pods();
    let available = status.updated_available;
    let enough = facts.enough(asked);
    if available >= enough && status.replicas > facts.live.replicas {
        let surplus = status.replicas - facts.live.replicas;
        let message = format!("{id} waits for {} more than asked for to go", pods(surplus));
        return hold(Gate::Pods, since, message, Lift::wait());
    }
    let spared = if enough < asked { format!(", and {enough} are enough") } else { String::new() };
    let message = format!(
        "{id} waits for pods of step {} of {}: {available} of {asked} updated pods available{spared}",
        facts.memory.step,
        facts.last_step()
    );
    hold(Gate::Pods, since, message, Lift::wait())
}

/// More pods than asked for, of which Kruise may delete none: no step is reached and no rollback ends before they go.
fn surplus(facts: &Facts<'_>) -> Option<Hold> {
    let (id, status) = (facts.id, &facts.live.status);
    facts.surplus()?;
    let message = format!(
        "{id} has {} and asks for {}, and Kruise deletes no ready one while {} of them are not available",
        pods(status.replicas),
        facts.live.replicas,
        status.replicas - status.available.min(status.replicas)
    );
    let command = format!("kubectl delete pod -n {} <a pod of {} that is not ready>", id.namespace, id.name);
    let lift = Lift::by(LiftKind::Cluster).command(command);
    Some(hold(Gate::Pods, Some(facts.memory.step_entered), message, lift))
}

/// Pods go back to the proven release.
#[must_use]
pub fn rolling_back(facts: &Facts<'_>) -> Hold {
    if let Some(hold) = surplus(facts) {
        return hold;
    }
    let (id, status) = (facts.id, &facts.live.status);
    let on = if facts.live.is_fresh() { status.updated_available } else { 0 };
    let message = format!(
        "{id} goes back to {}: {on} of {} on it and available",
        facts.memory.version,
        pods(facts.live.replicas)
    );
    hold(Gate::RollingBack, Some(facts.memory.step_entered), message, Lift::wait())
}

/// Before something new starts, every pod goes back to the proven release.
#[must_use]
pub fn proven_first(facts: &Facts<'_>, next: &Release) -> Hold {
    let message = format!(
        "{} starts {} once every pod is on {}: {} of {} are",
        facts.id,
        named(next),
        facts.memory.version,
        if facts.live.is_fresh() { facts.live.status.updated } else { 0 },
        pods(facts.live.replicas)
    );
    hold(Gate::RollingBack, Some(facts.memory.step_entered), message, Lift::wait())
}

/// A try has failed.
#[must_use]
pub fn failed(facts: &Facts<'_>, version: &str, attempt: u32, path: &str) -> Hold {
    let id = facts.id;
    let kept = match facts.top() {
        Some(top) if facts.is_proven() => format!("is kept on {}: ", top.version),
        Some(_) | None => String::new(),
    };
    let what = if taken_back(facts) {
        format!("was taken back in the cluster ({}), and Git still says {version}", keys::ROLLBACK)
    } else {
        format!("has failed (attempt {attempt})")
    };
    let message = format!("{id} {kept}{version} {what}");
    let lift = Lift::by(LiftKind::Commit).path(path);
    let next = attempt.saturating_add(1);
    let command = format!("revert it, push another version, or set spec.attempt: {next}");
    hold(Gate::Failed, None, message, lift.command(command))
}

/// Whether a person has said in the cluster to leave what Git still says.
fn taken_back(facts: &Facts<'_>) -> bool {
    let (Some(named), Some(head)) = (&facts.live.rollback, &facts.head) else { return false };
    head.release().digest.is_named_by(named) && facts.memory.digest != head.release().digest
}

/// A try had failed before the CloneSet was lost.
#[must_use]
pub fn failed_before_made(id: &ReleaseId, release: &Release) -> Hold {
    let message = format!("{id} is not made: {} has failed (attempt {})", named(release), release.attempt);
    let next = release.attempt.saturating_add(1);
    let lift = Lift::by(LiftKind::Commit).path(&release.path);
    hold(
        Gate::Failed,
        None,
        message,
        lift.command(format!("push another version, or set spec.attempt: {next}")),
    )
}

/// The revision changed while Git did not.
#[must_use]
pub fn revision_changed(facts: &Facts<'_>, before: &str) -> Hold {
    let message = format!(
        "{} stays at its step: its revision changed from {before} to {} without a change in Git",
        facts.id, facts.live.status.update_revision
    );
    hold(Gate::Revision, Some(facts.now()), message, Lift::wait())
}

/// A removal waits for its approval.
#[must_use]
pub fn removal_too_large(id: &ReleaseId, gone: usize, all: usize, path: String) -> Hold {
    let message =
        format!("{id} was removed from Git, one of {gone} of {all} releases at once: that takes an approval");
    let commit = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".yaml").to_owned();
    let lift = Lift::by(LiftKind::Approve).path(path);
    hold(Gate::Removal, None, message, lift.command(format!("triton approve --removal {commit}")))
}
