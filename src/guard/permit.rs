//! What Git permits of a release: markers, cap, freezes and suspension, read anew.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::spec::{Release, Step, markers_of};
use crate::world::{Intent, Marker, Permit, Policy};

/// The furthest step that Git permits: every step up to it has the approvals that it asks for, and the cap allows it.
#[must_use]
pub fn furthest(intent: &Intent, policy: &Policy) -> u32 {
    let skipped = is_skipped(intent, policy);
    last_open(&intent.release, |number, step| {
        let capped = intent.cap.is_some_and(|cap| number > cap);
        !capped && (skipped || is_approved(intent, policy, number, step))
    })
}

/// The furthest step whose pods Git lets serve, with those of every step before it.
#[must_use]
pub fn served(intent: &Intent, policy: &Policy) -> u32 {
    let release = &*intent.release;
    let skipped = is_skipped(intent, policy);
    last_open(release, |number, step| {
        let mut given = intent.markers.iter();
        let given = given.any(|marker| approver(marker, Permit::Serve(number), release, policy).is_some());
        !step.serves_by_approval() || skipped || given
    })
}

/// The last step up to which every one is open; 0 where the first is not.
fn last_open(release: &Release, is_open: impl Fn(u32, &Step) -> bool) -> u32 {
    let steps = (1..).zip(&release.strategy.steps);
    steps.take_while(|(number, step)| is_open(*number, step)).last().map_or(0, |(number, _)| number)
}

/// Whether a hotfix marker opens approvals, soak and freezes of this digest.
#[must_use]
pub fn is_skipped(intent: &Intent, policy: &Policy) -> bool {
    policy.skip
        && intent
            .markers
            .iter()
            .any(|marker| approver(marker, Permit::Skip, &intent.release, policy).is_some())
}

/// Why nothing may be entered at `now`, if something stands in the way.
#[must_use]
pub fn closed(intent: &Intent, policy: &Policy, now: Timestamp) -> Option<String> {
    if intent.release.suspend {
        return Some("spec.suspend is set".to_owned());
    }
    if is_skipped(intent, policy) {
        return None;
    }
    let freezes = |until: Option<Timestamp>| until.is_none_or(|until| now < until);
    let freeze = intent.freezes.iter().find(|freeze| freezes(freeze.until))?;
    Some(format!("{} freezes it", freeze.path))
}

fn is_approved(intent: &Intent, policy: &Policy, number: u32, step: &Step) -> bool {
    let Some(wanted) = step.approval else { return true };
    // Without a policy about people nobody can be told from anybody else.
    if policy.people.is_none() && (wanted.count > 1 || wanted.not_author) {
        return false;
    }
    let given = intent.markers.iter();
    let given = given.filter_map(|marker| approver(marker, Permit::Step(number), &intent.release, policy));
    let people: BTreeSet<&str> = given.collect();
    u32::try_from(people.len()).unwrap_or(u32::MAX) >= wanted.count.max(1)
}

/// Who gave `permit` with this marker, if it counts: it is of this very digest, compared whole.
fn approver<'a>(marker: &'a Marker, permit: Permit, release: &Release, policy: &Policy) -> Option<&'a str> {
    let who = marker.counts.as_ref().ok()?;
    let folder = format!("{}/{}/", markers_of(&release.id), release.digest.long());
    let bot = policy.bots.contains(&who.name) || policy.bots.contains(&who.email);
    (marker.permits == Some(permit) && marker.path.contains(&folder) && !bot).then_some(who.email.as_str())
}
