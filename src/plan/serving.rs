//! Pods that wait to serve: which are let in, and what is said of the others. Beside the table: no row keeps a pod of the
//! proven revision waiting.
//!
//! A pod has our readiness gate where a step of its release says `serve: approval`. Those of the entered release serve as
//! far as memory says that Git has let them, those of the proven one by themselves. A pod that serves is never taken out.

use crate::model::{Gate, Hold, ReleaseId};
use crate::objects::keys::SERVE_GATED;
use crate::plan::dark;
use crate::plan::facts::{Facts, Head};
use crate::plan::outcome::Outcome;
use crate::plan::permit::{is_dark, let_in_by, may_serve};
use crate::plan::pods::{self, WRITES_MAX};
use crate::plan::steps;
use crate::spec::{self, Initial, Release, Serve};
use crate::world::{Case, Decision, Memory, PodLive, Stage, Write};

/// What keeps a release whose pods serve by approval from being started: they could not be let in.
#[must_use]
pub fn unlisted(id: &ReleaseId, case: &Case, release: &Release) -> Option<Hold> {
    (release.strategy.is_gated() && case.pods.is_none()).then(|| dark::pods_unlisted(id))
}

/// What keeps `step` from being entered: its pods wait at once, and Kruise makes no more than may be unavailable. Told
/// here where the size is not Git's; else it is a mistake of the release.
#[must_use]
pub fn crowded(facts: &Facts<'_>, release: &Release, step: u32) -> Option<Hold> {
    let index = (step as usize).checked_sub(1)?;
    let size = facts.wanted_size();
    let dark = spec::dark(&release.strategy, index, size);
    if dark == 0 || facts.builds(release) {
        return None;
    }
    let room = spec::room(&release.cloneset.value.open()["spec"], size);
    (dark > room).then(|| dark::no_room(facts.id, release, step, dark, room))
}

/// Memory with the step up to which pods may serve, as Git has it now; and the sentence that tells it, where it changed.
/// It rises while nothing stands in the way of going forward, and falls with an approval that is withdrawn, and to what
/// the record knows of where Git cannot be asked.
pub fn note(facts: &Facts<'_>, memory: &mut Memory) -> Option<String> {
    let release = facts.entered?;
    if facts.is_proven() || !release.strategy.is_gated() {
        return None;
    }
    let (id, before, noted) = (facts.id, facts.memory.served, facts.noted());
    let asked = facts.asked().filter(|_| noted != Memory::ALL);
    let again = |head: &Head<'_>| {
        head.intent.episode.as_ref().is_some_and(|episode| Some(episode.first) != facts.memory.episode)
    };
    // What was let in goes with its digest and its episode, and row k tells that.
    let another = facts.head.is_some() && facts.asked().is_none();
    if another || asked.is_some_and(again) {
        return None;
    }
    let served = asked.map_or(noted, |head| {
        let permitted = may_serve(head.intent, head.policy).min(facts.memory.step);
        if head.fresh && !facts.is_stopped() { permitted } else { permitted.min(noted) }
    });
    if served == before {
        return None;
    }
    memory.served = served;
    let Some(head) = asked.filter(|_| before != Memory::ALL) else {
        return Some(format!(
            "{id} lets pods serve up to step {served}: no other copy of its memory says more"
        ));
    };
    if served < before {
        return Some(format!("{id} lets no more pods of step {before} serve: the approval was withdrawn"));
    }
    // Nobody could have let them in before: their time begins now.
    if memory.step_reached.is_none() {
        memory.step_entered = facts.now();
    }
    let by = let_in_by(head.intent, served).map(|approver| format!(", by {}", approver.name));
    Some(format!("{id} lets the pods of step {served} serve{}", by.unwrap_or_default()))
}

/// Memory with whether the pods of the entered step are up and wait to serve; and the sentence that tells it, where it
/// changed. From then on the step is not late; once they are fewer again, its clock begins anew.
pub fn note_up(facts: &Facts<'_>, memory: &mut Memory) -> Option<String> {
    let asked = facts.step_pods();
    if facts.is_proven()
        || !facts.live.gated
        || facts.live.drift.template
        || !facts.live.is_fresh()
        || asked == 0
    {
        return None;
    }
    let up = facts.entered_pods()?.filter(|pod| pod.up).count() >= asked as usize;
    let waits = facts.memory.step_reached.is_none() && facts.memory.served < facts.memory.step;
    if up == facts.memory.up || (up && !waits) {
        return None;
    }
    memory.up = up;
    let (id, step, last) = (facts.id, facts.memory.step, facts.last_step());
    if up {
        return Some(format!("{id} has the pods of step {step} of {last} up"));
    }
    if facts.memory.step_reached.is_none() {
        memory.step_entered = facts.now();
    }
    Some(format!("{id} has the pods of step {step} of {last} up no more"))
}

/// Memory with a new clock of the entered step, where it would be late for pods that have waited for us; and the sentence
/// that tells it.
pub fn note_waited(facts: &Facts<'_>, memory: &mut Memory) -> Option<String> {
    if !facts.was_kept_waiting() {
        return None;
    }
    memory.step_entered = facts.now();
    let (id, step, last) = (facts.id, facts.memory.step, facts.last_step());
    Some(format!("{id} begins the time of step {step} of {last} anew: its pods have waited for it"))
}

/// Pods that may serve of an entered release that is not proven. While nothing goes forward those that served are
/// replaced, and no others come in: those of the step where it is reached, else of the one before.
fn allowed(facts: &Facts<'_>) -> u32 {
    let (memory, noted) = (facts.memory, facts.noted());
    let stopped = facts.is_stopped();
    let Some(release) = facts.entered else { return 0 };
    let size = if facts.is_building() { facts.wanted_size() } else { facts.live.replicas };
    let pods = |step: u32| match step {
        step if step >= release.last_step() => u32::MAX,
        step => steps::pods(release, step, size),
    };
    let at_head = facts.asked().map_or(u32::MAX, |head| may_serve(head.intent, head.policy));
    let permitted = if noted == Memory::ALL { u32::MAX } else { pods(noted.min(memory.step).min(at_head)) };
    match memory.step_reached {
        _ if !stopped => permitted,
        Some(reached) => permitted.min(reached.pods),
        None => permitted.min(memory.step.checked_sub(1).map_or(0, |step| steps::pods(release, step, size))),
    }
}

impl Facts<'_> {
    /// The revision of the entered template, where it is known.
    fn entered_revision(&self) -> Option<&str> {
        let seen = || Some(self.live.status.update_revision.as_str());
        let fresh = self.live.is_fresh() && !self.live.drift.template;
        self.memory.revision.as_deref().or_else(|| seen().filter(|_| fresh))
    }

    /// The step up to which pods may serve as memory says. Both copies of it have to, where Git cannot be asked; and of a
    /// CloneSet that came all at once Git says nothing.
    fn noted(&self) -> u32 {
        let memory = self.memory;
        if memory.served != Memory::ALL && self.asked().is_some() {
            return memory.served;
        }
        let same = |it: &&Memory| it.uid == memory.uid && it.digest == memory.digest;
        let recorded = self.case.recorded_memory().filter(same).map_or(0, |it| it.served);
        let at_once = !self.anything_proven()
            && self.entered.is_some_and(|release| release.strategy.initial == Initial::All);
        match memory.served.min(recorded) {
            Memory::ALL if !at_once => 0,
            noted => noted,
        }
    }

    /// The revision whose pods serve by themselves, where it is known: that of the proven template. Kruise's current
    /// revision is none: an unproven one becomes it too.
    fn free_revision(&self) -> Option<&str> {
        let top = self.top()?;
        let update = &*self.live.status.update_revision;
        let stands = self.live.is_fresh() && !self.live.drift.template;
        if self.is_proven() {
            // One that Kruise has encoded anew is not yet in memory.
            let known = || self.memory.revision.as_deref().or(top.revision.as_deref());
            return if stands { Some(update) } else { known() };
        }
        let entered = |it: &str| Some(it) == self.entered_revision() || (stands && it == update);
        top.revision.as_deref().filter(|it| !entered(it))
    }

    /// Whether a pod is of the revision whose pods serve by themselves.
    #[must_use]
    pub fn is_free(&self, pod: &PodLive) -> bool {
        self.free_revision().is_some_and(|free| pod.is_of(free))
    }

    /// Whether the entered step is past its deadline while pods of it are let go, or in, only now: who lets them was away,
    /// or was refused. Where others of it are missing besides, it had its time.
    #[must_use]
    pub fn was_kept_waiting(&self) -> bool {
        let counts = !self.is_proven() && self.memory.step_reached.is_none();
        let open = counts && self.live.gated && !self.has_failed(self.entered_try());
        open && self.is_late()
            && (self.lets_go() || (!chosen(self).0.is_empty() && self.pods_wait_to_serve()))
    }

    fn is_entered(&self, pod: &PodLive) -> bool {
        self.entered_revision().is_some_and(|revision| pod.is_of(revision))
    }

    /// The pods with our gate, of the entered revision.
    fn entered_pods(&self) -> Option<impl Iterator<Item = &PodLive>> {
        Some(self.gated_pods()?.filter(|pod| self.is_entered(pod)))
    }

    /// Whether the entered step is no failure for want of available pods: whichever are missing are up, and nothing but our
    /// gate keeps them; or Kruise makes no more while these wait. Where they were not listed, nothing is known.
    #[must_use]
    pub fn pods_wait_to_serve(&self) -> bool {
        if !self.live.gated {
            return false;
        }
        let Some(pods) = self.entered_pods() else { return true };
        if self.lets_go() {
            return true;
        }
        let (mut there, mut dark) = (0_u32, 0_u32);
        for pod in pods {
            there += 1;
            dark += u32::from(pod.up && !pod.serves);
        }
        let room = || {
            let spec = self.entered.map(|release| release.cloneset.value.open());
            spec.map_or(0, |it| spec::room(&it["spec"], self.live.replicas))
        };
        let asked = self.step_pods();
        let missing = asked.saturating_sub(self.live.status.updated_available);
        let unmade = asked.saturating_sub(there);
        missing <= dark || (dark > 0 && dark >= room() && missing <= dark.saturating_add(unmade))
    }
}

/// Adds to what is decided for the CloneSet which pods are let in, and what is said of those that wait.
#[must_use]
pub fn serving(facts: &Facts<'_>, mut outcome: Outcome) -> Outcome {
    let goes = matches!(outcome.decision, Decision::RollBack | Decision::Fail | Decision::Remove);
    if facts.live.deleting {
        return outcome;
    }
    let Some(pods) = facts.gated_pods() else {
        if facts.live.gated {
            outcome.holds.push(dark::pods_unlisted(facts.id));
        }
        return outcome;
    };
    let waiting: Vec<&PodLive> = pods.filter(|pod| is_waiting(pod)).collect();
    if facts.live.suspend.is_some() {
        let told = (!waiting.is_empty()).then(|| dark::suspended(facts, &waiting));
        outcome.holds.extend(told);
        return outcome;
    }
    let (free, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|pod| facts.is_free(pod));
    outcome.serving.extend(free.into_iter().take(WRITES_MAX).map(|pod| let_in(facts, pod, false)));
    if facts.is_proven() || goes {
        return outcome;
    }
    let (chosen, dark) = chosen(facts);
    let room = WRITES_MAX.saturating_sub(outcome.serving.len());
    outcome.serving.extend(chosen.iter().take(room).map(|pod| let_in(facts, pod, true)));
    if !dark.is_empty() {
        let up = facts.entered_pods().into_iter().flatten().filter(|pod| pod.up).count();
        if up >= facts.step_pods() as usize {
            // They are up: nothing but this keeps them from being available.
            outcome.holds.retain(|hold| hold.gate != Gate::Pods);
        }
        outcome.holds.push(said(facts, &dark));
    }
    outcome.beside.extend(unasked(facts));
    let left: Vec<&PodLive> = others.into_iter().filter(|pod| !facts.is_entered(pod)).collect();
    if !left.is_empty() {
        outcome.holds.push(dark::left_over(facts, &left));
    }
    outcome
}

/// That more pods serve than Git lets, though none is let in: they were updated in place as they did.
fn unasked(facts: &Facts<'_>) -> Option<Hold> {
    if !facts.live.asks_first() || facts.asked().is_none() || facts.is_stopped() {
        return None;
    }
    let serve: Vec<&PodLive> = facts.entered_pods()?.filter(|pod| pod.serves && pod.ready).collect();
    let most = allowed(facts);
    (serve.len() > most as usize).then(|| dark::unasked(facts.id, &serve, most))
}

/// Whether a pod is up and could be let in. One that Kruise is to update, or updates, is not: it would be updated as it
/// serves.
fn is_waiting(pod: &PodLive) -> bool {
    pod.up && !pod.serves && pod.stage == Stage::Settled
}

/// The pods of the entered release that are let in now, and those that go on waiting though they are up. Whoever serves
/// already counts first.
fn chosen<'a>(facts: &'a Facts<'_>) -> (Vec<&'a PodLive>, Vec<&'a PodLive>) {
    let all: Vec<&PodLive> = facts.entered_pods().into_iter().flatten().collect();
    let serve = u32::try_from(all.iter().filter(|pod| pod.serves).count()).unwrap_or(u32::MAX);
    let mut waiting: Vec<&PodLive> = all.iter().copied().filter(|pod| is_waiting(pod)).collect();
    let mut many = allowed(facts).saturating_sub(serve);
    if let Some(batch) = batch(facts) {
        let coming = u32::try_from(all.iter().filter(|pod| pod.serves && !pod.ready).count());
        many = many.min(batch.saturating_sub(coming.unwrap_or(u32::MAX)));
    }
    let many = waiting.len().min(many as usize);
    let dark = waiting.split_off(many);
    (waiting, dark)
}

/// Pods of the entered step that are let in at a time, where it says so.
fn batch(facts: &Facts<'_>) -> Option<u32> {
    if facts.noted() == Memory::ALL {
        return None;
    }
    match facts.entered?.step(facts.memory.step)?.serve {
        Serve::Automatic => None,
        Serve::Approval { batch } => batch.map(|batch| batch.scaled(facts.live.replicas, true).max(1)),
    }
}

/// Why the pods that are `dark` wait.
fn said(facts: &Facts<'_>, dark: &[&PodLive]) -> Hold {
    if let Some(head) = facts.asked()
        && let Some(step) = (1..=facts.memory.step).find(|step| is_dark(head.intent, head.policy, *step))
    {
        return dark::waits_to_serve(facts, head, step, dark);
    }
    dark::let_in_later(facts, dark, facts.asked().is_some_and(|head| head.fresh) && !facts.is_stopped())
}

/// The pod serves, and Kruise asks before it updates it.
fn let_in(facts: &Facts<'_>, pod: &PodLive, forward: bool) -> Write {
    pods::write(facts, pod, SERVE_GATED, true, forward)
}
