//! The commands that read, against a cluster whose record and lease stand as a daemon left them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use serde_json::{Value, json};
use triton::catalog::Root;
use triton::cli::embedded::Embedded;
use triton::cli::records::ClusterArgs;
use triton::objects::record::{ReleaseStatus, Transition};

use crate::doors::{Said, example, with_cluster};
use crate::repo::Repo;

const README: &str = include_str!("../README.md");

/// A clone, and the cluster of a daemon that follows it.
struct Scene {
    repo: Repo,
    kubeconfig: PathBuf,
    client: kube::Client,
    _cluster: Embedded,
}

impl Scene {
    async fn set(namespace: &str) -> Self {
        let repo = example();
        let kubeconfig = repo.file(".git/kubeconfig");
        let cluster = Embedded::start("127.0.0.1:0".parse().unwrap(), &[namespace.into()]).await.unwrap();
        cluster.write_kubeconfig(&kubeconfig).unwrap();
        let args = ClusterArgs { kubeconfig: Some(kubeconfig.clone()), context: None };
        let client = args.records().await.unwrap().client().clone();
        Self { repo, kubeconfig, client, _cluster: cluster }
    }

    fn api(&self, (group, version, kind): (&str, &str, &str), namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    async fn put(&self, kind: (&str, &str, &str), namespace: &str, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.api(kind, namespace).create(&PostParams::default(), &object).await.unwrap();
    }

    /// The lease of a daemon that runs and has told of `head`.
    async fn lease(&self, head: &str, told: &str) {
        let root = Root::new("").name("main");
        let now = jiff::Timestamp::now();
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": format!("triton-{root}"),
                "labels": {"app.kubernetes.io/managed-by": "triton"},
                "annotations": {
                    "triton.io/head": head,
                    "triton.io/told-head": told,
                    "triton.io/repository": "https://git.example/shop/deploy",
                    "triton.io/interval": "15",
                    "triton.io/polled-at": now.to_string(),
                },
            },
            "spec": {"holderIdentity": "triton-0", "renewTime": format!("{now:.6}")},
        });
        self.put(("coordination.k8s.io", "v1", "Lease"), "default", lease).await;
    }

    async fn told(&self, told: &str) {
        let lease = format!("triton-{}", Root::new("").name("main"));
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"triton.io/told-head": told}}}));
        let api = self.api(("coordination.k8s.io", "v1", "Lease"), "default");
        api.patch(&lease, &PatchParams::default(), &patch).await.unwrap();
    }

    /// The record of `shop/checkout`, complete, with something to tell in every field.
    async fn record(&self) {
        let kind = ("triton.io", "v1", "Release");
        let record = json!({
            "apiVersion": "triton.io/v1",
            "kind": "Release",
            "metadata": {"name": "checkout", "annotations": {"triton.io/root": Root::new("").name("main")}},
            "spec": {},
        });
        self.put(kind, "shop", record).await;
        let mut status: ReleaseStatus = serde_json::from_value(json!({
            "phase": "Healthy",
            "version": {"from": "2.4.0", "to": "2.4.0"},
            "commit": "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
            "digest": "3f9a01c2d4e5b6a798871605f4e3d2c1",
            "provenDigest": "3f9a01c2d4e5b6a798871605f4e3d2c1",
            "step": 1,
            "steps": [{
                "target": "100%", "pods": 10, "weight": 50, "testers": true, "service": "checkout", "state": "done",
                "needs": 1, "soak": 5,
                "enteredAt": "2026-03-01T13:50:00Z", "approvals": [{"who": "Bo", "commit": "c4d5e6f"}],
                "serve": [{"who": "Cy", "commit": "d5e6f70"}],
            }],
            "pods": {"desired": 10, "updated": 10, "updatedAvailable": 10},
            "clonesets": [{
                "name": "checkout", "version": "2.3.9", "pods": 10, "role": "kept", "until": "2026-03-01T14:50:00Z",
            }],
            "holds": [{
                "gate": "soak", "since": "2026-03-01T13:50:00Z", "message": "shop/checkout soaks",
                "lift": {"kind": "wait", "path": "a", "command": "b"},
            }],
            "ignored": [{"path": "c", "reason": "d"}],
        }))
        .unwrap();
        status.history.push(Transition {
            time: "2026-03-01T13:50:00Z".parse().unwrap(),
            decision: "Enter".into(),
            message: "shop/checkout enters step 1".into(),
            digest: Some("3f9a01c2d4e5b6a798871605f4e3d2c1".into()),
            step: 1,
            head: Some("a1b2c3d4e5f60718293a4b5c6d7e8f9001122334".into()),
        });
        let patch = Patch::Merge(json!({"status": status}));
        self.api(kind, "shop").patch_status("checkout", &PatchParams::default(), &patch).await.unwrap();
    }

    fn says(&self, line: &str) -> Said {
        let args: Vec<&str> = line.split(' ').collect();
        with_cluster(&self.repo, &self.kubeconfig, &args)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_in_a_cluster_is_named_with_the_cure() {
    let scene = Scene::set("other").await;
    let said = scene.says("status shop/checkout");
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("the cluster has no namespace shop, and so no shop/checkout"), "{}", said.err);
    assert!(scene.says("status").out.starts_with("no releases yet: `triton run --repo URL`"));
    let head = scene.repo.id("HEAD").to_string();
    scene.lease(&head, &head).await;
    insta::assert_snapshot!(scene.says("status").out.replace(&head[..7], "HEAD"), @r"
    no releases: triton-0 follows https://git.example/shop/deploy, has seen HEAD and recorded none; if it has some, the log says why
    the cluster has no namespace shop: kubectl create namespace shop
    ");
    let waited = scene.says("status --wait --timeout 0s");
    assert_eq!(waited.code, Some(1));
    assert!(waited.err.contains("could not record shop/account and 5 more"), "{}", waited.err);
    let crds = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
    ));
    let crds: Api<DynamicObject> = Api::all_with(scene.client.clone(), &crds);
    crds.delete("releases.triton.io", &DeleteParams::default()).await.unwrap();
    for line in ["status", "status shop/checkout", "why shop/checkout", "history shop/checkout"] {
        let said = scene.says(line);
        assert_eq!(said.code, Some(1), "{line}");
        assert!(
            said.err.contains("the cluster does not know the kind of the record"),
            "{line}: {}",
            said.err
        );
        assert!(said.err.contains("kubectl apply -f deploy/crd.yaml"), "{line}: {}", said.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_has_no_namespace_is_missed_beside_those_that_have_one() {
    let scene = Scene::set("shop").await;
    scene.record().await;
    let said = scene.says("status").out;
    assert!(!said.contains("namespace"), "{said}");
    let mailer = std::fs::read_to_string(scene.repo.file("releases/shop/mailer.yaml")).unwrap();
    scene.repo.put("releases/away/mailer.yaml", &mailer.replace("namespace: shop", "namespace: away"));
    let said = scene.says("status").out;
    let missing = "\n\nthe cluster has no namespace away: kubectl create namespace away";
    assert!(said.trim_end().ends_with(missing), "{said}");
    assert!(!scene.says("status shop/checkout").out.contains("away"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_right_after_a_push_believes_no_record_from_before() {
    let scene = Scene::set("shop").await;
    let before = scene.repo.id("HEAD").to_string();
    scene.record().await;
    scene.lease(&before, &before).await;
    let wait = "status shop/checkout --wait --timeout 0s";
    assert_eq!(scene.says(wait).code, Some(0), "the daemon has told of HEAD");
    let after = scene.repo.put("README.md", "news\n").to_string();
    let said = scene.says(wait);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains(&format!("the daemon has not told of {} yet", &after[..7])), "{}", said.err);
    assert_eq!(scene.says(&format!("{wait} --commit {before}")).code, Some(0), "an earlier one is told");
    scene.told(&after).await;
    assert_eq!(scene.says(wait).code, Some(0));
    // Whoever is on another branch is not waited for, unless that is asked.
    scene.repo.git(&["switch", "--quiet", "-c", "other"]);
    scene.repo.put("README.md", "more\n");
    assert_eq!(scene.says(wait).code, Some(0));
    assert_eq!(scene.says(&format!("{wait} --commit HEAD")).code, Some(1));
    assert_eq!(scene.says(&format!("{wait} --commit nonsense")).code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_not_pushed_is_not_waited_for() {
    let scene = Scene::set("shop").await;
    let head = scene.repo.id("HEAD").to_string();
    scene.record().await;
    scene.lease(&head, &head).await;
    scene.repo.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    scene.repo.git(&["config", "remote.origin.url", "nowhere"]);
    scene.repo.git(&["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"]);
    scene.repo.git(&["config", "branch.main.remote", "origin"]);
    scene.repo.git(&["config", "branch.main.merge", "refs/heads/main"]);
    assert_eq!(scene.says("status shop/checkout --wait --timeout 0s").code, Some(0));
    scene.repo.put("README.md", "news\n");
    let said = scene.says("status --wait --timeout 0s");
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("is not pushed"), "{}", said.err);
}

/// The shapes that the README tells, by command.
fn documented(command: &str) -> BTreeSet<String> {
    let (_, rest) = README.split_once("```text\nstatus    [{").expect("the README has the shapes");
    let (shapes, _) = rest.split_once("```").unwrap();
    let shapes = format!("status    [{{{shapes}");
    let mut found = String::new();
    for line in shapes.lines() {
        match line.split_once(' ') {
            Some((name, shape)) if name == command => found = shape.trim().to_owned(),
            Some(("", more)) if !found.is_empty() => found.push_str(more.trim()),
            _ if !found.is_empty() => break,
            _ => {}
        }
    }
    assert!(!found.is_empty(), "the README does not tell the shape of {command}");
    let mut paths = BTreeSet::new();
    read_shape(&found, &mut paths);
    paths
}

/// Reads `{a, b: {c}, d: [{e}]}` as the paths `.a`, `.b`, `.b.c`, `.d`, `.d.e`.
fn read_shape(text: &str, paths: &mut BTreeSet<String>) {
    let (mut above, mut name) = (Vec::<String>::new(), String::new());
    let mut prefix = String::new();
    for c in text.chars() {
        match c {
            '{' => {
                let below = format!("{prefix}{}", std::mem::take(&mut name));
                above.push(std::mem::replace(&mut prefix, below));
            }
            ',' | '}' | ':' => {
                if !name.is_empty() {
                    name = format!(".{}", name.trim_start_matches('.'));
                    paths.insert(format!("{prefix}{name}"));
                }
                if c != ':' {
                    name.clear();
                }
                if c == '}' {
                    prefix = above.pop().unwrap();
                }
            }
            '[' | ']' | ' ' => {}
            c => name.push(c),
        }
    }
    assert!(above.is_empty(), "{text}");
}

fn paths(value: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| paths(item, prefix, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{prefix}.{key}");
                paths(value, &path, found);
                found.insert(path);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_reads_prints_the_json_that_the_readme_tells() {
    let scene = Scene::set("shop").await;
    let head = scene.repo.id("HEAD").to_string();
    scene.record().await;
    scene.lease(&head, &head).await;
    let checkout = "releases/shop/checkout.yaml";
    let text = std::fs::read_to_string(scene.repo.file(checkout)).unwrap();
    scene.repo.write(checkout, &text.replace("checkout:2.4.0", "checkout:2.4.1"));
    scene.repo.write("releases/bad.yaml", "kind: Release\n");
    let whole = [
        ("status", "status -o json"),
        ("status", "status shop/checkout -o json"),
        // One object of that list.
        ("status", "why shop/checkout -o json"),
        ("history", "history shop/checkout -o json"),
        ("check", "check -o json"),
    ];
    for (command, line) in whole {
        let said = scene.says(line);
        let value: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{line}: {}", said.err));
        let mut found = BTreeSet::new();
        paths(&value, "", &mut found);
        assert_eq!(found, documented(command), "{line}");
    }
    // Some fields are there only where there is something to say.
    for (command, line) in [("plan", "plan --base main -o json"), ("diff", "diff -o json")] {
        let value: Value = serde_json::from_str(&scene.says(line).out).unwrap();
        let mut found = BTreeSet::new();
        paths(&value, "", &mut found);
        let told = documented(command);
        assert!(found.len() > 3 && found.is_subset(&told), "{line}: {found:?}, {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_commits_and_approvals_with_their_authors() {
    let scene = Scene::set("shop").await;
    scene.record().await;
    assert_eq!(scene.says("approve shop/checkout").code, Some(0));
    let head = scene.repo.id("HEAD").to_string();
    scene.lease(&head, &head).await;
    let said = scene.says("history shop/checkout");
    let told: Vec<Vec<&str>> =
        said.out.lines().skip(1).map(|line| line.split_whitespace().skip(1).take(2).collect()).collect();
    assert_eq!(told, [["Ann", "Commit"], ["triton", "Enter"], ["Bo", "Approve"]], "{}", said.out);
}
