//! The language of worlds: how they begin and what happens in them, readable when printed.

use std::fmt;

use crate::explore::spec::{PACES, Spec};

/// How a world begins.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Releases in the root, at the first commit.
    pub specs: Vec<Spec>,
    /// Templates whose pods are never available.
    pub bad: Vec<char>,
    /// CloneSets of these releases exist before the program.
    pub found: bool,
    /// Decides delays and names in the cluster.
    pub chance: u64,
    /// Who writes the specs: person 0 or 1; people 1 and 2 approve.
    pub author: u32,
    /// Whether the daemon's configuration says where people come from.
    pub people: bool,
}

/// One edit in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Another template, first attempt.
    Template(char),
    /// Another strategy.
    Steps(usize),
    /// Another Service; 0 is none.
    Service(u32),
    /// One attempt more.
    Again,
    /// `spec.attempt` as it was at first.
    FirstAttempt,
    /// `onFailure`: hold or rollback.
    Hold(bool),
    /// `replicas`, where Git owns them.
    Replicas(u32),
    /// `spec.step`.
    Cap(Option<u32>),
    /// `spec.suspend`.
    Suspend(bool),
    /// `freeze.yaml`.
    Freeze(bool),
    /// `freeze.yaml` with an end so many seconds later.
    FreezeFor(u32),
    /// `maxUnavailable` and `maxSurge`.
    Pace(usize),
    /// Pods are updated in place, or made again.
    InPlace(bool),
    /// `triton.io/on-delete: orphan`, or not.
    Orphan(bool),
    /// The file can be read, or not.
    Valid(bool),
    /// A marker: step, who.
    Approve(u32, u32),
    /// Every step, twice.
    ApproveAll,
    /// Markers for the digest of so many commits ago: commits, step.
    ApproveOld(u32, u32),
    /// A skip marker.
    Skip,
    /// Every other marker is deleted.
    Unapprove,
    /// The release as it was so many commits ago.
    Revert(u32),
    /// The whole tree as it was so many commits ago.
    RevertAll(u32),
    /// The release is deleted.
    Remove,
    /// Every release is deleted.
    RemoveAll,
    /// The commit that removed the release is approved.
    ApproveRemoval,
}

/// An edit of memory by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wipe {
    /// The step is set.
    Step(u32),
    /// All of it is lost.
    All,
    /// step-reached is lost.
    Reached,
}

/// One thing that happens. Those with a release name it by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A commit, served at once.
    Commit(usize, Vec<Edit>),
    /// So many rounds: pods, controller, poll, lap.
    Run(u32),
    /// So many rounds in which the CloneSet controller stands still.
    Lag(u32),
    /// A second passes.
    Tick,
    /// Git is asked.
    Poll,
    /// One lap without a poll.
    Lap,
    /// Git is asked, then a lap that ends after so many writes, and a restart.
    Crash(u32),
    /// Git is asked, and a restart.
    CrashAfterPoll,
    /// The leader asks Git, and is paused between its plan and its writes.
    Pause,
    /// It wakes and goes on.
    Wake,
    /// No process runs for so many rounds.
    Down(u32),
    /// A pod is deleted.
    Kill(usize, u32),
    /// A pod is evicted: it fails and stays.
    Evict(usize, u32),
    /// A pod never gets ready, until the end of the story.
    Stick(usize, u32),
    /// Kruise's manager, webhooks included, is dead for so many rounds.
    Manager(u32),
    /// Pods of a template turn bad, or good again.
    Turn(char),
    /// An autoscaler writes replicas.
    Scale(usize, u32),
    /// Partition by hand.
    Partition(usize, &'static str),
    /// Template by hand.
    Rewrite(usize, char),
    /// Another field that is ours, by hand.
    Field(usize, usize),
    /// A field that is not ours, by hand: `minReadySeconds`.
    MinReady(usize, u32),
    /// The record, by hand.
    EditRecord(usize, Wipe),
    /// `paused` by hand.
    Freezing(usize),
    /// Memory by hand.
    Memory(usize, Wipe),
    /// The record is deleted.
    LoseRecord(usize),
    /// The CloneSet is deleted.
    Delete(usize),
    /// It is restored from a backup, with the memory of another UID.
    Restore(usize),
    /// It is replaced by a copy of what was made first, exported before its memory had a UID.
    Copy(usize),
    /// `triton.io/suspend` is put on, or taken off.
    Suspend(usize),
    /// `triton.io/rollback` names the entered digest.
    TakeBack(usize),
    /// The Service is edited by hand.
    EditService(usize),
    /// Git answers, or not.
    Git(bool),
    /// The server shows a head so many commits old.
    Replica(u32),
    /// So many commits are forced away.
    Force(u32),
    /// The daemon's configuration names the new head.
    Accept,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(id, edits) => {
                let edits: Vec<String> = edits.iter().map(ToString::to_string).collect();
                write!(f, "commit to release {id}: {}", edits.join(", "))
            }
            Self::Run(rounds) => write!(f, "{rounds} rounds"),
            Self::Lag(rounds) => write!(f, "{rounds} rounds without the CloneSet controller"),
            Self::Tick => write!(f, "a second passes"),
            Self::Poll => write!(f, "Git is asked"),
            Self::Lap => write!(f, "a lap without a poll"),
            Self::Crash(writes) => write!(f, "a poll and a lap that crashes after {writes} writes"),
            Self::CrashAfterPoll => write!(f, "a poll, then a crash"),
            Self::Pause => write!(f, "the leader is paused before its writes"),
            Self::Wake => write!(f, "the old leader wakes and goes on writing"),
            Self::Down(rounds) => write!(f, "no process for {rounds} rounds"),
            Self::Kill(id, pod) => write!(f, "pod {pod} of release {id} is deleted"),
            Self::Evict(id, pod) => write!(f, "pod {pod} of release {id} is evicted"),
            Self::Stick(id, pod) => write!(f, "pod {pod} of release {id} never gets ready"),
            Self::Manager(rounds) => write!(f, "Kruise's manager is dead for {rounds} rounds"),
            Self::Turn(template) => write!(f, "pods of {template} turn bad, or good again"),
            Self::Scale(id, size) => write!(f, "an autoscaler scales release {id} to {size}"),
            Self::Partition(id, partition) => write!(f, "by hand: partition of release {id} = {partition}"),
            Self::Rewrite(id, template) => write!(f, "by hand: template of release {id} = {template}"),
            Self::Field(id, field) => write!(f, "by hand: field {field} of release {id}"),
            Self::MinReady(id, seconds) => write!(f, "by hand: minReadySeconds of release {id} = {seconds}"),
            Self::EditRecord(id, wipe) => write!(f, "by hand: the record of release {id}: {wipe:?}"),
            Self::Freezing(id) => write!(f, "by hand: release {id} paused"),
            Self::Memory(id, wipe) => write!(f, "by hand: memory of release {id}: {wipe:?}"),
            Self::LoseRecord(id) => write!(f, "the record of release {id} is deleted"),
            Self::Delete(id) => write!(f, "the CloneSet of release {id} is deleted"),
            Self::Restore(id) => write!(f, "the CloneSet of release {id} is restored from a backup"),
            Self::Copy(id) => write!(f, "the CloneSet of release {id} is replaced by a copy without a UID"),
            Self::Suspend(id) => write!(f, "triton.io/suspend on release {id}, or off"),
            Self::TakeBack(id) => write!(f, "triton.io/rollback on release {id} names the entered digest"),
            Self::EditService(id) => write!(f, "by hand: the Service of release {id}"),
            Self::Git(answers) => write!(f, "Git {}", if *answers { "answers again" } else { "is away" }),
            Self::Replica(back) => write!(f, "the Git server shows a head {back} commits old"),
            Self::Force(back) => write!(f, "{back} commits are forced away"),
            Self::Accept => write!(f, "the daemon's configuration accepts the new head"),
        }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(template) => write!(f, "template {template}"),
            Self::Steps(strategy) => write!(f, "strategy {strategy}"),
            Self::Service(0) => write!(f, "no Service"),
            Self::Service(service) => write!(f, "Service {service}"),
            Self::Again => write!(f, "attempt + 1"),
            Self::FirstAttempt => write!(f, "attempt 1"),
            Self::Hold(hold) => write!(f, "onFailure {}", if *hold { "hold" } else { "rollback" }),
            Self::Replicas(replicas) => write!(f, "{replicas} replicas"),
            Self::Cap(Some(step)) => write!(f, "step {step}"),
            Self::Cap(None) => write!(f, "no step"),
            Self::Suspend(on) => write!(f, "suspend {on}"),
            Self::Freeze(on) => write!(f, "freeze {on}"),
            Self::FreezeFor(seconds) => write!(f, "freeze for {seconds} s"),
            Self::Pace(pace) => write!(f, "{} unavailable, {} surge", PACES[*pace].0, PACES[*pace].1),
            Self::InPlace(on) => write!(f, "pods {}", if *on { "updated in place" } else { "made again" }),
            Self::Orphan(on) => write!(f, "on-delete {}", if *on { "orphan" } else { "delete" }),
            Self::Valid(valid) => write!(f, "{}", if *valid { "valid again" } else { "broken file" }),
            Self::Approve(step, by) => write!(f, "step {step} approved by {by}"),
            Self::ApproveAll => write!(f, "every step approved by 1 and 2"),
            Self::ApproveOld(back, step) => {
                write!(f, "step {step} approved for the digest of {back} commits ago")
            }
            Self::Skip => write!(f, "skip marker"),
            Self::Unapprove => write!(f, "every other marker deleted"),
            Self::Revert(back) => write!(f, "the release as {back} commits ago"),
            Self::RevertAll(back) => write!(f, "the tree as {back} commits ago"),
            Self::Remove => write!(f, "the release is deleted"),
            Self::RemoveAll => write!(f, "every release is deleted"),
            Self::ApproveRemoval => write!(f, "its removal approved"),
        }
    }
}

/// A world as a scenario that people can read.
#[must_use]
pub fn told(setup: &Setup, ops: &[Op]) -> String {
    let mut out = String::new();
    for (number, spec) in setup.specs.iter().enumerate() {
        out.push_str(&format!("  release {number}: {spec}\n"));
    }
    let bad: String = setup.bad.iter().collect();
    out.push_str(&format!(
        "  bad templates [{bad}], {}, specs by {}, people {}\n",
        if setup.found { "CloneSets exist already" } else { "an empty cluster" },
        setup.author,
        if setup.people { "from commit authors" } else { "not configured" },
    ));
    for op in ops {
        out.push_str(&format!("  - {op}\n"));
    }
    out
}
