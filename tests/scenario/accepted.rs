//! What the two grounds do not have in common, with the reason of each.

/// Scenarios that only the embedded cluster can play.
pub const EMBEDDED_ONLY: &[(&str, &str)] = &[(
    "h27-encoded-anew.yaml",
    "the API server refuses to change a ControllerRevision, and an upgraded Kruise is another program",
)];

/// Differences that are as they should be: file, what it is about, lines (`-` the embedded cluster's, `+` the real
/// one's), reason.
pub const ACCEPTED: &[(&str, &str, &[&str], &str)] = &[];
