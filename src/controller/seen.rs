//! The head that was seen last and the time of the last poll, in a file: for a daemon that observes, and has no lease
//! to write them down on.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::cluster::Standing;
use crate::model::CommitId;

/// What the file says, a head and a time in a line each; nothing where there is no file.
///
/// # Errors
///
/// Where the file cannot be read, or names no commit: taken for never seen, it would permit a branch that was
/// rewritten.
pub fn read(file: &Path) -> io::Result<Standing> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::default()),
        Err(error) => return Err(error),
    };
    let mut lines = text.lines();
    let malformed = |_| io::Error::new(io::ErrorKind::InvalidData, "it names no commit");
    let head = lines.next().unwrap_or_default().trim().parse().map_err(malformed)?;
    let polled_at = lines.next().and_then(|line| line.trim().parse().ok());
    Ok(Standing { head: Some(head), polled_at, ..Standing::default() })
}

/// Writes a head down and when Git was asked for it, whole or not at all.
///
/// # Errors
///
/// Where the folder cannot be written.
pub fn write(file: &Path, head: CommitId, polled_at: Timestamp) -> io::Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, format!("{head}\n{polled_at}\n"))?;
    std::fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_again_and_nonsense_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seen");
        assert_eq!(read(&file).unwrap(), Standing::default());
        for number in [1, 2] {
            let (head, at) = (CommitId::from_bytes([number; 20]), Timestamp::UNIX_EPOCH);
            write(&file, head, at).unwrap();
            let found = read(&file).unwrap();
            assert_eq!((found.head, found.polled_at), (Some(head), Some(at)));
        }
        for text in ["nonsense", ""] {
            std::fs::write(&file, text).unwrap();
            assert!(read(&file).is_err());
        }
    }
}
