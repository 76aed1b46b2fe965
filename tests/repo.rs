//! A real Git repository in a temporary folder, driven by the `git` program as a person would.

use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use triton::model::CommitId;

/// Where the program is. One that is named by its path is started without a copy of this process' memory map, which takes
/// long where that is large.
fn git() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut there = std::env::split_paths(&path).map(|folder| folder.join("git"));
    there.find(|it| it.is_file()).expect("git is there")
}

/// A working clone with the branch `main`. Dates are fixed, and without a home folder nobody's configuration is
/// read, so that ids are the same on every machine.
pub struct Repo {
    dir: tempfile::TempDir,
}

impl Repo {
    /// An empty repository.
    pub fn new() -> Self {
        let repo = Self { dir: tempfile::tempdir().expect("a temporary folder") };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs `git` and returns what it printed.
    pub fn git(&self, args: &[&str]) -> String {
        self.git_as("Ann", args)
    }

    /// Runs `git` as a person with this name.
    pub fn git_as(&self, who: &str, args: &[&str]) -> String {
        self.git_reading(who, args, "")
    }

    /// Runs `git` as a person, with this to read.
    pub fn git_reading(&self, who: &str, args: &[&str], input: &str) -> String {
        let mut read = tempfile::tempfile().expect("a temporary file");
        read.write_all(input.as_bytes()).and_then(|()| read.rewind()).expect("a temporary file");
        let mail = format!("{}@example.com", who.to_lowercase());
        let output = Command::new(git())
            .args(["-c", "commit.gpgsign=false", "-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(self.path())
            .stdin(read)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", who), ("GIT_COMMITTER_NAME", who)])
            .envs([("GIT_AUTHOR_EMAIL", mail.as_str()), ("GIT_COMMITTER_EMAIL", mail.as_str())])
            .envs([("GIT_AUTHOR_DATE", "1700000000 +0000"), ("GIT_COMMITTER_DATE", "1700000000 +0000")])
            .envs([("GIT_MERGE_AUTOEDIT", "no"), ("GIT_EDITOR", "true")])
            .output()
            .expect("git runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Makes commits from a stream of `git fast-import`: whatever no person would write. The work tree stays as it is.
    pub fn import(&self, stream: &[u8]) {
        let mut child = Command::new(git())
            .args(["fast-import", "--quiet", "--force", "--date-format=raw-permissive"])
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("git runs");
        child.stdin.take().expect("it is piped").write_all(stream).expect("git reads");
        assert!(child.wait().expect("git ends").success(), "git fast-import");
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.file(path);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.file(path)).expect("the file is there");
    }

    /// The path of a file on disk.
    pub fn file(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// Commits everything as it is on disk, changed or not.
    pub fn commit(&self, message: &str) -> CommitId {
        self.commit_as("Ann", message)
    }

    /// Commits everything in somebody's name.
    pub fn commit_as(&self, who: &str, message: &str) -> CommitId {
        self.git(&["add", "--all"]);
        self.git_as(who, &["commit", "--quiet", "--allow-empty", "-m", message]);
        self.id("HEAD")
    }

    /// Writes one file and commits it.
    pub fn put(&self, path: &str, content: &str) -> CommitId {
        self.write(path, content);
        self.commit(&format!("Write {path}"))
    }

    /// The id of a revision.
    pub fn id(&self, revision: &str) -> CommitId {
        let revision = format!("{revision}^{{commit}}");
        self.git(&["rev-parse", &revision]).parse().expect("an id")
    }
}
