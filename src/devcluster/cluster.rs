//! The handle of an embedded cluster.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;

use crate::devcluster::builtin::{DEFINITIONS, NAMESPACES, built_in};
use crate::devcluster::clock::Clock;
use crate::devcluster::crd;
use crate::devcluster::kinds::Kinds;
use crate::devcluster::knobs::TestKnobs;
use crate::devcluster::server::{Face, serve};
use crate::devcluster::store::Store;

/// The namespaces that are there from the start.
const FIRST_NAMESPACES: [&str; 2] = ["default", "kube-system"];

/// The manager of what is there from the start.
const INSTALLER: &str = "devcluster";

/// How a cluster is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What its clock shows at first.
    pub start: Timestamp,
    /// From which uids and generated names are drawn.
    pub seed: u64,
    /// Whether garbage is collected and namespaces are emptied, as controllers do in every cluster.
    pub collects: bool,
}

/// An embedded cluster. Cheap to clone; clones are the same cluster.
#[derive(Clone, Debug)]
pub struct DevCluster {
    face: Face,
}

impl DevCluster {
    /// A cluster with its kinds, the namespaces `default` and `kube-system`, and nothing else. To be called where
    /// tokio's clock runs.
    #[must_use]
    pub fn new(options: Options) -> DevCluster {
        let (built_in, metadata) = built_in();
        let mut kinds = Kinds::default();
        built_in.into_iter().for_each(|kind| kinds.insert(kind));
        let store = Store::new(Clock::starting_at(options.start), options.seed, kinds, metadata);
        store.write(|state| state.collects = options.collects);
        for name in FIRST_NAMESPACES {
            let namespace = json!({"metadata": {"name": name}});
            store.create(NAMESPACES, INSTALLER, namespace).expect("a first namespace is valid");
        }
        for definition in crd::installed() {
            store.create(DEFINITIONS, INSTALLER, definition).expect("an installed definition is valid");
        }
        DevCluster { face: Face { store, knobs: TestKnobs::default() } }
    }

    /// Its objects, for controllers.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.face.store
    }

    /// Its faults and its log of writes, for tests.
    #[must_use]
    pub fn knobs(&self) -> &TestKnobs {
        &self.face.knobs
    }

    /// Its HTTP face, for a client in the same process or for a socket.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.face.clone())
    }

    /// Serves the HTTP face on a socket until the future is dropped.
    ///
    /// # Errors
    /// What the socket says.
    pub fn serve(&self, listener: TcpListener) -> impl Future<Output = std::io::Result<()>> + Send + use<> {
        let router = self.router();
        async move { axum::serve(listener, router).await }
    }

    /// A kubeconfig for a cluster that is served at `address`, in YAML.
    #[must_use]
    pub fn kubeconfig(address: SocketAddr) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: devcluster\n  cluster:\n    server: http://{address}\n\
             users:\n- name: devcluster\n  user: {{}}\ncontexts:\n- name: devcluster\n  context:\n    cluster: devcluster\n    \
             user: devcluster\n    namespace: default\ncurrent-context: devcluster\n"
        )
    }
}
