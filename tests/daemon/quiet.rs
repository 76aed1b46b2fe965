//! Nothing changed: what a daemon at rest asks and touches.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::daemon::STEPS;
use crate::daemon::stage::{INTERVAL, Stage};
use crate::git::network::{backend, serve};

/// Polls that are watched.
const POLLS: u32 = 20;

/// What tells whether somebody wrote: when, how much, and whether it is the same file still.
type Mark = (i64, i64, u64, u64);

/// Every file and folder below `path`.
fn marks(path: &Path) -> BTreeMap<String, Mark> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let it = fs::symlink_metadata(&path).unwrap();
        if it.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path.display().to_string(), (it.mtime(), it.mtime_nsec(), it.size(), it.ino()));
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_finds_nothing_new_touches_no_file_and_asks_the_cluster_nothing() {
    let mut stage = Stage::set();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let (log, root) = (Arc::clone(&asked), stage.repo.path().to_owned());
    let address = serve(move |request| {
        log.lock().unwrap().push(format!("{} {}", request.method, request.path));
        backend(&root, request)
    });
    stage.address = Some(format!("{address}/.git"));
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.wait(60).await;

    let state = stage.state_folder().to_owned();
    let before = marks(&state);
    assert!(before.keys().any(|path| path.ends_with(".pack")), "the mirror has a pack: {before:#?}");
    asked.lock().unwrap().clear();
    stage.requests.lock().unwrap().clear();
    tokio::time::sleep(INTERVAL * POLLS + Duration::from_secs(1)).await;

    let polls = asked.lock().unwrap().clone();
    assert!(polls.iter().all(|it| it == "GET /.git/info/refs"), "one round trip to Git each: {polls:#?}");
    assert!((POLLS as usize..=POLLS as usize + 1).contains(&polls.len()), "{} polls", polls.len());
    let requests = stage.requests.lock().unwrap().clone();
    let renews = |it: &&String| it.starts_with("PATCH ") && it.contains("/leases/triton-");
    let watches = |it: &&String| it.starts_with("GET ") && it.contains("watch=true");
    let others: Vec<_> = requests.iter().filter(|it| !renews(it) && !watches(it)).collect();
    assert_eq!(others.len(), 0, "{others:#?}");
    assert!(requests.iter().any(|it| renews(&it)), "the requests are seen at all");
    assert_eq!(marks(&state), before);

    let pack = before.keys().find(|path| path.ends_with(".idx")).unwrap();
    let bytes = fs::read(pack).unwrap();
    fs::set_permissions(pack, fs::metadata(state.join("lock")).unwrap().permissions()).unwrap();
    fs::write(pack, bytes).unwrap();
    assert_ne!(marks(&state), before, "a file that is written as it was would be noticed");
}
