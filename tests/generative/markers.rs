//! Markers: what their paths permit, and what stands in them.

use proptest::prelude::*;
use triton::spec::marker::REASON_MAX;
use triton::spec::{MarkerPath, Permission, Place, place, read_marker};

use crate::generative::{any_text, config, corpus, is_a_line};

/// What is asked of every path.
fn check_path(root: &str, path: &str) -> Result<(), TestCaseError> {
    match place(root, path) {
        Place::Marker(MarkerPath { release, digest, permits }) => {
            // A path that is a marker is one of the paths that are written for it.
            let what = match permits {
                Permission::Step(step) => step.to_string(),
                Permission::Serve(step) => format!("serve-{step}"),
                Permission::Skip => "skip".to_owned(),
            };
            let top = if root.is_empty() { String::new() } else { format!("{root}/") };
            let written = format!("{top}approvals/{}/{}/{digest}/{what}.", release.namespace, release.name);
            prop_assert!(path.starts_with(&written) && path.ends_with(".yaml"), "{path:?}");
            prop_assert!(permits != Permission::Step(0) && digest.len() == 32);
        }
        Place::Removal(commit) => {
            let written = format!("approvals/removal/{commit}.yaml");
            prop_assert!(path.ends_with(&written));
        }
        Place::Malformed { reason, .. } => {
            prop_assert!(is_a_line(&reason) && !reason.is_empty(), "{path:?}: {reason:?}");
        }
        Place::NestedRoot(folder) | Place::Freeze(folder) => prop_assert!(path.starts_with(&folder)),
        Place::Repository => prop_assert!(path.ends_with("triton.yaml")),
        Place::Release => prop_assert!(path.contains("releases/")),
        Place::Other => {}
    }
    Ok(())
}

/// What is asked of a marker's content.
fn check_content(bytes: &[u8]) -> Result<(), TestCaseError> {
    match read_marker(bytes, false) {
        Ok(Some(reason)) => {
            prop_assert!(!reason.is_empty() && is_a_line(&reason), "{reason:?}");
            prop_assert!(reason.chars().count() <= REASON_MAX);
            prop_assert_eq!(read_marker(bytes, true), Ok(Some(reason)));
        }
        Ok(None) => prop_assert!(read_marker(bytes, true).is_err(), "a skip says why"),
        Err(why) => prop_assert!(is_a_line(&why) && !why.is_empty(), "{why:?}"),
    }
    Ok(())
}

/// Paths that are almost those of markers.
fn path() -> impl Strategy<Value = String> {
    let digest = prop_oneof!["[0-9a-f]{32}", "[0-9A-F]{30,34}", Just("0123456789ab".to_owned())];
    let name = prop_oneof![
        "[0-9]{1,11}\\.[a-z]{0,4}\\.ya?ml",
        "skip\\.[a-z]{0,3}\\.yaml",
        "[0-9-]{0,3}\\.yaml",
        any_text().prop_map(|text| format!("{text}.yaml")),
    ];
    let part = || prop_oneof![4 => "[a-z][a-z0-9-]{0,8}", 1 => any_text()];
    prop_oneof![
        4 => (part(), part(), digest, name).prop_map(|(a, b, c, d)| format!("approvals/{a}/{b}/{c}/{d}")),
        1 => "[0-9a-f]{39,41}".prop_map(|commit| format!("approvals/removal/{commit}.yaml")),
        1 => (part(), part()).prop_map(|(a, b)| format!("{a}/releases/{b}/triton.yaml")),
        1 => any_text(),
    ]
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn every_path_means_one_thing(path in path(), below in any::<bool>()) {
        check_path("", &path)?;
        let path = if below { format!("env/prod/{path}") } else { path };
        check_path("env/prod", &path)?;
    }

    #[test]
    fn a_marker_is_read_back_from_its_path(
        names in ("[a-z]([a-z0-9-]{0,20}[a-z0-9])?", "[a-z]([a-z0-9-]{0,20}[a-z0-9])?"),
        digest in "[0-9a-f]{32}",
        step in prop::option::of(1..=1_000_000_u32),
        word in "[a-z0-9]{1,8}(\\.[a-z0-9]{1,3})?",
    ) {
        let release = format!("{}/{}", names.0, names.1);
        let (permits, what) = match step {
            Some(step) => (Permission::Step(step), step.to_string()),
            None => (Permission::Skip, "skip".to_owned()),
        };
        let path = format!("approvals/{release}/{digest}/{what}.{word}.yaml");
        let expected = MarkerPath { release: release.parse().unwrap(), digest, permits };
        prop_assert_eq!(place("", &path), Place::Marker(expected));
    }

    #[test]
    fn what_stands_in_a_marker_is_a_reason_or_told(text in any_text(), quoted in any::<bool>()) {
        check_content(text.as_bytes())?;
        let written = if quoted { serde_json::Value::from(text).to_string() } else { text };
        check_content(format!("reason: {written}\n").as_bytes())?;
    }

    #[test]
    fn any_bytes_in_a_marker_are_a_reason_or_told(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        check_content(&bytes)?;
    }
}

#[test]
fn the_kept_markers_are_read_or_told() {
    for (name, bytes) in corpus("markers") {
        check_content(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, bytes) in corpus("paths") {
        let path = String::from_utf8_lossy(&bytes);
        check_path("", &path).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
