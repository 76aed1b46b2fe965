//! Back along the line: where episodes begin, who brought a marker, which commit removed a release.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::root::Root;
use crate::catalog::snapshot::{Snapshot, Standing};
use crate::git::{Change, Line, ObjectId, Repository, error::Result};
use crate::model::{CommitId, Digest, ReleaseId};
use crate::spec::Place;

/// Commits of the line that one walk looks at. At 0.3 ms each that is three seconds, once after a start; a release
/// whose episode began before them holds and says so.
pub const LINE_MAX: usize = 10_000;

/// Releases whose episode is looked for, with their digest at the head.
pub enum Wanted<'a> {
    /// These. The walk ends when all are found.
    These(BTreeMap<ReleaseId, Digest>),
    /// Those of the releases that commits touch, up to where the walk ends.
    Touched(&'a dyn Fn(&ReleaseId) -> Option<Digest>),
}

impl Wanted<'_> {
    fn digest(&self, release: &ReleaseId) -> Option<Digest> {
        match self {
            Self::These(digests) => digests.get(release).copied(),
            Self::Touched(digest) => digest(release),
        }
    }

    fn these(&self) -> impl Iterator<Item = &ReleaseId> {
        match self {
            Self::These(digests) => Some(digests.keys()),
            Self::Touched(_) => None,
        }
        .into_iter()
        .flatten()
    }
}

/// What is looked for.
pub struct Sought<'a> {
    /// Episodes.
    pub digests: Wanted<'a>,
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
    /// The newest commit of the line that brought a marker that the head has, by path.
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
    sought: &Sought<'_>,
) -> Result<Found> {
    let mut found = Found::default();
    let mut kept = BTreeMap::new();
    let mut anchored: BTreeMap<CommitId, Vec<&ReleaseId>> = BTreeMap::new();
    for (release, first) in &sought.anchors {
        anchored.entry(*first).or_default().push(release);
    }
    let prefixes = [&*root.releases(), &*root.settings(), &*root.approvals()];
    // The tree before a commit is the tree of the next one that is met.
    let mut next: Option<ObjectId> = None;
    for (count, commit) in line.enumerate() {
        let commit = commit?;
        if sought.until == Some(commit.id) || sought.is_settled(&found) {
            break;
        }
        if count == LINE_MAX {
            found.is_cut = true;
            break;
        }
        let tree = |id: CommitId| repository.commit(id).map(|commit| commit.tree);
        let after = next.map_or_else(|| tree(commit.id), Ok)?;
        let before = commit.before.map(tree).transpose()?;
        next = before;
        let changes = repository.compare(before, Some(after), &prefixes)?;
        note_brought(root, &changes, commit.id, &mut kept, &mut found);
        let beginning = Beginning { first: commit.id, before: commit.before };
        for release in anchored.remove(&commit.id).into_iter().flatten() {
            found.begin(release, beginning);
        }
        for (release, standing) in at.step_back(repository, root, &changes)? {
            settle(&release, standing, at.standing(&release), beginning, sought, &mut found);
        }
        if commit.before.is_none() {
            found.is_whole = true;
            for release in sought.digests.these() {
                found.begin(release, beginning);
            }
        }
    }
    Ok(found)
}

impl Sought<'_> {
    /// Whether nothing more is looked for.
    fn is_settled(&self, found: &Found) -> bool {
        let Wanted::These(digests) = &self.digests else { return false };
        self.until.is_none()
            && found.beginnings.len() == digests.len()
            && found.removed.len() == self.gone.len()
    }
}

impl Found {
    /// An episode begins there, unless a later beginning was found.
    fn begin(&mut self, release: &ReleaseId, at: Beginning) {
        self.beginnings.entry(release.clone()).or_insert(at);
    }
}

/// Notes which markers a commit brought. Coming from the head, what is met first is the newest: it also tells whether
/// the head has the marker still, which `kept` remembers.
fn note_brought(
    root: &Root,
    changes: &[Change],
    commit: CommitId,
    kept: &mut BTreeMap<String, bool>,
    found: &mut Found,
) {
    for change in changes.iter().filter(|change| matches!(root.place(&change.path), Place::Marker(_))) {
        let is_kept = *kept.entry(change.path.clone()).or_insert(change.after.is_some());
        if is_kept && change.before.is_none() {
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
    sought: &Sought<'_>,
    found: &mut Found,
) {
    let wanted = sought.digests.digest(release).filter(|_| !found.beginnings.contains_key(release));
    if let Some(digest) = wanted {
        match (before, after) {
            (Standing::At { digest: old, cap: old_cap }, Standing::At { cap, .. }) if old == digest => {
                if old_cap != cap {
                    found.recapped.insert(release.clone());
                }
            }
            _ => found.begin(release, commit),
        }
    }
    if before != Standing::Absent && after == Standing::Absent && sought.gone.contains(release) {
        found.removed.entry(release.clone()).or_insert(commit.first);
    }
}
