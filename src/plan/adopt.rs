//! Row a: a CloneSet without our memory. It is taken only if the release says so and nothing would move; a dry-run shows
//! what would, and that is left to the steps.

use crate::model::ReleaseId;
use crate::objects::{ObjectKey, keys};
use crate::plan::body;
use crate::plan::facts::Head;
use crate::plan::holds;
use crate::plan::outcome::{Outcome, fully_entered};
use crate::plan::start::unreadable;
use crate::plan::steps::{self, Shape};
use crate::spec::Release;
use crate::world::{
    Action, Case, Decision, Desired, Expect, Live, Memory, Proof, Reached, Rehearsal, World, Write,
};

/// Fields that are named of one CloneSet; of more, only the number is.
const FIELDS_MAX: usize = 5;

fn path_of(case: &Case) -> &str {
    match &case.desired {
        Desired::Release(intent) => &intent.release.path,
        Desired::Broken(diagnostics) => diagnostics.first().map_or("", |it| it.path.as_str()),
        Desired::Gone(_) | Desired::Unknown => "",
    }
}

/// Takes a CloneSet over as it stands, or says what keeps it from being taken.
#[must_use]
pub fn adopt(world: &World, id: &ReleaseId, case: &Case, live: &Live) -> Outcome {
    let hold = |why: &str| Outcome::hold('a', vec![holds::not_ours(id, path_of(case), why)]);
    let Some(head) = Head::of(world, case) else {
        return Outcome::hold('a', unreadable(world, id, case));
    };
    let release = head.release();
    if !head.fresh {
        return Outcome::hold('a', vec![holds::stale(id, &world.source)]);
    }
    if let Some(owner) = &live.other_owner {
        return Outcome::hold(
            'a',
            vec![holds::other_owner(id, &ObjectKey::cloneset(id), owner, &release.path)],
        );
    }
    if !release.adopt {
        return hold(&format!("to take it over, set {}: \"true\" on its Release", keys::ADOPT));
    }
    let status = &live.status;
    if !steps::is_zero(live.partition) || status.current_revision != status.update_revision || live.paused {
        return hold("it is in the middle of a rollout by other means; finish that first");
    }
    if live.replicas == 0 {
        return hold("it is at zero replicas, where nothing can be proven; give it pods first");
    }
    if !live.is_fresh() || status.updated != status.replicas || status.replicas != live.replicas {
        return hold("not every pod is there and on its revision yet");
    }
    if let Some(size) = release.replicas.filter(|size| *size != live.replicas) {
        return hold(&format!(
            "it has {} replicas and Git says {size}; write the size as it is first",
            live.replicas
        ));
    }
    let episode = head.intent.episode.as_ref().map(|it| it.first);
    let Some(rehearsal) = &live.rehearsal else {
        let mut outcome = Outcome::hold('a', vec![holds::rehearsing(id)]);
        let proof = Proof { commit: episode, ..proof_of(live, release) };
        let memory = adopted(world, case, live, release, proof);
        let own_size = live.replicas_owner.is_none();
        let body = body::cloneset(release, shape(live), own_size, &memory, &world.policy);
        outcome.rehearsal = Some(write(id, Action::Apply { body, expect: this(live) }));
        return outcome;
    };
    if rehearsal.template.is_empty() {
        let proof = Proof { commit: episode, ..proof_of(live, release) };
        let message = format!("{id} is taken over as it stands");
        return take(world, id, case, live, release, proof, message);
    }
    let fields = fields(rehearsal);
    let Some(standing) = &rehearsal.standing else {
        return hold(&format!("its template differs from Git at {fields}; write it as it is first"));
    };
    let message = format!(
        "{id} is taken over as it stands, as {}; Git differs at {fields}, and that comes by its steps",
        standing.version
    );
    take(world, id, case, live, standing, proof_of(live, standing), message)
}

/// The fields that a dry-run would have changed.
fn fields(rehearsal: &Rehearsal) -> String {
    let named: Vec<&str> = rehearsal.template.iter().take(FIELDS_MAX).map(|it| it.path.as_str()).collect();
    match rehearsal.template.len().saturating_sub(FIELDS_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn this(live: &Live) -> Expect {
    Expect::Same(live.uid.clone(), live.version.clone())
}

fn shape(live: &Live) -> Shape {
    Shape { size: live.replicas, partition: live.partition }
}

fn write(id: &ReleaseId, action: Action) -> Write {
    Write { object: ObjectKey::cloneset(id), action, forward: false }
}

fn proof_of(live: &Live, release: &Release) -> Proof {
    let (version, revision) = (release.version.clone(), Some(live.status.update_revision.clone()));
    let configs = release.configs();
    Proof { template: release.template, digest: release.digest, commit: None, revision, version, configs }
}

/// Memory of `release`, whose pods all stand.
fn adopted(world: &World, case: &Case, live: &Live, release: &Release, proof: Proof) -> Memory {
    let failed = case.recorded_memory().and_then(|memory| memory.failed);
    Memory {
        uid: Some(live.uid.clone()),
        step_reached: Some(Reached { at: world.now, pods: live.replicas }),
        revision: Some(live.status.update_revision.clone()),
        failed: failed.filter(|failed| failed.template != release.template),
        proven: vec![proof.clone()],
        ..fully_entered(release, proof.commit, world.now)
    }
}

/// The live template is the first proven one.
fn take(
    world: &World,
    id: &ReleaseId,
    case: &Case,
    live: &Live,
    release: &Release,
    proof: Proof,
    message: String,
) -> Outcome {
    let memory = adopted(world, case, live, release, proof);
    // What was ours before, and lost its memory or was left behind, is written whole: an apply that leaves the spec
    // out drops it.
    let was_ours = live.root.is_some() || live.drift.applied;
    let body = if was_ours && live.stand.ours().get("spec").is_some() {
        let own_size = live.replicas_owner.is_none();
        body::as_it_stands(id, live, shape(live), own_size, &memory, &world.policy)
    } else {
        body::adoption(id, &memory, &world.policy)
    };
    let mut outcome = Outcome::of('a', Decision::Adopt, message);
    outcome.writes.push(write(id, Action::Apply { body, expect: this(live) }));
    outcome.memory = Some(memory);
    outcome
}
