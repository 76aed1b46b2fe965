//! Server-side apply and the ownership of all other writes.
//!
//! See <https://kubernetes.io/docs/reference/using-api/server-side-apply/> and the recorded vectors in
//! `tests/api-vectors`. What is not here: ownership across versions of a kind whose versions differ in shape.

use serde_json::{Value, json};

use crate::devcluster::fieldset::FieldSet;
use crate::devcluster::managed::{Entry, Managed, Manager};
use crate::devcluster::refusal::Refusal;
use crate::devcluster::schema::Schema;
use crate::devcluster::typed::{compare, merge, misfits, owned, same, without};

/// The manager whose apply also writes kubectl's own annotation, and may take over what that annotation names.
const KUBECTL: &str = "kubectl";

/// kubectl's record of its last client-side apply.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manager of fields that were there before the first apply to an object that nobody's fields were kept of.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes, in which form, and when.
#[derive(Clone, Debug)]
pub struct Writer<'a> {
    /// The manager's name.
    pub manager: &'a str,
    /// `status`, `scale` or empty.
    pub subresource: &'a str,
    /// `apps.kruise.io/v1alpha1`.
    pub version: &'a str,
    /// Now, as Kubernetes writes seconds.
    pub time: &'a str,
    /// Paths that this resource or subresource never writes, whoever sends them.
    pub ignored: &'a [&'a [&'a str]],
    /// The kind as messages name it: `apps.kruise.io/v1alpha1, Kind=CloneSet`.
    pub kind: &'a str,
}

impl Writer<'_> {
    fn filter(&self, mut set: FieldSet) -> FieldSet {
        for path in self.ignored {
            set.cut(path);
        }
        set
    }
}

/// Ownership after a create or update: the writer owns what it added or changed; nobody owns what it removed.
/// `live` is what is replaced: for a create the kind's object with nothing in it. Writes managedFields into `new`.
pub fn track(live: &Value, creates: bool, new: &mut Value, schema: &Schema, writer: &Writer<'_>) {
    let mut managed = Managed::of_write(live, new, writer.subresource);
    if creates || !managed.0.is_empty() {
        update(&mut managed, live, new, schema, writer);
        managed.cap();
    }
    managed.write(new);
}

fn update(managed: &mut Managed, live: &Value, new: &Value, schema: &Schema, writer: &Writer<'_>) {
    let mut difference = compare(Some(live), Some(new), schema);
    for set in [&mut difference.added, &mut difference.modified, &mut difference.removed] {
        set.cut(&["f:metadata", "f:managedFields"]);
    }
    let touched = writer.filter(difference.added.union(&difference.modified));
    let removed = writer.filter(difference.removed);
    for entry in managed.0.values_mut() {
        entry.set = entry.set.minus(&touched).minus(&removed);
    }
    if !touched.is_empty() {
        let manager = Manager::updater(writer.manager, writer.subresource, writer.version);
        let time = Some(writer.time.to_owned());
        let entry = managed.0.entry(manager).or_insert_with(|| Entry {
            set: FieldSet::default(),
            version: writer.version.to_owned(),
            time: None,
        });
        entry.set = entry.set.union(&touched);
        entry.time = time;
    }
    managed.strip();
}

/// Applies `applied` to `live`. Returns the object as it is to be written, managedFields included; it equals `live`
/// where nothing changed.
///
/// # Errors
/// 500 where the body does not fit the schema; 409 with a cause for each field that others own and `force` is not
/// said.
pub fn apply(
    live: Option<&Value>,
    empty: &Value,
    applied: &Value,
    schema: &Schema,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, Refusal> {
    refuse_misfits(applied, schema, writer)?;
    let before = live.unwrap_or(empty);
    let mut managed = Managed::read(before).unwrap_or_default();
    if managed.0.is_empty() && live.is_some() {
        let first = Writer { manager: BEFORE_FIRST_APPLY, subresource: "", ..writer.clone() };
        update(&mut managed, empty, &bare(before), schema, &first);
    }
    let live = bare(before);
    let kubectl = writer.manager == KUBECTL;
    let allowed = if kubectl { taken_over(&live, schema) } else { FieldSet::default() };
    let mut new = apply_to(&mut managed, &live, applied, schema, writer, force, &allowed)?;
    if kubectl && !live["metadata"]["annotations"][LAST_APPLIED].is_null() {
        new["metadata"]["annotations"][LAST_APPLIED] = json!(format!("{}\n", last_applied(applied)));
    }
    managed.write(&mut new);
    Ok(new)
}

fn apply_to(
    managed: &mut Managed,
    live: &Value,
    applied: &Value,
    schema: &Schema,
    writer: &Writer<'_>,
    force: bool,
    allowed: &FieldSet,
) -> Result<Value, Refusal> {
    let me = Manager::applier(writer.manager, writer.subresource);
    let merged = merge(Some(live), Some(applied), schema).unwrap_or(Value::Null);
    let last = managed.0.remove(&me);
    let time = last.as_ref().and_then(|last| last.time.clone());
    let set = writer.filter(owned(applied, schema));
    managed.0.insert(me.clone(), Entry { set, version: writer.version.to_owned(), time });
    let new = prune(&merged, last.map(|last| last.set), managed, schema);
    let difference = compare(Some(live), Some(&new), schema);
    let touched = writer.filter(difference.added.union(&difference.modified));
    let mut conflicts: Vec<(Manager, FieldSet)> = Vec::new();
    for (manager, entry) in managed.0.iter().filter(|(manager, _)| **manager != me) {
        let common = entry.set.common(&touched);
        if !common.is_empty() {
            conflicts.push((manager.clone(), common));
        }
    }
    let open: Vec<(Manager, FieldSet)> = conflicts
        .iter()
        .map(|(manager, set)| (manager.clone(), set.minus(allowed)))
        .filter(|(_, set)| !set.is_empty())
        .collect();
    if !force && !open.is_empty() {
        return Err(conflict(&open));
    }
    let removed = writer.filter(difference.removed.clone());
    for (_, entry) in managed.0.iter_mut().filter(|(manager, _)| **manager != me) {
        entry.set = entry.set.minus(&touched).minus(&removed);
    }
    managed.strip();
    let changed = !same(live, &new);
    if changed && let Some(entry) = managed.0.get_mut(&me) {
        entry.time = Some(writer.time.to_owned());
    }
    Ok(if changed { new } else { live.clone() })
}

/// Takes out what the applier owned before and applies no more, where nobody else owns it.
fn prune(merged: &Value, last: Option<FieldSet>, managed: &Managed, schema: &Schema) -> Value {
    let Some(last) = last.filter(|last| !last.is_empty()) else { return merged.clone() };
    let named = |set: &FieldSet| set.with_named_fields(Some(schema));
    let last = named(&last);
    let of = |value: &Value| named(&owned(value, schema));
    let pruned = without(merged, &last, schema).unwrap_or(Value::Null);
    let kept = managed.0.values().fold(FieldSet::default(), |all, entry| all.union(&entry.set));
    let all = of(merged);
    let unowned = all.minus(&of(&pruned).union(&named(&kept)));
    let pruned = without(merged, &unowned, schema).unwrap_or(Value::Null);
    let gone = all.minus(&of(&pruned)).common(&last);
    without(merged, &gone, schema).unwrap_or(Value::Null)
}

/// What kubectl's client-side apply set and nobody changed since: its server-side apply may take that over.
fn taken_over(live: &Value, schema: &Schema) -> FieldSet {
    let annotation = &live["metadata"]["annotations"][LAST_APPLIED];
    let Some(last) = annotation.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return FieldSet::default();
    };
    let difference = compare(Some(&last), Some(live), schema);
    let mut set = owned(&last, schema).minus(&difference.modified).minus(&difference.removed);
    set.below.entry("f:metadata".to_owned()).or_default();
    set
}

fn last_applied(applied: &Value) -> Value {
    let mut record = applied.clone();
    let annotations = record.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.remove(LAST_APPLIED);
    }
    record
}

/// The object without its managedFields: nobody owns those.
fn bare(object: &Value) -> Value {
    let mut bare = object.clone();
    if let Some(metadata) = bare.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    bare
}

fn refuse_misfits(applied: &Value, schema: &Schema, writer: &Writer<'_>) -> Result<(), Refusal> {
    let found = misfits(applied, schema);
    let text = match found.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        more => format!("errors:\n  {}", more.join("\n  ")),
    };
    let (namespace, name) = (&applied["metadata"]["namespace"], &applied["metadata"]["name"]);
    let (namespace, name) = (namespace.as_str().unwrap_or_default(), name.as_str().unwrap_or_default());
    let whole = format!("failed to create typed patch object ({namespace}/{name}; {}): {text}", writer.kind);
    Err(Refusal::internal(whole))
}

fn conflict(conflicts: &[(Manager, FieldSet)]) -> Refusal {
    let mut causes = Vec::new();
    let mut groups = Vec::new();
    let mut sorted: Vec<(String, Vec<String>)> =
        conflicts.iter().map(|(manager, set)| (manager.spoken(), set.paths())).collect();
    sorted.sort();
    for (manager, paths) in &sorted {
        for path in paths {
            let message = format!("conflict with {manager}");
            causes.push(json!({"reason": "FieldManagerConflict", "message": message, "field": path}));
        }
        groups.push(format!("conflicts with {manager}:\n- {}", paths.join("\n- ")));
    }
    let text = match (causes.len(), sorted.as_slice()) {
        (1, [(manager, paths)]) => format!("conflict: conflict with {manager}: {}", paths.join("")),
        (_, _) => format!("conflicts: {}", groups.join("\n")),
    };
    let message = format!("Apply failed with {} {text}", causes.len());
    Refusal { code: 409, reason: "Conflict", message, details: Some(json!({"causes": causes})) }
}

/// Drops the time of a manager's entries for a subresource: those of scale have none.
pub fn drop_times(object: &mut Value, manager: &str, subresource: &str) {
    let mut managed = Managed::read(object).unwrap_or_default();
    for (known, entry) in &mut managed.0 {
        if known.name == manager && known.subresource == subresource {
            entry.time = None;
        }
    }
    managed.write(object);
}

/// Whether any manager owns the field at a JSON pointer.
#[must_use]
pub fn is_owned(object: &Value, pointer: &str) -> bool {
    let managed = Managed::read(object).unwrap_or_default();
    managed.0.values().any(|entry| {
        let mut set = Some(&entry.set);
        for part in pointer.split('/').skip(1) {
            set = set.and_then(|set| set.below.get(&format!("f:{part}")));
        }
        set.is_some()
    })
}

/// Takes the field at a JSON pointer from every manager.
pub fn disown(object: &mut Value, pointer: &str) {
    let path: Vec<String> = pointer.split('/').skip(1).map(|part| format!("f:{part}")).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let mut managed = Managed::read(object).unwrap_or_default();
    managed.0.values_mut().for_each(|entry| entry.set.cut(&path));
    managed.strip();
    managed.write(object);
}
