//! The Git room against real repositories, with the `git` program as the oracle.

mod history;
mod mirror;
pub mod network;
