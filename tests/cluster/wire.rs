//! The way between the daemon and a real API server goes wrong: a rollout of two steps with an approval ends as it should,
//! no pod more than approved is ever updated, each step is written once, and the hold or the log says why it waits.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::between::{Between, Fault, Hurt};
use crate::cluster::judge::tag;
use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, until};
use crate::cluster::scene::{Scene, TWO_STEPS};
use crate::cluster::witness::Witness;

struct Story {
    scene: Scene,
    witness: Witness,
    between: Between,
    daemon: Daemon,
}

impl Story {
    /// Version A runs.
    fn begin(namespace: &'static str) -> Self {
        let scene = Scene::begin(Plane::shared(), namespace, TWO_STEPS);
        let witness = Witness::of(&scene.plane, namespace);
        let between = Between::before(&scene.plane);
        let daemon = scene.daemon_by(&between.kubeconfig());
        scene.is_complete("A");
        Self { scene, witness, between, daemon }
    }

    /// The first step of B is reached, one pod has it, and never had more.
    fn waits_for_approval(&self) {
        self.scene.holds("needs 1 approval for step 2");
        self.scene.has_pods(&[("A", 3), ("B", 1)]);
        self.had_at_most(1);
    }

    /// No more pods than these had B at any moment.
    fn had_at_most(&self, most: usize) {
        let mut pods = std::collections::BTreeSet::new();
        for sight in self.witness.tells().into_iter().filter(|it| it.kind == "Pod") {
            let has_b = sight
                .object
                .is_some_and(|it| it["metadata"]["deletionTimestamp"].is_null() && tag(&it["spec"]) == "B");
            if has_b {
                pods.insert(sight.name)
            } else {
                pods.remove(&sight.name)
            };
            assert!(pods.len() <= most, "{pods:?} at {}", sight.version);
        }
    }

    /// B runs everywhere, and there were no more writes than these.
    fn ends(&self) {
        until("it meets what is in its way", || self.between.is_done().then_some(()));
        self.scene.is_complete("B");
        self.scene.has_pods(&[("B", 4)]);
        let mut moves: Vec<(String, Value)> = Vec::new();
        for object in self.witness.tells().into_iter().filter(|it| it.kind == "CloneSet") {
            let Some(object) = object.object else { continue };
            let strategy = &object["spec"]["updateStrategy"];
            moves.push((tag(&object["spec"]["template"]["spec"]), strategy["partition"].clone()));
        }
        moves.dedup();
        let text: Vec<String> = moves.iter().map(|(tag, partition)| format!("{tag} {partition}")).collect();
        assert_eq!(text, ["A 0", "B \"99%\"", "B 0"]);
    }

    /// The whole of it, with nothing else in the way.
    fn goes_on(&self) {
        self.waits_for_approval();
        self.scene.approve();
        self.ends();
    }
}

fn says(text: &str) -> impl Fn(&Value) -> Option<()> {
    move |line| line.to_string().contains(text).then_some(())
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_write_that_meets_conflict_after_conflict_says_so_and_goes_through_in_the_end() {
    let story = Story::begin("wire-409");
    story.between.rule("patch", "clonesets", 7, Fault::Answer(409));
    story.scene.push("B");
    story.scene.holds("the object changed while the write was under way");
    story.goes_on();
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_server_that_fails_is_tried_again_ever_more_slowly_and_the_hold_has_its_words() {
    let story = Story::begin("wire-500");
    story.between.rule("patch", "clonesets", 3, Fault::Answer(500));
    story.scene.push("B");
    story.scene.holds("the API server is not available: it was answered with 500");
    story.goes_on();
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_busy_server_that_asks_to_wait_is_left_alone_for_so_long() {
    let story = Story::begin("wire-429");
    let before = story.between.asked("patch", "clonesets").len();
    story.between.rule("patch", "clonesets", 2, Fault::Busy(7));
    story.between.rule("watch", "clonesets", 1, Fault::Busy(3));
    story.scene.push("B");
    story.scene.holds("Too many requests, please try again later.; it asks to wait 7 s");
    story.between.hurt("clonesets", Hurt::Cut);
    story.goes_on();
    let asked = story.between.asked("patch", "clonesets");
    for pair in asked[before..before + 3].windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(7), "{:?}", pair[1] - pair[0]);
    }
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_write_whose_answer_is_lost_is_not_done_twice() {
    let mut story = Story::begin("wire-lost");
    story.between.rule("patch", "clonesets", 1, Fault::Lost);
    story.scene.push("B");
    story.daemon.until(says("the API server did not answer within 5 s"));
    story.waits_for_approval();
    story.between.rule("patch", "clonesets", 1, Fault::Lost);
    story.scene.approve();
    story.daemon.until(says("the API server did not answer within 5 s"));
    story.ends();
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_write_that_arrives_after_it_was_given_up_changes_nothing_more() {
    let mut story = Story::begin("wire-late");
    story.between.rule("patch", "clonesets", 1, Fault::Late(Duration::from_secs(9)));
    story.scene.push("B");
    story.daemon.until(says("the API server did not answer within 5 s"));
    story.waits_for_approval();
    // Slow, and still in time: the lease as well.
    for plural in ["leases", "clonesets", "releases"] {
        story.between.rule("patch", plural, 2, Fault::Late(Duration::from_secs(3)));
    }
    story.scene.approve();
    until("all were slow", || story.between.is_done().then_some(()));
    story.ends();
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn watches_that_break_off_or_are_too_old_go_on_and_nothing_is_missed() {
    let story = Story::begin("wire-watch");
    let lists = || story.between.asked("list", "clonesets").len();
    let before = lists();
    // In the middle of an event, and what is asked for then is too old to be had, for ever.
    story.between.rule("watch", "clonesets", 2, Fault::Answer(410));
    story.between.hurt("clonesets", Hurt::Cut);
    story.scene.push("B");
    until("everything is looked at anew", || (lists() > before).then_some(()));
    story.waits_for_approval();
    let before = lists();
    story.between.hurt("clonesets", Hurt::Expired);
    story.scene.approve();
    until("another list", || (lists() > before).then_some(()));
    story.ends();
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_watch_that_goes_silent_is_begun_anew_once_it_does_not_tell_what_was_written() {
    let mut story = Story::begin("wire-silent");
    story.between.hurt("clonesets", Hurt::Silent);
    story.scene.push("B");
    story.daemon.until(says("is silent about a write"));
    story.waits_for_approval();
    story.between.hurt("clonesets", Hurt::Silent);
    story.scene.approve();
    story.ends();
}
