//! Digests: what they depend on, what they do not, and that they never change.

use triton::model::Digest;
use triton::spec::{DocumentsError, Release};

use crate::spec::{CHECKOUT, one};

const AUTOSCALER: &str = "
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { namespace: shop, name: checkout }
spec:
  scaleTargetRef: { apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: checkout }
  minReplicas: 3
  maxReplicas: 9
";

fn digest(text: &str) -> String {
    one(&[("releases/shop/checkout.yaml", text)]).digest.to_string()
}

/// Approvals are given to digests. If this test fails, the program is wrong, not the test.
#[test]
fn digests_of_old_releases_never_change() {
    let release = one(&[("releases/shop/checkout.yaml", CHECKOUT)]);
    assert_eq!(
        release.digest.to_string(),
        "ddc7fc017bbaa7fed80fed9001b518d3ecf67d0d19fbccf5b6df0e810042a917"
    );
    assert_eq!(
        release.template.to_string(),
        "54e9a7f6aba1f7ab88db74ac96e9ac3f4116e2fe03408158bafdd0ac3835af05"
    );
    assert_eq!(String::from_utf8_lossy(&release.documents), include_str!("checkout.json").trim_end());
    assert_eq!(release.version, "2.4.1");
}

#[test]
fn size_step_suspend_and_autoscalers_are_not_in_the_digest() {
    let digest_before = digest(CHECKOUT);
    let without_replicas = CHECKOUT.replace("  replicas: 10\n", "");
    for text in [
        CHECKOUT.replace("replicas: 10\n", "replicas: 20\n"),
        CHECKOUT.replace("\nspec:\n  strategy", "\nspec:\n  step: 2\n  suspend: true\n  strategy"),
        without_replicas.clone(),
        without_replicas.clone() + AUTOSCALER,
        without_replicas + &AUTOSCALER.replace('9', "12"),
    ] {
        assert_eq!(digest(&text), digest_before, "{text}");
    }
}

#[test]
fn a_release_without_anything_but_a_step_has_the_digest_of_one_without_spec() {
    let (_, rest) = CHECKOUT.split_once("---").unwrap();
    let head = "apiVersion: triton.io/v1\nkind: Release\nmetadata: { namespace: shop, name: checkout }\n";
    let bare = format!("{head}---{rest}");
    let stepped = format!("{head}spec: {{ step: 1 }}\n---{rest}");
    assert_eq!(digest(&bare), digest(&stepped));
}

#[test]
fn a_release_read_from_its_documents_is_the_same() {
    let text = CHECKOUT.replace("  updateStrategy: {", "  updateStrategy: { partition: 0, paused: false,");
    let release = one(&[("releases/shop/checkout.yaml", &text)]);
    let again = Release::from_documents(&release.documents, release.digest).unwrap();
    let expected = Release { path: String::new(), replicas: None, ..(*release).clone() };
    assert_eq!(again, expected);
    assert!(Release::from_documents(&release.documents[1..], release.digest).is_err());
}

/// A release that was entered once can be gone back to, whatever rules came later; but nothing is guessed.
#[test]
fn documents_that_break_a_rule_are_read_and_those_that_cannot_be_read_are_not() {
    let documents = |from: &str, to: &str| {
        let text = include_str!("checkout.json").trim_end();
        assert!(text.contains(from));
        let text = text.replacen(from, to, 1);
        Release::from_documents(text.as_bytes(), Digest::of(text.as_bytes()))
    };
    let falling = documents("\"replicas\":1,", "\"replicas\":\"70%\",").unwrap();
    assert_eq!(falling.strategy.steps.len(), 3);
    assert!(documents("\"type\":\"InPlaceIfPossible\"", "\"type\":\"OnDelete\"").is_ok());
    for (from, to) in [
        ("\"soak\":\"10m\"", "\"soak\":\"ten\""),
        ("\"steps\"", "\"stages\""),
        ("\"kind\":\"Release\"", "\"kind\":\"Rollout\""),
        ("\"name\":\"checkout\"", "\"name\":\"-\""),
        ("[{", "{"),
    ] {
        assert_eq!(documents(from, to), Err(DocumentsError::Unreadable), "{from}");
    }
}
