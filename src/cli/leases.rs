//! What the daemons' leases say: which head each has seen and told, and whether it still runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};

use crate::cli::records::Records;
use crate::cli::render::GitView;
use crate::objects::keys;

impl Records {
    fn leases(&self, namespace: Option<&str>) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease"));
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client().clone(), namespace, &kind),
            None => Api::all_with(self.client().clone(), &kind),
        }
    }

    /// What the lease of `root` says; nothing where there is none that can be read.
    pub async fn git(&self, root: Option<&str>) -> GitView {
        let Some(root) = root else { return GitView::default() };
        let near = self.leases(Some(self.client().default_namespace()));
        match near.get_opt(&keys::lease(root)).await {
            Ok(Some(lease)) => view(&lease),
            // The daemon may run in a namespace of its own.
            Ok(None) | Err(_) => self.daemons().await.remove(root).unwrap_or_default(),
        }
    }

    /// What every lease of ours says, by the name of its root. Where not all may be listed, those that are near.
    pub async fn daemons(&self) -> BTreeMap<String, GitView> {
        let ours = ListParams::default().labels(&format!("{}={}", keys::MANAGED_BY, keys::MANAGED_BY_TRITON));
        let found = match self.leases(None).list(&ours).await {
            Ok(all) => all,
            Err(_) => match self.leases(Some(self.client().default_namespace())).list(&ours).await {
                Ok(near) => near,
                Err(_) => return BTreeMap::new(),
            },
        };
        let prefix = keys::lease("");
        let named = |lease: &DynamicObject| {
            let root = lease.metadata.name.as_ref()?.strip_prefix(&prefix)?;
            Some((root.to_owned(), view(lease)))
        };
        found.items.iter().filter_map(named).collect()
    }
}

fn view(lease: &DynamicObject) -> GitView {
    let annotations = lease.metadata.annotations.as_ref();
    let annotation = |key: &str| annotations.and_then(|all| all.get(key)).cloned();
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let spec = |key: &str| lease.data["spec"][key].as_str().filter(|text| !text.is_empty());
    GitView {
        head: annotation(keys::HEAD),
        told_head: annotation(keys::TOLD),
        polled_at: annotation(keys::POLLED_AT).and_then(|at| time(&at)),
        interval: annotation(keys::INTERVAL).and_then(|seconds| seconds.parse().ok()),
        repository: annotation(keys::REPOSITORY),
        daemon: spec("holderIdentity").map(str::to_owned),
        renewed_at: spec("renewTime").and_then(time),
    }
}
