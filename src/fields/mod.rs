//! Owned field paths, comparison as field changes, fingerprints.
//!
//! What we sent is compared with what is there, by the rules of server-side apply: a field that we did not send is
//! invisible, a field that we sent and no longer own is a change even if its value is still the same.
//!
//! **Invariant:** pure; never a difference where Kubernetes only wrote the same thing in another way.

pub mod change;
pub mod canonical;
pub mod compact;
pub mod quantity;
pub mod owned;
pub mod compare;
pub mod difference;
pub mod extract;
pub mod stand;

pub use canonical::{Fingerprint, canonical};
pub use change::FieldChange;
pub use compact::Compact;
pub use compare::{compare, compare_named, drift};
pub use difference::templates;
pub use extract::extract;
pub use owned::{Ownership, sole};
pub use stand::Stand;
