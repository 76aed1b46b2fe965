//! The loop: wake → observe → plan → guard → execute → report.

pub mod documents;
pub mod record;
