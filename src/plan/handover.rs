//! How an object is handed over by another tool: the steps in the order in which nothing is lost.

use crate::objects::ObjectKey;
use crate::world::{OtherTool, Tool};

/// What to do there before `key` is taken over here, in one sentence.
#[must_use]
pub fn hand_over(tool: &OtherTool, key: &ObjectKey) -> String {
    let api = key.kind.api();
    let dot = if api.group.is_empty() { "" } else { "." };
    let on = |verb: &str| {
        format!("kubectl {verb} {}{dot}{} {} -n {}", api.plural, api.group, key.name, key.namespace)
    };
    let (annotate, label) = (on("annotate"), on("label"));
    let named =
        |what: &str| if tool.name.is_empty() { what.to_owned() } else { format!("{what} {}", tool.name) };
    let flux = "toolkit.fluxcd.io";
    let (first, second, last) = match tool.tool {
        Tool::FluxKustomization => (
            format!("{annotate} kustomize.{flux}/reconcile=disabled kustomize.{flux}/prune=disabled"),
            "it is taken over here".to_owned(),
            "remove it from what Flux reads".to_owned(),
        ),
        Tool::FluxHelmRelease => (
            format!("suspend {} and {annotate} helm.sh/resource-policy=keep", named("the HelmRelease")),
            "remove it from the chart, with that annotation in the chart's last version".to_owned(),
            format!(
                "{label} helm.{flux}/name- helm.{flux}/namespace- app.kubernetes.io/managed-by-, and {annotate} \
                meta.helm.sh/release-name- meta.helm.sh/release-namespace-"
            ),
        ),
        Tool::ArgoCd => (
            format!(
                "let {} sync it with the annotation argocd.argoproj.io/sync-options: Prune=false,Delete=false",
                named("the Application")
            ),
            "remove it from what Argo CD reads, and sync: it stays".to_owned(),
            format!("{annotate} argocd.argoproj.io/tracking-id-"),
        ),
        Tool::Helm => (
            "upgrade the chart with the annotation helm.sh/resource-policy: keep on it".to_owned(),
            "remove it from the chart, and upgrade: it stays".to_owned(),
            format!(
                "{annotate} meta.helm.sh/release-name- meta.helm.sh/release-namespace-, and {label} \
                app.kubernetes.io/managed-by-"
            ),
        ),
    };
    format!("1) {first} 2) {second} 3) {last}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Kind;

    #[test]
    fn a_tool_lets_go_before_its_source_does() {
        let key = ObjectKey::cloneset(&"shop/web".parse().unwrap());
        let steps =
            |tool: Tool, name: &str, key: &ObjectKey| hand_over(&OtherTool { tool, name: name.into() }, key);
        let flux = steps(Tool::FluxKustomization, "flux/apps", &key);
        assert!(
            flux.starts_with("1) kubectl annotate clonesets.apps.kruise.io web -n shop kustomize."),
            "{flux}"
        );
        let service = ObjectKey { kind: Kind::Service, ..key.clone() };
        let helm = steps(Tool::Helm, "web", &service);
        let at = |text: &str| helm.find(text).unwrap_or_else(|| panic!("{text}: {helm}"));
        assert!(at("resource-policy: keep") < at("remove it from the chart"), "{helm}");
        assert!(
            at("remove it from the chart") < at("kubectl annotate services web -n shop meta.helm.sh"),
            "{helm}"
        );
        let argo = steps(Tool::ArgoCd, "shop", &key);
        assert!(
            argo.contains("let the Application shop sync it") && argo.ends_with("tracking-id-"),
            "{argo}"
        );
        assert!(steps(Tool::FluxHelmRelease, "", &key).starts_with("1) suspend the HelmRelease and "));
    }
}
