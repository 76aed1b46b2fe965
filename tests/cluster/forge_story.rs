//! Rollouts that people lead on a forge: pull requests, reviewed and merged, are the rollouts, the approvals and the
//! reverts.

use crate::cluster::forge::{Clone, Forge, Project};
use crate::cluster::forge_scene::Scene;

/// How a forge can merge.
const WAYS: [&str; 5] = ["merge", "squash", "rebase", "rebase-merge", "fast-forward-only"];

/// Two steps, the second with an approval.
const STRATEGY: &str = "{steps: [{replicas: 1}, {replicas: 100%, approval: {}}]}";

/// Ann pushes the first version, then nobody pushes to `main` any more.
fn begin(scene: &Scene, project: &Project<'_>, ann: &Clone) {
    scene.write(ann, "A", "First version");
    ann.git(&["push", "--quiet", "origin", "main"]);
    project.guard("");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn merged_pull_requests_are_rollouts_approvals_and_reverts_however_they_are_merged() {
    let forge = Forge::shared();
    let scene = Scene::new("forge-ways", "InPlaceOnly", STRATEGY);
    let project = forge.project("forge-ways");
    let (ann, bo) = (project.clone("ann"), project.clone("bo"));
    begin(&scene, &project, &ann);
    let _daemon = scene
        .daemon(&project.url(), &format!("git: {{tokenFile: {}}}", forge.file("triton.token").display()));
    scene.pods(&[("A", 4)]);
    let first = scene.uids();
    for (how, (old, new)) in WAYS.iter().zip([("A", "B"), ("B", "C"), ("C", "D"), ("D", "E"), ("E", "F")]) {
        let bump =
            project.propose(&bo, &format!("bump-{new}"), |bo| scene.write(bo, new, &format!("Ship {new}")));
        assert!(bump.refusal("ann").contains("approvals"), "nobody has reviewed it");
        bump.review("ann").merge("ann", how);
        scene.pods(&[(old, 3), (new, 1)]);
        bo.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
        let branch = scene.approve(&bo);
        project.open("bo", &branch).review("ann").merge("ann", how);
        scene.pods(&[(new, 4)]);
    }
    assert_eq!(scene.uids(), first, "every pod was updated in place");
}
