//! Whether Kruise asks before it updates pods in place, where they serve by approval; and which of them are let go.

use crate::guard::pods;
use crate::guard::rule::{Rule, Violation, require};
use crate::guard::scene::{Motion, Scene};
use crate::spec::{exchange, hook, unavailable};
use crate::world::{Decision, Live, Memory, PodLive, Stage};

/// Checks the hook in the body of a CloneSet.
///
/// # Errors
///
/// [`Rule::Serving`] where a pod could be updated in place while it serves, or a proven release would wait for us.
pub fn check(motion: &Motion<'_>) -> Result<(), Violation> {
    let serving = |holds, message: &str| require(holds, Rule::Serving, || message.to_owned());
    let asks = hook::is_in(motion.sent.spec);
    if motion.sent.memory.entered_is_proven() {
        return serving(!asks, "a proven release is written with our hook: its pods would wait for us");
    }
    if let Some(release) = motion.release {
        let in_place = exchange::in_place(&motion.sent.spec["updateStrategy"]).is_some();
        let wanted = release.strategy.is_gated() && in_place;
        serving(asks == wanted, "our hook is there where it should not be, or missing where it should be")?;
    }
    // Another strategy alone lets no pod go.
    if !asks || !matches!(motion.scene.plan.decision, Decision::Enter(_)) || !motion.exposes() {
        return Ok(());
    }
    let Some(pods) = &motion.scene.case.pods else {
        return serving(false, "its pods are not listed: one that serves would be updated in place");
    };
    let pods = || pods.iter().filter(|pod| !pod.ending);
    let loose = pods().find(|pod| pod.serves && (!pod.held || pod.stage == Stage::Updating));
    require(loose.is_none(), Rule::Serving, || {
        let name = loose.map(|pod| pod.name.to_string()).unwrap_or_default();
        format!("pod {name} serves, and Kruise would not ask before it updates it")
    })?;
    let Some(live) = motion.live.filter(|live| live.gated) else { return Ok(()) };
    let status = &live.status;
    let count = |some: &dyn Fn(&PodLive) -> bool| pods().filter(|pod| some(pod)).count();
    let (new, old) = (count(&|pod| pod.is_of(&status.update_revision)), count(&|_| true));
    let old = old - new;
    serving(new == status.updated as usize, "not every pod of the template that stands is seen as it is")?;
    // Where some of the others have the gate, or the release that they are of has it, all have.
    let memory = motion.scene.memory();
    let of_gated = memory.is_some_and(|memory| {
        let below = memory.top().and_then(|top| motion.scene.release(top.digest));
        memory.entered_is_proven() || below.is_some_and(|release| release.strategy.is_gated())
    });
    let all = new + old == status.replicas as usize || (old == 0 && !of_gated);
    serving(all, "not every pod is seen, and one that is not would be updated in place as it serves")
}

/// Checks that `pod` leaves traffic for an update in place that Kruise is about to begin.
///
/// # Errors
///
/// [`Rule::Serving`] where nobody asks for that; [`Rule::Forward`] where an old leader could do it.
pub fn check_leaving(scene: Scene<'_>, live: &Live, pod: &PodLive, forward: bool) -> Result<(), Violation> {
    let serving = |holds, message: &str| {
        require(holds, Rule::Serving, || format!("pod {} is taken out of traffic: {message}", pod.name))
    };
    serving(pod.stage == Stage::Asks && live.asks_first(), "Kruise does not ask for it")?;
    serving(live.is_fresh() && !live.drift.template, "what Kruise updates it to is not the entered release")?;
    serving(!pod.is_of(&live.status.update_revision), "it is of the entered release already")?;
    let leaves = matches!(scene.plan.decision, Decision::RollBack | Decision::Fail | Decision::Remove);
    serving(!leaves, "its release is being left")?;
    let failed = scene.memory().is_some_and(|memory| scene.has_failed(memory));
    serving(!failed, "its release has failed")?;
    require(forward, Rule::Forward, || {
        format!("pod {}: an old leader could take it out of traffic", pod.name)
    })
}

/// Checks that of the pods that leave for an update no more do, with those of before, than the entered step has; and that
/// enough others are there.
///
/// # Errors
///
/// [`Rule::Exposure`], [`Rule::Serving`].
pub fn check_left(
    scene: Scene<'_>,
    live: &Live,
    memory: &Memory,
    leaving: &[&PodLive],
) -> Result<(), Violation> {
    if leaving.is_empty() {
        return Ok(());
    }
    let all = || scene.case.pods.iter().flat_map(|pods| pods.iter()).filter(|pod| !pod.ending);
    let is_gone = |pod: &PodLive| pod.stage == Stage::Asks && !pod.held && !pod.serves;
    let there = all().filter(|pod| pod.is_of(&live.status.update_revision) || is_gone(pod)).count();
    let release = scene.release(memory.digest);
    let most = match release {
        Some(release) if (memory.step as usize) < release.strategy.steps.len() => {
            pods::of_step(&release.strategy.steps, memory.step, live.replicas)
        }
        Some(_) | None => live.replicas,
    };
    let most = most.min(pods::let_go(live.partition, live.replicas));
    let there = there + leaving.len();
    require(there <= most as usize, Rule::Exposure, || {
        format!("{there} pods would leave for an update or have had it, and the entered step has {most}")
    })?;
    let serves = |pod: &&PodLive| pod.ready && pod.serves;
    let missed = leaving.iter().copied().filter(serves).count();
    let left = all().filter(serves).count().saturating_sub(missed);
    let body = release.map_or_else(|| live.stand.ours(), |release| release.cloneset.value.open());
    let least = live.replicas.saturating_sub(unavailable(&body["spec"], live.replicas));
    require(missed == 0 || left >= least as usize, Rule::Serving, || {
        format!("{left} ready pods would be left by those that leave for an update, and {least} have to be")
    })
}
