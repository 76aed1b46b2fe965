//! Trees as no person means them: roots that vanish, files that become folders, names and kinds of files.

use std::os::unix::ffi::OsStrExt;

use triton::cli::worktree::OnDisk;
use triton::git::{Limits, Mirror, Remote};
use triton::spec::Severity;
use triton::world::Desired;

use crate::daemon::stage::Stage;
use crate::faults::{GATED, Reader, STEPS, broken, id, intent, release};
use crate::repo::Repo;

const FILE: &str = "releases/shop/checkout.yaml";

#[tokio::test(start_paused = true)]
async fn a_root_that_is_removed_whole_waits_for_a_word() {
    let mut stage = Stage::set();
    stage.repo.write("releases/shop/cart.yaml", &release("cart", "1.0.0", STEPS));
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("both are there", |it| it.phase() == "Healthy" && !it.cloneset("cart").is_null()).await;
    stage.repo.git(&["rm", "--quiet", "-r", "releases"]);
    let commit = stage.repo.commit("Remove everything");
    stage.until("it waits", |it| it.waits_for() == "removal").await;
    stage.wait(120).await;
    assert!(!stage.cloneset("cart").is_null() && !stage.cloneset("checkout").is_null());
    let hold = stage.record("checkout")["status"]["holds"][0].to_string();
    assert!(hold.contains(&format!("approvals/removal/{commit}.yaml")), "{hold}");
    stage.repo.put(&format!("approvals/removal/{commit}.yaml"), "reason: moved\n");
    stage
        .until("both are gone", |it| it.cloneset("cart").is_null() && it.cloneset("checkout").is_null())
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_becomes_a_folder_and_a_file_again_moves_no_pod() {
    let mut stage = Stage::set();
    let made = stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    let (pods, text) = (stage.pod_names(), std::fs::read_to_string(stage.repo.file(FILE)).unwrap());
    stage.repo.remove(FILE);
    stage.repo.put(&format!("{FILE}/release.yaml"), &text);
    stage.wait(30).await;
    std::fs::remove_dir_all(stage.repo.file(FILE)).unwrap();
    stage.repo.put(FILE, &text);
    stage.wait(30).await;
    assert_eq!(stage.pod_names(), pods);
    let status = &stage.record("checkout")["status"];
    assert_eq!(status["commit"], made.to_string(), "the same release as ever");
    assert_eq!(stage.phase(), "Healthy");
}

#[test]
fn names_that_look_alike_are_two_names() {
    let repo = Repo::new();
    let composed = "releases/caf\u{e9}/web.yaml";
    let taken_apart = "releases/cafe\u{301}/web.yaml";
    repo.write(composed, &release("web", "1", STEPS));
    repo.write(taken_apart, &release("cart", "1", STEPS));
    repo.write("releases/shop/Checkout.yaml", &release("checkout", "1", STEPS));
    repo.put("releases/shop/checkout.yaml", &release("other", "1", STEPS));
    let mut reader = Reader::new();
    let reading = reader.read(&repo);
    for name in ["web", "cart", "checkout", "other"] {
        intent(&reading, name);
    }
    let told: Vec<String> =
        OnDisk::read(repo.path(), "").unwrap().diagnostics.iter().map(|it| it.to_string()).collect();
    let cure = "rename one of the two, more than in case and accents";
    assert_eq!(
        told,
        [
            format!("{composed}: a Mac or Windows cannot tell this name from {taken_apart}; {cure}"),
            format!(
                "{FILE}: a Mac or Windows cannot tell this name from releases/shop/Checkout.yaml; {cure}"
            ),
        ]
    );
    // The same release in both is told in both; the others go on.
    repo.put("releases/shop/checkout.yaml", &release("checkout", "1", STEPS));
    let reading = reader.read(&repo);
    let told = broken(&reading, "checkout");
    let paths: Vec<&str> = told.iter().map(|it| it.path.as_str()).collect();
    assert!(paths.contains(&"releases/shop/Checkout.yaml") && paths.contains(&FILE), "{paths:?}");
    intent(&reading, "web");
    // A folder of approvals in another spelling is for no release.
    let digest = intent(&reading, "web").release.digest.long();
    repo.put(&format!("approvals/shop/Web/{digest}/2.a.yaml"), "");
    assert!(intent(&reader.read(&repo), "web").markers.is_empty());
}

/// Two releases, and something odd in the place of the first.
fn odd(put: impl FnOnce(&Repo)) -> (Repo, Reader) {
    let (repo, mut reader) = (Repo::new(), Reader::new());
    repo.write("releases/stock/web.yaml", &release("web", "1", STEPS));
    repo.put(FILE, &release("checkout", "1", STEPS));
    intent(&reader.read(&repo), "checkout");
    repo.remove(FILE);
    put(&repo);
    (repo, reader)
}

#[test]
fn links_submodules_and_pointers_are_told_and_their_releases_are_not_gone() {
    let link = |repo: &Repo| {
        std::os::unix::fs::symlink("/etc/passwd", repo.file(FILE)).unwrap();
        repo.commit("Link");
    };
    let submodule = |repo: &Repo| {
        repo.git(&["add", "--all"]);
        let entry = format!("160000,{},{FILE}", "1".repeat(40));
        repo.git(&["update-index", "--add", "--cacheinfo", &entry]);
        repo.git(&["commit", "--quiet", "-m", "Submodule"]);
    };
    let pointer = |repo: &Repo| {
        let text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n";
        repo.put(FILE, text);
    };
    told_after(link, "symbolic link", "commit the file in its place");
    told_after(submodule, "submodule", "commit the files in its place");
    told_after(pointer, "pointer of Git LFS", "`git lfs untrack` it");
}

fn told_after(put: impl FnOnce(&Repo), what: &str, cure: &str) {
    let (repo, mut reader) = odd(put);
    let reading = reader.read(&repo);
    let told = broken(&reading, "checkout");
    assert_eq!(told[0].path, FILE);
    assert!(told[0].message.contains(what) && told[0].cure.contains(cure), "{}", told[0]);
    intent(&reading, "web");
}

#[test]
fn an_executable_file_is_a_file() {
    let (repo, mut reader) = odd(|repo| {
        repo.write(FILE, &release("checkout", "2", STEPS));
        repo.git(&["add", "--all"]);
        repo.git(&["update-index", "--chmod=+x", FILE]);
        repo.git(&["commit", "--quiet", "-m", "Executable"]);
    });
    assert_eq!(reader.intent(&repo).release.version, "2");
}

#[test]
fn a_work_tree_is_told_of_what_the_daemon_does_not_read() {
    let repo = Repo::new();
    repo.write("releases/stock/web.yaml", &release("web", "1", STEPS));
    std::os::unix::fs::symlink("web.yaml", repo.file("releases/stock/link.yaml")).unwrap();
    std::os::unix::fs::symlink("stock", repo.file("releases/more")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"\xff.yaml");
    std::fs::write(repo.file("releases/stock").join(name), "x").unwrap();
    let deep = format!("releases/{}", ["a"; 70].join("/"));
    repo.write(&format!("{deep}/x.yaml"), "x");
    for number in 0..1_001 {
        repo.write(&format!("releases/crowd/{number}.yaml"), &release(&format!("r{number}"), "1", STEPS));
    }
    let read = OnDisk::read(repo.path(), "").unwrap();
    assert!(read.assembled.releases[&id("web")].is_ok());
    let mut told: Vec<String> =
        read.diagnostics.iter().map(|it| format!("{} {it}", it.severity.word())).collect();
    told.sort();
    let deepest = ["a"; 64].join("/");
    let expected = [
        "error releases/stock/link.yaml: it is a symbolic link, which is not followed; commit the file in its place",
        "error releases/stock/\u{fffd}.yaml: it is no regular file with a name in UTF-8; give it a plain name and a \
         plain mode",
        &format!(
            "warning releases/{deepest}: the folder lies more than 64 folders deep, and is not opened; move its files \
             further up"
        ),
        "warning releases/crowd: the folder has 1001 files; above 1000, reading history is slow; spread them over \
         more folders",
        "warning releases/more: it is a symbolic link, which is not followed; commit the file in its place",
    ];
    assert_eq!(told, expected);
    assert_eq!(read.diagnostics.iter().filter(|it| it.severity == Severity::Error).count(), 2);
}

/// A commit with files of little content, by a stream: nobody has a disk for them.
fn commit(files: impl Iterator<Item = (String, String)>) -> Vec<u8> {
    let mut stream =
        "commit refs/heads/main\ncommitter Ann <ann@example.com> 1700000000 +0000\ndata 1\nx\n".to_owned();
    for (path, content) in files {
        stream.push_str(&format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len()));
    }
    stream.into_bytes()
}

/// The daemon's mirror of a repository, after one poll.
fn mirrored(repo: &Repo) -> (tempfile::TempDir, Mirror) {
    let state = tempfile::tempdir().unwrap();
    let remote = Remote::new(repo.path().to_str().unwrap(), "main").unwrap();
    let mut mirror = Mirror::open(state.path(), remote, Limits::default()).unwrap();
    mirror.poll().unwrap();
    (state, mirror)
}

#[test]
fn a_folder_of_four_thousand_folders_is_told_and_harms_nobody() {
    let repo = Repo::new();
    let path = format!("releases/{}/checkout.yaml", ["a"; 4096].join("/"));
    let web = ("releases/stock/web.yaml".to_owned(), release("web", "1", STEPS));
    repo.import(&commit([web, (path, release("checkout", "1", STEPS))].into_iter()));
    mirrored(&repo);
    let reading = Reader::new().read(&repo);
    intent(&reading, "web");
    let told = broken(&reading, "checkout");
    assert!(told[0].message.contains("more than 64 folders deep"), "{}", told[0]);
    assert_eq!(told[0].path.matches('/').count(), 64);
}

#[test]
fn a_hundred_thousand_files_are_refused_in_a_root_and_welcome_beside_it() {
    let web = || ("releases/stock/web.yaml".to_owned(), release("web", "1", STEPS));
    let path = |folder: &str, number: u32| format!("{folder}/{}/{}.yaml", number / 500, number % 500);
    let many = |folder: &'static str| (0..=100_000).map(move |number| (path(folder, number), String::new()));
    let repo = Repo::new();
    repo.import(&commit(many("docs").chain([web()])));
    mirrored(&repo);
    intent(&Reader::new().read(&repo), "web");

    let repo = Repo::new();
    repo.import(&commit(many("releases").chain([web()])));
    let (_state, mirror) = mirrored(&repo);
    let (known, policy) = (Default::default(), Default::default());
    let head = repo.id("main");
    let question = triton::catalog::Question {
        repository: mirror.repository(),
        head,
        seen: None,
        known: &known,
        policy: &policy,
    };
    let error = triton::catalog::Catalog::new("").read(&question).unwrap_err();
    assert_eq!(error.to_string(), "the repository is too large: more than 100000 files to read");
}

#[test]
fn a_release_whose_file_moves_is_the_same_release() {
    let (repo, mut reader) = (Repo::new(), Reader::new());
    repo.put(FILE, &release("checkout", "1", GATED));
    let first = reader.intent(&repo).episode.as_ref().unwrap().first;
    repo.git(&["mv", FILE, "releases/shop/till.yaml"]);
    repo.commit("Rename");
    assert_eq!(reader.intent(&repo).episode.as_ref().unwrap().first, first);
    assert!(!matches!(reader.read(&repo).desired[&id("checkout")], Desired::Gone(_)));
}
