//! How an object is handed over by another tool: the steps in the order in which nothing is lost.

use crate::world::{OtherTool, Tool};

/// What to do before an object is taken over here, as steps in one sentence.
#[must_use]
pub fn hand_over(tool: &OtherTool) -> &'static str {
    match tool.tool {
        Tool::FluxKustomization => {
            "1) annotate it kustomize.toolkit.fluxcd.io/reconcile=disabled and kustomize.toolkit.fluxcd.io/prune=disabled \
             2) it is taken over here 3) remove it from what Flux reads"
        }
        Tool::FluxHelmRelease => {
            "1) annotate it helm.sh/resource-policy=keep 2) remove it from the chart 3) take its labels \
             helm.toolkit.fluxcd.io/name and /namespace away, and its annotation meta.helm.sh/release-name"
        }
        Tool::ArgoCd => {
            "1) let Argo CD annotate it argocd.argoproj.io/sync-options: Prune=false,Delete=false 2) remove it from its \
             source 3) take argocd.argoproj.io/tracking-id and the label app.kubernetes.io/instance away"
        }
        Tool::Helm => {
            "1) let its chart annotate it helm.sh/resource-policy: keep 2) remove it from the chart 3) take its annotation \
             meta.helm.sh/release-name and its label app.kubernetes.io/managed-by away"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_lets_go_before_its_source_does() {
        for tool in [Tool::FluxKustomization, Tool::FluxHelmRelease, Tool::ArgoCd, Tool::Helm] {
            let steps = hand_over(&OtherTool { tool, name: String::new() });
            let at = |text: &str| steps.find(text).unwrap_or_else(|| panic!("{text}: {steps}"));
            assert!(at("annotate it") < at("remove it from"), "{steps}");
        }
    }
}
