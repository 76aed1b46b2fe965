//! A mistake in a file, for the person who can mend it.

use std::fmt;

/// Whether a mistake stops the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The release holds until it is mended.
    Error,
    /// The release goes on.
    Warning,
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

impl fmt::Display for Diagnostic {
    /// `path:line:column: message; cure`, without the snippet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if self.cure.is_empty() { Ok(()) } else { write!(f, "; {}", self.cure) }
    }
}
