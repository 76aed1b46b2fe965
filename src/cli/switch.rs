//! What blue/green does to the pods of a release and to its traffic, in sentences. Text from data, nothing else.

use crate::cli::render::span;
use crate::model::Amount;
use crate::objects::keys;
use crate::objects::record::{CloneSetView, Role, View};
use crate::plan::holds::pods;
use crate::spec::restart::restarts;
use crate::spec::{BlueGreen, Release};

/// Pods of the new version that come up beside those that serve.
fn previewed(release: &Release, size: Option<u32>) -> String {
    match (release.step(1).map(|step| step.replicas), size) {
        (Some(previewed), Some(size)) => pods(previewed.step_pods(size)),
        (Some(Amount::Count(count)), None) => pods(count),
        (Some(share @ Amount::Percent(_)), None) => format!("{share} of its pods"),
        (None, _) => String::new(),
    }
}

/// What a step goes to: `10 pods at Service checkout-preview`, `Service checkout`.
#[must_use]
pub fn target(release: &Release, step: u32, size: Option<u32>) -> Option<String> {
    let service = release.strategy.service(step)?;
    Some(if step < release.last_step() {
        format!("{} at Service {service}", previewed(release, size))
    } else {
        format!("Service {service}")
    })
}

/// That Git permits `step`.
#[must_use]
pub fn goes(release: &Release, step: u32, size: Option<u32>) -> Option<String> {
    let (id, version, target) = (&release.id, &release.version, target(release, step, size)?);
    let it = release.strategy.blue_green.as_ref()?;
    Some(if step < release.last_step() {
        format!("Merging this starts {id} {version} beside the pods that serve: {target}.")
    } else {
        format!(
            "Merging this points {target} at {id} {version}, in one write; the old pods go {} later.",
            kept(it)
        )
    })
}

/// What becomes of the pods of `old` that serve, and how many there are meanwhile.
#[must_use]
pub fn exchanged(old: &Release, new: &Release, size: Option<u32>) -> Option<String> {
    let it = new.strategy.blue_green.as_ref()?;
    let same = if restarts(&old.cloneset, &new.cloneset) {
        "This restarts its pods: others with the same containers come up beside them"
    } else {
        "None of its pods is updated: the new ones are of a second CloneSet"
    };
    Some(format!("{same}, and until {} after the switch there are {}.", kept(it), most(size)))
}

/// Pods while both versions stand.
fn most(size: Option<u32>) -> String {
    match size {
        Some(size) => format!("up to {}", pods(size.saturating_mul(2))),
        None => "up to twice its pods".to_owned(),
    }
}

/// What a step costs that is entered now.
#[must_use]
pub fn costs(release: &Release, step: u32, size: Option<u32>) -> Option<String> {
    let it = release.strategy.blue_green.as_ref()?;
    Some(if step < release.last_step() {
        format!(
            "They are of a second CloneSet, and until {} after the switch there are {}.",
            kept(it),
            most(size)
        )
    } else {
        format!("All traffic moves in one write; the old pods stay for {} to go back to.", kept(it))
    })
}

/// What a way back does, with its CloneSets as they stand where those were seen.
#[must_use]
pub fn returns(release: &Release, seen: Option<&View>) -> Option<String> {
    let it = release.strategy.blue_green.as_ref()?;
    let next = seen.and_then(|view| view.clonesets.iter().find(|it| it.role == Role::Next));
    let is_there = |it: &CloneSetView| seen.is_some_and(|view| it.pods >= view.pods.desired);
    let tried = seen.is_some_and(|view| view.clonesets.iter().any(|it| it.role == Role::Leaves));
    let how = match next {
        Some(next) if is_there(next) => "again, in one write",
        Some(_) => "again, once its pods are up",
        None if tried => "still, and the pods that are tried go",
        None => "again",
    };
    Some(format!("Service {} leads to it {how}", it.active))
}

/// The pods that go because something else comes up.
#[must_use]
pub fn gone(seen: &View) -> Option<String> {
    let is_gone = |it: &&CloneSetView| it.role == Role::Leaves && it.pods > 0;
    let version = |it: &CloneSetView| it.version.as_deref().map(|it| format!(" of {it}")).unwrap_or_default();
    let gone = seen.clonesets.iter().filter(is_gone);
    let all: Vec<String> = gone.map(|it| format!("{}{}", pods(it.pods), version(it))).collect();
    (!all.is_empty()).then(|| format!("{} are kept no longer: they go as it begins.", all.join(", ")))
}

/// What is left behind, of which Triton alone knows what it is.
#[must_use]
pub fn orphaned(release: &Release) -> Option<String> {
    let it = release.strategy.blue_green.as_ref()?;
    Some(format!(
        "The pods stay in whichever CloneSets have them, and Services {} and {} go on to select the pods of one revision \
         ({}): take blueGreen out first, in a commit of its own, and nothing of that is left.",
        it.active,
        it.preview,
        keys::POD_TEMPLATE_HASH
    ))
}

/// What becomes of the version `unproven` before another one comes up.
#[must_use]
pub fn unproven(release: &Release, unproven: &str, proven: &str) -> Option<String> {
    let it = release.strategy.blue_green.as_ref()?;
    Some(format!("Before that, Service {} leads to {proven}, and the pods on {unproven} go.", it.active))
}

/// What undoes a merge.
#[must_use]
pub fn back(old: &Release, new: &Release) -> Option<String> {
    let it = new.strategy.blue_green.as_ref()?;
    Some(format!(
        "Back: revert it; Service {} leads to {} again in one write until {} after the switch, and later once its pods are up.",
        it.active,
        old.version,
        kept(it)
    ))
}

/// How long the old version stays.
#[must_use]
pub fn kept(it: &BlueGreen) -> String {
    span(i64::from(it.keep))
}
