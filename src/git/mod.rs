//! The repository: a bare mirror, fetched, fast-forward only. Knows Git, knows nothing of releases.
//!
//! One owner, synchronous: a blocking thread in life, inline in simulation. Nothing here has a work tree, runs a
//! hook, follows a symbolic link or a submodule, or reads anybody's Git configuration.
//!
//! **Invariant:** the head that [`mirror::Mirror`] returns can be read whole: its commits back to the last head,
//! and its tree down to the last blob, are in the mirror.
//!
//! **Invariant:** dates are never compared; they are read for display only.

pub mod error;
pub mod settings;
pub mod object;
pub mod repository;
pub mod compare;
pub mod history;
pub mod draft;
pub mod remote;
pub mod budget;
pub mod pack;
pub mod local;
pub mod stream;
pub mod wire;
pub mod http;
pub mod ssh;
pub mod mirror;

pub use crate::git::compare::Change;
pub use crate::git::draft::Merged;
pub use crate::git::error::Error;
pub use crate::git::history::{Line, LineCommit};
pub use crate::git::mirror::{Mirror, Poll};
pub use crate::git::object::{Commit, Entry, Kind, ObjectId, Person};
pub use crate::git::remote::{Credentials, Limits, Remote};
pub use crate::git::repository::Repository;
