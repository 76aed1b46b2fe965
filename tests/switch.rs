//! What the commands say of a release that is switched as a whole (`blueGreen`), in a clone and without a cluster.

use crate::doors::{example, triton};
use crate::repo::Repo;

const ACCOUNT: &str = "releases/shop/account.yaml";

fn edit(repo: &Repo, from: &str, to: &str) {
    let text = std::fs::read_to_string(repo.file(ACCOUNT)).unwrap();
    assert!(text.contains(from), "nothing to edit: {from}");
    repo.write(ACCOUNT, &text.replace(from, to));
}

/// The example, on its way to 3.2.1.
fn shipped() -> Repo {
    let repo = example();
    edit(&repo, "account:3.2.0", "account:3.2.1");
    repo.commit("3.2.1");
    repo
}

/// What merging the work tree does, without the remarks below.
fn merging(repo: &Repo) -> String {
    let said = triton(repo, &["plan", "--base", "main"]).out;
    said.split("\n\nNothing changes").next().unwrap().to_owned()
}

#[test]
fn a_new_version_is_told_as_two_steps_with_what_they_cost() {
    let repo = example();
    edit(&repo, "account:3.2.0", "account:3.2.1");
    insta::assert_snapshot!(merging(&repo), @"
    shop/account  3.2.0 → 3.2.1
      Merging this starts shop/account 3.2.1 beside the pods that serve: 3 pods at Service account-preview.
      None of its pods is updated: the new ones are of a second CloneSet, and until 1h after the switch there are up to 6 pods.
      Then: soak 10m → step 2 needs 1 approval → Service account leads to them → the old pods go 1h later. At least 10m and 1 approval to the end.
      Back: revert it; Service account leads to 3.2.0 again in one write until 1h after the switch, and later once its pods are up.
    ");
    edit(&repo, "keep: 1h", "keep: 90m\n      previewReplicas: 1");
    edit(&repo, "  replicas: 3\n", "");
    insta::assert_snapshot!(merging(&repo), @"
    shop/account  3.2.0 → 3.2.1
      Merging this starts shop/account 3.2.1 beside the pods that serve: 1 pod at Service account-preview.
      None of its pods is updated: the new ones are of a second CloneSet, and until 1h30m after the switch there are up to twice its pods.
      Then: soak 10m → step 2 needs 1 approval → Service account leads to them → the old pods go 1h30m later. At least 10m and 1 approval to the end.
      Its steps change: 1 pod at Service account-preview → Service account.
      Back: revert it; Service account leads to 3.2.0 again in one write until 1h30m after the switch, and later once its pods are up.
      Git gives up the replicas of shop/account: they stay at 3 until an autoscaler owns them.
    ");
    edit(&repo, "spec:\n  strategy:", "spec:\n  suspend: true\n  strategy:");
    insta::assert_snapshot!(merging(&repo), @"
    shop/account  3.2.0 → 3.2.1
      Merging this moves no pod of shop/account yet: spec.suspend is true.
      None of its pods is updated: the new ones are of a second CloneSet, and until 1h30m after the switch there are up to twice its pods.
      Then: 1 pod at Service account-preview → soak 10m → step 2 needs 1 approval → Service account leads to them → the old pods go 1h30m later. At least 10m and 1 approval to the end.
      Its steps change: 1 pod at Service account-preview → Service account.
      Back: revert it; Service account leads to 3.2.0 again in one write until 1h30m after the switch, and later once its pods are up.
      Git gives up the replicas of shop/account: they stay at 3 until an autoscaler owns them.
      Merging this stops shop/account at its present step.
    ");
}

#[test]
fn a_restart_is_told_as_pods_that_come_up_beside_the_others() {
    let repo = example();
    let said = triton(&repo, &["restart", "shop/account"]);
    let means =
        said.out.lines().find(|line| line.starts_with("  means")).unwrap_or_else(|| panic!("{}", said.err));
    assert_eq!(
        means,
        "  means    its pods are made anew beside those that serve, from step 1; approvals of before do not count"
    );
    repo.git(&["switch", "--quiet", "-c", "restarted"]);
    repo.git(&["branch", "--force", "main", "HEAD~"]);
    let said = merging(&repo);
    assert!(
        said.contains("This restarts its pods: others with the same containers come up beside them"),
        "{said}"
    );
}

#[test]
fn a_change_to_blue_green_is_a_change_of_steps() {
    let repo = example();
    let text = std::fs::read_to_string(repo.file(ACCOUNT)).unwrap();
    let (head, rest) = text.split_once("    blueGreen:\n").unwrap();
    let (_, tail) = rest.split_once("    deadline").unwrap();
    repo.put(
        ACCOUNT,
        &format!("{head}    steps: [{{ replicas: 1 }}, {{ replicas: 100% }}]\n    deadline{tail}"),
    );
    repo.write(ACCOUNT, &text);
    insta::assert_snapshot!(merging(&repo), @"
    shop/account  3.2.0
      Merging this moves no pod of shop/account: 3.2.0 stays.
      Its steps change: 3 pods at Service account-preview → Service account.
    ");
}

#[test]
fn an_approval_names_the_service_that_it_moves() {
    let repo = shipped();
    repo.git(&["switch", "--quiet", "-c", "approve"]);
    let said = triton(&repo, &["approve", "shop/account"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let message = repo.git(&["log", "-1", "--format=%s"]);
    assert!(message.starts_with("Approve step 2 (Service account) of shop/account 3.2.1"), "{message}");
    insta::assert_snapshot!(merging(&repo), @"
    shop/account  3.2.1
      Merging this points Service account at shop/account 3.2.1, in one write; the old pods go 1h later.
      Back: revert the commit that changed its template; reverting this one only stops it.
    ");
    let again = triton(&repo, &["approve", "shop/account", "--step", "1"]).err;
    assert!(again.contains("step 1 of shop/account asks for no approval"), "{again}");
    let serve = triton(&repo, &["approve", "shop/account", "--serve"]).err;
    assert!(serve.contains("shop/account"), "{serve}");
}

#[test]
fn a_step_by_commit_names_the_service_that_it_moves() {
    let repo = shipped();
    let means = |step: &str| {
        let said = triton(&repo, &["step", "shop/account", step]);
        let means = said.out.lines().find(|line| line.starts_with("  means")).map(str::to_owned);
        means.unwrap_or(said.err)
    };
    assert_eq!(means("1"), "  means    steps up to 1 (Service account-preview) are permitted");
    assert_eq!(
        means("2"),
        "  means    steps up to 2 (Service account) are permitted, once every approval is there"
    );
    assert!(means("3").contains("shop/account has steps 1 to 2, no step 3"));
}

#[test]
fn what_is_left_behind_is_told_before_it_is() {
    let repo = example();
    edit(
        &repo,
        "  name: account\nspec:\n  strategy",
        "  name: account\n  annotations: { triton.io/on-delete: orphan }\nspec:\n  strategy",
    );
    repo.commit("orphan");
    repo.remove(ACCOUNT);
    insta::assert_snapshot!(merging(&repo), @r#"
    shop/account  3.2.0, removed
      Merging this leaves shop/account to itself: its CloneSet, 2 companions and every pod stay, and nobody looks after them.
      The pods stay in whichever CloneSets have them, and Services account and account-preview go on to select the pods of one revision (pod-template-hash): take blueGreen out first, in a commit of its own, and nothing of that is left.
      Back: revert it with triton.io/adopt: "true" on its Release; by then its objects are nobody's.
    "#);
}

#[test]
fn the_strategy_that_the_readme_shows_is_read() {
    let repo = example();
    let blocks = include_str!("../README.md").split("```yaml\n").skip(1);
    let mut shown = blocks.filter_map(|rest| rest.split("```").next());
    let shown = shown.find(|it| it.starts_with("  strategy:\n    blueGreen:")).unwrap();
    let text = std::fs::read_to_string(repo.file(ACCOUNT)).unwrap();
    let (head, rest) = text.split_once("  strategy:\n").unwrap();
    let (_, tail) = rest.split_once("---\n").unwrap();
    repo.write(ACCOUNT, &format!("{head}{}---\n{tail}", shown.replace("checkout", "account")));
    let said = triton(&repo, &["check"]);
    assert_eq!((said.code, said.out.trim()), (Some(0), "6 releases, 0 errors, 0 warnings"), "{}", said.err);
}
