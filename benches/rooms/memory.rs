//! What is kept in memory of 10,000 releases, by what the system says of a process of its own (`RssAnon`).

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use triton::cluster::{Cache, Feed, Lane};
use triton::controller::observe::Observer;
use triton::world::Source;

use crate::daemon::{laps, reading};
use crate::files::{FIRST, RELEASES, release};
use crate::measure::line_of_memory;
use crate::objects::{Pattern, policy, start};

/// Asks the process for nothing but this; the folder with the pattern of the objects follows.
pub const ALONE: &str = "memory-alone";

/// Measures, in a process that has done nothing else: what was freed before would be taken again, and not be seen.
pub fn run() {
    println!("memory for {RELEASES} releases");
    let folder = tempfile::tempdir().expect("a temporary folder");
    Pattern::new().save(folder.path());
    let mut child = Command::new(env::current_exe().expect("this program"));
    assert!(child.arg(ALONE).arg(folder.path()).status().expect("it runs").success());
}

/// Anonymous memory of this process, in KiB; none where the system does not say.
fn held() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// What grew since the last look.
struct Growth {
    begun: u64,
    last: u64,
}

impl Growth {
    fn since(&mut self) -> u64 {
        let now = held().unwrap_or(self.last);
        now.saturating_sub(std::mem::replace(&mut self.last, now))
    }
}

/// Measures in this process.
pub fn alone(folder: &Path) {
    let Some(begun) = held() else {
        println!("  not measured: this system does not tell RssAnon");
        return;
    };
    let mut growth = Growth { begun, last: begun };
    let pattern = Pattern::load(folder);
    let cache = Cache::default();
    for index in 0..RELEASES {
        cache.wrote(Feed::CloneSets, &pattern.cloneset(index, &release(index, FIRST)));
    }
    let what = format!("caches: CloneSets of {:.1} KiB", pattern.size() as f64 / 1024.0);
    line_of_memory(&what, growth.since(), Some(50));
    for index in 0..RELEASES {
        cache.wrote(Feed::Records, &pattern.record(index, &release(index, FIRST)));
    }
    line_of_memory("caches: their records", growth.since(), None);
    let releases: Vec<_> = (0..RELEASES).map(|index| release(index, FIRST)).collect();
    let said = reading(releases, pattern.commit());
    line_of_memory("releases, as Git has them", growth.since(), None);
    let mut observer = Observer::new(cache, Lane::default(), policy());
    observer.take_reading(said);
    observer.source = Source { head: Some(pattern.commit()), fetched_at: Some(start()), fault: None };
    let mut laps = laps(observer);
    laps.lap();
    line_of_memory("cases, and what is told, after a lap", growth.since(), None);
    line_of_memory("all of these", growth.last - growth.begun, None);
}
