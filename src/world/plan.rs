//! The plan, as data: complete, so that execution has no choices left.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::model::{Hold, Name, ReleaseId, ResourceVersion, Uid};
use crate::objects::ObjectKey;
use crate::objects::record::{Phase, View};
use crate::world::memory::Memory;

/// What is decided for one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is to be done.
    Rest,
    /// Nothing is done, for the reasons in the holds.
    Hold,
    /// Memory alone is written: a step was reached or lost, an episode begins, a UID is filled in.
    Note,
    /// The CloneSet is made.
    Create,
    /// A CloneSet that exists is taken over; no pod moves.
    Adopt,
    /// This step is entered; 0 is before step 1.
    Enter(u32),
    /// The entered release is written again where the cluster differs.
    Repair,
    /// Traffic is led to the revisions by other weights, or what is to lead it is made or goes. No pod moves.
    Shift,
    /// Pods that Git names are replaced.
    Replace,
    /// A failure is written before it is acted on.
    Fail,
    /// Every pod goes back to a proven release.
    RollBack,
    /// The last step was reached: the release is proven.
    Complete,
    /// The release's objects are deleted, or left behind.
    Remove,
}

impl Decision {
    /// One word, the same in logs, Events and metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Rest => "Rest",
            Self::Hold => "Hold",
            Self::Note => "Note",
            Self::Create => "Create",
            Self::Adopt => "Adopt",
            Self::Enter(_) => "Enter",
            Self::Repair => "Repair",
            Self::Shift => "Shift",
            Self::Replace => "Replace",
            Self::Fail => "Fail",
            Self::RollBack => "RollBack",
            Self::Complete => "Complete",
            Self::Remove => "Remove",
        }
    }
}

/// What a write expects to find. Anything else is a conflict, and the next plan knows better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No object.
    Absent,
    /// This very object, unchanged.
    Same(Uid, ResourceVersion),
}

/// What a write does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Server-side apply of the whole body that we own, forced.
    Apply {
        /// The body, without UID and resourceVersion: those come from `expect`.
        body: Arc<Value>,
        /// What must be there.
        expect: Expect,
    },
    /// Takes from other managers what we own too: in managedFields alone, no field of the object changes.
    TakeOver {
        /// This very object.
        uid: Uid,
        /// Unchanged.
        version: ResourceVersion,
    },
    /// Delete.
    Delete {
        /// This very object.
        uid: Uid,
        /// Unchanged.
        version: ResourceVersion,
    },
}

/// One request to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// The object.
    pub object: ObjectKey,
    /// What is done to it.
    pub action: Action,
    /// Whether it can bring pods to a revision that is not proven, or delete: sent only while the lease is surely
    /// ours.
    pub forward: bool,
}

/// What is decided for one release, why, and what it looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The decision.
    pub decision: Decision,
    /// Row of the table that decided, `a` to `q`; `-` for a removal.
    pub row: char,
    /// One sentence for a transition; empty where nothing moves.
    pub message: String,
    /// What was seen and goes into the same write: that a step was reached, where the next one is entered at once or
    /// the release is complete. A move without writes, told before this one when that is done.
    pub noted: Option<Box<Move>>,
    /// Writes in order; each is sent only if the one before succeeded.
    pub writes: Vec<Write>,
    /// Pods that are let in: each by itself, whatever becomes of the others and of `writes`.
    pub serving: Vec<Write>,
    /// A write to be tried by a server-side dry-run; what comes of it is seen in the next lap.
    pub rehearsal: Option<Write>,
    /// Pods that count as they are seen: those that were not looked at yet are to be, beside whatever else is done, and
    /// what was seen of others counts no more.
    pub looks: Vec<Name>,
    /// Memory as it is after the writes; none where there is no CloneSet of ours.
    pub memory: Option<Memory>,
    /// Whether a create waits for an announcement on the lease.
    pub announces: bool,
    /// What people see, holds included.
    pub view: View,
    /// The next moment when time alone changes the decision.
    pub wake_at: Option<Timestamp>,
}

impl Move {
    /// Where the release is, in one word.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.view.phase
    }

    /// The moves that are told of it, in order.
    pub fn told(&self) -> impl Iterator<Item = &Self> {
        self.noted.as_deref().into_iter().chain([self])
    }

    /// Every closed gate.
    #[must_use]
    pub fn holds(&self) -> &[Hold] {
        &self.view.holds
    }
}

/// What is decided for every release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// By release.
    pub moves: BTreeMap<ReleaseId, Move>,
    /// The next moment when time alone changes something.
    pub wake_at: Option<Timestamp>,
}
