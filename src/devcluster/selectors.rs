//! Label and field selectors of lists and watches.

use serde_json::Value;

use crate::devcluster::kinds::Kind;
use crate::devcluster::refusal::Refusal;

/// What a list or a watch is to show.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Reads both selectors as they stand in a query.
    ///
    /// # Errors
    /// 400 where one cannot be read, or names a field that the kind does not select by.
    pub fn read(labels: &str, fields: &str, kind: &Kind) -> Result<Selector, Refusal> {
        let labels = Parser::new(labels).requirements()?;
        let mut tests = Vec::new();
        for part in fields.split(',').filter(|part| !part.is_empty()) {
            let (name, equal, value) = field_test(part).ok_or_else(|| {
                let text = format!("invalid selector: '{fields}'; can't understand '{part}'");
                Refusal::bad_request(text)
            })?;
            if !is_selectable(name, kind) {
                return Err(Refusal::bad_request(format!("field label not supported: {name}")));
            }
            tests.push((format!("/{}", name.replace('.', "/")), equal, value.to_owned()));
        }
        Ok(Selector { labels, fields: tests })
    }

    /// Whether it shows everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether it shows this object.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.matches(labels[&requirement.key].as_str()))
            && self.fields.iter().all(|(path, equal, wanted)| {
                let found = object.pointer(path).map_or_else(String::new, |value| match value {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                });
                (found == *wanted) == *equal
            })
    }
}

fn field_test(part: &str) -> Option<(&str, bool, &str)> {
    if let Some((name, value)) = part.split_once("!=") {
        return Some((name, false, value));
    }
    let (name, value) = part.split_once("==").or_else(|| part.split_once('='))?;
    Some((name, true, value))
}

fn is_selectable(name: &str, kind: &Kind) -> bool {
    if name == "metadata.name" || (name == "metadata.namespace" && kind.namespaced) {
        return true;
    }
    match kind.resource().as_str() {
        "pods" => matches!(
            name,
            "spec.nodeName"
                | "spec.restartPolicy"
                | "spec.schedulerName"
                | "spec.serviceAccountName"
                | "status.phase"
                | "status.podIP"
        ),
        "events" => {
            name.starts_with("involvedObject.")
                || matches!(name, "reason" | "reportingComponent" | "source" | "type")
        }
        "secrets" => name == "type",
        "namespaces" => name == "status.phase",
        _ => false,
    }
}

impl Requirement {
    fn matches(&self, label: Option<&str>) -> bool {
        let number = || label.and_then(|label| label.parse::<i64>().ok());
        match &self.test {
            Test::In(values) => label.is_some_and(|label| values.iter().any(|value| value == label)),
            Test::NotIn(values) => label.is_none_or(|label| values.iter().all(|value| value != label)),
            Test::Exists => label.is_some(),
            Test::Missing => label.is_none(),
            Test::Above(bound) => number().is_some_and(|number| number > *bound),
            Test::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// Reads the grammar of label selectors, token by token.
struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn new(text: &str) -> Parser {
        let mut tokens: Vec<String> = Vec::new();
        let mut word = String::new();
        for letter in text.chars().chain([' ']) {
            let special = "=!(),><".contains(letter);
            if (special || letter.is_whitespace()) && !word.is_empty() {
                tokens.push(std::mem::take(&mut word));
            }
            if special {
                match tokens.last_mut() {
                    Some(last) if letter == '=' && (last == "=" || last == "!") => last.push('='),
                    _ => tokens.push(letter.to_string()),
                }
            } else if !letter.is_whitespace() {
                word.push(letter);
            }
        }
        Parser { tokens, at: 0 }
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned().unwrap_or_default()
    }

    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, Refusal> {
        let mut all = Vec::new();
        while !self.peek().is_empty() {
            all.push(self.requirement()?);
            match self.next().as_str() {
                "" => break,
                "," => {}
                other => {
                    let text = format!("found '{other}', expected: ',' or 'end of string'");
                    return Err(Refusal::bad_request(text));
                }
            }
        }
        Ok(all)
    }

    fn requirement(&mut self) -> Result<Requirement, Refusal> {
        let mut key = self.next();
        let negated = key == "!";
        if negated {
            key = self.next();
        }
        if "=!(),><==!=".contains(key.as_str()) {
            let text = format!("found '{key}', expected: !, identifier, or 'end of string'");
            return Err(Refusal::bad_request(text));
        }
        if negated {
            return Ok(Requirement { key, test: Test::Missing });
        }
        let test = match self.peek().to_owned().as_str() {
            "" | "," => Test::Exists,
            "=" | "==" => Test::In(vec![self.value()]),
            "!=" => Test::NotIn(vec![self.value()]),
            "in" => Test::In(self.values()?),
            "notin" => Test::NotIn(self.values()?),
            ">" => Test::Above(self.value().parse().unwrap_or(i64::MAX)),
            "<" => Test::Below(self.value().parse().unwrap_or(i64::MIN)),
            other => {
                let text = format!(
                    "unable to parse requirement: found '{other}', expected: in, notin, =, ==, !=, gt, lt"
                );
                return Err(Refusal::bad_request(text));
            }
        };
        Ok(Requirement { key, test })
    }

    fn value(&mut self) -> String {
        self.next();
        if matches!(self.peek(), "" | ",") { String::new() } else { self.next() }
    }

    fn values(&mut self) -> Result<Vec<String>, Refusal> {
        let wrong = |found: &str| {
            let text =
                format!("unable to parse requirement: found '{found}', expected: ',', ')' or identifier");
            Refusal::bad_request(text)
        };
        self.next();
        if self.next() != "(" {
            return Err(Refusal::bad_request("unable to parse requirement: expected: '('"));
        }
        let mut values = Vec::new();
        loop {
            match self.next().as_str() {
                ")" => return Ok(values),
                "," => {}
                word if !word.is_empty() && word != "(" => values.push(word.to_owned()),
                other => return Err(wrong(other)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: Value) -> bool {
        let requirements = Parser::new(selector).requirements().unwrap();
        requirements.iter().all(|requirement| requirement.matches(labels[&requirement.key].as_str()))
    }

    #[test]
    fn a_label_selector_reads_as_kubernetes_reads_it() {
        let labels = serde_json::json!({"app": "web", "tier": "2"});
        for selector in [
            "app=web",
            "app == web",
            "app in (web,db)",
            "app,!none",
            "tier>1,tier<3",
            "none notin (a)",
            "x!=y",
        ] {
            assert!(matches(selector, labels.clone()), "{selector}");
        }
        for selector in ["app!=web", "!app", "app in (db)", "app=web,none", "tier>2"] {
            assert!(!matches(selector, labels.clone()), "{selector}");
        }
        assert!(Parser::new("app in (").requirements().is_err());
    }
}
