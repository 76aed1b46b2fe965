//! Properties: what a digest does not see, what it sees, and that no bytes harm the reader.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use triton::spec::{parse_file, parse_repository, read_configuration, read_freeze, read_marker};

use crate::spec::{CHECKOUT, one};

/// The documents of [`CHECKOUT`] as JSON.
fn documents() -> Vec<Value> {
    let release = one(&[("releases/a.yaml", CHECKOUT)]);
    serde_json::from_slice(&release.documents).unwrap()
}

/// Writes `value` as YAML in one of many ways; `choices` decides.
fn write(value: &Value, indent: usize, choices: &mut impl FnMut(usize) -> usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() && indent < 4 => {
            let mut fields: Vec<_> = fields.iter().collect();
            let turn = choices(fields.len());
            fields.rotate_left(turn);
            for (key, value) in fields {
                if choices(4) == 0 {
                    out.push_str(&format!("{pad}# a comment\n"));
                }
                let key = if choices(3) == 0 { format!("\"{key}\"") } else { key.clone() };
                out.push_str(&format!("{pad}{key}:{}", " ".repeat(choices(3))));
                match value {
                    Value::Object(inner) if !inner.is_empty() && indent < 3 => {
                        out.push('\n');
                        write(value, indent + 1, choices, out);
                    }
                    _ => {
                        out.push(' ');
                        flow(value, choices, out);
                        out.push('\n');
                    }
                }
            }
        }
        _ => {
            out.push_str(&pad);
            flow(value, choices, out);
            out.push('\n');
        }
    }
}

fn flow(value: &Value, choices: &mut impl FnMut(usize) -> usize, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            let turn = choices(fields.len().max(1));
            fields.rotate_left(turn);
            out.push('{');
            for (key, value) in fields {
                out.push_str(&format!("\"{key}\": "));
                flow(value, choices, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                flow(item, choices, out);
                out.push_str([", ", " ,"][choices(2)]);
            }
            out.push(']');
        }
        Value::String(text) if choices(2) == 0 => out.push_str(&format!("'{text}'")),
        _ => out.push_str(&value.to_string()),
    }
}

/// The places of all scalars.
fn scalars(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| scalars(value, &format!("{at}/{key}"), out))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(key, value)| scalars(value, &format!("{at}/{key}"), out))
        }
        _ => out.push(at.to_owned()),
    }
}

fn yaml(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("---\n{document}\n")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_way_of_writing_is_not_in_the_digest(seed in prop::collection::vec(any::<Index>(), 400), turn in 0usize..3) {
        let mut documents = documents();
        documents.rotate_left(turn);
        let mut seed = seed.into_iter().cycle();
        let mut choices = |count: usize| seed.next().unwrap().index(count);
        let mut text = String::new();
        for document in &documents {
            text.push_str("---\n");
            write(document, 0, &mut choices, &mut text);
        }
        let expected = one(&[("releases/a.yaml", CHECKOUT)]);
        let found = one(&[("releases/a.yaml", &text)]);
        prop_assert_eq!(&found.documents, &expected.documents, "{}", text);
        prop_assert_eq!(found.template, expected.template);
    }

    #[test]
    fn bytes_never_harm_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn yaml_like_text_never_harms_the_reader(text in "([-?:,\\[\\]{}#&*!|>'\"%@` \n\ta-c0-9.~<]{0,6}(---|: |\n  |\\.\\.\\.|<<: )?){0,40}") {
        read_all(text.as_bytes());
    }

    #[test]
    fn a_release_cut_or_stirred_never_harms_the_reader(at in any::<Index>(), to in any::<Index>(), byte in any::<u8>()) {
        let (at, to) = (at.index(CHECKOUT.len()), to.index(CHECKOUT.len()));
        let mut bytes = CHECKOUT.as_bytes().to_vec();
        bytes[at] = byte;
        bytes.swap(at, to);
        read_all(&bytes);
        bytes.truncate(to);
        read_all(&bytes);
        let file = [("releases/a.yaml".to_owned(), std::sync::Arc::new(parse_file(&bytes)))];
        let _ = triton::spec::assemble(&file.into(), &triton::spec::RepositoryFile::default());
    }
}

fn read_all(bytes: &[u8]) {
    let _ = parse_file(bytes);
    let _ = parse_repository(bytes);
    let _ = read_marker(bytes, true);
    let _ = read_freeze("freeze.yaml", bytes);
    let _ = read_configuration("c.yaml", bytes);
}

/// Every scalar of every document is in the digest: changing any one changes it, or is a mistake.
#[test]
fn everything_else_is_in_the_digest() {
    let original = documents();
    let expected = one(&[("releases/a.yaml", &yaml(&original))]).digest;
    let mut changed = 0;
    for index in 0..original.len() {
        let mut places = Vec::new();
        scalars(&original[index], "", &mut places);
        for place in places {
            let mut documents = original.clone();
            let value = documents[index].pointer_mut(&place).unwrap();
            *value = match &*value {
                Value::String(text) => Value::String(format!("{text}1")),
                Value::Number(number) => Value::from(number.as_f64().unwrap() as u64 + 1),
                Value::Bool(value) => Value::Bool(!value),
                other => panic!("{place}: {other}"),
            };
            let read = crate::spec::read(&[("releases/a.yaml", &yaml(&documents))]);
            for release in read.releases.values().flatten() {
                assert_ne!(release.digest, expected, "{place}");
                changed += 1;
            }
        }
    }
    assert!(changed > 10, "{changed}");
}
