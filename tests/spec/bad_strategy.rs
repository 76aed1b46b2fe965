//! Mistakes in strategies and in `triton.yaml`.

use crate::spec::{CHECKOUT, edited, lines, one, read, wrong, wrong_after};

fn with_steps(steps: &str) -> String {
    let (head, rest) = CHECKOUT.split_once("    steps:\n").unwrap();
    let (_, tail) = rest.split_once("    deadline").unwrap();
    format!("{head}    steps:\n{steps}    deadline{tail}")
}

fn wrong_steps(steps: &str) -> String {
    wrong(&[("releases/a.yaml", &with_steps(steps))])
}

/// [`CHECKOUT`] with a strategy by name, or none.
fn naming(strategy: &str) -> String {
    let (head, rest) = CHECKOUT.split_once("  strategy:\n").unwrap();
    let (_, tail) = rest.split_once("---\n").unwrap();
    format!("{head}  attempt: 1\n{strategy}---\n{tail}")
}

#[test]
fn steps_never_fall_and_end_at_all_pods() {
    insta::assert_snapshot!(wrong_steps("    - replicas: 3\n    - replicas: 2\n    - replicas: 50%\n"), @"
    error: steps never fall: `spec.strategy.steps[1]` is 2, after 3
     --> releases/a.yaml:8:17
    6 |     steps:
    7 |     - replicas: 3
    8 |     - replicas: 2
      |                 ^
      = write 3 or more

    error: the last step, `spec.strategy.steps[2]`, is 50%; a rollout ends at 100%
     --> releases/a.yaml:9:17
    7 |     - replicas: 3
    8 |     - replicas: 2
    9 |     - replicas: 50%
      |                 ^
      = add a step `- replicas: 100%`
    ");
    let text = wrong_steps("    - replicas: 20%\n    - replicas: 10%\n    - replicas: 100%\n");
    insta::assert_snapshot!(text, @"
    error: steps never fall: `spec.strategy.steps[1]` is 10%, after 20%
     --> releases/a.yaml:8:17
    6 |     steps:
    7 |     - replicas: 20%
    8 |     - replicas: 10%
      |                 ^
      = write 20% or more
    ");
    let text = wrong_steps("    - replicas: 5\n    - replicas: 20%\n    - replicas: 100%\n");
    insta::assert_snapshot!(text, @"
    error: steps never fall: of 10 pods, step 2 (20%) is 2, after 5
     --> releases/a.yaml:8:17
    6 |     steps:
    7 |     - replicas: 5
    8 |     - replicas: 20%
      |                 ^
      = write both steps as counts, or both as percentages
    ");
    assert_eq!(
        wrong_steps("    - replicas: 0\n    - replicas: 20%\n    - replicas: 20%\n    - replicas: 100%\n"),
        ""
    );
}

#[test]
fn a_count_and_a_percentage_are_compared_where_the_size_is_known() {
    let steps = with_steps("    - replicas: 5\n    - replicas: 20%\n    - replicas: 100%\n");
    assert_eq!(wrong(&[("releases/a.yaml", &steps.replace("  replicas: 10\n", "  replicas: 30\n"))]), "");
    assert_eq!(wrong(&[("releases/a.yaml", &steps.replace("  replicas: 10\n", ""))]), "");
    // One replica has its old pod until the last step, and a share of it is none.
    let steps = with_steps("    - replicas: 1\n    - replicas: 50%\n    - replicas: 100%\n");
    assert_eq!(wrong(&[("releases/a.yaml", &steps.replace("  replicas: 10\n", "  replicas: 1\n"))]), "");
}

#[test]
fn every_mistake_of_a_step_is_told() {
    let steps = "    - replicas: one
      soak: 10
    - soak: 1d
      traffic: 5
    - replicas: 101%
      soak: 9999h
      approval:
    - replicas: 100%
      approval: true
    - replicas: \"3\"
      approval: { count: 0, notAuthor: maybe, by: ann }
    - fast
";
    let diagnostics = read(&[("releases/a.yaml", &with_steps(steps))]).diagnostics;
    insta::assert_snapshot!(lines(&diagnostics), @"
    releases/a.yaml:7:17: `spec.strategy.steps[0].replicas` is neither a count of pods nor a percentage; write a count as 3, or a percentage from 0% to 100%
    releases/a.yaml:8:13: `spec.strategy.steps[0].soak` must be a duration, not a number; write it as 90s, 10m or 1h30m
    releases/a.yaml:9:7: `spec.strategy.steps[1].replicas` is missing; add `replicas:`
    releases/a.yaml:9:13: `spec.strategy.steps[1].soak`: `1d` is not a duration; write it as 90s, 10m or 1h30m
    releases/a.yaml:10:7: unknown field `spec.strategy.steps[1].traffic`; delete it (there are only replicas, weight, soak, approval, serve, batch)
    releases/a.yaml:11:17: `spec.strategy.steps[2].replicas` is neither a count of pods nor a percentage; write a count as 3, or a percentage from 0% to 100%
    releases/a.yaml:12:13: `spec.strategy.steps[2].soak` must be from 0s to 720h; write it as 90s, 10m or 1h30m
    releases/a.yaml:13:7: `spec.strategy.steps[2].approval` is empty; write `approval: {}`, or delete the line
    releases/a.yaml:15:17: `spec.strategy.steps[3].approval` must be a map, not true or false; write `approval: {}`, or `approval: { count: 2 }`
    releases/a.yaml:16:17: `spec.strategy.steps[4].replicas` is neither a count of pods nor a percentage; write a count as 3, or a percentage from 0% to 100%
    releases/a.yaml:17:26: `spec.strategy.steps[4].approval.count` must be a whole number from 1 to 10; write such a number, without quotes
    releases/a.yaml:17:40: `spec.strategy.steps[4].approval.notAuthor` must be true or false, not text; write true or false, without quotes
    releases/a.yaml:17:47: unknown field `spec.strategy.steps[4].approval.by`; delete it (there are only count, notAuthor)
    releases/a.yaml:18:7: `spec.strategy.steps[5]` must be a map, not text; write its fields below it
    ");
}

#[test]
fn steps_are_a_list_that_ends() {
    insta::assert_snapshot!(wrong_after(&[("    steps:\n", "    steps: 3\n    stpes:\n")]), @"
    error: `spec.strategy.steps` must be a list, not a number
     --> releases/shop/checkout.yaml:6:12
    4 | spec:
    5 |   strategy:
    6 |     steps: 3
      |            ^
      = write `- replicas: 1` below it

    error: unknown field `spec.strategy.stpes`
     --> releases/shop/checkout.yaml:7:5
    5 |   strategy:
    6 |     steps: 3
    7 |     stpes:
      |     ^
      = did you mean `steps`?
    ");
    assert!(wrong_steps(&"    - replicas: 100%\n".repeat(51)).contains("more than 50 steps"));
}

#[test]
fn every_mistake_of_a_strategy_is_told() {
    let text = wrong_after(&[
        ("deadline: 10m", "deadline: 0s\n    initial: none"),
        ("onFailure: rollback", "onFailure: Rollback"),
    ]);
    insta::assert_snapshot!(text, @"
    error: `spec.strategy.deadline` must be from 1s to 720h
      --> releases/shop/checkout.yaml:13:15
    11 |     - replicas: 100%
    12 |       approval: { count: 2, notAuthor: true }
    13 |     deadline: 0s
       |               ^
       = write it as 90s, 10m or 1h30m

    error: `spec.strategy.initial` cannot be `none`
      --> releases/shop/checkout.yaml:14:14
    12 |       approval: { count: 2, notAuthor: true }
    13 |     deadline: 0s
    14 |     initial: none
       |              ^
       = write all or steps

    error: `spec.strategy.onFailure` cannot be `Rollback`
      --> releases/shop/checkout.yaml:15:16
    13 |     deadline: 0s
    14 |     initial: none
    15 |     onFailure: Rollback
       |                ^
       = write rollback or hold
    ");
    let text = wrong_after(&[
        ("deadline: 10m", "deadline: soon\n    initial: 1"),
        ("onFailure: rollback", "onFailure: [hold]"),
    ]);
    insta::assert_snapshot!(text, @"
    error: `spec.strategy.deadline`: `soon` is not a duration
      --> releases/shop/checkout.yaml:13:15
    11 |     - replicas: 100%
    12 |       approval: { count: 2, notAuthor: true }
    13 |     deadline: soon
       |               ^
       = write it as 90s, 10m or 1h30m

    error: `spec.strategy.initial` cannot be a number
      --> releases/shop/checkout.yaml:14:14
    12 |       approval: { count: 2, notAuthor: true }
    13 |     deadline: soon
    14 |     initial: 1
       |              ^
       = write all or steps

    error: `spec.strategy.onFailure` cannot be a list
      --> releases/shop/checkout.yaml:15:16
    13 |     deadline: soon
    14 |     initial: 1
    15 |     onFailure: [hold]
       |                ^
       = write rollback or hold
    ");
}

#[test]
fn the_first_create_by_steps_needs_a_size() {
    let text = wrong_after(&[("deadline: 10m", "initial: steps"), ("  replicas: 10\n", "")]);
    insta::assert_snapshot!(text, @"
    error: `initial: steps` needs `spec.replicas` in the CloneSet: the first pods are counted from it
      --> releases/shop/checkout.yaml:13:5
    11 |     - replicas: 100%
    12 |       approval: { count: 2, notAuthor: true }
    13 |     initial: steps
       |     ^
       = add `replicas`, or write `initial: all`
    ");
    assert_eq!(wrong_after(&[("deadline: 10m", "initial: steps")]), "");
}

#[test]
fn a_strategy_by_name_is_the_same_as_written_out() {
    let repository = "apiVersion: triton.io/v1\nkind: Repository\nspec:\n  strategies:\n    careful:\n      steps: [{replicas: 1}, {replicas: 100%}]\n    other: { deadline: 1h30m }\n  defaults: { strategy: careful }\n";
    let digest =
        |strategy: &str| one(&[("triton.yaml", repository), ("releases/a.yaml", &naming(strategy))]).digest;
    let written = digest("  strategy: { steps: [{replicas: 1}, {replicas: 100%}] }\n");
    assert_eq!(digest("  strategy: careful\n"), written);
    assert_eq!(digest(""), written, "the default");
    assert_ne!(digest("  strategy: other\n"), written);
    let other = one(&[("triton.yaml", repository), ("releases/a.yaml", &naming("  strategy: other\n"))]);
    assert_eq!((other.strategy.deadline, other.strategy.stepped, other.last_step()), (5_400, false, 1));
}

#[test]
fn a_strategy_that_is_not_there_is_told_where_it_is_named() {
    let named = naming("  strategy: carefull\n");
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &named)]), @"
    error: triton.yaml has no strategy `carefull`
     --> releases/a.yaml:6:13
    4 | spec:
    5 |   attempt: 1
    6 |   strategy: carefull
      |             ^
      = add it to triton.yaml under `spec.strategies`
    ");
    let repository = "apiVersion: triton.io/v1\nkind: Repository\nspec: { strategies: { careful: {} } }\n";
    insta::assert_snapshot!(wrong(&[("triton.yaml", repository), ("releases/a.yaml", &named)]), @"
    error: triton.yaml has no strategy `carefull`
     --> releases/a.yaml:6:13
    4 | spec:
    5 |   attempt: 1
    6 |   strategy: carefull
      |             ^
      = did you mean `careful`?
    ");
}

#[test]
fn a_mistake_in_one_strategy_harms_its_users_only() {
    let repository = "apiVersion: triton.io/v1\nkind: Repository\nspec:\n  strategies:\n    good: { deadline: 5m }\n    bad: { deadline: never }\n";
    let good = edited(&[]).replace("checkout", "good");
    let files = [
        ("triton.yaml", repository),
        ("releases/bad.yaml", &naming("  strategy: bad\n")),
        ("releases/good.yaml", &good),
        ("releases/named.yaml", &naming("  strategy: good\n").replace("checkout", "named")),
    ];
    let names: Vec<(String, bool)> =
        read(&files).releases.iter().map(|(id, checked)| (id.to_string(), checked.is_ok())).collect();
    assert_eq!(
        names,
        [("shop/checkout".into(), false), ("shop/good".into(), true), ("shop/named".into(), true)]
    );
    insta::assert_snapshot!(wrong(&files), @"
    error: the strategy `bad` has mistakes
     --> releases/bad.yaml:6:13
    4 | spec:
    5 |   attempt: 1
    6 |   strategy: bad
      |             ^
      = mend it in triton.yaml

    error: `spec.strategies.bad.deadline`: `never` is not a duration
     --> triton.yaml:6:22
    4 |   strategies:
    5 |     good: { deadline: 5m }
    6 |     bad: { deadline: never }
      |                      ^
      = write it as 90s, 10m or 1h30m
    ");
}

#[test]
fn an_unreadable_triton_yaml_harms_those_who_need_it() {
    let inline = CHECKOUT.replace("checkout", "inline");
    let default = naming("").replace("checkout", "default");
    let files = [
        ("triton.yaml", "kind: [\n"),
        ("releases/default.yaml", default.as_str()),
        ("releases/inline.yaml", &inline),
        ("releases/named.yaml", &naming("  strategy: careful\n")),
    ];
    assert!(read(&files).releases[&"shop/inline".parse().unwrap()].is_ok());
    insta::assert_snapshot!(wrong(&files), @"
    error: triton.yaml cannot be read, so the default strategy is not known
     --> releases/default.yaml:1:1
    1 | apiVersion: triton.io/v1
      | ^
      = mend triton.yaml

    error: triton.yaml cannot be read, so the strategy `careful` is not known
     --> releases/named.yaml:6:13
    4 | spec:
    5 |   attempt: 1
    6 |   strategy: careful
      |             ^
      = mend triton.yaml

    error: this is not YAML: unclosed bracket '['
     --> triton.yaml:1:7
    1 | kind: [
      |       ^
      = close the bracket
    ");
}

const HEAD: &str = "apiVersion: triton.io/v1\nkind: Repository\n";

fn wrong_repository(text: &str) -> String {
    wrong(&[("triton.yaml", text)])
}

#[test]
fn triton_yaml_is_checked_as_a_whole() {
    insta::assert_snapshot!(wrong_repository(""), @"
    error: the file has no document
     --> triton.yaml:1:1
      = write `apiVersion: triton.io/v1` and `kind: Repository`
    ");
    insta::assert_snapshot!(wrong_repository("apiVersion: v1\nkind: Release\n"), @"
    error: `apiVersion` must be `triton.io/v1` here
     --> triton.yaml:1:13
    1 | apiVersion: v1
      |             ^
      = write `apiVersion: triton.io/v1`

    error: `kind` must be `Repository` here
     --> triton.yaml:2:7
    1 | apiVersion: v1
    2 | kind: Release
      |       ^
      = write `kind: Repository`
    ");
}

#[test]
fn fields_of_triton_yaml_have_their_types() {
    insta::assert_snapshot!(wrong_repository(&format!("{HEAD}spec: [1]\n")), @"
    error: `spec` must be a map, not a list
     --> triton.yaml:3:7
    1 | apiVersion: triton.io/v1
    2 | kind: Repository
    3 | spec: [1]
      |       ^
      = write its fields below it
    ");
    let text = wrong_repository(&format!("{HEAD}spec:\n  strategies: [1]\n  default: x\n"));
    insta::assert_snapshot!(text, @"
    error: `spec.strategies` must be a map, not a list
     --> triton.yaml:4:15
    2 | kind: Repository
    3 | spec:
    4 |   strategies: [1]
      |               ^
      = write `NAME: { steps: … }` below it

    error: unknown field `spec.default`
     --> triton.yaml:5:3
    3 | spec:
    4 |   strategies: [1]
    5 |   default: x
      |   ^
      = did you mean `defaults`?
    ");
    let defaults = "  defaults: { strategy: carful }\n";
    let text = wrong_repository(&format!("{HEAD}spec:\n  strategies: {{ careful: [] }}\n{defaults}"));
    insta::assert_snapshot!(text, @"
    error: `spec.strategies.careful` must be a map, not a list
     --> triton.yaml:4:26
    2 | kind: Repository
    3 | spec:
    4 |   strategies: { careful: [] }
      |                          ^
      = write its fields below it

    error: there is no strategy `carful`
     --> triton.yaml:5:15
    3 | spec:
    4 |   strategies: { careful: [] }
    5 |   defaults: { strategy: carful }
      |               ^
      = did you mean `careful`?
    ");
    insta::assert_snapshot!(wrong_repository(&format!("{HEAD}---\na: b\n")), @"
    error: the file has more than one document
     --> triton.yaml:4:1
    2 | kind: Repository
    3 | ---
    4 | a: b
      | ^
      = keep the Repository only
    ");
}
