//! The end: events stop, time goes on, and within a bounded number of rounds everything is as Git asks, or a hold
//! says why not.

use triton::model::{Hold, LiftKind, ReleaseId};
use triton::objects::{Kind, keys};
use triton::world::Memory;

use crate::explore::ledger::{Leave, Ledger, Violation, leave, letter, letters, require};
use crate::explore::play::{accept, round};
use crate::explore::pods::CloneSet;
use crate::explore::removal;
use crate::explore::sim::Sim;
use crate::explore::spec::{Spec, digest, key, release, written_fields};

/// Rounds within which a world comes to rest. The longest way that was seen takes a third of it: a strategy of five steps,
/// some pods at a time, that fails at the last, is taken back, and waited for a freeze before.
const ROUNDS_MAX: u32 = 100;
/// Times that people delete a pod which a hold names: more than there can be surplus pods of a surge.
const CURES_MAX: u32 = 8;
/// Rounds without a change after which it rests. Time runs faster in them, past every soak and deadline.
const IDLE: u32 = 9;

/// Does what a hold asks for where Kruise may not delete a surplus pod: one that is not ready is deleted.
fn cure(sim: &mut Sim) -> bool {
    let asks =
        |hold: &Hold| hold.lift.command.as_ref().is_some_and(|it| it.starts_with("kubectl delete pod"));
    let asking = sim.holds.iter().filter(|(_, holds)| holds.iter().any(asks));
    let ill = asking.filter_map(|(id, _)| {
        let pod = sim.cluster.sets.get(id)?.pods.iter().find(|pod| !pod.available)?;
        Some((id.clone(), pod.name.clone()))
    });
    let ill: Vec<_> = ill.collect();
    for (id, pod) in &ill {
        sim.say(|| format!("  - the cure: pod {pod} of {id} is deleted"));
        sim.cures += 1;
        sim.cluster.touch(|kube| kube.delete_pod(id.namespace.as_str(), pod));
    }
    !ill.is_empty()
}

/// Lets the world come to rest and looks at it.
///
/// # Errors
/// The rule that is broken.
pub fn settle(sim: &mut Sim) -> Result<(), Violation> {
    come_to_rest(sim)?;
    for _ in 0..CURES_MAX {
        if !cure(sim) {
            break;
        }
        come_to_rest(sim)?;
    }
    for id in sim.ids.clone() {
        at_rest(sim, &id)?;
        silence(sim, &id)?;
    }
    Ok(())
}

/// Ends what people can end from outside (Git away, nobody leading, Kruise's manager dead), and lets rounds go by until
/// nothing changes any more.
///
/// # Errors
/// The rule that is broken on the way, or that there is no end of it.
pub fn come_to_rest(sim: &mut Sim) -> Result<(), Violation> {
    (sim.answers, sim.served, sim.down) = (true, sim.line.len(), sim.down.min(3));
    sim.dead = sim.dead.min(1);
    sim.cluster.touch(|kube| kube.turn(|knobs| knobs.unready.clear()));
    let known = sim.cluster.lease.is_none_or(|seen| sim.line.iter().any(|commit| commit.number == seen));
    if !known {
        accept(sim);
    }
    let (mut idle, mut rounds, mut vain) = (0, 0, sim.vain);
    while idle < IDLE {
        let before = picture(sim);
        round(sim)?;
        rounds += 1;
        vain = if idle < 3 { sim.vain } else { vain };
        require(sim.vain < vain + 3, "busy", || {
            "requests that change nothing are sent again and again".to_owned()
        })?;
        if sim.down > 0 {
            continue;
        }
        if before == picture(sim) {
            idle += 1;
            sim.pass(if idle % 3 == 0 { 14 } else { 1 });
            sim.daemon.fetched = Some(sim.now);
        } else {
            idle = 0;
        }
        require(rounds < ROUNDS_MAX, "no rest", || {
            let last = sim.writes.iter().rev().take(6).rev().cloned().collect::<Vec<_>>();
            format!("writes go on: {}", last.join("; "))
        })?;
    }
    sim.longest = sim.longest.max(rounds);
    Ok(())
}

/// What changes while a world does not rest.
fn picture(sim: &Sim) -> (u64, u64) {
    let things = sim.cluster.things.values().map(|thing| thing.version);
    let records = sim.cluster.records.values().map(|record| record.version);
    (sim.cluster.changes, things.chain(records).sum())
}

/// A release at rest.
struct Rest<'a> {
    sim: &'a Sim,
    set: &'a CloneSet,
    ledger: &'a Ledger,
    memory: Memory,
    spec: &'a Spec,
    leave: Leave,
}

/// Whether a companion that Git wants stands without our marks: one that was left behind with the release, which has
/// come back since. Like anything that is not ours it is not touched; its hold names what people can do, and until then
/// nothing but the way back is open.
fn meets_stranger(sim: &Sim, id: &ReleaseId, spec: &Spec) -> bool {
    let companions = &release(id, spec).companions;
    let mut things = companions.iter().filter_map(|companion| sim.cluster.things.get(&companion.body.key));
    things.any(|thing| thing.release.is_none())
}

fn at_rest(sim: &Sim, id: &ReleaseId) -> Result<(), Violation> {
    let head = sim.line.last().expect("a line has a commit");
    let ledger = &sim.ledgers[id];
    let Some(spec) = head.specs.get(id) else { return removal::at_rest(sim, id) };
    let leave = leave(&sim.line, sim.seen, id, sim.setup.people, sim.now);
    let leave = leave.map(|it| Leave { closed: it.closed || meets_stranger(sim, id, spec), ..it });
    let Some(set) = sim.cluster.sets.get(id) else {
        let failed = ledger.failed.is_some_and(|(it, n)| it == spec.doc.template && spec.doc.attempt <= n);
        let building = spec.doc.by_steps && leave.is_some_and(|leave| leave.furthest < 1);
        let excused = leave.is_none_or(|leave| leave.closed) || failed || building;
        return require(excused, "stuck", || format!("{id} has no CloneSet"));
    };
    let memory = set.memory().filter(|memory| memory.uid.as_ref() == Some(&set.uid));
    let (Some(memory), false) = (memory, set.annotations.contains_key(keys::SUSPEND)) else { return Ok(()) };
    one_unproven(set, ledger, &memory)?;
    let Some(leave) = leave else { return Ok(()) };
    let rest = Rest { sim, set, ledger, memory, spec, leave };
    rest.fields()?;
    if set.replicas == 0 {
        return rest.empty();
    }
    rest.position(id)
}

fn one_unproven(set: &CloneSet, ledger: &Ledger, memory: &Memory) -> Result<(), Violation> {
    let proven = letters(memory);
    let mut others: Vec<char> =
        set.pods.iter().map(|pod| pod.template).filter(|it| !proven.contains(it)).collect();
    others.sort_unstable();
    others.dedup();
    let entered = letter(memory.template);
    let anyway = ledger.anyway == Some(entered);
    let excused = anyway || ledger.excuses.broken_top || ledger.excuses.record_lost || proven.is_empty();
    require(others.len() <= 1 || excused, "one unproven", || format!("rests with {others:?}"))?;
    require(excused || others.iter().all(|it| *it == entered), "one unproven", || {
        format!("rests with {others:?} and {entered} is entered")
    })
}

impl Rest<'_> {
    /// Edits by others are repaired; the size is Git's.
    fn fields(&self) -> Result<(), Violation> {
        let set = self.set;
        let doc = self.sim.names.docs.get(&self.memory.digest).copied().unwrap_or(self.spec.doc);
        let strange = written_fields(&doc).into_iter().find(|(path, value)| set.field(path) != value);
        require(strange.is_none() && !set.paused, "repair", || {
            format!("a field edited by hand stays: {strange:?}")
        })?;
        require(letter(self.memory.template) == set.template, "repair", || {
            format!("{} is entered and {} is live", letter(self.memory.template), set.template)
        })?;
        let building = self.spec.doc.by_steps && self.memory.proven.is_empty();
        let wanted = self.spec.replicas.filter(|_| !building);
        require(wanted.is_none_or(|wanted| wanted == set.replicas), "repair", || {
            format!("replicas stay {}, Git says {wanted:?}", set.replicas)
        })
    }

    fn empty(&self) -> Result<(), Violation> {
        let top = self.memory.top().map(|top| letter(top.template));
        let stepped = self.spec.doc.strategy != 4;
        let fine = top.is_none_or(|top| top == self.set.template) || !stepped;
        require(fine, "zero", || format!("unproven {} at zero replicas", self.set.template))
    }

    fn good(&self, template: char) -> bool {
        !self.sim.bad.contains(&template)
    }

    fn all_on(&self, template: char) -> bool {
        self.set.pods.iter().all(|pod| pod.template == template && pod.available)
    }

    /// Waits on the proven release, whole.
    fn on_top(&self, top: char) -> Result<(), Violation> {
        let set = self.set;
        let whole = set.template == top && set.allowed() == set.replicas;
        require(whole, "stuck", || {
            format!("waits on {} at {}, not on the proven {top}", set.template, set.partition)
        })?;
        require(!self.good(top) || self.all_on(top), "stuck", || {
            format!("pods {:?} are not back on {top}", set.pods)
        })
    }

    fn position(&self, id: &ReleaseId) -> Result<(), Violation> {
        let (doc, memory, leave) = (self.spec.doc, &self.memory, &self.leave);
        let wanted = doc.template;
        let entered = letter(memory.template);
        let same = memory.digest == digest(id, &doc);
        let top = memory.top().map(|top| letter(top.template));
        let failed = memory.failed.filter(|it| letter(it.template) == wanted && doc.attempt <= it.attempt);
        if failed.is_some() && top != Some(wanted) {
            let asked_for = self.set.annotations.contains_key(keys::ROLLBACK);
            let wrong = !asked_for && !self.ledger.excuses.disturbed && self.good(wanted);
            require(!wrong, "stuck", || format!("healthy {wanted} has failed"))?;
            let holds = self.sim.names.docs.get(&memory.digest).is_none_or(|doc| doc.hold);
            let taken_back = holds || top.is_none() || entered != wanted;
            return require(taken_back, "stuck", || format!("{wanted} has failed and is not taken back"));
        }
        if let Some(top) = top.filter(|top| *top == wanted) {
            require(entered == wanted, "stuck", || {
                format!("{wanted} is proven and desired, {entered} is entered")
            })?;
            self.on_top(top)?;
            let entered = leave.closed || same;
            require(entered, "stuck", || {
                "another release with the proven template is not entered".to_owned()
            })?;
            let named = memory.top().is_some_and(|top| top.digest == memory.digest);
            return require(leave.closed || !self.good(wanted) || named, "stuck", || {
                "the proven release keeps an older digest".to_owned()
            });
        }
        if leave.closed {
            return Ok(());
        }
        if !same {
            let waits = leave.furthest == 0;
            require(waits, "stuck", || {
                format!("{wanted} is permitted to step {} and not entered", leave.furthest)
            })?;
            let abandoned = entered != wanted && top.is_some_and(|top| entered != top && self.good(top));
            return require(!abandoned, "stuck", || format!("{entered} was abandoned and goes on"));
        }
        self.entered()
    }

    /// What Git desires is entered, and not yet proven or just so.
    fn entered(&self) -> Result<(), Violation> {
        let (doc, memory, leave, set) = (self.spec.doc, &self.memory, &self.leave, self.set);
        let wanted = doc.template;
        if !self.good(wanted) {
            let known = memory.step_reached.is_some() || set.allowed() == 0;
            return require(known, "stuck", || {
                format!("bad {wanted} has neither reached its step nor failed")
            });
        }
        let far = memory.step >= leave.furthest;
        require(far, "stuck", || format!("stays at step {}, Git permits {}", memory.step, leave.furthest))?;
        require(memory.step < doc.last() || leave.furthest < doc.last(), "stuck", || {
            format!("{wanted} never completes")
        })
    }
}

/// A release that is not where Git wants it says why.
fn silence(sim: &Sim, id: &ReleaseId) -> Result<(), Violation> {
    let head = sim.line.last().expect("a line has a commit");
    let Some(spec) = head.specs.get(id) else { return Ok(()) };
    let there = sim.cluster.sets.get(id).is_some_and(|set| {
        let size = spec.replicas.is_none_or(|replicas| replicas == set.replicas);
        let memory = set.memory().is_some_and(|memory| {
            memory.uid.as_ref() == Some(&set.uid)
                && memory.digest == digest(id, &spec.doc)
                && memory.top().is_some_and(|top| top.digest == memory.digest)
        });
        let pods = set.pods.len() == set.replicas as usize
            && set.pods.iter().all(|pod| pod.template == spec.doc.template && pod.available);
        let suspended = set.annotations.contains_key(keys::SUSPEND);
        let ours = !meets_stranger(sim, id, spec);
        size && memory && pods && ours && spec.valid && !suspended && set.template == spec.doc.template
    });
    let holds = sim.holds.get(id).map_or(&[][..], Vec::as_slice);
    let spoken = holds.iter().any(|hold| !hold.message.is_empty());
    require(there || spoken, "silence", || format!("{id} is not where Git wants it and has no hold"))?;
    let surplus = sim.cluster.sets.get(id).filter(|set| set.pods.len() > set.replicas as usize);
    if let Some(set) = surplus.filter(|set| set.memory.is_some() && spec.valid) {
        // Pods of a surge that cannot end are there as well: whoever ends the failure ends them.
        let cured = holds.iter().any(|hold| hold.lift.kind != LiftKind::Wait);
        require(cured, "surplus", || {
            format!("{id} has {} pods of {} and no cure: {holds:?}", set.pods.len(), set.replicas)
        })?;
    }
    require(!there || !spoken, "noise", || format!("{id} is complete and holds: {:?}", holds[0].message))?;
    let service = sim.cluster.things.get(&key(id, Kind::Service)).filter(|thing| thing.release.is_some());
    let text = service.map(|thing| &thing.says["selector"]["app"]);
    let text = text.and_then(|text| text.as_str()).map(str::to_owned);
    let service = (spec.doc.service > 0).then(|| spec.doc.service.to_string());
    require(!there || text == service, "companion", || {
        format!("the Service of {id} says {text:?}, Git {service:?}")
    })
}
