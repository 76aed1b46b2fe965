//! How a pull request is merged decides what one commit of the line brings.

use crate::catalog::{FILE, Shop, checkout};

/// A shop at version 0 with the marker path of version 1, as seen by the daemon.
fn shop() -> (Shop, String) {
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let marker = shop.marker("2.x");
    shop.repo.put(FILE, &checkout("0"));
    shop.read();
    shop.remember();
    (shop, marker)
}

#[test]
fn spec_and_marker_of_one_pull_request_are_one_commit_by_merge_and_by_squash_and_two_by_rebase() {
    // H16
    let (mut shop, marker) = shop();
    shop.branch("request", "main");
    shop.repo.put(FILE, &checkout("1"));
    shop.repo.put(&marker, "");
    let merged = shop.merge("Bob", "request");
    assert_eq!(shop.first(), merged);
    assert!(shop.markers()[0].contains("ignored"), "{:?}", shop.markers());

    let (mut shop, marker) = self::shop();
    shop.branch("request", "main");
    shop.repo.put(FILE, &checkout("1"));
    shop.repo.put(&marker, "");
    shop.repo.git(&["switch", "--quiet", "main"]);
    shop.repo.git(&["merge", "--quiet", "--squash", "request"]);
    let squashed = shop.repo.commit("Squash");
    assert_eq!(shop.first(), squashed);
    assert!(shop.markers()[0].contains("ignored"), "{:?}", shop.markers());

    let (mut shop, marker) = self::shop();
    shop.repo.put("README.md", "meanwhile\n");
    shop.branch("request", "main~1");
    shop.repo.put(FILE, &checkout("1"));
    shop.repo.put(&marker, "");
    shop.repo.git(&["rebase", "--quiet", "main"]);
    shop.repo.git(&["switch", "--quiet", "main"]);
    shop.repo.git(&["merge", "--quiet", "--ff-only", "request"]);
    let spec = shop.repo.id("HEAD~1");
    assert_eq!(shop.first(), spec);
    assert_eq!(shop.markers(), ["2.x: Ann"]);
}

#[test]
fn a_pull_that_swaps_parents_loses_no_approval() {
    // H16: spec, then Bob's marker, both merged; then Carol's `git pull && git push`.
    let (mut shop, marker) = shop();
    shop.repo.git(&["branch", "carol"]);
    let spec = shop.repo.put(FILE, &checkout("1"));
    assert_eq!(shop.first(), spec);
    shop.remember();
    shop.repo.write(&marker, "");
    shop.repo.commit_as("Bob", "Approve");
    assert_eq!(shop.markers(), ["2.x: Bob"]);
    let foxtrot = |shop: &Shop, from: &str| {
        shop.repo.git(&["switch", "--quiet", "carol"]);
        shop.repo.write("carol.txt", from);
        shop.repo.commit_as("Carol", "Her own");
        shop.repo.git_as("Carol", &["merge", "--quiet", "--no-ff", "-m", "Pull", "main"]);
        shop.repo.git(&["branch", "--force", "main", "carol"]);
        shop.repo.git(&["switch", "--quiet", "main"]);
    };
    foxtrot(&shop, "1");
    assert_eq!((shop.first(), shop.markers()), (spec, vec!["2.x: Bob".to_owned()]));
    shop.restart();
    assert_eq!((shop.first(), shop.markers()), (spec, vec!["2.x: Bob".to_owned()]), "and none by a crash");
    shop.repo.put("README.md", "more\n");
    assert_eq!((shop.first(), shop.markers()), (spec, vec!["2.x: Bob".to_owned()]));
}

#[test]
fn a_swap_with_the_spec_on_the_other_side_is_one_commit() {
    // Carol writes the spec herself and pulls: what she brings comes with her merge, whichever parent is first.
    let (mut shop, marker) = shop();
    shop.repo.git(&["branch", "carol"]);
    shop.repo.put("README.md", "meanwhile\n");
    shop.read();
    shop.repo.git(&["switch", "--quiet", "carol"]);
    shop.repo.put(FILE, &checkout("1"));
    shop.repo.put(&marker, "");
    shop.repo.git_as("Carol", &["merge", "--quiet", "--no-ff", "-m", "Pull", "main"]);
    shop.repo.git(&["branch", "--force", "main", "carol"]);
    shop.repo.git(&["switch", "--quiet", "main"]);
    let merge = shop.repo.id("HEAD");
    assert_eq!(shop.first(), merge);
    assert!(shop.markers()[0].contains("ignored"), "{:?}", shop.markers());
    shop.remember();
    shop.restart();
    assert_eq!(shop.first(), merge);
    assert!(shop.markers()[0].contains("ignored"), "{:?}", shop.markers());
}

#[test]
fn stacked_pull_requests_come_one_after_the_other() {
    // H16: the marker's branch is stacked on the spec's.
    let (mut shop, marker) = shop();
    shop.branch("spec", "main");
    shop.repo.put(FILE, &checkout("1"));
    shop.branch("approval", "spec");
    shop.repo.write(&marker, "");
    shop.repo.commit_as("Bob", "Approve");
    let spec = shop.merge("Ann", "spec");
    shop.merge("Bob", "approval");
    assert_eq!((shop.first(), shop.markers()), (spec, vec!["2.x: Bob".to_owned()]));
}

#[test]
fn the_revert_of_a_merge_is_a_commit_like_any_other() {
    // G7
    let (mut shop, marker) = shop();
    shop.branch("request", "main");
    shop.repo.put(FILE, &checkout("1"));
    shop.merge("Bob", "request");
    shop.repo.put(&marker, "");
    assert_eq!(shop.markers(), ["2.x: Ann"]);
    shop.repo.git(&["revert", "--no-edit", "-m", "1", "HEAD~1"]);
    let head = shop.repo.id("HEAD");
    assert_eq!(shop.first(), head);
    assert_eq!(shop.intent().release.version, "0");
}

#[test]
fn five_commits_at_once_are_walked_one_by_one() {
    // G1: the episode begins with the last of them that changed the digest.
    let (mut shop, _) = shop();
    for version in ["1", "2", "3"] {
        shop.repo.put(FILE, &checkout(version));
    }
    let first = shop.repo.id("HEAD");
    shop.repo.put("README.md", "a\n");
    shop.repo.put("README.md", "b\n");
    assert_eq!(shop.first(), first);
}

#[test]
fn after_a_rewrite_that_was_accepted_reading_starts_anew() {
    // G11
    let (mut shop, marker) = shop();
    let spec = shop.repo.put(FILE, &checkout("1"));
    shop.repo.put(&marker, "");
    assert_eq!(shop.markers(), ["2.x: Ann"]);
    shop.remember();
    shop.repo.git(&["checkout", "--quiet", "--orphan", "fresh"]);
    let head = shop.repo.commit("One commit with everything");
    assert_ne!(head, spec);
    assert_eq!(shop.first(), head);
    assert!(shop.markers()[0].contains("ignored"), "{:?}", shop.markers());
}

#[test]
fn reading_on_and_reading_anew_say_the_same() {
    // Every head of a history with merges, by one daemon that never stops and by one that always starts.
    let (mut shop, marker) = shop();
    let heads = |shop: &Shop| -> Vec<String> {
        shop.repo
            .git(&["rev-list", "--first-parent", "--reverse", "main"])
            .lines()
            .map(str::to_owned)
            .collect()
    };
    shop.branch("one", "main");
    shop.repo.put(FILE, &checkout("1"));
    shop.merge("Bob", "one");
    shop.repo.put(&marker, "");
    shop.branch("two", "main");
    shop.repo.put("releases/more/other.yaml", &crate::catalog::spec("other", "1", "step: 2"));
    shop.repo.put("releases/more/other.yaml", &crate::catalog::spec("other", "1", "step: 3"));
    shop.merge("Bob", "two");
    shop.repo.git(&["mv", FILE, "releases/more/checkout.yaml"]);
    shop.repo.commit("Move");
    shop.repo.put("releases/more/other.yaml", &crate::catalog::spec("other", "1", "step: 2"));
    shop.repo.git(&["rm", "--quiet", "-r", "approvals"]);
    shop.repo.commit("Sweep");
    shop.repo.put(&marker, "again\n");
    shop.known.clear();
    for head in heads(&shop) {
        shop.repo.git(&["checkout", "--quiet", &head]);
        let on = shop.read();
        let kept = shop.restart_beside();
        assert_eq!(on.desired, shop.read().desired, "at {head}");
        shop.catalog = kept;
    }
}
