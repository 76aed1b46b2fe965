//! The YAML reader, and everything that is read with it.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value};
use triton::spec::edit::set_step;
use triton::spec::node::Node;
use triton::spec::report::{FLAWS_MAX, Report};
use triton::spec::{
    Assembled, Diagnostic, RepositoryFile, assemble, parse_file, parse_repository, read_configuration, yaml,
};

use crate::generative::{any_text, config, corpus, is_a_line, spoilt};
use crate::spec::CHECKOUT;

/// The file and another one, each in its directory.
fn read(bytes: &[u8]) -> Assembled {
    let sound = CHECKOUT.replace("checkout", "sound");
    let files = [
        ("releases/a/file.yaml".to_owned(), Arc::new(parse_file(bytes))),
        ("releases/b/sound.yaml".to_owned(), Arc::new(parse_file(sound.as_bytes()))),
    ];
    assemble(&files.into(), &RepositoryFile::default())
}

/// What is asked of every file, whatever stands in it.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let assembled = read(bytes);
    prop_assert_eq!(&assembled.diagnostics, &read(bytes).diagnostics);
    // A file that names a release is told with it, even where the rest of the file cannot be read.
    let sound = &assembled.releases[&"shop/sound".parse().unwrap()];
    let is_named = String::from_utf8_lossy(bytes).contains("sound");
    prop_assert!(sound.is_ok() || is_named, "one bad file harms one release: {:?}", assembled.diagnostics);
    prop_assert!(assembled.diagnostics.len() <= FLAWS_MAX + 2 * yaml::DOCUMENTS_MAX);
    for checked in assembled.releases.values() {
        if let Err(errors) = checked {
            prop_assert!(!errors.is_empty(), "a release is wrong, and nobody says why");
        }
    }
    let repository = parse_repository(bytes).diagnostics("triton.yaml");
    let configuration = read_configuration("configuration.yaml", bytes).err().unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).into_owned();
    for it in assembled.diagnostics.iter().chain(&repository).chain(&configuration) {
        has_its_place(it, &text)?;
    }
    Ok(())
}

/// A mistake names a file, a line and a column that there are, and says what to do; all of it can be shown.
fn has_its_place(it: &Diagnostic, text: &str) -> Result<(), TestCaseError> {
    prop_assert!(is_a_line(&it.message) && is_a_line(&it.cure) && is_a_line(&it.to_string()), "{it:?}");
    prop_assert!(!it.path.is_empty() && !it.message.is_empty() && !it.cure.is_empty(), "{it:?}");
    if it.path.contains("/b/") {
        return Ok(());
    }
    // Some parsers end lines at a lone carriage return, too.
    let lines: Vec<&str> = text.split(['\n', '\r']).collect();
    prop_assert!(it.line as usize <= lines.len() + 1, "line {} of {}", it.line, lines.len());
    let longest = text.split('\n').map(|line| line.chars().count()).max().unwrap_or(0);
    prop_assert!(it.column as usize <= longest + 2, "column {} of {longest}", it.column);
    prop_assert!(!it.snippet.chars().any(|c| c.is_control() && c != '\n'), "{it:?}");
    prop_assert!(it.snippet.lines().all(|line| line.chars().count() < 150), "{it:?}");
    Ok(())
}

/// Pieces of YAML, in no order.
fn soup() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "- ",
        "? ",
        ": ",
        "a: ",
        "\n",
        "\n  ",
        "\n    ",
        "\n\t",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "&a ",
        "*a ",
        "!!str ",
        "!x ",
        "'",
        "\"",
        "|\n",
        ">-\n",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "#",
        " # x\n",
        "<<: ",
        "\\",
        "\r\n",
        "\u{feff}",
        "\u{85}",
        "kind: Release\n",
        "apiVersion: triton.io/v1\n",
        "metadata: {namespace: shop, name: sound}\n",
        "spec:\n",
        "strategy: {steps: [{replicas: 1}]}",
        "yes",
        "010",
        "1_0",
        ".inf",
        "99999999999999999999",
        "é",
        "🚢",
        "x",
    ]);
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

/// Values as JSON has them.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any_text(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// The value in YAML's block style, texts quoted as JSON quotes them.
fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                out.push_str(&format!("{pad}{}:", Value::from(key.as_str())));
                below(value, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("{pad}-"));
                below(item, indent, out);
            }
        }
        flow => out.push_str(&format!("{pad}{flow}\n")),
    }
}

fn below(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            block(value, indent + 2, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            block(value, indent + 2, out);
        }
        flow => out.push_str(&format!(" {flow}\n")),
    }
}

/// What is read is what was written, or it is said that it cannot be read: never something else.
fn comes_back(value: &Value, text: &str) -> Result<bool, TestCaseError> {
    let mut report = Report::default();
    let source = yaml::read(text.as_bytes(), &mut report);
    if report.has_errors() {
        return Ok(false);
    }
    let read: Vec<Value> = source.documents.iter().map(Node::to_value).collect();
    let expected = if value.is_null() { vec![] } else { vec![value.clone()] };
    prop_assert_eq!(read, expected, "{}", text);
    Ok(true)
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn any_bytes_are_read_or_told(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes)?;
    }

    #[test]
    fn any_text_is_read_or_told(pieces in prop::collection::vec(any_text(), 0..6)) {
        check(pieces.join("\n").as_bytes())?;
    }

    #[test]
    fn a_soup_of_yaml_is_read_or_told(text in soup()) {
        check(text.as_bytes())?;
    }

    #[test]
    fn a_spoilt_release_is_read_or_told(bytes in spoilt(CHECKOUT.as_bytes())) {
        check(&bytes)?;
    }

    #[test]
    fn what_is_written_in_one_line_comes_back(value in value()) {
        comes_back(&value, &value.to_string())?;
    }

    #[test]
    fn what_is_written_in_blocks_comes_back(value in value()) {
        let mut text = String::new();
        block(&value, 0, &mut text);
        comes_back(&value, &text)?;
    }

    #[test]
    fn a_step_is_set_or_left_to_a_person(bytes in spoilt(CHECKOUT.as_bytes()), step in 0..9_u32) {
        edits(&bytes, step)?;
    }

    #[test]
    fn a_step_is_set_in_any_text_or_left_to_a_person(pieces in prop::collection::vec(any_text(), 0..5)) {
        let head = "kind: Release\nmetadata: { namespace: shop, name: checkout }\n";
        edits(format!("{head}spec: {{ {} }}\n", pieces.join(", ")).as_bytes(), 2)?;
        edits(format!("{head}x: {}\nspec:\n", pieces.join(" ")).as_bytes(), 2)?;
    }
}

/// Setting a step twice is setting it once, and nothing but the step is another.
fn edits(bytes: &[u8], step: u32) -> Result<(), TestCaseError> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
    let id = "shop/checkout".parse().unwrap();
    let Some(edited) = set_step(text, &id, step) else { return Ok(()) };
    let again = set_step(&edited.text, &id, step).expect("it was edited before");
    prop_assert_eq!(again.before, Some(step.into()));
    prop_assert_eq!(&again.text, &edited.text);
    prop_assert!(text.lines().count().abs_diff(edited.text.lines().count()) <= 1);
    Ok(())
}

/// The ways of writing above are not all refused: else they would prove nothing.
#[test]
fn most_of_what_is_written_comes_back() {
    let all = crate::generative::values(&value(), 200);
    let back = all.iter().filter(|value| comes_back(value, &value.to_string()).unwrap()).count();
    assert!(back * 2 > all.len(), "{back} of {}", all.len());
}

#[test]
fn the_kept_files_are_read_or_told() {
    for (name, bytes) in corpus("yaml") {
        check(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, bytes) in corpus("edits") {
        edits(&bytes, 2).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
