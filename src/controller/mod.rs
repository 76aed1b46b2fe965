//! The loop: wake → observe → plan → guard → execute → report.
