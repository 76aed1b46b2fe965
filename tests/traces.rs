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
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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
        let result = std::panic::catch_unwind(|| {
            let replay = Replay::of(&trace, 1);
            replay.faults
        });
        match result {
            Ok(faults) if faults.is_empty() => {}
            Ok(faults) => {
                bad += 1;
                println!(
                    "== {name}: {}\n{}",
                    faults.len(),
                    if only.is_some() { faults.join("\n") } else { faults[0].clone() }
                );
            }
            Err(_) => {
                bad += 1;
                println!("== {name}: panic");
            }
        }
    }
    assert_eq!(bad, 0, "of {all}");
}
