//! `triton why`: the holds of one release.

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use crate::cli::output::{Exit, Format, Printer};
use crate::cli::records::ClusterArgs;
use crate::cli::render;
use crate::cli::status;
use crate::model::ReleaseId;

/// Explain what a release waits for: since when, who can lift it, with which file or command.
#[derive(Args, Debug)]
pub struct WhyArgs {
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

/// Runs `triton why`.
///
/// # Errors
/// Where the cluster cannot be read or has no record of the release.
pub async fn run(args: WhyArgs, printer: &Printer) -> Result<Exit> {
    let records = args.cluster.records().await?;
    let record = records.get(&args.release).await?;
    for row in status::rows(&records, vec![record]).await {
        match args.output {
            Format::Json => printer.json(&row)?,
            Format::Text => printer.say(render::why(&row, Timestamp::now(), printer.paint))?,
        }
    }
    Ok(Exit::Fine)
}
