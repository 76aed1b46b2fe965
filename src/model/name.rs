//! Names of Kubernetes objects and of releases: parsed once, never a bare string again. Clones share their text: a
//! name stands in many maps.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest DNS-1123 label (Kubernetes, "Object Names and IDs").
const LABEL_MAX: usize = 63;
/// Longest DNS-1123 subdomain (Kubernetes, "Object Names and IDs").
const SUBDOMAIN_MAX: usize = 253;

/// A name that Kubernetes would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", sentence(.name, .why))]
pub struct InvalidName {
    name: String,
    why: &'static str,
}

/// Characters of a name that a message repeats.
const SHOWN: usize = 60;

/// What is wrong. Nothing of the name is repeated that a terminal obeys.
fn sentence(name: &str, why: &str) -> String {
    if name.is_empty() {
        return why.to_owned();
    }
    let visible = |c: char| if c.is_alphanumeric() || c.is_ascii_graphic() { c } else { '\u{fffd}' };
    let shown: String = name.chars().take(SHOWN).map(visible).collect();
    let rest = if name.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("`{shown}{rest}` is not a valid name: {why}")
}

fn check(name: &str, max: usize, dots: bool) -> Result<(), InvalidName> {
    let invalid = |why| Err(InvalidName { name: name.chars().take(SUBDOMAIN_MAX).collect(), why });
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.is_empty() {
        return invalid("the name is empty");
    }
    if name.len() > max {
        return invalid("it is too long");
    }
    if !name.chars().all(|c| plain(c) || c == '-' || (dots && c == '.')) {
        return invalid("only lower-case letters, digits and `-` are allowed");
    }
    let ends_well = |part: &str| part.starts_with(plain) && part.ends_with(plain);
    if !name.split('.').all(ends_well) {
        return invalid("it must begin and end with a letter or a digit");
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $max:expr, $dots:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                check(name, $max, $dots)?;
                Ok(Self(name.into()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// A namespace: a DNS-1123 label.
    Namespace,
    LABEL_MAX,
    false
);
name_type!(
    /// The name of an object: a DNS-1123 subdomain.
    Name,
    SUBDOMAIN_MAX,
    true
);

/// Names a release: its namespace and name, within one root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseId {
    /// Where everything of the release lives.
    pub namespace: Namespace,
    /// Name of the Release and of its CloneSet.
    pub name: Name,
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ReleaseId {
    type Err = InvalidName;

    /// Parses `namespace/name`.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some((namespace, name)) = text.split_once('/') else {
            return Err(InvalidName { name: text.to_owned(), why: "write it as NAMESPACE/NAME" });
        };
        Ok(Self { namespace: namespace.parse()?, name: name.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kubernetes_accepts() {
        for good in ["a", "shop", "a-b", "x1"] {
            assert!(good.parse::<Namespace>().is_ok(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a.b", "a_b", "../x", &"a".repeat(64)] {
            assert!(bad.parse::<Namespace>().is_err(), "{bad}");
        }
        assert!("a.b".parse::<Name>().is_ok());
        assert!("a..b".parse::<Name>().is_err());
        assert_eq!("shop/checkout".parse::<ReleaseId>().unwrap().to_string(), "shop/checkout");
        assert!("checkout".parse::<ReleaseId>().is_err());
    }
}
