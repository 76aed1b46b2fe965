//! `triton history`: what happened to one release.

use anyhow::Result;
use clap::Args;

use crate::cli::output::{Exit, Format, Printer};
use crate::cli::records::ClusterArgs;
use crate::cli::render;
use crate::model::ReleaseId;
use crate::objects::record::HISTORY_MAX;

/// Tell what happened to a release, oldest first.
///
/// The record keeps the last transitions; older ones are in Git: `git log` of the release's files.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// The release
    #[arg(value_name = "NAMESPACE/NAME")]
    pub release: ReleaseId,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
    /// The cluster to read
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs `triton history`.
///
/// # Errors
/// Where the cluster cannot be read or has no record of the release.
pub async fn run(args: HistoryArgs, printer: &Printer) -> Result<Exit> {
    let record = args.cluster.records().await?.get(&args.release).await?;
    let history = &record.status.history;
    match args.output {
        Format::Json => printer.json(history)?,
        Format::Text if history.is_empty() => {
            printer.say(format!("{}: nothing has happened yet", args.release))?;
        }
        Format::Text => {
            printer.say(render::history(history, printer.paint))?;
            if history.len() >= HISTORY_MAX {
                printer.note("what came before is not kept in the cluster");
            }
        }
    }
    Ok(Exit::Fine)
}
