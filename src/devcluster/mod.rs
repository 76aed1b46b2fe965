//! An in-process Kubernetes API with an imitation of the CloneSet controller and of kubelets.

pub mod clock;
pub mod ids;
pub mod refusal;
pub mod kinds;
pub mod store;
pub mod writes;
pub mod json;
pub mod rounding;
pub mod cloneset;
pub mod pods;
pub mod revision;
pub mod inplace;
pub mod lifecycle;
pub mod actions;
pub mod diffs;
pub mod scale;
pub mod update;
pub mod status;
pub mod pass;
pub mod recorder;
pub mod kubelet;
pub mod machine;
pub mod quantity;
pub mod defaulting;
pub mod admission;
pub mod sim;
