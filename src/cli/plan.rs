//! `triton plan`: what the daemon would do with this tree now, and what merging it will do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::catalog::Root;
use crate::cli::draft::{self, Draft, Useless};
use crate::cli::forecast::{Forecast, forecast, standing};
use crate::cli::output::{Exit, Paint, Printer, Tint};
use crate::cli::picture::Picture;
use crate::cli::records::ClusterArgs;
use crate::cli::way::{Light, Seen, capital};
use crate::guard;
use crate::model::{Hold, ReleaseId};
use crate::plan;
use crate::world::{Desired, Intent, Plan, World};

/// Say what the daemon would do with this tree now; with --base, what merging it will do.
///
/// Reads the files as they stand in the work tree, committed or not, and writes nothing. What is not committed is told as
/// what merging it does, also without --base. With a cluster at hand it plans as the daemon would; without one it says
/// what Git alone tells.
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

/// Bytes of a comment that are spent on releases: GitHub takes 65,536 characters, and the useless markers come first.
const COMMENT_MAX: usize = 40_000;
/// Markers that approve nothing and are told of one by one.
const USELESS_MAX: usize = 50;

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
    if let Some(why) = &picture.without_pods {
        printer.note(format!("the pods that wait to serve were not read, and none is let in below: {why}"));
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
    let light = |id: &ReleaseId| {
        let seen = || Some(Seen { case: after.cases.get(id)?, moved: planned.moves.get(id)? });
        let seen = if picture.blind.is_some() { None } else { seen() };
        Light { policy: &after.policy, now, seen }
    };
    let compared = |commit| picture.world(&draft.repository, directory, commit, None, now);
    let before = draft.before.map(compared).transpose()?;
    let desired = |world: &World, id: &ReleaseId| world.cases.get(id).map(|case| case.desired.clone());
    let ids: BTreeSet<&ReleaseId> =
        before.iter().flat_map(|world| world.cases.keys()).chain(after.cases.keys()).collect();
    for id in ids {
        let new = desired(&after, id);
        let changed = before
            .as_ref()
            .and_then(|before| forecast(id, desired(before, id).as_ref(), new.as_ref(), light(id)));
        let stands = || match draft.base {
            None => standing(id, new.as_ref()?, light(id)),
            Some(_) => None,
        };
        match changed.or_else(stands) {
            Some(said) => told.forecasts.push(said),
            None => told.quiet += 1,
        }
    }
    if before.is_none() {
        return Ok(());
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
        (Some(from), None) if said.broken => format!("{from}, its files have mistakes"),
        (Some(from), None) => format!("{from}, removed"),
        (_, Some(only)) => only.clone(),
        (None, None) => String::new(),
    }
}

/// What the whole says beside the releases.
fn rest(told: &Told) -> Vec<String> {
    let mut lines = Vec::new();
    let what = if told.base.is_some() { "Nothing changes" } else { "There is nothing to do" };
    let other = if told.forecasts.is_empty() { "" } else { "other " };
    match told.quiet {
        0 => {}
        1 => lines.push(format!("{what} for 1 {other}release.")),
        many => lines.push(format!("{what} for {many} {other}releases.")),
    }
    if told.blind {
        let unseen = "No cluster was read: this is what Git alone tells, and a version that is proven already goes at once.";
        lines.push(unseen.to_owned());
    }
    if !told.forecasts.is_empty() {
        let unread =
            "The daemon's configuration was not read: approvals are counted by the authors of their commits.";
        lines.push(unread.to_owned());
    }
    lines
}

fn text(told: &Told, paint: Paint) -> String {
    let mut parts = Vec::new();
    for it in &told.useless {
        let word = paint.tint(Tint::Bad, "approves nothing");
        parts.push(format!("{}\n  {word}: {}\n  {}", it.path, it.reason, it.cure));
    }
    for said in &told.forecasts {
        let name = paint.tint(Tint::Strong, &format!("{}/{}", said.namespace, said.name));
        let mut lines = vec![format!("{name}  {}", versions(said)).trim_end().to_owned()];
        lines.extend(said.sentences.iter().map(|sentence| format!("  {sentence}")));
        parts.push(lines.join("\n"));
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
    for it in told.useless.iter().take(USELESS_MAX) {
        let (reason, cure) = (plain(&capital(&it.reason)), plain(&capital(&it.cure)));
        parts.push(format!("**This approves nothing:** {}\n\n- {reason}.\n- {cure}", code(&it.path)));
    }
    if let Some(more) = told.useless.len().checked_sub(USELESS_MAX).filter(|more| *more > 0) {
        parts.push(format!("And {more} more markers approve nothing."));
    }
    let mut length = 0;
    for (number, said) in told.forecasts.iter().enumerate() {
        let mut lines = vec![format!("**{}/{}** {}\n", said.namespace, said.name, plain(&versions(said)))];
        lines.extend(said.sentences.iter().map(|sentence| format!("- {}", plain(sentence))));
        let part = lines.join("\n");
        length += part.len();
        if length > COMMENT_MAX {
            parts.push(format!("And {} more releases.", told.forecasts.len() - number));
            break;
        }
        parts.push(part);
    }
    parts.extend(rest(told).iter().map(|line| plain(line)));
    parts.join("\n\n")
}

/// A path in a comment, as code where nothing in it could end that.
fn code(path: &str) -> String {
    if path.contains(|c: char| c == '`' || c.is_control()) { plain(path) } else { format!("`{path}`") }
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
        assert_eq!(code("approvals/a_b.yaml"), "`approvals/a_b.yaml`");
        assert_eq!(code("a`\n@all"), "a\\` &#64;all");
    }
}
