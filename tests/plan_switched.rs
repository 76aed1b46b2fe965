//! What people see of a release that is switched as a whole: which of its CloneSets serves, and what the others are for.

use triton::objects::record::Role;
use triton::world::World;

use crate::support::switched::{at, done, two};
use crate::support::world::{edit, id, now};

/// Name, version, pods, what they are for, and for how many seconds still.
fn seen(world: &World) -> Vec<(bool, String, u32, Role, Option<i64>)> {
    let plan = triton::plan::plan(world);
    let one = |it: &triton::objects::record::CloneSetView| {
        let left = it.until.map(|until| until.as_second() - now().as_second());
        (it.name == "checkout", it.version.clone().unwrap_or_default(), it.pods, it.role, left)
    };
    plan.moves[&id()].view.clonesets.iter().map(one).collect()
}

#[test]
fn what_is_tried_is_told_beside_what_serves() {
    let world = two(at(1, true), 10, ("a", 10), ("b", 10));
    let wanted =
        [(true, "a".to_owned(), 10, Role::Serves, None), (false, "b".to_owned(), 10, Role::Next, None)];
    assert_eq!(seen(&world), wanted);
}

#[test]
fn what_is_kept_is_told_with_the_moment_when_it_goes() {
    let world = two(done(), 10, ("b", 10), ("b", 10));
    let left = 3600 - 120;
    let wanted =
        [(false, "b".to_owned(), 10, Role::Serves, None), (true, "a".to_owned(), 10, Role::Kept, Some(left))];
    assert_eq!(seen(&world), wanted);
}

#[test]
fn what_is_kept_no_longer_leaves_and_one_cloneset_by_itself_is_not_told() {
    let mut world = two(done(), 10, ("b", 10), ("b", 10));
    world.now = now() + jiff::SignedDuration::from_hours(1);
    world.source.fetched_at = Some(world.now);
    let roles: Vec<Role> = seen(&world).into_iter().map(|it| it.3).collect();
    assert_eq!(roles, [Role::Serves, Role::Leaves]);
    let mut alone = two(done(), 10, ("b", 10), ("b", 10));
    edit(&mut alone, |case| {
        case.twins.clear();
        case.see_as_one();
    });
    assert!(seen(&alone).iter().all(|it| !it.0), "{:?}", seen(&alone));
}

#[test]
fn a_switch_is_told_by_the_service_and_by_how_long_the_old_pods_stay() {
    let plan = triton::plan::plan(&two(at(2, true), 10, ("b", 10), ("b", 10)));
    let said = &plan.moves[&id()].message;
    assert!(
        said.starts_with("shop/checkout is complete: Service checkout leads to b; the pods of a stay until "),
        "{said}"
    );
}
