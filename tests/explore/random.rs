//! Random worlds, from a seed.

use crate::explore::dice::Dice;
use crate::explore::spec::{Doc, PACES, STRATEGIES, Spec};
use crate::explore::story::{Edit, Op, Setup, Wipe};

/// The world of a seed.
#[must_use]
pub fn world(seed: u64) -> (Setup, Vec<Op>) {
    let mut dice = Dice::new(seed);
    let setup = setup(&mut dice);
    let releases = u32::try_from(setup.specs.len()).expect("few releases");
    let mut ops = vec![Op::Run(dice.between(6, 14))];
    let calm = dice.below(100);
    let hand = dice.chance(35);
    for _ in 0..dice.between(4, 14) {
        let id = dice.below(releases) as usize;
        match dice.below(100) {
            0..42 => commits(&mut dice, id, &mut ops),
            42..50 if calm < 25 => commits(&mut dice, id, &mut ops),
            42..55 => ops.push(Op::Run(dice.pick(&[1, 2, 3, 5, 10, 20, 35]))),
            55..60 => {
                let small = [Op::Tick, Op::Poll, Op::Lap];
                ops.extend((0..4).map(|_| dice.pick(&small)));
            }
            60..70 => crash(&mut dice, &mut ops),
            _ if calm < 12 => {
                ops.extend([Op::Git(false), Op::Commit(id, vec![edit(&mut dice)])]);
                ops.extend([Op::Run(dice.between(1, 14)), Op::Git(true)]);
            }
            _ if calm < 20 => {
                ops.extend([Op::Replica(dice.between(1, 2)), Op::Crash(9), Op::Run(dice.between(1, 6))]);
            }
            _ if calm < 50 => ops.push(Op::Run(dice.pick(&[3, 6]))),
            _ => {
                fault(&mut dice, id, hand, &mut ops);
                ops.push(Op::Run(dice.pick(&[0, 1, 2, 6])));
            }
        }
    }
    (setup, ops)
}

fn setup(dice: &mut Dice) -> Setup {
    let count = dice.pick(&[1, 1, 1, 1, 1, 1, 2, 3]);
    let specs = (0..count).map(|_| spec(dice)).collect();
    let mut bad: Vec<char> = "BC".chars().filter(|_| dice.chance(20)).collect();
    if dice.chance(5) {
        bad.push('A');
    }
    Setup {
        specs,
        bad,
        found: dice.chance(33),
        chance: u64::from(dice.below(1_000)),
        author: dice.pick(&[0, 0, 0, 1]),
        people: dice.chance(90),
    }
}

fn spec(dice: &mut Dice) -> Spec {
    let strategies = u32::try_from(STRATEGIES.len()).expect("few");
    let paces = u32::try_from(PACES.len()).expect("few");
    let doc = Doc {
        template: 'A',
        strategy: dice.below(strategies) as usize,
        hold: dice.chance(20),
        service: dice.below(3),
        attempt: 1,
        by_steps: dice.chance(8),
        adopt: dice.chance(90),
        orphan: dice.chance(15),
        in_place: dice.chance(60),
        pace: dice.below(paces) as usize,
    };
    let replicas = dice.pick(&[Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(0), None, Some(8)]);
    // `initial: steps` wants replicas in Git.
    let replicas = replicas.or(doc.by_steps.then_some(3));
    Spec { doc, replicas, cap: None, suspend: false, valid: true }
}

fn edit(dice: &mut Dice) -> Edit {
    let strategies = u32::try_from(STRATEGIES.len()).expect("few");
    let paces = u32::try_from(PACES.len()).expect("few");
    match dice.below(100) {
        0..26 => Edit::Template(dice.pick(&['A', 'B', 'B', 'B', 'C', 'C', 'E'])),
        26..34 => Edit::Steps(dice.below(strategies) as usize),
        34..38 => Edit::Service(dice.below(3)),
        38..40 => match dice.below(4) {
            0 | 1 => Edit::Pace(dice.below(paces) as usize),
            2 => Edit::InPlace(dice.chance(50)),
            _ => Edit::Orphan(dice.chance(50)),
        },
        40..43 => Edit::Again,
        43..44 => Edit::FirstAttempt,
        44..52 => Edit::Replicas(dice.pick(&[0, 1, 2, 3, 5, 8])),
        52..58 => Edit::Cap(dice.pick(&[None, Some(0), Some(1), Some(2), Some(3), Some(5)])),
        58..61 => Edit::Suspend(dice.chance(50)),
        61..64 => match dice.below(3) {
            0 => Edit::FreezeFor(dice.between(1, 40)),
            on => Edit::Freeze(on == 1),
        },
        64..67 => Edit::Valid(dice.chance(60)),
        67..69 => Edit::Skip,
        69..80 => Edit::Approve(dice.between(1, 4), dice.below(3)),
        80..86 => Edit::ApproveAll,
        86..88 => Edit::ApproveOld(dice.between(1, 4), dice.between(1, 4)),
        88..90 => Edit::Unapprove,
        90..92 => Edit::Hold(dice.chance(50)),
        92..97 => Edit::Revert(dice.between(1, 3)),
        97..98 => dice.pick(&[Edit::Remove, Edit::ApproveRemoval, Edit::RemoveAll]),
        _ => Edit::RevertAll(dice.between(1, 3)),
    }
}

fn commits(dice: &mut Dice, id: usize, ops: &mut Vec<Op>) {
    for _ in 0..dice.pick(&[1, 1, 1, 2, 3]) {
        let edits = (0..dice.pick(&[1, 1, 1, 2, 3])).map(|_| edit(dice)).collect();
        ops.push(Op::Commit(id, edits));
    }
    if dice.chance(30) {
        ops.push(Op::Run(dice.pick(&[0, 1, 5])));
        ops.push(Op::Commit(
            id,
            vec![dice.pick(&[Edit::ApproveAll, Edit::Approve(2, 1), Edit::Approve(3, 1)])],
        ));
    }
    ops.push(Op::Run(dice.pick(&[0, 1, 2, 4, 8, 15])));
}

fn crash(dice: &mut Dice, ops: &mut Vec<Op>) {
    ops.push(if dice.chance(20) { Op::CrashAfterPoll } else { Op::Crash(dice.below(5)) });
    if dice.chance(70) {
        ops.push(Op::Run(dice.below(4)));
    }
}

fn fault(dice: &mut Dice, id: usize, hand: bool, ops: &mut Vec<Op>) {
    match dice.below(100) {
        0..8 => {
            let pod = dice.below(8);
            ops.push(dice.pick(&[
                Op::Kill(id, pod),
                Op::Kill(id, pod),
                Op::Evict(id, pod),
                Op::Stick(id, pod),
            ]));
        }
        8..13 => ops.push(Op::Lag(dice.between(1, 6))),
        13..18 => ops.push(Op::Manager(dice.between(1, 30))),
        18..20 => remove(dice, id, ops),
        20..27 => ops.push(Op::Turn(dice.pick(&['A', 'A', 'B', 'C']))),
        27..40 => ops.push(Op::Scale(id, dice.pick(&[0, 1, 2, 4, 8]))),
        40..45 => {
            ops.extend([Op::Commit(id, vec![edit(dice)]), Op::Pause]);
            let other = edit(dice);
            let second = dice.pick(&[Edit::Suspend(true), Edit::Freeze(true), other]);
            ops.extend([Op::Commit(id, vec![second]), Op::Run(dice.pick(&[1, 1, 2, 4])), Op::Wake]);
        }
        45..52 => ops.push(Op::Down(dice.between(1, 30))),
        52..57 => ops.push(Op::Delete(id)),
        57..61 => ops.push(Op::Suspend(id)),
        61..66 => ops.push(Op::TakeBack(id)),
        66..72 => ops.extend([Op::Git(false), Op::Run(dice.between(1, 14)), Op::Git(true)]),
        72..75 => ops.extend([Op::Replica(dice.between(1, 3)), Op::Run(dice.between(1, 8))]),
        75..78 => {
            ops.extend([Op::Force(dice.between(1, 2)), Op::Commit(id, vec![edit(dice)]), Op::Run(4)]);
            if dice.chance(70) {
                ops.extend([Op::Accept, Op::Run(2)]);
            }
        }
        78..81 => ops.push(Op::LoseRecord(id)),
        81..86 => {
            let field = dice.below(4) as usize;
            let ready = dice.pick(&[0, 1, 3]);
            let small =
                [Op::Field(id, field), Op::Freezing(id), Op::EditService(id), Op::MinReady(id, ready)];
            ops.push(dice.pick(&small));
        }
        _ if hand => ops.push(by_hand(dice, id)),
        _ => {}
    }
}

fn by_hand(dice: &mut Dice, id: usize) -> Op {
    let step = dice.below(6);
    let wipe = dice.pick(&[Wipe::Step(step), Wipe::Step(step), Wipe::All, Wipe::Reached]);
    match dice.below(100) {
        0..33 => Op::Partition(id, dice.pick(&["0", "100%", "50%", "99%", "10%"])),
        33..52 => Op::Rewrite(id, dice.pick(&['A', 'B', 'C', 'X'])),
        52..78 => Op::Memory(id, wipe),
        78..86 => Op::EditRecord(id, wipe),
        86..93 => Op::Restore(id),
        _ => Op::Copy(id),
    }
}

/// Releases go, with or without a word, and may come back.
fn remove(dice: &mut Dice, id: usize, ops: &mut Vec<Op>) {
    let edit = if dice.chance(50) { Edit::Remove } else { Edit::RemoveAll };
    ops.extend([Op::Commit(id, vec![edit]), Op::Run(dice.pick(&[0, 2, 5]))]);
    if dice.chance(50) {
        ops.extend([Op::Commit(id, vec![Edit::ApproveRemoval]), Op::Run(dice.pick(&[1, 4]))]);
    }
    if dice.chance(60) {
        let back = dice.pick(&[Edit::RevertAll(1), Edit::RevertAll(2), Edit::Revert(2)]);
        ops.push(Op::Commit(id, vec![back]));
    }
}
