//! The freezes of one head: which of them count for a file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::root::directories;
use crate::catalog::snapshot::content;
use crate::git::{ObjectId, Repository, error::Result};
use crate::spec::{Diagnostic, read_freeze};
use crate::world::Freeze;

/// Names of a file that freezes its directory and those below.
pub const NAMES: [&str; 2] = ["freeze.yaml", "freeze.yml"];

/// One place where a freeze may stand, and what it says.
type Read = (Option<Arc<Freeze>>, Vec<Diagnostic>);

/// The freezes of one head, each read once, by directory.
#[derive(Clone, Debug, Default)]
pub struct Freezes(BTreeMap<String, Vec<Read>>);

/// Where the freezes of a directory would stand.
pub fn places(directory: &str) -> impl Iterator<Item = String> {
    NAMES.into_iter().map(
        move |name| {
            if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
        },
    )
}

/// Whether a change of `path` may change what freezes. A folder with such a name freezes, too.
#[must_use]
pub fn is_named_by(path: &str) -> bool {
    path.split('/').any(|name| NAMES.contains(&name))
}

impl Freezes {
    /// Those that count for the file `path`: in its directory and in every one above.
    pub fn of(&mut self, repository: &Repository, tree: ObjectId, path: &str) -> Result<Vec<Arc<Freeze>>> {
        let mut found = Vec::new();
        for directory in directories(path) {
            if !self.0.contains_key(directory) {
                let read = places(directory).map(|path| read(repository, tree, path));
                self.0.insert(directory.to_owned(), read.collect::<Result<_>>()?);
            }
            let here = self.0.get(directory).into_iter().flatten();
            found.extend(here.filter_map(|(freeze, _)| freeze.clone()));
        }
        Ok(found)
    }

    /// Keeps those that count for one of these files.
    pub fn retain<'p>(&mut self, paths: impl Iterator<Item = &'p str>) {
        let needed: BTreeSet<&str> = paths.flat_map(directories).collect();
        self.0.retain(|directory, _| needed.contains(directory.as_str()));
    }

    /// Their mistakes.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.values().flatten().flat_map(|(_, diagnostics)| diagnostics)
    }
}

fn read(repository: &Repository, tree: ObjectId, path: String) -> Result<Read> {
    let Some(entry) = repository.entry(tree, &path)? else { return Ok((None, Vec::new())) };
    let (frozen, diagnostics) = match content(repository, &entry)? {
        Ok(bytes) => read_freeze(&path, &bytes),
        // One that cannot be read freezes as well.
        Err(_) => read_freeze(&path, b""),
    };
    let freeze = Freeze { path, reason: frozen.reason, until: frozen.until };
    Ok((Some(Arc::new(freeze)), diagnostics))
}
