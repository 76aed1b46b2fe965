//! The daemon on a real control plane: etcd, kube-apiserver, OpenKruise, KWOK. `tests/cluster/test` starts one and runs
//! these; without it they are ignored.

mod admission;
mod judge;
mod kills;
mod life;
mod plane;
mod process;
mod scene;
mod story;
mod vectors;
mod witness;
mod writer;
