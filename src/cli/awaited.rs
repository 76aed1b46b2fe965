//! The commit that `status --wait` waits for. Records tell of an earlier one until the daemon has read it: right after a
//! push, "complete" is said of what was there before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use crate::catalog::{Root, Snapshot};
use crate::cli::clone::LocalClone;
use crate::cli::output::Refusal;
use crate::cli::records::{Record, Records};
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
    /// The directory of that root, where it is one of the clone's.
    dir: Option<String>,
    here: Option<Here>,
}

/// What the records tell of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The releases of the head that is told; none where the clone does not have it.
    pub releases: Option<BTreeSet<ReleaseId>>,
}

impl Told {
    /// The releases that have no record although Git has them.
    #[must_use]
    pub fn unrecorded(&self, records: &[Record]) -> Vec<String> {
        let is_recorded = |id: &&ReleaseId| records.iter().any(|record| record.id == **id);
        let all = self.releases.iter().flatten();
        all.filter(|id| !is_recorded(id)).map(ToString::to_string).collect()
    }
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

    /// The clone's roots by the names that they have where a daemon follows its branch.
    fn roots(&self, folder: &Path) -> BTreeMap<String, String> {
        let Ok(branch) = self.clone.branch() else { return BTreeMap::new() };
        let roots = worktree::roots(self.clone.top(), folder).unwrap_or_default();
        roots.into_iter().map(|dir| (Root::new(&dir).name(&branch), dir)).collect()
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
        let mut own = near.keys().filter(|root| daemons.contains_key(*root)).filter(is_meant);
        let root = match (own.next(), own.next()) {
            (Some(root), None) => Some(root.clone()),
            (Some(_), Some(_)) | (None, _) => None,
        };
        let Some(name) = name else {
            let (Some(root), Some(here)) = (root, here) else { return Ok(None) };
            let commit = here.pushed_head()?;
            let dir = near.get(&root).cloned();
            return Ok(Some(Self { commit, root, dir, here: Some(here) }));
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
        let dir = near.get(&root).cloned();
        Ok(Some(Self { commit, root, dir, here }))
    }

    /// What the records tell of, once that is the commit or a later one.
    ///
    /// # Errors
    /// Where the clone cannot be read.
    pub fn told(&self, git: &GitView) -> Result<Option<Told>> {
        let told: Option<CommitId> = git.told_head.as_ref().and_then(|head| head.parse().ok());
        let Some(told) = told else { return Ok(None) };
        let Some(here) = &self.here else {
            return Ok((told == self.commit).then(Told::default));
        };
        if !here.repository.has(told)? {
            // Whatever a commit descends from, a whole clone has: what it does not have came later.
            return Ok((!here.is_shallow).then(Told::default));
        }
        if told != self.commit && !here.repository.descends(told, self.commit)? {
            return Ok(None);
        }
        let Some(dir) = &self.dir else { return Ok(Some(Told::default())) };
        let (tree, root) = (here.repository.commit(told)?.tree, Root::new(dir));
        let releases = Snapshot::read(&here.repository, &root, tree)?.assemble(&root).releases;
        Ok(Some(Told { releases: Some(releases.into_keys().collect()) }))
    }
}
