//! Mistakes in the pod template and in metadata.

use crate::spec::{CHECKOUT, edited, lines, read, wrong, wrong_after};

#[test]
fn a_template_has_containers_with_images() {
    let text = wrong_after(&[(
        "      containers:\n      - name: checkout\n        image: shop/checkout:2.4.1\n",
        "      restartPolicy: Never\n      containers: []\n      x:\n      - y: z\n",
    )]);
    insta::assert_snapshot!(text, @r#"
    error: `spec.template.spec.restartPolicy` can only be Always in a CloneSet
      --> releases/shop/checkout.yaml:26:22
    24 |     metadata: { labels: { app: checkout } }
    25 |     spec:
    26 |       restartPolicy: Never
       |                      ^
       = delete the line

    error: `spec.template.spec.containers` has no container
      --> releases/shop/checkout.yaml:27:19
    25 |     spec:
    26 |       restartPolicy: Never
    27 |       containers: []
       |                   ^
       = add `- name: …` and `image: …` below it

    error: `y` is true for YAML 1.1 and text for YAML 1.2
      --> releases/shop/checkout.yaml:29:9
    27 |       containers: []
    28 |       x:
    29 |       - y: z
       |         ^
       = write true, or "y" if text is meant
    "#);
}

#[test]
fn a_container_has_an_image_that_stays_the_same() {
    insta::assert_snapshot!(wrong_after(&[("        image: shop/checkout:2.4.1\n", "")]), @"
    error: `spec.template.spec.containers[0].image` is missing
      --> releases/shop/checkout.yaml:27:9
    25 |     spec:
    26 |       containers:
    27 |       - name: checkout
       |         ^
       = add `image:`
    ");
    insta::assert_snapshot!(wrong_after(&[("shop/checkout:2.4.1", "\"\"")]), @r#"
    error: `spec.template.spec.containers[0].image` is empty
      --> releases/shop/checkout.yaml:28:16
    26 |       containers:
    27 |       - name: checkout
    28 |         image: ""
       |                ^
       = name an image
    "#);
    insta::assert_snapshot!(wrong_after(&[("shop/checkout:2.4.1", "shop/checkout:latest")]), @"
    warning: the image `shop/checkout:latest` may change without Git: what is proven is its name, not its bits
      --> releases/shop/checkout.yaml:28:16
    26 |       containers:
    27 |       - name: checkout
    28 |         image: shop/checkout:latest
       |                ^
       = give it a tag that is never moved, or a digest
    ");
    insta::assert_snapshot!(wrong_after(&[("shop/checkout:2.4.1", "localhost:5000/checkout")]), @"
    warning: the image `localhost:5000/checkout` may change without Git: what is proven is its name, not its bits
      --> releases/shop/checkout.yaml:28:16
    26 |       containers:
    27 |       - name: checkout
    28 |         image: localhost:5000/checkout
       |                ^
       = give it a tag that is never moved, or a digest
    ");
}

#[test]
fn a_cloneset_has_spec_and_template() {
    let head = "apiVersion: apps.kruise.io/v1alpha1\nkind: CloneSet\nmetadata: { namespace: shop, name: checkout }\n";
    let (release, _) = CHECKOUT.split_once("---\n").unwrap();
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &format!("{release}---\n{head}"))]), @"
    error: `spec` is missing
      --> releases/a.yaml:16:1
    14 |     onFailure: rollback
    15 | ---
    16 | apiVersion: apps.kruise.io/v1alpha1
       | ^
       = add `spec:`
    ");
    let text = wrong(&[(
        "releases/a.yaml",
        &format!("{release}---\n{head}spec: {{ selector: {{ matchLabels: {{ a: b }} }} }}\n"),
    )]);
    insta::assert_snapshot!(text, @"
    error: `spec.template` is missing
      --> releases/a.yaml:19:7
    17 | kind: CloneSet
    18 | metadata: { namespace: shop, name: checkout }
    19 | spec: { selector: { matchLabels: { a: b } } }
       |       ^
       = add `template:`

    error: the selector wants `a: b`, and the template has no such label
      --> releases/a.yaml:19:36
    17 | kind: CloneSet
    18 | metadata: { namespace: shop, name: checkout }
    19 | spec: { selector: { matchLabels: { a: b } } }
       |                                    ^
       = write the same label under `spec.template.metadata.labels`
    ");
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &format!("{release}---\n{head}spec: [1]\n"))]), @"
    error: `spec` must be a map, not a list
      --> releases/a.yaml:19:7
    17 | kind: CloneSet
    18 | metadata: { namespace: shop, name: checkout }
    19 | spec: [1]
       |       ^
       = write its fields below it
    ");
}

#[test]
fn a_slip_of_the_pen_in_a_pod_is_told() {
    let text = edited(&[(
        "        env:\n",
        "        readinesProbe: { tcpSocket: { port: 80 } }\n        somethingNew: 1\n        env:\n",
    )]);
    let text = text.replace("      containers:\n", "      toleration: []\n      containers:\n");
    let read = read(&[("releases/a.yaml", &text)]);
    assert!(read.releases.values().all(Result::is_ok));
    insta::assert_snapshot!(lines(&read.diagnostics), @"
    releases/a.yaml:26:7: a pod has no field `spec.template.spec.toleration`: the API server drops it; did you mean `tolerations`?
    releases/a.yaml:30:9: a pod has no field `spec.template.spec.containers[0].readinesProbe`: the API server drops it; did you mean `readinessProbe`?
    ");
}

#[test]
fn only_text_stands_where_kubernetes_wants_text() {
    let text = wrong_after(&[
        (
            "labels: { app: checkout } }\nspec:\n  replicas",
            "labels: { app: checkout, version: 1.10 }, annotations: [a] }\nspec:\n  replicas",
        ),
        (
            "value: \"0.50\" }",
            "value: 0.50 }\n        - { name: DEBUG, value: true }\n        command: [sleep, 5]\n        args: [{}]",
        ),
        ("      containers:\n", "      nodeSelector: { disk: 1 }\n      containers:\n"),
    ]);
    insta::assert_snapshot!(text, @"
    error: `metadata.labels.version` must be text, not a number: Kubernetes refuses it
      --> releases/shop/checkout.yaml:18:80
    16 | apiVersion: apps.kruise.io/v1alpha1
    17 | kind: CloneSet
    18 | metadata: { namespace: shop, name: checkout, labels: { app: checkout, version: 1.10 }, annotations:
       |                                                                                ^
       = quote it

    error: `metadata.annotations` must be a map of text, not a list
      --> releases/shop/checkout.yaml:18:101
    16 | apiVersion: apps.kruise.io/v1alpha1
    17 | kind: CloneSet
    18 | s: { app: checkout, version: 1.10 }, annotations: [a] }
       |                                                   ^
       = write `key: value` below it

    error: `spec.template.spec.nodeSelector.disk` must be text, not a number: Kubernetes refuses it
      --> releases/shop/checkout.yaml:26:29
    24 |     metadata: { labels: { app: checkout } }
    25 |     spec:
    26 |       nodeSelector: { disk: 1 }
       |                             ^
       = quote it

    error: `spec.template.spec.containers[0].env[0].value` must be text, not a number: Kubernetes refuses it
      --> releases/shop/checkout.yaml:31:33
    29 |         image: shop/checkout:2.4.1
    30 |         env:
    31 |         - { name: RATIO, value: 0.50 }
       |                                 ^
       = quote it

    error: `spec.template.spec.containers[0].env[1].value` must be text, not true or false: Kubernetes refuses it
      --> releases/shop/checkout.yaml:32:33
    30 |         env:
    31 |         - { name: RATIO, value: 0.50 }
    32 |         - { name: DEBUG, value: true }
       |                                 ^
       = quote it

    error: `spec.template.spec.containers[0].command[1]` must be text, not a number: Kubernetes refuses it
      --> releases/shop/checkout.yaml:33:26
    31 |         - { name: RATIO, value: 0.50 }
    32 |         - { name: DEBUG, value: true }
    33 |         command: [sleep, 5]
       |                          ^
       = quote it

    error: `spec.template.spec.containers[0].args[0]` must be text, not a map: Kubernetes refuses it
      --> releases/shop/checkout.yaml:34:16
    32 |         - { name: DEBUG, value: true }
    33 |         command: [sleep, 5]
    34 |         args: [{}]
       |                ^
       = write text
    ");
}

#[test]
fn what_the_cluster_owns_is_not_in_git() {
    let text = edited(&[(
        "metadata: { namespace: shop, name: checkout, labels: { app: checkout } }\nspec:",
        "metadata:
  namespace: shop
  name: checkout
  uid: 5f1c
  resourceVersion: \"7\"
  generation: 3
  creationTimestamp: null
  managedFields: []
  labels: { app.kubernetes.io/managed-by: Helm }
  annotations:
    triton.io/digest: x
    triton.io/step: \"2\"
    triton.io/root: x
    triton.io/suspend: \"\"
    triton.io/rollback: x
    triton.io/adopt: \"true\"
    triton.io/nothing: x
status: { replicas: 3 }
spec:",
    )]);
    let diagnostics = read(&[("releases/a.yaml", &text)]).diagnostics;
    insta::assert_snapshot!(lines(&diagnostics), @"
    releases/a.yaml:21:3: `metadata.uid` is the API server's to write; delete it
    releases/a.yaml:22:3: `metadata.resourceVersion` is the API server's to write; delete it
    releases/a.yaml:23:3: `metadata.generation` is the API server's to write; delete it
    releases/a.yaml:25:3: `metadata.managedFields` is the API server's to write; delete it
    releases/a.yaml:26:13: the label `app.kubernetes.io/managed-by` becomes `triton`; delete it, or write that value
    releases/a.yaml:28:5: the annotation `triton.io/digest` lives in the cluster, not in Git; delete it
    releases/a.yaml:29:5: the annotation `triton.io/step` lives in the cluster, not in Git; delete it
    releases/a.yaml:30:5: the annotation `triton.io/root` lives in the cluster, not in Git; delete it
    releases/a.yaml:31:5: the annotation `triton.io/suspend` lives in the cluster, not in Git; delete it, and write `spec.suspend: true` in the Release
    releases/a.yaml:32:5: the annotation `triton.io/rollback` lives in the cluster, not in Git; delete it, and revert the commit
    releases/a.yaml:33:5: the annotation `triton.io/adopt` has no effect on a CloneSet; move it to the Release document
    releases/a.yaml:34:5: there is no annotation `triton.io/nothing`; delete it
    releases/a.yaml:35:1: `status` is the cluster's to write; delete it
    ");
}

#[test]
fn a_name_that_is_too_long_for_pods_is_a_warning() {
    let name = "x".repeat(52);
    let text = wrong(&[("releases/a.yaml", &CHECKOUT.replace("name: checkout", &format!("name: {name}")))]);
    insta::assert_snapshot!(text, @"
    warning: the name has 52 characters or more: Kruise cannot make pods of it
      --> releases/a.yaml:18:36
    16 | apiVersion: apps.kruise.io/v1alpha1
    17 | kind: CloneSet
    18 | metadata: { namespace: shop, name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, labels: { a
       |                                    ^
       = shorten it
    ");
}
