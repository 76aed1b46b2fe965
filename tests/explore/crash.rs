//! Crashes: from the moment of one, the world is played on twice without further events, once with the crash and once
//! without it; both come to the same end: images by pod counts, step, phase, holds, memory but times.
//!
//! Three things are left out, because they hang on the second of a write. A crash is not compared where a deadline, a soak
//! or the end of a freeze lies within the restart. Where some pods are not available at the end (a bad template, or a
//! proven one that broke), how many pods Kruise had moved when it stopped is not compared. And where a CloneSet had a size
//! at the crash and ends at zero replicas, it is not compared whether its step was reached on the way: an autoscaler's pods
//! may have been there long enough for one of the two only. Everything else is.

use std::collections::{BTreeMap, BTreeSet};

use triton::model::ReleaseId;
use triton::world::Memory;

use crate::explore::ledger::{Violation, letter, letters, require};
use crate::explore::rest::come_to_rest;
use crate::explore::sim::Sim;
use crate::explore::spec::DEADLINE;
use crate::explore::story::Op;

/// Rounds without any process between a crash and the restart, by the number of writes that came before it.
const AWAY: [u32; 4] = [0, 1, 0, 3];
/// Seconds after the restart in which what was missed is made up for: a poll, and a lap for each write of a step.
const CATCH_UP: i64 = 4;

/// Plays a crash and compares the ends. `sim` itself goes on with the crash.
///
/// # Errors
/// The rule that is broken, by either of them.
pub fn crash(sim: &mut Sim, op: &Op) -> Result<(), Violation> {
    let whole = sim.clone();
    let away = match op {
        Op::Crash(writes) => {
            sim.poll();
            sim.lap(*writes)?;
            sim.restart();
            AWAY[*writes as usize % AWAY.len()]
        }
        _ => {
            sim.poll();
            sim.restart();
            1
        }
    };
    if !sim.forks || hangs(&whole, away) {
        return Ok(());
    }
    let had_pods: BTreeSet<ReleaseId> =
        whole.cluster.sets.iter().filter(|(_, set)| set.replicas > 0).map(|(id, _)| id.clone()).collect();
    let (mut whole, mut broken) = (whole, sim.clone());
    whole.poll();
    whole.lap(u32::MAX)?;
    broken.down = broken.down.max(away);
    let (events, forks) = (sim.events, &mut [&mut whole, &mut broken]);
    for fork in forks.iter_mut() {
        fork.say(|| "  - a fork: events stop here".to_owned());
        (fork.forks, fork.events) = (false, events);
        let rested = come_to_rest(fork);
        sim.events += fork.events - events;
        if let Err(violation) = rested {
            if let Some(log) = fork.log.take() {
                sim.log = Some(log);
            }
            return Err(violation);
        }
    }
    sim.pairs += 1;
    for id in &sim.ids {
        let emptied =
            had_pods.contains(id) && whole.cluster.sets.get(id).is_some_and(|set| set.replicas == 0);
        let (one, other) = (end(&whole, id, emptied), end(&broken, id, emptied));
        require(one == other, "crash", || {
            format!("another end of {id} without it:\n{one}\nwith it:\n{other}")
        })?;
    }
    Ok(())
}

/// Whether a deadline or a soak lies within the restart, or an end of a freeze: then it matters when it is.
fn hangs(sim: &Sim, away: u32) -> bool {
    let until = sim.now + i64::from(away) + CATCH_UP;
    let within = |at: i64| at > sim.now - 1 && at <= until;
    let second = |at: jiff::Timestamp| at.as_second() - crate::explore::spec::time(0).as_second();
    let head = sim.line.last().expect("a line has a commit");
    let thaws = head.freeze.and_then(|frost| frost.until).is_some_and(within);
    let times = sim.cluster.sets.values().filter_map(|set| set.memory()).any(|memory| {
        let soak = sim.names.docs.get(&memory.digest).and_then(|doc| {
            let step = (memory.step as usize).checked_sub(1)?;
            Some(i64::from(doc.steps().get(step)?.3))
        });
        let deadline = memory.step_reached.is_none() && within(second(memory.step_entered) + DEADLINE);
        let soaks = memory.step_reached.zip(soak).is_some_and(|(it, soak)| within(second(it.at) + soak));
        deadline || soaks
    });
    thaws || times
}

/// The end of a release in words, but for times. One that was `emptied` does not say whether its step was reached.
fn end(sim: &Sim, id: &ReleaseId, emptied: bool) -> String {
    let remembered = |memory: &Memory| remembered(memory, emptied);
    let set = sim.cluster.sets.get(id).map(|set| {
        let mut pods: BTreeMap<char, u32> = BTreeMap::new();
        for pod in &set.pods {
            *pods.entry(pod.template).or_default() += 1;
        }
        let memory = set.memory().map(|it| remembered(&it));
        let pods = if set.pods.iter().all(|pod| pod.available) {
            format!("{pods:?}")
        } else {
            "not all available".to_owned()
        };
        format!("{} of {} at {}, pods {pods}, {memory:?}", set.template, set.replicas, set.partition)
    });
    let holds = sim.holds.get(id).map(|it| it.iter().map(|hold| hold.message.as_str()).collect::<Vec<_>>());
    let record = sim.cluster.records.get(id).map(|it| it.memory.as_ref().map(&remembered));
    let phase = sim.phases.get(id);
    format!("  CloneSet {set:?}\n  record {record:?}\n  {phase:?} {holds:?}")
}

fn remembered(memory: &Memory, emptied: bool) -> String {
    let failed = memory.failed.map(|it| (letter(it.template), it.attempt));
    let proven: String = letters(memory).iter().collect();
    // The number of pods belongs to the moment: an autoscaler may have written another size just then.
    let reached = Some(memory.step_reached.is_some()).filter(|_| !emptied);
    let digest = memory.digest.short();
    format!("{digest} step {} reached {reached:?} failed {failed:?} proven {proven}", memory.step)
}
