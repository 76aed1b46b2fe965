//! A root: the directory that the daemon serves, and where in it everything stands.

use crate::model::{CommitId, Digest, ReleaseId};
use crate::spec::{self, Permission, Place};

/// Hexadecimal digits that name a root.
const NAME_DIGITS: usize = 8;

/// A root, by its directory from the repository's top; empty for the top itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    dir: String,
}

impl Root {
    /// The root in the directory `dir`, given from the repository's top.
    #[must_use]
    pub fn new(dir: &str) -> Self {
        let parts = dir.split('/').filter(|part| !matches!(*part, "" | "."));
        Self { dir: parts.collect::<Vec<_>>().join("/") }
    }

    /// Its directory from the repository's top: no slash at either end, empty for the top.
    #[must_use]
    pub fn dir(&self) -> &str {
        &self.dir
    }

    /// The name of this root on `branch`: on its lease, and on everything that belongs to it.
    #[must_use]
    pub fn name(&self, branch: &str) -> String {
        let mut name = Digest::of(format!("{branch}\n{}", self.dir).as_bytes()).to_string();
        name.truncate(NAME_DIGITS);
        name
    }

    /// A path in the root, from the repository's top.
    fn path(&self, below: &str) -> String {
        if self.dir.is_empty() { below.to_owned() } else { format!("{}/{below}", self.dir) }
    }

    /// Path of its `triton.yaml`.
    #[must_use]
    pub fn settings(&self) -> String {
        self.path("triton.yaml")
    }

    /// Folder of its releases.
    #[must_use]
    pub fn releases(&self) -> String {
        self.path("releases")
    }

    /// Folder of its markers.
    #[must_use]
    pub fn approvals(&self) -> String {
        self.path("approvals")
    }

    /// Folder of the markers of `release`.
    #[must_use]
    pub fn approvals_of(&self, release: &ReleaseId) -> String {
        self.path(&spec::markers_of(release))
    }

    /// Path of a marker of `release`, told from others that permit the same by `word`.
    #[must_use]
    pub fn marker(&self, release: &ReleaseId, digest: &Digest, permits: Permission, word: &str) -> String {
        self.path(&spec::marker_of(release, digest, permits, word))
    }

    /// The release that a file below [`Root::approvals`] is for, by its place.
    #[must_use]
    pub fn release_of(&self, path: &str) -> Option<ReleaseId> {
        let mut names = path.strip_prefix(&self.approvals())?.strip_prefix('/')?.split('/');
        let (namespace, name) = (names.next()?.parse().ok()?, names.next()?.parse().ok()?);
        Some(ReleaseId { namespace, name })
    }

    /// Path of the marker that lets the removal of a commit go on.
    #[must_use]
    pub fn removal(&self, commit: CommitId) -> String {
        self.path(&spec::removal_of(commit))
    }

    /// What `path` is to the root.
    #[must_use]
    pub fn place(&self, path: &str) -> Place {
        spec::place(&self.dir, path)
    }
}

/// Whether `path` lies in `directory` or below it.
#[must_use]
pub fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// The directory of the file `path` and every one above, up to the repository's top.
pub fn directories(path: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(spec::directory(path));
    std::iter::from_fn(move || {
        let here = next?;
        next = (!here.is_empty()).then(|| spec::directory(here));
        Some(here)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_written_in_many_ways() {
        for dir in ["env/prod", "/env/./prod/", "./env//prod"] {
            assert_eq!(Root::new(dir).settings(), "env/prod/triton.yaml", "{dir}");
        }
        for dir in ["", ".", "/", "./"] {
            assert_eq!(Root::new(dir).releases(), "releases", "{dir}");
        }
    }

    #[test]
    fn directories_go_up_to_the_top() {
        let found: Vec<_> = directories("env/prod/releases/a.yaml").collect();
        assert_eq!(found, ["env/prod/releases", "env/prod", "env", ""]);
        assert_eq!(directories("a.yaml").collect::<Vec<_>>(), [""]);
    }
}
