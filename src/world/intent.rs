//! What Git says: the source, what it desires of each release, and what it permits.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{CommitId, Lift};
use crate::spec::{Diagnostic, Release};

/// Why Git cannot be believed, or not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It did not answer; what was read last still stands until it is too old.
    Unreachable {
        /// One sentence.
        message: String,
    },
    /// It answered something that must not be followed: empty, rewritten, rewound, half readable.
    Refused {
        /// One sentence.
        message: String,
        /// How to go on.
        lift: Lift,
    },
}

/// The repository, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The head that was read last and is followed.
    pub head: Option<CommitId>,
    /// When Git was last asked with success.
    pub fetched_at: Option<Timestamp>,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

impl Source {
    /// Whether what HEAD says may be followed.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.head.is_some() && !matches!(self.fault, Some(Fault::Refused { .. }))
    }

    /// Whether the last successful fetch is young enough to go forward.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp, stale_after: u32) -> bool {
        self.fetched_at.is_some_and(|at| now.as_second() - at.as_second() <= i64::from(stale_after))
    }
}

/// The run of the line, ending at HEAD, that has one digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// *S*: its first commit.
    pub first: CommitId,
    /// Author of that commit, for people.
    pub author: String,
    /// First line of its message, for people.
    pub summary: String,
    /// When it was committed, for people; never compared.
    pub time: Option<Timestamp>,
}

/// What a marker permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permit {
    /// To enter this step.
    Step(u32),
    /// To let the pods of this step serve.
    Serve(u32),
    /// To pass approvals, soak and freezes.
    Skip,
}

/// Who gave an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// Author of the commit of the line that brought the marker.
    pub name: String,
    /// That author's address: who is the same person.
    pub email: String,
    /// That commit.
    pub commit: CommitId,
}

/// Why a marker approves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCounted {
    /// It names another digest than HEAD's.
    OtherDigest,
    /// It was there when the release's spec came: it is of an earlier time, or came with the spec.
    BeforeSpec,
    /// It is a skip marker that was there before the spec.
    SkipBeforeSpec,
    /// It names a step that the release does not have.
    NoSuchStep {
        /// Steps that it has.
        steps: u32,
    },
    /// Pods of the step that it names serve by themselves.
    ServesByItself {
        /// That step.
        step: u32,
    },
    /// The same person has approved this step already.
    SameApprover(String),
    /// The step wants somebody else than the writer of the spec.
    Author(String),
    /// The approver is a bot by the daemon's configuration.
    Bot(String),
    /// The daemon's configuration forbids skip markers.
    SkipForbidden,
    /// Its path cannot be read as a marker.
    Malformed(String),
}

impl fmt::Display for NotCounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherDigest => write!(f, "it names another digest than the one that Git has now"),
            Self::BeforeSpec => write!(
                f,
                "it was there before this release, or came in the same commit: approvals come after what they approve"
            ),
            Self::SkipBeforeSpec => write!(f, "it was there before this release"),
            Self::NoSuchStep { steps } => write!(f, "the release has steps 1 to {steps}"),
            Self::ServesByItself { step } => {
                write!(f, "pods of step {step} serve by themselves: it does not say `serve: approval`")
            }
            Self::SameApprover(who) => write!(f, "{who} has approved this step already"),
            Self::Author(who) => {
                write!(f, "{who} wrote the spec, and the step wants somebody else (notAuthor)")
            }
            Self::Bot(who) => write!(f, "{who} is a bot, not a person (daemon's configuration)"),
            Self::SkipForbidden => write!(f, "the daemon's configuration forbids skip markers"),
            Self::Malformed(why) => write!(f, "{why}"),
        }
    }
}

/// A marker of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// What it permits, where it could be read.
    pub permits: Option<Permit>,
    /// Its file, from the repository's top.
    pub path: String,
    /// Who brought it, or why it does not count.
    pub counts: Result<Approver, NotCounted>,
}

/// A `freeze.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Its file, from the repository's top.
    pub path: String,
    /// Why, in the words of who wrote it; for a broken one, what is wrong with it.
    pub reason: String,
    /// Exclusive end; none for until it is removed.
    pub until: Option<Timestamp>,
}

impl Freeze {
    /// Whether it freezes at `now`.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A release as HEAD has it, and what Git permits of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// The release.
    pub release: Arc<Release>,
    /// Its episode; none where its beginning lies beyond the limit of what is walked.
    pub episode: Option<Episode>,
    /// `spec.step` as it counts: as it stood in the episode's first commit it is at most 1.
    pub cap: Option<u32>,
    /// Its markers, by path.
    pub markers: Vec<Marker>,
    /// The freezes between its file and the repository's top.
    pub freezes: Vec<Arc<Freeze>>,
}

/// That Git no longer has a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The commit of the line that removed it, or HEAD where that cannot be told.
    pub commit: CommitId,
    /// Whether `approvals/removal/<commit>.yaml` is merged.
    pub approved: bool,
}

/// What HEAD says of a release.
#[derive(Clone, Debug, PartialEq)]
pub enum Desired {
    /// This.
    Release(Arc<Intent>),
    /// Something that cannot be followed until it is mended.
    Broken(Arc<[Diagnostic]>),
    /// Nothing: the whole tree was read without error and it is not there.
    Gone(Removal),
    /// Git cannot be read: nothing is known, nothing is deleted.
    Unknown,
}

impl Desired {
    /// The release, where it can be followed.
    #[must_use]
    pub fn release(&self) -> Option<&Arc<Release>> {
        match self {
            Self::Release(intent) => Some(&intent.release),
            Self::Broken(_) | Self::Gone(_) | Self::Unknown => None,
        }
    }
}
