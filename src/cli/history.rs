//! `triton history`: what happened to one release, in the cluster and in Git.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use crate::cli::locate::Located;
use crate::cli::output::{Exit, Format, Printer};
use crate::cli::records::OneArgs;
use crate::cli::render::{self, Event};
use crate::model::{CommitId, ReleaseId};
use crate::objects::record::{HISTORY_MAX, Transition};

/// Commits that are told, newest last.
const COMMITS_MAX: usize = 50;
/// What `git log` puts before a commit, and between its fields: no text of people has them.
const RECORD: char = '\u{1e}';
const FIELD: char = '\u{1f}';

/// Tell what happened to a release, oldest first: its commits and approvals, and what the daemon did.
///
/// The record in the cluster keeps the daemon's last transitions; commits and approvals are read from the clone that
/// this runs in. With -o json, a list of {time, decision, message, digest, step, head, author}: `decision` is Create,
/// Adopt, Enter, Note, Complete, Repair, Fail, RollBack, Remove or Rest (what a new version no longer has was removed)
/// for what the daemon did; Commit or Approve for a commit, which is `head` then, with its author.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// Which release
    #[command(flatten)]
    pub one: OneArgs,
    /// A folder in the clone to read
    #[arg(short = 'C', long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// Runs `triton history`.
///
/// # Errors
/// Where the cluster cannot be read or has no record of the release.
pub async fn run(args: HistoryArgs, printer: &Printer) -> Result<Exit> {
    let id = &args.one.release;
    let records = args.one.cluster.records().await?;
    let record = records.get(id).await?;
    let kept = &record.status.history;
    let head = records.git(record.root.as_deref()).await.head;
    let commits = commits(&args.dir, id, head.as_deref());
    let events = events(kept, commits.as_deref().unwrap_or_default());
    match args.one.output {
        Format::Json => printer.json(&events)?,
        Format::Text if events.is_empty() => printer.say(format!("{id}: nothing has happened yet"))?,
        Format::Text => printer.say(render::history(&events, printer.paint))?,
    }
    if let (Some(first), true) = (kept.first(), kept.len() >= HISTORY_MAX) {
        printer.note(format!("what the daemon did before {:.0} is not kept", first.time));
    }
    if commits.is_none() {
        printer.note("commits and approvals are told in a clone of the repository: name one with -C DIR");
    }
    Ok(Exit::Fine)
}

/// What the daemon did and what people did, in order.
#[must_use]
pub fn events(kept: &[Transition], commits: &[Event]) -> Vec<Event> {
    let mut events: Vec<Event> =
        kept.iter().cloned().map(Event::from).chain(commits.iter().cloned()).collect();
    // A commit comes before what it caused, also within one second.
    events.sort_by_key(|event| (event.transition.time.as_second(), event.author.is_none()));
    events
}

/// The commits of the release and of its approvals, as far as `head` where the clone has it; `None` where `folder` is in no clone that has it.
#[must_use]
pub fn commits(folder: &Path, id: &ReleaseId, head: Option<&str>) -> Option<Vec<Event>> {
    let located = Located::find(folder, Some(id)).ok()?;
    let seen = head.and_then(|head| head.parse::<CommitId>().ok());
    let seen = seen.filter(|head| matches!(located.repository.has(*head), Ok(true)));
    // What the daemon has seen, else what is checked out.
    let from = seen.map_or_else(|| located.clone.head(), Ok).ok()?;
    let approvals = located.root.approvals_of(id);
    let mut paths = located.at(from).ok()?.files_of(id);
    if paths.is_empty() {
        return None;
    }
    paths.push(approvals.clone());
    let format = format!("--format={RECORD}%H{FIELD}%an{FIELD}%cI{FIELD}%s{FIELD}");
    let (limit, from) = (format!("--max-count={COMMITS_MAX}"), from.to_string());
    let args = ["log", "--first-parent", "-m", "--no-renames", "--name-only", &format, &limit, &from, "--"];
    let said = located.clone.git(args.into_iter().chain(paths.iter().map(String::as_str))).ok()?;
    Some(said.split(RECORD).filter_map(|text| commit(text, &approvals)).collect())
}

/// One commit as `git log` tells it; one that touches nothing but approvals is one.
fn commit(text: &str, approvals: &str) -> Option<Event> {
    let mut fields = text.splitn(5, FIELD);
    let (id, author, time, subject) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let mut files = fields.next()?.lines().filter(|line| !line.is_empty());
    let is_approval = files.all(|path| path.starts_with(approvals));
    let decision = if is_approval { "Approve" } else { "Commit" };
    let mut event = Event::of(time.parse::<Timestamp>().ok()?, decision, subject);
    event.transition.head = Some(id.to_owned());
    event.author = Some(author.to_owned());
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_told_with_its_author_and_whether_it_approves() {
        let text = |file: &str| {
            format!("abc{FIELD}Bo{FIELD}2026-03-01T14:00:00+01:00{FIELD}Do it{FIELD}\n\n{file}\n\n")
        };
        let approvals = "approvals/shop/cart";
        let event = commit(&text("approvals/shop/cart/3f9a/2.k7qd.yaml"), approvals).unwrap();
        assert_eq!((&*event.transition.decision, event.author.as_deref()), ("Approve", Some("Bo")));
        assert_eq!(event.transition.time.to_string(), "2026-03-01T13:00:00Z");
        let event = commit(&text("releases/shop/cart.yaml"), approvals).unwrap();
        assert_eq!((&*event.transition.decision, &*event.transition.message), ("Commit", "Do it"));
        assert!(commit("", approvals).is_none());
    }
}
