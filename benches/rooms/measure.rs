//! Lines of the summary: what was measured, the median, and the bound beside it.

use std::time::{Duration, Instant};

/// Times that each measurement is taken; the median counts.
pub const ROUNDS: usize = 7;

/// How long something took.
#[derive(Clone, Copy)]
pub struct Took {
    median: Duration,
    best: Duration,
}

impl Took {
    /// Of some measurements.
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort();
        Self { median: all[all.len() / 2], best: all[0] }
    }

    /// Without what a part of it took.
    pub fn without(self, part: Self) -> Self {
        Self { median: self.median.saturating_sub(part.median), best: self.best.saturating_sub(part.best) }
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
pub fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Prints a time; the bound in milliseconds, where one was promised.
pub fn line(what: &str, took: Took, bound: Option<u32>) {
    let millis = |it: Duration| it.as_secs_f64() * 1e3;
    let best = format!("   best {:>8.1}", millis(took.best));
    print_line(what, millis(took.median), "ms", &best, bound);
}

/// Prints an amount of memory; the bound in MiB, where one was promised.
pub fn line_of_memory(what: &str, kib: u64, bound: Option<u32>) {
    print_line(what, kib as f64 / 1024.0, "MiB", "", bound);
}

fn print_line(what: &str, value: f64, unit: &str, more: &str, bound: Option<u32>) {
    let bound = bound.map_or(String::new(), |bound| {
        let verdict = if value <= f64::from(bound) { "" } else { "  MISSED" };
        format!("   (bound {bound} {unit}){verdict}")
    });
    println!("  {what:<44} {value:>9.1} {unit}{more}{bound}");
}
