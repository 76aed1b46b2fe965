//! Planted bugs in what the planner decides: its writes, as they would be with another mistake in it.

use std::sync::Arc;

use serde_json::Value;
use triton::model::{Amount, Lift};
use triton::objects::{Kind, keys};
use triton::spec::Release;
use triton::world::{Action, Case, Decision, Desired, Expect, Live, Memory, Move, Plan, World};

use crate::explore::bugs::{Bug, in_proportion};
use crate::explore::cluster::Cluster;
use crate::explore::pods::kept;

impl Bug {
    /// Doctors what is decided.
    pub fn decisions(self, world: &World, plan: &mut Plan) {
        for (id, decided) in &mut plan.moves {
            self.decided(world, &world.cases[id], decided);
        }
    }

    fn decided(self, world: &World, case: &Case, decided: &mut Move) {
        if self == Self::Silent {
            decided.view.holds.clear();
        }
        if self == Self::CureUnsaid {
            decided.view.holds.iter_mut().for_each(|hold| hold.lift = Lift::wait());
        }
        let frozen = head(case).is_some_and(|it| it.suspend) || is_frozen(world, case);
        let dropped = match self {
            Self::NoRepair => decided.decision == Decision::Repair,
            Self::FrozenRevert => decided.row == 'd' && frozen,
            _ => false,
        };
        if dropped {
            decided.writes.clear();
        }
        let (Some(live), Some(memory)) = (&case.live, decided.memory.clone()) else { return };
        let decision = decided.decision.clone();
        for write in decided.writes.iter_mut().filter(|write| write.object.kind == Kind::CloneSet) {
            let Action::Apply { body, .. } = &mut write.action else { continue };
            let body = Arc::make_mut(body);
            if let Some(memory) = self.sent(body, &decision, live, case, memory.clone()) {
                remember(body, &memory);
                decided.memory = Some(memory);
            }
        }
    }

    /// Changes a body; memory is what else it should say.
    fn sent(
        self,
        body: &mut Value,
        decision: &Decision,
        live: &Live,
        case: &Case,
        mut memory: Memory,
    ) -> Option<Memory> {
        let enters = matches!(decision, Decision::Enter(_));
        let back = *decision == Decision::RollBack;
        let release = case.documents.get(&memory.digest).or_else(|| head(case));
        let partition =
            || serde_json::from_value::<Amount>(body["spec"]["updateStrategy"]["partition"].clone()).ok();
        let size =
            body["spec"]["replicas"].as_u64().map_or(live.replicas, |it| u32::try_from(it).unwrap_or(0));
        match self {
            Self::PartitionInProportion | Self::PartitionAsCount if enters => {
                let pods = size - kept(partition()?, size);
                if pods == 0 || pods == size {
                    return None;
                }
                let share = if self == Self::PartitionAsCount {
                    Amount::Count(size - pods)
                } else {
                    in_proportion(pods, size)
                };
                let_go(body, share);
            }
            Self::WholeAtOnce if *decision == Decision::Enter(1) => let_go(body, Amount::Count(0)),
            Self::StepTooFar if enters => {
                memory.step = (memory.step + 1).min(release?.last_step());
                let_go(body, at_step(release?, memory.step, size));
                return Some(memory);
            }
            Self::StepByNumber if enters && release?.template == case.memory()?.template => {
                memory.step = case.memory()?.step.min(release?.last_step());
                let_go(body, at_step(release?, memory.step, size));
                return Some(memory);
            }
            Self::TwoUnproven if back && head(case)?.template != memory.template => {
                let next = head(case)?;
                body["spec"]["template"] = next.cloneset.value.open()["spec"]["template"].clone();
                let_go(body, at_step(next, 1, size));
                (memory.digest, memory.template, memory.step) = (next.digest, next.template, 1);
                memory.proven.clone_from(&case.memory()?.proven);
                return Some(memory);
            }
            Self::RollBackKeepsPartition if back => let_go(body, live.partition),
            Self::RollBackKeepsProof if back => {
                memory.proven.clone_from(&case.memory()?.proven);
                return Some(memory);
            }
            Self::ReplicasDropped => drop(body["spec"].as_object_mut()?.remove("replicas")),
            Self::SurgeDropped => {
                body["spec"]["updateStrategy"].as_object_mut()?.remove("maxSurge");
            }
            Self::MemoryAlone if *decision == Decision::Note => drop(body.as_object_mut()?.remove("spec")),
            Self::PartitionDropped => {
                body["spec"]["updateStrategy"].as_object_mut()?.remove("partition");
            }
            Self::MemoryLeftBehind if enters => return case.memory().cloned(),
            _ => {}
        }
        None
    }

    /// Doctors how a write is sent.
    pub fn carried_out(self, cluster: &Cluster, id: &triton::model::ReleaseId, action: &mut Action) {
        let (Self::VersionIgnored, Action::Apply { expect, .. }) = (self, action) else { return };
        if let Some(set) = cluster.sets.get(id) {
            let version = triton::model::ResourceVersion::new(set.version.to_string());
            *expect = Expect::Same(set.uid.clone(), version);
        }
    }
}

fn head(case: &Case) -> Option<&Arc<Release>> {
    match &case.desired {
        Desired::Release(intent) => Some(&intent.release),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
    }
}

fn is_frozen(world: &World, case: &Case) -> bool {
    match &case.desired {
        Desired::Release(intent) => intent.freezes.iter().any(|freeze| freeze.holds_at(world.now)),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => false,
    }
}

fn let_go(body: &mut Value, partition: Amount) {
    body["spec"]["updateStrategy"]["partition"] =
        serde_json::to_value(partition).expect("an amount becomes JSON");
}

fn at_step(release: &Release, step: u32, size: u32) -> Amount {
    if step >= release.last_step() {
        return Amount::Count(0);
    }
    let asked = release.strategy.steps.iter().take(step as usize).map(|it| it.replicas.step_pods(size));
    Amount::Percent(Amount::partition_for(asked.max().unwrap_or(0), size))
}

fn remember(body: &mut Value, memory: &Memory) {
    let Some(annotations) = body["metadata"]["annotations"].as_object_mut() else { return };
    annotations.retain(|key, _| !keys::MEMORY.contains(&key.as_str()));
    annotations.extend(memory.to_annotations().into_iter().map(|(key, text)| (key, Value::String(text))));
}
