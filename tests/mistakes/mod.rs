//! Every mistake that a file can have: pages of wrong files, and what `triton check` says of them, kept in
//! `mistakes.snap` for people to read.
//!
//! A page has trees, each below a `## title`; a file of it begins with `>> path`. `@release NAME` and `@cloneset NAME`
//! stand for a document that is right.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use triton::catalog::{Catalog, Question};
use triton::cli::worktree::{OnDisk, roots};
use triton::git::Repository;
use triton::spec::{Diagnostic, read_configuration};

use crate::holds::{fixed_parts, in_order};
use crate::repo::Repo;
use crate::support::source::{Source, sources};

/// Files by path, and what they are about.
struct Tree {
    title: String,
    files: Vec<(String, Vec<u8>)>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes")
}

/// The pages, by name.
fn pages() -> Vec<(String, Vec<Tree>)> {
    let mut paths: Vec<_> =
        fs::read_dir(folder().join("pages")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let page = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap().split("## ").skip(1).map(tree).collect())
    };
    let mut pages: Vec<_> = paths.into_iter().map(page).collect();
    pages.push(("bytes".to_owned(), bytes()));
    pages
}

fn tree(text: &str) -> Tree {
    let (title, rest) = text.split_once('\n').unwrap();
    let files = rest.split(">> ").skip(1).map(|file| {
        let (path, text) = file.split_once('\n').unwrap();
        // The line that separates two trees is nobody's.
        let text = text.strip_suffix("\n\n").map_or(text.to_owned(), |text| format!("{text}\n"));
        (path.to_owned(), text.lines().flat_map(|line| line_of(line).into_bytes()).collect())
    });
    Tree { title: title.to_owned(), files: files.collect() }
}

fn line_of(line: &str) -> String {
    match (line.strip_prefix("@release "), line.strip_prefix("@cloneset ")) {
        (Some(name), _) => {
            format!(
                "apiVersion: triton.io/v1\nkind: Release\nmetadata: {{ namespace: shop, name: {name} }}\n"
            )
        }
        (_, Some(name)) => format!(
            "---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{ namespace: shop, name: {name} }}
spec:
  replicas: 10
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec: {{ containers: [{{ name: app, image: \"shop/{name}:1\" }}] }}
"
        ),
        (None, None) => format!("{line}\n"),
    }
}

/// Files that are no text, or too long for a page.
fn bytes() -> Vec<Tree> {
    let one = |title: &str, bytes: Vec<u8>| Tree {
        title: title.to_owned(),
        files: vec![("releases/shop/checkout.yaml".to_owned(), bytes)],
    };
    let laughs = (b'b'..=b'g').fold("a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned(), |mut text, name| {
        let (name, below) = (char::from(name), char::from(name - 1));
        writeln!(text, "{name}: &{name} [{}]", vec![format!("*{below}"); 9].join(", ")).unwrap();
        text
    });
    let deep = (b'b'..=b'z').fold("a: &a [x]\n".to_owned(), |mut text, name| {
        let (name, below) = (char::from(name), char::from(name - 1));
        writeln!(text, "{name}: &{name} [[[*{below}]]]").unwrap();
        text
    });
    let steps = "- replicas: 100%\n".repeat(51).replace('-', "    -");
    let head = "apiVersion: triton.io/v1\nkind: Release\nmetadata: { namespace: shop, name: checkout }\n";
    vec![
        one("a byte that is not UTF-8", b"a: b\nc: \xff\n".to_vec()),
        one("UTF-16", b"\xff\xfea\0".to_vec()),
        one("more than a mebibyte", vec![b'#'; 1024 * 1024 + 1]),
        one("more than 256 documents", b"a: b\n---\n".repeat(300)),
        one("a billion laughs", laughs.into_bytes()),
        one("aliases within aliases", deep.into_bytes()),
        one("brackets within brackets", vec![b'['; 100]),
        one(
            "maps within maps",
            (0..70).flat_map(|depth| format!("{}a:\n", " ".repeat(depth)).into_bytes()).collect(),
        ),
        one("more than 50 steps", format!("{head}spec:\n  strategy:\n    steps:\n{steps}").into_bytes()),
    ]
}

/// What `triton check` says of a tree, and the daemon of its configuration.
fn diagnostics(tree: &Tree) -> Vec<Diagnostic> {
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for (path, bytes) in &tree.files {
        if path == "configuration.yaml" {
            found.extend(read_configuration(path, bytes).expect_err("it has mistakes"));
            continue;
        }
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    if found.is_empty() {
        let top = folder.path().canonicalize().unwrap();
        let mut all: BTreeSet<String> = roots(&top, &top).unwrap().into_iter().collect();
        let nested = tree.files.iter().filter_map(|(path, _)| path.strip_suffix("/triton.yaml"));
        all.extend(nested.map(str::to_owned));
        found = all.iter().flat_map(|root| OnDisk::read(&top, root).unwrap().diagnostics).collect();
    }
    found
}

/// What the daemon says of things that no work tree has: links, submodules, names, crowds.
fn of_a_commit() -> Told {
    let repo = Repo::new();
    repo.write("releases/shop/plain.yaml", "kind: x\n");
    std::os::unix::fs::symlink("/etc/passwd", repo.file("releases/shop/link.yaml")).unwrap();
    repo.git(&["add", "--all"]);
    let gitlink = format!("160000,{},releases/shop/module.yaml", "1".repeat(40));
    repo.git(&["update-index", "--add", "--cacheinfo", &gitlink]);
    repo.git(&["commit", "--quiet", "-m", "Odd files"]);
    let repository = Repository::open(repo.path()).unwrap();
    let (known, policy) = (Default::default(), Default::default());
    let question = Question {
        repository: &repository,
        head: repo.id("HEAD"),
        seen: None,
        known: &known,
        policy: &policy,
    };
    let reading = Catalog::new("").read(&question).unwrap();
    ("links and submodules, as the daemon sees them".to_owned(), reading.diagnostics)
}

/// The title of a tree, and what is told of it.
type Told = (String, Vec<Diagnostic>);

/// Every mistake, by page.
fn all() -> Vec<(String, Vec<Told>)> {
    let told = |tree: &Tree| (tree.title.clone(), diagnostics(tree));
    let mut all: Vec<_> =
        pages().iter().map(|(name, trees)| (name.clone(), trees.iter().map(told).collect())).collect();
    all.push(("a commit".to_owned(), vec![of_a_commit()]));
    all
}

#[test]
fn every_mistake_is_told_with_its_place_and_its_cure() {
    let mut page = String::new();
    for (name, trees) in all() {
        writeln!(page, "==== {name} ====\n").unwrap();
        for (title, diagnostics) in trees {
            writeln!(page, "== {title} ==\n").unwrap();
            assert!(!diagnostics.is_empty(), "{name}: {title}: nothing is told");
            for it in &diagnostics {
                assert!(!it.path.is_empty() && !it.message.is_empty() && !it.cure.is_empty(), "{it:?}");
                let one_line = |text: &str| !text.contains('\n') && !text.ends_with(['.', ' ']);
                assert!(one_line(&it.message) && one_line(&it.cure), "{it:?}");
                assert!(it.line > 0 || it.snippet.is_empty(), "{it:?}");
            }
            page.push_str(&shown(&diagnostics));
        }
    }
    insta::with_settings!({snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("mistakes", page);
    });
}

/// Diagnostics as a terminal shows them; of very many the first two and the last.
fn shown(diagnostics: &[Diagnostic]) -> String {
    let render = |it: &Diagnostic| format!("{}\n", it.render());
    match diagnostics {
        [first, second, .., last] if diagnostics.len() > 50 => {
            format!("{}{}… {} in all …\n\n{}", render(first), render(second), diagnostics.len(), render(last))
        }
        all => all.iter().map(render).collect(),
    }
}

/// Files of `spec` that make no diagnostics.
const SILENT: &[&str] = &["spec/edit.rs", "spec/keep.rs", "spec/report.rs", "spec/diagnostic.rs"];

/// Texts that are said in other places: of a freeze on a hold, of a marker in the status, of documents in an error.
const ELSEWHERE: &[&str] = &[
    "{} (broken: {})",
    "nothing stands in it",
    "the file is broken: {why}",
    "a skip marker needs a `reason`",
    "the documents hash to {found}, not to {expected}",
    "the documents are not those of a release",
    "filtered above",
    "version https://git-lfs",
    "write it as NAMESPACE/NAME",
];

/// A sentence that no page tells is one that nobody has read.
#[test]
fn every_sentence_of_the_language_is_told() {
    let told: Vec<String> = all()
        .into_iter()
        .flat_map(|(_, trees)| trees)
        .flat_map(|(_, diagnostics)| diagnostics)
        .flat_map(|it| [it.message, it.cure])
        .collect();
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let speaks = |file: &&Source| {
        let name = file.name();
        let is_language = file.room() == "spec" && !SILENT.contains(&&*name);
        is_language || name == "model/name.rs"
    };
    let mut silent = String::new();
    for file in files.iter().filter(speaks) {
        let end =
            file.text.lines().position(|line| line == "#[cfg(test)]").map_or(usize::MAX, |index| index + 1);
        for literal in file.literals.iter().filter(|literal| literal.line < end) {
            let text = literal.text.as_str();
            if !text.contains(' ') || ELSEWHERE.contains(&text) {
                continue;
            }
            let parts = fixed_parts(text);
            if !told.iter().any(|told| in_order(told, &parts)) {
                writeln!(silent, "{}: \"{text}\"", file.at(literal.line)).unwrap();
            }
        }
    }
    assert!(silent.is_empty(), "no page of tests/mistakes shows\n{silent}");
}
