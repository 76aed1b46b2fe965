//! Makes a failing world as small as it can be and still fail in the same way.

use crate::explore::bugs::Bug;
use crate::explore::play::play;
use crate::explore::story::{Op, Setup};

/// The smallest world that still fails in the way of `kind`.
#[must_use]
pub fn shrink(mut setup: Setup, mut ops: Vec<Op>, kind: &str, bug: Option<Bug>) -> (Setup, Vec<Op>) {
    let fails = |setup: &Setup, ops: &[Op]| {
        play(setup, ops, bug, false).violation.is_some_and(|violation| violation.kind() == kind)
    };
    loop {
        let smaller = smaller_ops(&ops).into_iter().find(|ops| fails(&setup, ops));
        if let Some(smaller) = smaller {
            ops = smaller;
            continue;
        }
        let Some(simpler) = simpler_setups(&setup).into_iter().find(|setup| fails(setup, &ops)) else {
            return (setup, ops);
        };
        setup = simpler;
    }
}

fn smaller_ops(ops: &[Op]) -> Vec<Vec<Op>> {
    let mut out = Vec::new();
    for half in [ops.len() / 2, ops.len() / 4] {
        if half > 1 {
            out.extend((0..ops.len()).step_by(half).map(|at| {
                ops.iter()
                    .enumerate()
                    .filter(|(i, _)| *i < at || *i >= at + half)
                    .map(|(_, op)| op.clone())
                    .collect()
            }));
        }
    }
    for index in (0..ops.len()).rev() {
        let mut less = ops.to_vec();
        less.remove(index);
        out.push(less);
        out.extend(simpler_op(&ops[index]).into_iter().map(|op| {
            let mut other = ops.to_vec();
            other[index] = op;
            other
        }));
    }
    out
}

fn simpler_op(op: &Op) -> Vec<Op> {
    match op {
        Op::Run(rounds) if *rounds > 1 => vec![Op::Run(rounds / 2), Op::Run(rounds - 1)],
        Op::Lag(rounds) if *rounds > 1 => vec![Op::Lag(rounds / 2), Op::Lag(rounds - 1)],
        Op::Down(rounds) if *rounds > 1 => vec![Op::Down(rounds / 2), Op::Down(rounds - 1)],
        Op::Commit(id, edits) if edits.len() > 1 => (0..edits.len())
            .map(|index| {
                let mut less = edits.clone();
                less.remove(index);
                Op::Commit(*id, less)
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn simpler_setups(setup: &Setup) -> Vec<Setup> {
    let mut out = Vec::new();
    let mut with = |change: &dyn Fn(&mut Setup) -> bool| {
        let mut simpler = setup.clone();
        if change(&mut simpler) {
            out.push(simpler);
        }
    };
    with(&|it| it.specs.len() > 1 && it.specs.pop().is_some());
    with(&|it| !std::mem::take(&mut it.bad).is_empty());
    with(&|it| std::mem::replace(&mut it.found, false));
    with(&|it| std::mem::replace(&mut it.chance, 0) > 0);
    with(&|it| !std::mem::replace(&mut it.specs[0].doc.in_place, true));
    with(&|it| std::mem::replace(&mut it.specs[0].doc.pace, 0) > 0);
    with(&|it| std::mem::replace(&mut it.specs[0].doc.orphan, false));
    with(&|it| std::mem::replace(&mut it.author, 0) != 0);
    with(&|it| !std::mem::replace(&mut it.people, true));
    with(&|it| it.specs[0].doc.strategy > 1 && std::mem::replace(&mut it.specs[0].doc.strategy, 1) > 1);
    with(&|it| it.specs[0].doc.strategy == 1 && std::mem::replace(&mut it.specs[0].doc.strategy, 0) == 1);
    with(&|it| std::mem::replace(&mut it.specs[0].doc.hold, false));
    with(&|it| std::mem::replace(&mut it.specs[0].doc.service, 0) > 0);
    with(&|it| std::mem::replace(&mut it.specs[0].doc.by_steps, false));
    with(&|it| !matches!(it.specs[0].replicas.replace(3), Some(3 | 4)));
    with(&|it| !matches!(it.specs[0].replicas.replace(4), Some(3 | 4)));
    out
}
