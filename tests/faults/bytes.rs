//! Bytes that are no release: each told with its file, none of them a removal, and its neighbour goes on.

use std::fmt::Write as _;

use triton::cli::worktree::OnDisk;
use triton::spec::Severity;

use crate::faults::{GATED, Reader, STEPS, broken, id, intent, release};
use crate::repo::Repo;

const FILE: &str = "releases/shop/checkout.yaml";

fn good() -> String {
    release("checkout", "1", GATED)
}

fn with(from: &str, to: &str) -> Vec<u8> {
    assert!(good().contains(from), "{from}");
    good().replacen(from, to, 1).into_bytes()
}

fn laughs() -> Vec<u8> {
    let first = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    let text = (b'b'..=b'l').fold(first, |mut text, name| {
        let (name, below) = (char::from(name), char::from(name - 1));
        writeln!(text, "{name}: &{name} [{}]", vec![format!("*{below}"); 9].join(", ")).unwrap();
        text
    });
    text.into_bytes()
}

/// What stands in the file, and words of what is said of it.
fn cases() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("nothing", Vec::new(), "nothing stands in this file"),
        ("a comment", b"# gone?\n".to_vec(), "nothing stands in this file"),
        ("not UTF-8", b"kind: Release\nmetadata: { name: caf\xe9 }\n".to_vec(), "not UTF-8: byte 0xe9"),
        ("UTF-16", b"\xff\xfek\0i\0n\0d\0".to_vec(), "UTF-16"),
        ("a NUL", b"kind: Release\0\n".to_vec(), "this is not YAML"),
        ("laughs", laughs(), "more than 200000 values"),
        (
            "a key twice",
            with("  replicas: 4\n", "  replicas: 4\n  replicas: 5\n"),
            "stands twice in the same map",
        ),
        (
            "Norway",
            with(
                "    metadata: {labels: {app: checkout}}",
                "    metadata: {labels: {app: checkout, country: no}}",
            ),
            "`no` is false",
        ),
        ("octal", with("  replicas: 4\n", "  replicas: 010\n"), "octal for YAML 1.1"),
        ("a thousand million pods", with("  replicas: 4\n", "  replicas: 1000000000\n"), "from 0 to 100000"),
        ("1e9 pods", with("  replicas: 4\n", "  replicas: 1e9\n"), "from 0 to 100000"),
        ("fewer than no pods", with("  replicas: 4\n", "  replicas: -1\n"), "from 0 to 100000"),
        ("ten megabytes", "# ten\n".repeat(10 << 17).into_bytes(), "at most 1048576 are read"),
        ("four thousand brackets", vec![b'['; 4096], "recursion limit exceeded"),
        (
            "four thousand levels",
            (0..4096).flat_map(|depth| format!("{}a:\n", " ".repeat(depth % 200)).into_bytes()).collect(),
            "this is not YAML",
        ),
        ("a tag", with("  replicas: 4\n", "  replicas: !!int 4\n"), "tags are not read"),
        ("a merge key", with("  replicas: 4\n", "  <<: {replicas: 4}\n"), "merge keys"),
        ("a control character", with("name: checkout}", "name: \"check\\e[31mout\"}"), "is not a valid name"),
    ]
}

#[test]
fn each_is_told_with_file_and_cure_and_nothing_else_is_harmed() {
    let (repo, mut reader) = (Repo::new(), Reader::new());
    repo.write("releases/stock/web.yaml", &release("web", "1", STEPS));
    repo.put(FILE, &good());
    intent(&reader.read(&repo), "checkout");
    for (what, bytes, words) in cases() {
        std::fs::write(repo.file(FILE), &bytes).unwrap();
        repo.commit(what);
        let reading = reader.read(&repo);
        intent(&reading, "web");
        let told = broken(&reading, "checkout");
        let found = told.iter().find(|it| it.message.contains(words));
        let found = found.unwrap_or_else(|| panic!("{what}: {told:#?}"));
        assert!(found.path == FILE && !found.cure.is_empty(), "{what}: {found}");
        let checked = OnDisk::read(repo.path(), "").unwrap();
        let same =
            checked.diagnostics.iter().any(|it| it.severity == Severity::Error && it.message.contains(words));
        assert!(same, "{what}: {:#?}", checked.diagnostics);
        assert!(checked.assembled.releases[&id("web")].is_ok());
        let shown: String = told.iter().map(|it| it.render()).collect();
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{what}: {shown:?}");
    }
}

#[test]
fn ways_of_writing_the_same_are_the_same_release() {
    let (repo, mut reader) = (Repo::new(), Reader::new());
    let anchored = good()
        .replace("{matchLabels: {app: checkout}}", "{matchLabels: &labels {app: checkout}}")
        .replace("    metadata: {labels: {app: checkout}}", "    metadata: {labels: *labels}");
    assert!(anchored.contains("*labels"));
    let written = [
        ("as it was", good()),
        ("with a byte order mark", format!("\u{feff}{}", good())),
        ("with line ends of Windows", good().replace('\n', "\r\n")),
        ("with anchors", anchored),
    ];
    let mut digests = std::collections::BTreeSet::new();
    for (way, text) in written {
        std::fs::create_dir_all(repo.file("releases/shop")).unwrap();
        std::fs::write(repo.file(FILE), &text).unwrap();
        repo.commit(way);
        digests.insert(reader.intent(&repo).release.digest);
    }
    assert_eq!(digests.len(), 1);
}
