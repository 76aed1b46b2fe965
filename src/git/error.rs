//! What can go wrong outside: one enum, each with the sentence that a person can act on.

use std::io;
use std::path::PathBuf;

use git2::{ErrorClass, ErrorCode};

use crate::model::CommitId;

/// Why the repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not one that we would follow.
    #[error("`{url}` cannot be used as a repository: {why}")]
    Address {
        /// The address, without secrets and control characters.
        url: String,
        /// What to change.
        why: String,
    },
    /// No name of a branch.
    #[error("`{branch}` is not a valid branch name")]
    BranchName {
        /// The name as configured.
        branch: String,
    },
    /// A local path without a repository.
    #[error("there is no Git repository at {path}")]
    NoRepository {
        /// The path as configured.
        path: PathBuf,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// The repository has no commits.
    #[error("{url} is empty: push a first commit to branch `{branch}`")]
    Empty {
        /// The repository.
        url: String,
        /// The tracked branch.
        branch: String,
    },
    /// The repository has commits, but not this branch.
    #[error("{url} has no branch `{branch}`{}", others(.has))]
    BranchMissing {
        /// The repository.
        url: String,
        /// The tracked branch.
        branch: String,
        /// Some of the branches that it has.
        has: Vec<String>,
    },
    /// The branch does not point at a commit, or the clone is shallow, or the hash function is another.
    #[error("{url} cannot be mirrored: {why}")]
    Unsupported {
        /// The repository.
        url: String,
        /// What stands in the way.
        why: String,
    },
    /// The server could not be reached, or ended the conversation.
    #[error("cannot reach {url}: {why}")]
    Unreachable {
        /// The repository.
        url: String,
        /// The cause, without secrets.
        why: String,
    },
    /// The server does not let us in.
    #[error("{url} refused us: {why}")]
    Denied {
        /// The repository.
        url: String,
        /// What it said and which setting to look at.
        why: String,
    },
    /// The server sent us elsewhere.
    #[error("{url} redirects to {to}, which is not followed: configure the repository's present address")]
    Redirected {
        /// The repository.
        url: String,
        /// Where it points.
        to: String,
    },
    /// The server's answer is not Git's protocol.
    #[error("{url} does not answer as a Git server: {why}")]
    Protocol {
        /// The repository.
        url: String,
        /// The first thing that was wrong.
        why: String,
    },
    /// The time for one poll is over.
    #[error("{url} was not read within {seconds} s")]
    TimedOut {
        /// The repository.
        url: String,
        /// The limit.
        seconds: u64,
    },
    /// The server sent more than the limit.
    #[error("{url} sent more than {limit} {unit}")]
    TooLarge {
        /// The repository.
        url: String,
        /// The limit.
        limit: u64,
        /// What was counted.
        unit: &'static str,
    },
    /// The daemon is stopping.
    #[error("the poll of {url} was cancelled")]
    Cancelled {
        /// The repository.
        url: String,
    },
    /// A secret, or what proves who the other side is, could not be read.
    #[error("cannot read {path}")]
    Credential {
        /// The configured file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another daemon uses the same state directory.
    #[error("{path} is in use by another daemon: give each its own --state")]
    Locked {
        /// The state directory.
        path: PathBuf,
    },
    /// The state directory cannot be written.
    #[error("cannot use {path} for the mirror")]
    State {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state directory cannot be written, by libgit2's account.
    #[error("cannot write the mirror in {path}")]
    Mirror {
        /// The mirror.
        path: PathBuf,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// A commit that the repository does not have.
    #[error("commit {id} is not in the repository")]
    UnknownCommit {
        /// Its id.
        id: CommitId,
    },
    /// A name that no commit has.
    #[error("`{name}` names no commit")]
    UnknownName {
        /// The name as typed.
        name: String,
    },
    /// A blob above the limit of its reader.
    #[error("a file of {size} bytes is larger than {limit} bytes")]
    BlobTooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Trees or histories beyond what we walk.
    #[error("the repository is too large: {why}")]
    TreeTooLarge {
        /// The limit that was met.
        why: String,
    },
    /// An object is missing or damaged.
    #[error("{what} cannot be read from the repository")]
    Object {
        /// Which object.
        what: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
}

/// Result of the room.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// One word for metrics and for hints.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Address { .. } | Self::BranchName { .. } | Self::NoRepository { .. } => "address",
            Self::Empty { .. } => "empty",
            Self::BranchMissing { .. } => "branch-missing",
            Self::Unsupported { .. } => "unsupported",
            Self::Unreachable { .. } => "unreachable",
            Self::Denied { .. } | Self::Credential { .. } => "denied",
            Self::Redirected { .. } => "redirected",
            Self::Protocol { .. } => "protocol",
            Self::TimedOut { .. } => "timed-out",
            Self::TooLarge { .. } | Self::BlobTooLarge { .. } | Self::TreeTooLarge { .. } => "too-large",
            Self::Cancelled { .. } => "cancelled",
            Self::Locked { .. } => "locked",
            Self::State { .. } | Self::Mirror { .. } => "state",
            Self::UnknownCommit { .. } | Self::UnknownName { .. } => "unknown-commit",
            Self::Object { .. } => "object",
        }
    }

    /// Whether the same poll may succeed later without anybody doing something.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // What is missing or damaged is fetched anew; what is malformed was pushed so.
            Self::Object { source, .. } => !is_malformed(source),
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Cancelled { .. }
            | Self::Protocol { .. }
            | Self::State { .. }
            | Self::Mirror { .. } => true,
            Self::Address { .. }
            | Self::BranchName { .. }
            | Self::NoRepository { .. }
            | Self::Empty { .. }
            | Self::BranchMissing { .. }
            | Self::Unsupported { .. }
            | Self::Denied { .. }
            | Self::Redirected { .. }
            | Self::TooLarge { .. }
            | Self::Credential { .. }
            | Self::Locked { .. }
            | Self::UnknownCommit { .. }
            | Self::UnknownName { .. }
            | Self::BlobTooLarge { .. }
            | Self::TreeTooLarge { .. } => false,
        }
    }
}

/// Whether libgit2 has the whole object, and cannot make sense of it.
fn is_malformed(source: &git2::Error) -> bool {
    let classes = [ErrorClass::Invalid, ErrorClass::Object, ErrorClass::Tree];
    source.code() == ErrorCode::GenericError && classes.contains(&source.class())
}

/// The end of the sentence about a missing branch.
fn others(has: &[String]) -> String {
    if has.is_empty() {
        return "; it may have been deleted".to_owned();
    }
    format!("; it has `{}`", has.join("`, `"))
}
