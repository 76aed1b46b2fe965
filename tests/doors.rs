//! The commands as a person types them, in a clone and without a cluster.

use std::path::Path;
use std::process::Command;

use triton::cli::embedded::Embedded;

use crate::repo::Repo;

/// What a command said, and its exit code.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// `triton` in the clone, with a cluster that cannot be found.
pub fn triton(repo: &Repo, args: &[&str]) -> Said {
    with_cluster(repo, "/nowhere".as_ref(), args)
}

/// `triton` in the clone, with the cluster of a kubeconfig.
pub fn with_cluster(repo: &Repo, kubeconfig: &Path, args: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_triton"))
        .args(args)
        .current_dir(repo.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// A clone of the example, with somebody to commit as.
pub fn example() -> Repo {
    let repo = Repo::new();
    for (key, value) in [("user.name", "Bo"), ("user.email", "bo@example.com"), ("commit.gpgsign", "false")] {
        repo.git(&["config", key, value]);
    }
    triton::cli::example::write(repo.path()).unwrap();
    repo.commit("Six releases of one shop");
    repo
}

const CHECKOUT: &str = "releases/shop/checkout.yaml";

/// Replaces a text in a file; it is not committed.
fn edit(repo: &Repo, path: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(repo.file(path)).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    repo.write(path, &text.replace(from, to));
}

fn ship(repo: &Repo, from: &str, to: &str) {
    edit(repo, CHECKOUT, &format!("checkout:{from}"), &format!("checkout:{to}"));
}

#[test]
fn a_pull_request_that_bumps_an_image_hears_how_far_it_goes() {
    let repo = example();
    ship(&repo, "2.4.0", "2.4.1");
    insta::assert_snapshot!(triton(&repo, &["plan", "--base", "main", "-o", "markdown"]).out, @"
    ### Triton: what merging into `main` does

    **shop/checkout** 2.4.0 → 2.4.1

    - Merging this starts shop/checkout 2.4.1 with 1 of 10 pods.
    - Its pods are updated in place: container checkout starts again.
    - At most 2 of its 10 pods are unavailable at once.
    - Then: soak 5s → step 2 needs 1 approval → 5 of 10 (50%) → soak 5s → all 10. At least 10s and 1 approval to the end.
    - Back: revert it; its pods go back without approvals or soak.

    Nothing changes for 5 other releases.

    No cluster was read: this is what Git alone tells, and a version that is proven already goes at once.

    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
}

#[test]
fn a_pull_request_that_edits_the_strategy_hears_which_approvals_it_voids() {
    let repo = example();
    ship(&repo, "2.4.0", "2.4.1");
    repo.commit("2.4.1");
    assert_eq!(triton(&repo, &["approve", "shop/checkout"]).code, Some(0));
    edit(&repo, CHECKOUT, "deadline: 20s", "deadline: 30s");
    insta::assert_snapshot!(triton(&repo, &["plan", "--base", "main"]).out, @"
    shop/checkout  2.4.1
      Merging this moves no pod of shop/checkout: 2.4.1 stays.
      Its strategy changes; how far each step goes does not.
      This edit voids 1 approval, unless 2.4.1 is complete: step 2 by Bo.
      It is asked for again once this is merged: triton approve shop/checkout.

    Nothing changes for 5 other releases.
    No cluster was read: this is what Git alone tells, and a version that is proven already goes at once.
    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
}

#[test]
fn a_pull_request_with_an_approval_hears_what_it_permits() {
    let repo = example();
    repo.git(&["switch", "--quiet", "-c", "approve"]);
    assert_eq!(triton(&repo, &["approve", "shop/checkout"]).code, Some(0));
    insta::assert_snapshot!(triton(&repo, &["plan", "--base", "main"]).out, @"
    shop/checkout  2.4.0
      Merging this lets shop/checkout 2.4.0 go from 1 pod to 5 of 10 (50%).
      Then: soak 5s → all 10. At least 5s to the end.
      Back: revert the commit that changed its template; reverting this one only stops it.

    Nothing changes for 5 other releases.
    No cluster was read: this is what Git alone tells, and a version that is proven already goes at once.
    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
    assert_eq!(triton(&repo, &["check", "--base", "main"]).code, Some(0));
}

#[test]
fn a_marker_that_came_too_late_is_an_error_with_its_reason() {
    let repo = example();
    repo.git(&["switch", "--quiet", "-c", "approve"]);
    assert_eq!(triton(&repo, &["approve", "shop/checkout"]).code, Some(0));
    repo.git(&["switch", "--quiet", "main"]);
    ship(&repo, "2.4.0", "2.4.2");
    let moved = repo.commit("2.4.2").short();
    repo.git(&["switch", "--quiet", "approve"]);
    let said = triton(&repo, &["check", "--base", "main"]);
    let (message, _) = said.out.split_once('\n').unwrap();
    assert!(message.starts_with("error: approves nothing: Git moved to 2.4.2 ("), "{message}");
    assert!(message.ends_with(&format!("…) in {moved}")), "{message}");
    assert_eq!((said.code, triton(&repo, &["check"]).code), (Some(1), Some(0)));
    let plan = triton(&repo, &["plan", "--base", "main"]);
    assert!(plan.out.contains("approves nothing: Git moved to 2.4.2"), "{}", plan.out);
}

#[test]
fn a_marker_in_the_commit_of_its_spec_is_an_error() {
    let repo = example();
    repo.git(&["switch", "--quiet", "-c", "both"]);
    ship(&repo, "2.4.0", "2.4.1");
    repo.commit("2.4.1");
    assert_eq!(triton(&repo, &["approve", "shop/checkout"]).code, Some(0));
    let said = triton(&repo, &["check", "--base", "main"]);
    assert!(said.out.contains("it comes with the spec that it approves"), "{}", said.out);
    assert_eq!(said.code, Some(1));
}

#[test]
fn a_pull_request_that_changes_configuration_hears_how_it_comes() {
    let repo = example();
    let config = "releases/shop/cart/config.yaml";
    let told = |base: &str| {
        let out = triton(&repo, &["plan", "--base", base]).out;
        let told =
            |line: &&str| line.contains("Its pods") || line.contains("no pod") || line.contains("ConfigMap");
        out.lines().filter(told).map(str::trim).collect::<Vec<_>>().join("\n")
    };
    edit(&repo, config, "EUR", "CHF");
    insta::assert_snapshot!(told("main"), @r"
    Its pods are deleted and made anew: spec.template.spec.containers[name=cart].envFrom[0].configMapRef.name cannot be changed in place.
    ConfigMap cart changes: the pods get it step by step, as cart-484299c85d396932.
    ");
    repo.git(&["switch", "--quiet", "-c", "opt-out"]);
    let opted = "  name: cart\n  annotations: { triton.io/versioned: \"false\" }\n";
    edit(&repo, config, "  name: cart\n", opted);
    insta::assert_snapshot!(told("main"), @r"
    Its pods are deleted and made anew: spec.template.spec.containers[name=cart].envFrom[0].configMapRef.name cannot be changed in place.
    ConfigMap cart is no longer versioned: the pods get it step by step, under its own name, and later changes at once.
    ");
    repo.commit("Opt out");
    edit(&repo, config, "CHF", "USD");
    insta::assert_snapshot!(told("opt-out"), @r#"
    Merging this moves no pod of shop/cart: 1.3.0 stays.
    ConfigMap cart changes at once for all pods: it is not versioned (triton.io/versioned: "false"), running pods see it in their files within minutes, and in their environment once they start again.
    "#);
    edit(&repo, config, opted, "  name: cart\n");
    insta::assert_snapshot!(told("opt-out"), @r"
    Its pods are deleted and made anew: spec.template.spec.containers[name=cart].envFrom[0].configMapRef.name cannot be changed in place.
    ConfigMap cart is versioned from now on: the pods get it step by step, as cart-7c915a559684bb6a. Nothing stands as cart once no pods of the tree read it.
    ");
    edit(&repo, config, "USD", "EUR");
    edit(&repo, config, "  name: cart\n", "  name: cart\n  labels: { team: shop }\n");
    insta::assert_snapshot!(told("main"), @r"
    Merging this moves no pod of shop/cart: 1.3.0 stays.
    ConfigMap cart changes at once, but for what the pods read of it.
    ");
    let reads = "        envFrom:\n        - configMapRef:\n            name: cart\n";
    edit(&repo, "releases/shop/cart/cloneset.yaml", reads, "");
    insta::assert_snapshot!(told("main"), @r"
    Its pods are deleted and made anew: spec.template.spec.containers[name=cart].envFrom cannot be changed in place.
    ConfigMap cart is read by the pods no more: it is applied first, under its own name.
    ");
    edit(&repo, "releases/shop/cart/cloneset.yaml", "        ports:", &format!("{reads}        ports:"));
    repo.remove(config);
    insta::assert_snapshot!(told("main"), @r"
    Its pods are deleted and made anew: spec.template.spec.containers[name=cart].envFrom[0].configMapRef.name cannot be changed in place.
    ConfigMap cart is dropped, and the template still names it: no new pod comes up unless somebody else makes it.
    ");
    let said = triton(&repo, &["check", "--base", "main"]);
    let warning = "ConfigMap shop/cart is dropped, and the template still names it: no new pod of shop/cart would come up";
    assert!(said.out.contains(warning), "{}", said.out);
    assert_eq!(said.code, Some(0));
    edit(&repo, "releases/shop/cart/cloneset.yaml", reads, "");
    insta::assert_snapshot!(told("main"), @r"
    Its pods are deleted and made anew: spec.template.spec.containers[name=cart].envFrom cannot be changed in place.
    ConfigMap cart is deleted once no proven release reads it.
    ");
}

#[test]
fn a_pull_request_that_stops_removes_or_resizes_hears_so() {
    let repo = example();
    edit(&repo, "releases/shop/search.yaml", "replicas: 8", "replicas: 12");
    repo.remove("releases/shop/mailer.yaml");
    repo.write("releases/shop/cart/freeze.yaml", "reason: stock taking\n");
    edit(&repo, "releases/shop/frontend.yaml", "port: 80\n", "port: 81\n");
    insta::assert_snapshot!(triton(&repo, &["plan", "--base", "main"]).out, @"
    shop/cart  1.3.0
      releases/shop/cart/freeze.yaml freezes shop/cart: stock taking.

    shop/frontend  5.0.2
      Merging this moves no pod of shop/frontend: 5.0.2 stays.
      Service frontend changes at once, for the pods of every version: it has no steps.

    shop/mailer  1.9.0, removed
      Merging this removes shop/mailer: its CloneSet and every pod are deleted.
      Back: revert it; what was deleted is made again.

    shop/search  7.1.3
      shop/search goes from 8 to 12 pods at once; the share of each version stays.

    Nothing changes for 2 other releases.
    No cluster was read: this is what Git alone tells, and a version that is proven already goes at once.
    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
}

#[test]
fn a_pull_request_hears_how_pods_leave_traffic_and_that_it_is_another_template() {
    let repo = example();
    let release = "releases/shop/checkout.yaml";
    let says = |sentences: &[&str]| {
        let said = triton(&repo, &["plan", "--base", "main"]).out;
        assert!(sentences.iter().all(|sentence| said.contains(sentence)), "{said}");
    };
    let next = |message: &str| {
        repo.commit(message);
        repo.git(&["branch", "--quiet", "--force", "main", "HEAD"]);
    };
    repo.git(&["switch", "--quiet", "-c", "drain"]);
    edit(&repo, release, "  strategy:\n", "  strategy:\n    drain: 5s\n");
    says(&[
        "Its pods are deleted and made anew: spec.template.spec.containers[name=checkout].lifecycle",
        "Its new pods are out of traffic for 5s before they are updated or deleted (drain): its template gets another preStop.",
    ]);
    next("drained");
    edit(&repo, release, "drain: 5s", "drain: 8s");
    says(&["Its new pods are out of traffic for 8s, not 5s, before they are updated or deleted (drain)"]);
    next("for longer");
    edit(&repo, release, "    drain: 8s\n", "");
    says(&[
        "Its new pods are no longer out of traffic before they are updated or deleted (drain): its template",
    ]);
}

#[test]
fn a_pull_request_hears_which_pods_will_wait_to_serve_and_what_lets_them() {
    let repo = example();
    let says = |repo: &Repo, sentence: &str| {
        let said = triton(repo, &["plan", "--base", "main"]).out;
        assert!(said.contains(sentence), "{said}");
    };
    repo.git(&["switch", "--quiet", "-c", "serve"]);
    assert_eq!(triton(&repo, &["approve", "shop/search", "--serve"]).code, Some(0));
    says(&repo, "Merging this lets the pods of step 1 of shop/search 7.1.3 serve.");
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["switch", "--quiet", "-c", "next"]);
    edit(&repo, "releases/shop/search.yaml", "search:7.1.3", "search:7.1.4");
    let dark =
        "The new pods of step 1 come up and do not serve: triton approve shop/search --serve lets them.";
    says(&repo, dark);
    edit(&repo, "releases/shop/search.yaml", "type: ReCreate", "type: InPlaceIfPossible");
    says(&repo, "Each leaves traffic first, and serves again once Triton lets it in.");
    says(
        &repo,
        "The pods of step 1 come back and do not serve: triton approve shop/search --serve lets them.",
    );
    edit(&repo, "releases/shop/search.yaml", "type: InPlaceIfPossible", "type: ReCreate");
    edit(&repo, "triton.yaml", "        serve: approval\n", "");
    says(&repo, "Its template loses the readiness gate triton.io/serve: pods serve by themselves.");
    repo.commit("without");
    repo.git(&["branch", "--quiet", "--force", "main", "HEAD"]);
    edit(
        &repo,
        "triton.yaml",
        "by-commit:\n      steps:\n      - replicas: 1\n",
        "by-commit:\n      steps:\n      - replicas: 1\n        serve: approval\n",
    );
    says(&repo, "Its template gets the readiness gate triton.io/serve: a pod serves once Triton lets it in.");
    says(&repo, dark);
}

#[test]
fn a_tree_by_itself_says_what_it_permits() {
    let repo = example();
    insta::assert_snapshot!(triton(&repo, &["plan"]).out, @"
    shop/account  3.2.0
      Git permits shop/account 3.2.0 step 1 of 2, 3 pods at Service account-preview: step 2 needs 1 approval.

    shop/cart  1.3.0
      Git permits shop/cart 1.3.0 step 2 of 4, 1 of 4 (10%), testers and 20% of the other traffic: step 3 needs 1 approval.

    shop/checkout  2.4.0
      Git permits shop/checkout 2.4.0 step 1 of 3, 1 of 10: step 2 needs 1 approval.

    shop/frontend  5.0.2
      Git permits shop/frontend 5.0.2 step 2 of 4, 10%: step 3 needs 1 approval.

    shop/mailer  1.9.0
      Git permits all of shop/mailer 1.9.0.

    shop/search  7.1.3
      Git permits shop/search 7.1.3 step 1 of 3, 1 of 8: step 2 waits for a higher spec.step.

    No cluster was read: this is what Git alone tells, and a version that is proven already goes at once.
    The daemon's configuration was not read: approvals are counted by the authors of their commits.
    ");
    // What is not committed is told as what merging it does, beside the rest.
    repo.remove("releases/shop/mailer.yaml");
    edit(&repo, "releases/shop/frontend.yaml", "frontend:5.0.2", "frontend:5.0.3");
    let said = triton(&repo, &["plan"]).out;
    for part in [
        "Git permits shop/cart 1.3.0 step 2 of 4",
        "shop/frontend  5.0.2 → 5.0.3\n  Merging this lets shop/frontend 5.0.3 go to 1.",
        "shop/mailer  1.9.0, removed\n  Merging this removes shop/mailer: its CloneSet and every pod are deleted.",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_does_not_merge_is_refused_and_nothing_is_written() {
    let repo = example();
    repo.git(&["switch", "--quiet", "-c", "other"]);
    ship(&repo, "2.4.0", "2.4.1");
    repo.commit("2.4.1");
    repo.git(&["switch", "--quiet", "main"]);
    ship(&repo, "2.4.0", "2.4.2");
    repo.commit("2.4.2");
    let before = repo.git(&["count-objects"]);
    assert_eq!(triton(&repo, &["plan", "--base", "other"]).code, Some(1));
    assert_eq!(triton(&repo, &["plan", "--base", "HEAD~1"]).code, Some(0));
    assert_eq!(repo.git(&["count-objects"]), before);
}

#[test]
fn a_plan_for_scripts_names_what_it_is_about() {
    let repo = example();
    ship(&repo, "2.4.0", "2.4.1");
    let said = triton(&repo, &["plan", "--base", "main", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let fields = ["namespace", "name", "from", "to"].map(|key| list[0][key].as_str().unwrap().to_owned());
    assert_eq!(fields, ["shop", "checkout", "2.4.0", "2.4.1"]);
    assert_eq!(list[0]["approvalsVoided"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_cluster_at_hand_plan_and_diff_say_what_is_there() {
    let repo = example();
    let kubeconfig = repo.file(".git/kubeconfig");
    let cluster = Embedded::start("127.0.0.1:0".parse().unwrap(), &["shop".into()]).await.unwrap();
    cluster.write_kubeconfig(&kubeconfig).unwrap();
    let diff = with_cluster(&repo, &kubeconfig, &["diff", "shop/checkout"]);
    assert_eq!(diff.out, "CloneSet shop/checkout  is not there\n\n0 objects are as the specs say");
    let plan = with_cluster(&repo, &kubeconfig, &["plan"]);
    assert!(plan.out.contains("shop/checkout  2.4.0\n  "), "{}", plan.out);
    assert!(!plan.out.contains("No cluster was read"), "{}", plan.out);
    let waiting = with_cluster(&repo, &kubeconfig, &["approve", "--waiting", "shop/*"]);
    assert_eq!((waiting.code, waiting.out.as_str()), (Some(1), ""));
    let late = ["status", "--wait", "--for", "complete", "--timeout", "0s"];
    assert_eq!(with_cluster(&repo, &kubeconfig, &late).code, Some(1));
}

#[test]
fn shells_and_editors_get_what_they_ask_for() {
    let repo = example();
    for shell in ["bash", "zsh", "fish"] {
        let script = triton(&repo, &["completions", shell]);
        assert!(script.code == Some(0) && script.out.contains("unfreeze"), "{shell}");
    }
    let schema: serde_json::Value = serde_json::from_str(&triton(&repo, &["schema"]).out).unwrap();
    assert_eq!(schema["allOf"][0]["then"]["$ref"], "#/definitions/Release");
}

/// An origin that takes pull requests only for `main`, and says where to open one.
fn guarded() -> (Repo, Repo) {
    let (origin, repo) = (Repo::new(), example());
    origin.git(&["config", "core.bare", "true"]);
    repo.git(&["remote", "add", "origin", &origin.path().display().to_string()]);
    repo.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
    let hook = "#!/bin/sh\nwhile read old new ref; do\n  if [ $ref = refs/heads/main ]; then\n    \
        echo 'GH006: Protected branch update failed for refs/heads/main.' >&2; exit 1\n  fi\n  \
        echo 'Create a pull request by visiting:' >&2; echo '  https://git.example/pull/new' >&2\ndone\n";
    origin.write(".git/hooks/pre-receive", hook);
    let file = origin.file(".git/hooks/pre-receive");
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    (origin, repo)
}

#[test]
fn a_push_that_a_guarded_branch_refuses_is_told_with_the_cure() {
    let (_origin, repo) = guarded();
    let said = triton(&repo, &["approve", "shop/checkout", "--push"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("not sent: GH006: Protected branch update failed"), "{}", said.err);
    assert!(
        said.err.contains("main takes pull requests only, it seems: git push origin main:triton/approve-"),
        "{}",
        said.err
    );
    assert!(said.err.contains("next time, --pr does all of that"), "{}", said.err);
}

#[test]
fn a_pull_request_is_opened_where_the_forge_says_and_never_on_anothers_branch() {
    let (origin, repo) = guarded();
    let said = triton(&repo, &["freeze", "--reason", "stock taking", "--pr"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let last = said.out.lines().last().unwrap();
    assert_eq!(last, "open a pull request from triton/freeze into main: https://git.example/pull/new");
    repo.git(&["branch", "-D", "triton/freeze"]);
    let again = triton(&repo, &["freeze", "--reason", "stock taking", "--pr"]);
    assert!(again.out.contains("pushed triton/freeze-2 to origin"), "{} {}", again.out, again.err);
    assert_eq!(
        origin.git(&["for-each-ref", "--format=%(refname:short)"]),
        "main\ntriton/freeze\ntriton/freeze-2"
    );
}

#[test]
fn a_pull_request_has_the_one_change_and_nothing_else_that_was_not_sent() {
    let (origin, repo) = guarded();
    repo.put("NOTES", "not to be sent yet");
    repo.write("draft", "not even committed");
    let said = triton(&repo, &["approve", "shop/checkout", "--pr"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let branch = origin.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/triton"]);
    let changes = repo.git(&["diff", "--name-only", "origin/main", &branch]);
    assert!(changes.starts_with("approvals/shop/checkout/") && changes.lines().count() == 1, "{changes}");
    assert_eq!(repo.git(&["status", "--porcelain", "--branch"]), "## main...origin/main [ahead 1]\n?? draft");
    assert_eq!(repo.git(&["worktree", "list"]).lines().count(), 1);

    ship(&repo, "2.4.0", "2.4.1");
    repo.git(&["commit", "--quiet", "--all", "-m", "2.4.1"]);
    let said = triton(&repo, &["approve", "shop/checkout", "--pr"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("shop/checkout is changed by commits that were not sent yet"), "{}", said.err);
}

#[test]
fn an_approval_says_what_it_adds_and_what_it_sweeps() {
    let repo = example();
    assert_eq!(triton(&repo, &["approve", "shop/checkout"]).code, Some(0));
    ship(&repo, "2.4.0", "2.4.1");
    repo.commit("2.4.1");
    let said = triton(&repo, &["approve", "shop/checkout"]);
    let words: Vec<&str> = said.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(words, ["committed", "adds", "removes", "sweeps"]);
    assert!(
        said.out.ends_with("1 marker of another version, which approves nothing any more"),
        "{}",
        said.out
    );
    let message = repo.git(&["log", "-1", "--format=%b"]);
    assert!(message.contains("Removes 1 marker of another version"), "{message}");
}
