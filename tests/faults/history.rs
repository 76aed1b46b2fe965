//! Histories of many parents and of many commits, and markers that come and go.

use crate::daemon::stage::Stage;
use crate::faults::{GATED, Reader, STEPS, release};
use crate::repo::Repo;

const FILE: &str = "releases/shop/checkout.yaml";

fn marker(reader: &mut Reader, repo: &Repo) -> String {
    format!("approvals/shop/checkout/{}/2.a.yaml", reader.intent(repo).release.digest.long())
}

/// What two daemons read: one that goes on, and one that has just been started.
fn both(reader: &mut Reader, repo: &Repo) -> [(String, Vec<Option<String>>); 2] {
    let read = |reader: &mut Reader| {
        let intent = reader.intent(repo);
        let markers = intent.markers.iter().map(|it| it.counts.as_ref().ok().map(|it| it.name.clone()));
        (intent.episode.as_ref().unwrap().first.to_string(), markers.collect())
    };
    [read(reader), read(&mut Reader::new())]
}

#[test]
fn an_octopus_is_one_commit_of_the_line_whatever_it_brings() {
    let (repo, mut reader) = (Repo::new(), Reader::new());
    repo.put(FILE, &release("checkout", "0", GATED));
    reader.read(&repo);
    // The spec, its approval and something else, each on a branch of its own, merged at once.
    repo.git(&["switch", "--quiet", "-c", "spec"]);
    repo.put(FILE, &release("checkout", "1", GATED));
    let digest = triton::spec::parse_file(release("checkout", "1", GATED).as_bytes());
    let files = [(FILE.to_owned(), std::sync::Arc::new(digest))].into();
    let read = triton::spec::assemble(&files, &triton::spec::RepositoryFile::default());
    let digest = read.releases.values().next().unwrap().as_ref().unwrap().digest.long();
    let marker = format!("approvals/shop/checkout/{digest}/2.a.yaml");
    repo.git(&["switch", "--quiet", "-c", "approval", "main"]);
    repo.put(&marker, "");
    repo.git(&["switch", "--quiet", "-c", "notes", "main"]);
    repo.put("README.md", "notes\n");
    repo.git(&["switch", "--quiet", "main"]);
    repo.git_as("Bob", &["merge", "--quiet", "--no-ff", "-m", "All at once", "spec", "approval", "notes"]);
    let octopus = repo.id("HEAD");
    assert_eq!(repo.git(&["rev-list", "--parents", "-1", "HEAD"]).split(' ').count(), 5);
    for (first, markers) in both(&mut reader, &repo) {
        assert_eq!(first, octopus.to_string());
        assert_eq!(markers, [None], "an approval comes after what it approves");
    }
    // One that comes with a later octopus counts, for who merged it.
    repo.git(&["rm", "--quiet", &marker]);
    repo.commit("Take it back");
    for branch in ["one", "two"] {
        repo.git(&["switch", "--quiet", "-c", branch, "main"]);
        repo.put(&format!("{branch}.md"), "x");
    }
    repo.put(&marker.replace("2.a", "2.b"), "");
    repo.git(&["switch", "--quiet", "main"]);
    repo.git_as("Bob", &["merge", "--quiet", "--no-ff", "-m", "Both", "one", "two"]);
    for (first, markers) in both(&mut reader, &repo) {
        assert_eq!(first, octopus.to_string());
        assert_eq!(markers, [Some("Bob".to_owned())]);
    }
}

#[test]
fn merges_that_cross_lead_the_line_through_one_of_them() {
    let (repo, mut reader) = (Repo::new(), Reader::new());
    repo.put(FILE, &release("checkout", "0", GATED));
    reader.read(&repo);
    repo.git(&["branch", "topic"]);
    let spec = repo.put(FILE, &release("checkout", "1", GATED));
    let marker = marker(&mut reader, &repo);
    repo.git(&["switch", "--quiet", "topic"]);
    repo.put("topic.md", "1");
    // Each of the two branches merges what the other one had.
    let (main, topic) = (repo.id("main").to_string(), repo.id("topic").to_string());
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "main into topic", &main]);
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "topic into main", &topic]);
    repo.write(&marker, "");
    repo.commit_as("Bob", "Approve");
    repo.git(&["switch", "--quiet", "topic"]);
    repo.put("topic.md", "2");
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "once more", "topic"]);
    for (first, markers) in both(&mut reader, &repo) {
        assert_eq!(first, spec.to_string());
        assert_eq!(markers, [Some("Bob".to_owned())]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_commits_at_once_are_one_rollout_of_the_last() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    for number in 1..=100 {
        stage.release(&format!("1.{number}.0"), STEPS);
    }
    stage.until("the last is healthy", |it| it.phase() == "Healthy" && it.at() == "1.100.0 3/3").await;
    assert_eq!(stage.pods(), [("example/checkout:1.100.0".to_owned(), 4)].into());
    assert_eq!(stage.history("Enter"), 3, "three steps");
}

#[tokio::test(start_paused = true)]
async fn a_marker_that_is_taken_back_stops_and_takes_no_pod_back() {
    let steps = "[{replicas: 1, soak: 30s}, {replicas: 50%, approval: {}, soak: 30s}, {replicas: 100%, approval: {}}]";
    let mut stage = Stage::set();
    stage.release("1.0.0", steps);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.release("1.1.0", steps);
    stage.until("step 1", |it| it.at() == "1.0.0 → 1.1.0 1/3").await;
    let digest = stage.record("checkout")["status"]["digest"].as_str().unwrap().to_owned();
    let marker = |step: u32| format!("approvals/shop/checkout/{digest}/{step}.aaaa.yaml");
    stage.repo.put(&marker(2), "");
    stage.wait(10).await;
    stage.repo.remove(&marker(2));
    stage.repo.commit("Not yet");
    stage.wait(60).await;
    assert_eq!((stage.waits_for().as_str(), stage.pods()["example/checkout:1.1.0"]), ("approval", 1));
    stage.repo.put(&marker(2), "again\n");
    stage.until("step 2", |it| it.at() == "1.0.0 → 1.1.0 2/3").await;
    stage.repo.remove(&marker(2));
    stage.repo.put(&marker(3), "");
    stage.wait(120).await;
    assert_eq!(stage.pods()["example/checkout:1.1.0"], 2, "neither on nor back");
    assert_eq!(stage.waits_for(), "approval");
}
