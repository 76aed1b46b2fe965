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
use crate::spec::{Assembled, Diagnostic, Place, Release, Severity, read_freeze};
use crate::world::{Desired, Episode, Freeze, Intent, Marker, Policy, Removal};

/// The tree without entries, as Git calls it everywhere.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// What Git says.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// For every release that the head names or the cluster has.
    pub desired: BTreeMap<ReleaseId, Desired>,
    /// Whether every file of the root could be read: what is not here is not in Git.
    pub is_whole: bool,
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
    /// First commits of episodes, as they are told to people.
    told: BTreeMap<CommitId, Episode>,
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
        let (episodes, judged, told) = (Episodes::default(), BTreeMap::new(), BTreeMap::new());
        Ok(Last { head: question.head, tree, snapshot, assembled, episodes, judged, told })
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
            is_whole: last.snapshot.opaque().is_empty(),
            named: Arc::new(last.assembled.named.clone()),
            diagnostics: last.assembled.diagnostics.clone(),
            ..Reading::default()
        };
        let releases = std::mem::take(&mut last.assembled.releases);
        for (id, checked) in &releases {
            let desired = match checked {
                Err(diagnostics) => Desired::Broken(Arc::clone(diagnostics)),
                Ok(release) => Desired::Release(Arc::new(Intent {
                    release: Arc::clone(release),
                    episode: episode(last, id, question)?,
                    cap: last.episodes.cap(id, release.cap),
                    markers: self.markers(last, release, question)?,
                    freezes: freezes.of(&release.path)?,
                })),
            };
            reading.desired.insert(id.clone(), desired);
        }
        last.assembled.releases = releases;
        let told: BTreeSet<CommitId> = reading.desired.values().filter_map(first).collect();
        last.told.retain(|commit, _| told.contains(commit));
        let opaque = last.snapshot.opaque().into_iter().chain(self.emptied(last));
        let opaque: Arc<[Diagnostic]> = opaque.collect();
        for id in question.known.keys().filter(|id| !last.assembled.releases.contains_key(*id)) {
            reading.desired.insert(id.clone(), self.gone(last, id, &opaque, question)?);
        }
        reading.diagnostics.extend(freezes.read.into_values().flat_map(|(_, diagnostics)| diagnostics));
        Ok(reading)
    }

    /// The mistake of a commit without a single file: whoever emptied the repository has hardly meant every pod.
    fn emptied(&self, last: &Last) -> Option<Diagnostic> {
        (last.tree.to_string() == EMPTY_TREE).then(|| Diagnostic {
            severity: Severity::Error,
            path: self.root.releases(),
            line: 0,
            column: 0,
            message: "the repository has no file any more, and nothing is deleted for that".to_owned(),
            cure:
                "revert the commit that emptied it; to remove releases, remove their files and leave others"
                    .to_owned(),
            snippet: String::new(),
        })
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

    /// The markers of a release with an open episode, judged again only when something about them changed.
    fn markers(&self, last: &mut Last, release: &Release, question: &Question<'_>) -> Result<Vec<Marker>> {
        let repository = question.repository;
        let Some(run) = last.episodes.run(&release.id).copied() else { return Ok(Vec::new()) };
        let Some(beginning) = run.beginning else { return Ok(Vec::new()) };
        let entry = repository.entry(last.tree, &self.root.approvals_of(&release.id))?;
        let Some(entry) = entry.filter(|entry| entry.kind == Kind::Directory) else { return Ok(Vec::new()) };
        let is_same = |judged: &&Judged| {
            judged.run == run && judged.folder == entry.id && judged.policy == *question.policy
        };
        if let Some(judged) = last.judged.get(&release.id).filter(is_same) {
            return Ok(judged.markers.clone());
        }
        let judge = Judge {
            repository,
            root: &self.root,
            policy: question.policy,
            release,
            home: last.snapshot.home(&release.id),
            beginning,
            brought: &|path| last.episodes.brought(path),
        };
        let markers = judge.judge(entry.id)?;
        let policy = Arc::clone(question.policy);
        let judged = Judged { run, folder: entry.id, policy, markers: markers.clone() };
        last.judged.insert(release.id.clone(), judged);
        Ok(markers)
    }
}

fn first(desired: &Desired) -> Option<CommitId> {
    match desired {
        Desired::Release(intent) => intent.episode.as_ref().map(|episode| episode.first),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
    }
}

/// The episode of a release, for plans and for people.
fn episode(last: &mut Last, id: &ReleaseId, question: &Question<'_>) -> Result<Option<Episode>> {
    let first = match last.episodes.run(id) {
        Some(run) => run.beginning.map(|beginning| beginning.first),
        None => question.known.get(id).and_then(|known| known.episode),
    };
    let Some(first) = first else { return Ok(None) };
    if let Some(episode) = last.told.get(&first) {
        return Ok(Some(episode.clone()));
    }
    let mut episode = Episode { first, author: String::new(), summary: String::new(), time: None };
    // A commit from before a rewrite may not be here; it is still the one that memory names.
    if question.repository.has(first)? {
        let commit = question.repository.commit(first)?;
        (episode.author, episode.summary) = (commit.author.name, commit.summary);
        episode.time = Some(commit.time);
    }
    last.told.insert(first, episode.clone());
    Ok(Some(episode))
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
