//! Every integration test, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should fail on the spot")]

mod adopt;
mod api;
mod catalog;
mod check;
mod clone;
mod cluster;
mod crd;
mod daemon;
mod deploy;
mod doors;
mod embedded;
mod exclusions;
mod explore;
mod forecast;
mod faults;
mod generative;
mod git;
mod house;
mod limits;
mod guard;
mod plan;
mod plan_replace;
mod plan_serving;
mod plan_switched;
mod reading;
mod holds;
mod mistakes;
mod readme;
mod restart;
mod program;
mod repo;
mod scenario;
mod schema;
mod screens;
mod spec;
mod support;
mod switch;
mod tokens;
mod traces;
mod vectors;
