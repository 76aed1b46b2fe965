//! The release language, as its users write it.

mod digest;

use std::collections::BTreeMap;
use std::sync::Arc;

use triton::spec::{Assembled, Release, assemble, parse_file, parse_repository};

/// A release with everything that matters to a digest.
pub const CHECKOUT: &str = include_str!("checkout.yaml");

/// Reads a tree of files; `triton.yaml` is the repository's.
pub fn read(files: &[(&str, &str)]) -> Assembled {
    let repository = files.iter().find(|(path, _)| *path == "triton.yaml");
    let repository = repository.map(|(_, text)| parse_repository(text.as_bytes())).unwrap_or_default();
    let releases = files.iter().filter(|(path, _)| *path != "triton.yaml");
    let parsed: BTreeMap<_, _> =
        releases.map(|(path, text)| ((*path).to_owned(), Arc::new(parse_file(text.as_bytes())))).collect();
    let mut out = assemble(&parsed, &repository);
    out.diagnostics.extend(repository.diagnostics("triton.yaml"));
    out
}

/// Reads a tree of files with one release that is right.
pub fn one(files: &[(&str, &str)]) -> Arc<Release> {
    let read = read(files);
    let (_, checked) = read.releases.first_key_value().expect("a release");
    match checked {
        Ok(release) => Arc::clone(release),
        Err(errors) => panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}
