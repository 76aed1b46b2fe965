//! YAML as a tree in which every value knows where it stands.

use serde_json::{Map, Number, Value};

/// A place in a file: line and column (in characters), both from 1; 0 where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub at: Spot,
    /// What it is.
    pub tree: Tree,
}

/// What JSON can say, with places.
#[derive(Clone, Debug)]
pub enum Tree {
    /// Nothing was written, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map; keys are unique and in the order in which they were written.
    Map(Vec<Entry>),
}

/// One field of a map.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Where the key begins.
    pub at: Spot,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// The fields of a map; none for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.tree {
            Tree::Map(entries) => entries,
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::List(_) => &[],
        }
    }

    /// The items of a list; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.tree {
            Tree::List(items) => items,
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) | Tree::Map(_) => &[],
        }
    }

    /// The field `key` of a map.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of the field `key`, if there is one and it is not null.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node).filter(|node| !matches!(node.tree, Tree::Null))
    }

    /// The value at the end of `path`.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Text, if it is that.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.tree {
            Tree::Text(text) => Some(text),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// What it is, in a word or two.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self.tree {
            Tree::Null => "nothing",
            Tree::Bool(_) => "true or false",
            Tree::Number(_) => "a number",
            Tree::Text(_) => "text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }

    /// The same as JSON, without places.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.tree {
            Tree::Null => Value::Null,
            Tree::Bool(it) => Value::Bool(*it),
            Tree::Number(it) => Value::Number(it.clone()),
            Tree::Text(it) => Value::String(it.clone()),
            Tree::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Tree::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// JSON as a tree whose places are unknown.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let at = Spot::default();
        let tree = match value {
            Value::Null => Tree::Null,
            Value::Bool(it) => Tree::Bool(*it),
            Value::Number(it) => Tree::Number(it.clone()),
            Value::String(it) => Tree::Text(it.clone()),
            Value::Array(items) => Tree::List(items.iter().map(Self::from_value).collect()),
            Value::Object(fields) => {
                let entry = |(key, value): (&String, &Value)| Entry {
                    key: key.clone(),
                    at,
                    node: Self::from_value(value),
                };
                Tree::Map(fields.iter().map(entry).collect())
            }
        };
        Self { at, tree }
    }
}
