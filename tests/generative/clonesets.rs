//! CloneSets in both versions: what is put into the newer shape comes out as it was, owners too.

use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use triton::objects::CloneSetVersion;

use crate::generative::config;

const NEWER: CloneSetVersion = CloneSetVersion::V1beta1;
const FIELDS: [&str; 7] = [
    "partition",
    "maxUnavailable",
    "maxSurge",
    "paused",
    "priorityStrategy",
    "scatterStrategy",
    "someFieldOfTomorrow",
];

fn leaf() -> impl Strategy<Value = Value> {
    select(vec![
        json!(0),
        json!("99.5%"),
        json!(true),
        json!([{"key": "a"}]),
        json!({"weightPriority": [{"weight": 1}]}),
    ])
}

/// A body as release files have it.
fn body() -> impl Strategy<Value = Value> {
    let kinds = option::of(select(vec!["ReCreate", "InPlaceIfPossible", "InPlaceOnly", "OnDelete"]));
    let fields = btree_map(select(FIELDS.to_vec()), leaf(), 0..5);
    let annotations = btree_map(
        select(vec![
            "note",
            "apps.kruise.io/image-predownload-parallelism",
            "apps.kruise.io/image-predownload-timeout-seconds",
            "apps.kruise.io/image-predownload-min-updated-ready-pods",
        ]),
        select(vec!["7", "20%", "some text", "-1"]),
        0..4,
    );
    let label = option::of(select(vec!["true", "false"]));
    (kinds, fields, annotations, label, any::<(bool, bool, bool)>()).prop_map(
        |(kind, fields, annotations, label, (claims, drops, grace))| {
            let mut body = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
                "metadata": {"name": "web"}, "spec": {"replicas": 3, "template": {"spec": {}}}});
            if !annotations.is_empty() {
                body["metadata"]["annotations"] = json!(annotations);
            }
            if let Some(label) = label {
                body["metadata"]["labels"] =
                    json!({"apps.kruise.io/cloneset-scaling-exclude-preparing-delete": label});
            }
            if kind.is_some() || !fields.is_empty() {
                body["spec"]["updateStrategy"] = json!(fields);
            }
            if let Some(kind) = kind {
                body["spec"]["updateStrategy"]["type"] = kind.into();
            }
            if grace {
                body["spec"]["updateStrategy"]["inPlaceUpdateStrategy"] = json!({"gracePeriodSeconds": 3});
            }
            if claims {
                body["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}}]);
            }
            if drops {
                body["spec"]["scaleStrategy"] = json!({"disablePVCReuse": true, "maxUnavailable": 1});
            }
            body
        },
    )
}

/// The set of all fields of a value.
fn owned(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(name, below)| (format!("f:{name}"), owned(below))).collect(),
        _ => json!({}),
    }
}

#[test]
fn a_cloneset_that_went_through_the_newer_version_is_the_same() {
    let there_and_back = |before: Value| {
        let mut body = before.clone();
        let entry = json!({"manager": "m", "operation": "Apply", "apiVersion": "apps.kruise.io/v1alpha1",
            "fieldsV1": {"f:spec": {"f:updateStrategy": owned(&before["spec"]["updateStrategy"])}}});
        body["metadata"]["managedFields"] = json!([entry]);
        NEWER.encode(&mut body);
        prop_assert_eq!(&body["apiVersion"], "apps.kruise.io/v1beta1");
        for name in &FIELDS[..6] {
            prop_assert!(body["spec"]["updateStrategy"].get(*name).is_none(), "{} {}", name, body);
        }
        let once = body.clone();
        NEWER.decode(&mut body);
        prop_assert_eq!(&body["metadata"]["managedFields"], &json!([entry]));
        let mut twice = body.clone();
        NEWER.encode(&mut twice);
        prop_assert_eq!(twice, once);
        body["metadata"].as_object_mut().expect("metadata").remove("managedFields");
        prop_assert_eq!(body, before);
        Ok(())
    };
    TestRunner::new(config(500)).run(&body(), there_and_back).unwrap();
}
