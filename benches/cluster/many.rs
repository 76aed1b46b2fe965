//! A thousand releases: made, at rest, and seen anew by a daemon that starts.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::Value;
use triton::cluster::resource;
use triton::objects::Kind;

use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, Place, until};
use crate::repo::Repo;
use crate::{cloneset, line, prepare, release};

/// Releases.
pub const RELEASES: usize = 1000;
/// Workers of the raw loop: more buy nothing.
pub const WORKERS: usize = 8;
/// For so long nothing happens.
const IDLE: Duration = Duration::from_secs(120);
/// Namespaces of the raw loops, one before the daemon's and one after it.
const RAW: [&str; 2] = ["raw-before", "raw-after"];
/// The daemon's namespace.
pub const OURS: &str = "ours";
/// As the API server's audit log calls the daemon.
const SUBJECT: &str = "system:serviceaccount:triton-system:triton";

/// Measures.
pub fn run() {
    // No controller: what is measured is the way from Git to the API.
    let plane = Plane::bare();
    prepare(&plane);
    let namespaces = RAW.iter().chain(&[OURS]);
    namespaces.for_each(|namespace| drop(plane.kubectl(&["create", "namespace", namespace])));
    let before = raw(&plane, RAW[0]);
    let (repo, state) = (Repo::new(), tempfile::tempdir().expect("a temporary folder"));
    repo.put("README.md", "Releases\n");
    let repository = repo.path().display().to_string();
    let place = Place { namespace: OURS, repository: &repository, branch: "main", state: state.path() };
    let mut daemon = Daemon::start(&plane, "triton", &place, &[]);
    daemon.until(|line| (line["message"] == "HEAD was read").then_some(()));
    let peak = Peak::of(daemon.id());
    for number in 0..RELEASES {
        let name = format!("app-{number}");
        repo.write(&format!("releases/{name}.yaml"), &release(OURS, &name, 0, "1", "[{replicas: 100%}]"));
    }
    let head = repo.commit("A thousand releases").to_string();
    let seen: Timestamp = daemon.until(|line| {
        let read = line["message"] == "HEAD was read" && head.starts_with(line["head"].as_str()?);
        read.then(|| line["time"].as_str().and_then(|it| it.parse().ok())).flatten()
    });
    let mut made = Made::default();
    until("all are applied", || (made.count(&plane) >= RELEASES).then_some(()));
    let last = applied(&plane).into_iter().max().expect("all are applied");
    until("it comes to rest", || is_quiet(&plane).then_some(()));
    // Before the loops that follow: their objects pass the daemon's watches too.
    let (rests, most) = (memory(daemon.id()), peak.end());
    let after = raw(&plane, RAW[1]);
    let took = last.duration_since(seen).as_secs_f64();
    let mean = (before + after).as_secs_f64() / 2.0;
    println!("raw loop {:.2} s and {:.2} s, daemon {took:.2} s", before.as_secs_f64(), after.as_secs_f64());
    line(
        "commit seen → last of 1,000 CloneSets applied, ÷ raw loop",
        &format!("{:.2}", took / mean),
        "≤ 1.2",
    );
    let began = Timestamp::now();
    thread::sleep(IDLE);
    let asked = requests(&plane, began);
    line("requests in two idle minutes, beside lease and watches", &asked.len().to_string(), "0");
    asked.iter().take(5).for_each(|it| println!("  {it}"));
    line("memory at rest (RssAnon)", &mebibytes(rests), "≤ 64 MiB");
    line("memory at its peak", &mebibytes(most), "≤ 64 MiB");
    daemon.kill();
    let began = Instant::now();
    let mut daemon = Daemon::start(&plane, "triton", &place, &["--listen", "127.0.0.1:0"]);
    let address = daemon.until(|line| Some(line["message"].as_str()?.split_once("http://")?.1.to_owned()));
    let laps = || metric(&address, "triton_lap_seconds_count").filter(|count| *count >= 1.0);
    while laps().is_none() {
        thread::sleep(Duration::from_millis(5));
    }
    line(
        "start → first full plan at 1,000 releases",
        &format!("{:.2} s", began.elapsed().as_secs_f64()),
        "≤ 2 s",
    );
}

/// Applies the same objects, by eight workers with the same client.
fn raw(plane: &Plane, namespace: &'static str) -> Duration {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = plane.client("triton", namespace).await;
        let admin = plane.client("admin", namespace).await;
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let workers: Vec<_> =
            (0..WORKERS).map(|_| tokio::spawn(work(client.clone(), namespace, next.clone()))).collect();
        for worker in workers {
            worker.await.expect("it works");
        }
        let took = began.elapsed();
        // The daemon sees every CloneSet of the cluster: what it is measured with is its own.
        let api: Api<DynamicObject> = Api::namespaced_with(admin, namespace, &resource(Kind::CloneSet.api()));
        let gone = api.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
        gone.expect("they are deleted");
        took
    })
}

async fn work(client: Client, namespace: &str, next: Arc<AtomicUsize>) {
    let clonesets: Api<DynamicObject> =
        Api::namespaced_with(client, namespace, &resource(Kind::CloneSet.api()));
    let params = PatchParams::apply("raw").force();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= RELEASES {
            return;
        }
        let name = format!("app-{number}");
        let body: Value = serde_saphyr::from_str(&cloneset(namespace, &name, 0, "1")).expect("YAML");
        clonesets.patch(&name, &params, &Patch::Apply(body)).await.expect("it is applied");
    }
}

/// The daemon's creates in the audit log, counted as it grows: who waits must not take the time of what is measured.
#[derive(Default)]
pub struct Made {
    read: u64,
    count: usize,
}

impl Made {
    /// How many there are by now.
    pub fn count(&mut self, plane: &Plane) -> usize {
        let mut log = std::fs::File::open(plane.dir().join("audit.log")).expect("the audit log");
        log.seek(SeekFrom::Start(self.read)).expect("a file");
        let mut text = String::new();
        log.read_to_string(&mut text).expect("text");
        // The last line may still be on its way.
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        self.read += whole.len() as u64;
        let created = format!("/namespaces/{OURS}/clonesets/");
        let is_one = |line: &&str| line.contains(&created) && line.contains("\"code\":201");
        self.count += whole.lines().filter(is_one).count();
        self.count
    }
}

/// The daemon's requests, as the audit log has them.
fn audit(plane: &Plane) -> Vec<Value> {
    let log = std::fs::read_to_string(plane.dir().join("audit.log")).expect("the audit log");
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["user"]["username"] == SUBJECT).collect()
}

fn moment(event: &Value) -> Option<Timestamp> {
    event["stageTimestamp"].as_str()?.parse().ok()
}

/// When each of the daemon's CloneSets was there.
fn applied(plane: &Plane) -> Vec<Timestamp> {
    let ours = |event: &Value| {
        let object = &event["objectRef"];
        object["resource"] == "clonesets"
            && object["namespace"] == OURS
            && event["responseStatus"]["code"] == 201
    };
    audit(plane).iter().filter(|event| ours(event)).filter_map(moment).collect()
}

/// Whether the daemon has asked for nothing for some time.
pub fn is_quiet(plane: &Plane) -> bool {
    requests(plane, Timestamp::now() - Duration::from_secs(15)).is_empty()
}

/// What was asked since a moment, beside the lease and the renewal of watches.
fn requests(plane: &Plane, since: Timestamp) -> Vec<String> {
    let counts = |event: &Value| {
        let aside = event["verb"] == "watch" || event["objectRef"]["resource"] == "leases";
        !aside && moment(event).is_some_and(|at| at >= since)
    };
    let told = |event: &Value| format!("{} {}", event["verb"], event["requestURI"]);
    audit(plane).iter().filter(|event| counts(event)).map(told).collect()
}

/// Anonymous memory of a process, in KiB.
pub fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// As people read it.
pub fn mebibytes(kib: u64) -> String {
    format!("{} MiB", kib.div_ceil(1024))
}

/// The most memory that a process had.
pub struct Peak {
    most: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Peak {
    /// Of this process, from now on.
    pub fn of(process: u32) -> Self {
        let peak = Self { most: Arc::default(), ended: Arc::default() };
        let (most, ended) = (peak.most.clone(), peak.ended.clone());
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(memory(process), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        peak
    }

    /// Looks no more.
    pub fn end(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.most.load(Ordering::Relaxed)
    }
}

/// A value of the daemon's metrics.
fn metric(address: &str, name: &str) -> Option<f64> {
    let page = reqwest::blocking::get(format!("http://{address}/metrics")).ok()?.text().ok()?;
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
