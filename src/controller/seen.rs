//! The head that was seen last, in a file: for a daemon that observes, and has no lease to write it down on.

use std::io;
use std::path::Path;

use crate::model::CommitId;

/// The head that the file names; none where there is no file.
///
/// # Errors
///
/// Where the file cannot be read, or names no commit: taken for never seen, it would permit a branch that was
/// rewritten.
pub fn read(file: &Path) -> io::Result<Option<CommitId>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let malformed = |_| io::Error::new(io::ErrorKind::InvalidData, "it names no commit");
    text.trim().parse().map(Some).map_err(malformed)
}

/// Writes a head down, whole or not at all.
///
/// # Errors
///
/// Where the folder cannot be written.
pub fn write(file: &Path, head: CommitId) -> io::Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, format!("{head}\n"))?;
    std::fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_again_and_nonsense_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seen");
        assert_eq!(read(&file).unwrap(), None);
        for number in [1, 2] {
            let head = CommitId::from_bytes([number; 20]);
            write(&file, head).unwrap();
            assert_eq!(read(&file).unwrap(), Some(head));
        }
        std::fs::write(&file, "nonsense").unwrap();
        assert!(read(&file).is_err());
    }
}
