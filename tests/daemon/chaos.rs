//! Faults from a seed: whatever fails on the way, the end is what Git says.

use std::time::Duration;

use triton::devcluster::{Failure, Refusal};

use crate::daemon::stage::Stage;

/// Seeds of one run of the tests; each is a story of its own.
const SEEDS: std::ops::Range<u64> = 0..4;
const STEPS: &str = "[{replicas: 1, soak: 3s}, {replicas: 50%, soak: 3s}, {replicas: 100%}]";

/// Numbers from a seed (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn fail(stage: &Stage, dice: &mut Dice) {
    let verbs = ["get", "list", "watch", "patch", "patch", "patch"];
    let plurals = ["clonesets", "releases", "leases", "services"];
    let failure = Failure {
        verb: verbs[dice.below(6) as usize],
        plural: plurals[dice.below(4) as usize].into(),
        times: 1 + dice.below(3) as u32,
        with: Refusal::internal("the connection was cut"),
        after: dice.below(2) == 0,
    };
    stage.cluster.knobs().set(|faults| faults.failures.push(failure));
}

/// One thing that goes wrong, or that somebody does.
async fn trouble(stage: &mut Stage, dice: &mut Dice) {
    match dice.below(8) {
        0 => {
            stage.kill().await;
            stage.start();
        }
        1 => stage.cluster.knobs().drop_watches(),
        2 => {
            stage.cluster.store().compact();
            stage.cluster.knobs().drop_watches();
        }
        3 => {
            stage.controllers.kill_manager();
            stage.wait(dice.below(20)).await;
            stage.controllers.start_manager();
        }
        _ => fail(stage, dice),
    }
}

async fn story(seed: u64) {
    let mut dice = Dice(seed);
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    let mut version = "1.0.0".to_owned();
    for round in 0..12 {
        if dice.below(3) == 0 {
            version = format!("1.{round}.0");
            stage.release(&version, STEPS);
        }
        trouble(&mut stage, &mut dice).await;
        tokio::time::sleep(Duration::from_millis(dice.below(9_000))).await;
    }
    stage.cluster.knobs().set(|faults| *faults = triton::devcluster::Faults::default());
    stage.wait(60).await;
    let image = format!("example/checkout:{version}");
    stage
        .until(&format!("seed {seed}: {version} is healthy"), |it| {
            it.phase() == "Healthy" && it.pods() == [(image.clone(), 4)].into()
        })
        .await;
    let record = stage.record("checkout");
    let guarded = record["status"]["history"].to_string();
    assert!(!guarded.contains("refused"), "seed {seed}: {guarded}");
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_on_the_way_the_end_is_what_git_says() {
    for seed in SEEDS {
        story(seed).await;
    }
}

/// For a long night: `TRITON_SEEDS=500 cargo test -- --ignored whatever`.
#[tokio::test(start_paused = true)]
#[ignore = "takes as long as one likes"]
async fn whatever_fails_on_many_ways_the_end_is_what_git_says() {
    let seeds = std::env::var("TRITON_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(50);
    for seed in 100..100 + seeds {
        story(seed).await;
    }
}
