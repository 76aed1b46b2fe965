//! The recordings, line by line.

use std::path::Path;

use serde_json::Value;

use crate::traces::picture::{self, Pods};

/// Seconds without a line after which the recorded cluster was at rest.
pub const QUIET: f64 = 0.9;
/// Seconds after a write within which the next one was sent without looking.
pub const SOON: f64 = 0.35;

/// All recordings with their names.
pub fn traces() -> Vec<(String, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kruise-traces");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut all: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .map(|path| (name(&path), read(&path)))
        .collect();
    all.sort_by(|one, two| one.0.cmp(&two.0));
    all
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    straighten(&mut lines);
    lines
}

/// A write that changed nothing has no resourceVersion of its own, and stands too early: behind it go lines that are
/// clearly older.
fn straighten(lines: &mut [Value]) {
    for index in 1..lines.len() {
        let mut place = index;
        let is_state = lines[place].get("cs").is_some() || lines[place].get("pods").is_some();
        let late = |lines: &[Value], place: usize| {
            lines[place - 1].get("do").is_some() && time(&lines[place]) + 0.3 < time(&lines[place - 1])
        };
        while is_state && place > 0 && late(lines, place) {
            lines.swap(place - 1, place);
            place -= 1;
        }
    }
}

/// The lines before `end` that have `key`, the nearest first.
pub fn before<'a>(trace: &'a [Value], end: usize, key: &'static str) -> impl Iterator<Item = &'a Value> {
    trace[..end].iter().rev().filter(move |line| line.get(key).is_some())
}

/// Seconds at which a line was seen.
pub fn time(line: &Value) -> f64 {
    line["t"].as_f64().unwrap_or(f64::MAX)
}

/// Seconds between a write and the one before it.
pub fn since_the_last_write(trace: &[Value], index: usize) -> f64 {
    (time(&trace[index]) - before(trace, index, "do").next().map_or(0.0, time)).max(0.0)
}

/// Whether a note is about pods and status.
pub fn tells_of_state(told: &Value) -> bool {
    match told {
        Value::Array(parts) => parts.iter().any(tells_of_state),
        Value::String(line) => line.contains("| r="),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Whether the pods and the status are compared before a line: it is a write that was accepted, a note about them, or
/// the end.
pub fn shows_state(trace: &[Value], index: usize) -> bool {
    let line = &trace[index];
    line["do"].is_string() || tells_of_state(&line["v"]) || index + 1 == trace.len()
}

/// Whether the recorded cluster was at rest before a line.
pub fn was_at_rest(trace: &[Value], index: usize) -> bool {
    let marks = ["pods", "cs", "do", "rev"];
    let last = trace[..index].iter().rev().find(|line| marks.iter().any(|key| line.get(key).is_some()));
    last.is_some_and(|last| time(&trace[index]) - time(last) > QUIET)
}

/// The first write that was sent in the middle of a movement.
pub fn first_in_movement(trace: &[Value]) -> Option<usize> {
    (1..trace.len()).find(|index| trace[*index]["do"].is_string() && !was_at_rest(trace, *index))
}

/// The pictures of pods and of the CloneSet `set` that were recorded last before a line.
pub fn recorded(trace: &[Value], index: usize, set: &str) -> Option<(Pods, Value)> {
    let line = &trace[index];
    let text = line["do"].as_str().unwrap_or_default();
    // A kill takes a moment: a status on its way is still written. A delete is shown before it returns.
    let soon = |later: &&Value| text.contains("killed") && time(later) < time(line) + 0.1;
    let name = if set == "web" { Value::Null } else { Value::from(set) };
    let later = trace[index + 1..].iter().take_while(|line| line.get("do").is_none()).take_while(soon);
    let cs = later.filter(|line| line.get("cs").is_some()).last();
    let shown =
        |line: &&Value| line["name"] == name && !(text.contains("delete") && line["cs"]["deleted"] == 1);
    let cs = cs.or_else(|| before(trace, index, "cs").find(shown))?["cs"].clone();
    let pods = before(trace, index, "pods").next().and_then(|line| line["pods"].as_str())?;
    let mut pods = picture::read(pods);
    if before(trace, index, "do").count() == 1 {
        // Creation is recorded only where a status was written: who was pending then may run by now.
        for entry in pods.values_mut() {
            entry.remove("pend");
        }
    }
    Some((pods, cs))
}
