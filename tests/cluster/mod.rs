//! The daemon on a real control plane: etcd, kube-apiserver, OpenKruise, KWOK. `tests/cluster/test` starts one and runs
//! these; without it they are ignored.

mod adopt;
mod plane;
mod process;
mod story;
mod vectors;
