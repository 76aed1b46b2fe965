//! Episodes from one head to the next: what is known already, and what has to be looked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::question::{Known, Question};
use crate::catalog::root::Root;
use crate::catalog::snapshot::{Snapshot, Standing};
use crate::catalog::walk::{Beginning, Found, Sought, Wanted, walk};
use crate::git::{Repository, error::Result};
use crate::model::{CommitId, Digest, ReleaseId};

/// The run of the line, ending at the head, that has one digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// *D*.
    pub digest: Digest,
    /// Where it begins; none where that lies beyond the limit of what is walked.
    pub beginning: Option<Beginning>,
    /// Whether a commit after its first one changed `spec.step`.
    pub is_recapped: bool,
}

/// What became of a release that the head does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// This commit of the line removed it; the head of that time where the removal lies too far back.
    RemovedBy(CommitId),
    /// No commit of the line ever had it.
    NeverThere,
}

/// What the commits between two heads did.
#[derive(Clone, Debug, Default)]
pub struct Advance {
    /// Markers that they brought.
    pub brought: BTreeSet<String>,
    /// Releases of whose episode something else is known.
    pub releases: BTreeSet<ReleaseId>,
}

/// What is known of the line up to the head that was read last.
#[derive(Clone, Debug, Default)]
pub struct Episodes {
    runs: BTreeMap<ReleaseId, Run>,
    brought: BTreeMap<String, CommitId>,
    fates: BTreeMap<ReleaseId, Fate>,
}

impl Episodes {
    /// The episode of a release, if it was looked for.
    #[must_use]
    pub fn run(&self, release: &ReleaseId) -> Option<&Run> {
        self.runs.get(release)
    }

    /// The commit of the line that brought a marker.
    #[must_use]
    pub fn brought(&self, path: &str) -> Option<CommitId> {
        self.brought.get(path).copied()
    }

    /// What became of a release.
    #[must_use]
    pub fn fate(&self, release: &ReleaseId) -> Option<Fate> {
        self.fates.get(release).copied()
    }

    /// `spec.step` as it counts: as it stood in the episode's first commit it is left over, or came with the spec,
    /// and permits at most step 1. A complete release has no episode here, and its step says nothing new.
    #[must_use]
    pub fn cap(&self, release: &ReleaseId, written: Option<u32>) -> Option<u32> {
        match self.runs.get(release) {
            Some(run) if !run.is_recapped => written.map(|step| step.min(1)),
            Some(_) | None => written,
        }
    }

    /// Goes on from one head to another that descends from it. Only the commits between them are walked. `touched` are
    /// the releases that differ between the two, as they stood at the old one.
    pub fn advance(
        &mut self,
        repository: &Repository,
        root: &Root,
        old: CommitId,
        (head, after): (CommitId, &Snapshot),
        seen: Option<CommitId>,
        touched: &BTreeMap<ReleaseId, Standing>,
    ) -> Result<Advance> {
        let mut gone = BTreeSet::new();
        for (release, before) in touched {
            match after.standing(release) {
                Standing::At { .. } => {
                    self.fates.remove(release);
                }
                Standing::Broken => {
                    self.fates.remove(release);
                    self.runs.remove(release);
                }
                Standing::Absent => {
                    self.runs.remove(release);
                    if *before != Standing::Absent {
                        gone.insert(release.clone());
                    }
                }
            }
        }
        let runs = &self.runs;
        let digest = |release: &ReleaseId| match after.standing(release) {
            Standing::At { digest, .. } if runs.contains_key(release) => Some(digest),
            Standing::At { .. } | Standing::Absent | Standing::Broken => None,
        };
        let sought = Sought {
            digests: Wanted::Touched(&digest),
            anchors: BTreeMap::new(),
            gone: gone.clone(),
            until: Some(old),
        };
        let line = match seen {
            Some(seen) if repository.descends(seen, old)? => repository.line(head, &[seen, old])?,
            Some(_) | None => repository.line(head, &[old])?,
        };
        let found = walk(repository, root, line, after.clone(), &sought)?;
        let releases = self.go_on(after, &found);
        for release in gone {
            let commit = found.removed.get(&release).copied().unwrap_or(head);
            self.fates.insert(release, Fate::RemovedBy(commit));
        }
        let brought = found.brought.keys().cloned().collect();
        self.brought.extend(found.brought);
        Ok(Advance { brought, releases })
    }

    /// Takes in where the episodes that are known have begun anew. Returns the releases.
    fn go_on(&mut self, after: &Snapshot, found: &Found) -> BTreeSet<ReleaseId> {
        let mut releases: BTreeSet<ReleaseId> = found.beginnings.keys().cloned().collect();
        releases.extend(found.recapped.iter().cloned());
        if found.is_cut {
            releases.extend(self.runs.keys().cloned());
        }
        for release in &releases {
            let (Some(run), Standing::At { digest, .. }) =
                (self.runs.get_mut(release), after.standing(release))
            else {
                continue;
            };
            let is_recapped = found.recapped.contains(release);
            let beginning = found.beginnings.get(release).copied();
            if beginning.is_some() || found.is_cut {
                *run = Run { digest, beginning, is_recapped };
            } else {
                run.is_recapped |= is_recapped;
            }
        }
        releases
    }

    /// Forgets who brought a marker that is gone.
    pub fn forget_marker(&mut self, path: &str) {
        self.brought.remove(path);
    }

    /// Looks for the episodes of `open` releases that are not known yet, and for what removed the `absent` ones, which
    /// only the cluster has.
    pub fn search(
        &mut self,
        question: &Question<'_>,
        root: &Root,
        snapshot: &Snapshot,
        open: Vec<(ReleaseId, Option<Known>)>,
        absent: &BTreeSet<ReleaseId>,
    ) -> Result<()> {
        let (mut digests, mut anchors) = (BTreeMap::new(), BTreeMap::new());
        for (release, known) in open.into_iter().filter(|(release, _)| !self.runs.contains_key(release)) {
            let Standing::At { digest, .. } = snapshot.standing(&release) else { continue };
            if let Some(first) = known.and_then(|known| known.episode) {
                anchors.insert(release.clone(), first);
            }
            digests.insert(release, digest);
        }
        let gone: BTreeSet<ReleaseId> =
            absent.iter().filter(|release| !self.fates.contains_key(*release)).cloned().collect();
        if digests.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let seen: Vec<CommitId> = question.seen.into_iter().collect();
        let line = question.repository.line(question.head, &seen)?;
        let sought = Sought { digests: Wanted::These(digests.clone()), anchors, gone, until: None };
        let found = walk(question.repository, root, line, snapshot.clone(), &sought)?;
        for release in &sought.gone {
            let fate = match found.removed.get(release) {
                Some(commit) => Fate::RemovedBy(*commit),
                None if found.is_whole => Fate::NeverThere,
                None => Fate::RemovedBy(question.head),
            };
            self.fates.insert(release.clone(), fate);
        }
        self.take(&digests, &found);
        self.search_aside(question, root, snapshot, (&digests, &sought.anchors), &found)
    }

    fn take(&mut self, digests: &BTreeMap<ReleaseId, Digest>, found: &Found) {
        for (release, &digest) in digests {
            let beginning = found.beginnings.get(release).copied();
            let is_recapped = found.recapped.contains(release);
            self.runs.insert(release.clone(), Run { digest, beginning, is_recapped });
        }
        for (path, commit) in &found.brought {
            self.brought.entry(path.clone()).or_insert(*commit);
        }
    }

    /// Looks once more for releases whose known beginning was not met: a merge with swapped parents, which is no
    /// secret before it was seen, may have led the line past it. What memory knows holds if the line by way of it has
    /// one digest.
    fn search_aside(
        &mut self,
        question: &Question<'_>,
        root: &Root,
        snapshot: &Snapshot,
        (digests, anchors): (&BTreeMap<ReleaseId, Digest>, &BTreeMap<ReleaseId, CommitId>),
        found: &Found,
    ) -> Result<()> {
        let mut missed: BTreeMap<CommitId, BTreeMap<ReleaseId, Digest>> = BTreeMap::new();
        for (release, &anchor) in anchors {
            let is_met = found.beginnings.get(release).is_some_and(|beginning| beginning.first == anchor);
            if !is_met && question.repository.descends(question.head, anchor)? {
                missed.entry(anchor).or_default().insert(release.clone(), digests[release]);
            }
        }
        for (anchor, digests) in missed {
            let waypoints: Vec<CommitId> = question.seen.into_iter().chain([anchor]).collect();
            let line = question.repository.line(question.head, &waypoints)?;
            let anchors = digests.keys().map(|release| (release.clone(), anchor)).collect();
            let (wanted, gone) = (Wanted::These(digests.clone()), BTreeSet::new());
            let again = Sought { digests: wanted, anchors, gone, until: None };
            let found = walk(question.repository, root, line, snapshot.clone(), &again)?;
            for (release, digest) in digests {
                let Some(&beginning) = found.beginnings.get(&release) else { continue };
                if beginning.first != anchor {
                    continue;
                }
                let is_recapped = found.recapped.contains(&release);
                let folder = format!("{}/", root.approvals_of(&release));
                let own = found.brought.iter().filter(|(path, _)| path.starts_with(&folder));
                self.brought.extend(own.map(|(path, commit)| (path.clone(), *commit)));
                self.runs.insert(release, Run { digest, beginning: Some(beginning), is_recapped });
            }
        }
        Ok(())
    }
}
