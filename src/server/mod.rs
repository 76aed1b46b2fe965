//! The daemon's own state, for people and machines: `/healthz`, `/readyz`, `/metrics`. It reads what the loop shows
//! of itself and asks nobody: a loop that hangs is seen, and cannot make it hang as well.
//!
//! **Invariant:** what is served is bounded, however many releases there are, and so is what any client can take:
//! connections, bytes and time.

pub mod health;
pub mod metrics;
pub mod door;
pub mod serve;

pub use serve::{bind, router, serve};
