//! Whether the daemon is alive, and whether it is ready: an answer, and one sentence.

use std::time::Duration;

use crate::cluster::Wait;
use crate::controller::pulse::{Stage, Vitals};

/// How long the loop may stand still. It turns every ten seconds where nothing happens, and in a lap it gets on with
/// every answer of the API server, which is given up after five.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long Git may be busy with one question: twice the time after which a first fetch is given up, so that a start
/// from an empty folder is never cut short.
pub const ASKING_MAX: Duration = Duration::from_secs(600);

/// Whether the loop turns, in one sentence; an error where it hangs, and only a new process helps.
///
/// # Errors
///
/// What hangs, and since when.
pub fn alive(vitals: &Vitals) -> Result<String, String> {
    let silent = vitals.turned_at.elapsed();
    if silent > SILENCE_MAX {
        return Err(format!("the loop has not turned for {} s", silent.as_secs()));
    }
    let asking = vitals.asked_at.map(|at| at.elapsed()).unwrap_or_default();
    if asking > ASKING_MAX {
        return Err(format!("Git has not answered one question for {} s", asking.as_secs()));
    }
    Ok(format!("the loop turned {} s ago", silent.as_secs()))
}

/// Whether everything was seen once and the loop acts on it, in one sentence. A replica that stands by is ready.
///
/// # Errors
///
/// What it waits for.
pub fn ready(vitals: &Vitals) -> Result<String, String> {
    alive(vitals)?;
    let with = |what: &str, why: &Option<String>| match why {
        Some(why) => format!("{what}: {why}"),
        None => what.to_owned(),
    };
    match &vitals.stage {
        Stage::Starting => Err("the lease was not asked for yet".to_owned()),
        Stage::Waiting(Wait::Held(who)) => Ok(format!("it stands by for the lease: {who}")),
        Stage::Waiting(Wait::Failed(error)) => Err(format!("the lease cannot be asked for: {error}")),
        Stage::Listing(why) => Err(with("the first lists of the cluster are not in", why)),
        Stage::Reading(why) => Err(with("Git was not read yet", why)),
        Stage::Turning => Ok("Git and the cluster were read, and the loop turns".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Error, Requests};
    use crate::controller::{Clock, Pulse};
    use tokio::time::Instant;

    fn pulse() -> Pulse {
        let clock = Clock::starting_at("2026-11-22T10:00:00Z".parse().unwrap());
        Pulse::new(clock, Requests::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_dead_and_not_ready() {
        let pulse = pulse();
        pulse.enter(Stage::Turning);
        tokio::time::sleep(SILENCE_MAX).await;
        assert!(alive(&pulse.vitals()).is_ok() && ready(&pulse.vitals()).is_ok());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let dead = Err("the loop has not turned for 61 s".to_owned());
        assert_eq!((alive(&pulse.vitals()), ready(&pulse.vitals())), (dead.clone(), dead));
        pulse.beat();
        assert!(alive(&pulse.vitals()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_git_never_answers_is_seen_though_the_loop_turns() {
        let pulse = pulse();
        pulse.asking(Some(Instant::now()));
        tokio::time::sleep(ASKING_MAX + Duration::from_secs(1)).await;
        pulse.enter(Stage::Turning);
        assert_eq!(alive(&pulse.vitals()), Err("Git has not answered one question for 601 s".to_owned()));
        pulse.asking(None);
        assert!(alive(&pulse.vitals()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_daemon_waits_for_is_said_and_one_that_stands_by_is_ready() {
        let pulse = pulse();
        let said = |stage: Stage| {
            pulse.enter(stage);
            ready(&pulse.vitals())
        };
        let stands_by = said(Stage::Waiting(Wait::Held("other-1 holds it".into())));
        assert_eq!(stands_by, Ok("it stands by for the lease: other-1 holds it".to_owned()));
        let no_answer = said(Stage::Waiting(Wait::Failed(Error::TimedOut(5))));
        let sentence = "the lease cannot be asked for: the API server did not answer within 5 s";
        assert_eq!(no_answer, Err(sentence.to_owned()));
        for stage in [Stage::Starting, Stage::Listing(None), Stage::Reading(Some("denied".into()))] {
            assert!(said(stage.clone()).is_err(), "{stage:?}");
        }
        assert!(said(Stage::Turning).is_ok());
    }
}
