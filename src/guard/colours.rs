//! The CloneSets of a release that is switched as a whole, by the guard's own eyes: who serves is told by the selector that stands
//! against the status of each, fresh or not. What the marks of a CloneSet say of its pods is a claim.

use crate::guard::scene::Scene;
use crate::model::{Name, TemplateHash};
use crate::objects::ObjectKey;
use crate::spec::{Follower, Release};
use crate::world::{Follows, Live, Memory, hash_of};

/// One of them.
#[derive(Clone, Copy)]
pub struct Set<'a> {
    /// Its name, where it is not that of the release.
    pub twin: Option<&'a Name>,
    /// The template that its pods have, by its marks or by memory.
    pub claimed: Option<TemplateHash>,
    /// As it stands.
    pub live: &'a Live,
}

impl<'a> Set<'a> {
    /// The label of the pods that it makes, by its status, fresh or not.
    #[must_use]
    pub fn label(&self) -> Option<&'a str> {
        let revision = &self.live.status.update_revision;
        (!revision.is_empty()).then(|| hash_of(revision))
    }

    /// Whether it has pods, or is to have some.
    #[must_use]
    pub fn has_pods(&self) -> bool {
        self.live.replicas > 0 || self.live.status.replicas > 0
    }

    /// Whether any of its pods may have this label: where nobody knows, they may.
    #[must_use]
    pub fn may_have(&self, label: &str) -> bool {
        let status = &self.live.status;
        let edited = self.live.drift.template;
        let unknown = self.label().is_none() || (edited && !self.live.is_fresh());
        let older =
            status.updated < status.replicas && (edited || hash_of(&status.current_revision) == label);
        let led = self.label() == Some(label) && self.has_pods();
        led || (status.replicas > 0 && (unknown || older))
    }

    /// Whether so many of its pods are available, and all are of the template that it claims.
    #[must_use]
    pub fn is_whole(&self, pods: u32) -> bool {
        let (live, status) = (self.live, &self.live.status);
        let known = live.is_fresh() && !live.deleting && !live.drift.template && self.label().is_some();
        let all = live.kept() == 0 && status.updated == status.replicas;
        known && all && status.updated_available >= pods
    }
}

/// All that are there, and the one named as the release last.
pub fn sets<'a>(scene: Scene<'a>) -> impl Iterator<Item = Set<'a>> {
    let twins = scene.case.twins.iter();
    let twins =
        twins.map(|(name, twin)| Set { twin: Some(name), claimed: Some(twin.template), live: &twin.live });
    twins.chain(home(scene))
}

/// The one that is named as the release.
#[must_use]
pub fn home(scene: Scene<'_>) -> Option<Set<'_>> {
    let live = scene.case.home.as_ref().or(scene.case.live.as_ref())?;
    let claimed = scene.memory().and_then(|memory| match memory.home {
        None => Some(memory.template),
        Some(digest) => {
            let proof = memory.proven.iter().find(|proof| proof.digest == digest);
            scene.release(digest).map(|release| release.template).or(proof.map(|proof| proof.template))
        }
    });
    Some(Set { twin: None, claimed, live })
}

/// A Service of the release, by what it is for.
#[must_use]
pub fn service(scene: Scene<'_>, as_what: Follower) -> Option<(&ObjectKey, &Follows)> {
    let mut all = scene.case.companions.iter();
    all.find_map(|(key, it)| Some((key, it.leads.follows.as_ref().filter(|it| it.as_what == as_what)?)))
}

/// The label of the pods that the active Service leads to, where it leads to those of one CloneSet.
#[must_use]
pub fn pin(scene: Scene<'_>) -> Option<&str> {
    service(scene, Follower::Active)?.1.to.as_deref()
}

/// Whether the active Service may lead to any of its pods.
#[must_use]
pub fn serves(scene: Scene<'_>, set: &Set<'_>) -> bool {
    pin(scene).map_or_else(|| set.has_pods(), |label| set.may_have(label))
}

/// Pods of the release in all: HEAD's, or those of the largest one that serves; where none is here that does, of the largest, or as
/// many as the record has.
#[must_use]
pub fn size(scene: Scene<'_>) -> u32 {
    let head = scene.intent().and_then(|intent| intent.release.replicas);
    let serving = || sets(scene).filter(|it| serves(scene, it)).map(|it| it.live.replicas).max();
    let recorded = scene.case.record.as_ref().map(|record| record.replicas);
    let largest = || sets(scene).map(|it| it.live.replicas).chain(recorded).max();
    head.or_else(serving).or_else(largest).unwrap_or(0)
}

/// Whether only one of them has pods.
#[must_use]
pub fn is_alone(scene: Scene<'_>) -> bool {
    sets(scene).filter(Set::has_pods).count() <= 1
}

/// The label that pods of a template are known by.
fn label_of(memory: &Memory, template: TemplateHash) -> Option<&str> {
    let entered = memory.revision.as_deref().filter(|_| memory.template == template);
    let proof = memory.proven.iter().find(|proof| proof.template == template);
    entered.or_else(|| proof?.revision.as_deref()).map(hash_of)
}

/// Whether its pods are of this template, by its claim or by their label.
#[must_use]
pub fn is_of(scene: Scene<'_>, set: &Set<'_>, template: TemplateHash) -> bool {
    let label = scene.memory().and_then(|memory| label_of(memory, template));
    set.claimed == Some(template) || (label.is_some() && label == set.label())
}

/// Whether its pods are of a proven template: it claims so and stands so, or they have the label of one.
#[must_use]
pub fn is_proven(scene: Scene<'_>, set: &Set<'_>) -> bool {
    let claims = set.claimed.is_some_and(|it| scene.is_proven(it)) && !set.live.drift.template;
    let mut proven = scene.memory().into_iter().flat_map(|memory| &memory.proven);
    claims
        || proven.any(|proof| {
            let label = proof.revision.as_deref().map(hash_of);
            label.is_some() && label == set.label()
        })
}

/// How far a release with this template has come by what stands: 2 where its pods serve, 1 where they are there.
#[must_use]
pub fn level(scene: Scene<'_>, template: TemplateHash) -> u32 {
    let pin = pin(scene);
    let of = sets(scene).filter(|it| is_of(scene, it, template));
    of.map(|it| if pin.is_some() && it.label() == pin { 2 } else { 1 }).max().unwrap_or(0)
}

/// Memory as it is after the move.
#[must_use]
pub fn after<'a>(scene: Scene<'a>) -> Option<&'a Memory> {
    scene.plan.memory.as_ref().or_else(|| scene.memory())
}

/// Pods of a step, at this size: it has them beside those that serve.
#[must_use]
pub fn beside(release: &Release, step: u32, size: u32) -> u32 {
    if step >= release.last_step() {
        return size;
    }
    release.step(step).map_or(0, |step| step.replicas.step_pods(size))
}
