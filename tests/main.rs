//! The integration tests: one binary.

mod exclusions;
mod tokens;
mod vectors;
