//! A head of the branch → what it says of every release.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::episode::{Episodes, Fate, Run};
use crate::catalog::freeze::{self, Freezes};
use crate::catalog::marker::Judge;
use crate::catalog::question::{Known, Question};
use crate::catalog::root::{Root, directories, is_below};
use crate::catalog::snapshot::Snapshot;
use crate::git::{Kind, ObjectId, error::Result};
use crate::model::{CommitId, ReleaseId};
use crate::objects::ObjectKey;
use crate::spec::{Diagnostic, Release, Severity, Whole};
use crate::world::{Desired, Episode, Intent, Marker, Policy, Removal};

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

/// The head that was read last, and what was said of it. Nothing of it is kept on disk.
struct Last {
    head: CommitId,
    tree: ObjectId,
    snapshot: Snapshot,
    whole: Whole,
    episodes: Episodes,
    judged: BTreeMap<ReleaseId, Judged>,
    /// First commits of episodes, as they are told to people.
    told: BTreeMap<CommitId, Episode>,
    freezes: Freezes,
    /// What was said of every release.
    desired: BTreeMap<ReleaseId, Desired>,
    /// What the cluster remembered then.
    known: BTreeMap<ReleaseId, Known>,
    /// The configuration then.
    policy: Arc<Policy>,
    /// Releases that the cluster has and the head has not.
    absent: BTreeSet<ReleaseId>,
    /// Releases of which something else may have to be said than before.
    stale: BTreeSet<ReleaseId>,
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

    /// Reads a head. What it costs grows with what changed since the last one. After an error nothing is remembered;
    /// the next reading starts anew.
    pub fn read(&mut self, question: &Question<'_>) -> Result<Reading> {
        let mut last = match self.last.take() {
            Some(last) if last.head == question.head => last,
            Some(last) if question.repository.descends(question.head, last.head)? => {
                self.advance(last, question)?
            }
            Some(_) | None => self.begin(question)?,
        };
        last.take(question);
        let open = last.open(question);
        last.episodes.search(question, &self.root, &last.snapshot, open, &last.absent)?;
        self.answer(&mut last, question)?;
        let mut diagnostics: Vec<Diagnostic> = last.whole.diagnostics().cloned().collect();
        diagnostics.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
        diagnostics.extend(last.snapshot.remarks(&self.root));
        diagnostics.extend(last.freezes.diagnostics().cloned());
        let (desired, named) = (last.desired.clone(), Arc::clone(last.whole.named()));
        let is_whole = last.snapshot.opaque().is_empty() && self.emptied(&last).is_none();
        self.last = Some(last);
        Ok(Reading { desired, is_whole, named, diagnostics })
    }

    fn begin(&self, question: &Question<'_>) -> Result<Last> {
        let tree = question.repository.commit(question.head)?.tree;
        let snapshot = Snapshot::read(question.repository, &self.root, tree)?;
        let mut whole = Whole::default();
        let groups = snapshot.groups().map(|(name, group)| (name.clone(), Some(Arc::clone(group))));
        let stale = whole.replace(groups.collect());
        Ok(Last {
            head: question.head,
            tree,
            snapshot,
            whole,
            episodes: Episodes::default(),
            judged: BTreeMap::new(),
            told: BTreeMap::new(),
            freezes: Freezes::default(),
            desired: BTreeMap::new(),
            known: BTreeMap::new(),
            policy: Arc::clone(question.policy),
            absent: BTreeSet::new(),
            stale,
        })
    }

    /// From the head that was read last to one that descends from it.
    fn advance(&self, mut last: Last, question: &Question<'_>) -> Result<Last> {
        let repository = question.repository;
        let tree = repository.commit(question.head)?.tree;
        let (settings, releases, approvals) =
            (self.root.settings(), self.root.releases(), self.root.approvals());
        let mut prefixes = vec![settings.clone(), releases.clone(), approvals.clone()];
        prefixes.extend(directories(&settings).flat_map(freeze::places));
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let mut changes = repository.compare(Some(last.tree), Some(tree), &prefixes)?;
        let is_frozen_anew = changes.iter().any(|change| freeze::is_named_by(&change.path));
        let markers: Vec<_> = changes.extract_if(.., |change| is_below(&change.path, &approvals)).collect();
        let is_spec = |path: &str| path == settings || path == releases || is_below(path, &releases);
        changes.retain(|change| is_spec(&change.path));
        let stepped = last.snapshot.step_forward(repository, &self.root, &changes)?;
        let groups = stepped.groups.into_iter().map(|name| {
            let group = last.snapshot.group(&name).cloned();
            (name, group)
        });
        last.stale.extend(last.whole.replace(groups.collect()));
        let new = (question.head, &last.snapshot);
        let advance = last.episodes.advance(
            repository,
            &self.root,
            last.head,
            new,
            question.seen,
            &stepped.releases,
        )?;
        last.stale.extend(advance.releases);
        for change in markers.iter().filter(|change| change.after.is_none()) {
            last.episodes.forget_marker(&change.path);
        }
        let paths = markers.iter().map(|change| &change.path).chain(&advance.brought);
        for release in paths.filter_map(|path| self.root.release_of(path)) {
            last.judged.remove(&release);
            last.stale.insert(release);
        }
        (last.head, last.tree) = (question.head, tree);
        if is_frozen_anew {
            last.freezes = Freezes::default();
            last.doubt_all();
        }
        Ok(last)
    }

    /// Says anew what there is to say of the releases that something changed about.
    fn answer(&self, last: &mut Last, question: &Question<'_>) -> Result<()> {
        let opaque = last.snapshot.opaque().into_iter().chain(self.emptied(last));
        let opaque: Arc<[Diagnostic]> = opaque.collect();
        let mut stale = std::mem::take(&mut last.stale);
        stale.extend(last.absent.iter().cloned());
        let mut is_lost = false;
        for id in stale {
            let was = matches!(last.desired.get(&id), Some(Desired::Release(_)));
            let desired = match last.whole.releases().get(&id).cloned() {
                Some(Err(diagnostics)) => Desired::Broken(diagnostics),
                Some(Ok(release)) => Desired::Release(Arc::new(Intent {
                    episode: episode(last, &id, question)?,
                    cap: last.episodes.cap(&id, release.cap),
                    markers: self.markers(last, &release, question)?,
                    freezes: last.freezes.of(question.repository, last.tree, &release.path)?,
                    release,
                })),
                None if last.absent.contains(&id) => self.gone(last, &id, &opaque, question)?,
                None => {
                    is_lost |= last.desired.remove(&id).is_some();
                    last.judged.remove(&id);
                    continue;
                }
            };
            is_lost |= was && !matches!(desired, Desired::Release(_));
            last.desired.insert(id, desired);
        }
        if is_lost {
            let releases = last.whole.releases().values().flatten();
            last.freezes.retain(releases.map(|release| release.path.as_str()));
        }
        if last.told.len() > last.desired.len() {
            let told: BTreeSet<CommitId> = last.desired.values().filter_map(first).collect();
            last.told.retain(|commit, _| told.contains(commit));
        }
        Ok(())
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

impl Last {
    /// Everything is to be said again.
    fn doubt_all(&mut self) {
        self.stale.extend(self.whole.releases().keys().cloned());
    }

    /// Takes in what the question has that the last one had not.
    fn take(&mut self, question: &Question<'_>) {
        if self.policy != *question.policy {
            self.policy = Arc::clone(question.policy);
            self.doubt_all();
        }
        for id in differing(&self.known, question.known, Known::eq) {
            match question.known.get(&id) {
                Some(known) => self.known.insert(id.clone(), *known),
                None => self.known.remove(&id),
            };
            self.stale.insert(id);
        }
        for id in &self.stale {
            if self.known.contains_key(id) && !self.whole.releases().contains_key(id) {
                self.absent.insert(id.clone());
            } else {
                self.absent.remove(id);
            }
        }
    }

    /// The releases whose episode must be known: those that are not complete. Of the others it is known by now.
    fn open(&self, question: &Question<'_>) -> Vec<(ReleaseId, Option<Known>)> {
        let mut open = Vec::new();
        for id in &self.stale {
            let Some(Ok(release)) = self.whole.releases().get(id) else { continue };
            let known = question.known.get(id).filter(|known| known.digest == release.digest).copied();
            if !known.is_some_and(|known| known.is_complete && known.episode.is_some()) {
                open.push((id.clone(), known));
            }
        }
        open
    }
}

/// The releases of which two maps do not say the same: one walk along both, without looking each of them up.
pub fn differing<T>(
    a: &BTreeMap<ReleaseId, T>,
    b: &BTreeMap<ReleaseId, T>,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<ReleaseId> {
    let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
    let mut found = Vec::new();
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let one = if order == Ordering::Greater { None } else { left.next() };
        let other = if order == Ordering::Less { None } else { right.next() };
        match (one, other) {
            (Some((_, a)), Some((_, b))) if same(a, b) => {}
            (Some((id, _)), _) | (None, Some((id, _))) => found.push(id.clone()),
            (None, None) => return found,
        }
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
