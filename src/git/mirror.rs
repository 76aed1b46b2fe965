//! The mirror: a bare repository in the state directory that follows one branch.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::git::budget::Budget;
use crate::git::error::{Error, Result};
use crate::git::http;
use crate::git::local;
use crate::git::object::{Kind, ObjectId, commit_oid};
use crate::git::pack::Receiver;
use crate::git::remote::{Address, Limits, Remote};
use crate::git::repository::Repository;
use crate::git::settings;
use crate::git::ssh;
use crate::git::wire::Advertisement;
use crate::model::CommitId;

/// The one branch of the mirror. It does not carry the tracked branch's name, so that another one may be followed
/// later without names in each other's way.
const BRANCH: &str = "mirror";
/// Packs after which the mirror is fetched anew. Each fetch adds one, and reading asks each; at twenty pushes a day
/// that is once in ten days.
const PACKS_MAX: usize = 200;

/// Commits that a fetch says it has. A rewrite of fewer commits than this is fetched without what came before.
const ANCESTRY: usize = 64;

/// A repository that has said where its branch is.
enum Conversation {
    Local(PathBuf, CommitId),
    Http(http::Session, Advertisement),
    Ssh(ssh::Session, Advertisement),
}

impl Conversation {
    fn head(&self) -> CommitId {
        match self {
            Self::Local(_, head) => *head,
            Self::Http(_, advertisement) | Self::Ssh(_, advertisement) => advertisement.head,
        }
    }

    /// Ends it politely, without a fetch.
    fn close(self) {
        match self {
            Self::Local(..) | Self::Http(..) => {}
            Self::Ssh(session, _) => session.close(),
        }
    }
}

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// The branch is where it was; no file of the mirror was touched.
    Unchanged(CommitId),
    /// The branch moved, and the mirror has all of its new head.
    Changed(CommitId),
}

impl Poll {
    /// Where the branch is.
    #[must_use]
    pub const fn head(self) -> CommitId {
        match self {
            Self::Unchanged(head) | Self::Changed(head) => head,
        }
    }
}

/// A bare mirror of one branch, with its whole history, without tags. A cache: what is damaged is fetched anew, into
/// a folder with the next number, so that nothing of the old one is in the way.
pub struct Mirror {
    dir: PathBuf,
    number: u32,
    repository: Repository,
    remote: Remote,
    limits: Limits,
    cancel: Arc<AtomicBool>,
    /// Kept for its open connections.
    server: Option<http::Server>,
    /// The system gives it back when the process ends, however it ends.
    lock: File,
}

impl Drop for Mirror {
    /// Gives the lock back, also where a child that was just forked still holds a copy of the file.
    fn drop(&mut self) {
        // Closing the file does the same a moment later.
        let _ = self.lock.unlock();
    }
}

impl Mirror {
    /// Opens the mirror in the state directory `dir`, or begins one.
    pub fn open(dir: &Path, remote: Remote, limits: Limits) -> Result<Self> {
        settings::isolate();
        fs::create_dir_all(dir).map_err(|source| state(dir, source))?;
        let lock = lock(dir)?;
        let last = numbers(dir)?.into_iter().max().unwrap_or(0);
        let (number, repository) = match reopen(&folder(dir, last)) {
            Some(repository) => (last, repository),
            None => (last + 1, begin(&folder(dir, last + 1))?),
        };
        tidy(dir, number)?;
        let cancel = Arc::default();
        Ok(Self { dir: dir.to_owned(), number, repository, remote, limits, cancel, server: None, lock })
    }

    /// What can be read.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The repository that is mirrored.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// A flag that ends a poll soon after it is set.
    #[must_use]
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancel)
    }

    /// Where the branch was at the last successful poll, of this process or an earlier one.
    pub fn head(&self) -> Result<Option<CommitId>> {
        self.repository.branch(BRANCH)
    }

    /// Throws the mirror away; the next poll fetches everything. For when reading it failed.
    pub fn discard(&mut self) -> Result<()> {
        let repository = begin(&folder(&self.dir, self.number + 1))?;
        self.replace(repository)
    }

    /// Goes on with the mirror that has the next number.
    fn replace(&mut self, repository: Repository) -> Result<()> {
        self.number += 1;
        self.repository = repository;
        tidy(&self.dir, self.number)
    }

    /// Asks where the branch is and fetches it if it moved. Whether the new head descends from the last one seen is
    /// the caller's question.
    pub fn poll(&mut self) -> Result<Poll> {
        let mut budget = Budget::new(self.remote.to_string(), self.limits, Arc::clone(&self.cancel));
        let conversation = self.converse(&mut budget)?;
        let head = conversation.head();
        if self.head()? == Some(head) {
            conversation.close();
            return Ok(Poll::Unchanged(head));
        }
        if packs(&folder(&self.dir, self.number))? >= PACKS_MAX {
            let fresh = begin(&folder(&self.dir, self.number + 1))?;
            self.bring(&fresh, conversation, &mut budget)?;
            self.replace(fresh)?;
        } else {
            self.bring(&self.repository, conversation, &mut budget)?;
        }
        Ok(Poll::Changed(head))
    }

    /// Brings all of the branch's head into `mirror` and notes it there.
    fn bring(&self, mirror: &Repository, from: Conversation, budget: &mut Budget) -> Result<()> {
        let head = from.head();
        let known = mirror.branch(BRANCH)?;
        match check_whole(mirror, head, known) {
            // A rewound branch points at what is here already.
            Ok(()) => from.close(),
            Err(error @ Error::Object { .. }) if !error.is_transient() => {
                // All of it is here, and another fetch would bring the same.
                from.close();
                return Err(error);
            }
            Err(_) => {
                fetch(mirror, from, known, budget)?;
                check_whole(mirror, head, known)?;
            }
        }
        let noted = mirror.inner().reference(&format!("refs/heads/{BRANCH}"), commit_oid(head), true, "poll");
        noted.map(|_| ()).map_err(|source| Error::Mirror { path: self.dir.clone(), source })
    }

    /// Asks where the branch is.
    fn converse(&mut self, budget: &mut Budget) -> Result<Conversation> {
        match &self.remote.address {
            Address::Local(path) => {
                Ok(Conversation::Local(path.clone(), local::head(path, self.remote.branch())?))
            }
            Address::Http { .. } => {
                let server = http::Server::of(&self.remote, self.server.take())?;
                let opened = server.open(&self.remote, budget);
                self.server = Some(server);
                opened.map(|(session, advertisement)| Conversation::Http(session, advertisement))
            }
            Address::Ssh { .. } => {
                let (session, advertisement) = ssh::Session::open(&self.remote, budget)?;
                Ok(Conversation::Ssh(session, advertisement))
            }
        }
    }
}

fn fetch(
    mirror: &Repository,
    from: Conversation,
    known: Option<CommitId>,
    budget: &mut Budget,
) -> Result<()> {
    // When the head is here but something of it is not, what we have is no base to build on.
    let known = if mirror.has(from.head())? { None } else { known };
    let known = known.map(|known| ancestry(mirror, known)).transpose()?.unwrap_or_default();
    match from {
        Conversation::Local(path, head) => local::fetch(&path, head, &known, mirror, budget),
        Conversation::Http(session, advertisement) => {
            session.fetch(&advertisement, &known, Receiver::new(mirror, budget)?, budget)
        }
        Conversation::Ssh(mut session, advertisement) => {
            session.fetch(&advertisement, &known, Receiver::new(mirror, budget)?, budget)
        }
    }
}

/// `known` and some commits before it: after a rewrite the server may know only those.
fn ancestry(mirror: &Repository, known: CommitId) -> Result<Vec<CommitId>> {
    let line = mirror.line(known, &[])?;
    line.take(ANCESTRY).map(|commit| commit.map(|commit| commit.id)).collect()
}

/// The room's invariant: every commit from `known` to `head`, and all of the head's tree.
fn check_whole(mirror: &Repository, head: CommitId, known: Option<CommitId>) -> Result<()> {
    let failed = |source| Error::Object { what: format!("the history of commit {head}"), source };
    let known_tree = known.map(|id| mirror.commit(id)).transpose()?.map(|commit| commit.tree);
    let tree = mirror.commit(head)?.tree;
    let mut walk = mirror.inner().revwalk().map_err(failed)?;
    walk.push(commit_oid(head)).map_err(failed)?;
    if let Some(known) = known {
        walk.hide(commit_oid(known)).map_err(failed)?;
    }
    walk.try_for_each(|oid| oid.map(|_| ())).map_err(failed)?;
    check_tree(mirror, known_tree, tree)
}

/// Every blob of `tree` that `known` has not, is here.
fn check_tree(repository: &Repository, known: Option<ObjectId>, tree: ObjectId) -> Result<()> {
    let store = |source| Error::Object { what: "the object store".to_owned(), source };
    let odb = repository.inner().odb().map_err(store)?;
    // However many files stand beside the releases: other tools may live in the same repository.
    repository.each_change(known, Some(tree), &[""], &mut |change| match change
        .after
        .filter(|entry| entry.kind != Kind::Submodule)
    {
        Some(entry) if !odb.exists(entry.id.oid()) => {
            let source = git2::Error::from_str("it was not sent");
            Err(Error::Object { what: format!("`{}`", change.path), source })
        }
        Some(_) | None => Ok(()),
    })
}

/// The mirror of an earlier run, if it can be used.
fn reopen(path: &Path) -> Option<Repository> {
    let repository = Repository::open(path).ok()?;
    if let Some(head) = repository.branch(BRANCH).ok()? {
        let tree = repository.commit(head).ok()?.tree;
        check_tree(&repository, None, tree).ok()?;
    }
    sweep(path).ok()?;
    Some(repository)
}

/// An empty mirror in the place of whatever is there.
fn begin(path: &Path) -> Result<Repository> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(state(path, error)),
        _ => {}
    }
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).external_template(false).initial_head(BRANCH);
    git2::Repository::init_opts(path, &options)
        .map_err(|source| Error::Mirror { path: path.to_owned(), source })?;
    Repository::open(path)
}

/// Removes what a poll that was killed has left: half a pack, and libgit2's locks (`filebuf.c`), which nobody else would
/// take away and no later poll gets past. The mirror is ours alone, see [`lock`].
fn sweep(mirror: &Path) -> io::Result<()> {
    for folder in ["", "refs/heads", "objects/pack"] {
        for file in fs::read_dir(mirror.join(folder))? {
            let file = file?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("pack_git2_") || name.ends_with(".lock") {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

/// The mirror with this number.
fn folder(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("mirror-{number}.git"))
}

/// Numbers of the mirrors in the state directory: more than one where a process was ended while it replaced one.
fn numbers(dir: &Path) -> Result<Vec<u32>> {
    let files = fs::read_dir(dir).map_err(|source| state(dir, source))?;
    let number = |file: fs::DirEntry| {
        let name = file.file_name();
        name.to_str()?.strip_prefix("mirror-")?.strip_suffix(".git")?.parse().ok()
    };
    Ok(files.flatten().filter_map(number).collect())
}

/// Removes every mirror but this one.
fn tidy(dir: &Path, kept: u32) -> Result<()> {
    for number in numbers(dir)?.into_iter().filter(|&number| number != kept) {
        let path = folder(dir, number);
        fs::remove_dir_all(&path).map_err(|source| state(&path, source))?;
    }
    Ok(())
}

fn packs(mirror: &Path) -> Result<usize> {
    let folder = mirror.join("objects/pack");
    let files = fs::read_dir(&folder).map_err(|source| state(&folder, source))?;
    Ok(files.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "pack")).count())
}

/// One daemon per state directory.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(|source| state(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(state(&path, source)),
    }
}

fn state(path: &Path, source: io::Error) -> Error {
    Error::State { path: path.to_owned(), source }
}
