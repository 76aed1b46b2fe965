//! The tests that need more than one room: one binary.

mod git;
mod repo;
