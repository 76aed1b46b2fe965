//! The language of the repository: bytes → checked releases, approvals, freezes and diagnostics.
//!
//! **Invariant:** reading never fails: mistakes are [`Diagnostic`]s, and one bad file harms one release.

pub mod diagnostic;
pub mod alike;
pub mod release;
pub mod exchange;
pub mod restart;
pub mod node;
pub mod report;
pub mod scalar;
pub mod yaml;
pub mod edit;
pub mod keep;
pub mod read;
pub mod weights;
pub mod matches;
pub mod blue_green;
pub mod strategy;
pub mod canonical;
pub mod texts;
pub mod config;
pub mod object;
pub mod image;
pub mod pod;
pub mod selector;
pub mod readiness;
pub mod hook;
pub mod order;
pub mod cloneset;
pub mod head;
pub mod document;
pub mod subject;
pub mod versioned;
pub mod file;
pub mod serve;
pub mod ingress;
pub mod routes;
pub mod follow;
pub mod switched;
pub mod drain;
pub mod applied;
pub mod autoscaler;
pub mod build;
pub mod assemble;
pub mod whole;
pub mod place;
pub mod marker;
pub mod configuration;

pub use assemble::{Assembled, Checked, Group, assemble, assemble_group, directory, merge};
pub use build::DocumentsError;
pub use configuration::{Configuration, GitAccess, PeopleFrom, read_configuration};
pub use diagnostic::{Diagnostic, Severity};
pub use exchange::Exchange;
pub use file::{ParsedFile, RepositoryFile, parse_file, parse_repository};
pub use follow::Follower;
pub use marker::{FrozenBy, read_freeze, read_marker};
pub use place::{MarkerPath, Permission, Place, marker_of, markers_of, place, removal_of};
pub use release::{
    Approval, BlueGreen, Body, Companion, Criterion, Initial, Match, OnFailure, Release, Serve, Step,
    Strategy,
};
pub use serve::{dark, room, roomier, unavailable};
pub use whole::Whole;
