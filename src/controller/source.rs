//! The repository as the loop asks it: one owner of mirror and catalog, away from the runtime's threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::catalog::{Catalog, Known, Question, Reading, Root, Snapshot};
use crate::git::{Error, Mirror};
use crate::model::{CommitId, Digest, Lift, LiftKind, ReleaseId};
use crate::spec::{Release, Severity};
use crate::world::{Fault, Policy};

/// Owns the mirror and what was read of it.
pub struct Source {
    mirror: Mirror,
    catalog: Catalog,
    root: Root,
}

/// Documents that are looked for in history: of a release, by digest, at a commit.
pub type Sought = BTreeMap<Digest, (ReleaseId, CommitId)>;

/// What is asked of the source. It answers one question at a time.
pub enum Ask {
    /// Where the branch is now.
    Poll {
        /// The head that was seen last: the new one must descend from it.
        seen: Option<CommitId>,
        /// The repository that it was seen in, where that is another one.
        elsewhere: Option<String>,
        /// A head that a person has accepted, whatever came before.
        accepted: Option<CommitId>,
    },
    /// What a head says.
    Read {
        /// The head.
        head: CommitId,
        /// The head that was seen before it.
        seen: Option<CommitId>,
        /// What the cluster remembers.
        known: Arc<BTreeMap<ReleaseId, Known>>,
        /// The daemon's configuration.
        policy: Arc<Policy>,
    },
    /// Documents of earlier releases.
    Find(Sought),
}

/// What the source says.
pub enum Answer {
    /// The branch is there, and may be followed.
    Head(CommitId),
    /// Git cannot be believed, or not be asked. With the head that the mirror has, where it has one.
    Fault(Fault, Option<CommitId>),
    /// The head that was to be read could not be.
    Unread(Fault),
    /// What a head says, and when it was committed.
    Reading(CommitId, Reading, Option<Timestamp>),
    /// The documents that could be had, and those that history does not have. What could not be read is in neither.
    Found(Vec<Arc<Release>>, Sought),
}

impl Source {
    /// Takes the mirror, to read the root in the directory `path`.
    #[must_use]
    pub fn new(mirror: Mirror, path: &str) -> Self {
        Self { mirror, catalog: Catalog::new(path), root: Root::new(path) }
    }

    /// Answers.
    pub fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Poll { seen, elsewhere, accepted } => match self.poll(seen, elsewhere, accepted) {
                Ok(head) => Answer::Head(head),
                Err(fault) => Answer::Fault(fault, self.mirror.head().ok().flatten()),
            },
            Ask::Read { head, seen, known, policy } => {
                let repository = self.mirror.repository();
                let question = Question { repository, head, seen, known: &known, policy: &policy };
                match self.catalog.read(&question) {
                    Ok(reading) => {
                        let time = repository.commit(head).ok().map(|commit| commit.time);
                        Answer::Reading(head, reading, time)
                    }
                    Err(error) => {
                        // What cannot be read whole is not read at all; a spoilt mirror is fetched anew.
                        if matches!(error, Error::Object { .. }) && error.is_transient() {
                            let discarded = self.mirror.discard();
                            tracing::warn!(%error, discarded = discarded.is_ok(), "the mirror cannot be read");
                        }
                        Answer::Unread(refused(&error))
                    }
                }
            }
            Ask::Find(sought) => {
                let (mut found, mut absent) = (Vec::new(), Sought::new());
                for (digest, (id, commit)) in sought {
                    match self.find(digest, &id, commit) {
                        Ok(Some(release)) => found.push(release),
                        Ok(None) => {
                            tracing::info!(release = %id, commit = %commit.short(), "history has no documents");
                            absent.insert(digest, (id, commit));
                        }
                        Err(error) => {
                            tracing::warn!(release = %id, commit = %commit.short(), %error, "documents not read");
                        }
                    }
                }
                Answer::Found(found, absent)
            }
        }
    }

    /// What people call the repository, without credentials.
    #[must_use]
    pub fn repository(&self) -> String {
        self.mirror.remote().to_string()
    }

    fn poll(
        &mut self,
        seen: Option<CommitId>,
        elsewhere: Option<String>,
        accepted: Option<CommitId>,
    ) -> Result<CommitId, Fault> {
        let head = self.mirror.poll().map_err(|error| fault(&error))?.head();
        let Some(seen) = seen.filter(|seen| *seen != head && accepted != Some(head)) else { return Ok(head) };
        match self.mirror.repository().descends(head, seen) {
            Ok(true) => Ok(head),
            Ok(false) => Err(Fault::Refused {
                message: rewritten(head, seen, elsewhere.as_deref()),
                lift: Lift::by(LiftKind::Configure).command(format!("git: {{acceptHead: {head}}}")),
            }),
            Err(error) => Err(refused(&error)),
        }
    }

    fn find(&self, digest: Digest, id: &ReleaseId, commit: CommitId) -> Result<Option<Arc<Release>>, Error> {
        let repository = self.mirror.repository();
        if !repository.has(commit)? {
            return Ok(None);
        }
        let tree = repository.commit(commit)?.tree;
        let mut assembled = Snapshot::read(repository, &self.root, tree)?.assemble(&self.root);
        let found = assembled.releases.remove(id).and_then(Result::ok);
        Ok(found.filter(|release| release.digest == digest))
    }
}

/// That the branch does not lead from the head seen last to the one that it has now. Of another repository's head
/// that is no wonder: two daemons whose roots have the same branch and path share a lease.
fn rewritten(head: CommitId, seen: CommitId, elsewhere: Option<&str>) -> String {
    let (head, seen) = (head.short(), seen.short());
    match elsewhere {
        None => format!(
            "the branch was rewritten: its head {head} does not descend from {seen}, the last one seen"
        ),
        Some(other) => format!(
            "its head {head} does not descend from {seen}, the last one seen, which was in another repository, \
             {other}; where both are served, give one daemon another --branch or --path"
        ),
    }
}

/// Says what was read of a head: how many releases, and every mistake.
pub fn told(head: CommitId, reading: &Reading) {
    tracing::info!(head = %head.short(), releases = reading.desired.len(), "HEAD was read");
    for diagnostic in &reading.diagnostics {
        match diagnostic.severity {
            Severity::Error => tracing::error!("{diagnostic}"),
            Severity::Warning => tracing::warn!("{diagnostic}"),
        }
    }
}

/// What a failed poll means: an answer that must not be followed, or none.
#[must_use]
pub fn fault(error: &Error) -> Fault {
    match error {
        Error::Empty { .. }
        | Error::BranchMissing { .. }
        | Error::Unsupported { .. }
        | Error::NoRepository { .. }
        | Error::TreeTooLarge { .. }
        | Error::TooLarge { .. }
        | Error::BlobTooLarge { .. }
        | Error::Object { .. }
        | Error::UnknownCommit { .. } => refused(error),
        Error::Address { .. }
        | Error::BranchName { .. }
        | Error::UnknownName { .. }
        | Error::Unreachable { .. }
        | Error::Denied { .. }
        | Error::Redirected { .. }
        | Error::Protocol { .. }
        | Error::TimedOut { .. }
        | Error::Cancelled { .. }
        | Error::Credential { .. }
        | Error::Locked { .. }
        | Error::State { .. }
        | Error::Mirror { .. } => Fault::Unreachable { message: with_causes(error) },
    }
}

fn refused(error: &Error) -> Fault {
    Fault::Refused { message: with_causes(error), lift: lift(error) }
}

/// The sentence, and what the disk or libgit2 said of it.
fn with_causes(error: &Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        sentence = format!("{sentence}: {error}");
        cause = error.source();
    }
    sentence
}

/// Who can mend what Git answered.
fn lift(error: &Error) -> Lift {
    match error {
        Error::Empty { .. } => Lift::by(LiftKind::Commit).command("git push"),
        Error::BranchMissing { .. } => {
            Lift::by(LiftKind::Configure).command("push the branch again, or name another one by --branch")
        }
        Error::Address { .. }
        | Error::BranchName { .. }
        | Error::NoRepository { .. }
        | Error::Unsupported { .. } => {
            Lift::by(LiftKind::Configure).command("name another repository by --repo")
        }
        Error::TooLarge { .. } | Error::BlobTooLarge { .. } | Error::TreeTooLarge { .. } => {
            Lift::by(LiftKind::Commit).command("take what is too large out of the branch")
        }
        Error::Unreachable { .. }
        | Error::Denied { .. }
        | Error::Redirected { .. }
        | Error::Protocol { .. }
        | Error::TimedOut { .. }
        | Error::Cancelled { .. }
        | Error::Credential { .. }
        | Error::Locked { .. }
        | Error::State { .. }
        | Error::Mirror { .. }
        | Error::UnknownCommit { .. }
        | Error::UnknownName { .. } => Lift::wait(),
        Error::Object { .. } if error.is_transient() => Lift::wait(),
        Error::Object { .. } => Lift::by(LiftKind::Commit).command("take it out of the branch"),
    }
}
