//! Every move of a plan, one by one, and what crosses releases.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::guard::blue_green;
use crate::guard::body::{Sent, memory_of};
use crate::guard::claim;
use crate::guard::exposure;
use crate::guard::forward;
use crate::guard::hook;
use crate::guard::object;
use crate::guard::replace;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::{Motion, Scene};
use crate::guard::serving;
use crate::guard::switch;
use crate::guard::weights;
use crate::model::ReleaseId;
use crate::objects::{Kind, ObjectKey};
use crate::world::{Action, Decision, Desired, Live, Plan, World, Write};

/// Checks a plan against the invariants. What is not in the answer may be carried out.
#[must_use]
pub fn check(world: &World, plan: &Plan) -> BTreeMap<ReleaseId, Violation> {
    let mut found = BTreeMap::new();
    // Both are in one order: where they have the same releases, nothing has to be looked up.
    let is_same = world.cases.keys().eq(plan.moves.keys());
    for id in world.cases.keys().filter(|id| !is_same && !plan.moves.contains_key(*id)) {
        let message = "the plan says nothing of it".to_owned();
        found.insert(id.clone(), Violation { rule: Rule::Silence, message });
    }
    let mut cases = world.cases.values();
    for (id, step) in &plan.moves {
        let case = if is_same { cases.next() } else { world.cases.get(id) };
        let judged = match case {
            Some(case) => check_move(Scene { world, id, case, plan: step }),
            None => require(false, Rule::Whole, || "the plan moves a release that is not there".to_owned()),
        };
        if let Err(violation) = judged {
            found.insert(id.clone(), violation);
        }
    }
    for (object, ids) in claimed_twice(plan) {
        for id in ids {
            let message = format!("two releases write {object}");
            found.entry(id.clone()).or_insert(Violation { rule: Rule::Whole, message });
        }
    }
    found
}

/// Objects that more than one release writes.
fn claimed_twice(plan: &Plan) -> impl Iterator<Item = (&ObjectKey, Vec<&ReleaseId>)> {
    let mut writers: BTreeMap<&ObjectKey, Vec<&ReleaseId>> = BTreeMap::new();
    for (id, step) in &plan.moves {
        for write in &step.writes {
            let ids = writers.entry(&write.object).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    writers.into_iter().filter(|(_, ids)| ids.len() > 1)
}

fn check_move(scene: Scene<'_>) -> Result<(), Violation> {
    check_words(scene)?;
    let writes = &scene.plan.writes;
    let live = scene.case.live.as_ref();
    let twins = scene.case.twins.values().map(|twin| &twin.live);
    if live.into_iter().chain(twins).any(|live| live.suspend.is_some()) {
        require(writes.is_empty(), Rule::Forward, || {
            "it is suspended in the cluster, and is written to".to_owned()
        })?;
    }
    for write in writes {
        object::check(scene, write)?;
    }
    serving::check(scene)?;
    weights::check(scene)?;
    switch::check_standing(scene)?;
    let sets = || writes.iter().filter(|write| write.object.kind == Kind::CloneSet);
    for write in
        sets().filter(|it| it.object.name != scene.id.name && scene.plan.decision != Decision::Remove)
    {
        if let Action::Apply { body, .. } = &write.action {
            blue_green::check_twin(scene, write, body)?;
        }
    }
    let mut ours = sets().filter(|it| it.object.name == scene.id.name);
    let first = ours.next();
    require(ours.next().is_none(), Rule::Reached, || "the CloneSet is written twice in one move".to_owned())?;
    let Some(write) = first else { return Ok(()) };
    let resting = matches!(scene.plan.decision, Decision::Rest | Decision::Hold | Decision::Shift);
    require(!resting, Rule::Silence, || {
        "it rests, holds or moves traffic, and writes the CloneSet".to_owned()
    })?;
    check_cloneset(scene, write)
}

/// A release that does not move says why.
fn check_words(scene: Scene<'_>) -> Result<(), Violation> {
    let plan = scene.plan;
    let holds = &plan.view.holds;
    let silence = |holds, message: &str| require(holds, Rule::Silence, || message.to_owned());
    silence(holds.iter().all(|hold| !hold.message.trim().is_empty()), "a hold has nothing to say")?;
    match plan.decision {
        Decision::Hold => silence(!holds.is_empty(), "it holds and does not say why"),
        Decision::Rest | Decision::Remove => Ok(()),
        Decision::Note
        | Decision::Create
        | Decision::Adopt
        | Decision::Enter(_)
        | Decision::Repair
        | Decision::Shift
        | Decision::Replace
        | Decision::Fail
        | Decision::RollBack
        | Decision::Complete => silence(!plan.writes.is_empty(), "it says that it moves, and writes nothing"),
    }
}

fn check_cloneset(scene: Scene<'_>, write: &Write) -> Result<(), Violation> {
    let body = match &write.action {
        Action::Apply { body, .. } => body,
        Action::TakeOver { .. } | Action::Delete { .. } => return Ok(()),
    };
    let ours = scene.case.live.as_ref().and_then(|live| live.root.as_ref());
    let whole = |holds, message: &str| require(holds, Rule::Whole, || message.to_owned());
    whole(ours.is_none_or(|root| *root == scene.world.policy.root), "the CloneSet belongs to another root")?;
    if scene.plan.decision == Decision::Adopt {
        return check_adoption(scene, body);
    }
    if scene.plan.decision == Decision::Remove {
        return check_left(scene, body);
    }
    whole(scene.case.live.is_none() || scene.case.memory().is_some(), "the CloneSet is not ours")?;
    if scene.case.home.is_some() {
        return blue_green::check_home(scene, write, body);
    }
    let sent = Sent::read(body)?;
    let motion = Motion::of(scene, &sent)?;
    forward::check(&motion)?;
    exposure::check(&motion)?;
    blue_green::check_plain(&motion)?;
    hook::check(&motion)?;
    claim::check(&motion)?;
    replace::check(&motion)?;
    object::check_read(&motion)?;
    let marked = write.forward || !(motion.exposes() || replace::asks(&motion)?);
    require(marked, Rule::Forward, || {
        "a write forward is not marked as one: an old leader could send it".to_owned()
    })
}

/// A CloneSet that is left behind stays as it stands, without what made it ours.
fn check_left(scene: Scene<'_>, body: &Value) -> Result<(), Violation> {
    let evidence = |holds, message: &str| require(holds, Rule::Evidence, || message.to_owned());
    evidence(
        matches!(scene.case.desired, Desired::Gone(_)),
        "Git has not removed it, and it is left behind",
    )?;
    let world = scene.world;
    let fresh = world.source.is_readable() && world.source.is_fresh(world.now, world.policy.stale_after);
    evidence(fresh, "nothing is left behind while Git cannot be read, or on a fetch that is too old")?;
    let entered = scene.memory().and_then(|memory| scene.release(memory.digest));
    evidence(
        entered.is_some_and(|release| release.orphan),
        "its release does not say that its objects stay",
    )?;
    let gated = scene.case.live.as_ref().is_some_and(|live| live.gated)
        || scene.case.pods.as_ref().is_some_and(|pods| !pods.is_empty())
        || entered.is_some_and(|release| release.strategy.is_gated());
    require(!gated, Rule::Serving, || {
        "it is left behind, and nobody would let in its pods that wait to serve".to_owned()
    })?;
    let stands = scene.case.live.as_ref().is_some_and(|live| live.stand.ours()["spec"] == body["spec"]);
    require(stands, Rule::Whole, || "what is left behind is not as it stands".to_owned())
}

/// The body is the CloneSet as it stands.
fn stands_still(live: &Live, sent: &Sent<'_>) -> Result<(), Violation> {
    let same = Sent::settled(sent.spec) == Sent::settled(&live.stand.ours()["spec"])
        && sent.partition.partition_pods(live.replicas) == live.kept()
        && sent.replicas.map_or(live.replicas_owner.is_some(), |replicas| replicas == live.replicas);
    require(same, Rule::Whole, || "an adoption changes the spec".to_owned())
}

/// Adoption moves no pod: annotations alone, on an object that stands still, by leave of its release.
fn check_adoption(scene: Scene<'_>, body: &Value) -> Result<(), Violation> {
    let whole = |holds, message: &str| require(holds, Rule::Whole, || message.to_owned());
    let Some(live) = &scene.case.live else { return whole(false, "there is nothing to adopt") };
    let was_ours = live.root.is_some() || live.drift.applied;
    if !was_ours || live.stand.ours().get("spec").is_none() {
        whole(body.get("spec").is_none(), "an adoption sends a spec")?;
    } else {
        // It was ours: an apply without the spec would drop it.
        stands_still(live, &Sent::read(body)?)?;
    }
    whole(scene.case.memory().is_none(), "an object of ours is adopted")?;
    whole(
        scene.intent().is_some_and(|intent| intent.release.adopt),
        "its release does not ask for adoption",
    )?;
    whole(live.other_owner.is_none(), "another tool applies it too")?;
    let status = &live.status;
    let still = live.is_fresh() && live.kept() == 0 && status.current_revision == status.update_revision;
    whole(still, "a CloneSet is adopted in the middle of a rollout")?;
    let memory = memory_of(body);
    let shown = live.rehearsal.as_ref().is_some_and(|it| {
        let release =
            if it.template.is_empty() { scene.intent().map(|it| &it.release) } else { it.standing.as_ref() };
        release.is_some_and(|it| memory.as_ref().is_some_and(|memory| memory.digest == it.digest))
    });
    whole(shown, "no dry-run has shown that no pod moves")?;
    whole(memory.is_some() && memory == scene.plan.memory, "memory in the body is not the one of the plan")?;
    let proven = memory.is_some_and(|it| {
        it.uid.as_ref() == Some(&live.uid) && it.proven.len() == 1 && it.entered_is_proven()
    });
    whole(proven, "the adopted template is not the first proven one")
}
