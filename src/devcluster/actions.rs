//! What the controller does to the cluster, as data.

use crate::devcluster::lifecycle::Change;
use crate::devcluster::pods::Pod;

/// An Event about the CloneSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether its type is Warning, else Normal.
    pub warning: bool,
    /// One of Kruise's reasons.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

impl Told {
    /// Of the ordinary.
    #[must_use]
    pub fn normal(reason: &'static str, message: String) -> Told {
        Told { warning: false, reason, message }
    }

    /// Of what someone should look at.
    #[must_use]
    pub fn warning(reason: &'static str, message: String) -> Told {
        Told { warning: true, reason, message }
    }
}

/// One thing to do, in the order given. The first that fails ends its half of the pass.
#[derive(Clone, Debug)]
pub enum Action {
    /// Makes pods: one, then two, four and so on, as long as none is refused
    /// (`pkg/controller/cloneset/utils:DoItSlowly`).
    Create(Vec<Pod>),
    /// Deletes a pod.
    Delete(String),
    /// Changes a pod, and tells of it.
    Change(String, Change, Option<Told>),
    /// Only tells.
    Tell(Told),
}
