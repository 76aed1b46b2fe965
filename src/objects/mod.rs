//! The Kubernetes kinds we read or write, as data. All our labels and annotations are spelled here, once.
//!
//! **Invariant:** no client, no I/O; fields that we do not model survive, because bodies stay JSON.

pub mod keys;
pub mod kind;
pub mod cloneset;
pub mod record;
pub mod crd;

pub use cloneset::CloneSetVersion;
pub use kind::{Kind, ObjectKey};
