//! The picture: everything a decision may look at, `now` included, and the plan that is made of it. Data only.
//!
//! **Invariant:** no I/O and no judgement; cases are shared by `Arc`, so that a lap copies nothing that has not
//! changed.

pub mod policy;
pub mod memory;
pub mod intent;
pub mod traffic;
pub mod hooks;
pub mod live;
pub mod case;
pub mod colours;
pub mod plan;

pub use case::{Case, Refusal, World};
pub use colours::{Colour, twin_name};
pub use hooks::{Kept, Marks, PodKept};
pub use intent::{
    Approver, Desired, Episode, Fault, Freeze, Intent, Marker, NotCounted, Permit, Removal, Source,
};
pub use live::{
    CompanionLive, CounterStatus, Drift, Live, Looked, OtherTool, PodLive, RecordLive, Rehearsal, Stage,
    Tool, Twin,
};
pub use memory::{Memory, Proof, Reached, Try};
pub use plan::{Action, Decision, Expect, Move, Plan, Write};
pub use policy::{People, Policy, RemovalLimit};
pub use traffic::{Beside, Follows, Leads, Role, Share, hash_of};
