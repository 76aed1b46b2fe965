//! The imitation of the CloneSet controller against recordings of the real one, `tests/kruise-traces`.
//!
//! Each `do` line is done to the imitation, in virtual time. Compared are:
//! - **at rest** (the recording had no line for 0.9 s): pods by revision with their readiness and every mark, the whole
//!   `cs` line with its status, and the notes; the imitation must be there after seven seconds without a change;
//! - **in the middle**: a write that was sent while things moved is sent at a moment when the imitation shows the recorded
//!   picture, or the same numbers of pods, or as long after the last write as recorded. The recorded moment is known only
//!   to some writes of the controller, so a few are tried; one of them must lead to everything that was recorded after;
//! - **at the end**: the way of the fresh statuses (`ends.rs`), the revisions with their names and numbers, the counts of
//!   Events; and no status says that a step is done before its pods are available.
//!
//! Durations, and the order of pods within one pass, are not compared.

mod deeds;
pub mod ends;
pub mod flow;
pub mod lines;
pub mod picture;
mod replay;
pub mod script;
pub mod story;

use std::sync::Mutex;
use std::thread;

use serde_json::Value;

use crate::traces::lines::traces;
use crate::traces::replay::Replay;

/// Traces of what the imitation does not have, with the reason.
const LEFT_OUT: [(&str, &str); 3] = [
    ("drift", "server-side apply is the API's: its own recordings are replayed, and defaulting has tests"),
    ("ssa", "server-side apply is the API's"),
    ("ssa-cold", "server-side apply is the API's"),
];

/// Traces whose end depends on a race that the recording does not show: states at rest are compared all the same.
const RACES: [(&str, &str); 7] = [
    ("hpa-integer-mid-rc", "how many marked pods were deleted before the scale-in was seen"),
    ("hpa-step-ip", "how many pods had moved when the last scale came"),
    ("hpa-step-rc", "pods of one step were deleted in one pass or in two"),
    ("recreate-cs-foreground", "how often the revision came back while garbage was collected"),
    ("rejections", "whether a pass came between two writes 20 ms apart"),
    ("zero-ip-fast", "which of two passes saw the size zero"),
    ("zero-rc-fast", "which of two passes saw the size zero"),
];

/// Worlds that are tried for one trace: the recorded cluster had its own chance.
const SEEDS: u64 = 12;

/// What keeps a trace from being reproduced, or `None`.
fn fault(name: &str, trace: &[Value]) -> Option<String> {
    let mut first = None;
    for seed in 1..=SEEDS {
        match Replay::of(trace, seed) {
            Ok(replay) => {
                let races = RACES.iter().any(|(race, _)| *race == name);
                let differences = if races {
                    Vec::new()
                } else {
                    ends::differences(trace, &replay.story, &replay.events())
                };
                if differences.is_empty() {
                    return None;
                }
                first.get_or_insert(differences.join("\n"));
            }
            Err(fault) => {
                first.get_or_insert(format!("line {}: {}", fault.index + 1, fault.text));
            }
        }
    }
    first
}

#[test]
fn the_imitation_goes_where_the_real_controller_went() {
    let todo = Mutex::new(traces());
    let faults = Mutex::new(Vec::new());
    let work = || {
        while let Some((name, trace)) = { todo.lock().unwrap().pop() } {
            if LEFT_OUT.iter().any(|(left_out, _)| *left_out == name) {
                continue;
            }
            if let Some(fault) = fault(&name, &trace) {
                faults.lock().unwrap().push(format!("{name}: {fault}"));
            }
        }
    };
    thread::scope(|scope| {
        for _worker in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut faults = faults.into_inner().unwrap();
    faults.sort();
    assert!(faults.is_empty(), "{} traces are not reproduced\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn what_is_left_out_of_the_traces_is_server_side_apply_alone() {
    let all = traces();
    for (name, _) in LEFT_OUT.iter().chain(&RACES) {
        assert!(all.iter().any(|(trace, _)| trace == name), "{name} is there");
    }
    for (name, trace) in all.iter().filter(|(name, _)| LEFT_OUT.iter().any(|(left_out, _)| left_out == name))
    {
        let applies = |line: &Value| line["do"].as_str().is_some_and(|what| what.contains("apply"));
        let refused = |line: &Value| line["do"]["rejected"].as_str().is_some();
        assert!(trace.iter().any(|line| applies(line) || refused(line)), "{name} applies");
    }
}
