//! The explorer: random worlds over the real planner, without I/O, and a checker of outcomes that sees Git and the
//! cluster only.
//!
//! A world is a line of commits, a cluster with a small imitation of the CloneSet controller, a daemon that may stop
//! between any two writes, and what people and accidents do to all of them. After every write the checker asks for
//! safety; when events stop it asks for the end that Git asks for, within a bounded number of rounds.
//!
//! `cargo run --release --example explore -- --worlds N --seed S` plays any number of worlds.

pub mod dice;
pub mod spec;
pub mod line;
pub mod pods;
pub mod cluster;
pub mod daemon;
pub mod story;
pub mod ledger;
pub mod bugs;
pub mod doctor;
pub mod judge;
pub mod sim;
pub mod play;
pub mod rest;
pub mod random;
pub mod shrink;
pub mod report;

#[cfg(test)]
mod tests {
    use crate::explore::bugs::ALL;
    use crate::explore::report::{explore, first_seed, story};

    /// Worlds within which every planted bug shows.
    const WORLDS: u64 = 3_000;

    #[test]
    fn every_planted_bug_is_noticed() {
        let unnoticed: Vec<_> = ALL.iter().filter(|bug| first_seed(0..WORLDS, **bug).is_none()).collect();
        assert!(unnoticed.is_empty(), "{unnoticed:?}");
    }

    #[test]
    fn random_worlds_are_safe_and_end_where_git_asks() {
        let report = explore(0..300, None);
        let stories: Vec<String> =
            report.failed.values().take(3).map(|seeds| story(seeds[0], None)).collect();
        assert_eq!(report.violations(), 0, "{:?}\n{}", report.failed, stories.join("\n"));
    }
}
