//! Other tools that apply an object from a source of their own: known by their marks, and by their managers.
//!
//! A manager stays in managedFields after its tool has let go, so that each tool's own mark for *hands off* counts
//! against it: with that mark the tool neither changes nor removes the object.

use serde_json::Value;

use crate::objects::keys;
use crate::world::{OtherTool, Tool};

/// Flux neither applies nor removes an object with these two (fluxcd.io, "Kustomization", "Disable reconciliation").
pub const FLUX_OFF: [&str; 2] =
    ["kustomize.toolkit.fluxcd.io/reconcile", "kustomize.toolkit.fluxcd.io/prune"];
/// The value of both.
const DISABLED: &str = "disabled";

/// The tool that applies `object` too.
#[must_use]
pub fn other_tool(object: &Value) -> Option<OtherTool> {
    let text = |map: &str, key: &str| object["metadata"][map][key].as_str();
    let label = |key: &str| text("labels", key);
    let annotation = |key: &str| text("annotations", key);
    let found = |tool: Tool, name: Option<String>| Some(OtherTool { tool, name: name.unwrap_or_default() });
    let flux = |group: &str| {
        let name = label(&format!("{group}.toolkit.fluxcd.io/name"))?;
        let namespace = label(&format!("{group}.toolkit.fluxcd.io/namespace")).unwrap_or_default();
        Some(format!("{namespace}/{name}"))
    };
    let is_kept = annotation("helm.sh/resource-policy") == Some("keep");
    let release = flux("helm");
    if release.is_some() || (is_managed(object, &["helm-controller"]) && !is_kept) {
        return found(Tool::FluxHelmRelease, release);
    }
    let kustomization = flux("kustomize");
    let is_off = FLUX_OFF.iter().all(|key| annotation(key) == Some(DISABLED));
    if !is_off && (kustomization.is_some() || is_managed(object, &["kustomize-controller"])) {
        return found(Tool::FluxKustomization, kustomization);
    }
    // `application:group/kind:namespace/name`
    let tracking = annotation("argocd.argoproj.io/tracking-id");
    let application = tracking.and_then(|it| it.split(':').next()).map(str::to_owned);
    let stays = annotation("argocd.argoproj.io/sync-options").is_some_and(|it| it.contains("Prune=false"));
    let argo = ["argocd-controller", "argocd-application-controller"];
    // Where it tracks by label, what stays in spite of pruning is still applied.
    let labelled = label("app.kubernetes.io/instance").map(str::to_owned);
    if application.is_some() || (is_managed(object, &argo) && (labelled.is_some() || !stays)) {
        return found(Tool::ArgoCd, application.or(labelled));
    }
    let release = annotation("meta.helm.sh/release-name").map(str::to_owned);
    let is_marked = release.is_some() || label(keys::MANAGED_BY) == Some("Helm");
    if is_marked || (is_managed(object, &["helm"]) && !is_kept) {
        return found(Tool::Helm, release);
    }
    None
}

/// Whether one of `managers` has written the object itself.
fn is_managed(object: &Value, managers: &[&str]) -> bool {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        let name = entry["manager"].as_str().unwrap_or_default();
        managers.contains(&name) && entry["subresource"].as_str().is_none_or(str::is_empty)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner(labels: Value, annotations: Value, manager: &str) -> Option<String> {
        let entry = json!({"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {}}});
        let object =
            json!({"metadata": {"labels": labels, "annotations": annotations, "managedFields": [entry]}});
        other_tool(&object).map(|it| it.to_string())
    }

    #[test]
    fn other_tools_are_known_by_their_marks() {
        let flux = json!({"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"});
        assert_eq!(owner(flux, json!({}), "x").as_deref(), Some("Flux Kustomization flux/apps"));
        let argo = json!({"argocd.argoproj.io/tracking-id": "shop:apps.kruise.io/CloneSet:shop/web"});
        assert_eq!(owner(json!({}), argo, "x").as_deref(), Some("Argo CD Application shop"));
        let helm = json!({"meta.helm.sh/release-name": "web"});
        assert_eq!(owner(json!({}), helm, "x").as_deref(), Some("Helm release web"));
        assert_eq!(
            owner(json!({"app.kubernetes.io/managed-by": "Helm"}), json!({}), "x").as_deref(),
            Some("Helm")
        );
        assert_eq!(owner(json!({"app.kubernetes.io/managed-by": "triton"}), json!({}), "x"), None);
    }

    #[test]
    fn a_tool_is_known_by_its_manager_until_its_own_mark_keeps_its_hands_off() {
        for (manager, tool, off) in [
            ("kustomize-controller", "Flux", json!({FLUX_OFF[0]: "disabled", FLUX_OFF[1]: "disabled"})),
            ("helm-controller", "Flux", json!({"helm.sh/resource-policy": "keep"})),
            (
                "argocd-controller",
                "Argo CD",
                json!({"argocd.argoproj.io/sync-options": "Prune=false,Delete=false"}),
            ),
            ("helm", "Helm", json!({"helm.sh/resource-policy": "keep"})),
        ] {
            assert_eq!(owner(json!({}), json!({}), manager).as_deref(), Some(tool));
            assert_eq!(owner(json!({}), off, manager), None, "{manager}");
        }
        assert_eq!(owner(json!({}), json!({}), "kubectl-client-side-apply"), None);
        let half = json!({FLUX_OFF[1]: "disabled"});
        assert_eq!(
            owner(json!({}), half, "kustomize-controller").as_deref(),
            Some("Flux"),
            "it still applies it"
        );
    }
}
