//! The rules of the house that the compiler does not check. The tables here are the architecture.
//!
//! Each rule is a function from sources to faults, so that the rules themselves are tested: with the sources as
//! they are they find nothing, with a fault put in they find it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::source::{Source, sources};

/// Every room from the ground up, and the rooms that it may lean on.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("objects", &["model"]),
    ("fields", &["model", "objects"]),
    ("spec", &["model", "objects", "fields"]),
    ("world", &["model", "objects", "fields", "spec"]),
    ("traffic", &["model", "objects", "spec", "world"]),
    ("plan", &["model", "objects", "fields", "spec", "world", "traffic"]),
    ("guard", &["model", "objects", "fields", "spec", "world"]),
    ("git", &["model"]),
    ("catalog", &["model", "objects", "fields", "spec", "world", "git"]),
    ("cluster", &["model", "objects", "fields", "world"]),
    (
        "controller",
        &[
            "model", "objects", "fields", "spec", "world", "traffic", "plan", "guard", "git", "catalog",
            "cluster",
        ],
    ),
    // What the loop shows of itself is its own data; here it is only put into the form that the world reads.
    ("server", &["model", "objects", "world", "cluster", "controller"]),
    ("devcluster", &["model", "objects"]),
    (
        "cli",
        &[
            "model",
            "objects",
            "fields",
            "spec",
            "world",
            "plan",
            "guard",
            "git",
            "catalog",
            "cluster",
            "controller",
            "server",
            "devcluster",
        ],
    ),
];

/// Rooms above the line between what is pure and what may fail; `main` is the program.
const HANDS: &[&str] = &["git", "catalog", "cluster", "controller", "server", "devcluster", "cli", "main"];
/// Every room.
const ALL: &[&str] = &[
    "model",
    "objects",
    "fields",
    "spec",
    "world",
    "traffic",
    "plan",
    "guard",
    "git",
    "catalog",
    "cluster",
    "controller",
    "server",
    "devcluster",
    "cli",
    "main",
];

/// Every crate that we depend on, and the rooms by which it enters: a dependency has one place to be replaced in.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("anyhow", &["cli", "main"]),
    ("axum", &["server", "devcluster"]),
    ("base64", &["spec", "controller", "devcluster"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("file_watch", &["controller", "cli"]),
    ("flate2", HANDS),
    ("futures", &["cluster", "controller", "devcluster", "cli"]),
    ("git2", &["git"]),
    ("jiff", ALL),
    // For its feature alone: kube's own code needs the version of the API chosen.
    ("k8s_openapi", &[]),
    ("kube", &["cluster", "cli"]),
    ("prometheus_client", &["server"]),
    ("reqwest", &["git"]),
    ("rustls", &["git", "cluster", "cli", "main"]),
    ("schemars", &["model", "objects", "spec", "cluster", "cli"]),
    ("serde", ALL),
    ("serde_json", ALL),
    ("serde_saphyr", &["spec"]),
    ("sha2", &["model"]),
    ("thiserror", ALL),
    ("tokio", &["cluster", "controller", "server", "devcluster", "cli"]),
    ("tracing", HANDS),
    ("tracing_subscriber", &["cli", "main"]),
];

/// Words that stand only in the files named beside them, and why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("Timestamp::now", CLOCKS, "one clock, so that a test can hold it"),
    ("SystemTime::now", CLOCKS, "one clock, so that a test can hold it"),
    ("Zoned::now", CLOCKS, "one clock, so that a test can hold it"),
    ("HashMap", &[], "its order is another one in each run; BTreeMap has one order"),
    ("HashSet", &[], "its order is another one in each run; BTreeSet has one order"),
    ("static mut", &[], "state has an owner"),
    ("thread_rng", &[], "ids come from a seed"),
];

/// The daemon's clock; the embedded cluster's, which is another machine in life; commands, which run for a moment.
const CLOCKS: &[&str] = &["controller/clock.rs", "devcluster/clock.rs", "cli/"];

/// How a name of ours on the wire begins, and the one file that spells them.
const WIRE: (&str, &str) = ("triton.io/", "objects/keys.rs");

/// Longest file that a reader is asked to open.
const FILE_LINES_MAX: usize = 500;
/// Longest function: what fits on a screen.
const FUNCTION_LINES_MAX: usize = 70;

fn source_files() -> Vec<Source> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn test_files() -> Vec<Source> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
}

fn grants(room: &str) -> Option<&'static [&'static str]> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, grants)| *grants)
}

fn is_program(source: &Source) -> bool {
    matches!(source.room(), "lib" | "main")
}

/// A row leans on rows above it only.
fn table_faults(rooms: &[(&str, &[&str])]) -> Vec<String> {
    let mut faults = Vec::new();
    for (floor, (room, grants)) in rooms.iter().enumerate() {
        for grant in *grants {
            if !rooms.iter().take(floor).any(|(below, _)| below == grant) {
                faults.push(format!("`{room}` leans on `{grant}`, which is not below it"));
            }
        }
    }
    faults
}

/// Rooms lean on the rooms that their row grants, by `crate::` paths; `lib.rs` lists them as the table does.
fn room_faults(files: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        for line in file.lines_with("super") {
            let stands = file.code.lines().nth(line - 1).unwrap_or_default().trim();
            if stands != "use super::*;" {
                faults.push(format!("{}: write `crate::`, not `super::`", file.at(line)));
            }
        }
        if is_program(file) {
            continue;
        }
        let Some(grants) = grants(file.room()) else {
            faults.push(format!("{}: room `{}` has no row in ROOMS", file.name(), file.room()));
            continue;
        };
        for path in file.paths_from("crate") {
            let named = path.rest.first().map_or("", String::as_str);
            if named != file.room() && !grants.contains(&named) {
                faults.push(format!("{}: `{}` may not lean on `{named}`", file.at(path.line), file.room()));
            }
        }
    }
    for lib in files.iter().filter(|file| file.name() == "lib.rs") {
        let order: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
        if lib.modules() != order {
            faults.push("lib.rs: its rooms are not those of ROOMS, in that order".to_owned());
        }
    }
    faults
}

/// Outside crates enter by their rooms.
fn outside_faults(files: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        for (name, rooms) in OUTSIDE.iter().filter(|(_, rooms)| !rooms.contains(&file.room())) {
            for line in file.lines_naming_crate(name) {
                let room = file.room();
                faults.push(format!("{}: `{room}` may not name `{name}`; {rooms:?} may", file.at(line)));
            }
        }
    }
    faults
}

/// A crate that has rooms is named in one of them: what nobody names is not needed.
fn unused_faults(files: &[Source], outside: &[(&str, &[&str])]) -> Vec<String> {
    let entered = |name: &str| files.iter().any(|file| !file.lines_naming_crate(name).is_empty());
    let idle = outside.iter().filter(|(name, rooms)| !rooms.is_empty() && !entered(name));
    idle.map(|(name, _)| format!("`{name}` is named nowhere: take it out of Cargo.toml and OUTSIDE"))
        .collect()
}

/// Every dependency in the manifest has a row in the table, and every row a dependency.
fn manifest_faults(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[").find_map(|it| it.strip_prefix("dependencies]")).unwrap_or_default();
    let name = |line: &str| line.split_once(" = ").map(|(name, _)| name.replace('-', "_"));
    let named: BTreeSet<String> =
        section.lines().filter(|line| !line.starts_with('#')).filter_map(name).collect();
    let listed: BTreeSet<String> = OUTSIDE.iter().map(|(name, _)| (*name).to_owned()).collect();
    named
        .symmetric_difference(&listed)
        .map(|it| format!("`{it}` is in one of Cargo.toml and OUTSIDE"))
        .collect()
}

/// The `mod` lines of a room are its reading order: a file leans on files above it only. Within a room a path
/// names the file, not what the door re-exports.
fn order_faults(files: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for door in files.iter().filter(|file| file.path.ends_with("mod.rs")) {
        let order = door.modules();
        for file in files.iter().filter(|file| file.room() == door.room() && file.path != door.path) {
            let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
            let Some(place) = order.iter().position(|it| *it == stem) else { continue };
            let mut named = BTreeSet::new();
            for path in file.paths_from("crate").iter().filter(|path| path.rest[0] == door.room()) {
                let name = path.rest.get(1).map_or("", String::as_str);
                if name != stem && !order[..place].iter().any(|above| above == name) {
                    named.insert((path.line, name.to_owned()));
                }
            }
            let fault = |(line, name)| format!("{}: `{name}` is not a file above `{stem}`", file.at(line));
            faults.extend(named.into_iter().map(fault));
        }
    }
    faults
}

/// A door (`mod.rs`) has docs, `mod` lines and what it re-exports; no code.
fn door_faults(files: &[Source]) -> Vec<String> {
    let doors = files.iter().filter(|file| file.path.ends_with("mod.rs"));
    let coded = doors.filter(|door| !door.functions().is_empty() || door.code.contains(" struct "));
    coded.map(|door| format!("{}: a door has no code", door.name())).collect()
}

/// Every file is reached by `mod` lines from a root.
fn orphan_faults(files: &[Source], roots: &[&str]) -> Vec<String> {
    let mut declared = BTreeSet::new();
    for file in files {
        let home = match file.path.file_stem().and_then(|it| it.to_str()) {
            Some("mod" | "lib" | "main") => file.path.parent().unwrap_or(Path::new("")).to_owned(),
            _ => file.path.with_extension(""),
        };
        for name in file.modules() {
            declared.insert(home.join(format!("{name}.rs")));
            declared.insert(home.join(name).join("mod.rs"));
        }
    }
    let lost = files.iter().filter(|file| !declared.contains(&file.path) && !roots.contains(&&*file.name()));
    lost.map(|file| format!("{}: no `mod` line leads to it", file.name())).collect()
}

/// A file says what it is for and can be read in one sitting; so can a function.
fn size_faults(files: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        if !file.text.starts_with("//! ") {
            faults.push(format!("{}: open it with `//! ` and what it is for", file.name()));
        }
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{}: {lines} lines, more than {FILE_LINES_MAX}", file.name()));
        }
        for function in file.functions().iter().filter(|it| it.lines > FUNCTION_LINES_MAX) {
            let (at, lines) = (file.at(function.line), function.lines);
            faults
                .push(format!("{at}: `{}` has {lines} lines, more than {FUNCTION_LINES_MAX}", function.name));
        }
    }
    faults
}

/// Confined words stay where they are allowed.
fn confined_faults(files: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        let name = file.name();
        for (word, places, why) in CONFINED {
            if places.iter().any(|place| name.starts_with(place)) {
                continue;
            }
            let lines = file.lines_with(word);
            faults
                .extend(lines.into_iter().map(|line| format!("{}: no `{word}` here: {why}", file.at(line))));
        }
    }
    faults
}

/// Names on the wire are spelled in one file.
fn wire_faults(files: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.name() != WIRE.1) {
        for literal in file.literals.iter().filter(|literal| literal.text.starts_with(WIRE.0)) {
            faults.push(format!("{}: `{}` is spelled in {}", file.at(literal.line), literal.text, WIRE.1));
        }
    }
    faults
}

fn nothing(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_table_of_rooms_is_a_building() {
    nothing(&table_faults(ROOMS));
}

#[test]
fn rooms_lean_only_on_rooms_that_the_table_grants() {
    nothing(&room_faults(&source_files()));
}

#[test]
fn outside_crates_enter_by_their_rooms() {
    nothing(&outside_faults(&source_files()));
}

#[test]
fn every_dependency_has_a_row() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    nothing(&manifest_faults(&fs::read_to_string(path).expect("the manifest can be read")));
}

#[test]
fn every_dependency_is_used() {
    nothing(&unused_faults(&source_files(), OUTSIDE));
}

#[test]
fn a_room_reads_from_top_to_bottom() {
    let files = source_files();
    nothing(&order_faults(&files));
    nothing(&door_faults(&files));
}

#[test]
fn every_file_is_compiled() {
    nothing(&orphan_faults(&source_files(), &["lib.rs", "main.rs"]));
    nothing(&orphan_faults(&test_files(), &["main.rs"]));
}

#[test]
fn every_file_says_what_it_is_for_and_is_read_in_one_sitting() {
    nothing(&size_faults(&source_files()));
    nothing(&size_faults(&test_files()));
}

#[test]
fn the_clock_the_order_and_chance_stay_in_their_places() {
    nothing(&confined_faults(&source_files()));
}

#[test]
fn names_on_the_wire_are_spelled_once() {
    nothing(&wire_faults(&source_files()));
}

#[test]
fn a_table_with_a_stair_upward_is_noticed() {
    assert_eq!(table_faults(&[("model", &["plan"]), ("plan", &["model"])]).len(), 1);
    assert_eq!(table_faults(&[("plan", &["plan"])]).len(), 1, "a room does not lean on itself");
}

#[test]
fn an_import_upward_is_noticed_however_it_is_written() {
    let faults = |text: &str| room_faults(&[Source::new("plan/decide.rs", text)]).len();
    assert_eq!(faults("use crate::world::World;\nuse crate::plan::step::next;"), 0);
    assert_eq!(faults("use crate::guard::check;"), 1);
    assert_eq!(faults("use crate::{model::Amount, guard};"), 1);
    assert_eq!(faults("use crate::{world::{World, Plan}, git::{Mirror, Line}};"), 2);
    assert_eq!(faults("fn f() { crate::cli::run() }"), 1);
    assert_eq!(faults("use super::step;"), 1);
    assert_eq!(faults("mod tests {\n    use super::*;\n}"), 0);
    assert_eq!(room_faults(&[Source::new("cellar/file.rs", "")]).len(), 1, "a room without a row");
    assert_eq!(room_faults(&[Source::new("lib.rs", "pub mod model;")]).len(), 1, "rooms missing in lib.rs");
}

#[test]
fn a_crate_in_the_wrong_room_is_noticed() {
    let faults = |path: &str, text: &str| outside_faults(&[Source::new(path, text)]).len();
    assert_eq!(faults("cluster/apply.rs", "use kube::Client;"), 0);
    assert_eq!(faults("plan/decide.rs", "use kube::Client;"), 1);
    assert_eq!(faults("plan/decide.rs", "async fn f() { tokio::time::sleep(d).await }"), 1);
    assert_eq!(faults("cli/check.rs", "use serde_saphyr as yaml;"), 1);
    assert_eq!(
        manifest_faults("[package]\n[dependencies]\nnew-thing = \"1\"\n[lints]").len(),
        OUTSIDE.len() + 1
    );
}

#[test]
fn a_crate_that_nobody_names_is_noticed() {
    let faults =
        |text: &str, rooms| unused_faults(&[Source::new("git/x.rs", text)], &[("git2", rooms)]).len();
    assert_eq!(faults("use git2::Oid;", &["git"]), 0);
    assert_eq!(faults("// git2::Oid\nlet name = \"git2::Oid\";", &["git"]), 1);
    assert_eq!(faults("", &[]), 0, "it is there for a feature");
}

#[test]
fn a_file_that_leans_on_one_below_it_is_noticed() {
    let door = || Source::new("plan/mod.rs", "pub mod first;\npub mod second;");
    let faults = |path: &str, text: &str| order_faults(&[door(), Source::new(path, text)]).len();
    assert_eq!(faults("plan/second.rs", "use crate::plan::first::x;"), 0);
    assert_eq!(faults("plan/first.rs", "use crate::plan::second::x;"), 1);
    assert_eq!(faults("plan/first.rs", "use crate::plan::{second, first};"), 1);
    assert_eq!(faults("plan/second.rs", "use crate::plan::Reexported;"), 1);
    assert_eq!(door_faults(&[Source::new("plan/mod.rs", "pub fn f() {}")]).len(), 1);
}

#[test]
fn a_file_that_nothing_declares_is_noticed() {
    let files = [
        Source::new("lib.rs", "pub mod plan;"),
        Source::new("plan/mod.rs", ""),
        Source::new("plan/x.rs", ""),
    ];
    assert_eq!(orphan_faults(&files, &["lib.rs"]), ["plan/x.rs: no `mod` line leads to it"]);
}

#[test]
fn a_long_file_a_long_function_and_a_file_without_a_plate_are_noticed() {
    let faults = |text: &str| size_faults(&[Source::new("plan/x.rs", text)]).len();
    assert_eq!(faults("//! What it is for.\nfn f() {\n}\n"), 0);
    assert_eq!(faults("fn f() {}\n"), 1);
    assert_eq!(faults(&format!("//! X.\nfn f() {{{}}}\n", "\n".repeat(FUNCTION_LINES_MAX))), 1);
    assert_eq!(faults(&format!("//! X.{}", "\n".repeat(FILE_LINES_MAX + 1))), 1);
}

#[test]
fn a_second_clock_and_a_second_spelling_are_noticed() {
    let clock = |path: &str| confined_faults(&[Source::new(path, "let now = Timestamp::now();")]).len();
    assert_eq!((clock("controller/clock.rs"), clock("controller/run.rs"), clock("plan/x.rs")), (0, 1, 1));
    let wire = |text: &str| wire_faults(&[Source::new("plan/x.rs", text)]).len();
    assert_eq!(wire("let key = keys::SUSPEND; // \"triton.io/suspend\""), 0);
    assert_eq!((wire("let key = \"triton.io/suspend\";"), wire("let key = r\"triton.io/step\";")), (1, 1));
}
