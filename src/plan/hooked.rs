//! Pods that a lifecycle hook of their CloneSet keeps: who waits, and what lets them go. These hooks are the user's, so
//! nothing is done about them; no pod waits silently. Ours is in [`crate::plan::in_place`].

use jiff::{SignedDuration, Timestamp};

use crate::model::{Gate, Hold, Lift, LiftKind, Name, ReleaseId};
use crate::objects::keys::SERVE;
use crate::plan::holds::pods;
use crate::world::{Case, Kept, Marks, PodKept};

/// One thing of a hook: whether it is a label, its name, and a label's value.
type Mark<'a> = (&'a str, &'a str, &'a str);

/// How long a hook keeps a pod before anybody is told: what lets go by itself, pod after pod, does so in this time, and
/// nobody has to look.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// A hold for each state in which hooks keep pods for long, and when there is more to be told. A pod of which Kruise does
/// not say since when, or names a moment that cannot be, is told at once.
pub fn hooked(now: Timestamp, id: &ReleaseId, case: &Case) -> (Vec<Hold>, Option<Timestamp>) {
    let Some(live) = case.live.as_ref().filter(|live| !live.deleting) else { return (Vec::new(), None) };
    let (mut holds, mut due) = (Vec::new(), None);
    for kept in Kept::ALL {
        let Some(hook) = live.hooks.get(kept.hook()) else { continue };
        let mut waiting = Vec::new();
        for pod in case.kept.iter().filter(|pod| pod.kept == kept) {
            let marks = missing(hook, pod);
            match told_at(now, pod.since) {
                _ if marks.is_empty() => {}
                Some(told) if told > now => due = [due, Some(told)].into_iter().flatten().min(),
                Some(_) | None => waiting.push((pod, marks)),
            }
        }
        let since = waiting.iter().filter_map(|(pod, _)| pod.since).filter(|since| *since <= now).min();
        holds.extend(told(id, kept, since, &waiting));
    }
    (holds, due)
}

/// When a pod is told of that is where it is `since` then; `None` at once.
#[must_use]
pub fn told_at(now: Timestamp, since: Option<Timestamp>) -> Option<Timestamp> {
    let after = |since: Timestamp| since.checked_add(PATIENCE).ok();
    // A clock may be a little late; a moment that is further off is none to wait for.
    since.filter(|since| after(now).is_some_and(|latest| *since <= latest)).and_then(after)
}

/// Whether somebody else keeps a pod that is to be updated in place, by the same hook as we do.
#[must_use]
pub fn is_kept_by_others(case: &Case, pod: &Name) -> bool {
    let kept = Kept::BeforeUpdate;
    let hook = case.live.as_ref().and_then(|live| live.hooks.get(kept.hook()));
    let is_it = |it: &&PodKept| it.kept == kept && it.name == *pod;
    hook.zip(case.kept.iter().find(is_it)).is_some_and(|(hook, pod)| !missing(hook, pod).is_empty())
}

/// What of a hook is to be taken off a pod, or to be put on it, by somebody else than us.
fn missing<'a>(hook: &'a Marks, pod: &PodKept) -> Vec<Mark<'a>> {
    let takes = pod.kept.ends_without();
    let has_label = |key: &String, value: &String| pod.marks.labels.get(key) == Some(value);
    let labels = hook.labels.iter().filter(|(key, value)| *key != SERVE && has_label(key, value) == takes);
    let finalizers = hook.finalizers.iter().filter(|it| pod.marks.finalizers.contains(it) == takes);
    let labels = labels.map(|(key, value)| ("label", key.as_str(), value.as_str()));
    labels.chain(finalizers.map(|it| ("finalizer", it.as_str(), ""))).collect()
}

fn told(
    id: &ReleaseId,
    kept: Kept,
    since: Option<Timestamp>,
    waiting: &[(&PodKept, Vec<Mark<'_>>)],
) -> Option<Hold> {
    let (first, marks) = waiting.first()?;
    let (what, ends) = match kept {
        Kept::BeforeDelete => ("to be deleted", "taken off"),
        Kept::BeforeUpdate => ("to be updated in place", "taken off"),
        Kept::AfterUpdate => ("to come back from an update in place", "put on it again"),
    };
    let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
    let others = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    let (verb, each) = if count > 1 { ("wait", "each") } else { ("waits", "it") };
    let is = if marks.len() > 1 { "are" } else { "is" };
    let named: Vec<String> = marks.iter().map(|(kind, name, _)| format!("{kind} {name}")).collect();
    let message = format!(
        "{id} has {} that {verb} {what} ({}{others}): the CloneSet's hook lifecycle.{} keeps {each} until its {} {is} {ends}",
        pods(count),
        first.name,
        kept.hook(),
        named.join(" and its ")
    );
    let (pod, namespace) = (&first.name, &id.namespace);
    let command = match marks.first()? {
        ("label", key, _) if kept.ends_without() => format!("kubectl label pod {pod} -n {namespace} {key}-"),
        ("label", key, value) => format!("kubectl label pod {pod} -n {namespace} {key}={value} --overwrite"),
        _ => format!("kubectl edit pod {pod} -n {namespace}"),
    };
    Some(Hold { gate: Gate::Pods, since, message, lift: Lift::by(LiftKind::Cluster).command(command) })
}
