//! Finds a release in a clone: in which root it stands, in which files, and what Git says of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::clone::LocalClone;
use crate::cli::output::Refusal;
use crate::cli::worktree::{self, Root};
use crate::git::Repository;
use crate::model::{CommitId, ReleaseId};
use crate::spec::document::Document;
use crate::spec::yaml::FILE_BYTES_MAX;
use crate::spec::{ParsedFile, Place, directory, parse_file};

/// A clone, and the root in it that is meant.
pub struct Located {
    /// The clone.
    pub clone: LocalClone,
    /// The same, for reading.
    pub repository: Repository,
    /// The root.
    pub root: Root,
}

impl Located {
    /// The clone that `folder` lies in, and the root there that has `release` at HEAD; without one, the only root.
    ///
    /// # Errors
    /// Where there is no clone, no root, or no telling which root is meant.
    pub fn find(folder: &Path, release: Option<&ReleaseId>) -> Result<Self> {
        let clone = LocalClone::find(folder)?;
        let repository = Repository::discover(clone.top())?;
        let head = clone.head()?;
        let mut roots = worktree::roots(clone.top(), folder)?;
        // With one root there is nothing to choose; what it lacks is told better by who asks.
        if let Some(id) = release.filter(|_| roots.len() > 1) {
            let mut having = Vec::new();
            for root in roots {
                if !files_at(&repository, &root, head, id)?.is_empty() {
                    having.push(root);
                }
            }
            roots = having;
        }
        let name = release.map_or_else(String::new, |id| format!(" has {id}"));
        match (roots.pop(), roots.is_empty()) {
            (Some(root), true) => Ok(Self { clone, repository, root }),
            (Some(_), false) => Err(Refusal::new(format!("more than one root{name}"))
                .hint("name the one that is meant with -C DIR")
                .into()),
            (None, _) => Err(Refusal::new(format!("no root at HEAD of {}{name}", clone.top().display()))
                .hint("`triton check` reads the work tree; what is not committed is not seen here")
                .into()),
        }
    }
}

/// The files that `release` is made of at `commit`, from the repository's top: its Release's own, and those without
/// a Release in the same directory where it is the only one.
///
/// # Errors
/// Where Git cannot be read.
pub fn files_at(
    repository: &Repository,
    root: &Root,
    commit: CommitId,
    release: &ReleaseId,
) -> Result<Vec<String>> {
    let tree = repository.commit(commit)?.tree;
    let mut folders: BTreeMap<String, Vec<(String, ParsedFile)>> = BTreeMap::new();
    for entry in repository.list(tree, &[&root.path("releases")])? {
        if root.place(&entry.name) == Place::Release && entry.kind.is_file() {
            let bytes =
                repository.blob(entry.id, FILE_BYTES_MAX as u64).with_context(|| entry.name.clone())?;
            let folder = directory(&entry.name).to_owned();
            folders.entry(folder).or_default().push((entry.name, parse_file(&bytes)));
        }
    }
    let mut found = Vec::new();
    for files in folders.values() {
        let own = files.iter().filter(|(_, file)| heads(file).any(|id| id == release));
        let own: Vec<String> = own.map(|(path, _)| path.clone()).collect();
        let only = files.iter().filter(|(_, file)| has_head(file)).count() == 1;
        if only && !own.is_empty() {
            found.extend(files.iter().map(|(path, _)| path.clone()));
        } else {
            found.extend(own);
        }
    }
    Ok(found)
}

fn heads(file: &ParsedFile) -> impl Iterator<Item = &ReleaseId> {
    file.documents.iter().filter_map(|document| match document {
        Document::Head(head) => head.id.as_ref(),
        Document::CloneSet(_) | Document::Companion(_) | Document::Other(..) => None,
    })
}

fn has_head(file: &ParsedFile) -> bool {
    file.documents.iter().any(|document| matches!(document, Document::Head(_)))
}
