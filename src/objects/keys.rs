//! Every name of ours on the wire: group, field manager, labels, annotations.

/// API group of our own kinds and prefix of our annotations.
pub const GROUP: &str = "triton.io";
/// Version of our own kinds.
pub const VERSION: &str = "v1";
/// `apiVersion` of our own kinds, in Git and in the cluster.
pub const API_VERSION: &str = "triton.io/v1";
/// The one field manager that we write as.
pub const FIELD_MANAGER: &str = "triton";

/// Label on everything that we apply.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_TRITON: &str = "triton";

/// On every object of ours: the root that it belongs to, eight hexadecimal digits.
pub const ROOT: &str = "triton.io/root";

/// On a record: the namespace with the lease of the daemon that writes it. Two daemons of one root meet here.
pub const LEASE_NAMESPACE: &str = "triton.io/lease-namespace";

/// For people, on a CloneSet: nothing is written while it exists, whatever its value. A step of pods
/// that are updated in place is still filled.
pub const SUSPEND: &str = "triton.io/suspend";
/// For people, on a CloneSet: take back the entered digest that it names (any prefix from twelve digits on).
pub const ROLLBACK: &str = "triton.io/rollback";
/// For people, on a Release in Git: `"true"` takes over a CloneSet that exists.
pub const ADOPT: &str = "triton.io/adopt";
/// For people, on a Release in Git: `orphan` leaves the objects when the file is deleted.
pub const ON_DELETE: &str = "triton.io/on-delete";
/// For people, on a ConfigMap in Git: `"false"` applies it under the name that it has, for all pods at once.
pub const VERSIONED: &str = "triton.io/versioned";

/// For people, on a pod template in Git: when its pods were last asked to start again. Another value is another
/// template.
pub const RESTARTED: &str = "triton.io/restarted-at";

/// On a ConfigMap that is applied under a name with its content's hash: the name that Git has.
pub const VERSION_OF: &str = "triton.io/version-of";

/// Condition of a pod, readiness gate and label of a template: the pod serves once the condition is true. The label
/// makes the pods that have the gate known by it.
pub const SERVE: &str = "triton.io/serve";
/// Value of the label [`SERVE`].
pub const SERVE_GATED: &str = "gated";
/// Value of the label [`SERVE`] while a pod is out of traffic and updated in place: Kruise's hook keeps it no longer.
pub const SERVE_UPDATING: &str = "updating";

/// On the two Services of ours that share the traffic of one of the user's by revision, and so on their EndpointSlices
/// (Kubernetes, `pkg/controller/endpointslice`: labels of a Service are taken over): the name of the release.
pub const TRAFFIC: &str = "triton.io/traffic";
/// Label of every pod of a CloneSet: what stands behind the last dash of its revision's name (Kruise,
/// `pkg/controller/cloneset/revision/cloneset_revision.go`).
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// On every object of a release: which release, as `namespace/name`.
pub const RELEASE: &str = "triton.io/release";
/// Memory: UID of the object that it is about.
pub const UID: &str = "triton.io/uid";
/// Memory of an object that was only just made, instead of its UID: the announcement under which that was done.
pub const CREATE: &str = "triton.io/create";
/// Memory: the entered digest, 64 hexadecimal digits.
pub const DIGEST: &str = "triton.io/digest";
/// Memory: hash of the entered template, 64 hexadecimal digits.
pub const TEMPLATE: &str = "triton.io/template";
/// Memory: first commit of the entered episode.
pub const EPISODE: &str = "triton.io/episode";
/// Memory: version (image tag) of the entered release, for people.
pub const RELEASE_VERSION: &str = "triton.io/version";
/// Memory: the entered step; 0 is before step 1.
pub const STEP: &str = "triton.io/step";
/// Memory: when that step was entered.
pub const STEP_ENTERED: &str = "triton.io/step-entered";
/// Memory: when it was reached and with how many pods, as `TIME PODS`.
pub const STEP_REACHED: &str = "triton.io/step-reached";
/// Memory: the CloneSet revision that the entered template became.
pub const REVISION: &str = "triton.io/revision";
/// Memory: the step up to which pods may serve, or `all`.
pub const SERVED: &str = "triton.io/served";
/// Memory: that the pods of the entered step were up, and waited to serve.
pub const STEP_UP: &str = "triton.io/step-up";
/// Memory: pods that Git names, with blanks between them: `name=uid` was asked to be replaced, `name` alone is settled.
pub const REPLACED: &str = "triton.io/replaced";
/// Memory of a release that is switched as a whole: the digest of the release by which its CloneSet stands, where that is not
/// the entered one.
pub const HOME: &str = "triton.io/home";
/// On a second CloneSet of a release that is switched as a whole: the hash of its template, 64 hexadecimal digits. The first of
/// them stand in its name.
pub const TWIN: &str = "triton.io/twin";
/// Memory: the failed try, as `TEMPLATE ATTEMPT`.
pub const FAILED: &str = "triton.io/failed";
/// Memory: the proven stack, newest last, as JSON.
pub const PROVEN: &str = "triton.io/proven";

/// The annotations that are memory: written by us alone, never taken from Git.
pub const MEMORY: [&str; 16] = [
    UID,
    CREATE,
    DIGEST,
    TEMPLATE,
    EPISODE,
    RELEASE_VERSION,
    STEP,
    STEP_ENTERED,
    STEP_REACHED,
    REVISION,
    SERVED,
    STEP_UP,
    REPLACED,
    HOME,
    FAILED,
    PROVEN,
];

/// Name of the lease of a root, which is named by its digits.
#[must_use]
pub fn lease(root: &str) -> String {
    format!("triton-{root}")
}

/// On the lease: the head of the branch that was seen last, written before it is used.
pub const HEAD: &str = "triton.io/head";
/// On the lease: the repository that this head is of, without credentials.
pub const REPOSITORY: &str = "triton.io/repository";
/// On the lease: the head that the records tell of. It follows [`HEAD`] as soon as everything is told.
pub const TOLD: &str = "triton.io/told-head";
/// On the lease: announcements of creates, the newest last, with commas between them. An object cannot carry the UID that
/// it does not have yet: until it does, its memory names one of these.
pub const CREATES: &str = "triton.io/creates";
/// On the lease: seconds between two polls.
pub const INTERVAL: &str = "triton.io/interval";
/// On the lease: when Git was last asked with success.
pub const POLLED_AT: &str = "triton.io/polled-at";

/// Kruise's label of a pod: where it is in its lifecycle (Kruise, `apis/apps/pub/lifecycle.go`).
pub const KRUISE_STATE: &str = "lifecycle.apps.kruise.io/state";
/// Kruise's annotation of a pod: since when it is there (Kruise, `apis/apps/pub/lifecycle.go`).
pub const KRUISE_STATE_TIME: &str = "lifecycle.apps.kruise.io/timestamp";
