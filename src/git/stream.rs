//! Bytes from a server, read by a thread of their own, so that waiting for them can end at any time.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::git::budget::Budget;
use crate::git::error::Result;

/// Bytes that are read at once.
const CHUNK: usize = 32 << 10;
/// Chunks that wait to be used: with the chunk's size, what one fetch holds in memory.
const CHUNKS_WAITING: usize = 8;
/// How long a wait goes on before it asks whether the poll was cancelled.
const PATIENCE: Duration = Duration::from_millis(100);

/// Something that a thread found out.
pub(crate) enum Event<T> {
    /// The first word of the other side.
    Begun(T),
    /// Bytes of its answer.
    Bytes(Vec<u8>),
    /// Why there is nothing more; not sent when the answer simply ends.
    Failed(String),
}

/// A thread's side of a stream.
pub(crate) struct Sender<T>(SyncSender<Event<T>>);

impl<T> Sender<T> {
    /// Passes something on; false when nobody listens any more.
    pub(crate) fn send(&self, event: Event<T>) -> bool {
        self.0.send(event).is_ok()
    }

    /// Passes on everything that `from` has.
    pub(crate) fn copy(&self, mut from: impl Read) {
        let mut chunk = vec![0; CHUNK];
        loop {
            let event = match from.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => Event::Bytes(chunk[..count].to_vec()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Event::Failed(error.to_string()),
            };
            let is_last = matches!(event, Event::Failed(_));
            if !self.send(event) || is_last {
                return;
            }
        }
    }
}

/// The reading side. Dropped early, it makes the thread end with its next chunk.
pub(crate) struct Stream<T> {
    events: Receiver<Event<T>>,
    chunk: Vec<u8>,
    used: usize,
}

impl<T: Send + 'static> Stream<T> {
    /// Starts `talk` on a thread of its own.
    pub(crate) fn start(talk: impl FnOnce(Sender<T>) + Send + 'static) -> Self {
        let (sender, events) = sync_channel(CHUNKS_WAITING);
        thread::spawn(move || talk(Sender(sender)));
        Self { events, chunk: Vec::new(), used: 0 }
    }

    /// The next event; none at the end.
    pub(crate) fn event(&self, budget: &Budget) -> Result<Option<Event<T>>> {
        loop {
            let left = budget.left()?;
            match self.events.recv_timeout(left.min(PATIENCE)) {
                Ok(event) => return Ok(Some(event)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// Fills `out`; fewer bytes only where the answer ends.
    pub(crate) fn read(&mut self, out: &mut [u8], budget: &mut Budget) -> Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            if self.used == self.chunk.len() {
                match self.event(budget)? {
                    Some(Event::Bytes(bytes)) => {
                        budget.receive(bytes.len())?;
                        (self.chunk, self.used) = (bytes, 0);
                    }
                    Some(Event::Failed(why)) => return Err(budget.unreachable(why)),
                    Some(Event::Begun(_)) | None => break,
                }
            }
            let count = (out.len() - filled).min(self.chunk.len() - self.used);
            out[filled..filled + count].copy_from_slice(&self.chunk[self.used..self.used + count]);
            (filled, self.used) = (filled + count, self.used + count);
        }
        Ok(filled)
    }
}
