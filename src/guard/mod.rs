//! The second pair of eyes: checks every plan against the invariants, sharing no code with `plan`.
