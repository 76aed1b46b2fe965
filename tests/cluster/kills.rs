//! A daemon that is killed two hundred times while people release, approve and take back: no step is skipped, repeated
//! or lost, and never do more pods run a version than Git permits. A witness tells, who only sees the API.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::judge::{Judge, PODS, Permit, STEPS, tag};
use crate::cluster::plane::Plane;
use crate::cluster::process::{Daemon, PATIENCE, Place, says, triton};
use crate::cluster::witness::Witness;
use crate::explore::dice::Dice;
use crate::repo::Repo;

/// Namespace, branch and place of the lease.
const NAMESPACE: &str = "kills";
/// How often the daemon is killed.
const KILLS: u32 = 200;
/// The moments are those of this seed; `TRITON_SEED` names another one.
const SEED: u32 = 7;
/// Releases, and how they are told apart: pods in place or made anew, the first create at once or by steps.
const RELEASES: [(&str, &str, &str); 3] = [
    ("inplace", "InPlaceIfPossible", "all"),
    ("anew", "ReCreate", "all"),
    ("slowly", "InPlaceIfPossible", "steps"),
];
/// Steps that ask for an approval.
const GATES: [usize; 2] = [2, 4];

fn files(release: (&str, &str, &str), version: &str) -> String {
    let (name, strategy, initial) = release;
    // A name with a content's hash cannot come in place.
    let reads = if strategy == "ReCreate" {
        format!(", envFrom: [{{configMapRef: {{name: {name}}}}}]")
    } else {
        String::new()
    };
    let gate = |step: usize| if GATES.contains(&step) { ", approval: {}" } else { "" };
    let steps: Vec<String> = (1..=STEPS.len())
        .map(|step| format!("{{replicas: {}{}}}", ["1", "40%", "3", "100%"][step - 1], gate(step)))
        .collect();
    format!(
        "apiVersion: triton.io/v1
kind: Release
metadata: {{namespace: {NAMESPACE}, name: {name}}}
spec: {{strategy: {{initial: {initial}, steps: [{}]}}}}
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {{namespace: {NAMESPACE}, name: {name}}}
spec:
  replicas: {PODS}
  selector: {{matchLabels: {{app: {name}}}}}
  updateStrategy: {{type: {strategy}, maxUnavailable: 2}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: app, image: 'example/{name}:{version}'{reads}}}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{namespace: {NAMESPACE}, name: {name}}}
data: {{version: '{version}'}}
",
        steps.join(", ")
    )
}

/// What is done about one release next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Release,
    Approve(usize),
    TakeBack,
    Finish,
    Return,
}

/// One release as its people see it.
struct Team {
    release: (&'static str, &'static str, &'static str),
    number: u32,
    /// The last version that was finished.
    proven: Option<u32>,
    next: Next,
    at: Instant,
}

/// Everybody who commits, one after the other.
struct People<'a> {
    plane: &'a Plane,
    repo: &'a Repo,
    state: &'a Path,
    witness: &'a Witness,
    dice: Dice,
    permits: Vec<Permit>,
    finished: Vec<(String, String)>,
    returned: u32,
}

impl People<'_> {
    /// Notes what the next commit permits.
    fn permit(&mut self, team: &Team, pods: u32) {
        let list: Value =
            serde_json::from_str(&self.plane.kubectl(&["get", "--raw", "/api/v1/nodes?limit=1"])).unwrap();
        let after = list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        let (release, tag) = (team.release.0.to_owned(), format!("v{}", team.number));
        self.permits.push(Permit { after, release, tag, pods });
    }

    fn put(&self, team: &Team, number: u32) {
        let (name, text) = (team.release.0, files(team.release, &format!("v{number}")));
        self.repo.put(&format!("releases/{name}.yaml"), &text);
    }

    /// The CloneSet, where it runs this version with every pod that was seen to be so.
    fn runs(&self, team: &Team, number: u32) -> Option<Value> {
        let seen = self.witness.cloneset(team.release.0)?;
        let status = &seen["status"];
        let runs = tag(&seen["spec"]["template"]["spec"]) == format!("v{number}")
            && status["observedGeneration"] == seen["metadata"]["generation"]
            && [&status["updatedReplicas"], &status["updatedAvailableReplicas"]]
                .iter()
                .all(|it| **it == PODS);
        runs.then_some(seen)
    }

    fn is_finished(&self, team: &Team) -> bool {
        self.runs(team, team.number).is_some_and(|it| {
            let notes = &it["metadata"]["annotations"];
            let proven: Option<Value> =
                notes["triton.io/proven"].as_str().and_then(|it| serde_json::from_str(it).ok());
            let top = proven.and_then(|it| it.as_array()?.last().cloned()).unwrap_or_default();
            top["digest"] == notes["triton.io/digest"] && notes["triton.io/step-reached"].is_string()
        })
    }

    /// Does what is to be done about one release. Gives what comes then.
    fn act(&mut self, team: &mut Team) -> Next {
        let first = team.proven.is_none();
        match team.next {
            Next::Release => {
                team.number += 1;
                self.permit(team, if first && team.release.2 == "all" { PODS } else { STEPS[0] });
                self.put(team, team.number);
                Next::Approve(GATES[0])
            }
            Next::Approve(step) if step == GATES[1] && !first && self.dice.chance(40) => {
                // Either it is taken back, or the next one comes before it has ended.
                if self.dice.chance(60) { Next::TakeBack } else { Next::Release }
            }
            Next::Approve(step) => {
                let pods = if step == GATES[0] { STEPS[2] } else { PODS };
                self.permit(team, pods);
                let mut approve = triton(&self.plane.kubeconfig("admin"), NAMESPACE, self.state);
                approve.args([
                    "approve",
                    &format!("{NAMESPACE}/{}", team.release.0),
                    "--step",
                    &step.to_string(),
                ]);
                says(approve.current_dir(self.repo.path()));
                if step == GATES[0] { Next::Approve(GATES[1]) } else { Next::Finish }
            }
            Next::TakeBack => {
                self.put(team, team.proven.expect("there is one"));
                Next::Return
            }
            Next::Finish if self.is_finished(team) => {
                self.finished.push((team.release.0.to_owned(), format!("v{}", team.number)));
                team.proven = Some(team.number);
                Next::Release
            }
            Next::Return if self.runs(team, team.proven.expect("there is one")).is_some() => {
                self.returned += 1;
                Next::Release
            }
            next @ (Next::Finish | Next::Return) => next,
        }
    }

    /// Goes on until `over`, and then until nothing is open.
    fn work(mut self, over: &AtomicBool) -> (Vec<Permit>, Vec<(String, String)>, u32) {
        let start =
            |release| Team { release, number: 0, proven: None, next: Next::Release, at: Instant::now() };
        let mut teams = RELEASES.map(start);
        until_over(&mut teams, |team| {
            let ends = over.load(Ordering::Relaxed);
            if ends && team.next == Next::Release && team.proven == Some(team.number) {
                return false;
            }
            if team.at > Instant::now() {
                return true;
            }
            let before = team.next;
            team.next = self.act(team);
            let pause = if before == team.next { 50 } else { self.dice.below(2500).into() };
            team.at = Instant::now() + Duration::from_millis(pause);
            true
        });
        (self.permits, self.finished, self.returned)
    }
}

/// Gives every team its turn, until none has anything left to do.
fn until_over(teams: &mut [Team; 3], mut turn: impl FnMut(&mut Team) -> bool) {
    let mut quiet = Instant::now();
    let mut last: Vec<Next> = Vec::new();
    loop {
        let busy = teams.iter_mut().filter_map(|team| turn(team).then_some(())).count();
        if busy == 0 {
            return;
        }
        let now: Vec<Next> = teams.iter().map(|it| it.next).collect();
        if last != now {
            (quiet, last) = (Instant::now(), now);
        }
        assert!(quiet.elapsed() < PATIENCE, "nothing goes on: {last:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Lives until a random moment: at once, sooner or later, or just after something has happened in the cluster.
fn live(witness: &Witness, dice: &mut Dice) -> Duration {
    let began = Instant::now();
    let life = match dice.below(10) {
        0..4 => dice.below(400),
        4..8 => dice.below(2500),
        _ => {
            let count = witness.count();
            while witness.count() == count && began.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(dice.below(30).into()));
            return began.elapsed();
        }
    };
    std::thread::sleep(Duration::from_millis(life.into()));
    began.elapsed()
}

#[test]
#[ignore = "tests/cluster/test runs it"]
fn two_hundred_kills_at_random_moments_skip_repeat_and_lose_no_step() {
    let seed = std::env::var("TRITON_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(SEED);
    let plane = Plane::shared();
    plane.kubectl(&["create", "namespace", NAMESPACE]);
    plane.define_record();
    let witness = Witness::of(&plane, NAMESPACE);
    let (repo, state) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.git(&["checkout", "--quiet", "-b", NAMESPACE]);
    repo.put("triton.yaml", "apiVersion: triton.io/v1\nkind: Repository\n");
    let repository = repo.path().display().to_string();
    let place =
        Place { namespace: NAMESPACE, repository: &repository, branch: NAMESPACE, state: state.path() };
    let mut dice = Dice::new(seed.into());
    let people = People {
        plane: &plane,
        repo: &repo,
        state: state.path(),
        witness: &witness,
        dice: Dice::new(u64::from(seed) + 1),
        permits: Vec::new(),
        finished: Vec::new(),
        returned: 0,
    };
    let (over, began) = (AtomicBool::new(false), Instant::now());
    let (permits, finished, returned) = std::thread::scope(|scope| {
        let work = scope.spawn(|| people.work(&over));
        let mut lives = Vec::new();
        let mut daemon = Daemon::start(&plane, "admin", &place, &[]);
        for _ in 0..KILLS {
            if work.is_finished() {
                break;
            }
            // Every other life begins where the daemon may write: a start takes what it takes.
            if dice.below(2) == 0 {
                daemon.until(|line| (line["message"] == "the lease is ours").then_some(()));
            }
            lives.push(live(&witness, &mut dice).as_millis());
            daemon.kill();
            daemon = Daemon::start(&plane, "admin", &place, &[]);
        }
        println!("seed {seed}, killed after {:?}; lives in ms: {lives:?}", began.elapsed());
        over.store(true, Ordering::Relaxed);
        work.join().unwrap_or_else(|panic| {
            println!("the last daemon said:\n{}", daemon.heard().join("\n"));
            std::panic::resume_unwind(panic)
        })
    });
    let sights = witness.tells();
    let (seen, given) = (sights.len(), permits.len());
    let judge = Judge::by(permits).hear(&sights);
    println!(
        "{seen} versions seen, {given} permits, {} finished, {returned} taken back: {:?}",
        finished.len(),
        judge.trails
    );
    assert_eq!(judge.faults, Vec::<String>::new(), "seed {seed}");
    let all = [1, 2, 3, 4];
    for (at, trail) in &judge.trails {
        let is_whole = match (&*at.1, &*at.0) {
            ("v1", "inplace" | "anew") => trail == &[4],
            _ if finished.contains(at) => trail == &all,
            _ => all.starts_with(trail),
        };
        assert!(is_whole, "seed {seed}: {at:?} went by {trail:?}");
    }
    assert!(finished.len() > 10 && returned > 2, "{} finished, {returned} taken back", finished.len());
}
