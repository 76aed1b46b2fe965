//! One move and what it is judged against.

use crate::guard::body::Sent;
use crate::guard::permit;
use crate::guard::pods;
use crate::guard::rule::{Rule, Violation, require};
use crate::model::{Digest, ReleaseId, TemplateHash};
use crate::spec::{Initial, Release};
use crate::world::{Case, Decision, Desired, Intent, Live, Memory, Move, World};

/// One release, and the move that the plan has for it.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// Everything.
    pub world: &'a World,
    /// Which release.
    pub id: &'a ReleaseId,
    /// How it stands.
    pub case: &'a Case,
    /// What is to be done.
    pub plan: &'a Move,
}

impl<'a> Scene<'a> {
    /// What HEAD says of it, where that can be followed.
    #[must_use]
    pub fn intent(&self) -> Option<&'a Intent> {
        match &self.case.desired {
            Desired::Release(intent) if self.world.source.is_readable() => Some(intent),
            Desired::Release(_) | Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
        }
    }

    /// The memory before the move: that which counts, or by which a missing CloneSet is made again.
    #[must_use]
    pub fn memory(&self) -> Option<&'a Memory> {
        if self.case.live.is_some() { self.case.memory() } else { self.case.recorded_memory() }
    }

    /// The release with this digest, where its documents are at hand.
    #[must_use]
    pub fn release(&self, digest: Digest) -> Option<&'a Release> {
        let head = self.case.desired.release().map(|release| &**release);
        let known = self.case.documents.get(&digest).map(|release| &**release);
        known.or(head.filter(|release| release.digest == digest))
    }

    /// Whether `template` is proven.
    #[must_use]
    pub fn is_proven(&self, template: TemplateHash) -> bool {
        self.memory().is_some_and(|memory| memory.proves(template))
    }

    /// Whether the entered try of `memory` has failed.
    #[must_use]
    pub fn has_failed(&self, memory: &Memory) -> bool {
        let attempt = self.release(memory.digest).map_or(1, |release| release.attempt);
        memory.failed.is_some_and(|it| it.template == memory.template && attempt <= it.attempt)
    }

    /// Whether nothing is proven yet, so that there is nothing to keep or to go back to.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.memory().is_none_or(|memory| memory.proven.is_empty())
    }
}

/// One body that is about to be sent, with what it does to the pods.
#[derive(Clone, Copy)]
pub struct Motion<'a> {
    /// The move that it belongs to.
    pub scene: Scene<'a>,
    /// The body.
    pub sent: &'a Sent<'a>,
    /// The CloneSet as it stands.
    pub live: Option<&'a Live>,
    /// Documents of the release that the body's memory names.
    pub release: Option<&'a Release>,
    /// Pods in all after the write; of a CloneSet that grows by its steps, pods in all at the end.
    pub size: u32,
    /// Pods on the template's revision that the write lets there be.
    pub exposed: u32,
    /// Of these, those that the live object lets there be already.
    pub already: u32,
    /// Whether the template is proven.
    pub proven: bool,
    /// Whether the template is the one that is entered, and stands.
    pub same_template: bool,
    /// Whether the CloneSet is being made by steps, so that its size is what they hold.
    pub grows: bool,
}

impl<'a> Motion<'a> {
    /// Works out what the body does.
    ///
    /// # Errors
    ///
    /// [`Rule::Whole`] where its template is none that is known by the hash in its memory.
    pub fn of(scene: Scene<'a>, sent: &'a Sent<'a>) -> Result<Self, Violation> {
        let live = scene.case.live.as_ref();
        let (memory, entered) = (&sent.memory, scene.memory());
        let release = scene.release(memory.digest);
        require(is_known(scene, sent), Rule::Whole, || {
            "the body's template is not the one that its memory names".to_owned()
        })?;
        let same = live.is_some_and(|live| !live.drift.template);
        let same_template = same && entered.is_some_and(|entered| entered.template == memory.template);
        let grows = scene.is_first() && release.is_some_and(|it| it.strategy.initial == Initial::Steps);
        let now = sent.replicas.or(live.map(|live| live.replicas)).unwrap_or(1);
        let wanted = scene.intent().and_then(|intent| intent.release.replicas).unwrap_or(now);
        // Where nothing is proven there is nothing to go back to, and the entered template is repaired as it was.
        let repaired = entered.is_some_and(|it| it.template == memory.template) && scene.is_first();
        let at_stake = same_template || repaired;
        let already = live.filter(|_| at_stake).map_or(0, |live| {
            // A CloneSet that is made by its steps has no old pods for a partition to keep.
            let share = if grows { live.replicas } else { pods::let_go(live.partition, now) };
            // When the size changes, the step that the live partition holds keeps its share.
            let scaled = release.map(|release| {
                let steps = &release.strategy.steps;
                let entered = entered.filter(|it| it.digest == memory.digest).map_or(u32::MAX, |it| it.step);
                let held = pods::held(steps, live.partition, live.replicas).min(entered);
                pods::of_step(steps, held, now)
            });
            share.max(scaled.filter(|_| !grows).unwrap_or(0))
        });
        Ok(Self {
            scene,
            sent,
            live,
            release,
            size: if grows { wanted.max(now) } else { now },
            exposed: if grows { now } else { pods::let_go(sent.partition, now) },
            already,
            proven: scene.is_proven(memory.template),
            same_template,
            grows,
        })
    }

    /// Pods of a step of the release that the body's memory names, at the size after the write.
    #[must_use]
    pub fn pods_of(&self, step: u32) -> Option<u32> {
        let pods = pods::of_step(&self.release?.strategy.steps, step, self.size);
        Some(if self.grows { pods } else { pods::attainable(pods, self.size) })
    }

    /// Pods that Git permits for the body's release: those of the furthest step, none for one that is not HEAD's.
    #[must_use]
    pub fn permitted(&self) -> u32 {
        let intent = self.scene.intent().filter(|intent| intent.release.digest == self.sent.memory.digest);
        intent.map_or(0, |intent| {
            let step = permit::furthest(intent, &self.scene.world.policy);
            pods::of_step(&intent.release.strategy.steps, step, self.size)
        })
    }

    /// Whether all pods of a version that is to be switched come up in the place of the very first one, at its last step: nothing
    /// is proven that they could be beside, and no pod is ready that would go for them, or Git lets them serve.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let (scene, memory) = (self.scene, &self.sent.memory);
        let Some(release) = self.release.filter(|it| it.strategy.blue_green.is_some()) else { return false };
        let unmet = self.live.is_some_and(|live| live.is_fresh() && live.status.ready == 0);
        let intent = scene.intent().filter(|it| it.release.digest == memory.digest);
        let permitted = intent.map_or(0, |intent| permit::furthest(intent, &scene.world.policy));
        let last = release.last_step();
        scene.is_first() && memory.step == last && (unmet || permitted >= last)
    }

    /// Whether the body lets an unproven template onto more pods than it may be on already.
    #[must_use]
    pub fn exposes(&self) -> bool {
        !self.proven && !self.is_note() && (!self.same_template || self.exposed > self.already)
    }

    /// Whether the decision changes memory alone, whatever stands.
    #[must_use]
    pub fn is_note(&self) -> bool {
        matches!(self.scene.plan.decision, Decision::Note | Decision::Fail)
    }
}

/// Whether the body's template is the one that its memory names: that of a document, or the live one where it
/// stands unchanged (or is left as it stands).
fn is_known(scene: Scene<'_>, sent: &Sent<'_>) -> bool {
    let head = scene.case.desired.release();
    let mut releases = scene.case.documents.values().chain(head);
    let written = releases.any(|it| {
        it.template == sent.memory.template && it.cloneset.value.open()["spec"]["template"] == *sent.template
    });
    let entered = scene.memory().is_some_and(|memory| memory.template == sent.memory.template);
    let live = scene.case.live.as_ref();
    let stands = || live.is_some_and(|live| live.stand.ours()["spec"]["template"] == *sent.template);
    let left = matches!(scene.plan.decision, Decision::Note | Decision::Fail);
    let unchanged = live.is_some_and(|live| left || !live.drift.template);
    written || (entered && unchanged && stands())
}
