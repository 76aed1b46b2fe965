//! What a repository can do to the daemon, by number: `README.md` has the list, these are the tests that others do not
//! have.

mod branch;
mod bytes;
mod history;
mod secrets;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use triton::catalog::{Catalog, Known, Question, Reading};
use triton::git::Repository;
use triton::model::{Digest, ReleaseId};
use triton::spec::Diagnostic;
use triton::world::{Desired, Intent, Policy};

use crate::repo::Repo;

/// Steps that follow each other by themselves.
pub const STEPS: &str = "[{replicas: 1}, {replicas: 50%}, {replicas: 100%}]";
/// Steps of which the second asks for an approval.
pub const GATED: &str = "[{replicas: 1}, {replicas: 50%, approval: {}}, {replicas: 100%}]";

/// A release of four pods.
pub fn release(name: &str, version: &str, steps: &str) -> String {
    format!(
        "apiVersion: triton.io/v1
kind: Release
metadata: {{namespace: shop, name: {name}}}
spec:
  strategy:
    steps: {steps}
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{namespace: shop, name: {name}}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: app
        image: example/{name}:{version}
"
    )
}

/// A daemon that reads the head of a repository, time after time; the cluster has `shop/checkout`.
pub struct Reader {
    catalog: Catalog,
    known: BTreeMap<ReleaseId, Known>,
    seen: Option<triton::model::CommitId>,
}

impl Reader {
    pub fn new() -> Self {
        let known = Known { digest: Digest::of(b"of before"), episode: None, is_complete: true };
        Self { catalog: Catalog::new(""), known: BTreeMap::from([(id("checkout"), known)]), seen: None }
    }

    fn read(&mut self, repo: &Repo) -> Reading {
        let repository = Repository::open(repo.path()).unwrap();
        let (head, policy) = (repo.id("main"), Arc::new(Policy::default()));
        let question =
            Question { repository: &repository, head, seen: self.seen, known: &self.known, policy: &policy };
        let reading = self.catalog.read(&question).unwrap();
        self.seen = Some(head);
        reading
    }

    /// The release `shop/checkout` as the head has it.
    pub fn intent(&mut self, repo: &Repo) -> Arc<Intent> {
        intent(&self.read(repo), "checkout")
    }
}

fn id(name: &str) -> ReleaseId {
    format!("shop/{name}").parse().unwrap()
}

fn intent(reading: &Reading, name: &str) -> Arc<Intent> {
    match &reading.desired[&id(name)] {
        Desired::Release(intent) => Arc::clone(intent),
        other => panic!("no release: {other:?}"),
    }
}

/// Why a release is broken.
fn broken(reading: &Reading, name: &str) -> Arc<[Diagnostic]> {
    match &reading.desired[&id(name)] {
        Desired::Broken(diagnostics) => Arc::clone(diagnostics),
        other => panic!("not broken: {other:?}"),
    }
}

/// The numbers that the list has: what stands in Git.
const NUMBERS: [u32; 22] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether a test of this name, such as `daemon::refused::a_lease_is_lost`, stands in the sources.
pub fn is_test(name: &str) -> bool {
    let mut parts: Vec<&str> = name.split("::").collect();
    let Some(function) = parts.pop() else { return false };
    let folder = if parts.first() == Some(&"src") { top().to_owned() } else { top().join("tests") };
    let module = parts.into_iter().filter(|part| *part != "tests").fold(folder, |path, part| path.join(part));
    // Scenarios are named in a table, with their files.
    let files = [module.with_extension("rs"), module.join("mod.rs"), module.join("table.rs")];
    let text: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let (declared, scenario) = (format!("fn {function}("), format!("    {function}: \""));
    text.split_once(&declared).map_or(text.contains(&scenario), |(before, _)| {
        let lines: Vec<&str> =
            before.lines().rev().skip(usize::from(!before.ends_with('\n'))).take(2).collect();
        lines.iter().any(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
            || before.ends_with("async ") && before.trim_end_matches("async ").trim_end().ends_with(")]")
    })
}

#[test]
fn every_fault_is_in_the_list_with_tests_that_exist() {
    let list = fs::read_to_string(top().join("tests/faults/README.md")).unwrap();
    let mut told = BTreeSet::new();
    let mut faults = Vec::new();
    for line in list.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let Some(number) = cells.first().and_then(|cell| cell.parse::<u32>().ok()) else { continue };
        let names: Vec<&str> = cells.last().unwrap().split('`').skip(1).step_by(2).collect();
        if !told.insert(number) || cells.len() != 3 || cells[1].len() < 20 || names.is_empty() {
            faults.push(format!("{number}: a number, a sentence and tests: {line}"));
        }
        let missing = names.iter().filter(|name| !is_test(name));
        faults.extend(missing.map(|name| format!("{number}: there is no test `{name}`")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(told, NUMBERS.into_iter().collect());
}

#[test]
fn a_test_that_is_none_is_noticed() {
    assert!(is_test("faults::a_test_that_is_none_is_noticed"));
    assert!(is_test("daemon::a_rewritten_branch_is_not_followed"));
    assert!(is_test("scenario::a_rewritten_branch_moves_nothing_on"));
    assert!(is_test("src::git::remote::tests::a_branch_is_a_branch"));
    assert!(!is_test("faults::is_test"));
    assert!(!is_test("faults::release"));
    assert!(!is_test("daemon::proven"));
    assert!(!is_test("daemon::nothing_of_the_kind"));
}
