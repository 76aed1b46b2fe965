//! The imitation of the CloneSet controller against recordings of the real one (`tests/kruise-traces`).

mod flow;
mod picture;
mod replay;
mod script;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::traces::replay::Replay;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kruise-traces")
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
    let time = |line: &Value| line["t"].as_f64().unwrap_or(f64::MAX);
    for index in 1..lines.len() {
        let mut place = index;
        let is_state = lines[place].get("cs").is_some() || lines[place].get("pods").is_some();
        while is_state
            && place > 0
            && lines[place - 1].get("do").is_some()
            && time(&lines[place]) + 0.3 < time(&lines[place - 1])
        {
            lines.swap(place - 1, place);
            place -= 1;
        }
    }
}

#[test]
fn the_imitation_goes_where_the_real_controller_went() {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let only = std::env::var("TRACE").ok();
    let mut bad = 0;
    let mut all = 0;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl")) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        all += 1;
        let trace = read(path);
        let begun = std::time::Instant::now();
        let result = std::panic::catch_unwind(|| Replay::of(&trace, 1));
        let took = begun.elapsed().as_millis();
        match result {
            Ok(Ok(_)) => {
                if took > 300 {
                    println!("-- {name} {took} ms");
                }
            }
            Ok(Err(fault)) => {
                bad += 1;
                println!("== {name}: {took} ms line {}\n{}", fault.index + 1, fault.text);
            }
            Err(_) => {
                bad += 1;
                println!("== {name}: panic");
            }
        }
    }
    assert_eq!(bad, 0, "of {all}");
}
