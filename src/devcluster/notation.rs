//! The shapes of the built-in kinds, read from a short notation (`builtin.txt`) when a cluster is made.
//!
//! ```text
//! Port {                      a structure; `atomic {` where it has one owner
//!   name string
//!   protocol! string          `!`: always shown, with its zero value
//!   ..                        other fields are let through, unchecked
//! }
//! Spec {
//!   ports [Port](port,protocol=TCP)     a list told apart by fields; [T] atomic, [T]set a set
//!   selector atomic {string}            a map of strings with one owner
//! }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::devcluster::schema::{Identity, Scalar, Schema, Shape};

/// The structures of a text, by name. A structure is named only after it was written.
///
/// # Panics
/// On a text that is not in the notation: the only one is compiled in, and a test reads it.
#[must_use]
pub fn structures(text: &str) -> BTreeMap<String, Arc<Schema>> {
    let mut known = BTreeMap::new();
    let mut open: Option<Open> = None;
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        match (line, &mut open) {
            ("", _) => {}
            ("}", structure @ Some(_)) => {
                if let Some(done) = structure.take() {
                    known.insert(done.name.clone(), Arc::new(done.schema()));
                }
            }
            ("..", Some(structure)) => structure.open_ended = true,
            (line, Some(structure)) => {
                let (name, shape) = line.split_once(' ').expect("a field has a name and a type");
                let mut schema = (*shape_of(shape.trim(), &known)).clone();
                schema.always = name.ends_with('!');
                structure.fields.insert(name.trim_end_matches('!').to_owned(), Arc::new(schema));
            }
            (line, None) => {
                let head = line.strip_suffix('{').expect("a structure begins with its name and {").trim();
                let (name, word) = head.split_once(' ').unwrap_or((head, ""));
                open = Some(Open::new(name, word == "atomic"));
            }
        }
    }
    known
}

/// A structure that is being read.
struct Open {
    name: String,
    atomic: bool,
    open_ended: bool,
    fields: BTreeMap<String, Arc<Schema>>,
}

impl Open {
    fn new(name: &str, atomic: bool) -> Open {
        Open { name: name.to_owned(), atomic, open_ended: false, fields: BTreeMap::new() }
    }

    fn schema(self) -> Schema {
        let rest = self.open_ended.then(|| Arc::new(Schema::of(Shape::Open)));
        Schema::of(Shape::Map { fields: self.fields, rest, atomic: self.atomic })
    }
}

fn shape_of(text: &str, known: &BTreeMap<String, Arc<Schema>>) -> Arc<Schema> {
    let scalar = |scalar| Arc::new(Schema::of(Shape::Scalar(scalar)));
    if let Some(inner) = text.strip_prefix("atomic ") {
        let mut schema = (*shape_of(inner, known)).clone();
        if let Shape::Map { atomic, .. } = &mut schema.shape {
            *atomic = true;
        }
        return Arc::new(schema);
    }
    if let Some(inner) = text.strip_prefix('{') {
        let inner = inner.strip_suffix('}').expect("a map type ends in }");
        let rest = Some(shape_of(inner, known));
        return Arc::new(Schema::of(Shape::Map { fields: BTreeMap::new(), rest, atomic: false }));
    }
    if let Some(inner) = text.strip_prefix('[') {
        let (item, identity) = inner.split_once(']').expect("a list type has a ]");
        let item = shape_of(item, known);
        return Arc::new(Schema::of(Shape::List { item, identity: identity_of(identity) }));
    }
    match text {
        "string" => scalar(Scalar::String),
        "int" => scalar(Scalar::Integer),
        "number" => scalar(Scalar::Number),
        "bool" => scalar(Scalar::Boolean),
        "intOrString" => scalar(Scalar::IntOrString),
        "quantity" => scalar(Scalar::Quantity),
        "time" => scalar(Scalar::Time),
        "microTime" => scalar(Scalar::MicroTime),
        "any" => Arc::new(Schema::of(Shape::Open)),
        "sealed" => Arc::new(Schema::of(Shape::Sealed)),
        name => known.get(name).expect("a structure is named after it was written").clone(),
    }
}

fn identity_of(text: &str) -> Identity {
    match text {
        "" => Identity::Atomic,
        "set" => Identity::Set,
        keys => {
            let keys = keys.trim_matches(['(', ')']).split(',');
            Identity::Keys(keys.map(key_of).collect())
        }
    }
}

fn key_of(text: &str) -> (String, Option<Value>) {
    match text.split_once('=') {
        Some((key, default)) => (key.to_owned(), Some(json!(default))),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_told_apart_by_its_keys_and_their_defaults() {
        let known = structures("Port {\n  port int\n}\nSpec {\n  ports! [Port](port,protocol=TCP)\n}\n");
        let (ports, named) = known["Spec"].field("ports");
        let ports = ports.unwrap();
        assert!(named && ports.always);
        let Shape::List { identity, .. } = &ports.shape else { panic!("a list") };
        let keys = vec![("port".to_owned(), None), ("protocol".to_owned(), Some(json!("TCP")))];
        assert_eq!(*identity, Identity::Keys(keys));
    }
}
