//! Commits that nobody made: what a branch would be once something is merged, or committed.
//!
//! **Invariant:** nothing of it is written to disk: what is drafted lives in memory as long as the repository is open.

use crate::git::error::{Error, Result};
use crate::git::object::commit_id;
use crate::git::repository::Repository;
use crate::model::CommitId;

/// Before every other store of objects, so that new ones go there.
const FIRST: i32 = 1000;

/// What a merge would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// This commit, whose first parent is the branch that is merged into.
    Commit(CommitId),
    /// Nothing: these paths are in conflict.
    Conflicts(Vec<String>),
}

impl Repository {
    /// From now on, new objects are kept in memory.
    pub fn draft_in_memory(&self) -> Result<()> {
        let odb = self.inner().odb().map_err(failed)?;
        // The store belongs to the repository; what is dropped here is only the way to its raw bytes.
        odb.add_new_mempack_backend(FIRST).map(drop).map_err(failed)
    }

    /// What merging `theirs` into `ours` would be: one commit in any case, as a merge or a squash would show it on
    /// the line of `ours`, with the author of `theirs`. Call [`Repository::draft_in_memory`] first.
    pub fn draft_merge(&self, ours: CommitId, theirs: CommitId) -> Result<Merged> {
        let (ours, theirs) = (self.find_commit(ours)?, self.find_commit(theirs)?);
        let mut index = self.inner().merge_commits(&ours, &theirs, None).map_err(failed)?;
        if index.has_conflicts() {
            let path = |it: git2::IndexConflict| {
                let entry = it.our.or(it.their).or(it.ancestor)?;
                Some(String::from_utf8_lossy(&entry.path).into_owned())
            };
            let conflicts = index.conflicts().map_err(failed)?.flatten();
            return Ok(Merged::Conflicts(conflicts.filter_map(path).collect()));
        }
        let tree = index.write_tree_to(self.inner()).map_err(failed)?;
        let tree = self.inner().find_tree(tree).map_err(failed)?;
        let who = theirs.author();
        let message = theirs.message().unwrap_or_default();
        let made =
            self.inner().commit(None, &who, &who, message, &tree, &[&ours, &theirs]).map_err(failed)?;
        Ok(Merged::Commit(commit_id(made)))
    }

    /// `parent` with `files` as they are here (`None`: gone), by the author of `parent`. Call
    /// [`Repository::draft_in_memory`] first.
    pub fn draft_commit(&self, parent: CommitId, files: &[(String, Option<Vec<u8>>)]) -> Result<CommitId> {
        let before = self.find_commit(parent)?;
        let tree = before.tree().map_err(failed)?;
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, content) in files {
            match content {
                Some(bytes) => {
                    let blob = self.inner().blob(bytes).map_err(failed)?;
                    update.upsert(path.as_str(), blob, git2::FileMode::Blob);
                }
                // What is not in the tree cannot be taken out of it.
                None if tree.get_path(std::path::Path::new(path)).is_ok() => {
                    update.remove(path.as_str());
                }
                None => {}
            }
        }
        let changed = update.create_updated(self.inner(), &tree).map_err(failed)?;
        let changed = self.inner().find_tree(changed).map_err(failed)?;
        let who = before.author();
        let message = "What is not committed yet";
        let made = self.inner().commit(None, &who, &who, message, &changed, &[&before]).map_err(failed)?;
        Ok(commit_id(made))
    }
}

fn failed(source: git2::Error) -> Error {
    Error::Object { what: "a draft in memory".to_owned(), source }
}
