//! Blue/green: what stands beside what is decided. The table is [`crate::plan::colours`]'s.
//!
//! In this order, a lap each: what follows the one that serves; what is missing or too small; and only once the active Service
//! has its endpoints, what is needed no more. The switch is one write of the active Service, and what else follows it goes with
//! it.

use crate::model::{Hold, TemplateHash};
use crate::objects::{Kind, ObjectKey};
use crate::plan::body;
use crate::plan::companions::companion_writes;
use crate::plan::facts::Facts;
use crate::plan::holds;
use crate::plan::led;
use crate::plan::outcome::Outcome;
use crate::plan::shares::Shares;
use crate::spec::{Follower, Release};
use crate::world::{Action, Colour, Decision, Expect, Live, Twin, Write, twin_name};

/// What follows which CloneSet, by the companions of `release`.
#[must_use]
pub fn shares_of(facts: &Facts<'_>, release: &Release) -> Shares {
    let mut shares = Shares::default();
    let followed = facts.followed();
    let now = |key: &ObjectKey| facts.case.companions.get(key)?.leads.follows.as_ref()?.to.clone();
    let hash = |colour: Option<Colour<'_>>| colour.and_then(|it| it.hash()).map(str::to_owned);
    // A first release stands as Git has it.
    let active = hash(followed).filter(|_| facts.anything_proven());
    let tried = facts.case.colour(facts.memory.template).filter(|_| facts.tries());
    for (companion, as_what) in release.followers() {
        let key = &companion.body.key;
        let to = match as_what {
            Follower::Scaler => followed.map_or_else(|| now(key), |it| it.twin.map(ToString::to_string)),
            Follower::Active | Follower::Beside => active.clone().or_else(|| now(key)),
            // Of one that is there and of which nobody knows its pods it goes on to lead to what it does.
            Follower::Preview if tried.is_some() => {
                hash(tried).or_else(|| now(key)).or_else(|| active.clone())
            }
            Follower::Preview => active.clone().or_else(|| now(key)),
        };
        shares.pins.insert(key.clone(), (as_what, to));
    }
    shares
}

/// What follows which CloneSet by what stands: the entered release, with HEAD's autoscalers.
#[must_use]
pub fn shares(facts: &Facts<'_>) -> Shares {
    let entered = facts.case.with_template(facts.memory.template);
    let entered = facts.entered.map(|it| &**it).or(entered);
    let mut shares = entered.map(|release| shares_of(facts, release)).unwrap_or_default();
    if let Some(head) = &facts.head {
        let of_head = shares_of(facts, head.release()).pins.into_iter();
        let scalers = of_head.filter(|(key, _)| key.kind == Kind::HorizontalPodAutoscaler);
        shares.pins.extend(scalers);
    }
    shares
}

/// Whether what is to lead to the pods of the entered step does: the preview Service at step 1, after it the active one with
/// all that follows it.
#[must_use]
pub fn stand(facts: &Facts<'_>) -> bool {
    !facts.anything_proven() || few(facts).is_none()
}

/// The Service that does not lead to the pods of the entered step yet: with how many endpoints, of how many.
fn few(facts: &Facts<'_>) -> Option<(Follower, Option<u32>, u32)> {
    let proven = facts.is_proven();
    let as_what = if proven || facts.memory.step >= 2 { Follower::Active } else { Follower::Preview };
    let pods = if proven { facts.wanted_size() } else { facts.pods_beside(facts.memory.step) };
    let needed = facts.enough(pods);
    let hash = facts.case.colour(facts.memory.template).and_then(|it| it.hash());
    let service = facts.service_as(as_what);
    let leads = service.filter(|it| hash.is_some() && it.to.as_deref() == hash);
    match leads.map(|it| it.ready) {
        Some(Some(ready)) if ready >= needed => None,
        Some(ready) => Some((as_what, ready, needed)),
        None => Some((as_what, Some(0), needed)),
    }
}

/// Why the entered step is not reached though its pods are there.
#[must_use]
pub fn not_led(facts: &Facts<'_>) -> Vec<Hold> {
    if !facts.step_done() {
        return Vec::new();
    }
    let Some((as_what, ready, needed)) = few(facts) else { return Vec::new() };
    let Some(ready) = ready else { return vec![led::endpoints_unlisted(facts.id)] };
    let of = facts.case.blue_green();
    let name = match as_what {
        Follower::Preview => of.map(|it| &it.preview),
        Follower::Active | Follower::Beside | Follower::Scaler => of.map(|it| &it.active),
    };
    let name = name.map_or(facts.id.name.as_str(), |name| name.as_str());
    let mut closed = vec![led::not_followed(facts, name, ready, needed)];
    if let Some(head) = facts.asked().filter(|_| !facts.is_proven()) {
        closed.extend(holds::closed(facts.id, head));
    }
    closed
}

/// Whose pods serve once the release is complete, and until when those of the version before stay; none where they are all of one
/// CloneSet.
#[must_use]
pub fn complete(facts: &Facts<'_>) -> Option<String> {
    let (of, version) = (facts.case.blue_green()?, &facts.memory.version);
    let before = facts.top().filter(|top| top.template != facts.memory.template)?;
    let serves = format!("Service {} leads to {version}", of.active);
    let is_there = facts.case.colour(before.template).is_some_and(|it| it.live.replicas > 0);
    let is_remembered = facts.policy().proven_depth > 1;
    let until = facts.kept_until().filter(|_| is_there && is_remembered);
    let stay = |until| format!("; the pods of {} stay until {}", before.version, holds::to_seconds(until));
    Some(format!("{serves}{}", until.map(stay).unwrap_or_default()))
}

/// Row g: memory that stands in the record alone, or a step in it that nothing permits.
#[must_use]
pub fn repaired(facts: &Facts<'_>) -> Option<Outcome> {
    let step = facts.standing_step();
    let home = facts.case.home_digest().map_or(facts.memory.home, |_| facts.home_after(facts.memory));
    let stands = home == facts.memory.home && step == facts.memory.step;
    if facts.live.memory.as_ref() == Some(facts.memory) && stands {
        return None;
    }
    let mut memory = facts.memory.clone();
    if step != memory.step {
        (memory.step, memory.step_entered, memory.step_reached) = (step, facts.now(), None);
    }
    let message = format!("{} is written again as entered: memory", facts.id);
    Some(facts.write('g', Decision::Repair, None, facts.entered_shape(), memory, message))
}

/// Adds what stands beside what is decided: as [`crate::plan::tend::tended`] does for every other release.
#[must_use]
pub fn tended(facts: &Facts<'_>, mut outcome: Outcome) -> Outcome {
    let goes = !outcome.writes.is_empty();
    let after = outcome.memory.clone().filter(|_| goes);
    let standing = |facts: &Facts<'_>, shares: &Shares| {
        let standing = facts.case.standing_companions();
        companion_writes(facts.world, facts.id, facts.case, standing.into_iter(), false, shares)
    };
    match (&outcome.decision, &after) {
        // Back: traffic first, in the same move.
        (Decision::RollBack, Some(memory)) => {
            let next = facts.remembering(memory);
            let shares = shares(&next);
            let (mut first, _) = standing(&next, &shares);
            first.retain(|it| shifts(facts, it, &shares) && !facts.case.is_refused(&it.object));
            first.append(&mut outcome.writes);
            outcome.writes = first;
            return outcome;
        }
        (Decision::Enter(_), Some(memory)) if outcome.row == 'k' => {
            // What was previewed before goes first.
            if left(facts).1
                && let Some(first) = settled(facts)
            {
                return first.holding(outcome.holds);
            }
            outcome.writes.extend(missing(&facts.remembering(memory)).into_iter().take(1));
            return outcome;
        }
        _ => {}
    }
    let waits = matches!(
        outcome.decision,
        Decision::Rest | Decision::Hold | Decision::Complete | Decision::Enter(_) | Decision::Replace
    );
    let shares = shares(facts);
    let (writes, closed) = standing(facts, &shares);
    let blocked = !closed.is_empty();
    outcome.holds.extend(closed);
    outcome.holds.extend(awaited(facts));
    if !waits {
        return outcome;
    }
    let next = if writes.is_empty() { settled(facts) } else { Some(led_to(facts, writes, &shares)) };
    if let Some(next) = next {
        return next.holding(outcome.holds).waking(outcome.wake_at);
    }
    if blocked && matches!(outcome.decision, Decision::Complete | Decision::Enter(_)) {
        return Outcome::hold(outcome.row, outcome.holds).waking(outcome.wake_at);
    }
    outcome.waking(facts.kept().and_then(|_| facts.kept_until()))
}

/// Whether a write lets something follow another CloneSet.
fn shifts(facts: &Facts<'_>, write: &Write, shares: &Shares) -> bool {
    let there = facts.case.companions.get(&write.object);
    shares.pins.contains_key(&write.object) && there.is_some_and(|it| shares.shift(&write.object, it))
}

/// Companions are written, the active Service first of them.
fn led_to(facts: &Facts<'_>, mut writes: Vec<Write>, shares: &Shares) -> Outcome {
    let as_what = |it: &Write| shares.pins.get(&it.object).map(|(as_what, _)| *as_what);
    writes.sort_by_key(|it| as_what(it) != Some(Follower::Active));
    let led: Vec<&Write> = writes.iter().filter(|it| shifts(facts, it, shares)).collect();
    let names =
        |writes: &[&Write]| writes.iter().map(|it| it.object.to_string()).collect::<Vec<_>>().join(", ");
    let only = led.len() == writes.len();
    let switches = led.iter().any(|it| as_what(it) == Some(Follower::Active));
    let to = facts.followed();
    let is_new = |colour: &Colour<'_>| colour.template == Some(facts.memory.template);
    let unproven = !facts.is_proven() && facts.anything_proven() && to.as_ref().is_some_and(is_new);
    let serving = |to: Option<Colour<'_>>| Some(facts.case.with_template(to?.template?)?.version.as_str());
    let message = match (only, switches) {
        (true, true) => {
            let version = serving(to).unwrap_or("");
            format!("{} leads its traffic to the pods of {version}: {}", facts.id, names(&led))
        }
        (true, false) => {
            let tries = led.iter().all(|it| as_what(it) == Some(Follower::Preview)) && facts.tries();
            let version = if tries { Some(facts.memory.version.as_str()) } else { serving(to) };
            let pods = version.map_or_else(|| "its pods".to_owned(), |it| format!("the pods of {it}"));
            format!("{} lets {} follow {pods}", facts.id, names(&led))
        }
        (false, _) => {
            let all: Vec<&Write> = writes.iter().collect();
            format!("{} repairs its companions: {}", facts.id, names(&all))
        }
    };
    let decision = if only { Decision::Shift } else { Decision::Repair };
    for write in writes.iter_mut().filter(|_| unproven) {
        write.forward = true;
    }
    let mut outcome = Outcome::of('g', decision, message);
    outcome.writes = writes;
    outcome
}

/// The pods of a release that is switched as a whole no more come up in its home, once nothing else is there; then its twin
/// goes.
fn moved_home(facts: &Facts<'_>) -> Option<Outcome> {
    let (home, size) = (facts.case.home()?, facts.wanted_size());
    let twin = facts.case.colour(facts.memory.template).filter(|_| facts.moves_home())?;
    let stands = home.template == Some(facts.memory.template);
    let says = |what: &str| format!("{} moves its pods back into CloneSet {}: {what}", facts.id, facts.id);
    if !stands && home.live.replicas == 0 && home.live.status.replicas == 0 {
        let mut memory = facts.memory.clone();
        memory.home = None;
        (memory.uid, memory.create) = (Some(facts.live.uid.clone()), None);
        let mut outcome = Outcome::of('g', Decision::Repair, says("it stands as Git has it"));
        outcome.writes.push(facts.home_body(0, true, &memory));
        outcome.memory = Some(memory);
        return Some(outcome);
    }
    if stands && home.live.replicas != size {
        let mut outcome = Outcome::of('g', Decision::Repair, says(&holds::pods(size)));
        outcome.writes.push(facts.home_write(size, true));
        outcome.memory = Some(facts.memory.clone());
        return Some(outcome);
    }
    if stands && stays_whole(facts, &twin, &home) {
        let object = ObjectKey { name: twin.twin?.clone(), ..ObjectKey::cloneset(facts.id) };
        let (uid, version) = (twin.live.uid.clone(), twin.live.version.clone());
        let mut outcome = Outcome::of('g', Decision::Repair, says("they are all there"));
        outcome.writes.push(Write { object, action: Action::Delete { uid, version }, forward: true });
        return Some(outcome);
    }
    None
}

/// The step that a release begins with, and the one up to which Git must permit it. Where nothing is proven that its pods could
/// be beside, they all come up in the place of those that are there: unasked, as those did, while none of them is ready.
#[must_use]
pub fn beginning(facts: &Facts<'_>, release: &Release) -> (u32, u32) {
    let (live, last) = (facts.live, release.last_step());
    match release.strategy.blue_green {
        Some(_) if !facts.anything_proven() => {
            let serves = !live.is_fresh() || live.status.ready > 0;
            (last, if serves { last } else { 0 })
        }
        Some(_) | None => (1, 1),
    }
}

/// The CloneSets are brought to what they are to be: what is missing or too small first.
fn settled(facts: &Facts<'_>) -> Option<Outcome> {
    if let Some(outcome) = moved_home(facts) {
        return Some(outcome);
    }
    let missing = missing(facts);
    let (grown, left) = (grown(facts), left(facts));
    let (writes, does) = match (left.1, missing.is_empty(), grown.is_empty()) {
        // Two unproven ones never run at once.
        (true, ..) | (false, true, true) => {
            let pods =
                versions(facts, &left.0).map_or_else(|| "what".to_owned(), |it| format!("{it}, which"));
            (left.0, format!("takes away {pods} nobody needs any more"))
        }
        (false, false, _) => (missing, "brings up".to_owned()),
        (false, true, false) => {
            let pods = versions(facts, &grown).filter(|_| grows(facts, &grown));
            (grown, pods.map_or_else(|| "writes again as entered".to_owned(), |it| format!("brings up {it}")))
        }
    };
    if writes.is_empty() {
        return None;
    }
    let names: Vec<String> = writes.iter().map(|write| write.object.to_string()).collect();
    let mut outcome =
        Outcome::of('g', Decision::Repair, format!("{} {does}: {}", facts.id, names.join(", ")));
    if writes.iter().any(|it| it.object == ObjectKey::cloneset(facts.id)) {
        let mut memory = facts.memory.clone();
        memory.home = facts.home_after(&memory);
        (memory.uid, memory.create) = (Some(facts.live.uid.clone()), None);
        outcome.memory = Some(memory);
    }
    outcome.writes = writes;
    Some(outcome)
}

/// The CloneSet that a write is of, as it stands.
fn written<'a>(facts: &Facts<'a>, write: &Write) -> Option<Colour<'a>> {
    let is_it = |it: &Colour<'_>| *it.twin.unwrap_or(&facts.id.name) == write.object.name;
    facts.case.colours().find(is_it)
}

/// `the pods of 2.4.0`, for the CloneSets that are written; none where nobody knows a version.
fn versions(facts: &Facts<'_>, writes: &[Write]) -> Option<String> {
    let version = |write| facts.version_of(written(facts, write)?.template?);
    let all: Option<Vec<_>> = writes.iter().map(version).collect();
    all.map(|all| format!("the pods of {}", all.join(" and ")))
}

/// Whether each write brings pods up that are not there.
fn grows(facts: &Facts<'_>, writes: &[Write]) -> bool {
    writes.iter().all(|write| {
        let colour = written(facts, write);
        let size = colour.and_then(|it| facts.size_for(it.template?));
        size > colour.map(|it| it.live.replicas)
    })
}

fn key(facts: &Facts<'_>, release: &Release) -> Option<ObjectKey> {
    let name = twin_name(&facts.id.name, release.template)?;
    Some(ObjectKey { kind: Kind::CloneSet, namespace: facts.id.namespace.clone(), name })
}

/// Creates of the CloneSets that are not there.
fn missing(facts: &Facts<'_>) -> Vec<Write> {
    let entered = Some(facts.memory.template).filter(|_| facts.standing_step() > 0);
    let mut wanted = vec![facts.goal_template()];
    wanted.extend(entered.filter(|it| *it != wanted[0]));
    // Its pods may be of any of these.
    if is_unknown(facts) {
        return Vec::new();
    }
    let absent = wanted.into_iter().filter(|it| facts.case.colour(*it).is_none());
    let is_proven = |template: TemplateHash| facts.memory.proves(template);
    // Where the proven one does not come up again, what serves is one that Git has left behind.
    let led = facts.case.led();
    let serves = |it: &Twin| led.is_some_and(|led| led.live.uid == it.live.uid);
    let alone = |template| {
        let mut others = facts.case.twins.values().filter(|it| it.template != template && !serves(it));
        is_proven(template) || !others.any(|it| !is_proven(it.template))
    };
    let one = |template| {
        let release = facts.case.with_template(template)?;
        let key = key(facts, release)?;
        let gone = !facts.case.twins.contains_key(&key.name);
        let body = body::twin(release, Some(facts.size_for(template)?), facts.policy())?;
        let action = Action::Apply { body, expect: Expect::Absent };
        gone.then_some(Write { object: key, action, forward: true })
    };
    absent.filter(|it| alone(*it)).filter_map(one).collect()
}

/// Whether its home has pods of which nobody knows what they are.
fn is_unknown(facts: &Facts<'_>) -> bool {
    facts.case.home().is_some_and(|it| it.template.is_none() && it.live.replicas > 0)
}

/// What is waited for before a CloneSet is made: one of its name that is on its way out, and pods that may be its own; and
/// before the pods serve that are to.
fn awaited(facts: &Facts<'_>) -> Vec<Hold> {
    let twins = facts.case.twins.iter().filter(|(_, twin)| twin.live.deleting);
    let needed = twins.filter(|(_, twin)| facts.size_for(twin.template).is_some());
    let mut closed: Vec<Hold> = needed.map(|(name, _)| led::still_deleted(facts, name)).collect();
    closed.extend(is_unknown(facts).then(|| led::home_unknown(facts)));
    let goal = facts.followed().is_some_and(|it| it.template == Some(facts.goal_template()));
    closed.extend(facts.unapproved().filter(|_| !goal).map(|_| led::unapproved(facts)));
    closed.extend(facts.repeated().map(|same| led::repeats(facts, &same)));
    closed.extend(facts.moves_home().then(|| led::moves_home(facts)));
    closed
}

/// Whether the pods of `going` may go because `staying` has others of the same revision: all of them are there, and the active
/// Service has their endpoints beside those that go.
fn stays_whole(facts: &Facts<'_>, going: &Colour<'_>, staying: &Colour<'_>) -> bool {
    let size = facts.wanted_size();
    let there = staying.is_settled(size) && staying.live.status.updated_available >= size;
    let active = facts.service_as(Follower::Active);
    let leads = active.filter(|it| it.to.is_none() || it.to.as_deref() == going.revision());
    let needed = size.saturating_add(going.live.status.ready);
    there && leads.is_none_or(|it| it.ready.is_some_and(|ready| ready >= needed))
}

fn this(live: &Live) -> Expect {
    Expect::Same(live.uid.clone(), live.version.clone())
}

/// Writes of the CloneSets that are there and are not as they are to be.
fn grown(facts: &Facts<'_>) -> Vec<Write> {
    let mut writes = Vec::new();
    for colour in facts.case.colours() {
        let Some((template, size)) = colour.template.and_then(|it| Some((it, facts.size_for(it)?))) else {
            continue;
        };
        let proven = facts.memory.proves(template);
        // Of two for one template the twin serves. One that Git has left behind serves as it stands until others do.
        let is_left = !proven && template != facts.memory.template;
        if is_left || (colour.twin.is_none() && is_twice(facts, &colour)) {
            continue;
        }
        let live = colour.live;
        let off = live.replicas != size || live.kept() > 0 || live.paused;
        let drifted = live.drift.template || !live.drift.changes.is_empty();
        if !(off || drifted) {
            continue;
        }
        let own = facts.in_git() || live.replicas_owner.is_none() || live.replicas != size;
        writes.extend(match colour.twin {
            None => Some(facts.home_write(size, own)),
            Some(_) => facts.case.with_template(template).and_then(|release| {
                let body = body::twin(release, own.then_some(size), facts.policy())?;
                let action = Action::Apply { body, expect: this(live) };
                Some(Write { object: key(facts, release)?, action, forward: !proven })
            }),
        });
    }
    writes
}

/// Whether a twin has pods of the same template.
fn is_twice(facts: &Facts<'_>, colour: &Colour<'_>) -> bool {
    colour.template.and_then(|it| facts.case.colour(it)?.twin).is_some()
}

/// Whether pods of which nobody knows any more what they are serve nobody, and no version is kept: those of the proven one are
/// all there, and the active Service leads to them.
fn is_idle(facts: &Facts<'_>, colour: &Colour<'_>) -> bool {
    let size = facts.wanted_size();
    let serves = |it: &Colour<'_>| {
        let proven = it.template == Some(facts.memory.template) && facts.is_proven();
        proven && !it.is(colour) && it.is_settled(size) && it.live.status.updated_available >= size
    };
    let none_kept = facts.memory.proven.len() < 2;
    none_kept
        && colour.live.is_fresh()
        && colour.live.replicas > 0
        && facts.case.led().is_some_and(|it| serves(&it))
}

/// Writes that take away the pods that nobody needs, and whether any of them is of a template that is not proven. Nothing goes
/// before the pods that are to serve do, nor while Git cannot be read.
fn left(facts: &Facts<'_>) -> (Vec<Write>, bool) {
    let serves = !facts.is_proven() || facts.memory.step_reached.is_some();
    let mut left = (Vec::new(), false);
    if !serves || !facts.world.source.is_readable() {
        return left;
    }
    for colour in facts.case.colours() {
        let Some(template) = colour.template else {
            left.0.extend(is_idle(facts, &colour).then(|| facts.home_write(0, true)));
            continue;
        };
        let is_serving = facts.case.serving().is_some_and(|it| it.is(&colour));
        if facts.size_for(template).is_some() || is_serving {
            let twin = facts.case.colour(template).filter(|it| it.twin.is_some() && colour.twin.is_none());
            let spare = twin.is_some_and(|twin| stays_whole(facts, &colour, &twin));
            if !spare || facts.moves_home() || is_serving {
                continue;
            }
        }
        match colour.twin {
            None if colour.live.replicas > 0 => left.0.push(facts.home_write(0, true)),
            None => {}
            Some(name) => {
                let object = ObjectKey { name: name.clone(), ..ObjectKey::cloneset(facts.id) };
                let (uid, version) = (colour.live.uid.clone(), colour.live.version.clone());
                left.0.push(Write { object, action: Action::Delete { uid, version }, forward: true });
                left.1 |= !facts.memory.proves(template);
            }
        }
    }
    left
}
