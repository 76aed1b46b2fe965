//! The README says what is so.

const README: &str = include_str!("../README.md");

#[test]
fn the_readme_explains_every_hold() {
    let schema = schemars::schema_for!(triton::model::Gate);
    let gates: Vec<&str> = schema.as_value()["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["const"].as_str().unwrap())
        .collect();
    assert!(gates.len() >= 20, "{gates:?}");
    for gate in gates {
        assert!(README.contains(&format!("\n| `{gate}` |")), "the README does not explain `{gate}`");
    }
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets.filter(|target| !target.contains("://")) {
        assert!(top.join(target).exists(), "{target}");
    }
}
