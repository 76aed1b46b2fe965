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
    // What was merged last is what is shipped: its revert takes every pod back, and asks nobody.
    let revert = project.propose(&bo, "revert", |bo| drop(bo.git(&["revert", "--no-edit", "HEAD~1"])));
    revert.review("ann").merge("ann", "squash");
    scene.pods(&[("E", 4)]);
    assert_eq!(scene.uids(), first, "every pod was updated in place");
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn over_ssh_commits_of_the_step_lead_a_rollout_and_a_bad_image_and_a_revert_take_it_back() {
    let forge = Forge::shared();
    let strategy = "{steps: [{replicas: 1}, {replicas: 50%}, {replicas: 100%}], deadline: 10s}";
    let scene = Scene::new("forge-steps", "ReCreate", strategy);
    let project = forge.project("forge-steps");
    let (ann, bo) = (project.clone("ann"), project.clone("bo"));
    begin(&scene, &project, &ann);
    let ships = |version: &str, step: u32| {
        let branch = format!("{version}-{step}");
        let pull = project.propose(&bo, &branch, |bo| {
            scene.write_with(bo, version, &format!("  step: {step}\n"), &format!("{version}, step {step}"));
        });
        pull.review("ann").merge("ann", "squash");
    };
    let (key, hosts) = (forge.file("triton.key"), forge.file("known_hosts"));
    let access = format!("git: {{sshKeyFile: {}, knownHostsFile: {}}}", key.display(), hosts.display());
    let _daemon = scene.daemon(&project.ssh_url(), &access);
    scene.pods(&[("A", 4)]);
    let first = scene.uids();
    ships("B", 1);
    scene.pods(&[("A", 3), ("B", 1)]);
    ships("B", 2);
    scene.pods(&[("A", 2), ("B", 2)]);
    ships("B", 3);
    scene.pods(&[("B", 4)]);
    assert!(scene.uids().iter().all(|id| !first.contains(id)), "every pod was made anew");

    // The bad one never gets beyond its first pod, and is taken back by itself.
    ships("C-bad", 1);
    scene.hold(&["failed: ", "C-bad"]);
    scene.pods(&[("B", 4)]);

    // A good one is reverted in the middle.
    ships("D", 1);
    ships("D", 2);
    scene.pods(&[("B", 2), ("D", 2)]);
    let revert = project
        .propose(&bo, "revert-D", |bo| drop(bo.git(&["revert", "--no-edit", "HEAD", "HEAD~1", "HEAD~2"])));
    revert.review("ann").merge("ann", "merge");
    scene.pods(&[("B", 4)]);
    scene.complete("B");
}
