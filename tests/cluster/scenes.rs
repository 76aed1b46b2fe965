//! Every scenario, played on the real control plane, each in a namespace of its own, several at a time, and compared with
//! the embedded cluster.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write as _, stderr};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::cluster::plane::Plane;
use crate::scenario::FILES;
use crate::scenario::play::{Went, on_both, said};

/// Of the scenarios only those whose files have one of this variable's texts, apart by commas, in their names.
const PART: &str = "TRITON_SCENES";
/// Scenarios at a time. They wait more than they compute; more of them only wait for each other.
const WORKERS: usize = 6;
/// Those that wait longest for what takes its time, `minReadySeconds` above all, begin first.
const FIRST: [&str; 6] = [
    "g25-freeze.yaml",
    "h5-one-unproven.yaml",
    "g10-broken-file.yaml",
    "g23-deleted-by-hand.yaml",
    "m18-clocks.yaml",
    "h8-too-late.yaml",
];

/// In these somebody takes the time for which a pod is out of its Service before it goes. They are played before the others,
/// so that the machine is not too busy for it.
const TIMED: [&str; 4] = ["d1-in-place.yaml", "d2-made-anew.yaml", "d3-added.yaml", "d4-alone.yaml"];

/// So many that did not go as they should among others are played again by themselves: where the machine was too busy
/// for a moment that matters, they go as they should then. More of them have another reason.
const ALONE_MAX: usize = 6;

/// What became of the scenarios, by file.
type Ends = BTreeMap<&'static str, Result<Went, String>>;

#[test]
#[ignore = "tests/cluster/test runs it"]
fn every_scenario_goes_the_same_way_on_both_clusters() {
    let plane = Plane::shared();
    plane.define_record();
    plane.define_routes();
    let parts = std::env::var(PART).unwrap_or_default();
    let is_asked = |file: &&str| parts.split(',').any(|part| file.contains(part));
    let asked = FILES.iter().copied().filter(is_asked);
    let (timed, mut others): (Vec<_>, Vec<_>) = asked.partition(|file| TIMED.contains(file));
    // The last one is taken first.
    others.sort_by_key(|file| FIRST.contains(file));
    let all = timed.len() + others.len();
    let mut ends = play_all(timed);
    ends.append(&mut play_all(others));
    let alone: BTreeMap<&str, String> =
        ends.iter().filter_map(|(file, end)| Some((*file, fault(file, end)?))).collect();
    if alone.len() <= ALONE_MAX {
        for file in alone.keys() {
            ends.insert(file, play(file, &format!("{file} alone")));
        }
    }
    let mut summary = summary(&ends);
    alone.values().for_each(|why| summary.push_str(&format!("\n  alone    {}", why.replace('\n', " "))));
    tell(&summary);
    fs::write(folder().join("summary.txt"), &summary).expect("a file");
    assert_eq!(ends.len(), all, "every scenario was played");
    let failed: Vec<String> = ends.iter().filter_map(|(file, end)| fault(file, end)).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Plays these, several at a time.
fn play_all(todo: Vec<&'static str>) -> Ends {
    let (todo, ends) = (Mutex::new(todo), Mutex::new(Ends::new()));
    thread::scope(|scope| {
        for _worker in 0..WORKERS {
            scope.spawn(|| {
                while let Some(file) = { todo.lock().expect("nobody panics here").pop() } {
                    let end = play(file, file);
                    ends.lock().expect("nobody panics here").insert(file, end);
                }
            });
        }
    });
    ends.into_inner().expect("nobody panics here")
}

/// Plays a scenario on both clusters, and tells of it under this name.
fn play(file: &str, name: &str) -> Result<Went, String> {
    let began = Instant::now();
    let end = catch_unwind(|| on_both(file)).map_err(|panic| said(&*panic));
    report(name, &end, began.elapsed().as_secs());
    end
}

/// Says something at once, whether the test succeeds or not.
fn tell(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenes");
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Tells in a line how a scenario went, and keeps both traces in a file below cargo's folder for tests.
fn report(name: &str, end: &Result<Went, String>, took: u64) {
    let (line, more) = match end {
        Err(said) => ("does not go through".to_owned(), said.as_str()),
        Ok(Went::EmbeddedOnly(_)) => ("is not played on a control plane".to_owned(), ""),
        Ok(Went::Both { lines, accepted, differences, traces }) => {
            let count = format!("{lines} lines, {} accepted, {} differ", accepted.len(), differences.len());
            (count, traces.as_str())
        }
    };
    tell(&format!("scene {name}: {line}; {took} s"));
    fs::write(folder().join(format!("{name}.txt")), format!("{name}: {line}; {took} s\n{more}\n"))
        .expect("a file");
}

/// What is wrong with a scenario.
fn fault(file: &str, end: &Result<Went, String>) -> Option<String> {
    match end {
        Err(said) => Some(format!("{file} does not go through: {said}")),
        Ok(Went::Both { differences, .. }) if !differences.is_empty() => {
            Some(format!("{file} differs:\n{}", differences.join("\n")))
        }
        Ok(Went::EmbeddedOnly(_) | Went::Both { .. }) => None,
    }
}

/// The whole in a few lines.
fn summary(ends: &Ends) -> String {
    let (mut equal, mut lines_equal, mut notes) = (0, 0, Vec::new());
    for (file, end) in ends {
        match end {
            Err(said) => {
                notes.push(format!("  fails    {file}: {}", said.lines().next().unwrap_or_default()))
            }
            Ok(Went::EmbeddedOnly(reason)) => notes.push(format!("  left out {file}: {reason}")),
            Ok(Went::Both { lines, accepted, differences, .. }) => {
                if accepted.is_empty() && differences.is_empty() {
                    equal += 1;
                    lines_equal += lines;
                }
                let known = accepted.iter().map(|(line, why)| format!("  accepted {file}: {line}: {why}"));
                notes.extend(known);
                notes.extend(differences.iter().map(|line| format!("  differs  {file}: {line}")));
            }
        }
    }
    notes.sort();
    let all = ends.len();
    let head =
        format!("scenes: {all} scenarios on both clusters: {equal} traces equal ({lines_equal} lines)");
    [vec![head], notes].concat().join("\n")
}
