//! What is left of a poll: time, bytes, and whether anybody still wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::git::error::{Error, Result};
use crate::git::remote::Limits;

/// Counts down during one poll. Every wait and every read asks it first.
pub(crate) struct Budget {
    url: String,
    limits: Limits,
    started: Instant,
    received: u64,
    cancel: Arc<AtomicBool>,
}

impl Budget {
    /// A full budget for a poll of `url`, which ends early when `cancel` becomes true.
    pub(crate) fn new(url: String, limits: Limits, cancel: Arc<AtomicBool>) -> Self {
        Self { url, limits, started: Instant::now(), received: 0, cancel }
    }

    /// The repository, for messages.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Time that is left; an error when there is none, or nobody waits any more.
    pub(crate) fn left(&self) -> Result<Duration> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::Cancelled { url: self.url.clone() });
        }
        let left = self.limits.deadline.checked_sub(self.started.elapsed()).filter(|left| !left.is_zero());
        left.ok_or_else(|| Error::TimedOut { url: self.url.clone(), seconds: self.limits.deadline.as_secs() })
    }

    /// Counts bytes that arrived.
    pub(crate) fn receive(&mut self, bytes: usize) -> Result<()> {
        self.received += bytes as u64;
        if self.received > self.limits.bytes_max {
            return Err(Error::TooLarge {
                url: self.url.clone(),
                limit: self.limits.bytes_max,
                unit: "bytes",
            });
        }
        self.left().map(|_| ())
    }

    /// The server said something that is not Git's protocol.
    pub(crate) fn protocol(&self, why: impl Into<String>) -> Error {
        Error::Protocol { url: self.url.clone(), why: why.into() }
    }

    /// The server cannot be reached any more.
    pub(crate) fn unreachable(&self, why: impl Into<String>) -> Error {
        Error::Unreachable { url: self.url.clone(), why: why.into() }
    }
}
