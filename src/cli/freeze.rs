//! `triton freeze` and `triton unfreeze`: one commit that adds or removes a `freeze.yaml`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;

use crate::catalog::root::{directories, is_below};
use crate::cli::clone::{LocalClone, PublishArgs};
use crate::cli::output::{Exit, Printer, Refusal};
use crate::cli::worktree::{self, OnDisk};
use crate::spec::read_freeze;

/// The file that freezes its directory; the second name is read as well, and removed.
const NAMES: [&str; 2] = ["freeze.yaml", "freeze.yml"];
/// Releases that are named; of more, only the number is told.
const NAMED_MAX: usize = 5;

/// Stop every release below a directory: one commit that adds a freeze.yaml.
///
/// While it stands there, nothing below takes a step. Rollbacks and repairs go on, and the present step's pods finish.
#[derive(Args, Debug)]
pub struct FreezeArgs {
    /// The directory in the clone
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Why, for everybody who waits
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// When it ends by itself, with an offset: 2026-12-24T18:00:00+01:00
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<String>,
    /// Where the commit goes
    #[command(flatten)]
    pub publish: PublishArgs,
}

/// Let the releases below a directory go on: one commit that removes its freeze.yaml.
#[derive(Args, Debug)]
pub struct UnfreezeArgs {
    /// The directory in the clone
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where the commit goes
    #[command(flatten)]
    pub publish: PublishArgs,
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("say why nothing may move".to_owned()) } else { Ok(text.to_owned()) }
}

/// A time as it was typed, which is how it is written.
fn time(text: &str) -> Result<String, String> {
    let parsed = text.parse::<Timestamp>();
    let at = parsed.map_err(|_| "write it with an offset, as 2026-12-24T18:00:00+01:00".to_owned())?;
    if at <= Timestamp::now() { Err("it has passed".to_owned()) } else { Ok(text.to_owned()) }
}

/// Runs `triton freeze`.
///
/// # Errors
/// Where nothing would be frozen, the directory is frozen already, or Git refuses.
pub fn freeze(args: &FreezeArgs, printer: &Printer) -> Result<Exit> {
    let place = Directory::find(&args.dir)?;
    if let Some(path) = place.freezes().first() {
        let bytes = std::fs::read(place.clone.top().join(path)).with_context(|| path.clone())?;
        let why = read_freeze(path, &bytes).0.reason;
        return Err(Refusal::new(format!("{path} freezes it already: {why}"))
            .hint(format!("edit that file, or: triton unfreeze {}", args.dir.display()))
            .into());
    }
    let frozen = place.releases()?;
    if frozen.is_empty() {
        return Err(Refusal::new(format!("there is no release below {}", place.shown()))
            .hint("name the directory of a root, or one below its releases/")
            .into());
    }
    let path = place.path(NAMES[0]);
    let until = args.until.as_ref().map(|until| format!("until: {until}\n")).unwrap_or_default();
    // A JSON string is YAML.
    let text = format!("reason: {}\n{until}", serde_json::Value::from(args.reason.as_str()));
    let branch = format!("triton/freeze{}", place.branch());
    place.clone.publish(&args.publish, &branch, printer, || {
        std::fs::write(place.clone.top().join(&path), &text).with_context(|| path.clone())?;
        place
            .clone
            .commit(std::slice::from_ref(&path), &format!("Freeze {}\n\n{}", place.shown(), args.reason))?;
        Ok(vec![format!("adds     {path}"), format!("stops    {}", named(&frozen))])
    })?;
    Ok(Exit::Fine)
}

/// Runs `triton unfreeze`.
///
/// # Errors
/// Where the directory is not frozen by a file of its own, or Git refuses.
pub fn unfreeze(args: &UnfreezeArgs, printer: &Printer) -> Result<Exit> {
    let place = Directory::find(&args.dir)?;
    let paths = place.freezes();
    let above = place.freezes_above();
    if paths.is_empty() {
        let refusal = Refusal::new(format!("{} has no freeze.yaml", place.shown()));
        let hint = above.first().map(|path| format!("{path} above it freezes it: name that directory"));
        return Err(hint.into_iter().fold(refusal, Refusal::hint).into());
    }
    if place.clone.is_dirty(&paths)? {
        return Err(Refusal::new(format!("{} is not committed as it stands", paths.join(", ")))
            .hint("commit it, or just delete it")
            .into());
    }
    let branch = format!("triton/unfreeze{}", place.branch());
    place.clone.publish(&args.publish, &branch, printer, || {
        for path in &paths {
            std::fs::remove_file(place.clone.top().join(path)).with_context(|| path.clone())?;
        }
        place.clone.commit(&paths, &format!("Unfreeze {}", place.shown()))?;
        let removed = paths.iter().map(|path| format!("removes  {path}"));
        Ok(removed.chain(above.iter().map(|path| format!("still    frozen by {path}"))).collect())
    })?;
    Ok(Exit::Fine)
}

/// A directory in a clone.
struct Directory {
    clone: LocalClone,
    /// From the repository's top; empty for the top.
    dir: String,
}

impl Directory {
    fn find(dir: &Path) -> Result<Self> {
        let clone = LocalClone::find(dir)?;
        let full = dir.canonicalize().with_context(|| dir.display().to_string())?;
        let top = clone.top().canonicalize().with_context(|| clone.top().display().to_string())?;
        let below = full.strip_prefix(&top).unwrap_or(Path::new(""));
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        Ok(Self { dir: parts.join("/"), clone })
    }

    fn shown(&self) -> &str {
        if self.dir.is_empty() { "the whole repository" } else { &self.dir }
    }

    fn path(&self, name: &str) -> String {
        if self.dir.is_empty() { name.to_owned() } else { format!("{}/{name}", self.dir) }
    }

    /// The end of a branch's name.
    fn branch(&self) -> String {
        if self.dir.is_empty() { String::new() } else { format!("-{}", self.dir.replace('/', "-")) }
    }

    fn freezes(&self) -> Vec<String> {
        let there = |path: &String| self.clone.top().join(path).is_file();
        NAMES.iter().map(|name| self.path(name)).filter(there).collect()
    }

    /// The freezes of the directories above.
    fn freezes_above(&self) -> Vec<String> {
        if self.dir.is_empty() {
            return Vec::new();
        }
        let above = directories(&self.dir).map(|dir| Self { clone: self.clone.clone(), dir: dir.to_owned() });
        above.flat_map(|directory| directory.freezes()).collect()
    }

    /// The releases below it.
    fn releases(&self) -> Result<Vec<String>> {
        let top = self.clone.top();
        let mut found = Vec::new();
        for root in worktree::roots(top, &top.join(&self.dir))? {
            let read = OnDisk::read(top, &root)?.assembled.releases;
            let paths = read.into_iter().filter_map(|(id, release)| Some((id, release.ok()?.path.clone())));
            found.extend(paths.filter(|(_, path)| is_below(path, &self.dir)).map(|(id, _)| id.to_string()));
        }
        Ok(found)
    }
}

fn named(releases: &[String]) -> String {
    if releases.len() > NAMED_MAX { format!("{} releases", releases.len()) } else { releases.join(", ") }
}
