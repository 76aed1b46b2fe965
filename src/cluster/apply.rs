//! The one function that writes to the cluster, and the few reads that are not watches.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, GetParams, Patch, PatchParams, Preconditions};
use kube::client::Body;
use kube::core::{ApiResource, Request, Resource, Status};
use serde_json::{Value, json};

use crate::cluster::connect::Cluster;
use crate::cluster::error::{Attempt, Error};
use crate::cluster::requests::OK;
use crate::fields::sole;
use crate::model::{ResourceVersion, Uid};
use crate::objects::keys::{FIELD_MANAGER, GROUP, VERSION};
use crate::objects::kind::Api;
use crate::objects::record;
use crate::objects::{CloneSetVersion, Kind, ObjectKey};
use crate::world::{Action, Expect, Write};

/// Longest wait for an answer. A lease lasts 15 s and is renewed by 10 s at the latest: a write that was sent while
/// it was ours is answered, or given up, before another daemon can hold it.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A resourceVersion that no object has: an existing object answers 409, a missing one is created (recorded).
const NO_VERSION: &str = "1";

/// The record's kind.
pub const RECORDS: Api = Api { group: GROUP, version: VERSION, plural: record::PLURAL, kind: record::KIND };
/// The lease's kind.
pub const LEASES: Api = Api { group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease" };
/// The kind of events.
pub const EVENTS: Api = Api { group: "events.k8s.io", version: "v1", plural: "events", kind: "Event" };

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Its kind.
    pub api: Api,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whether its status is meant.
    pub status: bool,
}

impl Target<'_> {
    fn attempt(&self, verb: &'static str) -> Attempt {
        let status = if self.status { "/status" } else { "" };
        Attempt {
            verb,
            resource: format!("{}{status}", self.api.plural),
            group: self.api.group.to_owned(),
            namespace: self.namespace.to_owned(),
        }
    }

    fn request(&self) -> Request {
        Request::new(DynamicObject::url_path(&resource(self.api), Some(self.namespace)))
    }
}

/// The object itself; of a pod its status, which alone is ours to write.
fn target(key: &ObjectKey) -> Target<'_> {
    let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
    Target { api: key.kind.api(), namespace, name, status: key.kind == Kind::Pod }
}

/// Whether a write is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Earnest,
    Rehearsal,
}

/// One request about an object.
enum Ask<'a> {
    Get,
    Patch(&'a PatchParams, Patch<Value>),
    Delete(&'a DeleteParams),
}

/// How kube names a kind.
#[must_use]
pub fn resource(api: Api) -> ApiResource {
    ApiResource {
        group: api.group.to_owned(),
        version: api.version.to_owned(),
        api_version: api.api_version(),
        kind: api.kind.to_owned(),
        plural: api.plural.to_owned(),
    }
}

impl Cluster {
    /// Carries out one write of a plan. Gives the object as the server has it then; nothing for a delete.
    ///
    /// # Errors
    ///
    /// See [`Error`]; [`Error::Conflict`] and [`Error::Exists`] where the write's expectation was wrong.
    pub async fn write(&self, write: &Write) -> Result<Option<Value>, Error> {
        self.send(target(&write.object), &write.action).await
    }

    /// Asks what the server would make of a write, and changes nothing (a server-side dry-run: defaults, admission and
    /// preconditions count as they would).
    ///
    /// # Errors
    ///
    /// See [`Error`]; as the write itself.
    pub async fn rehearse(&self, write: &Write) -> Result<Option<Value>, Error> {
        self.carry(target(&write.object), &write.action, Mode::Rehearsal).await
    }

    /// The one function that writes to the cluster.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn send(&self, target: Target<'_>, action: &Action) -> Result<Option<Value>, Error> {
        self.carry(target, action, Mode::Earnest).await
    }

    async fn carry(&self, target: Target<'_>, action: &Action, mode: Mode) -> Result<Option<Value>, Error> {
        let (there, version) = self.on_the_wire(target);
        match action {
            Action::Apply { body, expect } => {
                let mut body = with_preconditions(body, target, expect);
                version.inspect(|it| it.encode(&mut body));
                let mut params = PatchParams::apply(FIELD_MANAGER).force();
                params.dry_run = mode == Mode::Rehearsal;
                match (self.ask(there, Ask::Patch(&params, Patch::Apply(body))).await, expect) {
                    (Err(Error::Conflict), Expect::Absent) => Err(Error::Exists),
                    (sent, _) => sent.map(|object| Some(decoded(object, version))),
                }
            }
            Action::TakeOver { uid, version: seen } => self.take_over(target, uid, seen, mode).await,
            Action::Delete { uid, version } => {
                let same =
                    Preconditions { uid: Some(uid.to_string()), resource_version: Some(version.to_string()) };
                let mut params = DeleteParams::background().preconditions(same);
                params.dry_run = mode == Mode::Rehearsal;
                match self.ask(there, Ask::Delete(&params)).await {
                    // It is what was wanted.
                    Ok(_) | Err(Error::Gone) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// How an object is named on the wire, and the shape that a CloneSet has there.
    fn on_the_wire<'a>(&self, target: Target<'a>) -> (Target<'a>, Option<CloneSetVersion>) {
        let version = (target.api == Kind::CloneSet.api()).then(|| self.clonesets());
        (Target { api: version.map_or(target.api, CloneSetVersion::api), ..target }, version)
    }

    /// Takes from other managers what we own too, of this very object, unchanged.
    async fn take_over(
        &self,
        target: Target<'_>,
        uid: &Uid,
        version: &ResourceVersion,
        mode: Mode,
    ) -> Result<Option<Value>, Error> {
        let Some(object) = self.read(target).await? else { return Err(Error::Gone) };
        let metadata = &object["metadata"];
        if metadata["uid"] != uid.as_str() || metadata["resourceVersion"] != version.as_str() {
            return Err(Error::Conflict);
        }
        let Some(owners) = sole(&object, FIELD_MANAGER) else { return Ok(Some(object)) };
        // The version makes it this very object.
        let metadata = json!({"managedFields": owners, "resourceVersion": version.as_str()});
        let mut body = json!({"metadata": metadata});
        let (target, shape) = self.on_the_wire(target);
        shape.inspect(|it| it.encode(&mut body));
        let patch = Patch::Merge(body);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            dry_run: mode == Mode::Rehearsal,
            ..PatchParams::default()
        };
        let taken = self.ask(target, Ask::Patch(&params, patch)).await;
        taken.map(|object| Some(decoded(object, shape)))
    }

    /// Reads one object; `None` where there is none. A CloneSet is looked for in the other version where the one that was
    /// served last is not.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn read(&self, target: Target<'_>) -> Result<Option<Value>, Error> {
        let (first, version) = self.on_the_wire(target);
        let (seen, version) = match (self.get(first).await, version) {
            (Err(Error::NotServed(_)), Some(version)) => {
                let version = version.other();
                let seen = self.get(Target { api: version.api(), ..target }).await;
                if seen.is_ok() {
                    self.ask_clonesets_in(version);
                }
                (seen, Some(version))
            }
            (seen, version) => (seen, version),
        };
        seen.map(|it| it.map(|object| decoded(object, version)))
    }

    async fn get(&self, target: Target<'_>) -> Result<Option<Value>, Error> {
        match self.ask(target, Ask::Get).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One answer, or no longer a wait than [`REQUEST_TIMEOUT`]; counted. How long the server asks to wait is often only in
    /// a header, which kube's own way to ask leaves out.
    async fn ask(&self, target: Target<'_>, ask: Ask<'_>) -> Result<Value, Error> {
        let attempt = target.attempt(match ask {
            Ask::Get => "get",
            Ask::Patch(..) => "patch",
            Ask::Delete(_) => "delete",
        });
        let verb = attempt.verb;
        let request = match ask {
            Ask::Get => target.request().get(target.name, &GetParams::default()),
            Ask::Patch(params, patch) if target.status => {
                target.request().patch_subresource("status", target.name, params, &patch)
            }
            Ask::Patch(params, patch) => target.request().patch(target.name, params, &patch),
            Ask::Delete(params) => target.request().delete(target.name, params),
        };
        let request = request.map_err(|error| Error::Malformed(error.to_string()))?;
        let answer = async {
            let response = self.client().send(request.map(Body::from)).await?;
            let code = response.status().as_u16();
            let wait = response.headers().get("retry-after");
            let wait: Option<u32> = wait.and_then(|it| it.to_str().ok()?.trim().parse().ok());
            let bytes = response.into_body().collect_bytes().await?;
            Ok::<_, kube::Error>(read(code, &bytes).map_err(|error| (error, wait)))
        };
        let answer = match tokio::time::timeout(REQUEST_TIMEOUT, answer).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err((error, wait)))) => Err(Error::from_kube(error, attempt).asked_to_wait(wait)),
            Ok(Err(error)) => Err(Error::from_kube(error, attempt)),
            Err(_) => Err(Error::TimedOut(REQUEST_TIMEOUT.as_secs())),
        };
        self.requests().note(verb, answer.as_ref().map_or_else(Error::category, |_| OK));
        answer
    }
}

/// An answer by its code.
fn read(code: u16, bytes: &[u8]) -> kube::Result<Value> {
    if code < 400 {
        return serde_json::from_slice(bytes).map_err(kube::Error::SerdeError);
    }
    // What stands between may answer with a page of its own.
    let page = |_| Status::failure(String::from_utf8_lossy(bytes).trim(), "").with_code(code);
    Err(kube::Error::Api(serde_json::from_slice(bytes).unwrap_or_else(page).boxed()))
}

fn decoded(mut object: Value, version: Option<CloneSetVersion>) -> Value {
    version.inspect(|it| it.decode(&mut object));
    object
}

/// The body as it is sent: with what names the object, and with what must be there.
fn with_preconditions(body: &Arc<Value>, target: Target<'_>, expect: &Expect) -> Value {
    let mut body = Value::clone(body);
    body["apiVersion"] = Value::from(target.api.api_version());
    body["kind"] = Value::from(target.api.kind);
    let metadata = &mut body["metadata"];
    metadata["name"] = Value::from(target.name);
    metadata["namespace"] = Value::from(target.namespace);
    match expect {
        Expect::Absent => metadata["resourceVersion"] = Value::from(NO_VERSION),
        Expect::Same(uid, version) => {
            metadata["uid"] = Value::from(uid.as_str());
            metadata["resourceVersion"] = Value::from(version.as_str());
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target<'_> = Target { api: RECORDS, namespace: "shop", name: "web", status: false };

    #[test]
    fn a_create_expects_a_version_that_no_object_has() {
        let body = with_preconditions(&Arc::new(json!({"spec": {}})), TARGET, &Expect::Absent);
        let metadata = json!({"name": "web", "namespace": "shop", "resourceVersion": "1"});
        let named =
            json!({"apiVersion": RECORDS.api_version(), "kind": "Release", "metadata": metadata, "spec": {}});
        assert_eq!(body, named);
    }

    #[test]
    fn a_change_expects_the_very_object_that_it_was_planned_from() {
        let expect = Expect::Same(Uid::new("u"), ResourceVersion::new("7"));
        let body =
            with_preconditions(&Arc::new(json!({"metadata": {"labels": {"a": "b"}}})), TARGET, &expect);
        assert_eq!(body["metadata"]["uid"], "u");
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        assert_eq!(body["metadata"]["labels"]["a"], "b");
    }
}
