//! What a path of the tree is to us: a release file, a marker, a freeze, or nothing.

use std::fmt;

use crate::model::{CommitId, Digest, ReleaseId};
use crate::spec::report::quote;

/// Hexadecimal digits of a digest in a path.
const DIGEST_DIGITS: usize = 32;
/// Highest step that a marker can name: far above what a strategy can have, so that it is told of the release's steps.
const STEP_MAX: u32 = 1_000_000;

/// Folder of the markers of `release`, from its root.
#[must_use]
pub fn markers_of(release: &ReleaseId) -> String {
    format!("approvals/{}/{}", release.namespace, release.name)
}

/// Path of a marker of `release` for the very digest `digest`, from its root. `word` tells it from others that permit
/// the same.
#[must_use]
pub fn marker_of(release: &ReleaseId, digest: &Digest, permits: Permission, word: &str) -> String {
    format!("{}/{}/{permits}.{word}.yaml", markers_of(release), digest.long())
}

/// Path of the marker that lets the removals of a commit go on, from its root.
#[must_use]
pub fn removal_of(commit: CommitId) -> String {
    format!("approvals/removal/{commit}.yaml")
}

/// What a marker permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// To enter this step.
    Step(u32),
    /// To let the pods of this step serve.
    Serve(u32),
    /// To pass approvals, soak and freezes.
    Skip,
}

impl fmt::Display for Permission {
    /// As the name of a marker has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "{step}"),
            Self::Serve(step) => write!(f, "serve-{step}"),
            Self::Skip => f.write_str("skip"),
        }
    }
}

/// The path of an approval or skip marker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkerPath {
    /// The release that it is for.
    pub release: ReleaseId,
    /// The digest that it is for, 32 hexadecimal digits; compare it whole with `Digest::long`.
    pub digest: String,
    /// What it permits.
    pub permits: Permission,
}

/// What a file is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The root's own `triton.yaml`.
    Repository,
    /// A `triton.yaml` further down: its directory, which is another root.
    NestedRoot(String),
    /// A file of `releases/`.
    Release,
    /// A `freeze.yaml`: its directory, below which nothing takes a step.
    Freeze(String),
    /// An approval or skip marker.
    Marker(MarkerPath),
    /// A marker that approves a removal.
    Removal(CommitId),
    /// A file of `approvals/` that is meant as a marker and is none.
    Malformed {
        /// The release that it seems to be for.
        release: Option<ReleaseId>,
        /// Why it approves nothing.
        reason: String,
    },
    /// Nothing of ours.
    Other,
}

/// What the file `path` is to the root in the directory `root`. Both are from the repository's top; the top itself is
/// the empty text. Files below a nested root are that root's: leave them out, by its [`Place::NestedRoot`].
#[must_use]
pub fn place(root: &str, path: &str) -> Place {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "freeze.yaml" | "freeze.yml") {
        return Place::Freeze(directory.to_owned());
    }
    let inside = if root.is_empty() {
        Some(path)
    } else {
        path.strip_prefix(root).and_then(|rest| rest.strip_prefix('/'))
    };
    let Some(inside) = inside else { return Place::Other };
    if inside == "triton.yaml" {
        return Place::Repository;
    }
    if name == "triton.yaml" {
        return Place::NestedRoot(directory.to_owned());
    }
    let is_yaml = [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
    if inside.starts_with("releases/") && is_yaml {
        return Place::Release;
    }
    match inside.strip_prefix("approvals/") {
        Some(rest) if is_yaml => marker(rest),
        Some(_) | None => Place::Other,
    }
}

fn marker(path: &str) -> Place {
    let parts: Vec<&str> = path.split('/').collect();
    let (release, reason) = match parts.as_slice() {
        ["removal", name] => return removal(name),
        [namespace, release, digest, name] => {
            let Ok(release) = format!("{namespace}/{release}").parse::<ReleaseId>() else {
                return malformed(
                    None,
                    format!("`{}/{}` cannot be the name of a release", quote(namespace), quote(release)),
                );
            };
            match (check_digest(digest), permission(name)) {
                (Ok(()), Ok(permits)) => {
                    return Place::Marker(MarkerPath { release, digest: (*digest).to_owned(), permits });
                }
                (Err(reason), _) | (Ok(()), Err(reason)) => (Some(release), reason),
            }
        }
        [namespace, release, ..] => {
            let reason = "a marker is named approvals/NAMESPACE/RELEASE/DIGEST/STEP.WORD.yaml";
            (format!("{namespace}/{release}").parse().ok(), reason.to_owned())
        }
        [_] | [] => {
            let reason = "a marker is named approvals/NAMESPACE/RELEASE/DIGEST/STEP.WORD.yaml";
            (None, reason.to_owned())
        }
    };
    malformed(release, reason)
}

fn malformed(release: Option<ReleaseId>, reason: String) -> Place {
    Place::Malformed { release, reason }
}

fn removal(name: &str) -> Place {
    let commit = name.strip_suffix(".yaml").and_then(|commit| commit.parse().ok());
    commit.map_or_else(
        || {
            malformed(
                None,
                "its name is not the full id of a commit, 40 hexadecimal digits, and `.yaml`".to_owned(),
            )
        },
        Place::Removal,
    )
}

fn check_digest(text: &str) -> Result<(), String> {
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex && text.len() == DIGEST_DIGITS {
        return Ok(());
    }
    Err(format!("its directory is not a digest of {DIGEST_DIGITS} hexadecimal digits: fewer can be forged"))
}

/// `2.k7qd.yaml` or `skip.k7qd.yaml`.
fn permission(name: &str) -> Result<Permission, String> {
    let Some(stem) = name.strip_suffix(".yaml") else {
        return Err("its name does not end in `.yaml`".to_owned());
    };
    let Some((what, word)) = stem.split_once('.').filter(|(_, word)| !word.is_empty()) else {
        return Err(format!("its name lacks a word of its own: `{}.WORD.yaml`", quote(stem)));
    };
    debug_assert!(!word.is_empty(), "filtered above");
    if what == "skip" {
        return Ok(Permission::Skip);
    }
    let (number, permits): (&str, fn(u32) -> Permission) = match what.strip_prefix("serve-") {
        Some(number) => (number, Permission::Serve),
        None => (what, Permission::Step),
    };
    let plain = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
    let step = number.parse().ok().filter(|step| plain && *step <= STEP_MAX);
    step.map(permits).ok_or_else(|| {
        format!("`{}` is neither a step, from 1, nor `serve-` and a step, nor `skip`", quote(what))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef";

    fn reason(path: &str) -> String {
        match place("", path) {
            Place::Malformed { reason, .. } => reason,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn files_of_a_root_are_told_apart() {
        for root in ["", "prod/eu"] {
            let at = |path: &str| if root.is_empty() { path.to_owned() } else { format!("{root}/{path}") };
            let place = |path: &str| place(root, &at(path));
            assert_eq!(place("triton.yaml"), Place::Repository);
            assert_eq!(place("releases/dev/triton.yaml"), Place::NestedRoot(at("releases/dev")));
            assert_eq!(place("releases/shop/checkout.yaml"), Place::Release);
            assert_eq!(place("releases/a/b/c.yml"), Place::Release);
            assert_eq!(place("releases/shop/freeze.yaml"), Place::Freeze(at("releases/shop")));
            assert_eq!(place("releases/shop/README.md"), Place::Other);
            assert_eq!(place("approvals/README.md"), Place::Other);
            assert_eq!(place("charts/x.yaml"), Place::Other);
        }
        assert_eq!(place("prod", "freeze.yaml"), Place::Freeze(String::new()));
        assert_eq!(place("prod", "production/releases/x.yaml"), Place::Other);
        assert_eq!(place("prod", "releases/x.yaml"), Place::Other);
    }

    #[test]
    fn a_marker_names_release_digest_and_step() {
        let marker = |name: &str| place("", &format!("approvals/shop/checkout/{DIGEST}/{name}"));
        let expected = |permits| {
            Place::Marker(MarkerPath {
                release: "shop/checkout".parse().unwrap(),
                digest: DIGEST.to_owned(),
                permits,
            })
        };
        assert_eq!(marker("2.k7qd.yaml"), expected(Permission::Step(2)));
        assert_eq!(marker("12.a.b.yaml"), expected(Permission::Step(12)));
        assert_eq!(marker("serve-2.k7qd.yaml"), expected(Permission::Serve(2)));
        assert_eq!(marker("skip.hotfix.yaml"), expected(Permission::Skip));
        let commit = "0123456789012345678901234567890123456789".parse().unwrap();
        assert_eq!(place("", &removal_of(commit)), Place::Removal(commit));
    }

    #[test]
    fn a_path_that_is_made_here_is_read_here() {
        let (release, digest) = ("shop/checkout".parse().unwrap(), Digest::of(b"x"));
        for permits in [Permission::Step(12), Permission::Serve(3), Permission::Skip] {
            let Place::Marker(read) = place("", &marker_of(&release, &digest, permits, "k7qd")) else {
                panic!("{permits} is no marker");
            };
            assert_eq!((read.release, read.digest, read.permits), (release.clone(), digest.long(), permits));
        }
    }

    #[test]
    fn a_marker_with_a_wrong_name_says_what_is_wrong() {
        for (path, why) in [
            (format!("approvals/shop/checkout/{DIGEST}/2.yaml"), "lacks a word"),
            (format!("approvals/shop/checkout/{DIGEST}/2..yaml"), "lacks a word"),
            (format!("approvals/shop/checkout/{DIGEST}/0.a.yaml"), "neither a step"),
            (format!("approvals/shop/checkout/{DIGEST}/02.a.yaml"), "neither a step"),
            (format!("approvals/shop/checkout/{DIGEST}/-1.a.yaml"), "neither a step"),
            (format!("approvals/shop/checkout/{DIGEST}/99999999999.a.yaml"), "neither a step"),
            (format!("approvals/shop/checkout/{DIGEST}/all.a.yaml"), "neither a step"),
            (format!("approvals/shop/checkout/{DIGEST}/serve.a.yaml"), "neither a step"),
            (format!("approvals/shop/checkout/{DIGEST}/serve-0.a.yaml"), "neither a step"),
            (format!("approvals/shop/checkout/{DIGEST}/2.a.yml"), "does not end in `.yaml`"),
            ("approvals/shop/checkout/0123456789ab/2.a.yaml".to_owned(), "not a digest"),
            (format!("approvals/shop/checkout/{}/2.a.yaml", DIGEST.to_uppercase()), "not a digest"),
            (format!("approvals/Shop/checkout/{DIGEST}/2.a.yaml"), "cannot be the name"),
            ("approvals/shop/checkout/2.a.yaml".to_owned(), "is named approvals/"),
            ("approvals/2.a.yaml".to_owned(), "is named approvals/"),
            ("approvals/removal/abc.yaml".to_owned(), "full id of a commit"),
        ] {
            assert!(reason(&path).contains(why), "{path}: {}", reason(&path));
        }
    }
}
