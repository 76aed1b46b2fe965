//! `triton restart` in a clone: one commit that starts pods anew, and what `triton plan` says of it.

use triton::cli::clone::PublishArgs;
use triton::cli::output::Printer;
use triton::cli::restart::{self, RestartArgs};

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
    repo.commit("Five releases of one shop");
    repo
}

fn args(repo: &Repo, name: &str) -> RestartArgs {
    RestartArgs {
        release: name.parse().unwrap(),
        reason: None,
        dir: repo.path().to_owned(),
        publish: PublishArgs::default(),
    }
}

fn run(args: &RestartArgs, second: u32) -> Result<(), String> {
    let now = format!("2026-01-02T03:04:{second:02}.5Z").parse().unwrap();
    restart::run(args, now, &Printer::SILENT).map(drop).map_err(|error| error.to_string())
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
