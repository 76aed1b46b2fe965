//! What blue/green does to the pods of a release and to its traffic, in sentences. Text from data, nothing else.

use crate::cli::render::span;
use crate::model::Amount;
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
    let most = match size {
        Some(size) => format!("up to {}", pods(size.saturating_mul(2))),
        None => "up to twice its pods".to_owned(),
    };
    Some(format!("{same}, and until {} after the switch there are {most}.", kept(it)))
}

/// What a way back does.
#[must_use]
pub fn returns(release: &Release) -> Option<String> {
    let it = release.strategy.blue_green.as_ref()?;
    Some(format!("Service {} leads to it again", it.active))
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
