//! Pods that a lifecycle hook of their CloneSet keeps: who waits, and what lets them go. The hooks are the user's, so
//! nothing is done about them; no pod waits silently.

use crate::model::{Gate, Hold, Lift, LiftKind, ReleaseId};
use crate::plan::holds::pods;
use crate::world::{Case, Kept, Marks, PodKept};

/// One thing of a hook: whether it is a label, its name, and a label's value.
type Mark<'a> = (&'a str, &'a str, &'a str);

/// A hold for each state in which hooks keep pods.
pub fn hooked<'a>(id: &'a ReleaseId, case: &'a Case) -> impl Iterator<Item = Hold> + 'a {
    let live = case.live.as_ref().filter(|live| !live.deleting);
    Kept::ALL.into_iter().filter_map(move |kept| {
        let hook = live?.hooks.get(kept.hook())?;
        let waiting = case.kept.iter().filter(|pod| pod.kept == kept);
        let waiting: Vec<(&PodKept, Vec<Mark<'_>>)> =
            waiting.map(|pod| (pod, missing(hook, pod))).filter(|(_, marks)| !marks.is_empty()).collect();
        told(id, kept, &waiting)
    })
}

/// What of a hook is to be taken off a pod, or to be put on it.
fn missing<'a>(hook: &'a Marks, pod: &PodKept) -> Vec<Mark<'a>> {
    let takes = pod.kept.ends_without();
    let has_label = |key: &String, value: &String| pod.marks.labels.get(key) == Some(value);
    let labels = hook.labels.iter().filter(|(key, value)| has_label(key, value) == takes);
    let finalizers = hook.finalizers.iter().filter(|it| pod.marks.finalizers.contains(it) == takes);
    let labels = labels.map(|(key, value)| ("label", key.as_str(), value.as_str()));
    labels.chain(finalizers.map(|it| ("finalizer", it.as_str(), ""))).collect()
}

fn told(id: &ReleaseId, kept: Kept, waiting: &[(&PodKept, Vec<Mark<'_>>)]) -> Option<Hold> {
    let (first, marks) = waiting.first()?;
    let (what, ends) = match kept {
        Kept::BeforeDelete => ("to be deleted", "taken off"),
        Kept::BeforeUpdate => ("to be updated in place", "taken off"),
        Kept::AfterUpdate => ("to come back from an update in place", "put on it again"),
        Kept::BeforeNormal => ("to be taken into service", "put on it"),
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
    Some(Hold { gate: Gate::Pods, since: None, message, lift: Lift::by(LiftKind::Cluster).command(command) })
}
