//! Values as YAML that people like to read: blocks, what names an object first, and no quotes where none are needed.
//!
//! **Invariant:** what is written reads as the value that it was written from; who uses it looks.

use serde_json::{Map, Value};

/// Fields that come first, in this order; the others follow by name.
const FIRST: [&str; 9] =
    ["apiVersion", "kind", "metadata", "namespace", "name", "replicas", "selector", "image", "template"];
/// Words that are no text when they stand without quotes, in YAML 1.1 or 1.2.
const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// `value`, a map, as a block.
#[must_use]
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    if let Value::Object(fields) = value {
        map(fields, 0, &mut out);
    }
    out
}

fn pad(depth: usize) -> String {
    " ".repeat(depth)
}

fn map(fields: &Map<String, Value>, depth: usize, out: &mut String) {
    let rank = |key: &String| FIRST.iter().position(|it| it == key).unwrap_or(FIRST.len());
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by_key(|(key, _)| (rank(key), *key));
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        // The first field of an item stands behind its dash.
        if index > 0 || !out.ends_with("- ") {
            out.push_str(&pad(depth));
        }
        out.push_str(&scalar(key));
        out.push(':');
        below(value, depth, out);
    }
}

/// What stands behind a colon.
fn below(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            map(fields, depth + 2, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            list(items, depth, out);
        }
        Value::String(text) if is_block(text) => {
            out.push_str(if text.ends_with('\n') { " |\n" } else { " |-\n" });
            for line in text.lines() {
                let pad = if line.is_empty() { String::new() } else { pad(depth + 2) };
                out.push_str(&format!("{pad}{line}\n"));
            }
        }
        other => out.push_str(&format!(" {}\n", leaf(other))),
    }
}

fn list(items: &[Value], depth: usize, out: &mut String) {
    for item in items {
        out.push_str(&pad(depth));
        out.push_str("- ");
        match item {
            Value::Object(fields) if !fields.is_empty() => map(fields, depth + 2, out),
            // A list in a list, and what is empty, in flow form: JSON is YAML.
            other => out.push_str(&format!("{}\n", leaf(other))),
        }
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Text without quotes where it can be read as nothing else; else as JSON.
fn scalar(text: &str) -> String {
    let starts = text.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || " _./:@%+-".contains(c);
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let reads = text.chars().all(allowed) && !text.contains(": ") && !text.ends_with([':', ' ']);
    let is_share =
        text.strip_suffix('%').is_some_and(|it| !it.is_empty() && it.bytes().all(|c| c.is_ascii_digit()));
    if is_share || (starts && reads && !is_word) { text.to_owned() } else { Value::from(text).to_string() }
}

/// Whether a text of several lines can be written as a block.
fn is_block(text: &str) -> bool {
    let plain = |line: &str| !line.ends_with(' ') && line.chars().all(|c| !c.is_control());
    let ends = text.strip_suffix('\n').unwrap_or(text);
    let starts = text.chars().next().is_some_and(|c| !c.is_whitespace());
    starts && ends.contains('\n') && !ends.ends_with('\n') && ends.split('\n').all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::edit::documents;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({
            "kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a", "annotations": {"x.io/y": "true", "n": "012"}},
            "data": {"one": "a\nb\n", "two": "a\n\nb", "three": " a\nb", "four": "a: b", "five": "", "six": "a\tb\nc", "7": "~"},
            "list": [1, "2", "20%", "1.5%", [], {}, ["x", {"y": null}], {"b": [{"c": 1, "name": "n"}], "a": {}}],
            "odd": ["- a", "#x", "a #b", "a:b", "a:", "http://x", "NO", "0x1", "1e3", "=", "*a", "&a", "!t", "ü", "%x", "a\"b"],
        });
        let text = yaml(&value);
        let read = documents(&text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(read.iter().map(crate::spec::node::Node::to_value).collect::<Vec<_>>(), [value], "{text}");
        assert!(text.starts_with("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"), "{text}");
        assert!(text.contains("  one: |\n    a\n    b\n") && text.contains("- 20%\n"), "{text}");
    }
}
