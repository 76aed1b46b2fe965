//! Plays a world: what happens, in order, then the rest.

use std::collections::BTreeSet;

use triton::model::ReleaseId;
use triton::objects::{Kind, keys};
use triton::world::Memory;

use crate::explore::bugs::Bug;
use crate::explore::ledger::{Violation, leave, require};
use crate::explore::line::{Commit, Mark};
use crate::explore::rest::settle;
use crate::explore::sim::Sim;
use crate::explore::spec::{Doc, LIMIT, key};
use crate::explore::story::{Edit, Op, Setup, Wipe};

/// What came of a world.
pub struct Played {
    /// The rule that was broken.
    pub violation: Option<Violation>,
    /// Things that happened.
    pub events: u64,
    /// The story, where somebody listens.
    pub log: Vec<String>,
}

/// Plays a world to its end.
#[must_use]
pub fn play(setup: &Setup, ops: &[Op], bug: Option<Bug>, listen: bool) -> Played {
    let mut sim = Sim::new(setup, bug, listen);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for op in ops {
            sim.say(|| format!("  - {op}"));
            sim.events += 1;
            happen(&mut sim, op)?;
        }
        sim.say(|| "  - events stop".to_owned());
        settle(&mut sim)
    }));
    let violation = match outcome {
        Ok(result) => result.err(),
        Err(_) => Some(Violation { rule: "panic", text: "the planner panics".to_owned() }),
    };
    Played { violation, events: sim.events, log: sim.log.take().unwrap_or_default() }
}

/// One round: pods, controller, poll, lap.
///
/// # Errors
/// The rule that was broken.
pub fn round(sim: &mut Sim, lag: bool) -> Result<bool, Violation> {
    sim.now += 1;
    sim.kubelets();
    if !lag {
        sim.controller();
    }
    if sim.down > 0 {
        sim.down -= 1;
        return Ok(false);
    }
    sim.poll();
    let wrote = !sim.lap(u32::MAX)?.wrote.is_empty();
    reverts_win(sim)?;
    Ok(wrote)
}

/// After one poll and one lap a proven template that Git desires is written, with no pod kept back.
fn reverts_win(sim: &Sim) -> Result<(), Violation> {
    if sim.daemon.fault.is_some() {
        return Ok(());
    }
    for (id, set) in &sim.cluster.sets {
        let ledger = &sim.ledgers[id];
        let excuses = ledger.excuses;
        let touched =
            set.annotations.contains_key(keys::SUSPEND) || set.annotations.contains_key(keys::ROLLBACK);
        let Some(leave) = leave(&sim.line, sim.seen, id, sim.setup.people) else { continue };
        let wanted = leave.doc.template;
        if touched || excuses.dirty || excuses.record_lost || excuses.hand || !ledger.proven.contains(&wanted)
        {
            continue;
        }
        let back = set.template == wanted && set.allowed() == set.replicas;
        require(back, "revert", || {
            format!("{wanted} is proven and desired, {} stays at {}", set.template, set.partition)
        })?;
    }
    Ok(())
}

fn happen(sim: &mut Sim, op: &Op) -> Result<(), Violation> {
    match op {
        Op::Commit(number, edits) => commit(sim, *number, edits),
        Op::Run(rounds) => {
            for _ in 0..*rounds {
                round(sim, false)?;
            }
        }
        Op::Lag(rounds) => {
            disturb_all(sim);
            for _ in 0..*rounds {
                round(sim, true)?;
            }
        }
        Op::Tick => sim.now += 1,
        Op::Pods => {
            sim.kubelets();
            sim.controller();
        }
        Op::Poll if sim.down == 0 => sim.poll(),
        Op::Lap if sim.down == 0 => drop(sim.lap(u32::MAX)?),
        Op::Poll | Op::Lap => {}
        Op::Crash(writes) => {
            sim.poll();
            sim.lap(*writes)?;
            sim.restart();
        }
        Op::CrashAfterPoll => {
            sim.poll();
            sim.restart();
        }
        Op::Pause => sim.pause(),
        Op::Wake => sim.wake()?,
        Op::Down(rounds) => sim.down = *rounds,
        Op::Git(answers) => sim.answers = *answers,
        Op::Replica(back) => sim.served = sim.line.len().saturating_sub(*back as usize).max(1),
        Op::Force(back) => {
            let keep = sim.line.len().saturating_sub(*back as usize).max(1);
            sim.line.truncate(keep);
            sim.served = keep;
        }
        Op::Accept => accept(sim),
        Op::Turn(template) => {
            disturb_all(sim);
            if !sim.bad.remove(template) {
                sim.bad.insert(*template);
            }
        }
        _ => touch(sim, op),
    }
    Ok(())
}

fn disturb_all(sim: &mut Sim) {
    for ledger in sim.ledgers.values_mut() {
        ledger.excuses.disturbed = true;
    }
}

/// The daemon's configuration names the head that the server shows; it starts from there.
pub fn accept(sim: &mut Sim) {
    sim.cluster.lease = Some(sim.line[sim.served - 1].number);
    sim.seen = sim.cluster.lease;
    sim.restart();
}

/// What is done to one release in the cluster.
fn touch(sim: &mut Sim, op: &Op) {
    let number = match op {
        Op::Kill(number, _)
        | Op::Scale(number, _)
        | Op::Partition(number, _)
        | Op::Rewrite(number, _)
        | Op::Memory(number, _)
        | Op::LoseRecord(number)
        | Op::Limit(number)
        | Op::Freezing(number)
        | Op::Delete(number)
        | Op::Restore(number)
        | Op::Suspend(number)
        | Op::TakeBack(number)
        | Op::EditService(number) => *number,
        _ => return,
    };
    let Some(id) = sim.ids.get(number).cloned() else { return };
    let ledger = sim.ledgers.get_mut(&id).expect("every release has one");
    match op {
        Op::LoseRecord(_) => {
            ledger.excuses.record_lost = true;
            sim.cluster.records.remove(&id);
        }
        Op::Delete(_) => {
            ledger.excuses.disturbed = true;
            sim.cluster.sets.remove(&id);
        }
        Op::EditService(_) => {
            if let Some(thing) = sim.cluster.things.get_mut(&key(&id, Kind::Service)) {
                thing.says = serde_json::json!({ "selector": { "app": "by hand" } });
                thing.version += 1_000_000;
            }
        }
        Op::Restore(_) => restore(sim, &id),
        _ => edit(sim, &id, op),
    }
}

/// Deleted, and restored from a backup: the same spec and annotations under another UID.
fn restore(sim: &mut Sim, id: &ReleaseId) {
    let (uid, version) = (sim.cluster.new_uid(), sim.cluster.tick());
    let Some(set) = sim.cluster.sets.get_mut(id) else { return };
    (set.uid, set.version, set.generation) = (uid, version, 1);
    (set.status, set.current, set.applied) = (triton::world::CounterStatus::default(), None, false);
    set.pods.clear();
    let excuses = &mut sim.ledgers.get_mut(id).expect("every release has one").excuses;
    (excuses.dirty, excuses.hand, excuses.disturbed) = (true, true, true);
}

fn edit(sim: &mut Sim, id: &ReleaseId, op: &Op) {
    let version = sim.cluster.tick();
    let ledger = sim.ledgers.get_mut(id).expect("every release has one");
    let excuses = &mut ledger.excuses;
    let Some(set) = sim.cluster.sets.get_mut(id) else { return };
    let memory = set.memory();
    set.version = version;
    match op {
        Op::Kill(_, pod) if !set.pods.is_empty() => {
            excuses.disturbed = true;
            let index = *pod as usize % set.pods.len();
            set.pods.remove(index);
        }
        Op::Scale(_, size) => {
            excuses.disturbed = true;
            set.generation += i64::from(set.replicas != *size);
            set.replicas = *size;
            set.sizer = Some("autoscaler");
        }
        Op::Partition(_, partition) => {
            (excuses.hand, excuses.disturbed) = (true, true);
            set.partition = partition.parse().expect("an amount");
            set.generation += 1;
        }
        Op::Rewrite(_, template) => {
            (excuses.hand, excuses.disturbed) = (true, true);
            set.template = *template;
            set.generation += 1;
        }
        Op::Limit(_) => {
            set.limit = LIMIT + 1;
            set.generation += 1;
        }
        Op::Freezing(_) => {
            excuses.disturbed = true;
            set.paused = true;
            set.generation += 1;
        }
        Op::Memory(_, wipe) => {
            (excuses.hand, excuses.disturbed) = (true, true);
            wiped(&mut set.annotations, memory, *wipe);
        }
        Op::Suspend(_) => {
            excuses.disturbed = true;
            if set.annotations.remove(keys::SUSPEND).is_none() {
                set.annotations.insert(keys::SUSPEND.to_owned(), "looking at it".to_owned());
            }
        }
        Op::TakeBack(_) => {
            if let Some(memory) = memory {
                set.annotations.insert(keys::ROLLBACK.to_owned(), memory.digest.to_string());
            }
        }
        _ => {}
    }
}

fn wiped(annotations: &mut std::collections::BTreeMap<String, String>, memory: Option<Memory>, wipe: Wipe) {
    let Some(mut memory) = memory else { return };
    annotations.retain(|key, _| !keys::MEMORY.contains(&key.as_str()));
    match wipe {
        Wipe::All => return,
        Wipe::Step(step) => memory.step = step,
        Wipe::Reached => memory.step_reached = None,
    }
    annotations.extend(memory.to_annotations());
}

fn commit(sim: &mut Sim, number: usize, edits: &[Edit]) {
    let Some(id) = sim.ids.get(number).cloned() else { return };
    let mut commit = Commit::clone(sim.line.last().expect("a line has a commit"));
    commit.number = sim.next;
    commit.author = sim.setup.author;
    sim.next += 1;
    for edit in edits {
        change(sim, &mut commit, &id, *edit);
    }
    sim.push(commit);
}

fn change(sim: &Sim, commit: &mut Commit, id: &ReleaseId, edit: Edit) {
    let back = |by: u32| sim.line[sim.line.len().saturating_sub(1 + by as usize)].clone();
    let marks: &mut BTreeSet<Mark> = &mut commit.marks;
    let name = commit.number;
    let doc = commit.specs.get(id).map(|spec| spec.doc);
    let mark = |doc: Doc, step: Option<u32>, by: u32| Mark { id: id.clone(), doc, step, name, by };
    match (edit, doc) {
        (Edit::Freeze(on), _) => commit.freeze = on,
        (Edit::Unapprove, _) => marks.retain(|mark| (mark.name + mark.by) % 2 == 0),
        (Edit::Remove, _) => drop(commit.specs.remove(id)),
        (Edit::ApproveRemoval, _) => drop(commit.removals.insert(name - 1)),
        (Edit::Revert(by), _) => {
            if let Some(spec) = back(by).specs.get(id) {
                commit.specs.insert(id.clone(), *spec);
            }
        }
        (Edit::RevertAll(by), _) => {
            let old = back(by);
            (commit.specs, commit.marks, commit.freeze) = (old.specs.clone(), old.marks.clone(), old.freeze);
        }
        (Edit::Approve(step, by), Some(doc)) => drop(marks.insert(mark(doc, Some(step), by))),
        (Edit::ApproveAll, Some(doc)) => {
            let steps = 1..=doc.last();
            marks.extend(steps.flat_map(|step| [mark(doc, Some(step), 1), mark(doc, Some(step), 2)]));
        }
        (Edit::ApproveOld(by, step), Some(_)) => {
            if let Some(spec) = back(by).specs.get(id) {
                marks.extend([mark(spec.doc, Some(step), 1), mark(spec.doc, Some(step), 2)]);
            }
        }
        (Edit::Skip, Some(doc)) => drop(marks.insert(mark(doc, None, 1))),
        (_, Some(_)) => respecify(commit.specs.get_mut(id).expect("it has a spec"), edit),
        (_, None) => {}
    }
}

fn respecify(spec: &mut crate::explore::spec::Spec, edit: Edit) {
    match edit {
        Edit::Template(template) => (spec.doc.template, spec.doc.attempt) = (template, 1),
        Edit::Steps(strategy) => spec.doc.strategy = strategy,
        Edit::Service(service) => spec.doc.service = service,
        Edit::Again => spec.doc.attempt += 1,
        Edit::FirstAttempt => spec.doc.attempt = 1,
        Edit::Hold(hold) => spec.doc.hold = hold,
        Edit::Replicas(replicas) => spec.replicas = spec.replicas.map(|_| replicas),
        Edit::Cap(cap) => spec.cap = cap,
        Edit::Suspend(suspend) => spec.suspend = suspend,
        Edit::Valid(valid) => spec.valid = valid,
        _ => {}
    }
}
