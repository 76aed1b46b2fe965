//! Pods of a step and of a partition: the guard's own arithmetic, on Kruise's rounding alone.

use crate::model::Amount;
use crate::spec::Step;

/// Pods that `partition` lets go to the template's revision, at `size` pods in all.
#[must_use]
pub fn let_go(partition: Amount, size: u32) -> u32 {
    size - partition.partition_pods(size).min(size)
}

/// Most pods on the new revision once `step` (from 1; 0 is before step 1) may be entered, at `size` pods in all.
///
/// That is the most of any step up to it, and below the last step one pod stays old: with none left, Kruise takes
/// the unproven revision for the current one.
#[must_use]
pub fn of_step(steps: &[Step], step: u32, size: u32) -> u32 {
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    if step >= steps.len() {
        return size;
    }
    let most = steps[..step].iter().map(|it| it.replicas.step_pods(size)).max().unwrap_or(0);
    most.min(size.saturating_sub(1))
}

/// The step that a live partition holds at `size`: of those that ask for the most pods that it lets go, the first.
/// When the size changes, that step may keep its share; the last one only where no pod is kept.
#[must_use]
pub fn held(steps: &[Step], partition: Amount, size: u32) -> u32 {
    let last = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    if partition.partition_pods(u32::MAX) == 0 {
        return last;
    }
    let go = let_go(partition, size);
    let fits = (0..last).filter(|step| of_step(steps, *step, size) <= go);
    fits.max_by_key(|step| (of_step(steps, *step, size), last - step)).unwrap_or(0)
}

/// The nearest that a percentage comes to letting `pods` of `size` go: a few sizes above 100,000 miss by one.
#[must_use]
pub fn attainable(pods: u32, size: u32) -> u32 {
    let_go(Amount::Percent(Amount::partition_for(pods, size)), size).min(pods)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(amounts: &[&str]) -> Vec<Step> {
        let step = |it: &&str| Step {
            replicas: it.parse().unwrap(),
            soak: 0,
            approval: None,
            serve: crate::spec::Serve::Automatic,
            weight: None,
        };
        amounts.iter().map(step).collect()
    }

    #[test]
    fn a_step_asks_for_no_fewer_pods_than_the_one_before() {
        let falling = steps(&["5", "20%", "100%"]);
        let pods: Vec<_> = (0..=3).map(|step| of_step(&falling, step, 10)).collect();
        assert_eq!(pods, [0, 5, 5, 10]);
    }

    #[test]
    fn below_the_last_step_one_pod_stays_old() {
        let canary = steps(&["1", "100%"]);
        assert_eq!((of_step(&canary, 1, 1), of_step(&canary, 1, 2), of_step(&canary, 2, 1)), (0, 1, 1));
        assert_eq!(of_step(&canary, 1, 0), 0);
    }

    #[test]
    fn of_steps_that_ask_for_the_same_pods_a_partition_holds_the_first() {
        let canary = steps(&["1", "50%", "100%"]);
        let step = |partition: &str, size| held(&canary, partition.parse().unwrap(), size);
        assert_eq!((step("100%", 10), step("99%", 10), step("50%", 10), step("0%", 10)), (0, 1, 2, 3));
        assert_eq!((step("50%", 2), step("40%", 3), step("1", 10)), (1, 1, 2));
    }

    #[test]
    fn a_partition_lets_go_what_kruise_lets_go() {
        let pods = |partition: &str, size| let_go(partition.parse().unwrap(), size);
        assert_eq!((pods("99%", 10), pods("8", 20), pods("99%", 1), pods("0%", 1)), (1, 12, 0, 1));
        assert_eq!(attainable(1, 100), 1);
    }
}
