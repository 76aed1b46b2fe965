//! The table of stories in `tests/scenarios/README.md`: every id that is asked for has a row, and every row has a story.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::scenario::FILES;
use crate::scenario::format;

/// The ids that must be told, as runs of numbers.
const ASKED: &[(char, &[(u32, u32)])] = &[
    ('H', &[(1, 29)]),
    ('M', &[(1, 18)]),
    ('S', &[(2, 2), (4, 19), (22, 22), (24, 31), (33, 35)]),
    ('P', &[(1, 14)]),
    ('W', &[(1, 29)]),
    ('B', &[(1, 30)]),
    ('R', &[(1, 6)]),
    ('D', &[(1, 5)]),
    ('K', &[(1, 12)]),
    ('G', &[(1, 14), (16, 25)]),
    ('F', &[(1, 9), (44, 44), (46, 46)]),
];

/// A row of the table.
struct Row {
    id: String,
    sentence: String,
    place: String,
}

fn readme() -> String {
    fs::read_to_string(format::folder().join("README.md")).expect("the table is there")
}

fn rows() -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [id, sentence, place] = cells[..] else { return None };
        let is_id = id.len() > 1 && id[1..].bytes().all(|byte| byte.is_ascii_digit());
        is_id.then(|| Row { id: id.to_owned(), sentence: sentence.to_owned(), place: place.to_owned() })
    };
    readme().lines().filter_map(row).collect()
}

fn asked() -> BTreeSet<String> {
    let runs = ASKED.iter().flat_map(|(letter, runs)| runs.iter().map(move |run| (letter, run)));
    runs.flat_map(|(letter, (from, to))| (*from..=*to).map(move |number| format!("{letter}{number}")))
        .collect()
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
fn every_story_that_is_asked_for_is_told() {
    let told: BTreeSet<String> = rows().into_iter().map(|row| row.id).collect();
    assert_eq!(told, asked());
}

#[test]
fn every_row_of_the_table_leads_to_its_story() {
    for Row { id, sentence, place } in rows() {
        let is_there = if let Some((file, test)) = place.trim_matches('`').split_once("::") {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("fn {test}(")))
        } else {
            listed().iter().any(|file| {
                place == format!("[{file}]({file})") && format::read(file).says.get(&id) == Some(&sentence)
            })
        };
        assert!(is_there, "{id}: {place} does not tell `{sentence}`");
    }
}

#[test]
fn the_list_of_scenarios_has_every_sentence() {
    let readme = readme();
    for file in listed() {
        for (id, sentence) in format::read(&file).says {
            let line = format!("| {id} | {sentence} | [{file}]({file}) |");
            assert!(readme.contains(&line), "tests/scenarios/README.md lacks this line:\n{line}");
        }
    }
}
