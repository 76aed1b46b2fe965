//! Writes that were refused: when they are tried again, and what is said meanwhile.

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant};

use crate::cluster::Error;
use crate::model::{Hold, ReleaseId};
use crate::world::Refusal;

/// The first wait after a refusal, doubled each time.
const FIRST: Duration = Duration::from_secs(1);
/// The first wait after a conflict, or where nothing was sent: what changed is seen within milliseconds.
const CONFLICT_FIRST: Duration = Duration::from_millis(50);
/// The longest wait: a person who mends the cause sees it within a minute.
const LONGEST: Duration = Duration::from_secs(60);
/// Conflicts in a row that are nothing to speak of: somebody else wrote at the same time.
const QUIET_CONFLICTS: u32 = 5;

struct Entry {
    count: u32,
    wait: Duration,
    until: Instant,
    hold: Option<Hold>,
    /// Whether it may pass by itself.
    may_pass: bool,
    /// Whether a move that takes pods back is kept waiting too: one was refused itself, or the server asks for it.
    bars_all: bool,
}

/// The releases whose last write was refused.
pub struct Refusals {
    entries: BTreeMap<ReleaseId, Entry>,
    /// When the present lap began, or the last one: a moment that passes while a lap goes on is the next one's.
    lap: Instant,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), lap: Instant::now() }
    }
}

impl Refusals {
    /// A lap begins, with those releases that there are.
    pub fn begin_lap(&mut self, has: impl Fn(&ReleaseId) -> bool) {
        self.lap = Instant::now();
        self.entries.retain(|id, _| has(id));
    }

    /// A write of `object` was refused, of a move that is `urgent` where it takes pods back. Gives whether that is news.
    pub fn note(
        &mut self,
        id: &ReleaseId,
        object: &str,
        error: &Error,
        urgent: bool,
        since: jiff::Timestamp,
    ) -> bool {
        let conflict = matches!(error, Error::Conflict | Error::Gone | Error::NotSent(_));
        let first = if conflict { CONFLICT_FIRST } else { FIRST };
        let entry = self.entries.entry(id.clone()).or_insert(Entry {
            count: 0,
            wait: Duration::ZERO,
            until: Instant::now(),
            hold: None,
            may_pass: true,
            bars_all: false,
        });
        entry.count += 1;
        entry.may_pass = error.is_transient();
        entry.bars_all = urgent || !error.asked().is_zero();
        entry.wait = LONGEST.min(first.max(entry.wait * 2));
        entry.until = Instant::now() + entry.wait.max(error.asked());
        if conflict && entry.count < QUIET_CONFLICTS {
            return false;
        }
        let before = entry.hold.take();
        let mut hold = error.hold(object);
        let same = before.as_ref().is_some_and(|it| it.message == hold.message);
        hold.since = before.filter(|_| same).and_then(|it| it.since).or(Some(since));
        entry.hold = Some(hold);
        !same
    }

    /// Everything that was planned for a release was written.
    pub fn clear(&mut self, id: &ReleaseId) -> bool {
        self.entries.remove(id).is_some()
    }

    /// Whether a release waits before it is written to again. What is `urgent` is not kept back by what was refused of
    /// something else.
    #[must_use]
    pub fn waits(&self, id: &ReleaseId, urgent: bool) -> bool {
        self.entries.get(id).is_some_and(|entry| self.lap < entry.until && (entry.bars_all || !urgent))
    }

    /// Whether any of them may pass by itself: what was asked for may be written yet.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.entries.values().any(|entry| entry.may_pass)
    }

    /// What is said of it.
    #[must_use]
    pub fn of(&self, id: &ReleaseId) -> Option<Refusal> {
        self.entries.get(id)?.hold.clone().map(|hold| Refusal { hold })
    }

    /// When the next release may be tried again.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.entries.values().map(|entry| entry.until).filter(|until| *until > self.lap).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refused_write_is_tried_again_ever_more_slowly() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        let (mut refusals, at) = (Refusals::default(), jiff::Timestamp::UNIX_EPOCH);
        let error = Error::Denied("no".into());
        assert!(refusals.note(&id, "CloneSet shop/web", &error, true, at));
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(refusals.waits(&id, true));
            assert_eq!(refusals.next(), Some(Instant::now() + Duration::from_secs(wait)));
            tokio::time::sleep(Duration::from_secs(wait)).await;
            assert!(refusals.next().is_some(), "a moment that has passed is not forgotten before a lap");
            refusals.begin_lap(|_| true);
            assert!(!refusals.waits(&id, true) && refusals.next().is_none());
            assert!(!refusals.note(&id, "CloneSet shop/web", &error, true, at), "said once");
        }
        assert!(refusals.clear(&id) && refusals.of(&id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_to_wait_is_heard_and_one_that_asks_for_ever_is_not() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        for (asked, waited) in [(90, 90), (u32::MAX, 600)] {
            let (mut refusals, at) = (Refusals::default(), jiff::Timestamp::UNIX_EPOCH);
            let error = Error::Unavailable { message: "busy".into(), retry_after: Some(asked) };
            refusals.note(&id, "CloneSet shop/web", &error, true, at);
            assert_eq!(refusals.next(), Some(Instant::now() + Duration::from_secs(waited)));
            assert!(
                refusals.of(&id).unwrap().hold.message.ends_with(&format!("; it asks to wait {asked} s"))
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_is_tried_again_at_once_and_spoken_of_only_when_it_stays() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        let (mut refusals, at) = (Refusals::default(), jiff::Timestamp::UNIX_EPOCH);
        assert!(!refusals.note(&id, "CloneSet shop/web", &Error::Conflict, false, at));
        assert_eq!(refusals.next(), Some(Instant::now() + CONFLICT_FIRST));
        assert!(refusals.of(&id).is_none());
        for _ in 0..QUIET_CONFLICTS {
            refusals.note(&id, "CloneSet shop/web", &Error::Conflict, false, at);
        }
        assert!(refusals.of(&id).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn pods_go_back_whatever_else_was_refused() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        let (mut refusals, at) = (Refusals::default(), jiff::Timestamp::UNIX_EPOCH);
        let error = Error::Denied("no".into());
        refusals.note(&id, "Service shop/web", &error, false, at);
        assert!(refusals.waits(&id, false) && !refusals.waits(&id, true));
        refusals.note(&id, "CloneSet shop/web", &error, true, at);
        assert!(refusals.waits(&id, true));
    }
}
