//! `triton step`: one commit that sets `spec.step`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::clone::PublishArgs;
use crate::cli::locate::Located;
use crate::cli::output::{Exit, Printer, Refusal};
use crate::model::ReleaseId;
use crate::spec::{Release, edit};
use crate::world::Intent;

/// Let a release that is led by commits go on: one commit that sets its `spec.step`.
///
/// Git then permits no step beyond K. A higher number lets the rollout go on, a lower one stops it; neither takes a pod
/// back.
#[derive(Args, Debug)]
pub struct StepArgs {
    /// The release
    #[arg(value_name = "NAMESPACE/NAME")]
    pub release: ReleaseId,
    /// The furthest step that Git is to permit
    #[arg(value_name = "K")]
    pub step: u32,
    /// A folder in the clone to commit to
    #[arg(short = 'C', long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where the commit goes
    #[command(flatten)]
    pub publish: PublishArgs,
}

/// Runs `triton step`.
///
/// # Errors
/// Where the release has no such step, its file takes a person to edit, or Git refuses.
pub fn run(args: &StepArgs, printer: &Printer) -> Result<Exit> {
    let (id, step) = (&args.release, args.step);
    let located = Located::find(&args.dir, Some(id))?;
    let intent = located.intent(located.clone.head()?, id)?;
    let release = &intent.release;
    let path = release.path.clone();
    let last = release.last_step();
    if step > last {
        return Err(Refusal::new(format!("{id} has steps 1 to {last}, no step {step}")).into());
    }
    if located.clone.is_dirty(std::slice::from_ref(&path))? {
        return Err(Refusal::new(format!("{path} has changes that are not committed")).into());
    }
    let file = located.clone.top().join(&path);
    let text = std::fs::read_to_string(&file).with_context(|| path.clone())?;
    let refusal = || {
        Refusal::new(format!("{path} is written in a way that only a person can edit"))
            .hint(format!("write `step: {step}` below `spec:` of the Release, and commit it"))
    };
    let edited = edit::set_step(&text, id, step).ok_or_else(refusal)?;
    if edited.before == Some(step.into()) {
        return Err(standing(&intent, step).into());
    }
    let branch = format!("triton/step-{}-{}-{step}", id.namespace, id.name);
    located.clone.publish(&args.publish, &branch, printer, || {
        std::fs::write(&file, &edited.text).with_context(|| path.clone())?;
        let message = format!("Let {id} {} go as far as step {step}", release.version);
        located.clone.commit(std::slice::from_ref(&path), &message)?;
        let before = edited.before.as_ref().map(|before| format!(", was {before}")).unwrap_or_default();
        Ok(vec![
            format!("sets     spec.step: {step}{before}, at {path}:{}", edited.line),
            format!("means    {}", meaning(release, step)),
        ])
    })?;
    Ok(Exit::Fine)
}

/// The number stands there already: it may yet count as less.
fn standing(intent: &Intent, step: u32) -> Refusal {
    let id = &intent.release.id;
    let refusal = Refusal::new(format!("spec.step of {id} is {step} already"));
    match intent.cap {
        Some(counted) if counted < step => refusal.hint(format!(
            "it came with the release and counts as {counted}: a later commit must change it, \
             so ask for {} first",
            step - 1
        )),
        Some(_) | None => refusal,
    }
}

/// What Git permits by the new number, approvals apart.
fn meaning(release: &Release, step: u32) -> String {
    match release.step(step) {
        None => "no step is permitted".to_owned(),
        Some(target) => {
            let waits = release.strategy.steps.iter().take(step as usize).any(|it| it.approval.is_some());
            let still = if waits { ", once every approval is there" } else { "" };
            let target = match release.strategy.service(step) {
                Some(service) => format!("Service {service}"),
                None => target.replicas.to_string(),
            };
            format!("steps up to {step} ({target}) are permitted{still}")
        }
    }
}
