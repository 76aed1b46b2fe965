//! `triton restart` in a clone: one commit that starts pods anew, and what `triton plan` says of it.

use triton::cli::clone::PublishArgs;
use triton::cli::output::Printer;
use triton::cli::records::ClusterArgs;
use triton::cli::restart::{self, RestartArgs};
use triton::devcluster::Denial;

use crate::daemon::stage::Stage;
use crate::daemon::{STEPS, proven};
use crate::repo::Repo;

const MAILER: &str = "releases/shop/mailer.yaml";

/// A clone of the example, with somebody to commit as. Pods of the mailer are made anew.
fn example() -> Repo {
    let repo = Repo::new();
    for (key, value) in [("user.name", "Bo"), ("user.email", "bo@example.com"), ("commit.gpgsign", "false")] {
        repo.git(&["config", key, value]);
    }
    triton::cli::example::write(repo.path()).unwrap();
    let text = std::fs::read_to_string(repo.file(MAILER)).unwrap();
    repo.write(MAILER, &text.replace("InPlaceIfPossible", "ReCreate"));
    repo.commit("Six releases of one shop");
    repo
}

fn args(repo: &Repo, name: &str) -> RestartArgs {
    RestartArgs {
        release: name.parse().unwrap(),
        reason: None,
        dir: repo.path().to_owned(),
        pods: None,
        publish: PublishArgs::default(),
        cluster: ClusterArgs::default(),
    }
}

fn run(args: &RestartArgs, second: u32) -> Result<(), String> {
    let now = format!("2026-01-02T03:04:{second:02}.5Z").parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(restart::run(args, now, &Printer::SILENT)).map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_restart_is_one_commit_that_sets_an_annotation_of_the_template() {
    let repo = example();
    let before = std::fs::read_to_string(repo.file(MAILER)).unwrap();
    let reason = Some("a leak of memory".to_owned());
    run(&RestartArgs { reason, ..args(&repo, "shop/mailer") }, 5).unwrap();
    let annotations =
        "    metadata:\n      annotations:\n        triton.io/restarted-at: \"2026-01-02T03:04:05Z\"\n";
    let after = before.replacen("    metadata:\n", annotations, 1);
    assert_eq!(std::fs::read_to_string(repo.file(MAILER)).unwrap(), after);
    let said = repo.git(&["log", "-1", "--format=%B"]);
    assert!(said.starts_with("Restart the pods of shop/mailer 1.9.0\n\na leak of memory"), "{said}");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_second_restart_changes_the_time_and_one_in_the_same_second_is_refused() {
    let repo = example();
    let mailer = args(&repo, "shop/mailer");
    run(&mailer, 5).unwrap();
    let refused = run(&mailer, 5).unwrap_err();
    assert_eq!(refused, "shop/mailer is restarted in this very second already");
    run(&mailer, 6).unwrap();
    let said = repo.git(&["show", "--format=", "--unified=0", "HEAD"]);
    let lines = "-        triton.io/restarted-at: \"2026-01-02T03:04:05Z\"\n+        triton.io/restarted-at: \"2026-01-02T03:04:06Z\"";
    assert!(said.ends_with(lines), "{said}");
}

#[test]
fn the_cloneset_may_stand_in_another_file_than_its_release() {
    let repo = example();
    let path = "releases/shop/cart/cloneset.yaml";
    let text = std::fs::read_to_string(repo.file(path)).unwrap();
    repo.put(path, &text.replace("InPlaceIfPossible", "ReCreate"));
    run(&args(&repo, "shop/cart"), 5).unwrap();
    assert_eq!(repo.git(&["show", "--format=", "--name-only", "HEAD"]), path);
}

#[test]
fn what_cannot_be_restarted_by_a_template_is_refused_with_the_reason() {
    let repo = example();
    assert_eq!(
        run(&args(&repo, "shop/checkout"), 5).unwrap_err(),
        "pods of shop/checkout are updated in place, and another annotation starts none of them again"
    );
    assert_eq!(run(&args(&repo, "shop/nobody"), 5).unwrap_err(), "HEAD has no release shop/nobody");
    repo.write(MAILER, &format!("{}# mine\n", std::fs::read_to_string(repo.file(MAILER)).unwrap()));
    let refused = run(&args(&repo, "shop/mailer"), 5).unwrap_err();
    assert_eq!(refused, format!("{MAILER} has changes that are not committed"));
}

/// `triton restart --pods` in the clone of a stage.
async fn replace(stage: &Stage, selector: &str) -> Result<(), String> {
    for (key, value) in [("user.name", "Bo"), ("user.email", "bo@example.com"), ("commit.gpgsign", "false")] {
        stage.repo.git(&["config", key, value]);
    }
    let args = args(&stage.repo, "shop/checkout");
    let done = restart::replace_in(&args, selector, &stage.client(), &Printer::SILENT).await;
    done.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_selector_are_named_in_one_commit_and_replaced_once() {
    let stage = proven(STEPS).await;
    let before = stage.pod_names();
    let first = format!("apps.kruise.io/cloneset-instance-id={}", before[0].rsplit_once('-').unwrap().1);
    assert_eq!(replace(&stage, "app=nobody").await.unwrap_err(), "no pod of shop/checkout fits app=nobody");
    let empty = "the selector of --pods is empty, and would name every pod";
    assert_eq!(replace(&stage, "").await.unwrap_err(), empty);
    replace(&stage, &first).await.unwrap();
    let said = stage.repo.git(&["show", "--format=%s", "--unified=0", "HEAD"]);
    assert!(said.starts_with("Replace 1 pod of shop/checkout"), "{said}");
    assert!(said.contains(&format!("replace: [{}]", before[0])), "{said}");
    let again = replace(&stage, &first).await.unwrap_err();
    assert_eq!(again, "spec.replace of shop/checkout names them already");
    let left = |stage: &Stage| {
        let now = stage.pod_names();
        (now.len(), before.iter().filter(|name| now.contains(name)).count())
    };
    stage.until("it is replaced", |it| left(it) == (4, 3) && it.phase() == "Healthy").await;
    stage.wait(300).await;
    assert_eq!((left(&stage), stage.history("Replace")), ((4, 3), 1));
    replace(&stage, "app=checkout").await.unwrap();
    stage.until("all are replaced", |it| left(it) == (4, 0) && it.phase() == "Healthy").await;
    let text = stage.repo.git(&["show", "HEAD:releases/shop/checkout.yaml"]);
    assert!(!text.contains(&before[0]), "one that is gone is named no more: {text}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_gone_before_anybody_looks_again_is_asked_for_once() {
    let stage = proven(STEPS).await;
    stage.controllers.turn(|knobs| (knobs.lag, knobs.write) = Default::default());
    stage.cluster.knobs().clear_writes();
    let notes = stage.history("Note");
    let before = stage.pod_names();
    let first = format!("apps.kruise.io/cloneset-instance-id={}", before[0].rsplit_once('-').unwrap().1);
    replace(&stage, &first).await.unwrap();
    let gone = |it: &Stage| it.pod_names().len() == 4 && !it.pod_names().contains(&before[0]);
    stage.until("it is replaced", gone).await;
    stage.wait(2).await;
    assert_eq!((stage.history("Replace"), stage.history("Note")), (1, notes + 1));
    let writes = stage.cluster.knobs().writes();
    let to_it = writes.iter().filter(|it| it.manager == "triton" && it.path.contains("/clonesets/checkout?"));
    assert_eq!(to_it.count(), 2, "one asks for it, one says that it is gone");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_evicted_is_not_named() {
    let stage = proven(STEPS).await;
    let store = stage.cluster.store();
    let evicted = stage.pod_names().remove(0);
    let mut pod = stage.object("pods", &evicted);
    pod["status"]["phase"] = "Failed".into();
    store.update_status("pods", "kubelet", pod).unwrap();
    stage.until("there is another one", |it| it.pod_names().len() == 5).await;
    replace(&stage, "app=checkout").await.unwrap();
    let text = stage.repo.git(&["show", "HEAD:releases/shop/checkout.yaml"]);
    assert!(text.contains("replace: [") && !text.contains(&evicted), "{text}");
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_look_at_a_pod_it_holds_and_says_which_and_a_new_version_goes_on() {
    let stage = proven(STEPS).await;
    let denial = Denial { verb: "get", plural: "pods".into(), namespace: None };
    stage.cluster.knobs().set(|faults| faults.denials.push(denial));
    replace(&stage, "app=checkout").await.unwrap();
    stage.until("it holds", |it| it.waits_for() == "cluster").await;
    let hold = stage.record("checkout")["status"]["holds"].to_string();
    assert!(hold.contains("resources: [\\\"pods\\\"], verbs: [\\\"get\\\"]"), "{hold}");
    stage.edit_release(|text| text.replace("checkout:1.0.0", "checkout:1.1.0"));
    stage.until("1.1.0 goes all its steps", |it| it.at() == "1.1.0 3/3").await;
    stage.cluster.knobs().set(|faults| faults.denials.clear());
    stage.until("it is healthy", |it| it.phase() == "Healthy").await;
}

#[tokio::test(start_paused = true)]
async fn a_way_back_does_not_wait_for_a_look_at_pods_that_is_never_answered() {
    let stage = proven(STEPS).await;
    stage.edit_release(|text| text.replace("checkout:1.0.0", "checkout:1.1.0"));
    stage.until("1.1.0 is complete", |it| it.at() == "1.1.0 3/3" && it.phase() == "Healthy").await;
    stage.cluster.knobs().set(|faults| faults.silent = Some(("get", "pods".to_owned())));
    replace(&stage, "app=checkout").await.unwrap();
    let holds = |it: &Stage| it.record("checkout")["status"]["holds"].to_string();
    stage.until("it looks at them", |it| holds(it).contains("once they were looked at")).await;
    let digest = stage.cloneset("checkout")["metadata"]["annotations"]["triton.io/digest"].clone();
    stage.annotate("triton.io/rollback", digest.as_str().unwrap());
    stage.wait(2).await;
    let image = stage.cloneset("checkout")["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert!(image.as_str().unwrap().ends_with("checkout:1.0.0"), "{image}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_word_among_the_pods_to_replace_holds_and_stops_nothing_else() {
    let stage = proven(STEPS).await;
    let one = stage.pod_names().remove(0);
    stage.edit_release(|text| {
        text.replacen("spec:\n", &format!("spec:\n  replace: [{one}, Web, {one}]\n"), 1)
    });
    stage.until("the pod is replaced", |it| !it.pod_names().contains(&one) && it.phase() == "Paused").await;
    let hold = stage.record("checkout")["status"]["holds"].to_string();
    assert!(
        hold.contains("cannot replace all that Git names: `spec.replace`: `Web` is not a valid name"),
        "{hold}"
    );
    stage.edit_release(|text| text.replace("checkout:1.0.0", "checkout:1.1.0"));
    stage.until("1.1.0 goes all its steps", |it| it.at() == "1.1.0 3/3").await;
    stage.edit_release(|text| text.replace("checkout:1.1.0", "checkout:1.0.0"));
    stage.until("it goes back", |it| it.history("RollBack") == 1 && it.phase() == "Paused").await;
}
