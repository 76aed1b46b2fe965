//! What a command gives back: text on stdout, troubles and progress on stderr, an exit code.
//!
//! Colours only on a terminal and never with `NO_COLOR`, for each of the two streams by itself.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: fine; warnings too.
    Fine,
    /// 1: your turn.
    YourTurn,
    /// 2: we failed.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Fine => Self::SUCCESS,
            Exit::YourTurn => Self::from(1),
            Exit::Failed => Self::from(2),
        }
    }
}

/// Why a command cannot do what was asked, and what the person can do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    message: String,
    hint: Option<String>,
}

impl Refusal {
    /// In one sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// With the next thing to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The form of what is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For scripts: a stable schema.
    Json,
}

/// Meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tint {
    /// As it is.
    Plain,
    /// A heading, a name.
    Strong,
    /// Beside the point.
    Faint,
    /// In order.
    Good,
    /// Somebody should look.
    Warn,
    /// Broken.
    Bad,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// No colours.
    pub const NONE: Self = Self(false);
    /// Colours.
    pub const FULL: Self = Self(true);

    /// Colours if `stream` is a terminal and `NO_COLOR` is not set (no-color.org: set and not empty).
    fn of(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(!refused && stream.is_terminal())
    }

    /// `text` in the colour of its meaning.
    #[must_use]
    pub fn tint(self, tint: Tint, text: &str) -> String {
        let code = match tint {
            Tint::Plain => return text.to_owned(),
            Tint::Strong => "1",
            Tint::Faint => "2",
            Tint::Good => "32",
            Tint::Warn => "33",
            Tint::Bad => "31",
        };
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Where a command writes.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// Colours of stdout.
    pub paint: Paint,
    err: Paint,
    live: bool,
    silent: bool,
    indent: &'static str,
}

impl Default for Printer {
    fn default() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        Self {
            paint: Paint::of(&out),
            err: Paint::of(&err),
            live: out.is_terminal(),
            silent: false,
            indent: "",
        }
    }
}

impl Printer {
    /// One that writes nothing, for callers that look at what was done instead.
    pub const SILENT: Self =
        Self { paint: Paint::NONE, err: Paint::NONE, live: false, silent: true, indent: "" };

    /// Whether stdout is a terminal, where a screen can be drawn again in its place.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.live
    }

    /// The same, with `indent` before every line that is said.
    #[must_use]
    pub const fn indented(self, indent: &'static str) -> Self {
        Self { indent, ..self }
    }

    /// Writes one line, or several, to stdout.
    ///
    /// # Errors
    /// Where stdout is gone.
    pub fn say(&self, text: impl Display) -> io::Result<()> {
        if self.silent {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        for line in text.to_string().split('\n') {
            let indent = if line.is_empty() { "" } else { self.indent };
            writeln!(out, "{indent}{line}")?;
        }
        out.flush()
    }

    /// Writes `value` as JSON to stdout.
    ///
    /// # Errors
    /// Where stdout is gone.
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, value)?;
        writeln!(out)
    }

    /// Draws `text` as a whole screen in the place of the one before.
    ///
    /// # Errors
    /// Where stdout is gone.
    pub fn redraw(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(frame(text).as_bytes())?;
        out.flush()
    }

    /// Says on stderr what is being done or waited for.
    pub fn note(&self, text: impl Display) {
        // Progress is a courtesy: a closed stderr stops nothing.
        let _ = writeln!(io::stderr().lock(), "{}", self.err.tint(Tint::Faint, &text.to_string()));
    }

    /// Shows on a terminal what is waited for, in the place of what it showed before; nothing takes it away.
    pub fn progress(&self, text: &str) {
        if self.live && !self.silent && io::stderr().is_terminal() {
            // Progress is a courtesy: a closed stderr stops nothing.
            let _ = write!(io::stderr().lock(), "\r\x1b[K{}", self.err.tint(Tint::Faint, text));
        }
    }

    /// Says on stderr why the command ended, and tells its exit code.
    #[must_use]
    pub fn trouble(&self, error: &anyhow::Error) -> Exit {
        if error.chain().any(is_broken_pipe) {
            return Exit::Fine;
        }
        let refusal = error.downcast_ref::<Refusal>();
        let mut text = format!("{} {error:#}", self.err.tint(Tint::Bad, "error:"));
        if let Some(hint) = refusal.and_then(|refusal| refusal.hint.as_ref()) {
            text.push_str(&format!("\n {} {hint}", self.err.tint(Tint::Good, "hint:")));
        }
        // With stderr closed, the exit code still tells.
        let _ = writeln!(io::stderr().lock(), "{text}");
        if refusal.is_some() { Exit::YourTurn } else { Exit::Failed }
    }
}

/// A whole screen as a terminal takes it: home, then each line with the rest of the old one erased, then all below, so
/// that nothing flickers. Lines are cut at the terminal's edge by the terminal itself (DECAWM off: xterm's control
/// sequences, "CSI ? 7 l"), and what does not fit below stays away: going to the next line scrolls nothing (CNL).
fn frame(text: &str) -> String {
    format!("\x1b[?7l\x1b[H{}\x1b[K\x1b[J\x1b[?7h", text.trim_end().replace('\n', "\x1b[K\x1b[E"))
}

/// Waits until somebody asks the program to end: Ctrl-C, or SIGTERM as a supervisor sends it.
///
/// # Errors
/// Where the system lets nobody listen for signals.
pub async fn interrupted() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        biased;
        signal = tokio::signal::ctrl_c() => signal,
        _ = terminate.recv() => Ok(()),
    }
}

/// Whether the reader of our output has gone, as `| head` does: no trouble of ours.
fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_never_reach_a_pipe() {
        assert_eq!(Paint::NONE.tint(Tint::Bad, "✖"), "✖");
        assert_eq!(Paint::FULL.tint(Tint::Bad, "✖"), "\x1b[31m✖\x1b[0m");
        assert_eq!(Paint::FULL.tint(Tint::Good, ""), "");
    }

    #[test]
    fn a_screen_is_cut_by_the_terminal_and_scrolls_nothing() {
        let shown = frame("one\ntwo\n");
        assert_eq!(shown, "\x1b[?7l\x1b[Hone\x1b[K\x1b[Etwo\x1b[K\x1b[J\x1b[?7h");
        assert!(!shown.contains('\n'));
    }

    #[test]
    fn a_reader_that_has_gone_is_no_trouble() {
        let gone = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert_eq!(Printer::default().trouble(&gone), Exit::Fine);
    }

    #[test]
    fn a_refusal_is_the_persons_turn_and_all_else_is_ours() {
        let printer = Printer::default();
        assert_eq!(printer.trouble(&Refusal::new("nothing to approve").hint("look").into()), Exit::YourTurn);
        assert_eq!(printer.trouble(&anyhow::anyhow!("the API server did not answer")), Exit::Failed);
    }
}
