//! `triton approve` and `triton rollback` in a clone, by the `git` program.

use triton::cli::approve::{self, ApproveArgs};
use triton::cli::clone::PublishArgs;
use triton::cli::freeze::{self, FreezeArgs, UnfreezeArgs};
use triton::cli::output::Printer;
use triton::cli::records::ClusterArgs;
use triton::cli::rollback::{self, RollbackArgs};
use triton::cli::step::{self, StepArgs};

use crate::repo::Repo;

/// A clone of the example, with somebody to commit as.
fn example() -> Repo {
    let repo = Repo::new();
    identify(&repo);
    triton::cli::example::write(repo.path()).unwrap();
    repo.commit("Six releases of one shop");
    repo
}

fn identify(repo: &Repo) {
    for (key, value) in [("user.name", "Bo"), ("user.email", "bo@example.com"), ("commit.gpgsign", "false")] {
        repo.git(&["config", key, value]);
    }
}

/// An origin that nobody works in, and a clone of it.
fn with_origin() -> (Repo, Repo) {
    let origin = Repo::new();
    origin.git(&["config", "core.bare", "true"]);
    let repo = example();
    repo.git(&["remote", "add", "origin", &origin.path().display().to_string()]);
    (origin, repo)
}

fn ship(repo: &Repo, from: &str, to: &str) {
    let path = "releases/shop/checkout.yaml";
    let text = std::fs::read_to_string(repo.file(path)).unwrap();
    repo.put(path, &text.replace(&format!("checkout:{from}"), &format!("checkout:{to}")));
}

fn checkout(repo: &Repo) -> ApproveArgs {
    ApproveArgs::of("shop/checkout".parse().unwrap(), repo.path())
}

fn approve(args: &ApproveArgs) -> Result<(), String> {
    approve::run(args, &Printer::SILENT).map(drop).map_err(|error| error.to_string())
}

fn rollback_args(repo: &Repo, to: &str) -> RollbackArgs {
    RollbackArgs {
        release: "shop/checkout".parse().unwrap(),
        to: Some(to.to_owned()),
        dir: repo.path().to_owned(),
        publish: PublishArgs::default(),
        cluster: ClusterArgs::default(),
    }
}

fn run_rollback(args: &RollbackArgs) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(rollback::run(args, &Printer::SILENT)).map(drop).map_err(|error| error.to_string())
}

fn roll_back(repo: &Repo, to: &str) -> Result<(), String> {
    run_rollback(&rollback_args(repo, to))
}

/// The files that HEAD changed, and how: `A path`, with words and digests left out.
fn changed(repo: &Repo) -> Vec<String> {
    let said = repo.git(&["show", "--format=", "--name-status", "--no-renames", "HEAD"]);
    let plain = |line: &str| {
        let parts = line.replace('\t', " ");
        let named = |part: &str| {
            let digest = part.len() == 32;
            let marker = part.matches('.').count() == 2 && part.ends_with(".yaml");
            match (digest, marker) {
                (true, _) => "DIGEST".to_owned(),
                (_, true) => format!("{}.WORD.yaml", part.split('.').next().unwrap()),
                _ => part.to_owned(),
            }
        };
        parts.split('/').map(named).collect::<Vec<_>>().join("/")
    };
    said.lines().map(plain).collect()
}

#[test]
fn an_approval_is_one_commit_with_one_marker() {
    let repo = example();
    approve(&checkout(&repo)).unwrap();
    assert_eq!(changed(&repo), ["A approvals/shop/checkout/DIGEST/2.WORD.yaml"]);
    let message = repo.git(&["log", "-1", "--format=%an: %s"]);
    assert!(message.starts_with("Bo: Approve step 2 (50%) of shop/checkout 2.4.0 ("), "{message}");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn what_else_is_staged_stays_out_of_the_approval() {
    let repo = example();
    repo.write("notes.txt", "mine");
    repo.git(&["add", "notes.txt"]);
    approve(&checkout(&repo)).unwrap();
    assert_eq!(changed(&repo), ["A approvals/shop/checkout/DIGEST/2.WORD.yaml"]);
    assert_eq!(repo.git(&["status", "--porcelain"]), "A  notes.txt");
}

#[test]
fn an_approval_sweeps_the_dead_markers_of_its_own_release() {
    let repo = example();
    approve(&checkout(&repo)).unwrap();
    repo.put("approvals/shop/cart/0123456789abcdef0123456789abcdef/3.x.yaml", "");
    ship(&repo, "2.4.0", "2.4.1");
    approve(&checkout(&repo)).unwrap();
    let marker = "approvals/shop/checkout/DIGEST/2.WORD.yaml";
    let mut found = changed(&repo);
    found.sort();
    assert_eq!(found, [format!("A {marker}"), format!("D {marker}")]);
}

#[test]
fn approving_what_needs_no_approval_is_refused_with_a_reason() {
    let repo = example();
    let step = |step| ApproveArgs { step: Some(step), ..checkout(&repo) };
    assert_eq!(approve(&step(9)).unwrap_err(), "shop/checkout has steps 1 to 3, no step 9");
    assert_eq!(approve(&step(1)).unwrap_err(), "step 1 of shop/checkout asks for no approval");
    let mailer = ApproveArgs::of("shop/mailer".parse().unwrap(), repo.path());
    assert_eq!(approve(&mailer).unwrap_err(), "no step of shop/mailer asks for an approval");
    let nobody = ApproveArgs::of("shop/nobody".parse().unwrap(), repo.path());
    assert_eq!(approve(&nobody).unwrap_err(), "HEAD has no release shop/nobody");
}

#[test]
fn an_approval_of_an_earlier_time_is_given_again_under_a_new_name() {
    let repo = example();
    ship(&repo, "2.4.0", "2.4.1");
    approve(&checkout(&repo)).unwrap();
    assert!(approve(&checkout(&repo)).unwrap_err().contains("has every approval"));
    ship(&repo, "2.4.1", "2.4.0");
    ship(&repo, "2.4.0", "2.4.1");
    approve(&checkout(&repo)).unwrap();
    assert_eq!(changed(&repo), ["A approvals/shop/checkout/DIGEST/2.WORD.yaml"]);
}

#[test]
fn an_approval_that_may_not_count_keeps_nobody_from_giving_another() {
    let repo = example();
    let path = "releases/shop/checkout.yaml";
    let text = std::fs::read_to_string(repo.file(path)).unwrap();
    repo.write(
        path,
        &text.replace("approval: {}", "approval: { notAuthor: true }").replace("2.4.0", "2.4.1"),
    );
    repo.commit_as("Bo", "Bo wrote it");
    approve(&checkout(&repo)).unwrap();
    repo.git(&["config", "user.email", "ann@example.com"]);
    approve(&checkout(&repo)).unwrap();
    assert!(approve(&checkout(&repo)).unwrap_err().contains("has every approval"));
    // The daemon may know Ann for a bot.
    approve(&ApproveArgs { step: Some(2), ..checkout(&repo) }).unwrap();
}

#[test]
fn a_skip_carries_its_reason() {
    let repo = example();
    let skip = ApproveArgs { skip: true, reason: Some("fire: \"now\"".into()), ..checkout(&repo) };
    approve(&skip).unwrap();
    assert_eq!(changed(&repo), ["A approvals/shop/checkout/DIGEST/skip.WORD.yaml"]);
    let path = repo.git(&["show", "--format=", "--name-only", "HEAD"]);
    let text = std::fs::read(repo.file(&path)).unwrap();
    assert_eq!(triton::spec::read_marker(&text, true), Ok(Some("fire: \"now\"".to_owned())));
}

#[test]
fn a_removal_is_approved_by_the_full_id_of_its_commit() {
    let repo = example();
    repo.remove("releases/shop/mailer.yaml");
    let removed = repo.commit("Remove the mailer");
    let removal =
        |commit: &str| ApproveArgs { release: None, removal: Some(commit.to_owned()), ..checkout(&repo) };
    approve(&removal("HEAD")).unwrap();
    assert_eq!(changed(&repo), [format!("A approvals/removal/{removed}.yaml")]);
    assert!(approve(&removal(&removed.to_string())).unwrap_err().contains("approved already"));
}

#[test]
fn for_a_pull_request_the_commit_stands_on_a_branch_of_its_own() {
    let (origin, repo) = with_origin();
    let before = repo.id("HEAD");
    let publish = PublishArgs { pr: true, push: false };
    approve(&ApproveArgs { publish, ..checkout(&repo) }).unwrap();
    assert_eq!(repo.id("main"), before, "main stays where it was");
    let branches = origin.git(&["for-each-ref", "--format=%(refname:short)"]);
    assert!(branches.starts_with("triton/approve-shop-checkout-") && branches.ends_with("-2"), "{branches}");
}

#[test]
fn a_push_sends_the_branch() {
    let (origin, repo) = with_origin();
    let publish = PublishArgs { pr: false, push: true };
    approve(&ApproveArgs { publish, ..checkout(&repo) }).unwrap();
    assert_eq!(origin.id("main"), repo.id("main"));
}

#[test]
fn a_push_that_is_refused_leaves_the_commit_and_says_how_to_go_on() {
    let (origin, repo) = with_origin();
    origin.git(&["config", "core.bare", "false"]);
    let publish = PublishArgs { pr: false, push: true };
    let error = approve(&ApproveArgs { publish, ..checkout(&repo) }).unwrap_err();
    assert!(error.starts_with("the commit is made but not sent: "), "{error}");
    assert!(!error.contains("hint:") && !error.contains("remote: "), "{error}");
    assert_eq!(changed(&repo), ["A approvals/shop/checkout/DIGEST/2.WORD.yaml"]);
}

#[test]
fn pods_that_wait_to_serve_are_let_in_by_one_commit_for_the_lowest_step_that_waits() {
    let repo = example();
    let serve = |name: &str| {
        let args = ApproveArgs::of(format!("shop/{name}").parse().unwrap(), repo.path());
        ApproveArgs { serve: true, ..args }
    };
    approve(&serve("search")).unwrap();
    assert_eq!(changed(&repo), ["A approvals/shop/search/DIGEST/serve-1.WORD.yaml"]);
    let said = repo.git(&["log", "-1", "--format=%s"]);
    assert!(said.starts_with("Let the pods of step 1 of shop/search 7.1.3 ("), "{said}");
    let again = approve(&serve("search")).unwrap_err();
    assert_eq!(again, "shop/search 7.1.3 has every approval to serve that its steps ask for");
    let beyond = |step| approve(&ApproveArgs { step: Some(step), ..serve("search") }).unwrap_err();
    assert_eq!(
        beyond(2),
        "pods of step 2 of shop/search serve by themselves: it does not say `serve: approval`"
    );
    assert_eq!(beyond(9), "shop/search has steps 1 to 3, no step 9");
    let none = approve(&serve("checkout")).unwrap_err();
    assert_eq!(none, "pods of shop/checkout serve by themselves: no step says `serve: approval`");
}

#[test]
fn a_step_is_one_commit_that_changes_one_number() {
    let repo = example();
    let step = |name: &str, step| {
        let (release, dir) = (format!("shop/{name}").parse().unwrap(), repo.path().to_owned());
        let args = StepArgs { release, step, dir, publish: PublishArgs::default() };
        step::run(&args, &Printer::SILENT).map(drop).map_err(|error| error.to_string())
    };
    step("search", 2).unwrap();
    assert_eq!(changed(&repo), ["M releases/shop/search.yaml"]);
    let said = repo.git(&["show", "--format=%s", "--unified=0", "HEAD"]);
    assert!(said.starts_with("Let shop/search 7.1.3 go as far as step 2"), "{said}");
    assert!(said.ends_with("-  step: 1\n+  step: 2"), "{said}");
    assert_eq!(step("search", 2).unwrap_err(), "spec.step of shop/search is 2 already");
    assert_eq!(step("search", 4).unwrap_err(), "shop/search has steps 1 to 3, no step 4");
}

#[test]
fn a_rollback_brings_back_the_files_of_its_release_only() {
    let repo = example();
    ship(&repo, "2.4.0", "2.4.1");
    let search = "releases/shop/search.yaml";
    let newer = std::fs::read_to_string(repo.file(search)).unwrap().replace("7.1.3", "7.1.4");
    repo.put(search, &newer);
    roll_back(&repo, "HEAD~2").unwrap();
    assert_eq!(changed(&repo), ["M releases/shop/checkout.yaml"]);
    assert_eq!(repo.git(&["diff", "HEAD~3", "HEAD", "--", "releases/shop/checkout.yaml"]), "");
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "Roll shop/checkout back to 2.4.0");
}

#[test]
fn a_rollback_keeps_the_size_of_now_and_brings_back_no_old_step_or_suspension() {
    let repo = example();
    let path = "releases/shop/checkout.yaml";
    let edit = |from: &str, to: &str| {
        let text = std::fs::read_to_string(repo.file(path)).unwrap();
        assert!(text.contains(from), "{from}");
        repo.put(path, &text.replacen(from, to, 1));
    };
    edit("spec:\n", "spec:\n  step: 1\n  suspend: true\n");
    edit("  step: 1\n  suspend: true\n", "  step: 3\n");
    edit("replicas: 10\n", "replicas: 14\n");
    edit("checkout:2.4.0", "checkout:2.4.1");
    roll_back(&repo, "HEAD~3").unwrap();
    let diff = repo.git(&["diff", "--unified=0", "HEAD~1", "HEAD", "--", path]);
    let changed: Vec<&str> = diff.lines().filter(|line| line.starts_with(['+', '-'])).skip(2).collect();
    let image = |sign: &str, tag: &str| format!("{sign}        image: registry.example/shop/checkout:{tag}");
    assert_eq!(changed, [image("-", "2.4.1"), image("+", "2.4.0")]);
    let message = repo.git(&["log", "-1", "--format=%B"]);
    for kept in
        ["Keeps spec.replicas: 14, not 10.", "Keeps spec.step: 3, not 1.", "Keeps no spec.suspend, not true."]
    {
        assert!(message.contains(kept), "{message}");
    }
}

#[test]
fn a_rollback_leaves_the_autoscaler_as_it_is() {
    let repo = example();
    let path = "releases/shop/frontend.yaml";
    let before = std::fs::read_to_string(repo.file(path)).unwrap();
    assert!(before.contains("maxReplicas: "), "{before}");
    let scaled = before.replace("maxReplicas: ", "maxReplicas: 9");
    repo.put(path, &scaled.replace("5.0.2", "5.0.3"));
    let args = RollbackArgs { release: "shop/frontend".parse().unwrap(), ..rollback_args(&repo, "HEAD~1") };
    run_rollback(&args).unwrap();
    assert_eq!(std::fs::read_to_string(repo.file(path)).unwrap(), scaled);
}

#[test]
fn a_release_that_was_removed_is_brought_back_as_it_was() {
    let repo = example();
    repo.remove("releases/shop/checkout.yaml");
    repo.commit("Remove it");
    roll_back(&repo, "HEAD~1").unwrap();
    assert_eq!(changed(&repo), ["A releases/shop/checkout.yaml"]);
    assert_eq!(repo.git(&["diff", "HEAD~2", "HEAD"]), "");
}

#[test]
fn a_rollback_to_what_is_there_or_over_changes_is_refused() {
    let repo = example();
    assert!(roll_back(&repo, "HEAD").unwrap_err().contains("already"));
    ship(&repo, "2.4.0", "2.4.1");
    let path = "releases/shop/checkout.yaml";
    let text = std::fs::read_to_string(repo.file(path)).unwrap();
    repo.write(path, &format!("{text}\n# mine\n"));
    assert!(roll_back(&repo, "HEAD~1").unwrap_err().contains("not committed"));
}

#[test]
fn nothing_is_committed_in_the_middle_of_a_revert() {
    let repo = example();
    ship(&repo, "2.4.0", "2.4.1");
    repo.git(&["update-ref", "REVERT_HEAD", "HEAD"]);
    let head = repo.id("main");
    let error = approve(&checkout(&repo)).unwrap_err();
    assert_eq!(error, "a git revert is under way in this clone");
    assert_eq!(repo.id("main"), head);
}

fn freeze(repo: &Repo, dir: &str) -> Result<(), String> {
    let publish = PublishArgs::default();
    let args = FreezeArgs { dir: repo.file(dir), reason: "stock: \"taking\"".into(), until: None, publish };
    freeze::freeze(&args, &Printer::SILENT).map(drop).map_err(|error| error.to_string())
}

fn unfreeze(repo: &Repo, dir: &str) -> Result<(), String> {
    let args = UnfreezeArgs { dir: repo.file(dir), publish: PublishArgs::default() };
    freeze::unfreeze(&args, &Printer::SILENT).map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_freeze_is_one_commit_that_adds_a_file_and_an_unfreeze_one_that_removes_it() {
    let repo = example();
    freeze(&repo, "").unwrap();
    assert_eq!(changed(&repo), ["A freeze.yaml"]);
    let (frozen, mistakes) =
        triton::spec::read_freeze("freeze.yaml", &std::fs::read(repo.file("freeze.yaml")).unwrap());
    assert_eq!((frozen.reason.as_str(), mistakes.len()), ("stock: \"taking\"", 0));
    assert!(freeze(&repo, "").unwrap_err().contains("freezes it already: stock"));
    unfreeze(&repo, "").unwrap();
    assert_eq!(changed(&repo), ["D freeze.yaml"]);
    assert!(unfreeze(&repo, "").unwrap_err().contains("has no freeze.yaml"));
}

#[test]
fn a_freeze_stands_in_the_directory_that_was_named_and_only_where_it_stops_something() {
    let repo = example();
    freeze(&repo, "releases/shop/cart").unwrap();
    assert_eq!(changed(&repo), ["A releases/shop/cart/freeze.yaml"]);
    std::fs::create_dir_all(repo.file("docs")).unwrap();
    assert_eq!(freeze(&repo, "docs").unwrap_err(), "there is no release below docs");
}

#[test]
fn a_release_without_a_step_gets_one_and_keeps_its_comments() {
    let repo = example();
    let path = "releases/shop/checkout.yaml";
    let before = std::fs::read_to_string(repo.file(path)).unwrap();
    let args = StepArgs {
        release: "shop/checkout".parse().unwrap(),
        step: 2,
        dir: repo.path().to_owned(),
        publish: PublishArgs::default(),
    };
    step::run(&args, &Printer::SILENT).unwrap();
    assert_eq!(changed(&repo), [format!("M {path}")]);
    let after = std::fs::read_to_string(repo.file(path)).unwrap();
    assert_eq!(after, before.replacen("spec:\n", "spec:\n  step: 2\n", 1));
    assert_eq!(
        step::run(&args, &Printer::SILENT).unwrap_err().to_string(),
        "spec.step of shop/checkout is 2 already"
    );
}
