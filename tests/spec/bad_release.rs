//! Mistakes in the `Release` document.

use crate::spec::{read, wrong, wrong_after};

#[test]
fn unknown_fields_are_refused_with_what_was_meant() {
    let text = wrong_after(&[(
        "metadata: { namespace: shop, name: checkout }\nspec:\n",
        "metadata: { namespace: shop, name: checkout, uid: x }\nstatus: {}\nspec:\n  window: night\n  atempt: 2\n",
    )]);
    insta::assert_snapshot!(text, @"
    error: unknown field `metadata.uid`
     --> releases/shop/checkout.yaml:3:46
    1 | apiVersion: triton.io/v1
    2 | kind: Release
    3 | metadata: { namespace: shop, name: checkout, uid: x }
      |                                              ^
      = delete it (there are only namespace, name, labels, annotations)

    error: unknown field `status`
     --> releases/shop/checkout.yaml:4:1
    2 | kind: Release
    3 | metadata: { namespace: shop, name: checkout, uid: x }
    4 | status: {}
      | ^
      = delete it (there are only apiVersion, kind, metadata, spec)

    error: unknown field `spec.window`
     --> releases/shop/checkout.yaml:6:3
    4 | status: {}
    5 | spec:
    6 |   window: night
      |   ^
      = delete it (there are only strategy, step, suspend, replace, attempt)

    error: unknown field `spec.atempt`
     --> releases/shop/checkout.yaml:7:3
    5 | spec:
    6 |   window: night
    7 |   atempt: 2
      |   ^
      = did you mean `attempt`?
    ");
}

#[test]
fn fields_of_the_wrong_type_are_refused() {
    let text =
        wrong_after(&[("spec:\n  strategy:", "spec:\n  step: two\n  suspend: 1\n  attempt: 0\n  strategy:")]);
    insta::assert_snapshot!(text, @"
    error: `spec.step` must be a whole number from 0 to 1000000
     --> releases/shop/checkout.yaml:5:9
    3 | metadata: { namespace: shop, name: checkout }
    4 | spec:
    5 |   step: two
      |         ^
      = write such a number, without quotes

    error: `spec.suspend` must be true or false, not a number
     --> releases/shop/checkout.yaml:6:12
    4 | spec:
    5 |   step: two
    6 |   suspend: 1
      |            ^
      = write true or false, without quotes

    error: `spec.attempt` must be a whole number from 1 to 1000000
     --> releases/shop/checkout.yaml:7:12
    5 |   step: two
    6 |   suspend: 1
    7 |   attempt: 0
      |            ^
      = write such a number, without quotes
    ");
    let text = wrong_after(&[(
        "spec:\n  strategy:",
        "spec:\n  step: -1\n  suspend:\n  attempt: \"2\"\n  strategy:",
    )]);
    insta::assert_snapshot!(text, @r#"
    error: `spec.step` must be a whole number from 0 to 1000000
     --> releases/shop/checkout.yaml:5:9
    3 | metadata: { namespace: shop, name: checkout }
    4 | spec:
    5 |   step: -1
      |         ^
      = write such a number, without quotes

    error: `spec.suspend` is empty
     --> releases/shop/checkout.yaml:6:3
    4 | spec:
    5 |   step: -1
    6 |   suspend:
      |   ^
      = give it a value, or delete the line

    error: `spec.attempt` must be a whole number from 1 to 1000000
     --> releases/shop/checkout.yaml:7:12
    5 |   step: -1
    6 |   suspend:
    7 |   attempt: "2"
      |            ^
      = write such a number, without quotes
    "#);
}

#[test]
fn spec_and_strategy_are_maps() {
    let head = "apiVersion: triton.io/v1\nkind: Release\nmetadata: { namespace: shop, name: x }\n";
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &format!("{head}spec: [1]\n"))]), @"
    error: the release has no CloneSet
     --> releases/a.yaml:1:1
    1 | apiVersion: triton.io/v1
      | ^
      = add one to the file, or to its directory

    error: `spec` must be a map, not a list
     --> releases/a.yaml:4:7
    2 | kind: Release
    3 | metadata: { namespace: shop, name: x }
    4 | spec: [1]
      |       ^
      = write its fields below it
    ");
    let text = wrong(&[("releases/a.yaml", &format!("{head}spec: {{ strategy: [1] }}\n"))]);
    insta::assert_snapshot!(text, @"
    error: the release has no CloneSet
     --> releases/a.yaml:1:1
    1 | apiVersion: triton.io/v1
      | ^
      = add one to the file, or to its directory

    error: `spec.strategy` must be a name or a map, not a list
     --> releases/a.yaml:4:19
    2 | kind: Release
    3 | metadata: { namespace: shop, name: x }
    4 | spec: { strategy: [1] }
      |                   ^
      = write `steps:` below it, or a name from triton.yaml
    ");
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &format!("{head}spec: {{ strategy: }}\n"))]), @"
    error: the release has no CloneSet
     --> releases/a.yaml:1:1
    1 | apiVersion: triton.io/v1
      | ^
      = add one to the file, or to its directory

    error: `spec.strategy` is empty
     --> releases/a.yaml:4:9
    2 | kind: Release
    3 | metadata: { namespace: shop, name: x }
    4 | spec: { strategy: }
      |         ^
      = give it a value, or delete the line
    ");
}

#[test]
fn names_are_those_of_kubernetes() {
    let text = wrong_after(&[(
        "{ namespace: shop, name: checkout }\nspec:\n  strategy",
        "{ namespace: Shop, name: 5 }\nspec:\n  strategy",
    )]);
    insta::assert_snapshot!(text, @"
    error: `metadata.namespace`: `Shop` is not a valid name: only lower-case letters, digits and `-` are allowed
     --> releases/shop/checkout.yaml:3:24
    1 | apiVersion: triton.io/v1
    2 | kind: Release
    3 | metadata: { namespace: Shop, name: 5 }
      |                        ^
      = use a name that Kubernetes accepts

    error: `metadata.name` must be text, not a number
     --> releases/shop/checkout.yaml:3:36
    1 | apiVersion: triton.io/v1
    2 | kind: Release
    3 | metadata: { namespace: Shop, name: 5 }
      |                                    ^
      = quote it
    ");
    let text =
        wrong_after(&[("{ namespace: shop, name: checkout }\nspec:\n  strategy", "{}\nspec:\n  strategy")]);
    insta::assert_snapshot!(text, @"
    error: `metadata.namespace` is missing
     --> releases/shop/checkout.yaml:3:11
    1 | apiVersion: triton.io/v1
    2 | kind: Release
    3 | metadata: {}
      |           ^
      = add `namespace:`; everything of a release lives in its namespace

    error: `metadata.name` is missing
     --> releases/shop/checkout.yaml:3:11
    1 | apiVersion: triton.io/v1
    2 | kind: Release
    3 | metadata: {}
      |           ^
      = add `name:`
    ");
    let text = wrong_after(&[(
        "metadata: { namespace: shop, name: checkout }\nspec:\n  strategy",
        "metadata: x\nspec:\n  strategy",
    )]);
    insta::assert_snapshot!(text, @"
    error: `metadata` must be a map, not text
     --> releases/shop/checkout.yaml:3:11
    1 | apiVersion: triton.io/v1
    2 | kind: Release
    3 | metadata: x
      |           ^
      = write `metadata: { namespace: …, name: … }`
    ");
    let text = wrong_after(&[(
        "metadata: { namespace: shop, name: checkout }\nspec:\n  strategy",
        "spec:\n  strategy",
    )]);
    insta::assert_snapshot!(text, @"
    error: `metadata` is missing
     --> releases/shop/checkout.yaml:1:1
    1 | apiVersion: triton.io/v1
      | ^
      = add `metadata: { namespace: …, name: … }`
    ");
}

#[test]
fn annotations_of_ours_are_checked() {
    let text = wrong_after(&[(
        "metadata: { namespace: shop, name: checkout }\nspec:\n  strategy",
        "metadata:
  namespace: shop
  name: checkout
  labels: { team: 5 }
  annotations:
    triton.io/adopt: true
    triton.io/on-delete: keep
    triton.io/suspend: \"\"
    triton.io/adpot: \"true\"
    example.com/port: 80
spec:
  strategy",
    )]);
    insta::assert_snapshot!(text, @r#"
    error: `metadata.labels.team` must be text, not a number: Kubernetes refuses it
     --> releases/shop/checkout.yaml:6:19
    4 |   namespace: shop
    5 |   name: checkout
    6 |   labels: { team: 5 }
      |                   ^
      = quote it

    error: `metadata.annotations.triton.io/adopt` must be text, not true or false: Kubernetes refuses it
     --> releases/shop/checkout.yaml:8:22
    6 |   labels: { team: 5 }
    7 |   annotations:
    8 |     triton.io/adopt: true
      |                      ^
      = quote it

    error: `triton.io/on-delete` can only be `orphan`
     --> releases/shop/checkout.yaml:9:26
    7 |   annotations:
    8 |     triton.io/adopt: true
    9 |     triton.io/on-delete: keep
      |                          ^
      = write `orphan` to leave the objects behind, or delete the line

    error: the annotation `triton.io/suspend` lives in the cluster, on the CloneSet
      --> releases/shop/checkout.yaml:10:5
     8 |     triton.io/adopt: true
     9 |     triton.io/on-delete: keep
    10 |     triton.io/suspend: ""
       |     ^
       = write `spec.suspend: true`

    error: a Release has no annotation `triton.io/adpot`
      --> releases/shop/checkout.yaml:11:5
     9 |     triton.io/on-delete: keep
    10 |     triton.io/suspend: ""
    11 |     triton.io/adpot: "true"
       |     ^
       = did you mean `triton.io/adopt`?

    error: `metadata.annotations.example.com/port` must be text, not a number: Kubernetes refuses it
      --> releases/shop/checkout.yaml:12:23
    10 |     triton.io/suspend: ""
    11 |     triton.io/adpot: "true"
    12 |     example.com/port: 80
       |                       ^
       = quote it
    "#);
}

#[test]
fn adopt_and_on_delete_are_read() {
    let text = crate::spec::edited(&[(
        "name: checkout }\nspec:\n  strategy",
        "name: checkout, annotations: { triton.io/adopt: \"true\", triton.io/on-delete: orphan } }\nspec:\n  strategy",
    )]);
    let release = crate::spec::one(&[("releases/a.yaml", &text)]);
    assert!(release.adopt && release.orphan);
}

#[test]
fn a_step_beyond_the_last_is_a_warning() {
    insta::assert_snapshot!(wrong_after(&[("spec:\n  strategy:", "spec:\n  step: 4\n  strategy:")]), @"
    warning: `spec.step` is 4, and the strategy has 3 steps
     --> releases/shop/checkout.yaml:5:3
    3 | metadata: { namespace: shop, name: checkout }
    4 | spec:
    5 |   step: 4
      |   ^
      = write a step that there is, or delete the line
    ");
    assert!(read(&[("releases/a.yaml", crate::spec::CHECKOUT)]).diagnostics.is_empty());
}
