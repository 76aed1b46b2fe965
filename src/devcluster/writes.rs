//! Writes as a registry does them: names, uids, generation, namespaces, finalizers. Controllers call these
//! methods; the HTTP face comes through here too.

use serde_json::{Value, json};

use crate::devcluster::clock::micro;
use crate::devcluster::kinds::Kind;
use crate::devcluster::refusal::Refusal;
use crate::devcluster::store::{Object, State, Store};

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
    /// The object is gone; this is what it was.
    Gone(Object),
    /// The object waits for finalizers or for its grace period.
    Waiting(Object),
}

/// Whether an Event tells of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Someone should look.
    Warning,
}

impl Store {
    /// Creates an object: sets uid, creationTimestamp, generation; draws a name for `generateName`.
    /// `manager` is written to managedFields.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` for a namespace that is not there, `Invalid`, or what an admission hook says.
    pub fn create(&self, resource: &str, manager: &str, object: Value) -> Result<Object, Refusal> {
        self.write(|state| state.create(resource, manager, object))
    }

    /// Replaces an object except for its status. A `metadata.resourceVersion` or `uid` in it is a precondition.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Invalid`, or what an admission hook says.
    pub fn update(&self, resource: &str, manager: &str, object: Value) -> Result<Object, Refusal> {
        self.write(|state| state.update(resource, manager, object))
    }

    /// Replaces the status of an object and nothing else, with the preconditions of [`Store::update`].
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Invalid`.
    pub fn update_status(&self, resource: &str, manager: &str, object: Value) -> Result<Object, Refusal> {
        self.write(|state| state.update_status(resource, manager, object))
    }

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
        self.write(|state| state.delete(resource, namespace, name, how))
    }

    /// Records a core/v1 Event about an object; equal ones are counted, as client-go's recorder does.
    pub fn record_event(
        &self,
        component: &str,
        about: &Value,
        event_type: EventType,
        reason: &str,
        message: &str,
    ) {
        self.write(|state| state.record_event(component, about, event_type, reason, message));
    }
}

impl State {
    fn create(&mut self, resource: &str, _manager: &str, mut object: Value) -> Result<Object, Refusal> {
        let kind = self.served(resource)?;
        let name = text(&object, "/metadata/name").to_owned();
        let namespace = text(&object, "/metadata/namespace").to_owned();
        if kind.namespaced && self.find("namespaces", "", &namespace).is_none() {
            return Err(Refusal::not_found("namespaces", &namespace));
        }
        if self.find(resource, &namespace, &name).is_some() {
            return Err(Refusal::already_exists(resource, &name));
        }
        object["metadata"]["uid"] = json!(self.ids.uid());
        object["metadata"]["creationTimestamp"] = json!(self.clock.second());
        if kind.generation {
            object["metadata"]["generation"] = json!(1);
        }
        Ok(self.put(resource, object))
    }

    fn update(&mut self, resource: &str, _manager: &str, mut object: Value) -> Result<Object, Refusal> {
        let kind = self.served(resource)?;
        let old = self.precondition(resource, &object)?;
        if kind.status {
            set_or_remove(&mut object, "status", old.get("status").cloned());
        }
        for field in ["uid", "creationTimestamp", "generation", "deletionTimestamp"] {
            set_or_remove(&mut object["metadata"], field, old["metadata"].get(field).cloned());
        }
        if kind.generation && object.get("spec") != old.get("spec") {
            object["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
        object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        if object == *old { Ok(old) } else { Ok(self.put(resource, object)) }
    }

    fn update_status(&mut self, resource: &str, _manager: &str, object: Value) -> Result<Object, Refusal> {
        let old = self.precondition(resource, &object)?;
        let mut new = (*old).clone();
        set_or_remove(&mut new, "status", object.get("status").cloned());
        if new == *old { Ok(old) } else { Ok(self.put(resource, new)) }
    }

    fn delete(
        &mut self,
        resource: &str,
        namespace: &str,
        name: &str,
        how: &DeleteHow,
    ) -> Result<Deleted, Refusal> {
        let old = self.find(resource, namespace, name).ok_or_else(|| Refusal::not_found(resource, name))?;
        if how.uid.as_ref().is_some_and(|uid| uid != old.uid()) {
            return Err(Refusal::conflict(resource, name, "the UID in the precondition does not match"));
        }
        Ok(match self.take(resource, namespace, name) {
            Some(gone) => Deleted::Gone(gone),
            None => Deleted::Gone(old),
        })
    }

    fn record_event(
        &mut self,
        component: &str,
        about: &Value,
        event_type: EventType,
        reason: &str,
        message: &str,
    ) {
        let namespace = match text(about, "/metadata/namespace") {
            "" => "default",
            namespace => namespace,
        };
        let (now, suffix) = (self.clock.second(), self.ids.number());
        let name = format!("{}.{suffix:016x}", text(about, "/metadata/name"));
        let event_type = match event_type {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        };
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": about["apiVersion"], "kind": about["kind"], "name": about["metadata"]["name"],
                "namespace": about["metadata"]["namespace"], "uid": about["metadata"]["uid"],
                "resourceVersion": about["metadata"]["resourceVersion"],
            },
            "type": event_type, "reason": reason, "message": message, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now, "eventTime": micro(self.clock.now()),
            "source": {"component": component}, "reportingComponent": component, "reportingInstance": "",
        });
        // An Event that cannot be written is lost, as in life: nothing may depend on it.
        let _lost = self.create("events", component, event);
    }

    fn served(&self, resource: &str) -> Result<std::sync::Arc<Kind>, Refusal> {
        let missing = || Refusal::new(404, "NotFound", "the server could not find the requested resource");
        self.kinds.get(resource).ok_or_else(missing)
    }

    fn precondition(&self, resource: &str, object: &Value) -> Result<Object, Refusal> {
        let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
        let old = self.find(resource, namespace, name).ok_or_else(|| Refusal::not_found(resource, name))?;
        let version = text(object, "/metadata/resourceVersion");
        if !version.is_empty() && version != old.text("/metadata/resourceVersion") {
            return Err(Refusal::stale(resource, name));
        }
        Ok(old)
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn set_or_remove(target: &mut Value, field: &str, value: Option<Value>) {
    match (value, target.as_object_mut()) {
        (Some(value), Some(map)) => {
            map.insert(field.to_owned(), value);
        }
        (None, Some(map)) => {
            map.remove(field);
        }
        (Some(_) | None, None) => {}
    }
}
