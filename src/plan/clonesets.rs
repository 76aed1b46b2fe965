//! What the CloneSets of a release with blue/green are there for, as people see them.

use crate::model::ReleaseId;
use crate::objects::record::{CloneSetView, Role};
use crate::plan::facts::Facts;
use crate::plan::holds::to_seconds;
use crate::world::{Case, Colour, Memory, World};

/// Those that have pods, the one that serves first; none where all pods are of the one that is named as the release.
#[must_use]
pub fn clonesets(world: &World, id: &ReleaseId, case: &Case, memory: Option<&Memory>) -> Vec<CloneSetView> {
    let Some(facts) = Facts::of(world, id, case).filter(Facts::is_blue_green) else { return Vec::new() };
    let facts = match memory {
        Some(memory) => facts.remembering(memory),
        None => facts,
    };
    let has_pods = |it: &Colour<'_>| it.live.replicas > 0 || it.live.status.replicas > 0;
    let mut colours: Vec<_> = case.colours().filter(has_pods).collect();
    if colours.iter().all(|it| it.twin.is_none()) {
        return Vec::new();
    }
    colours.sort_by_key(|it| role(&facts, it) != Role::Serves);
    colours.iter().map(|it| shown(&facts, it)).collect()
}

fn shown(facts: &Facts<'_>, colour: &Colour<'_>) -> CloneSetView {
    let role = role(facts, colour);
    CloneSetView {
        name: colour.twin.unwrap_or(&facts.id.name).to_string(),
        version: colour.template.and_then(|it| facts.version_of(it)).map(str::to_owned),
        pods: colour.live.replicas,
        role,
        until: facts.kept().filter(|it| it.is(colour)).and_then(|_| facts.kept_until()).map(to_seconds),
    }
}

fn role(facts: &Facts<'_>, colour: &Colour<'_>) -> Role {
    if facts.case.serving().is_some_and(|it| it.is(colour)) {
        return Role::Serves;
    }
    // What nobody knows is not taken away.
    let Some(template) = colour.template else { return Role::Kept };
    let is_entered = template == facts.memory.template && facts.standing_step() > 0;
    if is_entered || template == facts.goal_template() {
        return Role::Next;
    }
    if facts.size_for(template).is_some() { Role::Kept } else { Role::Leaves }
}
