//! Who may approve on a forge, what a guarded branch refuses, and what the daemon makes of one that is not guarded.

use reqwest::Method;
use serde_json::Value;

use crate::cluster::forge::{Forge, Project};
use crate::cluster::forge_scene::Scene;

/// Two steps, the second with an approval of somebody who has not written the release.
const OTHERS: &str = "{steps: [{replicas: 1}, {replicas: 100%, approval: {notAuthor: true}}]}";

/// Two steps, the second with an approval.
const STRATEGY: &str = "{steps: [{replicas: 1}, {replicas: 100%, approval: {}}]}";

/// How the daemon gets in over HTTP.
fn token(forge: &Forge) -> String {
    format!("git: {{tokenFile: {}}}", forge.file("triton.token").display())
}

/// Who wrote the newest commit on `main`, by the forge's own account.
fn author(forge: &Forge, project: &Project<'_>) -> String {
    let commits = forge.ask("ann", Method::GET, &project.path("/commits?limit=1&sha=main"), &Value::Null);
    commits[0]["commit"]["author"]["name"].as_str().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn whoever_wrote_a_release_does_not_approve_it_by_a_squash_that_somebody_else_merges() {
    let forge = Forge::shared();
    let scene = Scene::new("forge-people", "InPlaceIfPossible", OTHERS);
    let project = forge.project("forge-people");
    let (ann, bo) = (project.clone("ann"), project.clone("bo"));
    scene.write(&ann, "A", "First version");
    ann.git(&["push", "--quiet", "origin", "main"]);
    let _daemon = scene.daemon(&project.url(), &token(&forge));
    scene.pods(&[("A", 4)]);
    project.propose(&bo, "bump-B", |bo| scene.write(bo, "B", "Ship B")).merge("ann", "squash");
    scene.pods(&[("A", 3), ("B", 1)]);
    // Without a policy about people nobody can be told apart.
    scene.hold(&["policy: ", "people"]);
    scene.configure(&format!("{}\npeople: {{from: commit-authors}}", token(&forge)));
    scene.hold(&["approval: "]);

    // Bo's marker, merged by Ann: what a squash makes is written by Bo.
    bo.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    let branch = scene.approve(&bo);
    project.open("bo", &branch).merge("ann", "squash");
    assert_eq!(author(&forge, &project), "Bo");
    let ignored = scene.ignored();
    assert!(ignored.contains("Bo"), "{ignored}");
    scene.hold(&["approval: "]);
    scene.pods(&[("A", 3), ("B", 1)]);

    // Ann's own, merged by Bo.
    ann.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    let branch = scene.approve(&ann);
    project.open("ann", &branch).merge("bo", "squash");
    scene.pods(&[("B", 4)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_merge_commit_is_the_approval_of_whoever_merges() {
    let forge = Forge::shared();
    let scene = Scene::new("forge-merger", "InPlaceIfPossible", OTHERS);
    let project = forge.project("forge-merger");
    let (ann, bo) = (project.clone("ann"), project.clone("bo"));
    scene.write(&ann, "A", "First version");
    ann.git(&["push", "--quiet", "origin", "main"]);
    let _daemon =
        scene.daemon(&project.url(), &format!("{}\npeople: {{from: commit-authors}}", token(&forge)));
    scene.pods(&[("A", 4)]);
    project.propose(&bo, "bump-B", |bo| scene.write(bo, "B", "Ship B")).merge("ann", "merge");
    scene.pods(&[("A", 3), ("B", 1)]);
    bo.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    let branch = scene.approve(&bo);
    project.open("bo", &branch).merge("ann", "merge");
    scene.pods(&[("B", 4)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_guarded_branch_takes_approvals_by_pull_request_and_nothing_else() {
    let forge = Forge::shared();
    let scene = Scene::new("forge-guard", "InPlaceIfPossible", STRATEGY);
    let project = forge.project("forge-guard");
    let (ann, bo) = (project.clone("ann"), project.clone("bo"));
    scene.write(&ann, "A", "First version");
    ann.git(&["push", "--quiet", "origin", "main"]);
    project.guard("**/approvals/**");
    let _daemon = scene.daemon(&project.url(), &token(&forge));
    scene.pods(&[("A", 4)]);
    project.propose(&bo, "bump-B", |bo| scene.write(bo, "B", "Ship B")).review("ann").merge("ann", "merge");
    scene.pods(&[("A", 3), ("B", 1)]);

    bo.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
    let said = scene.types_wrong(&bo, &["approve", "forge-guard/checkout", "--push"]);
    assert!(said.contains("main takes pull requests only, it seems"), "{said}");
    bo.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    for push in [["--force", "HEAD~1:main"], ["--delete", "main"]] {
        let said = bo.refused(&["push", "origin", push[0], push[1]]);
        assert!(said.contains("protected") || said.contains("rejected"), "{said}");
    }

    // What is below approvals/ takes the administrator, whoever has reviewed it.
    bo.put("NOTES", "not ready to be sent", "Notes");
    let branch = scene.approve(&bo);
    let pull = project.open("bo", &branch).review("ann");
    let said = pull.refusal("bo");
    assert!(said.contains("protected"), "{said}");
    assert_eq!(pull.files(), 1, "the marker is alone in it");
    pull.merge_anyway("ann");
    scene.pods(&[("B", 4)]);
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn a_force_push_and_a_deleted_branch_stop_what_is_new_and_are_mended_without_a_restart() {
    let forge = Forge::shared();
    let scene = Scene::new("forge-force", "InPlaceIfPossible", STRATEGY);
    let project = forge.project("forge-force");
    let bo = project.clone("bo");
    scene.write(&bo, "A", "First version");
    bo.git(&["push", "--quiet", "origin", "main"]);
    let _daemon = scene.daemon(&project.url(), &token(&forge));
    scene.pods(&[("A", 4)]);
    scene.write(&bo, "B", "Ship B");
    bo.git(&["push", "--quiet", "origin", "main"]);
    scene.pods(&[("A", 3), ("B", 1)]);

    bo.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    scene.write(&bo, "C", "Ship C in its place");
    bo.git(&["push", "--quiet", "--force", "origin", "main"]);
    let head = bo.git(&["rev-parse", "HEAD"]);
    scene.hold(&["git: ", "was rewritten", &head[..7]]);
    scene.pods(&[("A", 3), ("B", 1)]);
    let access = token(&forge).replace('}', &format!(", acceptHead: {head}}}"));
    scene.configure(&access);
    scene.pods(&[("A", 3), ("C", 1)]);

    // The forge keeps its default branch from being deleted, whoever asks: another one is made that, first.
    bo.git(&["push", "--quiet", "origin", "main:other"]);
    let default = serde_json::json!({"default_branch": "other"});
    forge.ask("ann", Method::PATCH, &project.path(""), &default);
    bo.git(&["push", "--quiet", "--delete", "origin", "main"]);
    scene.hold(&["git: ", "has no branch `main`", "`other`"]);
    scene.pods(&[("A", 3), ("C", 1)]);
    bo.git(&["push", "--quiet", "origin", "main"]);
    scene.types(&bo, &["approve", "forge-force/checkout", "--push"]);
    scene.pods(&[("C", 4)]);
    scene.complete("C");
}
