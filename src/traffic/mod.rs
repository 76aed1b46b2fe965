//! Traffic: a share and what Git has → the routes and Services that lead by it. Builds, never applies.
//!
//! At rest nothing here is of use: routes are as Git has them. While a release with weights is rolled out, each Service
//! that selects its pods has two of ours beside it, one with the pods of each revision, and routes name them in its place.
//!
//! **Invariant:** pure; what is not about weights stays as Git has it, and what another backend gets of a rule stays the
//! same share to the last request.

pub mod ingress;
pub mod route;
pub mod service;
pub mod pin;

pub use ingress::{canary, canary_ingress, canary_of, gives, ingress, stands};
pub use pin::{pin_of, pinned};
pub use route::{leads_testers, route, share_of};
pub use service::{beside, service};
