//! Documents that are none of ours.

use crate::spec::{lines, read, wrong};

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
    insta::assert_snapshot!(lines(&read(&[("releases/a.yaml", &documents)]).diagnostics), @"
    releases/a.yaml:3:7: triton.io/v2 Release is not read; write `apiVersion: triton.io/v1`
    releases/a.yaml:6:7: there is no kind `Relaese` in triton.io; did you mean `Release`?
    releases/a.yaml:9:7: there is no kind `Rollout` in triton.io; write `kind: Release`
    releases/a.yaml:12:7: a Repository stands in triton.yaml; move it there
    releases/a.yaml:15:7: apps.kruise.io/v1beta1 CloneSet is not read; write `apiVersion: apps.kruise.io/v1alpha1`
    releases/a.yaml:18:7: autoscaling/v1 HorizontalPodAutoscaler is not read; write `apiVersion: autoscaling/v2`
    releases/a.yaml:21:7: a List is not read; write each of its items as a document
    releases/a.yaml:24:7: a Deployment cannot be part of a release; apply it by other means (a release has only CloneSet, ServiceAccount, ConfigMap, Service, PodDisruptionBudget, HTTPRoute, GRPCRoute, Ingress, HorizontalPodAutoscaler)
    releases/a.yaml:27:7: a Serivce cannot be part of a release; did you mean `Service`?
    ");
}
