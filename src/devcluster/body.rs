//! Bodies: JSON, with the keys that come twice.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Largest body (`MaxRequestBodyBytes` of the API server).
pub const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// Largest object that is kept (etcd's `DefaultMaxRequestBytes`), counted by the body that brings it.
pub const OBJECT_LIMIT: usize = 1_536 * 1024;

/// Reads JSON. Of a key that comes twice the last counts; its path is returned.
///
/// # Errors
/// What is wrong, in the words of Go's decoder where those are simple.
pub fn read(bytes: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut twice = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Probe { at: String::new(), twice: &mut twice }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(value) => Ok((value, twice)),
        Err(error) if error.is_eof() => Err("unexpected end of JSON input".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A body in an error message: at most 30 bytes of it, in hex where it is no JSON object.
#[must_use]
pub fn summary(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(30)];
    let text = match bytes.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(cut).into_owned(),
        Some(_) => cut.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if bytes.len() > 30 { format!("{text} ...") } else { text }
}

/// Reads a value and notes keys that come twice.
struct Probe<'a> {
    at: String,
    twice: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let at = format!("{}[{}]", self.at, list.len());
            match items.next_element_seed(Probe { at, twice: self.twice })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let at = if self.at.is_empty() { key.clone() } else { format!("{}.{key}", self.at) };
            if map.contains_key(&key) {
                self.twice.push(at.clone());
            }
            let value = entries.next_value_seed(Probe { at, twice: self.twice })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_twice_is_told_with_its_path() {
        let (value, twice) = read(br#"{"spec": {"a": 1, "a": 2}}"#).unwrap();
        assert_eq!(value["spec"]["a"], 2);
        assert_eq!(twice, vec!["spec.a"]);
        assert_eq!(read(b"{").unwrap_err(), "unexpected end of JSON input");
        assert_eq!(summary(b"[]"), "5b5d");
    }
}
