//! The commit that `status --wait` waits for. Records tell of an earlier one until the daemon has read it: right after a
//! push, "complete" is said of what was there before.

use std::path::Path;

use anyhow::Result;

use crate::catalog::Root;
use crate::cli::clone::LocalClone;
use crate::cli::output::Refusal;
use crate::cli::records::Records;
use crate::cli::render::GitView;
use crate::cli::worktree;
use crate::git::Repository;
use crate::model::{CommitId, ReleaseId};

/// A commit, and the daemon that is to tell of it.
pub struct Awaited {
    /// The commit.
    pub commit: CommitId,
    /// The name of the daemon's root.
    pub root: String,
    here: Option<Here>,
}

/// The clone at hand.
struct Here {
    clone: LocalClone,
    repository: Repository,
    /// Whether it lacks the beginning of the history.
    is_shallow: bool,
}

impl Here {
    fn find(folder: &Path) -> Option<Self> {
        let clone = LocalClone::find(folder).ok()?;
        let repository = Repository::discover(clone.top()).ok()?;
        let is_shallow = clone.git(["rev-parse", "--is-shallow-repository"]).is_ok_and(|said| said == "true");
        Some(Self { clone, repository, is_shallow })
    }

    /// The names that the clone's roots have where a daemon follows its branch.
    fn roots(&self, folder: &Path) -> Vec<String> {
        let Ok(branch) = self.clone.branch() else { return Vec::new() };
        let roots = worktree::roots(self.clone.top(), folder).unwrap_or_default();
        roots.iter().map(|dir| Root::new(dir).name(&branch)).collect()
    }

    /// HEAD, if it is where others can see it.
    fn pushed_head(&self) -> Result<CommitId> {
        let head = self.clone.head()?;
        let upstream = self.clone.git(["rev-parse", "--verify", "--quiet", "@{upstream}^{commit}"]);
        let Some(upstream) = upstream.ok().and_then(|id| id.parse().ok()) else { return Ok(head) };
        if self.repository.descends(upstream, head)? {
            return Ok(head);
        }
        Err(Refusal::new(format!("HEAD ({}) is not pushed, so nobody will ever tell of it", head.short()))
            .hint("git push first, or name what to wait for: --commit @{upstream}")
            .into())
    }
}

impl Awaited {
    /// What `name` says, in the clone that `folder` lies in. Without a name HEAD, where that clone is on the very branch
    /// and root that a daemon of the cluster follows; else nothing is waited for but the records.
    ///
    /// # Errors
    /// Where there is no such commit, no telling which daemon is meant, or HEAD is not pushed.
    pub async fn find(
        records: &Records,
        id: Option<&ReleaseId>,
        name: Option<&str>,
        folder: &Path,
    ) -> Result<Option<Self>> {
        let here = Here::find(folder);
        let daemons = records.daemons().await;
        let recorded = match id {
            Some(id) => records.find(id).await?.and_then(|record| record.root),
            None => None,
        };
        let near = here.as_ref().map(|here| here.roots(folder)).unwrap_or_default();
        let is_meant = |root: &&String| recorded.as_ref().is_none_or(|recorded| recorded == *root);
        let mut own = near.iter().filter(|root| daemons.contains_key(*root)).filter(is_meant);
        let root = match (own.next(), own.next()) {
            (Some(root), None) => Some(root.clone()),
            (Some(_), Some(_)) | (None, _) => None,
        };
        let Some(name) = name else {
            let (Some(root), Some(here)) = (root, here) else { return Ok(None) };
            let commit = here.pushed_head()?;
            return Ok(Some(Self { commit, root, here: Some(here) }));
        };
        let commit = match &here {
            Some(here) => here.repository.resolve(name).ok(),
            None => None,
        };
        let commit = commit.or_else(|| name.parse().ok()).ok_or_else(|| {
            Refusal::new(format!("there is no commit {name} here"))
                .hint("run this in a clone that has it, or give its full id")
        })?;
        let only = || daemons.keys().next().filter(|_| daemons.len() == 1).cloned();
        let root = root.or(recorded).or_else(only).ok_or_else(|| match daemons.len() {
            0 => Refusal::new("no daemon has ever run in this cluster").hint("triton run --repo URL"),
            many => Refusal::new(format!("{many} roots are followed in this cluster: which one is meant?"))
                .hint("name a release"),
        })?;
        Ok(Some(Self { commit, root, here }))
    }

    /// Whether the records tell of the commit, or of a later one.
    #[must_use]
    pub fn is_told(&self, git: &GitView) -> bool {
        let told: Option<CommitId> = git.told_head.as_ref().and_then(|head| head.parse().ok());
        let Some(told) = told else { return false };
        if told == self.commit {
            return true;
        }
        let Some(here) = &self.here else { return false };
        match here.repository.has(told) {
            Ok(true) => here.repository.descends(told, self.commit).unwrap_or(false),
            // Whatever a commit descends from, a whole clone has: what it does not have came later.
            Ok(false) => !here.is_shallow,
            Err(_) => false,
        }
    }
}
