//! `triton plan`: what the daemon would do with this tree now, and what merging it will do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::catalog::Root;
use crate::cli::draft::{self, Draft, Useless};
use crate::cli::forecast::{Forecast, Seen, forecast, standing};
use crate::cli::output::{Exit, Paint, Printer, Tint};
use crate::cli::picture::Picture;
use crate::cli::records::ClusterArgs;
use crate::guard;
use crate::model::{Hold, ReleaseId};
use crate::plan;
use crate::world::{Desired, Intent, Plan, World};

/// Say what the daemon would do with this tree now; with --base, what merging it will do.
///
/// Reads the files as they stand in the work tree, committed or not, and writes nothing. With a cluster at hand it
/// plans as the daemon would; without one it says what Git alone tells.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// The repository, or a directory in it
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// The branch that this is to be merged into
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: PlanFormat,
    /// The cluster to read
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The form of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    #[default]
    Text,
    /// For scripts: a stable schema.
    Json,
    /// For the comment on a pull request.
    Markdown,
}

/// Everything that is said.
#[derive(Debug, Default)]
pub struct Told {
    /// What changes, by root and release.
    pub forecasts: Vec<Forecast>,
    /// Releases of which nothing is said.
    pub quiet: usize,
    /// New markers that approve nothing.
    pub useless: Vec<Useless>,
    /// Whether no cluster was seen.
    pub blind: bool,
    /// The name of what it is merged into.
    pub base: Option<String>,
}

/// Runs `triton plan`.
///
/// # Errors
/// Where there is nothing to read, or Git refuses. A cluster that cannot be read is no error.
pub async fn run(args: &PlanArgs, printer: &Printer) -> Result<Exit> {
    let draft = Draft::of(&args.path, args.base.as_deref())?;
    let picture = Picture::take(&args.cluster).await;
    if let Some(why) = &picture.blind {
        printer.note(format!("no cluster was read: {why}"));
    }
    let mut told = Told { blind: picture.blind.is_some(), base: args.base.clone(), ..Told::default() };
    for directory in &draft.roots {
        tell(&draft, directory, &picture, Timestamp::now(), &mut told)?;
    }
    match args.output {
        PlanFormat::Text => printer.say(text(&told, printer.paint))?,
        PlanFormat::Json => printer.json(&told.forecasts)?,
        PlanFormat::Markdown => printer.say(markdown(&told))?,
    }
    Ok(Exit::Fine)
}

/// What is said of one root.
fn tell(draft: &Draft, directory: &str, picture: &Picture, now: Timestamp, told: &mut Told) -> Result<()> {
    let after = picture.world(&draft.repository, directory, draft.head, draft.base, now)?;
    let planned = planned(&after);
    let seen = |id: &ReleaseId| {
        let seen = Seen { case: after.cases.get(id)?, moved: planned.moves.get(id)? };
        picture.blind.is_none().then_some(seen)
    };
    let Some(base) = draft.base else {
        for (id, case) in &after.cases {
            match standing(id, &case.desired, &after.policy, seen(id)) {
                Some(said) => told.forecasts.push(said),
                None => told.quiet += 1,
            }
        }
        return Ok(());
    };
    let before = picture.world(&draft.repository, directory, base, None, now)?;
    let desired = |world: &World, id: &ReleaseId| world.cases.get(id).map(|case| case.desired.clone());
    let ids: BTreeSet<&ReleaseId> = before.cases.keys().chain(after.cases.keys()).collect();
    for id in ids {
        let (old, new) = (desired(&before, id), desired(&after, id));
        match forecast(id, old.as_ref(), new.as_ref(), &after.policy, seen(id)) {
            Some(said) => told.forecasts.push(said),
            None => told.quiet += 1,
        }
    }
    let root = Root::new(directory);
    told.useless.extend(draft::useless(&root, &draft.changes(&root)?, &intents(&after)));
    Ok(())
}

/// The plan, with what its checker has against it.
fn planned(world: &World) -> Plan {
    let mut plan = plan::plan(world);
    let violations: BTreeMap<ReleaseId, Hold> =
        guard::check(world, &plan).iter().map(|(id, it)| (id.clone(), it.hold(id))).collect();
    for (id, hold) in violations {
        if let Some(moved) = plan.moves.get_mut(&id) {
            moved.view.holds.insert(0, hold);
        }
    }
    plan
}

fn intents(world: &World) -> BTreeMap<ReleaseId, &Intent> {
    let mut found = BTreeMap::new();
    for (id, case) in &world.cases {
        match &case.desired {
            Desired::Release(intent) => drop(found.insert(id.clone(), &**intent)),
            Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => {}
        }
    }
    found
}

/// `2.4.0 → 2.4.1`, or the one version that there is.
fn versions(said: &Forecast) -> String {
    match (&said.from, &said.to) {
        (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
        (_, Some(only)) | (Some(only), None) => only.clone(),
        (None, None) => String::new(),
    }
}

/// What the whole says beside the releases.
fn rest(told: &Told) -> Vec<String> {
    let mut lines = Vec::new();
    let what = if told.base.is_some() { "nothing changes" } else { "there is nothing to do" };
    match told.quiet {
        0 => {}
        1 => lines.push(format!("For 1 release {what}.")),
        many => lines.push(format!("For {many} releases {what}.")),
    }
    if told.blind {
        lines.push("No cluster was read: this is what Git alone tells.".to_owned());
    }
    lines
}

fn text(told: &Told, paint: Paint) -> String {
    let mut parts = Vec::new();
    for said in &told.forecasts {
        let name = paint.tint(Tint::Strong, &format!("{}/{}", said.namespace, said.name));
        let mut lines = vec![format!("{name}  {}", versions(said)).trim_end().to_owned()];
        lines.extend(said.sentences.iter().map(|sentence| format!("  {sentence}")));
        parts.push(lines.join("\n"));
    }
    for it in &told.useless {
        let word = paint.tint(Tint::Bad, "approves nothing");
        parts.push(format!("{}\n  {word}: {}\n  {}", it.path, it.reason, it.cure));
    }
    let rest = rest(told);
    if !rest.is_empty() {
        parts.push(rest.join("\n"));
    }
    parts.join("\n\n")
}

fn markdown(told: &Told) -> String {
    let title = match &told.base {
        Some(base) => format!("### Triton: what merging into `{base}` does"),
        None => "### Triton: what this tree does".to_owned(),
    };
    let mut parts = vec![title];
    for said in &told.forecasts {
        let mut lines = vec![format!("**{}/{}** {}\n", said.namespace, said.name, plain(&versions(said)))];
        lines.extend(said.sentences.iter().map(|sentence| format!("- {}", plain(sentence))));
        parts.push(lines.join("\n"));
    }
    for it in &told.useless {
        parts.push(format!(
            "**approves nothing**\n\n- `{}`: {}\n- {}",
            it.path,
            plain(&it.reason),
            plain(&it.cure)
        ));
    }
    parts.extend(rest(told).iter().map(|line| plain(line)));
    parts.join("\n\n")
}

/// Text of the repository in a comment: nothing in it is markup, a mention or an image.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '*' | '_' | '`' | '[' | ']' | '|' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_no_markup() {
        assert_eq!(plain("a_b <img> @all [x](y)"), "a\\_b &lt;img> &#64;all \\[x\\](y)");
    }
}
