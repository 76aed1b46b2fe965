//! Where a scenario is played: a repository, a cluster, and the daemon between them.

mod hands;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use triton::cluster::Cluster;
use triton::controller::{Clock, Controller, Rules, Settings, Source};
use triton::devcluster::{Object, Store};
use triton::git::{Limits, Mirror, Remote};
use triton::model::Digest;
use triton::objects::kind::Api as Served;
use triton::objects::{Kind, keys};
use triton::world::{People, Policy};

use crate::scenario::daemon::Daemon;
use crate::scenario::format::{Commit, PolicyText, Replace, Span, dawn};
use crate::scenario::ground::{
    CLONESETS, Came, Ground, LEASES, PODS, RECORDS, kinds, resource as resource_of,
};
use crate::scenario::history::{BRANCH, History, NAMESPACE};
use crate::scenario::observer::{Observer, tag};
use crate::scenario::trace::Trace;

/// Time between two polls.
const INTERVAL: Duration = Duration::from_secs(15);
/// Time after whose passing everything has come to rest; what is shorter is meant to the point.
const LONG: Duration = Duration::from_secs(5);

/// The stage.
pub struct Stage {
    /// The repository.
    pub history: History,
    /// What it stands on.
    pub ground: Ground,
    state: tempfile::TempDir,
    daemon: Option<Daemon>,
    /// One that stands still.
    paused: Option<Daemon>,
    /// Those that stood still and went on beside another one.
    old: Vec<Daemon>,
    rules: watch::Sender<Rules>,
    started: u32,
    interruptions: usize,
    observer: Observer,
    clock: Clock,
    remembered: BTreeMap<String, (String, Value)>,
    saved: Option<Value>,
}

impl Stage {
    /// Sets it, with the daemon running.
    pub fn set(policy: &PolicyText, ground: Ground) -> Self {
        let root = Digest::of(format!("{BRANCH}\n").as_bytes()).to_string()[..8].to_owned();
        let policy = Policy {
            people: policy.people.then_some(People::CommitAuthors),
            bots: policy.bots.clone(),
            root,
            proven_depth: policy.depth.unwrap_or(Policy::default().proven_depth),
            ..Policy::default()
        };
        let mut stage = Self {
            history: History::new(),
            observer: Observer::new(ground.lateness()),
            ground,
            state: tempfile::tempdir().expect("a temporary folder"),
            daemon: None,
            paused: None,
            old: Vec::new(),
            rules: watch::channel(Rules { policy: Arc::new(policy), accepted: None }).0,
            started: 0,
            interruptions: 0,
            clock: Clock::starting_at(dawn()),
            remembered: BTreeMap::new(),
            saved: None,
        };
        stage.start();
        stage
    }

    /// Starts the daemon.
    pub fn start(&mut self) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        self.started += 1;
        let address = self.history.path().display().to_string();
        let remote = Remote::new(&address, BRANCH).expect("a path");
        let mirror = Mirror::open(self.state.path(), remote, Limits::default()).expect("a mirror");
        let settings = Settings {
            interval: INTERVAL,
            holder: format!("daemon-{}", self.started),
            inline: true,
            observe: None,
        };
        let cluster = Cluster::new(self.ground.client());
        let source = Source::new(mirror, "");
        let controller = Controller::new(cluster, source, settings, self.rules.subscribe(), self.clock);
        self.daemon = Some(Daemon::start(controller));
    }

    /// Kills the daemon, wherever it is.
    pub async fn kill(&mut self) {
        self.daemon.take().expect("the daemon runs").kill().await;
    }

    /// Waits until the lease names the branch's newest commit.
    pub async fn until_seen(&mut self) {
        let mut changes = self.store().changes();
        let end = Instant::now() + INTERVAL * 2 + self.ground.grace();
        let lease = keys::lease(&self.rules.borrow().policy.root);
        let seen = |stage: &Self| {
            let lease = stage.store().get(LEASES, NAMESPACE, &lease);
            lease.and_then(|it| it["metadata"]["annotations"][keys::HEAD].as_str()?.parse().ok())
        };
        while seen(self) != self.history.tip() {
            let came = self.ground.wait(&mut changes, end).await;
            assert_eq!(came, Came::Change, "the newest commit is not seen");
        }
        self.look();
    }

    /// Goes to another machine: nothing is left of what the daemon had on disk.
    pub fn move_away(&mut self) {
        self.state = tempfile::tempdir().expect("a temporary folder");
    }

    /// Stops the daemon in the middle of whatever it does.
    pub fn pause(&mut self) {
        let daemon = self.daemon.take().expect("the daemon runs");
        daemon.run(false);
        assert!(self.paused.replace(daemon).is_none(), "one daemon stands still at a time");
        // Another one is on another machine.
        self.move_away();
    }

    /// Lets the stopped one go on. Beside another one it finds its lease lost, and may end.
    pub fn resume(&mut self) {
        let daemon = self.paused.take().expect("a daemon stands still");
        daemon.run(true);
        if self.daemon.is_none() {
            self.daemon = Some(daemon);
        } else {
            self.old.push(daemon);
        }
    }

    /// The daemon's configuration accepts a commit as the head.
    pub fn accept(&mut self, name: &str) {
        self.observer.begin_anew();
        self.rules.send_modify(|rules| rules.accepted = Some(self.history.named(name)));
    }

    /// Lets time pass, and looks at everything that changes. Stops early when `done`.
    pub async fn pass(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = Instant::now() + time;
        let mut changes = self.store().changes();
        self.look();
        if done(self) {
            return true;
        }
        let mut looked = self.store().version();
        loop {
            if self.has_changed_since(looked) {
                looked = self.store().version();
                self.look();
                if done(self) {
                    return true;
                }
            }
            let came = match self.ground.wait(&mut changes, end).await {
                Came::End if time >= LONG => self.ground.rest().await,
                came => came,
            };
            if came == Came::End {
                self.look();
                return done(self);
            }
        }
    }

    /// Waits until what has begun has come to rest, where that takes time of its own.
    pub async fn rest(&mut self) {
        while self.ground.rest().await == Came::Change {
            self.look();
        }
    }

    /// Lets what has begun come to rest: pods, and what Kruise and the daemon say of them.
    pub async fn settle(&mut self) {
        self.pass(LONG, |_| false).await;
    }

    /// Whether anything has changed that a picture shows. Leases are renewed all the time.
    fn has_changed_since(&self, version: u64) -> bool {
        let shown = Kind::COMPANIONS.into_iter().map(|kind| resource(&format!("{}/x", kind.api().kind)).0);
        let shown: Vec<String> = shown.chain([CLONESETS, PODS, RECORDS].map(str::to_owned)).collect();
        self.store().read(|state| shown.iter().any(|resource| state.written_since(resource, version)))
    }

    /// Remembers the pods with this image.
    pub fn remember(&mut self, image: &str) {
        let pods = self.store().list(PODS, Some(NAMESPACE));
        let mine = pods.iter().filter(|pod| tag(pod) == *image);
        self.remembered = mine.map(|pod| (pod.uid().to_owned(), (image.to_owned(), restarts(pod)))).collect();
    }

    /// How many of the remembered pods are as they were.
    pub fn untouched(&self) -> usize {
        let pods = self.store().list(PODS, Some(NAMESPACE));
        let same = |pod: &&Object| self.remembered.get(pod.uid()) == Some(&(tag(pod), restarts(pod)));
        pods.iter().filter(same).count()
    }

    /// Names the first of the remembered pods that are there, and others, in one commit.
    pub fn replace(&mut self, step: &Replace) {
        let pods = self.store().list(PODS, Some(NAMESPACE));
        let there = pods.iter().filter(|pod| self.remembered.contains_key(pod.uid()));
        let mut names: Vec<String> = there.map(|pod| pod.name().to_owned()).collect();
        names.sort();
        names.truncate(step.first);
        names.extend(step.also.iter().cloned());
        let named = if names.is_empty() { Value::Null } else { names.into() };
        let mut commit = Commit { message: Some("Replace pods".to_owned()), ..Commit::default() };
        commit.set.insert("Release.spec.replace".to_owned(), named);
        if let Some(replicas) = step.replicas {
            commit.set.insert("CloneSet.spec.replicas".to_owned(), replicas.into());
        }
        self.history.commit(&commit);
    }

    /// How many of the remembered pods are there, whatever they run.
    pub fn kept(&self) -> usize {
        let pods = self.store().list(PODS, Some(NAMESPACE));
        pods.iter().filter(|pod| self.remembered.contains_key(pod.uid())).count()
    }

    fn look(&mut self) {
        self.ground.freeze();
        let end = self.daemon.as_mut().and_then(Daemon::end);
        if let Some(end) = end {
            // On a machine that has too much to do it may stand still too long, or be answered too late; it is started
            // again wherever it runs.
            let ends_so = end.contains("LeaseLost") || end.contains("TimedOut");
            let may_end = !self.ground.grace().is_zero() && ends_so;
            assert!(may_end, "the daemon has ended: {end}");
            self.daemon = None;
            self.interruptions += 1;
            self.start();
        }
        self.observer.look_at_git(&self.history);
        let store = self.store().clone();
        self.observer.look_at_cluster(&store);
        self.ground.thaw();
    }

    /// How often a daemon was ended by the machine alone.
    pub fn interruptions(&self) -> usize {
        self.interruptions
    }

    /// The objects of the cluster.
    pub fn store(&self) -> &Store {
        self.ground.store()
    }

    /// The record's status; null where there is none.
    pub fn status(&self, release: &str) -> Value {
        let record = self.store().get(RECORDS, NAMESPACE, release);
        record.map_or(Value::Null, |record| record["status"].clone())
    }

    /// An object, as `CloneSet/checkout`.
    pub fn object(&self, named: &str) -> Option<Value> {
        let (resource, name) = resource(named);
        self.store().get(&resource, NAMESPACE, &name).map(|object| (*object).clone())
    }

    /// So many requests that meant to write, so far, without those for records, Events and the lease.
    pub fn writes(&self) -> Vec<String> {
        let aside = ["/leases", "/events", "/releases"];
        let writes = self.ground.wire().sent().into_iter();
        let ours = writes.filter(|write| !aside.iter().any(|it| write.path.contains(it)));
        ours.map(|write| format!("{} {} {}", write.method, write.path, write.code)).collect()
    }

    /// Everything that was written, and how everything stands: equal for equal scenarios.
    pub fn trace(&self) -> Vec<String> {
        let mut trace = self.ground.noted();
        for resource in [CLONESETS, PODS, RECORDS] {
            trace.extend(self.store().list(resource, None).iter().map(|object| object.json().to_owned()));
        }
        trace
    }

    /// What happened, without times and drawn names.
    pub fn told(&self) -> Trace {
        Trace::of(&self.ground.wire().sent(), self.store())
    }

    /// Pods by image tag.
    pub fn images(&self, release: &str) -> BTreeMap<String, u32> {
        crate::scenario::observer::images(self.store(), release)
    }
}

/// How often a pod's container was restarted.
fn restarts(pod: &Value) -> Value {
    pod["status"]["containerStatuses"][0]["restartCount"].clone()
}

/// A span as the clocks have it.
pub fn duration(span: Span) -> Duration {
    span.0.try_into().expect("time goes forward")
}

/// Resource and name of `CloneSet/checkout`.
fn resource(named: &str) -> (String, String) {
    let (kind, name) = named.split_once('/').expect("an object is Kind/name");
    (resource_of(&served(kind)), name.to_owned())
}

/// How the API names a kind.
fn served(kind: &str) -> Served {
    kinds().into_iter().find(|it| it.kind == kind).unwrap_or_else(|| panic!("no kind is {kind}"))
}
