//! The built-in kinds that the embedded cluster serves: one table.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::devcluster::kinds::{Column, Kind};
use crate::devcluster::notation::structures;
use crate::devcluster::schema::{Schema, Shape};

/// Namespaces.
pub const NAMESPACES: &str = "namespaces";
/// Pods.
pub const PODS: &str = "pods";
/// core/v1 Events.
pub const EVENTS: &str = "events";
/// ControllerRevisions.
pub const CONTROLLER_REVISIONS: &str = "controllerrevisions.apps";
/// PodDisruptionBudgets.
pub const POD_DISRUPTION_BUDGETS: &str = "poddisruptionbudgets.policy";
/// CustomResourceDefinitions.
pub const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// CloneSets.
pub const CLONE_SETS: &str = "clonesets.apps.kruise.io";

/// One row: group, versions, kind, plural, short names, structure in `builtin.txt`, flags, columns.
///
/// Flags: `n` namespaced, `s` status subresource, `g` generation, `u` a PUT may come without resourceVersion,
/// `d` a DELETE is answered with the object.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// The table. Columns are `Heading=path` with `*` before those of `-o wide`.
const TABLE: [Row; 17] = [
    ("", "v1", "ConfigMap", "configmaps", "cm", "ConfigMap", "nu", "Data=#data"),
    ("", "v1", "Endpoints", "endpoints", "ep", "Endpoints", "nu", ""),
    (
        "",
        "v1",
        "Event",
        "events",
        "ev",
        "CoreEvent",
        "nu",
        "Last Seen=@.lastTimestamp;Type=.type;Reason=.reason;Object=#about;Message=.message",
    ),
    ("", "v1", "Namespace", "namespaces", "ns", "Namespace", "sud", "Status=.status.phase"),
    ("", "v1", "Node", "nodes", "no", "Node", "su", "Status=.status.phase"),
    (
        "",
        "v1",
        "Pod",
        "pods",
        "po",
        "Pod",
        "nsud",
        "Ready=#ready;Status=#pod;Restarts=#restarts;*IP=.status.podIP;*Node=.spec.nodeName",
    ),
    ("", "v1", "Secret", "secrets", "", "Secret", "nu", "Type=.type;Data=#data"),
    (
        "",
        "v1",
        "Service",
        "services",
        "svc",
        "Service",
        "nsud",
        "Type=.spec.type;Cluster-IP=.spec.clusterIP;External-IP=#none;Port(s)=#ports;*Selector=#selector",
    ),
    ("", "v1", "ServiceAccount", "serviceaccounts", "sa", "ServiceAccount", "nud", ""),
    (
        "apps",
        "v1",
        "ControllerRevision",
        "controllerrevisions",
        "",
        "ControllerRevision",
        "nu",
        "Revision=.revision",
    ),
    (
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "pdb",
        "PodDisruptionBudget",
        "nsg",
        "Min Available=.spec.minAvailable;Max Unavailable=.spec.maxUnavailable;Allowed Disruptions=.status.disruptionsAllowed",
    ),
    (
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "hpa",
        "HorizontalPodAutoscaler",
        "nsu",
        "Reference=.spec.scaleTargetRef.name;MinPods=.spec.minReplicas;MaxPods=.spec.maxReplicas;Replicas=.status.currentReplicas",
    ),
    (
        "networking.k8s.io",
        "v1",
        "Ingress",
        "ingresses",
        "ing",
        "Ingress",
        "nsgu",
        "Class=.spec.ingressClassName",
    ),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "", "EndpointSlice", "ngu", ""),
    ("coordination.k8s.io", "v1", "Lease", "leases", "", "Lease", "n", "Holder=.spec.holderIdentity"),
    (
        "events.k8s.io",
        "v1",
        "Event",
        "events",
        "ev",
        "Event",
        "nu",
        "Type=.type;Reason=.reason;Message=.note",
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd,crds",
        "CustomResourceDefinition",
        "sg",
        "",
    ),
];

/// The built-in kinds, and the shape of every object's metadata.
///
/// # Panics
/// Never: `builtin.txt` is compiled in and a test reads it.
#[must_use]
pub fn built_in() -> (Vec<Kind>, Arc<Schema>) {
    let shapes = structures(include_str!("builtin.txt"));
    let kinds = TABLE.iter().map(|row| kind(row, &shapes)).collect();
    (kinds, shapes["ObjectMeta"].clone())
}

fn kind(row: &Row, shapes: &BTreeMap<String, Arc<Schema>>) -> Kind {
    let (group, version, kind, plural, short, shape, flags, columns) = *row;
    let has = |flag: char| flags.contains(flag);
    let words = |text: &str| text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let in_all = matches!(plural, "pods" | "services" | "horizontalpodautoscalers");
    Kind {
        group: group.to_owned(),
        versions: vec![version.to_owned()],
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: words(short),
        categories: if in_all { vec!["all".to_owned()] } else { Vec::new() },
        namespaced: has('n'),
        status: has('s'),
        scale: None,
        generation: has('g'),
        unconditional: has('u'),
        returns_deleted: has('d'),
        custom: false,
        schema: shapes.get(shape).cloned().unwrap_or_else(|| Arc::new(Schema::of(Shape::Open))),
        columns: columns_of(columns),
    }
}

fn columns_of(text: &str) -> Vec<Column> {
    let column = |name: &str, path: &str| Column {
        name: name.trim_start_matches('*').to_owned(),
        data_type: "string".to_owned(),
        format: String::new(),
        description: String::new(),
        priority: i64::from(name.starts_with('*')),
        path: path.to_owned(),
    };
    let parts = text.split(';').filter_map(|part| part.split_once('='));
    let mut columns: Vec<Column> = parts.map(|(name, path)| column(name, path)).collect();
    columns.push(column("Age", "@.metadata.creationTimestamp"));
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_has_its_shape() {
        let (kinds, _) = built_in();
        assert_eq!(kinds.len(), TABLE.len());
        assert!(kinds.iter().all(|kind| matches!(kind.schema.shape, Shape::Map { .. })));
    }
}
