//! Documents in the record: compressed, within a size, and believed only if they hash to their digest.

use std::io::{Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::model::Digest;
use crate::objects::record::DOCUMENTS_MAX;
use crate::spec::Release;

/// Largest documents that are unpacked, in bytes: far above any release, far below what would hurt.
const UNPACKED_MAX: u64 = 16 * 1024 * 1024;

/// Packs documents; `None` where they are too large to keep.
#[must_use]
pub fn pack(documents: &[u8]) -> Option<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let packed = encoder.write_all(documents).and_then(|()| encoder.finish()).ok()?;
    let text = STANDARD.encode(packed);
    (text.len() <= DOCUMENTS_MAX).then_some(text)
}

/// Unpacks documents and reads the release; `None` where they are not what `digest` names.
#[must_use]
pub fn unpack(text: &str, digest: Digest) -> Option<Arc<Release>> {
    let packed = STANDARD.decode(text).ok()?;
    let mut documents = Vec::new();
    GzDecoder::new(packed.as_slice()).take(UNPACKED_MAX).read_to_end(&mut documents).ok()?;
    if Digest::of(&documents) != digest {
        return None;
    }
    Release::from_documents(&documents, digest).ok().map(Arc::new)
}
