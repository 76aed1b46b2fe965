//! Deletes, and what follows from them: finalizers, grace periods, dependents, namespaces, definitions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::devcluster::builtin::{DEFINITIONS, EVENTS, NAMESPACES, PODS};
use crate::devcluster::crd;
use crate::devcluster::kinds::Kind;
use crate::devcluster::meta;
use crate::devcluster::refusal::Refusal;
use crate::devcluster::rules::POD_GRACE;
use crate::devcluster::store::{Object, Place, State, Store, owner_uids};
use crate::devcluster::strategy::{By, Part, set_or_remove};
use crate::devcluster::views::NEW_EVENTS;

/// The finalizer of a delete that waits for its dependents.
const FOREGROUND: &str = "foregroundDeletion";

/// The finalizer of a delete that lets its dependents go free.
const ORPHAN: &str = "orphan";

/// How a delete is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteHow {
    /// Refuse if the object has another uid.
    pub uid: Option<String>,
    /// Refuse if the object has another resourceVersion.
    pub version: Option<String>,
    /// Seconds that a pod is given to end; `None` is the pod's own wish, 0 is at once.
    pub grace: Option<i64>,
    /// What happens to dependents.
    pub propagation: Option<Propagation>,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// What a delete does to the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They go afterwards.
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

/// What a delete did.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// The object is gone; this is what it was, with the resourceVersion of its removal.
    Gone(Object),
    /// The object waits for finalizers or for its grace period.
    Waiting(Object),
}

impl Store {
    /// Deletes an object, or marks it deleted where finalizers or a grace period keep it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when a precondition does not hold.
    pub fn delete(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        how: &DeleteHow,
    ) -> Result<Deleted, Refusal> {
        self.write(|state| {
            let kind = state.served(resource)?;
            let live =
                state.find(resource, namespace, name).ok_or_else(|| Refusal::not_found(resource, name))?;
            state.delete(&kind, &live, how)
        })
    }
}

impl State {
    /// Deletes an object, or marks it.
    ///
    /// # Errors
    /// `Conflict` when a precondition does not hold; `Forbidden` for a namespace that must stay.
    pub fn delete(&mut self, kind: &Kind, live: &Object, how: &DeleteHow) -> Result<Deleted, Refusal> {
        check_preconditions(kind, live, how)?;
        let resource = kind.resource();
        let mut marked = (**live).clone();
        let waits = match resource.as_str() {
            NAMESPACES => mark_namespace(live, &mut marked, &self.clock.second())?,
            PODS => self.mark_pod(live, &mut marked, how.grace),
            _ => false,
        };
        let waits = self.mark_finalizers(live, &mut marked, how.propagation) || waits;
        if how.dry_run {
            return Ok(if waits {
                Deleted::Waiting(Object::new(marked))
            } else {
                Deleted::Gone(live.clone())
            });
        }
        if resource == DEFINITIONS {
            return Ok(Deleted::Waiting(self.end_definition(live)));
        }
        if !waits {
            let gone = self.remove(&resource, live);
            if kind.returns_deleted && resource == PODS {
                marked["metadata"]["resourceVersion"] = gone["metadata"]["resourceVersion"].clone();
                return Ok(Deleted::Gone(Object::new(marked)));
            }
            return Ok(Deleted::Gone(gone));
        }
        let waiting = if marked == **live { live.clone() } else { self.put(&resource, marked) };
        if self.collects {
            self.follow_mark(&resource, &waiting);
        }
        Ok(Deleted::Waiting(waiting))
    }

    /// Takes an object away and does what follows. Returns it with the resourceVersion of its removal.
    pub fn remove(&mut self, resource: &str, live: &Object) -> Object {
        self.take(resource, live.namespace(), live.name());
        let mut gone = (**live).clone();
        gone["metadata"]["resourceVersion"] = json!(self.version().to_string());
        if resource == DEFINITIONS {
            self.unserve(live);
        }
        if resource == NEW_EVENTS {
            self.take(EVENTS, live.namespace(), live.name());
        }
        if self.collects {
            self.collect_dependents(live.uid());
            self.collect_owners(live);
            self.finish_namespace(live.namespace());
        }
        Object::new(gone)
    }

    /// Sets the deletion mark and the propagation's finalizers where finalizers keep the object.
    fn mark_finalizers(&self, live: &Object, marked: &mut Value, how: Option<Propagation>) -> bool {
        let mut left: Vec<Value> = meta::finalizers(live).cloned().collect();
        if let Some(how) = how {
            left.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
            match how {
                Propagation::Background => {}
                Propagation::Foreground => left.push(json!(FOREGROUND)),
                Propagation::Orphan => left.push(json!(ORPHAN)),
            }
        }
        let waits = !left.is_empty();
        let list = waits.then_some(Value::Array(left));
        let metadata = &mut marked["metadata"];
        set_or_remove(metadata, "finalizers", list);
        if waits && metadata["deletionTimestamp"].is_null() {
            metadata["deletionTimestamp"] = json!(self.clock.second());
            metadata["deletionGracePeriodSeconds"] = json!(0);
        }
        if waits
            && live["metadata"]["deletionTimestamp"].is_null()
            && let Some(generation) = live["metadata"]["generation"].as_i64()
        {
            marked["metadata"]["generation"] = json!(generation + 1);
        }
        waits
    }

    /// Gives a bound pod its grace period. Returns whether the pod stays for now.
    fn mark_pod(&self, live: &Object, marked: &mut Value, grace: Option<i64>) -> bool {
        let own = live["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(POD_GRACE);
        let bound = !live.text("/spec/nodeName").is_empty();
        let ended = matches!(live.text("/status/phase"), "Succeeded" | "Failed");
        let mut grace = if bound && !ended { grace.unwrap_or(own).max(0) } else { 0 };
        let before = live["metadata"]["deletionGracePeriodSeconds"].as_i64();
        let going = !live["metadata"]["deletionTimestamp"].is_null();
        if let Some(before) = before.filter(|before| going && *before <= grace) {
            grace = before;
        } else {
            let ahead = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
            marked["metadata"]["deletionTimestamp"] = json!(self.clock.second_after(ahead));
            marked["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        }
        grace > 0
    }

    /// What the garbage collector and the namespace controller do once an object is marked.
    fn follow_mark(&mut self, resource: &str, waiting: &Object) {
        let has = |finalizer: &str| meta::finalizers(waiting).any(|found| found == finalizer);
        if has(FOREGROUND) {
            for place in self.dependents(waiting.uid()) {
                self.delete_at(&place);
            }
            self.collect_waiting(waiting.uid());
        }
        if has(ORPHAN) {
            for place in self.dependents(waiting.uid()) {
                self.set_free(&place, waiting.uid());
            }
            self.drop_finalizer(resource, waiting, ORPHAN);
        }
        if resource == NAMESPACES {
            let kinds: Vec<String> =
                self.kinds.iter().filter(|kind| kind.namespaced).map(|kind| kind.resource()).collect();
            for resource in kinds {
                for object in self.list(&resource, Some(waiting.name())) {
                    self.delete_at(&(resource.clone(), waiting.name().to_owned(), object.name().to_owned()));
                }
            }
            self.finish_namespace(waiting.name());
        }
    }

    /// Removes a namespace that is going once nothing is left in it.
    fn finish_namespace(&mut self, namespace: &str) {
        let Some(found) = self.find(NAMESPACES, "", namespace) else { return };
        if found["metadata"]["deletionTimestamp"].is_null() {
            return;
        }
        let empty = self
            .kinds
            .iter()
            .filter(|kind| kind.namespaced)
            .all(|kind| self.list(&kind.resource(), Some(namespace)).is_empty());
        if empty {
            self.take(NAMESPACES, "", namespace);
        }
    }

    /// Deletes what the removed object owned and nobody else owns.
    fn collect_dependents(&mut self, uid: &str) {
        for place in self.dependents(uid) {
            let Some(dependent) = self.find(&place.0, &place.1, &place.2) else { continue };
            if owner_uids(&dependent).any(|owner| self.is_there(owner)) {
                self.set_free(&place, uid);
            } else {
                self.delete_at(&place);
            }
        }
    }

    /// Lets owners go that waited for the removed object.
    fn collect_owners(&mut self, removed: &Object) {
        let owners: Vec<String> = owner_uids(removed).map(str::to_owned).collect();
        for owner in owners {
            self.collect_waiting(&owner);
        }
    }

    fn collect_waiting(&mut self, uid: &str) {
        if !self.dependents(uid).is_empty() {
            return;
        }
        let Some((resource, namespace, name)) = self.place_of(uid) else { return };
        let Some(owner) = self.find(&resource, &namespace, &name) else { return };
        if meta::finalizers(&owner).any(|finalizer| finalizer == FOREGROUND) {
            self.drop_finalizer(&resource, &owner, FOREGROUND);
        }
    }

    /// Deletes an object that was created for owners who are all gone.
    pub fn collect_if_orphan(&mut self, resource: &str, created: &Object) {
        let mut owners = owner_uids(created).peekable();
        if owners.peek().is_some() && owners.all(|owner| !self.is_there(owner)) {
            let (namespace, name) = (created.namespace().to_owned(), created.name().to_owned());
            self.delete_at(&(resource.to_owned(), namespace, name));
        }
    }

    fn delete_at(&mut self, place: &Place) {
        let (resource, namespace, name) = place;
        let (Some(kind), Some(live)) = (self.kinds.get(resource), self.find(resource, namespace, name))
        else {
            return;
        };
        let how = DeleteHow { propagation: Some(Propagation::Background), ..DeleteHow::default() };
        // Without preconditions only a protected namespace is refused, and that is no dependent.
        let _refused = self.delete(&kind, &live, &how);
    }

    fn set_free(&mut self, place: &Place, owner: &str) {
        let Some(live) = self.find(&place.0, &place.1, &place.2) else { return };
        let mut freed = (*live).clone();
        let owners = freed["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let left: Vec<Value> = owners.into_iter().filter(|reference| reference["uid"] != owner).collect();
        let left = (!left.is_empty()).then_some(Value::Array(left));
        set_or_remove(&mut freed["metadata"], "ownerReferences", left);
        self.put(&place.0, freed);
    }

    fn drop_finalizer(&mut self, resource: &str, live: &Object, finalizer: &str) {
        let left: Vec<Value> = meta::finalizers(live).filter(|found| **found != finalizer).cloned().collect();
        if left.is_empty() {
            self.remove(resource, live);
            return;
        }
        let mut lighter = (**live).clone();
        lighter["metadata"]["finalizers"] = Value::Array(left);
        self.put(resource, lighter);
    }

    /// Serves the kind of a definition.
    pub fn serve(&mut self, definition: &Object) {
        if let Some(kind) = crd::kind_of(definition, &self.metadata) {
            self.kinds.insert(kind);
        }
    }

    /// Serves the kind of a new definition and says so in its status, as the API server does.
    pub fn establish(&mut self, definition: &Object) {
        self.serve(definition);
        let Some(kind) = self.kinds.get(DEFINITIONS) else { return };
        let now = self.clock.second();
        let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message});
        let mut known = (**definition).clone();
        known["status"]["acceptedNames"] = known["spec"]["names"].clone();
        known["status"]["conditions"] = json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ]);
        let by = By { manager: "kube-apiserver", version: "v1", part: Part::Status, dry_run: false };
        // A definition that was just written is valid and current.
        let _written = self.replace(&kind, definition, known, &by);
    }

    /// Marks a definition, drops its objects and it. Returns it as it was marked.
    fn end_definition(&mut self, live: &Object) -> Object {
        let now = self.clock.second();
        let mut marked = (**live).clone();
        marked["metadata"]["deletionTimestamp"] = json!(now);
        marked["metadata"]["finalizers"] = json!(["customresourcecleanup.apiextensions.k8s.io"]);
        let mut conditions = live["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.push(json!({
            "type": "Terminating", "status": "True", "lastTransitionTime": now, "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }));
        marked["status"]["conditions"] = json!(conditions);
        let marked = self.put(DEFINITIONS, marked);
        self.remove(DEFINITIONS, &marked);
        marked
    }

    /// Serves the kind of a definition no more, and drops its objects.
    fn unserve(&mut self, definition: &Object) {
        let resource = definition.name().to_owned();
        for object in self.list(&resource, None) {
            self.take(&resource, object.namespace(), object.name());
        }
        self.kinds.remove(&resource);
    }
}

fn check_preconditions(kind: &Kind, live: &Object, how: &DeleteHow) -> Result<(), Refusal> {
    let refuse = |what: &str, said: &str, found: &str, why: &str| {
        let text = format!(
            "the {what} in the precondition ({said}) does not match the {what} in record ({found}). {why}"
        );
        let qualified =
            if kind.group.is_empty() { kind.kind.clone() } else { format!("{}.{}", kind.kind, kind.group) };
        Err(Refusal::conflict(&qualified, live.name(), &text))
    };
    if let Some(uid) = how.uid.as_ref().filter(|uid| *uid != live.uid()) {
        let why = "The object might have been deleted and then recreated";
        return refuse("UID", uid, live.uid(), why);
    }
    let found = live.text("/metadata/resourceVersion");
    if let Some(version) = how.version.as_ref().filter(|version| *version != found) {
        return refuse("ResourceVersion", version, found, "The object might have been modified");
    }
    Ok(())
}

/// Namespaces stay until the namespace controller has emptied them.
fn mark_namespace(live: &Object, marked: &mut Value, now: &str) -> Result<bool, Refusal> {
    if matches!(live.name(), "default" | "kube-system") {
        return Err(Refusal::forbidden(NAMESPACES, live.name(), "this namespace may not be deleted"));
    }
    if marked["metadata"]["deletionTimestamp"].is_null() {
        marked["metadata"]["deletionTimestamp"] = json!(now);
    }
    marked["status"]["phase"] = json!("Terminating");
    Ok(meta::finalizers(live).next().is_some() || live["spec"]["finalizers"][0].is_string())
}
