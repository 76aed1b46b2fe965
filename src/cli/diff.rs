//! `triton diff`: desired against live, field by field.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::catalog::{Root, Snapshot};
use crate::cli::draft::Draft;
use crate::cli::output::{Exit, Format, Paint, Printer, Refusal, Tint};
use crate::cli::records::{ClusterArgs, Records};
use crate::cli::render::span;
use crate::cluster::{Cluster, Target, project};
use crate::controller::documents::unpack;
use crate::controller::drift::wanted_cloneset;
use crate::fields::{FieldChange, compare, compare_named, drift};
use crate::model::ReleaseId;
use crate::objects::{Kind, ObjectKey, keys};
use crate::plan::body;
use crate::plan::shares::Shares;
use crate::spec::switched::DIGITS;
use crate::spec::{Companion, Release};
use crate::world::{Policy, twin_name};

/// Most characters of one value that are shown to people; `-o json` has it whole.
const VALUE_MAX: usize = 120;

/// Show how the cluster differs from the specs, field by field.
///
/// The specs are those of the work tree, committed or not. Of an object of the cluster only what Git says, or Triton
/// has written, is looked at; partition and paused belong to the rollout.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// The repository or a directory in it, or else the release
    #[arg(value_name = "PATH")]
    pub path: Option<String>,
    /// Only this release
    #[arg(value_name = "NAMESPACE/NAME")]
    pub release: Option<ReleaseId>,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
    /// The cluster to read
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl DiffArgs {
    /// Path and release; of one argument that is no path on disk, the release is meant.
    fn meant(&self) -> Result<(PathBuf, Option<ReleaseId>)> {
        let here = || PathBuf::from(".");
        let Some(path) = &self.path else { return Ok((here(), self.release.clone())) };
        if self.release.is_some() || Path::new(path).exists() {
            return Ok((PathBuf::from(path), self.release.clone()));
        }
        let refusal = |_| Refusal::new(format!("{path} is neither a folder nor the name of a release"));
        Ok((here(), Some(path.parse().map_err(refusal)?)))
    }
}

/// How one object stands to the specs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As they say.
    Same,
    /// Some fields differ.
    Differs,
    /// It is not there.
    Missing,
}

/// One field. `diff -o json` has a list of objects with these.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// As people write it: `spec.template.spec.containers[name=app].image`.
    pub path: String,
    /// What the cluster has; none where the field is not there.
    pub live: Option<Value>,
    /// What the specs say; none for a field that they have no more.
    pub desired: Option<Value>,
    /// Who wrote it, where that is somebody else.
    pub manager: Option<String>,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The release, `namespace/name`.
    pub release: String,
    /// `CloneSet shop/checkout`; `ConfigMap shop/cfg, as cfg-5d41402abc4b2a76`.
    pub object: String,
    /// How it stands.
    pub state: State,
    /// The fields that differ.
    pub fields: Vec<Field>,
    /// One sentence about where some of them come from, if no file has them.
    pub note: Option<String>,
}

/// Runs `triton diff`.
///
/// # Errors
/// Where the specs or the cluster cannot be read.
pub async fn run(args: &DiffArgs, printer: &Printer) -> Result<Exit> {
    let (path, only) = args.meant()?;
    let releases = releases(&Draft::of(&path, None)?, only.as_ref())?;
    let (cluster, records) = (args.cluster.connect().await?, args.cluster.records().await?);
    let mut found = Vec::new();
    for release in &releases {
        let entered = entered(&records, &release.id).await;
        found.extend(objects(&cluster, entered.as_ref(), release).await?);
    }
    match args.output {
        Format::Json => printer.json(&found)?,
        Format::Text => printer.say(text(&found, printer.paint))?,
    }
    Ok(Exit::Fine)
}

/// The releases of the tree that can be read.
fn releases(draft: &Draft, only: Option<&ReleaseId>) -> Result<Vec<std::sync::Arc<Release>>> {
    let tree = draft.repository.commit(draft.head)?.tree;
    let mut found = Vec::new();
    for directory in &draft.roots {
        let root = Root::new(directory);
        let assembled = Snapshot::read(&draft.repository, &root, tree)?.assemble(&root);
        let meant = assembled.releases.into_iter().filter(|(id, _)| only.is_none_or(|only| only == id));
        for (id, release) in meant {
            match release {
                Ok(release) => found.push(release),
                Err(_) if only.is_some() => {
                    return Err(Refusal::new(format!("the files of {id} have mistakes"))
                        .hint("`triton check` says how to mend them")
                        .into());
                }
                Err(_) => {}
            }
        }
    }
    match only {
        Some(id) if found.is_empty() => Err(Refusal::new(format!("the tree has no release {id}")).into()),
        Some(_) | None => Ok(found),
    }
}

/// The objects of one release, each compared.
async fn objects(cluster: &Cluster, entered: Option<&Release>, release: &Release) -> Result<Vec<Compared>> {
    let mut found = Vec::new();
    let key = &release.cloneset.key;
    let live = read(cluster, key).await?;
    let policy = policy(live.as_ref());
    let mut wanted = wanted_cloneset(release, &policy);
    if let Some(replicas) = release.replicas {
        wanted["spec"]["replicas"] = replicas.into();
    }
    let written = entered.map(|entered| wanted_cloneset(entered, &policy));
    let note = entered.and_then(|entered| drained(entered, release));
    let own = match beside(cluster, release).await? {
        Some((key, wanted, live)) => compared(release, &key, &wanted, Some(&live), None),
        None => compared(release, key, &wanted, live.as_ref(), written.as_ref()),
    };
    found.push(Compared { note: note.filter(|_| own.state == State::Differs), ..own });
    for companion in &release.companions {
        let key = &companion.body.key;
        let before = entered
            .and_then(|entered| entered.companions.iter().find(|it| it.written() == companion.written()));
        let mut live = read(cluster, key).await?;
        // What pods read now, where another content is to be read under another name.
        if let (None, Some(before)) = (&live, before.filter(|it| it.body.key != *key)) {
            live = read(cluster, &before.body.key).await?;
        }
        let policy = self::policy(live.as_ref());
        let wanted = following(release, companion, live.as_ref()).body(companion, &release.id, &policy);
        let written = before.map(|before| body::companion(&before.body, &release.id, &policy));
        found.push(compared(release, key, &wanted, live.as_ref(), written.as_deref()));
    }
    Ok(found)
}

/// The second CloneSet of a release that is switched as a whole, where its pods are there: the one that has its name may have
/// none then, or those of another version. How large each is belongs to the rollout.
async fn beside(cluster: &Cluster, release: &Release) -> Result<Option<(ObjectKey, Arc<Value>, Value)>> {
    let name =
        release.strategy.blue_green.as_ref().and_then(|_| twin_name(&release.id.name, release.template));
    let Some(name) = name else { return Ok(None) };
    let key = ObjectKey { name, ..release.cloneset.key.clone() };
    let Some(live) = read(cluster, &key).await? else { return Ok(None) };
    let wanted = body::twin(release, None, &policy(Some(&live)));
    Ok(wanted.map(|wanted| (key, wanted, live)))
}

/// Which pods a companion follows, as it stands: those of either version are no difference.
fn following(release: &Release, companion: &Companion, live: Option<&Value>) -> Shares {
    let mut shares = Shares::default();
    let follower = release.followers().find(|(it, _)| it.body.key == companion.body.key);
    let (Some((_, as_what)), Some(live)) = (follower, live) else { return shares };
    let (spec, id) = (&live["spec"], release.id.name.as_str());
    let is_twin = |name: &&str| name.strip_prefix(id).is_some_and(|rest| rest.len() == DIGITS + 1);
    let to = match companion.body.key.kind {
        Kind::HorizontalPodAutoscaler => spec["scaleTargetRef"]["name"].as_str().filter(is_twin),
        Kind::PodDisruptionBudget => spec["selector"]["matchLabels"][keys::POD_TEMPLATE_HASH].as_str(),
        _ => spec["selector"][keys::POD_TEMPLATE_HASH].as_str(),
    };
    shares.pins.insert(companion.body.key.clone(), (as_what, to.map(str::to_owned)));
    shares
}

/// What another `drain` means for the CloneSet: its fields stand in no file.
fn drained(entered: &Release, release: &Release) -> Option<String> {
    let (before, after) = (entered.strategy.drain, release.strategy.drain);
    let written = |drain: Option<u32>| drain.map_or("none".to_owned(), |drain| span(i64::from(drain)));
    (before != after).then(|| {
        format!(
            "drain is {} and was {}: it writes preStop, terminationGracePeriodSeconds and gracePeriodSeconds",
            written(after),
            written(before)
        )
    })
}

/// The entered release, as the record keeps it.
async fn entered(records: &Records, id: &ReleaseId) -> Option<Release> {
    // Without a record there is less to tell, and nothing wrong.
    let status = records.find(id).await.ok()??.status;
    let digest = status.memory.get(keys::DIGEST)?.parse().ok()?;
    unpack(status.documents.entered.as_deref()?, digest)
}

/// A policy that marks an object as it is marked.
fn policy(live: Option<&Value>) -> Policy {
    Policy { root: live.map(root).unwrap_or_default(), ..Policy::default() }
}

async fn read(cluster: &Cluster, key: &ObjectKey) -> Result<Option<Value>> {
    let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
    Ok(cluster.read(Target { api: key.kind.api(), namespace, name, status: false }).await?)
}

/// The root that an object says it is of.
fn root(object: &Value) -> String {
    let annotations = &object["metadata"]["annotations"];
    annotations[keys::ROOT].as_str().unwrap_or_default().to_owned()
}

/// One object against what is wanted of it; `written` is what the entered release says of it.
#[must_use]
pub fn compared(
    release: &Release,
    key: &ObjectKey,
    wanted: &Value,
    live: Option<&Value>,
    written: Option<&Value>,
) -> Compared {
    let (release, object) = (release.id.to_string(), named(release, key));
    let Some(live) = live else {
        return Compared { release, object, state: State::Missing, fields: Vec::new(), note: None };
    };
    let stand = project::stand(live);
    let object_now = stand.object();
    let ours = stand.ownership.owners().has_ours();
    let changes = if ours {
        drift(wanted, &object_now, &stand.ownership)
    } else {
        // Before it is taken over our own marks are not there yet, and that is no difference.
        let mut changes = compare_named(wanted, &object_now, &stand.ownership);
        changes.retain(|change| !change.is_mark());
        changes
    };
    let mut fields: Vec<Field> = changes.into_iter().map(Field::of).collect();
    // What the entered release says and the specs have no more. Managed fields cannot tell: lists of a CloneSet are
    // owned as a whole, with what the webhook added.
    let written = written.map(|written| compare(written, wanted)).unwrap_or_default();
    let gone = written.into_iter().filter(|change| change.found.is_none());
    fields.extend(gone.filter(|change| !is_rollouts(key, &change.path)).map(|change| Field {
        path: change.path,
        live: Some(change.wanted),
        desired: None,
        manager: None,
    }));
    let state = if fields.is_empty() { State::Same } else { State::Differs };
    Compared { release, object, state, fields, note: None }
}

/// An object by the name that people wrote, with the one that is applied where that is another one.
fn named(release: &Release, key: &ObjectKey) -> String {
    let companion = release.companions.iter().find(|it| it.body.key == *key && it.version_of.is_some());
    companion.map_or_else(|| key.to_string(), |it| format!("{}, as {}", it.written(), key.name))
}

/// Whether a field is written by the rollout, and by no spec.
fn is_rollouts(key: &ObjectKey, path: &str) -> bool {
    let own = ["spec.replicas", "spec.updateStrategy.partition", "spec.updateStrategy.paused"];
    key.kind == Kind::CloneSet && own.contains(&path)
}

impl Field {
    fn of(change: FieldChange) -> Self {
        let FieldChange { path, wanted, found, manager } = change;
        Self { path, live: found, desired: Some(wanted), manager }
    }

    fn show(&self, paint: Paint) -> Vec<String> {
        let mut lines = vec![format!("    {}", self.path)];
        if self.live == self.desired {
            let who = self.manager.as_deref().unwrap_or("nobody");
            lines.push(format!("      written by {who}, with the same value"));
            return lines;
        }
        let who = self.manager.as_ref().map(|name| format!("   by {name}")).unwrap_or_default();
        if let Some(live) = &self.live {
            lines.push(format!("      {}{who}", paint.tint(Tint::Bad, &format!("- {}", short(live)))));
        }
        if let Some(desired) = &self.desired {
            lines.push(format!("      {}", paint.tint(Tint::Good, &format!("+ {}", short(desired)))));
        }
        lines
    }
}

fn short(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut shown: String =
        text.chars().take(VALUE_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(VALUE_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn text(found: &[Compared], paint: Paint) -> String {
    let mut parts = Vec::new();
    for object in found.iter().filter(|it| it.state != State::Same) {
        let name = paint.tint(Tint::Strong, &object.object);
        let mut lines = vec![match object.state {
            State::Missing => format!("{name}  is not there"),
            State::Same | State::Differs => name,
        }];
        lines.extend(object.note.iter().map(|note| format!("    {note}")));
        lines.extend(object.fields.iter().flat_map(|field| field.show(paint)));
        parts.push(lines.join("\n"));
    }
    let same = found.iter().filter(|it| it.state == State::Same).count();
    parts.push(match same {
        1 => "1 object is as the specs say".to_owned(),
        many => format!("{many} objects are as the specs say"),
    });
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mailer() -> Release {
        let text = b"apiVersion: triton.io/v1\nkind: Release\nmetadata: { namespace: shop, name: mailer }\n---\n\
            apiVersion: apps.kruise.io/v1alpha1\nkind: CloneSet\nmetadata: { namespace: shop, name: mailer }\n\
            spec: { selector: { matchLabels: { app: mailer } }, template: { metadata: { labels: { app: mailer } }, \
            spec: { containers: [{ name: app, image: mailer:2 }] } } }\n";
        let files = [("releases/mailer.yaml".to_owned(), std::sync::Arc::new(crate::spec::parse_file(text)))];
        let assembled = crate::spec::assemble(&files.into(), &crate::spec::RepositoryFile::default());
        let release = assembled.releases.into_values().next().unwrap();
        Release::clone(&release.unwrap())
    }

    #[test]
    fn a_field_is_told_where_it_differs_and_where_the_specs_have_it_no_more() {
        let release = mailer();
        let policy = Policy::default();
        let wanted = wanted_cloneset(&release, &policy);
        let mut live = wanted.clone();
        live["metadata"]["uid"] = "u".into();
        let container = &mut live["spec"]["template"]["spec"]["containers"][0];
        container["image"] = "mailer:1".into();
        container["command"] = json!(["sleep"]);
        container["imagePullPolicy"] = "Always".into();
        let mut written = wanted.clone();
        written["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["sleep"]);
        let found = compared(&release, &release.cloneset.key, &wanted, Some(&live), Some(&written));
        let at = |name: &str| format!("spec.template.spec.containers[name=app].{name}");
        let image = found.fields.iter().find(|field| field.path == at("image")).unwrap();
        assert_eq!((&image.live, &image.desired), (&Some("mailer:1".into()), &Some("mailer:2".into())));
        let command = found.fields.iter().find(|field| field.path == at("command")).unwrap();
        assert_eq!(command.desired, None);
        assert!(!found.fields.iter().any(|field| field.path == at("imagePullPolicy")), "{found:?}");
        assert_eq!(compared(&release, &release.cloneset.key, &wanted, None, None).state, State::Missing);
    }

    #[test]
    fn another_drain_is_told_as_what_it_writes() {
        let (mut before, mut after) = (mailer(), mailer());
        assert_eq!(drained(&before, &after), None);
        after.strategy.drain = Some(90);
        let told = drained(&before, &after).unwrap();
        assert!(told.starts_with("drain is 1m30s and was none: it writes preStop,"), "{told}");
        before.strategy.drain = Some(5);
        assert!(drained(&before, &after).unwrap().starts_with("drain is 1m30s and was 5s"));
    }

    #[test]
    fn before_it_is_taken_over_what_differs_has_the_name_of_who_wrote_it_and_our_marks_are_no_difference() {
        let release = mailer();
        let wanted = wanted_cloneset(&release, &Policy { root: "0123abcd".into(), ..Policy::default() });
        let mut live = wanted.clone();
        live["metadata"] = json!({"name": "mailer", "namespace": "shop", "uid": "u", "managedFields": [
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {}}}}}}]});
        let found = compared(&release, &release.cloneset.key, &wanted, Some(&live), None);
        assert_eq!(found.state, State::Same, "{found:?}");
        live["spec"]["template"]["spec"]["containers"][0]["image"] = "mailer:1".into();
        let found = compared(&release, &release.cloneset.key, &wanted, Some(&live), None);
        assert_eq!(found.fields.len(), 1, "{found:?}");
        assert_eq!(found.fields[0].manager.as_deref(), Some("kubectl-edit"));
    }
}
