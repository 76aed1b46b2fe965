//! Worlds in which traffic is not led by the weights of a step.

use std::sync::Arc;

use triton::fields::Compact;
use triton::objects::Kind;
use triton::spec::{Criterion, Match, Release, Serve};
use triton::world::{Freeze, Leads, Memory, Role, Share, World};

use crate::holds::planner::{Story, with};
use crate::support::world::{at_step, complete, edit, edit_intent, intent, key, lead, live, weighted, world};

fn a() -> Release {
    weighted("2.4.0")
}

fn b() -> Release {
    weighted("2.4.1")
}

/// B is about to begin, and the Service of the proven pods has so many of them.
fn begins(ready: Option<u32>) -> World {
    let world = world(intent(&b()), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a()]);
    with(world, |world| lead(world, Share::Base, &[(Role::Stable, "2.4.0", ready)]))
}

/// The pod of step 1 of B is there.
fn there(share: Share, stable: Option<u32>, canary: Option<u32>) -> World {
    let memory = Memory { revision: Some("checkout-2.4.1".to_owned()), ..at_step(&b(), &a(), 1, None) };
    let world = world(intent(&b()), Some(live(&b(), Some(memory), "99%", 1)), &[&a(), &b()]);
    with(world, |world| {
        lead(world, share, &[(Role::Stable, "2.4.0", stable), (Role::Canary, "2.4.1", canary)]);
    })
}

/// The pods of step 2 of B are there, and Git permits step 1.
fn withdrawn() -> World {
    let memory = Memory { revision: Some("checkout-2.4.1".to_owned()), ..at_step(&b(), &a(), 2, None) };
    let world = world(intent(&b()), Some(live(&b(), Some(memory), "50%", 5)), &[&a(), &b()]);
    with(world, |world| {
        let services = [(Role::Stable, "2.4.0", Some(5)), (Role::Canary, "2.4.1", Some(5))];
        lead(world, Share::Split(5), &services);
    })
}

/// B is about to begin, and its Service selects a label that pods of A do not have.
fn unselected() -> World {
    let mut next = b();
    let mut cloneset = next.cloneset.value.open();
    cloneset["spec"]["template"]["metadata"]["labels"]["tier"] = "web".into();
    next.cloneset.value = Compact::of(&cloneset);
    let mut service = next.companions[0].body.value.open();
    service["spec"]["selector"]["tier"] = "web".into();
    next.companions[0].body.value = Compact::of(&service);
    let world = world(intent(&next), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a()]);
    with(world, |world| lead(world, Share::Base, &[]))
}

/// B is about to begin, and A has a Service by the name of the one for its pods.
fn still_there() -> World {
    let mut first = a();
    let mut service = first.companions[0].clone();
    service.body.key = key(Kind::Service, "checkout-stable");
    first.companions.push(service);
    let world = world(intent(&b()), Some(live(&first, Some(complete(&first)), "0", 10)), &[&first]);
    with(world, |world| {
        lead(world, Share::Base, &[(Role::Stable, "2.4.0", Some(10))]);
        edit(world, |case| {
            let stable = case.companions.get_mut(&key(Kind::Service, "checkout-stable")).unwrap();
            stable.leads = Leads::default();
        });
    })
}

/// The weight of step 1 is led by, and testers do not reach its pod.
fn untested(serve: Serve) -> World {
    let mut tested = b();
    tested.strategy.steps[0].serve = serve;
    let header = Criterion { name: "x-tester".to_owned(), value: "yes".to_owned(), regular: false };
    tested.strategy.matches = vec![Match { headers: vec![header], query: Vec::new() }];
    let memory = Memory { revision: Some("checkout-2.4.1".to_owned()), ..at_step(&tested, &a(), 1, None) };
    let world = world(intent(&tested), Some(live(&tested, Some(memory), "99%", 1)), &[&a(), &tested]);
    with(world, |world| {
        lead(world, Share::Split(5), &[(Role::Stable, "2.4.0", Some(9)), (Role::Canary, "2.4.1", Some(1))]);
    })
}

/// The worlds.
pub fn stories() -> Vec<Story> {
    let frozen = with(there(Share::Split(0), Some(9), Some(1)), |world| {
        let freeze = Freeze { path: "freeze.yaml".to_owned(), reason: "holidays".to_owned(), until: None };
        edit_intent(world, |intent| intent.freezes = vec![Arc::new(freeze)]);
    });
    vec![
        ("proven pods without a Service of their own yet", begins(Some(3))),
        ("a rollout with weights whose EndpointSlices are not listed", begins(None)),
        ("a canary that no EndpointSlice has", there(Share::Split(0), Some(9), Some(0))),
        ("a weight that is written in this moment", there(Share::Split(0), Some(9), Some(1))),
        ("proven pods that no Service of theirs has", there(Share::Base, Some(3), Some(1))),
        ("a weight that waits for a freeze to end", frozen),
        ("testers whose route is written in this moment", untested(Serve::Automatic)),
        ("testers of pods that were let in by other steps", untested(Serve::Approval { batch: None })),
        ("a weight whose approval was withdrawn", withdrawn()),
        ("a Service that selects what proven pods do not have", unselected()),
        ("a Service of the release that stands where one for its pods would be", still_there()),
    ]
}
