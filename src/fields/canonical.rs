//! One spelling of a JSON value, and a fingerprint of it.

use std::fmt;

use serde_json::Value;

use crate::model::Digest;

/// A value as bytes: no blanks, keys of objects in byte order. Equal values have equal bytes.
#[must_use]
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            out.extend_from_slice(value.to_string().as_bytes())
        }
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // Not left to serde_json: one crate of the build could turn on its `preserve_order`.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(key, out);
                out.push(b':');
                write(item, out);
            }
            out.push(b'}');
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text becomes JSON, and a Vec takes every byte");
}

/// 128 bits of SHA-256 over the canonical bytes: tells values apart, never trusted against forgery.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// Fingerprint of a value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self::of_bytes(&canonical(value))
    }

    /// Fingerprint of bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&Digest::of(bytes).as_bytes()[..16]);
        Self(half)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_nothing_else_is_changed() {
        let value = json!({"b": [1, "x\n", null], "a": {"d": 1.5, "c": true}});
        assert_eq!(
            String::from_utf8(canonical(&value)).unwrap(),
            r#"{"a":{"c":true,"d":1.5},"b":[1,"x\n",null]}"#
        );
    }

    #[test]
    fn equal_values_have_equal_fingerprints() {
        let one = Fingerprint::of(&json!({"a": 1, "b": 2}));
        assert_eq!(one, Fingerprint::of(&serde_json::from_str(r#"{ "b": 2, "a": 1 }"#).unwrap()));
        assert_ne!(one, Fingerprint::of(&json!({"a": 1, "b": "2"})));
    }
}
