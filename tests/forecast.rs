//! Three pull requests, as their reviewers hear of them: with a cluster at hand, a daemon running, and a release on its
//! way.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use triton::cli::embedded::Embedded;

use crate::repo::Repo;

/// How long a machine that is busy may take for what takes a second.
const PATIENCE: Duration = Duration::from_secs(60);
const CHECKOUT: &str = "releases/shop/checkout.yaml";

/// Four pods in three steps. Nothing soaks, so that nothing is told by the clock.
const RELEASE: &str = "apiVersion: triton.io/v1
kind: Release
metadata: {namespace: shop, name: checkout}
spec: {strategy: {steps: [{replicas: 1}, {replicas: 50%, approval: {}}, {replicas: 75%, approval: {}}, {replicas: 100%, approval: {}}]}}
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: {namespace: shop, name: checkout}
spec:
  replicas: 4
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec: {containers: [{name: checkout, image: \"example/checkout:2.4.0\"}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: checkout}
spec: {selector: {app: checkout}, ports: [{port: 80}]}
";

/// A shop with its cluster and its daemon; dropped, all are gone.
struct Shop {
    repo: Repo,
    kubeconfig: PathBuf,
    daemon: Option<Child>,
    _cluster: Embedded,
}

impl Drop for Shop {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Shop {
    async fn open() -> Self {
        let repo = Repo::new();
        for (key, value) in
            [("user.name", "Bo"), ("user.email", "bo@example.com"), ("commit.gpgsign", "false")]
        {
            repo.git(&["config", key, value]);
        }
        repo.write("triton.yaml", "apiVersion: triton.io/v1\nkind: Repository\nspec: {}\n");
        repo.put(CHECKOUT, RELEASE);
        let kubeconfig = repo.file(".git/kubeconfig");
        let cluster = Embedded::start("127.0.0.1:0".parse().unwrap(), &["shop".into()]).await.unwrap();
        cluster.write_kubeconfig(&kubeconfig).unwrap();
        let mut shop = Self { repo, kubeconfig, daemon: None, _cluster: cluster };
        let state = shop.repo.file(".git/state").display().to_string();
        let address = shop.repo.path().display().to_string();
        let args = ["run", "--repo", &address, "--state", &state, "--interval", "1s"];
        let daemon = shop.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        shop.daemon = Some(daemon.unwrap());
        shop
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_triton"));
        command.args(args).current_dir(self.repo.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("KUBECONFIG", AsRef::<Path>::as_ref(&self.kubeconfig));
        command
    }

    fn triton(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// What merging the branch that is checked out does, for its reviewers.
    fn plan(&self) -> String {
        self.triton(&["plan", "--base", "main", "-o", "markdown"])
    }

    /// Asks until the status says this.
    fn wait_for(&self, part: &str) {
        let began = Instant::now();
        while !self.triton(&["status"]).contains(part) {
            assert!(began.elapsed() < PATIENCE, "no {part}: {}", self.triton(&["status"]));
        }
    }

    /// Edits the release on a new branch.
    fn edit(&self, branch: &str, from: &str, to: &str) {
        self.repo.git(&["switch", "--quiet", "-c", branch, "main"]);
        let text = std::fs::read_to_string(self.repo.file(CHECKOUT)).unwrap();
        assert!(text.contains(from), "{from}");
        self.repo.put(CHECKOUT, &text.replace(from, to));
    }

    fn merge(&self, branch: &str) {
        self.repo.git(&["switch", "--quiet", "main"]);
        self.repo.git(&["merge", "--quiet", "--ff-only", branch]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reviewers_hear_what_merging_does_to_what_runs() {
    let shop = Shop::open().await;
    shop.wait_for("healthy");
    shop.repo.git(&["switch", "--quiet", "-c", "late"]);
    shop.triton(&["approve", "shop/checkout", "--step", "2"]);
    shop.edit("bump", "checkout:2.4.0", "checkout:2.4.1");
    insta::assert_snapshot!(shop.plan(), @r"
    ### Triton: what merging into `main` does

    **shop/checkout** 2.4.0 → 2.4.1

    - Merging this starts shop/checkout 2.4.1 with 1 of 4 pods.
    - Its pods are deleted and made anew.
    - Then: step 2 needs 1 approval → 2 of 4 (50%) → step 3 needs 1 approval → 3 of 4 (75%) → step 4 needs 1 approval → all 4.
    - Back: revert it; its pods go back without approvals or soak.

    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
    shop.merge("bump");
    shop.wait_for("1/4   1/4   ॥ paused");
    shop.triton(&["approve", "shop/checkout", "--step", "4"]);
    shop.repo.git(&["switch", "--quiet", "-c", "approval"]);
    shop.triton(&["approve", "shop/checkout", "--step", "2"]);
    insta::assert_snapshot!(shop.plan(), @r"
    ### Triton: what merging into `main` does

    **shop/checkout** 2.4.1

    - Merging this lets shop/checkout 2.4.1 go from 1 pod to 2 of 4 (50%).
    - Then: step 3 needs 1 approval → 3 of 4 (75%) → all 4.
    - Back: revert the commit that changed its template; reverting this one only stops it.

    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
    shop.merge("approval");
    half_way(&shop);
    shop.repo.git(&["switch", "--quiet", "late"]);
    let marker = shop.repo.git(&["diff", "--name-only", "main...late"]);
    insta::assert_snapshot!(shop.plan().replace(&marker, "approvals/…/2.….yaml"), @r"
    ### Triton: what merging into `main` does

    **This approves nothing:** `approvals/…/2.….yaml`

    - Git moved to 2.4.1 (a8ec…) in 8b2f7c5.
    - Remove the file; where it is still meant: triton approve shop/checkout

    Nothing changes for 1 release.
    ");
}

/// What pull requests hear while half of the pods are on 2.4.1, and two approvals are given.
fn half_way(shop: &Shop) {
    shop.edit("service", "{port: 80}", "{port: 80, targetPort: 8080}");
    shop.wait_for("2/4   2/4   ॥ paused");
    insta::assert_snapshot!(shop.plan(), @r"
    ### Triton: what merging into `main` does

    **shop/checkout** 2.4.1

    - Merging this moves no pod of shop/checkout: the rollout of 2.4.1 stays at step 2 of 4, 2 of 4 pods.
    - Service checkout changes at once, for the pods of every version: it has no steps.
    - This edit voids 2 approvals: step 2 by Bo, step 4 by Bo.
    - They are asked for again once this is merged: triton approve shop/checkout.

    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
    shop.edit("next", "checkout:2.4.1", "checkout:2.4.2");
    insta::assert_snapshot!(shop.plan(), @r"
    ### Triton: what merging into `main` does

    **shop/checkout** 2.4.1 → 2.4.2

    - Merging this starts shop/checkout 2.4.2 with 1 of 4 pods.
    - Before that, every pod on 2.4.1 goes back to 2.4.0.
    - Its pods are deleted and made anew.
    - Then: step 2 needs 1 approval → 2 of 4 (50%) → step 3 needs 1 approval → 3 of 4 (75%) → step 4 needs 1 approval → all 4.
    - This edit voids 2 approvals: step 2 by Bo, step 4 by Bo.
    - Back: revert it; its pods go back without approvals or soak.

    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
    shop.edit("back", "checkout:2.4.1", "checkout:2.4.0");
    insta::assert_snapshot!(shop.plan(), @r"
    ### Triton: what merging into `main` does

    **shop/checkout** 2.4.1 → 2.4.0

    - Merging this takes shop/checkout back to 2.4.0: every pod, without approvals, soak or freeze.
    - This edit voids 2 approvals: step 2 by Bo, step 4 by Bo.

    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
}
