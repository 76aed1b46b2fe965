//! Lines of the summary: what was measured, the median, and the bound beside it.

use std::time::{Duration, Instant};

/// Times that each measurement is taken; the median counts.
pub const ROUNDS: usize = 7;

/// How long something took, by the clock on the wall and by this thread's time on a processor.
#[derive(Clone, Copy)]
pub struct Spent {
    wall: Duration,
    processor: Duration,
}

/// A moment, to measure from.
pub struct Begun {
    at: Instant,
    processor: Duration,
}

impl Begun {
    /// Now.
    pub fn now() -> Self {
        Self { processor: processor(), at: Instant::now() }
    }

    /// How much was spent since.
    pub fn spent(&self) -> Spent {
        Spent { wall: self.at.elapsed(), processor: processor().saturating_sub(self.processor) }
    }
}

/// Time that this thread was on a processor; zero where the system does not say.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// The middle of some measurements.
#[derive(Clone, Copy)]
pub struct Took(Spent);

impl Took {
    /// Of some measurements.
    pub fn of(all: Vec<Spent>) -> Self {
        let middle = |of: fn(&Spent) -> Duration| {
            let mut times: Vec<_> = all.iter().map(of).collect();
            times.sort();
            times[times.len() / 2]
        };
        Self(Spent { wall: middle(|it| it.wall), processor: middle(|it| it.processor) })
    }

    /// Without what a part of it took.
    pub fn without(self, part: Self) -> Self {
        let (all, part) = (self.0, part.0);
        Self(Spent {
            wall: all.wall.saturating_sub(part.wall),
            processor: all.processor.saturating_sub(part.processor),
        })
    }
}

/// How long `work` takes, several times.
pub fn rounds(mut work: impl FnMut()) -> Took {
    Took::of((0..ROUNDS).map(|_| time(&mut work)).collect())
}

/// How long `work` takes, once.
pub fn once(work: impl FnOnce()) -> Took {
    Took::of(vec![time(work)])
}

/// How long `work` takes.
pub fn time(work: impl FnOnce()) -> Spent {
    let begun = Begun::now();
    work();
    begun.spent()
}

/// Prints a time; the bound in milliseconds, where one was promised. It is missed where the thread alone took longer:
/// what others took from it on a busy machine says nothing.
pub fn line(what: &str, took: Took, bound: Option<u32>) {
    let Spent { wall, processor } = took.0;
    let own = if processor.is_zero() { wall } else { wall.min(processor) };
    let more = format!("  ({:>7.1} on a processor)", millis(processor));
    println!("  {what:<44} {:>9.1} ms{more}{}", millis(wall), verdict(millis(own), bound, "ms"));
}

/// Prints an amount of memory; the bound in MiB, where one was promised.
pub fn line_of_memory(what: &str, kib: u64, bound: Option<u32>) {
    let mib = kib as f64 / 1024.0;
    println!("  {what:<44} {mib:>9.1} MiB{}", verdict(mib, bound, "MiB"));
}

fn millis(it: Duration) -> f64 {
    it.as_secs_f64() * 1e3
}

fn verdict(value: f64, bound: Option<u32>, unit: &str) -> String {
    bound.map_or(String::new(), |bound| {
        let missed = if value <= f64::from(bound) { "" } else { "  MISSED" };
        format!("   (bound {bound} {unit}){missed}")
    })
}
