//! The command line: one file per command, whose doc comments are its help.
//!
//! **Invariant:** no command but `run` writes to a cluster, and none but `approve`, `step`, `rollback`,
//! `restart`, `freeze` and `adopt` to a clone; `demo` does both to a repository and a cluster of its own.

pub mod output;
pub mod table;
pub mod render;
pub mod records;
pub mod leases;
pub mod worktree;
pub mod clone;
pub mod awaited;
pub mod wait;
pub mod status;
pub mod why;
pub mod draft;
pub mod check;
pub mod picture;
pub mod switch;
pub mod way;
pub mod pace;
pub mod change;
pub mod forecast;
pub mod plan;
pub mod diff;
pub mod locate;
pub mod history;
pub mod approve;
pub mod waiting;
pub mod rollback;
pub mod step;
pub mod restart;
pub mod freeze;
pub mod adopt_text;
pub mod adopt_read;
pub mod adopt_live;
pub mod adopt;
pub mod log;
pub mod reload;
pub mod daemon;
pub mod run;
pub mod embedded;
pub mod devcluster;
pub mod example;
pub mod stage;
pub mod story;
pub mod demo;
pub mod schema;
pub mod completions;
pub mod args;
