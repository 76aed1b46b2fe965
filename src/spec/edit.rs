//! One field of a file set to another value, and nothing else changed: comments and layout stay as people wrote them.
//!
//! **Invariant:** what comes out is read again and says what was asked, and but for that the same as before; a file
//! that cannot be edited so is left to people.

use serde_json::{Map, Value};

use crate::model::ReleaseId;
use crate::objects::record;
use crate::spec::node::{Entry, Node, Spot, Tree};
use crate::spec::report::Report;
use crate::spec::yaml;

/// What `spec.step` was, and the file as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The number that stood there.
    pub before: Option<u32>,
    /// Line of the field, from 1.
    pub line: u32,
    /// The whole file.
    pub text: String,
}

/// The release file `text` with `spec.step: step` for the release `id`; `None` where that takes a person: the file
/// cannot be read, has no such Release, or is written in a way that is not edited here (an alias, a quoted number).
#[must_use]
pub fn set_step(text: &str, id: &ReleaseId, step: u32) -> Option<Edited> {
    // Positions are those of the text without its mark.
    let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let text = &text[mark.len()..];
    let documents = documents(text)?;
    let index = documents.iter().position(|node| is_release(node, id))?;
    let node = &documents[index];
    let before = node.find(&["spec", "step"]).and_then(number);
    let (at, old, new) = change(text, node, step)?;
    let edited = format!("{}{new}{}", &text[..at], &text[at + old..]);
    let again = self::documents(&edited)?;
    let mut wanted: Vec<Value> = documents.iter().map(Node::to_value).collect();
    set(wanted.get_mut(index)?, step)?;
    let line = again.get(index)?.get("spec")?.entry("step")?.at.line;
    let same = again.iter().map(Node::to_value).eq(wanted);
    same.then(|| Edited { before, line, text: format!("{mark}{edited}") })
}

fn documents(text: &str) -> Option<Vec<Node>> {
    let mut report = Report::default();
    let source = yaml::read(text.as_bytes(), &mut report);
    (!report.has_errors()).then_some(source.documents)
}

fn is_release(node: &Node, id: &ReleaseId) -> bool {
    let text = |path: &[&str]| node.find(path).and_then(Node::text);
    text(&["kind"]) == Some(record::KIND)
        && text(&["metadata", "namespace"]) == Some(id.namespace.as_str())
        && text(&["metadata", "name"]) == Some(id.name.as_str())
}

fn number(node: &Node) -> Option<u32> {
    match &node.tree {
        Tree::Number(number) => number.as_u64()?.try_into().ok(),
        Tree::Null | Tree::Bool(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => None,
    }
}

fn set(document: &mut Value, step: u32) -> Option<()> {
    let spec = document.as_object_mut()?.entry("spec").or_insert(Value::Null);
    if spec.is_null() {
        *spec = Value::Object(Map::new());
    }
    spec.as_object_mut()?.insert("step".to_owned(), Value::from(step));
    Some(())
}

/// Where bytes are replaced, how many, and by what.
fn change(text: &str, node: &Node, step: u32) -> Option<(usize, usize, String)> {
    let Some(spec) = node.entry("spec") else { return append(text, node, step) };
    if let Some(entry) = spec.node.entry("step") {
        return match &entry.node.tree {
            Tree::Number(_) => {
                let at = offset(text, entry.node.at)?;
                let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
                Some((at, digits, step.to_string()))
            }
            Tree::Null => Some((behind_colon(text, entry)?, 0, format!(" {step}"))),
            Tree::Bool(_) | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => None,
        };
    }
    match &spec.node.tree {
        Tree::Null => Some((behind_colon(text, spec)?, 0, format!(" {{ step: {step} }}"))),
        Tree::Map(entries) => match entries.first() {
            None => Some((offset(text, spec.node.at)? + 1, 0, format!(" step: {step} "))),
            Some(first) if first.at.line == spec.at.line => {
                Some((offset(text, first.at)?, 0, format!("step: {step}, ")))
            }
            // Right below `spec:`, above the comments of the field that was the first.
            Some(first) => {
                let at = offset(text, Spot { line: spec.at.line + 1, column: 1 })?;
                let indent = " ".repeat(first.at.column.checked_sub(1)? as usize);
                Some((at, 0, format!("{indent}step: {step}{}", line_end(text))))
            }
        },
        Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) => None,
    }
}

/// A document without a `spec` gets one before its `metadata`, which is the one field that it surely has.
fn append(text: &str, node: &Node, step: u32) -> Option<(usize, usize, String)> {
    let metadata = node.entry("metadata")?;
    let at = offset(text, metadata.at)?;
    let in_a_line =
        node.entries().iter().any(|other| other.key != "metadata" && other.at.line == metadata.at.line);
    let end = if in_a_line { ", ".to_owned() } else { line_end(text).to_owned() };
    Some((at, 0, format!("spec: {{ step: {step} }}{end}")))
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
            "spec:\n  step: 0x1\n",
            "spec: [step]\n",
            "spec: { a: &a 1, step: *a }\n",
        ] {
            assert_eq!(set_step(&head(spec), &id(), 2), None, "{spec}");
        }
        assert_eq!(set_step(&head(""), &"shop/other".parse().unwrap(), 2), None);
        assert_eq!(set_step("kind: [\n", &id(), 2), None);
    }
}
