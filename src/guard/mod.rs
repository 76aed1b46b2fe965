//! The second pair of eyes: checks every plan against the invariants, in production too.
//!
//! It is given what the planner was given, and what the planner made of it, and works out for itself what Git
//! permits, how many pods a write lets go, and what the status proves. A plan that breaks a rule holds its one
//! release; the others go on.
//!
//! **Invariant:** shares no code with `plan`. Where the two disagree one of them is wrong, and nothing is written.
//!
//! **Invariant:** judges writes by what they contain, not by what the decision calls them.

pub mod rule;
pub mod pods;
pub mod permit;
pub mod body;
pub mod scene;
pub mod status;
pub mod backends;
pub mod ingress;
pub mod weights;
pub mod exposure;
pub mod forward;
pub mod claim;
pub mod colours;
pub mod switch;
pub mod blue_green;
pub mod object;
pub mod hook;
pub mod replace;
pub mod serving;
pub mod check;

pub use check::check;
pub use rule::{Rule, Violation};
