//! `triton why`: the holds of one release.

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use crate::cli::output::{Exit, Format, Printer};
use crate::cli::records::OneArgs;
use crate::cli::render;
use crate::cli::status;

/// Explain what a release waits for: since when, who can lift it, with which file or command.
///
/// With -o json, the same object as in the list of `triton status -o json`.
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// Which release
    #[command(flatten)]
    pub one: OneArgs,
}

/// Runs `triton why`.
///
/// # Errors
/// Where the cluster cannot be read or has no record of the release.
pub async fn run(args: WhyArgs, printer: &Printer) -> Result<Exit> {
    let records = args.one.cluster.records().await?;
    let record = records.get(&args.one.release).await?;
    for row in status::rows(&records, vec![record]).await {
        match args.one.output {
            Format::Json => printer.json(&row)?,
            Format::Text => {
                let now = Timestamp::now();
                printer.say(render::why(&row, now, printer.paint))?;
                for trouble in render::troubles(&[row], now, printer.paint) {
                    printer.say(format!("\n{trouble}"))?;
                }
            }
        }
    }
    Ok(Exit::Fine)
}
