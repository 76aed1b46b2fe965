//! Which document belongs to which release.

use triton::spec::{Assembled, Place};

use crate::spec::{CHECKOUT, one, read, wrong};

/// The documents of [`CHECKOUT`]: Release, CloneSet, Service.
fn documents() -> [&'static str; 3] {
    let parts: Vec<&str> = CHECKOUT.split("---\n").collect();
    [parts[0], parts[1], parts[2]]
}

/// The releases of a tree and whether they are right.
fn releases(read: &Assembled) -> Vec<String> {
    let mark = |ok| if ok { "" } else { "!" };
    read.releases.iter().map(|(id, checked)| format!("{}{id}", mark(checked.is_ok()))).collect()
}

#[test]
fn a_directory_with_one_release_is_the_same_as_a_file() {
    let [release, cloneset, service] = documents();
    let directory = one(&[
        ("releases/shop/checkout/release.yaml", release),
        ("releases/shop/checkout/cloneset.yaml", cloneset),
        ("releases/shop/checkout/service.yml", service),
    ]);
    let file = one(&[("releases/checkout.yaml", CHECKOUT)]);
    assert_eq!(directory.digest, file.digest);
    assert_eq!(directory.path, "releases/shop/checkout/release.yaml");
}

#[test]
fn files_with_a_release_each_share_a_directory() {
    let cart = CHECKOUT.replace("checkout", "cart");
    let read = read(&[("releases/shop/cart.yaml", &cart), ("releases/shop/checkout.yaml", CHECKOUT)]);
    assert_eq!(releases(&read), ["shop/cart", "shop/checkout"]);
    assert!(read.diagnostics.is_empty());
    assert_eq!(read.named.len(), 4);
}

#[test]
fn a_document_without_a_release_is_told() {
    let [_, cloneset, service] = documents();
    let files = [("releases/shop/cloneset.yaml", cloneset), ("releases/shop/service.yaml", service)];
    let read = read(&files);
    assert_eq!(releases(&read), ["!shop/checkout"], "its CloneSet is not gone");
    assert_eq!(read.named.len(), 2);
    insta::assert_snapshot!(wrong(&files), @"
    error: no Release in this file or its directory says what this CloneSet belongs to
     --> releases/shop/cloneset.yaml:1:1
    1 | apiVersion: apps.kruise.io/v1alpha1
      | ^
      = add a document with `kind: Release` to the file

    error: no Release in this file or its directory says what this Service belongs to
     --> releases/shop/service.yaml:1:1
    1 | apiVersion: v1
      | ^
      = add a document with `kind: Release` to the file
    ");
}

#[test]
fn a_document_that_could_belong_to_several_releases_is_told() {
    let service = documents()[2].replace("checkout", "other");
    let files = [
        ("releases/shop/cart.yaml", &*CHECKOUT.replace("checkout", "cart")),
        ("releases/shop/checkout.yaml", CHECKOUT),
        ("releases/shop/service.yaml", &service),
    ];
    assert_eq!(releases(&read(&files)), ["shop/cart", "shop/checkout"], "they go on");
    insta::assert_snapshot!(wrong(&files), @"
    error: the directory has 2 Releases, and this Service could belong to any
     --> releases/shop/service.yaml:1:1
    1 | apiVersion: v1
      | ^
      = move it into the file of its Release: releases/shop/cart.yaml, releases/shop/checkout.yaml
    ");
}

#[test]
fn a_file_has_one_release() {
    let files =
        [("releases/both.yaml", &*format!("{CHECKOUT}---\n{}", CHECKOUT.replace("checkout", "cart")))];
    let read = read(&files);
    assert_eq!(releases(&read), ["!shop/cart", "!shop/checkout"]);
    assert_eq!(read.named.len(), 4);
    insta::assert_snapshot!(wrong(&files), @"
    error: the file has 2 Releases
     --> releases/both.yaml:1:1
    1 | apiVersion: triton.io/v1
      | ^
      = give each Release a file of its own

    error: the file has 2 Releases
      --> releases/both.yaml:41:1
    39 |   ports: [{ port: 80, targetPort: 8080 }]
    40 | ---
    41 | apiVersion: triton.io/v1
       | ^
       = give each Release a file of its own
    ");
}

#[test]
fn the_same_object_twice_is_told_in_both_places() {
    let cart = CHECKOUT.replace("checkout", "cart");
    let thief = cart.replace(
        "kind: Service\nmetadata: { namespace: shop, name: cart }",
        "kind: Service\nmetadata: { namespace: shop, name: checkout }",
    );
    let other = CHECKOUT.replace("checkout", "other");
    let files = [
        ("releases/a/cart.yaml", &*thief),
        ("releases/checkout.yaml", CHECKOUT),
        ("releases/other.yaml", &other),
    ];
    assert_eq!(releases(&read(&files)), ["!shop/cart", "!shop/checkout", "shop/other"]);
    insta::assert_snapshot!(wrong(&files), @"
    error: Service shop/checkout stands here and in releases/checkout.yaml:34
      --> releases/a/cart.yaml:34:1
    32 |   updateStrategy: { type: InPlaceIfPossible, maxUnavailable: 20% }
    33 | ---
    34 | apiVersion: v1
       | ^
       = delete one of the two

    error: Service shop/checkout stands here and in releases/a/cart.yaml:34
      --> releases/checkout.yaml:34:1
    32 |   updateStrategy: { type: InPlaceIfPossible, maxUnavailable: 20% }
    33 | ---
    34 | apiVersion: v1
       | ^
       = delete one of the two
    ");
    let text = wrong(&[("releases/a.yaml", &format!("{CHECKOUT}---\n{}", documents()[2]))]);
    insta::assert_snapshot!(text, @"
    error: Service shop/checkout stands here and in line 41
      --> releases/a.yaml:34:1
    32 |   updateStrategy: { type: InPlaceIfPossible, maxUnavailable: 20% }
    33 | ---
    34 | apiVersion: v1
       | ^
       = delete one of the two

    error: Service shop/checkout stands here and in line 34
      --> releases/a.yaml:41:1
    39 |   ports: [{ port: 80, targetPort: 8080 }]
    40 | ---
    41 | apiVersion: v1
       | ^
       = delete one of the two
    ");
}

#[test]
fn the_same_release_twice_is_told_in_both_places() {
    let files = [("releases/a.yaml", CHECKOUT), ("releases/b/a.yaml", CHECKOUT)];
    assert_eq!(releases(&read(&files)), ["!shop/checkout"]);
    let text = wrong(&files);
    assert_eq!(text.matches("Release shop/checkout stands here and in").count(), 2, "{text}");
}

#[test]
fn a_broken_file_harms_its_own_release_and_names_what_it_had() {
    let broken = CHECKOUT.replace(
        "{ namespace: shop, name: checkout }\nspec:\n  strategy:",
        "{ namespace: shop, name: checkout }\nspec: [\n  strategy:",
    );
    let broken_service = CHECKOUT.replace("selector: { app: checkout }\n", "selector: { app: checkout\n");
    let cart = CHECKOUT.replace("checkout", "cart");
    for broken in [broken, broken_service] {
        let read = read(&[("releases/cart.yaml", &cart), ("releases/checkout.yaml", &broken)]);
        assert_eq!(releases(&read), ["shop/cart", "!shop/checkout"]);
        assert_eq!(read.named.len(), 4);
    }
}

#[test]
fn a_broken_release_document_does_not_make_its_directory_look_lost() {
    let [release, cloneset, service] = documents();
    let broken = release.replace("strategy:", "strategy: [");
    let files = [
        ("releases/shop/checkout/cloneset.yaml", cloneset),
        ("releases/shop/checkout/release.yaml", &*broken),
        ("releases/shop/checkout/service.yaml", service),
    ];
    let read = read(&files);
    assert_eq!(releases(&read), ["!shop/checkout"]);
    assert_eq!(read.diagnostics.len(), 1);
}

#[test]
fn a_release_whose_name_cannot_be_read_is_known_by_its_cloneset() {
    let text = CHECKOUT.replacen("name: checkout }", "nmae: checkout }", 1);
    assert_eq!(releases(&read(&[("releases/a.yaml", &text)])), ["!shop/checkout"]);
}

#[test]
fn an_empty_file_is_a_mistake_and_not_a_removal() {
    let empty = [("releases/a.yaml", "# later\n---\n---\n"), ("releases/b.yaml", "")];
    let files = [empty[0], empty[1], ("releases/shop/checkout.yaml", CHECKOUT)];
    assert_eq!(releases(&read(&files)), ["shop/checkout"], "it goes on");
    let beside = [("releases/shop/service.yaml", ""), ("releases/shop/checkout.yaml", CHECKOUT)];
    assert_eq!(releases(&read(&beside)), ["!shop/checkout"], "what stood there may have been a part of it");
    insta::assert_snapshot!(wrong(&empty), @"
    error: nothing stands in this file
     --> releases/a.yaml
      = write the release again, or delete the file: that is how a release is removed

    error: nothing stands in this file
     --> releases/b.yaml
      = write the release again, or delete the file: that is how a release is removed
    ");
}

#[test]
fn the_examples_are_right() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/repo");
    let mut files = Vec::new();
    let mut waiting = vec![top.clone()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
        if matches!(triton::spec::place("", &name), Place::Release | Place::Repository) {
            files.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(wrong(&files), "");
    assert!(read(&files).releases.len() >= 5);
}

/// Values of an environment may be secret: a line for the log never has them.
#[test]
fn no_line_for_the_log_quotes_an_environment() {
    for value in
        ["0123456789", "12345678901234567890123", "123_456_789", "true", "1e999", "[hunter2]", "{hunter2: x}"]
    {
        let text = CHECKOUT.replace("value: \"0.50\"", &format!("value: {value}"));
        let lines = crate::spec::lines(&read(&[("releases/a.yaml", &text)]).diagnostics);
        assert!(!lines.is_empty(), "{value}");
        assert!(value == "true" || !lines.contains(value.trim_matches(['[', ']'])), "{lines}");
        assert!(!lines.contains("hunter2"), "{lines}");
    }
}
