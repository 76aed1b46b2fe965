//! Episodes from one head to the next: what is known already, and what has to be looked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::question::{Known, Question};
use crate::catalog::root::Root;
use crate::catalog::snapshot::{Snapshot, Standing};
use crate::catalog::walk::{Beginning, Found, Sought, walk};
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

    /// Goes on from one head to another that descends from it. Only the commits between them are walked. Returns the
    /// markers that they brought.
    pub fn advance(
        &mut self,
        repository: &Repository,
        root: &Root,
        (old, before): (CommitId, &Snapshot),
        (head, after): (CommitId, &Snapshot),
        seen: Option<CommitId>,
    ) -> Result<BTreeSet<String>> {
        self.runs.retain(|release, _| matches!(after.standing(release), Standing::At { .. }));
        let digests = self.runs.keys().filter_map(|release| match after.standing(release) {
            Standing::At { digest, .. } => Some((release.clone(), digest)),
            Standing::Absent | Standing::Broken => None,
        });
        let digests: BTreeMap<_, _> = digests.collect();
        let is_gone = |release: &&ReleaseId| after.standing(release) == Standing::Absent;
        let gone: BTreeSet<ReleaseId> = before.releases().filter(is_gone).cloned().collect();
        let sought =
            Sought { digests: digests.clone(), gone: gone.clone(), until: Some(old), ..Sought::default() };
        let line = match seen {
            Some(seen) if repository.descends(seen, old)? => repository.line(head, &[seen, old])?,
            Some(_) | None => repository.line(head, &[old])?,
        };
        let found = walk(repository, root, line, after.clone(), sought)?;
        for (release, digest) in digests {
            let is_recapped = found.recapped.contains(&release);
            let beginning = found.beginnings.get(&release).copied();
            let Some(run) = self.runs.get_mut(&release) else { continue };
            if beginning.is_some() || found.is_cut {
                *run = Run { digest, beginning, is_recapped };
            } else {
                run.is_recapped |= is_recapped;
            }
        }
        self.fates.retain(|release, _| after.standing(release) == Standing::Absent);
        for release in gone {
            let commit = found.removed.get(&release).copied().unwrap_or(head);
            self.fates.insert(release, Fate::RemovedBy(commit));
        }
        let new = found.brought.keys().cloned().collect();
        self.brought.extend(found.brought);
        Ok(new)
    }

    /// Forgets who brought markers that are gone.
    pub fn forget_markers(&mut self, is_gone: impl Fn(&str) -> Result<bool>) -> Result<()> {
        let mut gone = Vec::new();
        for path in self.brought.keys() {
            if is_gone(path)? {
                gone.push(path.clone());
            }
        }
        for path in gone {
            self.brought.remove(&path);
        }
        Ok(())
    }

    /// Looks for the episodes of `open` releases that are not known yet, and for what removed the releases that only
    /// the cluster has.
    pub fn search(
        &mut self,
        question: &Question<'_>,
        root: &Root,
        snapshot: &Snapshot,
        open: Vec<(ReleaseId, Option<Known>)>,
    ) -> Result<()> {
        let mut sought = Sought::default();
        for (release, known) in open.into_iter().filter(|(release, _)| !self.runs.contains_key(release)) {
            let Standing::At { digest, .. } = snapshot.standing(&release) else { continue };
            if let Some(first) = known.and_then(|known| known.episode) {
                sought.anchors.insert(release.clone(), first);
            }
            sought.digests.insert(release, digest);
        }
        let is_gone = |release: &&ReleaseId| {
            snapshot.standing(release) == Standing::Absent && !self.fates.contains_key(*release)
        };
        sought.gone = question.known.keys().filter(is_gone).cloned().collect();
        if sought.digests.is_empty() && sought.gone.is_empty() {
            return Ok(());
        }
        let seen: Vec<CommitId> = question.seen.into_iter().collect();
        let line = question.repository.line(question.head, &seen)?;
        let found = walk(question.repository, root, line, snapshot.clone(), sought.clone())?;
        for release in &sought.gone {
            let fate = match found.removed.get(release) {
                Some(commit) => Fate::RemovedBy(*commit),
                None if found.is_whole => Fate::NeverThere,
                None => Fate::RemovedBy(question.head),
            };
            self.fates.insert(release.clone(), fate);
        }
        self.take(&sought.digests, &found);
        self.search_aside(question, root, snapshot, &sought, &found)
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
        sought: &Sought,
        found: &Found,
    ) -> Result<()> {
        let mut missed: BTreeMap<CommitId, BTreeMap<ReleaseId, Digest>> = BTreeMap::new();
        for (release, &anchor) in &sought.anchors {
            let is_met = found.beginnings.get(release).is_some_and(|beginning| beginning.first == anchor);
            if !is_met && question.repository.descends(question.head, anchor)? {
                missed.entry(anchor).or_default().insert(release.clone(), sought.digests[release]);
            }
        }
        for (anchor, digests) in missed {
            let waypoints: Vec<CommitId> = question.seen.into_iter().chain([anchor]).collect();
            let line = question.repository.line(question.head, &waypoints)?;
            let anchors = digests.keys().map(|release| (release.clone(), anchor)).collect();
            let again = Sought { digests: digests.clone(), anchors, ..Sought::default() };
            let found = walk(question.repository, root, line, snapshot.clone(), again)?;
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
