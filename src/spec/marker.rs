//! What stands in markers and in `freeze.yaml`.
//!
//! A marker's content is free: its name says what it permits. A freeze that cannot be read freezes.

use jiff::Timestamp;

use crate::spec::diagnostic::{Diagnostic, Severity, plain};
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::read::Fields;
use crate::spec::report::{Report, quote};
use crate::spec::yaml;

/// Most characters of a reason that are kept: it stands on one line of a screen, and in a record that etcd limits.
pub const REASON_MAX: usize = 500;

/// Reads a marker: its `reason`, if it has one.
///
/// # Errors
/// Why it approves nothing: it is no YAML, or a skip marker (`skip`) without a reason.
pub fn read_marker(bytes: &[u8], skip: bool) -> Result<Option<String>, String> {
    let mut report = Report::default();
    let source = yaml::read(bytes, &mut report);
    if let Some(flaw) = report.into_flaws().first() {
        return Err(flaw.message.clone());
    }
    let reason = source.documents.first().and_then(|node| node.text().or_else(|| node.get("reason")?.text()));
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty()).map(shortened);
    if skip && reason.is_none() {
        return Err("a skip marker needs a `reason`".to_owned());
    }
    Ok(reason)
}

/// A reason as screens have it: one line, not too long.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    plain(&line.chars().take(REASON_MAX).collect::<String>())
}

/// A `freeze.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenBy {
    /// Why, in the words of who wrote it; for a broken one, what is wrong with it.
    pub reason: String,
    /// Exclusive end; none for until it is removed, or mended.
    pub until: Option<Timestamp>,
}

/// Reads the `freeze.yaml` at `path`. It freezes in any case; what is wrong with it comes with it.
#[must_use]
pub fn read_freeze(path: &str, bytes: &[u8]) -> (FrozenBy, Vec<Diagnostic>) {
    let mut report = Report::default();
    let source = yaml::read(bytes, &mut report);
    let freeze = match source.documents.as_slice() {
        [node] => freeze(node, &mut report),
        [] => {
            if !report.has_errors() {
                report.error(Spot { line: 1, column: 1 }, "`reason` is missing", "add `reason:`");
            }
            None
        }
        [_, second, ..] => {
            report.error(second.at, "the file has more than one document", "keep one");
            None
        }
    };
    let flaws = report.into_flaws();
    let broken = flaws.iter().find(|flaw| flaw.severity == Severity::Error);
    let frozen = match (freeze, broken) {
        (Some(freeze), None) => freeze,
        (Some(freeze), Some(flaw)) if !freeze.reason.is_empty() => {
            FrozenBy { reason: format!("{} (broken: {})", freeze.reason, flaw.message), until: None }
        }
        (_, flaw) => {
            let why = flaw.map_or("nothing stands in it", |flaw| flaw.message.as_str());
            FrozenBy { reason: format!("the file is broken: {why}"), until: None }
        }
    };
    (frozen, flaws.iter().map(|flaw| flaw.in_file(path, &source.text)).collect())
}

fn freeze(node: &Node, report: &mut Report) -> Option<FrozenBy> {
    let fields = Fields::open(node, "", &["reason", "until"], report)?;
    fields.need("reason", report);
    let reason = fields.text("reason", report);
    if reason.is_some_and(|reason| reason.trim().is_empty()) {
        report.error(fields.at(), "`reason` is empty", "say why nothing may move");
    }
    let reason = reason.unwrap_or_default();
    let until = fields.get("until", report).and_then(|node| instant(node, report));
    Some(FrozenBy { reason: shortened(reason.trim()), until })
}

fn instant(node: &Node, report: &mut Report) -> Option<Timestamp> {
    let cure = "write it as 2026-12-24T18:00:00+01:00";
    let Tree::Text(text) = &node.tree else {
        report.error(node.at, format!("`until` must be a time, not {}", node.what()), cure);
        return None;
    };
    let time = text.parse().ok();
    if time.is_none() {
        report.error(node.at, format!("`until`: `{}` is not a time with an offset", quote(text)), cure);
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(text: &str) -> Option<String> {
        let (freeze, wrong) = read_freeze("freeze.yaml", text.as_bytes());
        assert!(wrong.is_empty(), "{wrong:?}");
        freeze.until.map(|it| it.to_string())
    }

    #[test]
    fn a_freeze_says_why_and_until_when() {
        assert_eq!(until("reason: holidays\n"), None);
        let expected = Some("2026-12-24T17:00:00Z".to_owned());
        assert_eq!(until("reason: holidays\nuntil: 2026-12-24T18:00:00+01:00\n"), expected);
        assert_eq!(until("{reason: holidays, until: '2026-12-24T17:00:00Z'}"), expected);
    }

    #[test]
    fn a_broken_freeze_freezes_until_it_is_mended() {
        for (text, expected) in [
            ("", "the file is broken: `reason` is missing"),
            ("until: 2026-12-24T18:00:00Z", "the file is broken: `reason` is missing"),
            ("reason:", "the file is broken: `reason` is empty"),
            ("reason: ''", "the file is broken: `reason` is empty"),
            ("reason: [", "the file is broken: this is not YAML"),
            ("reason: a\n---\nreason: b", "the file is broken: the file has more than one document"),
            ("reason: holidays\nuntil: 2026-12-24", "holidays (broken: `until`: `2026-12-24` is not a time"),
            ("reason: holidays\nuntil: 2026-12-24T18:00:00", "holidays (broken: `until`"),
            ("reason: holidays\nuntil: 5", "holidays (broken: `until` must be a time, not a number)"),
            ("reason: holidays\nuntill: x", "holidays (broken: unknown field `untill`)"),
        ] {
            let (freeze, wrong) = read_freeze("freeze.yaml", text.as_bytes());
            assert_eq!(freeze.until, None);
            assert!(freeze.reason.starts_with(expected), "{text}: {}", freeze.reason);
            assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
        }
    }

    #[test]
    fn a_marker_may_be_empty_and_a_skip_needs_a_reason() {
        assert_eq!(read_marker(b"", false), Ok(None));
        assert_eq!(read_marker(b"reason: looks fine\nticket: 7\n", false), Ok(Some("looks fine".to_owned())));
        assert_eq!(read_marker(b"looks fine", true), Ok(Some("looks fine".to_owned())));
        assert!(read_marker(b"reason: [", false).is_err());
        assert!(read_marker(b"\xff", false).is_err());
        for text in ["", "reason:", "reason: ''", "reason: 5", "ticket: 7"] {
            assert_eq!(
                read_marker(text.as_bytes(), true),
                Err("a skip marker needs a `reason`".to_owned()),
                "{text}"
            );
        }
    }
}
