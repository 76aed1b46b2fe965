//! The CustomResourceDefinition of the record, made from the same types that are written into it.
//!
//! A structural schema (Kubernetes, "Specifying a structural schema"): no references, no defaults, one type per
//! value. `deploy/crd.yaml` is this, as YAML.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::objects::keys;
use crate::objects::record::{KIND, PLURAL, ReleaseStatus};

/// Short name for `kubectl get rel`.
const SHORT: &str = "rel";

/// The CustomResourceDefinition `releases.triton.io`.
#[must_use]
pub fn custom_resource_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{PLURAL}.{}", keys::GROUP) },
        "spec": {
            "group": keys::GROUP,
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": KIND.to_lowercase(),
                "shortNames": [SHORT],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": keys::VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": [
                    column("Version", ".status.versionText", "string"),
                    column("Step", ".status.stepText", "string"),
                    column("Pods", ".status.podsText", "string"),
                    column("Waits-For", ".status.waitsFor", "string"),
                    column("Since", ".status.since", "date"),
                    column("Phase", ".status.phase", "string"),
                ],
                "schema": { "openAPIV3Schema": {
                    "description": "What Git says of a release, and what became of it. A record: editing it changes \
                                    nothing and is undone.",
                    "type": "object",
                    "properties": {
                        "spec": {
                            "description": "The release as it stands in Git.",
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": true,
                        },
                        "status": structural::<ReleaseStatus>(),
                    },
                }},
            }],
        },
    })
}

fn column(name: &str, path: &str, kind: &str) -> Value {
    json!({ "name": name, "jsonPath": path, "type": kind })
}

fn structural<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::openapi3();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let schema =
        settings.with_transform(RecursiveTransform(flatten)).into_generator().into_root_schema_for::<T>();
    schema.to_value()
}

/// Makes one schema structural: what the API server does not know, or would act upon, goes.
fn flatten(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    // The server would write defaults into what we sent; `title` and Rust's number formats it does not know.
    for key in ["default", "title", "$schema", "format"] {
        object.remove(key);
    }
    if let Some(Value::Array(cases)) = object.remove("oneOf") {
        merge_enum(object, &cases);
    }
    join_lines(object);
}

/// A closed enum: documented variants stand as one schema each, but a structural schema has one type.
fn merge_enum(object: &mut Map<String, Value>, cases: &[Value]) {
    let words: Vec<Value> = cases
        .iter()
        .flat_map(|case| match (case.get("const"), case.get("enum")) {
            (Some(word), _) => vec![word.clone()],
            (None, Some(Value::Array(words))) => words.clone(),
            (None, _) => Vec::new(),
        })
        .collect();
    object.insert("type".to_owned(), json!("string"));
    object.insert("enum".to_owned(), Value::Array(words));
}

/// Doc comments are wrapped for the source; a description is one paragraph.
fn join_lines(object: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_schema(value: &Value, visit: &mut impl FnMut(&Map<String, Value>)) {
        let Some(object) = value.as_object() else { return };
        visit(object);
        for inner in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            each_schema(inner.1, visit);
        }
        for key in ["items", "additionalProperties"] {
            object.get(key).into_iter().for_each(|inner| each_schema(inner, visit));
        }
    }

    #[test]
    fn the_schema_is_structural() {
        let crd = custom_resource_definition();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut seen = 0;
        each_schema(schema, &mut |object| {
            seen += 1;
            assert!(object["type"].is_string(), "one type: {object:?}");
            for key in ["$ref", "oneOf", "anyOf", "allOf", "default", "not"] {
                assert!(!object.contains_key(key), "{key}: {object:?}");
            }
        });
        assert!(seen > 40, "every field of the status is described: {seen}");
        assert!(!schema.to_string().contains("$ref"));
    }

    #[test]
    fn every_printer_column_names_a_field_of_the_status() {
        let crd = custom_resource_definition();
        let version = &crd["spec"]["versions"][0];
        let fields = &version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
        for column in version["additionalPrinterColumns"].as_array().unwrap() {
            let path = column["jsonPath"].as_str().unwrap();
            let field = path.strip_prefix(".status.").unwrap();
            assert!(fields[field].is_object(), "{path}");
        }
    }

    #[test]
    fn a_phase_and_a_gate_are_one_of_their_words() {
        let crd = custom_resource_definition();
        let status =
            &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
        let phases = status["phase"]["enum"].as_array().unwrap();
        assert_eq!(phases.len(), 5);
        let gates = status["holds"]["items"]["properties"]["gate"]["enum"].as_array().unwrap();
        assert!(gates.contains(&json!("rolling-back")), "{gates:?}");
    }
}
