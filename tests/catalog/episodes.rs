//! An episode is the run of the line, ending at HEAD, that has one digest; `step` counts within it.

use triton::world::Desired;

use crate::catalog::{FILE, Shop, checkout, spec};

#[test]
fn an_episode_begins_with_the_commit_that_brought_the_digest() {
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let first = shop.repo.put(FILE, &checkout("2"));
    shop.repo.put("README.md", "more\n");
    shop.repo.put("releases/other.yaml", &spec("other", "1", ""));
    let intent = shop.intent();
    let episode = intent.episode.as_ref().unwrap();
    assert_eq!((episode.first, episode.author.as_str()), (first, "Ann"));
    assert_eq!(episode.summary, format!("Write {FILE}"));
    shop.repo.put("README.md", "more and more\n");
    assert_eq!(shop.first(), first, "read on from there");
    shop.restart();
    assert_eq!(shop.first(), first, "found again");
}

#[test]
fn scaling_and_suspending_and_a_comment_go_on_with_the_episode() {
    let mut shop = Shop::new();
    let first = shop.repo.put(FILE, &checkout("1"));
    assert_eq!(shop.first(), first);
    shop.repo.put(FILE, &checkout("1").replace("  replicas: 10\n", "  replicas: 12\n"));
    shop.repo.put(FILE, &spec("checkout", "1", "suspend: true"));
    shop.repo.put(FILE, &format!("# a comment\n{}", checkout("1")));
    assert_eq!(shop.first(), first);
    shop.restart();
    assert_eq!(shop.first(), first);
}

#[test]
fn a_release_that_moves_to_another_file_or_folder_is_the_same() {
    // G8: identity is root, namespace and name, never the path.
    let mut shop = Shop::new();
    let first = shop.repo.put(FILE, &checkout("1"));
    assert_eq!(shop.first(), first);
    shop.repo.git(&["mv", FILE, "releases/renamed.yml"]);
    shop.repo.commit("Rename");
    assert_eq!(shop.first(), first);
    shop.repo.remove("releases/renamed.yml");
    let (release, cloneset) =
        checkout("1").split_once("---\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    shop.repo.write("releases/shop/checkout/release.yaml", &release);
    shop.repo.write("releases/shop/checkout/cloneset.yaml", &cloneset);
    shop.repo.commit("Split");
    assert_eq!(shop.first(), first);
    shop.restart();
    assert_eq!(shop.first(), first);
    let changed = shop.repo.put("releases/shop/checkout/cloneset.yaml", &cloneset.replace(":1'", ":2'"));
    assert_eq!(shop.first(), changed);
}

#[test]
fn a_revert_and_its_revert_each_begin_an_episode() {
    // G6
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let second = shop.repo.put(FILE, &checkout("2"));
    assert_eq!(shop.first(), second);
    let digest = shop.intent().release.digest;
    for _ in 0..2 {
        shop.repo.git(&["revert", "--no-edit", "HEAD"]);
        let head = shop.repo.id("HEAD");
        assert_eq!(shop.first(), head);
    }
    assert_eq!(shop.intent().release.digest, digest);
}

#[test]
fn there_and_back_between_two_polls_is_a_new_episode() {
    // M16: B was seen; A and B again come in one fetch.
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("a"));
    let b = shop.repo.put(FILE, &checkout("b"));
    assert_eq!(shop.first(), b);
    shop.remember();
    let marker = shop.marker("2.x");
    shop.repo.put(&marker, "");
    assert_eq!(shop.markers(), ["2.x: Ann"]);
    shop.repo.put(FILE, &checkout("a"));
    let again = shop.repo.put(FILE, &checkout("b"));
    assert_eq!(shop.first(), again);
    assert!(shop.markers()[0].starts_with("2.x ignored: it was there before"), "{:?}", shop.markers());
    shop.restart();
    assert_eq!(shop.first(), again, "memory of the first b does not help");
}

#[test]
fn a_spec_with_mistakes_ends_the_episode() {
    // H28
    let mut shop = Shop::new();
    let first = shop.repo.put(FILE, &checkout("1"));
    assert_eq!(shop.first(), first);
    shop.remember();
    shop.repo.put(FILE, &checkout("1").replace("replicas: 50%", "replicas: many"));
    assert!(shop.broken("shop/checkout")[0].message.contains("replicas"));
    let mended = shop.repo.put(FILE, &checkout("1"));
    assert_eq!(shop.first(), mended);
    shop.restart();
    assert_eq!(shop.first(), mended);
}

#[test]
fn one_broken_file_breaks_its_own_release_only() {
    // G10
    let mut shop = Shop::new();
    shop.repo.write("releases/other/other.yaml", "kind: Release\nmetadata: [");
    let first = shop.repo.put(FILE, &checkout("1"));
    assert_eq!(shop.first(), first);
    assert!(shop.read().diagnostics.iter().any(|it| it.path == "releases/other/other.yaml"));
}

#[test]
fn a_release_in_two_files_is_broken_in_both_and_never_gone() {
    // G9
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    shop.read();
    shop.remember();
    shop.repo.put("releases/again.yaml", &checkout("2"));
    assert!(shop.broken("shop/checkout").iter().any(|it| it.message.contains("stands here and in")));
    shop.repo.git(&["rm", "--quiet", FILE]);
    let head = shop.repo.commit("Keep one");
    assert_eq!(shop.first(), head);
}

#[test]
fn strategies_of_triton_yaml_count_where_they_are_used() {
    let mut shop = Shop::new();
    let strategies = |careful: u32, other: u32| {
        format!(
            "apiVersion: triton.io/v1
kind: Repository
spec:
  strategies:
    careful: {{ steps: [{{ replicas: {careful} }}, {{ replicas: 100% }}] }}
    other: {{ steps: [{{ replicas: {other} }}, {{ replicas: 100% }}] }}
"
        )
    };
    let release = checkout("1");
    let (start, rest) = release.split_once("  strategy:").unwrap();
    let end = rest.split_once("---").unwrap().1;
    shop.repo.write("triton.yaml", &strategies(1, 1));
    let first = shop.repo.put(FILE, &format!("{start}  strategy: careful\n---{end}"));
    assert_eq!(shop.first(), first);
    shop.repo.put("triton.yaml", &strategies(1, 2));
    assert_eq!(shop.first(), first, "nobody here uses that one");
    let changed = shop.repo.put("triton.yaml", &strategies(2, 2));
    assert_eq!(shop.first(), changed);
    shop.restart();
    assert_eq!(shop.first(), changed);
    shop.repo.remove("triton.yaml");
    std::os::unix::fs::symlink("/etc/passwd", shop.repo.file("triton.yaml")).unwrap();
    shop.repo.commit("Link it");
    assert!(
        !matches!(shop.desired("shop/checkout"), Desired::Release(_)),
        "its strategy is unknown, not 100 %"
    );
}

#[test]
fn a_step_that_came_with_the_spec_permits_only_the_first_until_a_commit_changes_it() {
    // H19: spec and `step: 3` squashed into one commit; `step: 3` left over from the last release.
    let mut shop = Shop::new();
    shop.repo.put(FILE, &spec("checkout", "1", "step: 3"));
    assert_eq!(shop.intent().cap, Some(1));
    shop.repo.put(FILE, &spec("checkout", "1", "step: 2"));
    assert_eq!(shop.intent().cap, Some(2));
    shop.repo.put(FILE, &spec("checkout", "1", "step: 3"));
    assert_eq!(shop.intent().cap, Some(3));
    shop.restart();
    assert_eq!(shop.intent().cap, Some(3));
    shop.repo.put(FILE, &spec("checkout", "2", "step: 3"));
    assert_eq!(shop.intent().cap, Some(1), "left over");
    shop.repo.put(FILE, &checkout("2"));
    assert_eq!(shop.intent().cap, None, "without a step only approvals count");
    shop.repo.put(FILE, &spec("checkout", "3", "step: 0"));
    assert_eq!(shop.intent().cap, Some(0));
}

#[test]
fn a_revert_of_a_revert_brings_back_no_step() {
    // H19
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    shop.repo.put(FILE, &spec("checkout", "2", "step: 1"));
    shop.repo.put(FILE, &spec("checkout", "2", "step: 2"));
    assert_eq!(shop.intent().cap, Some(2));
    shop.repo.put(FILE, &checkout("1"));
    shop.read();
    shop.repo.put(FILE, &spec("checkout", "2", "step: 2"));
    assert_eq!(shop.intent().cap, Some(1));
    shop.restart();
    assert_eq!(shop.intent().cap, Some(1));
}

#[test]
fn a_complete_release_takes_its_episode_from_memory() {
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let first = shop.first();
    shop.remember();
    shop.known.values_mut().for_each(|known| known.is_complete = true);
    shop.restart();
    shop.repo.put("README.md", "unrelated\n");
    assert_eq!(shop.first(), first);
    assert!(shop.markers().is_empty());
}

#[test]
fn a_root_is_read_by_itself_and_freezes_count_up_to_the_top() {
    let mut shop = Shop::with_root("env/prod");
    let path = format!("env/prod/{FILE}");
    shop.repo.write("env/dev/releases/checkout.yaml", &checkout("dev"));
    shop.repo.write("releases/checkout.yaml", &checkout("top"));
    shop.repo.write("env/prod/releases/nested/triton.yaml", "apiVersion: triton.io/v1\nkind: Repository\n");
    shop.repo.write("env/prod/releases/nested/checkout.yaml", &checkout("nested"));
    let first = shop.repo.put(&path, &checkout("1"));
    let intent = shop.intent();
    assert_eq!(intent.release.version, "1");
    assert_eq!(intent.episode.as_ref().unwrap().first, first);
    assert!(intent.freezes.is_empty());
    shop.repo.write("freeze.yaml", "reason: holidays\nuntil: 2026-12-24T18:00:00+01:00\n");
    shop.repo.write("env/prod/releases/freeze.yaml", "reason: [");
    shop.repo.write("env/dev/freeze.yaml", "reason: not here\n");
    shop.repo.commit("Freeze");
    let intent = shop.intent();
    let freezes: Vec<_> = intent.freezes.iter().map(|it| (it.path.as_str(), it.until.is_some())).collect();
    assert_eq!(freezes, [("env/prod/releases/freeze.yaml", false), ("freeze.yaml", true)]);
    assert_eq!(intent.episode.as_ref().unwrap().first, first);
    assert!(shop.read().diagnostics.iter().any(|it| it.path.ends_with("releases/freeze.yaml")));
    shop.repo.remove("env/prod/releases/nested/triton.yaml");
    shop.repo.commit("One root now");
    shop.broken("shop/checkout");
}
