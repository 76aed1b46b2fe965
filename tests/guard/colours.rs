//! Of a release that is switched as a whole: pods that serve, are kept, or come up beside those, and what may follow which.

use std::sync::Arc;

use serde_json::{Value, json};
use triton::fields::Compact;
use triton::guard::{Rule, check};
use triton::model::{Digest, Gate, Hold, Lift, ResourceVersion, Uid};
use triton::objects::{Kind, keys};
use triton::spec::{Body, Companion, Follower, Release};
use triton::world::{
    Action, Case, CompanionLive, Decision, Desired, Drift, Expect, Follows, Freeze, Leads, Live, Memory,
    Permit, Plan, Reached, RecordLive, Removal, Twin, World, Write, twin_name,
};

use crate::support::world::*;

/// A release that is switched as a whole, with another Service that leads to its pods, and an autoscaler.
fn switched(image: &str) -> Release {
    let mut release = crate::support::switched::switched(image);
    let companion = |kind: Kind, name: &str, spec: Value| {
        let api = kind.api();
        let metadata = json!({ "namespace": "shop", "name": name });
        let value =
            json!({ "apiVersion": api.api_version(), "kind": api.kind, "metadata": metadata, "spec": spec });
        Companion { body: Body { key: key(kind, name), value: Compact::of(&value) }, version_of: None }
    };
    let selector = json!({ "selector": { "app": "checkout" } });
    release.companions.push(companion(Kind::Service, "checkout-admin", selector));
    let target = json!({ "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "checkout" });
    let spec = json!({ "scaleTargetRef": target });
    release.companions.push(companion(Kind::HorizontalPodAutoscaler, "checkout", spec));
    release
}

/// The active Service and what follows it lead to the pods of one version, of which so many are ready; the preview Service to
/// those of another one.
fn lead_to(case: &mut Case, pin: Option<&str>, ready: u32, preview: &str) {
    let one = case.companions[&key(Kind::Service, "checkout")].clone();
    let pinned = |as_what, to: Option<&str>, ready| {
        let follows = Some(Follows { as_what, to: to.map(str::to_owned), ready });
        CompanionLive { leads: Leads { follows, ..Leads::default() }, ..one.clone() }
    };
    for (kind, name, there) in [
        (Kind::Service, "checkout", pinned(Follower::Active, pin, Some(ready))),
        (Kind::Service, "checkout-admin", pinned(Follower::Beside, pin, Some(ready))),
        (Kind::Service, "checkout-preview", pinned(Follower::Preview, Some(preview), Some(10))),
        (Kind::HorizontalPodAutoscaler, "checkout", pinned(Follower::Scaler, None, None)),
    ] {
        case.companions.insert(key(kind, name), there);
    }
}

fn name_of(release: &Release) -> triton::model::Name {
    twin_name(&release.id.name, release.template).unwrap()
}

/// Puts a second CloneSet with ten pods of this release beside the first.
fn put_beside(world: &mut World, release: &Release) {
    let uid = Uid::new(format!("uid-{}", release.version));
    let drift = Drift { applied: true, ..Drift::default() };
    let live = Live { uid, drift, version: ResourceVersion::new("80"), ..live(release, None, "0", 10) };
    let twin = Twin { template: release.template, live };
    edit(world, |case| drop(case.twins.insert(name_of(release), twin)));
}

/// A stands in the CloneSet of the release with its ten pods, B in a second one; the active Service leads to this one of them.
fn both(head: &Release, memory: Memory, pin: &str) -> World {
    let (a, b) = (switched("a"), switched("b"));
    let mut world = world(intent(head), Some(live(&a, Some(memory), "0", 10)), &[&a, &b]);
    put_beside(&mut world, &b);
    edit(&mut world, |case| {
        case.home = case.live.clone();
        lead_to(case, Some(pin), 10, "b");
    });
    world
}

/// Memory of B at a step, over A.
fn trying(step: u32) -> Memory {
    let (a, b) = (switched("a"), switched("b"));
    Memory { home: Some(a.digest), ..at_step(&b, &a, step, None) }
}

/// Memory of B that is complete since so many seconds, over A.
fn kept(seconds: i64) -> Memory {
    let (a, b) = (switched("a"), switched("b"));
    let step_reached = Some(Reached { at: ago(seconds), pods: 10 });
    Memory { home: Some(a.digest), step_reached, proven: vec![proof(&a), proof(&b)], ..complete(&b) }
}

/// B is at a step, which Git permits, and the active Service leads to A.
fn previewed(step: u32) -> World {
    let b = switched("b");
    let mut world = both(&b, trying(step), "a");
    edit_intent(&mut world, |intent| intent.markers.push(marker(&b, Permit::Step(2), "bob")));
    world
}

/// The write of a companion that follows this.
fn follow(kind: Kind, name: &str, to: Option<&str>, forward: bool) -> Write {
    let release = switched("b");
    let mut body = release.companion(&key(kind, name)).unwrap().body.value.open();
    mark(&mut body);
    if let Some(to) = to {
        match kind {
            Kind::Service => body["spec"]["selector"][keys::POD_TEMPLATE_HASH] = json!(to),
            _ => body["spec"]["scaleTargetRef"]["name"] = json!(to),
        }
    }
    let expect = Expect::Same(Uid::new("uid-2"), ResourceVersion::new("71"));
    Write { object: key(kind, name), action: Action::Apply { body: Arc::new(body), expect }, forward }
}

fn active(to: &str) -> Write {
    follow(Kind::Service, "checkout", Some(to), true)
}

/// The second CloneSet of a release, made with so many pods.
fn made(release: &Release, pods: u32) -> Value {
    let mut body = release.cloneset.value.open();
    mark(&mut body);
    body["metadata"]["name"] = json!(name_of(release).as_str());
    body["metadata"]["annotations"][keys::TWIN] = json!(release.template.to_string());
    body["spec"]["replicas"] = json!(pods);
    body["spec"]["updateStrategy"]["partition"] = json!(0);
    body["spec"]["updateStrategy"]["paused"] = json!(false);
    body
}

fn makes(body: Value, release: &Release) -> Plan {
    let action = Action::Apply { body: Arc::new(body), expect: Expect::Absent };
    let object = key(Kind::CloneSet, name_of(release).as_str());
    plan(Decision::Repair, None, vec![Write { object, action, forward: true }])
}

/// The second CloneSet goes.
fn goes(release: &Release, decision: Decision) -> Plan {
    let object = key(Kind::CloneSet, name_of(release).as_str());
    let uid = Uid::new(format!("uid-{}", release.version));
    let action = Action::Delete { uid, version: ResourceVersion::new("80") };
    plan(decision, None, vec![Write { object, action, forward: true }])
}

/// The CloneSet of the release is written with so many pods of this one.
fn home(release: &Release, memory: &Memory, pods: u32) -> Plan {
    plan(Decision::Repair, Some(memory.clone()), vec![apply(body(release, memory, pods, "0"), false)])
}

fn shifts(writes: Vec<Write>) -> Plan {
    plan(Decision::Shift, None, writes)
}

#[track_caller]
fn passes(world: &World, plan: &Plan) {
    assert_eq!(check(world, plan).get(&id()), None);
}

#[track_caller]
fn breaks(world: &World, plan: &Plan, rule: Rule) {
    let found = check(world, plan).get(&id()).cloned();
    assert_eq!(found.as_ref().map(|it| it.rule), Some(rule), "{found:?}");
}

fn edit_twin(world: &mut World, change: impl FnOnce(&mut Live)) {
    edit(world, |case| change(&mut case.twins.values_mut().next().unwrap().live));
}

fn edit_home(world: &mut World, change: impl FnOnce(&mut Live)) {
    edit(world, |case| change(case.home.as_mut().unwrap()));
}

#[test]
fn a_version_that_is_to_be_switched_does_not_come_up_where_the_other_one_serves() {
    let (a, b) = (switched("a"), switched("b"));
    let memory = Memory { step_reached: None, ..complete(&a) };
    let mut plain = b.clone();
    plain.strategy.blue_green = None;
    let next = at_step(&b, &a, 1, None);
    let enters = plan(Decision::Enter(1), Some(next.clone()), vec![apply(body(&b, &next, 10, "10%"), true)]);
    let with =
        |head: &Release| world(intent(head), Some(live(&a, Some(memory.clone()), "0", 10)), &[&a, head]);
    passes(&with(&plain), &enters);
    breaks(&with(&b), &enters, Rule::Switch);
}

#[test]
fn a_version_that_nobody_let_serve_is_taken_back_or_told() {
    let b = switched("b");
    let hold = |gate| {
        let mut plan = plan(Decision::Hold, None, vec![]);
        let hold = Hold { gate, since: None, message: "it waits".to_owned(), lift: Lift::wait() };
        plan.moves.get_mut(&id()).unwrap().view.holds = vec![hold];
        plan
    };
    let edited = both(&b, trying(1), "b");
    breaks(&edited, &hold(Gate::Approval), Rule::Switch);
    passes(&edited, &hold(Gate::Traffic));
    passes(&edited, &shifts(vec![active("a")]));
    // What nobody let serve keeps no endpoint.
    let mut few = edited;
    edit_home(&mut few, |live| live.status.updated_available = 9);
    passes(&few, &shifts(vec![active("a")]));
    passes(&both(&b, trying(1), "a"), &hold(Gate::Approval));
    passes(&both(&b, trying(2), "b"), &hold(Gate::Approval));
    // One that was withdrawn serves on until the proven one is whole.
    let mut back = both(&switched("a"), Memory { step_reached: None, ..complete(&switched("a")) }, "b");
    breaks(&back, &hold(Gate::Pods), Rule::Switch);
    edit_home(&mut back, |live| live.status.updated_available = 9);
    passes(&back, &hold(Gate::Pods));
    breaks(&back, &shifts(vec![active("a")]), Rule::Switch);
}

fn freeze() -> Freeze {
    Freeze { path: "freeze.yaml".to_owned(), reason: "holidays".to_owned(), until: None }
}

#[test]
fn who_leads_to_a_version_by_hand_has_not_approved_it() {
    let (a, b) = (switched("a"), switched("b"));
    let again = Release { digest: Digest::of(b"another label"), ..b.clone() };
    let enters = |step| {
        let next = Memory { digest: again.digest, step, ..trying(1) };
        plan(Decision::Enter(step), Some(next.clone()), vec![apply(body(&a, &next, 10, "0"), true)])
    };
    let world = |before| both(&again, trying(before), "b");
    passes(&world(1), &enters(1));
    breaks(&world(1), &enters(2), Rule::Exposure);
    passes(&world(2), &enters(2));
}

#[test]
fn the_active_service_leads_to_a_version_that_is_entered_permitted_and_whole() {
    let (world, plan) = (previewed(2), shifts(vec![active("b")]));
    passes(&world, &plan);
    breaks(&previewed(1), &plan, Rule::Switch);
    breaks(&world, &shifts(vec![active("x")]), Rule::Switch);
    breaks(&world, &shifts(vec![follow(Kind::Service, "checkout", None, true)]), Rule::Switch);
    breaks(&world, &shifts(vec![follow(Kind::Service, "checkout", Some("b"), false)]), Rule::Forward);
    let faults: [fn(&mut World); 8] = [
        |world| edit_intent(world, |intent| intent.markers.clear()),
        |world| edit_intent(world, |intent| intent.freezes = vec![Arc::new(freeze())]),
        |world| world.source.fetched_at = Some(ago(3_000)),
        |world| edit_twin(world, |live| live.status.updated_available = 9),
        |world| edit_twin(world, |live| live.status.updated = 9),
        |world| edit_twin(world, |live| live.generation += 1),
        |world| edit_twin(world, |live| live.drift.template = true),
        |world| edit(world, |case| lead_to(case, Some("a"), 10, "a")),
    ];
    for fault in faults {
        let mut world = previewed(2);
        fault(&mut world);
        breaks(&world, &plan, Rule::Switch);
    }
}

#[test]
fn the_active_service_loses_no_endpoint() {
    // B is gone from sight, and serves: its marks were taken off.
    let mut a = switched("a");
    a.replicas = None;
    let mut world = both(&a, Memory { step_reached: None, ..complete(&a) }, "b");
    passes(&world, &shifts(vec![active("a")]));
    edit(&mut world, |case| case.twins.clear());
    for available in [0, 9] {
        edit_home(&mut world, |live| {
            (live.replicas, live.status.replicas) = (available, available);
            (live.status.updated, live.status.updated_available) = (available, available);
        });
        breaks(&world, &shifts(vec![active("a")]), Rule::Switch);
    }
    // Git asks for fewer.
    edit_intent(&mut world, |intent| Arc::make_mut(&mut intent.release).replicas = Some(9));
    passes(&world, &shifts(vec![active("a")]));
}

#[test]
fn another_version_comes_up_beside_one_that_was_left_only_where_the_proven_one_is_broken() {
    let (b, c) = (switched("b"), switched("c"));
    let with = |available: u32, pin: &str| {
        let mut world = both(&b, trying(1), "a");
        edit(&mut world, |case| case.twins.clear());
        put_beside(&mut world, &c);
        edit(&mut world, |case| lead_to(case, Some(pin), 10, "a"));
        edit_home(&mut world, |live| live.status.updated_available = available);
        world
    };
    let makes = makes(made(&b, 10), &b);
    passes(&with(0, "c"), &makes);
    breaks(&with(10, "c"), &makes, Rule::OneUnproven);
    breaks(&with(0, "a"), &makes, Rule::OneUnproven);
}

#[test]
fn what_follows_the_pods_follows_those_that_serve() {
    let b = switched("b");
    let twin = name_of(&b);
    let scaler = |to: Option<&str>| follow(Kind::HorizontalPodAutoscaler, "checkout", to, true);
    let beside = |to: &str| follow(Kind::Service, "checkout-admin", Some(to), true);
    let world = previewed(2);
    for early in [scaler(Some(twin.as_str())), beside("b")] {
        breaks(&world, &shifts(vec![early.clone()]), Rule::Switch);
        passes(&world, &shifts(vec![active("b"), early]));
    }
    breaks(&world, &shifts(vec![active("b"), scaler(Some("checkout-x"))]), Rule::Switch);
    breaks(&world, &shifts(vec![active("b"), beside("x")]), Rule::Switch);
    breaks(&world, &shifts(vec![follow(Kind::Service, "checkout-preview", Some("x"), true)]), Rule::Switch);
}

#[test]
fn pods_that_serve_or_are_to_do_not_go() {
    let (a, b) = (switched("a"), switched("b"));
    let repair = || goes(&b, Decision::Repair);
    let withdrawn = both(&a, complete(&a), "a");
    passes(&withdrawn, &repair());
    breaks(&both(&a, complete(&a), "b"), &repair(), Rule::Switch);
    breaks(&both(&a, Memory { step_reached: None, ..complete(&a) }, "a"), &repair(), Rule::Switch);
    let mut unknown = withdrawn.clone();
    edit_twin(&mut unknown, |live| live.status.update_revision = String::new());
    breaks(&unknown, &repair(), Rule::Switch);
    let mut theirs = withdrawn.clone();
    edit_twin(&mut theirs, |live| live.root = Some("another".to_owned()));
    breaks(&theirs, &repair(), Rule::Evidence);
    let mut unpinned = withdrawn;
    edit(&mut unpinned, |case| lead_to(case, None, 20, "a"));
    breaks(&unpinned, &repair(), Rule::Switch);
    breaks(&both(&b, trying(1), "a"), &home(&a, &trying(1), 0), Rule::Switch);
    breaks(&both(&b, kept(9_000), "b"), &repair(), Rule::Switch);
}

#[test]
fn a_lost_annotation_takes_no_pods_away_and_brings_none_up() {
    let (a, b) = (switched("a"), switched("b"));
    let lost = Memory { home: None, ..trying(1) };
    let mut world = both(&b, lost.clone(), "a");
    edit_home(&mut world, |live| live.drift.template = true);
    passes(&both(&b, trying(1), "a"), &home(&a, &trying(1), 10));
    for pods in [0, 10] {
        breaks(&world, &home(&b, &lost, pods), Rule::Switch);
    }
    // The second CloneSet of A is there, and has no pod yet.
    put_beside(&mut world, &a);
    edit(&mut world, |case| {
        let live = &mut case.twins.get_mut(&name_of(&a)).unwrap().live;
        (live.status.updated_available, live.status.updated, live.status.replicas) = (0, 0, 0);
    });
    breaks(&world, &home(&a, &trying(1), 0), Rule::Switch);
}

#[test]
fn the_version_before_is_kept_unless_its_time_is_known_to_be_over() {
    let (a, b) = (switched("a"), switched("b"));
    let goes = |memory: &Memory| home(&a, memory, 0);
    passes(&both(&b, kept(9_000), "b"), &goes(&kept(9_000)));
    breaks(&both(&b, kept(60), "b"), &goes(&kept(60)), Rule::Switch);
    // Another commit with the same template is entered, and not complete yet.
    let again = Release { digest: Digest::of(b"keep: 2h"), ..b };
    let memory = Memory { digest: again.digest, ..kept(60) };
    let mut world = both(&again, memory.clone(), "b");
    breaks(&world, &goes(&memory), Rule::Switch);
    // Nobody knows how long.
    let memory = Memory { digest: again.digest, ..kept(9_000) };
    edit(&mut world, |case| {
        case.desired = Desired::Unknown;
        for live in [&mut case.live, &mut case.home] {
            live.as_mut().unwrap().memory = Some(memory.clone());
        }
    });
    breaks(&world, &goes(&memory), Rule::Switch);
}

#[test]
fn a_second_cloneset_is_as_git_has_it_and_no_larger_than_permitted() {
    let (a, mut b) = (switched("a"), switched("b"));
    b.strategy.steps[0].replicas = "2".parse().unwrap();
    let mut world = both(&b, trying(1), "a");
    edit(&mut world, |case| {
        case.twins.clear();
        case.documents.insert(b.digest, Arc::new(b.clone()));
    });
    passes(&world, &makes(made(&b, 2), &b));
    breaks(&world, &makes(made(&b, 3), &b), Rule::Exposure);
    let odd: [fn(&mut Value); 4] = [
        |body| body["metadata"]["annotations"][keys::DIGEST] = json!("x"),
        |body| body["spec"]["updateStrategy"]["partition"] = json!(1),
        |body| body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("x"),
        |body| body["metadata"]["annotations"][keys::TWIN] = json!("x"),
    ];
    for change in odd {
        let mut body = made(&b, 2);
        change(&mut body);
        breaks(&world, &makes(body, &b), Rule::Whole);
    }
    let mut open = world.clone();
    edit(&mut open, |case| lead_to(case, None, 10, "a"));
    breaks(&open, &makes(made(&b, 2), &b), Rule::Switch);
    let mut two = world.clone();
    put_beside(&mut two, &switched("c"));
    breaks(&two, &makes(made(&b, 2), &b), Rule::OneUnproven);
    let mut first = world;
    let memory = Memory { proven: vec![], ..trying(1) };
    edit(&mut first, |case| {
        for live in [&mut case.live, &mut case.home] {
            live.as_mut().unwrap().memory = Some(memory.clone());
        }
    });
    breaks(&first, &makes(made(&b, 2), &b), Rule::OneUnproven);
    assert_ne!(a.template, b.template);
}

/// Git has the release no more.
fn removed(world: &mut World) {
    edit(world, |case| case.desired = Desired::Gone(Removal { commit: commit(4), approved: true }));
    world.named = Arc::default();
}

#[test]
fn what_is_left_behind_leads_to_one_version() {
    let mut b = switched("b");
    b.orphan = true;
    let mut world = both(&b, trying(1), "a");
    edit(&mut world, |case| drop(case.documents.insert(b.digest, Arc::new(b.clone()))));
    removed(&mut world);
    let leaves = |write| plan(Decision::Remove, None, vec![write]);
    passes(&world, &leaves(active("a")));
    breaks(&world, &leaves(active("b")), Rule::Switch);
    breaks(&world, &leaves(follow(Kind::Service, "checkout", None, true)), Rule::Switch);
    let expect = Expect::Same(Uid::new("uid-b"), ResourceVersion::new("80"));
    let twin = |body: Value| Write {
        object: key(Kind::CloneSet, name_of(&b).as_str()),
        action: Action::Apply { body: Arc::new(body), expect: expect.clone() },
        forward: true,
    };
    let mut stands = b.cloneset.value.open();
    stands["metadata"]["name"] = json!(name_of(&b).as_str());
    passes(&world, &leaves(twin(stands)));
    breaks(&world, &leaves(twin(made(&b, 3))), Rule::Whole);
}

#[test]
fn a_second_cloneset_goes_with_its_release_also_when_the_first_is_gone() {
    let b = switched("b");
    let mut world = both(&b, trying(1), "a");
    removed(&mut world);
    let remove = goes(&b, Decision::Remove);
    passes(&world, &remove);
    edit(&mut world, |case| {
        (case.live, case.home) = (None, None);
        case.record = Some(RecordLive {
            uid: Uid::new("record"),
            version: ResourceVersion::new("9"),
            generation: 1,
            root: Some(ROOT.to_owned()),
            status: Arc::default(),
            memory: Some(trying(1)),
            replicas: 10,
        });
    });
    passes(&world, &remove);
    let mut theirs = world.clone();
    edit_twin(&mut theirs, |live| live.root = Some("another".to_owned()));
    breaks(&theirs, &remove, Rule::Evidence);
    let mut unmarked = world.clone();
    edit_twin(&mut unmarked, |live| (live.root, live.drift.applied) = (None, false));
    breaks(&unmarked, &remove, Rule::Evidence);
    edit(&mut world, |case| case.record = None);
    breaks(&world, &remove, Rule::Evidence);
}

#[test]
fn a_second_cloneset_that_is_suspended_stops_its_release() {
    let mut world = previewed(2);
    edit_twin(&mut world, |live| live.suspend = Some("night".to_owned()));
    breaks(&world, &shifts(vec![active("b")]), Rule::Forward);
}
