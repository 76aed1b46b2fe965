//! An embedded cluster on a socket: the API, the imitated controllers, the kind of the record, some namespaces.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::cli::output::Refusal;
use crate::devcluster::builtin::{DEFINITIONS, NAMESPACES};
use crate::devcluster::controllers::Controllers;
use crate::devcluster::kubelet::Knobs;
use crate::devcluster::{DevCluster, Options};
use crate::objects::crd::custom_resource_definition;

/// Whom the objects are from that are there at the start.
const INSTALLER: &str = "triton-devcluster";

/// A running cluster; dropped, it is gone.
pub struct Embedded {
    address: SocketAddr,
    tasks: JoinSet<std::io::Result<()>>,
}

impl Embedded {
    /// Starts one that listens on `listen` (port 0 takes a free one) and has `namespaces`.
    ///
    /// # Errors
    /// Where the address is taken, or a namespace cannot be.
    pub async fn start(listen: SocketAddr, namespaces: &[String]) -> Result<Self> {
        let refusal = |error| Refusal::new(format!("cannot listen on {listen}: {error}"));
        let listener = TcpListener::bind(listen).await.map_err(refusal)?;
        let address = listener.local_addr()?;
        let start = Timestamp::now();
        let seed = start.as_nanosecond().unsigned_abs() as u64;
        let cluster = DevCluster::new(Options { start, seed, collects: true });
        cluster
            .store()
            .create(DEFINITIONS, INSTALLER, custom_resource_definition())
            .map_err(|refusal| anyhow!("the kind of the record: {}", refusal.message))?;
        for name in namespaces {
            cluster
                .store()
                .create(NAMESPACES, INSTALLER, json!({ "metadata": { "name": name } }))
                .map_err(|refusal| Refusal::new(refusal.message))?;
        }
        let controllers = Controllers::new(cluster.store().clone(), Knobs::default(), seed);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            controllers.run().await;
            Ok(())
        });
        tasks.spawn(cluster.serve(listener));
        Ok(Self { address, tasks })
    }

    /// Writes the kubeconfig that leads to it.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn write_kubeconfig(&self, file: &Path) -> Result<()> {
        std::fs::write(file, DevCluster::kubeconfig(self.address))
            .with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for what must not happen: that a part of it ends.
    ///
    /// # Errors
    /// Always: which part ended, and why.
    pub async fn ended(&mut self) -> Result<()> {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => Err(error).context("the embedded cluster ended"),
            Some(Err(panic)) => Err(panic).context("the embedded cluster ended"),
            Some(Ok(Ok(()))) | None => Err(anyhow!("the embedded cluster ended")),
        }
    }
}
