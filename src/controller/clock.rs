//! The one clock of the program.

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Duration, Instant};

/// Tells the time: the moment of the start, and the monotonic clock since. It never goes back, whatever is done to
/// the system's clock, and stands still where tests hold time still.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Timestamp,
    began: Instant,
}

impl Clock {
    /// The system's time, now.
    #[must_use]
    pub fn system() -> Self {
        Self::starting_at(Timestamp::now())
    }

    /// A clock that shows `start` now.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { start: truncated(start), began: Instant::now() }
    }

    /// The present moment, in whole milliseconds: what is written into annotations is read back equal.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        truncated(self.start.saturating_add(since).unwrap_or(Timestamp::MAX))
    }

    /// When the clock shows `at`; the present where that has passed.
    #[must_use]
    pub fn instant(&self, at: Timestamp) -> Instant {
        let wait = at.duration_since(self.start);
        self.began + Duration::try_from(wait).unwrap_or_default()
    }
}

fn truncated(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_shows_a_moment_when_one_has_waited_for_it() {
        let clock = Clock::starting_at("2026-01-02T03:04:05.678901Z".parse().unwrap());
        assert_eq!(clock.now().to_string(), "2026-01-02T03:04:05.678Z");
        let at = clock.now() + SignedDuration::from_secs(90);
        tokio::time::sleep_until(clock.instant(at)).await;
        assert!(clock.now() >= at && clock.now() < at + SignedDuration::from_millis(5));
        assert!(clock.instant("2020-01-01T00:00:00Z".parse().unwrap()) <= Instant::now());
    }
}
