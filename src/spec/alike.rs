//! Names that are two for Git and one for the file systems of Macs and of Windows.

use std::collections::BTreeMap;

use crate::spec::diagnostic::{Diagnostic, Severity, plain};

/// A warning for each path that somebody's machine cannot tell from one before it: a clone there has one of the two,
/// and the next commit from it removes the other.
#[must_use]
pub fn alike<'p>(paths: impl Iterator<Item = &'p str>) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut told = Vec::new();
    for path in paths {
        let Some(other) = seen.insert(skeleton(path), path) else { continue };
        let is_other_case = path.to_lowercase() == other.to_lowercase();
        let is_other_form = path.contains(is_mark) != other.contains(is_mark);
        if is_other_case || is_other_form {
            told.push(Diagnostic {
                severity: Severity::Warning,
                path: path.to_owned(),
                line: 0,
                column: 0,
                message: format!("a Mac or Windows cannot tell this name from {}", plain(other)),
                cure: "rename one of the two, more than in case and accents".to_owned(),
                snippet: String::new(),
            });
        }
    }
    told
}

/// What is left of a name where neither case nor the way of writing an accent counts.
fn skeleton(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        match c {
            mark if is_mark(mark) => {
                out.pop();
                out.push('\u{fffd}');
            }
            c if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

/// A mark that stands on the letter before it (Unicode, "Combining Diacritical Marks").
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_alone_make_no_other_name() {
        let pairs = |a: &'static str, b: &'static str| alike([a, b].into_iter()).len();
        assert_eq!(pairs("releases/Web.yaml", "releases/web.yaml"), 1);
        assert_eq!(pairs("caf\u{e9}.yaml", "cafe\u{301}.yaml"), 1);
        assert_eq!(pairs("caf\u{e9}.yaml", "caf\u{f6}.yaml"), 0);
        assert_eq!(pairs("cafe.yaml", "caf\u{e9}.yaml"), 0);
        assert_eq!(pairs("a/web.yaml", "b/web.yaml"), 0);
    }
}
