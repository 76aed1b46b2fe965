//! The way to a cluster: kubeconfig, service account, or a service in this process.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::cluster::error::Error;
use crate::cluster::requests::Requests;
use crate::objects::CloneSetVersion;

/// How long one watch request runs before it is asked for again, in seconds: below the five minutes after which
/// proxies cut a silent connection (kube's own choice).
pub const WATCH_SECONDS: u32 = 290;
/// Silence after which a connection is given up: a watch that the server should have ended by then.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);
/// Longest wait for a connection: a healthy API server answers in milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which cluster.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A kubeconfig file; without it `KUBECONFIG`, then `~/.kube/config`, then the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it; without it the current one.
    pub context: Option<String>,
}

/// One cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    requests: Requests,
    /// In which version CloneSets were served when one was last asked for.
    clonesets: Arc<Mutex<CloneSetVersion>>,
}

impl Cluster {
    /// Connects as `options` say. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where no kubeconfig and no service account can be used.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let mut config = read(options).await?;
        // Kube tries again for five minutes by itself; here who asked decides.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        let agent = concat!("triton/", env!("CARGO_PKG_VERSION"));
        if let (Ok(name), Ok(value)) = ("user-agent".parse(), agent.parse()) {
            config.headers.push((name, value));
        }
        let client = Client::try_from(config).map_err(|error| Error::Config(error.to_string()))?;
        Ok(Self::new(client))
    }

    /// A cluster behind a client that was made elsewhere: the embedded one, in this process.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, requests: Requests::default(), clonesets: Arc::default() }
    }

    /// The namespace of the pod, else of the kubeconfig's context, else `default`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// The requests that were made of it.
    #[must_use]
    pub const fn requests(&self) -> &Requests {
        &self.requests
    }

    /// In which version CloneSets are asked for. Clones of this know the same.
    #[must_use]
    pub fn clonesets(&self) -> CloneSetVersion {
        *self.clonesets.lock().expect("nothing panics while it is held")
    }

    /// CloneSets are asked for in this version from now on: the other one is not served.
    pub(crate) fn ask_clonesets_in(&self, version: CloneSetVersion) {
        *self.clonesets.lock().expect("nothing panics while it is held") = version;
    }

    /// The client: for this room's requests, and for commands that only read.
    #[must_use]
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }
}

async fn read(options: &Options) -> Result<Config, Error> {
    let context = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    if let Some(path) = &options.kubeconfig {
        let failed =
            |error: kube::config::KubeconfigError| Error::Config(format!("{}: {error}", path.display()));
        let file = Kubeconfig::read_from(path).map_err(failed)?;
        return Config::from_custom_kubeconfig(file, &context).await.map_err(failed);
    }
    if options.context.is_some() {
        return Config::from_kubeconfig(&context).await.map_err(|error| Error::Config(error.to_string()));
    }
    Config::infer().await.map_err(|error| Error::Config(error.to_string()))
}
