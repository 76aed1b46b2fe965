//! What changed between two trees, and the line that the branch showed.

use triton::git::{Change, Repository};
use triton::model::CommitId;

use crate::repo::Repo;

/// The subjects of the line from `head`, newest first.
fn line(repo: &Repo, head: CommitId, waypoints: &[CommitId]) -> Vec<String> {
    let repository = Repository::open(repo.path()).unwrap();
    let line = repository.line(head, waypoints).unwrap();
    line.map(|commit| repository.commit(commit.unwrap().id).unwrap().summary).collect()
}

fn changes(repo: &Repo, before: &str, after: &str, prefixes: &[&str]) -> Vec<Change> {
    let repository = Repository::open(repo.path()).unwrap();
    let tree = |name: &str| repository.commit(repository.resolve(name).unwrap()).unwrap().tree;
    repository.compare(Some(tree(before)), Some(tree(after)), prefixes).unwrap()
}

fn paths(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.path.as_str()).collect()
}

fn on(repo: &Repo, branch: &str, file: &str, message: &str) -> CommitId {
    repo.git(&["switch", "--quiet", branch]);
    repo.write(file, message);
    repo.commit(message)
}

#[test]
fn a_comparison_agrees_with_git() {
    let repo = Repo::new();
    for name in ["a-b/x", "a/x", "a.b", "a0", "d/deep/er/f", "same/1", "gone/1", "swap", "zz"] {
        repo.write(name, name);
    }
    repo.commit("before");
    repo.remove("gone/1");
    repo.remove("swap");
    for name in ["swap/now/a/folder", "a/x", "a-b/y", "d/deep/er/g", "new"] {
        repo.write(name, "changed");
    }
    repo.git(&["update-index", "--chmod=+x", "zz"]);
    repo.commit("after");
    let expected = repo.git(&["diff", "--name-only", "--no-renames", "HEAD~1", "HEAD"]);
    let mut expected: Vec<&str> = expected.lines().collect();
    expected.sort_unstable();
    assert_eq!(paths(&changes(&repo, "HEAD~1", "HEAD", &[""])), expected);
    let back = changes(&repo, "HEAD", "HEAD~1", &[""]);
    assert_eq!(paths(&back), expected);
    assert!(back.iter().any(|c| c.path == "swap" && c.before.is_none() && c.after.is_some()));
    assert_eq!(paths(&changes(&repo, "HEAD~1", "HEAD", &["d", "a"])), ["a/x", "d/deep/er/g"]);
    assert_eq!(paths(&changes(&repo, "HEAD~1", "HEAD", &["d/deep/er/g"])), ["d/deep/er/g"]);
    assert!(changes(&repo, "HEAD~1", "HEAD", &["same", "absent"]).is_empty());
}

#[test]
fn names_that_differ_in_case_or_are_not_utf_8_are_kept_apart() {
    let repo = Repo::new();
    repo.write("releases/a.yaml", "1");
    repo.write("releases/A.yaml", "2");
    let odd = std::ffi::OsStr::new("releases").to_owned();
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff.yaml");
    std::fs::write(repo.path().join(odd).join(name), "3").unwrap();
    repo.commit("odd names");
    let repository = Repository::open(repo.path()).unwrap();
    let tree = repository.commit(repo.id("HEAD")).unwrap().tree;
    let listed = repository.list(tree, &["releases"]).unwrap();
    let files: Vec<_> = listed.iter().filter(|e| e.kind.is_file()).map(|e| e.name.as_str()).collect();
    assert_eq!(files, ["releases/A.yaml", "releases/a.yaml"]);
    assert_eq!(listed.len(), 3);
}

#[test]
fn without_a_head_seen_the_line_is_of_first_parents() {
    let repo = Repo::new();
    repo.put("f", "base");
    repo.git(&["switch", "--quiet", "-c", "topic"]);
    on(&repo, "topic", "t", "topic 1");
    on(&repo, "main", "m", "main 1");
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "merge", "topic"]);
    assert_eq!(line(&repo, repo.id("HEAD"), &[]), ["merge", "main 1", "Write f"]);
}

#[test]
fn a_merge_that_swapped_its_parents_does_not_lead_the_line_aside() {
    // H16: spec and marker are on main; Carol commits on an older main, pulls, and pushes: her commit is the first
    // parent of the merge.
    let repo = Repo::new();
    repo.put("f", "base");
    repo.git(&["branch", "carol"]);
    let spec = on(&repo, "main", "spec", "spec");
    let marker = on(&repo, "main", "marker", "marker");
    on(&repo, "carol", "c", "carol's own");
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "foxtrot", "main"]);
    let head = repo.id("HEAD");
    assert_eq!(line(&repo, head, &[]), ["foxtrot", "carol's own", "Write f"]);
    assert_eq!(line(&repo, head, &[marker]), ["foxtrot", "marker", "spec", "Write f"]);
    assert_eq!(line(&repo, head, &[marker, spec]), ["foxtrot", "marker", "spec", "Write f"]);
    assert_eq!(line(&repo, head, &[head, spec]), ["foxtrot", "marker", "spec", "Write f"]);
}

#[test]
fn stacked_merges_of_two_swappers_still_lead_to_the_head_seen() {
    let repo = Repo::new();
    let base = repo.put("f", "base");
    let seen = on(&repo, "main", "seen", "seen");
    for (branch, from) in [("carol", base), ("dave", base)] {
        repo.git(&["branch", branch, &from.to_string()]);
    }
    on(&repo, "carol", "c", "carol's own");
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "carol's merge", "main"]);
    on(&repo, "dave", "d", "dave's own");
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "dave's merge", "carol"]);
    let head = repo.id("HEAD");
    assert_eq!(line(&repo, head, &[seen]), ["dave's merge", "carol's merge", "seen", "Write f"]);
}

#[test]
fn criss_cross_and_octopus_merges_follow_the_first_parent_that_leads_back() {
    let repo = Repo::new();
    let base = repo.put("f", "base");
    for branch in ["x", "y", "z"] {
        repo.git(&["branch", branch, &base.to_string()]);
    }
    on(&repo, "x", "x", "x 1");
    let seen = on(&repo, "y", "y", "y 1");
    on(&repo, "z", "z", "z 1");
    repo.git(&["switch", "--quiet", "x"]);
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "octopus", "y", "z"]);
    let octopus = repo.id("HEAD");
    assert_eq!(line(&repo, octopus, &[seen]), ["octopus", "y 1", "Write f"]);
    repo.git(&["switch", "--quiet", "z"]);
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "z takes y", "y"]);
    repo.git(&["switch", "--quiet", "y"]);
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "y takes z", "z~1"]);
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "crossed", "z"]);
    assert_eq!(line(&repo, repo.id("HEAD"), &[seen]), ["crossed", "y takes z", "y 1", "Write f"]);
}

#[test]
fn a_head_seen_that_is_not_in_the_history_is_no_waypoint() {
    let repo = Repo::new();
    let kept = repo.put("f", "kept");
    let lost = repo.put("f", "lost");
    repo.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let head = repo.put("f", "new");
    let repository = Repository::open(repo.path()).unwrap();
    assert!(!repository.descends(head, lost).unwrap());
    assert!(repository.descends(head, kept).unwrap() && repository.descends(head, head).unwrap());
    let nowhere = CommitId::from_bytes([7; 20]);
    assert!(!repository.descends(head, nowhere).unwrap());
    assert!(!repository.descends(nowhere, nowhere).unwrap());
    let commits: Vec<_> = repository.line(head, &[lost, nowhere]).unwrap().map(Result::unwrap).collect();
    assert_eq!(
        commits.iter().map(|c| (c.id, c.before)).collect::<Vec<_>>(),
        [(head, Some(kept)), (kept, None)]
    );
}

#[test]
fn dates_do_not_bend_the_line() {
    let repo = Repo::new();
    repo.put("f", "base");
    repo.git(&["branch", "topic"]);
    repo.write("a", "1");
    repo.git(&["add", "--all"]);
    let mut command = std::process::Command::new("git");
    command.current_dir(repo.path()).args([
        "-c",
        "user.name=x",
        "-c",
        "user.email=x",
        "commit",
        "-qm",
        "future",
    ]);
    command.envs([("GIT_COMMITTER_DATE", "4000000000 +0000"), ("GIT_AUTHOR_DATE", "4000000000 +0000")]);
    assert!(command.status().unwrap().success());
    let seen = repo.id("HEAD");
    on(&repo, "topic", "t", "topic");
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "swapped", "main"]);
    let head = repo.id("HEAD");
    assert_eq!(line(&repo, head, &[seen]), ["swapped", "future", "Write f"]);
    let repository = Repository::open(repo.path()).unwrap();
    assert!(repository.descends(head, seen).unwrap() && !repository.descends(seen, head).unwrap());
}
