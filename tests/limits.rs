//! Every limit: a constant with its reason, and what is told, cut or put off where it is reached.

use std::collections::BTreeMap;
use std::path::Path;

use triton::controller::documents::{pack, unpack};
use triton::git::{Credentials, Error, Limits, Mirror, Remote, Repository};
use triton::model::{Digest, ReleaseId};
use triton::spec::{Place, place, read_configuration, read_marker};

use crate::daemon::stage::Stage;
use crate::faults::{GATED, Reader, STEPS, is_test, release};
use crate::repo::Repo;
use crate::spec::{edited, wrong, wrong_after};
use crate::support::source::sources;

/// What comes of reaching a limit.
enum Reached {
    /// A diagnostic, a hold or a refusal, which this test sees.
    Told(&'static str),
    /// The rest is left out of what people are shown, which this test sees.
    Cut(&'static str),
    /// The rest has its turn later: why nobody needs to be told.
    Later(&'static str),
    /// No test reaches it: why not.
    Unseen(&'static str),
}

use Reached::{Cut, Later, Told, Unseen};

const LANGUAGE: Reached = Told("limits::each_limit_of_the_language_is_the_last_that_is_taken");

const MATCHES: Reached = Told("spec::matches::each_limit_of_matches_is_the_last_that_is_taken");

const LIMITS: &[(&str, Reached)] = &[
    ("model/name.rs LABEL_MAX", LANGUAGE),
    ("model/name.rs SUBDOMAIN_MAX", LANGUAGE),
    (
        "objects/record.rs DOCUMENTS_MAX",
        Later("Git has them; where they are asked for while Git is away, the hold `documents` says so"),
    ),
    ("objects/record.rs HISTORY_MAX", Later("Git has them all, and `triton history` reads it there")),
    ("spec/cloneset.rs NAME_MAX", LANGUAGE),
    ("spec/cloneset.rs REPLICAS_MAX", LANGUAGE),
    ("spec/configuration.rs PROVEN_DEPTH_MAX", LANGUAGE),
    ("spec/configuration.rs RELEASES_MAX", LANGUAGE),
    ("spec/head.rs NUMBER_MAX", LANGUAGE),
    ("spec/head.rs REPLACE_MAX", LANGUAGE),
    ("spec/marker.rs REASON_MAX", Cut("limits::each_limit_of_the_language_is_the_last_that_is_taken")),
    ("spec/matches.rs CRITERIA_MAX", MATCHES),
    ("spec/matches.rs HEADER_MAX", MATCHES),
    ("spec/matches.rs MATCHES_MAX", MATCHES),
    ("spec/matches.rs NAME_MAX", MATCHES),
    ("spec/matches.rs PARAMETER_MAX", MATCHES),
    ("spec/matches.rs ROUTE_MATCHES_MAX", MATCHES),
    ("spec/matches.rs RULES_MAX", MATCHES),
    ("spec/matches.rs RULE_MATCHES_MAX", MATCHES),
    ("spec/place.rs STEP_MAX", LANGUAGE),
    ("spec/read.rs DURATION_MAX", LANGUAGE),
    (
        "spec/report.rs FLAWS_MAX",
        Cut("spec::bad_yaml::a_file_with_more_mistakes_than_anyone_reads_tells_of_a_hundred"),
    ),
    ("spec/routes.rs LABEL_MAX", Told("mistakes::every_mistake_is_told_with_its_place_and_its_cure")),
    ("spec/routes.rs SERVICE_NAME_MAX", Told("mistakes::every_mistake_is_told_with_its_place_and_its_cure")),
    ("spec/routes.rs WEIGHT_MAX", Told("mistakes::every_mistake_is_told_with_its_place_and_its_cure")),
    ("spec/strategy.rs APPROVALS_MAX", LANGUAGE),
    ("spec/strategy.rs DRAIN_MAX", LANGUAGE),
    ("spec/strategy.rs STEPS_MAX", LANGUAGE),
    ("spec/versioned.rs NAME_MAX", LANGUAGE),
    ("spec/weights.rs ROUTES_MAX", Told("mistakes::every_mistake_is_told_with_its_place_and_its_cure")),
    ("spec/yaml.rs DEPTH_MAX", LANGUAGE),
    ("spec/yaml.rs DOCUMENTS_MAX", LANGUAGE),
    ("spec/yaml.rs FILE_BYTES_MAX", LANGUAGE),
    ("spec/yaml.rs NODES_MAX", LANGUAGE),
    (
        "git/compare.rs CHANGES_MAX",
        Told("faults::tree::a_hundred_thousand_files_are_refused_in_a_root_and_welcome_beside_it"),
    ),
    (
        "git/compare.rs DEPTH_MAX",
        Told("faults::tree::a_folder_of_four_thousand_folders_is_told_and_harms_nobody"),
    ),
    ("git/history.rs GAP_MAX", Unseen("it takes 200,000 commits, and half a minute")),
    ("git/history.rs SINCE_MAX", Told("limits::a_release_that_began_ten_thousand_commits_ago_is_told")),
    ("git/http.rs AUTHORITIES_MAX", Told("limits::secrets_and_authorities_are_not_cut")),
    ("git/http.rs CONNECT_MAX", Unseen("it takes a host that does not answer, and real time")),
    ("git/http.rs REDIRECTS_MAX", Told("git::network::a_redirect_is_followed_on_the_same_host_only")),
    ("git/http.rs SECRET_MAX", Told("limits::secrets_and_authorities_are_not_cut")),
    ("git/mirror.rs PACKS_MAX", Told("git::mirror::a_mirror_of_very_many_packs_is_fetched_anew")),
    ("git/pack.rs OBJECTS_MAX", Told("generative::wire::the_kept_answers_are_told")),
    ("git/remote.rs ADDRESS_MAX", Told("limits::an_endless_address_is_refused")),
    ("git/repository.rs COMMIT_MAX", Told("limits::endless_commits_and_folders_are_refused")),
    ("git/repository.rs TREE_MAX", Told("limits::endless_commits_and_folders_are_refused")),
    ("git/settings.rs CACHE_MAX", Later("what is not kept is read again")),
    ("git/ssh.rs WORDS_MAX", Cut("git::network::what_ssh_says_at_its_end_is_told_with_the_cure")),
    ("git/wire.rs MESSAGE_MAX", Cut("generative::wire::the_kept_answers_are_told")),
    ("git/wire.rs PACKET_MAX", Told("generative::wire::the_kept_answers_are_told")),
    (
        "catalog/marker.rs IGNORED_MAX",
        Cut("limits::of_very_many_useless_markers_fifty_are_told_and_the_good_one_counts"),
    ),
    (
        "catalog/snapshot.rs FOLDER_MAX",
        Told("faults::tree::a_work_tree_is_told_of_what_the_daemon_does_not_read"),
    ),
    ("catalog/walk.rs LINE_MAX", Told("limits::a_release_that_began_ten_thousand_commits_ago_is_told")),
    (
        "cluster/apply.rs REQUEST_TIMEOUT",
        Told("limits::a_daemon_that_gets_no_answers_ends_before_its_lease_does"),
    ),
    ("cluster/connect.rs CONNECT_TIMEOUT", Unseen("it takes a host that does not answer, and real time")),
    (
        "cluster/connect.rs READ_TIMEOUT",
        Unseen("it takes a connection that is silent for five minutes of real time"),
    ),
    ("cluster/error.rs ASKED_MAX", Later("a wait, not an end")),
    ("cluster/error.rs MESSAGE_MAX", Cut("src::cluster::error::a_page_of_a_webhook_is_cut_to_a_sentence")),
    ("cluster/lane.rs EVENTS_MAX", Later("Events are a courtesy; the record has the story")),
    ("cluster/lane.rs HELD_MAX", Later("a wait, not an end")),
    ("cluster/lane.rs RETRY_MAX", Later("a wait, not an end")),
    (
        "cluster/lease.rs CREATES_MAX",
        Later(
            "so many processes in a row end between a create and its UID: the hold `ownership` names the first",
        ),
    ),
    (
        "cluster/lease.rs RENEW_DEADLINE",
        Told("limits::a_daemon_that_gets_no_answers_ends_before_its_lease_does"),
    ),
    (
        "cluster/watch.rs PAGE_TIMEOUT",
        Told("daemon::health::an_api_server_that_never_answers_leaves_the_loop_alive_and_not_ready"),
    ),
    ("cluster/watch.rs RETRY_MAX", Later("a wait, not an end")),
    ("controller/asking.rs LOOKUPS_MAX", Later("the others are looked up after the next poll")),
    ("controller/drift.rs TOLD_MAX", Later("whoever mends one of them sees the others")),
    ("controller/errands.rs WAITING_MAX", Later("the next lap has them")),
    ("controller/pulse.rs STEPS_MAX", Cut("daemon::metrics::a_thousand_rollouts_are_no_thousand_series")),
    ("controller/documents.rs UNPACKED_MAX", Told("limits::documents_that_unpack_to_a_bomb_are_none")),
];

/// Constants that end so are limits.
const ENDINGS: [&str; 3] = ["_MAX", "_TIMEOUT", "_DEADLINE"];
/// Rooms that read what others write, or wait for them.
const ROOMS: [&str; 7] = ["model", "objects", "spec", "git", "catalog", "cluster", "controller"];
/// Shortest reason: a sentence.
const REASON: usize = 45;

#[test]
fn every_limit_has_a_reason_and_is_reached_by_a_test() {
    let mut listed: BTreeMap<&str, &Reached> =
        LIMITS.iter().map(|(name, reached)| (*name, reached)).collect();
    let mut faults = Vec::new();
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        if !ROOMS.contains(&file.room()) {
            continue;
        }
        let mut doc = String::new();
        for line in file.text.lines().take_while(|line| *line != "#[cfg(test)]") {
            if let Some(text) = line.strip_prefix("/// ") {
                doc.push_str(text);
                continue;
            }
            let name = line
                .split_once("const ")
                .filter(|(before, _)| matches!(*before, "" | "pub " | "pub(crate) "));
            let name = name.and_then(|(_, rest)| rest.split(':').next()).unwrap_or_default();
            if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                let name = format!("{} {name}", file.name());
                if listed.remove(name.as_str()).is_none() {
                    faults.push(format!("{name}: not in LIMITS: what comes of reaching it?"));
                }
                if doc.len() < REASON {
                    faults.push(format!("{name}: its doc has no reason: {doc}"));
                }
            }
            doc.clear();
        }
    }
    faults.extend(listed.keys().map(|name| format!("{name}: in LIMITS, and not in the sources")));
    for (name, reached) in LIMITS {
        match reached {
            Told(test) | Cut(test) if !is_test(test) => {
                faults.push(format!("{name}: there is no test `{test}`"))
            }
            Told(_) | Cut(_) => {}
            Later(why) | Unseen(why) => assert!(why.len() > 10, "{name}"),
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A file of the language with `many` of something.
fn sized(what: &str, many: usize) -> String {
    let file = |text: String| wrong(&[("releases/shop/checkout.yaml", &text)]);
    match what {
        "more than 50 steps" => {
            let steps = "    - replicas: 100%\n".repeat(many);
            let (head, rest) = crate::spec::CHECKOUT.split_once("    steps:\n").unwrap();
            file(format!(
                "{head}    steps:\n{steps}    deadline{}",
                rest.split_once("    deadline").unwrap().1
            ))
        }
        "must be a whole number from 0 to 100000" => {
            wrong_after(&[("  replicas: 10\n", &format!("  replicas: {many}\n"))])
        }
        "must be a whole number from 0 to 1000000" => {
            wrong_after(&[("spec:\n  strategy:", &format!("spec:\n  step: {many}\n  strategy:"))])
        }
        "must be a whole number from 1 to 10" => {
            wrong_after(&[("approval: {}", &format!("approval: {{ count: {many} }}"))])
        }
        "must be from 1s to 720h" => wrong_after(&[("deadline: 10m", &format!("deadline: {many}h"))]),
        "names more than 100" => {
            let names: Vec<String> = (0..many).map(|number| format!("web-{number}")).collect();
            wrong_after(&[(
                "spec:\n  strategy:",
                &format!("spec:\n  replace: [{}]\n  strategy:", names.join(", ")),
            )])
        }
        "must be from 1s to 1h" => {
            wrong_after(&[("deadline: 10m", &format!("deadline: 2h\n    drain: {many}s"))])
        }
        "52 characters or more" => {
            file(crate::spec::CHECKOUT.replace("name: checkout", &format!("name: {}", "c".repeat(many))))
        }
        "it is too long" => file(edited(&[("namespace: shop", &format!("namespace: {}", "s".repeat(many)))])),
        "Kubernetes takes 253" => {
            let name =
                format!("{}c", "c.".repeat(many)).chars().take(many - 1).chain(['c']).collect::<String>();
            let read = format!("        envFrom: [{{ configMapRef: {{ name: {name} }} }}]\n");
            file(format!(
                "{}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ namespace: shop, name: {name} }}\n",
                edited(&[("        env:\n", &format!("{read}        env:\n"))])
            ))
        }
        "more than 256 documents" => file("kind: x\n---\n".repeat(many - 1) + "kind: x\n"),
        "at most 1048576 are read" => {
            file(format!("{}{}", crate::spec::CHECKOUT, "#".repeat(many - crate::spec::CHECKOUT.len())))
        }
        "recursion limit exceeded" => file(format!("{}x{}\n", "[".repeat(many), "]".repeat(many))),
        "more than 200000 values" => file(format!("[{}]\n", "1,".repeat(many - 1))),
        other => panic!("{other}"),
    }
}

#[test]
fn each_limit_of_the_language_is_the_last_that_is_taken() {
    for (words, last) in [
        ("more than 50 steps", 50),
        ("must be a whole number from 0 to 100000", 100_000),
        ("must be a whole number from 0 to 1000000", 1_000_000),
        ("must be a whole number from 1 to 10", 10),
        ("must be from 1s to 720h", 720),
        ("names more than 100", 100),
        ("must be from 1s to 1h", 3_600),
        ("52 characters or more", 51),
        ("it is too long", 63),
        ("Kubernetes takes 253", 236),
        ("more than 256 documents", 256),
        ("at most 1048576 are read", 1024 * 1024),
        ("recursion limit exceeded", 64),
        ("more than 200000 values", 200_000),
    ] {
        assert!(!sized(words, last).contains(words), "{last}: {words}");
        assert!(sized(words, last + 1).contains(words), "{}: {words}", last + 1);
    }
    let name = |length: usize| format!("shop/{}", vec!["a"; length / 2 + 1].join(".")).parse::<ReleaseId>();
    assert!(name(253).is_ok() && name(255).is_err());
    let configuration = |field: &str| {
        let text = format!("apiVersion: triton.io/v1\nkind: Configuration\n{field}\n");
        read_configuration("c.yaml", text.as_bytes()).is_ok()
    };
    assert!(configuration("provenDepth: 20") && !configuration("provenDepth: 21"));
    assert!(
        configuration("removal: { releases: 1000000 }") && !configuration("removal: { releases: 1000001 }")
    );
    let digest = "0123456789abcdef0123456789abcdef";
    let marker = |step: u32| place("", &format!("approvals/shop/checkout/{digest}/{step}.a.yaml"));
    assert!(
        matches!(marker(1_000_000), Place::Marker(_)) && matches!(marker(1_000_001), Place::Malformed { .. })
    );
    let reason = |length: usize| read_marker("x".repeat(length).as_bytes(), true).unwrap().unwrap().len();
    assert_eq!((reason(500), reason(501)), (500, 500));
}

#[test]
fn of_very_many_useless_markers_fifty_are_told_and_the_good_one_counts() {
    let (repo, mut reader) = (Repo::new(), Reader::new());
    repo.put("releases/shop/checkout.yaml", &release("checkout", "1", GATED));
    let digest = reader.intent(&repo).release.digest.long();
    for number in 0..60 {
        repo.write(&format!("approvals/shop/checkout/{digest}/9.{number}.yaml"), "");
    }
    repo.put(&format!("approvals/shop/checkout/{digest}/2.z.yaml"), "");
    let markers = &reader.intent(&repo).markers;
    assert_eq!(markers.iter().filter(|it| it.counts.is_err()).count(), 50);
    assert_eq!(markers.iter().filter(|it| it.counts.is_ok()).count(), 1);
}

#[test]
fn a_release_that_began_ten_thousand_commits_ago_is_told() {
    let repo = Repo::new();
    let first = repo.put("releases/shop/checkout.yaml", &release("checkout", "1", STEPS));
    let commits = |count: u32| -> String {
        let commit = |number: u32| {
            let from = if number == 0 { "from refs/heads/main^0\n" } else { "" };
            format!(
                "commit refs/heads/main\ncommitter Eve <eve@example.com> 1700000000 +0000\ndata 1\nx\n{from}"
            )
        };
        (0..count).map(commit).collect()
    };
    repo.import(commits(9_998).as_bytes());
    assert!(Reader::new().intent(&repo).episode.is_some(), "ten thousand commits are looked at");
    repo.import(commits(3).as_bytes());
    assert!(Reader::new().intent(&repo).episode.is_none(), "the hold of this is in tests/holds");
    let repository = Repository::open(repo.path()).unwrap();
    let error = repository.commits_since(repo.id("main"), Some(first)).unwrap_err();
    assert!(error.to_string().ends_with("brings more than 10000 commits"), "{error}");
}

#[test]
fn endless_commits_and_folders_are_refused() {
    let repo = Repo::new();
    repo.put("a", "1");
    let message = "x".repeat((1 << 20) + 1);
    let commit = format!(
        "commit refs/heads/main\ncommitter Eve <e@x> 1 +0000\ndata {}\n{message}\nfrom refs/heads/main^0\n",
        message.len()
    );
    repo.import(commit.as_bytes());
    let repository = Repository::open(repo.path()).unwrap();
    let error = repository.commit(repo.id("main")).unwrap_err();
    assert!(
        matches!(error, Error::TreeTooLarge { .. })
            && error.to_string().contains(&repo.id("main").to_string())
    );

    let entries: Vec<u8> =
        (0..220_000).flat_map(|number| format!("100644 {number:050}\0{:20}", "").into_bytes()).collect();
    let [tree] = crate::generative::write(&repo, "tree", &[entries])[..] else { panic!("one tree") };
    let text = format!("tree {tree}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nx\n");
    let [commit] = crate::generative::write(&repo, "commit", &[text.into_bytes()])[..] else {
        panic!("one commit")
    };
    let error = repository.tree(repository.commit(commit).unwrap().tree).unwrap_err();
    assert_eq!(error.to_string(), "the repository is too large: one folder has 17160000 bytes of names");
}

#[test]
fn an_endless_address_is_refused() {
    let address = |length: usize| format!("https://forge.example/{}", "x".repeat(length - 22));
    assert!(Remote::new(&address(2_048), "main").is_ok());
    assert!(
        Remote::new(&address(2_049), "main").unwrap_err().to_string().ends_with("it is empty or too long")
    );
}

#[test]
fn secrets_and_authorities_are_not_cut() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("file");
    let token = Credentials { token_file: Some(file.clone()), ..Credentials::default() };
    let authority = Credentials { ca_file: Some(file.clone()), ..Credentials::default() };
    for (credentials, limit) in [(token, 16 << 10), (authority, 1 << 20)] {
        std::fs::write(&file, "x".repeat(limit + 1)).unwrap();
        let remote = Remote::new("http://127.0.0.1:9/x", "main").unwrap().with_credentials(credentials);
        let error = Mirror::open(state.path(), remote, Limits::default()).unwrap().poll().unwrap_err();
        let Error::Credential { source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.to_string(), format!("it has more than {limit} bytes"));
    }
}

#[test]
fn documents_that_unpack_to_a_bomb_are_none() {
    let unpacked = |padding: usize| {
        let release = crate::spec::one(&[("releases/a.yaml", crate::spec::CHECKOUT)]);
        let mut documents: Vec<serde_json::Value> = serde_json::from_slice(&release.documents).unwrap();
        documents.push(serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "shop", "name": "checkout"},
            "data": {"padding": "x".repeat(padding)},
        }));
        let bytes = serde_json::to_vec(&documents).unwrap();
        unpack(&pack(&bytes).expect("it packs well"), Digest::of(&bytes))
    };
    assert!(unpacked(7 << 20).is_some() && unpacked(8 << 20).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_gets_no_answers_ends_before_its_lease_does() {
    let mut stage = Stage::set();
    stage.release("1.0.0", STEPS);
    stage.start();
    stage.until("1.0.0 is healthy", |it| it.phase() == "Healthy").await;
    stage.cluster.knobs().set(|faults| faults.delay = std::time::Duration::from_secs(60));
    stage.wait(16).await;
    let error = stage.ended().await.unwrap_err().to_string();
    assert_eq!(error, "the API server did not answer within 5 s");
}
