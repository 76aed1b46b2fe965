//! A repository on this machine, read straight from its folder.

use std::path::Path;

use crate::git::budget::Budget;
use crate::git::error::{Error, Result};
use crate::git::object::commit_oid;
use crate::git::pack::Receiver;
use crate::git::repository::Repository;
use crate::model::CommitId;

/// Names of branches that a message lists.
const BRANCHES_SHOWN: usize = 5;

/// Where `branch` of the repository at `path` points.
pub(crate) fn head(path: &Path, branch: &str) -> Result<CommitId> {
    let source = Repository::open(path)?;
    let url = path.display().to_string();
    if source.inner().is_shallow() {
        return Err(Error::Unsupported { url, why: SHALLOW.to_owned() });
    }
    if let Some(head) = source.branch(branch)? {
        return Ok(head);
    }
    let listed = source.inner().branches(Some(git2::BranchType::Local));
    let branches =
        listed.map_err(|source| Error::Object { what: "the list of branches".to_owned(), source })?;
    let names = branches.flatten().filter_map(|(branch, _)| Some(branch.name().ok()??.to_owned()));
    let mut has: Vec<String> = names.take(BRANCHES_SHOWN).collect();
    has.sort();
    Err(missing(url, branch, has))
}

/// What to say of a repository without the branch that is tracked.
pub(crate) fn missing(url: String, branch: &str, has: Vec<String>) -> Error {
    let branch = branch.to_owned();
    if has.is_empty() { Error::Empty { url, branch } } else { Error::BranchMissing { url, branch, has } }
}

/// Why a shallow clone is refused, here and over the network.
pub(crate) const SHALLOW: &str =
    "it is a shallow clone, whose history is cut; unshallow it, or point at the origin";

/// Copies everything that `head` needs and `known` commits do not bring.
pub(crate) fn fetch(
    path: &Path,
    head: CommitId,
    known: &[CommitId],
    mirror: &Repository,
    budget: &mut Budget,
) -> Result<()> {
    let source = Repository::open(path)?;
    let failed = |source| Error::Object { what: format!("the history of commit {head}"), source };
    let mut walk = source.inner().revwalk().map_err(failed)?;
    walk.push(commit_oid(head)).map_err(failed)?;
    for &known in known {
        if source.has(known)? {
            walk.hide(commit_oid(known)).map_err(failed)?;
        }
    }
    let mut builder = source.inner().packbuilder().map_err(failed)?;
    // Not commit by commit: each would bring its whole tree.
    builder.insert_walk(&mut walk).map_err(failed)?;
    budget.left()?;
    let mut receiver = Receiver::new(mirror, budget)?;
    let mut refused = None;
    let mut take = |bytes: &[u8]| {
        budget.receive(bytes.len())?;
        receiver.write(bytes, budget)
    };
    let sent = builder.foreach(|bytes| match take(bytes) {
        Ok(()) => true,
        Err(error) => {
            refused = Some(error);
            false
        }
    });
    if let Some(error) = refused {
        return Err(error);
    }
    sent.map_err(failed)?;
    receiver.finish(budget)
}
