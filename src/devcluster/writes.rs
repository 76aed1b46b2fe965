//! Writes as a registry does them: names, uids, generation, ownership, admission, finalizers. Controllers call the
//! methods of `Store`; the HTTP face goes through the same ones of `State`.

use serde_json::{Value, json};

use crate::devcluster::builtin::{DEFINITIONS, EVENTS, NAMESPACES};
use crate::devcluster::decode::settle;
use crate::devcluster::kinds::Kind;
use crate::devcluster::meta;
use crate::devcluster::ownership::{Writer, apply, drop_times, is_owned, track};
use crate::devcluster::refusal::{Cause, Refusal};
use crate::devcluster::rules;
use crate::devcluster::store::{Object, State, Store};
use crate::devcluster::strategy::{
    By, Part, faults, keep_server_fields, prepare_update, remove, set_or_remove, text,
};
use crate::devcluster::views::{NEW_EVENTS, core_view};

/// Letters that are appended to `generateName`.
const NAME_SUFFIX: usize = 5;

impl Store {
    /// Creates an object: sets uid, creationTimestamp, generation; draws a name for `generateName`.
    /// `manager` is written to managedFields.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` for a namespace that is not there, `Invalid`, or what an admission hook says.
    pub fn create(&self, resource: &str, manager: &str, object: Value) -> Result<Object, Refusal> {
        self.write(|state| {
            let kind = state.served(resource)?;
            let by = By { manager, version: kind.storage_version(), part: Part::Main, dry_run: false };
            state.create(&kind, object, &by)
        })
    }

    /// Replaces an object except for its status. A `metadata.resourceVersion` or `uid` in it is a precondition.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Invalid`, or what an admission hook says.
    pub fn update(&self, resource: &str, manager: &str, object: Value) -> Result<Object, Refusal> {
        self.write(|state| state.update(resource, manager, object, Part::Main))
    }

    /// Replaces the status of an object and nothing else, with the preconditions of [`Store::update`].
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Invalid`.
    pub fn update_status(&self, resource: &str, manager: &str, object: Value) -> Result<Object, Refusal> {
        self.write(|state| state.update(resource, manager, object, Part::Status))
    }
}

impl State {
    /// The kind behind a resource.
    ///
    /// # Errors
    /// 404 where it is not served.
    pub fn served(&self, resource: &str) -> Result<std::sync::Arc<Kind>, Refusal> {
        let missing = || Refusal::new(404, "NotFound", "the server could not find the requested resource");
        self.kinds.get(resource).ok_or_else(missing)
    }

    /// Creates an object.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create(&mut self, kind: &Kind, mut object: Value, by: &By<'_>) -> Result<Object, Refusal> {
        let name = text(&object["metadata"]["name"]);
        self.check_namespace(kind, text(&object["metadata"]["namespace"]), name)?;
        self.name_and_clean(&mut object);
        settle(&mut object, kind, &self.metadata);
        object["apiVersion"] = json!(kind.api_version(by.version));
        object["kind"] = json!(kind.kind);
        let empty = kind.empty(by.version);
        self.with_writer(kind, by, |writer| track(&empty, true, &mut object, &kind.schema, writer));
        self.finish_create(kind, object, by)
    }

    fn finish_create(&mut self, kind: &Kind, mut object: Value, by: &By<'_>) -> Result<Object, Refusal> {
        let resource = kind.resource();
        self.mutate(&resource, &mut object, by.part);
        self.prepare_create(kind, &mut object);
        let mut causes = meta::faults(&object);
        causes.extend(faults(kind, None, &object, by.part));
        self.refuse(kind, &object, causes)?;
        self.admit(&resource, None, &object, by.part)?;
        let metadata = &object["metadata"];
        let (namespace, name) = (metadata["namespace"].as_str().unwrap_or_default(), text(&metadata["name"]));
        if let Some(there) = self.find(&resource, namespace, name) {
            let mut refusal = Refusal::already_exists(&resource, name);
            if !there["metadata"]["deletionTimestamp"].is_null() {
                refusal.message = format!("object is being deleted: {}", refusal.message);
            }
            return Err(refusal);
        }
        if by.dry_run {
            return Ok(Object::new(object));
        }
        let created = self.put(&resource, object);
        self.show_view(&resource, &created);
        if resource == DEFINITIONS {
            self.establish(&created);
        }
        if self.collects {
            self.collect_if_orphan(&resource, &created);
        }
        Ok(created)
    }

    fn prepare_create(&mut self, kind: &Kind, object: &mut Value) {
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(self.ids.uid());
        metadata["creationTimestamp"] = json!(self.clock.second());
        if kind.generation {
            metadata["generation"] = json!(1);
        } else {
            remove(metadata, "generation");
        }
        if kind.status && kind.plural != "nodes" && kind.resource() != DEFINITIONS {
            let empty = kind.empty(kind.storage_version());
            set_or_remove(object, "status", empty.get("status").cloned());
        }
        if !kind.custom {
            let number = self.ids.number();
            rules::prepare_create(&kind.resource(), object, number);
        }
    }

    /// Names the object if it asks for it, and drops what only the server sets.
    fn name_and_clean(&mut self, object: &mut Value) {
        let metadata = &mut object["metadata"];
        if !metadata.is_object() {
            *metadata = json!({});
        }
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "resourceVersion",
        ] {
            remove(metadata, field);
        }
        remove(metadata, "managedFields");
        let base = text(&metadata["generateName"]).to_owned();
        if text(&metadata["name"]).is_empty() && !base.is_empty() {
            metadata["name"] = json!(format!("{base}{}", self.ids.suffix(NAME_SUFFIX)));
        }
    }

    fn update(
        &mut self,
        resource: &str,
        manager: &str,
        mut object: Value,
        part: Part,
    ) -> Result<Object, Refusal> {
        let kind = self.served(resource)?;
        let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
        let live = self.find(resource, namespace, name).ok_or_else(|| Refusal::not_found(resource, name))?;
        if object["metadata"]["uid"].as_str().is_some_and(|uid| uid != live.uid()) {
            return Err(Refusal::conflict(resource, name, "the object is another one now"));
        }
        if text(&object["metadata"]["resourceVersion"]).is_empty() {
            object["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        }
        let by = By { manager, version: kind.storage_version(), part, dry_run: false };
        self.replace(&kind, &live, object, &by)
    }

    /// Puts a new state in the place of a live one: by PUT, or by a patch that made it.
    ///
    /// # Errors
    /// `Conflict` of a stale resourceVersion, `Invalid`, or what an admission hook says.
    pub fn replace(
        &mut self,
        kind: &Kind,
        live: &Object,
        mut new: Value,
        by: &By<'_>,
    ) -> Result<Object, Refusal> {
        settle(&mut new, kind, &self.metadata);
        new["apiVersion"] = json!(kind.api_version(by.version));
        new["kind"] = json!(kind.kind);
        keep_server_fields(live, &mut new);
        let replicas = kind.scale.as_ref().map_or("", |scale| &scale.spec_replicas);
        if by.part != Part::Scale || is_owned(&new, replicas) {
            self.with_writer(kind, by, |writer| track(live, false, &mut new, &kind.schema, writer));
        }
        if by.part == Part::Scale {
            drop_times(&mut new, by.manager, "scale");
        }
        self.finish_update(kind, live, new, by)
    }

    /// Applies a body, creating the object in `namespace` where there is none.
    ///
    /// # Errors
    /// 409 of conflicting owners, `Conflict` of a stale resourceVersion or of a uid without its object, `Invalid`,
    /// 500 where the body does not fit the schema, or what an admission hook says.
    pub fn apply(
        &mut self,
        kind: &Kind,
        live: Option<&Object>,
        namespace: &str,
        mut body: Value,
        by: &By<'_>,
        force: bool,
    ) -> Result<Object, Refusal> {
        let resource = kind.resource();
        let name = text(&body["metadata"]["name"]).to_owned();
        let Some(live) = live else {
            if let Some(uid) = body["metadata"]["uid"].as_str() {
                let why = format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                );
                return Err(Refusal::conflict(&resource, &name, &why));
            }
            self.check_namespace(kind, namespace, &name)?;
            remove(&mut body["metadata"], "resourceVersion");
            let empty = kind.empty(by.version);
            let applied =
                self.with_writer(kind, by, |writer| apply(None, &empty, &body, &kind.schema, writer, force));
            let mut object = applied?;
            let entries = object["metadata"]["managedFields"].take();
            self.name_and_clean(&mut object);
            set_or_remove(&mut object["metadata"], "namespace", kind.namespaced.then(|| json!(namespace)));
            settle(&mut object, kind, &self.metadata);
            set_or_remove(&mut object["metadata"], "managedFields", Some(entries).filter(Value::is_array));
            return self.finish_create(kind, object, by);
        };
        let empty = kind.empty(by.version);
        let applied = self
            .with_writer(kind, by, |writer| apply(Some(live), &empty, &body, &kind.schema, writer, force));
        let mut new = applied?;
        settle(&mut new, kind, &self.metadata);
        keep_server_fields(live, &mut new);
        self.finish_update(kind, live, new, by)
    }

    fn finish_update(
        &mut self,
        kind: &Kind,
        live: &Object,
        mut new: Value,
        by: &By<'_>,
    ) -> Result<Object, Refusal> {
        let resource = kind.resource();
        self.check_version(kind, live, &mut new)?;
        self.mutate(&resource, &mut new, by.part);
        prepare_update(kind, live, &mut new, by.part);
        let mut causes = meta::changed_faults(live, &new);
        causes.extend(meta::faults(&new));
        let mut causes = meta::repeated(causes, kind);
        causes.extend(faults(kind, Some(live), &new, by.part));
        self.refuse(kind, &new, causes)?;
        self.admit(&resource, Some(live), &new, by.part)?;
        if new == **live {
            return Ok(live.clone());
        }
        let going = !new["metadata"]["deletionTimestamp"].is_null();
        let held = meta::finalizers(&new).next().is_some()
            || new["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0
            || (resource == NAMESPACES && new["spec"]["finalizers"][0].is_string());
        if by.dry_run {
            return Ok(Object::new(new));
        }
        if going && !held {
            self.remove(&resource, live);
            return Ok(Object::new(new));
        }
        let written = self.put(&resource, new);
        self.show_view(&resource, &written);
        if resource == DEFINITIONS && !going {
            self.serve(&written);
        }
        Ok(written)
    }

    fn show_view(&mut self, resource: &str, written: &Object) {
        if resource == NEW_EVENTS {
            self.put_view(EVENTS, core_view(written));
        }
    }

    /// Refuses a stale resourceVersion; "0" and none are refused where the kind wants one.
    fn check_version(&self, kind: &Kind, live: &Object, new: &mut Value) -> Result<(), Refusal> {
        let resource = kind.resource();
        let said = text(&new["metadata"]["resourceVersion"]).to_owned();
        let known = text(&live["metadata"]["resourceVersion"]);
        let number = if said.is_empty() { Ok(0) } else { said.parse::<u64>() };
        match number {
            Err(_) => {
                return Err(Refusal::internal(format!(
                    "strconv.ParseUint: parsing {said:?}: invalid syntax"
                )));
            }
            Ok(0) if kind.unconditional => {}
            Ok(0) => {
                let cause =
                    Cause::invalid("metadata.resourceVersion", "0x0", "must be specified for an update");
                let mut refusal = Refusal::invalid(&kind.group, &kind.plural, live.name(), &[cause]);
                refusal.message = refusal.message.replacen(&kind.plural, &resource, 1);
                if !kind.group.is_empty() {
                    let doubled = format!("{resource}.{}", kind.group);
                    refusal.message = refusal.message.replacen(&doubled, &resource, 1);
                }
                return Err(refusal);
            }
            Ok(_) if said != known => return Err(Refusal::stale(&resource, live.name())),
            Ok(_) => {}
        }
        new["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        Ok(())
    }

    fn check_namespace(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), Refusal> {
        if !kind.namespaced {
            return Ok(());
        }
        let Some(found) = self.find(NAMESPACES, "", namespace) else {
            return Err(Refusal::not_found(NAMESPACES, namespace));
        };
        if found["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut refusal = Refusal::forbidden(&kind.resource(), name, &why);
        let message = format!("namespace {namespace} is being terminated");
        let cause =
            json!({"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"});
        if let Some(details) = &mut refusal.details {
            details["causes"] = json!([cause]);
        }
        Err(refusal)
    }

    fn refuse(&self, kind: &Kind, object: &Value, causes: Vec<Cause>) -> Result<(), Refusal> {
        if causes.is_empty() {
            return Ok(());
        }
        // Both views of an Event are refused in the name of core/v1.
        let group = if kind.resource() == NEW_EVENTS { "" } else { &kind.group };
        Err(Refusal::invalid(group, &kind.kind, text(&object["metadata"]["name"]), &causes))
    }

    fn mutate(&self, resource: &str, object: &mut Value, part: Part) {
        if let (Part::Main, Some(admission)) = (part, self.admissions.get(resource)) {
            (admission.mutate)(object);
        }
    }

    fn admit(&self, resource: &str, old: Option<&Value>, new: &Value, part: Part) -> Result<(), Refusal> {
        let (Part::Main, Some(admission)) = (part, self.admissions.get(resource)) else { return Ok(()) };
        (admission.validate)(old, new).map_err(|why| {
            let message = format!("admission webhook {:?} denied the request: {why}", admission.name);
            Refusal::new(422, "", message)
        })
    }

    fn with_writer<T>(&self, kind: &Kind, by: &By<'_>, write: impl FnOnce(&Writer<'_>) -> T) -> T {
        let (version, spoken, time) =
            (kind.api_version(by.version), kind.spoken(by.version), self.clock.second());
        let ignored: &[&[&str]] = match by.part {
            Part::Main if kind.status => &[&["f:status"]],
            Part::Main | Part::Scale => &[],
            Part::Status => &[&["f:spec"]],
        };
        let subresource = by.part.subresource();
        write(&Writer {
            manager: by.manager,
            subresource,
            version: &version,
            time: &time,
            ignored,
            kind: &spoken,
        })
    }
}
