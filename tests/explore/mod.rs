//! The explorer: random worlds over the real planner and guard, without I/O, and a checker of outcomes that sees Git and
//! the cluster only.
//!
//! A world is a line of commits, a cluster whose CloneSets and pods are those of the embedded cluster's imitation of
//! Kruise (`triton::devcluster::sim`), a daemon that may stop between any two writes, and what people and accidents do
//! to all of them. After every write the checker asks for safety; when events stop it asks for the end that Git asks
//! for, within a bounded number of rounds and without a cycle of writes. At every crash the world is also played on
//! without it, to the same end.
//!
//! `cargo run --release --example explore -- --worlds N --seed S` plays any number of worlds, `--bugs N` plants every bug
//! in turn and tells in which of N worlds it shows.

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
pub mod removal;
pub mod sim;
pub mod rest;
pub mod crash;
pub mod play;
pub mod random;
pub mod shrink;
pub mod report;

#[cfg(test)]
mod tests {
    use crate::explore::bugs::{ALL, Bug};
    use crate::explore::play::play;
    use crate::explore::report::{explore, first_seed, story};
    use crate::explore::spec::{Doc, Spec};
    use crate::explore::story::{Edit, Op, Setup, Wipe};

    /// A world in which each planted bug shows, as `--bugs 3000` finds them: anew after every change of the worlds.
    const SHOWN: &[(Bug, u64)] = &[
        (Bug::CapAsWritten, 14),
        (Bug::MarkersOfHead, 38),
        (Bug::MarkersOfTemplate, 14),
        (Bug::EpisodeOfMemory, 38),
        (Bug::NeverStale, 459),
        (Bug::UpdatedIsAvailable, 0),
        (Bug::ForeignMemory, 552),
        (Bug::SuspendUnseen, 0),
        (Bug::FreezeUnseen, 1),
        (Bug::RecordUnread, 121),
        (Bug::FetchAlwaysFresh, 2745),
        (Bug::RefusalUnseen, 752),
        (Bug::NoSoak, 21),
        (Bug::NoApproval, 1),
        (Bug::Impatient, 31),
        (Bug::FailureForgotten, 26),
        (Bug::ReachedByMemory, 4),
        (Bug::TemplateUnseen, 204),
        (Bug::FreezeEndUnseen, 14),
        (Bug::FreezeForEver, 14),
        (Bug::RemovalUnasked, 98),
        (Bug::OrphanForgotten, 134),
        (Bug::PartitionInProportion, 1),
        (Bug::PartitionAsCount, 1),
        (Bug::StepTooFar, 1),
        (Bug::WholeAtOnce, 1),
        (Bug::RollBackKeepsPartition, 1),
        (Bug::RollBackKeepsProof, 100),
        (Bug::FrozenRevert, 107),
        (Bug::TwoUnproven, 13),
        (Bug::StepByNumber, 5),
        (Bug::NoRepair, 3),
        (Bug::ReplicasDropped, 1),
        (Bug::MemoryAlone, 0),
        (Bug::PartitionDropped, 0),
        (Bug::MemoryLeftBehind, 1),
        (Bug::Silent, 0),
        (Bug::CureUnsaid, 26),
        (Bug::SurgeDropped, 1),
        (Bug::HeadForgotten, 368),
        (Bug::LeaseIgnored, 191),
        (Bug::ProofForgotten, 49),
    ];

    /// Planted bugs that random worlds show too seldom, each with its story.
    fn told() -> [(Bug, Vec<Op>); 4] {
        let first = vec![Op::Run(6), Op::Commit(0, vec![Edit::Template('B')]), Op::Run(1)];
        let permitted = [
            Op::Commit(0, vec![Edit::ApproveAll, Edit::Freeze(true)]),
            Op::Memory(0, Wipe::Step(3)),
            Op::Run(1),
        ];
        let woken = [Op::Tick, Op::Pause, Op::Commit(0, vec![Edit::Template('A')]), Op::Run(1), Op::Wake];
        let back = [
            Op::Run(6),
            Op::Commit(0, vec![Edit::Orphan(true)]),
            Op::Run(3),
            Op::Commit(0, vec![Edit::RemoveAll]),
            Op::Run(2),
            Op::Commit(0, vec![Edit::Revert(1)]),
        ];
        let copied = [Op::Run(30), Op::Copy(0), Op::Run(3)];
        [
            (Bug::CopyBelieved, copied.to_vec()),
            (Bug::AdoptedBlindly, back.to_vec()),
            (Bug::MemoryBelieved, [first.clone(), permitted.to_vec()].concat()),
            (Bug::VersionIgnored, [first, woken.to_vec()].concat()),
        ]
    }

    #[test]
    fn every_planted_bug_is_noticed() {
        let stories = told();
        let known: Vec<Bug> = SHOWN.iter().map(|it| it.0).chain(stories.iter().map(|it| it.0)).collect();
        assert!(ALL.iter().all(|bug| known.contains(bug)), "each is looked for");
        for (bug, seed) in SHOWN {
            assert!(first_seed(*seed..seed + 1, *bug).is_some(), "{bug:?} in world {seed}");
        }
        for (bug, ops) in stories {
            let mut spec = Spec { replicas: Some(4), ..plain() };
            spec.doc.adopt = bug != Bug::CopyBelieved;
            let setup = Setup { bad: Vec::new(), ..one(spec) };
            let played = play(&setup, &ops, None, true);
            assert_eq!(played.violation, None, "without {bug:?}\n{}", played.log.join("\n"));
            let played = play(&setup, &ops, Some(bug), true);
            assert!(played.violation.is_some(), "{bug:?}\n{}", played.log.join("\n"));
        }
    }

    /// A release without anything special.
    fn plain() -> Spec {
        let doc = Doc {
            template: 'A',
            strategy: 0,
            hold: false,
            service: 0,
            attempt: 1,
            by_steps: false,
            adopt: true,
            orphan: false,
            in_place: true,
            pace: 0,
        };
        Spec { doc, replicas: Some(8), cap: None, suspend: false, valid: true }
    }

    /// An empty cluster, one release.
    fn one(spec: Spec) -> Setup {
        let bad = vec!['A'];
        Setup { specs: vec![spec], bad, found: false, chance: 0, author: 0, people: true }
    }

    /// Plays the worlds of `seeds`. A thousand in four parts, which run side by side.
    fn are_safe(seeds: std::ops::Range<u64>) {
        let report = explore(seeds, None);
        let stories: Vec<String> =
            report.failed.values().take(3).map(|seeds| story(seeds[0], None)).collect();
        assert_eq!(report.violations(), 0, "{:?}\n{}", report.failed, stories.join("\n"));
        assert!(report.pairs > 0, "crashes are compared");
    }

    #[test]
    fn random_worlds_are_safe_and_end_where_git_asks() {
        are_safe(0..250);
    }

    #[test]
    fn a_second_part_of_random_worlds_is_safe() {
        are_safe(250..500);
    }

    #[test]
    fn a_third_part_of_random_worlds_is_safe() {
        are_safe(500..750);
    }

    #[test]
    fn a_fourth_part_of_random_worlds_is_safe() {
        are_safe(750..1_000);
    }

    /// A is broken and B is half done when the size falls: a ready pod of B is one too many, and Kruise may not delete
    /// it while so many of A are not available. The hold names the cure, and after it B completes.
    #[test]
    fn a_surplus_pod_that_kruise_may_not_delete_goes_by_the_cure_of_its_hold() {
        let mut spec = plain();
        spec.doc.strategy = 1;
        let setup = one(spec);
        let ops = [
            Op::Run(3),
            Op::Commit(0, vec![Edit::Template('B')]),
            Op::Run(1),
            Op::Commit(0, vec![Edit::Replicas(5), Edit::Steps(4)]),
        ];
        let played = play(&setup, &ops, None, true);
        assert_eq!(played.violation, None, "{}", played.log.join("\n"));
        assert_eq!(played.cures, 1, "{}", played.log.join("\n"));
    }

    /// How many crashes of a story are compared with what comes without them; all of them end alike.
    fn compared(setup: &Setup, ops: &[Op]) -> u64 {
        let played = play(setup, ops, None, true);
        assert_eq!(played.violation, None, "{}", played.log.join("\n"));
        played.pairs
    }

    #[test]
    fn a_crash_between_a_create_and_its_uid_is_as_if_there_were_none() {
        let mut spec = plain();
        spec.doc.adopt = false;
        let setup = Setup { bad: Vec::new(), ..one(spec) };
        for away in [0, 30] {
            assert_eq!(compared(&setup, &[Op::Run(1), Op::Down(away), Op::Crash(1)]), 1);
        }
    }

    #[test]
    fn a_crash_is_compared_unless_a_freeze_ends_within_the_restart() {
        let frozen = |seconds| {
            let setup = Setup { bad: Vec::new(), ..one(plain()) };
            let ops = [Op::Run(6), Op::Commit(0, vec![Edit::Template('B'), Edit::FreezeFor(seconds)])];
            compared(&setup, &[&ops[..], &[Op::Crash(9)]].concat())
        };
        assert_eq!([3, 40].map(frozen), [0, 1]);
    }

    #[test]
    fn a_crash_is_compared_unless_a_deadline_passes_within_the_restart() {
        let failing = |rounds| {
            let setup = Setup { bad: vec!['B'], ..one(plain()) };
            let ops = [Op::Run(6), Op::Commit(0, vec![Edit::Template('B')]), Op::Run(rounds)];
            compared(&setup, &[&ops[..], &[Op::CrashAfterPoll]].concat())
        };
        assert_eq!([10, 24].map(failing), [1, 0]);
    }
}
