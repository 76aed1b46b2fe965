//! The repository of a scenario: a real one, driven by the `git` program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use triton::model::CommitId;

use crate::repo::Repo;
use crate::scenario::format::{Approve, Commit, How, Merge, Revert, folder};
use crate::scenario::reading::Tree;

/// The branch that the daemon follows.
pub const BRANCH: &str = "main";
/// The release that scenarios are about, unless they name another.
pub const RELEASE: &str = "checkout";
/// Its namespace.
pub const NAMESPACE: &str = "shop";
/// Who commits, unless a scenario says otherwise.
const WRITER: &str = "Ann";
/// Who approves.
const APPROVER: &str = "Bob";

/// A repository with the base of every scenario in its first commit, which is called `base`.
pub struct History {
    repo: Repo,
    names: BTreeMap<String, CommitId>,
    deleted: Option<CommitId>,
    markers: u32,
}

impl History {
    /// Makes it.
    pub fn new() -> Self {
        let repo = Repo::new();
        copy(&folder().join("base"), repo.path());
        let base = repo.commit("Begin");
        Self { repo, names: BTreeMap::from([("base".to_owned(), base)]), deleted: None, markers: 0 }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.repo.path()
    }

    /// The tip of the followed branch; none while it is deleted or away. Read from its file: it is asked for often.
    pub fn tip(&self) -> Option<CommitId> {
        let file = self.repo.path().join(".git/refs/heads").join(BRANCH);
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    /// The files of a commit.
    pub fn tree(&self, commit: CommitId) -> Tree {
        let list = self.repo.git(&["ls-tree", "-r", &commit.to_string()]);
        // Each line is mode, kind, id and, behind a tab, path.
        let entries = list.lines().filter_map(|line| line.split_once('\t'));
        let entries = entries.filter_map(|(entry, path)| Some((entry.rsplit_once(' ')?.1, path)));
        let (ids, paths): (Vec<&str>, Vec<&str>) = entries.unzip();
        let texts = self.repo.git_reading(WRITER, &["cat-file", "--batch=%(objectsize)"], &ids.join("\n"));
        let mut rest = texts.as_str();
        let mut files = BTreeMap::new();
        for path in paths {
            let (size, behind) = rest.split_once('\n').expect("a size stands before each text");
            let (text, behind) = behind.split_at(size.parse::<usize>().expect("a size").min(behind.len()));
            files.insert(path.to_owned(), text.to_owned());
            rest = behind.strip_prefix('\n').unwrap_or(behind);
        }
        Tree::new(files)
    }

    /// The commits between `seen` and `tip`, newest first: at each merge the first parent that still leads to
    /// `seen`. None where `tip` does not descend from it.
    pub fn line(&self, tip: CommitId, seen: Option<CommitId>) -> Option<Vec<CommitId>> {
        let leads = |from: &str| {
            let Some(seen) = seen else { return true };
            let list = self.repo.git(&["rev-list", from]);
            list.lines().any(|id| id == seen.to_string())
        };
        let mut line = Vec::new();
        let mut at = tip.to_string();
        if !leads(&at) {
            return None;
        }
        while Some(&at) != seen.map(|seen| seen.to_string()).as_ref() {
            line.push(at.parse().expect("an id"));
            let parents = self.repo.git(&["rev-list", "--parents", "-1", &at]);
            match parents.split(' ').skip(1).find(|parent| leads(parent)) {
                Some(parent) => at = parent.to_owned(),
                None => break,
            }
        }
        Some(line)
    }

    fn call(&mut self, name: Option<&String>, commit: CommitId) {
        if let Some(name) = name {
            assert!(self.names.insert(name.clone(), commit).is_none(), "two commits are called {name}");
        }
    }

    /// The commit with this name.
    pub fn named(&self, name: &str) -> CommitId {
        *self.names.get(name).unwrap_or_else(|| panic!("no commit is called {name}"))
    }

    /// Edits and commits.
    pub fn commit(&mut self, step: &Commit) {
        let release = step.release.as_deref().unwrap_or(RELEASE);
        let file = format!("releases/{NAMESPACE}/{release}.yaml");
        for (from, to) in &step.rename {
            let to = self.repo.file(to);
            fs::create_dir_all(to.parent().expect("a file lies in a folder")).expect("a folder");
            fs::rename(self.repo.file(from), to).expect("the file is there");
        }
        if let Some(tag) = &step.image {
            let image = Value::String(format!("registry.example/shop/{release}:{tag}"));
            self.edit(&file, "CloneSet.spec.template.spec.containers.0.image", &image);
        }
        for (field, value) in &step.set {
            self.edit(&file, field, value);
        }
        for number in 1..=step.copies {
            let text = fs::read_to_string(self.repo.file(&file)).expect("the release is there");
            let copy = format!("releases/{NAMESPACE}/copies/{release}-{number}.yaml");
            let mut text = json_text(&text);
            for key in ["name", "app"] {
                let (old, new) = (format!("{key:?}:{release:?}"), format!("{key:?}:\"{release}-{number}\""));
                text = text.replace(&old, &new);
            }
            self.repo.write(&copy, &text);
        }
        // A marker's folder is named after the digest as the edits leave it.
        let named = |path: &str| {
            if !path.contains('{') {
                return path.to_owned();
            }
            let digest = self.worktree().digest(release).expect("the release is sound").long();
            path.replace("{digest}", &digest).replace("{twelve}", &digest[..12])
        };
        for (path, text) in &step.files {
            self.repo.write(&named(path), text);
        }
        for path in &step.remove {
            let path = named(path);
            match self.repo.file(&path).is_dir() {
                true => fs::remove_dir_all(self.repo.file(&path)).expect("the folder is there"),
                false => self.repo.remove(&path),
            }
        }
        let message = step.message.clone().unwrap_or_else(|| "Change the release".to_owned());
        let made = self.repo.commit_as(step.by.as_deref().unwrap_or(WRITER), &message);
        self.call(step.name.as_ref(), made);
    }

    fn edit(&self, file: &str, field: &str, value: &Value) {
        let text = fs::read_to_string(self.repo.file(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut documents = documents(&text);
        let (kind, path) = field.split_once('.').expect("a field begins with its kind");
        let document = documents.iter_mut().find(|it| it["kind"] == *kind);
        let document = document.unwrap_or_else(|| panic!("{file} has no {kind}"));
        set(document, path, value);
        let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
        self.repo.write(file, &texts.join("\n---\n"));
    }

    /// The files as they stand on disk.
    fn worktree(&self) -> Tree {
        let list = self.repo.git(&["ls-files", "--cached", "--others", "--exclude-standard"]);
        let read = |path: &str| Some((path.to_owned(), fs::read_to_string(self.repo.file(path)).ok()?));
        Tree::new(list.lines().filter_map(read).collect())
    }

    /// Commits a marker.
    pub fn approve(&mut self, step: &Approve) {
        let release = step.release.as_deref().unwrap_or(RELEASE);
        self.markers += 1;
        let suffix = step.file.clone().unwrap_or_else(|| format!("m{}", self.markers));
        let path = if let Some(name) = &step.removal {
            format!("approvals/removal/{}.yaml", self.named(name))
        } else {
            let tree = step.of.as_ref().map_or_else(|| self.worktree(), |name| self.tree(self.named(name)));
            let digest = tree.digest(release).unwrap_or_else(|| panic!("{release} cannot be read")).long();
            let permit = match (step.skip, step.serve) {
                (true, _) => "skip".to_owned(),
                (false, Some(serve)) => format!("serve-{serve}"),
                (false, None) => step.step.expect("a step").to_string(),
            };
            format!("approvals/{NAMESPACE}/{release}/{digest}/{permit}.{suffix}.yaml")
        };
        self.repo.write(&path, "reason: looks good\n");
        let made = self.repo.commit_as(step.by.as_deref().unwrap_or(APPROVER), &format!("Approve {release}"));
        self.call(step.name.as_ref(), made);
    }

    /// Begins a branch.
    pub fn branch(&self, name: &str) {
        self.repo.git(&["checkout", "--quiet", "-b", name]);
    }

    /// Checks a branch out.
    pub fn checkout(&self, name: &str) {
        self.repo.git(&["checkout", "--quiet", name]);
    }

    /// Brings a branch in.
    pub fn merge(&mut self, step: &Merge) {
        let who = step.by.as_deref().unwrap_or(APPROVER);
        let branch = step.branch.as_str();
        match step.how {
            How::Merge => drop(self.repo.git_as(who, &["merge", "--quiet", "--no-ff", "--no-edit", branch])),
            How::Squash => {
                self.repo.git_as(who, &["merge", "--quiet", "--squash", branch]);
                self.repo.git_as(who, &["commit", "--quiet", "-m", &format!("Squash {branch}")]);
            }
            How::FastForward => drop(self.repo.git_as(who, &["merge", "--quiet", "--ff-only", branch])),
            How::Rebase => {
                self.repo.git_as(who, &["checkout", "--quiet", branch]);
                self.repo.git_as(who, &["rebase", "--quiet", BRANCH]);
                self.repo.git_as(who, &["checkout", "--quiet", BRANCH]);
                self.repo.git_as(who, &["merge", "--quiet", "--ff-only", branch]);
            }
        }
        let made = self.repo.id("HEAD");
        self.call(step.name.as_ref(), made);
    }

    /// Takes a commit back; a merge towards its first parent.
    pub fn revert(&mut self, step: &Revert) {
        let commit = self.named(&step.commit).to_string();
        let parents = self.repo.git(&["rev-list", "--parents", "-1", &commit]).split(' ').count() - 1;
        let mainline: &[&str] = if parents > 1 { &["-m", "1"] } else { &[] };
        let args = [&["revert", "--no-edit"], mainline, &[commit.as_str()]].concat();
        self.repo.git(&args);
        let made = self.repo.id("HEAD");
        self.call(step.name.as_ref(), made);
    }

    /// Sets the followed branch to a commit, whatever it had.
    pub fn rewind(&self, name: &str) {
        self.repo.git(&["reset", "--quiet", "--hard", &self.named(name).to_string()]);
    }

    /// Gives the followed branch a history of its own, with the same files.
    pub fn rewrite(&self) {
        self.repo.git(&["checkout", "--quiet", "--orphan", "fresh"]);
        self.repo.commit("Begin anew");
        self.repo.git(&["branch", "--quiet", "-D", BRANCH]);
        self.repo.git(&["branch", "--quiet", "-m", BRANCH]);
    }

    /// Deletes the followed branch.
    pub fn delete_branch(&mut self) {
        self.deleted = Some(self.repo.id(BRANCH));
        self.repo.git(&["checkout", "--quiet", "--detach"]);
        self.repo.git(&["branch", "--quiet", "-D", BRANCH]);
    }

    /// Makes it again, as it was.
    pub fn restore_branch(&mut self) {
        let tip = self.deleted.take().expect("the branch was deleted").to_string();
        self.repo.git(&["checkout", "--quiet", "-b", BRANCH, &tip]);
    }

    /// Takes the repository away, or brings it back.
    pub fn unreachable(&self, away: bool) {
        let (here, there) = (self.repo.path().join(".git"), self.repo.path().join("away"));
        let (from, to) = if away { (here, there) } else { (there, here) };
        fs::rename(from, to).expect("the repository moves");
    }

    /// Puts a repository without a commit in its place, or brings it back.
    pub fn empty(&self, empty: bool) {
        if empty {
            self.unreachable(true);
            self.repo.git(&["init", "--quiet", "--initial-branch", BRANCH]);
        } else {
            fs::remove_dir_all(self.repo.path().join(".git")).expect("the empty repository goes");
            self.unreachable(false);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the base can be read") {
        let path: PathBuf = entry.expect("the base can be read").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            fs::create_dir_all(&target).expect("a folder");
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file");
        }
    }
}

/// The documents of a YAML file.
fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}"))
}

fn json_text(text: &str) -> String {
    documents(text).iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// Sets a field, as `spec.template.spec.containers.0.image`; null takes it out.
fn set(document: &mut Value, path: &str, value: &Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if let (Ok(index), Value::Array(items)) = (first.parse::<usize>(), &mut *document) {
        return match rest {
            Some(rest) => set(&mut items[index], rest, value),
            None => items[index] = value.clone(),
        };
    }
    if !document.is_object() {
        *document = Value::Object(serde_json::Map::new());
    }
    match rest {
        Some(rest) => set(&mut document[first], rest, value),
        None if value.is_null() => drop(document.as_object_mut().and_then(|fields| fields.remove(first))),
        None => document[first] = value.clone(),
    }
}
