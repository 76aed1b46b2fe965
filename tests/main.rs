//! The tests that see the whole: one binary.

mod crd;
mod screens;
