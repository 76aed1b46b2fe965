//! What Git says about releases: commits → releases, episodes, markers.
//!
//! **Invariant:** a commit that touches nothing of the root costs a comparison of trees and nothing else.
//!
//! **Invariant:** what cannot be proven from the tree and the line does not count: an approval without the commit
//! that brought it, an episode without its beginning, a removal from a tree that was not read whole.

pub mod root;
pub mod snapshot;
pub mod walk;
pub mod question;
pub mod freeze;
pub mod marker;
pub mod episode;
pub mod reading;

pub use crate::catalog::question::{Known, Question};
pub use crate::catalog::reading::{Catalog, Reading, differing};
pub use crate::catalog::root::Root;
pub use crate::catalog::snapshot::Snapshot;
