//! The program, run as a process against a real control plane.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cluster::plane::Plane;

/// How long anything is waited for. Controllers that lost their API server look for it again once a minute (twice
/// client-go's `Reflector` backoff of 30 s), and have to find it one after the other.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// `triton run`, with its log as JSON. It is killed when it is dropped.
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    /// Starts it as `subject`, with its lease in `namespace`, for the branch `branch` of `repository`.
    pub fn start(plane: &Plane, subject: &str, place: &Place<'_>, more: &[&str]) -> Self {
        Self::by(&plane.kubeconfig(subject), place, more)
    }

    /// Starts it with a kubeconfig of its own.
    pub fn by(kubeconfig: &Path, place: &Place<'_>, more: &[&str]) -> Self {
        let mut run = triton(kubeconfig, place.namespace, place.state);
        run.args(["run", "--interval", "1s", "--log", "json", "--repo", place.repository]);
        run.args(["--branch", place.branch, "--state"]).arg(place.state.join("mirror")).args(more);
        let mut child = run.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let (told, lines) = channel();
        let log = BufReader::new(child.stdout.take().expect("it is piped"));
        std::thread::spawn(move || {
            log.lines().map_while(Result::ok).try_for_each(|line| told.send(line)).unwrap_or_default();
        });
        Self { child, lines }
    }

    /// Reads its log until `find` finds something in a line.
    ///
    /// # Panics
    /// Where it ends, or nothing is found for too long; what it had to say is shown.
    pub fn until<T>(&mut self, find: impl Fn(&Value) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = serde_json::from_str(&line).ok().as_ref().and_then(&find) {
                        return found;
                    }
                    heard.push(line);
                }
                Err(RecvTimeoutError::Disconnected) => panic!("it has ended:\n{}", heard.join("\n")),
                Err(RecvTimeoutError::Timeout) => panic!("not within {PATIENCE:?}:\n{}", heard.join("\n")),
            }
        }
    }

    /// What it has logged and nobody has read.
    pub fn heard(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "{name}");
    }

    /// How it ended by itself.
    pub fn wait(&mut self) -> Option<i32> {
        until("it ends", || self.child.try_wait().expect("a child")).code()
    }

    /// Kills it, wherever it is.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a daemon follows, and where it keeps what it has.
pub struct Place<'a> {
    /// Namespace of the kubeconfig's context: the lease stands there.
    pub namespace: &'a str,
    /// Path or address of the repository.
    pub repository: &'a str,
    /// The branch. A root is named by its branch: tests that share a control plane have branches of their own.
    pub branch: &'a str,
    /// A folder for the mirror and the kubeconfig.
    pub state: &'a Path,
}

/// The program with a kubeconfig whose context has this namespace.
pub fn triton(kubeconfig: &Path, namespace: &str, folder: &Path) -> Command {
    let text = std::fs::read_to_string(kubeconfig).expect("a kubeconfig");
    let text = text.replace("context: { ", &format!("context: {{ namespace: {namespace}, "));
    let subject = kubeconfig.file_name().expect("a file");
    let copy = folder.join(subject);
    // Others may be reading it.
    if !std::fs::read_to_string(&copy).is_ok_and(|it| it == text) {
        let new = tempfile::NamedTempFile::new_in(folder).expect("a file");
        std::fs::write(new.path(), text).expect("a file");
        new.persist(&copy).expect("a file");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_triton"));
    command.env("KUBECONFIG", copy).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// What a command says; it must succeed.
pub fn says(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}\n{out}{err}");
    out.into_owned()
}

/// Whether a process has ended, reaped or not.
pub fn has_ended(id: &str) -> bool {
    std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default().is_empty()
}

/// Looks again and again until there is something to see.
///
/// # Panics
/// Where there is nothing for too long.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
