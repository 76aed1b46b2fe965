//! Judgement: `plan(&World) -> Plan`. Pure, total, deterministic: no clock, no I/O, no async, no logging, no hash
//! order.
//!
//! Each lap plans the whole world. For one release the table of rows in [`table`] decides, first that applies; its
//! letters are those of the design. Nothing here fails: what cannot be done is a hold.
//!
//! **Invariant:** memory restricts, it never permits: no write goes past what Git permits at HEAD.
//!
//! **Invariant:** one lap moves a release by at most one step.

pub mod steps;
pub mod permit;
pub mod facts;
pub mod pods;
pub mod handover;
pub mod holds;
pub mod dark;
pub mod hooked;
pub mod body;
pub mod shares;
pub mod companions;
pub mod colours;
pub mod outcome;
pub mod in_place;
pub mod serving;
pub mod led;
pub mod leads;
pub mod blue_green;
pub mod weights;
pub mod observed;
pub mod start;
pub mod adopt;
pub mod tend;
pub mod replace;
pub mod table;
pub mod removal;
pub mod clonesets;
pub mod view;
pub mod schedule;

pub use schedule::plan;
