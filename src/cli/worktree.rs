//! Roots as they stand on disk, committed or not: what `check` reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::catalog::Root;
use crate::catalog::root::directories;
use crate::cli::output::Refusal;
use crate::spec::yaml::FILE_BYTES_MAX;
use crate::spec::{
    Assembled, Diagnostic, ParsedFile, Place, RepositoryFile, Severity, assemble, parse_file,
    parse_repository, read_freeze,
};

/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 64;
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
    visit(&path, &mut |file| {
        if file.file_name().is_some_and(|name| name == SETTINGS) {
            found.extend(file.parent().map(|folder| from_top(top, folder)));
        }
        Ok(())
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
        let places: Vec<(String, Place)> =
            paths(top, &root)?.into_iter().map(|path| (path.clone(), root.place(&path))).collect();
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
        Ok(Self { assembled, diagnostics })
    }
}

/// The files that can mean something to `root`, from the repository's top.
fn paths(top: &Path, root: &Root) -> Result<Vec<String>> {
    let settings = root.settings();
    // A freeze counts from the release's file upward, beyond its root too.
    let freezes = directories(&settings).flat_map(|directory| {
        let slash = if directory.is_empty() { "" } else { "/" };
        ["freeze.yaml", "freeze.yml"].map(|name| format!("{directory}{slash}{name}"))
    });
    let mut found: Vec<String> = freezes.collect();
    found.push(settings);
    found.retain(|path| top.join(path).is_file());
    for folder in [root.releases(), root.approvals()] {
        let folder = top.join(folder);
        if folder.is_dir() {
            visit(&folder, &mut |file| {
                found.push(from_top(top, file));
                Ok(())
            })?;
        }
    }
    Ok(found)
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

/// Shows every file at and below `folder`, by name. Hidden folders and symbolic links are left alone.
fn visit(folder: &Path, show: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    let mut entries_left = ENTRIES_MAX;
    visit_below(folder, 0, &mut entries_left, show)
}

fn visit_below(
    folder: &Path,
    depth: usize,
    entries_left: &mut usize,
    show: &mut impl FnMut(&Path) -> Result<()>,
) -> Result<()> {
    ensure!(depth <= DEPTH_MAX, "{} lies more than {DEPTH_MAX} folders deep", folder.display());
    let read = || std::fs::read_dir(folder)?.collect::<Result<Vec<_>, std::io::Error>>();
    let mut entries = read().with_context(|| format!("{}", folder.display()))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        *entries_left =
            entries_left.checked_sub(1).with_context(|| format!("more than {ENTRIES_MAX} files"))?;
        let kind = entry.file_type()?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_dir() && !hidden {
            visit_below(&entry.path(), depth + 1, entries_left, show)?;
        } else if kind.is_file() {
            show(&entry.path())?;
        }
    }
    Ok(())
}
