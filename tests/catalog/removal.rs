//! A release is gone only on evidence.

use triton::catalog::Known;
use triton::model::Digest;
use triton::world::Desired;

use crate::catalog::{FILE, Shop, checkout, id, spec};

#[test]
fn the_commit_that_removed_a_release_is_named_and_can_be_approved() {
    // G24
    let mut shop = Shop::new();
    shop.repo.put("releases/other.yaml", &spec("other", "1", ""));
    shop.repo.put(FILE, &checkout("1"));
    shop.read();
    shop.remember();
    shop.repo.put("README.md", "a\n");
    shop.repo.git(&["rm", "--quiet", FILE]);
    let removed = shop.repo.commit("Remove it");
    shop.repo.put("README.md", "b\n");
    let removal = shop.removal("shop/checkout");
    assert_eq!((removal.commit, removal.approved), (removed, false));
    shop.restart();
    assert_eq!(shop.removal("shop/checkout"), removal, "found again");
    shop.repo.put(&format!("approvals/removal/{removed}.yaml"), "");
    assert!(shop.removal("shop/checkout").approved);
    let back = shop.repo.put(FILE, &checkout("1"));
    assert_eq!(shop.first(), back);
}

#[test]
fn a_removal_by_merge_is_the_merge() {
    let mut shop = Shop::new();
    shop.repo.put("README.md", "Shop\n");
    shop.repo.put(FILE, &checkout("1"));
    shop.read();
    shop.remember();
    shop.branch("request", "main");
    shop.repo.git(&["rm", "--quiet", FILE]);
    shop.repo.commit("Remove it");
    let merge = shop.merge("Bob", "request");
    assert_eq!(shop.removal("shop/checkout").commit, merge);
}

#[test]
fn a_release_whose_file_cannot_be_read_is_not_gone() {
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    shop.read();
    shop.remember();
    for content in ["]", "\u{0}\u{1}", "version https://git-lfs.github.com/spec/v1\n", "kind: Other\n"] {
        shop.repo.put(FILE, content);
        assert_eq!(shop.broken("shop/checkout")[0].path, FILE, "{content:?}");
    }
    shop.repo.remove(FILE);
    std::os::unix::fs::symlink("/etc/passwd", shop.repo.file(FILE)).unwrap();
    shop.repo.commit("Link it");
    assert!(shop.broken("shop/checkout")[0].message.contains("symbolic link"));
    shop.restart();
    shop.broken("shop/checkout");
}

#[test]
fn a_release_that_git_never_had_is_not_gone() {
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    let known = Known { digest: Digest::of(b"elsewhere"), episode: None, is_complete: true };
    shop.known.insert(id("shop/stranger"), known);
    assert_eq!(shop.desired("shop/stranger"), Desired::Unknown);
    shop.repo.put("README.md", "more\n");
    assert_eq!(shop.desired("shop/stranger"), Desired::Unknown);
}

#[test]
fn a_root_that_is_removed_whole_names_its_commit() {
    let mut shop = Shop::with_root("prod");
    shop.repo.put(&format!("prod/{FILE}"), &checkout("1"));
    shop.repo.put("README.md", "Shop\n");
    shop.read();
    shop.remember();
    shop.repo.git(&["rm", "--quiet", "-r", "prod"]);
    let removed = shop.repo.commit("Remove everything");
    assert_eq!(shop.removal("shop/checkout").commit, removed);
}

#[test]
fn a_repository_without_a_file_takes_nothing_away() {
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("1"));
    shop.read();
    shop.remember();
    shop.repo.git(&["rm", "--quiet", "-r", "."]);
    shop.repo.commit("Remove everything");
    assert!(shop.broken("shop/checkout")[0].message.contains("no file any more"));
}

#[test]
fn a_folder_that_became_a_link_takes_nothing_away() {
    let mut shop = Shop::new();
    shop.repo.put("releases/shop/checkout.yaml", &checkout("1"));
    shop.read();
    shop.remember();
    for folder in ["releases/shop", "releases"] {
        std::fs::create_dir_all(shop.repo.file("elsewhere")).unwrap();
        std::fs::rename(shop.repo.file(folder), shop.repo.file("elsewhere").join(folder.replace('/', "-")))
            .unwrap();
        std::os::unix::fs::symlink("elsewhere", shop.repo.file(folder)).unwrap();
        shop.repo.commit("Link it");
        let diagnostics = shop.broken("shop/checkout");
        assert_eq!((diagnostics.len(), diagnostics[0].path.as_str()), (1, folder));
    }
    shop.repo.remove("releases");
    shop.repo.put("releases/shop/checkout.yaml", &checkout("1"));
    shop.intent();
}
