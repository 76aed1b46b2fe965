//! A repository with 10,000 releases and 5,000 commits: images, markers, pull requests and other people's files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use triton::catalog::Known;
use triton::model::{CommitId, ReleaseId};

use crate::files::{FIRST, RELEASES, path, release, text};

/// Commits of the history, those of merged branches included.
pub const COMMITS: usize = 5_000;
/// Commits that come later, one for each round of a measurement.
const LATER: usize = 48;
/// Releases that are in the middle of a rollout at the head.
const OPEN: usize = 20;

/// A repository in a temporary folder.
pub struct History {
    dir: tempfile::TempDir,
    commits: Vec<CommitId>,
    /// What the cluster remembers: everything is complete but for the last releases that changed, and the very first
    /// one, whose episode begins with history.
    pub known: BTreeMap<ReleaseId, Known>,
    /// Versions of release files in history that are not at its end: what a walk to its beginning has to read.
    pub replaced: Vec<String>,
}

/// A commit as `git fast-import` reads it, while it is written.
struct Stream {
    text: String,
    marks: usize,
}

impl Stream {
    /// A commit on a branch; `parents` are the marks it begins at and those it merges.
    fn commit(&mut self, branch: &str, parents: &[usize], files: &[(String, String)]) -> usize {
        self.marks += 1;
        let mark = self.marks;
        let who = ["Ann", "Ben", "Cleo"][mark % 3];
        let time = 1_700_000_000 + mark * 60;
        write!(
            self.text,
            "commit refs/heads/{branch}\nmark :{mark}\ncommitter {who} <{who}@example.com> {time} +0000\n\
             data <<E\nCommit {mark}\nE\n"
        )
        .expect("text grows");
        for (index, parent) in parents.iter().enumerate() {
            let word = if index == 0 { "from" } else { "merge" };
            writeln!(self.text, "{word} :{parent}").expect("text grows");
        }
        for (path, content) in files {
            write!(self.text, "M 100644 inline {path}\ndata {}\n{content}\n", content.len())
                .expect("text grows");
        }
        mark
    }
}

/// What was committed last of a release.
#[derive(Clone)]
struct Last {
    version: String,
    mark: usize,
}

/// Commits changes as teams do, in turns of ten.
struct Author {
    stream: Stream,
    head: usize,
    last: BTreeMap<usize, Last>,
    recent: Vec<usize>,
    replaced: Vec<String>,
}

impl Author {
    /// A new image of a release.
    fn bump(&mut self, turn: usize) -> (String, String) {
        let index = 1 + turn * 7_919 % (RELEASES - 1);
        let version = format!("2.4.{turn}");
        let mark = self.stream.marks + 1;
        let before = self.last.insert(index, Last { version: version.clone(), mark });
        self.replaced.push(text(index, before.as_ref().map_or(FIRST, |last| &last.version)));
        self.recent.push(index);
        (path(index), text(index, &version))
    }

    /// An approval of the release that changed last.
    fn approval(&self, turn: usize) -> (String, String) {
        let index = *self.recent.last().expect("a release has changed before");
        let release = release(index, &self.last[&index].version);
        let digest = release.digest.long();
        (format!("approvals/{}/{digest}/2.{turn:04}.yaml", release.id), "reason: looks good\n".to_owned())
    }

    fn turn(&mut self, turn: usize) {
        let head = self.head;
        self.head = match turn % 10 {
            5 | 6 => {
                let file = self.approval(turn);
                self.stream.commit("main", &[head], &[file])
            }
            7 => {
                let file = ("docs/notes.md".to_owned(), format!("Turn {turn}\n"));
                self.stream.commit("main", &[head], &[file])
            }
            // A pull request of one commit, and its merge.
            8 => {
                let file = self.bump(turn);
                let side = self.stream.commit("side", &[head], std::slice::from_ref(&file));
                self.stream.commit("main", &[head, side], &[file])
            }
            9 => head,
            _ => {
                let file = self.bump(turn);
                self.stream.commit("main", &[head], &[file])
            }
        };
    }
}

impl History {
    /// Builds it.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        git(dir.path(), &["init", "--quiet", "--bare", "--initial-branch=main"], "");
        let mut stream = Stream { text: String::new(), marks: 0 };
        let files: Vec<_> = (0..RELEASES).map(|index| (path(index), text(index, FIRST))).collect();
        let head = stream.commit("main", &[], &files);
        let (last, recent, replaced) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut author = Author { stream, head, last, recent, replaced };
        let mut turn = 0;
        while author.stream.marks < COMMITS {
            author.turn(turn);
            turn += 1;
        }
        let (at_head, recent, replaced) =
            (author.last.clone(), author.recent.clone(), author.replaced.clone());
        let end = author.head;
        for later in 0..LATER {
            // Images, approvals and other people's files, in turns.
            author.turn([0, 5, 7][later % 3] + 10 * (turn + later));
        }
        git(dir.path(), &["fast-import", "--quiet", "--export-marks=marks"], &author.stream.text);
        let marks = std::fs::read_to_string(dir.path().join("marks")).expect("marks are exported");
        let mut commits = vec![CommitId::from_bytes([0; 20]); author.stream.marks + 1];
        for line in marks.lines() {
            let (mark, id) = line.trim_start_matches(':').split_once(' ').expect("a mark and an id");
            commits[mark.parse::<usize>().expect("a number")] = id.parse().expect("an id");
        }
        // Marks grow along the line from here on.
        let commits = commits.split_off(1);
        let open = &recent[recent.len() - OPEN..];
        let known = (0..RELEASES).map(|index| {
            let last = at_head.get(&index);
            let release = release(index, last.map_or(FIRST, |last| &last.version));
            let is_complete = index != 0 && !open.contains(&index);
            let episode = is_complete.then(|| commits[last.map_or(0, |last| last.mark - 1)]);
            (release.id.clone(), Known { digest: release.digest, episode, is_complete })
        });
        let known = known.collect();
        let mut history = Self { dir, commits, known, replaced };
        history.commits.drain(..end - 1);
        history.show(0);
        history
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its head after so many of the commits that come later.
    pub fn head(&self, later: usize) -> CommitId {
        self.commits[later]
    }

    /// Moves the branch there.
    pub fn show(&self, later: usize) {
        git(self.path(), &["update-ref", "refs/heads/main", &self.commits[later].to_string()], "");
    }
}

/// Runs `git`.
pub fn git(dir: &Path, args: &[&str], input: &str) {
    let mut command = Command::new("git");
    command.args(args).current_dir(dir).stdin(Stdio::piped());
    let mut child = command.spawn().expect("git runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("git reads");
    assert!(child.wait().expect("git ends").success(), "git {args:?}");
}
