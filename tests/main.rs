//! Every integration test, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should fail on the spot")]

mod check;
mod clone;
mod crd;
mod git;
mod house;
mod readme;
mod repo;
mod screens;
mod spec;
mod support;
mod traces;
//! The integration tests: one binary.

mod exclusions;
mod tokens;
mod vectors;
