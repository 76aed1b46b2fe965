//! The words that every other room uses: validated names, counts and percentages with Kruise's rounding, commit
//! ids, digests, holds.
