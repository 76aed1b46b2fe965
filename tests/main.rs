//! Every integration test, in one binary.

mod house;
mod guard;
mod support;
