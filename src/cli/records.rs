//! Reading a cluster: the records of releases, by the usual kubeconfig. Needs no daemon and writes nothing.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::{Stream, TryStreamExt};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::runtime::{WatchStreamExt, watcher};

use crate::cli::output::{Format, Refusal};
use crate::cluster::{self, Cluster, Options};
use crate::model::ReleaseId;
use crate::objects::keys;
use crate::objects::record::{KIND, PLURAL, ReleaseStatus};

/// Records asked for at once: a page of them stays far below what a server sends in one answer.
const PAGE: u32 = 200;
/// Longest wait for one answer: a page of records on a slow line takes seconds, and a server that is silent for longer
/// will not be heard by waiting.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// The cluster. Nothing is asked yet.
    ///
    /// # Errors
    /// Where there is no kubeconfig that can be used.
    pub async fn connect(&self) -> Result<Cluster> {
        let options = Options { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        let refusal = |error: cluster::Error| {
            let said = error.to_string();
            // kube's word for having looked everywhere, followed by what it met there.
            let nowhere = said.contains("failed to infer config") && self.is_unnamed();
            let what =
                "no cluster is named: there is no KUBECONFIG, no ~/.kube/config and no service account";
            Refusal::new(if nowhere { what.to_owned() } else { said })
                .hint("name one with --kubeconfig FILE, or set KUBECONFIG")
        };
        Ok(Cluster::connect(&options).await.map_err(refusal)?)
    }

    /// Whether nobody says which cluster is meant.
    fn is_unnamed(&self) -> bool {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let set = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
        self.kubeconfig.is_none() && !set && !home.join(".kube/config").exists()
    }

    /// The records of the cluster.
    ///
    /// # Errors
    /// As [`ClusterArgs::connect`].
    pub async fn records(&self) -> Result<Records> {
        Ok(Records { client: self.connect().await?.client() })
    }
}

/// One release of a cluster, to be read.
#[derive(Args, Clone, Debug)]
pub struct OneArgs {
    /// The release
    #[arg(value_name = "NAMESPACE/NAME")]
    pub release: ReleaseId,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
    /// The cluster to read
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Releases by name: `shop/*`, `*/checkout`, `*/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    namespace: String,
    name: String,
}

impl Pattern {
    /// The one namespace that is meant, where it is one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        (!self.namespace.contains('*')).then_some(self.namespace.as_str())
    }

    /// Whether a release is meant.
    #[must_use]
    pub fn fits(&self, id: &ReleaseId) -> bool {
        let fits = |pattern: &str, text: &str| match pattern.split_once('*') {
            None => pattern == text,
            Some((start, end)) => {
                text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
            }
        };
        fits(&self.namespace, id.namespace.as_str()) && fits(&self.name, id.name.as_str())
    }
}

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = || "write it as 'NAMESPACE/*', with quotes; each part may have one `*`".to_owned();
        let (namespace, name) = text.split_once('/').ok_or_else(usage)?;
        let bad = |part: &str| part.is_empty() || part.contains('/') || part.matches('*').count() > 1;
        if bad(namespace) || bad(name) {
            return Err(usage());
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
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
            let page = answer(api.list(&params), "list").await?;
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
        let found = answer(self.api(Some(id)).get_opt(id.name.as_str()), "get").await?;
        Ok(found.as_ref().and_then(Record::of))
    }

    /// The release `id`.
    ///
    /// # Errors
    /// As [`Records::find`], and where there is no record of it.
    pub async fn get(&self, id: &ReleaseId) -> Result<Record> {
        match self.find(id).await? {
            Some(record) => Ok(record),
            None => Err(self.missing(id).await),
        }
    }

    /// Why there is no record of `id`: the kind, the namespace or the record itself is missing.
    async fn missing(&self, id: &ReleaseId) -> anyhow::Error {
        if let Err(error) = answer(self.api(None).list(&ListParams::default().limit(1)), "list").await {
            return error;
        }
        if self.lacks(id.namespace.as_str()).await {
            let namespace = &id.namespace;
            return Refusal::new(format!("the cluster has no namespace {namespace}, and so no {id}"))
                .hint(format!(
                    "kubectl create namespace {namespace}; if it should be there, is this the cluster?"
                ))
                .into();
        }
        Refusal::new(format!("the cluster has no record of {id}"))
            .hint("`triton status` lists the releases that it has")
            .into()
    }

    /// Whether the cluster has no such namespace; where that may not be asked, it counts as there.
    pub async fn lacks(&self, namespace: &str) -> bool {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        matches!(answer(api.get_opt(namespace), "get").await, Ok(None))
    }

    /// Everything that happens to the records, from a list of all on; it never ends by itself.
    pub fn watch(&self, id: Option<&ReleaseId>) -> impl Stream<Item = Result<watcher::Event<DynamicObject>>> {
        let events = watcher::watcher(self.api(id), watcher::Config::default()).default_backoff();
        events.map_err(|error| anyhow::Error::new(error).context("watching the releases"))
    }
}

/// What the API server answers, if it does.
async fn answer<T>(asked: impl Future<Output = kube::Result<T>>, verb: &str) -> Result<T> {
    match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
        Ok(answer) => answer.map_err(|error| explain(error, verb)),
        Err(_) => {
            let silence = ANSWER_TIMEOUT.as_secs();
            Err(Refusal::new(format!("the cluster takes connections, and has not answered for {silence} s"))
                .hint("is something else listening there, or a proxy before it? `kubectl get --raw /readyz` asks too")
                .into())
        }
    }
}

/// What a refusal of the API server means, and what to do about it.
fn explain(error: kube::Error, verb: &str) -> anyhow::Error {
    let code = match &error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    };
    match code {
        404 => Refusal::new(format!(
            "the cluster does not know the kind of the record, {PLURAL}.{}",
            keys::GROUP
        ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_takes_connections_and_says_nothing_is_given_up() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
        let client = Client::try_from(kube::Config::new(address)).unwrap();
        let listed = Records { client }.list().await.unwrap_err();
        assert!(listed.to_string().contains("has not answered for 30 s"), "{listed}");
    }

    #[test]
    fn a_pattern_means_the_releases_of_a_namespace() {
        let fits = |pattern: &str, id: &str| pattern.parse::<Pattern>().unwrap().fits(&id.parse().unwrap());
        assert!(fits("shop/*", "shop/cart") && fits("*/cart", "shop/cart") && fits("shop/ca*t", "shop/cart"));
        assert!(!fits("shop/*", "stock/cart") && !fits("shop/cart*cart", "shop/cart"));
        for bad in ["shop", "shop/", "/x", "shop/**", "a/b/c"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }
}
