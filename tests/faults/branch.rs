//! The branch itself: renamed, emptied, made again, with clocks that nobody set.

use triton::controller::source;
use triton::git::{Limits, Mirror, Remote};
use triton::world::Fault;

use crate::daemon::stage::Stage;
use crate::faults::{GATED, Reader, STEPS, release};
use crate::repo::Repo;

/// A stage on which 1.1.0 waits at its first step for an approval.
async fn waiting() -> Stage {
    let mut stage = Stage::set();
    stage.release("1.0.0", GATED);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.release("1.1.0", GATED);
    stage.until("it waits", |it| it.waits_for() == "approval").await;
    stage
}

fn as_it_was(stage: &Stage) {
    let pods = [("example/checkout:1.0.0".to_owned(), 3), ("example/checkout:1.1.0".to_owned(), 1)];
    assert_eq!(stage.pods(), pods.into());
}

/// What the first hold of `checkout` says, and what it offers.
fn hold(stage: &Stage) -> (String, String) {
    let hold = &stage.record("checkout")["status"]["holds"][0];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (text(&hold["message"]), text(&hold["lift"]["command"]))
}

#[tokio::test(start_paused = true)]
async fn a_renamed_branch_is_told_with_its_new_name_and_moves_nothing() {
    let stage = waiting().await;
    stage.repo.git(&["branch", "-m", "main", "trunk"]);
    stage.until("it says so", |it| it.waits_for() == "git").await;
    let (message, command) = hold(&stage);
    assert!(message.contains("has no branch `main`; it has `trunk`"), "{message}");
    assert!(command.contains("--branch"), "{command}");
    stage.wait(120).await;
    as_it_was(&stage);
    stage.repo.git(&["branch", "-m", "trunk", "main"]);
    stage.until("it waits again", |it| it.waits_for() == "approval").await;
    as_it_was(&stage);
}

#[tokio::test(start_paused = true)]
async fn an_emptied_repository_deletes_nothing_and_says_what_to_push() {
    let mut stage = waiting().await;
    std::fs::remove_dir_all(stage.repo.file(".git")).unwrap();
    stage.repo.git(&["init", "--quiet", "--initial-branch=main"]);
    stage.until("it says so", |it| it.waits_for() == "git").await;
    let (message, command) = hold(&stage);
    assert!(message.ends_with("is empty: push a first commit to branch `main`"), "{message}");
    assert_eq!(command, "git push");
    stage.wait(120).await;
    as_it_was(&stage);
    stage.kill().await;
    stage.start();
    stage.wait(120).await;
    as_it_was(&stage);
    assert_eq!(stage.waits_for(), "git");
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_is_made_again_with_other_commits_is_not_followed() {
    let stage = waiting().await;
    let before = stage.repo.id("HEAD");
    stage.repo.git(&["checkout", "--quiet", "--detach"]);
    stage.repo.git(&["branch", "-D", "main"]);
    stage.until("it says so", |it| it.waits_for() == "git").await;
    stage.repo.git(&["checkout", "--quiet", "--orphan", "main"]);
    let made = stage.repo.put("releases/shop/checkout.yaml", &release("checkout", "2.0.0", STEPS));
    stage.until("it is refused", |it| hold(it).0.contains("rewritten")).await;
    stage.wait(120).await;
    as_it_was(&stage);
    let (message, command) = hold(&stage);
    assert!(message.contains(&made.short()) && message.contains(&before.short()), "{message}");
    assert_eq!(command, format!("git: {{acceptHead: {made}}}"));
}

/// One commit of a stream, dated, with files; the first of a stream goes on from what the branch has.
fn dated(who: &str, date: &str, goes_on: bool, files: &[(&str, &str)]) -> String {
    let from = if goes_on { "from refs/heads/main^0\n" } else { "" };
    let mut text =
        format!("commit refs/heads/main\ncommitter {who} <{who}@example.com> {date}\ndata 1\nx\n{from}");
    for (path, content) in files {
        text.push_str(&format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len()));
    }
    text
}

#[test]
fn the_line_decides_and_no_clock() {
    // The spec comes from the far future, the approval from before there were computers; then clocks run wild.
    let repo = Repo::new();
    let spec = release("checkout", "1", GATED);
    repo.import(
        dated("Ann", "4102444800 +0000", false, &[("releases/shop/checkout.yaml", &spec)]).as_bytes(),
    );
    let first = repo.id("main");
    let mut reader = Reader::new();
    let digest = reader.intent(&repo).release.digest.long();
    let marker = format!("approvals/shop/checkout/{digest}/2.a.yaml");
    let mut stream = dated("Bob", "0 +0000", true, &[(&marker, "")]);
    for date in ["99999999999 +0000", "1 +9999", "1700000000 -1400"] {
        stream.push_str(&dated("Eve", date, false, &[("README.md", date)]));
    }
    repo.import(stream.as_bytes());
    for mut reader in [reader, Reader::new()] {
        let intent = reader.intent(&repo);
        assert_eq!(intent.episode.as_ref().unwrap().first, first);
        let approver = intent.markers[0].counts.as_ref().unwrap();
        assert_eq!(approver.name, "Bob");
    }
}

/// Git itself has no word for such a date, and libgit2 does not read the commit: nothing after it can be followed.
#[test]
fn a_commit_whose_date_is_no_date_is_refused_by_its_name_and_fetched_once() {
    let repo = Repo::new();
    repo.put("releases/shop/checkout.yaml", &release("checkout", "1", GATED));
    let state = tempfile::tempdir().unwrap();
    let remote = Remote::new(repo.path().to_str().unwrap(), "main").unwrap();
    let mut mirror = Mirror::open(state.path(), remote, Limits::default()).unwrap();
    let before = mirror.poll().unwrap().head();
    repo.import(dated("Eve", "18446744073709551615 +0000", true, &[("README.md", "x")]).as_bytes());
    let head = repo.id("main").to_string();
    for _ in 0..3 {
        let error = mirror.poll().unwrap_err();
        let Fault::Refused { message, lift } = source::fault(&error) else { panic!("{error:?}") };
        assert!(message.contains(&head), "{message}");
        assert_eq!(lift.command.as_deref(), Some("take it out of the branch"));
        assert_eq!(mirror.head().unwrap(), Some(before));
    }
    let packs = std::fs::read_dir(state.path().join("mirror-1.git/objects/pack")).unwrap();
    let packs = packs.flatten().filter(|file| file.path().extension().is_some_and(|it| it == "pack")).count();
    assert!(packs <= 2, "{packs} packs");
}
