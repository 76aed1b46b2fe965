//! `deploy/crd.yaml` is what the types say.

use std::path::Path;

use triton::objects::crd::custom_resource_definition;

/// Written again, instead of compared, where this is set.
const REGENERATE: &str = "TRITON_REGENERATE";

#[test]
fn deploy_crd_yaml_is_made_from_the_types_of_the_record() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/crd.yaml");
    let yaml = serde_saphyr::to_string(&custom_resource_definition()).expect("JSON becomes YAML");
    let text = format!(
        "# The record of Triton: kubectl apply -f deploy/crd.yaml\n\
         # Made from src/objects: {REGENERATE}=1 cargo test deploy_crd_yaml\n{yaml}"
    );
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&path, &text).expect("deploy/crd.yaml can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "deploy/crd.yaml is out of date: {REGENERATE}=1 cargo test deploy_crd_yaml");
}
