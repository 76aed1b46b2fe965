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

/// A field right below `spec` of the document that has this kind and the name of the release.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// `Release`, `CloneSet`.
    pub kind: &'a str,
    /// Whose.
    pub release: &'a ReleaseId,
    /// Its name.
    pub key: &'a str,
}

/// What a field was, and the file as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// What stood there.
    pub before: Option<Value>,
    /// Line of the field, from 1; where it is no more, the line of `spec`.
    pub line: u32,
    /// The whole file.
    pub text: String,
}

/// The release file `text` with `spec.step: step` for the release `id`; `None` where that takes a person.
#[must_use]
pub fn set_step(text: &str, id: &ReleaseId, step: u32) -> Option<Edited> {
    set(text, Field { kind: record::KIND, release: id, key: "step" }, Some(&Value::from(step)))
}

/// The file `text` with `value`, a number or true or false, in `field`, or without that field; `None` where that takes
/// a person: the file cannot be read, has no such document, or is written in a way that is not edited here (an alias,
/// a quoted number).
#[must_use]
pub fn set(text: &str, field: Field<'_>, value: Option<&Value>) -> Option<Edited> {
    // Positions are those of the text without its mark.
    let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let text = &text[mark.len()..];
    let documents = documents(text)?;
    let index = documents.iter().position(|node| is_meant(node, field))?;
    let node = &documents[index];
    let before = node.find(&["spec", field.key]).map(Node::to_value);
    let edited = match value {
        Some(value) => {
            let (at, old, new) = change(text, node, field.key, &value.to_string())?;
            format!("{}{new}{}", &text[..at], &text[at + old..])
        }
        None => without(text, node, field.key)?,
    };
    let again = self::documents(&edited)?;
    let mut wanted: Vec<Value> = documents.iter().map(Node::to_value).collect();
    assign(wanted.get_mut(index)?, field.key, value)?;
    let spec = again.get(index)?.entry("spec");
    let line = spec.map(|spec| spec.node.entry(field.key).map_or(spec.at.line, |entry| entry.at.line));
    let same = again.iter().map(Node::to_value).eq(wanted);
    same.then(|| Edited { before, line: line.unwrap_or_default(), text: format!("{mark}{edited}") })
}

/// What `field` says in the file `text`; `None` where it says nothing, or cannot be read.
#[must_use]
pub fn get(text: &str, field: Field<'_>) -> Option<Value> {
    let documents = documents(text)?;
    let node = documents.iter().find(|node| is_meant(node, field))?;
    node.find(&["spec", field.key]).map(Node::to_value)
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

fn assign(document: &mut Value, key: &str, value: Option<&Value>) -> Option<()> {
    let document = document.as_object_mut()?;
    if value.is_none() && !document.contains_key("spec") {
        return Some(());
    }
    let spec = document.entry("spec").or_insert(Value::Null);
    if spec.is_null() {
        *spec = Value::Object(Map::new());
    }
    let fields = spec.as_object_mut()?;
    match value {
        Some(value) => drop(fields.insert(key.to_owned(), value.clone())),
        None => drop(fields.remove(key)),
    }
    if fields.is_empty() {
        *spec = Value::Null;
    }
    Some(())
}

/// The text without the line of a field that has one of its own.
fn without(text: &str, node: &Node, key: &str) -> Option<String> {
    let Some(entry) = node.entry("spec").and_then(|spec| spec.node.entry(key)) else {
        return Some(text.to_owned());
    };
    let at = offset(text, Spot { line: entry.at.line, column: 1 })?;
    let key_at = offset(text, entry.at)?;
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
    text[at..key_at].chars().all(char::is_whitespace).then(|| format!("{}{}", &text[..at], &text[end..]))
}

/// Where bytes are replaced, how many, and by what.
fn change(text: &str, node: &Node, key: &str, value: &str) -> Option<(usize, usize, String)> {
    let Some(spec) = node.entry("spec") else { return append(text, node, key, value) };
    if let Some(entry) = spec.node.entry(key) {
        return match &entry.node.tree {
            Tree::Number(_) | Tree::Bool(_) => {
                let at = offset(text, entry.node.at)?;
                let letters = text[at..].bytes().take_while(u8::is_ascii_alphanumeric).count();
                Some((at, letters, value.to_owned()))
            }
            Tree::Null => Some((behind_colon(text, entry)?, 0, format!(" {value}"))),
            Tree::Text(_) | Tree::List(_) | Tree::Map(_) => None,
        };
    }
    match &spec.node.tree {
        Tree::Null => Some((behind_colon(text, spec)?, 0, format!(" {{ {key}: {value} }}"))),
        Tree::Map(entries) => match entries.first() {
            None => Some((offset(text, spec.node.at)? + 1, 0, format!(" {key}: {value} "))),
            Some(first) if first.at.line == spec.at.line => {
                Some((offset(text, first.at)?, 0, format!("{key}: {value}, ")))
            }
            // Right below `spec:`, above the comments of the field that was the first.
            Some(first) => {
                let at = offset(text, Spot { line: spec.at.line + 1, column: 1 })?;
                let indent = " ".repeat(first.at.column.checked_sub(1)? as usize);
                Some((at, 0, format!("{indent}{key}: {value}{}", line_end(text))))
            }
        },
        Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) => None,
    }
}

/// A document without a `spec` gets one before its `metadata`, which is the one field that it surely has.
fn append(text: &str, node: &Node, key: &str, value: &str) -> Option<(usize, usize, String)> {
    let metadata = node.entry("metadata")?;
    let at = offset(text, metadata.at)?;
    let in_a_line =
        node.entries().iter().any(|other| other.key != "metadata" && other.at.line == metadata.at.line);
    let end = if in_a_line { ", ".to_owned() } else { line_end(text).to_owned() };
    Some((at, 0, format!("spec: {{ {key}: {value} }}{end}")))
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
            ("spec: {}\n", "spec: { step: 12 }\n"),
            ("spec: # later\n", "spec: { step: 12 } # later\n"),
        ] {
            let edited = set_step(&head(before), &id(), 12).map(|edited| edited.text);
            assert_eq!(edited, Some(head(after)), "{before}");
        }
    }

    #[test]
    fn a_field_goes_with_its_line() {
        let field = Field { kind: "Release", release: &id(), key: "suspend" };
        let text = head("spec:\n  strategy: x\n  suspend: true # for now\n  step: 3\n");
        let edited = set(&text, field, None).unwrap();
        assert_eq!(edited.text, head("spec:\n  strategy: x\n  step: 3\n"));
        assert_eq!(edited.before, Some(Value::Bool(true)));
        let off = set(&text, field, Some(&Value::Bool(false))).unwrap().text;
        assert_eq!(off, text.replace("true", "false"));
        assert_eq!(set(&head("spec:\n  suspend: true\n"), field, None).unwrap().text, head("spec:\n"));
        assert_eq!(set(&head("spec: { suspend: true, step: 1 }\n"), field, None), None);
        assert_eq!(set(&head(""), field, None).unwrap().text, head(""));
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
        for spec in [
            "spec:\n  step: \"1\"\n",
            "spec:\n  step: 1_0\n",
            "spec: [step]\n",
            "spec: { a: &a 1, step: *a }\n",
        ] {
            assert_eq!(set_step(&head(spec), &id(), 2), None, "{spec}");
        }
        assert_eq!(set_step(&head(""), &"shop/other".parse().unwrap(), 2), None);
        assert_eq!(set_step("kind: [\n", &id(), 2), None);
    }
}
