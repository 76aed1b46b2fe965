//! An in-process Kubernetes API with an imitation of the CloneSet controller and of kubelets.

pub mod clock;
pub mod ids;
pub mod refusal;
pub mod kinds;
pub mod store;
pub mod writes;
