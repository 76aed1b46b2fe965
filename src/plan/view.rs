//! What people see of a decision: phase, versions, steps, pods, holds.

use crate::model::{Gate, Hold, LiftKind, ReleaseId};
use crate::objects::record::{Phase, Pods, StepState, StepView, Versions, View};
use crate::plan::clonesets::clonesets;
use crate::plan::facts::Head;
use crate::plan::outcome::Outcome;
use crate::plan::permit::{approvals, asked, ignored, serve_approvals};
use crate::plan::steps;
use crate::spec::Release;
use crate::world::{Case, Decision, Live, Memory, World};

/// Shows `outcome`.
#[must_use]
pub fn view(world: &World, id: &ReleaseId, case: &Case, outcome: &Outcome) -> View {
    let head = Head::of(world, case);
    let before = case.memory().or_else(|| case.recorded_memory().filter(|_| case.live.is_none()));
    let memory = outcome.memory.as_ref().or(before);
    let top = memory.and_then(Memory::top);
    let entered = memory.and_then(|memory| case.documents.get(&memory.digest));
    let desired = head.as_ref().map(Head::release);
    // The release that people ask about: the one that Git wants, else the entered one.
    let shown = desired.or(entered);
    let is_entered = shown.zip(memory).is_some_and(|(release, memory)| release.digest == memory.digest);
    let size = size(head.as_ref(), case);
    View {
        phase: phase(outcome, memory, desired.map(|release| &**release)),
        version: Versions {
            from: top.map(|proof| proof.version.clone()),
            to: shown.map(|release| release.version.clone()).or_else(|| memory.map(|it| it.version.clone())),
        },
        commit: commit(head.as_ref(), memory),
        digest: shown
            .map(|release| release.digest)
            .or_else(|| memory.map(|it| it.digest))
            .map(|it| it.long()),
        proven_digest: top.map(|proof| proof.digest.long()),
        step: memory.filter(|_| is_entered).map_or(0, |memory| memory.step),
        steps: shown
            .map(|release| step_views(case, head.as_ref(), release, memory, outcome, size))
            .unwrap_or_default(),
        pods: pods(case.live.as_ref(), size),
        clonesets: clonesets(world, id, case, outcome.memory.as_ref()),
        holds: [&outcome.holds[..], &outcome.beside].concat(),
        ignored: head.as_ref().map(|head| ignored(head.intent, &head.permitted)).unwrap_or_default(),
    }
}

/// The size that should stand. Where the CloneSet is gone it is the last one known: it is made again with that.
fn size(head: Option<&Head<'_>>, case: &Case) -> u32 {
    let in_git = head.and_then(|head| head.release().replicas);
    let standing = case.live.as_ref().map(|live| live.replicas);
    let known = || case.record.as_ref().map(|record| record.replicas);
    in_git.or(standing).or_else(known).unwrap_or(0)
}

fn commit(head: Option<&Head<'_>>, memory: Option<&Memory>) -> Option<String> {
    let episode = head.and_then(|head| head.intent.episode.as_ref()).map(|episode| episode.first);
    episode.or_else(|| memory.and_then(|memory| memory.episode)).map(|commit| commit.to_string())
}

fn pods(live: Option<&Live>, size: u32) -> Pods {
    let status = live.filter(|live| live.is_fresh()).map(|live| &live.status);
    Pods {
        desired: size,
        updated: status.map_or(0, |status| status.updated),
        updated_available: status.map_or(0, |status| status.updated_available),
    }
}

/// One word. Failure and refusal come before a person's turn, a person's turn before time and pods.
fn phase(outcome: &Outcome, memory: Option<&Memory>, desired: Option<&Release>) -> Phase {
    let closed = |gates: &[Gate]| outcome.holds.iter().any(|hold| gates.contains(&hold.gate));
    let refused = outcome.holds.iter().any(refuses);
    let back = outcome.decision == Decision::RollBack || closed(&[Gate::RollingBack]);
    let settled = memory.is_some_and(|memory| {
        let wanted = desired.is_none_or(|release| release.digest == memory.digest);
        wanted && memory.step_reached.is_some() && memory.top().is_some_and(|top| top.digest == memory.digest)
    });
    let misnamed =
        outcome.holds.iter().any(|hold| hold.gate == Gate::Replace && hold.lift.kind == LiftKind::Commit);
    let dark =
        outcome.holds.iter().any(|hold| hold.gate == Gate::Serve && hold.lift.kind == LiftKind::Approve);
    if back {
        Phase::RollingBack
    } else if refused || outcome.decision == Decision::Fail {
        Phase::Degraded
    } else if dark
        || misnamed
        || closed(&[Gate::Approval, Gate::Cap, Gate::Suspend, Gate::Freeze, Gate::Removal, Gate::Zero])
    {
        Phase::Paused
    } else if settled && !closed(&[Gate::Pods, Gate::Controller, Gate::Replace]) {
        Phase::Healthy
    } else {
        Phase::Progressing
    }
}

/// Whether a hold says that something failed or was refused, and somebody has to mend it.
fn refuses(hold: &Hold) -> bool {
    match hold.gate {
        Gate::Failed | Gate::Spec | Gate::Policy | Gate::Documents | Gate::Guard => true,
        // A create that is being announced, or a CloneSet that is on its way out, resolves itself.
        Gate::Cluster | Gate::Ownership | Gate::Git => hold.lift.kind != LiftKind::Wait,
        Gate::Approval
        | Gate::Cap
        | Gate::Soak
        | Gate::Serve
        | Gate::Pods
        | Gate::Traffic
        | Gate::Replace
        | Gate::RollingBack
        | Gate::Suspend
        | Gate::Freeze
        | Gate::Zero
        | Gate::Fetch
        | Gate::Removal
        | Gate::Controller
        | Gate::Revision => false,
    }
}

/// The step at which `release` failed, as the record's history tells it after it was taken back.
fn failed_at(case: &Case, release: &Release) -> Option<u32> {
    let digest = release.digest.long();
    let history = &case.record.as_ref()?.status.history;
    let fail = Decision::Fail.word();
    let told = history.iter().rev().find(|it| it.decision == fail && it.digest.as_ref() == Some(&digest))?;
    Some(told.step)
}

fn step_views(
    case: &Case,
    head: Option<&Head<'_>>,
    release: &Release,
    memory: Option<&Memory>,
    outcome: &Outcome,
    size: u32,
) -> Vec<StepView> {
    let entered = memory.filter(|memory| memory.digest == release.digest);
    let step_now = entered.map_or(0, |memory| memory.step);
    let proven = entered
        .is_some_and(|it| it.step_reached.is_some() && it.top().is_some_and(|top| top.digest == it.digest));
    let has_failed =
        memory.and_then(|it| it.failed).is_some_and(|it| it.covers(release.template, release.attempt));
    let at_gate = outcome
        .holds
        .iter()
        .any(|hold| matches!(hold.gate, Gate::Approval | Gate::Cap | Gate::Suspend | Gate::Freeze));
    let taken_back = if has_failed && entered.is_none() { failed_at(case, release) } else { None };
    let state = |step: u32| match step.cmp(&step_now) {
        _ if taken_back == Some(step) => StepState::Failed,
        std::cmp::Ordering::Less => StepState::Done,
        std::cmp::Ordering::Equal if proven => StepState::Done,
        std::cmp::Ordering::Equal if has_failed => StepState::Failed,
        std::cmp::Ordering::Equal => StepState::Here,
        std::cmp::Ordering::Greater if step == step_now + 1 && at_gate => StepState::Waiting,
        std::cmp::Ordering::Greater => StepState::Ahead,
    };
    let one = |(index, written): (usize, &crate::spec::Step)| {
        let step = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let pods = steps::pods(release, step, size);
        let weight = Some(release.strategy.weight(step))
            .filter(|_| !release.strategy.routes.is_empty() && step < release.last_step());
        StepView {
            target: written.replicas.to_string(),
            pods: match &release.strategy.blue_green {
                Some(_) => steps::beside(release, step, size),
                None => steps::pods(release, step, size),
            },
            weight,
            testers: pods > 0 && weight.is_some_and(|it| it < 100) && !release.strategy.matches.is_empty(),
            service: release.strategy.service(step).map(ToString::to_string),
            state: state(step),
            needs: asked(release, step).map_or(0, |asked| asked.count),
            soak: written.soak,
            entered_at: entered.filter(|it| it.step == step && !proven).map(|it| it.step_entered),
            approvals: head.map(|head| approvals(head.intent, head.policy, step)).unwrap_or_default(),
            serve: head.and_then(|head| serve_approvals(head.intent, step)),
        }
    };
    release.strategy.steps.iter().enumerate().map(one).collect()
}
