//! `triton check` on work trees.

use std::fs;
use std::path::Path;

use triton::cli::worktree::{OnDisk, roots, top};
use triton::spec::Severity;

fn write(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn example() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    triton::cli::example::write(folder.path()).unwrap();
    folder
}

fn found(folder: &Path) -> Vec<String> {
    let top = top(folder).unwrap();
    let read = |root: String| OnDisk::read(&top, &root).unwrap().diagnostics;
    let all = roots(&top, folder).unwrap().into_iter().flat_map(read);
    all.map(|it| format!("{} {}: {}", it.severity.word(), it.place(), it.message)).collect()
}

#[test]
fn the_example_has_nothing_to_mend() {
    assert_eq!(found(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/repo")), Vec::<String>::new());
}

#[test]
fn a_directory_in_a_root_means_that_root() {
    let folder = example();
    let top = top(folder.path()).unwrap();
    let below = roots(&top, &folder.path().join("releases/shop")).unwrap();
    assert_eq!(below, [""]);
    let read = OnDisk::read(&top, &below[0]).unwrap();
    assert_eq!(read.assembled.releases.len(), 6);
}

#[test]
fn above_several_roots_all_of_them_are_meant() {
    let folder = tempfile::tempdir().unwrap();
    for root in ["env/dev", "env/prod"] {
        triton::cli::example::write(&folder.path().join(root)).unwrap();
    }
    let top = top(folder.path()).unwrap();
    let all = roots(&top, folder.path()).unwrap();
    assert_eq!(all, ["env/dev", "env/prod"]);
}

#[test]
fn a_folder_without_a_root_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = roots(folder.path(), folder.path()).unwrap_err();
    assert!(refusal.to_string().contains("neither triton.yaml nor releases/"), "{refusal}");
}

#[test]
fn broken_freezes_and_useless_markers_are_told() {
    let folder = example();
    write(folder.path(), "freeze.yaml", "until: 3\n");
    write(folder.path(), "approvals/shop/checkout/abc/2.x.yaml", "");
    let told = found(folder.path());
    assert!(told.iter().any(|it| it.starts_with("error freeze.yaml")), "{told:?}");
    assert!(
        told.iter().any(|it| it.starts_with("warning approvals/") && it.contains("approves nothing")),
        "{told:?}"
    );
}

#[test]
fn one_broken_file_is_one_releases_trouble() {
    let folder = example();
    write(folder.path(), "releases/shop/mailer.yaml", "kind: Release\n  broken: [\n");
    let top = top(folder.path()).unwrap();
    let root = roots(&top, folder.path()).unwrap().remove(0);
    let read = OnDisk::read(&top, &root).unwrap();
    assert_eq!(read.assembled.releases.values().filter(|release| release.is_ok()).count(), 5);
    assert!(
        read.diagnostics.iter().all(|it| it.severity == Severity::Error && it.path.ends_with("mailer.yaml"))
    );
}
