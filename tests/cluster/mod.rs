//! The daemon on a real control plane: etcd, kube-apiserver, OpenKruise, KWOK. `tests/cluster/test` starts one and runs
//! these; without it they are ignored.

mod admission;
mod adopt;
mod between;
mod deploy;
mod forge;
mod forge_away;
mod forge_rules;
mod forge_scene;
mod forge_story;
mod hook;
mod judge;
mod kills;
mod life;
mod mutating;
pub mod plane;
mod process;
mod rights;
mod scene;
mod scenes;
mod story;
mod traces;
mod traces_apply;
mod traces_world;
mod vectors;
mod version;
mod wire;
mod witness;
mod writer;
