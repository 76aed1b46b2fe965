//! Roots as they stand on disk, committed or not: what `check` reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::catalog::Root;
use crate::catalog::root::directories;
use crate::catalog::snapshot::{crowded, not_read};
use crate::cli::output::Refusal;
use crate::git::Kind;
use crate::git::compare::DEPTH_MAX;
use crate::spec::alike::alike;
use crate::spec::yaml::FILE_BYTES_MAX;
use crate::spec::{
    Assembled, Diagnostic, ParsedFile, Place, RepositoryFile, Severity, assemble, directory, parse_file,
    parse_repository, read_freeze,
};

/// Most files and folders that are looked at: ten times the largest repository that we promise to serve.
const ENTRIES_MAX: usize = 200_000;
/// The file that makes its directory a root.
const SETTINGS: &str = "triton.yaml";
/// The folder that has the releases of a root.
const RELEASES: &str = "releases";

/// The top folder of the repository that `path` lies in, else `path` itself.
///
/// # Errors
/// Where there is no such folder.
pub fn top(path: &Path) -> Result<PathBuf> {
    let refusal = |error| Refusal::new(format!("{}: {error}", path.display()));
    let path = path.canonicalize().map_err(refusal)?;
    let above = path.ancestors().find(|folder| folder.join(".git").exists());
    Ok(above.unwrap_or(&path).to_owned())
}

/// The roots that `path` means: the one that it lies in, else all below it. Each by its directory from the top.
///
/// # Errors
/// Where there is none, or the folder cannot be read.
pub fn roots(top: &Path, path: &Path) -> Result<Vec<String>> {
    let path = path.canonicalize().with_context(|| format!("{}", path.display()))?;
    let is_root = |folder: &Path| folder.join(SETTINGS).is_file();
    let within = path.ancestors().take_while(|folder| folder.starts_with(top));
    if let Some(folder) = within.into_iter().find(|folder| is_root(folder)) {
        return Ok(vec![from_top(top, folder)]);
    }
    let mut found = Vec::new();
    visit(top, &path, &mut |file, kind| {
        if kind.is_file() && file.file_name().is_some_and(|name| name == SETTINGS) {
            found.extend(file.parent().map(|folder| from_top(top, folder)));
        }
    })?;
    // A triton.yaml is optional at the top.
    for folder in [path.as_path(), top] {
        if found.is_empty() && folder.join(RELEASES).is_dir() {
            found.push(from_top(top, folder));
        }
    }
    let refusal = Refusal::new(format!("{} has neither {SETTINGS} nor {RELEASES}/", path.display()))
        .hint("a root is a directory with a triton.yaml; its releases stand below releases/");
    ensure!(!found.is_empty(), refusal);
    Ok(found)
}

/// A path as Git writes it.
fn from_top(top: &Path, path: &Path) -> String {
    let below = path.strip_prefix(top).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// What a root says as it stands on disk.
pub struct OnDisk {
    /// Its releases.
    pub assembled: Assembled,
    /// Every mistake, also of its `triton.yaml`, its freezes and its markers.
    pub diagnostics: Vec<Diagnostic>,
}

impl OnDisk {
    /// Reads the root in the directory `root` as it stands in the work tree.
    ///
    /// # Errors
    /// Where the disk refuses, or there is no end of files.
    pub fn read(top: &Path, root: &str) -> Result<Self> {
        let root = Root::new(root);
        let (paths, closed) = paths(top, &root)?;
        let places: Vec<(String, Place)> =
            paths.into_iter().map(|path| (path.clone(), root.place(&path))).collect();
        let nested = |path: &str| {
            let holds = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            places.iter().any(|(_, place)| matches!(place, Place::NestedRoot(folder) if holds(folder)))
        };
        let mut settings = RepositoryFile::default();
        let mut files: BTreeMap<String, Arc<ParsedFile>> = BTreeMap::new();
        let mut diagnostics = Vec::new();
        for (path, place) in places.iter().filter(|(path, _)| !nested(path)) {
            let bytes = || bytes(&top.join(path));
            match place {
                Place::Repository => {
                    settings = parse_repository(&bytes()?);
                    diagnostics.extend(settings.diagnostics(path));
                }
                Place::Release => drop(files.insert(path.clone(), Arc::new(parse_file(&bytes()?)))),
                Place::Freeze(_) => diagnostics.extend(read_freeze(path, &bytes()?).1),
                Place::Malformed { reason, .. } => diagnostics.push(useless(path, reason)),
                Place::NestedRoot(_) | Place::Marker(_) | Place::Removal(_) | Place::Other => {}
            }
        }
        let assembled = assemble(&files, &settings);
        diagnostics.extend(assembled.diagnostics.iter().cloned());
        let unread = closed.iter().filter(|(path, _)| !nested(path));
        diagnostics.extend(unread.map(|(path, kind)| unread_at(&root, path, *kind)));
        diagnostics.extend(alike(files.keys().map(String::as_str)));
        let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
        files.keys().for_each(|path| *folders.entry(directory(path)).or_default() += 1);
        diagnostics.extend(folders.into_iter().filter_map(|(path, files)| crowded(path, files)));
        Ok(Self { assembled, diagnostics })
    }
}

/// What is told of something that is not read. Where it could have been a release, that is a mistake.
fn unread_at(root: &Root, path: &str, kind: Kind) -> Diagnostic {
    let mut told = not_read(kind).in_file(path, "");
    if root.place(path) != Place::Release {
        told.severity = Severity::Warning;
    }
    told
}

/// Something that is no file and stands among them: its path, and what it is.
type Closed = (String, Kind);

/// The files that can mean something to `root`, from the repository's top, and what is not read among them.
fn paths(top: &Path, root: &Root) -> Result<(Vec<String>, Vec<Closed>)> {
    let settings = root.settings();
    // A freeze counts from the release's file upward, beyond its root too.
    let freezes = directories(&settings).flat_map(|directory| {
        let slash = if directory.is_empty() { "" } else { "/" };
        ["freeze.yaml", "freeze.yml"].map(|name| format!("{directory}{slash}{name}"))
    });
    let mut found: Vec<String> = freezes.collect();
    found.push(settings);
    found.retain(|path| top.join(path).is_file());
    let mut closed = Vec::new();
    for folder in [root.releases(), root.approvals()] {
        let folder = top.join(folder);
        if folder.is_dir() {
            visit(top, &folder, &mut |file, kind| match from_top(top, file) {
                path if kind.is_file() => found.push(path),
                path => closed.push((path, kind)),
            })?;
        }
    }
    Ok((found, closed))
}

/// A marker that can approve nothing: its release goes on without it.
fn useless(path: &str, reason: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        path: path.to_owned(),
        line: 0,
        column: 0,
        message: format!("this approves nothing: {reason}"),
        cure: "`triton approve` names markers right".to_owned(),
        snippet: String::new(),
    }
}

/// A file's bytes; of one that is too large only as many as show that it is.
fn bytes(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(path).with_context(|| format!("{}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{}", path.display()))?;
    Ok(bytes)
}

/// Shows everything at and below `folder` that is no folder, by name, and the folders that are not opened. Hidden
/// folders are left alone, symbolic links are not followed.
fn visit(top: &Path, folder: &Path, show: &mut impl FnMut(&Path, Kind)) -> Result<()> {
    let mut entries_left = ENTRIES_MAX;
    let depth = folder.strip_prefix(top).map_or(0, |below| below.components().count());
    visit_below(folder, depth, &mut entries_left, show)
}

fn visit_below(
    folder: &Path,
    depth: usize,
    entries_left: &mut usize,
    show: &mut impl FnMut(&Path, Kind),
) -> Result<()> {
    let read = || std::fs::read_dir(folder)?.collect::<Result<Vec<_>, std::io::Error>>();
    let mut entries = read().with_context(|| format!("{}", folder.display()))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        *entries_left =
            entries_left.checked_sub(1).with_context(|| format!("more than {ENTRIES_MAX} files"))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = match entry.file_type()? {
            kind if kind.is_symlink() => Kind::Symlink,
            _ if name.to_str().is_none() => Kind::Odd,
            kind if kind.is_dir() && depth == DEPTH_MAX => Kind::Deep,
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Odd,
        };
        match kind {
            Kind::Directory if name.to_string_lossy().starts_with('.') => {}
            Kind::Directory => visit_below(&path, depth + 1, entries_left, show)?,
            kind => show(&path, kind),
        }
    }
    Ok(())
}
