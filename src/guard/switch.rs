//! What follows the CloneSets of a release that is switched as a whole: where the active Service may lead, and that everything else
//! follows it.

use serde_json::Value;

use crate::guard::colours::{self, Set};
use crate::guard::permit;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Scene;
use crate::guard::weights;
use crate::model::{Gate, Name};
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::{Follower, Release};
use crate::world::{Action, Decision, Follows, Memory, Write};

fn switch(holds: bool, message: &str) -> Result<(), Violation> {
    require(holds, Rule::Switch, || message.to_owned())
}

/// Where a body says what it follows: a map, and the name in it.
fn place(body: &Value, as_what: Follower) -> (&'static str, &'static str) {
    match as_what {
        Follower::Scaler => ("/spec/scaleTargetRef", "name"),
        _ if body["kind"] == Kind::Service.api().kind => ("/spec/selector", keys::POD_TEMPLATE_HASH),
        _ => ("/spec/selector/matchLabels", keys::POD_TEMPLATE_HASH),
    }
}

fn follows(body: &Value, as_what: Follower) -> Option<&str> {
    let (at, name) = place(body, as_what);
    body.pointer(at)?.get(name)?.as_str()
}

/// What `body` follows, where it is `base` but for that: none where it is as Git has it.
fn pin(base: &Value, body: &Value, as_what: Follower) -> Option<Option<String>> {
    let bare = |value: &Value| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("metadata");
        }
        value
    };
    let (base, mut body) = (bare(base), bare(body));
    if base == body {
        return Some(None);
    }
    let (at, name) = place(&base, as_what);
    let to = follows(&body, as_what)?.to_owned();
    let fields = body.pointer_mut(at)?.as_object_mut()?;
    match base.pointer(at)?.get(name) {
        Some(before) => drop(fields.insert(name.to_owned(), before.clone())),
        None => drop(fields.remove(name)),
    }
    (base == body).then_some(Some(to))
}

/// The label that the active Service leads to once the move is made.
fn led_after(scene: Scene<'_>) -> Option<&str> {
    let entered = colours::after(scene).and_then(|memory| scene.release(memory.digest));
    let named = entered.and_then(|release| Some(&release.strategy.blue_green.as_ref()?.active));
    let there = colours::service(scene, Follower::Active).map(|(key, _)| &key.name);
    let is_active = |it: &&Write| it.object.kind == Kind::Service && there.or(named) == Some(&it.object.name);
    let written = scene.plan.writes.iter().rev().find(is_active).map(|it| &it.action);
    match written {
        Some(Action::Apply { body, .. }) => follows(body, Follower::Active),
        Some(Action::TakeOver { .. } | Action::Delete { .. }) | None => colours::pin(scene),
    }
}

/// Checks what follows one of the CloneSets; false where it is none of these.
///
/// # Errors
///
/// [`Rule::Switch`] for what it follows.
pub fn check_follower(scene: Scene<'_>, write: &Write, body: &Value) -> Result<bool, Violation> {
    if scene.case.home.is_none() && scene.case.twins.is_empty() {
        return Ok(false);
    }
    let head = scene
        .intent()
        .map(|intent| &*intent.release)
        .filter(|_| write.object.kind == Kind::HorizontalPodAutoscaler);
    let entered = colours::after(scene).and_then(|memory| scene.release(memory.digest));
    let now = scene.memory().and_then(|memory| scene.release(memory.digest));
    let of = |release: &Release| {
        let mut followers = release.followers().filter(|(it, _)| it.body.key == write.object);
        followers.find_map(|(it, as_what)| Some((as_what, pin(&it.body.value.open(), body, as_what)?)))
    };
    let found = head.into_iter().chain(entered).chain(now).find_map(of);
    let Some((as_what, to)) = found else { return Ok(false) };
    let there = scene.case.companions.get(&write.object).and_then(|it| it.leads.follows.as_ref());
    if there.is_some_and(|it| it.to == to) {
        return Ok(true);
    }
    let with_label = |label: &str| colours::sets(scene).any(|it| it.label() == Some(label));
    match (as_what, to.as_deref()) {
        (Follower::Preview, Some(label)) if is_where_it_serves(scene, &write.object) => {
            check_goal(scene, write, label)?;
        }
        (Follower::Preview, to) => switch(to.is_none_or(with_label), "the preview Service leads to nothing")?,
        (Follower::Active | Follower::Beside, None) => {
            switch(colours::is_alone(scene), "a Service leads to the pods of two versions at once")?;
        }
        (Follower::Active, Some(label)) => check_goal(scene, write, label)?,
        (Follower::Beside, to) => {
            switch(to == led_after(scene), "it follows other pods than the active Service leads to")?;
        }
        (Follower::Scaler, to) => check_scaler(scene, to)?,
    }
    Ok(true)
}

/// Whether the proven version serves at this Service.
fn is_where_it_serves(scene: Scene<'_>, service: &ObjectKey) -> bool {
    let top = scene.memory().and_then(|memory| scene.release(memory.top()?.digest));
    let switched = top.and_then(|release| release.strategy.blue_green.as_ref());
    switched.is_some_and(|it| it.active == service.name)
}

/// An autoscaler scales the CloneSet whose pods serve.
fn check_scaler(scene: Scene<'_>, to: Option<&str>) -> Result<(), Violation> {
    let mut sets = colours::sets(scene).filter(|it| it.twin.map(Name::as_str) == to);
    let Some(set) = sets.next() else { return switch(false, "it scales a CloneSet that is not there") };
    let serves = led_after(scene).map_or_else(|| colours::is_alone(scene), |it| set.label() == Some(it));
    switch(serves, "it scales another CloneSet than the one that the active Service leads to")
}

/// Ready endpoints that the active Service may not lose: those that it has, but for pods that Git or an autoscaler asks for no
/// more. Nothing has to be kept of what leads to two versions, or to one that Git never let serve; some must be there all the same.
fn needed(scene: Scene<'_>) -> u32 {
    let head = scene.intent().and_then(|intent| intent.release.replicas);
    let Some((_, active)) = colours::service(scene, Follower::Active) else { return colours::size(scene) };
    let ready = active.ready.unwrap_or_else(|| colours::size(scene));
    let least = ready.min(1).min(head.unwrap_or(1));
    let Some(label) = active.to.as_deref() else { return least };
    if scene.memory().is_some_and(|memory| colours::sets(scene).any(|it| is_early(scene, memory, &it, label)))
    {
        return least;
    }
    let led = colours::sets(scene).filter(|it| it.label() == Some(label));
    let asked: Option<u32> = led.map(|it| it.live.replicas).reduce(u32::saturating_add);
    ready.min(head.unwrap_or(u32::MAX)).min(asked.unwrap_or(u32::MAX)).max(least)
}

/// Whether the active Service leads to a version that is entered, and whose step to serve is not.
fn is_early(scene: Scene<'_>, memory: &Memory, set: &Set<'_>, label: &str) -> bool {
    let entered = set.claimed == Some(memory.template) && memory.step < 2;
    set.label() == Some(label) && entered && !colours::is_proven(scene, set)
}

/// The pods with this label may serve, and no endpoint is lost as the active Service leads to them.
fn check_goal(scene: Scene<'_>, write: &Write, label: &str) -> Result<(), Violation> {
    let fresh = |it: &Set<'_>| it.label() == Some(label) && it.live.is_fresh() && !it.live.deleting;
    let Some(set) = colours::sets(scene).find(fresh) else {
        return switch(false, "the active Service leads to nothing that a fresh status tells of");
    };
    let there: u32 = colours::sets(scene).filter(fresh).map(|it| it.live.status.updated_available).sum();
    let needed = needed(scene);
    require(there >= needed, Rule::Switch, || {
        format!("the active Service loses endpoints: {there} pods are available, and {needed} serve")
    })?;
    if colours::is_proven(scene, &set) || scene.is_first() {
        return Ok(());
    }
    check_unproven(scene, write, &set, needed)
}

/// The pods of the entered version may serve: Git permits it, nothing stops it, and all of them are there.
fn check_unproven(scene: Scene<'_>, write: &Write, set: &Set<'_>, needed: u32) -> Result<(), Violation> {
    let (world, Some(memory)) = (scene.world, scene.memory()) else {
        return switch(false, "there is no memory of the release");
    };
    let entered = set.claimed == Some(memory.template) && !set.live.drift.template;
    switch(memory.step >= 2 && entered, "a version serves whose step is not entered")?;
    let intent = scene.intent().filter(|intent| intent.release.digest == memory.digest);
    let Some(intent) = intent else { return switch(false, "a version serves that is not HEAD's") };
    let furthest = permit::furthest(intent, &world.policy);
    switch(furthest >= 2, "a version serves, and Git does not permit it")?;
    if let Some(why) = permit::closed(intent, &world.policy, world.now) {
        switch(false, &format!("a version serves, and {why}"))?;
    }
    let fresh = world.source.is_fresh(world.now, world.policy.stale_after);
    switch(
        fresh && !scene.has_failed(memory),
        "a version serves that has failed, or on a fetch that is too old",
    )?;
    let size = colours::size(scene);
    let needed = needed.max(intent.release.strategy.enough(size));
    let is_seen = |it: &Follows| it.to.as_deref() == set.label() && it.ready.is_some_and(|it| it >= needed);
    let seen = colours::service(scene, Follower::Preview).is_some_and(|(_, it)| is_seen(it));
    let all = set.is_whole(needed) && set.live.status.updated >= size;
    switch(all && seen, "a version serves before all its pods do")?;
    require(write.forward, Rule::Forward, || "the switch is not marked as forward".to_owned())
}

/// Pods that no step has let serve do not go on serving without a word: the active Service is led back to the proven ones, once
/// those are there.
///
/// # Errors
///
/// [`Rule::Switch`].
pub fn check_standing(scene: Scene<'_>) -> Result<(), Violation> {
    let (Some(memory), Some((key, active))) = (scene.memory(), colours::service(scene, Follower::Active))
    else {
        return Ok(());
    };
    let Some((label, top)) = active.to.as_deref().zip(memory.top()) else { return Ok(()) };
    let plan = scene.plan;
    let told = plan.view.holds.iter().any(|hold| hold.gate == Gate::Traffic);
    let others = scene.case.companions.get(key).is_some_and(|it| it.other_owner.is_some());
    let suspended = colours::sets(scene).any(|it| it.live.suspend.is_some());
    let free = scene.case.refused.is_none() && !others && !suspended && weights::may_write(scene, key);
    if plan.decision == Decision::Remove || !plan.writes.is_empty() || told || !free {
        return Ok(());
    }
    let let_in = |it: &Set<'_>| it.claimed == Some(memory.template) && memory.step >= 2;
    let serving = || colours::sets(scene).filter(|it| it.label() == Some(label) && it.has_pods());
    let unproven =
        serving().next().is_some() && !serving().any(|it| colours::is_proven(scene, &it) || let_in(&it));
    let needed = needed(scene).max(1);
    let mut back = colours::sets(scene).filter(|it| it.claimed == Some(top.template));
    let there = back.any(|it| it.is_whole(needed));
    switch(!(unproven && there), "a version serves that Git has not let serve, and nobody takes it back")
}

/// What stays after a removal goes on following what it follows: without that it would lead to the pods of every version.
///
/// # Errors
///
/// [`Rule::Switch`], or [`Rule::Whole`] for a second CloneSet.
pub fn check_left(scene: Scene<'_>, key: &ObjectKey, body: &Value) -> Result<(), Violation> {
    if let Some(twin) = scene.case.twins.get(&key.name).filter(|_| key.kind == Kind::CloneSet) {
        let stands = twin.live.stand.ours()["spec"] == body["spec"];
        return require(stands, Rule::Whole, || {
            "a second CloneSet that is left behind is not as it stands".to_owned()
        });
    }
    let there = scene.case.companions.get(key).and_then(|it| it.leads.follows.as_ref());
    let Some((as_what, to)) = there.and_then(|it| Some((it.as_what, it.to.as_deref()?))) else {
        return Ok(());
    };
    switch(follows(body, as_what) == Some(to), "what is left behind follows its pods no more")
}
