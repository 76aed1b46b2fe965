//! Step arithmetic: from a step and a size to pods and a partition, and back.
//!
//! Steps count from 1; 0 is before step 1.

use crate::model::{Amount, Percent};
use crate::spec::{Initial, Release};

/// Pods on the new revision at `step`, at `size` pods in all: the largest of Kruise's rounding for it and every step
/// before. Below the last step at least one old pod is left: else Kruise takes the new revision for the current one,
/// and the next new pod is of it.
#[must_use]
pub fn pods(release: &Release, step: u32, size: u32) -> u32 {
    if step >= release.last_step() {
        return size;
    }
    let steps = release.strategy.steps.iter().take(step as usize);
    let most = steps.map(|step| step.replicas.step_pods(size)).max().unwrap_or(0);
    most.min(size.saturating_sub(1))
}

/// Pods on the new revision at `step` where they come up beside the old ones, at `size` pods that serve.
#[must_use]
pub fn beside(release: &Release, step: u32, size: u32) -> u32 {
    if step >= release.last_step() {
        return size;
    }
    release.step(step).map_or(0, |step| step.replicas.step_pods(size))
}

/// The partition that is written for `step` at `size`: a percentage, so that an autoscaler cannot outrun it; 0 for
/// the last step only.
#[must_use]
pub fn partition(release: &Release, step: u32, size: u32) -> Amount {
    if step >= release.last_step() {
        return Amount::Count(0);
    }
    if size == 0 {
        return Amount::Percent(Percent::FULL);
    }
    Amount::Percent(Amount::partition_for(pods(release, step, size), size))
}

/// Whether a partition keeps nothing, however it is written.
#[must_use]
pub fn is_zero(partition: Amount) -> bool {
    matches!(partition, Amount::Count(0) | Amount::Percent(Percent::ZERO))
}

/// Whether two partitions are the same as written.
#[must_use]
pub fn same_partition(a: Amount, b: Amount) -> bool {
    a == b || is_zero(a) && is_zero(b)
}

/// The step that a live partition stands for: of the steps that ask for exactly the pods of the last one not above
/// the partition, the furthest that Git permits, else the first. Only partition 0 is the last step.
#[must_use]
pub fn position(release: &Release, live: Amount, size: u32, permitted: u32) -> u32 {
    position_of(release, size - live.partition_pods(size), is_zero(live), size, permitted)
}

/// As [`position`], of a first release that is made by steps: its pods are the live replicas.
#[must_use]
pub fn position_building(release: &Release, live: u32, size: u32, permitted: u32) -> u32 {
    position_of(release, live, live >= size, size, permitted)
}

fn position_of(release: &Release, allowed: u32, all: bool, size: u32, permitted: u32) -> u32 {
    let last = release.last_step();
    let fits = |step: u32| pods(release, step, size) <= allowed && (step < last || all);
    let furthest = (1..=last).rev().find(|step| fits(*step)).unwrap_or(0);
    if furthest == last {
        return last;
    }
    let asks = pods(release, furthest, size);
    let first = (0..=furthest).find(|step| pods(release, *step, size) == asks).unwrap_or(furthest);
    first.max(furthest.min(permitted))
}

/// Replicas and partition that are written for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `spec.replicas`.
    pub size: u32,
    /// `spec.updateStrategy.partition`.
    pub partition: Amount,
}

/// The shape of `step` at `size`. A first release that is made by steps (`initial: steps`) has no old pods to keep:
/// its steps cap the replicas instead, until something is proven.
#[must_use]
pub fn shape(release: &Release, step: u32, size: u32, anything_proven: bool) -> Shape {
    if release.strategy.initial == Initial::Steps && !anything_proven {
        return Shape { size: pods(release, step, size), partition: Amount::Count(0) };
    }
    Shape { size, partition: partition(release, step, size) }
}
