//! The daemon's configuration (`kind: Configuration`): what stands beside the daemon, never in the repository that it
//! judges.

use std::collections::BTreeSet;

use crate::model::{CommitId, Namespace};
use crate::objects::{Kind, keys};
use crate::spec::diagnostic::Diagnostic;
use crate::spec::file::is_ours;
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::read::{Fields, quote_it, unknown_cure};
use crate::spec::report::{Report, quote};
use crate::spec::yaml;

/// Most proven releases that can be kept: each is a few hundred bytes of an annotation.
pub const PROVEN_DEPTH_MAX: u32 = 20;

/// Highest `removal.releases`: more than a repository has.
const RELEASES_MAX: u32 = 1_000_000;

/// How to get into the repository. Every secret is the path of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitAccess {
    /// Holds a token for HTTP.
    pub token_file: Option<String>,
    /// Holds the user for HTTP.
    pub username_file: Option<String>,
    /// Holds the password for HTTP.
    pub password_file: Option<String>,
    /// Holds the certificates of the authorities that HTTPS accepts.
    pub ca_file: Option<String>,
    /// Holds the private key for SSH.
    pub ssh_key_file: Option<String>,
    /// Holds the host keys that SSH accepts.
    pub known_hosts_file: Option<String>,
    /// The head to go on from where the branch was rewritten.
    pub accept_head: Option<CommitId>,
}

/// Whose approvals can be told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeopleFrom {
    /// Authors who are nobody, by name or address.
    pub bots: BTreeSet<String>,
}

/// The daemon's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// `git`.
    pub git: GitAccess,
    /// `allow.namespaces`; `None` is all.
    pub namespaces: Option<BTreeSet<Namespace>>,
    /// `allow.kinds`: which companions.
    pub kinds: BTreeSet<Kind>,
    /// `people`: authors of commits are believed, or (`None`) nobody is.
    pub people: Option<PeopleFrom>,
    /// `skip`: whether skip markers open gates.
    pub skip: bool,
    /// `provenDepth`: proven releases that are kept for a rollback.
    pub proven_depth: u32,
    /// `removal.releases`: how many releases one sync may remove.
    pub removal_releases: u32,
    /// `removal.percent`: and which share of all.
    pub removal_percent: u32,
}

impl Default for Configuration {
    /// What holds without a file: all namespaces, every kind of companion, depth 5, no policy about people; one
    /// release and 20 % may go at once.
    fn default() -> Self {
        Self {
            git: GitAccess::default(),
            namespaces: None,
            kinds: Kind::COMPANIONS.into_iter().collect(),
            people: None,
            skip: true,
            proven_depth: 5,
            removal_releases: 1,
            removal_percent: 20,
        }
    }
}

/// Reads the configuration at `path`.
///
/// # Errors
/// Everything that is wrong with it: a daemon must not run with half of its policy.
pub fn read_configuration(path: &str, bytes: &[u8]) -> Result<Configuration, Vec<Diagnostic>> {
    let mut report = Report::default();
    let source = yaml::read(bytes, &mut report);
    let mut out = Configuration::default();
    match source.documents.as_slice() {
        [node] => configuration(node, &mut out, &mut report),
        [] if report.has_errors() => {}
        [] => {
            let cure = format!("write `apiVersion: {}` and `kind: Configuration`", keys::API_VERSION);
            report.error(Spot { line: 1, column: 1 }, "the file has no document", cure);
        }
        [_, second, ..] => report.error(second.at, "the file has more than one document", "keep one"),
    }
    if report.has_errors() {
        return Err(report.into_flaws().iter().map(|flaw| flaw.in_file(path, &source.text)).collect());
    }
    Ok(out)
}

fn configuration(node: &Node, out: &mut Configuration, report: &mut Report) {
    if !is_ours(node, "Configuration", report) {
        return;
    }
    let known = ["apiVersion", "kind", "git", "allow", "people", "skip", "provenDepth", "removal"];
    let Some(fields) = Fields::open(node, "", &known, report) else { return };
    if let Some(node) = fields.get("git", report) {
        git(node, &mut out.git, report);
    }
    if let Some(node) = fields.get("allow", report) {
        allow(node, out, report);
    }
    if let Some(node) = fields.get("people", report) {
        out.people = people(node, report);
    }
    out.skip = fields.flag("skip", report).unwrap_or(out.skip);
    out.proven_depth = fields.number("provenDepth", 0..=PROVEN_DEPTH_MAX, report).unwrap_or(out.proven_depth);
    if let Some(node) = fields.get("removal", report)
        && let Some(fields) = Fields::open(node, "removal", &["releases", "percent"], report)
    {
        out.removal_releases =
            fields.number("releases", 0..=RELEASES_MAX, report).unwrap_or(out.removal_releases);
        out.removal_percent = fields.number("percent", 0..=100, report).unwrap_or(out.removal_percent);
    }
}

fn git(node: &Node, git: &mut GitAccess, report: &mut Report) {
    let known =
        ["tokenFile", "usernameFile", "passwordFile", "caFile", "sshKeyFile", "knownHostsFile", "acceptHead"];
    let Some(fields) = Fields::open(node, "git", &known, report) else { return };
    let mut file = |key: &str| fields.text(key, report).map(str::to_owned);
    git.token_file = file("tokenFile");
    git.username_file = file("usernameFile");
    git.password_file = file("passwordFile");
    git.ca_file = file("caFile");
    git.ssh_key_file = file("sshKeyFile");
    git.known_hosts_file = file("knownHostsFile");
    if let (Some(_), Some(at)) = (&git.token_file, fields.key_at("passwordFile")) {
        report.error(at, "`git.tokenFile` and `git.passwordFile` are both given", "keep one of them");
    }
    if let (Some(_), None) = (&git.password_file, &git.username_file) {
        report.error(fields.at(), "`git.passwordFile` has no user", "add `usernameFile:`");
    }
    if let Some(text) = fields.text("acceptHead", report) {
        git.accept_head = text.parse().ok();
        if git.accept_head.is_none() {
            let at = fields.get("acceptHead", report).map_or(fields.at(), |node| node.at);
            let message = "`git.acceptHead` is not the full id of a commit";
            report.error(at, message, "write all 40 hexadecimal digits, as `git rev-parse` prints them");
        }
    }
}

fn allow(node: &Node, out: &mut Configuration, report: &mut Report) {
    let Some(fields) = Fields::open(node, "allow", &["namespaces", "kinds"], report) else { return };
    if let Some(list) = texts(&fields, "namespaces", report) {
        let mut names = BTreeSet::new();
        for (text, at) in list {
            match text.parse::<Namespace>() {
                Ok(name) => drop(names.insert(name)),
                Err(error) => {
                    report.error(
                        at,
                        format!("`allow.namespaces`: {error}"),
                        "write the whole name of a namespace",
                    );
                }
            }
        }
        out.namespaces = Some(names);
    }
    if let Some(list) = texts(&fields, "kinds", report) {
        out.kinds.clear();
        let known: Vec<&str> = Kind::COMPANIONS.iter().map(|kind| kind.api().kind).collect();
        for (text, at) in list {
            match Kind::COMPANIONS.into_iter().find(|kind| kind.api().kind == text) {
                Some(kind) => drop(out.kinds.insert(kind)),
                None => {
                    let message =
                        format!("`allow.kinds`: a release cannot have a companion `{}`", quote(text));
                    report.error(at, message, unknown_cure(text, &known));
                }
            }
        }
    }
}

fn people(node: &Node, report: &mut Report) -> Option<PeopleFrom> {
    let fields = Fields::open(node, "people", &["from", "bots"], report)?;
    fields.need("from", report);
    let from = fields.text("from", report);
    if from == Some("signatures") {
        let at = fields.get("from", report).map_or(fields.at(), |node| node.at);
        let cure = "write commit-authors where the forge vouches for them, or leave `people` out";
        report.error(at, "`people.from: signatures`: this version verifies no signatures", cure);
    } else {
        fields.word("from", &[("commit-authors", ())], report);
    }
    let bots = texts(&fields, "bots", report).unwrap_or_default();
    Some(PeopleFrom { bots: bots.into_iter().map(|(text, _)| text.to_owned()).collect() })
}

/// A list of texts, each with its place.
fn texts<'n>(fields: &Fields<'n>, key: &str, report: &mut Report) -> Option<Vec<(&'n str, Spot)>> {
    let node = fields.get(key, report)?;
    let path = fields.path_of(key);
    if !matches!(node.tree, Tree::List(_)) {
        report.error(node.at, format!("`{path}` must be a list, not {}", node.what()), "write `[a, b]`");
        return None;
    }
    let mut out = Vec::new();
    for (index, item) in node.items().iter().enumerate() {
        match item.text() {
            Some(text) => out.push((text, item.at)),
            None => {
                report.error(
                    item.at,
                    format!("`{path}[{index}]` must be text, not {}", item.what()),
                    quote_it(item),
                );
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_configuration_is_the_default() {
        let text = "apiVersion: triton.io/v1\nkind: Configuration\n";
        assert_eq!(read_configuration("c.yaml", text.as_bytes()), Ok(Configuration::default()));
    }

    #[test]
    fn a_configuration_is_read_as_written() {
        let text = "
apiVersion: triton.io/v1
kind: Configuration
git: { sshKeyFile: /s/key, knownHostsFile: /s/hosts, acceptHead: 0a2f5c0a2f5c0a2f5c0a2f5c0a2f5c0a2f5c0a2f }
allow: { namespaces: [shop, stock], kinds: [Service, ConfigMap] }
people: { from: commit-authors, bots: [renovate, ci@example.com] }
skip: false
provenDepth: 0
removal: { releases: 3, percent: 50 }
";
        let read = read_configuration("c.yaml", text.as_bytes()).unwrap();
        assert_eq!(read.git.ssh_key_file.as_deref(), Some("/s/key"));
        assert!(read.git.accept_head.is_some());
        assert_eq!(read.namespaces.unwrap().len(), 2);
        assert_eq!(read.kinds, BTreeSet::from([Kind::Service, Kind::ConfigMap]));
        assert_eq!(read.people.unwrap().bots.len(), 2);
        assert_eq!(
            (read.skip, read.proven_depth, read.removal_releases, read.removal_percent),
            (false, 0, 3, 50)
        );
    }
}
