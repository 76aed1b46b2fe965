//! The main job: a push starts a rollout, an approval takes it on, a revert takes it back.

use crate::cluster::plane::Plane;
use crate::cluster::scene::{Scene, TWO_STEPS};

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_push_starts_a_rollout_an_approval_takes_it_on_and_a_revert_takes_it_back() {
    let scene = Scene::begin(Plane::shared(), "story", TWO_STEPS);
    let _daemon = scene.daemon();
    let ready = |wanted: &[(&str, u32)]| scene.plane.has_ready("story", wanted);
    ready(&[("A", 4)]);
    scene.push("B");
    ready(&[("A", 3), ("B", 1)]);
    scene.approve();
    ready(&[("B", 4)]);
    scene.repo.git(&["revert", "--no-edit", "HEAD~1"]);
    ready(&[("A", 4)]);
}
