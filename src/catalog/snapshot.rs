//! The release files of a root at one commit, kept so that the next commit costs only what it touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::root::{Root, is_below};
use crate::git::compare::DEPTH_MAX;
use crate::git::{Change, Entry, Error, Kind, ObjectId, Repository, error::Result};
use crate::model::{Digest, Namespace, ReleaseId};
use crate::spec::document::Document;
use crate::spec::node::Spot;
use crate::spec::report::Flaw;
use crate::spec::yaml::FILE_BYTES_MAX;
use crate::spec::{
    Assembled, Diagnostic, Group, ParsedFile, Place, RepositoryFile, Severity, assemble_group, directory,
    merge, parse_file, parse_repository,
};

/// Files in one folder above which people are warned: each commit that touches the folder looks at all of them.
const FOLDER_MAX: usize = 1_000;

/// How a release stands in a snapshot, as far as history asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not there.
    Absent,
    /// It has mistakes, or stands in more than one place.
    Broken,
    /// It is there.
    At {
        /// *D*.
        digest: Digest,
        /// `spec.step`.
        cap: Option<u32>,
    },
}

/// The files below `releases/`, parsed, and the releases in them. Cloning shares what is parsed.
#[derive(Clone, Default)]
pub struct Snapshot {
    settings: Arc<RepositoryFile>,
    /// Folders below `releases/` that begin another root.
    nested: BTreeSet<String>,
    folders: BTreeMap<String, Arc<Folder>>,
    /// Links, submodules and folders too deep to be opened, behind which releases may lie.
    closed: BTreeMap<String, Kind>,
    /// The groups that name a release. By namespace, so that clones share those that no step touches.
    holders: BTreeMap<Namespace, Arc<Holders>>,
}

/// The groups that name a release.
type Holders = BTreeMap<ReleaseId, BTreeSet<String>>;

/// The files of one folder.
#[derive(Clone, Default)]
struct Folder {
    files: BTreeMap<String, Arc<ParsedFile>>,
    /// Files that have no Release of their own. Without any, each file is a group of its own.
    loose: usize,
    /// What they say. A group is named by its file, or by its folder with a slash at the end.
    groups: BTreeMap<String, Arc<Group>>,
}

impl Folder {
    fn put(&mut self, path: &str, file: Option<ParsedFile>) {
        self.loose += usize::from(file.as_ref().is_some_and(is_loose));
        let before = match file {
            Some(file) => self.files.insert(path.to_owned(), Arc::new(file)),
            None => self.files.remove(path),
        };
        self.loose -= usize::from(before.as_deref().is_some_and(is_loose));
    }
}

/// What a step touches, while it is taken.
#[derive(Default)]
struct Step {
    folders: BTreeMap<String, Touched>,
    /// Whether strategies changed, so that no file means what it meant.
    is_new_settings: bool,
    done: Stepped,
}

/// What a step changed.
#[derive(Clone, Debug, Default)]
pub struct Stepped {
    /// The releases that it may have touched, as they stood before.
    pub releases: BTreeMap<ReleaseId, Standing>,
    /// Names of the groups that are others now, or gone.
    pub groups: BTreeSet<String>,
}

/// What a step touches of one folder.
struct Touched {
    files: BTreeSet<String>,
    /// Whether all of its files mean something new.
    is_all: bool,
}

impl Snapshot {
    /// Reads a root whole.
    pub fn read(repository: &Repository, root: &Root, tree: ObjectId) -> Result<Self> {
        let mut snapshot = Self::default();
        let changes = repository.compare(None, Some(tree), &[&root.releases(), &root.settings()])?;
        snapshot.step_forward(repository, root, &changes)?;
        Ok(snapshot)
    }

    /// Every group, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&String, &Arc<Group>)> {
        self.folders.values().flat_map(|folder| &folder.groups)
    }

    /// Takes in what a commit changed.
    pub fn step_forward(
        &mut self,
        repository: &Repository,
        root: &Root,
        changes: &[Change],
    ) -> Result<Stepped> {
        let entries = changes.iter().map(|change| (change.path.as_str(), change.after.as_ref()));
        self.step(repository, root, entries)
    }

    /// Takes back what a commit changed. Returns the releases that this may have touched, as they stood before.
    pub fn step_back(
        &mut self,
        repository: &Repository,
        root: &Root,
        changes: &[Change],
    ) -> Result<BTreeMap<ReleaseId, Standing>> {
        let entries = changes.iter().map(|change| (change.path.as_str(), change.before.as_ref()));
        self.step(repository, root, entries).map(|done| done.releases)
    }

    fn step<'c>(
        &mut self,
        repository: &Repository,
        root: &Root,
        entries: impl Iterator<Item = (&'c str, Option<&'c Entry>)>,
    ) -> Result<Stepped> {
        let mut step = Step::default();
        for (path, entry) in entries {
            match root.place(path) {
                Place::Repository => {
                    self.settings = Arc::new(settings(repository, entry)?);
                    step.is_new_settings = true;
                    self.touch(&mut step, |_| true);
                }
                Place::NestedRoot(here) => {
                    match entry {
                        Some(_) => self.nested.insert(here.clone()),
                        None => self.nested.remove(&here),
                    };
                    self.touch(&mut step, |folder| folder == here || is_below(folder, &here));
                }
                Place::Release => {
                    let here = directory(path);
                    let folder = self.folders.entry(here.to_owned()).or_default();
                    let is_all = folder.loose > 0;
                    let touched = step.folders.entry(here.to_owned());
                    let touched = touched.or_insert_with(|| Touched { files: BTreeSet::new(), is_all });
                    touched.files.insert(path.to_owned());
                    let file = entry.map(|entry| file(repository, entry)).transpose()?;
                    Arc::make_mut(folder).put(path, file);
                }
                Place::Other => self.note_closed(path, entry),
                Place::Freeze(_) | Place::Marker(_) | Place::Removal(_) | Place::Malformed { .. } => {}
            }
        }
        for (path, touched) in std::mem::take(&mut step.folders) {
            self.regroup(&path, touched, &mut step);
        }
        Ok(step.done)
    }

    /// A folder of releases may have become a link: then they are not gone, they are out of sight.
    fn note_closed(&mut self, path: &str, entry: Option<&Entry>) {
        match entry.map(|entry| entry.kind) {
            Some(kind @ (Kind::Symlink | Kind::Submodule | Kind::Odd | Kind::Deep)) => {
                self.closed.insert(path.to_owned(), kind);
            }
            Some(Kind::File | Kind::Executable | Kind::Directory) | None => {
                self.closed.remove(path);
            }
        }
    }

    /// Marks folders as touched, all of their files.
    fn touch(&self, step: &mut Step, is_touched: impl Fn(&str) -> bool) {
        for path in self.folders.keys().filter(|path| is_touched(path)) {
            let touched = Touched { files: BTreeSet::new(), is_all: true };
            step.folders.entry(path.clone()).or_insert(touched).is_all = true;
        }
    }

    /// Groups the files of a folder anew, as far as they were touched.
    fn regroup(&mut self, path: &str, touched: Touched, step: &mut Step) {
        let folder = self.folders.get(path).cloned().unwrap_or_default();
        let is_split = folder.loose == 0;
        let is_foreign = self.nested.iter().any(|nested| path == nested || is_below(path, nested));
        let whole = format!("{path}/");
        let mut names = touched.files;
        if touched.is_all || step.is_new_settings || !is_split {
            names.extend(folder.files.keys().cloned());
            names.insert(whole.clone());
        }
        let group = |name: &String| match folder.files.get(name) {
            _ if is_foreign => None,
            Some(file) if is_split => {
                let alone = BTreeMap::from([(name.clone(), Arc::clone(file))]);
                Some(assemble_group(&alone, &self.settings))
            }
            None if !is_split && *name == whole => Some(assemble_group(&folder.files, &self.settings)),
            Some(_) | None => None,
        };
        let groups: Vec<_> = names.iter().map(|name| group(name).map(Arc::new)).collect();
        let is_empty = folder.files.is_empty();
        // Not shared with this clone any more, the folder is changed where it is.
        drop(folder);
        for (name, group) in names.iter().zip(groups) {
            self.replace(path, name, group, &mut step.done);
        }
        if is_empty {
            self.folders.remove(path);
        }
    }

    /// Puts a group in the place of another, and keeps how the releases of both stood.
    fn replace(&mut self, folder: &str, name: &str, group: Option<Arc<Group>>, done: &mut Stepped) {
        let before = self.group(name).cloned();
        if before.is_none() && group.is_none() {
            return;
        }
        let releases = |group: &Option<Arc<Group>>| -> BTreeSet<ReleaseId> {
            group.iter().flat_map(|group| group.releases().keys().cloned()).collect()
        };
        let (old, new) = (releases(&before), releases(&group));
        for release in old.union(&new) {
            if !done.releases.contains_key(release) {
                done.releases.insert(release.clone(), self.standing(release));
            }
        }
        for release in old.difference(&new) {
            let Some(holders) = self.holders.get_mut(&release.namespace).map(Arc::make_mut) else { continue };
            let Some(names) = holders.get_mut(release) else { continue };
            names.remove(name);
            if names.is_empty() {
                holders.remove(release);
            }
        }
        for release in new.difference(&old) {
            let holders = Arc::make_mut(self.holders.entry(release.namespace.clone()).or_default());
            holders.entry(release.clone()).or_default().insert(name.to_owned());
        }
        let groups = &mut Arc::make_mut(self.folders.entry(folder.to_owned()).or_default()).groups;
        match group {
            Some(group) => groups.insert(name.to_owned(), group),
            None => groups.remove(name),
        };
        done.groups.insert(name.to_owned());
    }

    /// What a group says, if it is there.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Arc<Group>> {
        self.folders.get(directory(name))?.groups.get(name)
    }

    /// The groups that name a release.
    fn holders(&self, release: &ReleaseId) -> Option<&BTreeSet<String>> {
        self.holders.get(&release.namespace)?.get(release)
    }

    /// How a release stands.
    #[must_use]
    pub fn standing(&self, release: &ReleaseId) -> Standing {
        let Some(holders) = self.holders(release) else { return Standing::Absent };
        let mut holders = holders.iter().filter_map(|name| self.group(name)?.releases().get(release));
        match (holders.next(), holders.next()) {
            (Some(Ok(release)), None) => Standing::At { digest: release.digest, cap: release.cap },
            (Some(_), _) => Standing::Broken,
            (None, _) => Standing::Absent,
        }
    }

    /// The file that holds a release, or the folder whose files hold it together; empty where there is none.
    #[must_use]
    pub fn home(&self, release: &ReleaseId) -> &str {
        let name = self.holders(release).and_then(BTreeSet::first);
        name.map_or("", |name| name.trim_end_matches('/'))
    }

    /// The whole root, with the rule that nothing stands twice.
    #[must_use]
    pub fn assemble(&self, root: &Root) -> Assembled {
        let groups: BTreeMap<_, _> = self.groups().collect();
        let mut assembled = merge(groups.into_values().map(Arc::as_ref));
        assembled.diagnostics.extend(self.remarks(root));
        assembled
    }

    /// What is to be said of the settings, and of folders as such.
    pub fn remarks(&self, root: &Root) -> impl Iterator<Item = Diagnostic> {
        let folders = self.folders.iter().filter_map(|(path, folder)| crowded(path, folder.files.len()));
        self.settings.diagnostics(&root.settings()).into_iter().chain(folders)
    }

    /// The mistakes of files of which nobody can say which release they hold. While there is one, nothing is gone.
    #[must_use]
    pub fn opaque(&self) -> Vec<Diagnostic> {
        let files = self.folders.values().filter(|folder| folder.loose > 0).flat_map(|folder| &folder.files);
        let opaque = files.filter(|(_, file)| is_loose(file));
        let flaws = opaque.flat_map(|(path, file)| file.flaws.iter().map(move |flaw| (path, file, flaw)));
        let errors = flaws.filter(|(_, _, flaw)| flaw.severity == Severity::Error);
        let told = errors.map(|(path, file, flaw)| flaw.in_file(path, &file.text));
        told.chain(self.closed.iter().map(|(path, &kind)| not_read(kind).in_file(path, ""))).collect()
    }
}

/// Whether a file does not say which Release it is about.
fn is_loose(file: &ParsedFile) -> bool {
    !file.documents.iter().any(|document| matches!(document, Document::Head(_)))
}

/// The warning about a folder with very many files.
#[must_use]
pub fn crowded(path: &str, files: usize) -> Option<Diagnostic> {
    (files > FOLDER_MAX).then(|| Diagnostic {
        severity: Severity::Warning,
        path: path.to_owned(),
        line: 0,
        column: 0,
        message: format!("the folder has {files} files; above {FOLDER_MAX}, reading history is slow"),
        cure: "spread them over more folders".to_owned(),
        snippet: String::new(),
    })
}

/// Reads `triton.yaml`. One that cannot be read is not the same as none: its strategies are unknown.
fn settings(repository: &Repository, entry: Option<&Entry>) -> Result<RepositoryFile> {
    let Some(entry) = entry else { return Ok(RepositoryFile::default()) };
    Ok(match content(repository, entry)? {
        Ok(bytes) => parse_repository(&bytes),
        Err(flaw) => RepositoryFile { flaws: vec![flaw], unreadable: true, ..RepositoryFile::default() },
    })
}

fn file(repository: &Repository, entry: &Entry) -> Result<ParsedFile> {
    Ok(match content(repository, entry)? {
        Ok(bytes) => parse_file(&bytes),
        Err(flaw) => ParsedFile { flaws: vec![flaw], ..ParsedFile::default() },
    })
}

/// The bytes of a file, or why it is not read.
pub(crate) fn content(repository: &Repository, entry: &Entry) -> Result<std::result::Result<Vec<u8>, Flaw>> {
    if !entry.kind.is_file() {
        return Ok(Err(not_read(entry.kind)));
    }
    match repository.blob(entry.id, FILE_BYTES_MAX as u64) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(Error::BlobTooLarge { size, limit }) => {
            Ok(Err(flaw(&format!("the file has {size} bytes; at most {limit} are read"), "split it")))
        }
        Err(error) => Err(error),
    }
}

/// Why something that is no regular file is not read.
#[must_use]
pub fn not_read(kind: Kind) -> Flaw {
    match kind {
        Kind::Deep => {
            let message = format!("the folder lies more than {DEPTH_MAX} folders deep, and is not opened");
            flaw(&message, "move its files further up")
        }
        Kind::Symlink => flaw("it is a symbolic link, which is not followed", "commit the file in its place"),
        Kind::Submodule => flaw("it is a submodule, which is not fetched", "commit the files in its place"),
        Kind::Odd | Kind::File | Kind::Executable | Kind::Directory => {
            flaw("it is no regular file with a name in UTF-8", "give it a plain name and a plain mode")
        }
    }
}

fn flaw(message: &str, cure: &str) -> Flaw {
    let (message, cure) = (message.to_owned(), cure.to_owned());
    Flaw { severity: Severity::Error, at: Spot::default(), message, cure }
}
