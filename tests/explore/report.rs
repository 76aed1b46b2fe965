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
    /// Crashes that were compared with what comes without them.
    pub pairs: u64,
    /// Surplus pods that were deleted because a hold asked for it.
    pub cures: u64,
    /// Rounds that the longest way to rest took.
    pub longest: u32,
    /// Seeds that failed, by what went wrong.
    pub failed: BTreeMap<String, Vec<u64>>,
}

impl Report {
    /// Worlds in which a rule was broken.
    #[must_use]
    pub fn violations(&self) -> usize {
        self.failed.values().map(Vec::len).sum()
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
        report.pairs += played.pairs;
        report.cures += played.cures;
        report.longest = report.longest.max(played.longest);
        if let Some(violation) = played.violation {
            report.failed.entry(violation.kind()).or_default().push(seed);
        }
    }
    report
}

/// The first world in which a bug shows.
#[must_use]
pub fn first_seed(mut seeds: impl Iterator<Item = u64>, bug: Bug) -> Option<(u64, String)> {
    seeds.find_map(|seed| {
        let (setup, ops) = world(seed);
        let violation = play(&setup, &ops, Some(bug), false).violation?;
        Some((seed, violation.kind()))
    })
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
