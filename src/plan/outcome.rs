//! What a row decides, before it is put into words and shown.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{Amount, CommitId, Hold, ReleaseId};
use crate::objects::record::Pending;
use crate::objects::{Kind, ObjectKey};
use crate::plan::body;
use crate::plan::facts::Facts;
use crate::plan::holds;
use crate::plan::steps::Shape;
use crate::spec::{Companion, Release};
use crate::world::{
    Action, Case, CompanionLive, Decision, Desired, Expect, Memory, Proof, Try, World, Write,
};

/// What one row decides.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The row's letter.
    pub row: char,
    /// The decision.
    pub decision: Decision,
    /// One sentence; empty where nothing moves.
    pub message: String,
    /// In order.
    pub writes: Vec<Write>,
    /// Memory after the writes, where it changes.
    pub memory: Option<Memory>,
    /// A create to announce.
    pub pending: Option<Pending>,
    /// Every closed gate.
    pub holds: Vec<Hold>,
    /// The next moment when time alone changes this.
    pub wake_at: Option<Timestamp>,
}

impl Outcome {
    /// Nothing is written.
    #[must_use]
    pub fn hold(row: char, holds: Vec<Hold>) -> Self {
        Self::of(row, Decision::Hold, String::new()).holding(holds)
    }

    /// A decision without writes yet.
    #[must_use]
    pub fn of(row: char, decision: Decision, message: String) -> Self {
        let (writes, holds) = (Vec::new(), Vec::new());
        Self { row, decision, message, writes, memory: None, pending: None, holds, wake_at: None }
    }

    /// With holds.
    #[must_use]
    pub fn holding(mut self, holds: Vec<Hold>) -> Self {
        self.holds = holds;
        self
    }

    /// With a moment to wake at, if it is earlier.
    #[must_use]
    pub fn waking(mut self, at: Option<Timestamp>) -> Self {
        self.wake_at = [self.wake_at, at].into_iter().flatten().min();
        self
    }
}

/// The key of a release's CloneSet.
#[must_use]
pub fn cloneset_key(facts: &Facts<'_>) -> ObjectKey {
    ObjectKey { kind: Kind::CloneSet, namespace: facts.id.namespace.clone(), name: facts.id.name.clone() }
}

impl Facts<'_> {
    fn this_object(&self) -> Expect {
        Expect::Same(self.live.uid.clone(), self.live.version.clone())
    }

    /// Replicas are left out only where another manager owns them and Git does not.
    fn owns_size(&self) -> bool {
        let in_git = self.head.as_ref().is_some_and(|head| head.release().replicas.is_some());
        in_git || self.live.replicas_owner.is_none()
    }

    /// The write of the CloneSet: `release` in `shape`, with `memory`.
    fn cloneset_write(
        &self,
        release: Option<&Release>,
        shape: Shape,
        memory: &Memory,
        forward: bool,
    ) -> Write {
        let own = self.owns_size();
        let body = match release {
            Some(release) => body::cloneset(release, shape, own, memory, self.policy()),
            None => body::as_it_stands(self.id, self.live, shape, own, memory, self.policy()),
        };
        Write {
            object: cloneset_key(self),
            action: Action::Apply { body, expect: self.this_object() },
            forward,
        }
    }

    /// The CloneSet is written with `memory`.
    #[must_use]
    pub fn write(
        &self,
        row: char,
        decision: Decision,
        release: Option<&Release>,
        shape: Shape,
        mut memory: Memory,
        message: String,
    ) -> Outcome {
        memory.uid = Some(self.live.uid.clone());
        // A repair of an unproven release can bring pods to it again: an old leader must not send it.
        let forward = match decision {
            Decision::Enter(_) => true,
            Decision::Repair => !memory.entered_is_proven(),
            Decision::Rest
            | Decision::Hold
            | Decision::Note
            | Decision::Create
            | Decision::Adopt
            | Decision::Fail
            | Decision::RollBack
            | Decision::Complete
            | Decision::Remove => false,
        };
        let mut outcome = Outcome::of(row, decision, message);
        outcome.writes.push(self.cloneset_write(release, shape, &memory, forward));
        outcome.memory = Some(memory);
        outcome
    }

    /// Memory alone: the body as it stands, with new annotations.
    #[must_use]
    pub fn note(&self, row: char, decision: Decision, mut memory: Memory, message: String) -> Outcome {
        // A step edited by hand to one that the release does not have.
        memory.step = memory.step.min(self.last_step());
        let shape = Shape { size: self.live.replicas, partition: self.live.partition };
        let release = self.entered.map(|release| &**release);
        self.write(row, decision, release, shape, memory, message)
    }

    /// Every pod goes to `target`, a proven release, with `proven` as the stack: template and partition 0 in one
    /// write. Replicas and autoscalers are never touched; companions follow in the next lap.
    #[must_use]
    pub fn roll_back(
        &self,
        row: char,
        target: &Proof,
        proven: Vec<Proof>,
        failed: Option<Try>,
        why: &str,
    ) -> Outcome {
        let Some(release) = self.documents(target) else {
            return Outcome::hold(row, vec![holds::documents_lost(self.id, &target.version)]);
        };
        self.roll_back_to(row, release, target.commit, proven, failed, why)
    }

    /// As [`Facts::roll_back`], to documents at hand.
    #[must_use]
    pub fn roll_back_to(
        &self,
        row: char,
        release: &Arc<Release>,
        episode: Option<CommitId>,
        proven: Vec<Proof>,
        failed: Option<Try>,
        why: &str,
    ) -> Outcome {
        let memory = Memory {
            uid: None,
            digest: release.digest,
            template: release.template,
            episode,
            version: release.version.clone(),
            step: release.last_step(),
            step_entered: self.now(),
            step_reached: None,
            revision: None,
            failed,
            proven,
        };
        let shape = Shape { size: self.live.replicas, partition: Amount::Count(0) };
        let message = format!("{} goes back to {}: {why}", self.id, holds::named(release));
        self.write(row, Decision::RollBack, Some(release), shape, memory, message)
    }

    /// Enters `step` of the desired release, companions first.
    #[must_use]
    pub fn enter(&self, row: char, release: &Release, step: u32, memory: Memory, message: String) -> Outcome {
        let shape = self.shape(release, step);
        let changes_release = release.digest != self.memory.digest;
        let (mut before, strangers) = match changes_release {
            true => companion_writes(self.world, self.id, self.case, release.companions.iter(), true),
            false => (Vec::new(), Vec::new()),
        };
        if !strangers.is_empty() {
            return Outcome::hold(row, strangers);
        }
        let mut outcome = self.write(row, Decision::Enter(step), Some(release), shape, memory, message);
        // Companions of a release that is not entered are as new as its template.
        for write in &mut before {
            write.forward = true;
        }
        before.append(&mut outcome.writes);
        outcome.writes = before;
        outcome
    }
}

/// Writes that bring companions to what they should be, and the holds for those that are somebody else's. With
/// `all`, those that stand unchanged by the entered release's documents are written too if the wanted text differs.
#[must_use]
pub fn companion_writes<'a>(
    world: &World,
    id: &ReleaseId,
    case: &Case,
    wanted: impl Iterator<Item = &'a Companion>,
    all: bool,
) -> (Vec<Write>, Vec<Hold>) {
    let standing = case.standing_companions();
    let (mut writes, mut strangers) = (Vec::new(), Vec::new());
    let path = match &case.desired {
        Desired::Release(intent) => intent.release.path.as_str(),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => "",
    };
    for companion in wanted {
        let key = &companion.body.key;
        let there = case.companions.get(key);
        let foreign = there.is_some_and(|there| there.release != id.to_string());
        if foreign || case.strangers.contains(key) {
            strangers.push(holds::stranger(id, &key.to_string(), path));
            continue;
        }
        let same_text = !all || standing.iter().any(|it| it.body == companion.body);
        if there.is_some_and(|there| same_text && there.drift.is_empty()) {
            continue;
        }
        let expect = there.map_or(Expect::Absent, |it| Expect::Same(it.uid.clone(), it.version.clone()));
        let body = body::companion(&companion.body, id, &world.policy);
        writes.push(Write { object: key.clone(), action: Action::Apply { body, expect }, forward: false });
    }
    (writes, strangers)
}

/// Deletes of companions that the entered release no longer has and that nothing in the tree names: by the present
/// leader only, an old one does not know the tree.
#[must_use]
pub fn prunes(world: &World, id: &ReleaseId, case: &Case) -> Vec<Write> {
    let standing = case.standing_companions();
    let unwanted = case.companions.iter().filter(|(key, there)| {
        there.release == id.to_string()
            && !world.named.contains(*key)
            && !standing.iter().any(|companion| companion.body.key == **key)
    });
    let delete = |(key, there): (&ObjectKey, &CompanionLive)| Write {
        object: key.clone(),
        action: Action::Delete { uid: there.uid.clone(), version: there.version.clone() },
        forward: true,
    };
    unwanted.map(delete).collect()
}
