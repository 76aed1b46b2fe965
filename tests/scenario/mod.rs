//! Scenarios: stories in `tests/scenarios/*.yaml`, told in commits, clusters and time, and played with the real
//! daemon, a real repository and the embedded cluster.

mod format;
mod reading;
mod history;
mod observer;
mod stage;
mod play;

use std::collections::BTreeSet;
use std::fs;

/// One test for each file, so that each can be asked for by name.
macro_rules! scenarios {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $name() {
                play::twice($file);
            }
        )*
        const FILES: &[&str] = &[$($file),*];
    };
}

scenarios! {
    a_rollout_takes_its_steps: "k1-steps.yaml",
}

fn listed() -> BTreeSet<String> {
    let entries = fs::read_dir(format::folder()).expect("the scenarios can be listed");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".yaml")).collect()
}

#[test]
fn every_scenario_is_played() {
    let played: BTreeSet<String> = FILES.iter().map(|file| (*file).to_owned()).collect();
    assert_eq!(listed(), played);
}

#[test]
fn the_list_of_scenarios_has_every_sentence() {
    let readme = fs::read_to_string(format::folder().join("README.md")).expect("the list is there");
    for file in listed() {
        for (id, sentence) in format::read(&file).says {
            let line = format!("| {id} | {sentence} | [{file}]({file}) |");
            assert!(readme.contains(&line), "tests/scenarios/README.md lacks this line:\n{line}");
        }
    }
}
