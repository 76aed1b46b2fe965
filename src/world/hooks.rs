//! Lifecycle hooks of CloneSets, and the pods that they keep (Kruise, `apis/apps/pub/lifecycle.go`). They are the user's:
//! nothing here is ours to put on or to take off, but the one label of [`crate::spec::hook`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{Name, ResourceVersion, Uid};
use crate::objects::keys::SERVE;

/// A state in which a hook keeps a pod: the label `lifecycle.apps.kruise.io/state`. `PreparingNormal` is left out: a pod that
/// waits for `preNormal` is not available, which is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// `PreparingDelete`: until `preDelete` lets go.
    BeforeDelete,
    /// `PreparingUpdate`: until `inPlaceUpdate` lets go.
    BeforeUpdate,
    /// `Updated`: until `inPlaceUpdate` is on it again.
    AfterUpdate,
}

impl Kept {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::BeforeDelete, Self::BeforeUpdate, Self::AfterUpdate];

    /// Its word in the pod's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BeforeDelete => "PreparingDelete",
            Self::BeforeUpdate => "PreparingUpdate",
            Self::AfterUpdate => "Updated",
        }
    }

    /// The field of `spec.lifecycle` that keeps it.
    #[must_use]
    pub const fn hook(self) -> &'static str {
        match self {
            Self::BeforeDelete => "preDelete",
            Self::BeforeUpdate | Self::AfterUpdate => "inPlaceUpdate",
        }
    }

    /// Whether the pod goes on once the hook is off it; else once all of it is on it.
    #[must_use]
    pub const fn ends_without(self) -> bool {
        match self {
            Self::BeforeDelete | Self::BeforeUpdate => true,
            Self::AfterUpdate => false,
        }
    }
}

/// Labels and finalizers of a pod, or those that make a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Finalizers.
    pub finalizers: Vec<String>,
}

impl Marks {
    /// Whether nothing is there but what we put on and take off ourselves.
    #[must_use]
    pub fn are_ours(&self) -> bool {
        self.finalizers.is_empty() && self.labels.keys().all(|key| key == SERVE)
    }
}

/// A pod in such a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodKept {
    /// Its name.
    pub name: Name,
    /// Its UID.
    pub uid: Uid,
    /// The version that was seen.
    pub version: ResourceVersion,
    /// The CloneSet that made it.
    pub owner: Uid,
    /// The state.
    pub kept: Kept,
    /// Since when it is in it, where Kruise says so.
    pub since: Option<Timestamp>,
    /// What is on it. Of one that is being deleted the finalizers alone: labels keep it no longer.
    pub marks: Marks,
}
