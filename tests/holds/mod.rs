//! Every hold that there is: each said once, kept in `holds.snap` for people to read, and each with what it is about
//! and who can lift it.

mod beside;
mod leading;
mod planner;
mod switching;
mod taken;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use triton::model::{Gate, Hold, LiftKind};

use crate::support::source::{Source, sources};

/// A hold, and the story that it is told in.
struct Told {
    story: &'static str,
    hold: Hold,
}

/// Longest sentence: what fits on three lines of a terminal.
const SENTENCE_MAX: usize = 300;

fn all() -> Vec<Told> {
    planner::told().into_iter().chain(beside::told()).collect()
}

/// Whether the planner itself closes a gate. No other arm: a new gate comes with its story.
const fn is_the_planners(gate: Gate) -> bool {
    match gate {
        Gate::Approval
        | Gate::Cap
        | Gate::Soak
        | Gate::Serve
        | Gate::Pods
        | Gate::Traffic
        | Gate::Replace
        | Gate::RollingBack
        | Gate::Suspend
        | Gate::Freeze
        | Gate::Failed
        | Gate::Zero
        | Gate::Spec
        | Gate::Git
        | Gate::Fetch
        | Gate::Ownership
        | Gate::Policy
        | Gate::Documents
        | Gate::Removal
        | Gate::Cluster
        | Gate::Controller
        | Gate::Revision => true,
        Gate::Guard => false,
    }
}

fn word(gate: Gate) -> String {
    serde_json::to_value(gate).unwrap().as_str().unwrap().to_owned()
}

fn gates() -> Vec<Gate> {
    let schema = schemars::schema_for!(Gate);
    let cases = schema.as_value()["oneOf"].as_array().unwrap().clone();
    cases.iter().map(|case| serde_json::from_value(case["const"].clone()).unwrap()).collect()
}

#[test]
fn every_gate_has_a_story() {
    let planned: BTreeSet<Gate> = planner::told().iter().map(|told| told.hold.gate).collect();
    let beside: BTreeSet<Gate> = beside::told().iter().map(|told| told.hold.gate).collect();
    for gate in gates() {
        let told = if is_the_planners(gate) { &planned } else { &beside };
        assert!(told.contains(&gate), "no story closes `{}`", word(gate));
    }
}

#[test]
fn every_hold_names_its_object_and_who_lifts_it() {
    let mut faults = String::new();
    for Told { story, hold } in all() {
        let mut fault = |why: &str| writeln!(faults, "{story}: {why}\n  {hold:?}").unwrap();
        let Hold { gate: _, since: _, message, lift } = &hold;
        if !message.contains("shop/") {
            fault("its sentence names no object");
        }
        if message.chars().count() > SENTENCE_MAX {
            fault("its sentence is too long");
        }
        if message.contains(['\n', '\t']) || message.contains("  ") || message.ends_with(['.', ' ', ':', ';'])
        {
            fault("it is not one plain sentence");
        }
        if message.contains("``") || message.contains("()") {
            fault("a word is missing in its sentence");
        }
        let named = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
        if lift.path.is_some() != named(&lift.path) || lift.command.is_some() != named(&lift.command) {
            fault("its file or its command is empty");
        }
        match lift.kind {
            LiftKind::Wait if lift.path.is_some() || lift.command.is_some() => {
                fault("it opens by itself, and yet there is something to do");
            }
            LiftKind::Approve | LiftKind::Commit | LiftKind::Cluster | LiftKind::Configure
                if lift.path.is_none() && lift.command.is_none() =>
            {
                fault("it names neither a file nor a command that lifts it");
            }
            LiftKind::Wait
            | LiftKind::Approve
            | LiftKind::Commit
            | LiftKind::Cluster
            | LiftKind::Configure => {}
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn nothing_is_said_twice_of_one_release() {
    let mut said = BTreeSet::new();
    for Told { story, hold } in planner::told() {
        assert!(said.insert((story, hold.message.clone())), "{story}: {}", hold.message);
    }
}

#[test]
fn every_hold_reads_as_it_always_did() {
    let mut by_gate: BTreeMap<Gate, String> = BTreeMap::new();
    for Told { story, hold } in all() {
        let text = by_gate.entry(hold.gate).or_default();
        let since = hold.since.map(|since| format!("\n  since    {since}")).unwrap_or_default();
        let kind = serde_json::to_value(hold.lift.kind).unwrap();
        write!(text, "\n{story}\n  needs    {}{since}\n  lift     {}", hold.message, kind.as_str().unwrap())
            .unwrap();
        let lift = [("file", &hold.lift.path), ("command", &hold.lift.command)];
        for (name, value) in lift {
            if let Some(value) = value {
                write!(text, "\n  {name:<8} {value}").unwrap();
            }
        }
        text.push('\n');
    }
    let page: Vec<String> =
        by_gate.iter().map(|(gate, text)| format!("== {} ==\n{text}", word(*gate))).collect();
    insta::with_settings!({snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("holds", page.join("\n"));
    });
}

/// Sentences stand in this file; in the others only inside of these functions.
const SENTENCES: &[(&str, Option<&str>)] = &[
    ("plan/holds.rs", None),
    ("plan/dark.rs", None),
    ("plan/led.rs", None),
    ("plan/hooked.rs", None),
    ("plan/replace.rs", Some("told")),
    ("plan/adopt.rs", Some("adopt")),
    ("plan/handover.rs", Some("hand_over")),
    ("plan/start.rs", Some("namespace_forbidden")),
    ("plan/removal.rs", Some("documents")),
    ("guard/rule.rs", Some("hold")),
    ("cluster/error.rs", Some("cure")),
    ("cluster/error.rs", Some("lift")),
    ("controller/unseen.rs", Some("foreign")),
    ("controller/unseen.rs", Some("unseen")),
    ("controller/rivals.rs", Some("told")),
    ("controller/source.rs", Some("lift")),
];

/// What these functions say besides: it is about a move, not a hold.
const BESIDES: &[&str] = &[
    "{id} is taken over as it stands",
    "{id} is taken over as it stands, as {}; Git differs at {fields}, and that comes by its steps",
];

/// A sentence that no story tells is one that nobody has read: each text of the sources is said by a hold.
#[test]
fn every_sentence_of_the_sources_is_told() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let told = all();
    let mut silent = String::new();
    for (name, function) in SENTENCES {
        let file = files.iter().find(|file| file.name() == *name).expect("the file is there");
        let lines = lines_of(file, *function);
        let within = file.literals.iter().filter(|literal| lines.contains(&literal.line));
        for literal in
            within.filter(|literal| literal.text.contains(' ') && !BESIDES.contains(&&*literal.text))
        {
            let parts = fixed_parts(&literal.text);
            if !told.iter().any(|told| says(&told.hold, &parts)) {
                writeln!(silent, "{}: \"{}\"", file.at(literal.line), literal.text).unwrap();
            }
        }
    }
    assert!(silent.is_empty(), "no story of tests/holds tells\n{silent}");
}

/// Holds are born in these files only, so that the walk can meet them all.
#[test]
fn nobody_else_makes_holds() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let makes = |file: &&Source| {
        let code = file.code.split("#[cfg(test)]").next().unwrap_or_default();
        code.match_indices("Hold {").any(|(at, _)| {
            let before = code[..at].trim_end();
            let is_type = ["->", "struct", "impl", "for"].iter().any(|word| before.ends_with(word));
            // `Decision::Hold {` and names that end so are others.
            !is_type && !code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, ':' | '_'))
        })
    };
    let makers: Vec<String> = files.iter().filter(makes).map(Source::name).collect();
    assert_eq!(
        makers,
        [
            "cluster/error.rs",
            "controller/rivals.rs",
            "controller/unseen.rs",
            "guard/rule.rs",
            "plan/dark.rs",
            "plan/holds.rs",
            "plan/hooked.rs",
            "plan/led.rs",
            "plan/replace.rs"
        ]
    );
    assert!(makers.iter().all(|maker| SENTENCES.iter().any(|(file, _)| file == maker)));
}

/// The lines of a function, or of the whole file up to its tests.
fn lines_of(file: &Source, function: Option<&str>) -> std::ops::Range<usize> {
    let Some(name) = function else {
        let tests = file.text.lines().position(|line| line == "#[cfg(test)]");
        return 1..tests.map_or(usize::MAX, |index| index + 1);
    };
    let functions = file.functions();
    let function = functions.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("no fn {name}"));
    function.line..function.line + function.lines
}

/// The parts of a text that are always the same: between its placeholders, escapes read.
pub fn fixed_parts(literal: &str) -> Vec<String> {
    let mut text = String::new();
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escaped = &rest[at + 1..];
        rest = match escaped.chars().next() {
            Some('\n') => escaped.trim_start(),
            Some(c) => {
                text.push(if c == 'n' { '\n' } else { c });
                &escaped[c.len_utf8()..]
            }
            None => "",
        };
    }
    text.push_str(rest);
    let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let parts = text.split('{').enumerate().map(|(index, part)| match part.split_once('}') {
        Some((_, after)) if index > 0 => after,
        Some(_) | None => part,
    });
    let parts = parts.map(|part| part.replace('\u{1}', "{").replace('\u{2}', "}"));
    parts.filter(|part| !part.is_empty()).collect()
}

/// Whether the parts stand in a text, one after the other.
pub fn in_order(mut text: &str, parts: &[String]) -> bool {
    parts.iter().all(|part| match text.split_once(part.as_str()) {
        Some((_, after)) => {
            text = after;
            true
        }
        None => false,
    })
}

fn says(hold: &Hold, parts: &[String]) -> bool {
    let texts = [Some(&hold.message), hold.lift.command.as_ref(), hold.lift.path.as_ref()];
    texts.into_iter().flatten().any(|text| in_order(text, parts))
}

#[test]
fn a_sentence_is_found_by_what_never_changes_in_it() {
    let parts = fixed_parts("{id} waits for {}: \\\"{why:?}\\\" \\\n         and {{more}}");
    assert_eq!(parts, [" waits for ", ": \"", "\" and {more}"]);
    assert!(in_order("a/b waits for x: \"y\" and {more}", &parts));
    assert!(!in_order("\" and {more} waits for : \"", &parts));
}
