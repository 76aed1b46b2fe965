//! What it costs to know what Git says: after a start, after one commit, after none.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use triton::catalog::{Catalog, Known, Question, Reading};
use triton::git::{Limits, Mirror, Remote};
use triton::model::{CommitId, ReleaseId};
use triton::spec::parse_file;
use triton::world::{Desired, Policy};

use crate::files::{FIRST, RELEASES, text};
use crate::history::{COMMITS, History};
use crate::measure::{ROUNDS, Spent, Took, line, once, rounds, time};

/// The daemon's side: the mirror, and what was read of it.
struct Reader<'a> {
    history: &'a History,
    mirror: Mirror,
    catalog: Catalog,
    policy: Arc<Policy>,
    known: BTreeMap<ReleaseId, Known>,
    seen: CommitId,
    /// Commits of the history's end that were shown.
    later: usize,
}

impl Reader<'_> {
    fn read(&mut self, head: CommitId) -> Reading {
        let question = Question {
            repository: self.mirror.repository(),
            head,
            seen: Some(self.seen),
            known: &self.known,
            policy: &self.policy,
        };
        let reading = self.catalog.read(&question).expect("the repository can be read");
        self.seen = head;
        reading
    }
}

/// Measures the catalog.
pub fn run() {
    println!("catalog of {RELEASES} releases and {COMMITS} commits");
    let history = History::new();
    let state = tempfile::tempdir().expect("a temporary folder");
    let remote = Remote::new(history.path().to_str().expect("a plain path"), "main").expect("an address");
    let mirror = Mirror::open(state.path(), remote, Limits::default()).expect("a mirror");
    let mut reader = Reader {
        history: &history,
        mirror,
        catalog: Catalog::new(""),
        policy: Arc::default(),
        known: history.known.clone(),
        seen: history.head(0),
        later: 0,
    };
    line("first fetch", once(|| assert!(reader.mirror.poll().is_ok())), None);
    cold(&mut reader);
    polls(&mut reader);
    all_open(&mut reader);
}

/// A start: the whole tree, and history back to where the oldest open release began, which is its beginning.
fn cold(reader: &mut Reader<'_>) {
    let head = reader.history.head(0);
    let whole = rounds(|| {
        reader.catalog = Catalog::new("");
        black_box(reader.read(head));
    });
    let reading = reader.read(head);
    let begun = reading.desired.values().filter(|desired| match desired {
        Desired::Release(intent) => intent.episode.is_some(),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => false,
    });
    assert_eq!(begun.count(), RELEASES, "every release is read, and where it began is known");
    let approved = reading.desired.values().filter(|desired| match desired {
        Desired::Release(intent) => intent.markers.iter().any(|marker| marker.counts.is_ok()),
        Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => false,
    });
    assert!(approved.count() > 0, "markers count");
    let mut texts: Vec<String> = (0..RELEASES).map(|index| text(index, FIRST)).collect();
    texts.extend(reader.history.replaced.iter().cloned());
    let parsing = rounds(|| {
        for text in &texts {
            black_box(parse_file(text.as_bytes()));
        }
    });
    line("cold start", whole, None);
    line(&format!("  of it parsing {} files", texts.len()), parsing, None);
    line("  without parsing", whole.without(parsing), Some(1_000));
}

/// One commit after the other: an image, an approval, a file of somebody else; and nothing new.
fn polls(reader: &mut Reader<'_>) {
    let mut measured = [const { (Vec::new(), Vec::new()) }; 3];
    for round in 0..3 * ROUNDS {
        let (fetch, read) = poll(reader);
        let (fetches, reads) = &mut measured[round % 3];
        fetches.push(fetch);
        reads.push(read);
    }
    let mut fetches: Vec<Spent> = Vec::new();
    for (what, (fetched, reads)) in ["an image", "an approval", "another file"].into_iter().zip(measured) {
        line(&format!("one new commit, {what}"), Took::of(reads), Some(5));
        fetches.extend(fetched);
    }
    line("  and its fetch from a folder", Took::of(fetches), None);
    let head = reader.history.head(reader.later);
    line("nothing new, read again", rounds(|| drop(black_box(reader.read(head)))), None);
    line("nothing new, poll", rounds(|| assert!(reader.mirror.poll().is_ok())), None);
}

/// Takes the next commit: how long its fetch takes, and reading it.
fn poll(reader: &mut Reader<'_>) -> (Spent, Spent) {
    reader.later += 1;
    reader.history.show(reader.later);
    let head = reader.history.head(reader.later);
    let fetch = time(|| assert_eq!(reader.mirror.poll().expect("a poll").head(), head));
    (fetch, time(|| drop(black_box(reader.read(head)))))
}

/// The cluster has nothing yet: every release is open, and stays so while commits come.
fn all_open(reader: &mut Reader<'_>) {
    reader.known.clear();
    let head = reader.history.head(reader.later);
    line("nothing is known of the cluster any more", once(|| drop(black_box(reader.read(head)))), None);
    let reads = (0..3 * ROUNDS).map(|_| poll(reader).1).collect();
    line("one new commit, every release is open", Took::of(reads), None);
}
