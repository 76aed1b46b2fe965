//! A marker counts when it names the digest, HEAD has it and the episode's first commit has not.

use crate::catalog::{FILE, Shop, checkout};

#[test]
fn an_approval_that_comes_after_the_spec_counts_with_its_author() {
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    assert!(shop.markers().is_empty());
    let (second, third) = (shop.marker("2.k7qd"), shop.marker("3.ahead"));
    shop.repo.write(&second, "reason: looks fine\n");
    let commit = shop.repo.commit_as("Bob", "Approve step 2");
    shop.repo.write(&third, "");
    shop.repo.commit_as("Carol", "Approve step 3 ahead");
    assert_eq!(shop.markers(), ["2.k7qd: Bob", "3.ahead: Carol"]);
    let intent = shop.intent();
    let approver = intent.markers[0].counts.as_ref().unwrap();
    assert_eq!((approver.email.as_str(), approver.commit), ("bob@example.com", commit));
    shop.restart();
    assert_eq!(shop.markers(), ["2.k7qd: Bob", "3.ahead: Carol"]);
}

#[test]
fn a_marker_in_the_commit_of_its_spec_approves_nothing() {
    // G3, H16: squashed into one commit.
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let marker = shop.marker("2.x");
    shop.repo.put(FILE, &checkout("0"));
    shop.read();
    shop.repo.write(FILE, &checkout("1"));
    shop.repo.put(&marker, "");
    let why = "2.x ignored: it was there before this release, or came in the same commit";
    assert!(shop.markers()[0].starts_with(why), "{:?}", shop.markers());
    let renewed = shop.marker("2.again");
    shop.repo.put(&renewed, "");
    assert_eq!(shop.markers()[0], "2.again: Ann");
}

#[test]
fn a_marker_for_another_digest_step_or_release_is_told_why_it_does_not_count() {
    // G2, H18
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let digest = shop.intent().release.digest.long();
    let folder = "approvals/shop/checkout";
    let near = format!("{}{}", &digest[..31], if digest.ends_with('0') { '1' } else { '0' });
    shop.repo.write(&format!("{folder}/{near}/2.near.yaml"), "");
    shop.repo.write(&format!("{folder}/{}/2.short.yaml", &digest[..12]), "");
    shop.repo.write(&format!("{folder}/{digest}/4.beyond.yaml"), "");
    shop.repo.write(&format!("{folder}/{digest}/two.x.yaml"), "");
    shop.repo.write(&format!("{folder}/{digest}/README.md"), "notes");
    shop.repo.write(&format!("approvals/shop/cart/{digest}/2.cart.yaml"), "");
    shop.repo.write(&format!("approvals/shop/checkout2/{digest}/2.other.yaml"), "");
    std::fs::create_dir_all(shop.repo.file(&format!("{folder}/{digest}"))).unwrap();
    std::os::unix::fs::symlink("/etc/hosts", shop.repo.file(&format!("{folder}/{digest}/2.link.yaml")))
        .unwrap();
    shop.repo.commit("Many markers");
    let mut markers = shop.markers();
    markers.sort();
    assert_eq!(
        markers,
        [
            "2.link ignored: it is a symbolic link, which is not followed",
            "2.near ignored: it names another digest than the one that Git has now",
            "2.short ignored: its directory is not a digest of 32 hexadecimal digits: fewer can be forged",
            "4.beyond ignored: the release has steps 1 to 3",
            "two.x ignored: `two` is neither a step, from 1, nor `serve-` and a step, nor `skip`",
        ]
    );
    shop.repo.put(FILE, &checkout("2"));
    assert!(shop.markers().is_empty(), "they had their day: {:?}", shop.markers());
}

#[test]
fn a_marker_of_an_earlier_episode_of_the_same_digest_approves_nothing() {
    // G5, H29: nor when a tool reformats it, nor when it is added again under the same name.
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let marker = shop.marker("2.x");
    shop.repo.put(&marker, "reason: then\n");
    assert_eq!(shop.markers(), ["2.x: Ann"]);
    shop.repo.put(FILE, &checkout("0"));
    shop.repo.put(FILE, &checkout("1"));
    assert!(shop.markers()[0].contains("ignored: it was there before"));
    shop.repo.put(&marker, "reason:   then\n");
    assert!(shop.markers()[0].contains("ignored: it was there before"));
    shop.repo.remove(&marker);
    shop.repo.commit("Remove it");
    assert!(shop.markers().is_empty());
    shop.repo.put(&marker, "reason: now\n");
    assert!(shop.markers()[0].contains("ignored: it was there before"));
    let renewed = shop.marker("2.y");
    shop.repo.git(&["mv", &marker, &renewed]);
    shop.repo.commit_as("Bob", "A new name");
    assert_eq!(shop.markers(), ["2.y: Bob"]);
}

#[test]
fn a_marker_that_is_withdrawn_counts_no_more_and_its_return_is_by_who_brought_it_back() {
    // G4
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let marker = shop.marker("2.x");
    shop.repo.put(&marker, "");
    assert_eq!(shop.markers(), ["2.x: Ann"]);
    shop.repo.git(&["rm", "--quiet", &marker]);
    shop.repo.commit("Withdraw");
    assert!(shop.markers().is_empty());
    shop.repo.write(&marker, "");
    shop.repo.commit_as("Bob", "Approve again");
    assert_eq!(shop.markers(), ["2.x: Bob"]);
    shop.restart();
    assert_eq!(shop.markers(), ["2.x: Bob"]);
}

#[test]
fn a_marker_added_on_a_branch_from_before_the_episode_counts_when_it_is_merged() {
    // H29
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let marker = shop.marker("2.x");
    let base = shop.repo.put(FILE, &checkout("0")).to_string();
    shop.read();
    shop.branch("early", &base);
    shop.repo.write(&marker, "");
    shop.repo.commit_as("Bob", "Approve what is to come");
    shop.repo.git(&["switch", "--quiet", "main"]);
    let spec = shop.repo.put(FILE, &checkout("1"));
    assert_eq!(shop.first(), spec);
    let merge = shop.merge("Carol", "early");
    assert_eq!(shop.markers(), ["2.x: Carol"], "who merged it brought it");
    let intent = shop.intent();
    assert_eq!(intent.markers[0].counts.as_ref().unwrap().commit, merge);
    assert_eq!(intent.episode.as_ref().unwrap().first, spec);
}

#[test]
fn a_skip_marker_may_come_with_its_spec_but_not_before_it() {
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let marker = shop.marker("skip.fire");
    shop.repo.put(FILE, &checkout("0"));
    shop.read();
    shop.repo.write(FILE, &checkout("1"));
    shop.repo.put(&marker, "reason: the shop is down\n");
    assert_eq!(shop.markers(), ["skip.fire: Ann"]);
    shop.remember();
    shop.restart();
    assert_eq!(shop.markers(), ["skip.fire: Ann"], "by way of memory");
    shop.known.clear();
    shop.restart();
    assert_eq!(shop.markers(), ["skip.fire: Ann"]);
    shop.policy.skip = false;
    assert_eq!(shop.markers(), ["skip.fire ignored: the daemon's configuration forbids skip markers"]);
    shop.policy.skip = true;
    shop.repo.put(FILE, &checkout("0"));
    shop.repo.put(FILE, &checkout("1"));
    assert_eq!(shop.markers(), ["skip.fire ignored: it was there before this release"]);
    let silent = shop.marker("skip.silent");
    shop.repo.put(&silent, "");
    assert!(shop.markers().contains(&"skip.silent ignored: a skip marker needs a `reason`".to_owned()));
}
