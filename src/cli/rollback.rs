//! `triton rollback`: one commit that brings a release's files back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::clone::PublishArgs;
use crate::cli::locate::Located;
use crate::cli::output::{Exit, Printer, Refusal};
use crate::cli::records::ClusterArgs;
use crate::model::{CommitId, ReleaseId};
use crate::world::{Memory, Proof};

/// Commit a release's files as they stood when it was last proven.
///
/// Only this release's files change; `git revert` of a commit that has nothing else in it does the same. Every pod
/// goes back without a gate as soon as the daemon sees the commit.
#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// The release
    #[arg(value_name = "NAMESPACE/NAME")]
    pub release: ReleaseId,
    /// Take the files of this commit; by default of the proven release, as the cluster's record names it
    #[arg(long, value_name = "COMMIT")]
    pub to: Option<String>,
    /// A folder in the clone to commit to
    #[arg(short = 'C', long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where the commit goes
    #[command(flatten)]
    pub publish: PublishArgs,
    /// The cluster whose record names the proven release
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs `triton rollback`.
///
/// # Errors
/// Where there is nothing to go back to, or Git refuses.
pub async fn run(args: &RollbackArgs, printer: &Printer) -> Result<Exit> {
    let id = &args.release;
    let proven = match &args.to {
        Some(_) => Vec::new(),
        None => proven(id, &args.cluster).await?,
    };
    let top = proven.last().map(commit_of).transpose()?;
    let located = Located::find(&args.dir, Some(id))?;
    let to = match (&args.to, top) {
        (Some(name), _) => located.repository.resolve(name)?,
        (None, Some(commit)) => known(&located, commit)?,
        (None, None) => {
            return Err(Refusal::new(format!("{id} has nothing proven to go back to"))
                .hint("name a commit with --to")
                .into());
        }
    };
    let head = located.clone.head()?;
    let then = located.at(to)?.files_of(id);
    if then.is_empty() {
        return Err(Refusal::new(format!("commit {} has no release {id}", to.short())).into());
    }
    let now = located.at(head)?.files_of(id);
    let paths: Vec<String> = then.into_iter().chain(now).collect::<BTreeSet<_>>().into_iter().collect();
    refuse_if_idle(&located, id, to, &paths, &proven)?;
    let version = located.intent(to, id).map_or_else(|_| to.short(), |then| then.release.version.clone());
    let branch = format!("triton/rollback-{}-{}-{}", id.namespace, id.name, to.short());
    located.clone.publish(&args.publish, &branch, printer, || {
        let source = format!("--source={to}");
        let restore = ["restore", source.as_str(), "--staged", "--worktree", "--"];
        located.clone.git(restore.into_iter().chain(paths.iter().map(String::as_str)))?;
        let message = format!("Roll {id} back to {version}\n\nBrings its files back as of {to}.");
        located.clone.commit(&paths, &message)
    })?;
    for path in &paths {
        printer.say(format!("  {path} as of {}", to.short()))?;
    }
    Ok(Exit::Fine)
}

/// The proven stack, newest last, as the record has it.
async fn proven(id: &ReleaseId, cluster: &ClusterArgs) -> Result<Vec<Proof>> {
    let record = cluster.records().await?.get(id).await?;
    Ok(Memory::from_annotations(&record.status.memory).map(|memory| memory.proven).unwrap_or_default())
}

fn commit_of(proof: &Proof) -> Result<CommitId> {
    let refusal = || {
        Refusal::new(format!("{} was adopted, not committed: no commit has its files", proof.version))
            .hint("name a commit with --to")
    };
    Ok(proof.commit.ok_or_else(refusal)?)
}

fn known(located: &Located, commit: CommitId) -> Result<CommitId> {
    if located.repository.has(commit)? {
        return Ok(commit);
    }
    Err(Refusal::new(format!("the clone has no commit {}", commit.short()))
        .hint("git fetch, and try again")
        .into())
}

/// Refuses where the files have changes of their own, or are what they would become.
fn refuse_if_idle(
    located: &Located,
    id: &ReleaseId,
    to: CommitId,
    paths: &[String],
    proven: &[Proof],
) -> Result<()> {
    if located.clone.is_dirty(paths)? {
        return Err(Refusal::new(format!("the files of {id} have changes that are not committed"))
            .hint(format!("commit them or put them away: git stash -- {}", paths.join(" ")))
            .into());
    }
    let names = ["diff", "--name-only", &format!("{to}"), "HEAD", "--"].map(str::to_owned);
    let differing = located.clone.git(names.iter().chain(paths)).context("comparing with HEAD")?;
    if !differing.is_empty() {
        return Ok(());
    }
    let refusal = Refusal::new(format!("HEAD has the files of {} already", to.short()));
    let before = proven.iter().rev().skip(1).find_map(|proof| Some((proof.commit?, &proof.version)));
    let hint = before.map_or_else(
        || "name an earlier commit with --to".to_owned(),
        |(commit, version)| format!("proven before it: {version}, with --to {}", commit.short()),
    );
    Err(refusal.hint(hint).into())
}
