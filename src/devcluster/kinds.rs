//! What a kind is to the API: its names, its scope, its shape, its subresources.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::devcluster::schema::Schema;

/// The name of a resource as error messages and this room write it: `pods`, `clonesets.apps.kruise.io`.
#[must_use]
pub fn resource_name(group: &str, plural: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

/// One kind, under all its versions.
#[derive(Clone, Debug)]
pub struct Kind {
    /// API group, empty for core.
    pub group: String,
    /// Served versions; the first is preferred and stored.
    pub versions: Vec<String>,
    /// `CloneSet`.
    pub kind: String,
    /// `clonesets`.
    pub plural: String,
    /// `cloneset`.
    pub singular: String,
    /// `clone`.
    pub short_names: Vec<String>,
    /// `all` and the like.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether `/status` is a subresource.
    pub status: bool,
    /// Where `/scale` finds its numbers, if it is a subresource.
    pub scale: Option<Scale>,
    /// Whether `metadata.generation` counts changes of the spec.
    pub generation: bool,
    /// Whether a PUT may come without a resourceVersion (`AllowUnconditionalUpdate`).
    pub unconditional: bool,
    /// Whether a DELETE is answered with the object rather than with a Status.
    pub returns_deleted: bool,
    /// Whether a custom resource definition made it.
    pub custom: bool,
    /// The shape of its objects.
    pub schema: Arc<Schema>,
    /// What `kubectl get` prints after the name.
    pub columns: Vec<Column>,
}

/// Where `/scale` finds its numbers: JSON pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// `/spec/replicas`.
    pub spec_replicas: String,
    /// `/status/replicas`.
    pub status_replicas: String,
    /// `/status/labelSelector`.
    pub label_selector: Option<String>,
}

/// A printed column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// `string`, `integer`, `date` and so on.
    pub data_type: String,
    /// `name` for the object's name, else empty.
    pub format: String,
    /// What it says.
    pub description: String,
    /// Above 0: only with `-o wide`.
    pub priority: i64,
    /// Where the value stands: a simple JSONPath as in a custom resource definition.
    pub path: String,
}

impl Kind {
    /// `clonesets.apps.kruise.io`.
    #[must_use]
    pub fn resource(&self) -> String {
        resource_name(&self.group, &self.plural)
    }

    /// `apps.kruise.io/v1alpha1`, or `v1` in the core group.
    #[must_use]
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// The version that is stored and preferred.
    #[must_use]
    pub fn storage_version(&self) -> &str {
        self.versions.first().map_or("", String::as_str)
    }

    /// The kind as some messages name it: `apps.kruise.io/v1alpha1, Kind=CloneSet`, `/v1, Kind=Pod`.
    #[must_use]
    pub fn spoken(&self, version: &str) -> String {
        format!("{}/{version}, Kind={}", self.group, self.kind)
    }

    /// An object with nothing in it but what the server always shows.
    #[must_use]
    pub fn empty(&self, version: &str) -> Value {
        let mut empty = json!({"metadata": {}});
        if !self.custom {
            crate::devcluster::normal::normalise(&mut empty, &self.schema);
        }
        empty["apiVersion"] = json!(self.api_version(version));
        empty["kind"] = json!(self.kind);
        empty
    }
}

/// All served kinds, by resource name.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    by_resource: BTreeMap<String, Arc<Kind>>,
}

impl Kinds {
    /// Serves `kind`, in the place of what had its resource name.
    pub fn insert(&mut self, kind: Kind) {
        self.by_resource.insert(kind.resource(), Arc::new(kind));
    }

    /// Serves the resource no more.
    pub fn remove(&mut self, resource: &str) {
        self.by_resource.remove(resource);
    }

    /// The kind behind `plural.group`.
    #[must_use]
    pub fn get(&self, resource: &str) -> Option<Arc<Kind>> {
        self.by_resource.get(resource).cloned()
    }

    /// All kinds, by resource name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.by_resource.values()
    }
}
