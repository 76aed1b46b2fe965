//! The language of the repository: bytes → checked releases, approvals, freezes and diagnostics.
//!
//! **Invariant:** reading never fails: mistakes are [`Diagnostic`]s, and one bad file harms one release.

pub mod diagnostic;
pub mod release;

pub use diagnostic::{Diagnostic, Severity};
pub use release::{Approval, Body, Companion, Initial, OnFailure, Release, Step, Strategy};
