//! What Git permits: *Git permits step k* when every step up to k that asks for approval has it, and the cap allows
//! k.

use std::collections::BTreeSet;

use crate::objects::record::{ApprovalView, Ignored};
use crate::spec::{Approval, Release, Step};
use crate::world::{Approver, Intent, Permit, Policy};

/// What Git permits of a release at HEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// The furthest step; 0 is none.
    pub furthest: u32,
    /// Whether a skip marker opens approvals, soak and freezes.
    pub skip: bool,
}

/// Reads markers and cap.
#[must_use]
pub fn permitted(intent: &Intent, policy: &Policy) -> Permitted {
    let skip = policy.skip && approvers(intent, Permit::Skip).next().is_some();
    let release = &intent.release;
    let allows = |step: u32| {
        let capped = intent.cap.is_some_and(|cap| step > cap);
        !capped && (skip || missing(intent, policy, step).is_none())
    };
    let furthest = (1..=release.last_step()).take_while(|step| allows(*step)).last().unwrap_or(0);
    Permitted { furthest, skip }
}

/// What a step still lacks before Git permits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// So many approvals, of so many.
    Approvals {
        /// Still to come.
        missing: u32,
        /// In all.
        count: u32,
    },
    /// The approvals cannot be told apart, or not from the author: the daemon's configuration names no people.
    People,
}

/// What `step` lacks, by itself: the steps before it are not looked at.
#[must_use]
pub fn missing(intent: &Intent, policy: &Policy, step: u32) -> Option<Missing> {
    let asked = asked(&intent.release, step)?;
    if policy.people.is_none() && (asked.count > 1 || asked.not_author) {
        return Some(Missing::People);
    }
    let given = u32::try_from(distinct(intent, policy, step).len()).unwrap_or(u32::MAX);
    (given < asked.count).then(|| Missing::Approvals { missing: asked.count - given, count: asked.count })
}

/// The approval that `step` asks for.
#[must_use]
pub fn asked(release: &Release, step: u32) -> Option<Approval> {
    release.step(step)?.approval
}

fn approvers(intent: &Intent, permit: Permit) -> impl Iterator<Item = &Approver> {
    let markers = intent.markers.iter().filter(move |marker| marker.permits == Some(permit));
    markers.filter_map(|marker| marker.counts.as_ref().ok())
}

/// The approvals that count for `step`, once per person where people can be told apart.
fn distinct<'a>(intent: &'a Intent, policy: &Policy, step: u32) -> Vec<&'a Approver> {
    let mut seen = BTreeSet::new();
    approvers(intent, Permit::Step(step))
        .filter(|approver| policy.people.is_none() || seen.insert(approver.email.as_str()))
        .collect()
}

/// The furthest step up to which Git lets pods serve; the last one where all may. One approval is enough for each step
/// that asks for it.
#[must_use]
pub fn may_serve(intent: &Intent, policy: &Policy) -> u32 {
    let closed = (1..=intent.release.last_step()).find(|step| is_dark(intent, policy, *step));
    closed.map_or(intent.release.last_step(), |step| step - 1)
}

/// Whether the pods of `step` wait for an approval to serve, by itself: the steps before it are not looked at.
#[must_use]
pub fn is_dark(intent: &Intent, policy: &Policy, step: u32) -> bool {
    let asks = intent.release.step(step).is_some_and(Step::serves_by_approval);
    let skip = policy.skip && approvers(intent, Permit::Skip).next().is_some();
    asks && !skip && approvers(intent, Permit::Serve(step)).next().is_none()
}

/// Who has let the pods of `step` serve.
#[must_use]
pub fn let_in_by(intent: &Intent, step: u32) -> Option<&Approver> {
    approvers(intent, Permit::Serve(step)).chain(approvers(intent, Permit::Skip)).next()
}

/// The approvals of `step`, for people.
#[must_use]
pub fn approvals(intent: &Intent, policy: &Policy, step: u32) -> Vec<ApprovalView> {
    distinct(intent, policy, step).into_iter().map(shown).collect()
}

/// The approvals for the pods of `step` to serve, for people; none of a step whose pods serve by themselves.
#[must_use]
pub fn serve_approvals(intent: &Intent, step: u32) -> Option<Vec<ApprovalView>> {
    let asks = intent.release.step(step).is_some_and(Step::serves_by_approval);
    asks.then(|| approvers(intent, Permit::Serve(step)).map(shown).collect())
}

fn shown(approver: &Approver) -> ApprovalView {
    ApprovalView { who: approver.name.clone(), commit: approver.commit.to_string() }
}

/// The markers that approve nothing, and those given for a step whose turn has not come, each with its reason.
#[must_use]
pub fn ignored(intent: &Intent, permitted: &Permitted) -> Vec<Ignored> {
    let mut out = Vec::new();
    for marker in &intent.markers {
        let reason = match (&marker.counts, marker.permits) {
            (Err(why), _) => why.to_string(),
            (Ok(_), Some(Permit::Step(step))) if step > permitted.furthest + 1 => {
                let first = permitted.furthest + 1;
                format!("given ahead: it counts for step {step}, and Git does not permit step {first} yet")
            }
            (Ok(_), _) => continue,
        };
        out.push(Ignored { path: marker.path.clone(), reason });
    }
    out
}
