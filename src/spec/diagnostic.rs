//! A mistake in a file, for the person who can mend it.

use std::fmt::{self, Write as _};

/// Somebody's text on one line, with nothing in it that a terminal obeys: Git takes any byte in a path.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(c: char) -> char {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match c {
        '\t' => ' ',
        c if c.is_control() || reorders => '\u{fffd}',
        c => c,
    }
}

/// Whether a mistake stops the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The release holds until it is mended.
    Error,
    /// The release goes on.
    Warning,
}

impl Severity {
    /// In a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One mistake: where it is, what is wrong, how to cure it. Data, never an `Err`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the release.
    pub severity: Severity,
    /// The file, from the repository's top.
    pub path: String,
    /// Line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 where the whole line is meant.
    pub column: u32,
    /// What is wrong, in one sentence that names the thing.
    pub message: String,
    /// How to cure it, in one sentence.
    pub cure: String,
    /// The lines around it with a caret, for terminals; empty where there is none. Never in logs: it quotes content.
    pub snippet: String,
}

impl Diagnostic {
    /// `path:line:column`, as far as it is known.
    #[must_use]
    pub fn place(&self) -> String {
        let path = plain(&self.path);
        match (self.line, self.column) {
            (0, _) => path,
            (line, 0) => format!("{path}:{line}"),
            (line, column) => format!("{path}:{line}:{column}"),
        }
    }

    /// For terminals, without colours: what is wrong, where, the lines around it, the cure.
    #[must_use]
    pub fn render(&self) -> String {
        let gutter = " ".repeat(self.line.to_string().len());
        let mut out = format!("{}: {}\n{gutter}--> {}\n", self.severity.word(), self.message, self.place());
        out.push_str(&self.snippet);
        if !self.cure.is_empty() {
            let _ = writeln!(out, "{gutter} = {}", self.cure);
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    /// `path:line:column: message; cure`, without the snippet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)?;
        if self.cure.is_empty() { Ok(()) } else { write!(f, "; {}", self.cure) }
    }
}
