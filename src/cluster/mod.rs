//! The Kubernetes API: watches into projections, server-side apply, the lease. Decides nothing.
//!
//! **Invariant:** one function of the program writes to the cluster ([`Cluster::send`]), as one field manager, with
//! the UID and the resourceVersion that the write was planned from. Every call has a time-out and is tried once;
//! who asked decides about another try.

pub mod error;
pub mod requests;
pub mod connect;
pub mod apply;
pub mod list;
pub mod tools;
pub mod project;
pub mod feed;
pub mod seen;
pub mod picture;
pub mod cache;
pub mod watch;
pub mod telling;
pub mod lane;
pub mod lease;

pub use apply::{LEASES, RECORDS, REQUEST_TIMEOUT, Target, resource};
pub use cache::Cache;
pub use connect::{Cluster, Options};
pub use error::Error;
pub use feed::{Feed, FeedState};
pub use lane::Lane;
pub use lease::{DURATION as LEASE_DURATION, Follows, Lease, Now, Standing, Wait};
pub use project::{SeenCloneSet, SeenCompanion, SeenEndpoints, SeenKept, SeenPod, SeenRecord};
pub use requests::Requests;
pub use seen::Seen;
pub use telling::{Note, Telling};
pub use watch::watch;
