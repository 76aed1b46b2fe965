//! Worlds of a release that is switched as a whole.

use serde_json::json;
use triton::fields::Compact;
use triton::model::{ResourceVersion, Uid};
use triton::objects::Kind;
use triton::spec::{Approval, BlueGreen, Body, Companion, Follower, Release};
use triton::world::{CompanionLive, Follows, Leads, Memory, Permit, Twin, World, twin_name};

use crate::support::world::*;

/// The release with this image: it is switched as a whole, after an approval, and the one before it is kept for an hour.
pub fn switched(image: &str) -> Release {
    let mut release = release(image);
    release.strategy = strategy(&["100%", "100%"]);
    release.strategy.steps[1].approval = Some(Approval { count: 1, not_author: false });
    release.strategy.steps.iter_mut().for_each(|step| step.soak = 0);
    release.strategy.blue_green = Some(BlueGreen {
        active: "checkout".parse().unwrap(),
        preview: "checkout-preview".parse().unwrap(),
        keep: 3600,
    });
    let preview = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "shop", "name": "checkout-preview" },
        "spec": { "selector": { "app": "checkout" }, "ports": [{ "port": 80 }] },
    });
    let body = Body { key: key(Kind::Service, "checkout-preview"), value: Compact::of(&preview) };
    release.companions.push(Companion { body, version_of: None });
    release
}

/// The home of A, and B beside it with so many pods available; both Services lead to one of them each, with so many endpoints.
pub fn two(memory: Memory, pods: u32, active: (&str, u32), preview: (&str, u32)) -> World {
    let (a, b) = (switched("a"), switched("b"));
    let memory = Memory { home: (memory.template != a.template).then_some(a.digest), ..memory };
    let mut head = intent(&b);
    head.markers = vec![marker(&b, Permit::Step(2), "ben")];
    let mut home = live(&a, Some(memory), "0", 10);
    home.status.update_revision = "checkout-a".to_owned();
    home.status.current_revision = "checkout-a".to_owned();
    let mut world = world(head, Some(home), &[&a, &b]);
    edit(&mut world, |case| {
        let mut twin = live(&b, None, "0", 10);
        (twin.uid, twin.version) = (Uid::new("uid-9"), ResourceVersion::new("90"));
        (twin.status.updated, twin.status.updated_available, twin.status.available) = (10, pods, pods);
        let name = twin_name(&id().name, b.template).unwrap();
        case.twins.insert(name, Twin { template: b.template, live: twin });
        let one = case.companions[&key(Kind::Service, "checkout")].clone();
        let services =
            [("checkout", Follower::Active, active), ("checkout-preview", Follower::Preview, preview)];
        for (name, as_what, (hash, ready)) in services {
            let to = (!hash.is_empty()).then(|| hash.to_owned());
            let leads =
                Leads { follows: Some(Follows { as_what, to, ready: Some(ready) }), ..Leads::default() };
            case.companions.insert(key(Kind::Service, name), CompanionLive { leads, ..one.clone() });
        }
        case.see_as_one();
    });
    world
}

/// B at this step, entered five minutes ago, and reached two minutes ago where that is said.
pub fn at(step: u32, reached: bool) -> Memory {
    let memory = at_step(&switched("b"), &switched("a"), step, reached.then_some(10));
    Memory { revision: Some("checkout-b".to_owned()), ..memory }
}

/// B is complete, above A.
pub fn done() -> Memory {
    let (a, b) = (switched("a"), switched("b"));
    Memory { proven: vec![proof(&a), proof(&b)], step_reached: at(2, true).step_reached, ..complete(&b) }
}
