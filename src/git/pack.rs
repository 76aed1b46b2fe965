//! A pack on its way into the mirror: checked and indexed.

use std::io::Write;

use crate::git::budget::Budget;
use crate::git::error::Result;
use crate::git::repository::Repository;

/// Objects of one pack. 100,000 commits on 10,000 files are about a million; libgit2 reserves memory for the number
/// that the pack announces before it has seen one of them.
const OBJECTS_MAX: u32 = 20_000_000;
/// `PACK`, the version, the number of objects.
const HEADER: usize = 12;

/// Receives one pack. Until [`finish`](Self::finish) nothing of it can be read, and dropped early it leaves nothing
/// behind.
pub(crate) struct Receiver<'a> {
    indexer: git2::Indexer<'a>,
    header: Vec<u8>,
}

impl<'a> Receiver<'a> {
    /// Begins a pack in the store of `mirror`.
    pub(crate) fn new(mirror: &'a Repository, budget: &Budget) -> Result<Self> {
        let failed = |source: git2::Error| budget.protocol(source.message());
        let folder = mirror.inner().path().join("objects/pack");
        // Connectivity is checked by the mirror: libgit2's own check asks for the commits of submodules.
        let indexer = git2::Indexer::new(None, &folder, 0, false).map_err(failed)?;
        Ok(Self { indexer, header: Vec::with_capacity(HEADER) })
    }

    /// Takes the next bytes of the pack.
    pub(crate) fn write(&mut self, bytes: &[u8], budget: &Budget) -> Result<()> {
        if self.header.len() < HEADER {
            let missing = (HEADER - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..missing]);
            self.check_header(budget)?;
        }
        self.indexer.write_all(bytes).map_err(|error| budget.protocol(error.to_string()))
    }

    fn check_header(&self, budget: &Budget) -> Result<()> {
        let Some(count) = self.header.get(8..HEADER) else { return Ok(()) };
        let count = count.iter().fold(0, |count, &byte| count << 8 | u32::from(byte));
        if count > OBJECTS_MAX {
            return Err(budget.protocol(format!("a pack of {count} objects, more than {OBJECTS_MAX}")));
        }
        Ok(())
    }

    /// Checks the pack's own checksum, resolves its deltas, and makes its objects readable.
    pub(crate) fn finish(self, budget: &Budget) -> Result<()> {
        self.indexer.commit().map(|_| ()).map_err(|source| budget.protocol(source.message()))
    }
}
