//! The steps of the recorded vectors in which the embedded cluster differs on purpose, each with its reason.

/// Steps of a case that differ.
pub struct Exclusion {
    /// The case.
    pub case: &'static str,
    /// Its steps, from 0.
    pub steps: &'static [usize],
    /// Why.
    pub reason: &'static str,
}

/// All of them.
pub const EXCLUSIONS: &[Exclusion] = &[
    Exclusion {
        case: "apply-yaml-body",
        steps: &[0, 1, 2, 3, 4],
        reason: "bodies in YAML are not read: kubectl and kube's client send apply patches as JSON",
    },
    Exclusion { case: "horizontal-pod-autoscaler", steps: &[5], reason: "autoscaling/v1 is not served" },
    Exclusion { case: "pod-disruption-budget", steps: &[2], reason: "the message quotes a Go structure" },
    Exclusion {
        case: "pod-disruption-budget",
        steps: &[7, 9, 11, 12, 13],
        reason: "evictions are not served",
    },
    Exclusion {
        case: "pod-create-and-status",
        steps: &[7],
        reason: "the message ends in a difference of Go structures",
    },
    Exclusion { case: "pod-create-and-status", steps: &[11], reason: "there are no logs" },
    Exclusion {
        case: "lease",
        steps: &[8],
        reason: "the message names Go's layout of time and quotes the whole object in Go's order of fields",
    },
    Exclusion {
        case: "controller-revision",
        steps: &[1],
        reason: "the message quotes the bytes of a Go structure",
    },
    Exclusion {
        case: "controller-revision",
        steps: &[2, 3],
        reason: "the real server compares the raw bytes of data, so that it refuses a new revision number in a patch; here it is taken",
    },
    Exclusion { case: "delete-simple", steps: &[11], reason: "the message names a line of Go" },
    Exclusion {
        case: "discovery",
        steps: &[2, 4, 5, 6],
        reason: "aggregated discovery is not served: clients fall back to the plain one",
    },
    Exclusion {
        case: "discovery",
        steps: &[3, 7, 8],
        reason: "only the groups, versions and subresources that are served are listed",
    },
    Exclusion {
        case: "discovery",
        steps: &[9, 13, 14],
        reason: "storageVersionHash is a name, not a hash: clients only compare it",
    },
    Exclusion {
        case: "discovery",
        steps: &[12],
        reason: "the index of OpenAPI documents has only those that kubectl needs to learn of fieldValidation",
    },
    Exclusion { case: "access-review", steps: &[1], reason: "reviews have no managedFields" },
    Exclusion {
        case: "list-limit-continue",
        steps: &[11],
        reason: "the message is that of Go's JSON decoder",
    },
    Exclusion {
        case: "watch-and-list-as-metadata-or-table",
        steps: &[9],
        reason: "columns of built-in kinds have no descriptions",
    },
    Exclusion { case: "watch-and-list-as-metadata-or-table", steps: &[16], reason: "protobuf is not served" },
];
