//! Files → releases.

use std::hint::black_box;

use triton::spec::{RepositoryFile, assemble, parse_file};

use crate::files::{FIRST, RELEASES, parsed, text};
use crate::measure::{line, rounds};

/// Measures reading release files.
pub fn run() {
    let texts: Vec<String> = (0..RELEASES).map(|index| text(index, FIRST)).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    println!("{RELEASES} release files of {} bytes", bytes / RELEASES);
    let all = rounds(|| {
        for text in &texts {
            black_box(parse_file(text.as_bytes()));
        }
    });
    line("parse all", all, Some(2_000));
    let files = parsed(0..RELEASES, FIRST);
    let assembled = rounds(|| drop(black_box(assemble(&files, &RepositoryFile::default()))));
    line("assemble and digest all", assembled, None);
}
