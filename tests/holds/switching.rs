//! Worlds of a release that is switched as a whole, and waits.

use std::sync::Arc;

use triton::world::World;

use crate::holds::planner::{Story, with};
use crate::support::switched::{at, done, two};
use crate::support::world::{edit, edit_intent, release, strategy};

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
    ]
}
