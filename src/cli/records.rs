//! Reading a cluster: the records of releases, by the usual kubeconfig. Needs no daemon and writes nothing.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use futures::{Stream, TryStreamExt};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config};

use crate::cli::output::Refusal;
use crate::cli::render::GitView;
use crate::model::ReleaseId;
use crate::objects::keys;
use crate::objects::record::{KIND, PLURAL, ReleaseStatus};

/// Records asked for at once: a page of them stays far below what a server sends in one answer.
const PAGE: u32 = 200;
/// Seconds to connect: a person waits for the answer.
const CONNECT_SECONDS: u64 = 10;

/// Which cluster.
#[derive(Args, Clone, Debug, Default)]
pub struct ClusterArgs {
    /// Kubeconfig of the cluster; by default KUBECONFIG, ~/.kube/config or the service account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; by default its current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl ClusterArgs {
    /// Finds out how to reach the cluster, without asking it anything.
    ///
    /// # Errors
    /// Where there is no kubeconfig that can be read.
    pub async fn config(&self) -> Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match (&self.kubeconfig, &self.context) {
            (Some(file), _) => {
                let kubeconfig = Kubeconfig::read_from(file)
                    .map_err(|error| Refusal::new(format!("{} cannot be read: {error}", file.display())))?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(refuse_config)?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(refuse_config)?,
            (None, None) => Config::infer().await.map_err(refuse_config)?,
        };
        config.connect_timeout = Some(std::time::Duration::from_secs(CONNECT_SECONDS));
        Ok(config)
    }

    /// The cluster, for reading.
    ///
    /// # Errors
    /// Where there is no kubeconfig that can be read, or its certificates are broken.
    pub async fn connect(&self) -> Result<Records> {
        let mut config = self.config().await?;
        // A person waits: a server that refuses is told of at once, not after minutes of trying again.
        config.default_retry = false;
        let client = Client::try_from(config).context("the kubeconfig cannot be used")?;
        Ok(Records { client })
    }
}

fn refuse_config(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(format!("no cluster: {error}")).hint("name one with --kubeconfig FILE, or set KUBECONFIG")
}

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which release it is of.
    pub id: ReleaseId,
    /// The root that it belongs to, eight hexadecimal digits.
    pub root: Option<String>,
    /// What it says.
    pub status: ReleaseStatus,
}

impl Record {
    /// Reads an object; `None` where its name is none of a release.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Option<Self> {
        let name = object.metadata.name.as_deref()?;
        let namespace = object.metadata.namespace.as_deref()?;
        let id = ReleaseId { namespace: namespace.parse().ok()?, name: name.parse().ok()? };
        let annotations = object.metadata.annotations.as_ref();
        let root = annotations.and_then(|all| all.get(keys::ROOT)).cloned();
        let status = object.data.get("status").cloned().unwrap_or_default();
        Some(Self { id, root, status: serde_json::from_value(status).unwrap_or_default() })
    }
}

/// The records of a cluster.
#[derive(Clone)]
pub struct Records {
    client: Client,
}

impl Records {
    /// Reads by `client`.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, to read other objects with.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    fn api(&self, id: Option<&ReleaseId>) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(keys::GROUP, keys::VERSION, KIND);
        let resource = ApiResource::from_gvk_with_plural(&kind, PLURAL);
        match id {
            Some(id) => Api::namespaced_with(self.client.clone(), id.namespace.as_str(), &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Every release, by name.
    ///
    /// # Errors
    /// Where the cluster does not answer, refuses, or does not know the kind.
    pub async fn list(&self) -> Result<Vec<Record>> {
        let api = self.api(None);
        let mut records = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = api.list(&params).await.map_err(|error| explain(error, "list"))?;
            records.extend(page.items.iter().filter_map(Record::of));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }

    /// The release `id`, if the cluster has a record of it.
    ///
    /// # Errors
    /// Where the cluster does not answer or refuses.
    pub async fn find(&self, id: &ReleaseId) -> Result<Option<Record>> {
        let found = self.api(Some(id)).get_opt(id.name.as_str()).await;
        Ok(found.map_err(|error| explain(error, "get"))?.as_ref().and_then(Record::of))
    }

    /// The release `id`.
    ///
    /// # Errors
    /// As [`Records::find`], and where there is no record of it.
    pub async fn get(&self, id: &ReleaseId) -> Result<Record> {
        let refusal = || {
            Refusal::new(format!("the cluster has no record of {id}"))
                .hint("`triton status` lists the releases that it has")
        };
        Ok(self.find(id).await?.ok_or_else(refusal)?)
    }

    /// What the daemon's Lease says of the repository of `root`; nothing where there is none to be read.
    pub async fn git(&self, root: Option<&str>) -> GitView {
        let _ = root;
        GitView::default()
    }

    /// Everything that happens to the records, from a list of all on; it never ends by itself.
    pub fn watch(&self, id: Option<&ReleaseId>) -> impl Stream<Item = Result<watcher::Event<DynamicObject>>> {
        let events = watcher::watcher(self.api(id), watcher::Config::default()).default_backoff();
        events.map_err(|error| anyhow::Error::new(error).context("watching the releases"))
    }
}

/// What a refusal of the API server means, and what to do about it.
fn explain(error: kube::Error, verb: &str) -> anyhow::Error {
    let code = match &error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    };
    match code {
        404 => Refusal::new("the cluster has no releases of Triton")
            .hint("kubectl apply -f deploy/crd.yaml, then start `triton run`")
            .into(),
        401 => Refusal::new("the cluster does not accept these credentials").into(),
        403 => Refusal::new(format!("you may not {verb} {PLURAL}.{}", keys::GROUP))
            .hint(format!(
                "ask for the rule: apiGroups [{}], resources [{PLURAL}], verbs [get, list, watch]",
                keys::GROUP
            ))
            .into(),
        _ => anyhow::Error::new(error).context("the cluster did not answer"),
    }
}
