//! A JSON value as compact bytes, opened when somebody looks into it.
//!
//! A release is kept for as long as Git has it, and its objects are looked into when they are written: as trees of
//! [`Value`] they take ten times the memory.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::fields::canonical::canonical;

/// A JSON value. Clones share its bytes; equal values are equal.
#[derive(Clone, PartialEq, Eq)]
pub struct Compact(Arc<[u8]>);

impl Compact {
    /// Takes a value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self(canonical(value).into())
    }

    /// The value.
    #[must_use]
    pub fn open(&self) -> Value {
        serde_json::from_slice(&self.0).expect("a value that became JSON is read again")
    }
}

impl fmt::Debug for Compact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_the_same_when_it_is_opened() {
        for value in
            [json!(null), json!({"b": [1, -2, 1.5, u64::MAX, true], "a": {"c": "x\n\u{1}ü", "d": {}}})]
        {
            assert_eq!(Compact::of(&value).open(), value);
        }
        assert_eq!(Compact::of(&json!({"a": 1, "b": 2})), Compact::of(&json!({"b": 2, "a": 1})));
    }
}
