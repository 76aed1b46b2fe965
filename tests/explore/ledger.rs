//! What the checker remembers of one release, and its own reading of what Git permits. It sees Git and the cluster
//! only, and shares nothing with the planner or the guard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use triton::model::{Digest, ReleaseId, TemplateHash, Uid};
use triton::world::Memory;

use crate::explore::line::Commit;
use crate::explore::spec::{Doc, template_hash};

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// One word.
    pub rule: &'static str,
    /// What happened.
    pub text: String,
}

impl Violation {
    /// The rule and the first words: what makes two violations the same fault.
    #[must_use]
    pub fn kind(&self) -> String {
        let start: Vec<&str> = self.text.split_whitespace().take(6).collect();
        format!("{}: {}", self.rule, start.join(" "))
    }
}

/// Makes a violation, where `holds` does not hold.
///
/// # Errors
/// The violation.
pub fn require(holds: bool, rule: &'static str, text: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { rule, text: text() }) }
}

/// The release and step that were last entered by a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was entered.
    pub doc: Doc,
    /// The step.
    pub step: u32,
    /// In which object.
    pub uid: Uid,
    /// When.
    pub at: i64,
}

/// That a step was reached, in truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: i64,
}

/// What happened to a release that excuses something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excuses {
    /// Fields or memory were edited by hand.
    pub hand: bool,
    /// Memory of another object was put there: nothing that it says can be held against anyone.
    pub dirty: bool,
    /// Pods, controller or size were disturbed from outside.
    pub disturbed: bool,
    /// The record was deleted.
    pub record_lost: bool,
    /// The proven template was broken at some time.
    pub broken_top: bool,
}

/// What the checker knows of one release.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Proven templates, newest last.
    pub proven: Vec<char>,
    /// The last failed try.
    pub failed: Option<(char, u32)>,
    /// What was entered last.
    pub entry: Option<Entry>,
    /// Whether its step was reached.
    pub reached: Option<Arrival>,
    /// The template that was started although the way back to the proven one had not ended within its deadline. That
    /// is the one case in which pods of another unproven template may still run beside it.
    pub anyway: Option<char>,
    /// Disturbances.
    pub excuses: Excuses,
}

/// Names of templates and digests, from hashes back to what was written.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Digests.
    pub docs: BTreeMap<Digest, Doc>,
}

/// The templates of all worlds; X is only ever written by hand.
const TEMPLATES: &str = "ABCEX";

/// The letter of a template's hash.
#[must_use]
pub fn letter(hash: TemplateHash) -> char {
    TEMPLATES.chars().find(|letter| template_hash(*letter) == hash).unwrap_or('?')
}

/// The proven templates that memory names.
#[must_use]
pub fn letters(memory: &Memory) -> Vec<char> {
    memory.proven.iter().map(|proof| letter(proof.template)).collect()
}

/// What Git permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Of this.
    pub doc: Doc,
    /// Up to this step.
    pub furthest: u32,
    /// With approvals, soak and freezes open.
    pub skip: bool,
    /// Whether freeze or suspend closes everything but the way back.
    pub closed: bool,
    /// Replicas in Git.
    pub replicas: Option<u32>,
}

/// What Git permits at the newest head that was seen, told the long way; `None` where that cannot be read.
#[must_use]
pub fn leave(
    line: &[Arc<Commit>],
    seen: Option<u32>,
    id: &ReleaseId,
    people: bool,
    now: i64,
) -> Option<Leave> {
    let head = line.iter().position(|commit| Some(commit.number) == seen)?;
    let spec = line[head].specs.get(id).filter(|spec| spec.valid)?;
    let doc = spec.doc;
    let mut run: Vec<&Arc<Commit>> = Vec::new();
    for commit in line[..=head].iter().rev() {
        if commit.doc(id) != Some(doc) {
            break;
        }
        run.insert(0, commit);
    }
    let first = run[0];
    let parent = line[..head].iter().rev().nth(run.len() - 1);
    let at_head = &line[head].marks;
    let skip = at_head.iter().any(|mark| {
        let is_new = parent.is_none_or(|commit| !commit.marks.contains(mark));
        mark.id == *id && mark.step.is_none() && mark.doc == doc && is_new
    });
    let caps: BTreeSet<Option<u32>> = run.iter().map(|commit| commit.specs[id].cap).collect();
    let cap = if caps.len() > 1 { spec.cap } else { spec.cap.map(|cap| cap.min(1)) };
    let mut furthest = 0;
    for (index, (_, needed, not_author, _)) in doc.steps().iter().enumerate() {
        let step = u32::try_from(index).expect("few steps") + 1;
        let given = at_head.iter().filter(|mark| {
            let fresh = !first.marks.contains(mark);
            mark.id == *id && mark.doc == doc && mark.step == Some(step) && fresh
        });
        let own = |by: u32| *not_author && by == first.author;
        let people_who: BTreeSet<u32> = given.map(|mark| mark.by).filter(|by| !own(*by)).collect();
        let countable = people || (*needed <= 1 && !not_author);
        let enough = *needed == 0 || countable && people_who.len() >= *needed as usize;
        if !(enough || skip) || cap.is_some_and(|cap| step > cap) {
            break;
        }
        furthest = step;
    }
    let frozen = line[head].freeze.is_some_and(|frost| frost.holds(now));
    let closed = spec.suspend || frozen && !skip;
    Some(Leave { doc, furthest, skip, closed, replicas: spec.replicas })
}
