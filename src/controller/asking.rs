//! What is asked of Git next, and who owns the source meanwhile.
//!
//! **Invariant:** a head that was seen is owed a reading until one arrives, and what was read of any other head than
//! the last one seen is not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

use crate::catalog::Known;
use crate::controller::source::{Answer, Ask, Sought, Source};
use crate::model::{CommitId, Digest, ReleaseId};
use crate::world::Policy;

/// Documents that one question looks up in history: each reads one whole tree, and a poll waits meanwhile.
const LOOKUPS_MAX: usize = 20;

/// Who owns the source at the moment.
enum Seat {
    Idle(Box<Source>),
    Busy(JoinHandle<(Box<Source>, Answer)>),
    /// Only while it changes hands.
    Empty,
}

/// A head that is to be read.
struct Owed {
    head: CommitId,
    /// The head that was seen before it.
    before: Option<CommitId>,
    /// When Git itself named it; none where it is read for another reason.
    fetched_at: Option<Timestamp>,
}

/// What the loop knows of Git.
pub struct Git {
    seat: Seat,
    /// When Git is asked again where its branch is.
    pub next_poll: Instant,
    /// When it was asked last.
    pub asked_at: Timestamp,
    /// Whether Git has answered once, or has failed to.
    pub answered: bool,
    /// The head that was seen last, as the lease has it.
    seen: Option<CommitId>,
    /// The repository that it was seen in, where that is another one.
    elsewhere: Option<String>,
    /// The head that was read last.
    read: Option<CommitId>,
    owed: Option<Owed>,
    /// Whether the reading that is owed may be asked for: after a failure it waits for the next poll.
    due: bool,
    /// Whether what was read is to be read again by another configuration.
    reread: bool,
    known: Arc<BTreeMap<ReleaseId, Known>>,
    /// Documents that were looked for since the last poll.
    tried: BTreeSet<Digest>,
    /// Whether the answer that is to come is of a fetch ahead, which asked for the mirror's sake alone.
    is_ahead: bool,
}

impl Git {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(source: Source, now: Timestamp) -> Self {
        Self {
            seat: Seat::Idle(Box::new(source)),
            next_poll: Instant::now(),
            asked_at: now,
            answered: false,
            seen: None,
            elsewhere: None,
            read: None,
            owed: None,
            due: false,
            reread: false,
            known: Arc::default(),
            tried: BTreeSet::new(),
            is_ahead: false,
        }
    }

    /// The head that was seen last.
    #[must_use]
    pub const fn seen(&self) -> Option<CommitId> {
        self.seen
    }

    /// The repository that it was seen in, where that is another one.
    #[must_use]
    pub fn elsewhere(&self) -> Option<String> {
        self.elsewhere.clone()
    }

    /// Begins with the head that an earlier process saw last, and the repository that it was of where that is not
    /// this one.
    pub fn begin(&mut self, seen: Option<CommitId>, elsewhere: Option<String>) {
        (self.seen, self.elsewhere) = (seen, elsewhere);
    }

    /// The head that everything is told of once the records are: the one seen last, if it was read.
    #[must_use]
    pub fn settled(&self) -> Option<CommitId> {
        self.seen.filter(|seen| self.read == Some(*seen) && self.owed.is_none())
    }

    /// A new head, which is written down by now, is to be read.
    pub fn follow(&mut self, head: CommitId) {
        self.elsewhere = None;
        let before = self.seen.replace(head);
        self.owed = Some(Owed { head, before, fetched_at: Some(self.asked_at) });
        self.due = true;
    }

    /// What was read is to be read again, by another configuration.
    pub const fn reread(&mut self) {
        self.reread = true;
        self.due = true;
    }

    /// Git has named `head`, now. Gives whether that is news, to be written down and followed.
    pub fn named(&mut self, head: CommitId) -> bool {
        self.tried.clear();
        if self.seen != Some(head) || (self.read != Some(head) && self.owed.is_none()) {
            return true;
        }
        if let Some(owed) = &mut self.owed {
            owed.fetched_at = Some(self.asked_at);
            self.due = true;
        }
        false
    }

    /// Whether a head waits to be read.
    #[must_use]
    pub const fn owes(&self) -> bool {
        self.owed.is_some()
    }

    /// Git did not name a head; the mirror has `mirrored`. What was seen before can still be read: repairs and
    /// rollbacks go on from it. Gives whether it will be.
    pub fn silent(&mut self, mirrored: Option<CommitId>) -> bool {
        self.tried.clear();
        let Some(head) = mirrored.filter(|head| self.seen == Some(*head)) else { return false };
        if let Some(owed) = &mut self.owed {
            owed.fetched_at = None;
        } else if self.read.is_none() {
            self.owed = Some(Owed { head, before: Some(head), fetched_at: None });
        } else {
            return false;
        }
        self.due = true;
        true
    }

    /// Whether what is read of `head` still says something: another one may have been seen meanwhile.
    #[must_use]
    pub fn is_current(&self, head: CommitId) -> bool {
        self.seen == Some(head)
    }

    /// The head was read. Gives when Git named it, where that was the reason.
    pub fn took(&mut self, head: CommitId) -> Option<Timestamp> {
        self.read = Some(head);
        self.answered = true;
        self.owed.take().and_then(|owed| owed.fetched_at)
    }

    /// Whether `head` was read last.
    #[must_use]
    pub fn has_read(&self, head: CommitId) -> bool {
        self.read == Some(head)
    }

    /// Whether a head, or the last one by another configuration, is to be read at once.
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.due && (self.owed.is_some() || self.read.is_some())
    }

    /// Whether what was read last was asked for with what the cluster remembers now.
    #[must_use]
    pub fn knows(&self, known: &Arc<BTreeMap<ReleaseId, Known>>) -> bool {
        self.read.is_none() || Arc::ptr_eq(known, &self.known) || *known == self.known
    }

    /// What is to be read now: a head, and the one seen before it.
    pub fn next_read(
        &mut self,
        known: &Arc<BTreeMap<ReleaseId, Known>>,
        policy: &Arc<Policy>,
    ) -> Option<Ask> {
        if self.owed.is_none() {
            let head = self.read?;
            if !self.reread && self.knows(known) {
                return None;
            }
            self.owed = Some(Owed { head, before: self.seen, fetched_at: None });
            self.due = true;
        }
        let owed = self.owed.as_ref().filter(|_| self.due)?;
        (self.due, self.reread) = (false, false);
        self.known = Arc::clone(known);
        let (head, seen) = (owed.head, owed.before);
        Some(Ask::Read { head, seen, known: Arc::clone(known), policy: Arc::clone(policy) })
    }

    /// Which of `sought` to look for now: each once between two polls.
    pub fn next_find(&mut self, sought: &Sought) -> Option<Ask> {
        self.read?;
        let left = sought.iter().filter(|(digest, _)| !self.tried.contains(*digest));
        let next: Sought = left.take(LOOKUPS_MAX).map(|(digest, at)| (*digest, at.clone())).collect();
        self.tried.extend(next.keys());
        (!next.is_empty()).then_some(Ask::Find(next))
    }

    /// Whether it can be asked something.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.seat, Seat::Idle(_))
    }

    /// Asks. The answer comes at once where Git is read inline.
    pub fn start(&mut self, ask: Ask, inline: bool) -> Option<Answer> {
        match std::mem::replace(&mut self.seat, Seat::Empty) {
            Seat::Idle(mut source) if inline => {
                let answer = source.answer(ask);
                self.seat = Seat::Idle(source);
                Some(answer)
            }
            Seat::Idle(mut source) => {
                self.seat = Seat::Busy(tokio::task::spawn_blocking(move || {
                    let answer = source.answer(ask);
                    (source, answer)
                }));
                None
            }
            seat @ (Seat::Busy(_) | Seat::Empty) => {
                self.seat = seat;
                None
            }
        }
    }

    /// The answer, once it is there; nothing where it is that of a fetch ahead.
    pub async fn finished(&mut self) -> Option<Answer> {
        let Seat::Busy(task) = &mut self.seat else { return std::future::pending().await };
        // A panic there is ours, and ends the process as one here would.
        let (source, answer) = match task.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.seat = Seat::Idle(source);
        (!std::mem::take(&mut self.is_ahead)).then_some(answer)
    }

    /// Fetches into the mirror again and again, while another daemon acts: whoever takes over has little left to
    /// fetch. No head is followed, and nothing is read: what a head says depends on the one seen before it.
    pub async fn fetch_ahead(&mut self, interval: Duration, inline: bool) -> Infallible {
        loop {
            // The lease that can be had at once needs none of this.
            tokio::time::sleep(interval).await;
            let ask = Ask::Poll { seen: None, elsewhere: None, accepted: None };
            if self.is_idle() && self.start(ask, inline).is_none() {
                self.is_ahead = true;
                self.finished().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{Limits, Mirror, Remote};

    /// With a mirror that nothing is asked of, in a folder that goes with it.
    fn git() -> (tempfile::TempDir, Git) {
        let folder = tempfile::tempdir().unwrap();
        let remote = Remote::new(folder.path().join("away").to_str().unwrap(), "main").unwrap();
        let mirror = Mirror::open(&folder.path().join("state"), remote, Limits::default()).unwrap();
        (folder, Git::new(Source::new(mirror, ""), Timestamp::UNIX_EPOCH))
    }

    fn head(number: u8) -> CommitId {
        CommitId::from_bytes([number; 20])
    }

    /// What is read next: a head, and the one seen before it.
    fn next(git: &mut Git) -> Option<(CommitId, Option<CommitId>)> {
        match git.next_read(&Arc::default(), &Arc::default())? {
            Ask::Read { head, seen, .. } => Some((head, seen)),
            Ask::Poll { .. } | Ask::Find(_) => None,
        }
    }

    #[tokio::test]
    async fn a_head_that_could_not_be_read_is_read_again_as_it_was_asked_first() {
        let (_folder, mut git) = git();
        git.begin(Some(head(1)), None);
        assert!(git.named(head(2)));
        git.follow(head(2));
        assert_eq!(next(&mut git), Some((head(2), Some(head(1)))));
        assert_eq!(next(&mut git), None, "after a failure the next poll is waited for");
        assert!(!git.named(head(2)) && git.owes(), "the poll alone is no good news");
        assert_eq!(next(&mut git), Some((head(2), Some(head(1)))));
        assert_eq!(git.took(head(2)), Some(Timestamp::UNIX_EPOCH));
        assert!(!git.named(head(2)) && !git.owes());
        assert_eq!(next(&mut git), None);
    }

    #[tokio::test]
    async fn a_configuration_that_changes_while_a_head_is_read_brings_no_older_one_back() {
        let (_folder, mut git) = git();
        for number in [1, 2] {
            git.follow(head(number));
            assert_eq!(next(&mut git).map(|it| it.0), Some(head(number)));
            git.reread();
            assert!(git.is_current(head(number)) && !git.is_current(head(number - 1)));
            git.took(head(number));
        }
        assert_eq!(next(&mut git), Some((head(2), Some(head(2)))));
        assert_eq!(next(&mut git), None, "once");
    }

    #[tokio::test]
    async fn what_was_seen_before_is_read_from_the_mirror_while_git_is_away() {
        let (_folder, mut git) = git();
        git.begin(Some(head(1)), None);
        assert!(!git.silent(None) && !git.silent(Some(head(2))));
        assert!(git.silent(Some(head(1))));
        assert_eq!(next(&mut git), Some((head(1), Some(head(1)))));
        assert_eq!(git.took(head(1)), None, "that is no fetch");
        assert!(!git.silent(Some(head(1))));
    }
}
