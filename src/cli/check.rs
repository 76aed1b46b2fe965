//! `triton check`: reads the specs as they stand in the work tree.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cli::output::{Exit, Format, Paint, Printer, Tint};
use crate::cli::worktree::{self, OnDisk};
use crate::spec::{Diagnostic, Severity};

/// Read the specs and say what is to be mended: 0 clean, 1 something to mend.
///
/// Reads the files as they stand in the work tree, committed or not. Of a directory in a root that root is read; of
/// one above several roots, all of them.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The repository, or a directory in it
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// A mistake, as `check -o json` has it.
#[derive(Debug, Serialize)]
struct Mistake<'a> {
    severity: &'static str,
    path: &'a str,
    line: u32,
    column: u32,
    message: &'a str,
    cure: &'a str,
}

impl<'a> Mistake<'a> {
    fn of(it: &'a Diagnostic) -> Self {
        let Diagnostic { severity, path, line, column, message, cure, snippet: _ } = it;
        Self { severity: severity.word(), path, line: *line, column: *column, message, cure }
    }
}

/// Runs `triton check`.
///
/// # Errors
/// Where there is nothing to read, or the disk refuses.
pub fn run(args: &CheckArgs, printer: &Printer) -> Result<Exit> {
    let top = worktree::top(&args.path)?;
    let mut found = Vec::new();
    let mut releases = 0;
    for root in worktree::roots(&top, &args.path)? {
        let disk = OnDisk::read(&top, &root)?;
        releases += disk.assembled.releases.len();
        found.extend(disk.diagnostics);
    }
    match args.output {
        Format::Json => printer.json(&found.iter().map(Mistake::of).collect::<Vec<_>>())?,
        Format::Text => {
            for it in &found {
                printer.say(show(it, printer.paint))?;
            }
            printer.say(summary(releases, &found))?;
        }
    }
    let broken = found.iter().any(|it| it.severity == Severity::Error);
    Ok(if broken { Exit::YourTurn } else { Exit::Fine })
}

/// A mistake as people see it: what, where, the lines around it, the cure.
fn show(it: &Diagnostic, paint: Paint) -> String {
    let tint = match it.severity {
        Severity::Error => Tint::Bad,
        Severity::Warning => Tint::Warn,
    };
    let word = it.severity.word();
    let text = it.render();
    text.strip_prefix(word).map_or_else(|| text.clone(), |rest| format!("{}{rest}", paint.tint(tint, word)))
}

fn summary(releases: usize, found: &[Diagnostic]) -> String {
    let count = |severity| found.iter().filter(|it| it.severity == severity).count();
    let many = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    format!(
        "{}, {}, {}",
        many(releases, "release"),
        many(count(Severity::Error), "error"),
        many(count(Severity::Warning), "warning")
    )
}
