//! The daemon put together: mirror, catalog, cluster and loop, from what the command line says.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::catalog::Root;
use crate::cli::output::Refusal;
use crate::cli::records::ClusterArgs;
use crate::cli::reload::Reload;
use crate::controller::{Clock, Controller, Rules, Settings, Source};
use crate::git::{Credentials, Error, Limits, Mirror, Remote};
use crate::model::Digest;
use crate::server;
use crate::spec::yaml::FILE_BYTES_MAX;
use crate::spec::{Configuration, read_configuration};
use crate::world::{People, Policy, RemovalLimit};

/// Hexadecimal digits of the word that tells this state folder from every other.
const ID_DIGITS: usize = 16;
/// How long a state folder that another process holds is waited for: one that was asked to end needs some seconds.
const LOCKED: Duration = Duration::from_secs(15);
/// How often it is tried meanwhile.
const LOCKED_RETRY: Duration = Duration::from_millis(250);
/// Seconds below which no fetch is too old, however often Git is asked: a branch that moves while it is read is no
/// reason to hold.
const STALE_MIN: u64 = 30;

/// What the daemon follows, and how.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// The repository: a path or an address.
    pub repo: String,
    /// The branch.
    pub branch: String,
    /// The root's directory in it; empty for the top.
    pub path: String,
    /// Time between two polls.
    pub interval: Duration,
    /// Where the mirror is kept; by default in the user's state folder.
    pub state: Option<PathBuf>,
    /// The configuration's file.
    pub config: Option<PathBuf>,
    /// The cluster.
    pub cluster: ClusterArgs,
    /// Whether nothing is written.
    pub observe: bool,
    /// Where health and metrics are served; nowhere by default.
    pub listen: Option<SocketAddr>,
}

impl Daemon {
    /// Runs the loop until `shutdown` is ready. The configuration is reread when its file changes; how Git is reached
    /// holds for this run.
    ///
    /// # Errors
    /// What cannot be used: addresses, state folder, kubeconfig. Where the lease is lost, or can never be had.
    pub async fn run(&self, configuration: &Configuration, shutdown: impl Future<Output = ()>) -> Result<()> {
        let listener = self.listener().await?;
        let remote =
            Remote::new(&self.repository(), &self.branch)?.with_credentials(credentials(configuration));
        let state = self.state_folder()?;
        let mut shutdown = pin!(shutdown);
        let mirror = tokio::select! {
            biased;
            () = &mut shutdown => return Ok(()),
            opened = open(&state, &remote) => opened?,
        };
        let cancel = mirror.cancel_flag();
        let source = Source::new(mirror, &self.path);
        let reread = self.clone();
        let read = move || reread.configuration().map(|configuration| reread.rules(&configuration));
        let reload = Reload::follow(self.config.as_deref(), self.rules(configuration), read)?;
        let settings = Settings {
            interval: self.interval,
            holder: holder(&state).with_context(|| format!("the state folder {}", state.display()))?,
            inline: false,
            observe: self.observe.then(|| state.join("seen")),
        };
        let cluster = self.cluster.connect().await?;
        let ended = async {
            shutdown.await;
            // A fetch that hangs must not keep the process.
            cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        };
        let rules = reload.rules.clone();
        let controller = Controller::new(cluster, source, settings, rules, Clock::system());
        // Ends with this function.
        let mut doors = JoinSet::new();
        if let Some(listener) = listener {
            doors.spawn(server::serve(listener, controller.pulse()));
        }
        // Without its doors nobody could tell whether the loop turns: that must not go unseen.
        let closed = async {
            match doors.join_next().await {
                Some(closed) => anyhow::anyhow!("health and metrics are served no more: {closed:?}"),
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            biased;
            ended = controller.run(ended) => ended,
            closed = closed => return Err(closed),
        };
        // With the rule to add, where a right is missing.
        ended.map_err(|error| anyhow::anyhow!(error.hold("the daemon ended").message))
    }

    async fn listener(&self) -> Result<Option<TcpListener>> {
        let Some(address) = self.listen else { return Ok(None) };
        let refusal = |error| {
            Refusal::new(format!("cannot listen on {address}: {error}"))
                .hint("name another address with --listen")
        };
        let listener = server::bind(address).await.map_err(refusal)?;
        tracing::info!("health and metrics are served on http://{}", listener.local_addr()?);
        Ok(Some(listener))
    }

    /// The daemon's configuration as its file has it now.
    ///
    /// # Errors
    /// Where it cannot be read, with everything that is wrong with it.
    pub fn configuration(&self) -> Result<Configuration> {
        let Some(file) = &self.config else { return Ok(Configuration::default()) };
        let shown = file.display().to_string();
        let size = std::fs::metadata(file).map_err(|error| Refusal::new(format!("{shown}: {error}")))?.len();
        if size > FILE_BYTES_MAX as u64 {
            return Err(
                Refusal::new(format!("{shown} has {size} bytes; at most {FILE_BYTES_MAX} are read")).into()
            );
        }
        let bytes = std::fs::read(file).map_err(|error| Refusal::new(format!("{shown}: {error}")))?;
        let wrong = |mistakes: Vec<crate::spec::Diagnostic>| {
            let all: Vec<String> = mistakes.iter().map(crate::spec::Diagnostic::render).collect();
            Refusal::new(format!("the configuration cannot be used\n{}", all.join("\n")))
        };
        Ok(read_configuration(&shown, &bytes).map_err(wrong)?)
    }

    fn rules(&self, configuration: &Configuration) -> Rules {
        Rules { policy: Arc::new(self.policy(configuration)), accepted: configuration.git.accept_head }
    }

    fn policy(&self, configuration: &Configuration) -> Policy {
        let people = configuration.people.as_ref();
        let stale_after = (3 * self.interval.as_secs()).max(STALE_MIN);
        let root = Root::new(&self.path);
        Policy {
            namespaces: configuration
                .namespaces
                .as_ref()
                .map(|names| names.iter().map(ToString::to_string).collect()),
            home: home(),
            kinds: configuration.kinds.clone(),
            people: people.map(|_| People::CommitAuthors),
            bots: people.map(|people| people.bots.clone()).unwrap_or_default(),
            skip: configuration.skip,
            proven_depth: usize::try_from(configuration.proven_depth).unwrap_or(usize::MAX),
            removal: RemovalLimit {
                releases: configuration.removal_releases,
                percent: configuration.removal_percent,
            },
            stale_after: u32::try_from(stale_after).unwrap_or(u32::MAX),
            root: root.name(&self.branch),
            path: root.dir().to_owned(),
        }
    }

    /// The repository as it is called from everywhere: a path on this machine as a whole.
    fn repository(&self) -> String {
        let path = Path::new(&self.repo).canonicalize();
        path.map_or_else(|_| self.repo.clone(), |path| path.display().to_string())
    }

    /// A folder for this repository, branch and root alone: its mirror is locked.
    fn state_folder(&self) -> Result<PathBuf> {
        if let Some(state) = &self.state {
            return Ok(state.clone());
        }
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || set("HOME").map(|home| home.join(".local/state"));
        let refusal = || {
            Refusal::new("there is no folder for the mirror of the repository")
                .hint("name one with --state DIR")
        };
        let state = set("XDG_STATE_HOME").or_else(home).ok_or_else(refusal)?;
        let name = format!("{}\n{}\n{}", self.repository(), self.branch, Root::new(&self.path).dir());
        Ok(state.join("triton").join(Digest::of(name.as_bytes()).short()))
    }
}

/// Opens the mirror. Another process that holds it is waited for, for a while: the one before this may be ending.
async fn open(state: &Path, remote: &Remote) -> Result<Mirror> {
    let until = Instant::now() + LOCKED;
    let mut told = false;
    loop {
        match Mirror::open(state, remote.clone(), Limits::default()) {
            Err(error @ Error::Locked { .. }) if Instant::now() >= until => {
                return Err(Refusal::new(format!("{error}, or wait until that one has ended")).into());
            }
            Err(Error::Locked { .. }) => {}
            opened => return opened.with_context(|| format!("the state folder {}", state.display())),
        }
        if !std::mem::replace(&mut told, true) {
            let (state, seconds) = (state.display(), LOCKED.as_secs());
            tracing::info!("waiting up to {seconds}s for the state folder {state}: another daemon holds it");
        }
        sleep(LOCKED_RETRY).await;
    }
}

/// The namespace that this process runs in, where it does in a cluster (Kubernetes, "Accessing the API from a Pod").
fn home() -> Option<String> {
    let text = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace").ok()?;
    Some(text.trim().to_owned()).filter(|it| !it.is_empty())
}

fn credentials(configuration: &Configuration) -> Credentials {
    let git = &configuration.git;
    let file = |name: &Option<String>| name.as_ref().map(PathBuf::from);
    Credentials {
        token_file: file(&git.token_file),
        username_file: file(&git.username_file),
        password_file: file(&git.password_file),
        ca_file: file(&git.ca_file),
        ssh_key_file: file(&git.ssh_key_file),
        known_hosts_file: file(&git.known_hosts_file),
    }
}

/// A name that no other living process has: the host's, and a random word that stays in the state folder, whose mirror
/// is locked. Pods have the same folders, and a copied volume the same word, but not with the same host. A daemon that
/// was killed and starts again has the same name, and goes on without waiting for its own lease to run out.
fn holder(state: &Path) -> std::io::Result<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "triton" } else { host.trim() };
    let file = state.join("id");
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let written = written.trim();
    if written.len() == ID_DIGITS && written.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Ok(format!("{host}-{written}"));
    }
    // The seed that the standard library takes from the system for each hasher.
    let id = format!("{:0ID_DIGITS$x}", RandomState::new().build_hasher().finish());
    std::fs::write(&file, format!("{id}\n"))?;
    Ok(format!("{host}-{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon() -> Daemon {
        Daemon {
            repo: "https://git.example.com/shop/releases".into(),
            branch: "main".into(),
            path: "/env/./prod/".into(),
            interval: Duration::from_secs(15),
            state: None,
            config: None,
            cluster: ClusterArgs::default(),
            observe: false,
            listen: None,
        }
    }

    #[test]
    fn a_root_has_one_name_however_its_path_is_written() {
        let policy = daemon().policy(&Configuration::default());
        let same = Daemon { path: "env/prod".into(), ..daemon() }.policy(&Configuration::default());
        assert_eq!((&*policy.path, policy.root.len(), &policy.root), ("env/prod", 8, &same.root));
        let other = Daemon { path: "env/dev".into(), ..daemon() }.policy(&Configuration::default());
        assert_ne!(policy.root, other.root);
    }

    #[test]
    fn a_daemon_keeps_its_name_when_it_starts_again_and_shares_it_with_no_other_folder() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = holder(one.path()).unwrap();
        assert_eq!(holder(one.path()).unwrap(), name);
        assert_ne!(holder(other.path()).unwrap(), name);
        std::fs::write(one.path().join("id"), "").unwrap();
        assert_ne!(holder(one.path()).unwrap(), name, "a word that was cut short is written anew");
    }

    #[test]
    fn a_fetch_is_too_old_after_three_intervals_and_never_before_half_a_minute() {
        assert_eq!(daemon().policy(&Configuration::default()).stale_after, 45);
        let quick = Daemon { interval: Duration::from_secs(1), ..daemon() };
        assert_eq!(quick.policy(&Configuration::default()).stale_after, 30);
    }

    #[test]
    fn a_configuration_with_a_mistake_is_refused_with_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, "apiVersion: triton.io/v1\nkind: Configuration\nskipp: true\nprovenDepth: x\n")
            .unwrap();
        let error = Daemon { config: Some(file), ..daemon() }.configuration().unwrap_err().to_string();
        assert!(error.contains("skipp") && error.contains("provenDepth"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_folder_that_another_process_holds_is_waited_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let remote = Remote::new("https://git.example.com/shop/releases", "main").unwrap();
        let first = Mirror::open(folder.path(), remote.clone(), Limits::default()).unwrap();
        let refused = open(folder.path(), &remote).await.err().unwrap().to_string();
        assert!(refused.contains("in use by another daemon"), "{refused}");
        let ends = async {
            sleep(Duration::from_secs(2)).await;
            drop(first);
        };
        let (opened, ()) = tokio::join!(open(folder.path(), &remote), ends);
        assert!(opened.is_ok());
    }
}
