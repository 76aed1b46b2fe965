//! Inputs that nobody wrote: made by chance from a fixed seed, and kept in `corpus/` where they once showed something.
//!
//! What is asked of each reader: it never panics and never hangs, its limits hold, what it can write it reads back, and
//! each error says where. `PROPTEST_CASES` and `PROPTEST_RNG_SEED` ask for more. An input that fails is kept: a file in
//! `corpus/<reader>/`, named by what it shows; all of them are played again by every run.

mod clonesets;
mod fields;
mod freezes;
mod markers;
mod objects;
mod stories;
mod wire;
mod yaml;

pub use objects::write;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// The seed of every run that names no other.
const SEED: u64 = 20_261_122;

/// The readers that have a corpus.
const READERS: [&str; 10] =
    ["yaml", "edits", "markers", "paths", "freezes", "fields", "commits", "trees", "tags", "wire"];

/// So many cases, the same in each run.
fn config(cases: u32) -> Config {
    let asked = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked.cases } else { cases };
    let rng_seed = match asked.rng_seed {
        RngSeed::Random => RngSeed::Fixed(SEED),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    Config { cases, rng_seed, failure_persistence: None, ..asked }
}

/// Values of a strategy, for tests that look at many at once.
fn values<S: Strategy>(strategy: &S, count: u32) -> Vec<S::Value> {
    let mut runner = TestRunner::new(config(count));
    let count = runner.config().cases;
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generative/corpus")
}

/// The kept inputs of a reader, by name.
fn corpus(reader: &str) -> Vec<(String, Vec<u8>)> {
    assert!(READERS.contains(&reader));
    let entries = fs::read_dir(folder().join(reader)).expect("the corpus is there");
    let mut kept: Vec<_> = entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a file"))
        })
        .collect();
    kept.sort();
    assert!(kept.len() >= 3, "{reader} has a corpus of {}", kept.len());
    kept
}

#[test]
fn every_kept_input_is_of_a_reader_and_named_by_what_it_shows() {
    let folders: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, READERS.iter().map(|it| (*it).to_owned()).collect());
    for reader in READERS {
        for (name, bytes) in corpus(reader) {
            assert!(name.contains('-') && name.len() >= 8, "{reader}/{name} says little");
            assert!(bytes.len() <= 16 << 10, "{reader}/{name} is {} bytes", bytes.len());
        }
    }
}

/// Text that a screen shows as one line: nothing that a terminal obeys, and an end.
fn is_a_line(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.chars().count() <= 1_000
}

/// Any characters, the troublesome ones often.
fn any_text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "\u{0}",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
        "\u{a0}",
        "\u{200e}",
        "\u{202e}",
        "\u{2028}",
        "\u{feff}",
        "\u{fffd}",
        "\u{10ffff}",
        "\r\n",
        "\t",
        "é",
        "e\u{301}",
        "日本",
        "🚢",
        "%",
        "..",
        "/",
        "\\",
        "'",
        "\"",
        "`",
        ": ",
        " #",
        "- ",
        "---",
        "no",
        "1e9",
        "0x1f",
        "010",
        "~",
        "null",
        "<<",
        "&a",
        "*a",
        "!!",
        "|",
        ">",
        "{",
        "}",
        "[",
        "]",
        ",",
        "?",
    ]);
    let piece = prop_oneof![3 => odd.prop_map(str::to_owned), 2 => "[a-z0-9.-]{0,8}", 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// A file that is spoilt here and there: bytes changed, cut out, doubled.
fn spoilt(sound: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..5_u8);
    prop::collection::vec(change, 0..6).prop_map(move |changes| {
        let mut bytes = sound.to_vec();
        for (at, to, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let (at, to) = (at.index(bytes.len()), to.index(bytes.len()));
            let (from, until) = (at.min(to), at.max(to).min(at.min(to) + 40));
            match how {
                0 => bytes[at] = byte,
                1 => bytes.swap(at, to),
                2 => drop(bytes.drain(from..until)),
                3 => bytes.extend_from_within(from..until),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}
