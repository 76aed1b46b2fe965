//! The local clone that `approve`, `rollback` and the like commit to, by the `git` program: a commit made here is signed,
//! hooked and configured as any other of that person.
//!
//! Argument lists, no shell; the variables that would point Git at another repository are taken away.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
/// The remote that is pushed to where Git names no other.
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

/// A branch for a pull request gets at most so many other names before Git is left to refuse it.
const BRANCHES_MAX: usize = 100;

/// What Git and the forge said, without Git's advice and the program's own marks.
fn said(stderr: &str) -> String {
    let plain = |line: &str| line.trim_start_matches("remote:").trim().to_owned();
    let lines =
        stderr.trim_start_matches("git: ").lines().filter(|line| !line.starts_with("hint:")).map(plain);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The address at which a pull request is opened, as forges print it in reply to a push; of several, the one that
/// speaks of that.
fn address(stderr: &str) -> Option<&str> {
    let words = stderr.lines().filter(|line| line.starts_with("remote:")).flat_map(str::split_whitespace);
    let plain = words.map(|word| word.trim_matches(['<', '>', '"']));
    let found: Vec<&str> =
        plain.filter(|it| it.starts_with("https://") || it.starts_with("http://")).collect();
    let speaks = |it: &&&str| ["pull", "merge", "compare"].iter().any(|word| it.contains(word));
    found.iter().find(speaks).or(found.first()).copied()
}

/// A push that was refused, with the cure: others were faster, or the branch takes pull requests only.
fn not_sent(error: &anyhow::Error, push: &Push<'_>) -> Refusal {
    let Push { remote, home, target, branch } = push;
    let text = format!("{error:#}");
    // What git-push(1) says of a branch that has moved, and of one that the other side guards.
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let refusal = Refusal::new(format!("the commit is made but not sent: {}", said(&text)));
    if says(&["fetch first", "non-fast-forward"]) {
        return refusal.hint(format!("git pull --rebase {remote} {home}, then git push {remote} {target}"));
    }
    if says(&["remote rejected", "protected", "pre-receive"]) && target == home {
        return refusal.hint(format!(
            "{home} takes pull requests only, it seems: git push {remote} {target}:{branch}, open one into {home}, \
             and take the commit off your {home} by git reset --keep HEAD~1; next time, --pr does all of that"
        ));
    }
    refusal.hint(format!("once that is mended: git push {remote} {target}"))
}

/// Where a commit goes.
struct Push<'a> {
    /// The remote.
    remote: &'a str,
    /// The branch that was checked out.
    home: &'a str,
    /// The branch that the commit is on.
    target: &'a str,
    /// The branch for a pull request.
    branch: &'a str,
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
                .hint("run this in a clone of the repository, or name its folder")
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
        Ok(String::from_utf8_lossy(&self.run(args)?.stdout).trim_end().to_owned())
    }

    fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Output> {
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
        Ok(output)
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

    /// Makes one commit by `make`, which gives the lines that tell of it; tells of it, and publishes it as `publish`
    /// says. `branch` names the branch for a pull request; where that name is taken, a number is added.
    ///
    /// # Errors
    /// In the middle of a merge, a revert or the like. Where the commit cannot be made or Git refuses the push.
    pub fn publish(
        &self,
        publish: &PublishArgs,
        branch: &str,
        printer: &Printer,
        make: impl FnOnce() -> Result<Vec<String>>,
    ) -> Result<()> {
        self.is_at_rest()?;
        let home = self.branch()?;
        let remote = self.remote(&home);
        let branch = if publish.pr { self.untaken(&remote, branch)? } else { branch.to_owned() };
        let target = if publish.pr { &branch } else { &home };
        if publish.pr {
            self.git(["switch", "--quiet", "--create", target])?;
        }
        let mut made = make();
        if publish.pr {
            self.git(["switch", "--quiet", &home])?;
            made = made.and_then(|told| self.alone(target, &home).map(|()| told));
            if made.is_err() {
                // The error that is told is the one that matters.
                let _ = self.git(["branch", "--quiet", "-D", target]);
            }
        }
        let told = made?;
        let commit: CommitId =
            self.git(["rev-parse", "--verify", &format!("refs/heads/{target}")])?.parse()?;
        printer.say(format!("committed {} on {target}", commit.short()))?;
        told.iter().try_for_each(|line| printer.say(format!("  {line}")))?;
        if publish.push || publish.pr {
            let push = Push { remote: &remote, home: &home, target, branch: &branch };
            let reply = self.push(&push).map_err(|error| not_sent(&error, &push))?;
            printer.say(format!("pushed {target} to {remote}"))?;
            if publish.pr {
                let at = address(&reply).map_or_else(String::new, |address| format!(": {address}"));
                printer.say(format!("open a pull request from {target} into {home}{at}"))?;
            }
        } else if !self.git(["remote"])?.is_empty() {
            printer.say(format!("send it with: git push {remote} {home}"))?;
        }
        Ok(())
    }

    /// What the branch that `home` follows had when it was last fetched, where `home` has commits that it has not.
    ///
    /// # Errors
    /// Where Git cannot tell.
    pub fn sent(&self, home: &str) -> Result<Option<CommitId>> {
        let upstream = format!("{home}@{{upstream}}");
        let Ok(sent) = self.git(["rev-parse", "--quiet", "--verify", &upstream]) else { return Ok(None) };
        let more = self.git(["rev-list", "--count", &format!("{sent}..refs/heads/{home}")])?;
        Ok(if more == "0" { None } else { Some(sent.parse()?) })
    }

    /// Takes out of `branch`, whose newest commit was made on `home`, whatever else was not sent yet: a pull request has
    /// the one change. It is done in a work tree of its own, so that nobody's is touched.
    fn alone(&self, branch: &str, home: &str) -> Result<()> {
        let Some(sent) = self.sent(home)? else { return Ok(()) };
        let folder = format!("triton-{}", std::process::id());
        let apart = Self { top: self.top.join(self.git(["rev-parse", "--git-path", &folder])?) };
        let place = apart.top.as_os_str();
        let add = ["worktree", "add", "--quiet", "--detach"].map(OsStr::new);
        self.git(add.into_iter().chain([place, OsStr::new(&sent.to_string())]))?;
        let picked = apart.git(["cherry-pick", branch]).and_then(|_| apart.head());
        let removed = self.git(["worktree", "remove", "--force"].map(OsStr::new).into_iter().chain([place]));
        let refusal = |error: anyhow::Error| {
            let what = said(&format!("{error:#}"));
            Refusal::new(format!("the change needs commits of {home} that were not sent yet: {what}"))
                .hint("send those first")
        };
        let picked = picked.map_err(refusal)?;
        removed.and_then(|_| self.git(["branch", "--quiet", "--force", branch, &picked.to_string()]))?;
        Ok(())
    }

    /// The remote that Git itself would push the branch to (git-config(1), `remote.pushDefault`).
    fn remote(&self, branch: &str) -> String {
        let keys = [
            format!("branch.{branch}.pushRemote"),
            "remote.pushDefault".to_owned(),
            format!("branch.{branch}.remote"),
        ];
        let set = keys.iter().find_map(|key| self.git(["config", "--get", key]).ok());
        // A branch that follows one of this very clone has the remote `.`.
        set.filter(|remote| !remote.is_empty() && remote != ".").unwrap_or_else(|| REMOTE.to_owned())
    }

    /// `branch`, or that with a number where here or there is one of that name already: another approver's, say.
    fn untaken(&self, remote: &str, branch: &str) -> Result<String> {
        let pattern = format!("refs/heads/{branch}*");
        let here = self.git(["for-each-ref", "--format=%(refname)", &format!("refs/heads/{branch}*")])?;
        // A remote that cannot be asked will refuse the push, and say why.
        let there = self.git(["ls-remote", "--quiet", remote, &pattern]).unwrap_or_default();
        let name = |line: &str| line.split_whitespace().next_back().map(str::to_owned);
        let taken: Vec<String> = here.lines().chain(there.lines()).filter_map(name).collect();
        let numbered = (2..BRANCHES_MAX).map(|number| format!("{branch}-{number}"));
        let mut names = std::iter::once(branch.to_owned()).chain(numbered);
        let is_free = |name: &String| !taken.contains(&format!("refs/heads/{name}"));
        Ok(names.find(is_free).unwrap_or_else(|| branch.to_owned()))
    }

    /// Pushes; gives what the other side said.
    fn push(&self, push: &Push<'_>) -> Result<String> {
        let refs = format!("refs/heads/{0}:refs/heads/{0}", push.target);
        let output = self.run(["push", push.remote, &refs])?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_a_forge_prints_is_found() {
        let gitlab = "remote: News at https://git.example/news\nremote: To create a merge request for x, visit:\n\
            remote:   https://git.example/merge_requests/new?a=b\nremote:\nTo git.example:shop/deploy.git\n * [new branch] x -> x\n";
        assert_eq!(address(gitlab), Some("https://git.example/merge_requests/new?a=b"));
        assert_eq!(address("To https://git.example/shop/deploy.git\n * [new branch] x -> x\n"), None);
    }

    #[test]
    fn what_was_said_is_told_without_advice() {
        let text = "git: remote: GH006: Protected\nremote: \nhint: pull\nTo o";
        assert_eq!(said(text), "GH006: Protected\nTo o");
    }
}
