//! Triton is a GitOps reconciler for OpenKruise CloneSets.
//!
//! It polls a Git repository of release specs, compares desired with live CloneSets, and moves each rollout
//! forward one step at a time, only as far as Git permits: `git push` starts a rollout, a merged approval lets it
//! take its next step, `git revert` takes it back.
//!
//! ```text
//!  doors      cli · server · devcluster
//!  loop       controller                        wake → observe → plan → guard → execute → report
//!  hands      catalog ← git      cluster
//! ─────────────────────────────────────────── above: may fail · below: pure
//!  judgement  guard · plan ← traffic
//!  picture    world                             what plan and guard look at; data only
//!  language   spec                              bytes → checked releases and diagnostics
//!  things     objects ← fields                  Kubernetes kinds · owned paths, sets, compare
//!  words      model
//! ```
//!
//! Read the rooms in the order in which they stand here, and the files of a room in the order of its `mod` lines:
//! then no name is met before its definition. `tests/house.rs` holds the table of who may import whom.

pub mod model;
pub mod objects;
pub mod fields;
pub mod spec;
pub mod world;
pub mod traffic;
pub mod plan;
pub mod guard;
pub mod git;
pub mod catalog;
pub mod cluster;
pub mod controller;
pub mod server;
pub mod devcluster;
pub mod cli;
