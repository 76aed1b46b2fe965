//! `triton demo`: a repository, a cluster and the daemon to play with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use crate::cli::output::{Exit, Printer, Tint, interrupted};
use crate::cli::render::{self, Row};
use crate::cli::stage::Stage;
use crate::cli::{status, story};
use crate::model::Gate;
use crate::objects::record::{Phase, View};

/// How often the screen is drawn.
const REDRAW: Duration = Duration::from_millis(250);
/// The release that the demo is about.
const RELEASE: &str = "shop/checkout";
/// Its file.
const FILE: &str = "releases/shop/checkout.yaml";

/// Try it out: a repository, an embedded cluster and the daemon.
///
/// Makes a Git repository from the example, starts a small cluster in this process and the daemon that follows the
/// repository, shows the status live, and says which command to type next in another terminal. Nothing but Git is
/// needed, and nothing of yours is touched.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Make the repository in this folder, and keep it; by default in a temporary one
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Type the commands yourself, check what happens, and end: the whole story in about a minute
    #[arg(long)]
    pub play: bool,
}

/// Runs `triton demo`.
///
/// # Errors
/// Where something does not start, or in the story does not happen.
pub async fn run(args: &DemoArgs, printer: &Printer) -> Result<Exit> {
    printer.note("making a repository from the example, starting a cluster and the daemon");
    let mut stage = Stage::build(args.dir.as_deref()).await?;
    let (clone, records, kubeconfig) = (stage.clone.clone(), stage.records.clone(), stage.kubeconfig.clone());
    let acts = async {
        if args.play {
            return story::play(&clone, &records, printer).await;
        }
        let guide = Guide::new(clone.top(), &kubeconfig);
        if !printer.is_live() {
            printer.say(guide.introduction())?;
        }
        let mut shown = String::new();
        loop {
            let found = records.list().await?;
            let rows = status::rows(&records, found).await;
            let text = guide.screen(&rows, printer);
            if printer.is_live() {
                printer.redraw(&text)?;
            } else if guide.news(&rows) != shown {
                shown = guide.news(&rows);
                printer.say(&text)?;
            }
            tokio::time::sleep(REDRAW).await;
        }
    };
    let ended = tokio::select! {
        biased;
        signal = interrupted() => signal.map(|()| Exit::Fine).map_err(anyhow::Error::from),
        broken = stage.broken() => broken.map(|()| Exit::Failed),
        acted = acts => acted.map(|()| Exit::Fine),
    };
    let kept = stage.is_kept().then(|| stage.clone.top().display().to_string());
    let closed = stage.close().await;
    let exit = ended?;
    closed?;
    if let Some(repository) = kept {
        printer.note(format!("the repository stays in {repository}"));
    }
    Ok(exit)
}

/// Says what to type in another terminal.
struct Guide {
    repository: String,
    kubeconfig: String,
    program: String,
}

impl Guide {
    fn new(repository: &Path, kubeconfig: &Path) -> Self {
        let program =
            std::env::current_exe().map_or_else(|_| "triton".to_owned(), |it| it.display().to_string());
        Self {
            repository: repository.display().to_string(),
            kubeconfig: kubeconfig.display().to_string(),
            program,
        }
    }

    fn introduction(&self) -> String {
        format!(
            "In another terminal:\n  cd {}\n  export KUBECONFIG={}\n  alias triton={}",
            self.repository, self.kubeconfig, self.program
        )
    }

    fn screen(&self, rows: &[Row], printer: &Printer) -> String {
        let now = Timestamp::now();
        let mut parts = Vec::new();
        if printer.is_live() {
            parts.push(self.introduction());
        }
        parts.push(render::list(rows, now, printer.paint));
        let checkout = rows.iter().find(|row| row.id() == RELEASE);
        if let Some(row) = checkout {
            parts.push(render::detail(row, now, printer.paint));
            parts.push(printer.paint.tint(Tint::Strong, &next(&row.view)));
        }
        parts.join("\n\n")
    }

    /// What a reader of a log wants to be told once: everything but ages.
    fn news(&self, rows: &[Row]) -> String {
        let facts = |row: &Row| {
            let gates: Vec<_> = row.view.holds.iter().map(|hold| hold.gate).collect();
            format!("{} {:?} {} {:?} {gates:?}", row.id(), row.view.phase, row.view.step, row.view.version)
        };
        rows.iter().map(facts).collect()
    }
}

/// The command that takes the story further, as things stand.
fn next(view: &View) -> String {
    let waits_for = |gate| view.holds.iter().any(|hold| hold.gate == gate);
    let version = view.version.to.clone().unwrap_or_default();
    let ship = |to: &str| {
        format!("sed -i 's/checkout:{version}/checkout:{to}/' {FILE} && git commit -am 'checkout {to}'")
    };
    match view.phase {
        Phase::Paused if waits_for(Gate::Approval) => {
            format!("Next: triton approve {RELEASE}\n  or, to take it back: git revert --no-edit HEAD")
        }
        Phase::Degraded if waits_for(Gate::Failed) => {
            "It failed and went back by itself. Next: git revert --no-edit HEAD".to_owned()
        }
        Phase::Healthy if version == "2.4.0" => format!("Next: {}", ship("2.4.1")),
        Phase::Healthy => format!(
            "Next, a version that never gets ready: {}\n  or, to go back: triton rollback {RELEASE} --to HEAD~2",
            ship("2.4.2-bad")
        ),
        Phase::Progressing | Phase::Paused | Phase::RollingBack | Phase::Degraded => {
            "It goes on by itself; watch.".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::record::Versions;

    #[test]
    fn the_demo_says_what_to_type_next() {
        let version = |to: &str| Versions { from: Some("2.4.0".into()), to: Some(to.into()) };
        let healthy = View { phase: Phase::Healthy, version: version("2.4.0"), ..View::default() };
        assert_eq!(
            next(&healthy),
            "Next: sed -i 's/checkout:2.4.0/checkout:2.4.1/' releases/shop/checkout.yaml && git commit -am \
             'checkout 2.4.1'"
        );
        assert_eq!(next(&View::default()), "It goes on by itself; watch.");
    }
}
