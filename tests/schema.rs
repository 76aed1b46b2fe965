//! `triton schema` takes what is right and refuses what is wrong, as an editor would find by it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use triton::cli::schema::schema;
use triton::spec::edit::documents;

/// What of a schema `value` does not keep to, by path. The words that our schema uses, of JSON Schema draft 7; patterns
/// are left to editors.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(words) = schema.as_object() else {
        return if *schema == json!(false) { vec![format!("{at}: not allowed")] } else { Vec::new() };
    };
    let keeps = |schema: &Value| faults(root, schema, value, at).is_empty();
    let mut found = Vec::new();
    for (word, says) in words {
        let fault = |is: bool| if is { Vec::new() } else { vec![format!("{at}: {word} {says}")] };
        let list = || says.as_array().unwrap().iter();
        found.extend(match word.as_str() {
            "$ref" => {
                let place = says.as_str().unwrap().strip_prefix('#').unwrap();
                faults(root, root.pointer(place).unwrap(), value, at)
            }
            "allOf" => list().flat_map(|schema| faults(root, schema, value, at)).collect(),
            "anyOf" => fault(list().any(keeps)),
            "not" => fault(!keeps(says)),
            "if" if keeps(says) => words.get("then").map_or(vec![], |then| faults(root, then, value, at)),
            "if" => Vec::new(),
            "type" => fault(list_of(says).iter().any(|name| is_a(value, name))),
            "maxItems" => {
                fault(value.as_array().is_none_or(|items| items.len() as u64 <= says.as_u64().unwrap()))
            }
            "const" => fault(value == says),
            "enum" => fault(list().any(|one| one == value)),
            "minimum" => fault(value.as_f64().is_none_or(|number| number >= says.as_f64().unwrap())),
            "maximum" => fault(value.as_f64().is_none_or(|number| number <= says.as_f64().unwrap())),
            "required" => {
                let has =
                    |key: &Value| value.as_object().is_none_or(|it| it.contains_key(key.as_str().unwrap()));
                list().filter(|key| !has(key)).map(|key| format!("{at}: lacks {key}")).collect()
            }
            "properties" | "additionalProperties" => fields(root, words, word, value, at),
            "items" => {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate();
                items.flat_map(|(index, item)| faults(root, says, item, &format!("{at}[{index}]"))).collect()
            }
            "then" | "$schema" | "title" | "description" | "definitions" | "format" | "pattern" => Vec::new(),
            other => panic!("the test does not know the word {other}"),
        });
    }
    found
}

fn fields(
    root: &Value,
    words: &serde_json::Map<String, Value>,
    word: &str,
    value: &Value,
    at: &str,
) -> Vec<String> {
    let Some(object) = value.as_object() else { return Vec::new() };
    let known = words.get("properties").and_then(Value::as_object);
    let mut found = Vec::new();
    for (key, value) in object {
        let schema = known.and_then(|known| known.get(key));
        let schema = if word == "properties" { schema } else { words.get(word).filter(|_| schema.is_none()) };
        found.extend(
            schema.into_iter().flat_map(|schema| faults(root, schema, value, &format!("{at}.{key}"))),
        );
    }
    found
}

fn list_of(says: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    says.as_array().map_or_else(|| vec![text(says)], |list| list.iter().map(text).collect())
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}

fn check(text: &str) -> Vec<String> {
    let schema = schema();
    let documents = documents(text).unwrap();
    documents.iter().flat_map(|node| faults(&schema, &schema, &node.to_value(), "")).collect()
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_of_the_example_keeps_to_the_schema() {
    let mut files = Vec::new();
    yaml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/repo"), &mut files);
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        assert_eq!(check(&std::fs::read_to_string(&file).unwrap()), [""; 0], "{}", file.display());
    }
}

#[test]
fn a_mistake_is_seen_by_the_schema() {
    let release = |spec: &str| {
        format!(
            "apiVersion: triton.io/v1\nkind: Release\nmetadata: {{ namespace: shop, name: cart }}\nspec: {spec}\n"
        )
    };
    assert_eq!(check(&release("{ step: 2, suspend: true, strategy: careful }")), [""; 0]);
    for wrong in
        ["{ stepp: 2 }", "{ step: two }", "{ suspend: 1 }", "{ strategy: { steps: [{ soak: 5s }] } }"]
    {
        assert_ne!(check(&release(wrong)), [""; 0], "{wrong}");
    }
    assert_eq!(check("reason: stock taking\n"), [""; 0]);
}
