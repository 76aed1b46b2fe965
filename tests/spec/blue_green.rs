//! Blue/green: what it means, and what is told where it does not fit.

use triton::model::Digest;
use triton::spec::{Approval, BlueGreen, Release, Serve, Step};

use crate::spec::{lines, one, read, wrong};

const RELEASE: &str = "apiVersion: triton.io/v1
kind: Release
metadata: { namespace: shop, name: checkout }
spec:
  strategy:
    blueGreen: { active: checkout, preview: checkout-preview }
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
metadata: { namespace: shop, name: checkout }
spec: { selector: { app: checkout }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { namespace: shop, name: checkout-preview }
spec: { selector: { app: checkout, tier: web }, ports: [{ port: 80 }] }
";

fn edited(from: &str, to: &str) -> String {
    assert!(RELEASE.contains(from), "nothing to edit: {from}");
    RELEASE.replacen(from, to, 1)
}

fn told(from: &str, to: &str) -> String {
    lines(&read(&[("releases/a.yaml", &edited(from, to))]).diagnostics)
}

/// A step that asks for so many pods.
fn step(replicas: &str, soak: u32, approval: Option<Approval>) -> Step {
    Step { replicas: replicas.parse().unwrap(), soak, approval, serve: Serve::Automatic, weight: None }
}

#[test]
fn it_has_two_steps_and_what_is_written_of_them_stands_in_them() {
    let release = one(&[("releases/a.yaml", RELEASE)]);
    let kept = |keep| {
        let name = |text: &str| text.parse().unwrap();
        Some(BlueGreen { active: name("checkout"), preview: name("checkout-preview"), keep })
    };
    assert_eq!(release.strategy.blue_green, kept(3600));
    assert_eq!(release.strategy.steps, [step("100%", 0, None), step("100%", 0, None)]);
    let written = "preview: checkout-preview, approval: { count: 2, notAuthor: true }, soak: 10m, keep: 2h, previewReplicas: 3";
    let release = one(&[("releases/a.yaml", &edited("preview: checkout-preview", written))]);
    let approval = Approval { count: 2, not_author: true };
    assert_eq!(release.strategy.blue_green, kept(7200));
    assert_eq!(release.strategy.steps, [step("3", 600, None), step("100%", 0, Some(approval))]);
    assert_eq!((release.strategy.stepped, release.last_step()), (true, 2));
}

#[test]
fn it_is_read_again_from_what_its_digest_is_of() {
    let release = one(&[("releases/a.yaml", RELEASE)]);
    let again = Release::from_documents(&release.documents, Digest::of(&release.documents)).unwrap();
    assert_eq!((again.strategy, again.digest), (release.strategy.clone(), release.digest));
    let other = one(&[(
        "releases/a.yaml",
        &edited("preview: checkout-preview", "preview: checkout-preview, keep: 1h"),
    )]);
    assert_ne!(other.digest, release.digest, "a default that is written is other text");
}

#[test]
fn a_strategy_of_triton_yaml_may_be_blue_green_and_is_told_where_it_is_named() {
    let repository = "apiVersion: triton.io/v1\nkind: Repository\nspec:\n  strategies:\n    switch: { blueGreen: { active: web, preview: checkout-preview } }\n";
    let text = edited("\n    blueGreen: { active: checkout, preview: checkout-preview }", " switch");
    insta::assert_snapshot!(wrong(&[("triton.yaml", repository), ("releases/a.yaml", &text)]), @"");
}

#[test]
fn it_takes_the_place_of_steps_and_routes() {
    let beside = |what: &str| told("    blueGreen:", &format!("    {what}\n    blueGreen:"));
    insta::assert_snapshot!(beside("steps: [{ replicas: 1 }, { replicas: 100% }]"), @"");
    insta::assert_snapshot!(beside("routes: [checkout]"), @"");
    insta::assert_snapshot!(beside("initial: steps"), @"");
    assert_eq!(beside("initial: all"), "");
    assert_eq!(
        beside("{deadline: 5m, onFailure: hold, drain: 10s, failureThreshold: 10%}").lines().count(),
        1
    );
}

#[test]
fn every_mistake_in_it_is_told() {
    let fields =
        |fields: &str| told("{ active: checkout, preview: checkout-preview }", &format!("{{ {fields} }}"));
    insta::assert_snapshot!(fields("keep: 1h"), @"");
    insta::assert_snapshot!(fields("active: checkout, preview: checkout"), @"");
    insta::assert_snapshot!(fields("active: [checkout], preview: Check_Out"), @"");
    let right = "active: checkout, preview: checkout-preview";
    insta::assert_snapshot!(fields(&format!("{right}, soak: 1d, keep: 0s, previewReplicas: 0")), @"");
    insta::assert_snapshot!(fields(&format!("{right}, previewReplicas: 0%, keep: 721h, soak: 10")), @"");
    insta::assert_snapshot!(fields(&format!("{right}, previewReplicas: all, serve: approval, keeps: 1h")), @"");
    insta::assert_snapshot!(fields(&format!("{right}, approval:")), @"");
    insta::assert_snapshot!(fields(&format!("{right}, approval: {{ count: 11, notAuthor: 2, by: ann }}")), @"");
}

#[test]
fn its_services_are_of_the_release_and_select_its_pods() {
    let preview = "name: checkout-preview }\nspec: { selector: { app: checkout, tier: web }";
    let with = |to: &str| told(preview, to);
    insta::assert_snapshot!(with("name: other }\nspec: { selector: { app: other }"), @"");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { selector: { app: other }"), @"");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { selector: { tier: web }"), @"");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { selector: { app: checkout, pod-template-hash: 5f6b }"), @"");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { type: ExternalName, externalName: a.example"), @"");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { clusterIP: None"), @"");
    let publishes = "publishNotReadyAddresses: true, selector: { app: checkout";
    assert_eq!(with(&format!("name: checkout-preview }}\nspec: {{ {publishes} }}")), "", "a preview may");
    insta::assert_snapshot!(told("spec: { selector: { app: checkout", &format!("spec: {{ {publishes}")), @"");
}

#[test]
fn a_third_service_with_its_pods_is_told_that_it_leads_to_both_versions() {
    let third = "---\napiVersion: v1\nkind: Service\nmetadata: { namespace: shop, name: all }\nspec: { selector: { app: checkout } }\n";
    let text = format!("{RELEASE}{third}");
    assert!(read(&[("releases/a.yaml", &text)]).releases.values().all(Result::is_ok));
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &text)]), @"");
}

#[test]
fn an_autoscaler_of_another_name_could_not_follow() {
    let scaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { namespace: shop, name: checkout }\nspec: { scaleTargetRef: { apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: NAME }, maxReplicas: 5 }\n";
    let text = |name: &str| format!("{}{}", edited("  replicas: 10\n", ""), scaler.replace("NAME", name));
    assert_eq!(wrong(&[("releases/a.yaml", &text("checkout"))]), "");
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &text("other"))]), @"");
}

#[test]
fn its_pods_are_made_anew_and_its_name_has_room_for_a_second_cloneset() {
    let update = |kind: &str| {
        told("  replicas: 10\n", &format!("  replicas: 10\n  updateStrategy: {{ type: {kind} }}\n"))
    };
    insta::assert_snapshot!(update("InPlaceOnly"), @"");
    insta::assert_snapshot!(update("InPlaceIfPossible"), @"");
    assert_eq!(update("ReCreate"), "");
    let named = |length: usize| {
        let text = RELEASE.replacen("name: checkout }", &format!("name: {} }}", "c".repeat(length)), 2);
        lines(&read(&[("releases/a.yaml", &text)]).diagnostics)
    };
    assert_eq!(named(40), "");
    insta::assert_snapshot!(named(41), @"");
}
