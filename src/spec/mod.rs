//! The language of the repository: bytes → checked releases, approvals, freezes and diagnostics.
