//! The cluster's one clock: a start time plus what tokio's clock has counted since, so that paused time works.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time of the embedded cluster. Cheap to copy; copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Timestamp,
    origin: Instant,
}

impl Clock {
    /// A clock that shows `start` now. Under `tokio::time::pause` it moves only as tokio's clock does.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Clock {
        Clock { start, origin: Instant::now() }
    }

    /// The present time, with all its digits.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = self.origin.elapsed();
        self.start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// The present time as Kubernetes writes `metav1.Time`: RFC 3339, whole seconds, in UTC.
    #[must_use]
    pub fn second(&self) -> String {
        second(self.now())
    }

    /// The time `ahead` from now, in the form of [`Clock::second`].
    #[must_use]
    pub fn second_after(&self, ahead: Duration) -> String {
        second(self.now().checked_add(ahead).unwrap_or(Timestamp::MAX))
    }
}

/// A time as Kubernetes writes `metav1.Time`: `2026-11-22T10:00:00Z`, the fraction cut off.
#[must_use]
pub fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time as Kubernetes writes `metav1.MicroTime`: always six digits after the point.
#[must_use]
pub fn micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_moves_only_with_tokios_clock() {
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let clock = Clock::starting_at(start);
        assert_eq!(clock.second(), "2026-11-22T10:00:00Z");
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(clock.second(), "2026-11-22T10:00:01Z");
        assert_eq!(clock.second_after(Duration::from_secs(30)), "2026-11-22T10:00:31Z");
        assert_eq!(micro(clock.now()), "2026-11-22T10:00:01.500000Z");
    }
}
