//! What is told of a release, and how: its record, and Events.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cluster::apply::{EVENTS, RECORDS, Target};
use crate::cluster::cache::Cache;
use crate::cluster::connect::Cluster;
use crate::cluster::error::Error;
use crate::cluster::feed::Feed;
use crate::cluster::project::{self, SeenRecord};
use crate::model::{ReleaseId, ResourceVersion, Uid};
use crate::objects::keys;
use crate::objects::record::ReleaseStatus;
use crate::world::{Action, Expect};

/// What is to be told of one release.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    /// The record's spec, as in Git.
    pub spec: Value,
    /// The root that it belongs to.
    pub root: String,
    /// Where the daemon that wrote the record before has its lease, if that one is no more.
    pub heir_of: Option<String>,
    /// The record's status; what speaks of the record's generation is filled in here.
    pub status: ReleaseStatus,
}

/// One Event (events.k8s.io/v1), about a CloneSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Unique name of the Event: the same event told twice is one.
    pub name: String,
    /// When.
    pub time: jiff::Timestamp,
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// One word: the decision.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
    /// UID of the CloneSet, where there is one.
    pub about: Option<Uid>,
    /// Who tells it.
    pub instance: String,
}

fn record_target(id: &ReleaseId, status: bool) -> Target<'_> {
    Target { api: RECORDS, namespace: id.namespace.as_str(), name: id.name.as_str(), status }
}

/// Writes a release's record: the record itself where that differs, then its status where that does.
///
/// # Errors
///
/// See [`Error`].
pub async fn write_record(
    cluster: &Cluster,
    cache: &Cache,
    id: &ReleaseId,
    telling: &Telling,
) -> Result<(), Error> {
    let Some(seen) = write_itself(cluster, cache, id, telling).await? else { return Ok(()) };
    let status = at_generation(&telling.status, seen.live.generation);
    if seen.status() == status {
        return Ok(());
    }
    let status = serde_json::to_value(status).map_err(|error| Error::Malformed(error.to_string()))?;
    let body = json!({"status": said(status)});
    let expect = Expect::Same(seen.live.uid.clone(), seen.live.version.clone());
    let action = Action::Apply { body: Arc::new(body), expect };
    let object = cluster.send(record_target(id, true), &action).await?.unwrap_or_default();
    cache.wrote(Feed::Records, &object);
    Ok(())
}

/// Writes the record itself where it differs: its spec and its marks. Gives it as it is then; nothing where another
/// daemon writes it.
async fn write_itself(
    cluster: &Cluster,
    cache: &Cache,
    id: &ReleaseId,
    telling: &Telling,
) -> Result<Option<Arc<SeenRecord>>, Error> {
    let seen = cache.record(id);
    let ours = Some(cluster.namespace());
    let lease = seen.as_ref().and_then(|seen| seen.lease.as_deref());
    // Another daemon has written it since this was left here: what it says is not ours to replace.
    if lease.is_some() && lease != ours && lease != telling.heir_of.as_deref() {
        return Ok(None);
    }
    let stands = seen.as_ref().is_some_and(|seen| {
        let is_marked = seen.live.root.as_deref() == Some(telling.root.as_str()) && lease == ours;
        is_marked && seen.stand.object() == json!({"spec": telling.spec})
    });
    if stands {
        return Ok(seen);
    }
    let annotations = json!({keys::ROOT: telling.root, keys::LEASE_NAMESPACE: cluster.namespace()});
    let labels = json!({keys::MANAGED_BY: keys::MANAGED_BY_TRITON});
    let body = json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": telling.spec});
    let same = |seen: Arc<SeenRecord>| Expect::Same(seen.live.uid.clone(), seen.live.version.clone());
    let action = Action::Apply { body: Arc::new(body), expect: seen.map_or(Expect::Absent, same) };
    let object = cluster.send(record_target(id, false), &action).await?.unwrap_or_default();
    cache.wrote(Feed::Records, &object);
    let written = project::record(&object);
    written
        .map(|it| Some(Arc::new(it)))
        .ok_or_else(|| Error::Malformed("a record without UID or resourceVersion".to_owned()))
}

fn at_generation(status: &ReleaseStatus, generation: i64) -> ReleaseStatus {
    let mut status = status.clone();
    status.observed_generation = generation;
    for condition in &mut status.conditions {
        condition.observed_generation = generation;
    }
    status
}

/// A value without nulls and empty maps: an apply of null is refused where the schema knows none, and an apply of an
/// empty map where there were entries before (recorded); what is left out is removed.
fn said(value: Value) -> Value {
    let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(key, value)| (key, said(value)));
            Value::Object(kept.filter(|(_, value)| !empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(said).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Deletes a release's record, where there is one.
///
/// # Errors
///
/// See [`Error`].
pub async fn delete_record(cluster: &Cluster, cache: &Cache, id: &ReleaseId) -> Result<(), Error> {
    let Some(seen) = cache.record(id) else { return Ok(()) };
    let (uid, version): (Uid, ResourceVersion) = (seen.live.uid.clone(), seen.live.version.clone());
    cluster.send(record_target(id, false), &Action::Delete { uid, version }).await?;
    Ok(())
}

/// Writes an Event.
///
/// # Errors
///
/// See [`Error`].
pub async fn write_note(cluster: &Cluster, id: &ReleaseId, note: &Note) -> Result<(), Error> {
    let api = cluster.clonesets().api();
    let regarding = json!({
        "apiVersion": api.api_version(),
        "kind": api.kind,
        "namespace": id.namespace.as_str(),
        "name": id.name.as_str(),
        "uid": note.about.as_ref().map(Uid::as_str).unwrap_or_default(),
    });
    let body = json!({
        "eventTime": format!("{:.6}", note.time),
        "type": note.kind,
        "reason": note.reason,
        "action": note.reason,
        "note": note.message,
        "reportingController": keys::GROUP,
        "reportingInstance": note.instance,
        "regarding": regarding,
    });
    let target = Target { api: EVENTS, namespace: id.namespace.as_str(), name: &note.name, status: false };
    let action = Action::Apply { body: Arc::new(body), expect: Expect::Absent };
    cluster.send(target, &action).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_sent_without_nulls_and_empty_maps() {
        let status = json!({"a": null, "b": {"c": null}, "d": [], "e": [{"f": null, "g": 1}], "h": ""});
        assert_eq!(said(status), json!({"d": [], "e": [{"g": 1}], "h": ""}));
    }
}
