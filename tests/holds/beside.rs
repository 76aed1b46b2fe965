//! Holds that others make: the checker of plans, the API server's refusals, Git's answers, and other daemons.

use std::path::PathBuf;

use triton::cluster::error::Attempt;
use triton::cluster::{Error as Refused, Feed};
use triton::controller::rivals::{self, State};
use triton::controller::{source, unseen};
use triton::git::Error as Git;
use triton::guard::{Rule, Violation};
use triton::objects::{Kind, ObjectKey};
use triton::plan::plan;

use crate::holds::Told;
use crate::support::world::{complete, id, intent, live, release, world};

pub fn told() -> Vec<Told> {
    let mut told = Vec::new();
    let mut tell = |story: &'static str, hold| told.push(Told { story, hold });
    let why = "step 2 is entered before step 1 was reached".to_owned();
    tell("refused by the checker", Violation { rule: Rule::Reached, message: why }.hold(&id()));
    for refused in refusals() {
        tell(refused.category(), refused.hold(&ObjectKey::cloneset(&id()).to_string()));
    }
    let unseen = Refused::Forbidden(attempt("list", "services", ""));
    tell(
        "a kind that may not be listed",
        unseen::unseen(&id().to_string(), Feed::Companions(Kind::Service), &unseen),
    );
    tell("a record of another root", unseen::foreign(&id(), "ffff0000"));
    let rivals = [
        ("another daemon acts", State::Acts("triton-2".into())),
        ("another daemon is looked at", State::Unknown),
        (
            "another daemon cannot be seen",
            State::Unseen(Refused::Forbidden(attempt("get", "leases", "coordination.k8s.io"))),
        ),
    ];
    for (story, state) in rivals {
        tell(story, rivals::told(&id(), "elsewhere", &state).unwrap());
    }
    told.extend(answers().iter().flat_map(answered));
    told
}

fn attempt(verb: &'static str, resource: &str, group: &str) -> Attempt {
    Attempt { verb, resource: resource.into(), group: group.into(), namespace: "shop".into() }
}

/// One refusal of each kind. No other arm: a new kind comes with its story.
fn refusals() -> Vec<Refused> {
    let all = vec![
        Refused::Conflict,
        Refused::Exists,
        Refused::Gone,
        Refused::Forbidden(attempt("patch", "clonesets", "apps.kruise.io")),
        Refused::Forbidden(Attempt {
            namespace: String::new(),
            ..attempt("list", "clonesets", "apps.kruise.io")
        }),
        Refused::Unauthorized("Unauthorized".into()),
        Refused::Denied("exceeded quota: pods".into()),
        Refused::Invalid("spec.replicas: Invalid value".into()),
        Refused::NotServed("clonesets.apps.kruise.io".into()),
        Refused::NoNamespace("shop".into()),
        Refused::Rewritten(r#"spec.updateStrategy.partition was to be "99%", and is 0"#.into()),
        Refused::Unavailable { message: "etcdserver: leader changed".into(), retry_after: None },
        Refused::TimedOut(5),
        Refused::NotSent("the lease is too old"),
        Refused::LeaseLost("triton-2 holds it".into()),
        Refused::Config("no such file".into()),
        Refused::Malformed("missing field `metadata`".into()),
    ];
    let is_listed = |refused: &Refused| match refused {
        Refused::Conflict
        | Refused::Exists
        | Refused::Gone
        | Refused::Forbidden(_)
        | Refused::Unauthorized(_)
        | Refused::Denied(_)
        | Refused::Invalid(_)
        | Refused::NotServed(_)
        | Refused::NoNamespace(_)
        | Refused::Rewritten(_)
        | Refused::Unavailable { .. }
        | Refused::TimedOut(_)
        | Refused::NotSent(_)
        | Refused::LeaseLost(_)
        | Refused::Config(_)
        | Refused::Malformed(_) => true,
    };
    assert!(all.iter().all(is_listed));
    all
}

/// What a release says while Git answers so.
fn answered(error: &Git) -> Vec<Told> {
    let a = release("2.4.0");
    let mut world = world(intent(&a), Some(live(&a, Some(complete(&a)), "0", 10)), &[&a]);
    world.source.head = None;
    world.source.fault = Some(source::fault(error));
    let story = error.category();
    plan(&world).moves[&id()].holds().iter().map(|hold| Told { story, hold: hold.clone() }).collect()
}

/// One answer of each kind. No other arm: a new kind comes with its story.
fn answers() -> Vec<Git> {
    let url = || "https://forge.example/shop".to_owned();
    let why = |text: &str| text.to_owned();
    let path = || PathBuf::from("/var/lib/triton");
    let libgit2 = || git2::Error::from_str("it said no");
    let malformed = || {
        git2::Error::new(git2::ErrorCode::GenericError, git2::ErrorClass::Invalid, "invalid Unix timestamp")
    };
    let disk = || std::io::Error::other("no space left on device");
    let all = vec![
        Git::Address { url: url(), why: why("it must be a host and a path") },
        Git::BranchName { branch: "a..b".into() },
        Git::NoRepository { path: path(), source: libgit2() },
        Git::Empty { url: url(), branch: "main".into() },
        Git::BranchMissing { url: url(), branch: "main".into(), has: vec!["trunk".into()] },
        Git::BranchMissing { url: url(), branch: "main".into(), has: vec![] },
        Git::Unsupported { url: url(), why: why("it is a shallow clone") },
        Git::Unreachable { url: url(), why: why("connection refused") },
        Git::Denied { url: url(), why: why("401 Unauthorized: see git.tokenFile") },
        Git::Redirected { url: url(), to: why("https://elsewhere.example/shop") },
        Git::Protocol { url: url(), why: why("a packet without a valid length") },
        Git::TimedOut { url: url(), seconds: 300 },
        Git::TooLarge { url: url(), limit: 1 << 30, unit: "bytes" },
        Git::Cancelled { url: url() },
        Git::Credential { path: path(), source: disk() },
        Git::Locked { path: path() },
        Git::State { path: path(), source: disk() },
        Git::Mirror { path: path(), source: libgit2() },
        Git::UnknownCommit { id: crate::support::world::commit(3) },
        Git::UnknownName { name: "main~3".into() },
        Git::BlobTooLarge { size: 3 << 20, limit: 1 << 20 },
        Git::TreeTooLarge { why: why("more than 64 folders in one another") },
        Git::Object { what: why("tree 0303030"), source: libgit2() },
        Git::Object { what: why("commit 0303030"), source: malformed() },
    ];
    let is_listed = |error: &Git| match error {
        Git::Address { .. }
        | Git::BranchName { .. }
        | Git::NoRepository { .. }
        | Git::Empty { .. }
        | Git::BranchMissing { .. }
        | Git::Unsupported { .. }
        | Git::Unreachable { .. }
        | Git::Denied { .. }
        | Git::Redirected { .. }
        | Git::Protocol { .. }
        | Git::TimedOut { .. }
        | Git::TooLarge { .. }
        | Git::Cancelled { .. }
        | Git::Credential { .. }
        | Git::Locked { .. }
        | Git::State { .. }
        | Git::Mirror { .. }
        | Git::UnknownCommit { .. }
        | Git::UnknownName { .. }
        | Git::BlobTooLarge { .. }
        | Git::TreeTooLarge { .. }
        | Git::Object { .. } => true,
    };
    assert!(all.iter().all(is_listed));
    all
}
