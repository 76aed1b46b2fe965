//! What a scenario file says. `tests/scenarios/README.md` tells it in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The ids that it covers, with the sentence of each.
    pub says: BTreeMap<String, String>,
    /// The daemon's configuration, where it is not the default.
    #[serde(default)]
    pub policy: PolicyText,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// The parts of the daemon's configuration that scenarios turn.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// Authors of commits are believed to be people.
    #[serde(default)]
    pub people: bool,
    /// Proven releases that are kept; the default where none is said.
    #[serde(default)]
    pub depth: Option<usize>,
    /// Authors who are nobody.
    #[serde(default)]
    pub bots: BTreeSet<String>,
}

/// One thing that happens, or that is looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Files are edited and committed on the branch that is checked out.
    Commit(Commit),
    /// A marker is committed for the release as the branch has it.
    Approve(Approve),
    /// A branch is begun here, and checked out.
    Branch(String),
    /// A branch is checked out.
    Checkout(String),
    /// A branch is brought into the one that is checked out.
    Merge(Merge),
    /// A commit is taken back, by its name.
    Revert(Revert),
    /// The tracked branch is set to a commit, by its name, whatever it had.
    Rewind(String),
    /// The tracked branch gets a history of its own, with the files that it has.
    Rewrite {},
    /// The tracked branch is deleted.
    DeleteBranch {},
    /// The tracked branch is there again, as it was.
    RestoreBranch {},
    /// The repository does not answer, or does again.
    Unreachable(bool),
    /// In the repository's place is one without a single commit, or it is there again.
    Empty(bool),
    /// Somebody acts on the cluster.
    Cluster(Act),
    /// Time passes.
    Advance(Span),
    /// The pods with this image tag are remembered, for `untouched`.
    Remember(String),
    /// A commit names remembered pods to be replaced.
    Replace(Replace),
    /// The daemon is killed and started anew.
    Restart {},
    /// The daemon is killed.
    Kill {},
    /// The daemon has seen the branch's newest commit: the lease names it.
    Seen {},
    /// The daemon is started.
    Start(Start),
    /// The daemon stands still, wherever it is; another one may be started.
    Pause {},
    /// The one that stands still goes on, beside the other one if there is one.
    Resume {},
    /// The daemon's configuration accepts the commit with this name as the head.
    Accept(String),
    /// This comes to be, within a time.
    Expect(Expect),
    /// This is so, and stays so.
    Stays(Stays),
}

/// Where the daemon is started.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Start {
    /// On a machine that has never seen the repository.
    pub elsewhere: bool,
}

/// An edit of files, and its commit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commit {
    /// By which later steps call it.
    pub name: Option<String>,
    /// Its author.
    pub by: Option<String>,
    /// Its message.
    pub message: Option<String>,
    /// The release whose file `image` and `set` edit; `checkout` where none is named.
    pub release: Option<String>,
    /// The tag of the first container's image.
    pub image: Option<String>,
    /// Fields, as `CloneSet.spec.replicas`; null takes one out.
    pub set: BTreeMap<String, Value>,
    /// Whole files. `{digest}` in a path is the digest that `release` has once the edits are made, `{twelve}` its
    /// first twelve digits.
    pub files: BTreeMap<String, String>,
    /// Files and folders that go, named as in `files`.
    pub remove: Vec<String>,
    /// Files that move, from and to.
    pub rename: BTreeMap<String, String>,
    /// So many copies of the release, as `checkout-1` …
    pub copies: u32,
}

/// Names in `spec.replace`, and their commit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replace {
    /// So many of the remembered pods that are there, by name.
    pub first: usize,
    /// Names of others.
    pub also: Vec<String>,
    /// In the same commit, the size.
    pub replicas: Option<u32>,
}

/// An approval.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Approve {
    /// The release; `checkout` where none is named.
    pub release: Option<String>,
    /// For this step.
    pub step: Option<u32>,
    /// Or to let the pods of this step serve.
    pub serve: Option<u32>,
    /// Or for all of it, as a hotfix.
    pub skip: bool,
    /// Or of the removal in the commit with this name.
    pub removal: Option<String>,
    /// For the digest that the release had in the commit with this name.
    pub of: Option<String>,
    /// By whom.
    pub by: Option<String>,
    /// What stands behind the step in its file's name.
    pub file: Option<String>,
    /// By which later steps call the commit.
    pub name: Option<String>,
}

/// How a branch is brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A merge commit.
    Merge,
    /// One commit with all of it.
    Squash,
    /// Its commits, one by one.
    Rebase,
    /// Nothing but the branch's own tip.
    FastForward,
}

/// A merge.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The branch.
    pub branch: String,
    /// How.
    pub how: How,
    /// Who presses the button.
    #[serde(default)]
    pub by: Option<String>,
    /// By which later steps call the commit.
    #[serde(default)]
    pub name: Option<String>,
}

/// A revert.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revert {
    /// The commit that is taken back.
    pub commit: String,
    /// By which later steps call the new one.
    #[serde(default)]
    pub name: Option<String>,
}

/// What somebody does to the cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Act {
    /// One pod with this image tag is deleted, a ready one where there is one.
    KillPod(String),
    /// One pod with this image tag is evicted: it stays, in phase Failed.
    EvictPod(String),
    /// An object is deleted, as `CloneSet/checkout`.
    Delete(String),
    /// The CloneSet is edited, by a merge patch.
    Patch(Value),
    /// The HTTPRoute is edited, by a merge patch.
    Route(Value),
    /// The canary Ingress is edited, by a merge patch.
    Canary(Value),
    /// Objects are edited, each by a merge patch, as `Service/checkout`; `{digest}` is the digest that is entered, and `{hash B}`
    /// the label of the revision of pods with image `B`.
    Edit(BTreeMap<String, Value>),
    /// The CloneSet is annotated; null takes one off, and `{digest}` is the digest that is entered.
    Annotate(BTreeMap<String, Value>),
    /// The CloneSet is scaled through its scale subresource, as an autoscaler does.
    Scale(u32),
    /// An object is there that somebody else has made.
    Create(Value),
    /// Containers of this tag, or that read the ConfigMap of this name, crash from now on, though they came up.
    Break(String),
    /// They run again.
    Heal(String),
    /// Pods of these tags take so much longer to come up.
    Slow(BTreeMap<String, Span>),
    /// Every request takes so long.
    Lag(Span),
    /// Every write of the daemon to objects of these plurals is refused; none named, none is.
    Refuse(Vec<String>),
    /// Every write of the daemon to objects of these plurals is done, and no answer comes; none named, each is answered.
    Mute(Vec<String>),
    /// The partition is edited; until it is put back, Kruise may let more pods go than anybody has approved.
    Partition(Value),
    /// The CloneSet is saved as it stands.
    Save {},
    /// The saved CloneSet is put in the place of the present one, as a backup does it: with a new UID.
    Restore {},
    /// Kruise is upgraded, and encodes templates in another way.
    Reencode {},
}

/// What is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Picture {
    /// The release; `checkout` where none is named.
    pub release: Option<String>,
    /// Where it is, in one word.
    pub phase: Option<String>,
    /// The step that it is at.
    pub step: Option<u32>,
    /// Version of the release that is entered, or waits to be.
    pub version: Option<String>,
    /// Pods by image tag: these and no others.
    pub images: Option<BTreeMap<String, u32>>,
    /// Pods that the Service leads to, by image tag: these and no others.
    pub serves: Option<BTreeMap<String, u32>>,
    /// Pods that the preview Service leads to, by image tag: these and no others.
    pub previews: Option<BTreeMap<String, u32>>,
    /// Where the route leads everybody, by its last rule: by Service, in percent, to these and no others.
    pub traffic: Option<BTreeMap<String, u64>>,
    /// Where it leads testers, by a rule in front; to none where nobody is one.
    pub testers: Option<BTreeMap<String, u64>>,
    /// Pods as the status counts them.
    pub pods: Option<Pods>,
    /// Closed gates: these and no others.
    pub gates: Option<Vec<String>>,
    /// What a hold says: parts of sentences.
    pub holds: Vec<String>,
    /// Files that have no effect, and parts of the reason.
    pub ignored: BTreeMap<String, String>,
    /// Whether there is a CloneSet.
    pub cloneset: Option<bool>,
    /// Parts of objects named as the release, as `CloneSet.spec.replicas`.
    pub fields: BTreeMap<String, Value>,
    /// So many of the remembered pods are there, with the same image, and were never restarted.
    pub untouched: Option<usize>,
    /// So many of the remembered pods are there, whatever they run by now.
    pub kept: Option<usize>,
    /// Other objects, as `Service/checkout`, and whether they are there, or fields that they have.
    pub objects: BTreeMap<String, Value>,
    /// Decisions in the record's history that must be there, in this order: `Repair`, or `Repair: part of what it says`.
    pub history: Vec<String>,
}

/// Counts of pods.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Pods {
    /// The size.
    pub desired: Option<u32>,
    /// On the new revision.
    pub updated: Option<u32>,
    /// Of these, available.
    pub updated_available: Option<u32>,
}

/// What comes to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Expect {
    /// Within this time; a minute where none is given.
    #[serde(default)]
    pub within: Option<Span>,
    /// What.
    #[serde(flatten)]
    pub picture: Picture,
}

/// What stays.
#[derive(Clone, Debug, Deserialize)]
pub struct Stays {
    /// For so long.
    #[serde(rename = "for")]
    pub span: Span,
    /// Whether nothing but the lease and the record is written meanwhile.
    #[serde(default)]
    pub quiet: bool,
    /// What.
    #[serde(flatten)]
    pub picture: Picture,
}

/// A span of time, as `1h30m`.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub SignedDuration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// The moment at which every scenario begins.
pub fn dawn() -> Timestamp {
    "2026-03-01T08:00:00Z".parse().expect("a time")
}

/// Where the scenarios are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// Reads a file.
pub fn read(file: &str) -> Scenario {
    let text = fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    parse(file, &text)
}

/// Reads the text of a file.
pub fn parse(file: &str, text: &str) -> Scenario {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"))
}
