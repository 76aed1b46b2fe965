//! `triton status --wait`: waits until releases are where they should be, for scripts.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use futures::{FutureExt, StreamExt};
use jiff::SignedDuration;
use kube::runtime::watcher::Event;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cli::awaited::{Awaited, Told};
use crate::cli::records::{Record, Records};
use crate::model::{LiftKind, ReleaseId};
use crate::objects::record::Phase;

/// How long events are gathered before everything is looked at again.
const GATHER: Duration = Duration::from_millis(200);
/// How often it is looked whether the daemon has told of the commit: its lease, which says so, is written as often.
const LOOK: Duration = Duration::from_secs(2);
/// Longest time to wait: a rollout of a week is watched by people.
const TIMEOUT_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// Every release is complete
    Complete,
    /// Every release is complete, or only a person can let it go on
    Gate,
}

/// Where the waiting ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything is where it should be.
    There,
    /// Something failed, or was refused.
    Degraded,
    /// The time is over.
    TimedOut,
    /// The time is over, and the daemon has not told of the commit.
    NotTold,
    /// The time is over, and these releases of Git's have no record.
    Unrecorded(Vec<String>),
}

/// A time to wait, as `30m`.
///
/// # Errors
/// Where it is none, or longer than anybody waits.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| "write it as 90s, 30m or 2h".to_owned())?;
    if parsed > TIMEOUT_MAX {
        return Err("it may be a week at most".to_owned());
    }
    Duration::try_from(parsed).map_err(|_| "it must not be negative".to_owned())
}

/// Where one release is on its way to `goal`; nothing while it is under way.
fn ended(record: &Record, goal: Goal) -> Option<Ended> {
    let view = &record.status.view;
    match (view.phase, goal) {
        (Phase::Healthy, _) | (Phase::Paused, Goal::Gate) => Some(Ended::There),
        (Phase::Degraded, _) => Some(Ended::Degraded),
        (Phase::Progressing, Goal::Gate) => {
            let turn = view.holds.iter().any(|hold| hold.lift.kind != LiftKind::Wait);
            turn.then_some(Ended::There)
        }
        (Phase::Progressing | Phase::Paused | Phase::RollingBack, _) => None,
    }
}

/// Where all of them are.
fn all_ended(records: &[Record], goal: Goal) -> Option<Ended> {
    if records.is_empty() {
        return None;
    }
    let each: Vec<_> = records.iter().map(|record| ended(record, goal)).collect();
    if each.contains(&Some(Ended::Degraded)) {
        return Some(Ended::Degraded);
    }
    each.iter().all(|it| *it == Some(Ended::There)).then_some(Ended::There)
}

/// How the waiting ends now, or what is to be said if the time is over first.
fn verdict(id: Option<&ReleaseId>, goal: Goal, told: &Told, found: &[Record]) -> Result<Ended, Ended> {
    let unrecorded = if id.is_none() { told.unrecorded(found) } else { Vec::new() };
    // A head without any release asks for nothing.
    let is_empty = told.releases.as_ref().is_some_and(BTreeSet::is_empty) && found.is_empty();
    match all_ended(found, goal) {
        Some(Ended::Degraded) => Ok(Ended::Degraded),
        _ if !unrecorded.is_empty() => Err(Ended::Unrecorded(unrecorded)),
        Some(ended) => Ok(ended),
        None if is_empty => Ok(Ended::There),
        None => Err(Ended::TimedOut),
    }
}

/// Waits for one release, or for all; gives them as they are then. What they say counts once they tell of `awaited`.
///
/// # Errors
/// Where the cluster cannot be read.
pub async fn wait(
    records: &Records,
    id: Option<&ReleaseId>,
    goal: Goal,
    awaited: Option<&Awaited>,
    timeout: Duration,
) -> Result<(Ended, Vec<Record>)> {
    let until = Instant::now() + timeout;
    let mut events = Box::pin(records.watch(id));
    let mut told = None;
    loop {
        if told.is_none() {
            told = match awaited {
                Some(awaited) => awaited.told(&records.git(Some(&awaited.root)).await)?,
                None => Some(Told::default()),
            };
        }
        let found = match id {
            Some(id) if told.is_some() => vec![records.get(id).await?],
            // It may be new with the commit.
            Some(id) => records.find(id).await?.into_iter().collect(),
            None => records.list().await?,
        };
        let late = match &told {
            None => Ended::NotTold,
            Some(told) => match verdict(id, goal, told, &found) {
                Ok(ended) => return Ok((ended, found)),
                Err(late) => late,
            },
        };
        if Instant::now() >= until {
            return Ok((late, found));
        }
        loop {
            let event = tokio::select! {
                biased;
                () = sleep_until(until) => break,
                () = sleep(LOOK), if told.is_none() => break,
                event = events.next() => event,
            };
            match event {
                // The list that a watch begins with says nothing new.
                Some(Ok(Event::Init | Event::InitApply(_))) => {}
                Some(Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_))) => break,
                // The watch tries again by itself; the time-out ends what does not come back.
                Some(Err(_)) => {}
                None => anyhow::bail!("the watch of the releases ended"),
            }
        }
        sleep(GATHER).await;
        while let Some(Some(_)) = events.next().now_or_never() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::record::{ReleaseStatus, View};

    fn record(phase: Phase) -> Record {
        let status = ReleaseStatus { view: View { phase, ..View::default() }, ..ReleaseStatus::default() };
        Record { id: "shop/cart".parse().unwrap(), root: None, status }
    }

    #[test]
    fn one_failure_ends_the_waiting_and_all_must_arrive() {
        let (healthy, paused) = (record(Phase::Healthy), record(Phase::Paused));
        let (moving, failed) = (record(Phase::Progressing), record(Phase::Degraded));
        assert_eq!(all_ended(&[healthy.clone(), paused.clone()], Goal::Gate), Some(Ended::There));
        assert_eq!(all_ended(&[healthy.clone(), paused.clone()], Goal::Complete), None);
        assert_eq!(all_ended(&[healthy, moving.clone()], Goal::Complete), None);
        assert_eq!(all_ended(&[moving, paused, failed], Goal::Complete), Some(Ended::Degraded));
        assert_eq!(all_ended(&[], Goal::Complete), None);
    }

    #[test]
    fn a_release_without_a_record_is_none_that_is_complete() {
        let told = |ids: &[&str]| Told { releases: Some(ids.iter().map(|id| id.parse().unwrap()).collect()) };
        let found = [record(Phase::Healthy)];
        let verdict = |told: &Told, found: &[Record]| verdict(None, Goal::Complete, told, found);
        assert_eq!(verdict(&told(&["shop/cart"]), &found), Ok(Ended::There));
        let missing = verdict(&told(&["shop/cart", "away/mailer"]), &found);
        assert_eq!(missing, Err(Ended::Unrecorded(vec!["away/mailer".to_owned()])));
        assert_eq!(verdict(&told(&[]), &[]), Ok(Ended::There));
        assert_eq!(verdict(&Told::default(), &[]), Err(Ended::TimedOut));
    }

    #[test]
    fn a_time_to_wait_has_an_end() {
        assert_eq!(timeout("90s"), Ok(Duration::from_secs(90)));
        for bad in ["-1s", "8d", "1000h", "soon", ""] {
            assert!(timeout(bad).is_err(), "{bad}");
        }
    }
}
