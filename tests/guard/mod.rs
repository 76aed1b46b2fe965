//! The guard: the plans of a normal rollout pass; each rule, broken, is noticed.

mod laps;
mod pods;
mod objects;
mod configs;
mod claims;
mod agreement;
mod serving;
mod routes;
mod back;
mod weights;
mod testers;
mod ingresses;
mod in_place;
mod asked;
mod colours;
mod blue_green;
