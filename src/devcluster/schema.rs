//! The shape of a kind's objects: what server-side apply, strategic merge patches and validation must know of it.
//!
//! One type serves built-in kinds (written in the notation of `notation`) and custom ones (read from the OpenAPI
//! schema of their definition by `openapi`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// The shape of one value.
#[derive(Clone, Debug)]
pub struct Schema {
    /// What it is.
    pub shape: Shape,
    /// Whether null is a value of it (custom kinds).
    pub nullable: bool,
    /// What stands in its place when it is left out (custom kinds).
    pub default: Option<Value>,
    /// Whether the server always shows it, with its zero value if need be (built-in kinds).
    pub always: bool,
    /// Further limits of its values (custom kinds).
    pub limits: Limits,
}

/// The forms of values.
#[derive(Clone, Debug)]
pub enum Shape {
    /// One value, one owner.
    Scalar(Scalar),
    /// A list.
    List {
        /// The shape of the items.
        item: Arc<Schema>,
        /// How items are told apart.
        identity: Identity,
    },
    /// A map with named fields, or with any keys, or both.
    Map {
        /// Named fields.
        fields: BTreeMap<String, Arc<Schema>>,
        /// The shape under any other key; `None` where other keys are unknown fields.
        rest: Option<Arc<Schema>>,
        /// Whether the whole map has one owner.
        atomic: bool,
    },
    /// Anything. Maps in it are owned key by key, lists as a whole.
    Open,
    /// Anything, owned as a whole.
    Sealed,
}

/// Kinds of scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// true or false.
    Boolean,
    /// A whole number or text.
    IntOrString,
    /// A quantity: text or a number.
    Quantity,
    /// `metav1.Time`.
    Time,
    /// `metav1.MicroTime`.
    MicroTime,
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// They are not: the list has one owner.
    Atomic,
    /// By their value.
    Set,
    /// By some of their fields, each with the value that it has when left out.
    Keys(Vec<(String, Option<Value>)>),
}

/// Limits that a custom kind's schema sets beyond the shape.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Fields that must be there.
    pub required: Vec<String>,
    /// The only values.
    pub one_of: Vec<Value>,
    /// Smallest number.
    pub minimum: Option<f64>,
    /// Largest number.
    pub maximum: Option<f64>,
    /// Shortest text.
    pub min_length: Option<u64>,
    /// Longest text.
    pub max_length: Option<u64>,
    /// Longest list.
    pub max_items: Option<u64>,
}

impl Schema {
    /// A schema of this shape without further rules.
    #[must_use]
    pub fn of(shape: Shape) -> Schema {
        Schema { shape, nullable: false, default: None, always: false, limits: Limits::default() }
    }

    /// A map with these named fields and no others.
    #[must_use]
    pub fn structure(fields: BTreeMap<String, Arc<Schema>>) -> Schema {
        Schema::of(Shape::Map { fields, rest: None, atomic: false })
    }

    /// The shape of what stands under `key`, and whether the key is a named field.
    #[must_use]
    pub fn field(&self, key: &str) -> (Option<&Schema>, bool) {
        match &self.shape {
            Shape::Map { fields, rest, .. } => match fields.get(key) {
                Some(field) => (Some(field), true),
                None => (rest.as_deref(), false),
            },
            Shape::Open | Shape::Sealed => (Some(self), false),
            Shape::Scalar(_) | Shape::List { .. } => (None, false),
        }
    }

    /// The shape of the items, where this is a list.
    #[must_use]
    pub fn item(&self) -> Option<&Schema> {
        match &self.shape {
            Shape::List { item, .. } => Some(item),
            Shape::Open | Shape::Sealed => Some(self),
            Shape::Scalar(_) | Shape::Map { .. } => None,
        }
    }

    /// How `value` is to be walked under this schema.
    #[must_use]
    pub fn view(&self, value: &Value) -> View<'_> {
        match (&self.shape, value) {
            (Shape::Map { atomic: false, .. }, _) | (Shape::Open, Value::Object(_)) => View::Map,
            (Shape::List { identity: Identity::Set, .. }, _) => View::Set,
            (Shape::List { identity: Identity::Keys(keys), .. }, _) => View::Keyed(keys),
            (Shape::Map { .. } | Shape::List { .. } | Shape::Scalar(_) | Shape::Sealed | Shape::Open, _) => {
                View::Leaf
            }
        }
    }
}

/// How a value is walked by those who look for owners.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View<'a> {
    /// As a whole.
    Leaf,
    /// Key by key.
    Map,
    /// Item by item, each its own name.
    Set,
    /// Item by item, named by these fields.
    Keyed(&'a [(String, Option<Value>)]),
}
