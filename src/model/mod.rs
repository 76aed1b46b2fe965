//! The words that every other room uses: validated names, counts and percentages with Kruise's rounding, ids,
//! holds.
//!
//! **Invariant:** imports nothing of ours; a value that exists is valid.

pub mod name;
pub mod id;
pub mod amount;
pub mod hold;

pub use amount::{Amount, Percent};
pub use hold::{Gate, Hold, Lift, LiftKind};
pub use id::{CommitId, Digest, ResourceVersion, TemplateHash, Uid};
pub use name::{Name, Namespace, ReleaseId};
