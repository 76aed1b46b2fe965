//! A branch as it would be: the work tree as if it were committed, and that as if it were merged into a base.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::catalog::Root;
use crate::cli::clone::LocalClone;
use crate::cli::output::Refusal;
use crate::cli::worktree;
use crate::git::{Change, Merged, Repository};
use crate::model::{CommitId, ReleaseId};
use crate::objects::ObjectKey;
use crate::spec::{Companion, Place, Release};
use crate::world::{Intent, NotCounted};

/// What `git diff` calls a conflict, at most so many by name.
const CONFLICTS_MAX: usize = 5;

/// A clone, and commits of it that nobody made.
pub struct Draft {
    /// For reading. What is drafted is in its memory.
    pub repository: Repository,
    /// The branch that is merged into, where one was named.
    pub base: Option<CommitId>,
    /// What is looked at: the work tree as a commit, merged into the base where there is one.
    pub head: CommitId,
    /// What that is compared with: the base, or else the commit below what is not committed.
    pub before: Option<CommitId>,
    /// The directories of the roots that are meant.
    pub roots: Vec<String>,
}

impl Draft {
    /// The work tree that `path` lies in, merged into `base` where one is named.
    ///
    /// # Errors
    /// Where there is no clone, no root, no such base, or it does not merge.
    pub fn of(path: &Path, base: Option<&str>) -> Result<Self> {
        let clone = LocalClone::find(path)?;
        let repository = Repository::discover(clone.top())?;
        let roots = worktree::roots(clone.top(), path)?;
        repository.draft_in_memory()?;
        let (mut head, mut before) = (clone.head()?, None);
        let files = uncommitted(&clone, &roots)?;
        if !files.is_empty() {
            before = Some(head);
            head = repository.draft_commit(head, &files)?;
        }
        let Some(name) = base else { return Ok(Self { repository, base: None, head, before, roots }) };
        let refusal =
            |_| Refusal::new(format!("the clone has no commit {name}")).hint("git fetch, and try again");
        let base = repository.resolve(name).map_err(refusal)?;
        let head = match repository.draft_merge(base, head)? {
            Merged::Commit(merged) => merged,
            Merged::Conflicts(mut paths) => {
                paths.truncate(CONFLICTS_MAX);
                return Err(Refusal::new(format!("this does not merge into {name}: {}", paths.join(", ")))
                    .hint(format!("git merge {name}, and mend what is in conflict"))
                    .into());
            }
        };
        Ok(Self { repository, base: Some(base), head, before: Some(base), roots })
    }

    /// What merging changes of the root's files.
    ///
    /// # Errors
    /// Where Git cannot be read.
    pub fn changes(&self, root: &Root) -> Result<Vec<Change>> {
        let tree = |commit: CommitId| self.repository.commit(commit).map(|commit| commit.tree);
        let before = self.before.map(tree).transpose()?;
        let prefixes = [&*root.releases(), &*root.settings(), &*root.approvals()];
        Ok(self.repository.compare(before, Some(tree(self.head)?), &prefixes)?)
    }
}

/// The files that mean something to a root and are not as HEAD has them.
fn uncommitted(clone: &LocalClone, roots: &[String]) -> Result<Vec<(String, Option<Vec<u8>>)>> {
    let said = clone.git(["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"])?;
    let roots: Vec<Root> = roots.iter().map(|root| Root::new(root)).collect();
    let mut files = Vec::new();
    // Two letters and a blank, then the path (git-status(1), "Porcelain Format Version 1").
    for path in said.split('\0').filter_map(|entry| entry.get(3..)) {
        if roots.iter().all(|root| root.place(path) == Place::Other) {
            continue;
        }
        let file = clone.top().join(path);
        let content = match file.symlink_metadata() {
            Ok(kind) if kind.is_file() => Some(std::fs::read(&file).with_context(|| path.to_owned())?),
            Ok(_) | Err(_) => None,
        };
        files.push((path.to_owned(), content));
    }
    Ok(files)
}

/// The ConfigMaps that `old` applies under names with their contents' hash and `new` no longer has, though its template
/// names them: none of its pods would come up.
#[must_use]
pub fn unread(old: &Release, new: &Release) -> Vec<ObjectKey> {
    let versions = old.companions.iter().filter(|it| it.version_of.is_some()).map(Companion::written);
    let (has, read) = (|key: &ObjectKey| new.companions.iter().any(|it| it.written() == *key), new.configs());
    versions.filter(|key| !has(key) && read.iter().any(|name| name == key.name.as_str())).collect()
}

/// A marker that merging adds and that approves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Useless {
    /// Its file, from the repository's top.
    pub path: String,
    /// Why, in one sentence.
    pub reason: String,
    /// What to do.
    pub cure: String,
}

/// The markers among `changes` that approve nothing of `intents`.
#[must_use]
pub fn useless(root: &Root, changes: &[Change], intents: &BTreeMap<ReleaseId, &Intent>) -> Vec<Useless> {
    let added = changes.iter().filter(|change| change.before.is_none() && change.after.is_some());
    let mut found = Vec::new();
    for path in added.map(|change| &change.path) {
        let (reason, cure) = match root.place(path) {
            Place::Marker(marker) => match intents.get(&marker.release) {
                None => (format!("Git has no release {}", marker.release), "remove the file".to_owned()),
                Some(intent) => {
                    let approve = format!("triton approve {}", marker.release);
                    match why(intent, path, &marker.digest) {
                        None => continue,
                        Some(reason) => {
                            (reason, format!("remove the file; where it is still meant: {approve}"))
                        }
                    }
                }
            },
            Place::Malformed { reason, .. } => (reason, "`triton approve` names markers right".to_owned()),
            Place::Repository
            | Place::NestedRoot(_)
            | Place::Release
            | Place::Freeze(_)
            | Place::Removal(_)
            | Place::Other => continue,
        };
        found.push(Useless { path: path.clone(), reason, cure });
    }
    found
}

/// Why the marker at `path` approves nothing; nothing where it counts.
fn why(intent: &Intent, path: &str, digest: &str) -> Option<String> {
    let judged = intent.markers.iter().find(|marker| marker.path == path).map(|marker| &marker.counts);
    match judged {
        Some(Ok(_)) => None,
        _ if digest != intent.release.digest.long() => Some(moved(&intent.release, intent)),
        Some(Err(NotCounted::BeforeSpec)) => {
            Some("it comes with the spec that it approves: approvals come after what they approve".to_owned())
        }
        Some(Err(why)) => Some(why.to_string()),
        // Markers are judged where something is open.
        None => Some(format!("{} is complete already", intent.release.version)),
    }
}

/// That Git has another digest by now, and since which commit.
fn moved(release: &Release, intent: &Intent) -> String {
    let since = intent.episode.as_ref().map(|it| format!(" in {}", it.first.short())).unwrap_or_default();
    let digest = &release.digest.long()[..4];
    format!("Git moved to {} ({digest}…){since}", release.version)
}
