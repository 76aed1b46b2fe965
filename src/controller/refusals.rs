//! Writes that were refused: when they are tried again, and what is said meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, Instant};

use crate::cluster::Error;
use crate::model::{Hold, ReleaseId};
use crate::objects::ObjectKey;
use crate::world::{Decision, Move, Refusal};

/// The first wait after a refusal, doubled each time.
const FIRST: Duration = Duration::from_secs(1);
/// The first wait after a conflict, or where nothing was sent: what changed is seen within milliseconds.
const CONFLICT_FIRST: Duration = Duration::from_millis(50);
/// The longest wait: a person who mends the cause sees it within a minute.
const LONGEST: Duration = Duration::from_secs(60);
/// Conflicts in a row that are nothing to speak of: somebody else wrote at the same time.
const QUIET_CONFLICTS: u32 = 5;

/// How little a move can wait for what was refused before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// It waits.
    Usual,
    /// It takes traffic from pods, or mends what leads it: it waits for nothing else but for its like.
    Traffic,
    /// It takes pods back: it waits only where that itself was refused.
    Pods,
}

impl Urgency {
    /// How urgent a move is. Beside what stands, traffic that does not go forward falls, or what leads it is mended.
    #[must_use]
    pub fn of(decided: &Move) -> Self {
        let goes_forward = || decided.writes.iter().any(|it| it.forward);
        match decided.decision {
            Decision::RollBack | Decision::Fail => Self::Pods,
            Decision::Shift if decided.row == 'g' && !goes_forward() => Self::Traffic,
            Decision::Shift
            | Decision::Rest
            | Decision::Hold
            | Decision::Note
            | Decision::Create
            | Decision::Adopt
            | Decision::Enter(_)
            | Decision::Repair
            | Decision::Replace
            | Decision::Complete
            | Decision::Remove => Self::Usual,
        }
    }
}

struct Entry {
    count: u32,
    wait: Duration,
    until: Instant,
    /// What was refused, and was not written since.
    objects: BTreeSet<ObjectKey>,
    hold: Option<Hold>,
    /// Whether it may pass by itself.
    may_pass: bool,
    /// The most urgent move that is kept waiting: one like it was refused itself, or the server asks for it.
    bars: Urgency,
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

    /// A write of `object` was refused, and moves up to `bars` wait. Gives whether that is news.
    pub fn note(
        &mut self,
        id: &ReleaseId,
        object: &ObjectKey,
        error: &Error,
        bars: Urgency,
        since: jiff::Timestamp,
    ) -> bool {
        let conflict = matches!(error, Error::Conflict | Error::Gone | Error::NotSent(_));
        let first = if conflict { CONFLICT_FIRST } else { FIRST };
        let entry = self.entries.entry(id.clone()).or_insert(Entry {
            count: 0,
            wait: Duration::ZERO,
            until: Instant::now(),
            objects: BTreeSet::new(),
            hold: None,
            may_pass: true,
            bars: Urgency::Usual,
        });
        entry.objects.insert(object.clone());
        entry.count += 1;
        entry.may_pass = error.is_transient();
        entry.bars = if error.asked().is_zero() { bars } else { Urgency::Pods };
        entry.wait = LONGEST.min(first.max(entry.wait * 2));
        entry.until = Instant::now() + entry.wait.max(error.asked());
        if conflict && entry.count < QUIET_CONFLICTS {
            return false;
        }
        let before = entry.hold.take();
        let mut hold = error.hold(&object.to_string());
        let same = before.as_ref().is_some_and(|it| it.message == hold.message);
        hold.since = before.filter(|_| same).and_then(|it| it.since).or(Some(since));
        entry.hold = Some(hold);
        !same
    }

    /// These were written: once nothing is left that was refused, the release waits no more.
    pub fn written<'k>(&mut self, id: &ReleaseId, keys: impl IntoIterator<Item = &'k ObjectKey>) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        for key in keys {
            entry.objects.remove(key);
        }
        if entry.objects.is_empty() {
            self.entries.remove(id);
        }
    }

    /// Everything that was planned for a release was written, or nothing is to be any more.
    pub fn clear(&mut self, id: &ReleaseId) -> bool {
        self.entries.remove(id).is_some()
    }

    /// Whether a release waits before it is written to again. What is urgent is not kept back by what was refused of
    /// something else.
    #[must_use]
    pub fn waits(&self, id: &ReleaseId, urgency: Urgency) -> bool {
        self.entries.get(id).is_some_and(|entry| self.lap < entry.until && urgency <= entry.bars)
    }

    /// Whether any of them may pass by itself: what was asked for may be written yet.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.entries.values().any(|entry| entry.may_pass)
    }

    /// What is said of it.
    #[must_use]
    pub fn of(&self, id: &ReleaseId) -> Option<Refusal> {
        let entry = self.entries.get(id)?;
        entry.hold.clone().map(|hold| Refusal { hold, objects: entry.objects.clone() })
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
    use crate::objects::Kind;

    fn key(kind: Kind) -> ObjectKey {
        ObjectKey { kind, namespace: "shop".parse().unwrap(), name: "web".parse().unwrap() }
    }

    fn cloneset() -> ObjectKey {
        key(Kind::CloneSet)
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_write_is_tried_again_ever_more_slowly() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        let (mut refusals, at) = (Refusals::default(), jiff::Timestamp::UNIX_EPOCH);
        let error = Error::Denied("no".into());
        assert!(refusals.note(&id, &cloneset(), &error, Urgency::Pods, at));
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(refusals.waits(&id, Urgency::Pods));
            assert_eq!(refusals.next(), Some(Instant::now() + Duration::from_secs(wait)));
            tokio::time::sleep(Duration::from_secs(wait)).await;
            assert!(refusals.next().is_some(), "a moment that has passed is not forgotten before a lap");
            refusals.begin_lap(|_| true);
            assert!(!refusals.waits(&id, Urgency::Pods) && refusals.next().is_none());
            assert!(!refusals.note(&id, &cloneset(), &error, Urgency::Pods, at), "said once");
        }
        assert!(refusals.clear(&id) && refusals.of(&id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_to_wait_is_heard_and_one_that_asks_for_ever_is_not() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        for (asked, waited) in [(90, 90), (u32::MAX, 600)] {
            let (mut refusals, at) = (Refusals::default(), jiff::Timestamp::UNIX_EPOCH);
            let error = Error::Unavailable { message: "busy".into(), retry_after: Some(asked) };
            refusals.note(&id, &cloneset(), &error, Urgency::Pods, at);
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
        assert!(!refusals.note(&id, &cloneset(), &Error::Conflict, Urgency::Usual, at));
        assert_eq!(refusals.next(), Some(Instant::now() + CONFLICT_FIRST));
        assert!(refusals.of(&id).is_none());
        for _ in 0..QUIET_CONFLICTS {
            refusals.note(&id, &cloneset(), &Error::Conflict, Urgency::Usual, at);
        }
        assert!(refusals.of(&id).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn pods_go_back_whatever_else_was_refused() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        let (mut refusals, at) = (Refusals::default(), jiff::Timestamp::UNIX_EPOCH);
        let error = Error::Denied("no".into());
        refusals.note(&id, &key(Kind::Service), &error, Urgency::Usual, at);
        assert!(refusals.waits(&id, Urgency::Usual) && !refusals.waits(&id, Urgency::Pods));
        refusals.note(&id, &cloneset(), &error, Urgency::Pods, at);
        assert!(refusals.waits(&id, Urgency::Pods));
    }

    #[tokio::test(start_paused = true)]
    async fn traffic_falls_whatever_else_was_refused_and_keeps_no_pod_back() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        let (mut refusals, at) = (Refusals::default(), jiff::Timestamp::UNIX_EPOCH);
        let error = Error::Denied("no".into());
        refusals.note(&id, &key(Kind::Service), &error, Urgency::Usual, at);
        assert!(!refusals.waits(&id, Urgency::Traffic));
        refusals.note(&id, &key(Kind::HttpRoute), &error, Urgency::Traffic, at);
        assert!(refusals.waits(&id, Urgency::Traffic) && !refusals.waits(&id, Urgency::Pods));
        assert!(refusals.of(&id).unwrap().objects.contains(&key(Kind::HttpRoute)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_stays_known_until_that_itself_is_written() {
        let id: ReleaseId = "shop/web".parse().unwrap();
        let (mut refusals, at) = (Refusals::default(), jiff::Timestamp::UNIX_EPOCH);
        let error = Error::Denied("no".into());
        let both = [key(Kind::HttpRoute), key(Kind::GrpcRoute)];
        for route in &both {
            refusals.note(&id, route, &error, Urgency::Traffic, at);
        }
        refusals.written(&id, [&cloneset()]);
        assert_eq!(refusals.of(&id).unwrap().objects, BTreeSet::from(both.clone()));
        assert!(refusals.waits(&id, Urgency::Traffic));
        refusals.written(&id, &both[..1]);
        assert_eq!(refusals.of(&id).unwrap().objects, BTreeSet::from([both[1].clone()]));
        refusals.written(&id, &both[1..]);
        assert!(refusals.of(&id).is_none() && !refusals.waits(&id, Urgency::Usual));
    }
}
