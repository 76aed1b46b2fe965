//! The plans of a normal rollout, each with its world: right, until a test breaks them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use triton::guard::{Rule, check};
use triton::model::{ResourceVersion, Uid};
use triton::objects::Kind;
use triton::spec::Release;
use triton::world::{
    Action, Decision, Desired, Expect, Freeze, Memory, Permit, Plan, Reached, Removal, World, Write,
};

use crate::support::world::*;

/// A world and a plan for it that is right, and that each test then breaks.
pub struct Lap {
    /// What is seen.
    pub world: World,
    /// What is to be done.
    pub plan: Plan,
}

impl Lap {
    pub fn broken(&self) -> Option<Rule> {
        check(&self.world, &self.plan).get(&id()).map(|violation| violation.rule)
    }

    pub fn passes(&self) {
        assert_eq!(check(&self.world, &self.plan).get(&id()), None);
    }

    #[track_caller]
    pub fn breaks(&self, rule: Rule) {
        assert_eq!(self.broken(), Some(rule), "{:?}", check(&self.world, &self.plan));
    }

    /// The plan, with the body of its CloneSet write changed, and its memory read from that body.
    pub fn with_body(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let step = self.plan.moves.get_mut(&id()).unwrap();
        let Action::Apply { body, .. } = &mut step.writes[0].action else { panic!("an apply") };
        change(Arc::make_mut(body));
        self
    }

    pub fn with_world(mut self, change: impl FnOnce(&mut World)) -> Self {
        change(&mut self.world);
        self
    }
}

pub fn a() -> Release {
    release("a")
}

pub fn b() -> Release {
    release("b")
}

/// A plan that writes `release` with `memory` to the CloneSet that is there.
pub fn writes(decision: Decision, release: &Release, memory: Memory, partition: &str, forward: bool) -> Plan {
    let body = body(release, &memory, 10, partition);
    plan(decision, Some(memory), vec![apply(body, forward)])
}

/// A is complete, B is pushed: step 1 with one pod is entered.
pub fn enters_first() -> Lap {
    let world = world(intent(&b()), Some(live(&a(), Some(complete(&a())), "0%", 10)), &[&a()]);
    Lap { world, plan: writes(Decision::Enter(1), &b(), at_step(&b(), &a(), 1, None), "99%", true) }
}

/// B has soaked at step 1, step 2 is approved: it is entered.
pub fn enters_second() -> Lap {
    let mut intent = intent(&b());
    intent.markers.push(marker(&b(), Permit::Step(2), "bob"));
    let stands = live(&b(), Some(at_step(&b(), &a(), 1, Some(1))), "99%", 1);
    let memory = Memory { revision: Some("checkout-b".into()), ..at_step(&b(), &a(), 2, None) };
    Lap {
        world: world(intent, Some(stands), &[&a(), &b()]),
        plan: writes(Decision::Enter(2), &b(), memory, "50%", true),
    }
}

/// One pod of B is available at step 1, and memory does not say so yet.
pub fn notes_reached() -> Lap {
    let stands = live(&b(), Some(at_step(&b(), &a(), 1, None)), "99%", 1);
    let world = world(intent(&b()), Some(stands), &[&a(), &b()]);
    let memory = Memory {
        step_reached: Some(Reached { at: now(), pods: 1 }),
        revision: Some("checkout-b".into()),
        ..at_step(&b(), &a(), 1, None)
    };
    Lap { world, plan: writes(Decision::Note, &b(), memory, "99%", false) }
}

/// B was reverted at half: every pod goes back to A.
pub fn rolls_back() -> Lap {
    let stands = live(&b(), Some(at_step(&b(), &a(), 2, Some(5))), "50%", 5);
    let world = world(intent(&a()), Some(stands), &[&a(), &b()]);
    let memory = Memory { step_reached: None, revision: None, ..complete(&a()) };
    Lap { world, plan: writes(Decision::RollBack, &a(), memory, "0%", false) }
}

/// B has all ten pods: it is proven.
pub fn completes() -> Lap {
    let mut intent = intent(&b());
    intent.markers.extend([marker(&b(), Permit::Step(2), "bob"), marker(&b(), Permit::Step(3), "bob")]);
    let before = at_step(&b(), &a(), 3, Some(10));
    let world = world(intent, Some(live(&b(), Some(before.clone()), "0%", 10)), &[&a(), &b()]);
    let memory = Memory { proven: vec![proof(&a()), proof(&b())], ..before };
    Lap { world, plan: writes(Decision::Complete, &b(), memory, "0%", false) }
}

/// There is no CloneSet: B is made, with all its pods.
pub fn creates() -> Lap {
    let memory = Memory {
        uid: None,
        create: Some(CREATE.to_owned()),
        episode: Some(commit(2)),
        step_reached: None,
        revision: None,
        proven: vec![],
        ..complete(&b())
    };
    let mut world = world(intent(&b()), None, &[]);
    edit(&mut world, |case| case.companions.clear());
    let body = body(&b(), &memory, 10, "0%");
    Lap { world, plan: plan(Decision::Create, Some(memory), vec![create(body, true)]) }
}

/// Git has removed the release.
pub fn removes() -> Lap {
    let stands = live(&a(), Some(complete(&a())), "0%", 10);
    let mut world = world(intent(&a()), Some(stands), &[&a()]);
    edit(&mut world, |case| case.desired = Desired::Gone(Removal { commit: commit(4), approved: false }));
    world.named = Arc::new(BTreeSet::new());
    Lap { world, plan: plan(Decision::Remove, None, vec![delete(Kind::CloneSet, "uid-1", "70")]) }
}

pub fn delete(kind: Kind, uid: &str, version: &str) -> Write {
    let action = Action::Delete { uid: Uid::new(uid), version: ResourceVersion::new(version) };
    Write { object: key(kind, "checkout"), action, forward: false }
}

pub fn frozen() -> Freeze {
    Freeze { path: "freeze.yaml".into(), reason: "holidays".into(), until: None }
}

pub fn service(release: &Release) -> Write {
    let mut body = release.companions[0].body.value.open();
    mark(&mut body);
    let expect = Expect::Same(Uid::new("uid-2"), ResourceVersion::new("71"));
    Write {
        object: key(Kind::Service, "checkout"),
        action: Action::Apply { body: Arc::new(body), expect },
        forward: false,
    }
}
