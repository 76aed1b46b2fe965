//! Worlds of a release that is switched as a whole, and waits.

use std::sync::Arc;

use triton::model::Digest;
use triton::world::World;

use crate::holds::planner::{Story, record, with};
use crate::support::switched::{at, done, switched, two};
use crate::support::world::{at_step, edit, edit_intent, intent, live, release, strategy, world};

/// B is previewed, and somebody has deleted its CloneSet, which is not gone yet.
fn deleted() -> World {
    with(two(at(1, false), 10, ("a", 10), ("b", 10)), |world| {
        edit(world, |case| {
            case.twins.values_mut().for_each(|twin| twin.live.deleting = true);
            case.see_as_one();
        });
    })
}

/// B is previewed, somebody has taken away what memory says of the home, and its pods are of a revision that is not remembered.
fn unknown() -> World {
    with(two(at(1, false), 10, ("a", 10), ("b", 10)), |world| {
        edit(world, |case| {
            let [one, home] = [&mut case.live, &mut case.home].map(|it| it.as_mut().unwrap());
            case.record = Some(record(home.memory.clone()));
            home.status.update_revision = "checkout-c".to_owned();
            home.memory.as_mut().unwrap().home = None;
            one.memory.clone_from(&home.memory);
            case.see_as_one();
        });
    })
}

/// B is previewed, somebody leads the active Service to it, and no pod of A is available.
fn by_hand() -> World {
    with(two(at(1, false), 10, ("b", 10), ("b", 10)), |world| {
        edit(world, |case| {
            case.home.as_mut().unwrap().status.updated_available = 0;
            case.see_as_one();
        });
    })
}

/// B is previewed, and Git says now that it is at the Service that leads to A.
fn places() -> World {
    with(two(at(1, true), 10, ("a", 10), ("b", 10)), |world| {
        let mut next = switched("b");
        let places = next.strategy.blue_green.as_mut().unwrap();
        std::mem::swap(&mut places.active, &mut places.preview);
        next.digest = Digest::of(b"b at the other Service");
        edit_intent(world, |intent| intent.release = Arc::new(next));
    })
}

/// B is, for Kubernetes, as A is.
fn same() -> World {
    with(two(at(1, false), 10, ("a", 10), ("a", 10)), |world| {
        edit(world, |case| {
            let a = case.home.as_ref().unwrap().status.update_revision.clone();
            for twin in case.twins.values_mut() {
                twin.live.status.update_revision.clone_from(&a);
                (twin.live.replicas, twin.live.status.replicas) = (0, 0);
            }
            case.see_as_one();
        });
    })
}

/// B has one pod beside those of A in one CloneSet, and Git says now that it is switched as a whole.
fn begun() -> World {
    let (mut plain, next) = (release("b"), switched("b"));
    plain.strategy = strategy(&["1", "50%!", "100%"]);
    plain.digest = release("b by steps").digest;
    let (a, memory) = (release("a"), at_step(&plain, &release("a"), 1, Some(1)));
    world(intent(&next), Some(live(&plain, Some(memory), "99%", 1)), &[&a, &plain, &next])
}

/// The worlds.
pub fn stories() -> Vec<Story> {
    let another = |world: &mut World| {
        edit_intent(world, |intent| intent.release = Arc::new(release("c")));
    };
    let leaves = with(two(done(), 10, ("b", 10), ("b", 10)), another);
    let moves = with(two(done(), 10, ("b", 10), ("b", 10)), |world| {
        another(world);
        edit(world, |case| {
            let mut plain = release("b");
            plain.strategy = strategy(&["1", "100%"]);
            case.documents.insert(plain.digest, Arc::new(plain));
        });
    });
    let few = two(at(1, false), 10, ("a", 10), ("b", 4));
    vec![
        ("pods beside those that serve, to which too few endpoints lead", few),
        ("another version in the commit that leaves blue/green", leaves),
        ("another version while pods move back into their CloneSet", moves),
        ("a CloneSet that is deleted and needed again", deleted()),
        ("pods of which nobody knows what they are", unknown()),
        ("pods that serve before Git lets them", by_hand()),
        ("a version that would be previewed where another one serves", places()),
        ("a version whose pods are for Kubernetes those that serve", same()),
        ("blue/green in the middle of steps", begun()),
    ]
}
