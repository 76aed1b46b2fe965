//! Strict reading of our own kinds: every field is known, of the right type, and written once.

use jiff::SignedDuration;

use crate::model::Amount;
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::report::{Report, quote};

/// Longest duration that can be asked for, in seconds: thirty days.
pub const DURATION_MAX: u32 = 30 * 24 * 3600;

/// A map of ours that is being read.
#[derive(Clone, Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    path: String,
}

impl<'n> Fields<'n> {
    /// Takes `node`, which stands at `path` (empty for a whole document), as a map with no other fields than
    /// `known`. `None` where it is no map.
    pub fn open(node: &'n Node, path: &str, known: &[&str], report: &mut Report) -> Option<Self> {
        if !matches!(node.tree, Tree::Map(_)) {
            let name = if path.is_empty() { "the document".to_owned() } else { format!("`{path}`") };
            let message = format!("{name} must be a map, not {}", node.what());
            report.error(node.at, message, "write its fields below it");
            return None;
        }
        let fields = Self { node, path: path.to_owned() };
        for entry in node.entries() {
            if !known.contains(&entry.key.as_str()) {
                let message = format!("unknown field `{}`", fields.path_of(&quote(&entry.key)));
                report.error(entry.at, message, unknown_cure(&entry.key, known));
            }
        }
        Some(fields)
    }

    /// Where the map begins.
    #[must_use]
    pub fn at(&self) -> Spot {
        self.node.at
    }

    /// The full name of a field of it.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where the field's key stands, if it is there.
    #[must_use]
    pub fn key_at(&self, key: &str) -> Option<Spot> {
        self.node.entry(key).map(|entry| entry.at)
    }

    /// The field's value. An empty one is a mistake: nobody can tell what was meant.
    pub fn get(&self, key: &str, report: &mut Report) -> Option<&'n Node> {
        let entry = self.node.entry(key)?;
        if matches!(entry.node.tree, Tree::Null) {
            let cure = match key {
                "approval" => "write `approval: {}`, or delete the line",
                _ => "give it a value, or delete the line",
            };
            report.error(entry.at, format!("`{}` is empty", self.path_of(key)), cure);
            return None;
        }
        Some(&entry.node)
    }

    /// The value of a field that must be there.
    pub fn need(&self, key: &str, report: &mut Report) -> Option<&'n Node> {
        if self.node.entry(key).is_none() {
            let cure = format!("add `{key}:`");
            report.error(self.node.at, format!("`{}` is missing", self.path_of(key)), cure);
        }
        self.get(key, report)
    }

    /// Text.
    pub fn text(&self, key: &str, report: &mut Report) -> Option<&'n str> {
        let node = self.get(key, report)?;
        let text = node.text();
        if text.is_none() {
            let message = format!("`{}` must be text, not {}", self.path_of(key), node.what());
            report.error(node.at, message, quote_it(node));
        }
        text
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str, report: &mut Report) -> Option<bool> {
        let node = self.get(key, report)?;
        if let Tree::Bool(value) = node.tree {
            return Some(value);
        }
        let message = format!("`{}` must be true or false, not {}", self.path_of(key), node.what());
        report.error(node.at, message, "write true or false, without quotes");
        None
    }

    /// A whole number within `range`.
    pub fn number(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
        report: &mut Report,
    ) -> Option<u32> {
        let node = self.get(key, report)?;
        let number = match &node.tree {
            Tree::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            Tree::Null | Tree::Bool(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => None,
        };
        if number.is_none_or(|number| !range.contains(&number)) {
            let (first, last) = (range.start(), range.end());
            let message = format!("`{}` must be a whole number from {first} to {last}", self.path_of(key));
            report.error(node.at, message, "write such a number, without quotes");
            return None;
        }
        number
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], report: &mut Report) -> Option<T> {
        let node = self.get(key, report)?;
        let found = words.iter().find(|(word, _)| node.text() == Some(word));
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let written =
                node.text().map_or_else(|| node.what().to_owned(), |text| format!("`{}`", quote(text)));
            let message = format!("`{}` cannot be {written}", self.path_of(key));
            report.error(node.at, message, format!("write {}", all.join(" or ")));
        }
        found.map(|(_, value)| *value)
    }

    /// A duration as `1h30m` within `range`, in seconds.
    pub fn duration(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
        report: &mut Report,
    ) -> Option<u32> {
        let node = self.get(key, report)?;
        let cure = "write it as 90s, 10m or 1h30m";
        let Some(text) = node.text() else {
            let message = format!("`{}` must be a duration, not {}", self.path_of(key), node.what());
            report.error(node.at, message, cure);
            return None;
        };
        let Some(seconds) = seconds(text) else {
            let message = format!("`{}`: `{}` is not a duration", self.path_of(key), quote(text));
            report.error(node.at, message, cure);
            return None;
        };
        let seconds = u32::try_from(seconds).ok().filter(|seconds| range.contains(seconds));
        if seconds.is_none() {
            let (least, most) = (range.start(), range.end() / 3600);
            report.error(node.at, format!("`{}` must be from {least}s to {most}h", self.path_of(key)), cure);
        }
        seconds
    }

    /// A count of pods or a percentage.
    pub fn amount(&self, key: &str, report: &mut Report) -> Option<Amount> {
        let node = self.need(key, report)?;
        let text = match &node.tree {
            Tree::Number(number) => number.to_string(),
            Tree::Text(text) if text.ends_with('%') => text.clone(),
            Tree::Null | Tree::Bool(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => String::new(),
        };
        let amount = text.parse().ok();
        if amount.is_none() {
            let message = format!("`{}` is neither a count of pods nor a percentage", self.path_of(key));
            report.error(node.at, message, "write a count as 3, or a percentage from 0% to 100%");
        }
        amount
    }
}

/// Whole seconds of `1h30m`: hours, minutes and seconds in letters, nothing that is less than a second.
fn seconds(text: &str) -> Option<i64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'h' | b'm' | b's'));
    let duration: SignedDuration = plain.then(|| text.parse().ok())??;
    (duration.subsec_nanos() == 0).then(|| duration.as_secs())
}

/// How to make text of a value that is none.
#[must_use]
pub fn quote_it(node: &Node) -> String {
    match &node.tree {
        Tree::Bool(_) | Tree::Number(_) => "quote it".to_owned(),
        Tree::Null => "write \"\" if empty text is meant".to_owned(),
        Tree::Text(_) | Tree::List(_) | Tree::Map(_) => "write text".to_owned(),
    }
}

/// The cure for a field that is not known.
#[must_use]
pub fn unknown_cure(key: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(key, known) {
        return format!("did you mean `{near}`?");
    }
    format!("delete it (there are only {})", known.join(", "))
}

/// The cure for a name that nothing has; `known` are those that there are.
#[must_use]
pub fn unnamed_cure(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", known.join(", ")),
    }
}

/// The word of `known` that `word` was probably meant to be.
#[must_use]
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > 40 {
        return None;
    }
    let limit = if word.len() <= 4 { 1 } else { 2 };
    let lower = word.to_ascii_lowercase();
    let distances = known.iter().map(|it| (distance(&lower, &it.to_ascii_lowercase()), *it));
    distances.filter(|(distance, _)| *distance <= limit).min().map(|(_, it)| it)
}

/// Letters to add, drop, change or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = usize::from(a[i - 1] != b[j - 1]);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swap = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change).min(swap)
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_hours_minutes_and_seconds() {
        for (text, expected) in [("5s", 5), ("10m", 600), ("1h30m", 5_400), ("90m", 5_400), ("0s", 0)] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "10", "1d", "-5s", "1.5s", "500ms", "5 s", "PT5S", "s", "99999999999999999999h"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        let known = ["strategy", "step", "suspend", "attempt"];
        for (slip, meant) in
            [("stratgey", "strategy"), ("Suspend", "suspend"), ("attempts", "attempt"), ("stp", "step")]
        {
            assert_eq!(nearest(slip, &known), Some(meant), "{slip}");
        }
        assert_eq!(nearest("window", &known), None);
    }
}
