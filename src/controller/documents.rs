//! Documents of releases that memory names: from what is desired, from the record, from Git's history.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::cluster::SeenRecord;
use crate::model::{Digest, ReleaseId};
use crate::objects::record::DOCUMENTS_MAX;
use crate::spec::Release;

/// Largest documents that are unpacked, in bytes: a hundred times what a large release has, far below a bomb.
const UNPACKED_MAX: u64 = 8 * 1024 * 1024;

/// Documents as the record keeps them; `None` where they are too large for it.
#[must_use]
pub fn pack(documents: &[u8]) -> Option<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(documents).ok()?;
    let text = STANDARD.encode(encoder.finish().ok()?);
    (text.len() <= DOCUMENTS_MAX).then_some(text)
}

/// The release that a record keeps, if its bytes hash to `digest`.
#[must_use]
pub fn unpack(text: &str, digest: Digest) -> Option<Release> {
    let packed = STANDARD.decode(text).ok()?;
    let mut documents = Vec::new();
    GzDecoder::new(packed.as_slice()).take(UNPACKED_MAX).read_to_end(&mut documents).ok()?;
    Release::from_documents(&documents, digest).ok()
}

/// The release that a record keeps under `digest`.
#[must_use]
pub fn recorded(record: &SeenRecord, digest: Digest) -> Option<Release> {
    let texts = [&record.documents.entered, &record.documents.proven];
    texts.into_iter().flatten().find_map(|text| unpack(text, digest))
}

/// The releases at hand, by digest; and their packed form, once it was asked for.
#[derive(Default)]
pub struct Shelf {
    releases: BTreeMap<Digest, Arc<Release>>,
    /// A release's documents name it: no two releases share a digest.
    digests: BTreeMap<ReleaseId, BTreeSet<Digest>>,
    packed: BTreeMap<Digest, Option<Arc<str>>>,
}

impl Shelf {
    /// Puts a release there.
    pub fn put(&mut self, release: &Arc<Release>) {
        if self.releases.contains_key(&release.digest) {
            return;
        }
        self.releases.insert(release.digest, Arc::clone(release));
        self.digests.entry(release.id.clone()).or_default().insert(release.digest);
    }

    /// A release.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<&Arc<Release>> {
        self.releases.get(digest)
    }

    /// A release as the record keeps it; `None` where it is not at hand or too large.
    pub fn packed(&mut self, digest: &Digest) -> Option<Arc<str>> {
        let release = self.releases.get(digest)?;
        let packed = self.packed.entry(*digest).or_insert_with(|| pack(&release.documents).map(Arc::from));
        packed.clone()
    }

    /// Of one release, keeps what is named, and no more.
    pub fn retain(&mut self, id: &ReleaseId, is_named: impl Fn(&Digest) -> bool) {
        let Some(digests) = self.digests.get_mut(id) else { return };
        let (releases, packed) = (&mut self.releases, &mut self.packed);
        digests.retain(|digest| {
            let kept = is_named(digest);
            if !kept {
                releases.remove(digest);
                packed.remove(digest);
            }
            kept
        });
        if digests.is_empty() {
            self.digests.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_for_the_record_is_left_out() {
        let mut seed = 1u64;
        let noise = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u8
        };
        let large: Vec<u8> = (0..DOCUMENTS_MAX).map(noise).collect();
        assert_eq!(pack(&large), None);
        assert!(pack(&vec![b'a'; DOCUMENTS_MAX]).is_some());
    }

    #[test]
    fn a_record_that_was_edited_gives_no_release() {
        let text = pack(b"[]").unwrap();
        assert!(unpack(&text, Digest::of(b"other")).is_none());
        assert!(unpack("not base64", Digest::of(b"[]")).is_none());
        assert!(unpack(&STANDARD.encode(b"not gzip"), Digest::of(b"[]")).is_none());
    }
}
