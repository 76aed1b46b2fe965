//! What files say of a whole root: names that may stand once in it, and names of others.

use crate::model::ReleaseId;
use crate::objects::ObjectKey;

/// What may stand only once in a root, or has to do with what stands elsewhere in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A release.
    Release(ReleaseId),
    /// An object of one.
    Object(ObjectKey),
    /// A ConfigMap, by its written name, that is applied under another one.
    Versioned(ObjectKey),
    /// A ConfigMap that the pods of a release read and that it does not have.
    Read(ObjectKey),
}

impl Subject {
    /// Whose holders have to do with those of this one.
    pub(crate) fn partner(&self) -> Self {
        match self {
            Self::Release(_) | Self::Object(_) => self.clone(),
            Self::Versioned(key) => Self::Read(key.clone()),
            Self::Read(key) => Self::Versioned(key.clone()),
        }
    }
}
