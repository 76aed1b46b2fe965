//! What a repository is made of: ids, commits, entries of trees.

use std::fmt;

use jiff::Timestamp;

use crate::model::CommitId;

/// Id of a tree or a blob. Equal ids have equal content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId([u8; 20]);

impl ObjectId {
    pub(crate) fn from_oid(oid: git2::Oid) -> Self {
        Self(raw(oid))
    }

    pub(crate) fn oid(self) -> git2::Oid {
        git2::Oid::from_bytes(&self.0).expect("twenty bytes are an id")
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

fn raw(oid: git2::Oid) -> [u8; 20] {
    oid.as_bytes().try_into().expect("repositories with another hash function are refused when opened")
}

/// The id of a commit, from libgit2's.
pub(crate) fn commit_id(oid: git2::Oid) -> CommitId {
    CommitId::from_bytes(raw(oid))
}

/// libgit2's id of a commit.
pub(crate) fn commit_oid(id: CommitId) -> git2::Oid {
    git2::Oid::from_bytes(id.as_bytes()).expect("twenty bytes are an id")
}

/// What a tree's entry is. Only the first three are ever opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A regular file with the executable bit.
    Executable,
    /// A folder.
    Directory,
    /// A symbolic link: reported, never followed.
    Symlink,
    /// A submodule: reported, never fetched.
    Submodule,
    /// A mode that Git does not write, or a name that is not UTF-8.
    Odd,
    /// A folder within so many others that it is not opened. Only comparisons find it.
    Deep,
}

impl Kind {
    pub(crate) fn of(mode: i32, name: &[u8]) -> Self {
        if std::str::from_utf8(name).is_err() {
            return Self::Odd;
        }
        match mode {
            // 100664 was written by early versions of Git.
            0o100_644 | 0o100_664 => Self::File,
            0o100_755 => Self::Executable,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o160_000 => Self::Submodule,
            _ => Self::Odd,
        }
    }

    /// Whether it has content that we read.
    #[must_use]
    pub const fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Executable)
    }
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in its folder; bytes that are not UTF-8 are replaced, and the kind is [`Kind::Odd`].
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its content.
    pub id: ObjectId,
}

impl Entry {
    pub(crate) fn of(entry: &git2::TreeEntry<'_>) -> Self {
        Self {
            name: String::from_utf8_lossy(entry.name_bytes()).into_owned(),
            kind: Kind::of(entry.filemode_raw(), entry.name_bytes()),
            id: ObjectId::from_oid(entry.id()),
        }
    }
}

/// Who wrote or made a commit, as the commit says; nothing proves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The mail address, without its brackets.
    pub email: String,
}

impl Person {
    fn of(signature: &git2::Signature<'_>) -> Self {
        Self {
            name: String::from_utf8_lossy(signature.name_bytes()).into_owned(),
            email: String::from_utf8_lossy(signature.email_bytes()).into_owned(),
        }
    }
}

/// A commit, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents, the first first.
    pub parents: Vec<CommitId>,
    /// Who wrote it.
    pub author: Person,
    /// Who made it.
    pub committer: Person,
    /// When it was made, by the committer's clock. For display only; never to order by.
    pub time: Timestamp,
    /// The first line of its message.
    pub summary: String,
}

impl Commit {
    pub(crate) fn of(commit: &git2::Commit<'_>) -> Self {
        let summary = commit.message_bytes().split(|&byte| byte == b'\n').find(|line| !line.is_empty());
        Self {
            id: commit_id(commit.id()),
            tree: ObjectId::from_oid(commit.tree_id()),
            parents: commit.parent_ids().map(commit_id).collect(),
            author: Person::of(&commit.author()),
            committer: Person::of(&commit.committer()),
            time: Timestamp::from_second(commit.time().seconds()).unwrap_or(Timestamp::UNIX_EPOCH),
            summary: String::from_utf8_lossy(summary.unwrap_or_default()).into_owned(),
        }
    }
}
