//! The commands, and which one was asked for.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};

use crate::cli::output::{Exit, Printer};
use crate::cli::{
    adopt, approve, check, completions, demo, devcluster, diff, freeze, history, plan, restart, rollback,
    run, schema, status, step, waiting, why,
};

/// Follow release specs in Git and roll OpenKruise CloneSets out, one approved step at a time.
///
/// `git push` starts a rollout, a merged approval lets it take its next step, `git revert` takes it back.
#[derive(Debug, Parser)]
#[command(name = "triton", version, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands. The help of each is the doc comment of its arguments.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "a doc comment here would take the place of the help")]
pub enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Devcluster(devcluster::DevclusterArgs),
    Check(check::CheckArgs),
    Plan(plan::PlanArgs),
    Diff(diff::DiffArgs),
    Status(status::StatusArgs),
    Why(why::WhyArgs),
    History(history::HistoryArgs),
    Approve(approve::ApproveArgs),
    Step(step::StepArgs),
    Rollback(rollback::RollbackArgs),
    Restart(restart::RestartArgs),
    Freeze(freeze::FreezeArgs),
    Unfreeze(freeze::UnfreezeArgs),
    Adopt(adopt::AdoptArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// Parses the command line, runs the command, and tells the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let printer = Printer::default();
    let exit = match Args::try_parse() {
        Ok(args) => start(args.command, &printer).unwrap_or_else(|error| printer.trouble(&error)),
        Err(usage) => {
            // Where the help cannot be printed there is nobody to tell.
            let _ = usage.print();
            if usage.use_stderr() { Exit::YourTurn } else { Exit::Fine }
        }
    };
    exit.into()
}

fn start(command: Command, printer: &Printer) -> Result<Exit> {
    // One TLS provider for both HTTP clients; an error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the runtime did not start")?.block_on(dispatch(command, printer))
}

async fn dispatch(command: Command, printer: &Printer) -> Result<Exit> {
    match command {
        Command::Run(args) => run::run(args, printer).await,
        Command::Demo(args) => demo::run(&args, printer).await,
        Command::Devcluster(args) => devcluster::run(&args, printer).await,
        Command::Check(args) => check::run(&args, printer),
        Command::Plan(args) => plan::run(&args, printer).await,
        Command::Diff(args) => diff::run(&args, printer).await,
        Command::Status(args) => status::run(args, printer).await,
        Command::Why(args) => why::run(args, printer).await,
        Command::History(args) => history::run(args, printer).await,
        Command::Approve(args) => waiting::run(&args, printer).await,
        Command::Step(args) => step::run(&args, printer),
        Command::Rollback(args) => rollback::run(&args, printer).await,
        Command::Restart(args) => restart::run(&args, jiff::Timestamp::now(), printer).await,
        Command::Freeze(args) => freeze::freeze(&args, printer),
        Command::Unfreeze(args) => freeze::unfreeze(&args, printer),
        Command::Adopt(args) => adopt::run(&args, printer).await,
        Command::Schema(args) => schema::run(&args, printer),
        Command::Completions(args) => completions::run(&args, &mut Args::command(), printer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_and_every_option_says_what_it_is_for() {
        for command in Args::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for option in command.get_arguments() {
                assert!(option.get_help().is_some(), "{} {}", command.get_name(), option.get_id());
            }
        }
    }
}
