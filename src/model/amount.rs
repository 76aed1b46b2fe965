//! Counts and percentages of pods, with Kruise's rounding.
//!
//! A partition is the number of pods that stay on the **old** revision. The rounding is that of
//! `CalculatePartitionReplicas` (Kruise, `pkg/util/tools.go`), so that the pods we announce are the pods that move.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most decimals of a percentage: 99.999 % is still one pod of 100,000.
const DECIMALS: usize = 3;
/// Thousandths of a percent in one percent.
const UNIT: u32 = 1_000;

/// A percentage from 0 to 100, in steps of a thousandth of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// 0 %.
    pub const ZERO: Self = Self(0);
    /// 100 %.
    pub const FULL: Self = Self(100 * UNIT);

    /// A whole percentage; `None` above 100.
    #[must_use]
    pub const fn whole(percent: u32) -> Option<Self> {
        if percent <= 100 { Some(Self(percent * UNIT)) } else { None }
    }

    /// The percentage as a number; `None` for one with decimals.
    #[must_use]
    pub const fn as_whole(self) -> Option<u32> {
        if self.0.is_multiple_of(UNIT) { Some(self.0 / UNIT) } else { None }
    }

    /// What is left to 100 %.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(100 * UNIT - self.0)
    }

    /// This share of `replicas`, rounded up as Kruise does it: in floating point.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `replicas`")]
    fn of_rounded_up(self, replicas: u32) -> u32 {
        let value = f64::from(self.0) / f64::from(UNIT);
        ((value * f64::from(replicas) / 100.0).ceil() as u32).min(replicas)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / UNIT, self.0 % UNIT);
        if part == 0 {
            return write!(f, "{whole}%");
        }
        let decimals = format!("{part:03}");
        write!(f, "{whole}.{}%", decimals.trim_end_matches('0'))
    }
}

/// Text that is neither a count nor a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a count of pods nor a percentage from 0% to 100%")]
pub struct InvalidAmount(String);

impl FromStr for Percent {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let parse = || {
            let number = text.strip_suffix('%')?;
            let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
            let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
            let dot_without_decimals = number.ends_with('.');
            let long = whole.len() > 3 || decimals.len() > DECIMALS;
            if whole.is_empty() || long || dot_without_decimals || !digits(whole) || !digits(decimals) {
                return None;
            }
            let part: u32 = format!("{decimals:0<DECIMALS$}").parse().ok()?;
            let value = whole.parse::<u32>().ok()? * UNIT + part;
            (value <= Self::FULL.0).then_some(Self(value))
        };
        parse().ok_or_else(|| InvalidAmount(text.to_owned()))
    }
}

/// A number of pods: a count, or a share of the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So many pods.
    Count(u32),
    /// This share of the size.
    Percent(Percent),
}

impl Amount {
    /// Pods that a **partition** of this amount keeps on the old revision, at `replicas` pods in all
    /// (Kruise, `CalculatePartitionReplicas`): rounded up, but a share below 100 % always lets one pod go where
    /// there is more than one.
    #[must_use]
    pub fn partition_pods(self, replicas: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(replicas),
            Self::Percent(percent) => {
                let pods = percent.of_rounded_up(replicas);
                if replicas > 1 && pods == replicas && percent != Percent::FULL { replicas - 1 } else { pods }
            }
        }
    }

    /// Pods that a **step** of this amount puts on the new revision, at `replicas` pods in all: what Kruise makes
    /// of the partition that is left.
    #[must_use]
    pub fn step_pods(self, replicas: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(replicas),
            Self::Percent(Percent::ZERO) => 0,
            Self::Percent(percent) => replicas - Self::Percent(percent.rest()).partition_pods(replicas),
        }
    }

    /// Pods of this amount, at `replicas` pods in all; a share is rounded up or down (Kubernetes,
    /// `GetScaledValueFromIntOrPercent`). A count may be more than there are.
    #[must_use]
    pub fn scaled(self, replicas: u32, up: bool) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let (parts, whole) = (u64::from(percent.0) * u64::from(replicas), u64::from(100 * UNIT));
                let pods = if up { parts.div_ceil(whole) } else { parts / whole };
                u32::try_from(pods).unwrap_or(replicas)
            }
        }
    }

    /// The largest percentage that, as a partition at `replicas` pods, lets exactly `updated` pods be on the new
    /// revision; where none does, the one that lets most, but never more than `updated`.
    ///
    /// Whole percentages come first, then one, two and three decimals. Only `updated >= replicas` gives 0 %.
    #[must_use]
    pub fn partition_for(updated: u32, replicas: u32) -> Percent {
        if updated == 0 {
            return Percent::FULL;
        }
        if updated >= replicas {
            return Percent::ZERO;
        }
        let pods = |percent: Percent| replicas - Self::Percent(percent).partition_pods(replicas);
        for step in [UNIT, UNIT / 10, UNIT / 100, 1] {
            // Fewer pods with a larger partition: the first candidate at or above `updated` decides.
            let (mut low, mut high) = (0, 100 * UNIT / step - 1);
            while low < high {
                let middle = (low + high).div_ceil(2);
                if pods(Percent(middle * step)) >= updated { low = middle } else { high = middle - 1 }
            }
            if pods(Percent(low * step)) == updated {
                return Percent(low * step);
            }
        }
        let mut thousandths = 0;
        let mut above = 100 * UNIT;
        while thousandths < above {
            let middle = thousandths.midpoint(above);
            if pods(Percent(middle)) <= updated { above = middle } else { thousandths = middle + 1 }
        }
        Percent(above)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}"),
        }
    }
}

impl FromStr for Amount {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        if text.ends_with('%') {
            return text.parse().map(Self::Percent);
        }
        text.parse().map(Self::Count).map_err(|_| InvalidAmount(text.to_owned()))
    }
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(percent) => serializer.collect_str(percent),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Count(u32),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Count(count) => Ok(Self::Count(count)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn percent(text: &str) -> Percent {
        text.parse().unwrap()
    }

    #[test]
    fn a_share_is_rounded_as_it_is_asked_for() {
        let pods = |text: &str, up| text.parse::<Amount>().unwrap().scaled(9, up);
        assert_eq!((pods("20%", true), pods("20%", false), pods("100%", false)), (2, 1, 9));
        assert_eq!((pods("0%", true), pods("12", true)), (0, 12));
    }

    /// Recorded from Kruise 1.8.3: updated pods by replicas, for partitions 100 % to 0 %.
    #[test]
    fn a_partition_rounds_as_kruise_does() {
        let partitions = ["100%", "99%", "90%", "75%", "50%", "25%", "10%", "1%", "0%"];
        let recorded = [
            (1, [0, 0, 0, 0, 0, 0, 0, 0, 1]),
            (2, [0, 1, 1, 1, 1, 1, 1, 1, 2]),
            (3, [0, 1, 1, 1, 1, 2, 2, 2, 3]),
            (4, [0, 1, 1, 1, 2, 3, 3, 3, 4]),
            (5, [0, 1, 1, 1, 2, 3, 4, 4, 5]),
            (7, [0, 1, 1, 1, 3, 5, 6, 6, 7]),
            (10, [0, 1, 1, 2, 5, 7, 9, 9, 10]),
            (20, [0, 1, 2, 5, 10, 15, 18, 19, 20]),
            (100, [0, 1, 10, 25, 50, 75, 90, 99, 100]),
        ];
        for (replicas, updated) in recorded {
            for (partition, updated) in partitions.iter().zip(updated) {
                let kept = Amount::Percent(percent(partition)).partition_pods(replicas);
                assert_eq!(replicas - kept, updated, "{replicas} replicas at {partition}");
            }
        }
        assert_eq!(Amount::Percent(percent("12.5%")).partition_pods(16), 2);
        assert_eq!(Amount::Percent(percent("99.5%")).partition_pods(16), 15);
    }

    #[test]
    fn one_pod_is_99_percent_at_every_size_up_to_a_hundred() {
        for replicas in 2..=100 {
            assert_eq!(Amount::partition_for(1, replicas), percent("99%"), "{replicas} replicas");
        }
        assert_eq!(Amount::partition_for(1, 200), percent("99.9%"));
    }

    #[test]
    fn amounts_are_read_as_written() {
        for text in ["0", "7", "0%", "12.5%", "99.999%", "100%"] {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
        }
        for text in ["", "%", "-1", "101%", "1.%", ".5%", "1.2345%", "1e3%", "x", "4294967296"] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_partition_for_a_number_of_pods_never_lets_more_go(replicas in 1u32..3_000, share in 0.0f64..=1.0) {
            let updated = (f64::from(replicas) * share) as u32;
            let partition = Amount::partition_for(updated, replicas);
            let got = replicas - Amount::Percent(partition).partition_pods(replicas);
            prop_assert!(got <= updated);
            if replicas > 1 || updated != 0 {
                prop_assert_eq!(got, updated, "partition {}", partition);
            }
        }

        #[test]
        fn no_larger_whole_percentage_gives_the_same_pods(replicas in 2u32..200, updated in 1u32..199) {
            prop_assume!(updated < replicas);
            let partition = Amount::partition_for(updated, replicas);
            for larger in (0..=100).filter_map(Percent::whole).filter(|it| *it > partition) {
                let got = replicas - Amount::Percent(larger).partition_pods(replicas);
                prop_assert!(partition.to_string().contains('.') || got < updated);
            }
        }
    }
}
