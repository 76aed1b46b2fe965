//! Weights: what the routes of a release share while it is rolled out, and the Services that they share by.
//!
//! At rest nothing of it is there. Before a rollout begins, all traffic goes to the pods of the proven revision; a step's
//! weight stands once its pods are available and EndpointSlices show them; before the last step, traffic follows the pods
//! again. Back, the proven revision has all of it first.
//!
//! **Invariant:** derived anew from what stands and from memory, never from what was written last. What is not known raises
//! no weight, and lowers none.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::model::{Hold, Name, ReleaseId};
use crate::objects::{Kind, ObjectKey};
use crate::plan::blue_green;
use crate::plan::companions::delete;
use crate::plan::dark;
use crate::plan::facts::Facts;
use crate::plan::holds;
use crate::plan::leads::{Leads, has_others, leads_there, proven_needed, proven_pods, stable_hash};
use crate::plan::led;
use crate::plan::outcome::Outcome;
use crate::plan::shares::Shares;
use crate::plan::steps;
use crate::spec::{Companion, Release};
use crate::traffic;
use crate::world::{Action, Case, CompanionLive, Decision, Role, Share, Write};

/// Where a release is, as its routes see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Traffic follows the pods: nothing is rolled out, or all pods are to be on one revision.
    Whole,
    /// By the weights of the steps, as far as their pods are there.
    Step,
    /// Pods go back to the proven revision.
    Back,
}

fn moment(facts: &Facts<'_>, decision: &Decision) -> Moment {
    if !facts.anything_proven() {
        return Moment::Whole;
    }
    if *decision == Decision::RollBack {
        return Moment::Back;
    }
    if facts.is_proven() {
        return if facts.memory.step_reached.is_some() { Moment::Whole } else { Moment::Back };
    }
    let step = match decision {
        Decision::Enter(step) => *step,
        _ => facts.standing_step(),
    };
    if step >= facts.last_step() { Moment::Whole } else { Moment::Step }
}

/// What each route of the entered release is to share.
fn shared(leads: &Leads<'_>, moment: Moment) -> Shares {
    let share = |key: &ObjectKey| match (moment, leads.share_of(key)) {
        (Moment::Whole, _) | (Moment::Back, Share::Base) => Share::Base,
        (Moment::Back, Share::Split(percent)) => leads.back(percent),
        (Moment::Step, _) if !leads.release.strategy.routes.contains(&key.name) => Share::Base,
        (Moment::Step, now) => leads.stepped(key, now),
    };
    let routes = leads.release.companions.iter().map(|it| &it.body.key);
    let routes = routes.filter(|it| it.kind.shares_traffic());
    let shared = routes.map(|key| (key.clone(), share(key)));
    let routes: BTreeMap<_, _> = shared.filter(|(_, share)| *share != Share::Base).collect();
    // A share that falls goes alone: testers begin a lap later.
    let tested = |(key, share): &(&ObjectKey, &Share)| {
        let now = leads.leads_testers(key);
        moment == Moment::Step && leads.tested(now) && (now || leads.share_of(key) <= **share)
    };
    let testers = routes.iter().filter(tested).map(|(key, _)| key.clone()).collect();
    let matches = leads.release.strategy.matches.clone();
    let canaries = leads.canaries();
    Shares { services: leads.services.clone(), routes, testers, matches, canaries, ..Shares::default() }
}

/// What the routes of the entered release are to share beside `decision`.
#[must_use]
pub fn shares(facts: &Facts<'_>, decision: &Decision) -> Shares {
    let leads = Leads::standing(facts);
    leads.map_or_else(Shares::default, |leads| shared(&leads, moment(facts, decision)))
}

/// What they are to share before `decision` is carried out. What was written for it already, and the CloneSet was not, stays
/// so: one that follows the pods because the last step is entered, and one that leads nothing to those of a rollout that
/// begins.
#[must_use]
pub fn before(facts: &Facts<'_>, decision: &Decision) -> Shares {
    let Decision::Enter(step) = decision else { return shares(facts, decision) };
    let mut shares = shares(facts, &Decision::Hold);
    let now = |key: &ObjectKey| facts.case.companions.get(key).map(|it| it.leads.share);
    if *step >= facts.last_step() {
        shares.routes.retain(|key, _| now(key) != Some(Share::Base));
    }
    let desired = facts.head.as_ref().map(|head| head.release());
    if let Some(release) = desired.filter(|it| it.template != facts.memory.template) {
        let next = entering(facts, release, *step).routes.into_iter();
        shares.routes.extend(next.filter(|(key, next)| *next == Share::Split(0) && now(key) == Some(*next)));
    }
    shares
}

/// What the routes of `release` are to share as its `step` is entered: another template begins with none for its pods, the
/// same one goes on with no more than it has.
#[must_use]
pub fn entering(facts: &Facts<'_>, release: &Release, step: u32) -> Shares {
    if facts.is_blue_green() {
        return blue_green::shares_of(facts, release);
    }
    let leads = Leads::of(facts, release);
    let (services, canaries, left) = (leads.services.clone(), leads.canaries(), leads.left());
    if release.strategy.routes.is_empty() || step >= release.last_step() || !facts.anything_proven() {
        return Shares { services, canaries, left, ..Shares::default() };
    }
    let same = release.template == facts.memory.template;
    let alone = same && proven_pods(facts) == Some(0);
    let is_there = leads.ready(Role::Stable).is_some_and(|ready| ready > 0);
    let share = |key: &ObjectKey| match leads.share_of(key) {
        Share::Split(percent) if same && !alone => Share::Split(percent.min(release.strategy.weight(step))),
        Share::Split(_) | Share::Base if same => Share::Base,
        Share::Split(_) | Share::Base if is_there => Share::Split(0),
        Share::Split(_) | Share::Base => Share::Base,
    };
    let routes = release.weighted_routes().map(|it| (it.body.key.clone(), share(&it.body.key))).collect();
    // Testers come back once its step is permitted.
    Shares { services, routes, canaries, left, ..Shares::default() }
}

/// Whether traffic is led as the entered step asks for it. Where no pod of the proven revision is available there is nothing
/// to share, and traffic follows the pods.
#[must_use]
pub fn stand(facts: &Facts<'_>) -> bool {
    if facts.is_blue_green() {
        return blue_green::stand(facts);
    }
    due(facts).is_none_or(|(due, leads)| {
        leads.release.weighted_routes().all(|route| stands(facts, &leads, &route.body.key, due))
    })
}

/// Whether a route leads as the entered step, of this weight, asks for it.
fn stands(facts: &Facts<'_>, leads: &Leads<'_>, key: &ObjectKey, due: u32) -> bool {
    let alone = proven_pods(facts) == Some(0);
    let (share, testers) = (leads.share_of(key), leads.leads_testers(key));
    let led = share == Share::Split(due) && testers == testers_due(facts, leads, due);
    leads.is_as_it_should(key) && (led || (alone && share == Share::Base))
}

/// The weight of the entered step, in whole percent; `None` where nothing is to be shared.
fn due<'a>(facts: &'a Facts<'a>) -> Option<(u32, Leads<'a>)> {
    let leads = Leads::standing(facts).filter(|it| !it.release.strategy.routes.is_empty())?;
    let step = facts.memory.step;
    if facts.is_proven() || !facts.anything_proven() || step >= facts.last_step() {
        return None;
    }
    let pods = steps::pods(leads.release, step, facts.live.replicas);
    Some((if pods == 0 { 0 } else { leads.release.strategy.weight(step) }, leads))
}

/// Whether testers are to be led to the entered revision at the entered step, of this weight.
fn testers_due(facts: &Facts<'_>, leads: &Leads<'_>, due: u32) -> bool {
    let pods = steps::pods(leads.release, facts.memory.step, facts.live.replicas);
    pods > 0 && due < 100 && !leads.release.strategy.matches.is_empty()
}

/// Why the entered step is not reached though its pods are there: traffic is not led by its weight, and who can change that.
#[must_use]
pub fn not_led(facts: &Facts<'_>) -> Vec<Hold> {
    if facts.is_blue_green() {
        return blue_green::not_led(facts);
    }
    if !facts.step_done() || stand(facts) {
        return Vec::new();
    }
    let Some((due, leads)) = due(facts) else { return Vec::new() };
    let mut routes = leads.release.weighted_routes().map(|it| &it.body.key);
    let route = routes.find(|key| !stands(facts, &leads, key, due));
    let now = route.map(|key| leads.share_of(key)).unwrap_or_default();
    let testers = testers_due(facts, &leads, due);
    let lacks = testers && !route.is_some_and(|key| leads.leads_testers(key));
    let due = match lacks && now == Share::Split(due) {
        true => led::Due::Testers,
        false => led::Due::Weight(due),
    };
    let mut stops = stops(facts);
    if let Some(head) = leads.kept_dark_by().filter(|_| lacks) {
        stops.push(dark::testers_wait(facts, head));
    }
    if !stops.is_empty() {
        return [led::not_led(facts, now, due, None)].into_iter().chain(stops).collect();
    }
    let (Some(stable), Some(canary)) = (leads.ready(Role::Stable), leads.ready(Role::Canary)) else {
        return vec![led::endpoints_unlisted(facts.id)];
    };
    let (entered, proven) = (&*facts.memory.version, facts.top().map_or("", |top| &top.version));
    let old = proven_needed(facts).unwrap_or(0).max(1);
    let few = match now {
        Share::Split(_) if stable > 0 => {
            let needed = if due == led::Due::Testers { 1 } else { facts.step_pods() };
            led::Few { ready: canary, needed, version: entered }
        }
        Share::Split(_) | Share::Base => led::Few { ready: stable, needed: old, version: proven },
    };
    vec![led::not_led(facts, now, due, Some(few))]
}

/// What keeps the weight of the entered step from being led by, though Git has let the step be entered.
fn stops(facts: &Facts<'_>) -> Vec<Hold> {
    let Some(head) = facts.asked() else { return Vec::new() };
    let step = facts.memory.step;
    let mut stops = holds::closed(facts.id, head);
    if step > head.permitted.furthest {
        stops.extend(holds::not_permitted(facts.id, head, step, facts.wanted_size(), None));
    }
    stops
}

/// What comes before a release with weights is entered: the pods of the proven revision have a Service of their own beside
/// each that its routes share, and its EndpointSlices have them all. Where the same template goes on with traffic, those
/// of the entered one have theirs as well.
#[must_use]
pub fn prepared(facts: &Facts<'_>, outcome: &Outcome) -> Option<Outcome> {
    let head = facts.head.as_ref().filter(|_| outcome.row == 'k')?;
    let release = head.release();
    let Decision::Enter(step) = outcome.decision else { return None };
    if release.strategy.routes.is_empty() || step >= release.last_step() {
        return None;
    }
    let leads = Leads::of(facts, release);
    let is_split = |it: &Companion| matches!(leads.share_of(&it.body.key), Share::Split(_));
    let same = release.template == facts.memory.template;
    let starts = !same && facts.is_proven();
    let goes_on = same && !facts.is_proven() && release.weighted_routes().any(is_split);
    if !(starts || goes_on) {
        return None;
    }
    let available = proven_pods(facts).unwrap_or(u32::from(goes_on));
    // Pods that were only just asked for are awaited; a proven release that has broken keeps its cure from nobody.
    let due = facts.deadline().filter(|at| starts && *at >= facts.now() && facts.live.replicas > 0);
    let broken = starts && has_others(facts);
    let needed = match due {
        Some(_) => available.max(1),
        None if broken => available.min(1),
        None => available,
    };
    stable_hash(facts).filter(|_| needed > 0)?;
    if let (true, Some(entered)) = (starts, facts.entered) {
        let barred = unselected(facts, &leads, entered);
        if !barred.is_empty() {
            return Some(Outcome::hold('k', barred));
        }
    }
    let roles = if goes_on
        && leads.release.weighted_routes().any(|it| leads.share_of(&it.body.key) > Share::Split(0))
    {
        Role::ALL.as_slice()
    } else {
        &[Role::Stable]
    };
    let (mut writes, mut closed) = (Vec::new(), Vec::new());
    for role in roles {
        let (more, barred) = leads.made(*role);
        writes.extend(more);
        closed.extend(barred);
    }
    if !closed.is_empty() {
        return Some(Outcome::hold('k', closed));
    }
    if !writes.is_empty() {
        return Some(shift(facts, 'k', writes, None).waking(outcome.wake_at));
    }
    if broken && due.is_none() && leads.ready(Role::Stable).is_some() {
        return None;
    }
    let waits: Vec<Hold> = roles.iter().flat_map(|role| few(facts, &leads, *role, needed)).collect();
    let due = due.and_then(|at| at.checked_add(SignedDuration::from_millis(1)).ok());
    (!waits.is_empty()).then(|| Outcome::hold('k', waits).waking(outcome.wake_at).waking(due))
}

/// Services of ours that do not lead to enough pods yet: to `needed` of the proven revision, to any of the entered one.
fn few(facts: &Facts<'_>, leads: &Leads<'_>, role: Role, needed: u32) -> Vec<Hold> {
    let (needed, version) = match role {
        Role::Stable => (needed, facts.top().map_or("", |top| &top.version)),
        Role::Canary => (1, &*facts.memory.version),
    };
    let few = |service: &Name| {
        let key = traffic::beside(facts.id, service, role)?;
        match leads.beside(service, role).map(|it| it.ready) {
            Some(None) => Some(led::endpoints_unlisted(facts.id)),
            Some(Some(ready)) if ready >= needed => None,
            Some(Some(ready)) => Some(led::leads_to_few(facts, &key, (ready, needed), version)),
            None => Some(led::leads_to_few(facts, &key, (0, needed), version)),
        }
    };
    leads.services.iter().filter_map(few).collect()
}

/// Services of the release that is to begin which do not select the pods of `entered`: those could have no traffic by it.
fn unselected(facts: &Facts<'_>, leads: &Leads<'_>, entered: &Release) -> Vec<Hold> {
    let missed = |service: &Name| {
        let service = leads.release.service(service)?;
        let label = entered.unselected_by(&service.body.value.open())?;
        Some(led::selects_none(facts, &service.body.key, &label, &leads.release.path))
    };
    leads.services.iter().filter_map(missed).collect()
}

/// Writes of the Services that the entered release shares by, and the holds for those that are somebody else's. Once every
/// pod is on the proven revision, those that no route names go, and the canary Ingresses; one whose Ingress does not share
/// goes at once.
#[must_use]
pub fn services(facts: &Facts<'_>, decision: &Decision) -> (Vec<Write>, Vec<Hold>) {
    let none = (Vec::new(), Vec::new());
    let Some(leads) = Leads::standing(facts) else { return none };
    let rests = facts.is_proven() && facts.world.source.is_readable();
    let left = leads.left();
    match moment(facts, decision) {
        Moment::Whole if rests => {
            let is_left = |key: &ObjectKey| left.iter().any(|it| it.object == *key);
            let mut gone = besides(facts.case, facts.id);
            gone.retain(|it| match it.object.kind {
                Kind::Service => !leads_there(facts, &it.object),
                _ => is_left(&it.object) || facts.case.companions.get(&it.object).is_some_and(leads_nothing),
            });
            (gone, Vec::new())
        }
        Moment::Whole | Moment::Back => (left, Vec::new()),
        Moment::Step if leads.release.strategy.routes.is_empty() => (left, Vec::new()),
        Moment::Step => Role::ALL.into_iter().fold((left, Vec::new()), |(mut writes, mut closed), role| {
            let (more, barred) = leads.made(role);
            writes.extend(more);
            closed.extend(barred);
            (writes, closed)
        }),
    }
}

/// Whether a canary Ingress gives nothing, and is as it should be.
fn leads_nothing(there: &CompanionLive) -> bool {
    there.leads.share == Share::Split(0) && !there.leads.testers && there.drift.is_empty()
}

/// Deletes of every Service and canary Ingress that weights were shared by.
#[must_use]
pub fn besides(case: &Case, id: &ReleaseId) -> Vec<Write> {
    let made = |it: &CompanionLive| it.leads.beside.is_some() || it.leads.canary_of.is_some();
    let ours = |it: &CompanionLive| made(it) && it.release == id.to_string() && !it.deleting;
    case.companions.iter().filter(|(_, it)| ours(it)).map(|(key, it)| delete(key, it)).collect()
}

/// Those of `services` that a route leads to, and that are not as they should be: there is nothing behind it, or others.
#[must_use]
pub fn lost(facts: &Facts<'_>, services: &[Write]) -> Vec<Write> {
    let is_lost = |it: &&Write| matches!(it.action, Action::Apply { .. }) && leads_there(facts, &it.object);
    services.iter().filter(is_lost).cloned().collect()
}

/// Takes out the writes of what was refused: nothing that is written to the CloneSet waits for it.
pub fn leave_refused(facts: &Facts<'_>, writes: &mut Vec<Write>) {
    writes.retain(|it| !facts.case.is_refused(&it.object));
}

/// The writes of `writes` that let a route share something else than it does. One that goes forward is sent only while the
/// lease is ours.
#[must_use]
pub fn shifts(facts: &Facts<'_>, writes: &[Write], shares: &Shares) -> Vec<Write> {
    let is_shift = |write: &&Write| {
        let there = facts.case.companions.get(&write.object);
        // A canary Ingress that is not there yet is to give something.
        let is_new = || shares.canaries.contains_key(&write.object);
        let shift = there.map_or_else(is_new, |there| shares.shift(&write.object, there));
        write.object.kind.shares_traffic() && shift
    };
    let mut shifts: Vec<Write> = writes.iter().filter(is_shift).cloned().collect();
    mark(facts, &mut shifts, shares);
    shifts
}

/// The writes of `writes` that let a route lead less to the entered revision than it does, or, where nothing else is left,
/// to whichever pods are ready.
#[must_use]
pub fn falls(facts: &Facts<'_>, writes: &[Write], shares: &Shares) -> Vec<Write> {
    let is_split =
        |key: &ObjectKey| facts.case.companions.get(key).is_some_and(|it| it.leads.share != Share::Base);
    let mut falls = shifts(facts, writes, shares);
    falls.retain(|it| !it.forward);
    // An Ingress goes along with its canary Ingress, which gives nothing of what leads to all pods.
    let fallen = |key: &ObjectKey| falls.iter().any(|it| is_split(key) && it.object == *key);
    let along = |key: &ObjectKey| traffic::canary(key).is_some_and(|canary| fallen(&canary));
    let kept: Vec<bool> = falls.iter().map(|it| is_split(&it.object) || along(&it.object)).collect();
    falls.into_iter().zip(kept).filter_map(|(it, kept)| kept.then_some(it)).collect()
}

/// Marks the routes that go forward: more traffic goes to the entered revision.
fn mark(facts: &Facts<'_>, writes: &mut [Write], shares: &Shares) {
    let apart = !facts.is_proven() && facts.anything_proven() && proven_pods(facts) != Some(0);
    for write in writes.iter_mut().filter(|it| it.object.kind.shares_traffic()) {
        let now = facts.case.companions.get(&write.object).map_or(Share::Base, |it| it.leads.share);
        write.forward |= match (now, shares.of(&write.object)) {
            (Share::Split(now), Share::Split(next)) => next > now,
            (Share::Base, Share::Split(next)) => next > 0,
            (Share::Split(_), Share::Base) => apart,
            (Share::Base, Share::Base) => false,
        };
        let tested = facts.case.companions.get(&write.object).is_some_and(|it| it.leads.testers);
        write.forward |= shares.leads_testers(&write.object) && !tested;
    }
}

/// Traffic moves, or what leads it is made or goes.
#[must_use]
pub fn shift(facts: &Facts<'_>, row: char, mut writes: Vec<Write>, shares: Option<&Shares>) -> Outcome {
    let of = |write: &Write| shares.map_or(Share::Base, |shares| shares.of(&write.object));
    let first = writes.iter().find(|it| it.object.kind.shares_traffic());
    let testers = |write: &Write| shares.is_some_and(|shares| shares.leads_testers(&write.object));
    let message = first.map(|route| shifting(facts, of(route), testers(route)));
    if let Some(shares) = shares {
        mark(facts, &mut writes, shares);
    }
    let names: Vec<String> = writes.iter().map(|write| write.object.to_string()).collect();
    let goes = writes.iter().all(|it| matches!(it.action, Action::Delete { .. }));
    let does = if goes { "takes away what its weights were shared by" } else { "prepares its weights" };
    let message = message.map_or_else(
        || format!("{} {does}: {}", facts.id, names.join(", ")),
        |message| format!("{message}: {}", names.join(", ")),
    );
    let mut outcome = Outcome::of(row, Decision::Shift, message);
    outcome.writes = writes;
    outcome
}

/// What a move of traffic does.
fn shifting(facts: &Facts<'_>, share: Share, testers: bool) -> String {
    let id = facts.id;
    let proven = facts.top().map_or("", |top| &top.version);
    match share {
        Share::Base => {
            format!("{id} leads traffic to whichever of its pods are ready, as its routes say in Git")
        }
        Share::Split(0) if testers => format!(
            "{id} leads testers to {}, and everybody else to the pods of {proven}",
            facts.memory.version
        ),
        Share::Split(0) => format!("{id} leads all traffic to the pods of {proven}"),
        Share::Split(percent) if testers => format!(
            "{id} leads testers and {percent}% of everybody else to {}, at step {} of {}",
            facts.memory.version,
            facts.memory.step,
            facts.last_step()
        ),
        Share::Split(percent) => format!(
            "{id} leads {percent}% of the traffic to {}, at step {} of {}",
            facts.memory.version,
            facts.memory.step,
            facts.last_step()
        ),
    }
}
