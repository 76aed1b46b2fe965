//! What a kind is to the API: its names, its scope, its subresources. One table serves paths, discovery and writes.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Groups in which the built-in kinds live; every other group is that of a custom kind.
pub const CORE: &str = "";

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
    /// Whether a custom resource definition made it.
    pub custom: bool,
}

/// Where `/scale` finds its numbers, as in a custom resource definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// `.spec.replicas`.
    pub spec_replicas: String,
    /// `.status.replicas`.
    pub status_replicas: String,
    /// `.status.labelSelector`.
    pub label_selector: Option<String>,
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
