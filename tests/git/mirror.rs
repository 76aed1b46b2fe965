//! A mirror follows one branch of a repository on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use triton::git::{Error, Kind, Limits, Mirror, Poll, Remote};

use crate::repo::Repo;

fn state() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(state: &TempDir, repo: &Repo) -> Mirror {
    let remote = Remote::new(&repo.path().display().to_string(), "main").expect("a path");
    Mirror::open(state.path(), remote, Limits::default()).expect("a mirror")
}

/// The mirror in a state directory: there is one.
fn newest(state: &TempDir) -> PathBuf {
    let folders = fs::read_dir(state.path()).unwrap().flatten().map(|file| file.path());
    let mirrors: Vec<_> = folders.filter(|path| path.extension().is_some_and(|it| it == "git")).collect();
    assert_eq!(mirrors.len(), 1, "{mirrors:?}");
    mirrors[0].clone()
}

/// Every file below `path` with its time of change.
fn files(path: &Path) -> BTreeMap<String, SystemTime> {
    let mut found = BTreeMap::new();
    for file in fs::read_dir(path).unwrap().flatten() {
        if file.path().is_dir() {
            found.extend(files(&file.path()));
        } else {
            found.insert(file.path().display().to_string(), file.metadata().unwrap().modified().unwrap());
        }
    }
    found
}

#[test]
fn a_poll_brings_the_branch_and_a_second_one_touches_no_file() {
    let (repo, state) = (Repo::new(), state());
    repo.put("releases/a.yaml", "one\n");
    let head = repo.put("releases/b.yaml", "two\n");
    let mut mirror = open(&state, &repo);
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(head));
    let before = files(state.path());
    assert_eq!(mirror.poll().unwrap(), Poll::Unchanged(head));
    assert_eq!(files(state.path()), before);

    let tree = mirror.repository().commit(head).unwrap().tree;
    let entry = mirror.repository().entry(tree, "releases/b.yaml").unwrap().unwrap();
    assert_eq!(mirror.repository().blob(entry.id, 100).unwrap(), b"two\n");
    assert!(matches!(mirror.repository().blob(entry.id, 3), Err(Error::BlobTooLarge { size: 4, limit: 3 })));
}

#[test]
fn a_bare_repository_and_a_file_address_are_read_as_well() {
    let (repo, state, bare) = (Repo::new(), state(), self::state());
    let head = repo.put("a", "1");
    repo.git(&["clone", "--quiet", "--bare", ".", &bare.path().join("x.git").display().to_string()]);
    let address = format!("file://{}", bare.path().join("x.git").display());
    let mut mirror =
        Mirror::open(state.path(), Remote::new(&address, "main").unwrap(), Limits::default()).unwrap();
    assert_eq!(mirror.poll().unwrap().head(), head);
}

#[test]
fn only_the_tracked_branch_is_copied_and_only_what_is_new() {
    let (repo, state) = (Repo::new(), state());
    let first = repo.put("a", "1");
    let mut mirror = open(&state, &repo);
    mirror.poll().unwrap();
    repo.git(&["switch", "--quiet", "-c", "other"]);
    let other = repo.put("b", "2");
    repo.git(&["tag", "v1"]);
    assert_eq!(mirror.poll().unwrap(), Poll::Unchanged(first));
    assert!(!mirror.repository().has(other).unwrap());
    repo.git(&["switch", "--quiet", "main"]);
    let second = repo.put("c", "3");
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(second));
    assert!(!mirror.repository().has(other).unwrap());
    assert!(mirror.repository().descends(second, first).unwrap());
}

#[test]
fn an_empty_repository_says_what_to_push() {
    let (repo, state) = (Repo::new(), state());
    let error = open(&state, &repo).poll().unwrap_err();
    assert_eq!((error.category(), error.is_transient()), ("empty", false));
    assert!(error.to_string().ends_with("is empty: push a first commit to branch `main`"), "{error}");
}

#[test]
fn a_deleted_branch_is_named_and_the_mirror_keeps_what_it_had() {
    let (repo, state) = (Repo::new(), state());
    let head = repo.put("a", "1");
    let mut mirror = open(&state, &repo);
    mirror.poll().unwrap();
    repo.git(&["branch", "-m", "main", "trunk"]);
    let error = mirror.poll().unwrap_err();
    assert!(error.to_string().ends_with("has no branch `main`; it has `trunk`"), "{error}");
    assert_eq!(mirror.head().unwrap(), Some(head));
    repo.git(&["branch", "-m", "trunk", "main"]);
    assert_eq!(mirror.poll().unwrap(), Poll::Unchanged(head));
}

#[test]
fn a_path_without_a_repository_is_said_so() {
    let (state, empty) = (state(), self::state());
    let remote = Remote::new(&empty.path().display().to_string(), "main").unwrap();
    let error = Mirror::open(state.path(), remote, Limits::default()).unwrap().poll().unwrap_err();
    assert!(error.to_string().starts_with("there is no Git repository at "), "{error}");
}

#[test]
fn a_shallow_clone_is_refused() {
    let (repo, shallow, state) = (Repo::new(), state(), self::state());
    repo.put("a", "1");
    repo.put("a", "2");
    let origin = format!("file://{}", repo.path().display());
    repo.git(&["clone", "--quiet", "--depth=1", &origin, &shallow.path().join("x").display().to_string()]);
    let remote = Remote::new(&shallow.path().join("x").display().to_string(), "main").unwrap();
    let error = Mirror::open(state.path(), remote, Limits::default()).unwrap().poll().unwrap_err();
    assert!(error.to_string().contains("shallow"), "{error}");
}

#[test]
fn a_rewind_and_a_force_push_are_mirrored_and_told_apart_from_going_forward() {
    let (repo, state) = (Repo::new(), state());
    let first = repo.put("a", "1");
    let second = repo.put("a", "2");
    let mut mirror = open(&state, &repo);
    mirror.poll().unwrap();

    repo.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(first));
    assert!(!mirror.repository().descends(first, second).unwrap());

    repo.git(&["checkout", "--quiet", "--orphan", "fresh"]);
    let unrelated = repo.put("a", "3");
    repo.git(&["branch", "-M", "fresh", "main"]);
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(unrelated));
    assert!(!mirror.repository().descends(unrelated, first).unwrap());
    assert!(mirror.repository().has(second).unwrap(), "what was seen stays readable");
}

#[test]
fn a_damaged_mirror_is_thrown_away_and_fetched_again() {
    let (repo, state) = (Repo::new(), state());
    let head = repo.put("a", "1");
    open(&state, &repo).poll().unwrap();
    for file in fs::read_dir(newest(&state).join("objects/pack")).unwrap().flatten() {
        fs::remove_file(file.path()).unwrap();
    }
    assert_eq!(open(&state, &repo).poll().unwrap(), Poll::Changed(head));
    fs::write(newest(&state).join("refs/heads/mirror"), "nonsense").unwrap();
    assert_eq!(open(&state, &repo).poll().unwrap(), Poll::Changed(head));
}

#[test]
fn what_a_killed_fetch_left_behind_is_swept_up() {
    let (repo, state) = (Repo::new(), state());
    repo.put("a", "1");
    open(&state, &repo).poll().unwrap();
    let left = newest(&state).join("objects/pack/pack_git2_4711");
    fs::write(&left, "half").unwrap();
    open(&state, &repo);
    assert!(!left.exists());
}

#[test]
fn a_poll_that_was_killed_while_it_noted_something_is_done_again() {
    let (repo, state) = (Repo::new(), state());
    let head = repo.put("a", "1");
    open(&state, &repo).poll().unwrap();
    let mirror = newest(&state);
    fs::rename(mirror.join("refs/heads/mirror"), mirror.join("refs/heads/mirror.lock")).unwrap();
    for file in fs::read_dir(mirror.join("objects/pack")).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|it| it == "idx") {
            fs::rename(&file, file.with_extension("idx.lock")).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
    }
    assert_eq!(open(&state, &repo).poll().unwrap(), Poll::Changed(head));
}

#[test]
fn a_head_whose_objects_went_missing_is_fetched_whole() {
    let (repo, state) = (Repo::new(), state());
    repo.put("a", "1");
    let mut mirror = open(&state, &repo);
    mirror.poll().unwrap();
    let head = repo.put("b", "2");
    let blob = repo.git(&["rev-parse", "HEAD:b"]);
    let object = repo.file(&format!(".git/objects/{}/{}", &blob[..2], &blob[2..]));
    let kept = fs::read(&object).unwrap();
    fs::remove_file(&object).unwrap();
    let error = mirror.poll().unwrap_err();
    assert!(error.is_transient(), "{error}");
    fs::write(&object, kept).unwrap();
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(head));
}

#[test]
fn a_mirror_of_very_many_packs_is_fetched_anew() {
    let (repo, state) = (Repo::new(), state());
    let first = repo.put("a", "1");
    let mut mirror = open(&state, &repo);
    mirror.poll().unwrap();
    let packs = newest(&state).join("objects/pack");
    for number in 0..200 {
        fs::write(packs.join(format!("pack-{number}.pack")), "").unwrap();
    }
    let second = repo.put("a", "2");
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(second));
    assert!(mirror.repository().descends(second, first).unwrap());
    assert_eq!(
        fs::read_dir(newest(&state).join("objects/pack")).unwrap().count(),
        2,
        "one pack and its index"
    );
    assert_eq!(mirror.poll().unwrap(), Poll::Unchanged(second));
    mirror.discard().unwrap();
    assert_eq!(mirror.head().unwrap(), None);
    assert_eq!(mirror.poll().unwrap(), Poll::Changed(second));
}

#[test]
fn two_daemons_do_not_share_a_state_directory() {
    let (repo, state) = (Repo::new(), state());
    let first = open(&state, &repo);
    let remote = first.remote().clone();
    let refused = Mirror::open(state.path(), remote, Limits::default());
    assert!(matches!(refused, Err(Error::Locked { .. })));
    drop(first);
    open(&state, &repo);
}

#[test]
fn a_poll_ends_at_its_limits() {
    let (repo, state) = (Repo::new(), state());
    repo.put("a", &"never the same\n".repeat(100));
    let remote = Remote::new(&repo.path().display().to_string(), "main").unwrap();
    let small = Limits { bytes_max: 50, ..Limits::default() };
    let mut mirror = Mirror::open(state.path(), remote.clone(), small).unwrap();
    assert!(matches!(mirror.poll(), Err(Error::TooLarge { limit: 50, .. })));
    drop(mirror);
    let short = Limits { deadline: Duration::ZERO, ..Limits::default() };
    let mut mirror = Mirror::open(state.path(), remote.clone(), short).unwrap();
    assert!(matches!(mirror.poll(), Err(Error::TimedOut { .. })));
    drop(mirror);
    let mut mirror = Mirror::open(state.path(), remote, Limits::default()).unwrap();
    mirror.cancel_flag().store(true, Ordering::Relaxed);
    assert!(matches!(mirror.poll(), Err(Error::Cancelled { .. })));
    assert_eq!(files(&newest(&state).join("objects")).len(), 0, "nothing is left behind");
}

#[test]
fn a_submodule_and_a_symbolic_link_are_reported_and_not_followed() {
    let (repo, state) = (Repo::new(), state());
    repo.write("releases/a.yaml", "a");
    std::os::unix::fs::symlink("/etc/passwd", repo.file("releases/link.yaml")).unwrap();
    std::os::unix::fs::symlink("releases", repo.file("more")).unwrap();
    repo.git(&["add", "--all"]);
    let gitlink = format!("160000,{},sub", "1".repeat(40));
    repo.git(&["update-index", "--add", "--cacheinfo", &gitlink]);
    repo.git(&["update-index", "--chmod=+x", "releases/a.yaml"]);
    repo.git(&["commit", "--quiet", "-m", "Odd files"]);
    let mut mirror = open(&state, &repo);
    let head = mirror.poll().unwrap().head();
    let repository = mirror.repository();
    let tree = repository.commit(head).unwrap().tree;
    let kind = |path: &str| repository.entry(tree, path).unwrap().map(|entry| entry.kind);
    assert_eq!(kind("releases/link.yaml"), Some(Kind::Symlink));
    assert_eq!(kind("releases/a.yaml"), Some(Kind::Executable));
    assert_eq!(kind("sub"), Some(Kind::Submodule));
    assert_eq!(kind("more/a.yaml"), None);
    assert_eq!(kind("releases"), Some(Kind::Directory));
    assert_eq!(kind("nothing/at/all"), None);
}
