//! Identifiers that a real cluster draws at random, here from a seed: equal seeds give equal clusters.

/// Letters that Kubernetes uses for generated names: no vowels and nothing that looks like another letter.
const NAME_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A generator of uids and name suffixes (SplitMix64). Not for secrets.
#[derive(Clone, Debug)]
pub struct Ids {
    state: u64,
}

impl Ids {
    /// A generator that gives the same ids for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Ids {
        Ids { state: seed }
    }

    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uid in the form of a version 4 UUID.
    pub fn uid(&mut self) -> String {
        let (a, b) = (self.number(), self.number());
        let version = (a & 0xffff_ffff_ffff_0fff) | 0x4000;
        let variant = (b & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        let (high, low) = (format!("{version:016x}"), format!("{variant:016x}"));
        format!("{}-{}-{}-{}-{}", &high[..8], &high[8..12], &high[12..], &low[..4], &low[4..])
    }

    /// `length` letters as `generateName` appends them (Kubernetes appends five).
    pub fn suffix(&mut self, length: usize) -> String {
        let count = NAME_LETTERS.len() as u64;
        let letter = |ids: &mut Ids| char::from(NAME_LETTERS[(ids.number() % count) as usize]);
        (0..length).map(|_| letter(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_ids_and_no_id_comes_twice() {
        let (mut one, mut two) = (Ids::seeded(7), Ids::seeded(7));
        let first = one.uid();
        assert_eq!(first, two.uid());
        assert_ne!(first, one.uid());
        assert_eq!(first.len(), 36);
        assert_eq!(&first[14..15], "4");
        assert_eq!(one.suffix(5).len(), 5);
    }
}
