//! What the pure rooms cost at 10,000 releases. `cargo bench --bench rooms` prints medians; compare ratios within a
//! run, machines differ.

#![allow(clippy::unwrap_used, reason = "a benchmark that meets a surprise should fail on the spot")]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use triton::model::{Amount, CommitId, ReleaseId, ResourceVersion, Uid};
use triton::objects::record::ReleaseStatus;
use triton::plan::plan;
use triton::spec::{ParsedFile, Release, RepositoryFile, assemble, parse_file};
use triton::world::{
    Case, CounterStatus, Desired, Drift, Episode, Intent, Live, Memory, Policy, Proof, Reached, RecordLive,
    Source, World,
};

/// Releases in each measurement.
const RELEASES: usize = 10_000;
/// Times that each measurement is taken; the median counts.
const ROUNDS: usize = 7;

fn main() {
    println!("{RELEASES} releases, median of {ROUNDS}");
    let texts: Vec<(String, String)> =
        (0..RELEASES).map(|index| (path(index), text(index, "2.4.0"))).collect();
    report("parse every file", || {
        for (_, text) in &texts {
            black_box(parse_file(text.as_bytes()));
        }
    });
    let files: BTreeMap<String, Arc<ParsedFile>> =
        texts.iter().map(|(path, text)| (path.clone(), Arc::new(parse_file(text.as_bytes())))).collect();
    let repository = RepositoryFile::default();
    report("assemble and digest all", || drop(black_box(assemble(&files, &repository))));

    let releases = assemble(&files, &repository).releases;
    let resting = world(&releases.values().map(|it| Arc::clone(it.as_ref().unwrap())).collect::<Vec<_>>());
    assert!(plan(&resting).moves.values().all(|decided| decided.writes.is_empty()), "nothing changed");
    report("plan, nothing changed", || drop(black_box(plan(&resting))));

    let changed = with_new_version(&resting, RELEASES / 10);
    let moving = plan(&changed).moves.values().filter(|decided| !decided.writes.is_empty()).count();
    assert_eq!(moving, RELEASES / 10);
    report("plan, a tenth changed", || drop(black_box(plan(&changed))));
}

fn report(what: &str, mut work: impl FnMut()) {
    let mut took: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    took.sort();
    println!("  {what:<28} {:>8.1} ms", took[ROUNDS / 2].as_secs_f64() * 1e3);
}

fn path(index: usize) -> String {
    format!("releases/team-{}/app-{index}.yaml", index % 100)
}

/// About 1 KB, as a plain release is.
fn text(index: usize, version: &str) -> String {
    let (namespace, name) = (format!("team-{}", index % 100), format!("app-{index}"));
    format!(
        "apiVersion: triton.io/v1
kind: Release
metadata: {{ namespace: {namespace}, name: {name} }}
spec:
  strategy:
    steps:
    - {{ replicas: 1, soak: 10m }}
    - {{ replicas: 50%, approval: {{}} }}
    - {{ replicas: 100% }}
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata:
  namespace: {namespace}
  name: {name}
  labels: {{ app: {name} }}
spec:
  replicas: 10
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      containers:
      - name: app
        image: registry.example/{namespace}/{name}:{version}
        ports: [{{ name: http, containerPort: 8080 }}]
        env: [{{ name: LOG_LEVEL, value: info }}]
        readinessProbe: {{ httpGet: {{ path: /healthz, port: http }} }}
        resources: {{ requests: {{ cpu: 100m, memory: 128Mi }}, limits: {{ memory: 256Mi }} }}
  updateStrategy: {{ type: InPlaceIfPossible, maxUnavailable: 20% }}
"
    )
}

/// A world in which every release is complete.
fn world(releases: &[Arc<Release>]) -> World {
    let now: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let commit = CommitId::from_bytes([1; 20]);
    let cases = releases.iter().map(|release| (release.id.clone(), Arc::new(complete(release, commit, now))));
    World {
        now,
        policy: Arc::new(Policy { root: "0badcafe".into(), ..Policy::default() }),
        source: Source { head: Some(commit), fetched_at: Some(now), fault: None },
        has_records: true,
        cases: cases.collect::<BTreeMap<ReleaseId, Arc<Case>>>(),
        named: Arc::new(BTreeSet::new()),
    }
}

fn desired(release: &Arc<Release>, first: CommitId) -> Desired {
    let episode = Episode { first, author: "Ann".into(), summary: "release".into(), time: None };
    let release = Arc::clone(release);
    Desired::Release(Arc::new(Intent {
        release,
        episode: Some(episode),
        cap: None,
        markers: vec![],
        freezes: vec![],
    }))
}

fn complete(release: &Arc<Release>, commit: CommitId, now: jiff::Timestamp) -> Case {
    let (template, digest, version) = (release.template, release.digest, release.version.clone());
    let memory = Memory {
        uid: Some(Uid::new(format!("uid-{}", release.id))),
        digest,
        template,
        episode: Some(commit),
        version: version.clone(),
        step: release.last_step(),
        step_entered: now,
        step_reached: Some(Reached { at: now, pods: 10 }),
        revision: Some("rev-a".into()),
        failed: None,
        proven: vec![Proof { template, digest, commit: Some(commit), version }],
    };
    let status = CounterStatus {
        observed_generation: Some(1),
        replicas: 10,
        ready: 10,
        available: 10,
        updated: 10,
        updated_available: 10,
        expected_updated: 10,
        current_revision: "rev-a".into(),
        update_revision: "rev-a".into(),
    };
    let live = Live {
        uid: memory.uid.clone().unwrap(),
        version: ResourceVersion::new("7"),
        generation: 1,
        deleting: false,
        replicas: 10,
        partition: Amount::Count(0),
        paused: false,
        replicas_owner: None,
        suspend: None,
        rollback: None,
        root: Some("0badcafe".into()),
        other_owner: None,
        memory: Some(memory.clone()),
        status,
        body: Arc::new(json!({})),
        drift: Drift::default(),
    };
    let record = RecordLive {
        uid: Uid::new("record"),
        version: ResourceVersion::new("8"),
        generation: 1,
        root: Some("0badcafe".into()),
        status: Arc::new(ReleaseStatus::default()),
        memory: Some(memory),
        replicas: 10,
    };
    Case {
        desired: desired(release, commit),
        live: Some(live),
        record: Some(record),
        documents: BTreeMap::from([(digest, Arc::clone(release))]),
        companions: BTreeMap::new(),
        strangers: BTreeSet::new(),
        refused: None,
    }
}

/// The same world after a commit that gave `count` releases a new version.
fn with_new_version(world: &World, count: usize) -> World {
    let texts = (0..count).map(|index| (path(index), Arc::new(parse_file(text(index, "2.4.1").as_bytes()))));
    let assembled = assemble(&texts.collect(), &RepositoryFile::default());
    let mut world = world.clone();
    for (id, release) in assembled.releases {
        let case = Arc::make_mut(world.cases.get_mut(&id).unwrap());
        case.desired = desired(&release.unwrap(), CommitId::from_bytes([2; 20]));
    }
    world
}
