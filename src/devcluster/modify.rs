//! POST, PUT and PATCH of objects and their statuses.

use axum::response::Response;
use serde_json::{Value, json};

use crate::devcluster::body;
use crate::devcluster::custom;
use crate::devcluster::decode::refuse_wrong_types;
use crate::devcluster::kinds::Kind;
use crate::devcluster::list::in_version;
use crate::devcluster::meta;
use crate::devcluster::patch::{json_patch, merge_patch, strategic_patch};
use crate::devcluster::refusal::{Cause, Refusal};
use crate::devcluster::reply::{object_reply, with_warnings};
use crate::devcluster::request::{Asked, Target, refuse_options};
use crate::devcluster::store::{Object, Store};
use crate::devcluster::strategy::{By, Part};

/// The forms of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own.
    Strategic,
    /// Server-side apply.
    Apply,
}

/// The form of a patch, by its content type. Custom kinds have no strategic merge patches.
///
/// # Errors
/// 415 for anything else.
pub fn patch_type(content_type: &str, custom: bool) -> Result<PatchType, Refusal> {
    match content_type {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/apply-patch+yaml" => Ok(PatchType::Apply),
        "application/strategic-merge-patch+json" if !custom => Ok(PatchType::Strategic),
        _ => {
            let mut known = vec!["application/json-patch+json", "application/merge-patch+json"];
            if !custom {
                known.push("application/strategic-merge-patch+json");
            }
            known.push("application/apply-patch+yaml");
            Err(unknown_format(&known))
        }
    }
}

fn unknown_format(known: &[&str]) -> Refusal {
    let list = known.join(", ");
    let text =
        format!("the body of the request was in an unknown format - accepted media types include: {list}");
    Refusal::new(415, "UnsupportedMediaType", text)
}

/// A request to write, with all that its handling needs.
pub struct Writing<'a> {
    /// The store.
    pub store: &'a Store,
    /// What is written.
    pub target: &'a Target,
    /// The request.
    pub asked: &'a Asked,
    /// Its body.
    pub bytes: &'a [u8],
}

impl Writing<'_> {
    fn kind(&self) -> &Kind {
        &self.target.kind
    }

    fn by(&self, part: Part) -> By<'_> {
        By {
            manager: self.asked.manager(),
            version: &self.target.version,
            part,
            dry_run: self.asked.get("dryRun") == "All",
        }
    }

    fn part(&self) -> Part {
        if self.target.subresource == "status" { Part::Status } else { Part::Main }
    }

    fn answer(&self, before: Option<&Object>, object: &Object, mut warnings: Vec<String>) -> Response {
        let code = if before.is_none() { 201 } else { 200 };
        warnings.extend(meta::warnings(before.map(|before| &**before), object));
        if self.asked.get("fieldValidation") == "Ignore" {
            warnings.retain(|warning| !warning.contains(" field "));
        }
        let object = in_version(object, self.target);
        let reply = object_reply(code, &object, self.kind(), self.asked, self.store.clock().now());
        with_warnings(reply, &warnings)
    }

    /// Answers a POST.
    ///
    /// # Errors
    /// Whatever refuses the body or the write.
    pub fn post(&self) -> Result<Response, Refusal> {
        self.asked.check_write_options("CreateOptions")?;
        let (object, warnings) = self.object()?;
        let said = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        if !said("resourceVersion").is_empty() {
            return Err(Refusal::internal("resourceVersion should not be set on objects to be created"));
        }
        let kind = &self.target.kind;
        let by = self.by(Part::Main);
        let created = self.store.write(|state| state.create(kind, object, &by))?;
        Ok(self.answer(None, &created, warnings))
    }

    /// Answers a PUT.
    ///
    /// # Errors
    /// Whatever refuses the body or the write.
    pub fn put(&self) -> Result<Response, Refusal> {
        self.asked.check_write_options("UpdateOptions")?;
        let (object, warnings) = self.object()?;
        self.check_names(&object)?;
        let kind = &self.target.kind;
        let (resource, name) = (kind.resource(), &self.target.name);
        let part = self.part();
        let by = self.by(part);
        let (live, written) = self.store.write(|state| {
            let live = state.find(&resource, &self.target.namespace, name);
            let found = live.as_ref().map_or("", |live| live.uid());
            if let Some(uid) =
                object["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty() && *uid != found)
            {
                return Err(Refusal::conflict(&resource, name, &storage_error(self.target, uid, found)));
            }
            let live = live.ok_or_else(|| Refusal::not_found(&resource, name))?;
            let written = state.replace(kind, &live, object, &by)?;
            Ok((live, written))
        })?;
        Ok(self.answer(Some(&live), &written, warnings))
    }

    /// Answers a PATCH.
    ///
    /// # Errors
    /// Whatever refuses the body or the write.
    pub fn patch(&self) -> Result<Response, Refusal> {
        let form = patch_type(&self.asked.content_type, self.kind().custom)?;
        self.asked.check_write_options("PatchOptions")?;
        check_patch_options(self.asked, form)?;
        match form {
            PatchType::Apply => self.apply(),
            PatchType::Json | PatchType::Merge | PatchType::Strategic => self.patch_live(form),
        }
    }

    fn apply(&self) -> Result<Response, Refusal> {
        let mut body = self.applied()?;
        let kind = &self.target.kind;
        let expected = (kind.api_version(&self.target.version), kind.kind.clone());
        let said = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        if (said("apiVersion"), said("kind")) != expected {
            let version = said("apiVersion");
            let version = if version.contains('/') { version } else { format!("/{version}") };
            return Err(Refusal::bad_request(format!(
                "invalid object type: {version}, Kind={}",
                said("kind")
            )));
        }
        if body["metadata"].get("managedFields").is_some_and(|entries| !entries.is_null()) {
            return Err(Refusal::bad_request("metadata.managedFields must be nil"));
        }
        if !body["metadata"].is_object() {
            body["metadata"] = json!({});
        }
        if let Some(metadata) = body["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        let scope = &self.target.namespace;
        self.check_names(&body)?;
        body["metadata"]["name"] = json!(self.target.name);
        let (by, force) = (self.by(self.part()), self.asked.is_true("force"));
        let resource = kind.resource();
        let (live, written) = self.store.write(|state| {
            let live = state.find(&resource, scope, &self.target.name);
            if live.is_none() && by.part == Part::Status {
                return Err(Refusal::not_found(&resource, &self.target.name));
            }
            let live = live.map(|live| in_version(&live, self.target));
            let written = state.apply(kind, live.as_ref(), scope, body, &by, force)?;
            Ok((live, written))
        })?;
        Ok(self.answer(live.as_ref(), &written, Vec::new()))
    }

    /// Reads the body of an apply: JSON, of all YAML.
    fn applied(&self) -> Result<Value, Refusal> {
        let undecoded = |why: &str| Refusal::bad_request(format!("error decoding YAML: {why}"));
        if self.bytes.is_empty() {
            return Ok(json!({}));
        }
        let (body, _) = body::read(self.bytes)
            .map_err(|why| undecoded(&format!("error converting YAML to JSON: {why}")))?;
        if body.is_object() {
            return Ok(body);
        }
        let what = crate::devcluster::typed::type_name(&body);
        let why = "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal";
        Err(undecoded(&format!("{why} {what} into Go value of type map[string]interface {{}}")))
    }

    fn patch_live(&self, form: PatchType) -> Result<Response, Refusal> {
        let undecoded = |why: String| Refusal::bad_request(format!("error decoding patch: {why}"));
        let (patch, _) = body::read(self.bytes).map_err(undecoded)?;
        match (form, &patch) {
            (PatchType::Json, Value::Array(_)) => {}
            (PatchType::Json, other) => {
                let what = crate::devcluster::typed::type_name(other);
                let text =
                    format!("json: cannot unmarshal {what} into Go value of type []handlers.jsonPatchOp");
                return Err(undecoded(text));
            }
            (_, Value::Object(_)) => {}
            (_, other) => {
                let what = crate::devcluster::typed::type_name(other);
                let text =
                    format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}");
                return Err(undecoded(text));
            }
        }
        let kind = &self.target.kind;
        let (resource, name) = (kind.resource(), &self.target.name);
        let by = self.by(self.part());
        let (live, written, warnings) = self.store.write(|state| {
            let live = state
                .find(&resource, &self.target.namespace, name)
                .ok_or_else(|| Refusal::not_found(&resource, name))?;
            let live = in_version(&live, self.target);
            let mut new = (*live).clone();
            match form {
                PatchType::Json => json_patch(&mut new, patch.as_array().map_or(&[], Vec::as_slice))?,
                PatchType::Strategic => strategic_patch(&mut new, &patch, &kind.schema),
                PatchType::Merge | PatchType::Apply => merge_patch(&mut new, &patch),
            }
            let warnings = self.check_patched(&new)?;
            self.check_names(&new)?;
            let written = state.replace(kind, &live, new, &by)?;
            Ok((live, written, warnings))
        })?;
        Ok(self.answer(Some(&live), &written, warnings))
    }

    /// Refuses a patched object that is of another kind, or has unknown fields where that is not wanted.
    fn check_patched(&self, new: &Value) -> Result<Vec<String>, Refusal> {
        self.check_kind(new)?;
        let unknown = custom::prune(&mut new.clone(), &self.kind().schema);
        let warnings: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
        if warnings.is_empty() || self.asked.get("fieldValidation") != "Strict" {
            return Ok(warnings);
        }
        let why = format!("strict decoding error: {}", warnings.join(", "));
        Err(Refusal::invalid("", "", "", &[Cause::invalid("patch", &format!("{:?}", new.to_string()), &why)]))
    }

    /// Reads the body of a POST or PUT, and what is to be warned of in it.
    fn object(&self) -> Result<(Value, Vec<String>), Refusal> {
        let kind = self.kind();
        if !matches!(self.asked.content_type.as_str(), "application/json" | "") {
            let known = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
            return Err(unknown_format(&known));
        }
        let unrecognized = |why: &str| {
            let name = &kind.kind;
            let summary = body::summary(self.bytes);
            let text =
                format!("the object provided is unrecognized (must be of type {name}): {why} ({summary})");
            Refusal::bad_request(text)
        };
        let (mut object, twice) = body::read(self.bytes)
            .map_err(|why| unrecognized(&format!("couldn't get version/kind; json parse error: {why}")))?;
        if !object.is_object() {
            let what = crate::devcluster::typed::type_name(&object);
            return Err(unrecognized(&format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {what} into Go value of type \
                 struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
                 \"json:\\\"kind,omitempty\\\"\" }}"
            )));
        }
        if kind.custom && object["kind"].as_str().unwrap_or_default().is_empty() {
            return Err(unrecognized(&format!(
                "Object 'Kind' is missing in '{}'",
                String::from_utf8_lossy(self.bytes)
            )));
        }
        self.check_kind(&object)?;
        if !kind.custom {
            refuse_wrong_types(&object, kind, &self.target.version)?;
        }
        let unknown = custom::prune(&mut object.clone(), &kind.schema);
        let mut warnings: Vec<String> =
            twice.iter().map(|path| format!("duplicate field {path:?}")).collect();
        warnings.extend(unknown.iter().map(|path| format!("unknown field {path:?}")));
        if !warnings.is_empty() && self.asked.get("fieldValidation") == "Strict" {
            let (name, why) = (&kind.kind, warnings.join(", "));
            let text = format!(
                "{name} in version {:?} cannot be handled as a {name}: strict decoding error: {why}",
                self.target.version
            );
            return Err(Refusal::bad_request(text));
        }
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        self.check_scope(&object)?;
        if kind.namespaced {
            object["metadata"]["namespace"] = json!(self.target.namespace);
        }
        Ok((object, warnings))
    }

    /// Refuses an object that says it is of another kind or version.
    fn check_kind(&self, object: &Value) -> Result<(), Refusal> {
        let kind = self.kind();
        let said = |field: &str| object[field].as_str().unwrap_or_default();
        let expected = kind.api_version(&self.target.version);
        let (version, name) = (said("apiVersion"), said("kind"));
        if !version.is_empty() && version != expected {
            let text = format!(
                "the API version in the data ({version}) does not match the expected API version ({expected})"
            );
            return Err(Refusal::bad_request(text));
        }
        if name.is_empty() || name == kind.kind {
            return Ok(());
        }
        let cause = Cause::invalid("kind", &format!("{name:?}"), &format!("must be {}", kind.kind));
        let object_name = object["metadata"]["name"].as_str().unwrap_or_default();
        Err(Refusal::invalid(&kind.group, name, object_name, &[cause]))
    }

    fn check_scope(&self, object: &Value) -> Result<(), Refusal> {
        let said = object["metadata"]["namespace"].as_str().unwrap_or_default();
        if said.is_empty() || said == self.target.namespace {
            return Ok(());
        }
        let text = "the namespace of the provided object does not match the namespace sent on the request";
        Err(Refusal::bad_request(text))
    }

    /// Refuses an object with another name or namespace than the path.
    fn check_names(&self, object: &Value) -> Result<(), Refusal> {
        let said = object["metadata"]["name"].as_str().unwrap_or_default();
        if !said.is_empty() && said != self.target.name {
            let text = format!(
                "the name of the object ({said}) does not match the name on the URL ({})",
                self.target.name
            );
            return Err(Refusal::bad_request(text));
        }
        self.check_scope(object)
    }
}

fn check_patch_options(asked: &Asked, form: PatchType) -> Result<(), Refusal> {
    let mut causes = Vec::new();
    if form == PatchType::Apply && asked.get("fieldManager").is_empty() {
        causes.push(Cause::required("fieldManager", "is required for apply patch"));
    }
    if form != PatchType::Apply && !asked.get("force").is_empty() {
        causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
    }
    refuse_options("PatchOptions", &causes)
}

/// What etcd's layer says of a PUT to an object with another uid, or to none.
fn storage_error(target: &Target, said: &str, found: &str) -> String {
    let kind = &target.kind;
    let group = if kind.group.is_empty() { String::new() } else { format!("/{}", kind.group) };
    format!(
        "StorageError: invalid object, Code: 4, Key: /registry{group}/{}/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {said}, UID in object meta: {found}",
        kind.plural, target.namespace, target.name
    )
}
