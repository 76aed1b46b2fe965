//! The table: rows b to q for a release whose CloneSet is ours; the first that applies decides.

use jiff::{SignedDuration, Timestamp};

use crate::model::{CommitId, Hold};
use crate::plan::blue_green;
use crate::plan::facts::{Facts, Head};
use crate::plan::holds;
use crate::plan::in_place::barred;
use crate::plan::led;
use crate::plan::observed::observed;
use crate::plan::outcome::{Outcome, entering};
use crate::plan::replace;
use crate::plan::serving::{crowded, unlisted};
use crate::plan::shares::Shares;
use crate::plan::start;
use crate::plan::steps::{self, Shape};
use crate::plan::tend::{cleared, pruned, tended};
use crate::plan::weights;
use crate::spec::{Exchange, OnFailure, Release, hook};
use crate::world::{Decision, Memory, Proof, Try};

/// Decides.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Outcome {
    let outcome = tended(facts, replace::withdrawn(facts, for_pods(facts)));
    let outcome = match onward(facts, &outcome) {
        Some(next) => Outcome { noted: Some(Box::new(Outcome { writes: Vec::new(), ..outcome })), ..next },
        None => outcome,
    };
    replace::told(facts, outcome)
}

/// Where row f sees that the step is reached: what the rows after it decide with that in memory, as far as it can be
/// had in one write. The next step is entered or the release is complete, and nothing is to be repaired before, no
/// companion either. It is one step all the same, and no crash comes between the two.
fn onward(facts: &Facts<'_>, noted: &Outcome) -> Option<Outcome> {
    let memory = noted.memory.as_ref().filter(|_| noted.row == 'f')?;
    let arrived = facts.memory.step_reached.is_none() && memory.step_reached.is_some();
    if !arrived || repaired(facts).is_some() || failed(facts).is_some() {
        return None;
    }
    let seen = facts.remembering(memory);
    let head = seen.head.as_ref().filter(|it| it.fresh && it.release().digest == memory.digest)?;
    let next = tended(&seen, forward(&seen, head));
    matches!(next.decision, Decision::Enter(_) | Decision::Complete).then_some(next)
}

/// What is decided for the pods; companions are tended beside it.
fn for_pods(facts: &Facts<'_>) -> Outcome {
    let backwards = [break_glass, reverted, emptied, observed, repaired, failed, fails_now];
    if let Some(outcome) = backwards.iter().find_map(|row| row(facts)) {
        return outcome;
    }
    let Some(head) = &facts.head else {
        return waiting(facts, start::unreadable(facts.world, facts.id, facts.case));
    };
    if !head.fresh {
        return waiting(facts, vec![holds::stale(facts.id, &facts.world.source)]);
    }
    if head.release().digest != facts.memory.digest {
        return begin(facts, head).waking(due(facts));
    }
    forward(facts, head).waking(due(facts))
}

/// Row j: nothing new starts; what is under way is told.
fn waiting(facts: &Facts<'_>, mut closed: Vec<Hold>) -> Outcome {
    if facts.memory.step_reached.is_none() && facts.live.replicas > 0 {
        let under_way =
            if facts.is_proven() { holds::rolling_back(facts) } else { holds::pods_not_ready(facts) };
        closed.push(under_way);
    }
    Outcome::hold('j', closed).waking(due(facts))
}

/// When time alone fails the entered step.
fn due(facts: &Facts<'_>) -> Option<Timestamp> {
    let counts = !facts.is_proven() && facts.memory.step_reached.is_none() && facts.live.replicas > 0;
    let past = facts.has_failed(facts.entered_try());
    // The deadline itself is not past it.
    facts
        .deadline()
        .filter(|_| counts && !past)
        .and_then(|at| at.checked_add(SignedDuration::from_millis(1)).ok())
}

/// Row b: a person says in the cluster which digest to leave.
fn break_glass(facts: &Facts<'_>) -> Option<Outcome> {
    let named = facts.live.rollback.as_ref()?;
    if !facts.memory.digest.is_named_by(named) {
        return None;
    }
    let entered = facts.memory.template;
    let below: Vec<Proof> = facts.memory.proven.iter().filter(|it| it.template != entered).cloned().collect();
    let failed = facts.entered_try();
    if let Some(target) = below.last().cloned() {
        let why = "taken back in the cluster by the annotation triton.io/rollback";
        return Some(facts.roll_back('b', &target, below, Some(failed), why));
    }
    // Nothing to go back to: an unproven release has failed all the same; a proven one stays.
    if facts.anything_proven() || facts.has_failed(failed) {
        return None;
    }
    Some(fail('b', facts, failed, "given up in the cluster by the annotation triton.io/rollback"))
}

fn fail(row: char, facts: &Facts<'_>, failed: Try, why: &str) -> Outcome {
    let memory = Memory { failed: Some(failed), ..facts.memory.clone() };
    let message =
        format!("{} {} has failed (attempt {}): {why}", facts.id, facts.memory.version, failed.attempt);
    facts.note(row, Decision::Fail, memory, message)
}

/// Row d: Git desires a template that is proven, and it is not the entered one.
fn reverted(facts: &Facts<'_>) -> Option<Outcome> {
    let head = facts.head.as_ref()?;
    let release = head.release();
    if release.template == facts.memory.template {
        return None;
    }
    let place = facts.memory.proven.iter().rposition(|proof| proof.template == release.template)?;
    // Depth 0 gates rollbacks to a release that was left behind for good; one under way is still taken back.
    if facts.policy().proven_depth == 0 && facts.is_proven() {
        return None;
    }
    let proven = facts.memory.proven.iter().take(place + 1).cloned().collect();
    let episode = head.intent.episode.as_ref().map(|it| it.first);
    let why = "Git desires it again, and it is proven";
    Some(facts.roll_back_to('d', release, episode, proven, facts.memory.failed, why))
}

/// Row e: at zero replicas Kruise takes the unproven revision for the current one; the proven template is written
/// back at once (Kruise, `cloneset_status.go`: currentRevision moves where updated = replicas).
fn emptied(facts: &Facts<'_>) -> Option<Outcome> {
    let stepped = |release: &Release| release.strategy.stepped;
    let steps = facts.entered.is_some_and(|it| stepped(it))
        || facts.head.as_ref().is_some_and(|it| stepped(it.release()));
    if facts.live.replicas > 0 || facts.is_proven() || !steps {
        return None;
    }
    let top = facts.top()?.clone();
    let why = "at zero replicas nothing can be tried";
    Some(facts.roll_back('e', &top, facts.memory.proven.clone(), facts.memory.failed, why))
}

/// Row g: live differs from the entered release with HEAD's replicas.
fn repaired(facts: &Facts<'_>) -> Option<Outcome> {
    if facts.is_blue_green() {
        return blue_green::repaired(facts);
    }
    let live = facts.live;
    if live.drift.template
        && !facts.is_proven()
        && let Some(top) = facts.top().cloned()
    {
        let why = "its template was changed in the cluster";
        return Some(facts.roll_back('g', &top, facts.memory.proven.clone(), facts.memory.failed, why));
    }
    if live.drift.template && facts.entered.is_none() {
        return Some(Outcome::hold('g', vec![holds::documents_lost(facts.id, &facts.memory.version)]));
    }
    let step = facts.standing_step();
    let shape = facts.entered.map_or_else(|| facts.entered_shape(), |release| facts.shape(release, step));
    let same =
        steps::same_partition(live.partition, shape.partition) && live.replicas == shape.size && !live.paused;
    let remembered = live.memory.as_ref() == Some(facts.memory) && step == facts.memory.step;
    let same = same && facts.asks_as_it_should();
    if same && remembered && facts.changes().next().is_none() && !live.drift.template {
        return None;
    }
    if let Some(outcome) = replace::looks_first(facts, shape) {
        return Some(outcome);
    }
    let mut memory = repaired_memory(facts, step, shape);
    replace::go_first(facts, shape, &mut memory);
    let release = facts.entered.map(|release| &**release);
    let message = repair_message(facts, shape, remembered);
    Some(facts.write('g', Decision::Repair, release, shape, memory, message))
}

fn repaired_memory(facts: &Facts<'_>, step: u32, shape: Shape) -> Memory {
    let mut memory = Memory { step, ..facts.memory.clone() };
    if let (Some(reached), true) = (&mut memory.step_reached, facts.live.replicas > 0) {
        let pods = facts.entered.map_or(reached.pods, |release| steps::pods(release, step, shape.size));
        reached.pods = reached.pods.min(pods);
    }
    if facts.live.drift.template || step != facts.memory.step {
        memory.step_entered = facts.now();
        memory.step_reached = None;
        memory.up = false;
    }
    // Leaving zero restarts the clock: there were no pods that could have been late. So does what has waited for us.
    if facts.live.replicas == 0 && shape.size > 0 || facts.was_kept_waiting() {
        memory.step_entered = facts.now();
    }
    memory
}

fn repair_message(facts: &Facts<'_>, shape: Shape, remembered: bool) -> String {
    let live = facts.live;
    let mut what = Vec::new();
    let by = |manager: &Option<String>| {
        manager.as_ref().map_or_else(String::new, |manager| format!(" (by {manager})"))
    };
    for change in facts.changes() {
        what.push(format!("{}{}", change.path, by(&change.manager)));
    }
    if live.replicas != shape.size {
        let by = by(&live.replicas_owner);
        what.push(format!("replicas {} → {}{by}", live.replicas, shape.size));
    }
    if !steps::same_partition(live.partition, shape.partition) {
        let by = by(&live.drift.partition_owner);
        what.push(format!("partition {} → {}{by}", live.partition, shape.partition));
    }
    if live.paused {
        what.push("paused".to_owned());
    }
    if !facts.asks_as_it_should() {
        what.push(format!("lifecycle.{}", hook::FIELD));
    }
    if !remembered {
        what.push("memory".to_owned());
    }
    format!("{} is written again as entered: {}", facts.id, what.join(", "))
}

/// Row h: the entered try has failed.
fn failed(facts: &Facts<'_>) -> Option<Outcome> {
    let entered = facts.entered_try();
    if !facts.has_failed(entered) || facts.is_proven() {
        return None;
    }
    let rollback = facts.entered.is_none_or(|it| it.strategy.on_failure == OnFailure::Rollback);
    if let (Some(top), true) = (facts.top().cloned(), rollback) {
        let why = format!("{} has failed", facts.memory.version);
        return Some(facts.roll_back('h', &top, facts.memory.proven.clone(), facts.memory.failed, &why));
    }
    let newer = facts.head.as_ref().is_some_and(|head| {
        let release = head.release();
        release.digest != facts.memory.digest && !facts.has_failed(Facts::desired_try(release))
    });
    if newer {
        return None;
    }
    let path = facts.head.as_ref().map_or("", |head| head.release().path.as_str());
    Some(Outcome::hold('h', vec![holds::failed(facts, &facts.memory.version, entered.attempt, path)]))
}

/// Row i: the deadline is past, with fresh status and fewer updated pods available than the step asks for.
fn fails_now(facts: &Facts<'_>) -> Option<Outcome> {
    let (live, status) = (facts.live, &facts.live.status);
    let late = facts.is_late();
    let entered = facts.entered_try();
    if facts.is_proven() || live.replicas == 0 || !late || facts.memory.step_reached.is_some() {
        return None;
    }
    let asked = facts.step_pods();
    let is_there = status.updated_available >= facts.enough(asked) || facts.pods_wait_to_serve();
    if facts.has_failed(entered) || !live.is_fresh() || is_there {
        return None;
    }
    let why = format!(
        "step {} of {} was not healthy within its deadline, {} of {} available",
        facts.memory.step,
        facts.last_step(),
        status.updated_available,
        holds::pods(asked)
    );
    Some(fail('i', facts, entered, &why))
}

/// Row k: Git desires a release that is not entered.
fn begin(facts: &Facts<'_>, head: &Head<'_>) -> Outcome {
    let release = head.release();
    let of = Facts::desired_try(release);
    if facts.has_failed(of) {
        return begin_failed(facts, release, of);
    }
    if let Some(hold) = forbidden(facts, release) {
        return Outcome::hold('k', vec![hold]);
    }
    let Some(episode) = &head.intent.episode else {
        return Outcome::hold('k', vec![holds::episode_unknown(facts.id, &release.path)]);
    };
    if head.closed().is_some() {
        let until = head.freeze.and_then(|freeze| freeze.until);
        return Outcome::hold('k', holds::closed(facts.id, head)).waking(until);
    }
    let is_top = facts.top().is_some_and(|top| top.template == release.template);
    if facts.live.replicas == 0 && release.strategy.stepped && facts.anything_proven() && !is_top {
        return Outcome::hold('k', vec![holds::zero(facts.id, release)]);
    }
    let (episode, version) = (Some(episode.first), release.version.clone());
    let (digest, template) = (release.digest, release.template);
    let memory = Memory { digest, template, episode, version, step_reached: None, ..facts.memory.clone() };
    let as_one = release.strategy.blue_green.is_none() || !facts.anything_proven() || facts.is_blue_green();
    if release.template == facts.memory.template {
        if !as_one && !facts.is_proven() {
            return Outcome::hold('k', vec![led::not_as_one(facts, release)]);
        }
        return same_template(facts, head, memory);
    }
    if let (Some(top), false) = (facts.top(), facts.all_on_proven()) {
        if !facts.is_proven() {
            let why =
                format!("{} comes next, and one unproven release runs at a time", holds::named(release));
            return facts.roll_back('k', top, facts.memory.proven.clone(), facts.memory.failed, &why);
        }
        let late = facts.is_late();
        let under_way = facts.memory.step_reached.is_none();
        // A status of before tells nothing of the way back: a manager that is away makes no proven release broken.
        if !(late && under_way && facts.live.is_fresh()) {
            let wake = facts.deadline().filter(|_| under_way && !late);
            return Outcome::hold('k', vec![holds::proven_first(facts, release)]).waking(wake);
        }
    }
    // Its steps are of pods beside those that serve.
    if !as_one {
        return Outcome::hold('k', vec![led::not_as_one(facts, release)]);
    }
    if let Some(entered) = facts.entered
        && let Exchange::Impossible(fields) = Exchange::between(&entered.cloneset, &release.cloneset)
    {
        return Outcome::hold('k', vec![holds::not_in_place(facts.id, entered, release, &fields)]);
    }
    let (step, asked) = blue_green::beginning(facts, release);
    if head.permitted.furthest < asked {
        return Outcome::hold('k', holds::not_permitted(facts.id, head, asked, facts.wanted_size(), None));
    }
    if let Some(hold) = unlisted(facts.id, facts.case, release).or_else(|| crowded(facts, release, step)) {
        return Outcome::hold('k', vec![hold]);
    }
    if let Some(outcome) = cleared(facts).or_else(|| barred(facts, 'k', release)) {
        return outcome;
    }
    let proven = facts.stood();
    let memory =
        Memory { step, step_entered: facts.now(), revision: None, served: 0, up: false, proven, ..memory };
    let shares = weights::entering(facts, release, step);
    facts.enter('k', release, step, memory, entering(facts, release, step), &shares)
}

fn forbidden(facts: &Facts<'_>, release: &Release) -> Option<Hold> {
    let at_once = || facts.is_blue_green().then(|| start::not_at_once(facts, release)).flatten();
    start::kind_forbidden(facts.world, facts.id, release).or_else(at_once)
}

fn begin_failed(facts: &Facts<'_>, release: &Release, of: Try) -> Outcome {
    if release.strategy.on_failure == OnFailure::Rollback
        && !facts.is_proven()
        && let Some(top) = facts.top()
    {
        let why = format!("{} has failed", holds::named(release));
        return facts.roll_back('k', top, facts.memory.proven.clone(), facts.memory.failed, &why);
    }
    let mut holding = vec![holds::failed(facts, &release.version, of.attempt, &release.path)];
    if facts.is_proven() && facts.memory.step_reached.is_none() {
        holding.insert(0, holds::rolling_back(facts));
    }
    Outcome::hold('k', holding)
}

/// The same template under a new digest: a strategy or a companion changed. It is entered where the partition
/// stands; the clock of the step goes on.
fn same_template(facts: &Facts<'_>, head: &Head<'_>, memory: Memory) -> Outcome {
    let release = head.release();
    let (live, permitted) = (facts.live, head.permitted.furthest);
    let step = match facts.is_building() {
        _ if facts.is_blue_green() => same_step(facts, release, permitted),
        true => steps::position_building(release, live.replicas, facts.wanted_size(), permitted),
        false => steps::position(release, live.partition, live.replicas, permitted),
    };
    // Another attempt has a deadline of its own.
    let restarts = facts.memory.step_reached.is_some() || facts.has_failed(facts.entered_try());
    let clock = if restarts { facts.now() } else { facts.memory.step_entered };
    // Approvals to serve are of a digest, as every other.
    let memory = Memory { step, step_entered: clock, served: 0, up: false, ..memory };
    let message = format!(
        "{} goes on with {} at step {step}: only the template is the same",
        facts.id,
        holds::named(release)
    );
    facts.enter('k', release, step, memory, message, &weights::entering(facts, release, step))
}

/// The step of a release that is switched as a whole which what stands is at: 2 where its pods serve, and have been let to.
fn same_step(facts: &Facts<'_>, release: &Release, permitted: u32) -> u32 {
    if facts.is_proven() || !facts.anything_proven() {
        return release.last_step();
    }
    facts.case.level(release.template).min(facts.memory.step).max(permitted.min(1))
}

/// Rows l to q: the entered release is the desired one.
fn forward(facts: &Facts<'_>, head: &Head<'_>) -> Outcome {
    let memory = facts.memory;
    let episode = head.intent.episode.as_ref().map(|it| it.first);
    if episode.is_some() && episode != memory.episode && !facts.is_proven() {
        let message = format!("{} was released again; approvals of before no longer count", facts.id);
        return facts.note('k', Decision::Note, Memory { episode, served: 0, ..memory.clone() }, message);
    }
    if facts.is_proven() && memory.step_reached.is_none() {
        return Outcome::hold('l', vec![holds::rolling_back(facts)]);
    }
    let complete = facts.top().is_some_and(|top| top.digest == memory.digest);
    if complete && memory.step == facts.last_step() {
        return rest(facts);
    }
    if memory.step_reached.is_none() || !facts.step_done() {
        let not_led = weights::not_led(facts);
        let waits = if not_led.is_empty() { vec![holds::pods_not_ready(facts)] } else { not_led };
        return Outcome::hold('n', waits);
    }
    let next = memory.step + 1;
    let (closed, wake) = gates(facts, head, next);
    if !closed.is_empty() {
        return Outcome::hold('o', closed).waking(wake);
    }
    if memory.step >= facts.last_step() {
        return completed(facts, episode);
    }
    let release = head.release();
    if let Some(outcome) = barred(facts, 'o', release) {
        return outcome;
    }
    let memory =
        Memory { step: next, step_entered: facts.now(), step_reached: None, up: false, ..memory.clone() };
    facts.enter('q', release, next, memory, entering(facts, release, next), &Shares::default())
}

/// Every gate between the entered step and the next, and when time alone opens one.
fn gates(facts: &Facts<'_>, head: &Head<'_>, next: u32) -> (Vec<Hold>, Option<Timestamp>) {
    let mut closed = Vec::new();
    let mut wake = None;
    let soaked = facts.soaked_at().filter(|at| *at > facts.now());
    if let (Some(until), false, false) = (soaked, facts.is_proven(), head.permitted.skip) {
        closed.push(holds::soaking(facts, until));
        wake = Some(until);
    }
    if next > facts.last_step() {
        return (closed, wake);
    }
    if head.closed().is_some() {
        closed.extend(holds::closed(facts.id, head));
        wake = [wake, head.freeze.and_then(|freeze| freeze.until)].into_iter().flatten().min();
    }
    closed.extend(crowded(facts, head.release(), next));
    if next > head.permitted.furthest {
        let since = facts.memory.step_reached.map(|reached| reached.at);
        closed.extend(holds::not_permitted(facts.id, head, next, facts.wanted_size(), since));
    }
    (closed, wake)
}

/// Row m: complete. Pods that Git names are replaced, and what it dropped is pruned; pods that are not there any more are
/// told.
fn rest(facts: &Facts<'_>) -> Outcome {
    let mut outcome = Outcome::of('m', Decision::Rest, String::new());
    if facts.live.replicas > 0 && !facts.step_done() {
        outcome = outcome.holding(vec![holds::pods_not_ready(facts)]);
    }
    match replace::asked(facts) {
        Some(asked) => asked.holding(outcome.holds),
        None => pruned(facts, outcome),
    }
}

/// Row p: the release is proven.
fn completed(facts: &Facts<'_>, episode: Option<CommitId>) -> Outcome {
    let memory = facts.memory;
    let mut proven = memory.proven.clone();
    if facts.is_proven() {
        proven.pop();
    }
    let (version, revision) = (memory.version.clone(), memory.revision.clone());
    let configs = facts.entered.map(|release| release.configs()).unwrap_or_default();
    let (template, digest) = (memory.template, memory.digest);
    proven.push(Proof { template, digest, commit: episode, revision, version, configs });
    // One entry always stays: without it a failed release could not be taken back.
    let depth = facts.policy().proven_depth.max(1);
    proven.drain(..proven.len().saturating_sub(depth));
    let failed = memory.failed.filter(|failed| failed.template != memory.template);
    let message = match blue_green::complete(facts) {
        Some(serves) => format!("{} is complete: {serves}", facts.id),
        None => format!("{} is complete: every pod is on {}", facts.id, memory.version),
    };
    let memory = Memory { proven, failed, episode, served: 0, up: false, ..memory.clone() };
    facts.note('p', Decision::Complete, memory, message)
}
