//! `triton run`: the daemon.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use jiff::SignedDuration;

use crate::cli::daemon::Daemon;
use crate::cli::log;
use crate::cli::output::{Exit, Format, Printer, interrupted};
use crate::cli::records::ClusterArgs;

/// Shortest interval: below it a poll would follow the one before.
const INTERVAL_MIN: SignedDuration = SignedDuration::from_secs(1);
/// Longest interval: beyond it nobody would call it following.
const INTERVAL_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Follow a repository: the daemon.
///
/// Polls the branch, compares what it says with the CloneSets of the cluster, and takes every rollout one step
/// further, as far as Git permits. It keeps nothing that it cannot find again: end it whenever you like.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The repository: a path, or an address as http(s):// or ssh://
    #[arg(long, value_name = "URL|PATH")]
    pub repo: String,
    /// The branch to follow
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub branch: String,
    /// The root's directory in the repository
    #[arg(long, value_name = "DIR", default_value = "")]
    pub path: String,
    /// Time between two polls
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = interval)]
    pub interval: Duration,
    /// Where the mirror of the repository is kept; by default in your state folder
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The daemon's configuration: credentials, who may approve, what may be written
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Decide and report, and write nothing
    #[arg(long)]
    pub observe: bool,
    /// Answer /healthz, /readyz and /metrics at this address, as 0.0.0.0:9090; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Form of the log; by default text on a terminal and JSON elsewhere
    #[arg(long, value_name = "FORM")]
    pub log: Option<Format>,
    /// The cluster to roll out in
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

fn interval(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| "write it as 15s or 2m".to_owned())?;
    if parsed < INTERVAL_MIN || parsed > INTERVAL_MAX {
        return Err(format!("it must be from {INTERVAL_MIN:#} to {INTERVAL_MAX:#}"));
    }
    Duration::try_from(parsed).map_err(|error| error.to_string())
}

impl RunArgs {
    fn daemon(self) -> Daemon {
        Daemon {
            repo: self.repo,
            branch: self.branch,
            path: self.path,
            interval: self.interval,
            state: self.state,
            config: self.config,
            cluster: self.cluster,
            observe: self.observe,
            listen: self.listen,
        }
    }
}

/// Runs `triton run` until it is asked to end.
///
/// # Errors
/// Where something that it needs cannot be used, or the lease is lost.
pub async fn run(args: RunArgs, printer: &Printer) -> Result<Exit> {
    let form = log_to_stdout(args.log, printer);
    let daemon = args.daemon();
    let configuration = daemon.configuration()?;
    let every = SignedDuration::try_from(daemon.interval).unwrap_or(SignedDuration::MAX);
    let follows = format!("following {} of {}, every {every:#}", daemon.branch, daemon.repo);
    match form {
        Format::Text => printer.note(format!("{follows}; Ctrl-C ends it")),
        // Who collects the log reads both streams as one.
        Format::Json => tracing::info!("{follows}"),
    }
    // Without signals to listen for there is nothing to wait for either: the supervisor ends it.
    daemon.run(&configuration, async { drop(interrupted().await) }).await?;
    Ok(Exit::Fine)
}

fn log_to_stdout(form: Option<Format>, printer: &Printer) -> Format {
    let usual = if std::io::stdout().is_terminal() { Format::Text } else { Format::Json };
    let form = form.unwrap_or(usual);
    let lines = log::subscriber(form, printer.paint, log::filter(), std::io::stdout);
    // A test may have set one already.
    let _ = tracing::subscriber::set_global_default(lines);
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_second_or_more() {
        assert_eq!(interval("2m"), Ok(Duration::from_secs(120)));
        for bad in ["0s", "10ms", "-1s", "2d", "x", ""] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
