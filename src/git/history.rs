//! The line: what the branch showed, from its head back.

use std::collections::BTreeSet;

use crate::git::error::{Error, Result};
use crate::git::object::{commit_id, commit_oid};
use crate::git::repository::Repository;
use crate::model::CommitId;

/// Commits between a head and the one seen before it: ten years of fifty a day. At 20 bytes each the set of them stays
/// under 10 MiB; beyond it nothing is followed, and the hold says so.
const GAP_MAX: usize = 200_000;

/// Commits that one commit of the line may bring. A branch of more has no author that anybody could name.
const SINCE_MAX: usize = 10_000;

/// A commit of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineCommit {
    /// The commit.
    pub id: CommitId,
    /// The commit of the line just before it; none where history begins.
    pub before: Option<CommitId>,
}

/// The line, newest commit first.
///
/// At a merge it follows the first parent that is, or descends from, the next *waypoint*: the head that was seen
/// last, then, if the caller has any, older commits that are known to have been on the branch. So a `git pull` that
/// swapped the parents of a merge does not lead it aside. Beyond the last waypoint it follows first parents.
pub struct Line<'a> {
    repository: &'a Repository,
    next: Option<CommitId>,
    /// Waypoints still ahead, the nearest last.
    waypoints: Vec<CommitId>,
    /// Commits from which the nearest waypoint can be reached.
    leading: BTreeSet<CommitId>,
}

impl Repository {
    /// Whether `commit` has `ancestor` in its history, or is it. A commit that is not in the repository is nobody's
    /// ancestor.
    pub fn descends(&self, commit: CommitId, ancestor: CommitId) -> Result<bool> {
        if commit == ancestor {
            return self.has(commit);
        }
        if !self.has(ancestor)? {
            return Ok(false);
        }
        let (from, to) = (commit_oid(commit), commit_oid(ancestor));
        self.inner().graph_descendant_of(from, to).map_err(|source| history(commit, source))
    }

    /// The line from `head` back, by way of `waypoints` (newest first). Waypoints that are not ancestors of the one
    /// before them are passed over.
    pub fn line(&self, head: CommitId, waypoints: &[CommitId]) -> Result<Line<'_>> {
        let mut valid = Vec::new();
        let mut from = head;
        for &waypoint in waypoints {
            if self.descends(from, waypoint)? {
                valid.push(waypoint);
                from = waypoint;
            }
        }
        valid.reverse();
        self.find_commit(head)?;
        let mut line =
            Line { repository: self, next: Some(head), waypoints: valid, leading: BTreeSet::new() };
        line.aim(head)?;
        Ok(line)
    }
}

impl Line<'_> {
    /// Drops the waypoints that `at` is, and finds the ways to the next one.
    fn aim(&mut self, at: CommitId) -> Result<()> {
        while self.waypoints.last() == Some(&at) {
            self.waypoints.pop();
            self.leading.clear();
        }
        let Some(&waypoint) = self.waypoints.last() else { return Ok(()) };
        if self.leading.is_empty() {
            self.leading = self.repository.commits_leading(at, waypoint)?;
        }
        Ok(())
    }

    fn step(&mut self, id: CommitId) -> Result<LineCommit> {
        self.aim(id)?;
        let parents = self.repository.commit(id)?.parents;
        let leads = |parent: &&CommitId| self.leading.contains(parent);
        let before = parents.iter().find(leads).or(parents.first()).copied();
        self.next = before;
        Ok(LineCommit { id, before })
    }
}

impl Iterator for Line<'_> {
    type Item = Result<LineCommit>;

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.next.take()?;
        Some(self.step(id))
    }
}

impl Repository {
    /// Every commit that `commit` has in its history, itself included, and `before` has not.
    pub fn commits_since(&self, commit: CommitId, before: Option<CommitId>) -> Result<Vec<CommitId>> {
        let failed = |source| history(commit, source);
        let mut walk = self.inner().revwalk().map_err(failed)?;
        walk.push(commit_oid(commit)).map_err(failed)?;
        if let Some(before) = before {
            walk.hide(commit_oid(before)).map_err(failed)?;
        }
        let limit = SINCE_MAX + 1;
        let commits: Vec<_> = walk.take(limit).collect::<std::result::Result<_, _>>().map_err(failed)?;
        if commits.len() == limit {
            return Err(Error::TreeTooLarge {
                why: format!("{} brings more than {SINCE_MAX} commits", commit.short()),
            });
        }
        Ok(commits.into_iter().map(commit_id).collect())
    }

    /// `target` and every ancestor of `from` that descends from it: one walk over what `target` has not.
    fn commits_leading(&self, from: CommitId, target: CommitId) -> Result<BTreeSet<CommitId>> {
        let mut leading = BTreeSet::from([target]);
        let failed = |source| history(from, source);
        let mut walk = self.inner().revwalk().map_err(failed)?;
        walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE).map_err(failed)?;
        walk.push(commit_oid(from)).map_err(failed)?;
        walk.hide(commit_oid(target)).map_err(failed)?;
        for (count, oid) in walk.enumerate() {
            if count == GAP_MAX {
                let why = format!("more than {GAP_MAX} commits since {}", target.short());
                return Err(Error::TreeTooLarge { why });
            }
            let id = commit_id(oid.map_err(failed)?);
            let parents = self.commit(id)?.parents;
            if parents.iter().any(|parent| leading.contains(parent)) {
                leading.insert(id);
            }
        }
        Ok(leading)
    }
}

fn history(id: CommitId, source: git2::Error) -> Error {
    Error::Object { what: format!("the history of commit {id}"), source }
}
