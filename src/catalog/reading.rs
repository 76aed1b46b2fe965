//! A head of the branch → what it says of every release.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::episode::{Episodes, Fate, Run};
use crate::catalog::marker::Judge;
use crate::catalog::question::{Known, Question};
use crate::catalog::root::{Root, directories};
use crate::catalog::snapshot::{Snapshot, content};
use crate::git::{Kind, ObjectId, error::Result};
use crate::model::{CommitId, ReleaseId};
use crate::objects::ObjectKey;
use crate::spec::{Assembled, Diagnostic, Place, Release, read_freeze};
use crate::world::{Desired, Episode, Freeze, Intent, Marker, Policy, Removal};

/// What Git says.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// For every release that the head names or the cluster has.
    pub desired: BTreeMap<ReleaseId, Desired>,
    /// Every object that the tree names: none of them is pruned.
    pub named: Arc<BTreeSet<ObjectKey>>,
    /// Every mistake and warning, those of no release included.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads heads of one root, one after the other.
pub struct Catalog {
    root: Root,
    last: Option<Last>,
}

/// The head that was read last. Nothing of it is kept on disk.
struct Last {
    head: CommitId,
    tree: ObjectId,
    snapshot: Snapshot,
    assembled: Assembled,
    episodes: Episodes,
    judged: BTreeMap<ReleaseId, Judged>,
}

/// Markers of a release that were judged, and what they were judged by.
struct Judged {
    run: Run,
    folder: ObjectId,
    policy: Arc<Policy>,
    markers: Vec<Marker>,
}

impl Catalog {
    /// A catalog of the root in the directory `root`, given from the repository's top.
    #[must_use]
    pub fn new(root: &str) -> Self {
        Self { root: Root::new(root), last: None }
    }

    /// Reads a head. After an error nothing is remembered; the next reading starts anew.
    pub fn read(&mut self, question: &Question<'_>) -> Result<Reading> {
        let mut last = match self.last.take() {
            Some(last) if last.head == question.head => last,
            Some(last) if question.repository.descends(question.head, last.head)? => {
                self.advance(last, question)?
            }
            Some(_) | None => self.begin(question)?,
        };
        let open = self.open(&last, question);
        last.episodes.search(question, &self.root, &last.snapshot, open)?;
        let reading = self.answer(&mut last, question)?;
        self.last = Some(last);
        Ok(reading)
    }

    fn begin(&self, question: &Question<'_>) -> Result<Last> {
        let tree = question.repository.commit(question.head)?.tree;
        let snapshot = Snapshot::read(question.repository, &self.root, tree)?;
        let assembled = snapshot.assemble(&self.root);
        let (episodes, judged) = (Episodes::default(), BTreeMap::new());
        Ok(Last { head: question.head, tree, snapshot, assembled, episodes, judged })
    }

    /// From the head that was read last to one that descends from it.
    fn advance(&self, mut last: Last, question: &Question<'_>) -> Result<Last> {
        let repository = question.repository;
        let tree = repository.commit(question.head)?.tree;
        let prefixes = [&*self.root.releases(), &*self.root.settings()];
        let changes = repository.compare(Some(last.tree), Some(tree), &prefixes)?;
        let before = last.snapshot.clone();
        last.snapshot.step_forward(repository, &self.root, &changes)?;
        if !changes.is_empty() {
            last.assembled = last.snapshot.assemble(&self.root);
        }
        let (old, new) = ((last.head, &before), (question.head, &last.snapshot));
        let brought = last.episodes.advance(repository, &self.root, old, new, question.seen)?;
        last.episodes.forget_markers(|path| Ok(repository.entry(tree, path)?.is_none()))?;
        (last.head, last.tree) = (question.head, tree);
        last.judged.retain(|release, judged| {
            let folder = format!("{}/", self.root.approvals_of(release));
            let is_same = last.episodes.run(release) == Some(&judged.run);
            is_same && !brought.iter().any(|path| path.starts_with(&folder))
        });
        Ok(last)
    }

    /// The releases whose episode must be known: those that are not complete.
    fn open(&self, last: &Last, question: &Question<'_>) -> Vec<(ReleaseId, Option<Known>)> {
        let mut open = Vec::new();
        for (id, checked) in &last.assembled.releases {
            let Ok(release) = checked else { continue };
            let known = question.known.get(id).filter(|known| known.digest == release.digest).copied();
            if !known.is_some_and(|known| known.is_complete && known.episode.is_some()) {
                open.push((id.clone(), known));
            }
        }
        open
    }

    fn answer(&self, last: &mut Last, question: &Question<'_>) -> Result<Reading> {
        let mut freezes = Freezes { root: self, tree: last.tree, question, read: BTreeMap::new() };
        let mut reading = Reading {
            named: Arc::new(last.assembled.named.clone()),
            diagnostics: last.assembled.diagnostics.clone(),
            ..Reading::default()
        };
        for (id, checked) in &last.assembled.releases {
            let desired = match checked {
                Err(diagnostics) => Desired::Broken(Arc::clone(diagnostics)),
                Ok(release) => {
                    let markers =
                        self.markers(last.tree, &last.episodes, &mut last.judged, release, question)?;
                    let intent = Intent {
                        release: Arc::clone(release),
                        episode: self.episode(&last.episodes, id, question)?,
                        cap: last.episodes.cap(id, release.cap),
                        markers,
                        freezes: freezes.of(&release.path)?,
                    };
                    Desired::Release(Arc::new(intent))
                }
            };
            reading.desired.insert(id.clone(), desired);
        }
        let opaque: Arc<[Diagnostic]> = last.snapshot.opaque().into();
        for id in question.known.keys().filter(|id| !last.assembled.releases.contains_key(*id)) {
            reading.desired.insert(id.clone(), self.gone(last, id, &opaque, question)?);
        }
        reading.diagnostics.extend(freezes.read.into_values().flat_map(|(_, diagnostics)| diagnostics));
        Ok(reading)
    }

    /// What is to be said of a release that the head does not have.
    fn gone(
        &self,
        last: &Last,
        id: &ReleaseId,
        opaque: &Arc<[Diagnostic]>,
        question: &Question<'_>,
    ) -> Result<Desired> {
        // A file that cannot be read may be the one that holds it.
        if !opaque.is_empty() {
            return Ok(Desired::Broken(Arc::clone(opaque)));
        }
        let commit = match last.episodes.fate(id) {
            Some(Fate::RemovedBy(commit)) => commit,
            Some(Fate::NeverThere) | None => return Ok(Desired::Unknown),
        };
        let marker = question.repository.entry(last.tree, &self.root.removal(commit))?;
        Ok(Desired::Gone(Removal { commit, approved: marker.is_some_and(|entry| entry.kind.is_file()) }))
    }

    fn episode(
        &self,
        episodes: &Episodes,
        id: &ReleaseId,
        question: &Question<'_>,
    ) -> Result<Option<Episode>> {
        let first = match episodes.run(id) {
            Some(run) => run.beginning.map(|beginning| beginning.first),
            None => question.known.get(id).and_then(|known| known.episode),
        };
        let Some(first) = first else { return Ok(None) };
        if !question.repository.has(first)? {
            let (author, summary) = (String::new(), String::new());
            return Ok(Some(Episode { first, author, summary, time: None }));
        }
        let commit = question.repository.commit(first)?;
        let (author, summary, time) = (commit.author.name, commit.summary, Some(commit.time));
        Ok(Some(Episode { first, author, summary, time }))
    }

    /// The markers of a release with an open episode, judged again only when something about them changed.
    fn markers(
        &self,
        tree: ObjectId,
        episodes: &Episodes,
        judged: &mut BTreeMap<ReleaseId, Judged>,
        release: &Release,
        question: &Question<'_>,
    ) -> Result<Vec<Marker>> {
        let repository = question.repository;
        let Some(run) = episodes.run(&release.id) else { return Ok(Vec::new()) };
        let Some(beginning) = run.beginning else { return Ok(Vec::new()) };
        let entry = repository.entry(tree, &self.root.approvals_of(&release.id))?;
        let Some(entry) = entry.filter(|entry| entry.kind == Kind::Directory) else { return Ok(Vec::new()) };
        let is_same = |judged: &&Judged| {
            judged.run == *run && judged.folder == entry.id && judged.policy == *question.policy
        };
        if let Some(judged) = judged.get(&release.id).filter(is_same) {
            return Ok(judged.markers.clone());
        }
        let brought = |path: &str| episodes.brought(path);
        let policy = question.policy;
        let judge = Judge { repository, root: &self.root, policy, release, beginning, brought: &brought };
        let markers = judge.judge(entry.id)?;
        let (folder, policy) = (entry.id, Arc::clone(policy));
        judged.insert(release.id.clone(), Judged { run: *run, folder, policy, markers: markers.clone() });
        Ok(markers)
    }
}

/// The freezes of one head, each read once.
struct Freezes<'a> {
    root: &'a Catalog,
    tree: ObjectId,
    question: &'a Question<'a>,
    read: BTreeMap<String, (Option<Arc<Freeze>>, Vec<Diagnostic>)>,
}

impl Freezes<'_> {
    /// Those that count for the file `path`: in its directory and in every one above.
    fn of(&mut self, path: &str) -> Result<Vec<Arc<Freeze>>> {
        let mut found = Vec::new();
        for directory in directories(path) {
            for name in ["freeze.yaml", "freeze.yml"] {
                let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
                found.extend(self.at(path)?);
            }
        }
        Ok(found)
    }

    fn at(&mut self, path: String) -> Result<Option<Arc<Freeze>>> {
        if let Some((freeze, _)) = self.read.get(&path) {
            return Ok(freeze.clone());
        }
        debug_assert!(matches!(self.root.root.place(&path), Place::Freeze(_)), "{path} freezes");
        let repository = self.question.repository;
        let read = match repository.entry(self.tree, &path)? {
            None => (None, Vec::new()),
            Some(entry) => {
                let (frozen, diagnostics) = match content(repository, &entry)? {
                    Ok(bytes) => read_freeze(&path, &bytes),
                    // One that cannot be read freezes as well.
                    Err(_) => read_freeze(&path, b""),
                };
                let freeze = Freeze { path: path.clone(), reason: frozen.reason, until: frozen.until };
                (Some(Arc::new(freeze)), diagnostics)
            }
        };
        let freeze = read.0.clone();
        self.read.insert(path, read);
        Ok(freeze)
    }
}
