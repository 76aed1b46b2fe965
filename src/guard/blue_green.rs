//! A release that is switched as a whole: which CloneSet of it may be made, grow or go, and which the active Service may lead to.
//!
//! The guard works out for itself which one serves: by the selector that stands, and by the status of each.

use jiff::SignedDuration;
use serde_json::Value;

use crate::guard::body::Sent;
use crate::guard::claim;
use crate::guard::forward;
use crate::guard::permit;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::{Motion, Scene};
use crate::model::TemplateHash;
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::{Follower, Release};
use crate::world::{Action, Colour, Decision, Follows, Memory, Write, twin_name};

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

/// Memory as it is after the move.
fn after<'a>(scene: Scene<'a>) -> Option<&'a Memory> {
    scene.plan.memory.as_ref().or_else(|| scene.memory())
}

/// Pods of the release in all: HEAD's, or those of the CloneSet that serves.
fn size(scene: Scene<'_>) -> u32 {
    let head = scene.intent().and_then(|intent| intent.release.replicas);
    head.or(scene.case.serving().map(|it| it.live.replicas)).unwrap_or(0)
}

fn is_proven(scene: Scene<'_>, template: Option<TemplateHash>) -> bool {
    template.is_some_and(|it| scene.is_proven(it))
}

fn service<'a>(scene: Scene<'a>, as_what: Follower) -> Option<&'a Follows> {
    let mut all = scene.case.companions.values().filter_map(|it| it.leads.follows.as_ref());
    all.find(|it| it.as_what == as_what)
}

/// Pods of a step, at this size: it has them beside those that serve.
fn beside(release: &Release, step: u32, size: u32) -> u32 {
    if step >= release.last_step() {
        return size;
    }
    release.step(step).map_or(0, |step| step.replicas.step_pods(size))
}

/// The step of `memory` that may have pods: as far as Git permits, or as what stands has come already.
fn open_step(scene: Scene<'_>, memory: &Memory) -> u32 {
    let intent = scene.intent().filter(|intent| intent.release.digest == memory.digest);
    let permitted = intent.map_or(0, |intent| permit::furthest(intent, &scene.world.policy));
    memory.step.min(permitted.max(scene.case.level(memory.template)))
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
    let release = template.and_then(|it| scene.case.with_template(it));
    let Some((template, release)) = template.zip(release) else {
        return whole(false, "a second CloneSet is of no release at hand");
    };
    whole(
        twin_name(&scene.id.name, template).as_ref() == Some(&write.object.name),
        "a second CloneSet is not named by its template",
    )?;
    whole(body["metadata"]["annotations"].get(keys::DIGEST).is_none(), "a second CloneSet carries memory")?;
    whole(
        Sent::settled(&body["spec"]) == Sent::settled(&release.cloneset.value.open()["spec"]),
        "a second CloneSet is not as its release says",
    )?;
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
    let others = scene.case.twins.iter().filter(|(name, _)| **name != write.object.name);
    let mut others = others.filter(|(_, twin)| !is_proven(scene, Some(twin.template)));
    require(others.next().is_none(), Rule::OneUnproven, || {
        "a second CloneSet is made beside another one that is not proven either".to_owned()
    })?;
    let allowed = beside(release, open_step(scene, memory), size);
    require(pods <= allowed, Rule::Exposure, || {
        format!("{pods} pods of an unproven template, and Git permits {allowed}")
    })?;
    require(write.forward, Rule::Forward, || {
        "a CloneSet of an unproven template is not marked as forward".to_owned()
    })?;
    if there.is_none() {
        let mut open = scene.case.companions.iter().filter(|(key, it)| {
            let follows = it.leads.follows.as_ref();
            let selects = follows.is_some_and(|it| matches!(it.as_what, Follower::Active | Follower::Beside));
            let is_service = key.kind == Kind::Service;
            selects && is_service && follows.is_some_and(|it| it.to.is_none()) && !is_pinned(scene, key)
        });
        switch(
            open.next().is_none(),
            "pods come up that a Service would lead to before anybody has approved it",
        )?;
    }
    Ok(())
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
    let template = stands_by.map(|release| release.template).or_else(|| scene.case.home_template());
    let pods = sent.replicas.unwrap_or(home.replicas);
    let another = sent.replicas.is_some() || home.replicas_owner.is_some();
    whole(another, "the body has no replicas, and no other manager owns them: there would be one pod")?;
    let first = scene.is_first();
    if pods > home.replicas {
        let of_size = pods <= size(scene) && (first || is_proven(scene, template));
        require(of_size, Rule::Exposure, || {
            format!("{pods} pods of the CloneSet of the release, which nobody needs")
        })?;
    }
    if pods < home.replicas {
        check_less(scene, scene.case.home(), pods)?;
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

/// A step that is only reached now: what is to lead to its pods does.
fn check_reached(scene: Scene<'_>, memory: &Memory) -> Result<(), Violation> {
    let news = scene.memory().is_none_or(|it| it.step_reached.is_none() || it.template != memory.template);
    if memory.step_reached.is_none() || !news || scene.is_first() {
        return Ok(());
    }
    let hash = scene.case.colour(memory.template).and_then(|it| it.hash());
    let proven = scene.is_proven(memory.template);
    let as_what = if proven || memory.step >= 2 { Follower::Active } else { Follower::Preview };
    let release = scene.release(memory.digest);
    let needed = release.map_or(0, |it| {
        let pods = if proven { size(scene) } else { beside(it, memory.step, size(scene)) };
        it.strategy.enough(pods)
    });
    let leads = service(scene, as_what).filter(|it| hash.is_some() && it.to.as_deref() == hash);
    let seen = leads.and_then(|it| it.ready).is_some_and(|ready| ready >= needed);
    require(seen, Rule::Reached, || "a step is called reached, and no Service leads to its pods".to_owned())
}

/// Fewer pods of a CloneSet: it does not serve, nor is about to, and it is not kept.
fn check_less(scene: Scene<'_>, colour: Option<Colour<'_>>, pods: u32) -> Result<(), Violation> {
    let Some((colour, memory)) = colour.zip(after(scene)) else { return Ok(()) };
    let resized = pods >= size(scene) && pods > 0;
    let zero = size(scene) == 0;
    if resized || zero {
        return Ok(());
    }
    let hash = colour.hash();
    let serves = scene.case.active_hash().is_none() || (hash.is_some() && hash == scene.case.active_hash());
    let twice = scene.case.colours().any(|it| {
        let whole = it.is_settled(size(scene)) && it.live.status.updated_available >= size(scene);
        it.hash().is_some() && it.hash() == hash && !it.is(&colour) && whole
    });
    switch(!serves || twice, "pods go that the active Service leads to")?;
    let proven = memory.entered_is_proven();
    switch(!proven || memory.step_reached.is_some(), "pods go before those that are to serve do")?;
    let goal = if proven { Some(memory.template) } else { memory.top().map(|top| top.template) };
    let size = size(scene);
    let other = scene.case.colours().any(|it| {
        it.template == goal
            && !it.is(&colour)
            && it.is_settled(size)
            && it.live.status.updated_available >= size
    });
    switch(colour.template != goal || other, "pods go of the version that is to serve")?;
    let keep = scene.release(memory.digest).and_then(|it| it.strategy.blue_green.as_ref()).map(|it| it.keep);
    let complete = memory.top().is_some_and(|top| top.digest == memory.digest);
    let before = memory.proven.iter().rev().nth(1).map(|it| it.template);
    if let (Some(keep), Some(reached), true) = (keep, memory.step_reached.filter(|_| complete), proven) {
        let over = scene.world.now.duration_since(reached.at) >= SignedDuration::from_secs(i64::from(keep));
        let kept = before.is_some() && colour.template == before && !over;
        switch(!kept, "pods go that are kept to go back to")?;
    }
    Ok(())
}

/// Checks what follows one of the CloneSets; false where it is none of these.
///
/// # Errors
///
/// [`Rule::Whole`] where it is another companion, [`Rule::Switch`] for what it follows.
pub fn check_follower(scene: Scene<'_>, write: &Write, body: &Value) -> Result<bool, Violation> {
    if !scene.case.is_blue_green() && !is_it(scene) {
        return Ok(false);
    }
    let head = scene
        .intent()
        .map(|intent| &*intent.release)
        .filter(|_| write.object.kind == Kind::HorizontalPodAutoscaler);
    let entered = after(scene).and_then(|memory| scene.release(memory.digest));
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
    match as_what {
        Follower::Preview => {
            let known = to.is_none() || scene.case.colours().any(|it| it.hash() == to.as_deref());
            switch(known, "the preview Service leads to nothing")?;
        }
        Follower::Active | Follower::Beside => match to {
            None => {
                let alone = scene.case.colours().filter(|it| it.live.replicas > 0).count() <= 1;
                switch(alone, "a Service leads to the pods of two versions at once")?;
            }
            Some(hash) => {
                let mut colours = scene.case.colours().filter(|it| it.hash() == Some(&hash));
                let Some(colour) = colours.next() else {
                    switch(false, "a Service leads to nothing")?;
                    return Ok(true);
                };
                check_goal(scene, write, &colour, as_what == Follower::Active)?;
            }
        },
        Follower::Scaler => {
            let name = to.as_deref();
            let colour = scene.case.colours().find(|it| it.twin.map(crate::model::Name::as_str) == name);
            if let Some(colour) = colour {
                check_goal(scene, write, &colour, false)?;
            }
        }
    }
    Ok(true)
}

/// The pods of `colour` may serve, and no endpoint is lost as the active Service leads to them.
fn check_goal(
    scene: Scene<'_>,
    write: &Write,
    colour: &Colour<'_>,
    is_active: bool,
) -> Result<(), Violation> {
    let active = service(scene, Follower::Active);
    let size = size(scene);
    let serves = active.and_then(|it| it.ready).unwrap_or(size).min(size);
    let led = active.and_then(|it| it.to.as_deref());
    if is_active && led.is_some() && led != colour.hash() {
        let there = colour.live.status.updated_available;
        require(there >= serves, Rule::Switch, || {
            format!("the active Service loses endpoints: {there} pods are available, and {serves} serve")
        })?;
    }
    if is_proven(scene, colour.template) || scene.is_first() || led == colour.hash() {
        return Ok(());
    }
    let (world, Some(memory)) = (scene.world, scene.memory()) else {
        return switch(false, "there is no memory of the release");
    };
    switch(
        memory.step >= 2 && colour.template == Some(memory.template),
        "a version serves whose step is not entered",
    )?;
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
    let preview = service(scene, Follower::Preview).filter(|it| it.to.as_deref() == colour.hash());
    let seen = preview.and_then(|it| it.ready).is_some_and(|ready| ready >= serves);
    switch(colour.is_settled(size) && seen, "a version serves before all its pods do")?;
    require(write.forward, Rule::Forward, || "the switch is not marked as forward".to_owned())
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
    let (at, name) = match as_what {
        Follower::Scaler => ("/spec/scaleTargetRef", "name"),
        _ if base["kind"] == Kind::Service.api().kind => ("/spec/selector", keys::POD_TEMPLATE_HASH),
        _ => ("/spec/selector/matchLabels", keys::POD_TEMPLATE_HASH),
    };
    let to = body.pointer(at)?.get(name)?.as_str()?.to_owned();
    let fields = body.pointer_mut(at)?.as_object_mut()?;
    match base.pointer(at)?.get(name) {
        Some(before) => drop(fields.insert(name.to_owned(), before.clone())),
        None => drop(fields.remove(name)),
    }
    (base == body).then_some(Some(to))
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
    let colour = scene.case.colours().find(|it| it.live.uid == twin.live.uid);
    check_less(scene, colour, 0)?;
    Ok(true)
}
