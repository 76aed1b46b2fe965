//! Owned field paths, comparison as field changes, fingerprints. Fields we do not own are invisible.

pub mod change;

pub use change::FieldChange;
