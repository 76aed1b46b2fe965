//! `triton restart`: one commit that starts the pods of a release anew.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::clone::PublishArgs;
use crate::cli::locate::Located;
use crate::cli::output::{Exit, Printer, Refusal};
use crate::cli::pace;
use crate::cli::records::ClusterArgs;
use crate::cluster::{Cluster, project};
use crate::model::{Name, ReleaseId};
use crate::objects::{Kind, keys, record};
use crate::plan::holds;
use crate::spec::Release;
use crate::spec::edit::{self, Field};
use crate::spec::head::REPLACE_MAX;
use crate::spec::restart::RESTARTED_AT;
use crate::world::Intent;

/// Start every pod of a release anew: one commit that sets an annotation of its pod template.
///
/// It is a change of the template as any other: the pods are replaced by the steps of the strategy, with its approvals
/// and its checks, and a revert takes them back. In the middle of a rollout it begins that rollout again at step 1.
///
/// With --pods the template stays as it is: the pods that match now are written into `spec.replace`, and each is
/// replaced once, as fast as the CloneSet's maxUnavailable lets it, when the release is complete.
#[derive(Args, Debug)]
pub struct RestartArgs {
    /// The release
    #[arg(value_name = "NAMESPACE/NAME")]
    pub release: ReleaseId,
    /// Replace the pods with these labels, as `kubectl -l` has them, and no others: their names go into `spec.replace`
    #[arg(long, visible_alias = "selector", value_name = "SELECTOR")]
    pub pods: Option<String>,
    /// Why, for the commit's message
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// A folder in the clone to commit to
    #[arg(short = 'C', long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where the commit goes
    #[command(flatten)]
    pub publish: PublishArgs,
    /// The cluster whose pods are meant, with --pods
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs `triton restart` at `now`.
///
/// # Errors
/// Where the release's pods are updated in place, its file takes a person to edit, the cluster cannot be read, or Git
/// refuses.
pub async fn run(args: &RestartArgs, now: Timestamp, printer: &Printer) -> Result<Exit> {
    match &args.pods {
        Some(selector) => replace_in(args, selector, &args.cluster.connect().await?, printer).await,
        None => restart(args, now, printer),
    }
}

/// One commit that sets the annotation.
fn restart(args: &RestartArgs, now: Timestamp, printer: &Printer) -> Result<Exit> {
    let id = &args.release;
    let located = Located::find(&args.dir, Some(id))?;
    let head = located.clone.head()?;
    let intent = located.intent(head, id)?;
    if intent.release.is_in_place() {
        return Err(in_place(id).into());
    }
    let field = Field { kind: "CloneSet", release: id, path: &RESTARTED_AT };
    let (path, file, text) = read(&located, id, field)?;
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
        let message = format!("Restart the pods of {id} {}{}", intent.release.version, reason(args));
        located.clone.commit(std::slice::from_ref(&path), &message)?;
        let before = edited.before.as_ref().map(|before| format!(", was {before}")).unwrap_or_default();
        let sets = format!("sets     {}: {time}{before}, at {path}:{}", keys::RESTARTED, edited.line);
        Ok([sets].into_iter().chain(means(&intent, now)).collect())
    })?;
    Ok(Exit::Fine)
}

/// Runs `triton restart --pods` for a cluster that is connected already: one commit that names the pods with these
/// labels, and no more those that are gone.
///
/// # Errors
/// As [`run`].
pub async fn replace_in(
    args: &RestartArgs,
    selector: &str,
    cluster: &Cluster,
    printer: &Printer,
) -> Result<Exit> {
    let id = &args.release;
    if selector.trim().is_empty() {
        return Err(Refusal::new("the selector of --pods is empty, and would name every pod").into());
    }
    let located = Located::find(&args.dir, Some(id))?;
    let release = Arc::clone(&located.intent(located.clone.head()?, id)?.release);
    if release.strategy.blue_green.is_some() {
        return Err(none_by_name(id, selector).into());
    }
    let matching = pods(cluster, id, selector).await?;
    if matching.is_empty() {
        return Err(Refusal::new(format!("no pod of {id} fits {selector}"))
            .hint(format!("kubectl get pods -n {} -l {selector}", id.namespace))
            .into());
    }
    let named = |it: &BTreeSet<Name>| release.replace.intersection(it).cloned().collect::<Vec<_>>();
    let standing = if release.replace.is_empty() { Vec::new() } else { named(&pods(cluster, id, "").await?) };
    let new: Vec<Name> = matching.into_iter().filter(|name| !standing.contains(name)).collect();
    if new.is_empty() {
        return Err(Refusal::new(format!("spec.replace of {id} names them already"))
            .hint("to replace a pod under a name that is settled, take the name out, merge that, and name it again")
            .into());
    }
    let field = Field { kind: record::KIND, release: id, path: &["spec", "replace"] };
    let (path, file, text) = read(&located, id, field)?;
    // In the order in which they stand there, so that their lines stay.
    let before = edit::get(&text, field).and_then(|list| list.as_array().cloned()).unwrap_or_default();
    let stays = |it: &Value| standing.iter().any(|name| *it == *name.as_str());
    let wanted: Vec<Value> = before
        .iter()
        .filter(|it| stays(it))
        .cloned()
        .chain(new.iter().map(|it| it.as_str().into()))
        .collect();
    if wanted.len() > REPLACE_MAX {
        return Err(too_many(&release, wanted.len()).into());
    }
    let refusal = || {
        let names: Vec<&str> = wanted.iter().filter_map(Value::as_str).collect();
        Refusal::new(format!("{path} is written in a way that only a person can edit")).hint(format!(
            "write `replace: [{}]` below `spec:` of the Release, and commit it",
            names.join(", ")
        ))
    };
    let edited = edit::set(&text, field, Some(&Value::from(wanted.clone()))).ok_or_else(refusal)?;
    let branch = format!("triton/replace-{}-{}", id.namespace, id.name);
    located.clone.publish(&args.publish, &branch, printer, || {
        std::fs::write(&file, &edited.text).with_context(|| path.clone())?;
        let names: Vec<&str> = new.iter().map(Name::as_str).collect();
        let title = format!("Replace {} of {id}", counted(new.len()));
        let message = format!("{title}\n\n{}{}", names.join("\n"), reason(args));
        located.clone.commit(std::slice::from_ref(&path), &message)?;
        let gone = before.len() + new.len() - wanted.len();
        let gone = (gone > 0).then(|| {
            format!("removes  {} that {} gone", counted(gone), if gone == 1 { "is" } else { "are" })
        });
        let adds = format!("adds     {} to spec.replace, at {path}:{}", names.join(", "), edited.line);
        let volumes = pace::has_volumes(&release);
        let volumes = volumes.then(|| "careful  their volumes are deleted with them".to_owned());
        Ok([adds].into_iter().chain(gone).chain(volumes).collect())
    })?;
    Ok(Exit::Fine)
}

fn none_by_name(id: &ReleaseId, selector: &str) -> Refusal {
    Refusal::new(format!("{id} is switched as a whole (blueGreen), and replaces no pod by its name")).hint(
        format!(
            "delete the pod, and its CloneSet makes another: kubectl delete pods -n {} -l {selector}",
            id.namespace
        ),
    )
}

fn too_many(release: &Release, pods: usize) -> Refusal {
    Refusal::new(format!("{pods} pods are more than the {REPLACE_MAX} that spec.replace takes")).hint(
        match release.is_in_place() {
            true => "take a narrower selector, and another one once those are replaced".to_owned(),
            false => {
                format!("take a narrower selector, or start all of them anew: triton restart {}", release.id)
            }
        },
    )
}

fn counted(pods: usize) -> String {
    holds::pods(u32::try_from(pods).unwrap_or(u32::MAX))
}

/// The pods of a release that fit `selector`, but for those that are on their way out or have ended.
async fn pods(cluster: &Cluster, id: &ReleaseId, selector: &str) -> Result<BTreeSet<Name>> {
    let found = cluster.list_labelled(Kind::Pod, Some(id.namespace.as_str()), selector).await?;
    let own = found.iter().filter_map(project::pod).filter(|pod| pod.release == id.name && !pod.live.ending);
    Ok(own.map(|pod| pod.live.name).collect())
}

/// The file of the release that has the document of `field`: its name from the top, its place, and what it says.
fn read(located: &Located, id: &ReleaseId, field: Field<'_>) -> Result<(String, PathBuf, String)> {
    let files = located.files_at(located.clone.head()?, id)?;
    let path = files.into_iter().find(|(_, text)| edit::has(text, field)).map(|(path, _)| path);
    let path = path.with_context(|| format!("no file of {id} has its {}", field.kind))?;
    if located.clone.is_dirty(std::slice::from_ref(&path))? {
        return Err(Refusal::new(format!("{path} has changes that are not committed")).into());
    }
    let file = located.clone.top().join(&path);
    let text = std::fs::read_to_string(&file).with_context(|| path.clone())?;
    Ok((path, file, text))
}

fn reason(args: &RestartArgs) -> String {
    args.reason.as_ref().map(|why| format!("\n\n{}", why.trim())).unwrap_or_default()
}

/// A container that is updated in place is not started again by another annotation.
fn in_place(id: &ReleaseId) -> Refusal {
    Refusal::new(format!(
        "pods of {id} are updated in place, and another annotation starts none of them again"
    ))
    .hint(format!("replace them: triton restart {id} --pods SELECTOR"))
}

/// What comes of it, a line each.
fn means(intent: &Intent, now: Timestamp) -> Vec<String> {
    let strategy = &intent.release.strategy;
    let how = match strategy.steps.len() {
        1 => "at once".to_owned(),
        _ if strategy.blue_green.is_some() => "beside those that serve, from step 1".to_owned(),
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
