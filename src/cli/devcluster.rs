//! `triton devcluster`: the embedded cluster alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cli::embedded::Embedded;
use crate::cli::output::{Exit, Printer};

/// Run the embedded cluster alone, until it is ended by Ctrl-C.
///
/// A small Kubernetes API with an imitation of OpenKruise's CloneSet controller and of kubelets: no container runs,
/// but pods come, get ready, are updated in place and go as they do in life. An image whose tag contains `bad` never
/// gets ready. kubectl can talk to it. Everything is in memory, and gone when it ends.
#[derive(Args, Debug)]
pub struct DevclusterArgs {
    /// Write the kubeconfig that leads to it to this file
    #[arg(long, value_name = "FILE")]
    pub write_kubeconfig: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Namespaces that are there from the start, besides `default`
    #[arg(long = "namespace", value_name = "NAME", default_value = "shop")]
    pub namespaces: Vec<String>,
}

/// Runs `triton devcluster`.
///
/// # Errors
/// Where the address is taken or the kubeconfig cannot be written.
pub async fn run(args: &DevclusterArgs, printer: &Printer) -> Result<Exit> {
    let mut cluster = Embedded::start(args.listen, &args.namespaces).await?;
    cluster.write_kubeconfig(&args.write_kubeconfig)?;
    // Other terminals are in other folders.
    let file = args.write_kubeconfig.canonicalize().unwrap_or_else(|_| args.write_kubeconfig.clone());
    printer.say(format!(
        "listening on http://{}\nexport KUBECONFIG={}",
        cluster.address(),
        file.display()
    ))?;
    printer.note("Ctrl-C ends it");
    tokio::select! {
        biased;
        signal = crate::cli::output::interrupted() => { signal?; Ok(Exit::Fine) }
        ended = cluster.ended() => ended.map(|()| Exit::Failed),
    }
}
