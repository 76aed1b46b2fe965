//! The tokens of the recorded vectors: `<rv1>`, `<uid2>`, `<time>` and so on. What binds them, what must agree.

use std::collections::BTreeMap;

use serde_json::Value;

/// Tokens that stand for anything, each time anew.
const ANYTHING: [&str; 8] = ["time", "age", "hash", "host", "ptr", "oldestrv", "currentrv", "clusterIP"];

/// Tokens with a number that are bound by the first answer that shows them.
const BOUND: [&str; 7] = ["listrv", "rv", "uid", "name", "continue", "t", "clusterIP"];

/// Where an answer differs.
pub struct Mismatch(pub String);

/// What the tokens of a case stand for.
#[derive(Clone, Default)]
pub struct Tokens {
    bound: BTreeMap<String, String>,
    newest: u64,
}

/// A piece of a text with tokens.
enum Piece {
    Text(String),
    Token(String),
}

impl Tokens {
    /// Notes the newest version that the cluster has.
    pub fn written(&mut self, version: u64) {
        self.newest = version;
    }

    /// Puts the values of bound tokens into a text.
    pub fn fill(&self, text: &str) -> String {
        let piece = |piece: Piece| match piece {
            Piece::Text(text) => text,
            Piece::Token(name) => self.bound.get(&name).cloned().unwrap_or_else(|| format!("<{name}>")),
        };
        pieces(text).into_iter().map(piece).collect()
    }

    /// Compares an answer with a recorded one.
    pub fn compare(&mut self, at: &str, expected: &Value, got: &Value) -> Result<(), Mismatch> {
        match (expected, got) {
            (Value::Object(expected), Value::Object(got)) => {
                let known: BTreeMap<String, &Value> =
                    expected.iter().map(|(key, value)| (self.fill(key), value)).collect();
                let mut outcome = Ok(());
                for (key, value) in &known {
                    let place = format!("{at}.{key}");
                    let one = match got.get(key) {
                        Some(got) => self.compare(&place, value, got),
                        None => Err(Mismatch(format!("{place}: missing, expected {value}"))),
                    };
                    outcome = outcome.and(one);
                }
                match got.keys().find(|key| !known.contains_key(*key)) {
                    Some(key) => outcome.and(Err(Mismatch(format!("{at}.{key}: unexpected {}", got[key])))),
                    None => outcome,
                }
            }
            (Value::Array(expected), Value::Array(got_items)) if expected.len() == got_items.len() => {
                // All are looked at, so that every token is bound; the first difference is told.
                let mut outcome = Ok(());
                for (index, (expected, got)) in expected.iter().zip(got_items).enumerate() {
                    let one = self.compare(&format!("{at}[{index}]"), expected, got);
                    outcome = outcome.and(one);
                }
                outcome
            }
            (Value::String(pattern), Value::String(text)) => {
                if self.matches(pattern, text) {
                    return Ok(());
                }
                Err(Mismatch(format!("{at}:\n      expected {}\n      got      {text}", self.fill(pattern))))
            }
            (expected, got) if expected == got => Ok(()),
            (expected, got) => {
                Err(Mismatch(format!("{at}:\n      expected {expected}\n      got      {got}")))
            }
        }
    }

    /// Compares an answer with a recorded one that was cut: it may have more.
    pub fn contains(&mut self, at: &str, expected: &Value, got: &Value) -> Result<(), Mismatch> {
        match (expected, got) {
            (Value::Object(expected), Value::Object(got)) => expected.iter().try_for_each(|(key, value)| {
                let place = format!("{at}.{key}");
                let found = got.get(key).ok_or_else(|| Mismatch(format!("{place}: missing")))?;
                self.contains(&place, value, found)
            }),
            (Value::Array(expected), Value::Array(got)) => {
                let mut rest = got.iter();
                expected.iter().enumerate().try_for_each(|(index, value)| {
                    let place = format!("{at}[{index}]");
                    let found = rest.by_ref().any(|got| self.contains(&place, value, got).is_ok());
                    if found { Ok(()) } else { Err(Mismatch(format!("{place}: no such item as {value}"))) }
                })
            }
            (expected, got) => self.compare(at, expected, got),
        }
    }

    /// Versions and times that were numbered in ascending order must ascend.
    pub fn in_order(&self) -> Result<(), Mismatch> {
        for kind in ["rv", "t"] {
            let mut values: Vec<(u64, &String)> = Vec::new();
            for (name, value) in &self.bound {
                if let Some(number) = name.strip_prefix(kind).and_then(|rest| rest.parse().ok()) {
                    values.push((number, value));
                }
            }
            values.sort();
            let text = |value: &str| (value.len(), value.to_owned());
            if let Some(pair) = values.windows(2).find(|pair| text(pair[0].1) >= text(pair[1].1)) {
                let (first, second) = (pair[0], pair[1]);
                let text =
                    format!("<{kind}{}> is {}, <{kind}{}> is {}", first.0, first.1, second.0, second.1);
                return Err(Mismatch(text));
            }
        }
        Ok(())
    }

    /// Whether a text is what the pattern says; binds tokens on the way.
    fn matches(&mut self, pattern: &str, text: &str) -> bool {
        let pieces = pieces(&self.fill(pattern));
        let mut rest = text;
        for (index, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Text(literal) => match rest.strip_prefix(literal.as_str()) {
                    Some(left) => rest = left,
                    None => return false,
                },
                Piece::Token(name) => {
                    let end = match pieces.get(index + 1) {
                        Some(Piece::Text(next)) => rest.find(next.as_str()),
                        Some(Piece::Token(_)) | None => Some(rest.len()),
                    };
                    let Some(end) = end else { return false };
                    if !self.bind(name, &rest[..end]) {
                        return false;
                    }
                    rest = &rest[end..];
                }
            }
        }
        rest.is_empty()
    }

    fn bind(&mut self, name: &str, value: &str) -> bool {
        if value.is_empty() {
            return false;
        }
        if ANYTHING.contains(&name) {
            return true;
        }
        if name.starts_with("listrv") && value.parse() != Ok(self.newest) {
            let before = self.bound.get(name).is_some_and(|bound| bound == value);
            return before || value.parse::<u64>().is_ok_and(|version| version <= self.newest);
        }
        self.bound.entry(name.to_owned()).or_insert_with(|| value.to_owned()) == value
    }
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        literal.push_str(&rest[..open]);
        let inner = &rest[open + 1..];
        match inner.find('>').map(|close| &inner[..close]).filter(|name| is_token(name)) {
            Some(name) => {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Token(name.to_owned()));
                rest = &inner[name.len() + 1..];
            }
            None => {
                literal.push('<');
                rest = inner;
            }
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    pieces
}

fn is_token(name: &str) -> bool {
    let word = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    ANYTHING.contains(&name) || (word.len() < name.len() && BOUND.contains(&word))
}
