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
    use crate::explore::bugs::{ALL, Bug};
    use crate::explore::report::{explore, first_seed, story};

    /// A world in which each planted bug shows, as `--bugs 3000` finds them: anew after every change of the worlds.
    const SHOWN: &[(Bug, u64)] = &[
        (Bug::CapAsWritten, 31),
        (Bug::MarkersOfHead, 11),
        (Bug::MarkersOfTemplate, 2),
        (Bug::EpisodeOfMemory, 1100),
        (Bug::NeverStale, 1424),
        (Bug::UpdatedIsAvailable, 5),
        (Bug::ForeignMemory, 216),
        (Bug::SuspendUnseen, 26),
        (Bug::FreezeUnseen, 0),
        (Bug::RecordUnread, 50),
        (Bug::FetchAlwaysFresh, 50),
        (Bug::RefusalUnseen, 50),
        (Bug::NoSoak, 5),
        (Bug::NoApproval, 2),
        (Bug::Impatient, 7),
        (Bug::FailureForgotten, 38),
        (Bug::ReachedByMemory, 0),
        (Bug::TemplateUnseen, 592),
        (Bug::PartitionInProportion, 5),
        (Bug::PartitionAsCount, 5),
        (Bug::StepTooFar, 5),
        (Bug::WholeAtOnce, 5),
        (Bug::RollBackKeepsPartition, 5),
        (Bug::RollBackKeepsProof, 38),
        (Bug::FrozenRevert, 196),
        (Bug::TwoUnproven, 21),
        (Bug::StepByNumber, 7),
        (Bug::NoRepair, 1),
        (Bug::ReplicasDropped, 0),
        (Bug::MemoryAlone, 0),
        (Bug::PartitionDropped, 0),
        (Bug::MemoryLeftBehind, 3),
        (Bug::Silent, 0),
        (Bug::HeadForgotten, 124),
        (Bug::LeaseIgnored, 141),
        (Bug::VersionIgnored, 1250),
    ];

    #[test]
    fn every_planted_bug_is_noticed() {
        assert_eq!(ALL.len(), SHOWN.len());
        for (bug, seed) in SHOWN {
            assert!(ALL.contains(bug));
            assert!(first_seed(*seed..seed + 1, *bug).is_some(), "{bug:?} in world {seed}");
        }
    }

    #[test]
    fn random_worlds_are_safe_and_end_where_git_asks() {
        let report = explore(0..200, None);
        let stories: Vec<String> =
            report.failed.values().take(3).map(|seeds| story(seeds[0], None)).collect();
        assert_eq!(report.violations(), 0, "{:?}\n{}", report.failed, stories.join("\n"));
    }
}
