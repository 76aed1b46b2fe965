//! What the daemon's own configuration says: never read from the repository that it judges.

use std::collections::BTreeSet;

use crate::objects::Kind;

/// Where the names of people come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum People {
    /// Authors of commits are believed.
    CommitAuthors,
    /// Only signatures are.
    Signatures,
}

/// How much one sync may remove without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalLimit {
    /// So many releases.
    pub releases: u32,
    /// And this share of all, in percent.
    pub percent: u32,
}

/// The daemon's configuration, as far as decisions look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Namespaces that this root may write to; `None` is all but Kubernetes' own (`kube-…`) and the daemon's.
    pub namespaces: Option<BTreeSet<String>>,
    /// The daemon's own namespace, where it runs in the cluster: its configuration is there, which judges Git.
    pub home: Option<String>,
    /// Kinds that may be companions.
    pub kinds: BTreeSet<Kind>,
    /// Whose approvals can be told apart; `None` is nobody's.
    pub people: Option<People>,
    /// Authors who are nobody.
    pub bots: BTreeSet<String>,
    /// Whether skip markers open gates.
    pub skip: bool,
    /// Proven releases that are kept for a rollback; 0 = rollbacks are gated too.
    pub proven_depth: usize,
    /// How much one sync may remove.
    pub removal: RemovalLimit,
    /// Seconds after which a fetch is too old to go forward: three intervals, at least 30.
    pub stale_after: u32,
    /// Eight hexadecimal digits of SHA-256 of branch and path: which root the daemon serves.
    pub root: String,
    /// The root's directory in the repository, without a slash at its end; empty for the top.
    pub path: String,
}

impl Policy {
    /// Whether this root may write to a namespace.
    #[must_use]
    pub fn allows(&self, namespace: &str) -> bool {
        match &self.namespaces {
            Some(allowed) => allowed.contains(namespace),
            None => !namespace.starts_with("kube-") && self.home.as_deref() != Some(namespace),
        }
    }

    /// A path of the root, as seen from the repository's top.
    #[must_use]
    pub fn in_root(&self, path: &str) -> String {
        if self.path.is_empty() { path.to_owned() } else { format!("{}/{path}", self.path) }
    }
}

impl Default for Policy {
    /// Design: all namespaces, every kind, depth 5, no policy about people.
    fn default() -> Self {
        Self {
            namespaces: None,
            home: None,
            kinds: Kind::COMPANIONS.into_iter().collect(),
            people: None,
            bots: BTreeSet::new(),
            skip: true,
            proven_depth: 5,
            removal: RemovalLimit { releases: 1, percent: 20 },
            stale_after: 45,
            root: String::new(),
            path: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_judges_git_is_not_for_git_to_write_but_where_somebody_says_so() {
        let policy = Policy { home: Some("triton-system".to_owned()), ..Policy::default() };
        assert!(policy.allows("shop") && !policy.allows("kube-system") && !policy.allows("triton-system"));
        let named = Policy { namespaces: Some(["kube-system".to_owned()].into()), ..policy };
        assert!(named.allows("kube-system") && !named.allows("shop"));
    }
}
