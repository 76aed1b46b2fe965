//! An in-process Kubernetes API with an imitation of the CloneSet controller and of kubelets.
//!
//! **The API** answers as kube-apiserver 1.30 did when `tests/api-vectors` were recorded: lists and watches with
//! versions and bookmarks, the four patches, server-side apply with its conflicts, status and scale, finalizers and
//! preconditions, dry runs, definitions of custom kinds, tables. The same router serves a socket and a client in
//! the same process.
//!
//! **Invariants:** everything is in memory and behind one lock that no await holds. Time is tokio's, ids and names come
//! from a seed, nothing depends on the order of a hash: equal seeds and requests give equal answers. A write knows its
//! object, its owners and its dependents, never all objects of its kind. Logs are bounded.
//!
//! **Left out of the API:** YAML bodies and protobuf; aggregated discovery; OpenAPI documents beyond what kubectl asks
//! for before it applies; other versions of a kind with another shape (autoscaling/v1), and ownership across them; core
//! Events in events.k8s.io (the other way they show); evictions, logs, exec, proxy; users, beyond what `TestKnobs` deny;
//! admission beyond the CloneSet's; most validation of Pods, quantities and Ingress; patterns and rules (CEL) in the
//! schemas of custom kinds; descriptions of built-in columns. Garbage is collected at once, in the write that makes it.
//! Answers that differ from the recorded ones are listed one by one, with reasons, in `tests/exclusions.rs`.
//!
//! **The controllers** are the CloneSet controller of Kruise 1.8.3 with its webhooks, the scheduler and kubelets, rule by
//! rule with Kruise's file. They go where the real ones went: `tests/kruise-traces` are replayed, and `tests/traces.rs`
//! names the three that are left out and the seven whose end is a race. The decisions are functions over documents
//! (`json` to `status`); `pass` and `machine` put them in order and in time; `sim` runs them without an API.
//!
//! **Left out of the controllers:** volume claims; scatterStrategy; topology ranks at scale-in; hash collisions;
//! PodUnavailableBudgets, WorkloadSpread, image pre-download, everything that needs kruise-daemon; containers updated
//! in batches; alpha gates (rollback by partition, vertical scaling, short hashes, templates without defaults) and the
//! fields of 1.9; unknown fields deep in a template (they stay, the real webhook drops them); whether a name in
//! `podsToDelete` is a pod (in `sim` it is checked); autoscalers and disruption budgets; resources,
//! probes and logs on nodes. EndpointSlices are made as far as tests look at them (`endpoints`). The controller is alone: no leader is elected, and its cache is late by a delay, never by
//! content.
//!
//! **Beside a real control plane** all of `tests/scenarios` are played by `tests/cluster/test scenes`, and what the daemon
//! writes, tells and leaves must be the same. As the API server does, and easily missed: scaling to zero through the
//! scale subresource leaves `replicas` owned by nobody (`scaling`), and a CloneSet that lacks no default passes Kruise's
//! webhook as it was sent, `paused: false` and all (`defaulting`). What differs is time, and is left so. Here a write that
//! the daemon answers at once is answered before the controllers look: a partition lowered by hand is back before a pod
//! goes, a template edited by hand is gone before it has a revision; the real Kruise may be the quicker one. Garbage is
//! collected here in the write that makes it, there after a moment in which a new CloneSet of the name has its pods beside
//! the old one's. And nobody can encode anew what stands in a real cluster, as an upgraded Kruise would.
//!
//! Read it in four parts: what objects are (`clock` to `decode`), the store and its writes (`store` to `events`), the
//! controllers (`json` to `controllers`), the HTTP face (`patch` to `cluster`).

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
pub mod strategy;
pub mod store;
pub mod views;
pub mod writes;
pub mod deletes;
pub mod events;
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
pub mod endpoints;
pub mod controllers;
pub mod patch;
pub mod selectors;
pub mod knobs;
pub mod body;
pub mod request;
pub mod table;
pub mod reply;
pub mod list;
pub mod watching;
pub mod modify;
pub mod scaling;
pub mod removal;
pub mod discovery;
pub mod server;
pub mod cluster;

pub use clock::Clock;
pub use cluster::{DevCluster, Options};
pub use deletes::{DeleteHow, Deleted, Propagation};
pub use events::EventType;
pub use knobs::{Denial, Failure, Faults, TestKnobs, Write};
pub use refusal::Refusal;
pub use store::{Admission, Change, Object, Store};
