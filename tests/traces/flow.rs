//! The compact notation of the `do` lines: `typ:ReCreate,R:5,spec:{lifecycle:{…}},env:[{name:X,value:1}]`.

use serde_json::{Map, Value, json};

/// Keys below which every scalar is text, however it looks.
const TEXTS: [&str; 8] =
    ["labels", "labelsHandler", "matchLabels", "annotations", "tlab", "tann", "ann", "env"];

/// Reads the fields of a `create` or `write`.
pub fn fields(text: &str) -> Value {
    let mut reader = Reader { rest: text };
    let map = reader.map(&[], false);
    assert!(reader.rest.is_empty(), "left over: {:?} of {text:?}", reader.rest);
    map
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self, as_text: bool) -> Value {
        if self.skip('{') {
            let map = self.map(&['}'], as_text);
            assert!(self.skip('}'), "a map ends");
            map
        } else if self.skip('[') {
            let mut list = Vec::new();
            while !self.skip(']') {
                list.push(self.value(as_text));
                self.skip(',');
            }
            Value::Array(list)
        } else {
            scalar(&self.word(&[',', '}', ']']), as_text)
        }
    }

    fn map(&mut self, ends: &[char], as_text: bool) -> Value {
        let mut map = Map::new();
        while !self.rest.is_empty() && !ends.iter().any(|end| self.rest.starts_with(*end)) {
            let key = self.word(&[':']);
            assert!(self.skip(':'), "a key has a value: {key}");
            let as_text = as_text || TEXTS.contains(&key.as_str());
            map.insert(key, self.value(as_text));
            self.skip(',');
        }
        Value::Object(map)
    }

    fn skip(&mut self, letter: char) -> bool {
        let rest = self.rest.strip_prefix(letter);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self, ends: &[char]) -> String {
        let end = self.rest.find(|letter| ends.contains(&letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }
}

fn scalar(word: &str, as_text: bool) -> Value {
    match word {
        "null" => Value::Null,
        word if as_text => json!(word),
        "true" => json!(true),
        "false" => json!(false),
        word => word.parse::<i64>().map_or_else(|_| json!(word), |number| json!(number)),
    }
}

/// Lays `patch` over `target`: maps are merged, everything else is replaced.
pub fn merge(target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in patch {
                merge(&mut target[key], value);
            }
        }
        other => *target = other.clone(),
    }
}

/// The CloneSet with which every recorded run began, before the fields of its `create`.
pub fn base(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 10, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "r/app:A"}]}},
        },
    })
}

/// Applies the fields of a `create` or `write` to a CloneSet.
pub fn apply(body: &mut Value, fields: &Value) {
    for (key, value) in fields.as_object().expect("fields are a map") {
        let spec = &mut body["spec"];
        match key.as_str() {
            "typ" => spec["updateStrategy"]["type"] = value.clone(),
            "R" => spec["replicas"] = value.clone(),
            "part" => spec["updateStrategy"]["partition"] = value.clone(),
            "mu" => spec["updateStrategy"]["maxUnavailable"] = value.clone(),
            "surge" => spec["updateStrategy"]["maxSurge"] = value.clone(),
            "paused" => spec["updateStrategy"]["paused"] = value.clone(),
            "prio" => spec["updateStrategy"]["priorityStrategy"] = value.clone(),
            "us" => merge(&mut spec["updateStrategy"], value),
            "img" => {
                let image = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                spec["template"]["spec"]["containers"][0]["image"] = json!(format!("r/app:{image}"));
            }
            "env" => spec["template"]["spec"]["containers"][0]["env"] = value.clone(),
            "tmpl" => merge(&mut spec["template"]["metadata"], value),
            "tlab" => spec["template"]["metadata"]["labels"] = value.clone(),
            "tann" => spec["template"]["metadata"]["annotations"] = value.clone(),
            "pod" => merge(&mut spec["template"]["spec"], value),
            "spec" => merge(spec, value),
            "sel" => spec["selector"] = value.clone(),
            "ss" => spec["scaleStrategy"] = value.clone(),
            "ptd" => spec["scaleStrategy"]["podsToDelete"] = value.clone(),
            "ann" => merge(&mut body["metadata"]["annotations"], value),
            other => panic!("a field that is not known: {other}"),
        }
    }
}
