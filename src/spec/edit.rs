//! One field of a file set to another value or taken out, and nothing else changed: comments and layout stay as people
//! wrote them.
//!
//! **Invariant:** what comes out is read again and says what was asked, and but for that the same as before; a file
//! that cannot be edited so is left to people.

use serde_json::{Map, Value};

use crate::model::ReleaseId;
use crate::objects::record;
use crate::spec::node::{Entry, Node, Spot, Tree};
use crate::spec::report::Report;
use crate::spec::yaml;

/// A field of the document that has this kind and the name of the release.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// `Release`, `CloneSet`.
    pub kind: &'a str,
    /// Whose.
    pub release: &'a ReleaseId,
    /// Where it stands, from the document's top: a key of a map for each level.
    pub path: &'a [&'a str],
}

/// What a field was, and the file as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// What stood there.
    pub before: Option<Value>,
    /// Line of the field, from 1; where it is no more, of what it stood in.
    pub line: u32,
    /// The whole file.
    pub text: String,
}

/// The release file `text` with `spec.step: step` for the release `id`; `None` where that takes a person.
#[must_use]
pub fn set_step(text: &str, id: &ReleaseId, step: u32) -> Option<Edited> {
    set(text, Field { kind: record::KIND, release: id, path: &["spec", "step"] }, Some(&Value::from(step)))
}

/// The file `text` with `value`, which is no map, in `field`, or without that field; `None` where that takes a person: the
/// file cannot be read, has no such document, or is written in a way that is not edited here (a map, an anchor).
#[must_use]
pub fn set(text: &str, field: Field<'_>, value: Option<&Value>) -> Option<Edited> {
    // Positions are those of the text without its mark.
    let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let text = &text[mark.len()..];
    let documents = documents(text)?;
    let index = documents.iter().position(|node| is_meant(node, field))?;
    let node = &documents[index];
    let before = node.find(field.path).map(Node::to_value);
    let edited = match value {
        Some(value) => {
            let (at, old, new) = change(text, node, field.path, value)?;
            format!("{}{new}{}", &text[..at], &text[at + old..])
        }
        None => without(text, node, field.path)?,
    };
    let again = self::documents(&edited)?;
    let mut wanted: Vec<Value> = documents.iter().map(Node::to_value).collect();
    assign(wanted.get_mut(index)?, field.path, value)?;
    let line = again.get(index).and_then(|node| way(node, field.path).last().map(|entry| entry.at.line));
    let same = again.iter().map(Node::to_value).eq(wanted);
    same.then(|| Edited { before, line: line.unwrap_or_default(), text: format!("{mark}{edited}") })
}

/// What `field` says in the file `text`; `None` where it says nothing, or cannot be read.
#[must_use]
pub fn get(text: &str, field: Field<'_>) -> Option<Value> {
    let documents = documents(text)?;
    let node = documents.iter().find(|node| is_meant(node, field))?;
    node.find(field.path).map(Node::to_value)
}

/// Whether the file `text` has the document of `field`.
#[must_use]
pub fn has(text: &str, field: Field<'_>) -> bool {
    documents(text).is_some_and(|nodes| nodes.iter().any(|node| is_meant(node, field)))
}

/// The documents of a file; `None` where it cannot be read.
#[must_use]
pub fn documents(text: &str) -> Option<Vec<Node>> {
    let mut report = Report::default();
    let source = yaml::read(text.as_bytes(), &mut report);
    (!report.has_errors()).then_some(source.documents)
}

fn is_meant(node: &Node, field: Field<'_>) -> bool {
    let text = |path: &[&str]| node.find(path).and_then(Node::text);
    text(&["kind"]) == Some(field.kind)
        && text(&["metadata", "namespace"]) == Some(field.release.namespace.as_str())
        && text(&["metadata", "name"]) == Some(field.release.name.as_str())
}

/// The fields on the way to `path`, as far as they are there.
fn way<'n>(node: &'n Node, path: &[&str]) -> Vec<&'n Entry> {
    let mut found: Vec<&Entry> = Vec::new();
    for key in path {
        let Some(entry) = found.last().map_or(node, |entry| &entry.node).entry(key) else { break };
        found.push(entry);
    }
    found
}

/// The same in a document without places. A map that has nothing left is nothing.
fn assign(at: &mut Value, path: &[&str], value: Option<&Value>) -> Option<()> {
    let (key, rest) = path.split_first()?;
    if at.is_null() {
        *at = Value::Object(Map::new());
    }
    let fields = at.as_object_mut()?;
    if value.is_none() && !fields.contains_key(*key) {
        return Some(());
    }
    match (rest, value) {
        ([], Some(value)) => drop(fields.insert((*key).to_owned(), value.clone())),
        ([], None) => drop(fields.remove(*key)),
        _ => assign(fields.entry(*key).or_insert(Value::Null), rest, value)?,
    }
    if fields.is_empty() {
        *at = Value::Null;
    }
    Some(())
}

/// The text without a field: without its lines where it has some of its own.
fn without(text: &str, node: &Node, path: &[&str]) -> Option<String> {
    let way = way(node, path);
    let Some(entry) = way.last().filter(|_| way.len() == path.len()) else { return Some(text.to_owned()) };
    let line = offset(text, Spot { line: entry.at.line, column: 1 })?;
    let key = offset(text, entry.at)?;
    let (at, end) = if text[line..key].chars().all(char::is_whitespace) {
        let last = entry.node.items().last().map_or(entry.at.line, |item| item.at.line.max(entry.at.line));
        let lines = text[line..].split_inclusive('\n').take((last - entry.at.line + 1) as usize);
        (line, line + lines.map(str::len).sum::<usize>())
    } else {
        let (value, length) = scalar(text, entry)?;
        let parent = way.iter().rev().nth(1)?;
        among_others(text, parent, key, value + length)?
    };
    Some(format!("{}{}", &text[..at], &text[end..]))
}

/// The bytes of a field in a line of others, from `key` to `end`, with the comma that parts it from the next one, else
/// from the one before; the only one goes with its braces.
fn among_others(text: &str, parent: &Entry, key: usize, end: usize) -> Option<(usize, usize)> {
    let rest = text[end..].trim_start();
    let next = text.len() - rest.len();
    if let Some(behind) = rest.strip_prefix(',') {
        return Some((key, text.len() - behind.trim_start_matches(' ').len()));
    }
    let before = text[..key].trim_end();
    match before.strip_suffix(',') {
        Some(before) => Some((before.len(), end)),
        None => rest.starts_with('}').then_some((behind_colon(text, parent)?, next + 1)),
    }
}

/// Where bytes are replaced, how many, and by what.
fn change(text: &str, node: &Node, path: &[&str], value: &Value) -> Option<(usize, usize, String)> {
    let way = way(node, path);
    let rest = &path[way.len()..];
    let Some(last) = way.last() else { return append(text, node, rest, value) };
    if rest.is_empty() { replace(text, last, value) } else { insert(text, last, rest, value) }
}

/// Another value in the place of one.
fn replace(text: &str, entry: &Entry, value: &Value) -> Option<(usize, usize, String)> {
    match &entry.node.tree {
        Tree::Null => return Some((behind_colon(text, entry)?, 0, format!(" {}", written(value)))),
        Tree::List(items) if !text[offset(text, entry.node.at)?..].starts_with('[') => {
            return replace_items(text, items, value);
        }
        Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => {}
    }
    let (at, length) = scalar(text, entry)?;
    Some((at, length, written(value)))
}

/// Where the value of a field is written, and in how many bytes; `None` where it is no number, word, text or list in
/// brackets.
fn scalar(text: &str, entry: &Entry) -> Option<(usize, usize)> {
    let at = offset(text, entry.node.at)?;
    let length = match &entry.node.tree {
        Tree::Number(_) | Tree::Bool(_) => {
            let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']');
            text[at..].find(ends).unwrap_or(text.len() - at)
        }
        Tree::Text(written) => match text[at..].chars().next()? {
            quote @ ('"' | '\'') => text[at + 1..].find(quote)? + 2,
            _ => written.len(),
        },
        Tree::List(_) if text[at..].starts_with('[') => text[at..].find(']')? + 1,
        Tree::Null | Tree::List(_) | Tree::Map(_) => return None,
    };
    Some((at, length))
}

/// Other items in the place of a list with one in each line: the lines of those that stay are left as they are, and new
/// ones follow.
fn replace_items(text: &str, items: &[Node], value: &Value) -> Option<(usize, usize, String)> {
    let (first, last) = (items.first()?.at, items.last()?.at);
    let at = offset(text, Spot { column: 1, ..first })?;
    let end =
        text[at..].split_inclusive('\n').take((last.line - first.line + 1) as usize).map(str::len).sum();
    let wanted = value.as_array()?;
    let mut out = String::new();
    for (number, line) in (first.line..).zip(text[at..at + end].split_inclusive('\n')) {
        let item = items.iter().find(|item| item.at.line == number);
        if item.is_none_or(|item| wanted.contains(&item.to_value())) {
            out.push_str(line);
        }
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str(line_end(text));
    }
    let before = &text[at..offset(text, first)?];
    for item in wanted.iter().filter(|wanted| !items.iter().any(|item| item.to_value() == **wanted)) {
        out.push_str(&format!("{before}{}{}", written(item), line_end(text)));
    }
    Some((at, end, out))
}

/// A value in one line, as people write it: names without quotes where nothing else could be meant.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let is_name = text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if is_name && text.contains('-') { text.clone() } else { value.to_string() }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// The field `rest` below one that is there.
fn insert(text: &str, parent: &Entry, rest: &[&str], value: &Value) -> Option<(usize, usize, String)> {
    let field = in_a_line(rest, value);
    match &parent.node.tree {
        Tree::Null => Some((behind_colon(text, parent)?, 0, format!(" {{ {field} }}"))),
        Tree::Map(entries) => match entries.first() {
            None => Some((offset(text, parent.node.at)? + 1, 0, format!(" {field} "))),
            Some(first) if first.at.line == parent.at.line => {
                Some((offset(text, first.at)?, 0, format!("{field}, ")))
            }
            // Right below its parent, above the comments of the field that was the first.
            Some(first) => {
                let at = offset(text, Spot { line: parent.at.line + 1, column: 1 })?;
                let indent = first.at.column.checked_sub(1)? as usize;
                Some((at, 0, in_lines(rest, value, indent, line_end(text))))
            }
        },
        Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) => None,
    }
}

/// `a: { b: value }`.
fn in_a_line(path: &[&str], value: &Value) -> String {
    match path {
        [] => written(value),
        [key] => format!("{key}: {}", written(value)),
        [key, rest @ ..] => format!("{key}: {{ {} }}", in_a_line(rest, value)),
    }
}

/// A line for each key, the last one with the value.
fn in_lines(path: &[&str], value: &Value, indent: usize, end: &str) -> String {
    let last = path.len().saturating_sub(1);
    let line = |(depth, key): (usize, &&str)| {
        let said = if depth == last { format!(" {}", written(value)) } else { String::new() };
        format!("{}{key}:{said}{end}", " ".repeat(indent + 2 * depth))
    };
    path.iter().enumerate().map(line).collect()
}

/// A document without the first of these fields gets it before its `metadata`, which is the one that it surely has.
fn append(text: &str, node: &Node, path: &[&str], value: &Value) -> Option<(usize, usize, String)> {
    let metadata = node.entry("metadata")?;
    let at = offset(text, metadata.at)?;
    let is_flow =
        node.entries().iter().any(|other| other.key != "metadata" && other.at.line == metadata.at.line);
    let end = if is_flow { ", ".to_owned() } else { line_end(text).to_owned() };
    Some((at, 0, format!("{}{end}", in_a_line(path, value))))
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// The byte at which a place stands.
fn offset(text: &str, at: Spot) -> Option<usize> {
    let before: usize = text.split_inclusive('\n').take(at.line.checked_sub(1)? as usize).map(str::len).sum();
    let line = text.get(before..)?;
    let column = at.column.checked_sub(1)? as usize;
    let within = line.char_indices().map(|(index, _)| index).chain([line.len()]).nth(column)?;
    Some(before + within)
}

/// Right behind the colon of a key.
fn behind_colon(text: &str, entry: &Entry) -> Option<usize> {
    let at = offset(text, entry.at)?;
    let line = text[at..].lines().next()?;
    Some(at + line.find(':')? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ReleaseId {
        "shop/mailer".parse().unwrap()
    }

    fn head(spec: &str) -> String {
        format!(
            "# Ours\nkind: Release\nmetadata: {{ namespace: shop, name: mailer }}\n{spec}---\nkind: Other\n"
        )
    }

    #[test]
    fn nothing_but_the_number_changes() {
        for (before, after) in [
            (
                "spec:\n  strategy: x # why\n  step: 1 # led by commits\n",
                "spec:\n  strategy: x # why\n  step: 12 # led by commits\n",
            ),
            ("spec:\n  step:   # none yet\n", "spec:\n  step: 12   # none yet\n"),
            ("spec:\n  # The ladder\n  strategy: x\n", "spec:\n  step: 12\n  # The ladder\n  strategy: x\n"),
            ("spec: { strategy: x }\n", "spec: { step: 12, strategy: x }\n"),
            ("spec: { strategy: x, step: 3 }\n", "spec: { strategy: x, step: 12 }\n"),
            ("spec:\n  step: \"1\" # quoted\n", "spec:\n  step: 12 # quoted\n"),
            ("spec: {}\n", "spec: { step: 12 }\n"),
            ("spec: # later\n", "spec: { step: 12 } # later\n"),
        ] {
            let edited = set_step(&head(before), &id(), 12).map(|edited| edited.text);
            assert_eq!(edited, Some(head(after)), "{before}");
        }
    }

    #[test]
    fn a_field_goes_with_its_line() {
        let field = Field { kind: "Release", release: &id(), path: &["spec", "suspend"] };
        let text = head("spec:\n  strategy: x\n  suspend: true # for now\n  step: 3\n");
        let edited = set(&text, field, None).unwrap();
        assert_eq!(edited.text, head("spec:\n  strategy: x\n  step: 3\n"));
        assert_eq!(edited.before, Some(Value::Bool(true)));
        let off = set(&text, field, Some(&Value::Bool(false))).unwrap().text;
        assert_eq!(off, text.replace("true", "false"));
        assert_eq!(set(&head("spec:\n  suspend: true\n"), field, None).unwrap().text, head("spec:\n"));
        for (before, after) in [
            ("spec: { suspend: true, step: 1 }\n", "spec: { step: 1 }\n"),
            ("spec: { step: 1, suspend: true } # all\n", "spec: { step: 1 } # all\n"),
            ("spec: { suspend: true }\n", "spec:\n"),
        ] {
            let edited = set(&head(before), field, None).map(|edited| edited.text);
            assert_eq!(edited, Some(head(after)), "{before}");
        }
        assert_eq!(set(&head(""), field, None).unwrap().text, head(""));
    }

    #[test]
    fn a_field_below_others_is_set_and_the_maps_on_the_way_are_made() {
        let at = ["spec", "template", "metadata", "annotations", "at"];
        let field = Field { kind: "Release", release: &id(), path: &at };
        for (before, after) in [
            (
                "spec:\n  template:\n    # Pods\n    spec: x\n",
                "spec:\n  template:\n    metadata:\n      annotations:\n        at: \"now\"\n    # Pods\n    spec: x\n",
            ),
            (
                "spec:\n  template:\n    metadata: { labels: { a: b } }\n",
                "spec:\n  template:\n    metadata: { annotations: { at: \"now\" }, labels: { a: b } }\n",
            ),
            (
                "spec:\n  template:\n    metadata:\n      annotations: {}\n",
                "spec:\n  template:\n    metadata:\n      annotations: { at: \"now\" }\n",
            ),
            (
                "spec: { template: { metadata: { annotations: { b: c, at: 'it' } } } } # all\n",
                "spec: { template: { metadata: { annotations: { b: c, at: \"now\" } } } } # all\n",
            ),
            (
                "spec:\n  template:\n    metadata:\n      annotations:\n        at: then # once\n",
                "spec:\n  template:\n    metadata:\n      annotations:\n        at: \"now\" # once\n",
            ),
        ] {
            let edited = set(&head(before), field, Some(&"now".into())).map(|edited| edited.text);
            assert_eq!(edited, Some(head(after)), "{before}");
        }
    }

    #[test]
    fn a_list_keeps_the_lines_of_what_stays_in_it() {
        let field = Field { kind: "Release", release: &id(), path: &["spec", "replace"] };
        let names = serde_json::json!(["web-b", "web-c"]);
        for (before, after) in [
            (
                "spec:\n  replace:\n  - web-a\n  - web-b # bad disk\n  # the rest\n  - web-d\n  step: 1\n",
                "spec:\n  replace:\n  - web-b # bad disk\n  # the rest\n  - web-c\n  step: 1\n",
            ),
            ("spec:\n  replace: [web-a, web-b] # bad\n", "spec:\n  replace: [web-b, web-c] # bad\n"),
            ("spec:\n  step: 1\n", "spec:\n  replace: [web-b, web-c]\n  step: 1\n"),
            ("spec:\n  replace: []\n", "spec:\n  replace: [web-b, web-c]\n"),
        ] {
            let edited = set(&head(before), field, Some(&names)).map(|edited| edited.text);
            assert_eq!(edited, Some(head(after)), "{before}");
        }
        let gone = set(&head("spec:\n  replace:\n  - web-a\n  - web-b\n  step: 1\n"), field, None).unwrap();
        assert_eq!(gone.text, head("spec:\n  step: 1\n"));
    }

    #[test]
    fn a_release_without_a_spec_gets_one() {
        let edited =
            set_step("kind: Release\nmetadata:\n  namespace: shop\n  name: mailer\n", &id(), 2).unwrap();
        assert_eq!(
            edited.text,
            "kind: Release\nspec: { step: 2 }\nmetadata:\n  namespace: shop\n  name: mailer\n"
        );
        assert_eq!((edited.before, edited.line), (None, 2));
        let flow = "{ kind: Release, metadata: { namespace: shop, name: mailer } }\n";
        let wanted = "{ kind: Release, spec: { step: 2 }, metadata: { namespace: shop, name: mailer } }\n";
        assert_eq!(set_step(flow, &id(), 2).unwrap().text, wanted);
    }

    #[test]
    fn line_ends_and_marks_stay() {
        let text = "\u{feff}kind: Release\r\nmetadata: { namespace: shop, name: mailer }\r\nspec:\r\n  strategy: x\r\n";
        let edited = set_step(text, &id(), 2).unwrap();
        assert_eq!(edited.text, text.replace("spec:\r\n", "spec:\r\n  step: 2\r\n"));
    }

    #[test]
    fn what_is_written_in_another_way_is_left_to_people() {
        for spec in ["spec:\n  step: 1_0\n", "spec: [step]\n", "spec: { step: &a 1, a: *a }\n"] {
            assert_eq!(set_step(&head(spec), &id(), 2), None, "{spec}");
        }
        assert_eq!(set_step(&head(""), &"shop/other".parse().unwrap(), 2), None);
        assert_eq!(set_step("kind: [\n", &id(), 2), None);
    }
}
