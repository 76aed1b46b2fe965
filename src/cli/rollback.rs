//! `triton rollback`: one commit that brings a release's files back.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::clone::PublishArgs;
use crate::cli::locate::Located;
use crate::cli::output::{Exit, Printer, Refusal};
use crate::cli::records::ClusterArgs;
use crate::model::{CommitId, ReleaseId};
use crate::spec::keep::{Files, Kept, Unedited, keep};
use crate::world::{Memory, Proof};

/// Go back to the proven version: one commit with the release's files as they stood then.
///
/// Only this release's files change. Its size, its autoscalers, `spec.step` and `spec.suspend` stay as they are now:
/// going back to a version is not going back to its size. Every pod goes back without a gate as soon as the daemon sees
/// the commit.
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
    let (then, now) = (located.files_at(to, id)?, located.files_at(head, id)?);
    if then.is_empty() {
        return Err(Refusal::new(format!("commit {} has no release {id}", to.short())).into());
    }
    let release = located.intent(to, id).ok().map(|then| Arc::clone(&then.release));
    let kept = keep(&then, &now, id, release.as_ref().map(|release| release.last_step()))
        .map_err(|left| by_hand(&left, to))?;
    let paths: Vec<String> =
        kept.files.keys().chain(now.keys()).cloned().collect::<BTreeSet<_>>().into_iter().collect();
    refuse_if_dirty(&located, id, &paths)?;
    if kept.files == now {
        return Err(there_already(to, &proven).into());
    }
    let version = release.map_or_else(|| to.short(), |release| release.version.clone());
    let branch = format!("triton/rollback-{}-{}-{}", id.namespace, id.name, to.short());
    located.clone.publish(&args.publish, &branch, printer, || {
        for path in &paths {
            let file = located.clone.top().join(path);
            match kept.files.get(path) {
                Some(text) => {
                    let folder = file.parent().context("a file stands in a folder")?;
                    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text))
                }
                None => std::fs::remove_file(&file),
            }
            .with_context(|| path.clone())?;
        }
        let stays: String = kept.told.iter().map(|what| format!("\nKeeps {what}.")).collect();
        let title = format!("Roll {id} back to {version}");
        located.clone.commit(&paths, &format!("{title}\n\nBrings its files back as of {to}.{stays}"))?;
        Ok(told(&kept, &now, to))
    })?;
    Ok(Exit::Fine)
}

/// What becomes of each file, and what stays as it is, a line each.
fn told(kept: &Kept, now: &Files, to: CommitId) -> Vec<String> {
    let changed = kept.files.iter().filter(|(path, text)| now.get(*path) != Some(text));
    let brought = changed.map(|(path, _)| format!("brings   {path} as of {}", to.short()));
    let gone = now.keys().filter(|path| !kept.files.contains_key(*path));
    let gone = gone.map(|path| format!("removes  {path}"));
    let kept_now = kept.told.iter().map(|what| format!("keeps    {what}"));
    let blind = "careful  its size is that of then, too: what HEAD says of it cannot be read";
    let blind = kept.is_blind.then(|| blind.to_owned());
    brought.chain(gone).chain(kept_now).chain(blind).collect()
}

/// A file whose size, step or suspend is written in a way that is not edited here.
fn by_hand(left: &Unedited, to: CommitId) -> Refusal {
    let Unedited { path, wanted } = left;
    Refusal::new(format!("{path} of {} is written in a way that only a person can edit", to.short())).hint(format!(
        "a rollback keeps the size of now: git restore --source={} -- {path}, write `{wanted}`, and commit it",
        to.short()
    ))
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

/// Refuses where the files have changes of their own.
fn refuse_if_dirty(located: &Located, id: &ReleaseId, paths: &[String]) -> Result<()> {
    if !located.clone.is_dirty(paths)? {
        return Ok(());
    }
    Err(Refusal::new(format!("the files of {id} have changes that are not committed"))
        .hint(format!("commit them or put them away: git stash -- {}", paths.join(" ")))
        .into())
}

/// The files are what they would become.
fn there_already(to: CommitId, proven: &[Proof]) -> Refusal {
    let refusal = Refusal::new(format!("HEAD has the files of {} already", to.short()));
    let before = proven.iter().rev().skip(1).find_map(|proof| Some((proof.commit?, &proof.version)));
    refusal.hint(before.map_or_else(
        || "name an earlier commit with --to".to_owned(),
        |(commit, version)| format!("proven before it: {version}, with --to {}", commit.short()),
    ))
}
