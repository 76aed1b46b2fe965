//! What routes lead to, and how much of it: against the step that is entered, what Git permits of it, what the status and
//! the EndpointSlices prove.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::guard::backends::{self, Led};
use crate::guard::ingress;
use crate::guard::permit;
use crate::guard::pods;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::Scene;
use crate::model::Name;
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::routes::{base_of, beside, led_to};
use crate::spec::{Companion, Release};
use crate::world::{Action, Beside, Decision, Live, Memory, Role, Share, Write, hash_of};

/// Checks the traffic of a move: what begins with a share, and what goes back without one.
///
/// # Errors
///
/// [`Rule::Weights`].
pub fn check(scene: Scene<'_>) -> Result<(), Violation> {
    let plan = scene.plan;
    let weights = |holds, message: &str| require(holds, Rule::Weights, || message.to_owned());
    let pods = plan.writes.iter().position(|it| it.object.kind == Kind::CloneSet);
    let (Some(pods), Some(memory), Some(live)) = (pods, scene.memory(), scene.case.live.as_ref()) else {
        return Ok(());
    };
    // Each route as it stands when the CloneSet is written.
    let canary = |release: &Release, key: &ObjectKey| {
        let written = plan.writes[..pods].iter().rev().find(|it| it.object == *key);
        match written.map(|it| &it.action) {
            Some(Action::Apply { body, .. }) => {
                led(scene, release, key, body).is_some_and(|led| led.share > 0 || !led.testers.is_empty())
            }
            Some(Action::Delete { .. }) => false,
            Some(Action::TakeOver { .. }) | None => gives(scene, key),
        }
    };
    let canaries: Vec<&ObjectKey> = canaries(scene).map(|(key, _)| key).collect();
    let leaves = plan.decision == Decision::RollBack && !memory.entered_is_proven();
    if leaves && let Some(release) = scene.release(memory.digest) {
        let routes = release.weighted_routes().map(|it| it.body.key.clone());
        let mut routes = routes.chain(canaries.iter().copied().cloned());
        let all_back = !routes.by_ref().filter(|key| may_write(scene, key)).any(|key| canary(release, &key));
        weights(all_back, "pods go back, and a route still leads to them")?;
    }
    let after = plan.memory.as_ref().and_then(|it| scene.release(it.digest).map(|release| (it, release)));
    if let Some((_, release)) = after.filter(|_| matches!(plan.decision, Decision::Enter(_))) {
        check_given_up(scene, &plan.writes[..pods], release)?;
    }
    let Some((after, release)) = after.filter(|(after, _)| after.template != memory.template) else {
        return Ok(());
    };
    let begins = matches!(plan.decision, Decision::Enter(_)) && memory.entered_is_proven();
    if !begins || after.step >= last(release) || old_pods(live) == 0 || has_none(scene, live) {
        return Ok(());
    }
    let split = |key: &ObjectKey| {
        let written = plan.writes[..pods].iter().find(|it| it.object == *key);
        match written.map(|it| &it.action) {
            Some(Action::Apply { body, .. }) => {
                let led = led(scene, release, key, body);
                led.is_some_and(|led| led.share == 0 && led.testers.is_empty() && !led.stable.is_empty())
            }
            Some(Action::TakeOver { .. } | Action::Delete { .. }) => false,
            None => {
                let leads = scene.case.companions.get(key).map(|it| &it.leads);
                leads.is_some_and(|it| it.share == Share::Split(0) && !it.testers)
            }
        }
    };
    weights(
        release.weighted_routes().all(|it| split(&it.body.key)),
        "a rollout with weights begins, and a route would lead to its pods by their number",
    )?;
    weights(
        !canaries.into_iter().filter(|key| may_write(scene, key)).any(|key| canary(release, key)),
        "a rollout begins, and a canary Ingress would lead to its pods",
    )
}

/// The canary Ingresses that are there, each with its Ingress.
fn canaries<'a>(scene: Scene<'a>) -> impl Iterator<Item = (&'a ObjectKey, ObjectKey)> {
    let there = scene.case.companions.iter().filter(|(_, it)| it.leads.canary_of.is_some());
    there.filter_map(|(key, _)| Some((key, ingress::base(key)?)))
}

/// Whether a route or a canary Ingress gives the entered revision anything, as it stands.
fn gives(scene: Scene<'_>, key: &ObjectKey) -> bool {
    let leads = scene.case.companions.get(key).map(|it| &it.leads);
    leads.is_some_and(|it| it.testers || matches!(it.share, Share::Split(percent) if percent > 0))
}

/// Whether this Ingress shares by the weights of a release.
fn shares(release: &Release, key: &ObjectKey) -> bool {
    release.weighted_routes().any(|it| it.body.key == *key)
}

/// Whether every route that shares, and that the release to be entered does not have, is written before its CloneSet as Git
/// had it, and the canary Ingress of each that is not to share is deleted: nobody would let its weights fall any more.
fn check_given_up(scene: Scene<'_>, before: &[Write], release: &Release) -> Result<(), Violation> {
    let is_shared = |key: &ObjectKey| {
        let there = scene.case.companions.get(key);
        there.is_some_and(|it| it.leads.share != Share::Base) && may_write(scene, key)
    };
    let left = entered(scene).into_iter().flat_map(|it| &it.companions).map(|it| &it.body.key);
    let mut left = left.filter(|key| release.companion(key).is_none() && is_shared(key));
    let mut canaries = canaries(scene).filter(|(key, of)| {
        let there = scene.case.companions.get(key).is_some_and(|it| !it.deleting);
        there && !shares(release, of) && may_write(scene, key)
    });
    let goes = |key: &ObjectKey| {
        before.iter().any(|it| it.object == *key && matches!(it.action, Action::Delete { .. }))
    };
    let given_up = canaries.all(|(key, _)| goes(key));
    let is_base = |key: &ObjectKey| {
        let mut bodies = before.iter().filter(|it| it.object == *key).filter_map(|it| match &it.action {
            Action::Apply { body, .. } => led(scene, release, key, body),
            Action::TakeOver { .. } | Action::Delete { .. } => None,
        });
        bodies
            .next_back()
            .is_some_and(|led| led.stable.is_empty() && led.canary.is_empty() && led.testers.is_empty())
    };
    require(left.all(is_base) && given_up, Rule::Weights, || {
        "a release is entered without a route that shares: nobody would look after its weights".to_owned()
    })
}

/// Whether a route is the release's to write, and was not refused: nothing else of it keeps pods from going back.
#[must_use]
pub fn may_write(scene: Scene<'_>, key: &ObjectKey) -> bool {
    let ours = scene.case.companions.get(key).is_some_and(|it| it.release == scene.id.to_string());
    let known = !scene.case.is_refused(key) && !scene.case.strangers.contains(key);
    ours && known && scene.world.policy.kinds.contains(&key.kind)
}

/// Whether any route leads to this Service.
fn is_led_to(scene: Scene<'_>, key: &ObjectKey) -> bool {
    scene.case.companions.values().any(|it| it.leads.to.contains(&key.name))
}

/// Whether pods of other revisions run beside the proven one, and none that Kruise keeps is behind a Service of its own:
/// all traffic to it would go to nothing.
fn has_none(scene: Scene<'_>, live: &Live) -> bool {
    let others = live.status.current_revision != live.status.update_revision;
    let mut besides = scene.case.companions.values().filter_map(|it| it.leads.beside.as_ref());
    others && besides.any(|it| it.role == Role::Stable && it.ready == Some(0))
}

/// Pods of a proven release that are available, on the revision that Kruise keeps them on.
fn old_pods(live: &Live) -> u32 {
    let status = &live.status;
    if status.current_revision == status.update_revision {
        status.updated_available
    } else {
        status.available.saturating_sub(status.updated_available)
    }
}

fn last(release: &Release) -> u32 {
    u32::try_from(release.strategy.steps.len()).unwrap_or(u32::MAX)
}

fn led(scene: Scene<'_>, release: &Release, key: &ObjectKey, body: &Value) -> Option<Led> {
    let written = |key: &ObjectKey| release.companion(key).or_else(|| entered(scene)?.companion(key));
    let (services, testers) = (services(release), &release.strategy.matches);
    match (written(key), ingress::base(key)) {
        (Some(base), _) if key.kind == Kind::Ingress => {
            ingress::read(&base.body.value.open(), body, &services)
        }
        (Some(base), _) => backends::read(&base.body.value.open(), body, &services, testers),
        (None, Some(of)) => {
            let left = entered(scene).map(self::services).unwrap_or_default();
            let services = services.union(&left).cloned().collect();
            ingress::read_canary(&written(&of)?.body.value.open(), body, &services, testers)
        }
        (None, None) => None,
    }
}

/// The Services of a release.
fn services(release: &Release) -> BTreeSet<Name> {
    let services = release.companions.iter().filter(|it| it.body.key.kind == Kind::Service);
    services.map(|it| it.body.key.name.clone()).collect()
}

fn entered<'a>(scene: Scene<'a>) -> Option<&'a Release> {
    scene.memory().and_then(|memory| scene.release(memory.digest))
}

/// The releases by which a route may stand: the one that is entered after the move; as pods go back, the one before.
fn releases<'a>(scene: Scene<'a>) -> impl Iterator<Item = &'a Release> {
    let after = scene.plan.memory.as_ref().and_then(|memory| scene.release(memory.digest));
    let back = scene.plan.decision == Decision::RollBack;
    after.into_iter().chain(entered(scene).filter(|_| back))
}

/// Whether a route may stand as `release` has it: of one that pods leave, only those that share, or that its weights are
/// led by.
fn may_stand(scene: Scene<'_>, release: &Release, key: &ObjectKey, there: Share) -> bool {
    let after = scene.plan.memory.as_ref().is_some_and(|memory| memory.digest == release.digest);
    let of = ingress::base(key);
    let key = of.as_ref().filter(|_| release.companion(key).is_none()).unwrap_or(key);
    after || there != Share::Base || release.weighted_routes().any(|it| it.body.key == *key)
}

/// Whether a route that is written is one of the release but for its weights, and leads no further than it may.
///
/// # Errors
///
/// [`Rule::Weights`].
pub fn check_route(scene: Scene<'_>, write: &Write, body: &Value) -> Result<bool, Violation> {
    let key = &write.object;
    if !key.kind.shares_traffic() {
        return Ok(false);
    }
    let there = scene.case.companions.get(key).map(|it| it.leads.share).unwrap_or_default();
    let known = releases(scene).filter(|it| may_stand(scene, it, key, there));
    let mut known = known.filter_map(|it| Some((it, led(scene, it, key, body)?)));
    let Some((release, led)) = known.next() else { return Ok(false) };
    let weights = |holds, message: &str| require(holds, Rule::Weights, || format!("{key}: {message}"));
    let is_canary = release.companion(key).is_none() && ingress::base(key).is_some();
    if is_canary && led.share == 0 && led.testers.is_empty() {
        return Ok(true);
    }
    if is_canary {
        weights(is_apart(scene, key), "it shares what leads to all pods")?;
    } else if led.stable.is_empty() && led.canary.is_empty() {
        weights(led.testers.is_empty(), "it leads testers apart, and everybody else by the pods")?;
        return check_base(scene, write, release, there).map(|()| true);
    }
    let (Some(memory), Some(live)) = (scene.memory(), &scene.case.live) else {
        return weights(false, "it is shared, and there is no CloneSet of ours").map(|()| true);
    };
    weights(memory.top().is_some(), "it is shared, and nothing is proven")?;
    for service in &led.stable {
        weights(
            leads_to_proven(scene, service, (memory, live), there),
            "it leads to nothing: the proven revision's Service",
        )?;
    }
    if led.share == 0 && led.testers.is_empty() {
        return Ok(true);
    }
    weights(!memory.entered_is_proven(), "it leads to an unproven revision, and none is entered")?;
    weights(scene.plan.decision != Decision::RollBack, "pods go back, and it leads to them")?;
    let stands = match there {
        Share::Split(percent) => u64::from(percent) * 100,
        Share::Base => 0,
    };
    let tested = scene.case.companions.get(key).is_some_and(|it| it.leads.testers);
    let begins = !led.testers.is_empty() && !tested;
    let rises = led.share > stands || begins;
    for service in led.canary.union(&led.testers) {
        let known = canary(memory, live).and_then(|hash| ready(scene, service, true, |it| it.hash == hash));
        // A weight that rises does so by what EndpointSlices say.
        let there = known.is_some_and(|ready| ready.map_or(!rises, |ready| ready > 0));
        weights(there, "it leads to nothing: the entered revision's Service")?;
    }
    if !rises {
        return Ok(true);
    }
    weights(write.forward, "a weight rises, and an old leader could send it")?;
    let furthest = furthest(scene, release, memory, live);
    let proven = live.status.updated_available > 0 && may_serve(scene, release);
    weights(
        !begins || (furthest > 0 && proven),
        "it leads testers to pods that are not there or not approved",
    )?;
    let most = u64::from(permitted(release, live, furthest)) * 100;
    weights(led.share <= stands.max(most), "it leads more to the entered revision than its steps allow now")
        .map(|()| true)
}

/// Whether the Ingress that one of ours shares leads to the proven revision, as it stands or is written before.
fn is_apart(scene: Scene<'_>, canary: &ObjectKey) -> bool {
    let Some(of) = ingress::base(canary) else { return false };
    let stands = scene.case.companions.get(&of).is_some_and(|it| it.leads.share != Share::Base);
    let before = scene.plan.writes.iter().take_while(|it| it.object != *canary);
    let written = before.filter(|it| it.object == of).filter_map(|it| match &it.action {
        Action::Apply { body, .. } => Some(led_to(body).iter().any(|name| is_stable(name))),
        Action::TakeOver { .. } | Action::Delete { .. } => None,
    });
    written.last().unwrap_or(stands)
}

fn is_stable(service: &str) -> bool {
    service.parse().is_ok_and(|name| base_of(&name).is_some_and(|(_, canary)| !canary))
}

/// A route that is as Git has it: traffic follows the pods.
fn check_base(scene: Scene<'_>, write: &Write, release: &Release, there: Share) -> Result<(), Violation> {
    let key = &write.object;
    let weights = |holds, message: &str| require(holds, Rule::Weights, || format!("{key}: {message}"));
    let after = scene.plan.memory.as_ref().or(scene.memory());
    let (Some(after), Some(memory), Some(live)) = (after, scene.memory(), &scene.case.live) else {
        return Ok(());
    };
    let apart = !after.entered_is_proven() && after.top().is_some();
    if !apart || there == Share::Base || is_alone(memory, live) {
        return Ok(());
    }
    weights(write.forward, "it leads to an unproven revision by its pods, and an old leader could send it")?;
    let steps = &release.strategy.steps;
    let intent = scene.intent().filter(|it| it.release.digest == after.digest);
    let furthest = intent.map_or(0, |intent| permit::furthest(intent, &scene.world.policy));
    let held = pods::held(steps, live.partition, live.replicas);
    let whole = after.step >= last(release) && furthest.max(held) >= last(release);
    let named = release.strategy.routes.contains(&key.name);
    weights(!named || whole, "it leads to an unproven revision by its pods")
}

/// Whether the status proves that no pod of the proven revision is available.
fn is_alone(memory: &Memory, live: &Live) -> bool {
    let status = &live.status;
    let told =
        live.is_fresh() && !live.drift.template && memory.revision.as_ref() == Some(&status.update_revision);
    told && status.available <= status.updated_available
}

/// The label of the proven pods: of the revision on which Kruise keeps them. Memory may have been edited.
fn stable<'a>(memory: &Memory, live: &'a Live) -> Option<&'a str> {
    let status = &live.status;
    let apart = memory.entered_is_proven() || status.current_revision != status.update_revision;
    Some(hash_of(&status.current_revision)).filter(|hash| apart && !hash.is_empty())
}

/// The label of the entered pods, where memory and status agree on it.
fn canary<'a>(memory: &Memory, live: &'a Live) -> Option<&'a str> {
    let update = &live.status.update_revision;
    Some(hash_of(update)).filter(|_| memory.revision.as_ref() == Some(update) && !live.drift.template)
}

/// The ready endpoints of the Service beside `service`, where it has the pods that are meant; nothing inside where they are
/// not known.
fn ready(
    scene: Scene<'_>,
    service: &Name,
    canary: bool,
    is_meant: impl Fn(&Beside) -> bool,
) -> Option<Option<u32>> {
    let name = beside(service, canary)?;
    let mut known = scene.case.companions.iter().filter(|(key, it)| {
        key.kind == Kind::Service && key.name == name && it.release == scene.id.to_string()
    });
    known.next()?.1.leads.beside.as_ref().filter(|it| is_meant(it)).map(|it| it.ready)
}

/// Whether the Service beside `service` has proven pods, and EndpointSlices with a ready one. As pods go back, any that are
/// not the entered ones are. Where EndpointSlices are not known, what leads there already may go on.
fn leads_to_proven(scene: Scene<'_>, service: &Name, (memory, live): (&Memory, &Live), there: Share) -> bool {
    let back = scene.plan.decision == Decision::RollBack || memory.entered_is_proven();
    let update = hash_of(&live.status.update_revision);
    let entered = |it: &Beside| !memory.entered_is_proven() && it.hash == update;
    let is_meant = |it: &Beside| stable(memory, live) == Some(&*it.hash) || (back && !entered(it));
    let known = ready(scene, service, false, is_meant);
    known.is_some_and(|ready| ready.map_or(there != Share::Base, |ready| ready > 0))
}

/// The step up to which more may be led to the entered revision: the one that is entered and permitted; none while anything
/// stops it.
fn furthest(scene: Scene<'_>, release: &Release, memory: &Memory, live: &Live) -> u32 {
    let world = scene.world;
    let failed =
        memory.failed.is_some_and(|it| it.template == memory.template && release.attempt <= it.attempt);
    let head =
        scene.intent().filter(|it| it.release.digest == memory.digest && release.digest == memory.digest);
    let Some(intent) = head.filter(|_| canary(memory, live).is_some() && !failed) else { return 0 };
    let goes_on = permit::closed(intent, &world.policy, world.now).is_none()
        && world.source.is_fresh(world.now, world.policy.stale_after)
        && intent.episode.as_ref().map(|it| it.first) == memory.episode;
    if goes_on { memory.step.min(permit::furthest(intent, &world.policy)) } else { 0 }
}

/// The largest weight, in percent, of the steps up to `furthest` whose pods the status proves.
fn permitted(release: &Release, live: &Live, furthest: u32) -> u32 {
    let steps = &release.strategy.steps;
    let there = |step: &u32| {
        let pods = pods::of_step(steps, *step, live.replicas);
        pods > 0 && release.strategy.enough(pods) <= live.status.updated_available
    };
    let step = (1..=furthest).rev().find(there).and_then(|it| usize::try_from(it).ok()).unwrap_or(0);
    steps[..step.min(steps.len())].iter().rev().find_map(|step| step.weight).unwrap_or(0)
}

/// Whether Git lets any pod of the entered release serve, where that takes approvals.
fn may_serve(scene: Scene<'_>, release: &Release) -> bool {
    let served = scene.intent().map_or(0, |intent| permit::served(intent, &scene.world.policy));
    !release.strategy.is_gated() || served > 0
}

/// Whether a Service that is written is one of ours, with the pods of one revision alone. One that a route names keeps its
/// revision.
///
/// # Errors
///
/// [`Rule::Weights`].
pub fn check_service(scene: Scene<'_>, key: &ObjectKey, body: &Value) -> Result<bool, Violation> {
    let (bases, is_canary) = bases_of(scene, key);
    if bases.is_empty() {
        return Ok(false);
    }
    let weights = |holds, message: &str| require(holds, Rule::Weights, || format!("{key}: {message}"));
    let (Some(memory), Some(live)) = (scene.memory(), &scene.case.live) else {
        return weights(false, "it is made for a revision, and there is no CloneSet of ours").map(|()| true);
    };
    let hash = if is_canary { canary(memory, live) } else { stable(memory, live) };
    let selects = |base: &&Companion| {
        let mut selector = base.body.value.open()["spec"]["selector"].take();
        selector[keys::POD_TEMPLATE_HASH] = hash.unwrap_or_default().into();
        body["spec"]["selector"] == selector
    };
    weights(hash.is_some() && bases.iter().any(selects), "it has not the pods of its revision")?;
    weights(
        body["metadata"]["labels"][keys::TRAFFIC] == *scene.id.name.as_str(),
        "it does not say whose it is",
    )?;
    let stands = scene.case.companions.get(key).and_then(|it| it.leads.beside.as_ref());
    // Others behind it than the proven pods, where a route leads there, is worse.
    let same = stands.is_none_or(|it| hash == Some(&*it.hash)) || (!is_canary && is_led_to(scene, key));
    weights(same, "its EndpointSlices would be of other pods than its selector").map(|()| true)
}

/// The Service beside which `key` is one of ours, as each release has it, and whether it is the one of the entered revision.
fn bases_of<'a>(scene: Scene<'a>, key: &ObjectKey) -> (Vec<&'a Companion>, bool) {
    // One is made before the release is entered whose weights it is for.
    let head = scene.intent().map(|intent| &*intent.release);
    let known: Vec<&Release> = releases(scene).chain(head).collect();
    let Some((base, canary)) = base_of(&key.name).filter(|_| key.kind == Kind::Service) else {
        return (Vec::new(), false);
    };
    if known.iter().any(|release| release.companion(key).is_some()) {
        return (Vec::new(), canary);
    }
    (known.into_iter().filter_map(|release| release.service(&base)).collect(), canary)
}

/// Whether it is a Service or an Ingress of ours, that no Git has.
#[must_use]
pub fn is_beside(scene: Scene<'_>, key: &ObjectKey) -> bool {
    let there = scene.case.companions.get(key).map(|it| &it.leads);
    there.is_some_and(|it| it.beside.is_some() || it.canary_of.is_some())
}

/// Whether a delete is of a Service of ours, which goes as soon as no route names it.
///
/// # Errors
///
/// [`Rule::Weights`] where one does.
pub fn check_delete(scene: Scene<'_>, key: &ObjectKey) -> Result<bool, Violation> {
    if !is_beside(scene, key) {
        return Ok(false);
    }
    if let Some((_, of)) = canaries(scene).find(|(canary, _)| *canary == key) {
        let after = scene.plan.memory.as_ref().or(scene.memory());
        let left = after.and_then(|it| scene.release(it.digest)).is_some_and(|it| !shares(it, &of));
        let told = || format!("{key}: it is deleted, and gives the entered revision traffic");
        return require(left || !gives(scene, key), Rule::Weights, told).map(|()| true);
    }
    let named = is_led_to(scene, key);
    require(!named, Rule::Weights, || format!("{key}: it is deleted, and a route leads to it")).map(|()| true)
}
