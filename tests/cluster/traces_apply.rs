//! Lines of the recordings that say in words what was applied on the server's side.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::traces::flow;

/// One server-side apply.
pub struct Apply {
    /// Name of the CloneSet.
    pub name: &'static str,
    /// The field manager.
    pub manager: &'static str,
    /// What is applied; apart from kind and name, the `spec`.
    pub spec: Value,
    /// Whether it takes fields from other managers.
    pub force: bool,
    /// Whether the server only says what would be.
    pub is_dry: bool,
}

/// What was applied, where a line is about that.
pub fn apply(what: &str) -> Option<Apply> {
    let whole = |image: &str, replicas: Option<i64>, strategy: Option<&str>| {
        let mut body = flow::base("", "web");
        let spec = body["spec"].as_object_mut().expect("a spec");
        spec.remove("replicas");
        if let Some(replicas) = replicas {
            spec.insert("replicas".to_owned(), json!(replicas));
        }
        let (kind, partition) = ("type:InPlaceIfPossible", strategy.unwrap_or_default());
        let fields = match strategy {
            None => format!("img:{image}"),
            Some("") => format!("img:{image},us:{{{kind}}}"),
            Some(_) => format!("img:{image},us:{{{kind},partition:{partition}}}"),
        };
        flow::apply(&mut body, &flow::fields(&fields));
        body["spec"].take()
    };
    let only_partition = json!({"updateStrategy": {"partition": "25%"}});
    let mut manager = "triton";
    let mut name = "web";
    let spec = match what {
        "create: no replicas, no updateStrategy" | "same again" => whole("A", None, None),
        "with replicas 6 and partition 50%" => whole("A", Some(6), Some("50%")),
        "B at 50%" | "after a hand edit of partition" | "forced" => whole("B", Some(6), Some("50%")),
        "B without partition (dry)" | "B without partition" | "replicas 6 against hpa" => {
            whole("B", Some(6), Some(""))
        }
        "no replicas (dry)" => whole("B", None, Some("")),
        "replicas left out, hpa owns it" => whole("B", None, Some("50%")),
        "only updateStrategy.partition by another manager" => {
            manager = "another";
            only_partition
        }
        "only partition by triton (drops the rest) (dry)" => only_partition,
        "apply onlypart" => {
            name = "onlypart";
            only_partition
        }
        "apply nosel" => {
            name = "nosel";
            let mut spec = whole("A", Some(1), None);
            spec.as_object_mut().expect("a spec").remove("selector");
            spec
        }
        _not_an_apply => return None,
    };
    Some(Apply { name, manager, spec, force: what == "forced", is_dry: what.ends_with("(dry)") })
}

/// Compares an answer with the notes of the same moment: the strategy, the owners of fields, the size where it is told.
pub fn compare(trace: &[Value], index: usize, answer: &Value) -> Result<(), String> {
    let same = |line: &&Value| line["t"] == trace[index]["t"] && line["v"][0].is_u64();
    let told = trace.iter().filter(same).flat_map(|line| line["v"].as_array().into_iter().flatten().skip(1));
    for (place, told) in told.enumerate() {
        let have = match told {
            Value::Object(map) if map.contains_key("type") => answer["spec"]["updateStrategy"].clone(),
            Value::Object(_owners) => json!(owners(answer)),
            Value::Number(_) if place == 0 => answer["spec"]["replicas"].clone(),
            _in_words => continue,
        };
        if have != *told {
            return Err(format!("{}:\n  want {told}\n  have {have}", trace[index]["do"]));
        }
    }
    Ok(())
}

/// The managers with the fields of the spec that they own.
fn owners(body: &Value) -> BTreeMap<String, Vec<String>> {
    let mut owners = BTreeMap::new();
    for entry in body["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let manager = entry["manager"].as_str().unwrap_or_default();
        let part = entry["subresource"].as_str().map(|part| format!("/{part}")).unwrap_or_default();
        let mut paths = Vec::new();
        walk(&entry["fieldsV1"]["f:spec"], "", &mut paths);
        paths.sort();
        owners.insert(format!("{manager}{part}"), paths);
    }
    owners
}

/// Paths below a set of fields, as deep as the recordings tell them.
fn walk(fields: &Value, path: &str, paths: &mut Vec<String>) {
    let inner = fields.as_object().into_iter().flatten().filter(|(key, _)| *key != ".");
    for (key, fields) in inner {
        let path = format!("{path}.{}", key.trim_start_matches("f:"));
        let is_end = path.matches('.').count() == 3 || fields.as_object().is_none_or(|map| map.is_empty());
        if is_end { paths.push(path) } else { walk(fields, &path, paths) }
    }
}
