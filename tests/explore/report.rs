//! Explores many worlds and tells what was found.

use std::collections::BTreeMap;

use crate::explore::bugs::Bug;
use crate::explore::play::play;
use crate::explore::random::world;
use crate::explore::shrink::shrink;
use crate::explore::story::told;

/// What came of many worlds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Worlds played.
    pub worlds: u64,
    /// Things that happened in them.
    pub events: u64,
    /// Seeds that failed, by what went wrong.
    pub failed: BTreeMap<String, Vec<u64>>,
}

impl Report {
    /// Worlds in which a rule was broken.
    #[must_use]
    pub fn violations(&self) -> usize {
        self.failed.values().map(Vec::len).sum()
    }

    /// Adds what another part found.
    pub fn add(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.events += other.events;
        for (what, seeds) in other.failed {
            self.failed.entry(what).or_default().extend(seeds);
        }
    }
}

/// Plays the worlds of `seeds`.
#[must_use]
pub fn explore(seeds: impl Iterator<Item = u64>, bug: Option<Bug>) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let (setup, ops) = world(seed);
        let played = play(&setup, &ops, bug, false);
        report.worlds += 1;
        report.events += played.events;
        if let Some(violation) = played.violation {
            report.failed.entry(violation.kind()).or_default().push(seed);
        }
    }
    report
}

/// The story of one failing world: shrunk, and what the planner said in it.
#[must_use]
pub fn story(seed: u64, bug: Option<Bug>) -> String {
    let (setup, ops) = world(seed);
    let Some(violation) = play(&setup, &ops, bug, false).violation else {
        return format!("world {seed}: nothing is wrong");
    };
    let (setup, ops) = shrink(setup, ops, &violation.kind(), bug);
    let played = play(&setup, &ops, bug, true);
    let violation = played.violation.unwrap_or(violation);
    let scenario = told(&setup, &ops);
    let log = played.log.join("\n");
    format!(
        "world {seed}, {}: {}\n{scenario}{log}\n{}: {}\n",
        violation.rule, violation.text, violation.rule, violation.text
    )
}
