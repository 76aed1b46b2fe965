//! A release that is switched as a whole: which CloneSet of it may be made, grow or go. Who serves is told by
//! [`crate::guard::colours`], and what may follow which by [`crate::guard::switch`].

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::fields::compare;
use crate::guard::body::Sent;
use crate::guard::claim;
use crate::guard::colours::{self, Set, after, beside, size};
use crate::guard::forward;
use crate::guard::permit;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::{Motion, Scene};
use crate::model::TemplateHash;
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::{Follower, Release};
use crate::world::{Action, Decision, Live, Memory, Write, twin_name};

fn switch(holds: bool, message: &str) -> Result<(), Violation> {
    require(holds, Rule::Switch, || message.to_owned())
}

/// Whether a release has more than one CloneSet, or is about to.
#[must_use]
pub fn is_it(scene: Scene<'_>) -> bool {
    scene.case.home.is_some() || !scene.case.twins.is_empty()
}

/// Whether a key is that of a second CloneSet: one that is there, or would be of a release at hand.
#[must_use]
pub fn is_twin(scene: Scene<'_>, key: &ObjectKey) -> bool {
    let named = |release: &Release| twin_name(&scene.id.name, release.template).as_ref() == Some(&key.name);
    let head = scene.intent().map(|intent| &intent.release);
    key.kind == Kind::CloneSet
        && (scene.case.twins.contains_key(&key.name)
            || scene.case.documents.values().chain(head).any(|release| named(release)))
}

fn is_proven(scene: Scene<'_>, template: Option<TemplateHash>) -> bool {
    template.is_some_and(|it| scene.is_proven(it))
}

/// The step of `memory` that may have pods: as far as Git permits, or as what stands has come already.
fn open_step(scene: Scene<'_>, memory: &Memory) -> u32 {
    let intent = scene.intent().filter(|intent| intent.release.digest == memory.digest);
    let permitted = intent.map_or(0, |intent| permit::furthest(intent, &scene.world.policy));
    memory.step.min(permitted.max(colours::level(scene, memory.template)))
}

/// Checks a write of a second CloneSet.
///
/// # Errors
///
/// [`Rule::Whole`], [`Rule::Exposure`], [`Rule::OneUnproven`] or [`Rule::Switch`].
pub fn check_twin(scene: Scene<'_>, write: &Write, body: &Value) -> Result<(), Violation> {
    let whole = |holds, message: &str| require(holds, Rule::Whole, || message.to_owned());
    let marked = body["metadata"]["annotations"][keys::TWIN].as_str();
    let template: Option<TemplateHash> = marked.and_then(|it| it.parse().ok());
    let known = |template| with_template(scene, template).next().is_some();
    let Some(template) = template.filter(|it| known(*it)) else {
        return whole(false, "a second CloneSet is of no release at hand");
    };
    whole(
        twin_name(&scene.id.name, template).as_ref() == Some(&write.object.name),
        "a second CloneSet is not named by its template",
    )?;
    whole(body["metadata"]["annotations"].get(keys::DIGEST).is_none(), "a second CloneSet carries memory")?;
    let says =
        |it: &Release| Sent::settled(&body["spec"]) == Sent::settled(&it.cloneset.value.open()["spec"]);
    whole(with_template(scene, template).any(says), "a second CloneSet is not as its release says")?;
    let update = &body["spec"]["updateStrategy"];
    whole(update["partition"] == 0 && update["paused"] == false, "a second CloneSet keeps pods back")?;
    let there = scene.case.twins.get(&write.object.name).map(|twin| &twin.live);
    let sent = body["spec"]["replicas"].as_u64().and_then(|it| u32::try_from(it).ok());
    let Some(pods) = sent.or_else(|| there.filter(|it| it.replicas_owner.is_some()).map(|it| it.replicas))
    else {
        return whole(false, "a second CloneSet has no size");
    };
    let Some(memory) = after(scene) else { return whole(false, "there is no memory of the release") };
    let size = size(scene);
    if is_proven(scene, Some(template)) {
        return require(pods <= size, Rule::Exposure, || {
            format!("{pods} pods are made, and {size} are asked for")
        });
    }
    require(memory.template == template, Rule::OneUnproven, || {
        "a second CloneSet is made of a template that is neither entered nor proven".to_owned()
    })?;
    check_alone(scene, &write.object)?;
    let entered = scene.release(memory.digest);
    let allowed = entered.map_or(0, |release| beside(release, open_step(scene, memory), size));
    require(pods <= allowed, Rule::Exposure, || {
        format!("{pods} pods of an unproven template, and Git permits {allowed}")
    })?;
    require(write.forward, Rule::Forward, || {
        "a CloneSet of an unproven template is not marked as forward".to_owned()
    })?;
    if there.is_none() { check_unseen(scene) } else { Ok(()) }
}

/// Releases at hand with this template.
fn with_template<'a>(scene: Scene<'a>, template: TemplateHash) -> impl Iterator<Item = &'a Release> {
    let head = scene.intent().map(|intent| &intent.release);
    let all = scene.case.documents.values().chain(head).map(|release| &**release);
    all.filter(move |release| release.template == template)
}

/// Pods of an unproven template come up beside proven ones alone.
fn check_alone(scene: Scene<'_>, key: &ObjectKey) -> Result<(), Violation> {
    let alone = |holds, message: &str| require(holds, Rule::OneUnproven, || message.to_owned());
    alone(!scene.is_first(), "a second CloneSet is made, and nothing is proven that it would be beside")?;
    let others = scene.case.twins.iter().filter(|(name, _)| **name != key.name);
    // Where the proven version does not come up any more, one that Git has left behind may have to serve until another does.
    let top = scene.memory().and_then(Memory::top).map(|top| top.template);
    let is_top = |it: &Set<'_>| top.is_some_and(|top| colours::is_of(scene, it, top));
    let broken = !colours::sets(scene).any(|it| is_top(&it) && it.is_whole(size(scene)));
    let led = |twin: &Live| {
        let sets = colours::sets(scene).filter(|it| it.live.uid == twin.uid);
        colours::pin(scene).is_some_and(|pin| sets.into_iter().any(|it| it.label() == Some(pin)))
    };
    let may_stay = |it: &Live| broken && led(it);
    let mut others = others.filter(|(_, it)| !is_proven(scene, Some(it.template)) && !may_stay(&it.live));
    alone(others.next().is_none(), "a second CloneSet is made beside another one that is not proven either")
}

/// No Service leads to whatever pods come up.
fn check_unseen(scene: Scene<'_>) -> Result<(), Violation> {
    let mut open = scene.case.companions.iter().filter(|(key, it)| {
        let follows = it.leads.follows.as_ref();
        let selects = follows.is_some_and(|it| matches!(it.as_what, Follower::Active | Follower::Beside));
        let is_open = follows.is_some_and(|it| it.to.is_none()) && !is_pinned(scene, key);
        key.kind == Kind::Service && selects && is_open
    });
    switch(open.next().is_none(), "pods come up that a Service would lead to before anybody has approved it")
}

/// Whether a Service is written before, so that it leads to one revision.
fn is_pinned(scene: Scene<'_>, key: &ObjectKey) -> bool {
    let mut before = scene.plan.writes.iter().take_while(|it| it.object.kind != Kind::CloneSet);
    before.any(|it| match &it.action {
        Action::Apply { body, .. } => {
            it.object == *key && body["spec"]["selector"][keys::POD_TEMPLATE_HASH].is_string()
        }
        Action::TakeOver { .. } | Action::Delete { .. } => false,
    })
}

/// Checks a write of the CloneSet that is named as the release: it carries memory of all, and stands by a release of its own.
///
/// # Errors
///
/// Any rule that memory can break, and [`Rule::Whole`] or [`Rule::Switch`] for its pods.
pub fn check_home(scene: Scene<'_>, write: &Write, body: &Value) -> Result<(), Violation> {
    let whole = |holds, message: &str| require(holds, Rule::Whole, || message.to_owned());
    let sent = Sent::read(body)?;
    let (memory, Some(home)) = (&sent.memory, scene.case.home.as_ref()) else {
        return whole(false, "the CloneSet is not there");
    };
    let stands_by = scene.release(memory.home.unwrap_or(memory.digest));
    let same = stands_by.map_or_else(
        || Sent::settled(sent.spec) == Sent::settled(&home.stand.ours()["spec"]),
        |release| Sent::settled(sent.spec) == Sent::settled(&release.cloneset.value.open()["spec"]),
    );
    whole(same, "the CloneSet is not as the release by which it stands says")?;
    whole(
        sent.partition.partition_pods(u32::MAX) == 0,
        "a CloneSet that is switched as a whole keeps pods back",
    )?;
    let standing = colours::home(scene);
    let claimed = standing.and_then(|it| it.claimed);
    let template = stands_by.map(|release| release.template).or(claimed);
    let pods = sent.replicas.unwrap_or(home.replicas);
    let another = sent.replicas.is_some() || home.replicas_owner.is_some();
    whole(another, "the body has no replicas, and no other manager owns them: there would be one pod")?;
    let first = scene.is_first();
    let empty = pods == 0 && home.replicas == 0;
    switch(
        first || stands(scene, home, sent.template, template) || empty || is_proven(scene, template),
        "pods of a template that is not proven come up in the CloneSet of the release",
    )?;
    if pods > home.replicas {
        let of_size = pods <= size(scene) && (first || is_proven(scene, template));
        require(of_size, Rule::Exposure, || {
            format!("{pods} pods of the CloneSet of the release, which nobody needs")
        })?;
    }
    if pods < home.replicas {
        check_less(scene, standing, pods)?;
    }
    let (live, before) = (scene.case.live.as_ref(), scene.memory());
    let release = scene.release(memory.digest);
    let same_template = before.is_some_and(|it| it.template == memory.template);
    let of = |step| release.map_or(size(scene), |release| beside(release, step, size(scene)));
    let proven = scene.is_proven(memory.template);
    let motion = Motion {
        scene,
        sent: &sent,
        live,
        release,
        size: size(scene),
        exposed: if proven || first { size(scene) } else { of(memory.step) },
        already: before
            .filter(|_| same_template)
            .map_or(0, |it| if proven || first { size(scene) } else { of(it.step) }),
        proven,
        same_template,
        grows: false,
    };
    check_let_in(scene, memory)?;
    let leaves = release.is_some_and(|it| it.strategy.blue_green.is_none()) && !scene.case.twins.is_empty();
    let still = same_template || proven;
    switch(!leaves || still, "another version begins as one CloneSet, and its pods are in two")?;
    forward::check(&motion)?;
    claim::check(&motion)?;
    check_reached(scene, memory)?;
    let marked = write.forward || !motion.exposes();
    require(marked, Rule::Forward, || {
        "a write forward is not marked as one: an old leader could send it".to_owned()
    })
}

/// Whether the CloneSet of the release has this template as it stands: to the letter, or by its digest, with what the server has
/// added to it.
fn stands(scene: Scene<'_>, home: &Live, sent: &Value, template: Option<TemplateHash>) -> bool {
    let ours = home.stand.ours();
    let by_digest = || {
        let known = template.is_some() && scene.case.home_template() == template;
        known && !home.drift.template && compare(&json!({ "template": sent }), &ours["spec"]).is_empty()
    };
    ours["spec"]["template"] == *sent || by_digest()
}

/// A step at which pods serve that are not proven: Git permits it, or it was entered before with the same template. That somebody
/// leads to them by hand is no leave.
fn check_let_in(scene: Scene<'_>, memory: &Memory) -> Result<(), Violation> {
    let proven = scene.is_proven(memory.template) || scene.is_first();
    let before = scene.memory().filter(|it| it.template == memory.template).map_or(0, |it| it.step);
    let intent = scene.intent().filter(|intent| intent.release.digest == memory.digest);
    let permitted = intent.map_or(0, |intent| permit::furthest(intent, &scene.world.policy));
    require(proven || memory.step < 2 || memory.step <= before.max(permitted), Rule::Exposure, || {
        format!("memory names step {}, at which pods serve, and Git permits step {permitted}", memory.step)
    })
}

/// A step that is only reached now: what is to lead to its pods does.
fn check_reached(scene: Scene<'_>, memory: &Memory) -> Result<(), Violation> {
    let news = scene.memory().is_none_or(|it| it.step_reached.is_none() || it.template != memory.template);
    if memory.step_reached.is_none() || !news || scene.is_first() {
        return Ok(());
    }
    let known = |it: &Set<'_>| it.live.is_fresh() && !it.live.drift.template && !it.live.deleting;
    let mut entered = colours::sets(scene).filter(|it| it.claimed == Some(memory.template) && known(it));
    let label = entered.next().and_then(|it| it.label());
    let proven = scene.is_proven(memory.template);
    let as_what = if proven || memory.step >= 2 { Follower::Active } else { Follower::Preview };
    let release = scene.release(memory.digest);
    let needed = release.map_or(0, |it| {
        let pods = if proven { size(scene) } else { beside(it, memory.step, size(scene)) };
        it.strategy.enough(pods)
    });
    let service = colours::service(scene, as_what).map(|(_, it)| it);
    let leads = service.filter(|it| label.is_some() && it.to.as_deref() == label);
    let seen = leads.and_then(|it| it.ready).is_some_and(|ready| ready >= needed);
    require(seen, Rule::Reached, || "a step is called reached, and no Service leads to its pods".to_owned())
}

/// Fewer pods of a CloneSet: it does not serve, nor is about to, and it is not kept.
fn check_less(scene: Scene<'_>, set: Option<Set<'_>>, pods: u32) -> Result<(), Violation> {
    let Some((set, memory)) = set.zip(after(scene)) else { return Ok(()) };
    let size = size(scene);
    if (pods >= size && pods > 0) || size == 0 {
        return Ok(());
    }
    let another = |it: &Set<'_>| it.live.uid != set.live.uid && it.is_whole(size);
    let twice = |it: &Set<'_>| another(it) && it.label() == set.label();
    let serves = colours::serves(scene, &set) && !colours::sets(scene).any(|it| twice(&it));
    switch(!serves, "pods go that the active Service leads to")?;
    let proven = memory.entered_is_proven();
    switch(!proven || memory.step_reached.is_some(), "pods go before those that are to serve do")?;
    let goal = if proven { Some(memory.template) } else { memory.top().map(|top| top.template) };
    let is_goal = |it: &Set<'_>| goal.is_some_and(|goal| colours::is_of(scene, it, goal));
    let other = colours::sets(scene).any(|it| another(&it) && is_goal(&it));
    switch(!is_goal(&set) || other, "pods go of the version that is to serve")?;
    switch(!is_kept(scene, &set, memory), "pods go that are kept to go back to")
}

/// Whether its pods are those of the version before the one that serves, and may still be kept: not to know is not to be over.
fn is_kept(scene: Scene<'_>, set: &Set<'_>, memory: &Memory) -> bool {
    let before = memory.proven.iter().rev().nth(1).map(|it| it.template);
    let is_before = before.is_some_and(|before| {
        colours::is_of(scene, set, before) && !colours::is_of(scene, set, memory.template)
    });
    let keep = scene.release(memory.digest).map(|it| it.strategy.blue_green.as_ref().map(|it| it.keep));
    let since = memory.step_reached.map(|it| scene.world.now.duration_since(it.at));
    let is_over = match keep {
        // It is switched as a whole no more.
        Some(None) => true,
        Some(Some(keep)) => since.is_some_and(|it| it >= SignedDuration::from_secs(i64::from(keep))),
        None => false,
    };
    memory.entered_is_proven() && is_before && !is_over
}

/// Checks that a second CloneSet goes, outside a removal; false where it is none.
///
/// # Errors
///
/// [`Rule::Switch`].
pub fn check_delete(scene: Scene<'_>, key: &ObjectKey) -> Result<bool, Violation> {
    let Some(twin) = scene.case.twins.get(&key.name).filter(|_| key.kind == Kind::CloneSet) else {
        return Ok(false);
    };
    let moves = matches!(scene.plan.decision, Decision::Repair);
    switch(moves, "a second CloneSet goes beside something else")?;
    require(is_ours(scene, &twin.live), Rule::Evidence, || {
        "a second CloneSet goes that does not belong to this root".to_owned()
    })?;
    let set = colours::sets(scene).find(|it| it.live.uid == twin.live.uid);
    check_less(scene, set, 0)?;
    Ok(true)
}

/// Whether a second CloneSet is ours: it says so, or it says nothing and we have applied it.
#[must_use]
pub fn is_ours(scene: Scene<'_>, twin: &Live) -> bool {
    twin.root.as_ref().map_or(twin.drift.applied, |root| *root == scene.world.policy.root)
}

/// An unproven version of a release that is to be switched as a whole never comes up in the CloneSet of the release: its active
/// Service would lead to it.
///
/// # Errors
///
/// [`Rule::Switch`].
pub fn check_plain(motion: &Motion<'_>) -> Result<(), Violation> {
    let (scene, memory) = (motion.scene, &motion.sent.memory);
    let whole = motion.release.is_some_and(|it| it.strategy.blue_green.is_some());
    let stands = motion.live.is_none() || scene.memory().is_some_and(|it| it.template == memory.template);
    let first = scene.is_first() && (stands || motion.is_in_place());
    let comes_up = whole && motion.exposes() && !first;
    switch(!comes_up, "a version comes up where the one serves that it is to be switched with")
}
