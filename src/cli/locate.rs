//! Finds a release in a clone: in which root it stands, in which files, and what they say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::catalog::{Catalog, Question, Root};
use crate::cli::clone::LocalClone;
use crate::cli::output::Refusal;
use crate::cli::worktree;
use crate::git::Repository;
use crate::model::{CommitId, ReleaseId};
use crate::spec::document::Document;
use crate::spec::keep::Files;
use crate::spec::yaml::FILE_BYTES_MAX;
use crate::spec::{ParsedFile, Place, directory, parse_file};
use crate::world::{Desired, Intent, People, Policy};

/// A clone, and the root in it that is meant.
pub struct Located {
    /// The clone.
    pub clone: LocalClone,
    /// The same, for reading.
    pub repository: Repository,
    /// The root's directory, from the repository's top.
    pub directory: String,
    /// The root.
    pub root: Root,
}

impl Located {
    /// The clone that `folder` lies in, and the root there that has `release` at HEAD; of one root, that one.
    ///
    /// # Errors
    /// Where there is no clone, no root, or no telling which root is meant.
    pub fn find(folder: &Path, release: Option<&ReleaseId>) -> Result<Self> {
        let clone = LocalClone::find(folder)?;
        let repository = Repository::discover(clone.top())?;
        let mut roots = worktree::roots(clone.top(), folder)?;
        // With one root there is nothing to choose; what it lacks is told better by who asks.
        if let Some(id) = release.filter(|_| roots.len() > 1) {
            let head = clone.head()?;
            let mut having = Vec::new();
            for root in roots {
                if !Committed::read(&repository, &Root::new(&root), head)?.files_of(id).is_empty() {
                    having.push(root);
                }
            }
            roots = having;
        }
        let name = release.map_or_else(String::new, |id| format!(" has {id}"));
        match (roots.pop(), roots.is_empty()) {
            (Some(directory), true) => {
                let root = Root::new(&directory);
                Ok(Self { clone, repository, directory, root })
            }
            (Some(_), false) => Err(Refusal::new(format!("more than one root{name}"))
                .hint("name the one that is meant with -C DIR")
                .into()),
            (None, _) => Err(Refusal::new(format!("no root at HEAD of {}{name}", clone.top().display()))
                .hint("what is not committed is not seen here")
                .into()),
        }
    }

    /// What HEAD says of the release `id`, and which of its approvals count, as the daemon would read it.
    ///
    /// # Errors
    /// Where HEAD has no such release, its files have mistakes, or Git cannot be read.
    pub fn intent(&self, head: CommitId, id: &ReleaseId) -> Result<Arc<Intent>> {
        // The daemon's configuration is not here: authors are believed, as it does wherever it tells people apart.
        let people = Some(People::CommitAuthors);
        let policy = Arc::new(Policy { path: self.directory.clone(), people, ..Policy::default() });
        let known = BTreeMap::new();
        let question =
            Question { repository: &self.repository, head, seen: None, known: &known, policy: &policy };
        let mut reading = Catalog::new(&self.directory).read(&question)?;
        match reading.desired.remove(id) {
            Some(Desired::Release(intent)) => Ok(intent),
            Some(Desired::Broken(mistakes)) => {
                let first = mistakes.first().map_or_else(String::new, |first| format!(": {first}"));
                Err(Refusal::new(format!("the files of {id} have mistakes at HEAD{first}"))
                    .hint("`triton check` says how to mend them")
                    .into())
            }
            Some(Desired::Gone(_) | Desired::Unknown) | None => {
                Err(Refusal::new(format!("HEAD has no release {id}"))
                    .hint("what is not committed is not seen here; `git pull` brings what others have")
                    .into())
            }
        }
    }

    /// The files of the release `id` as they stand at `commit`.
    ///
    /// # Errors
    /// Where Git cannot be read, or a file is no text.
    pub fn files_at(&self, commit: CommitId, id: &ReleaseId) -> Result<Files> {
        let tree = self.repository.commit(commit)?.tree;
        let mut files = Files::new();
        for path in self.at(commit)?.files_of(id) {
            let Some(entry) = self.repository.entry(tree, &path)? else { continue };
            let bytes =
                self.repository.blob(entry.id, FILE_BYTES_MAX as u64).with_context(|| path.clone())?;
            let text = String::from_utf8(bytes).map_err(|_| Refusal::new(format!("{path} is no text")))?;
            files.insert(path, text);
        }
        Ok(files)
    }

    /// The root as it stands at `commit`.
    ///
    /// # Errors
    /// Where Git cannot be read.
    pub fn at(&self, commit: CommitId) -> Result<Committed> {
        Committed::read(&self.repository, &self.root, commit)
    }
}

/// The files of a root's `releases/` at one commit.
pub struct Committed {
    files: BTreeMap<String, Arc<ParsedFile>>,
}

impl Committed {
    fn read(repository: &Repository, root: &Root, commit: CommitId) -> Result<Self> {
        let tree = repository.commit(commit)?.tree;
        let entries = repository.list(tree, &[&root.releases(), &root.settings()])?;
        let files = entries.into_iter().filter(|entry| entry.kind.is_file());
        let placed: Vec<_> = files.map(|entry| (root.place(&entry.name), entry)).collect();
        let nested = |path: &str| {
            let holds = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            placed.iter().any(|(place, _)| matches!(place, Place::NestedRoot(folder) if holds(folder)))
        };
        let mut out = Self { files: BTreeMap::new() };
        for (place, entry) in placed.iter().filter(|(_, entry)| !nested(&entry.name)) {
            let bytes =
                || repository.blob(entry.id, FILE_BYTES_MAX as u64).with_context(|| entry.name.clone());
            match place {
                Place::Release => {
                    drop(out.files.insert(entry.name.clone(), Arc::new(parse_file(&bytes()?))));
                }
                Place::Repository
                | Place::NestedRoot(_)
                | Place::Freeze(_)
                | Place::Marker(_)
                | Place::Removal(_)
                | Place::Malformed { .. }
                | Place::Other => {}
            }
        }
        Ok(out)
    }

    /// The files that `id` is made of, from the repository's top: its Release's own, and those without a Release in
    /// the same directory where it is the only one.
    #[must_use]
    pub fn files_of(&self, id: &ReleaseId) -> Vec<String> {
        let mut folders: BTreeMap<&str, Vec<(&String, &ParsedFile)>> = BTreeMap::new();
        for (path, file) in &self.files {
            folders.entry(directory(path)).or_default().push((path, file));
        }
        let mut found = Vec::new();
        for files in folders.values() {
            let is_own = |file: &ParsedFile| heads(file).any(|head| head == Some(id));
            let only = files.iter().filter(|(_, file)| heads(file).next().is_some()).count() == 1;
            let own = files.iter().any(|(_, file)| is_own(file));
            let all = files.iter().filter(|(_, file)| is_own(file) || (own && only));
            found.extend(all.map(|(path, _)| (*path).clone()));
        }
        found
    }
}

/// The Releases in a file, each with its name where it has one.
fn heads(file: &ParsedFile) -> impl Iterator<Item = Option<&ReleaseId>> {
    file.documents.iter().filter_map(|document| match document {
        Document::Head(head) => Some(head.id.as_ref()),
        Document::CloneSet(_) | Document::Companion(_) | Document::Other(..) => None,
    })
}
