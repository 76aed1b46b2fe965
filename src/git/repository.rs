//! Reading a repository: commits, trees, blobs, without a work tree.

use std::path::Path;

use crate::git::error::{Error, Result};
use crate::git::object::{Commit, Entry, Kind, ObjectId, commit_id, commit_oid};
use crate::git::settings;
use crate::model::CommitId;

/// Largest tree object, in bytes. One folder of 100,000 files with names of 40 bytes has 6.7 MiB.
const TREE_MAX: usize = 16 << 20;
/// Largest commit object, in bytes. A message longer than this is no message.
const COMMIT_MAX: usize = 1 << 20;

/// A repository that is read and never written.
pub struct Repository {
    inner: git2::Repository,
}

impl Repository {
    /// Opens the repository at `path`, bare or not; does not look in the folders above.
    pub fn open(path: &Path) -> Result<Self> {
        settings::isolate();
        let no_ceiling: [&Path; 0] = [];
        let flags = git2::RepositoryOpenFlags::NO_SEARCH;
        git2::Repository::open_ext(path, flags, no_ceiling)
            .map(|inner| Self { inner })
            .map_err(|source| Error::NoRepository { path: path.to_owned(), source })
    }

    /// Opens the repository that `path` lies in: its own folder or one above.
    pub fn discover(path: &Path) -> Result<Self> {
        settings::isolate();
        git2::Repository::discover(path)
            .map(|inner| Self { inner })
            .map_err(|source| Error::NoRepository { path: path.to_owned(), source })
    }

    pub(crate) fn inner(&self) -> &git2::Repository {
        &self.inner
    }

    /// The folder that people edit, unless the repository is bare.
    #[must_use]
    pub fn work_folder(&self) -> Option<&Path> {
        self.inner.workdir()
    }

    /// Where a local branch points, if there is one.
    pub fn branch(&self, branch: &str) -> Result<Option<CommitId>> {
        let name = format!("refs/heads/{branch}");
        let reference = match self.inner.find_reference(&name) {
            Ok(reference) => reference,
            Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(None),
            Err(source) => return Err(Error::Object { what: name, source }),
        };
        match reference.resolve().map(|reference| reference.target()) {
            Ok(Some(target)) => {
                self.find_commit(commit_id(target)).map(|commit| Some(commit_id(commit.id())))
            }
            Ok(None) => {
                Err(Error::Object { what: name, source: git2::Error::from_str("it names no object") })
            }
            Err(source) => Err(Error::Object { what: name, source }),
        }
    }

    /// The commit that a person means by `name`: a branch, a tag, `HEAD~2`, an id.
    pub fn resolve(&self, name: &str) -> Result<CommitId> {
        let unknown = |_| Error::UnknownName { name: name.to_owned() };
        let object = self.inner.revparse_single(name).map_err(unknown)?;
        Ok(commit_id(object.peel_to_commit().map_err(unknown)?.id()))
    }

    /// Whether the commit is here.
    pub fn has(&self, id: CommitId) -> Result<bool> {
        let odb = self.inner.odb().map_err(|source| unreadable("the object store", source))?;
        Ok(odb.exists(commit_oid(id)))
    }

    pub(crate) fn find_commit(&self, id: CommitId) -> Result<git2::Commit<'_>> {
        let what = || format!("commit {id}");
        let size = match self.size(commit_oid(id), what) {
            Err(Error::Object { source, .. }) if source.code() == git2::ErrorCode::NotFound => {
                return Err(Error::UnknownCommit { id });
            }
            size => size?,
        };
        if size > COMMIT_MAX {
            return Err(Error::TreeTooLarge { why: format!("commit {id} has {size} bytes") });
        }
        self.inner.find_commit(commit_oid(id)).map_err(|source| Error::Object { what: what(), source })
    }

    pub(crate) fn find_tree(&self, id: ObjectId) -> Result<git2::Tree<'_>> {
        let what = || format!("tree {id}");
        let size = self.size(id.oid(), what)?;
        if size > TREE_MAX {
            return Err(Error::TreeTooLarge { why: format!("one folder has {size} bytes of names") });
        }
        self.inner.find_tree(id.oid()).map_err(|source| Error::Object { what: what(), source })
    }

    fn size(&self, oid: git2::Oid, what: impl Fn() -> String) -> Result<usize> {
        let odb = self.inner.odb().map_err(|source| unreadable("the object store", source))?;
        let header = odb.read_header(oid).map_err(|source| Error::Object { what: what(), source })?;
        Ok(header.0)
    }

    /// A commit.
    pub fn commit(&self, id: CommitId) -> Result<Commit> {
        Ok(Commit::of(&self.find_commit(id)?))
    }

    /// A folder's entries, in Git's order.
    pub fn tree(&self, id: ObjectId) -> Result<Vec<Entry>> {
        Ok(self.find_tree(id)?.iter().map(|entry| Entry::of(&entry)).collect())
    }

    /// What stands at `path` below `tree`, if anything. Symbolic links on the way are not followed.
    pub fn entry(&self, tree: ObjectId, path: &str) -> Result<Option<Entry>> {
        let mut tree = self.find_tree(tree)?;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            let found = tree.get_name_bytes(name.as_bytes()).map(|entry| Entry::of(&entry));
            let Some(entry) = found else { return Ok(None) };
            if names.peek().is_none() {
                return Ok(Some(entry));
            }
            if entry.kind != Kind::Directory {
                return Ok(None);
            }
            tree = self.find_tree(entry.id)?;
        }
        Ok(None)
    }

    /// A file's bytes; more than `limit` of them are an error, found before they are read.
    pub fn blob(&self, id: ObjectId, limit: u64) -> Result<Vec<u8>> {
        let what = || format!("blob {id}");
        let size = self.size(id.oid(), what)? as u64;
        if size > limit {
            return Err(Error::BlobTooLarge { size, limit });
        }
        let blob = self.inner.find_blob(id.oid()).map_err(|source| Error::Object { what: what(), source })?;
        Ok(blob.content().to_vec())
    }
}

fn unreadable(what: &str, source: git2::Error) -> Error {
    Error::Object { what: what.to_owned(), source }
}
