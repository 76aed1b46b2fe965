//! Objects of a repository: commits, trees and tags as no `git` would write them.

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use triton::git::{Error, Repository};
use triton::model::CommitId;

use crate::generative::{corpus, is_a_line, spoilt, values};
use crate::repo::Repo;

const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
const COMMIT: &[u8] = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
author Ann <ann@example.com> 1700000000 +0000
committer Ann <ann@example.com> 1700000000 +0000
gpgsig -----BEGIN SSH SIGNATURE-----
 U1NIU0lH
 -----END SSH SIGNATURE-----

Write a file
";
const TAG: &[u8] = b"object 4b825dc642cb6eb9a060e54bf8d69288fbee4904
type tree
tag v1
tagger Ann <ann@example.com> 1700000000 +0000

A tag
";
const FOLDER: &[u8] =
    b"100644 a.yaml\x00aaaaaaaaaaaaaaaaaaaa40000 b\x00bbbbbbbbbbbbbbbbbbbb120000 c\x00cccccccccccccccccccc";

/// Writes objects of a kind, valid or not; their ids.
pub fn write(repo: &Repo, kind: &str, objects: &[Vec<u8>]) -> Vec<CommitId> {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = String::new();
    for (number, object) in objects.iter().enumerate() {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, object).unwrap();
        paths.push_str(&format!("{}\n", path.display()));
    }
    let mut child = Command::new("git")
        .args(["hash-object", "-w", "--literally", "--no-filters", "-t", kind, "--stdin-paths"])
        .current_dir(repo.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(paths.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

/// A repository that has the empty tree, where most of the objects below point.
fn repo() -> Repo {
    let repo = Repo::new();
    assert_eq!(repo.git(&["hash-object", "-w", "-t", "tree", "/dev/null"]), TREE);
    repo
}

/// An error is a sentence that names the object.
fn told<T>(result: Result<T, Error>, id: CommitId) {
    if let Err(error) = result {
        let sentence = error.to_string();
        assert!(is_a_line(&sentence) && !error.category().is_empty(), "{sentence:?}");
        let names_it = sentence.contains(&id.to_string()) || matches!(error, Error::TreeTooLarge { .. });
        assert!(names_it || sentence.contains('`'), "{id}: {sentence}");
    }
}

/// Reads each object by every door, as what it is and as what it is not.
fn read(repo: &Repo, ids: &[CommitId]) {
    let repository = Repository::open(repo.path()).unwrap();
    for &id in ids {
        told(repository.commit(id), id);
        told(repository.descends(id, ids[0]), id);
        told(repository.commits_since(id, None), id);
        match repository.line(id, &[ids[0]]) {
            Ok(line) => line.take(5).for_each(|commit| told(commit, id)),
            Err(error) => told::<()>(Err(error), id),
        }
        let _ = repository.has(id);
    }
}

/// Reads each as a folder: by its entries, by a path, against another.
fn read_folders(repo: &Repo, ids: &[CommitId]) {
    let repository = Repository::open(repo.path()).unwrap();
    let commits: Vec<Vec<u8>> = ids
        .iter()
        .map(|id| String::from_utf8_lossy(COMMIT).replacen(TREE, &id.to_string(), 1).into_bytes())
        .collect();
    for (id, commit) in ids.iter().zip(write(repo, "commit", &commits)) {
        let Ok(commit) = repository.commit(commit) else { continue };
        let tree = commit.tree;
        if let Ok(entries) = repository.tree(tree) {
            for entry in entries {
                told(repository.entry(tree, &entry.name), *id);
                // A blob of the limit's size or less, or a refusal.
                assert!(repository.blob(entry.id, 10).map_or(true, |bytes| bytes.len() <= 10));
            }
        }
        let _ = repository.compare(None, Some(tree), &[""]);
        let _ = repository.list(tree, &["a.yaml"]);
    }
}

#[test]
fn commits_of_any_bytes_are_read_or_told() {
    let repo = repo();
    let mut objects = values(&spoilt(COMMIT), 150);
    objects.extend(values(&prop::collection::vec(any::<u8>(), 0..60), 30));
    let ids = write(&repo, "commit", &objects);
    read(&repo, &ids);
}

#[test]
fn tags_of_any_bytes_are_no_commits() {
    let repo = repo();
    let ids = write(&repo, "tag", &values(&spoilt(TAG), 60));
    read(&repo, &ids);
}

#[test]
fn folders_of_any_bytes_are_read_or_told() {
    let repo = repo();
    let mut objects = values(&spoilt(FOLDER), 150);
    objects.extend(values(&prop::collection::vec(any::<u8>(), 0..60), 30));
    let ids = write(&repo, "tree", &objects);
    read_folders(&repo, &ids);
    read(&repo, &ids);
}

#[test]
fn the_kept_objects_are_read_or_told() {
    let repo = repo();
    let kept = |reader: &str| corpus(reader).into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>();
    read(&repo, &write(&repo, "commit", &kept("commits")));
    read(&repo, &write(&repo, "tag", &kept("tags")));
    let folders = write(&repo, "tree", &kept("trees"));
    read_folders(&repo, &folders);
    read(&repo, &folders);
}

/// What a spoilt commit says of itself is what Git says of it, where both can read it.
#[test]
fn a_commit_is_read_as_git_reads_it() {
    let repo = repo();
    let ids = write(&repo, "commit", &values(&spoilt(COMMIT), 40));
    let repository = Repository::open(repo.path()).unwrap();
    for id in ids {
        let Ok(commit) = repository.commit(id) else { continue };
        let output = Command::new("git")
            .args(["rev-parse", &format!("{id}^{{tree}}")])
            .current_dir(repo.path())
            .output()
            .unwrap();
        let tree = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() {
            assert!(format!("{:?}", commit.tree).contains(&tree[..8]), "{id}: {commit:?} {tree}");
        }
        assert!(commit.parents.iter().all(|parent| parent.to_string().len() == 40));
    }
}
