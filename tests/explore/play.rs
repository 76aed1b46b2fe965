//! Plays a world: what happens, in order, then the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use triton::model::{Amount, ReleaseId};
use triton::objects::{Kind, keys};
use triton::world::Memory;

use triton::devcluster::pods::Pod as Body;

use crate::explore::bugs::Bug;
use crate::explore::cluster::knobs;
use crate::explore::crash::crash;
use crate::explore::ledger::{Violation, leave, require};
use crate::explore::line::{Commit, Frost, Mark, removed_by};
use crate::explore::rest::settle;
use crate::explore::sim::Sim;
use crate::explore::spec::{Doc, LIMIT, image, key};
use crate::explore::story::{Edit, Op, Setup, Wipe};

/// What came of a world.
pub struct Played {
    /// The rule that was broken.
    pub violation: Option<Violation>,
    /// Things that happened.
    pub events: u64,
    /// Crashes that were compared with what comes without them.
    pub pairs: u64,
    /// Surplus pods that were deleted because a hold asked for it.
    pub cures: u64,
    /// Rounds that the longest way to rest took.
    pub longest: u32,
    /// The story, where somebody listens.
    pub log: Vec<String>,
}

/// Plays a world to its end.
#[must_use]
pub fn play(setup: &Setup, ops: &[Op], bug: Option<Bug>, listen: bool) -> Played {
    let mut sim = Sim::new(setup, bug, listen);
    // A fork is a story of its own: in tests, where time is dear, a quarter of the worlds have them.
    let forked = !cfg!(test) || setup.chance.is_multiple_of(4);
    sim.forks = bug == Some(Bug::ProofForgotten) || bug.is_none() && forked;
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
    let (pairs, cures, longest) = (sim.pairs, sim.cures, sim.longest);
    Played { violation, events: sim.events, pairs, cures, longest, log: sim.log.take().unwrap_or_default() }
}

/// One round: pods, controller, poll, lap.
///
/// # Errors
/// The rule that was broken.
pub fn round(sim: &mut Sim) -> Result<bool, Violation> {
    sim.pass(1);
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
    let head = sim.line.iter().rev().find(|commit| Some(commit.number) == sim.seen);
    for (id, set) in &sim.cluster.sets {
        let wanted = head.and_then(|head| head.doc(id)).map(|doc| doc.template);
        if wanted.is_none_or(|wanted| set.template == wanted && set.allowed() == set.replicas) {
            continue;
        }
        let ledger = &sim.ledgers[id];
        let excuses = ledger.excuses;
        let touched =
            set.annotations.contains_key(keys::SUSPEND) || set.annotations.contains_key(keys::ROLLBACK);
        if sim.dead > 0 {
            continue;
        }
        let Some(leave) = leave(&sim.line, sim.seen, id, sim.setup.people, sim.now) else { continue };
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
                round(sim)?;
            }
        }
        Op::Lag(rounds) => {
            disturb_all(sim);
            let usual = knobs().lag;
            let late = Duration::from_secs(u64::from(*rounds));
            sim.cluster.touch(|kube| kube.turn(|knobs| knobs.lag = (late, late)));
            for _ in 0..*rounds {
                round(sim)?;
            }
            sim.cluster.touch(|kube| kube.turn(|knobs| knobs.lag = usual));
        }
        Op::Tick => sim.pass(1),
        Op::Manager(rounds) => {
            disturb_all(sim);
            sim.kill_manager(*rounds);
        }
        Op::Poll if sim.down == 0 => sim.poll(),
        Op::Lap if sim.down == 0 => drop(sim.lap(u32::MAX)?),
        Op::Poll | Op::Lap => {}
        Op::Crash(_) | Op::CrashAfterPoll => crash(sim, op)?,
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
            let bad = !sim.bad.remove(template);
            if bad {
                sim.bad.insert(*template);
            }
            sim.cluster.turn(*template, bad);
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
        | Op::Evict(number, _)
        | Op::Stick(number, _)
        | Op::MinReady(number, _)
        | Op::EditRecord(number, _)
        | Op::Scale(number, _)
        | Op::Partition(number, _)
        | Op::Rewrite(number, _)
        | Op::Memory(number, _)
        | Op::LoseRecord(number)
        | Op::Field(number, _)
        | Op::Freezing(number)
        | Op::Delete(number)
        | Op::Restore(number)
        | Op::Copy(number)
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
            sim.cluster.delete(&id);
        }
        Op::EditRecord(_, wipe) => {
            ledger.excuses.hand = true;
            if let Some(record) = sim.cluster.records.get_mut(&id) {
                record.version += 1_000_000;
                match (wipe, &mut record.memory) {
                    (Wipe::Step(step), Some(memory)) => memory.step = *step,
                    (Wipe::Reached, Some(memory)) => memory.step_reached = None,
                    (Wipe::All, memory) => *memory = None,
                    (Wipe::Step(_) | Wipe::Reached, None) => {}
                }
            }
        }
        Op::EditService(_) => {
            if let Some(thing) = sim.cluster.things.get_mut(&key(&id, Kind::Service)) {
                thing.says = serde_json::json!({ "selector": { "app": "by hand" } });
                thing.version += 1_000_000;
            }
        }
        Op::Restore(_) => {
            let Some(body) = sim.cluster.body(&id) else { return };
            replace(sim, &id, body);
            let excuses = &mut sim.ledgers.get_mut(&id).expect("every release has one").excuses;
            (excuses.dirty, excuses.hand) = (true, true);
        }
        Op::Copy(_) => {
            let Some(body) = sim.made.get(&id).cloned() else { return };
            // While its announcement stands nobody can tell it from what was made under that.
            let create = body["metadata"]["annotations"][keys::CREATE].as_str();
            if !create.is_some_and(|create| sim.cluster.creates.contains_key(create)) {
                replace(sim, &id, body);
            }
        }
        _ => edit(sim, &id, op),
    }
}

/// Deleted, and made again from a body with all its annotations, under another UID.
fn replace(sim: &mut Sim, id: &ReleaseId, mut body: serde_json::Value) {
    body["metadata"].as_object_mut().expect("a CloneSet has metadata").remove("resourceVersion");
    body["status"] = serde_json::Value::Null;
    sim.cluster.delete(id);
    sim.cluster.make(body);
    sim.ledgers.get_mut(id).expect("every release has one").excuses.disturbed = true;
}

/// What happens to pods, and to fields that somebody writes by hand.
fn edit(sim: &mut Sim, id: &ReleaseId, op: &Op) {
    let excuses = &mut sim.ledgers.get_mut(id).expect("every release has one").excuses;
    let Some(set) = sim.cluster.sets.get(id) else { return };
    excuses.disturbed |= !matches!(op, Op::TakeBack(_) | Op::Field(..));
    excuses.broken_top |= matches!(op, Op::Stick(..));
    excuses.hand |= matches!(op, Op::Partition(..) | Op::Rewrite(..) | Op::Memory(..));
    let (memory, annotations) = (set.memory(), set.annotations.clone());
    let pod = |number: u32| Some(set.pods.get(number as usize % set.pods.len().max(1))?.name.clone());
    let space = id.namespace.as_str();
    match op {
        Op::Kill(_, number) => {
            let Some(name) = pod(*number) else { return };
            sim.cluster.touch(|kube| kube.delete_pod(space, &name));
        }
        Op::Evict(_, number) => {
            let Some(name) = pod(*number) else { return };
            let evict = |pod: &mut Body| pod.body["status"]["phase"] = json!("Failed");
            sim.cluster.touch(|kube| kube.change_pod(space, &name, evict));
        }
        Op::Stick(_, number) => {
            let Some(name) = pod(*number) else { return };
            sim.cluster.touch(|kube| kube.turn(|knobs| knobs.unready.extend([name])));
        }
        Op::Scale(_, size) => {
            sim.cluster.touch(|kube| kube.scale(space, id.name.as_str(), i64::from(*size)));
            if let Some(set) = sim.cluster.sets.get_mut(id) {
                set.owners.sizer = Some("autoscaler");
            }
        }
        Op::Suspend(_) => annotate(sim, id, |annotations| {
            if annotations.remove(keys::SUSPEND).is_none() {
                annotations.insert(keys::SUSPEND.to_owned(), "looking at it".to_owned());
            }
        }),
        Op::TakeBack(_) => {
            let Some(memory) = memory else { return };
            let digest = memory.digest.to_string();
            annotate(sim, id, |it| drop(it.insert(keys::ROLLBACK.to_owned(), digest)));
        }
        Op::Memory(_, wipe) => annotate(sim, id, |it| *it = wiped(annotations, memory, *wipe)),
        _ => sim.cluster.edit(id, |body| by_hand(&mut body["spec"], op)),
    }
}

fn annotate(sim: &mut Sim, id: &ReleaseId, change: impl FnOnce(&mut BTreeMap<String, String>)) {
    sim.cluster.edit(id, |body| {
        let annotations = &mut body["metadata"]["annotations"];
        let mut texts = serde_json::from_value(annotations.take()).unwrap_or_default();
        change(&mut texts);
        *annotations = json!(texts);
    });
}

fn by_hand(spec: &mut serde_json::Value, op: &Op) {
    let strategy = &mut spec["updateStrategy"];
    match op {
        Op::Partition(_, partition) => {
            let amount: Amount = partition.parse().expect("an amount");
            strategy["partition"] = json!(amount);
        }
        Op::Rewrite(_, template) => {
            spec["template"]["spec"]["containers"][0]["image"] = json!(image(*template));
        }
        Op::Freezing(_) => strategy["paused"] = json!(true),
        Op::MinReady(_, seconds) => spec["minReadySeconds"] = json!(seconds),
        Op::Field(_, 0) => spec["revisionHistoryLimit"] = json!(LIMIT + 1),
        Op::Field(_, 1) if strategy["type"] == "ReCreate" => strategy["type"] = json!("InPlaceIfPossible"),
        Op::Field(_, 1) => strategy["type"] = json!("ReCreate"),
        Op::Field(_, 2) => strategy["maxUnavailable"] = json!("60%"),
        Op::Field(..) => strategy["maxSurge"] = json!(1),
        _ => {}
    }
}

fn wiped(
    mut annotations: BTreeMap<String, String>,
    memory: Option<Memory>,
    wipe: Wipe,
) -> BTreeMap<String, String> {
    let Some(mut memory) = memory else { return annotations };
    annotations.retain(|key, _| !keys::MEMORY.contains(&key.as_str()));
    match wipe {
        Wipe::All => return annotations,
        Wipe::Step(step) => memory.step = step,
        Wipe::Reached => memory.step_reached = None,
    }
    annotations.extend(memory.to_annotations());
    annotations
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
        (Edit::Freeze(on), _) => commit.freeze = on.then_some(Frost { until: None }),
        (Edit::FreezeFor(seconds), _) => {
            commit.freeze = Some(Frost { until: Some(sim.now + i64::from(seconds)) });
        }
        (Edit::Unapprove, _) => marks.retain(|mark| (mark.name + mark.by) % 2 == 0),
        (Edit::Remove, _) => drop(commit.specs.remove(id)),
        (Edit::RemoveAll, _) => commit.specs.clear(),
        (Edit::ApproveRemoval, _) => drop(commit.removals.insert(removed_by(&sim.line, id).number)),
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
        Edit::Pace(pace) => spec.doc.pace = pace,
        Edit::InPlace(in_place) => spec.doc.in_place = in_place,
        Edit::Orphan(orphan) => spec.doc.orphan = orphan,
        Edit::Valid(valid) => spec.valid = valid,
        _ => {}
    }
}
