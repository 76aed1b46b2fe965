//! The CloneSets that run, what stands beside them, and what taking them over would change.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::output::Refusal;
use crate::cli::records::Pattern;
use crate::cluster::{Cluster, Error, project};
use crate::fields::{FieldChange, templates};
use crate::model::ReleaseId;
use crate::objects::{Kind, ObjectKey, keys};
use crate::spec::config;
use crate::world::{Action, Expect, Write};

/// Kinds that can stand beside a CloneSet, and the one that its pods name.
const BESIDE: [Kind; 7] = [
    Kind::ConfigMap,
    Kind::Service,
    Kind::PodDisruptionBudget,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::Ingress,
    Kind::HorizontalPodAutoscaler,
];
/// What Kubernetes itself puts into every namespace (`kube-controller-manager`, root CA publisher).
const ROOT_CA: &str = "kube-root-ca.crt";

/// A cluster to adopt from.
pub struct Live {
    cluster: Cluster,
}

/// One CloneSet.
pub struct Found {
    /// The release that it would be.
    pub id: ReleaseId,
    /// As the server has it.
    pub object: Value,
    /// What decisions look at.
    pub live: crate::world::Live,
}

/// One object that serves the pods of a CloneSet.
pub struct Neighbour {
    /// Which.
    pub key: ObjectKey,
    /// As the server has it.
    pub object: Value,
    /// Whether it serves other CloneSets too, or is another release's: it stays out then.
    pub is_shared: bool,
}

impl Live {
    /// By a connection.
    #[must_use]
    pub const fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// The CloneSets that are meant, by name.
    ///
    /// # Errors
    /// Where the cluster does not let them be listed, or there is none.
    pub async fn clonesets(&self, pattern: &Pattern) -> Result<Vec<Found>> {
        let found = self.clonesets_of(pattern.namespace()).await?;
        let read = |object: Value| {
            let id = project::id(&object)?;
            let live = project::cloneset(&object)?.live;
            pattern.fits(&id).then_some(Found { id, object, live })
        };
        let mut found: Vec<Found> = found.into_iter().filter_map(read).collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    /// What serves the pods of each CloneSet of `namespace`.
    ///
    /// # Errors
    /// Where the cluster does not let them be listed: without its autoscaler a release would take the size from it.
    pub async fn neighbours(&self, namespace: &str) -> Result<BTreeMap<ReleaseId, Vec<Neighbour>>> {
        let clonesets = self.clonesets_of(Some(namespace)).await?;
        let mut objects = Vec::new();
        for kind in BESIDE {
            let listed = self.list(kind, Some(namespace)).await?;
            objects.extend(listed.into_iter().map(|object| (kind, object)));
        }
        let mut found: BTreeMap<ReleaseId, Vec<Neighbour>> = BTreeMap::new();
        for (kind, object) in &objects {
            let serves: Vec<ReleaseId> = clonesets
                .iter()
                .filter(|it| serves(*kind, object, it, &objects))
                .filter_map(project::id)
                .collect();
            let Some(key) = project::key(*kind, object) else { continue };
            for id in &serves {
                let owner = object["metadata"]["annotations"][keys::RELEASE].as_str();
                let is_made =
                    object["metadata"]["ownerReferences"].as_array().is_some_and(|it| !it.is_empty());
                let is_shared =
                    serves.len() > 1 || is_made || owner.is_some_and(|owner| owner != id.to_string());
                let neighbour = Neighbour { key: key.clone(), object: object.clone(), is_shared };
                found.entry(id.clone()).or_default().push(neighbour);
            }
        }
        Ok(found)
    }

    /// The fields of the pod template that applying `body` would change: none, and no pod moves. A dry-run.
    ///
    /// # Errors
    /// What the server has against it.
    pub async fn rehearse(&self, found: &Found, body: &Value) -> Result<Vec<FieldChange>, Error> {
        let mut body = body.clone();
        let strategy = &mut body["spec"]["updateStrategy"];
        strategy["partition"] = json!(found.live.partition);
        strategy["paused"] = found.live.paused.into();
        let expect = Expect::Same(found.live.uid.clone(), found.live.version.clone());
        let action = Action::Apply { body: std::sync::Arc::new(body), expect };
        let write = Write { object: ObjectKey::cloneset(&found.id), action, forward: false };
        let after = self.cluster.rehearse(&write).await?;
        Ok(after.map(|after| templates(&found.object, &after)).unwrap_or_default())
    }

    /// All but the second ones of releases that are switched as a whole: those are Triton's to make.
    async fn clonesets_of(&self, namespace: Option<&str>) -> Result<Vec<Value>> {
        let mut found = self.list(Kind::CloneSet, namespace).await?;
        found.retain(|it| it["metadata"]["annotations"][keys::TWIN].is_null());
        Ok(found)
    }

    /// A kind that the cluster does not serve has no objects; a CloneSet has to be served.
    async fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Vec<Value>> {
        match self.cluster.list(kind, namespace).await {
            Ok(listed) => Ok(listed),
            Err(Error::NotServed(_)) if kind != Kind::CloneSet => Ok(Vec::new()),
            // Without them a release is written as well: its pods read them by their names.
            Err(Error::Forbidden(_)) if kind == Kind::ConfigMap => Ok(Vec::new()),
            Err(error) => Err(Refusal::new(format!("{kind}s cannot be listed: {error}")).into()),
        }
    }
}

/// Whether `object` serves the pods of `cloneset`; a route does by a Service among `objects`, a ConfigMap where they read
/// it.
fn serves(kind: Kind, object: &Value, cloneset: &Value, objects: &[(Kind, Value)]) -> bool {
    let labels = &cloneset["spec"]["template"]["metadata"]["labels"];
    let selects = |selector: &Value| {
        let wanted = selector.as_object().filter(|it| !it.is_empty());
        wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
    };
    let name = |object: &Value| object["metadata"]["name"].clone();
    match kind {
        Kind::Service => selects(&object["spec"]["selector"]),
        Kind::PodDisruptionBudget => selects(&object["spec"]["selector"]["matchLabels"]),
        Kind::HorizontalPodAutoscaler => {
            let target = &object["spec"]["scaleTargetRef"];
            target["kind"] == "CloneSet" && target["name"] == name(cloneset)
        }
        Kind::Ingress | Kind::HttpRoute | Kind::GrpcRoute => {
            let services = objects
                .iter()
                .filter(|(kind, it)| *kind == Kind::Service && serves(*kind, it, cloneset, &[]));
            let names: Vec<Value> = services.map(|(_, service)| name(service)).collect();
            names_service(&object["spec"], &names)
        }
        Kind::ConfigMap => {
            let read = config::names(&cloneset["spec"]["template"]);
            name(object).as_str().is_some_and(|name| name != ROOT_CA && read.contains(name))
        }
        Kind::CloneSet | Kind::Pod | Kind::ServiceAccount => false,
    }
}

/// Whether a route leads to one of the Services: by `service: {name}` in an Ingress, `backendRefs` in an HTTPRoute.
fn names_service(value: &Value, names: &[Value]) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, below)| match key.as_str() {
            "service" => names.contains(&below["name"]),
            "backendRefs" => below.as_array().into_iter().flatten().any(|it| names.contains(&it["name"])),
            _ => names_service(below, names),
        }),
        Value::Array(items) => items.iter().any(|item| names_service(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serves_the_pods_is_found_by_selector_target_and_backend() {
        let cloneset = json!({"metadata": {"name": "web"},
            "spec": {"template": {"metadata": {"labels": {"app": "web", "tier": "x"}}, "spec": {"volumes": [
                {"configMap": {"name": "settings"}}, {"configMap": {"name": ROOT_CA}}]}}}});
        let service = |selector: Value| json!({"metadata": {"name": "svc"}, "spec": {"selector": selector}});
        let ours = service(json!({"app": "web"}));
        let all = [(Kind::Service, ours.clone())];
        let is = |kind: Kind, object: &Value| serves(kind, object, &cloneset, &all);
        assert!(is(Kind::Service, &ours));
        assert!(
            !is(Kind::Service, &service(json!({"app": "other"}))) && !is(Kind::Service, &service(json!({})))
        );
        let target = |name: &str| json!({"spec": {"scaleTargetRef": {"kind": "CloneSet", "name": name}}});
        assert!(
            is(Kind::HorizontalPodAutoscaler, &target("web"))
                && !is(Kind::HorizontalPodAutoscaler, &target("x"))
        );
        let config = |name: &str| json!({"metadata": {"name": name}});
        assert!(is(Kind::ConfigMap, &config("settings")) && !is(Kind::ConfigMap, &config("other")));
        assert!(!is(Kind::ConfigMap, &config(ROOT_CA)), "every namespace has it");
        let route = |name: &str| json!({"spec": {"rules": [{"backendRefs": [{"name": name, "port": 80}]}]}});
        assert!(is(Kind::HttpRoute, &route("svc")) && !is(Kind::HttpRoute, &route("x")));
        let ingress =
            json!({"spec": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "svc"}}}]}}]}});
        assert!(is(Kind::Ingress, &ingress));
    }
}
