//! Mistakes as they are found: places in one file, whose path comes later.

use std::fmt::Write as _;

use crate::spec::diagnostic::{Diagnostic, Severity, plain};
use crate::spec::node::Spot;

/// Most mistakes that one file is told of: nobody mends more at a time.
pub const FLAWS_MAX: usize = 100;
/// Lines of a snippet before the one that is meant.
const CONTEXT: usize = 2;
/// Most characters of a line in a snippet.
const WIDTH: usize = 100;
/// Most characters of a file's text in a message.
const QUOTE: usize = 60;

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Whether it stops the release.
    pub severity: Severity,
    /// Where.
    pub at: Spot,
    /// What is wrong.
    pub message: String,
    /// How to cure it.
    pub cure: String,
}

impl Flaw {
    /// The diagnostic of this mistake in the file `path` with the text `source`.
    #[must_use]
    pub fn in_file(&self, path: &str, source: &str) -> Diagnostic {
        Diagnostic {
            severity: self.severity,
            path: path.to_owned(),
            line: self.at.line,
            column: self.at.column,
            message: self.message.clone(),
            cure: self.cure.clone(),
            snippet: snippet(source, self.at),
        }
    }
}

/// Gathers the mistakes of one file.
#[derive(Debug, Default)]
pub struct Report {
    flaws: Vec<Flaw>,
}

impl Report {
    /// Something that stops the release.
    pub fn error(&mut self, at: Spot, message: impl Into<String>, cure: impl Into<String>) {
        self.add(Flaw { severity: Severity::Error, at, message: message.into(), cure: cure.into() });
    }

    /// Something to know.
    pub fn warn(&mut self, at: Spot, message: impl Into<String>, cure: impl Into<String>) {
        self.add(Flaw { severity: Severity::Warning, at, message: message.into(), cure: cure.into() });
    }

    /// Takes over what another one gathered.
    pub fn append(&mut self, other: Self) {
        other.flaws.into_iter().for_each(|flaw| self.add(flaw));
    }

    /// One mistake; one that is known already is told once.
    pub fn add(&mut self, flaw: Flaw) {
        if self.flaws.contains(&flaw) {
            return;
        }
        if self.flaws.len() < FLAWS_MAX {
            self.flaws.push(flaw);
        } else if flaw.severity == Severity::Error && !self.has_errors() {
            // Warnings never hide that there is an error.
            self.flaws.pop();
            self.flaws.push(flaw);
        }
    }

    /// Whether anything stops the release.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.flaws.iter().any(|flaw| flaw.severity == Severity::Error)
    }

    /// The mistakes, in the order of their places.
    #[must_use]
    pub fn into_flaws(mut self) -> Vec<Flaw> {
        self.flaws.sort_by_key(|flaw| flaw.at);
        self.flaws
    }
}

/// A file's text in a message: one line, not too long, nothing that a terminal obeys.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = plain(&text.chars().take(QUOTE).collect::<String>());
    if text.chars().nth(QUOTE).is_some() {
        out.push('…');
    }
    out
}

/// The lines before `at` and its own, numbered, with a caret below; empty where the place is not known.
fn snippet(source: &str, at: Spot) -> String {
    let line = at.line as usize;
    let first = line.saturating_sub(CONTEXT).max(1);
    let shown = source.lines().enumerate().skip(first - 1).take((line + 1).saturating_sub(first));
    let lines: Vec<(usize, &str)> = shown.map(|(index, text)| (index + 1, text)).collect();
    if line == 0 || lines.last().is_none_or(|(number, _)| *number != line) {
        return String::new();
    }
    let gutter = line.to_string().len();
    let caret = (at.column.max(1) - 1) as usize;
    // A long line is shown around the caret.
    let around = if caret >= WIDTH { caret - WIDTH / 2 } else { 0 };
    let mut out = String::new();
    for (number, text) in lines {
        let skip = if number == line { around } else { 0 };
        let text = plain(&text.chars().skip(skip).take(WIDTH).collect::<String>());
        let text = text.trim_end();
        let space = if text.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{number:>gutter$} |{space}{text}");
    }
    let _ = writeln!(out, "{:gutter$} | {:width$}^", "", "", width = caret - around);
    out
}
