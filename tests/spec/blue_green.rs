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
    insta::assert_snapshot!(wrong(&[("triton.yaml", repository), ("releases/a.yaml", &text)]), @"
    error: `blueGreen.active` names `web`, and the release has no Service of that name
     --> releases/a.yaml:5:13
    3 | metadata: { namespace: shop, name: checkout }
    4 | spec:
    5 |   strategy: switch
      |             ^
      = add it to the files of the release, which has checkout, checkout-preview
    ");
}

#[test]
fn it_takes_the_place_of_steps_and_routes() {
    let beside = |what: &str| told("    blueGreen:", &format!("    {what}\n    blueGreen:"));
    insta::assert_snapshot!(beside("steps: [{ replicas: 1 }, { replicas: 100% }]"), @"releases/a.yaml:6:5: `spec.strategy.steps` beside `blueGreen`, which has two steps of its own; delete one of the two");
    insta::assert_snapshot!(beside("routes: [checkout]"), @"releases/a.yaml:6:5: `spec.strategy.routes` beside `blueGreen`, which moves all traffic at once, by its Services; delete one of the two");
    insta::assert_snapshot!(beside("initial: steps"), @"releases/a.yaml:6:5: `spec.strategy.initial: steps` beside `blueGreen`: a first release has no other beside which it could come up; delete the line");
    assert_eq!(beside("initial: all"), "");
    assert_eq!(beside("deadline: 5m\n    onFailure: hold\n    drain: 10s\n    failureThreshold: 10%"), "");
}

#[test]
fn every_mistake_in_it_is_told() {
    let fields =
        |fields: &str| told("{ active: checkout, preview: checkout-preview }", &format!("{{ {fields} }}"));
    insta::assert_snapshot!(fields("keep: 1h"), @"
    releases/a.yaml:6:16: `spec.strategy.blueGreen.active` is missing; add `active:`
    releases/a.yaml:6:16: `spec.strategy.blueGreen.preview` is missing; add `preview:`
    ");
    insta::assert_snapshot!(fields("active: checkout, preview: checkout"), @"releases/a.yaml:6:45: `spec.strategy.blueGreen.active` and `spec.strategy.blueGreen.preview` are both `checkout`: nobody could look at the new version before it serves; write the name of another Service of the release");
    insta::assert_snapshot!(fields("active: [checkout], preview: Check_Out"), @"
    releases/a.yaml:6:26: `spec.strategy.blueGreen.active` must be text, not a list; write text
    releases/a.yaml:6:47: `spec.strategy.blueGreen.preview`: `Check_Out` is not a valid name: only lower-case letters, digits and `-` are allowed; write the name of a Service of the release
    ");
    let right = "active: checkout, preview: checkout-preview";
    insta::assert_snapshot!(fields(&format!("{right}, soak: 1d, keep: 0s, previewReplicas: 0")), @"
    releases/a.yaml:6:69: `spec.strategy.blueGreen.soak`: `1d` is not a duration; write it as 90s, 10m or 1h30m
    releases/a.yaml:6:79: `spec.strategy.blueGreen.keep` must be from 1s to 720h; write it as 90s, 10m or 1h30m
    releases/a.yaml:6:83: `spec.strategy.blueGreen.previewReplicas` leaves nothing to look at; write 1 or more, or a percentage
    ");
    insta::assert_snapshot!(fields(&format!("{right}, previewReplicas: 0%, keep: 721h, soak: 10")), @"
    releases/a.yaml:6:63: `spec.strategy.blueGreen.previewReplicas` leaves nothing to look at; write 1 or more, or a percentage
    releases/a.yaml:6:90: `spec.strategy.blueGreen.keep` must be from 1s to 720h; write it as 90s, 10m or 1h30m
    releases/a.yaml:6:102: `spec.strategy.blueGreen.soak` must be a duration, not a number; write it as 90s, 10m or 1h30m
    ");
    insta::assert_snapshot!(fields(&format!("{right}, previewReplicas: all, serve: approval, keeps: 1h")), @"
    releases/a.yaml:6:80: `spec.strategy.blueGreen.previewReplicas` is neither a count of pods nor a percentage; write a count as 3, or a percentage from 0% to 100%
    releases/a.yaml:6:85: unknown field `spec.strategy.blueGreen.serve`; delete it (there are only active, preview, approval, soak, keep, previewReplicas)
    releases/a.yaml:6:102: unknown field `spec.strategy.blueGreen.keeps`; did you mean `keep`?
    ");
    insta::assert_snapshot!(fields(&format!("{right}, approval:")), @"releases/a.yaml:6:63: `spec.strategy.blueGreen.approval` is empty; write `approval: {}`, or delete the line");
    insta::assert_snapshot!(fields(&format!("{right}, approval: {{ count: 11, notAuthor: 2, by: ann }}")), @"
    releases/a.yaml:6:82: `spec.strategy.blueGreen.approval.count` must be a whole number from 1 to 10; write such a number, without quotes
    releases/a.yaml:6:97: `spec.strategy.blueGreen.approval.notAuthor` must be true or false, not a number; write true or false, without quotes
    releases/a.yaml:6:100: unknown field `spec.strategy.blueGreen.approval.by`; delete it (there are only count, notAuthor)
    ");
}

#[test]
fn its_services_are_of_the_release_and_select_its_pods() {
    let preview = "name: checkout-preview }\nspec: { selector: { app: checkout, tier: web }";
    let with = |to: &str| told(preview, to);
    insta::assert_snapshot!(with("name: other }\nspec: { selector: { app: other }"), @"releases/a.yaml:6:45: `blueGreen.preview` names `checkout-preview`, and the release has no Service of that name; add it to the files of the release, which has checkout, other");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { selector: { app: other }"), @"releases/a.yaml:23:1: Service `checkout-preview` (`blueGreen.preview`) does not select the pods of this release; write labels of the template into `spec.selector`");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { selector: { tier: web }"), @"releases/a.yaml:23:1: Service `checkout-preview` (`blueGreen.preview`) may select pods of others, which would lose their traffic: its selector lacks `app: checkout` of the CloneSet's; write every label of the CloneSet's `spec.selector` into it");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { selector: { app: checkout, pod-template-hash: 5f6b }"), @"releases/a.yaml:23:1: Service `checkout-preview` (`blueGreen.preview`) selects by `pod-template-hash`: that is how it is pointed at a revision, and the rollout's to write; delete that label from `spec.selector`");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { type: ExternalName, externalName: a.example"), @"releases/a.yaml:23:1: Service `checkout-preview` (`blueGreen.preview`) does not select the pods of this release; write labels of the template into `spec.selector`");
    insta::assert_snapshot!(with("name: checkout-preview }\nspec: { clusterIP: None"), @"releases/a.yaml:23:1: Service `checkout-preview` (`blueGreen.preview`) does not select the pods of this release; write labels of the template into `spec.selector`");
    let publishes = "publishNotReadyAddresses: true, selector: { app: checkout";
    assert_eq!(with(&format!("name: checkout-preview }}\nspec: {{ {publishes} }}")), "", "a preview may");
    insta::assert_snapshot!(told("spec: { selector: { app: checkout", &format!("spec: {{ {publishes}")), @"releases/a.yaml:18:1: `publishNotReadyAddresses` of the active Service leads traffic to pods that are not ready; delete the line");
}

#[test]
fn what_follows_the_pods_that_serve_selects_no_others() {
    let beside = |kind: &str, spec: &str| {
        let text = format!(
            "{RELEASE}---\napiVersion: {kind}\nmetadata: {{ namespace: shop, name: all }}\nspec: {spec}\n"
        );
        lines(&read(&[("releases/a.yaml", &text)]).diagnostics)
    };
    assert_eq!(beside("v1\nkind: Service", "{ selector: { app: checkout } }"), "");
    assert_eq!(beside("v1\nkind: Service", "{ selector: { app: other } }"), "");
    insta::assert_snapshot!(beside("v1\nkind: Service", "{ selector: { tier: web } }"), @"releases/a.yaml:28:1: Service `all` is led to the pods that serve, and may select those of others: its selector lacks `app: checkout` of the CloneSet's; write every label of the CloneSet's `spec.selector` into it");
    let budget = "policy/v1\nkind: PodDisruptionBudget";
    assert_eq!(beside(budget, "{ maxUnavailable: 1, selector: { matchLabels: { app: checkout } } }"), "");
    insta::assert_snapshot!(beside(budget, "{ maxUnavailable: 1, selector: { matchLabels: { tier: web } } }"), @"releases/a.yaml:28:1: PodDisruptionBudget `all` is led to the pods that serve, and may select those of others: its selector lacks `app: checkout` of the CloneSet's; write every label of the CloneSet's `spec.selector` into it");
}

#[test]
fn an_autoscaler_of_another_name_could_not_follow() {
    let scaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { namespace: shop, name: checkout }\nspec: { scaleTargetRef: { apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: NAME }, maxReplicas: 5 }\n";
    let text = |name: &str| format!("{}{}", edited("  replicas: 10\n", ""), scaler.replace("NAME", name));
    assert_eq!(wrong(&[("releases/a.yaml", &text("checkout"))]), "");
    insta::assert_snapshot!(wrong(&[("releases/a.yaml", &text("other"))]), @"
    error: the HorizontalPodAutoscaler scales `other`, which is not of this release: blue/green leads one of its own to the CloneSet that serves
      --> releases/a.yaml:27:1
    25 | spec: { selector: { app: checkout, tier: web }, ports: [{ port: 80 }] }
    26 | ---
    27 | apiVersion: autoscaling/v2
       | ^
       = write `name: checkout`
    ");
}

#[test]
fn its_pods_are_made_anew_and_its_name_has_room_for_a_second_cloneset() {
    let update = |kind: &str| {
        told("  replicas: 10\n", &format!("  replicas: 10\n  updateStrategy: {{ type: {kind} }}\n"))
    };
    insta::assert_snapshot!(update("InPlaceOnly"), @"releases/a.yaml:13:27: `updateStrategy.type: InPlaceOnly` beside `blueGreen`: the pods of a new version are made beside the old ones, and none is updated in place; write `type: ReCreate`");
    insta::assert_snapshot!(update("InPlaceIfPossible"), @"releases/a.yaml:13:27: `updateStrategy.type: InPlaceIfPossible` beside `blueGreen`: the pods of a new version are made beside the old ones, and none is updated in place; write `type: ReCreate`");
    assert_eq!(update("ReCreate"), "");
    let named = |length: usize| {
        let text = RELEASE.replacen("name: checkout }", &format!("name: {} }}", "c".repeat(length)), 2);
        lines(&read(&[("releases/a.yaml", &text)]).diagnostics)
    };
    assert_eq!(named(40), "");
    insta::assert_snapshot!(named(41), @"releases/a.yaml:10:36: the name has 41 characters, and that of the second CloneSet 11 more: Kruise cannot make pods of it; shorten it to 40 at most");
}
