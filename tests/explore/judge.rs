//! Safety, after every write to a CloneSet: what it lets happen, against what Git permits and what really happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use triton::model::{Amount, Percent, ReleaseId};
use triton::objects::keys;
use triton::world::Memory;

use crate::explore::daemon::STALE_AFTER;
use crate::explore::ledger::{
    Arrival, Entry, Leave, Ledger, Names, Violation, leave, letter, letters, require,
};
use crate::explore::line::Commit;
use crate::explore::pods::{CloneSet, kept};
use crate::explore::spec::{DEADLINE, Doc, template_hash};

/// What the checker is shown with a write.
pub struct Scene<'a> {
    /// Which release.
    pub id: &'a ReleaseId,
    /// When.
    pub now: i64,
    /// The CloneSet before.
    pub before: Option<&'a CloneSet>,
    /// The CloneSet after.
    pub after: &'a CloneSet,
    /// The announcements of creates that stand on the Lease.
    pub creates: &'a BTreeMap<String, i64>,
    /// The line as the server has it.
    pub line: &'a [Arc<Commit>],
    /// The newest head that was seen.
    pub seen: Option<u32>,
    /// The head that the writer follows.
    pub follows: Option<u32>,
    /// When it last asked Git with success.
    pub fetched: Option<i64>,
    /// Bad templates.
    pub bad: &'a BTreeSet<char>,
    /// Whether people can be told apart.
    pub people: bool,
    /// Names of digests.
    pub names: &'a Names,
}

/// A write, taken apart.
struct Act<'a> {
    scene: &'a Scene<'a>,
    memory: Memory,
    doc: Doc,
    template: char,
    leave: Option<Leave>,
    proven: bool,
    is_back: bool,
}

fn is_zero(partition: Amount) -> bool {
    kept(partition, 1_000) == 0
}

/// Checks a write and enters it into the ledger.
///
/// # Errors
/// The rule that it breaks.
pub fn wrote(ledger: &mut Ledger, scene: &Scene<'_>) -> Result<(), Violation> {
    let act = take_apart(ledger, scene)?;
    match scene.before {
        None => created(ledger, &act)?,
        Some(before) => changed(ledger, &act, before)?,
    }
    enter(ledger, &act);
    Ok(())
}

fn take_apart<'a>(ledger: &Ledger, scene: &'a Scene<'a>) -> Result<Act<'a>, Violation> {
    let suspended = scene.before.is_some_and(|set| set.annotations.contains_key(keys::SUSPEND));
    require(!suspended, "suspended", || "a write while triton.io/suspend is there".to_owned())?;
    let lost = || Violation { rule: "whole", text: "a write leaves no memory".to_owned() };
    let memory = scene.after.memory().ok_or_else(lost)?;
    let template = scene.after.template;
    require(memory.template == template_hash(template), "whole", || {
        format!("memory says {} and the template is {template}", letter(memory.template))
    })?;
    let doc = scene.names.docs.get(&memory.digest).copied();
    let doc =
        doc.ok_or_else(|| Violation { rule: "whole", text: "a digest that Git never had".to_owned() })?;
    let proven = ledger.proven.contains(&template);
    let moved = scene.before.is_some_and(|set| set.template != template);
    let entered_other = ledger.entry.as_ref().is_some_and(|entry| entry.doc.template != template);
    let is_back = proven && (moved || entered_other);
    let leave = leave(scene.line, scene.seen, scene.id, scene.people, scene.now);
    Ok(Act { scene, memory, doc, template, leave, proven, is_back })
}

fn created(ledger: &Ledger, act: &Act<'_>) -> Result<(), Violation> {
    let announced = act.memory.create.as_ref().is_some_and(|it| act.scene.creates.contains_key(it));
    require(announced, "announced", || "made under no announcement that stands".to_owned())?;
    let excused = ledger.excuses.record_lost || ledger.excuses.dirty || ledger.excuses.hand;
    require(ledger.proven.is_empty() || act.proven || excused, "permit", || {
        format!("makes {} again though {:?} is proven", act.template, ledger.proven)
    })?;
    if act.proven || excused {
        return Ok(());
    }
    let leave = act.leave.filter(|leave| leave.doc == act.doc);
    let Some(leave) = leave else {
        return require(false, "permit", || format!("makes {} which Git does not desire", act.template));
    };
    require(!leave.closed, "closed", || "made while frozen or suspended".to_owned())?;
    fresh(act)?;
    if act.doc.by_steps {
        let most = act.doc.pods_at(leave.furthest, leave.replicas.unwrap_or(1));
        let makes = act.scene.after.replicas;
        require(makes <= most, "permit", || format!("makes {makes} pods, Git permits {most}"))?;
    }
    Ok(())
}

fn fresh(act: &Act<'_>) -> Result<(), Violation> {
    let scene = act.scene;
    let young = scene.fetched.is_some_and(|at| scene.now - at <= STALE_AFTER);
    require(young, "stale", || "forward on an old fetch".to_owned())?;
    require(scene.follows == scene.seen, "older", || {
        "forward on a head older than one already seen".to_owned()
    })
}

fn changed(ledger: &Ledger, act: &Act<'_>, before: &CloneSet) -> Result<(), Violation> {
    let after = act.scene.after;
    require(act.memory.uid.as_ref() == Some(&after.uid), "uid", || "memory of another object".to_owned())?;
    let entered_here = ledger.entry.as_ref().is_some_and(|entry| entry.uid == after.uid);
    // Memory without a UID counts while the announcement of its create stands; else it is a copy, and one to adopt.
    let counts = before.memory().is_some_and(|it| match &it.uid {
        Some(uid) => *uid == before.uid,
        None => it.create.is_some_and(|create| act.scene.creates.contains_key(&create)),
    });
    let stands = before.generation == after.generation;
    require(entered_here || stands, "uid", || "a CloneSet that was never ours is changed".to_owned())?;
    let lost = !counts && ledger.excuses.record_lost && letters(&act.memory) == [act.template];
    if !entered_here || stands && lost {
        return adopted(act, before);
    }
    permitted(ledger, act, before)?;
    if act.is_back && before.template != act.template {
        require(is_zero(after.partition), "back", || {
            format!("goes back with partition {}", after.partition)
        })?;
    }
    let entry = ledger.entry.as_ref();
    let other_release = entry.is_none_or(|entry| entry.doc != act.doc);
    let stays = entry.is_some_and(|entry| entry.doc.template == act.template);
    let closed = act.leave.is_some_and(|leave| leave.closed && leave.doc == act.doc);
    require(!(other_release && stays && closed) || ledger.excuses.hand, "closed", || {
        "another release with the same template is entered while frozen or suspended".to_owned()
    })?;
    let further = entry.is_some_and(|entry| act.memory.step > entry.step);
    if !act.proven && (other_release || further) {
        entering(ledger, act, before)?;
    }
    claims(ledger, act, before)
}

fn adopted(act: &Act<'_>, before: &CloneSet) -> Result<(), Violation> {
    require(act.doc.adopt, "adopt", || "taken over without leave".to_owned())?;
    let settled = is_zero(before.partition) && before.running(before.template) == before.replicas;
    require(settled, "adopt", || "taken over in the middle of a rollout".to_owned())
}

/// No write permits more updated pods than the furthest step that Git permits; scaling keeps the share.
fn permitted(ledger: &Ledger, act: &Act<'_>, before: &CloneSet) -> Result<(), Violation> {
    let after = act.scene.after;
    let same_template = before.template == act.template;
    let same_share = same_template && before.partition == after.partition;
    let building = act.doc.by_steps && ledger.proven.is_empty();
    if act.proven || same_share && !building {
        return Ok(());
    }
    let size = if building {
        act.leave.and_then(|it| it.replicas).unwrap_or(after.replicas)
    } else {
        after.replicas
    };
    let by_git = act
        .leave
        .filter(|leave| leave.doc == act.doc)
        .map_or(0, |leave| act.doc.pods_at(leave.furthest, size));
    let live = if same_template || building { before.allowed() } else { 0 };
    let entry = ledger.entry.as_ref().filter(|entry| entry.doc == act.doc);
    let resized = before.replicas != after.replicas || building;
    let by_share = entry.filter(|_| resized).map_or(0, |entry| act.doc.pods_at(entry.step, size));
    let first = ledger.proven.is_empty() && entry.is_some_and(|entry| entry.step == act.doc.last());
    share(after, before.partition != after.partition || before.replicas != after.replicas)?;
    let (lets, most) = (after.allowed(), by_git.max(live).max(by_share));
    require(lets <= most || first, "permit", || {
        format!("lets {lets} pods be {}, Git permits {by_git}, live {live}", act.template)
    })
}

/// No larger whole percentage lets as many pods go: an autoscaler cannot outrun the step.
fn share(after: &CloneSet, written: bool) -> Result<(), Violation> {
    if !written || is_zero(after.partition) || after.replicas == 0 {
        return Ok(());
    }
    let Amount::Percent(percent) = after.partition else {
        return require(false, "share", || format!("partition {} is a count", after.partition));
    };
    let larger = (1..=100).rev().filter_map(Percent::whole).take_while(|it| *it > percent);
    let same = larger
        .map(Amount::Percent)
        .any(|it| kept(it, after.replicas) == kept(after.partition, after.replicas));
    require(!same, "share", || {
        format!("partition {percent} is not the largest share for {} pods", after.allowed())
    })
}

/// Something unproven is entered, or a further step of it.
fn entering(ledger: &Ledger, act: &Act<'_>, before: &CloneSet) -> Result<(), Violation> {
    let (scene, after) = (act.scene, act.scene.after);
    // Memory edited by hand may name a step that nobody entered; what is let go is judged all the same.
    let written =
        before.memory().is_some_and(|it| it.digest == act.memory.digest && it.step >= act.memory.step);
    if ledger.excuses.hand && (written || after.allowed() <= before.allowed()) {
        return still(ledger, act, before);
    }
    fresh(act)?;
    require(act.leave.is_some_and(|leave| leave.doc == act.doc), "permit", || {
        format!("enters {} which Git does not desire", act.template)
    })?;
    require(act.leave.is_none_or(|leave| !leave.closed), "closed", || {
        "a step is entered while frozen or suspended".to_owned()
    })?;
    let failed = ledger
        .failed
        .is_some_and(|(template, attempt)| template == act.template && act.doc.attempt <= attempt);
    require(!failed || ledger.excuses.dirty, "failed", || {
        format!("enters {} again, which failed", act.template)
    })?;
    if ledger.excuses.hand {
        return Ok(());
    }
    let same = ledger.entry.as_ref().filter(|entry| entry.doc == act.doc && entry.uid == after.uid);
    if let Some(entry) = same {
        return next_step(ledger, act, before, entry);
    }
    let stays =
        ledger.entry.as_ref().is_some_and(|it| it.doc.template == act.template && it.uid == after.uid);
    if stays && before.template == act.template {
        let asks = act.doc.pods_at(act.memory.step, after.replicas);
        let more = asks > before.allowed() && before.replicas == after.replicas && act.memory.step > 0;
        return require(!more, "order", || format!("the same template is entered at a step of {asks} pods"));
    }
    require(act.memory.step == 1, "order", || format!("a new template enters step {}", act.memory.step))?;
    one_unproven(ledger, act, before, scene)
}

/// Memory edited by hand opens no gate: while one is closed nothing more is let go than before, or than what was
/// entered in truth.
fn still(ledger: &Ledger, act: &Act<'_>, before: &CloneSet) -> Result<(), Violation> {
    let after = act.scene.after;
    let entry = ledger.entry.as_ref().filter(|entry| entry.doc == act.doc);
    let entered = entry.map_or(0, |entry| act.doc.pods_at(entry.step, after.replicas));
    let closed = act.leave.is_some_and(|leave| leave.closed) || fresh(act).is_err();
    let more = after.allowed() > before.allowed().max(entered) && before.replicas == after.replicas;
    require(!(closed && more) || ledger.excuses.dirty, "closed", || {
        format!("{} pods are let go by an edited memory while a gate is closed", after.allowed())
    })
}

fn next_step(ledger: &Ledger, act: &Act<'_>, before: &CloneSet, entry: &Entry) -> Result<(), Violation> {
    let (step, now) = (act.memory.step, act.scene.now);
    require(step == entry.step + 1, "order", || format!("step {step} after step {}", entry.step))?;
    if entry.step == 0 {
        return Ok(());
    }
    // A step may be left in the write that would have said that it is reached.
    let since = match ledger.reached {
        Some(arrival) => arrival.at,
        None => arrives(ledger, act, before, entry.step).map(|()| now)?,
    };
    let soak = i64::from(act.doc.steps()[entry.step as usize - 1].3);
    let skip = act.leave.is_some_and(|leave| leave.skip);
    require(skip || now - since >= soak, "soak", || format!("step {} is left too early", entry.step))?;
    let asked = act
        .doc
        .pods_at(entry.step, before.replicas)
        .min(act.doc.pods_at(entry.step, act.scene.after.replicas));
    let have = before.running(act.template);
    require(have >= asked || ledger.excuses.disturbed, "reached", || {
        format!("step {} of {asked} pods is left with {have}", entry.step)
    })
}

fn one_unproven(
    ledger: &Ledger,
    act: &Act<'_>,
    before: &CloneSet,
    scene: &Scene<'_>,
) -> Result<(), Violation> {
    let Some(top) = ledger.proven.last() else { return Ok(()) };
    if ledger.excuses.broken_top || ledger.excuses.disturbed || before.template == act.template {
        return Ok(());
    }
    let others: BTreeSet<char> = before.pods.iter().map(|pod| pod.template).collect();
    let others: Vec<char> = others.into_iter().filter(|it| *it != act.template && it != top).collect();
    require(others.is_empty(), "one unproven", || {
        format!("{} is entered while {others:?} runs", act.template)
    })?;
    let current = before.current;
    require(current.is_none_or(|it| it == *top), "one unproven", || {
        format!("{} of {} is entered while the current revision is {current:?}", act.template, scene.id)
    })
}

/// A step is reached at this moment, in truth.
fn arrives(ledger: &Ledger, act: &Act<'_>, before: &CloneSet, step: u32) -> Result<(), Violation> {
    let size = before.replicas;
    let asked = act.doc.pods_at(step, size);
    let have = before.available(act.template);
    // A first release that is made by steps may begin with a step of no pods.
    let wanted = act.leave.and_then(|it| it.replicas).unwrap_or(size);
    let none_asked = act.doc.by_steps && ledger.proven.is_empty() && act.doc.pods_at(step, wanted) == 0;
    require(size > 0 || act.proven || none_asked, "zero", || {
        "a step is reached at zero replicas".to_owned()
    })?;
    require(have >= asked || ledger.excuses.disturbed, "reached", || {
        format!("step {step} of {asked} pods is said to be reached with {have}")
    })
}

/// What memory says newly must be true.
fn claims(ledger: &Ledger, act: &Act<'_>, before: &CloneSet) -> Result<(), Violation> {
    let (memory, excuses) = (&act.memory, ledger.excuses);
    let known = before.memory().filter(|it| it.uid.as_ref() == Some(&before.uid) || it.uid.is_none());
    let size = before.replicas;
    let was_reached = known.as_ref().is_some_and(|it| it.step_reached.is_some());
    if memory.step_reached.is_some() && !was_reached && !excuses.hand {
        arrives(ledger, act, before, memory.step)?;
    }
    let stack = letters(memory);
    let pushed = stack.last() == Some(&act.template) && ledger.proven.last() != Some(&act.template);
    if pushed && !act.is_back && !excuses.hand && !excuses.dirty {
        let have = before.running(act.template);
        require(size > 0, "zero", || "proven at zero replicas".to_owned())?;
        require(memory.step == act.doc.last(), "reached", || "proven before its last step".to_owned())?;
        require(have >= size || excuses.disturbed, "reached", || {
            format!("proven with {have} of {size} pods")
        })?;
        // Said in this very write, it was judged above.
        let reached = ledger.reached.is_some() || memory.step_reached.is_some();
        require(reached, "reached", || "proven, and never reached".to_owned())?;
    }
    let kept_all = act.is_back || stack.starts_with(&ledger.proven) || stack.len() >= 5;
    require(kept_all || excuses.hand || excuses.dirty || excuses.record_lost, "proven", || {
        format!("{:?} were proven, and now {stack:?}", ledger.proven)
    })?;
    require(!act.is_back || stack.last() == Some(&act.template) || excuses.dirty, "proven", || {
        format!("goes back to {} and keeps {stack:?}", act.template)
    })?;
    let strange = stack.iter().any(|it| !ledger.proven.contains(it) && *it != act.template);
    require(!strange || excuses.hand || excuses.dirty, "proven", || {
        format!("proven are said to be {stack:?}, in truth {:?}", ledger.proven)
    })?;
    let failed = memory.failed.map(|it| (letter(it.template), it.attempt));
    let asked_for = before.annotations.contains_key(keys::ROLLBACK);
    let newly = failed.is_some() && failed != ledger.failed && !asked_for && !excuses.hand && !excuses.dirty;
    let good = failed.is_some_and(|(template, _)| !act.scene.bad.contains(&template));
    require(!(newly && good) || excuses.disturbed, "failure", || {
        format!("{failed:?} is healthy and said to have failed")
    })
}

fn enter(ledger: &mut Ledger, act: &Act<'_>) {
    let (memory, after) = (&act.memory, act.scene.after);
    // A step that was only written into memory by hand is entered when its pods are let go, not when it is copied.
    let old = ledger.entry.as_ref().filter(|it| it.doc == act.doc && it.uid == after.uid);
    let copied = old.filter(|it| {
        let fewer = after.allowed() <= act.doc.pods_at(it.step, after.replicas);
        ledger.excuses.hand && fewer && memory.step > it.step
    });
    let step = copied.map_or(memory.step, |it| it.step);
    let entry = Entry { doc: act.doc, step, uid: after.uid.clone(), at: act.scene.now };
    let same = ledger
        .entry
        .as_ref()
        .is_some_and(|it| it.doc == entry.doc && it.step == entry.step && it.uid == entry.uid);
    let other = ledger.entry.as_ref().filter(|it| it.doc.template != act.template && it.uid == after.uid);
    if let Some(back) = other {
        let under_way = ledger.proven.last() == Some(&back.doc.template) && ledger.reached.is_none();
        let late = under_way && act.scene.now - back.at > DEADLINE;
        ledger.anyway = late.then_some(act.template);
    }
    if !same {
        ledger.entry = Some(entry);
        ledger.reached = None;
    }
    match (memory.step_reached, ledger.reached) {
        (Some(_), None) => ledger.reached = Some(Arrival { at: act.scene.now }),
        (None, Some(_)) => ledger.reached = None,
        (Some(_), Some(_)) | (None, None) => {}
    }
    ledger.failed = memory.failed.map(|it| (letter(it.template), it.attempt));
    ledger.proven = letters(memory);
}
