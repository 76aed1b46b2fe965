//! `triton check`: reads the specs as they stand in the work tree.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::catalog::{Catalog, Question, Root, Snapshot};
use crate::cli::draft::{self, Draft};
use crate::cli::output::{Exit, Format, Paint, Printer, Tint};
use crate::cli::worktree::{self, OnDisk};
use crate::model::CommitId;
use crate::spec::{Diagnostic, Severity};
use crate::world::{Desired, Policy};

/// Read the specs and say what is to be mended: 0 clean, 1 something to mend.
///
/// Reads the files as they stand in the work tree, committed or not. Of a directory in a root that root is read; of
/// one above several roots, all of them.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The repository, or a directory in it
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// The branch that this is to be merged into: a new marker that would approve nothing there is an error
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// A mistake, as `check -o json` has it.
#[derive(Debug, Serialize)]
struct Mistake<'a> {
    severity: &'static str,
    path: &'a str,
    line: u32,
    column: u32,
    message: &'a str,
    cure: &'a str,
}

impl<'a> Mistake<'a> {
    fn of(it: &'a Diagnostic) -> Self {
        let Diagnostic { severity, path, line, column, message, cure, snippet: _ } = it;
        Self { severity: severity.word(), path, line: *line, column: *column, message, cure }
    }
}

/// Runs `triton check`.
///
/// # Errors
/// Where there is nothing to read, or the disk refuses.
pub fn run(args: &CheckArgs, printer: &Printer) -> Result<Exit> {
    let top = worktree::top(&args.path)?;
    let mut found = Vec::new();
    let mut releases = 0;
    for root in worktree::roots(&top, &args.path)? {
        let disk = OnDisk::read(&top, &root)?;
        releases += disk.assembled.releases.len();
        found.extend(disk.diagnostics);
    }
    if let Some(base) = &args.base {
        let draft = Draft::of(&args.path, Some(base))?;
        found.extend(unread_configs(&draft)?);
        let idle = idle_markers(&draft)?;
        printer.note("markers are judged without the daemon's configuration: its people, bots and skip");
        // One that is named wrong is told already, as a warning.
        found.retain(|it| !idle.iter().any(|new| new.path == it.path));
        found.extend(idle);
    }
    match args.output {
        Format::Json => printer.json(&found.iter().map(Mistake::of).collect::<Vec<_>>())?,
        Format::Text => {
            for it in &found {
                printer.say(show(it, printer.paint))?;
            }
            printer.say(summary(releases, &found))?;
        }
    }
    let broken = found.iter().any(|it| it.severity == Severity::Error);
    Ok(if broken { Exit::YourTurn } else { Exit::Fine })
}

/// The ConfigMaps that the base has, and a template names that nobody applies any more.
fn unread_configs(draft: &Draft) -> Result<Vec<Diagnostic>> {
    let mut found = Vec::new();
    for root in draft.roots.iter().map(|directory| Root::new(directory)) {
        let releases = |commit: CommitId| {
            let tree = draft.repository.commit(commit)?.tree;
            anyhow::Ok(Snapshot::read(&draft.repository, &root, tree)?.assemble(&root).releases)
        };
        let (before, after) =
            (draft.base.map(releases).transpose()?.unwrap_or_default(), releases(draft.head)?);
        for (id, new) in after.iter().filter_map(|(id, new)| Some((id, new.as_ref().ok()?))) {
            let Some(Ok(old)) = before.get(id) else { continue };
            found.extend(draft::unread(old, new).into_iter().map(|key| Diagnostic {
                severity: Severity::Warning,
                path: new.path.clone(),
                line: 0,
                column: 0,
                message: format!(
                    "{key} is dropped, and the template still names it: no new pod of {id} would come up"
                ),
                cure: "keep it, or take its name out of the template".to_owned(),
                snippet: String::new(),
            }));
        }
    }
    Ok(found)
}

/// The markers that are new since the base and would approve nothing there.
fn idle_markers(draft: &Draft) -> Result<Vec<Diagnostic>> {
    let mut found = Vec::new();
    for directory in &draft.roots {
        let policy = Arc::new(Policy { path: directory.clone(), ..Policy::default() });
        let (head, seen, known) = (draft.head, draft.base, BTreeMap::new());
        let question = Question { repository: &draft.repository, head, seen, known: &known, policy: &policy };
        let reading = Catalog::new(directory).read(&question)?;
        let intents = reading.desired.iter().filter_map(|(id, desired)| match desired {
            Desired::Release(intent) => Some((id.clone(), &**intent)),
            Desired::Broken(_) | Desired::Gone(_) | Desired::Unknown => None,
        });
        let root = Root::new(directory);
        let idle = draft::useless(&root, &draft.changes(&root)?, &intents.collect());
        found.extend(idle.into_iter().map(|it| Diagnostic {
            severity: Severity::Error,
            path: it.path,
            line: 0,
            column: 0,
            message: format!("approves nothing: {}", it.reason),
            cure: it.cure,
            snippet: String::new(),
        }));
    }
    Ok(found)
}

/// A mistake as people see it: what, where, the lines around it, the cure.
fn show(it: &Diagnostic, paint: Paint) -> String {
    let tint = match it.severity {
        Severity::Error => Tint::Bad,
        Severity::Warning => Tint::Warn,
    };
    let word = it.severity.word();
    let text = it.render();
    text.strip_prefix(word).map_or_else(|| text.clone(), |rest| format!("{}{rest}", paint.tint(tint, word)))
}

fn summary(releases: usize, found: &[Diagnostic]) -> String {
    let count = |severity| found.iter().filter(|it| it.severity == severity).count();
    let many = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    format!(
        "{}, {}, {}",
        many(releases, "release"),
        many(count(Severity::Error), "error"),
        many(count(Severity::Warning), "warning")
    )
}
