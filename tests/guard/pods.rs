//! Pods, permission and what goes forward.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use triton::guard::{Rule, check};
use triton::model::{Lift, ResourceVersion, Uid};
use triton::spec::Initial;
use triton::world::{
    Decision, Desired, Fault, Memory, NotCounted, Permit, Policy, Reached, RecordLive, Try, World,
};

use crate::guard::laps::*;
use crate::support::world::*;

#[test]
fn the_plans_of_a_normal_rollout_pass() {
    for lap in
        [enters_first(), enters_second(), notes_reached(), rolls_back(), completes(), creates(), removes()]
    {
        lap.passes();
    }
}

#[test]
fn a_write_permits_no_more_pods_than_the_furthest_step_that_git_permits() {
    let partition = |text: &'static str| {
        move |body: &mut Value| body["spec"]["updateStrategy"]["partition"] = json!(text)
    };
    enters_first().with_body(partition("80%")).breaks(Rule::Exposure);
    enters_first().with_body(partition("0%")).breaks(Rule::Exposure);
    enters_second().with_body(partition("40%")).breaks(Rule::Exposure);
    enters_second().with_body(partition("99%")).breaks(Rule::Reached);
    rolls_back().with_body(partition("50%")).breaks(Rule::Exposure);
    notes_reached().with_body(partition("50%")).breaks(Rule::Exposure);
}

#[test]
fn a_marker_that_does_not_count_permits_nothing() {
    let refuse = |reason: NotCounted| {
        enters_second().with_world(|world| edit_intent(world, |it| it.markers[0].counts = Err(reason)))
    };
    refuse(NotCounted::OtherDigest).breaks(Rule::Exposure);
    refuse(NotCounted::BeforeSpec).breaks(Rule::Exposure);
    let named = |path: String| {
        enters_second().with_world(|world| edit_intent(world, |it| it.markers[0].path = path)).broken()
    };
    assert_eq!(named(format!("approvals/shop/checkout/{}/2.x.yaml", b().digest.long())), None);
    let other = b().digest.short() + &"0".repeat(20);
    assert_eq!(
        named(format!("approvals/shop/checkout/{other}/2.x.yaml")),
        Some(Rule::Exposure),
        "compared whole"
    );
    assert_eq!(named(format!("approvals/shop/cart/{}/2.x.yaml", b().digest.long())), Some(Rule::Exposure));
}

#[test]
fn the_cap_the_count_and_people_are_read_by_the_guard_too() {
    enters_second().with_world(|world| edit_intent(world, |it| it.cap = Some(1))).breaks(Rule::Exposure);
    let wants = |count, not_author| {
        enters_second().with_world(move |world| {
            edit_intent(world, |it| {
                let approval = Arc::make_mut(&mut it.release).strategy.steps[1].approval.as_mut();
                let approval = approval.expect("step 2 wants an approval");
                (approval.count, approval.not_author) = (count, not_author);
            });
        })
    };
    wants(2, false).breaks(Rule::Exposure);
    wants(1, true).breaks(Rule::Exposure);
    let bots =
        Policy { bots: BTreeSet::from(["bob".to_owned()]), root: ROOT.to_owned(), ..Policy::default() };
    enters_second().with_world(|world| world.policy = Arc::new(bots)).breaks(Rule::Exposure);
}

#[test]
fn scaling_at_the_entered_step_keeps_the_share() {
    let scaled = |partition: &str, approved: bool| {
        let mut lap = enters_second();
        let memory = at_step(&b(), &a(), 2, Some(5));
        edit_live(&mut lap.world, |it| *it = live(&b(), Some(at_step(&b(), &a(), 2, Some(5))), "50%", 5));
        edit_intent(&mut lap.world, |it| {
            Arc::make_mut(&mut it.release).replicas = Some(20);
            it.markers.retain(|_| approved);
        });
        let body = body(&b(), &memory, 20, partition);
        lap.plan = plan(Decision::Repair, Some(memory), vec![apply(body, true)]);
        lap
    };
    scaled("50%", true).passes();
    scaled("50%", false).passes();
    scaled("40%", true).breaks(Rule::Exposure);
    scaled("10", false).passes();
    scaled("5", true).breaks(Rule::Exposure);
}

#[test]
fn nothing_goes_forward_while_something_holds() {
    let cases: [fn(&mut World); 6] = [
        |world| world.source.fetched_at = Some(ago(46)),
        |world| edit_intent(world, |it| it.freezes.push(Arc::new(frozen()))),
        |world| edit_intent(world, |it| Arc::make_mut(&mut it.release).suspend = true),
        |world| world.has_records = false,
        |world| edit_live(world, |it| it.suspend = Some(String::new())),
        |world| edit_intent(world, |it| it.episode = None),
    ];
    for (number, close) in cases.into_iter().enumerate() {
        for lap in [enters_first(), enters_second()] {
            let lap = lap.with_world(close);
            assert_eq!(
                lap.broken(),
                Some(Rule::Forward),
                "case {number}: {:?}",
                check(&lap.world, &lap.plan)
            );
        }
    }
    let broken = |world: &mut World| edit(world, |case| case.desired = Desired::Broken(Arc::from([])));
    enters_second().with_world(broken).breaks(Rule::Forward);
}

#[test]
fn a_failed_try_is_not_tried_again() {
    let failed = Try { template: b().template, attempt: 1 };
    let mut lap = enters_first();
    edit_live(&mut lap.world, |it| it.memory.as_mut().unwrap().failed = Some(failed));
    let memory = Memory { failed: Some(failed), ..at_step(&b(), &a(), 1, None) };
    lap.plan = writes(Decision::Enter(1), &b(), memory.clone(), "99%", true);
    lap.breaks(Rule::Forward);
    edit_intent(&mut lap.world, |it| Arc::make_mut(&mut it.release).attempt = 2);
    lap.passes();
    lap.plan = writes(Decision::Enter(1), &b(), Memory { failed: None, ..memory }, "99%", true);
    lap.breaks(Rule::Forward);
}

#[test]
fn a_hotfix_opens_approvals_soak_and_freezes_and_nothing_else() {
    let skip = |world: &mut World| {
        edit_intent(world, |it| {
            it.markers = vec![marker(&b(), Permit::Skip, "bob")];
            it.freezes.push(Arc::new(frozen()));
        });
        edit_live(world, |it| {
            it.memory.as_mut().unwrap().step_reached = Some(Reached { at: ago(1), pods: 1 })
        });
    };
    enters_second().with_world(skip).passes();
    let forbidden = Policy { skip: false, root: ROOT.to_owned(), ..Policy::default() };
    enters_second().with_world(skip).with_world(|it| it.policy = Arc::new(forbidden)).breaks(Rule::Forward);
    enters_second()
        .with_world(skip)
        .with_world(|it| edit_intent(it, |it| it.cap = Some(1)))
        .breaks(Rule::Exposure);
    let unavailable = |it: &mut World| edit_live(it, |it| it.status.updated_available = 0);
    enters_second().with_world(skip).with_world(unavailable).breaks(Rule::Reached);
}

#[test]
fn nothing_new_is_written_while_git_cannot_be_believed_and_a_rollback_is() {
    let refused = |world: &mut World| {
        let lift = Lift::wait();
        world.source.fault = Some(Fault::Refused { message: "the branch was rewritten".into(), lift });
    };
    enters_first().with_world(refused).breaks(Rule::Unreadable);
    enters_second().with_world(refused).breaks(Rule::Unreadable);
    creates().with_world(refused).breaks(Rule::Unreadable);
    removes().with_world(refused).breaks(Rule::Evidence);
    rolls_back().with_world(refused).passes();
    notes_reached().with_world(refused).passes();
    rolls_back().with_world(|world| world.source.fetched_at = Some(ago(9_000))).passes();
}

#[test]
fn one_unproven_revision_at_a_time() {
    let c = release("c");
    let entered = |memory: Memory, partition: &str, updated: u32| {
        let mut lap = enters_first();
        edit(&mut lap.world, |case| case.live = Some(live(&b(), Some(memory), partition, updated)));
        edit_intent(&mut lap.world, |it| it.release = Arc::new(c.clone()));
        lap.plan = writes(Decision::Enter(1), &c, at_step(&c, &a(), 1, None), "99%", true);
        lap
    };
    entered(at_step(&b(), &a(), 1, Some(1)), "99%", 1).breaks(Rule::OneUnproven);
    let under_way = |seconds: i64| {
        let memory = Memory { step_entered: ago(seconds), step_reached: None, ..complete(&a()) };
        enters_first().with_world(|it| edit_live(it, |it| *it = live(&a(), Some(memory), "0%", 7)))
    };
    under_way(60).breaks(Rule::OneUnproven);
    under_way(601).passes();
}

#[test]
fn a_first_create_by_steps_makes_only_the_pods_of_its_step() {
    let mut first = b();
    first.strategy.initial = Initial::Steps;
    let sized = |replicas: u32, step: u32| {
        let mut lap = creates();
        edit_intent(&mut lap.world, |it| it.release = Arc::new(first.clone()));
        let mut memory = lap.plan.moves[&id()].memory.clone().unwrap();
        memory.step = step;
        let body = body(&first, &memory, replicas, "0%");
        lap.plan = plan(Decision::Create, Some(memory), vec![create(body, true)]);
        lap
    };
    sized(1, 1).passes();
    sized(5, 1).breaks(Rule::Exposure);
    sized(10, 3).breaks(Rule::Exposure);
}

#[test]
fn a_cloneset_that_was_deleted_comes_back_proven() {
    let mut lap = creates();
    let recorded = Memory { uid: Some(Uid::new("uid-0")), ..at_step(&b(), &a(), 1, Some(1)) };
    edit(&mut lap.world, |case| {
        case.documents.insert(a().digest, Arc::new(a()));
        case.record = Some(RecordLive {
            uid: Uid::new("uid-3"),
            version: ResourceVersion::new("9"),
            generation: 1,
            root: Some(ROOT.into()),
            status: Arc::default(),
            memory: Some(recorded),
            replicas: 10,
        });
    });
    lap.breaks(Rule::OneUnproven);
    let announced = Some(CREATE.to_owned());
    let proven =
        Memory { uid: None, create: announced.clone(), step_reached: None, revision: None, ..complete(&a()) };
    let again = body(&a(), &proven, 10, "0%");
    lap.plan = plan(Decision::Create, Some(proven), vec![create(again, false)]);
    lap.passes();
    let unproven = Memory { uid: None, create: announced, revision: None, ..at_step(&b(), &a(), 3, None) };
    lap.plan =
        plan(Decision::Create, Some(unproven.clone()), vec![create(body(&b(), &unproven, 10, "0%"), true)]);
    lap.breaks(Rule::OneUnproven);
}
