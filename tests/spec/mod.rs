//! The release language, as its users write it.

mod bad_cloneset;
mod bad_companion;
mod bad_configuration;
mod bad_kind;
mod bad_release;
mod bad_strategy;
mod bad_template;
mod bad_yaml;
mod blue_green;
mod digest;
mod grouping;
mod stability;
mod versioned;
mod matches;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;

use triton::spec::{Assembled, Diagnostic, Release, assemble, parse_file, parse_repository};

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

/// Everything that is wrong with a tree of files, as a terminal shows it.
pub fn wrong(files: &[(&str, &str)]) -> String {
    let read = read(files);
    for (id, checked) in &read.releases {
        let Err(errors) = checked else { continue };
        assert!(!errors.is_empty(), "{id} is wrong, and nobody says why");
        for error in errors.iter() {
            assert!(read.diagnostics.contains(error), "{id}: {error}");
        }
    }
    render(&read.diagnostics)
}

/// Diagnostics as a terminal shows them.
pub fn render(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n")
}

/// Diagnostics as a log has them: a line each.
pub fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// [`CHECKOUT`] with some of its text changed.
pub fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(CHECKOUT.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "nothing to edit: {from}");
        text.replacen(from, to, 1)
    })
}

/// Everything that is wrong with [`CHECKOUT`] once some of its text is changed.
pub fn wrong_after(edits: &[(&str, &str)]) -> String {
    wrong(&[("releases/shop/checkout.yaml", &edited(edits))])
}
