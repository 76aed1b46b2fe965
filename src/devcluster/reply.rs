//! Answers: negotiation of their form, JSON or YAML, whole objects, metadata or tables.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::devcluster::kinds::Kind;
use crate::devcluster::refusal::Refusal;
use crate::devcluster::request::Asked;
use crate::devcluster::store::Object;
use crate::devcluster::table::{Look, metadata_only, table};

/// In which form the client wants objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Whole,
    /// As they are, in YAML.
    Yaml,
    /// Only their metadata.
    Metadata,
    /// Only their metadata, for a client that knows it asks for a list.
    MetadataList,
    /// As rows of a table.
    Table,
}

/// The first form that the client names and the server has.
///
/// # Errors
/// 406 where there is none.
pub fn form(asked: &Asked) -> Result<Form, Refusal> {
    asked.accept.iter().find_map(|kind| form_of(kind)).ok_or_else(|| {
        let text = "only the following media types are accepted: application/json, application/yaml, \
                    application/vnd.kubernetes.protobuf";
        Refusal::new(406, "NotAcceptable", text)
    })
}

fn form_of(media: &str) -> Option<Form> {
    let mut parts = media.split(';').map(str::trim);
    let name = parts.next()?;
    let mut wanted = ("", "v1");
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match key {
            "as" => wanted.0 = value,
            "v" => wanted.1 = value,
            _ => {}
        }
    }
    match (name, wanted.0, wanted.1) {
        ("application/json" | "application/*" | "*/*", "", _) => Some(Form::Whole),
        ("application/yaml", "", _) => Some(Form::Yaml),
        ("application/json", "Table", "v1") => Some(Form::Table),
        ("application/json", "PartialObjectMetadata", "v1") => Some(Form::Metadata),
        ("application/json", "PartialObjectMetadataList", "v1") => Some(Form::MetadataList),
        _ => None,
    }
}

/// A JSON answer.
#[must_use]
pub fn json_reply(code: u16, body: &Value) -> Response {
    text_reply(code, "application/json", body.to_string())
}

/// An answer of any text.
#[must_use]
pub fn text_reply(code: u16, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The answer of Go's router to a path that nobody serves.
#[must_use]
pub fn no_page() -> Response {
    text_reply(404, "text/plain; charset=utf-8", "404 page not found\n".to_owned())
}

/// A refusal as a Status.
#[must_use]
pub fn refused(refusal: &Refusal) -> Response {
    let mut response = json_reply(refusal.code, &refusal.status());
    let seconds = refusal.details.as_ref().and_then(|details| details["retryAfterSeconds"].as_i64());
    if let Some(seconds) = seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds warnings, as `kubectl` prints them.
#[must_use]
pub fn with_warnings(mut response: Response, warnings: &[String]) -> Response {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

/// One object in the form that the client wants.
#[must_use]
pub fn object_reply(code: u16, object: &Object, kind: &Kind, asked: &Asked, now: Timestamp) -> Response {
    let look = Look { include: asked.get("includeObject"), columns: true, now };
    match form(asked) {
        Err(refusal) => refused(&refusal),
        Ok(Form::Yaml) => {
            let mut text = String::new();
            write_yaml(object, 0, &mut text);
            text_reply(code, "application/yaml", text)
        }
        Ok(Form::Whole) => text_reply(code, "application/json", object.json().to_owned()),
        Ok(form) => json_reply(code, &shown(object, kind, form, look)),
    }
}

/// YAML of an object: block maps, and JSON for all else, which YAML reads too.
fn write_yaml(value: &Value, depth: usize, text: &mut String) {
    let Some(map) = value.as_object() else { return };
    for (key, value) in map {
        text.push_str(&"  ".repeat(depth));
        text.push_str(&plain_or_quoted(key));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push_str(":\n");
                write_yaml(value, depth + 1, text);
            }
            Value::String(word) => text.push_str(&format!(": {}\n", plain_or_quoted(word))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                text.push_str(&format!(": {value}\n"));
            }
        }
    }
}

/// A word that no YAML reader takes for something else stays plain; anything else is quoted as JSON quotes it.
fn plain_or_quoted(word: &str) -> String {
    let starts = word.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "./-_".contains(letter));
    let taken = matches!(
        word.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if starts && plain && !taken { word.to_owned() } else { json!(word).to_string() }
}

/// One object as metadata or as a table of one row.
#[must_use]
pub fn shown(object: &Value, kind: &Kind, form: Form, look: Look<'_>) -> Value {
    match form {
        Form::Whole | Form::Yaml => object.clone(),
        Form::Metadata | Form::MetadataList => metadata_only(object),
        Form::Table => {
            let version = object["metadata"]["resourceVersion"].clone();
            table(&[object], kind, json!({"resourceVersion": version}), look)
        }
    }
}
