//! The loop as it shows itself: where it is, that it turns, what it has done and what it looks at. Plain data behind
//! a handle: the loop writes it, and whoever has a handle reads it.
//!
//! **Invariant:** everything here is bounded, however many releases there are; what was done is counted after the
//! cluster has accepted it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Duration, Instant};

use crate::cluster::requests::Counts;
use crate::cluster::{Requests, Wait};
use crate::controller::clock::Clock;
use crate::model::{Gate, ReleaseId};
use crate::objects::Kind;
use crate::objects::record::Phase;
use crate::world::{Decision, Plan, World};

/// Rollouts that are told by name, those that stand on their step for the longest time first: what a person can look
/// through, and few enough that a thousand rollouts at once are no burden to who stores them.
pub const STEPS_MAX: usize = 50;

/// Upper bounds of the buckets of [`Spread`], in seconds: from one request in a lap to the deadline of a first fetch.
pub const BOUNDS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Where the loop is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was asked yet.
    Starting,
    /// It waits for the lease: another daemon has it, or the API server does not give it.
    Waiting(Wait),
    /// The first lists are not in; with what stops them, where that is known.
    Listing(Option<String>),
    /// The lists are in, and Git was not read yet; with what stops it, where that is known.
    Reading(Option<String>),
    /// Everything was seen once.
    Turning,
}

/// How long something took, each time: plain counts by [`BOUNDS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// How often it was within each bound and above the one before; the last one is for what is above all of them.
    pub counts: [u64; BOUNDS.len() + 1],
    /// All of it together, in seconds.
    pub sum: f64,
}

impl Spread {
    /// It took so long.
    pub fn note(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.counts[place] += 1;
        self.sum += seconds;
    }
}

/// What a lap looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Releases by phase.
    pub phases: BTreeMap<Phase, u64>,
    /// Closed gates, of all releases.
    pub holds: BTreeMap<Gate, u64>,
    /// When the steps were entered on which rollouts stand that are not complete, at most [`STEPS_MAX`].
    pub steps: BTreeMap<ReleaseId, Timestamp>,
    /// When Git was last asked with success.
    pub fetched_at: Option<Timestamp>,
    /// When the head that is followed was committed, by its committer's clock.
    pub head_at: Option<Timestamp>,
}

/// What was done since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Decisions that were carried out, by their word.
    pub decisions: BTreeMap<&'static str, u64>,
    /// Objects that were written again because they had been changed, by kind.
    pub repaired: BTreeMap<Kind, u64>,
    /// Polls of Git, by what came of them.
    pub polls: BTreeMap<&'static str, u64>,
    /// From the poll that named a commit to the end of the lap in which everything that it asked for at once was
    /// written.
    pub applied: Spread,
    /// How long laps took.
    pub laps: Spread,
}

/// Everything that the loop shows.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// Where it is.
    pub stage: Stage,
    /// When it turned last: it got on by itself, or from one answer of the API server to the next.
    pub turned_at: Instant,
    /// Since when Git has been busy with one question.
    pub asked_at: Option<Instant>,
    /// What the last lap looked at.
    pub survey: Survey,
    /// What was done.
    pub tally: Tally,
}

/// The handle.
#[derive(Clone, Debug)]
pub struct Pulse {
    clock: Clock,
    requests: Requests,
    vitals: Arc<Mutex<Vitals>>,
}

impl Pulse {
    /// Of a loop that has not begun.
    #[must_use]
    pub fn new(clock: Clock, requests: Requests) -> Self {
        let vitals = Vitals {
            stage: Stage::Starting,
            turned_at: Instant::now(),
            asked_at: None,
            survey: Survey::default(),
            tally: Tally::default(),
        };
        Self { clock, requests, vitals: Arc::new(Mutex::new(vitals)) }
    }

    fn held(&self) -> MutexGuard<'_, Vitals> {
        self.vitals.lock().expect("nothing panics while the vitals are held")
    }

    /// The present moment, by the daemon's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Everything, as it is now.
    #[must_use]
    pub fn vitals(&self) -> Vitals {
        self.held().clone()
    }

    /// The requests that were made of the API server.
    #[must_use]
    pub fn requests(&self) -> Counts {
        self.requests.counts()
    }

    /// The loop gets on.
    pub fn beat(&self) {
        self.held().turned_at = Instant::now();
    }

    /// The loop gets on, and is here.
    pub fn enter(&self, stage: Stage) {
        let mut vitals = self.held();
        vitals.turned_at = Instant::now();
        vitals.stage = stage;
    }

    /// Git is busy with a question, or not.
    pub fn asking(&self, asked_at: Option<Instant>) {
        self.held().asked_at = asked_at;
    }

    /// What a lap looked at.
    pub fn surveyed(&self, survey: Survey) {
        let mut vitals = self.held();
        let head_at = vitals.survey.head_at;
        vitals.survey = Survey { head_at, ..survey };
    }

    /// Another head is followed.
    pub fn follows(&self, head_at: Option<Timestamp>) {
        self.held().survey.head_at = head_at;
    }

    /// Counts.
    pub fn count(&self, note: impl FnOnce(&mut Tally)) {
        note(&mut self.held().tally);
    }
}

impl Tally {
    /// Git was polled, and this came of it.
    pub fn polled(&mut self, came: &'static str) {
        *self.polls.entry(came).or_default() += 1;
    }

    /// A decision was carried out.
    pub fn decided(&mut self, decision: &Decision) {
        *self.decisions.entry(decision.word()).or_default() += 1;
    }
}

impl Survey {
    /// Of a plan; `refused` are the releases of which the checker refused it.
    #[must_use]
    pub fn of<'a>(world: &World, plan: &Plan, refused: impl Iterator<Item = &'a ReleaseId>) -> Self {
        let mut survey = Self { fetched_at: world.source.fetched_at, ..Self::default() };
        let mut standing = Vec::new();
        for (id, it) in &plan.moves {
            *survey.phases.entry(it.view.phase).or_default() += 1;
            for hold in &it.view.holds {
                *survey.holds.entry(hold.gate).or_default() += 1;
            }
            let memory = it.memory.as_ref().or_else(|| world.cases.get(id).and_then(|case| case.memory()));
            let moving = |memory: &&crate::world::Memory| {
                memory.step_reached.is_none() || memory.top().is_none_or(|top| top.digest != memory.digest)
            };
            if let Some(memory) = memory.filter(moving) {
                standing.push((memory.step_entered, id));
            }
        }
        for _ in refused {
            *survey.holds.entry(Gate::Guard).or_default() += 1;
        }
        standing.sort_unstable();
        survey.steps = standing.into_iter().take(STEPS_MAX).map(|(at, id)| (id.clone(), at)).collect();
        survey
    }
}

/// How long ago `at` was; nothing where it is to come, by a clock that goes before ours.
#[must_use]
pub fn age(now: Timestamp, at: Timestamp) -> Duration {
    now.duration_since(at).max(SignedDuration::ZERO).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_counted_above_every_bound() {
        let mut spread = Spread::default();
        for millis in [5, 10, 11, 400_000] {
            spread.note(Duration::from_millis(millis));
        }
        assert_eq!(spread.counts[..3], [2, 1, 0]);
        assert_eq!(spread.counts[BOUNDS.len()], 1);
        assert!((spread.sum - 400.026).abs() < 1e-9);
    }

    #[test]
    fn a_moment_to_come_is_no_time_ago() {
        let at = Timestamp::from_second(100).unwrap();
        assert_eq!(age(at, Timestamp::from_second(90).unwrap()), Duration::from_secs(10));
        assert_eq!(age(at, Timestamp::from_second(110).unwrap()), Duration::ZERO);
    }
}
