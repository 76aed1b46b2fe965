//! Documents that are none of ours.

use crate::spec::wrong;

#[test]
fn a_document_says_what_it_is() {
    let text = wrong(&[(
        "releases/a.yaml",
        "kind: Release\n---\napiVersion: v1\n---\napiVersion: v1\nkind: 7\n---\njust text\n",
    )]);
    insta::assert_snapshot!(text, @"
    error: `apiVersion` is missing
     --> releases/a.yaml:1:1
    1 | kind: Release
      | ^
      = begin the document with `apiVersion:`

    error: `kind` is missing
     --> releases/a.yaml:3:1
    1 | kind: Release
    2 | ---
    3 | apiVersion: v1
      | ^
      = begin the document with `kind:`

    error: `kind` must be text, not a number
     --> releases/a.yaml:6:7
    4 | ---
    5 | apiVersion: v1
    6 | kind: 7
      |       ^
      = quote it

    error: a document must be a map, not text
     --> releases/a.yaml:8:1
    6 | kind: 7
    7 | ---
    8 | just text
      | ^
      = begin it with `apiVersion:` and `kind:`
    ");
}

#[test]
fn kinds_that_are_not_read_have_their_cure() {
    let documents: String = [
        ("triton.io/v2", "Release"),
        ("triton.io/v1", "Relaese"),
        ("triton.io/v1", "Rollout"),
        ("triton.io/v1", "Repository"),
        ("apps.kruise.io/v1beta1", "CloneSet"),
        ("autoscaling/v1", "HorizontalPodAutoscaler"),
        ("v1", "List"),
        ("apps/v1", "Deployment"),
        ("v1", "Serivce"),
    ]
    .iter()
    .map(|(version, kind)| format!("---\napiVersion: {version}\nkind: {kind}\n"))
    .collect();
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &documents)]), @"
    error: triton.io/v2 Release is not read
     --> releases/a.yaml:3:7
    1 | ---
    2 | apiVersion: triton.io/v2
    3 | kind: Release
      |       ^
      = write `apiVersion: triton.io/v1`

    error: there is no kind `Relaese` in triton.io
     --> releases/a.yaml:6:7
    4 | ---
    5 | apiVersion: triton.io/v1
    6 | kind: Relaese
      |       ^
      = did you mean `Release`?

    error: there is no kind `Rollout` in triton.io
     --> releases/a.yaml:9:7
    7 | ---
    8 | apiVersion: triton.io/v1
    9 | kind: Rollout
      |       ^
      = write `kind: Release`

    error: a Repository stands in triton.yaml
      --> releases/a.yaml:12:7
    10 | ---
    11 | apiVersion: triton.io/v1
    12 | kind: Repository
       |       ^
       = move it there

    error: apps.kruise.io/v1beta1 CloneSet is not read
      --> releases/a.yaml:15:7
    13 | ---
    14 | apiVersion: apps.kruise.io/v1beta1
    15 | kind: CloneSet
       |       ^
       = write `apiVersion: apps.kruise.io/v1alpha1`

    error: autoscaling/v1 HorizontalPodAutoscaler is not read
      --> releases/a.yaml:18:7
    16 | ---
    17 | apiVersion: autoscaling/v1
    18 | kind: HorizontalPodAutoscaler
       |       ^
       = write `apiVersion: autoscaling/v2`

    error: a List is not read
      --> releases/a.yaml:21:7
    19 | ---
    20 | apiVersion: v1
    21 | kind: List
       |       ^
       = write each of its items as a document

    error: a Deployment cannot be part of a release
      --> releases/a.yaml:24:7
    22 | ---
    23 | apiVersion: apps/v1
    24 | kind: Deployment
       |       ^
       = apply it by other means; a release has CloneSet, ServiceAccount, ConfigMap, Service, PodDisruptionBudget, HTTPRoute, Ingress, HorizontalPodAutoscaler

    error: a Serivce cannot be part of a release
      --> releases/a.yaml:27:7
    25 | ---
    26 | apiVersion: v1
    27 | kind: Serivce
       |       ^
       = did you mean `Service`?
    ");
}
