//! `triton adopt`: release files for CloneSets that run already.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;

use crate::catalog::Root;
use crate::cli::adopt_live::{Found, Live, Neighbour};
use crate::cli::adopt_read;
use crate::cli::adopt_text::yaml;
use crate::cli::clone::{LocalClone, PublishArgs};
use crate::cli::output::{Exit, Printer, Refusal};
use crate::cli::records::{ClusterArgs, Pattern};
use crate::cli::worktree::{self, OnDisk};
use crate::cluster::Cluster;
use crate::model::ReleaseId;
use crate::objects::{Kind, ObjectKey, keys};
use crate::plan::handover::hand_over;
use crate::spec::{RepositoryFile, Severity, assemble, parse_file, parse_repository};

/// From this size on a step of one half lies between one pod and all.
const HALF_FROM: u32 = 4;
/// Fields that are named of one CloneSet; of more, only the number is.
const FIELDS_MAX: usize = 5;

/// Write release files for CloneSets that run already: one commit, so that the daemon takes them over as they stand.
///
/// A file has only what somebody has applied or set: not what Kubernetes and Kruise have filled in, no status, and no
/// replicas where an autoscaler has them. Where the cluster lets you, a server-side dry-run shows that taking them over
/// moves no pod. Files that are there already are never touched.
#[derive(Args, Debug)]
pub struct AdoptArgs {
    /// The CloneSets: NAMESPACE/NAME or 'NAMESPACE/*'
    #[arg(value_name = "NAMESPACE/NAME")]
    pub pattern: Pattern,
    /// Write what serves their pods alone, too: Services, routes, autoscalers, disruption budgets, and the ConfigMaps
    /// that they read
    #[arg(long)]
    pub companions: bool,
    /// A strategy of triton.yaml; by default its default, else one pod, half of them, all
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Print the files, and commit nothing
    #[arg(long)]
    pub dry_run: bool,
    /// A folder in the clone to commit to
    #[arg(short = 'C', long = "dir", value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where the commit goes
    #[command(flatten)]
    pub publish: PublishArgs,
    /// The cluster where they run
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A file to be.
struct Draft {
    id: ReleaseId,
    path: String,
    text: String,
    /// What is to be known of it, a line each.
    careful: Vec<String>,
}

/// Runs `triton adopt`.
///
/// # Errors
/// Where nothing is to be adopted, the cluster or the clone cannot be read, or Git refuses.
pub async fn run(args: &AdoptArgs, printer: &Printer) -> Result<Exit> {
    run_in(args, args.cluster.connect().await?, printer).await
}

/// Runs `triton adopt` for a cluster that is connected already.
///
/// # Errors
/// As [`run`].
pub async fn run_in(args: &AdoptArgs, cluster: Cluster, printer: &Printer) -> Result<Exit> {
    let clone = LocalClone::find(&args.dir)?;
    let home = Home::find(&clone, &args.dir, args.strategy.as_deref())?;
    let live = Live::new(cluster);
    let (mut drafts, mut left) = (Vec::new(), Vec::new());
    let mut beside: BTreeMap<String, BTreeMap<ReleaseId, Vec<Neighbour>>> = BTreeMap::new();
    for found in live.clonesets(&args.pattern).await? {
        if let Some(why) = home.has(&found) {
            left.push(format!("leaves   {}: {why}", found.id));
            continue;
        }
        let namespace = found.id.namespace.to_string();
        if !beside.contains_key(&namespace) {
            beside.insert(namespace.clone(), live.neighbours(&namespace).await?);
        }
        let neighbours = beside.get_mut(&namespace).and_then(|all| all.remove(&found.id)).unwrap_or_default();
        match home.draft(&live, &found, &neighbours, args.companions).await {
            Ok(draft) => drafts.push(draft),
            Err(why) => left.push(format!("leaves   {}: {why}", found.id)),
        }
    }
    if drafts.is_empty() {
        left.iter().for_each(|line| printer.note(line));
        let refusal = Refusal::new(format!("no CloneSet of {} is to be adopted", args.pattern));
        return Err(refusal.hint("kubectl get clonesets -A lists what there is").into());
    }
    if args.dry_run {
        for draft in &drafts {
            printer.say(format!("# {}\n{}", draft.path, draft.text.trim_end()))?;
        }
        drafts.iter().flat_map(|draft| &draft.careful).chain(&left).for_each(|line| printer.note(line));
        return Ok(Exit::Fine);
    }
    commit(&clone, args, &drafts, &left, printer)?;
    Ok(Exit::Fine)
}

/// Commits the files, and tells of them.
fn commit(
    clone: &LocalClone,
    args: &AdoptArgs,
    drafts: &[Draft],
    left: &[String],
    printer: &Printer,
) -> Result<()> {
    let (title, branch) = match drafts {
        [only] => (format!("Adopt {}", only.id), format!("{}-{}", only.id.namespace, only.id.name)),
        many => (format!("Adopt {} CloneSets", many.len()), format!("{}-clonesets", many.len())),
    };
    clone.publish(&args.publish, &format!("triton/adopt-{branch}"), printer, || {
        for draft in drafts {
            let file = clone.top().join(&draft.path);
            let folder = file.parent().context("a file stands in a folder")?;
            std::fs::create_dir_all(folder)?;
            // Never over a file that came meanwhile.
            let written = File::create_new(&file).and_then(|mut file| file.write_all(draft.text.as_bytes()));
            written.with_context(|| draft.path.clone())?;
        }
        let paths: Vec<String> = drafts.iter().map(|draft| draft.path.clone()).collect();
        clone.commit(&paths, &title)?;
        let told = |draft: &Draft| {
            let adds = format!("adds     {}", draft.path);
            std::iter::once(adds).chain(draft.careful.clone()).collect::<Vec<_>>()
        };
        Ok(drafts.iter().flat_map(told).chain(left.to_vec()).collect())
    })
}

/// The root in the clone that the files go to.
struct Home {
    root: Root,
    top: PathBuf,
    /// Its releases as they stand on disk.
    releases: Vec<ReleaseId>,
    /// Its `triton.yaml`.
    settings: RepositoryFile,
    /// The strategy by name, where one is to be named.
    strategy: Option<String>,
}

impl Home {
    fn find(clone: &LocalClone, folder: &Path, strategy: Option<&str>) -> Result<Self> {
        let top = clone.top().canonicalize()?;
        let directory = match worktree::roots(clone.top(), folder) {
            Ok(mut roots) if roots.len() == 1 => roots.remove(0),
            Ok(_) => {
                let refusal = Refusal::new("the clone has more than one root");
                return Err(refusal.hint("name the one that is meant with -C DIR").into());
            }
            // A clone that has no release yet: its top is the root.
            Err(_) if folder.canonicalize()? == top => String::new(),
            Err(error) => return Err(error),
        };
        let root = Root::new(&directory);
        let settings = std::fs::read(top.join(root.settings())).ok();
        let settings = settings.map_or_else(RepositoryFile::default, |bytes| parse_repository(&bytes));
        if let Some(name) = strategy.filter(|name| !settings.strategies.contains_key(*name)) {
            let known: Vec<&str> = settings.strategies.keys().map(String::as_str).collect();
            let hint = if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            return Err(Refusal::new(format!("triton.yaml has no strategy {name}")).hint(hint).into());
        }
        let releases = OnDisk::read(&top, &directory)?.assembled.releases.into_keys().collect();
        Ok(Self { root, top, releases, settings, strategy: strategy.map(str::to_owned) })
    }

    fn path(&self, id: &ReleaseId) -> String {
        format!("{}/{}/{}.yaml", self.root.releases().trim_end_matches('/'), id.namespace, id.name)
    }

    /// Why nothing is written for a CloneSet.
    fn has(&self, found: &Found) -> Option<String> {
        if found.live.memory.is_some() && found.live.root.is_some() {
            return Some("Triton has it already".to_owned());
        }
        if self.releases.contains(&found.id) {
            return Some("the clone has this release already".to_owned());
        }
        if found.live.deleting {
            return Some("it is being deleted".to_owned());
        }
        let path = self.path(&found.id);
        self.top.join(&path).exists().then(|| format!("{path} is there already"))
    }

    /// The file of a CloneSet, with what is to be known of it; or why it cannot be one.
    async fn draft(
        &self,
        live: &Live,
        found: &Found,
        neighbours: &[Neighbour],
        companions: bool,
    ) -> Result<Draft, String> {
        let id = &found.id;
        let is_scaled = neighbours.iter().any(|it| it.key.kind == Kind::HorizontalPodAutoscaler)
            || found.live.replicas_owner.as_ref().is_some_and(|it| it.starts_with("kube-controller-manager"));
        let cloneset = adopt_read::cloneset(&found.object, !is_scaled);
        let (taken, other): (Vec<&Neighbour>, Vec<&Neighbour>) =
            neighbours.iter().partition(|it| companions && !it.is_shared);
        let mut text = self.head(id, (!is_scaled).then_some(found.live.replicas), &other);
        text.push_str(&format!("---\n{}", yaml(&cloneset)));
        for companion in &taken {
            let written = adopt_read::companion(companion.key.kind, &companion.object);
            text.push_str(&format!("---\n{}", yaml(&written)));
        }
        let path = self.path(id);
        self.read_again(&path, &text)?;
        let mut careful = warnings(found, &taken);
        match live.rehearse(found, &cloneset).await {
            Ok(changes) if changes.is_empty() => {}
            Ok(changes) => {
                let fields: Vec<&str> = changes.iter().take(FIELDS_MAX).map(|it| it.path.as_str()).collect();
                let more = changes.len().saturating_sub(FIELDS_MAX);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                careful.push(format!(
                    "careful  {id}: applied as it is written, its pods would be made anew: {}{more}; that comes by its steps",
                    fields.join(", ")
                ));
            }
            Err(error) => careful.push(format!("careful  {id}: no dry-run shows that no pod moves: {error}")),
        }
        Ok(Draft { id: id.clone(), path, text, careful })
    }

    /// The Release document, with a word about where it comes from.
    fn head(&self, id: &ReleaseId, size: Option<u32>, beside: &[&Neighbour]) -> String {
        let mut text =
            "# Written by `triton adopt` from what runs, without what Kubernetes and Kruise fill in.\n"
                .to_owned();
        if !beside.is_empty() {
            let names: Vec<String> =
                beside.iter().map(|it| format!("{} {}", it.key.kind, it.key.name)).collect();
            text.push_str(&format!("# Its pods also have: {}.\n", names.join(", ")));
        }
        text.push_str(&format!(
            "apiVersion: {}\nkind: Release\nmetadata:\n  namespace: {}\n  name: {}\n  annotations:\n    {}: \"true\"\n",
            keys::API_VERSION,
            id.namespace,
            id.name,
            keys::ADOPT
        ));
        text.push_str(&self.strategy(size));
        text
    }

    fn strategy(&self, size: Option<u32>) -> String {
        if let Some(name) = &self.strategy {
            return format!("spec:\n  strategy: {}\n", serde_json::Value::from(name.as_str()));
        }
        if self.settings.default.is_some() {
            return String::new();
        }
        let half = if size.is_none_or(|size| size >= HALF_FROM) {
            "    - replicas: 50%\n      soak: 5m\n      # approval: {}   # somebody approves before this step is entered\n"
        } else {
            ""
        };
        format!(
            "spec:\n  strategy:\n    steps:\n    - replicas: 1\n      soak: 5m\n{half}    - replicas: 100%\n"
        )
    }

    /// Looks whether a file is a release without mistakes, as `triton check` would.
    fn read_again(&self, path: &str, text: &str) -> Result<(), String> {
        let files = BTreeMap::from([(path.to_owned(), Arc::new(parse_file(text.as_bytes())))]);
        let assembled = assemble(&files, &self.settings);
        let mistake = assembled.diagnostics.into_iter().find(|it| it.severity == Severity::Error);
        let Some(mistake) = mistake else { return Ok(()) };
        Err(format!("what runs cannot be a release as it stands: {}; {}", mistake.message, mistake.cure))
    }
}

/// What keeps the daemon from taking it over as it stands.
fn warnings(found: &Found, taken: &[&Neighbour]) -> Vec<String> {
    let (id, live) = (&found.id, &found.live);
    let key = ObjectKey::cloneset(id);
    let mut lines = Vec::new();
    let mut tell = |key: &ObjectKey, tool: &crate::world::OtherTool| {
        lines.push(format!("careful  {key} is also applied by {tool}; hand it over: {}", hand_over(tool)));
    };
    if let Some(tool) = &live.other_owner {
        tell(&key, tool);
    }
    for companion in taken {
        if let Some(tool) = crate::cluster::tools::other_tool(&companion.object) {
            tell(&companion.key, &tool);
        }
    }
    let status = &live.status;
    if live.kept() > 0 || live.paused || status.current_revision != status.update_revision {
        lines.push(format!(
            "careful  {id} is in the middle of a rollout: it is taken over once that is finished"
        ));
    }
    lines
}
