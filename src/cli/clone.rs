//! The local clone that `approve` and `rollback` commit to, by the `git` program: a commit made here is signed,
//! hooked and configured as any other of that person.
//!
//! Argument lists, no shell; the variables that would point Git at another repository are taken away.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::output::{Printer, Refusal};
use crate::model::CommitId;

/// Variables by which Git finds, or is led away from, a repository (git(1), "The Git Repository").
const MISLEADING: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_LITERAL_PATHSPECS",
];
/// The remote that is pushed to.
const REMOTE: &str = "origin";

/// Where the commit goes once it is made.
#[derive(Args, Clone, Debug, Default)]
pub struct PublishArgs {
    /// Push the commit to the branch it was made on
    #[arg(long, conflicts_with = "pr")]
    pub push: bool,
    /// Make the commit on a branch of its own and push that, for a pull request
    #[arg(long)]
    pub pr: bool,
}

/// What Git leaves behind while something is under way, and its name.
const UNDER_WAY: [(&str, &str); 4] = [
    ("MERGE_HEAD", "merge"),
    ("REVERT_HEAD", "revert"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REBASE_HEAD", "rebase"),
];

/// A push that was refused, with the cure: others were faster, or the branch takes pull requests only.
fn not_sent(error: &anyhow::Error, target: &str, home: &str, branch: &str) -> Refusal {
    let said = format!("{error:#}");
    // What git-push(1) says of a branch that has moved.
    let is_behind = ["fetch first", "non-fast-forward"].iter().any(|words| said.contains(words));
    let refusal = Refusal::new(format!("the commit is made but not sent: {said}"));
    if is_behind {
        return refusal.hint(format!("git pull --rebase {REMOTE} {home}, then git push {REMOTE} {target}"));
    }
    refusal.hint(format!(
        "where {home} takes pull requests only: git push {REMOTE} {target}:{branch}, open one into {home}, and take \
         the commit off your {home} by git reset --keep HEAD~1; next time, --pr does all of that"
    ))
}

/// A clone with a work tree.
#[derive(Clone, Debug)]
pub struct LocalClone {
    top: PathBuf,
}

impl LocalClone {
    /// The clone that `path` lies in.
    ///
    /// # Errors
    /// Where there is none, or no `git` program.
    pub fn find(path: &Path) -> Result<Self> {
        let here = Self { top: path.to_owned() };
        let refusal = |_| {
            Refusal::new(format!("{} is not in a Git work tree", path.display()))
                .hint("run this in a clone of the repository, or name one with -C DIR")
        };
        let top = here.git(["rev-parse", "--show-toplevel"]).map_err(refusal)?;
        Ok(Self { top: PathBuf::from(top) })
    }

    /// A new repository in `folder`, with the branch `main` and nobody's templates.
    ///
    /// # Errors
    /// Where Git refuses.
    pub fn make(folder: &Path) -> Result<Self> {
        let new = Self { top: folder.to_owned() };
        new.git(["init", "--quiet", "--initial-branch=main", "--template="])?;
        Ok(new)
    }

    /// Its top folder.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// Runs `git` with `args`, and gives what it says without the last line break.
    ///
    /// # Errors
    /// What Git said on stderr.
    pub fn git<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.top).args(["-c", "core.quotePath=false", "-c", "core.fsmonitor=false"]);
        command.args(args).stdin(Stdio::null()).env("LC_ALL", "C");
        for name in MISLEADING {
            command.env_remove(name);
        }
        let output = command.output().context("the `git` program cannot be started")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            anyhow::bail!("git: {}", said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The commit that is checked out.
    ///
    /// # Errors
    /// Where there is none yet.
    pub fn head(&self) -> Result<CommitId> {
        Ok(self.git(["rev-parse", "--verify", "HEAD^{commit}"])?.parse()?)
    }

    /// The branch that is checked out.
    ///
    /// # Errors
    /// Where HEAD is on no branch.
    pub fn branch(&self) -> Result<String> {
        let refusal = |_| Refusal::new("the clone is on no branch").hint("check one out: git switch main");
        Ok(self.git(["symbolic-ref", "--quiet", "--short", "HEAD"]).map_err(refusal)?)
    }

    /// Whether `paths`, from the top, differ from HEAD in the work tree or the index.
    ///
    /// # Errors
    /// Where Git cannot tell.
    pub fn is_dirty(&self, paths: &[String]) -> Result<bool> {
        let args = ["status", "--porcelain", "--untracked-files=all", "--"];
        let said = self.git(args.into_iter().chain(paths.iter().map(String::as_str)))?;
        Ok(!said.is_empty())
    }

    /// Refuses to commit in the middle of a merge, a revert or the like: the commit would end it.
    fn is_at_rest(&self) -> Result<()> {
        for (head, what) in UNDER_WAY {
            let args = ["rev-parse", "--quiet", "--verify", head];
            if self.git(args).is_ok() {
                let refusal = Refusal::new(format!("a git {what} is under way in this clone"));
                return Err(refusal.hint(format!("finish it, or give it up: git {what} --abort")).into());
            }
        }
        Ok(())
    }

    /// Commits `paths` as they stand in the work tree, added, changed or gone, and nothing else that is staged.
    ///
    /// # Errors
    /// Where Git refuses: a hook, a missing name or address, a failing signature.
    pub fn commit(&self, paths: &[String], message: &str) -> Result<CommitId> {
        let all = || paths.iter().map(String::as_str);
        self.git(["add", "--all", "--"].into_iter().chain(all()))?;
        self.git(["commit", "--quiet", "--only", "-m", message, "--"].into_iter().chain(all()))?;
        self.head()
    }

    /// Makes one commit by `make`, publishes it as `publish` says, and tells of it.
    ///
    /// `branch` is the name of the branch for a pull request.
    ///
    /// # Errors
    /// In the middle of a merge, a revert or the like. Where the commit cannot be made or Git refuses the push.
    pub fn publish(
        &self,
        publish: &PublishArgs,
        branch: &str,
        printer: &Printer,
        make: impl FnOnce() -> Result<CommitId>,
    ) -> Result<()> {
        self.is_at_rest()?;
        let home = self.branch()?;
        let target = if publish.pr { branch } else { &home };
        if publish.pr {
            self.git(["switch", "--quiet", "--create", branch])?;
        }
        let made = make();
        if publish.pr {
            self.git(["switch", "--quiet", &home])?;
        }
        printer.say(format!("committed {} on {target}", made?.short()))?;
        if publish.push || publish.pr {
            self.push(target).map_err(|error| not_sent(&error, target, &home, branch))?;
            printer.say(format!("pushed {target} to {REMOTE}"))?;
        } else if !self.git(["remote"])?.is_empty() {
            printer.say(format!("send it with: git push {REMOTE} {home}"))?;
        }
        if publish.pr {
            printer.say(format!("open a pull request from {branch} into {home}"))?;
        }
        Ok(())
    }

    fn push(&self, branch: &str) -> Result<()> {
        self.git(["push", "--quiet", REMOTE, &format!("refs/heads/{branch}:refs/heads/{branch}")]).map(drop)
    }
}
