//! Who may approve, where the daemon's configuration says how people are told apart.

use triton::world::People;

use crate::catalog::{FILE, Shop, checkout, spec};

fn shop() -> Shop {
    let mut shop = Shop::new();
    shop.repo.put(FILE, &checkout("0"));
    shop.read();
    shop.policy.people = Some(People::CommitAuthors);
    shop.policy.bots = ["ci-bot".to_owned(), "renovate@example.com".to_owned()].into();
    shop
}

fn approve(shop: &mut Shop, who: &str, name: &str) {
    let marker = shop.marker(name);
    shop.repo.write(&marker, "");
    shop.repo.commit_as(who, "Approve");
}

#[test]
fn one_person_counts_once_for_a_step_and_bots_are_nobody() {
    // G14
    let mut shop = shop();
    shop.repo.put(FILE, &checkout("1"));
    approve(&mut shop, "Bob", "2.a");
    approve(&mut shop, "Bob", "2.b");
    approve(&mut shop, "Bob", "3.a");
    approve(&mut shop, "Carol", "2.c");
    approve(&mut shop, "ci-bot", "2.d");
    approve(&mut shop, "Renovate", "2.e");
    assert_eq!(
        shop.markers(),
        [
            "2.a: Bob",
            "2.b ignored: Bob has approved this step already",
            "2.c: Carol",
            "2.d ignored: ci-bot is a bot, not a person (daemon's configuration)",
            "2.e ignored: Renovate is a bot, not a person (daemon's configuration)",
            "3.a: Bob",
        ]
    );
    shop.policy.people = None;
    assert!(shop.markers().iter().all(|marker| !marker.contains("ignored")), "nobody is told apart");
}

#[test]
fn a_writer_of_the_spec_is_nobody_where_the_step_wants_another() {
    // H17: Alice writes, Bob merges; the third step says notAuthor.
    let mut shop = shop();
    shop.branch("request", "main");
    shop.repo.write(FILE, &checkout("1"));
    shop.repo.commit_as("Alice", "Version 1");
    shop.repo.write("releases/cart.yaml", &spec("cart", "1", ""));
    shop.repo.commit_as("Dave", "Another release of the same folder");
    shop.merge("Bob", "request");
    for (who, name) in [("Alice", "3.a"), ("Bob", "3.b"), ("Dave", "3.d"), ("Alice", "2.a")] {
        approve(&mut shop, who, name);
    }
    let why = "Alice wrote the spec, and the step wants somebody else (notAuthor)";
    assert_eq!(shop.markers(), ["2.a: Alice", &format!("3.a ignored: {why}"), "3.b: Bob", "3.d: Dave"]);
}

#[test]
fn the_writer_of_a_squashed_spec_is_its_author() {
    // H17
    let mut shop = shop();
    shop.repo.write(FILE, &checkout("1"));
    shop.repo.commit_as("Ann", "Squashed");
    approve(&mut shop, "Ann", "3.a");
    approve(&mut shop, "Bob", "3.b");
    assert!(shop.markers()[0].starts_with("3.a ignored: Ann wrote the spec"), "{:?}", shop.markers());
    assert_eq!(shop.markers()[1], "3.b: Bob");
}
