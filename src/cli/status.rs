//! `triton status`: where everything is, and what it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;

use crate::cli::awaited::Awaited;
use crate::cli::output::{Exit, Format, Printer};
use crate::cli::records::{ClusterArgs, Record, Records};
use crate::cli::render::{self, GitView, Row};
use crate::cli::wait::{self, Ended, Goal};
use crate::cli::worktree::{self, OnDisk};
use crate::model::ReleaseId;

/// A screen is drawn at most so often: more cannot be read.
const REDRAW: Duration = Duration::from_millis(200);
/// Redraws after which ages are counted again though nothing happened: a second.
const REDRAWS_PER_SECOND: u32 = 5;

/// Show where every release is, and what it waits for.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Only this release, in detail
    #[arg(value_name = "NAMESPACE/NAME")]
    pub release: Option<ReleaseId>,
    /// Keep the screen up to date until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,
    /// Wait until the release, or every one, is where --for says; exit 1 where one fails first, or time is over
    #[arg(long, conflicts_with = "watch")]
    pub wait: bool,
    /// What is waited for
    #[arg(long = "for", value_name = "GOAL", default_value = "complete", requires = "wait")]
    pub goal: Goal,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = wait::timeout, requires = "wait")]
    pub timeout: Duration,
    /// Wait until the records tell of this commit; by default HEAD, in a clone of the branch that the daemon follows
    #[arg(long, value_name = "REV", requires = "wait")]
    pub commit: Option<String>,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text", conflicts_with = "watch")]
    pub output: Format,
    /// The cluster to read
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs `triton status`.
///
/// # Errors
/// Where the cluster cannot be read.
pub async fn run(args: StatusArgs, printer: &Printer) -> Result<Exit> {
    let records = args.cluster.records().await?;
    if args.watch {
        return watch(&records, args.release.as_ref(), printer).await;
    }
    let here = Path::new(".");
    let awaited = match args.wait {
        true => Awaited::find(&records, args.release.as_ref(), args.commit.as_deref(), here).await?,
        false => None,
    };
    let (ended, found) = match (&args.release, args.wait) {
        (id, true) => wait::wait(&records, id.as_ref(), args.goal, awaited.as_ref(), args.timeout).await?,
        (Some(id), false) => (Ended::There, vec![records.get(id).await?]),
        (None, false) => (Ended::There, records.list().await?),
    };
    let rows = rows(&records, found).await;
    match args.output {
        Format::Json => printer.json(&rows)?,
        Format::Text if rows.is_empty() => printer.say(nothing(&records, here).await)?,
        Format::Text => {
            printer.say(screen(&rows, args.release.is_some(), Timestamp::now(), printer))?;
            if args.release.is_none() {
                let missing = without_namespace(&records, &rows, here).await;
                missing.iter().try_for_each(|line| printer.say(format!("\n{line}")))?;
            }
        }
    }
    Ok(match ended {
        Ended::There => Exit::Fine,
        Ended::Degraded => Exit::YourTurn,
        Ended::TimedOut => {
            printer.note("the time is over");
            Exit::YourTurn
        }
        Ended::Unrecorded(releases) => {
            let many = releases.len();
            let first = releases.into_iter().next().unwrap_or_default();
            let rest = if many > 1 { format!(" and {} more", many - 1) } else { String::new() };
            printer.note(format!(
                "the time is over, and the daemon could not record {first}{rest}: its log says why"
            ));
            Exit::YourTurn
        }
        Ended::NotTold => {
            let commit = awaited.map(|awaited| awaited.commit.short()).unwrap_or_default();
            printer.note(format!(
                "the time is over, and the daemon has not told of {commit} yet: this is from before"
            ));
            Exit::YourTurn
        }
    })
}

/// What is said where there is no record: what is missing.
async fn nothing(records: &Records, here: &Path) -> String {
    let daemons = records.daemons().await;
    let Some(git) = daemons.values().find(|git| git.head.is_some()).or_else(|| daemons.values().next())
    else {
        return "no releases yet: `triton run --repo URL` makes the cluster follow a repository".to_owned();
    };
    let now = Timestamp::now();
    let who = git.daemon.as_deref().unwrap_or("a daemon");
    let what = git.repository.as_deref().unwrap_or("a repository");
    let mut lines = vec![match (git.trouble(now), &git.head) {
        (Some(trouble), _) => format!("no releases: {trouble}"),
        (None, Some(head)) => {
            let head = head.get(..7).unwrap_or(head);
            format!(
                "no releases: {who} follows {what}, has seen {head} and recorded none; if it has some, the log says why"
            )
        }
        (None, None) => {
            format!("no releases: {who} follows {what}, and has seen no commit; the log says why")
        }
    }];
    lines.extend(without_namespace(records, &[], here).await);
    lines.join("\n")
}

/// A line for each namespace that a release of the repository at hand is for and the cluster has not: no record of it can
/// be written, so it has no row.
async fn without_namespace(records: &Records, rows: &[Row], here: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for namespace in named_here(here) {
        let is_there = rows.iter().any(|row| row.namespace == namespace);
        if !is_there && records.lacks(&namespace).await {
            lines.push(format!(
                "the cluster has no namespace {namespace}: kubectl create namespace {namespace}"
            ));
        }
    }
    lines
}

/// The namespaces that the releases of the repository at hand are for; none where there is no such.
fn named_here(here: &Path) -> BTreeSet<String> {
    let read = || -> Result<BTreeSet<String>> {
        let top = worktree::top(here)?;
        let mut found = BTreeSet::new();
        for root in worktree::roots(&top, here)? {
            let releases = OnDisk::read(&top, &root)?.assembled.releases;
            found.extend(releases.keys().map(|id| id.namespace.to_string()));
        }
        Ok(found)
    };
    // A courtesy: without a repository there is less to tell.
    read().unwrap_or_default()
}

/// The records as rows, with what the daemon's Lease says of Git.
pub async fn rows(records: &Records, found: Vec<Record>) -> Vec<Row> {
    let mut roots: BTreeMap<Option<String>, GitView> = BTreeMap::new();
    let mut rows = Vec::new();
    for record in found {
        if !roots.contains_key(&record.root) {
            roots.insert(record.root.clone(), records.git(record.root.as_deref()).await);
        }
        let git = roots.get(&record.root).cloned().unwrap_or_default();
        rows.push(Row::new(&record.id, record.status.view, git));
    }
    rows
}

/// All of them in a table, or the only one in detail, and whether that can be relied on.
fn screen(rows: &[Row], detailed: bool, now: Timestamp, printer: &Printer) -> String {
    let shown = match rows {
        [] => "no releases yet".to_owned(),
        [row] if detailed => render::detail(row, now, printer.paint),
        _ => render::list(rows, now, printer.paint),
    };
    let troubles = render::troubles(rows, now, printer.paint).join("\n");
    if troubles.is_empty() { shown } else { format!("{shown}\n\n{troubles}") }
}

/// The screen, drawn again whenever something happens; and each second, where ages can be seen to grow.
async fn watch(records: &Records, id: Option<&ReleaseId>, printer: &Printer) -> Result<Exit> {
    // What can be explained is explained now; the watch itself only tries again.
    match id {
        Some(id) => drop(records.get(id).await?),
        None => drop(records.list().await?),
    }
    let mut events = Box::pin(records.watch(id));
    let mut clock = tokio::time::interval(REDRAW);
    let mut seen = Seen::default();
    let mut shown = String::new();
    let mut interrupted = std::pin::pin!(crate::cli::output::interrupted());
    if printer.is_live() {
        printer.redraw("")?;
    }
    loop {
        tokio::select! {
            biased;
            signal = &mut interrupted => {
                signal?;
                if printer.is_live() {
                    printer.say("")?;
                }
                return Ok(Exit::Fine);
            }
            event = events.next() => match event {
                Some(Ok(event)) => seen.take(event, id),
                Some(Err(error)) => seen.trouble = Some(format!("{error:#}")),
                None => return Ok(Exit::Failed),
            },
            _ = clock.tick() => {
                if !seen.is_due(printer.is_live()) {
                    continue;
                }
                let rows = rows(records, seen.records.values().cloned().collect()).await;
                let mut text = screen(&rows, id.is_some(), Timestamp::now(), printer);
                if let Some(trouble) = &seen.trouble {
                    text.push_str(&format!("\n\nnot up to date: {trouble}"));
                }
                if printer.is_live() {
                    printer.redraw(&text)?;
                } else if text != shown {
                    printer.say(&text)?;
                }
                shown = text;
            }
        }
    }
}

/// The records as the watch has shown them.
#[derive(Default)]
struct Seen {
    records: BTreeMap<ReleaseId, Record>,
    /// The list that a restarted watch begins with; it takes the place of the old one when it is whole.
    next: BTreeMap<ReleaseId, Record>,
    /// Whether there was a list: before, nothing is known.
    is_whole: bool,
    trouble: Option<String>,
    dirty: bool,
    redraws: u32,
}

impl Seen {
    fn take(&mut self, event: Event<DynamicObject>, only: Option<&ReleaseId>) {
        let wanted = |object: &DynamicObject| {
            Record::of(object).filter(|record| only.is_none_or(|id| *id == record.id))
        };
        match event {
            Event::Init => self.next.clear(),
            Event::InitApply(object) => {
                self.next.extend(wanted(&object).map(|record| (record.id.clone(), record)));
                return;
            }
            Event::InitDone => {
                self.records = std::mem::take(&mut self.next);
                self.is_whole = true;
            }
            Event::Apply(object) => {
                self.records.extend(wanted(&object).map(|record| (record.id.clone(), record)));
            }
            Event::Delete(object) => {
                if let Some(record) = wanted(&object) {
                    self.records.remove(&record.id);
                }
            }
        }
        self.trouble = None;
        self.dirty = true;
    }

    /// Whether it is time to draw.
    fn is_due(&mut self, live: bool) -> bool {
        self.redraws += 1;
        let second = live && self.redraws.is_multiple_of(REDRAWS_PER_SECOND);
        self.is_whole && (std::mem::take(&mut self.dirty) || second)
    }
}
