//! `triton completions`: what a shell needs to complete commands and options.

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::output::{Exit, Printer};

/// Print completions for a shell: `source <(triton completions bash)`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Runs `triton completions` for the command line `command`.
///
/// # Errors
/// Where stdout is gone.
pub fn run(args: &CompletionsArgs, command: &mut Command, printer: &Printer) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "triton", &mut script);
    printer.say(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Fine)
}
