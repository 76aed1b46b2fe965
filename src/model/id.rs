//! Ids: of commits, of releases' contents, of objects in the cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Text that is not the hexadecimal id it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} hexadecimal digits")]
pub struct InvalidId {
    digits: usize,
}

fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], InvalidId> {
    let invalid = InvalidId { digits: 2 * N };
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err(invalid);
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| invalid.clone())?;
    }
    Ok(bytes)
}

/// Writes bytes as hexadecimal digits, two for each.
fn to_hex<'o>(bytes: &[u8], out: &'o mut [u8]) -> &'o str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(out).expect("digits are ASCII")
}

macro_rules! hex_type {
    ($(#[$doc:meta])* $type:ident, $bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type([u8; $bytes]);

        impl $type {
            /// Takes the raw bytes of an id.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The first `digits` hexadecimal digits.
            fn prefix(&self, digits: usize) -> String {
                to_hex(&self.0, &mut [0; 2 * $bytes])[..digits].to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(to_hex(&self.0, &mut [0; 2 * $bytes]))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($type), self.prefix(12))
            }
        }

        impl FromStr for $type {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                from_hex(text).map(Self)
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_type!(
    /// A commit (Git only).
    CommitId,
    20
);
hex_type!(
    /// The digest *D* of a release: SHA-256 of its documents. Approvals are given to a digest.
    Digest,
    32
);
hex_type!(
    /// *T*: SHA-256 of the pod template as written, in which each versioned ConfigMap has a name with its content's whole
    /// hash. Proof and failure belong to a template.
    TemplateHash,
    32
);

impl CommitId {
    /// Seven digits, as people see a commit.
    #[must_use]
    pub fn short(&self) -> String {
        self.prefix(7)
    }
}

impl Digest {
    /// Digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Thirty-two digits, as paths and JSON have them: twelve can be forged in minutes.
    #[must_use]
    pub fn long(&self) -> String {
        self.prefix(32)
    }

    /// Twelve digits, as people see a digest.
    #[must_use]
    pub fn short(&self) -> String {
        self.prefix(12)
    }

    /// Whether `text` names this digest: any prefix from twelve digits on.
    #[must_use]
    pub fn is_named_by(&self, text: &str) -> bool {
        text.len() >= 12 && self.to_string().starts_with(text)
    }
}

impl TemplateHash {
    /// Hash of a template's canonical bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

macro_rules! opaque_type {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            /// Wraps what the API server sent.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// As the API server sent it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

opaque_type!(
    /// The UID of an object in the cluster: another object under the same name has another one.
    Uid
);
opaque_type!(
    /// The resourceVersion of an object: opaque, compared for equality only.
    ResourceVersion
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_own_text() {
        let digest = Digest::of(b"release");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert_eq!((digest.short().len(), digest.long().len()), (12, 32));
        assert!("ABC".parse::<CommitId>().is_err());
        assert!("A".repeat(40).parse::<CommitId>().is_err(), "ids are lower case");
    }

    #[test]
    fn a_digest_is_named_by_twelve_digits_or_more() {
        let digest = Digest::of(b"release");
        let text = digest.to_string();
        assert!(digest.is_named_by(&text[..12]) && digest.is_named_by(&text));
        assert!(!digest.is_named_by(&text[..11]));
        assert!(!digest.is_named_by(&Digest::of(b"other").short()));
    }
}
