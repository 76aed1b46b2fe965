//! The daemon on a real control plane: etcd, kube-apiserver, OpenKruise, KWOK. `tests/cluster/test` starts one and runs
//! these; without it they are ignored.

pub mod plane;
mod process;
mod scenes;
mod story;
