//! The loop: wake → observe → plan → guard → execute → report.
//!
//! Watches, timers and Git only wake it. Everything is planned anew on each lap; what is incremental is observing. What a
//! lap decides is carried out beside the loop, of several releases at once, and told when it is done.
//!
//! **Invariant:** nothing is written before everything was seen once, and a head is written down before it is used, as
//! creates are announced before they are sent.

pub mod clock;
pub mod pulse;
pub mod documents;
pub mod drift;
pub mod refusals;
pub mod looks;
pub mod crowd;
pub mod led;
pub mod follow;
pub mod rivals;
pub mod rehearsals;
pub mod seen;
pub mod announced;
pub mod tenure;
pub mod source;
pub mod asking;
pub mod asked;
pub mod unseen;
pub mod observe;
pub mod execute;
pub mod errands;
pub mod record;
pub mod report;
pub mod audit;
pub mod log;
pub mod lap;
pub mod lists;
pub mod run;

pub use clock::Clock;
pub use pulse::Pulse;
pub use run::{Controller, Rules, Settings};
pub use source::Source;
