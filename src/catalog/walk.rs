//! Back along the line: where episodes begin, who brought a marker, which commit removed a release.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::root::Root;
use crate::catalog::snapshot::{Snapshot, Standing};
use crate::git::{Change, Line, Repository, error::Result};
use crate::model::{CommitId, Digest, ReleaseId};
use crate::spec::Place;

/// Commits of the line that one walk looks at. At 0.3 ms each that is three seconds, once after a start; a release
/// whose episode began before them holds and says so.
pub const LINE_MAX: usize = 10_000;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// Releases whose episode is looked for, with their digest at the head.
    pub digests: BTreeMap<ReleaseId, Digest>,
    /// Where an episode is known to begin, if the line has one digest all the way to there.
    pub anchors: BTreeMap<ReleaseId, CommitId>,
    /// Releases that the head has not, and whose removal is looked for.
    pub gone: BTreeSet<ReleaseId>,
    /// A commit at which the walk ends: what was before is known.
    pub until: Option<CommitId>,
}

/// Where an episode begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// *S*.
    pub first: CommitId,
    /// The commit of the line before it.
    pub before: Option<CommitId>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Episodes, by release.
    pub beginnings: BTreeMap<ReleaseId, Beginning>,
    /// Releases whose `spec.step` a commit of the episode changed, as far as the walk came.
    pub recapped: BTreeSet<ReleaseId>,
    /// The commits that removed releases.
    pub removed: BTreeMap<ReleaseId, CommitId>,
    /// The newest commit of the line that brought a marker, by path.
    pub brought: BTreeMap<String, CommitId>,
    /// Whether the walk came to the beginning of history.
    pub is_whole: bool,
    /// Whether the walk ended at its limit, so that what was not found may yet be there.
    pub is_cut: bool,
}

/// Walks `line`, whose first commit is the one that `at` was read from.
pub fn walk(
    repository: &Repository,
    root: &Root,
    line: Line<'_>,
    mut at: Snapshot,
    mut sought: Sought,
) -> Result<Found> {
    let mut found = Found::default();
    let prefixes = [&*root.releases(), &*root.settings(), &*root.approvals()];
    for (count, commit) in line.enumerate() {
        let commit = commit?;
        if sought.until == Some(commit.id) || sought.is_settled() {
            break;
        }
        if count == LINE_MAX {
            found.is_cut = true;
            break;
        }
        let tree = |id: CommitId| repository.commit(id).map(|commit| commit.tree);
        let before = commit.before.map(tree).transpose()?;
        let changes = repository.compare(before, Some(tree(commit.id)?), &prefixes)?;
        note_brought(root, &changes, commit.id, &mut found);
        let beginning = Beginning { first: commit.id, before: commit.before };
        meet_anchors(beginning, &mut sought, &mut found);
        for (release, standing) in at.step_back(repository, root, &changes)? {
            settle(&release, standing, at.standing(&release), beginning, &mut sought, &mut found);
        }
        if commit.before.is_none() {
            found.is_whole = true;
            let rest = std::mem::take(&mut sought.digests).into_keys();
            found.beginnings.extend(rest.map(|release| (release, beginning)));
        }
    }
    Ok(found)
}

impl Sought {
    /// Whether nothing more is looked for.
    fn is_settled(&self) -> bool {
        self.until.is_none() && self.digests.is_empty() && self.gone.is_empty()
    }
}

/// Ends the search for releases whose episode is known to begin here.
fn meet_anchors(here: Beginning, sought: &mut Sought, found: &mut Found) {
    let at_anchor = |release: &&ReleaseId| sought.anchors.get(*release) == Some(&here.first);
    for release in sought.digests.keys().filter(at_anchor).cloned().collect::<Vec<_>>() {
        sought.digests.remove(&release);
        found.beginnings.insert(release, here);
    }
}

/// Notes which markers a commit brought. Coming from the head, the first one met is the newest.
fn note_brought(root: &Root, changes: &[Change], commit: CommitId, found: &mut Found) {
    for change in changes.iter().filter(|change| change.before.is_none()) {
        if matches!(root.place(&change.path), Place::Marker(_)) {
            found.brought.entry(change.path.clone()).or_insert(commit);
        }
    }
}

/// Takes in that a commit brought `release` from `before` to `after`.
fn settle(
    release: &ReleaseId,
    after: Standing,
    before: Standing,
    commit: Beginning,
    sought: &mut Sought,
    found: &mut Found,
) {
    if let Some(digest) = sought.digests.get(release) {
        match (before, after) {
            (Standing::At { digest: old, cap: old_cap }, Standing::At { cap, .. }) if old == *digest => {
                if old_cap != cap {
                    found.recapped.insert(release.clone());
                }
            }
            _ => {
                sought.digests.remove(release);
                found.beginnings.insert(release.clone(), commit);
            }
        }
    }
    if before != Standing::Absent && after == Standing::Absent && sought.gone.remove(release) {
        found.removed.insert(release.clone(), commit.first);
    }
}
