//! The steps of the recorded vectors in which the embedded cluster differs on purpose, each with its reason.

/// Steps of a case that differ.
pub struct Exclusion {
    /// The case.
    pub case: &'static str,
    /// Its steps, from 0.
    pub steps: &'static [usize],
    /// Why.
    pub reason: &'static str,
}

/// All of them.
pub const EXCLUSIONS: &[Exclusion] = &[];
