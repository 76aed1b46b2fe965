//! The daemon on a real control plane: etcd, kube-apiserver, OpenKruise, KWOK. `tests/cluster/test` starts one and runs
//! these; without it they are ignored.

mod plane;
mod process;
mod story;
mod traces;
mod traces_apply;
mod traces_world;
mod vectors;
