//! The kinds of objects that a release may have, and how the API names them.

use std::fmt;

use crate::model::{Name, Namespace, ReleaseId};

/// A kind that we read or write. Everything of a release is namespaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `apps.kruise.io/v1alpha1`, the shape that every released Kruise serves. A cluster may serve another one:
    /// [`CloneSetVersion`](crate::objects::CloneSetVersion).
    CloneSet,
    /// Read where a release lets its pods serve by approval; of it a condition is written, and nothing else.
    Pod,
    /// A companion.
    Service,
    /// A companion.
    ConfigMap,
    /// A companion.
    ServiceAccount,
    /// A companion.
    Ingress,
    /// A companion.
    HttpRoute,
    /// A companion.
    GrpcRoute,
    /// A companion.
    PodDisruptionBudget,
    /// A companion that owns `replicas`.
    HorizontalPodAutoscaler,
}

/// How the API names a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// The version that we speak.
    pub version: &'static str,
    /// As in URLs.
    pub plural: &'static str,
    /// As in `kind:`.
    pub kind: &'static str,
}

impl Api {
    /// As in `apiVersion:`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

const fn api(group: &'static str, version: &'static str, plural: &'static str, kind: &'static str) -> Api {
    Api { group, version, plural, kind }
}

impl Kind {
    /// The kinds that may accompany a CloneSet in a release, in the order in which they are applied.
    pub const COMPANIONS: [Self; 8] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::Ingress,
        Self::HorizontalPodAutoscaler,
    ];

    /// How the API names it.
    #[must_use]
    pub const fn api(self) -> Api {
        match self {
            Self::CloneSet => api("apps.kruise.io", "v1alpha1", "clonesets", "CloneSet"),
            Self::Pod => api("", "v1", "pods", "Pod"),
            Self::Service => api("", "v1", "services", "Service"),
            Self::ConfigMap => api("", "v1", "configmaps", "ConfigMap"),
            Self::ServiceAccount => api("", "v1", "serviceaccounts", "ServiceAccount"),
            Self::Ingress => api("networking.k8s.io", "v1", "ingresses", "Ingress"),
            Self::HttpRoute => api("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"),
            Self::GrpcRoute => api("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute"),
            Self::PodDisruptionBudget => api("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
            Self::HorizontalPodAutoscaler => {
                api("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
            }
        }
    }

    /// Whether it is a route of the Gateway API, whose `backendRefs` have weights.
    #[must_use]
    pub const fn is_route(self) -> bool {
        matches!(self, Self::HttpRoute | Self::GrpcRoute)
    }

    /// Whether it leads traffic to Services, and can share it by weights.
    #[must_use]
    pub const fn shares_traffic(self) -> bool {
        self.is_route() || matches!(self, Self::Ingress)
    }

    /// The kind that a document's `apiVersion` and `kind` name, if it is one of ours.
    #[must_use]
    pub fn named(api_version: &str, kind: &str) -> Option<Self> {
        let known = std::iter::once(Self::CloneSet).chain(Self::COMPANIONS);
        known.into_iter().find(|it| it.api().kind == kind && it.api().api_version() == api_version)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.api().kind)
    }
}

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Name,
}

impl ObjectKey {
    /// The CloneSet of a release: everything of a release lives in its namespace, and the CloneSet has its name.
    #[must_use]
    pub fn cloneset(release: &ReleaseId) -> Self {
        Self { kind: Kind::CloneSet, namespace: release.namespace.clone(), name: release.name.clone() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}
