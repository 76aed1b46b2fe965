//! Mistakes in the CloneSet.

use crate::spec::{CHECKOUT, one, wrong_after};

#[test]
fn partition_and_paused_belong_to_the_rollout() {
    insta::assert_snapshot!(wrong_after(&[("maxUnavailable: 20%", "partition: 50%, paused: true")]), @r#"
    error: `spec.updateStrategy.partition` belongs to the rollout
      --> releases/shop/checkout.yaml:32:46
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: InPlaceIfPossible, partition: 50%, paused: true }
       |                                              ^
       = delete the line, and write steps in the Release

    error: `spec.updateStrategy.paused` belongs to the rollout
      --> releases/shop/checkout.yaml:32:62
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: InPlaceIfPossible, partition: 50%, paused: true }
       |                                                              ^
       = delete the line, and write `spec.suspend: true` in the Release
    "#);
    insta::assert_snapshot!(wrong_after(&[("maxUnavailable: 20%", "partition: 0, paused: false")]), @r#"
    warning: `spec.updateStrategy.partition` belongs to the rollout
      --> releases/shop/checkout.yaml:32:46
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: InPlaceIfPossible, partition: 0, paused: false }
       |                                              ^
       = delete the line

    warning: `spec.updateStrategy.paused` belongs to the rollout
      --> releases/shop/checkout.yaml:32:60
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: InPlaceIfPossible, partition: 0, paused: false }
       |                                                            ^
       = delete the line
    "#);
    for (written, refused) in [("\"0%\"", false), ("false", true), ("[0]", true)] {
        let text = wrong_after(&[("maxUnavailable: 20%", &format!("partition: {written}"))]);
        assert_eq!(text.starts_with("error"), refused, "{text}");
    }
}

#[test]
fn what_belongs_to_the_rollout_is_not_in_the_body() {
    let text = CHECKOUT.replace("maxUnavailable: 20%", "partition: 0, paused: false");
    let body = &one(&[("releases/a.yaml", &text)]).cloneset.value.open();
    assert_eq!(body["spec"]["updateStrategy"], serde_json::json!({"type": "InPlaceIfPossible"}));
    assert_eq!(body["spec"]["replicas"], serde_json::Value::Null);
}

#[test]
fn the_update_strategy_can_move_pods() {
    let text =
        wrong_after(&[("type: InPlaceIfPossible, maxUnavailable: 20%", "type: OnDelete, maxUnavailable: 0")]);
    insta::assert_snapshot!(text, @r#"
    error: `spec.updateStrategy.type: OnDelete` waits for pods to be deleted by hand: no step would ever be reached
      --> releases/shop/checkout.yaml:32:27
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: OnDelete, maxUnavailable: 0 }
       |                           ^
       = write InPlaceIfPossible or ReCreate

    error: `maxUnavailable` and `maxSurge` are both 0: no pod could ever be replaced
      --> releases/shop/checkout.yaml:32:37
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: OnDelete, maxUnavailable: 0 }
       |                                     ^
       = write 1 or more, or a percentage, for one of them
    "#);
    let text = wrong_after(&[(
        "type: InPlaceIfPossible, maxUnavailable: 20%",
        "type: InPlace, maxUnavailable: 0%, maxSurge: 0, maxUnavailible: 1",
    )]);
    insta::assert_snapshot!(text, @r#"
    error: `spec.updateStrategy.type` is none that Kruise knows
      --> releases/shop/checkout.yaml:32:27
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: InPlace, maxUnavailable: 0%, maxSurge: 0, maxUnavailible: 1 }
       |                           ^
       = write ReCreate, InPlaceIfPossible or InPlaceOnly

    error: `maxUnavailable` and `maxSurge` are both 0: no pod could ever be replaced
      --> releases/shop/checkout.yaml:32:36
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: InPlace, maxUnavailable: 0%, maxSurge: 0, maxUnavailible: 1 }
       |                                    ^
       = write 1 or more, or a percentage, for one of them

    warning: a CloneSet has no field `spec.updateStrategy.maxUnavailible`: the API server drops it
      --> releases/shop/checkout.yaml:32:69
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: InPlace, maxUnavailable: 0%, maxSurge: 0, maxUnavailible: 1 }
       |                                                                     ^
       = did you mean `maxUnavailable`?
    "#);
}

#[test]
fn limits_of_speed_are_counts_or_whole_percentages() {
    let text = wrong_after(&[("maxUnavailable: 20%", "maxUnavailable: 12.5%, maxSurge: \"5\"")]);
    insta::assert_snapshot!(text, @r#"
    error: `spec.updateStrategy.maxUnavailable` is neither a count of pods nor a whole percentage
      --> releases/shop/checkout.yaml:32:62
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: InPlaceIfPossible, maxUnavailable: 12.5%, maxSurge: "5" }
       |                                                              ^
       = write a count as 1, or a percentage as 20%

    error: `spec.updateStrategy.maxSurge` is neither a count of pods nor a whole percentage
      --> releases/shop/checkout.yaml:32:79
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: { type: InPlaceIfPossible, maxUnavailable: 12.5%, maxSurge: "5" }
       |                                                                               ^
       = write a count as 1, or a percentage as 20%
    "#);
    let text = wrong_after(&[(
        "updateStrategy: { type: InPlaceIfPossible, maxUnavailable: 20% }",
        "updateStrategy: fast",
    )]);
    insta::assert_snapshot!(text, @r#"
    error: `spec.updateStrategy` must be a map, not text
      --> releases/shop/checkout.yaml:32:19
    30 |         - { name: RATIO, value: "0.50" }
    31 |         resources: { limits: { cpu: 0.5, memory: 64Mi } }
    32 |   updateStrategy: fast
       |                   ^
       = write its fields below it
    "#);
    assert_eq!(wrong_after(&[("maxUnavailable: 20%", "maxUnavailable: 0, maxSurge: 1")]), "");
}

#[test]
fn replicas_are_a_number_of_pods() {
    for bad in ["-1", "1e9", "\"3\"", "2.5", "true", "100001"] {
        let text = wrong_after(&[("  replicas: 10\n", &format!("  replicas: {bad}\n"))]);
        assert!(text.starts_with("error: `spec.replicas` must be a whole number from 0 to 100000"), "{text}");
    }
    insta::assert_snapshot!(wrong_after(&[("  replicas: 10\n", "  replicas: 1e9\n")]), @"
    error: `spec.replicas` must be a whole number from 0 to 100000
      --> releases/shop/checkout.yaml:20:13
    18 | metadata: { namespace: shop, name: checkout, labels: { app: checkout } }
    19 | spec:
    20 |   replicas: 1e9
       |             ^
       = write such a number, without quotes
    ");
    assert_eq!(wrong_after(&[("  replicas: 10\n", "  replicas: 0\n")]), "");
}

#[test]
fn the_selector_selects_the_pods_of_the_template() {
    let text = wrong_after(&[("matchLabels: { app: checkout }", "matchLabels: { app: chekout, tier: web }")]);
    insta::assert_snapshot!(text, @"
    error: the selector wants `app: chekout`, and the template has `app: checkout`
      --> releases/shop/checkout.yaml:22:30
    20 |   replicas: 10
    21 |   minReadySeconds: 5
    22 |   selector: { matchLabels: { app: chekout, tier: web } }
       |                              ^
       = write the same label under `spec.template.metadata.labels`

    error: the selector wants `tier: web`, and the template has no such label
      --> releases/shop/checkout.yaml:22:44
    20 |   replicas: 10
    21 |   minReadySeconds: 5
    22 |   selector: { matchLabels: { app: chekout, tier: web } }
       |                                            ^
       = write the same label under `spec.template.metadata.labels`
    ");
    insta::assert_snapshot!(wrong_after(&[("  selector: { matchLabels: { app: checkout } }\n", "")]), @"
    error: `spec.selector` is missing
      --> releases/shop/checkout.yaml:20:3
    18 | metadata: { namespace: shop, name: checkout, labels: { app: checkout } }
    19 | spec:
    20 |   replicas: 10
       |   ^
       = add `selector: { matchLabels: { app: … } }`
    ");
    let text = wrong_after(&[("selector: { matchLabels: { app: checkout } }", "selector: {}")]);
    insta::assert_snapshot!(text, @"
    error: `spec.selector` selects nothing by name
      --> releases/shop/checkout.yaml:22:13
    20 |   replicas: 10
    21 |   minReadySeconds: 5
    22 |   selector: {}
       |             ^
       = add `matchLabels: { app: … }`, as in the template
    ");
}

#[test]
fn expressions_of_a_selector_are_checked() {
    let expressions = |text: &str| {
        wrong_after(&[(
            "selector: { matchLabels: { app: checkout } }",
            &format!("selector: {{ matchExpressions: [{text}] }}"),
        )])
    };
    for good in [
        "{ key: app, operator: In, values: [a, checkout] }",
        "{ key: app, operator: NotIn, values: [a] }",
        "{ key: app, operator: Exists }",
        "{ key: tier, operator: DoesNotExist }",
    ] {
        assert_eq!(expressions(good), "", "{good}");
    }
    insta::assert_snapshot!(expressions("{ key: app, operator: In, values: [a] }"), @"
    error: the template's labels do not match `app In`
      --> releases/shop/checkout.yaml:22:34
    20 |   replicas: 10
    21 |   minReadySeconds: 5
    22 |   selector: { matchExpressions: [{ key: app, operator: In, values: [a] }] }
       |                                  ^
       = mend `spec.template.metadata.labels`
    ");
    insta::assert_snapshot!(expressions("{ key: app, operator: Is, values: [a] }"), @"
    error: `Is` is no operator of a selector
      --> releases/shop/checkout.yaml:22:34
    20 |   replicas: 10
    21 |   minReadySeconds: 5
    22 |   selector: { matchExpressions: [{ key: app, operator: Is, values: [a] }] }
       |                                  ^
       = write In, NotIn, Exists or DoesNotExist
    ");
    insta::assert_snapshot!(expressions("{ key: app }"), @"
    error: an expression of `spec.selector` lacks key or operator
      --> releases/shop/checkout.yaml:22:34
    20 |   replicas: 10
    21 |   minReadySeconds: 5
    22 |   selector: { matchExpressions: [{ key: app }] }
       |                                  ^
       = write `{ key: app, operator: In, values: [checkout] }`
    ");
}

#[test]
fn fields_that_a_cloneset_does_not_have_are_told() {
    insta::assert_snapshot!(wrong_after(&[("  replicas: 10\n", "  replica: 10\n")]), @"
    warning: a CloneSet has no field `spec.replica`: the API server drops it
      --> releases/shop/checkout.yaml:20:3
    18 | metadata: { namespace: shop, name: checkout, labels: { app: checkout } }
    19 | spec:
    20 |   replica: 10
       |   ^
       = did you mean `replicas`?
    ");
}
