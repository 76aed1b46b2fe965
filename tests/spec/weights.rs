//! Weights that are right.

use crate::spec::{one, wrong};

const RELEASE: &str = "apiVersion: triton.io/v1
kind: Release
metadata: { namespace: shop, name: checkout }
spec:
  strategy:
    routes: [checkout]
    steps: [{ replicas: 0 }, { replicas: 1, weight: 5% }, { replicas: 2 }, { replicas: 50%, weight: 50% }, { replicas: 100% }]
---
apiVersion: apps.kruise.io/v1alpha1
kind: CloneSet
metadata: { namespace: shop, name: checkout }
spec:
  replicas: 10
  selector: { matchLabels: { app: checkout } }
  template:
    metadata: { labels: { app: checkout, tier: web } }
    spec: { containers: [{ name: app, image: 'shop/checkout:1' }] }
---
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: web }
spec: { selector: { app: checkout }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: other }
spec: { selector: { app: checkout }, ports: [{ port: 81 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { namespace: shop, name: checkout }
spec: { rules: [{ backendRefs: [{ name: web, port: 80 }, { name: elsewhere, port: 80 }] }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { namespace: shop, name: checkout }
spec: { rules: [{ backendRefs: [{ name: web, port: 80 }] }] }
";

#[test]
fn a_step_without_a_weight_has_that_of_the_step_before_and_none_at_first() {
    let release = one(&[("releases/a.yaml", RELEASE)]);
    let weights: Vec<u32> = (1..=5).map(|step| release.strategy.weight(step)).collect();
    assert_eq!(weights, [0, 5, 5, 50, 50]);
}

#[test]
fn both_routes_of_a_name_are_meant_and_the_services_that_they_share_are_known() {
    let release = one(&[("releases/a.yaml", RELEASE)]);
    let routes: Vec<String> = release.weighted_routes().map(|it| it.body.key.to_string()).collect();
    assert_eq!(routes, ["HTTPRoute shop/checkout", "GRPCRoute shop/checkout"]);
    let services: Vec<String> = release.shared_services().iter().map(ToString::to_string).collect();
    assert_eq!(services, ["web"], "no route leads to the other one");
}

#[test]
fn a_weight_of_nothing_and_one_of_everything_are_no_mistakes() {
    let edges = RELEASE
        .replace("{ replicas: 0 }", "{ replicas: 0, weight: 0% }")
        .replace("{ replicas: 100% }", "{ replicas: 100%, weight: 100% }");
    assert_eq!(wrong(&[("releases/a.yaml", &edges)]), "");
}
