//! `triton approve`: one commit that adds a marker.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::cli::clone::PublishArgs;
use crate::cli::locate::Located;
use crate::cli::output::{Exit, Printer, Refusal};
use crate::cli::records::{ClusterArgs, Pattern};
use crate::model::{CommitId, ReleaseId};
use crate::spec::{Permission, Place, Release, Step};
use crate::world::{Intent, Marker as Marked, Permit};

/// Letters of a marker's own word: no vowels, so that it never says anything.
const LETTERS: &[u8; 28] = b"bcdfghjkmnpqrstvwxz123456789";
/// Letters in it: two approvers of one step meet once in half a million times.
const WORD: usize = 4;
/// Swept markers that are told by name; of more, only the number is.
const SHOWN_MAX: usize = 5;

/// Approve the next step of a release: one commit that adds a marker.
///
/// The marker names the release as it stands at HEAD of the clone, by its digest: it lets that very release, and no
/// other, enter the step. Without --step it is the lowest step that Git does not permit yet. With --serve it lets pods
/// serve that are up and wait for it (`serve: approval`). Markers of this release
/// for other digests are dead, and go in the same commit.
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("what").args(["step", "skip", "removal", "waiting"]))]
pub struct ApproveArgs {
    /// The release
    #[arg(
        value_name = "NAMESPACE/NAME",
        required_unless_present_any = ["removal", "waiting"],
        conflicts_with_all = ["removal", "waiting"]
    )]
    pub release: Option<ReleaseId>,
    /// Approve every release that waits for an approval now, by the cluster's records: 'NAMESPACE/*', in one commit
    #[arg(long, value_name = "NAMESPACE/*")]
    pub waiting: Option<Pattern>,
    /// Approve this step, also ahead of its turn
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub step: Option<u32>,
    /// Let the pods of a step serve that are up and wait: the lowest such step, or the one of --step
    #[arg(long, conflicts_with_all = ["skip", "removal", "waiting"])]
    pub serve: bool,
    /// Open approvals, soak and freezes for this release, once: a hotfix; needs a reason
    #[arg(long, requires = "reason")]
    pub skip: bool,
    /// Approve the removal of releases by this commit
    #[arg(long, value_name = "COMMIT")]
    pub removal: Option<String>,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// A folder in the clone to commit to
    #[arg(short = 'C', long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where the commit goes
    #[command(flatten)]
    pub publish: PublishArgs,
    /// The cluster whose records say what waits
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl ApproveArgs {
    /// As `triton approve NAMESPACE/NAME`, typed in `folder`.
    #[must_use]
    pub fn of(release: ReleaseId, folder: &Path) -> Self {
        Self {
            release: Some(release),
            step: None,
            serve: false,
            skip: false,
            removal: None,
            reason: None,
            waiting: None,
            dir: folder.to_owned(),
            publish: PublishArgs::default(),
            cluster: ClusterArgs::default(),
        }
    }
}

/// A release that waits for an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub id: ReleaseId,
    /// The digest that waits.
    pub digest: String,
    /// Whether its pods wait to serve, and no step to be entered.
    pub serve: bool,
}

/// What is to be committed.
struct Marker {
    /// Its file, from the repository's top.
    path: String,
    /// What stands in it.
    text: String,
    /// Dead markers that go with it.
    dead: Vec<String>,
    /// First line of the commit's message.
    title: String,
    /// The branch for a pull request.
    branch: String,
}

/// Runs `triton approve`.
///
/// # Errors
/// Where there is nothing to approve, or Git refuses.
pub fn run(args: &ApproveArgs, printer: &Printer) -> Result<Exit> {
    let located = Located::find(&args.dir, args.release.as_ref())?;
    let head = located.clone.head()?;
    let marker = match (&args.release, &args.removal) {
        (_, Some(commit)) => removal(&located, commit, args.reason.as_deref())?,
        (Some(id), None) => marker(&located, head, args, id)?,
        (None, None) => return Err(Refusal::new("name a release").into()),
    };
    commit(&located, args, &[marker], printer)
}

/// Runs `triton approve --waiting` for the releases that wait, each with the digest that the cluster waits with: one
/// commit.
///
/// # Errors
/// Where one of them cannot be approved, the clone has another digest, or Git refuses.
pub fn run_all(args: &ApproveArgs, waiting: &[Waiting], printer: &Printer) -> Result<Exit> {
    let located = Located::find(&args.dir, waiting.first().map(|it| &it.id))?;
    let head = located.clone.head()?;
    let mut markers = Vec::new();
    for Waiting { id, digest, serve } in waiting {
        let release = &located.intent(head, id)?.release;
        if release.digest.long() != *digest {
            return Err(Refusal::new(format!("the clone has another {id} than the one that waits"))
                .hint("git pull, and try again; or push first what the clone has")
                .into());
        }
        markers.push(marker(&located, head, &ApproveArgs { serve: *serve, ..args.clone() }, id)?);
    }
    commit(&located, args, &markers, printer)
}

fn marker(located: &Located, head: CommitId, args: &ApproveArgs, id: &ReleaseId) -> Result<Marker> {
    let intent = located.intent(head, id)?;
    if args.publish.pr {
        is_sent(located, id, &intent.release)?;
    }
    let dead = dead(located, head, &intent.release)?;
    step_marker(located, args, &intent, dead)
}

/// Refuses to approve by a pull request what only the clone has: without that, it would approve nothing.
fn is_sent(located: &Located, id: &ReleaseId, release: &Release) -> Result<()> {
    let Some(sent) = located.clone.sent(&located.clone.branch()?)? else { return Ok(()) };
    match located.intent(sent, id) {
        Ok(there) if there.release.digest == release.digest => Ok(()),
        Ok(_) | Err(_) => Err(Refusal::new(format!("{id} is changed by commits that were not sent yet"))
            .hint("send those first: a pull request with an approval has nothing else in it")
            .into()),
    }
}

/// Commits markers, and tells of them.
fn commit(located: &Located, args: &ApproveArgs, markers: &[Marker], printer: &Printer) -> Result<Exit> {
    let (branch, title) = match markers {
        [only] => (only.branch.clone(), only.title.clone()),
        many => {
            let titles: Vec<String> = many.iter().map(|marker| format!("- {}", marker.title)).collect();
            let title = format!("Approve {} releases\n\n{}", many.len(), titles.join("\n"));
            (format!("triton/approve-{}-releases-{}", many.len(), word()), title)
        }
    };
    located.clone.publish(&args.publish, &branch, printer, || {
        let mut paths = Vec::new();
        for marker in markers {
            let file = located.clone.top().join(&marker.path);
            let folder = file.parent().context("a marker stands in a folder")?;
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, &marker.text))?;
            paths.push(marker.path.clone());
            for dead in &marker.dead {
                let file = located.clone.top().join(dead);
                match std::fs::remove_file(&file) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(error).with_context(|| dead.clone());
                    }
                    Ok(()) | Err(_) => {}
                }
                // A digest's folder that has other files of somebody's stays.
                let _ = file.parent().map(std::fs::remove_dir);
                paths.push(dead.clone());
            }
        }
        let reason = args.reason.as_ref().map(|reason| format!("\n\n{reason}")).unwrap_or_default();
        let swept = swept(markers).map(|swept| format!("\n\nRemoves {swept}.")).unwrap_or_default();
        located.clone.commit(&paths, &format!("{title}{reason}{swept}"))?;
        Ok(told(markers))
    })?;
    Ok(Exit::Fine)
}

/// What a commit adds and removes, a line each.
fn told(markers: &[Marker]) -> Vec<String> {
    let mut lines: Vec<String> = markers.iter().map(|marker| format!("adds     {}", marker.path)).collect();
    let dead: Vec<&String> = markers.iter().flat_map(|marker| &marker.dead).collect();
    if dead.len() <= SHOWN_MAX {
        lines.extend(dead.iter().map(|path| format!("removes  {path}")));
    }
    lines.extend(swept(markers).map(|swept| format!("sweeps   {swept}")));
    lines
}

/// What is swept, in words; nothing where nothing is.
fn swept(markers: &[Marker]) -> Option<String> {
    match markers.iter().map(|marker| marker.dead.len()).sum() {
        0 => None,
        1 => Some("1 marker of another version, which approves nothing any more".to_owned()),
        many => Some(format!("{many} markers of other versions, which approve nothing any more")),
    }
}

/// The markers of other digests than the release's own: they approve nothing any more.
fn dead(located: &Located, commit: CommitId, release: &Release) -> Result<Vec<String>> {
    let tree = located.repository.commit(commit)?.tree;
    let own = release.digest.long();
    let entries = located.repository.list(tree, &[&located.root.approvals_of(&release.id)])?;
    let is_dead =
        |path: &str| matches!(located.root.place(path), Place::Marker(marker) if marker.digest != own);
    let files = entries.into_iter().filter(|entry| entry.kind.is_file());
    Ok(files.map(|entry| entry.name).filter(|path| is_dead(path)).collect())
}

fn step_marker(located: &Located, args: &ApproveArgs, intent: &Intent, dead: Vec<String>) -> Result<Marker> {
    let release = &intent.release;
    let id = &release.id;
    let named = format!("{id} {} ({})", release.version, release.digest.short());
    let (permits, title, text) = if args.skip {
        let title = format!("Skip the gates of {named}");
        (Permission::Skip, title, format!("# Opens approvals, soak and freezes for {named}.\n"))
    } else if args.serve {
        let step = match args.step {
            Some(step) => asked_to_serve(intent, step).map(|()| step)?,
            None => next_to_serve(intent)?,
        };
        let title = format!("Let the pods of step {step} of {named} serve");
        (Permission::Serve(step), title, format!("# Lets the pods of step {step} of {named} serve.\n"))
    } else {
        let step = match args.step {
            Some(step) => asked(intent, step).map(|()| step)?,
            None => next(intent)?,
        };
        let service = release.strategy.service(step).map(|service| format!("Service {service}"));
        let target = service.or_else(|| Some(release.step(step)?.replicas.to_string()));
        let title = format!("Approve step {step} ({}) of {named}", target.unwrap_or_default());
        (Permission::Step(step), title, format!("# Lets {named} enter step {step}.\n"))
    };
    let short = release.digest.short();
    Ok(Marker {
        path: fresh(located, release, permits),
        text: text + &reason(args.reason.as_deref()),
        dead,
        title,
        branch: format!("triton/approve-{}-{}-{short}-{permits}", id.namespace, id.name),
    })
}

/// The approvals that `step` asks for; 0 for none.
fn count(release: &Release, step: u32) -> usize {
    release.step(step).and_then(|step| step.approval).map_or(0, |approval| approval.count as usize)
}

/// The approvals of `step` that count.
fn given(intent: &Intent, step: u32) -> usize {
    let counts = |marker: &&Marked| marker.counts.is_ok() && marker.permits == Some(Permit::Step(step));
    intent.markers.iter().filter(counts).count()
}

/// Whether `step` takes approvals. One that has enough of them takes another: the daemon's configuration may name
/// an approver a bot, which is not known here.
fn asked(intent: &Intent, step: u32) -> Result<()> {
    let release = &intent.release;
    let id = &release.id;
    let last = release.last_step();
    let why = match (step > last, count(release, step)) {
        (true, _) => format!("{id} has steps 1 to {last}, no step {step}"),
        (false, 0) => format!("step {step} of {id} asks for no approval"),
        (false, _) => return Ok(()),
    };
    Err(Refusal::new(why).hint("`triton why` says what it waits for").into())
}

/// The lowest step that lacks an approval.
fn next(intent: &Intent) -> Result<u32> {
    let release = &intent.release;
    let id = &release.id;
    let mut steps = 1..=release.last_step();
    if let Some(step) = steps.clone().find(|step| given(intent, *step) < count(release, *step)) {
        return Ok(step);
    }
    Err(if steps.any(|step| count(release, step) > 0) {
        Refusal::new(format!("{id} {} has every approval that its steps ask for", release.version)).hint(
            "`triton why` says what it waits for; `git push` if the approval is only here; where the daemon \
                 does not count one of them, --step names the step that takes another",
        )
    } else {
        let hint = if (1..=release.last_step()).any(|step| asks_to_serve(release, step)) {
            "its pods serve by approval: `triton approve --serve` gives that"
        } else {
            "`triton why` says what it waits for"
        };
        Refusal::new(format!("no step of {id} asks for an approval")).hint(hint)
    }
    .into())
}

/// Whether the pods of `step` serve by approval.
fn asks_to_serve(release: &Release, step: u32) -> bool {
    release.step(step).is_some_and(Step::serves_by_approval)
}

fn asked_to_serve(intent: &Intent, step: u32) -> Result<()> {
    let release = &intent.release;
    if asks_to_serve(release, step) {
        return Ok(());
    }
    let (id, last) = (&release.id, release.last_step());
    Err(Refusal::new(match step > last {
        true => format!("{id} has steps 1 to {last}, no step {step}"),
        false => {
            format!("pods of step {step} of {id} serve by themselves: it does not say `serve: approval`")
        }
    })
    .hint("`triton why` says what it waits for")
    .into())
}

/// The lowest step whose pods lack an approval to serve.
fn next_to_serve(intent: &Intent) -> Result<u32> {
    let release = &intent.release;
    let counts = |step: u32| {
        let is_it = |it: &&Marked| it.counts.is_ok() && it.permits == Some(Permit::Serve(step));
        intent.markers.iter().find(is_it).is_some()
    };
    let mut asking = (1..=release.last_step()).filter(|step| asks_to_serve(release, *step)).peekable();
    let id = &release.id;
    let why = match asking.peek() {
        None => format!("pods of {id} serve by themselves: no step says `serve: approval`"),
        Some(_) => format!("{id} {} has every approval to serve that its steps ask for", release.version),
    };
    asking
        .find(|step| !counts(*step))
        .ok_or_else(|| Refusal::new(why).hint("`triton why` says what it waits for").into())
}

fn removal(located: &Located, commit: &str, why: Option<&str>) -> Result<Marker> {
    let refusal =
        |_| Refusal::new(format!("the clone has no commit {commit}")).hint("git fetch, and try again");
    let commit = located.repository.resolve(commit).map_err(refusal)?;
    let path = located.root.removal(commit);
    if located.clone.top().join(&path).exists() {
        return Err(Refusal::new(format!("the removals of {} are approved already", commit.short())).into());
    }
    Ok(Marker {
        path,
        text: format!("# Lets the releases go that commit {} removed.\n{}", commit.short(), reason(why)),
        dead: Vec::new(),
        title: format!("Approve what commit {} removes", commit.short()),
        branch: format!("triton/approve-removal-{}", commit.short()),
    })
}

/// The reason as YAML; a JSON string is one.
fn reason(text: Option<&str>) -> String {
    text.map(|text| format!("reason: {}\n", serde_json::Value::from(text))).unwrap_or_default()
}

/// A path that no marker has: two people who approve the same step never touch the same file.
fn fresh(located: &Located, release: &Release, permits: Permission) -> String {
    loop {
        let path = located.root.marker(&release.id, &release.digest, permits, &word());
        if !located.clone.top().join(&path).exists() {
            return path;
        }
    }
}

/// A random word, from the seed that the standard library takes from the system for each hasher.
fn word() -> String {
    let mut number = RandomState::new().build_hasher().finish();
    let mut letter = || {
        let index = usize::try_from(number % LETTERS.len() as u64).unwrap_or(0);
        number /= LETTERS.len() as u64;
        char::from(LETTERS[index])
    };
    (0..WORD).map(|_| letter()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_differ_and_say_nothing() {
        let words: std::collections::BTreeSet<String> = (0..100).map(|_| word()).collect();
        assert!(words.len() > 95, "{}", words.len());
        assert!(
            words.iter().all(|word| word.len() == WORD && word.bytes().all(|byte| LETTERS.contains(&byte)))
        );
    }
}
