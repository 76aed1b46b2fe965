//! An in-process Kubernetes API with an imitation of the CloneSet controller and of kubelets.

pub mod clock;
pub mod ids;
pub mod refusal;
pub mod schema;
pub mod notation;
pub mod openapi;
pub mod normal;
pub mod kinds;
pub mod builtin;
pub mod crd;
pub mod fieldset;
pub mod typed;
pub mod managed;
pub mod ownership;
pub mod custom;
pub mod meta;
pub mod rules;
pub mod decode;
pub mod store;
pub mod writes;
pub mod deletes;
pub mod events;
