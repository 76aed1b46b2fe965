//! Planner and guard share no code: what the one plans, the other lets pass. Worlds are drawn at random around one
//! rollout, with everything that people, Git and Kruise may have done to it.

use std::sync::Arc;

use proptest::prelude::*;
use triton::fields::Compact;
use triton::guard::check;
use triton::model::Lift;
use triton::objects::record::ReleaseStatus;
use triton::plan::plan;
use triton::spec::{Initial, OnFailure, Release};
use triton::world::{Desired, Fault, Freeze, Live, Memory, Permit, Reached, RecordLive, Removal, Try, World};

use crate::support::world::*;

/// What a world is made of.
#[derive(Clone, Debug)]
struct Draw {
    desired: usize,
    entered: usize,
    steps: usize,
    step: u32,
    reached: Option<(i64, u32)>,
    entered_ago: i64,
    proven: bool,
    failed: Option<(usize, u32)>,
    partition: &'static str,
    replicas: u32,
    head_replicas: Option<u32>,
    updated: u32,
    available: u32,
    markers: Vec<u32>,
    cap: Option<u32>,
    flags: u32,
    fetched: i64,
}

const STEPS: [&[&str]; 5] = [
    &["1", "50%!", "100%!"],
    &["50%", "100%"],
    &["0!", "1", "25%", "100%"],
    &["100%"],
    &["2", "60%", "100%"],
];
const PARTITIONS: [&str; 10] = ["0%", "0", "99%", "90%", "50%", "40%", "100%", "5", "8", "99.5%"];

fn draws() -> impl Strategy<Value = Draw> {
    let git =
        (0usize..4, 0usize..5, prop::collection::vec(0u32..5, 0..4), prop::option::of(0u32..4), 0i64..60);
    let memory = (
        0usize..3,
        0u32..5,
        prop::option::of((0i64..200, 0u32..12)),
        0i64..900,
        any::<bool>(),
        prop::option::of((0usize..3, 1u32..3)),
    );
    let live = (0usize..PARTITIONS.len(), 0u32..13, prop::option::of(0u32..13), 0u32..13, 0u32..13);
    (git, memory, live, any::<u32>()).prop_map(|(git, memory, live, flags)| Draw {
        desired: git.0,
        steps: git.1,
        markers: git.2,
        cap: git.3,
        fetched: git.4,
        entered: memory.0,
        step: memory.1,
        reached: memory.2,
        entered_ago: memory.3,
        proven: memory.4,
        failed: memory.5,
        partition: PARTITIONS[live.0],
        replicas: live.1,
        head_replicas: live.2,
        updated: live.3.min(live.1),
        available: live.4,
        flags,
    })
}

impl Draw {
    /// A flag that is set in one of `2^rarity` worlds, independently of the others while their bits differ.
    fn flag(&self, bit: u32, rarity: u32) -> bool {
        (0..rarity).all(|it| self.flags >> ((bit + it) % 32) & 1 == 1)
    }

    fn release(&self, number: usize) -> Release {
        let mut made = release(["a", "b", "c", "b2"][number]);
        made.strategy.steps = strategy(STEPS[self.steps]).steps;
        made.strategy.stepped = self.steps != 3;
        if self.flag(0, 3) && self.head_replicas.is_some() {
            made.strategy.initial = Initial::Steps;
        }
        if self.flag(4, 2) {
            made.strategy.on_failure = OnFailure::Hold;
        }
        if number == 3 {
            // The template of B under another digest.
            let same = release("b");
            made.template = same.template;
            made.cloneset = same.cloneset;
        }
        made.replicas = self.head_replicas;
        let mut value = made.cloneset.value.open();
        if let Some(replicas) = self.head_replicas {
            value["spec"]["replicas"] = replicas.into();
        } else {
            drop(value["spec"].as_object_mut().unwrap().remove("replicas"));
        }
        made.cloneset.value = Compact::of(&value);
        made
    }

    fn memory(&self) -> Memory {
        let (entered, stable) = (self.release(self.entered), self.release(0));
        let last = entered.last_step();
        let template = |number: usize| self.release(number).template;
        let proven = if self.proven { vec![proof(&stable)] } else { vec![] };
        let top = self.proven && self.entered == 0;
        Memory {
            step: if top { last } else { self.step.min(last) },
            step_entered: ago(self.entered_ago),
            step_reached: self.reached.map(|(at, pods)| Reached { at: ago(at), pods }),
            revision: self.flag(8, 1).then(|| format!("checkout-{}", entered.version)),
            failed: self.failed.map(|(number, attempt)| Try { template: template(number), attempt }),
            proven,
            ..at_step(&entered, &stable, 1, None)
        }
    }

    fn live(&self) -> Live {
        let mut made = live(&self.release(self.entered), Some(self.memory()), self.partition, self.updated);
        made.replicas = self.replicas;
        made.status.replicas = self.replicas;
        made.status.updated_available = self.available.min(self.updated);
        made.status.available = self.available.min(self.replicas);
        made.status.expected_updated = self.replicas - made.kept().min(self.replicas);
        if self.updated == self.replicas {
            made.status.current_revision = made.status.update_revision.clone();
        }
        made.generation = if self.flag(9, 2) { 5 } else { 4 };
        made.drift.template = self.flag(11, 3);
        made.paused = self.flag(14, 3);
        made.suspend = self.flag(16, 4).then(String::new);
        made.rollback = self.flag(18, 3).then(|| self.memory().digest.short());
        made.replicas_owner = self.flag(20, 2).then(|| "hpa".to_owned());
        if self.flag(22, 3) {
            made.memory = None;
        }
        made
    }

    fn world(&self) -> World {
        let desired = self.release(self.desired);
        let mut intent = intent(&desired);
        intent.cap = self.cap;
        intent.markers = self
            .markers
            .iter()
            .map(|step| marker(&desired, if *step == 0 { Permit::Skip } else { Permit::Step(*step) }, "bob"))
            .collect();
        if self.flag(24, 3) {
            intent.freezes.push(Arc::new(Freeze {
                path: "freeze.yaml".into(),
                reason: "x".into(),
                until: None,
            }));
        }
        // HEAD's documents are always at hand; the others may be lost.
        let lost = self.flag(26, 3);
        let known: Vec<Release> = (0..4).map(|number| self.release(number)).collect();
        let known: Vec<&Release> = known.iter().filter(|it| !lost || it.digest == desired.digest).collect();
        let absent = self.flag(28, 3);
        let mut world = world(intent, (!absent).then(|| self.live()), &known);
        world.source.fetched_at = Some(ago(self.fetched));
        if self.flag(29, 3) {
            let fault = Fault::Refused { message: "rewritten".into(), lift: Lift::wait() };
            world.source.fault = Some(fault);
        }
        // Where none stands, a create waits for one.
        world.announcement = world.announcement.filter(|_| !self.flag(30, 3));
        let record = RecordLive {
            uid: triton::model::Uid::new("uid-3"),
            version: triton::model::ResourceVersion::new("9"),
            generation: 1,
            root: Some(ROOT.into()),
            status: Arc::new(ReleaseStatus::default()),
            memory: self.flag(31, 1).then(|| self.memory()),
            replicas: self.replicas,
        };
        edit(&mut world, |case| {
            case.record = Some(record);
            match (self.flag(1, 5), self.flag(3, 5)) {
                (true, _) => case.desired = Desired::Broken(Arc::from([])),
                (false, true) => case.desired = Desired::Gone(Removal { commit: commit(4), approved: false }),
                (false, false) => {}
            }
        });
        if matches!(world.cases[&id()].desired, Desired::Gone(_)) {
            world.named = Arc::default();
        }
        world
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_planned_breaks_no_rule(draw in draws()) {
        let world = draw.world();
        let plan = plan(&world);
        let broken = check(&world, &plan);
        let step = &plan.moves[&id()];
        prop_assert!(broken.is_empty(), "{:?}\nrow {} {:?}\nmemory {:#?}\nafter {:#?}", broken, step.row, step.decision,
            world.cases[&id()].memory(), step.memory);
    }
}
