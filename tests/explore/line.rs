//! The simulated repository: one line of commits, and the daemon's reading of it, in the most naive way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use triton::model::{CommitId, ReleaseId};
use triton::spec::{Diagnostic, Severity};
use triton::world::{Approver, Desired, Episode, Freeze, Intent, Marker, NotCounted, Permit, Removal};

use crate::explore::spec::{Doc, Spec, digest, release, time};

/// A marker file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The release in whose folder it lies.
    pub id: ReleaseId,
    /// The digest that it names.
    pub doc: Doc,
    /// The step; none for a skip marker.
    pub step: Option<u32>,
    /// The free part of its name.
    pub name: u32,
    /// Who merged it.
    pub by: u32,
}

/// A `freeze.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frost {
    /// Its exclusive end, in seconds; none for until it is removed.
    pub until: Option<i64>,
}

impl Frost {
    /// Whether it freezes at `now`.
    #[must_use]
    pub fn holds(self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// One commit of the line, with its whole tree.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Never used twice, not even after a force-push.
    pub number: u32,
    /// Who made it.
    pub author: u32,
    /// The releases.
    pub specs: BTreeMap<ReleaseId, Spec>,
    /// The markers.
    pub marks: BTreeSet<Mark>,
    /// `freeze.yaml`, where it is there.
    pub freeze: Option<Frost>,
    /// Removals that were approved.
    pub removals: BTreeSet<u32>,
}

impl Commit {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> CommitId {
        commit_id(self.number)
    }

    /// The digest that it has of a release, if that can be read.
    #[must_use]
    pub fn doc(&self, id: &ReleaseId) -> Option<Doc> {
        self.specs.get(id).filter(|spec| spec.valid).map(|spec| spec.doc)
    }
}

/// The id of a commit's number.
#[must_use]
pub fn commit_id(number: u32) -> CommitId {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[19] = 1;
    CommitId::from_bytes(bytes)
}

/// What the tree at the end of `line` says of a release.
#[must_use]
pub fn desired(line: &[Arc<Commit>], id: &ReleaseId) -> Desired {
    let head = line.last().expect("a line has a commit");
    let Some(spec) = head.specs.get(id) else { return Desired::Gone(removal(line, id)) };
    if !spec.valid {
        return Desired::Broken(Arc::new([broken(id)]));
    }
    let first = episode_start(line, id);
    let start = &line[first];
    let episode =
        Episode { first: start.id(), author: start.author.to_string(), summary: String::new(), time: None };
    let freeze = |frost: Frost| Freeze {
        path: "freeze.yaml".to_owned(),
        reason: "holidays".to_owned(),
        until: frost.until.map(time),
    };
    Desired::Release(Arc::new(Intent {
        release: release(id, spec),
        episode: Some(episode),
        cap: cap(&line[first..], id),
        markers: markers(line, first, id),
        freezes: head.freeze.map(|frost| Arc::new(freeze(frost))).into_iter().collect(),
    }))
}

fn broken(id: &ReleaseId) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        path: format!("releases/{id}.yaml"),
        line: 1,
        column: 1,
        message: "not YAML".to_owned(),
        cure: "write YAML".to_owned(),
        snippet: String::new(),
    }
}

/// The commit of the line that removed a release which its end does not have.
#[must_use]
pub fn removed_by<'a>(line: &'a [Arc<Commit>], id: &ReleaseId) -> &'a Commit {
    let last_with = line.iter().rposition(|commit| commit.specs.contains_key(id));
    let by = last_with.and_then(|at| line.get(at + 1));
    by.unwrap_or_else(|| line.last().expect("a line has a commit"))
}

fn removal(line: &[Arc<Commit>], id: &ReleaseId) -> Removal {
    let head = line.last().expect("a line has a commit");
    let by = removed_by(line, id);
    Removal { commit: by.id(), approved: head.removals.contains(&by.number) }
}

/// Index of the first commit of the run, ending at HEAD, that has one digest.
fn episode_start(line: &[Arc<Commit>], id: &ReleaseId) -> usize {
    let doc = line.last().and_then(|head| head.doc(id));
    let before = line.iter().rposition(|commit| commit.doc(id) != doc);
    before.map_or(0, |index| index + 1)
}

/// `spec.step` as it stands in the episode's first commit counts as at most 1 until a later commit changes it.
fn cap(episode: &[Arc<Commit>], id: &ReleaseId) -> Option<u32> {
    let caps: Vec<Option<u32>> = episode.iter().map(|commit| commit.specs[id].cap).collect();
    let changed = caps.windows(2).any(|pair| pair[0] != pair[1]);
    let last = *caps.last().expect("an episode has a commit");
    if changed { last } else { last.map(|cap| cap.min(1)) }
}

fn path(mark: &Mark) -> String {
    let what = mark.step.map_or_else(|| "skip".to_owned(), |step| step.to_string());
    format!(
        "approvals/{}/{}/{what}.{}-{}.yaml",
        mark.id,
        digest(&mark.id, &mark.doc).long(),
        mark.name,
        mark.by
    )
}

fn markers(line: &[Arc<Commit>], first: usize, id: &ReleaseId) -> Vec<Marker> {
    let head = line.last().expect("a line has a commit");
    let start = &line[first];
    let doc = head.specs[id].doc;
    let before = first.checked_sub(1).map(|index| &line[index].marks);
    let mut people = BTreeSet::new();
    let mut out = Vec::new();
    for mark in head.marks.iter().filter(|mark| mark.id == *id) {
        let brought = line.iter().rposition(|commit| !commit.marks.contains(mark)).map_or(0, |at| at + 1);
        let approver = Approver {
            name: mark.by.to_string(),
            email: format!("{}@example.org", mark.by),
            commit: line[brought.min(line.len() - 1)].id(),
        };
        let not_author = mark.step.and_then(|step| doc.steps().get(step as usize - 1)).is_some_and(|it| it.2);
        let counts = if mark.doc != doc {
            Err(NotCounted::OtherDigest)
        } else if mark.step.is_some() && start.marks.contains(mark) {
            Err(NotCounted::BeforeSpec)
        } else if mark.step.is_none() && before.is_some_and(|marks| marks.contains(mark)) {
            Err(NotCounted::SkipBeforeSpec)
        } else if mark.step.is_some_and(|step| step > doc.last()) {
            Err(NotCounted::NoSuchStep { steps: doc.last() })
        } else if not_author && mark.by == start.author {
            Err(NotCounted::Author(mark.by.to_string()))
        } else if !people.insert((mark.step, mark.by)) {
            Err(NotCounted::SameApprover(mark.by.to_string()))
        } else {
            Ok(approver)
        };
        out.push(Marker {
            permits: Some(mark.step.map_or(Permit::Skip, Permit::Step)),
            path: path(mark),
            counts,
        });
    }
    out
}
