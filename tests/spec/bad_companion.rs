//! Mistakes in companions, and between the documents of a release.

use crate::spec::{CHECKOUT, edited, wrong, wrong_after};

const AUTOSCALER: &str = "---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { namespace: shop, name: checkout }
spec: { scaleTargetRef: { apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: checkout }, maxReplicas: 9 }
";

#[test]
fn replicas_have_one_owner() {
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &format!("{CHECKOUT}{AUTOSCALER}"))]), @"
    error: `spec.replicas` and HorizontalPodAutoscaler `checkout` both own the number of pods
      --> releases/a.yaml:20:3
    18 | metadata: { namespace: shop, name: checkout, labels: { app: checkout } }
    19 | spec:
    20 |   replicas: 10
       |   ^
       = delete line 20
    ");
    let without = edited(&[("  replicas: 10\n", "")]);
    assert_eq!(wrong(&[("releases/a.yaml", &format!("{without}{AUTOSCALER}"))]), "");
    let other = AUTOSCALER.replace("name: checkout }, max", "name: chekout }, max");
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &format!("{without}{other}"))]), @"
    warning: the HorizontalPodAutoscaler scales `chekout`, which is not of this release
      --> releases/a.yaml:40:1
    38 |   ports: [{ port: 80, targetPort: 8080 }]
    39 | ---
    40 | apiVersion: autoscaling/v2
       | ^
       = write `name: checkout`
    ");
}

#[test]
fn everything_of_a_release_lives_in_its_namespace() {
    let text = wrong_after(&[
        ("{ namespace: shop, name: checkout, labels", "{ namespace: stock, name: chekout, labels"),
        ("kind: Service\nmetadata: { namespace: shop, ", "kind: Service\nmetadata: { "),
    ]);
    insta::assert_snapshot!(text, @"
    error: the CloneSet is in namespace `stock`, and its Release in `shop`
      --> releases/shop/checkout.yaml:18:24
    16 | apiVersion: apps.kruise.io/v1alpha1
    17 | kind: CloneSet
    18 | metadata: { namespace: stock, name: chekout, labels: { app: checkout } }
       |                        ^
       = write `namespace: shop`

    error: the CloneSet is named `chekout`, and its Release `checkout`
      --> releases/shop/checkout.yaml:18:37
    16 | apiVersion: apps.kruise.io/v1alpha1
    17 | kind: CloneSet
    18 | metadata: { namespace: stock, name: chekout, labels: { app: checkout } }
       |                                     ^
       = name both `checkout`

    error: `metadata.namespace` is missing
      --> releases/shop/checkout.yaml:36:11
    34 | apiVersion: v1
    35 | kind: Service
    36 | metadata: { name: checkout }
       |           ^
       = add `namespace:`; everything of a release lives in its namespace
    ");
}

#[test]
fn a_release_has_one_cloneset() {
    let (release, rest) = CHECKOUT.split_once("---\n").unwrap();
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", release)]), @"
    error: the release has no CloneSet
     --> releases/a.yaml:1:1
    1 | apiVersion: triton.io/v1
      | ^
      = add one to the file, or to its directory
    ");
    let (cloneset, _) = rest.split_once("---\n").unwrap();
    let two = format!("{CHECKOUT}---\n{}", cloneset.replace("name: checkout, labels", "name: other, labels"));
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &two)]), @"
    error: the release has more than one CloneSet
      --> releases/a.yaml:41:1
    39 |   ports: [{ port: 80, targetPort: 8080 }]
    40 | ---
    41 | apiVersion: apps.kruise.io/v1alpha1
       | ^
       = give each CloneSet a Release of its own
    ");
}

#[test]
fn configuration_data_and_selectors_are_text() {
    let text = wrong_after(&[
        ("selector: { app: checkout }\n  ports", "selector: { app: 7 }\n  ports"),
        (
            "kind: Service\n",
            "kind: Service\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { namespace: shop, name: a }\ndata: { port: 80, empty: }\nbinaryData: x\n---\napiVersion: v1\nkind: Service\n",
        ),
    ]);
    insta::assert_snapshot!(text, @r#"
    error: `metadata` is missing
      --> releases/shop/checkout.yaml:34:1
    32 |   updateStrategy: { type: InPlaceIfPossible, maxUnavailable: 20% }
    33 | ---
    34 | apiVersion: v1
       | ^
       = add `metadata: { namespace: …, name: … }`

    error: `data.port` must be text, not a number: Kubernetes refuses it
      --> releases/shop/checkout.yaml:40:15
    38 | kind: ConfigMap
    39 | metadata: { namespace: shop, name: a }
    40 | data: { port: 80, empty: }
       |               ^
       = quote it

    error: `data.empty` must be text, not nothing: Kubernetes refuses it
      --> releases/shop/checkout.yaml:40:24
    38 | kind: ConfigMap
    39 | metadata: { namespace: shop, name: a }
    40 | data: { port: 80, empty: }
       |                        ^
       = write "" if empty text is meant

    error: `binaryData` must be a map of text, not text
      --> releases/shop/checkout.yaml:41:13
    39 | metadata: { namespace: shop, name: a }
    40 | data: { port: 80, empty: }
    41 | binaryData: x
       |             ^
       = write `key: value` below it

    error: `spec.selector.app` must be text, not a number: Kubernetes refuses it
      --> releases/shop/checkout.yaml:47:20
    45 | metadata: { namespace: shop, name: checkout }
    46 | spec:
    47 |   selector: { app: 7 }
       |                    ^
       = quote it
    "#);
}
