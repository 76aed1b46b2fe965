//! Pods that serve by approval and are updated in place. Kruise asks before each of them ([`crate::spec::hook`]): it leaves
//! traffic and is let go, is updated, and comes back under the hook, in the dark.
//!
//! To leave and to be let go is one write, of the pod's status: its labels may change with it (Kubernetes,
//! `pkg/registry/core/pod/strategy.go:podStatusStrategy`). So no crash leaves a pod in the dark that Kruise goes on to keep,
//! and while nobody answers Kruise the pod serves as before.
//!
//! **Invariant:** every pod is seen, and one that serves is under the hook and is not being updated, when a new template or
//! step is written.

use jiff::Timestamp;

use crate::model::Hold;
use crate::objects::keys::{SERVE_GATED, SERVE_UPDATING};
use crate::plan::dark::{self, Stays};
use crate::plan::facts::Facts;
use crate::plan::hooked::{is_kept_by_others, told_at};
use crate::plan::outcome::Outcome;
use crate::plan::pods::{WRITES_MAX, write};
use crate::spec::{self, Release, hook};
use crate::world::{Decision, PodLive, Stage, Write};

/// Pods of which Kruise asks: those that go now, and those that stay, by why.
#[derive(Default)]
struct Asking<'a> {
    go: Vec<&'a PodLive>,
    stay: Vec<(Stays, Vec<&'a PodLive>)>,
}

impl Facts<'_> {
    /// Whether Kruise asks us before it updates a pod in place where it should, and, as far as that is ours, nowhere else. A
    /// hook that another manager has put there beside us cannot be taken out: the pods are let go.
    #[must_use]
    pub fn asks_as_it_should(&self) -> bool {
        let asks = self.live.asks_first();
        let is_ours = || asks && hook::is_in(&self.live.stand.ours()["spec"]);
        if self.is_proven() {
            return !is_ours();
        }
        self.entered.is_none_or(|release| if release.asks_first() { asks } else { !is_ours() })
    }
}

/// What keeps a template or a step from being written whose pods are updated in place: pods that serve and of which Kruise
/// would not ask, and pods of which nothing is known. One that is being updated is out of traffic already: its condition
/// is taken, so that it comes back in the dark.
#[must_use]
pub fn barred(facts: &Facts<'_>, row: char, release: &Release) -> Option<Outcome> {
    if !release.asks_first() {
        return None;
    }
    let Some(pods) = facts.gated_pods() else {
        return Some(Outcome::hold(row, vec![dark::pods_unlisted(facts.id)]));
    };
    let pods: Vec<&PodLive> = pods.collect();
    let is_loose = |pod: &&&PodLive| pod.serves && (!pod.held || pod.stage == Stage::Updating);
    let loose: Vec<&PodLive> = pods.iter().filter(is_loose).copied().collect();
    if loose.is_empty() {
        return unseen(facts, &pods).map(|hold| Outcome::hold(row, vec![hold]));
    }
    let mut outcome = Outcome::hold(row, vec![dark::loose(facts.id, &loose)]);
    let coming = loose.into_iter().filter(|pod| pod.stage == Stage::Updating && !pod.ready);
    outcome.serving =
        coming.take(WRITES_MAX).map(|pod| write(facts, pod, SERVE_GATED, false, false)).collect();
    Some(outcome)
}

/// That other pods are seen than Kruise counts: one has lost its label, or they are seen later than its status. Those of a
/// release without the gate are not seen at all; they are made anew, and none is left once a release with it is proven.
fn unseen(facts: &Facts<'_>, pods: &[&PodLive]) -> Option<Hold> {
    let (live, status) = (facts.live, &facts.live.status);
    if !live.gated {
        return None;
    }
    let many = |pods: usize| u32::try_from(pods).unwrap_or(u32::MAX);
    let all = many(pods.len());
    let new = many(pods.iter().filter(|pod| pod.is_of(&status.update_revision)).count());
    let top = facts.top().and_then(|top| facts.documents(top));
    let sees_old = facts.is_proven() || all > new || top.is_some_and(|top| top.strategy.is_gated());
    if sees_old && all < status.replicas {
        return Some(dark::unlabelled(facts.id, all, status.replicas));
    }
    let same = new == status.updated && (!sees_old || all == status.replicas);
    (!same).then(|| dark::unlike(facts.id, new, status.updated))
}

/// Adds to what is decided for the CloneSet which pods are let go to be updated, and which come back under the hook. What
/// Kruise has begun is finished, though somebody has stopped the release meanwhile: the entered step is filled.
#[must_use]
pub fn updating(facts: &Facts<'_>, mut outcome: Outcome) -> Outcome {
    let Some(pods) = facts.gated_pods().filter(|_| !facts.live.deleting) else { return outcome };
    let pods: Vec<&PodLive> = pods.collect();
    let leaves = matches!(outcome.decision, Decision::RollBack | Decision::Fail | Decision::Remove);
    let Asking { go, stay } = if leaves { Asking::default() } else { asking(facts, &pods) };
    outcome.beside.extend(stay.into_iter().map(|(why, pods)| dark::asks(facts.id, &pods, why)));
    let is_written = |pod: &PodLive| outcome.serving.iter().any(|write| write.object.name == pod.name);
    let leave = go.iter().map(|pod| write(facts, pod, SERVE_UPDATING, false, true));
    let others = pods.iter().filter(|pod| !is_written(pod) && !go.iter().any(|it| it.name == pod.name));
    let back = others.filter_map(|pod| mended(facts, pod, leaves));
    let writes: Vec<Write> = leave.take(WRITES_MAX).chain(back.take(WRITES_MAX)).collect();
    outcome.serving.extend(writes);
    let (late, due) = late(facts, &pods);
    if !late.is_empty() {
        outcome.beside.push(dark::gone(facts.id, &late));
    }
    outcome.waking(due)
}

/// The write that brings a pod under the hook again, or into the dark where it is updated as it serves.
fn mended(facts: &Facts<'_>, pod: &PodLive, leaves: bool) -> Option<Write> {
    let serves = match pod.stage {
        Stage::Settled => (!pod.held).then_some(pod.serves),
        Stage::Asks if leaves => None,
        Stage::Asks if pod.serves => (!pod.held).then_some(true),
        // The hook has it first: Kruise may be about to update it.
        Stage::Asks if !pod.held => facts.returns(pod).then_some(false),
        Stage::Asks => (facts.is_free(pod) && facts.live.suspend.is_none()).then_some(true),
        // What is not proven serves only by leave; and what is gone back to by itself.
        Stage::Updating => (pod.serves && !pod.ready && facts.is_unproven(pod)).then_some(false),
    };
    serves.map(|serves| write(facts, pod, SERVE_GATED, serves, false))
}

impl Facts<'_> {
    /// Whether a pod was let go, and Kruise no longer wants it: another one has taken its place in the step.
    fn returns(&self, pod: &PodLive) -> bool {
        let status = &self.live.status;
        let is_full = self.is_asked() && status.updated >= status.expected_updated;
        pod.is_let_go() && is_full && self.is_free(pod)
    }

    fn is_unproven(&self, pod: &PodLive) -> bool {
        !self.is_proven() && !self.is_free(pod)
    }

    /// Whether Kruise asks us, and to update pods to the entered release.
    fn is_asked(&self) -> bool {
        self.live.asks_first() && self.live.is_fresh() && !self.live.drift.template
    }

    /// Whether Kruise asks of a pod that is let go now: its update has waited for us.
    #[must_use]
    pub fn lets_go(&self) -> bool {
        self.gated_pods().is_some_and(|pods| !asking(self, &pods.collect::<Vec<_>>()).go.is_empty())
    }

    /// Ready pods that may leave, so that no more are missing than the entered release permits.
    fn spare(&self, pods: &[&PodLive]) -> usize {
        let size = self.live.replicas;
        let stands = || self.live.stand.ours();
        let body = self.entered.map_or_else(stands, |release| release.cloneset.value.open());
        let most = spec::unavailable(&body["spec"], size);
        let ready = pods.iter().filter(|pod| pod.ready && pod.serves).count();
        ready.saturating_sub(size.saturating_sub(most) as usize)
    }
}

/// Pods that were let go, and that Kruise has not begun to update for long: it updates none while too many of the new ones are
/// not available. And when there is more to be told.
fn late<'a>(facts: &Facts<'_>, pods: &[&'a PodLive]) -> (Vec<&'a PodLive>, Option<Timestamp>) {
    let now = facts.now();
    let gone = pods.iter().copied().filter(|pod| pod.is_let_go() && !facts.returns(pod));
    let told = |pod: &PodLive| told_at(now, pod.since);
    let (late, early): (Vec<_>, Vec<_>) = gone.partition(|pod| told(pod).is_none_or(|told| told <= now));
    (late, early.into_iter().filter_map(told).min())
}

/// Which of the pods that Kruise asks of go: as many as the entered step has room for, and of those that are ready no more
/// than can be spared: Kruise has counted the latter when it asked, which may be long ago. What others keep by the same hook
/// is let go once they do.
fn asking<'a>(facts: &Facts<'_>, pods: &[&'a PodLive]) -> Asking<'a> {
    let live = facts.live;
    if !facts.is_asked() {
        return Asking::default();
    }
    let is_new = |pod: &PodLive| pod.is_of(&live.status.update_revision);
    let asks = pods.iter().copied().filter(|pod| pod.stage == Stage::Asks && !pod.is_let_go());
    let asks = asks.filter(|pod| !is_kept_by_others(facts.case, &pod.name));
    let (again, asks): (Vec<_>, Vec<_>) = asks.partition(|pod| is_new(pod));
    // Nobody misses those that are not ready.
    let (ready, mut go): (Vec<_>, Vec<_>) = asks.into_iter().partition(|pod| pod.ready && pod.serves);
    let there = pods.iter().filter(|pod| is_new(pod) || pod.is_let_go()).count();
    let most = facts.step_pods().min(live.replicas.saturating_sub(live.kept())) as usize;
    let is_full = live.status.updated >= live.status.expected_updated;
    let room = if is_full { 0 } else { most.saturating_sub(there) };
    let mut stay = Vec::new();
    if facts.has_failed(facts.entered_try()) {
        go.extend(ready);
        stay.push((Stays::Failed, std::mem::take(&mut go)));
    } else {
        let mut full = go.split_off(go.len().min(room));
        let (mut leave, spare) = (ready, facts.spare(pods));
        full.extend(leave.split_off(leave.len().min(room - go.len())));
        let few = leave.split_off(leave.len().min(spare));
        go.extend(leave);
        stay.extend([(Stays::StepIsFull, full), (Stays::FewAreReady, few)]);
    }
    // On the way back Kruise frees them itself.
    stay.push((Stays::IsNew, if facts.is_proven() { Vec::new() } else { again }));
    stay.retain(|(_, pods)| !pods.is_empty());
    Asking { go, stay }
}
