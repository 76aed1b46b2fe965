//! ConfigMaps that the pods read, as they are applied.

use std::sync::Arc;

use serde_json::{Value, json};
use triton::model::Digest;
use triton::objects::Kind;
use triton::spec::{Companion, Exchange, Release};

use crate::spec::{edited, one, read, wrong};

const CONFIG: &str = "---
apiVersion: v1
kind: ConfigMap
metadata: { namespace: shop, name: cfg }
data: { colour: green }
";

/// The name of [`CONFIG`] as it is applied: eight digits of the SHA-256 of `{"data":{"colour":"green"}}`.
const GREEN: &str = "cfg-3c17a258";

/// A checkout whose pods read `cfg` as their environment, and `config` behind it.
fn text(config: &str) -> String {
    let reads = "        envFrom: [{ configMapRef: { name: cfg } }]\n        env:\n";
    format!("{}{config}", edited(&[("        env:\n", reads)]))
}

fn release(config: &str) -> Arc<Release> {
    one(&[("releases/shop/checkout.yaml", &text(config))])
}

fn config(release: &Release) -> &Companion {
    release.companions.iter().find(|it| it.body.key.kind == Kind::ConfigMap).expect("a ConfigMap")
}

fn read_by(release: &Release) -> Value {
    release.cloneset.value.open()["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]
        ["name"]
        .clone()
}

#[test]
fn what_the_pods_read_is_immutable_under_a_name_with_its_contents_hash() {
    let release = release(CONFIG);
    let config = config(&release);
    assert_eq!(config.body.key.to_string(), format!("ConfigMap shop/{GREEN}"));
    assert_eq!(config.written().to_string(), "ConfigMap shop/cfg");
    assert_eq!(
        config.body.value.open(),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": {"colour": "green"},
            "metadata": {"namespace": "shop", "name": GREEN, "annotations": {"triton.io/version-of": "cfg"}},
        })
    );
    assert_eq!(read_by(&release), GREEN);
    assert_eq!(release.configs(), [GREEN]);
}

#[test]
fn another_content_is_another_template_and_the_old_one_is_the_old_template_again() {
    let green = release(CONFIG);
    let red = release(&CONFIG.replace("green", "red"));
    assert_ne!(green.template, red.template);
    assert_ne!(read_by(&green), read_by(&red));
    assert_eq!(green.template, release(CONFIG).template);
    // A label of the ConfigMap is nothing that pods read.
    let labelled = release(&CONFIG.replace("name: cfg }", "name: cfg, labels: { team: shop } }"));
    assert_eq!(green.template, labelled.template);
    assert_ne!(green.digest, labelled.digest);
}

#[test]
fn a_template_has_the_whole_hash_of_what_it_reads_and_not_the_digits_of_the_name_alone() {
    let green = release(CONFIG);
    let applied = format!("name: {GREEN}, annotations: {{ triton.io/versioned: \"false\" }} }}");
    let by_hand = text(&CONFIG.replace("name: cfg }", &applied))
        .replace("configMapRef: { name: cfg }", &format!("configMapRef: {{ name: {GREEN} }}"));
    let by_hand = one(&[("releases/shop/checkout.yaml", &by_hand)]);
    assert_eq!(by_hand.cloneset, green.cloneset);
    assert_ne!(by_hand.template, green.template);
}

#[test]
fn what_says_so_or_what_no_pod_reads_keeps_its_name() {
    let out = release(
        &CONFIG.replace("name: cfg }", "name: cfg, annotations: { triton.io/versioned: \"false\" } }"),
    );
    assert_eq!(config(&out).body.key.name.as_str(), "cfg");
    assert_eq!((read_by(&out), out.configs()), (json!("cfg"), vec![]));
    let plain = edited(&[]) + CONFIG;
    let unread = one(&[("releases/shop/checkout.yaml", &plain)]);
    assert_eq!(config(&unread).body.key.name.as_str(), "cfg");
    assert_eq!(unread.template, one(&[("releases/shop/checkout.yaml", &edited(&[]))]).template);
    assert_eq!(config(&unread).body.value.open().get("immutable"), None);
}

#[test]
fn documents_of_a_record_give_the_very_same_objects_again() {
    let release = release(CONFIG);
    let again = Release::from_documents(&release.documents, release.digest).unwrap();
    assert_eq!(again.template, release.template);
    assert_eq!(again.cloneset, release.cloneset);
    assert_eq!(again.companions, release.companions);
    assert_eq!(Digest::of(&release.documents), release.digest, "documents are as written");
}

#[test]
fn another_content_makes_pods_anew_or_cannot_come_in_place() {
    let of = |kind: &str, content: &str| {
        let text = text(&CONFIG.replace("green", content))
            .replace("type: InPlaceIfPossible", &format!("type: {kind}"));
        one(&[("releases/shop/checkout.yaml", &text)]).cloneset.clone()
    };
    let exchange = |kind: &str| Exchange::between(&of(kind, "green"), &of(kind, "red"));
    let fields = vec!["spec.template.spec.containers[name=checkout].envFrom[0].configMapRef.name".to_owned()];
    assert_eq!(exchange("InPlaceIfPossible"), Exchange::Anew(fields.clone()));
    assert_eq!(exchange("InPlaceOnly"), Exchange::Impossible(fields));
}

#[test]
fn what_was_entered_before_configuration_was_versioned_stays_as_it_was_entered() {
    let now = release(CONFIG);
    let opted = CONFIG.replace("name: cfg }", "name: cfg, annotations: { triton.io/versioned: \"false\" } }");
    let before = release(&opted).template;
    let entered = Arc::clone(&now).as_entered(before);
    assert_eq!((entered.template, entered.digest), (before, now.digest));
    assert_eq!((read_by(&entered), config(&entered).body.key.name.as_str()), (json!("cfg"), "cfg"));
    assert_eq!(Arc::clone(&now).as_entered(now.template), now);
}

#[test]
fn what_stands_reads_its_configuration_by_the_name_that_stands() {
    let release = release(CONFIG);
    let mut template = release.cloneset.value.open()["spec"]["template"].clone();
    template["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"] = "cfg".into();
    let standing = release.with_template(&template).unwrap();
    assert_eq!(standing.cloneset.value.open()["spec"]["template"], template);
    assert_eq!(config(&standing).body.key.name.as_str(), "cfg");
    template["spec"]["containers"][0].as_object_mut().unwrap().remove("envFrom");
    let before = release.with_template(&template).unwrap();
    assert!(before.companions.iter().all(|it| it.body.key.kind != Kind::ConfigMap), "no pod reads it yet");
}

#[test]
fn both_names_are_named_so_that_neither_is_pruned_and_nobody_else_can_have_them() {
    let checkout = text(CONFIG);
    let named = read(&[("releases/shop/checkout.yaml", &checkout)]).named;
    let names: Vec<&str> =
        named.iter().filter(|it| it.kind == Kind::ConfigMap).map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["cfg", GREEN]);
    let cart = edited(&[]).replace("checkout", "cart");
    let both = |config: &str| {
        wrong(&[
            ("releases/shop/cart.yaml", &format!("{cart}{config}")),
            ("releases/shop/checkout.yaml", &checkout),
        ])
    };
    assert!(both(&CONFIG.replace("green", "red")).contains("ConfigMap shop/cfg stands here and in"));
    assert!(
        both(&CONFIG.replace("cfg", GREEN)).contains(&format!("ConfigMap shop/{GREEN} stands here and in"))
    );
    assert_eq!(both(""), "");
}

#[test]
fn a_mistake_in_what_the_hash_is_added_to_is_told_and_no_more() {
    for annotations in ["[]", "5", "text"] {
        let broken = CONFIG.replace("name: cfg }", &format!("name: cfg, annotations: {annotations} }}"));
        let told = wrong(&[("releases/shop/checkout.yaml", &text(&broken))]);
        assert!(told.contains("`metadata.annotations` must be a map of text"), "{told}");
    }
}
