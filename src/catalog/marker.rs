//! Approval markers: what they permit, and whether they count.

use std::collections::BTreeSet;

use crate::catalog::root::Root;
use crate::catalog::snapshot;
use crate::catalog::walk::Beginning;
use crate::git::{Entry, Error, ObjectId, Person, Repository, error::Result};
use crate::model::CommitId;
use crate::spec::{Permission, Place, Release, Step, read_marker};
use crate::world::{Approver, Marker, NotCounted, People, Permit, Policy};

/// Markers of one release that are reported although they do not count. More would bury what matters.
const IGNORED_MAX: usize = 50;
/// What is needed to judge the markers of one release.
pub struct Judge<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// The root.
    pub root: &'a Root,
    /// The daemon's configuration.
    pub policy: &'a Policy,
    /// The release at the head.
    pub release: &'a Release,
    /// The file or the folder that holds it.
    pub home: &'a str,
    /// Its episode.
    pub beginning: Beginning,
    /// The commit of the line that brought a path.
    pub brought: &'a dyn Fn(&str) -> Option<CommitId>,
}

impl Judge<'_> {
    /// Judges the markers in the release's folder, by path. Those of earlier times that are for another digest are
    /// left out: they have had their day.
    pub fn judge(&self, folder: ObjectId) -> Result<Vec<Marker>> {
        let tree = |commit: CommitId| self.repository.commit(commit).map(|commit| commit.tree);
        let first = tree(self.beginning.first)?;
        let before = self.beginning.before.map(tree).transpose()?;
        let prefix = self.root.approvals_of(&self.release.id);
        let (mut markers, mut ignored) = (Vec::new(), 0);
        let mut people = Seen::default();
        for entry in self.repository.list(folder, &[""])? {
            let path = format!("{prefix}/{}", entry.name);
            let is_in = |tree| self.repository.entry(tree, &path).map(|found| found.is_some());
            let is_old = is_in(first)?;
            let (permits, counts) = match self.aim(&path) {
                None => continue,
                Some(Err(_)) if is_old => continue,
                Some(Err(why)) => (None, Err(why)),
                Some(Ok(permit)) => {
                    let is_older = before.map(is_in).transpose()?.unwrap_or(false);
                    let counts = match self.in_time(&entry, permit, is_old, is_older)? {
                        Ok(()) => self.who(&path, permit, &mut people)?,
                        Err(why) => Err(why),
                    };
                    (Some(permit), counts)
                }
            };
            ignored += usize::from(counts.is_err());
            if counts.is_ok() || ignored <= IGNORED_MAX {
                markers.push(Marker { permits, path, counts });
            }
        }
        Ok(markers)
    }

    /// What a marker permits of this release, by its path; none for a file that is no marker.
    fn aim(&self, path: &str) -> Option<std::result::Result<Permit, NotCounted>> {
        let marker = match self.root.place(path) {
            Place::Marker(marker) => marker,
            Place::Malformed { reason, .. } => return Some(Err(NotCounted::Malformed(reason))),
            Place::Repository
            | Place::NestedRoot(_)
            | Place::Release
            | Place::Freeze(_)
            | Place::Removal(_)
            | Place::Other => return None,
        };
        let steps = self.release.last_step();
        Some(match marker.permits {
            _ if marker.digest != self.release.digest.long() => Err(NotCounted::OtherDigest),
            Permission::Step(step) | Permission::Serve(step) if step > steps => {
                Err(NotCounted::NoSuchStep { steps })
            }
            Permission::Step(step) => Ok(Permit::Step(step)),
            Permission::Serve(step) if !self.asks_to_serve(step) => Err(NotCounted::ServesByItself { step }),
            Permission::Serve(step) => Ok(Permit::Serve(step)),
            Permission::Skip => Ok(Permit::Skip),
        })
    }

    /// Whether a marker came after what it permits. A skip marker may come with it, and says why.
    fn in_time(
        &self,
        entry: &Entry,
        permit: Permit,
        is_old: bool,
        is_older: bool,
    ) -> Result<std::result::Result<(), NotCounted>> {
        let bytes = match snapshot::content(self.repository, entry)? {
            Ok(bytes) => bytes,
            Err(flaw) => return Ok(Err(NotCounted::Malformed(flaw.message))),
        };
        Ok(match permit {
            Permit::Step(_) | Permit::Serve(_) if is_old => Err(NotCounted::BeforeSpec),
            Permit::Step(_) | Permit::Serve(_) => Ok(()),
            Permit::Skip if !self.policy.skip => Err(NotCounted::SkipForbidden),
            Permit::Skip if is_older => Err(NotCounted::SkipBeforeSpec),
            Permit::Skip => read_marker(&bytes, true).map(|_| ()).map_err(NotCounted::Malformed),
        })
    }

    /// Who brought a marker, if that person may approve.
    fn who(
        &self,
        path: &str,
        permit: Permit,
        people: &mut Seen,
    ) -> Result<std::result::Result<Approver, NotCounted>> {
        let Some(commit) = (self.brought)(path) else {
            let why = "the commit that brought it is not on the branch's line".to_owned();
            return Ok(Err(NotCounted::Malformed(why)));
        };
        let Person { name, email } = self.repository.commit(commit)?.author;
        let approver = Approver { name: name.clone(), email: email.to_lowercase(), commit };
        match self.policy.people {
            None => return Ok(Ok(approver)),
            Some(People::Signatures) => {
                let why = "signatures are not verified by this version, so nobody is known".to_owned();
                return Ok(Err(NotCounted::Malformed(why)));
            }
            Some(People::CommitAuthors) => {}
        }
        if self.policy.bots.iter().any(|bot| *bot == name || bot.eq_ignore_ascii_case(&email)) {
            return Ok(Err(NotCounted::Bot(name)));
        }
        if let Permit::Step(step) = permit
            && self.wants_another(step)
        {
            match people.writers(self)? {
                Writers::Known(writers) if !writers.contains(&approver.email) => {}
                Writers::Known(_) => return Ok(Err(NotCounted::Author(name))),
                Writers::TooMany(why) => return Ok(Err(NotCounted::Malformed(why.clone()))),
            }
        }
        if !people.approvers.insert((permit, approver.email.clone())) {
            return Ok(Err(NotCounted::SameApprover(name)));
        }
        Ok(Ok(approver))
    }

    /// Whether the pods of the step serve by approval.
    fn asks_to_serve(&self, step: u32) -> bool {
        self.release.step(step).is_some_and(Step::serves_by_approval)
    }

    /// Whether the step wants somebody else than a writer of the spec.
    fn wants_another(&self, step: u32) -> bool {
        let step = self.release.step(step);
        step.and_then(|step| step.approval).is_some_and(|approval| approval.not_author)
    }

    /// Addresses of the writers of this release among the commits that the episode's first commit brought. A merge
    /// is written by who made it only where it differs from every parent.
    fn writers(&self) -> Result<Writers> {
        let brought = self.repository.commits_since(self.beginning.first, self.beginning.before);
        let commits = match brought {
            Ok(commits) => commits,
            Err(Error::TreeTooLarge { why }) => {
                return Ok(Writers::TooMany(format!("who wrote the spec cannot be told: {why}")));
            }
            Err(error) => return Err(error),
        };
        let mut writers = BTreeSet::new();
        let settings = self.root.settings();
        let prefixes = [self.home, settings.as_str()];
        for id in commits {
            let commit = self.repository.commit(id)?;
            let differs = |parent: Option<CommitId>| -> Result<bool> {
                let tree = parent.map(|parent| self.repository.commit(parent)).transpose()?.map(|it| it.tree);
                Ok(!self.repository.compare(tree, Some(commit.tree), &prefixes)?.is_empty())
            };
            let mut wrote = !commit.parents.is_empty() || differs(None)?;
            for parent in &commit.parents {
                wrote = wrote && differs(Some(*parent))?;
            }
            if wrote {
                writers.insert(commit.author.email.to_lowercase());
            }
        }
        Ok(Writers::Known(writers))
    }
}

/// The writers of a spec.
enum Writers {
    /// Their addresses.
    Known(BTreeSet<String>),
    /// It came with too many commits to say.
    TooMany(String),
}

/// The people that were met while the markers of a release were judged.
#[derive(Default)]
struct Seen {
    writers: Option<Writers>,
    approvers: BTreeSet<(Permit, String)>,
}

impl Seen {
    /// The writers of the spec, looked for once.
    fn writers(&mut self, judge: &Judge<'_>) -> Result<&Writers> {
        let writers = match self.writers.take() {
            Some(writers) => writers,
            None => judge.writers()?,
        };
        Ok(self.writers.insert(writers))
    }
}
