//! Where the repository is, how to get in, and what a poll may cost.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use crate::git::error::{Error, Result};

/// Longest address that is looked at, in bytes: what browsers and proxies take (RFC 9110, 4.1, asks for 8,000).
const ADDRESS_MAX: usize = 2_048;

/// The repository and the branch that is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub(crate) address: Address,
    pub(crate) branch: String,
    pub(crate) credentials: Credentials,
    pub(crate) ssh_program: PathBuf,
}

/// Files with secrets, and with what proves who the other side is. They are read anew at each use, so that a rotated one is picked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// A token, sent as the password of HTTP's basic authentication, which GitHub, GitLab, Gitea, Bitbucket and
    /// Azure DevOps all take.
    pub token_file: Option<PathBuf>,
    /// The user of HTTP's basic authentication.
    pub username_file: Option<PathBuf>,
    /// The password of HTTP's basic authentication.
    pub password_file: Option<PathBuf>,
    /// The certificates (PEM) of the authorities that HTTPS accepts, and no others. Without it the system's.
    pub ca_file: Option<PathBuf>,
    /// The private key for SSH.
    pub ssh_key_file: Option<PathBuf>,
    /// The host keys that SSH accepts. Without it `ssh` uses the user's own.
    pub known_hosts_file: Option<PathBuf>,
}

/// What one poll may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time for everything, the first fetch included.
    pub deadline: Duration,
    /// Bytes that the server may send.
    pub bytes_max: u64,
}

impl Default for Limits {
    /// Five minutes and 1 GiB: a repository of 100,000 commits fetched whole is 100 MiB.
    fn default() -> Self {
        Self { deadline: Duration::from_secs(300), bytes_max: 1 << 30 }
    }
}

/// A parsed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A folder of this machine.
    Local(PathBuf),
    /// A server that speaks HTTP. The address has no user, query or fragment.
    Http { url: Url, user: Option<String> },
    /// A server that speaks SSH.
    Ssh { user: Option<String>, host: String, port: Option<u16>, path: String },
}

impl Remote {
    /// Reads an address: a path, `file://`, `http(s)://`, `ssh://`, or `user@host:path`.
    pub fn new(address: &str, branch: &str) -> Result<Self> {
        let address = Address::parse(address)?;
        let reference = format!("refs/heads/{branch}");
        let is_plain = !branch.starts_with('-') && branch.len() <= 255;
        if !is_plain || !git2::Reference::is_valid_name(&reference) {
            return Err(Error::BranchName { branch: branch.escape_debug().to_string() });
        }
        Ok(Self {
            address,
            branch: branch.to_owned(),
            credentials: Credentials::default(),
            ssh_program: PathBuf::from("ssh"),
        })
    }

    /// The same with these credentials.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// The same with another program in the place of `ssh`.
    #[must_use]
    pub fn with_ssh_program(self, ssh_program: PathBuf) -> Self {
        Self { ssh_program, ..self }
    }

    /// The tracked branch.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.branch
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl fmt::Display for Address {
    /// The address as people know it; it never holds a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Http { url, .. } => write!(f, "{url}"),
            Self::Ssh { user, host, port, path } => {
                f.write_str("ssh://")?;
                user.iter().try_for_each(|user| write!(f, "{user}@"))?;
                f.write_str(host)?;
                port.iter().try_for_each(|port| write!(f, ":{port}"))?;
                write!(f, "/{}", path.trim_start_matches('/'))
            }
        }
    }
}

impl Address {
    fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            let shown = text.split('@').next_back().unwrap_or_default();
            let url = shown.chars().take(ADDRESS_MAX).flat_map(char::escape_debug).collect();
            Err(Error::Address { url, why: why.to_owned() })
        };
        if text.is_empty() || text.len() > ADDRESS_MAX {
            return refuse("it is empty or too long");
        }
        // A line end in an address has sent people's passwords to strangers (CVE-2020-5260).
        if text.chars().any(char::is_control) {
            return refuse("it contains control characters");
        }
        match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Local(PathBuf::from(path))),
            Some(("file", _)) => refuse("write it as file:///PATH"),
            Some(("http" | "https", _)) => Self::http(text).or_else(refuse),
            Some(("ssh", _)) => Self::ssh(text).or_else(refuse),
            Some(_) => refuse("only a path, file://, https://, http:// and ssh:// are understood"),
            None => match text.split_once(':') {
                Some((host, path)) if !host.contains('/') && !Path::new(text).exists() => {
                    Self::short_ssh(host, path).or_else(refuse)
                }
                _ => Ok(Self::Local(PathBuf::from(text))),
            },
        }
    }

    fn http(text: &str) -> std::result::Result<Self, &'static str> {
        let mut url = Url::parse(text).map_err(|_| "it is not a valid URL")?;
        if url.password().is_some() {
            return Err(
                "put the password into a file and name it in the daemon's configuration: git.passwordFile",
            );
        }
        if url.host_str().is_none() || url.query().is_some() || url.fragment().is_some() {
            return Err("it must be a host and a path");
        }
        let user = (!url.username().is_empty()).then(|| url.username().to_owned());
        url.set_username("").map_err(|()| "it is not a valid URL")?;
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self::Http { url, user })
    }

    fn ssh(text: &str) -> std::result::Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "it is not a valid URL")?;
        if url.password().is_some() {
            return Err("SSH takes a key, not a password: git.sshKeyFile in the daemon's configuration");
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let user = (!url.username().is_empty()).then(|| url.username().to_owned());
        Self::checked_ssh(user, host, url.port(), url.path().to_owned())
    }

    /// `user@host:path`, as forges show it; the path is relative to the user's home.
    fn short_ssh(host: &str, path: &str) -> std::result::Result<Self, &'static str> {
        let (user, host) = match host.split_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, host),
        };
        Self::checked_ssh(user, host.to_owned(), None, path.to_owned())
    }

    /// What goes onto the command line of `ssh` must not be taken for an option (CVE-2017-1000117), and what goes to
    /// the shell at the other end must not leave its quotes.
    fn checked_ssh(
        user: Option<String>,
        host: String,
        port: Option<u16>,
        path: String,
    ) -> std::result::Result<Self, &'static str> {
        let is_word = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':' || c == '_')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-:".contains(c))
        };
        if !is_word(&host) || !user.as_deref().is_none_or(is_word) {
            return Err("the user or the host has characters that are not allowed there");
        }
        let is_path = |c: char| c.is_ascii_alphanumeric() || "._-/~+@".contains(c);
        if path.trim_matches('/').is_empty() || path.starts_with('-') || !path.chars().all(is_path) {
            return Err("the path has characters that are not allowed there");
        }
        Ok(Self::Ssh { user, host, port, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        Remote::new(address, "main").expect_err(address).to_string()
    }

    #[test]
    fn every_usual_way_to_write_an_address_is_understood() {
        let shown = |address: &str| Remote::new(address, "main").unwrap().to_string();
        assert_eq!(shown("/srv/shop.git"), "/srv/shop.git");
        assert_eq!(shown("../shop"), "../shop");
        assert_eq!(shown("file:///srv/shop"), "/srv/shop");
        assert_eq!(
            shown("https://git@forge.example/shop/releases.git/"),
            "https://forge.example/shop/releases.git"
        );
        assert_eq!(shown("git@forge.example:shop/releases.git"), "ssh://git@forge.example/shop/releases.git");
        assert_eq!(shown("ssh://git@forge.example:2222/~ann/x"), "ssh://git@forge.example:2222/~ann/x");
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        let message = refused("https://ann:hunter2@forge.example/x");
        assert!(message.contains("passwordFile") && !message.contains("hunter2"), "{message}");
        assert!(!refused("ssh://ann:hunter2@forge.example/x").contains("hunter2"));
    }

    #[test]
    fn addresses_that_smuggle_options_or_lines_are_refused() {
        for address in [
            "https://forge.example/x\nhost: evil",
            "ssh://-oProxyCommand=touch%20x/y",
            "ssh://-l@host/y",
            "-oProxyCommand=x:y",
            "host:x';reboot'",
            "host:-x",
            "ext::sh -c x",
            "git://forge.example/x",
            "",
        ] {
            refused(address);
        }
    }

    #[test]
    fn a_branch_is_a_branch() {
        for branch in ["", "-x", "a..b", "a b", "x.lock", "a\nb"] {
            assert!(Remote::new("/srv/x", branch).is_err(), "{branch:?}");
        }
        assert!(Remote::new("/srv/x", "release/2026").is_ok());
    }
}
