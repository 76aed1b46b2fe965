//! What the demo plays on: a repository made of the example, an embedded cluster, and the daemon, in one process.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::oneshot;

use crate::cli::clone::LocalClone;
use crate::cli::daemon::Daemon;
use crate::cli::embedded::Embedded;
use crate::cli::example;
use crate::cli::output::Refusal;
use crate::cli::records::{ClusterArgs, Records};
use crate::spec::Configuration;

/// The namespace of the example's releases.
const NAMESPACE: &str = "shop";
/// Time between two polls: somebody watches.
const INTERVAL: Duration = Duration::from_secs(1);
/// Who commits in the demo.
const PERSON: [(&str, &str); 3] =
    [("user.name", "Ann"), ("user.email", "ann@shop.example"), ("commit.gpgSign", "false")];

/// The stage. Everything on it ends with it.
pub struct Stage {
    /// The repository, which the daemon follows and people commit to.
    pub clone: LocalClone,
    /// The way to the cluster.
    pub kubeconfig: PathBuf,
    /// The cluster's records.
    pub records: Records,
    folder: Folder,
    cluster: Embedded,
    daemon: oneshot::Receiver<Result<()>>,
    end: oneshot::Sender<()>,
}

/// The folder that everything of the demo is in.
struct Folder {
    path: PathBuf,
    /// Whether it is removed at the end.
    temporary: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is left to the system's own cleaning.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Folder {
    fn make(given: Option<&Path>) -> Result<Self> {
        let (path, temporary) = match given {
            Some(path) => (path.to_owned(), false),
            None => {
                let name = format!("triton-demo-{:08x}", RandomState::new().build_hasher().finish() as u32);
                (std::env::temp_dir().join(name), true)
            }
        };
        let used = path.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if used {
            return Err(Refusal::new(format!("{} is not empty", path.display()))
                .hint("the demo makes its own repository; name a new folder")
                .into());
        }
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path: path.canonicalize()?, temporary })
    }
}

impl Stage {
    /// Makes the repository in `folder`, else in a temporary one, and starts cluster and daemon.
    ///
    /// # Errors
    /// Where the folder is in use, or something does not start.
    pub async fn build(folder: Option<&Path>) -> Result<Self> {
        let folder = Folder::make(folder)?;
        let clone = repository(&folder.path.join("repo"))?;
        let listen = "127.0.0.1:0".parse().context("the address of this machine")?;
        let cluster = Embedded::start(listen, &[NAMESPACE.to_owned()]).await?;
        let kubeconfig = folder.path.join("kubeconfig");
        cluster.write_kubeconfig(&kubeconfig)?;
        let args = ClusterArgs { kubeconfig: Some(kubeconfig.clone()), context: None };
        let records = args.records().await?;
        let daemon_settings = Daemon {
            repo: clone.top().display().to_string(),
            branch: "main".to_owned(),
            path: String::new(),
            interval: INTERVAL,
            state: Some(folder.path.join("state")),
            config: None,
            cluster: args,
            observe: false,
            listen: None,
        };
        let (end, ended) = oneshot::channel();
        let (tell, daemon) = oneshot::channel();
        // The daemon has a thread of its own, as it would have a process of its own.
        std::thread::spawn(move || tell.send(live(&daemon_settings, ended)));
        Ok(Self { clone, kubeconfig, records, folder, cluster, daemon, end })
    }

    /// Whether the folder stays when the demo ends.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        !self.folder.temporary
    }

    /// Waits for what must not happen: that the daemon or the cluster ends by itself.
    ///
    /// # Errors
    /// Always: which one, and why.
    pub async fn broken(&mut self) -> Result<()> {
        tokio::select! {
            biased;
            daemon = &mut self.daemon => match daemon {
                Ok(Ok(())) => Err(anyhow!("the daemon ended")),
                Ok(Err(error)) => Err(error).context("the daemon ended"),
                Err(_) => Err(anyhow!("the daemon broke")),
            },
            ended = self.cluster.ended() => ended,
        }
    }

    /// Ends the daemon as Ctrl-C ends it, and then everything else.
    ///
    /// # Errors
    /// What the daemon ended with.
    pub async fn close(self) -> Result<()> {
        // A daemon that has ended already hears nothing.
        let _ = self.end.send(());
        if self.daemon.is_terminated() {
            return Ok(());
        }
        self.daemon.await.context("the daemon broke")?
    }
}

/// Runs the daemon until it is told to end, or nobody is left to tell it.
fn live(daemon: &Daemon, end: oneshot::Receiver<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(daemon.run(&Configuration::default(), async { drop(end.await) }))
}

/// A repository with the example as its first commit.
fn repository(folder: &Path) -> Result<LocalClone> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let clone = LocalClone::make(folder)?;
    for (key, value) in PERSON {
        clone.git(["config", key, value])?;
    }
    example::write(folder)?;
    clone.git(["add", "--all"])?;
    clone.git(["commit", "--quiet", "--no-verify", "-m", "Six releases of one shop"])?;
    Ok(clone)
}
