//! `triton restart`: one commit that starts the pods of a release anew.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::clone::PublishArgs;
use crate::cli::locate::Located;
use crate::cli::output::{Exit, Printer, Refusal};
use crate::model::ReleaseId;
use crate::objects::keys;
use crate::spec::edit::{self, Field};
use crate::spec::restart::{RESTARTED_AT, instead};
use crate::world::Intent;

/// Start every pod of a release anew: one commit that sets an annotation of its pod template.
///
/// It is a change of the template as any other: the pods are replaced by the steps of the strategy, with its approvals
/// and its checks, and a revert takes them back. In the middle of a rollout it begins that rollout again at step 1.
#[derive(Args, Debug)]
pub struct RestartArgs {
    /// The release
    #[arg(value_name = "NAMESPACE/NAME")]
    pub release: ReleaseId,
    /// Why, for the commit's message
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// A folder in the clone to commit to
    #[arg(short = 'C', long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where the commit goes
    #[command(flatten)]
    pub publish: PublishArgs,
}

/// Runs `triton restart` at `now`.
///
/// # Errors
/// Where the release's pods are updated in place, its file takes a person to edit, or Git refuses.
pub fn run(args: &RestartArgs, now: Timestamp, printer: &Printer) -> Result<Exit> {
    let id = &args.release;
    let located = Located::find(&args.dir, Some(id))?;
    let head = located.clone.head()?;
    let intent = located.intent(head, id)?;
    if let Some(kind) = intent.release.in_place() {
        return Err(in_place(id, &kind).into());
    }
    let field = Field { kind: "CloneSet", release: id, path: &RESTARTED_AT };
    let files = located.files_at(head, id)?;
    let path = files.into_iter().find(|(_, text)| edit::has(text, field)).map(|(path, _)| path);
    let path = path.with_context(|| format!("no file of {id} has its CloneSet"))?;
    if located.clone.is_dirty(std::slice::from_ref(&path))? {
        return Err(Refusal::new(format!("{path} has changes that are not committed")).into());
    }
    let file = located.clone.top().join(&path);
    let text = std::fs::read_to_string(&file).with_context(|| path.clone())?;
    let time = Value::from(format!("{now:.0}"));
    let refusal = || {
        Refusal::new(format!("{path} is written in a way that only a person can edit")).hint(format!(
            "write the annotation `{}: {time}` below `spec.template.metadata` of the CloneSet, and commit it",
            keys::RESTARTED
        ))
    };
    let edited = edit::set(&text, field, Some(&time)).ok_or_else(refusal)?;
    if edited.before.as_ref() == Some(&time) {
        return Err(Refusal::new(format!("{id} is restarted in this very second already")).into());
    }
    let branch = format!("triton/restart-{}-{}", id.namespace, id.name);
    located.clone.publish(&args.publish, &branch, printer, || {
        std::fs::write(&file, &edited.text).with_context(|| path.clone())?;
        let why = args.reason.as_ref().map(|why| format!("\n\n{}", why.trim())).unwrap_or_default();
        let message = format!("Restart the pods of {id} {}{why}", intent.release.version);
        located.clone.commit(std::slice::from_ref(&path), &message)?;
        let before = edited.before.as_ref().map(|before| format!(", was {before}")).unwrap_or_default();
        let sets = format!("sets     {}: {time}{before}, at {path}:{}", keys::RESTARTED, edited.line);
        Ok([sets].into_iter().chain(means(&intent, now)).collect())
    })?;
    Ok(Exit::Fine)
}

/// A container that is updated in place is not started again by another annotation.
fn in_place(id: &ReleaseId, kind: &str) -> Refusal {
    Refusal::new(format!(
        "pods of {id} are updated in place, and another annotation starts none of them again"
    ))
    .hint(instead(kind, id.namespace.as_str()))
}

/// What comes of it, a line each.
fn means(intent: &Intent, now: Timestamp) -> Vec<String> {
    let strategy = &intent.release.strategy;
    let how = match strategy.steps.len() {
        1 => "at once".to_owned(),
        steps => format!("by its {steps} steps, from step 1"),
    };
    let mut lines = vec![format!("means    its pods are made anew {how}; approvals of before do not count")];
    if intent.release.suspend {
        lines.push("careful  spec.suspend is true: no pod moves until it is not".to_owned());
    }
    let freezes = intent.freezes.iter().filter(|freeze| freeze.holds_at(now));
    lines.extend(freezes.map(|freeze| format!("careful  {} freezes it: {}", freeze.path, freeze.reason)));
    lines
}
