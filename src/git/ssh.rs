//! Repositories over SSH, through the `ssh` program: its keys, agents and host checks are what people know.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use crate::git::budget::Budget;
use crate::git::error::{Error, Result};
use crate::git::pack::Receiver as PackReceiver;
use crate::git::remote::{Address, Remote};
use crate::git::stream::Stream;
use crate::git::wire::{self, Advertisement};
use crate::model::CommitId;

/// Bytes of what `ssh` says that are kept for a message: its last line is what matters, and a server can say a lot.
const WORDS_MAX: u64 = 4 << 10;
/// How long to wait for its last words once it has hung up.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Seconds to wait for a connection.
const CONNECT_SECONDS: u64 = 15;

/// A conversation with `git-upload-pack` at the other end. Dropped, it ends the program.
pub(crate) struct Session {
    child: Child,
    stream: Stream<()>,
    words: Receiver<Vec<u8>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Session {
    /// Starts the program and reads which branches there are.
    pub(crate) fn open(remote: &Remote, budget: &mut Budget) -> Result<(Self, Advertisement)> {
        let mut session = Self::start(remote, budget)?;
        match wire::advertisement(&mut session.stream, remote.branch(), budget) {
            Ok(advertisement) => Ok((session, advertisement)),
            // What the program said of its end is better than that it ended.
            Err(Error::Unreachable { .. }) => Err(session.last_words(remote, budget)),
            Err(error) => Err(error),
        }
    }

    fn start(remote: &Remote, budget: &Budget) -> Result<Self> {
        let mut child = Command::new(&remote.ssh_program)
            .args(arguments(remote))
            .env_remove("GIT_PROTOCOL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let program = remote.ssh_program.display();
                budget.unreachable(format!("the program `{program}` cannot be started: {error}"))
            })?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, words) = sync_channel(1);
        thread::spawn(move || {
            let mut said = Vec::new();
            // A message that breaks off is still a message; nobody may listen any more.
            let _ = stderr.take(WORDS_MAX).read_to_end(&mut said);
            let _ = sender.send(said);
        });
        Ok(Self { child, stream: Stream::start(move |sender| sender.copy(stdout)), words })
    }

    /// Why the program ended, in its own words.
    fn last_words(&self, remote: &Remote, budget: &Budget) -> Error {
        let said = self.words.recv_timeout(LAST_WORDS).unwrap_or_default();
        let text = String::from_utf8_lossy(&said);
        let url = remote.to_string();
        if text.contains("Host key verification failed") {
            let why =
                "its host key is not the known one: compare it, then mend git.knownHostsFile".to_owned();
            return Error::Denied { url, why };
        }
        if text.contains("Permission denied") {
            let why =
                "it does not accept our key: see git.sshKeyFile in the daemon's configuration".to_owned();
            return Error::Denied { url, why };
        }
        match wire::shown(&said) {
            said if said.is_empty() => budget.unreachable("the connection was closed"),
            said => budget.unreachable(said),
        }
    }

    /// Fetches into `receiver` what `known` commits do not bring.
    pub(crate) fn fetch(
        &mut self,
        advertisement: &Advertisement,
        known: &[CommitId],
        receiver: PackReceiver<'_>,
        budget: &mut Budget,
    ) -> Result<()> {
        let request = advertisement.request(known, budget)?;
        let mut stdin = self.child.stdin.take().expect("one fetch per session");
        // At most a few KiB: the pipe takes them at once.
        stdin.write_all(&request).map_err(|error| budget.unreachable(error.to_string()))?;
        wire::pack(&mut self.stream, receiver, budget)
    }

    /// Takes leave without fetching.
    pub(crate) fn close(mut self) {
        // A flush says that nothing is wanted; a server that has gone already does not mind.
        let _ = self.child.stdin.take().map(|mut stdin| stdin.write_all(b"0000"));
    }
}

/// The arguments of `ssh`. The address was checked: no part of it can be taken for an option, nor leave its quotes.
fn arguments(remote: &Remote) -> Vec<OsString> {
    let Address::Ssh { user, host, port, path } = &remote.address else {
        unreachable!("only SSH addresses are opened over SSH")
    };
    let mut arguments: Vec<OsString> = vec!["-T".into()];
    let mut option = |name: &str, value: OsString| {
        let mut text = OsString::from(format!("{name}="));
        text.push(value);
        arguments.push("-o".into());
        arguments.push(text);
    };
    option("BatchMode", "yes".into());
    option("StrictHostKeyChecking", "yes".into());
    option("ConnectTimeout", CONNECT_SECONDS.to_string().into());
    option("ClearAllForwardings", "yes".into());
    option("ForwardAgent", "no".into());
    option("PermitLocalCommand", "no".into());
    option("ControlPath", "none".into());
    if let Some(known_hosts) = &remote.credentials.known_hosts_file {
        option("UserKnownHostsFile", quoted(known_hosts));
        option("GlobalKnownHostsFile", "none".into());
    }
    if let Some(key) = &remote.credentials.ssh_key_file {
        option("IdentitiesOnly", "yes".into());
        option("IdentityFile", quoted(key));
    }
    if let Some(port) = port {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(user) = user {
        arguments.extend(["-l".into(), user.into()]);
    }
    let path = if path.starts_with("/~") { &path[1..] } else { path };
    arguments.extend(["--".into(), host.into(), format!("git-upload-pack '{path}'").into()]);
    arguments
}

/// A file name as `ssh` wants it inside of `-o`: quoted where it has spaces.
fn quoted(path: &std::path::Path) -> OsString {
    let mut text = OsString::from("\"");
    text.push(path);
    text.push("\"");
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::git::remote::Credentials;

    #[test]
    fn ssh_is_strict_about_hosts_and_never_asks_a_person() {
        let credentials = Credentials {
            ssh_key_file: Some(PathBuf::from("/secrets/key")),
            known_hosts_file: Some(PathBuf::from("/secrets/known hosts")),
            ..Credentials::default()
        };
        let remote = Remote::new("ssh://git@forge.example:2222/~ann/shop.git", "main").expect("an address");
        let arguments = arguments(&remote.with_credentials(credentials));
        let text: Vec<_> = arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect();
        for wanted in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "UserKnownHostsFile=\"/secrets/known hosts\"",
            "IdentityFile=\"/secrets/key\"",
            "2222",
        ] {
            assert!(text.iter().any(|argument| argument == wanted), "{wanted}: {text:?}");
        }
        assert_eq!(text[text.len() - 3..], ["--", "forge.example", "git-upload-pack '~ann/shop.git'"]);
    }
}
