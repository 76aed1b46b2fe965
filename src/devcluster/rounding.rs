//! Counts and percentages as Kruise 1.8.3 reads and rounds them.
//!
//! On purpose not the arithmetic of our own planner: where the two disagree, a test must see it. A partition is
//! read by `CalculatePartitionReplicas`, which knows decimals; maxUnavailable and maxSurge by a deprecated function
//! of apimachinery, which does not.

use serde_json::Value;

/// An `intstr.IntOrString`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntOrString {
    /// A count of pods.
    Int(i64),
    /// Meant as a percentage; not checked.
    Text(String),
}

impl IntOrString {
    /// Reads a JSON number or string; anything else is absent.
    #[must_use]
    pub fn read(value: Option<&Value>) -> Option<IntOrString> {
        match value? {
            Value::Number(number) => number.as_i64().map(IntOrString::Int),
            Value::String(text) => Some(IntOrString::Text(text.clone())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The value as text, as Go's `String()` gives it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::Text(text) => text.clone(),
        }
    }

    /// The value as Go's `%#v` prints it, which webhook messages do.
    #[must_use]
    pub fn go_syntax(&self) -> String {
        let (kind, number, text) = match self {
            IntOrString::Int(number) => (0, *number, ""),
            IntOrString::Text(text) => (1, 0, text.as_str()),
        };
        format!("intstr.IntOrString{{Type:{kind}, IntVal:{number}, StrVal:{text:?}}}")
    }
}

/// Pods that stay on the old revision, of `replicas` (`pkg/util/tools.go:CalculatePartitionReplicas`). Rounded up;
/// a percentage below 100 lets at least one of several pods go. Absent is 0.
///
/// # Errors
/// The text of the Go error, for the webhook's message.
pub fn partition_pods(partition: Option<&IntOrString>, replicas: i64) -> Result<i64, String> {
    let Some(partition) = partition else { return Ok(0) };
    let pods = scaled_with_decimals(partition, replicas)?;
    let all_but_not_meant = match partition {
        IntOrString::Text(text) => replicas > 1 && pods == replicas && text != "100%",
        IntOrString::Int(_) => false,
    };
    let pods = if all_but_not_meant { replicas - 1 } else { pods };
    Ok(pods.min(replicas).max(0))
}

/// A partition before it is clamped: what the webhook compares with 0.
///
/// # Errors
/// The text of the Go error.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "pods are few")]
pub fn scaled_with_decimals(value: &IntOrString, total: i64) -> Result<i64, String> {
    let text = match value {
        IntOrString::Int(number) => return Ok(*number),
        IntOrString::Text(text) => text,
    };
    let not_a_percentage = || "invalid type: string is not a percentage".to_owned();
    let percent: f64 =
        text.strip_suffix('%').ok_or_else(not_a_percentage)?.parse().map_err(|_error| {
            format!("invalid value {text:?}: strconv.ParseFloat: parsing: invalid syntax")
        })?;
    Ok((percent * total as f64 / 100.0).ceil() as i64)
}

/// The deprecated `intstr.GetValueFromIntOrPercent`: whole percentages only, and a string without `%` is one too.
///
/// # Errors
/// The text of the Go error. The controller takes 0 then.
pub fn scaled_whole(value: &IntOrString, total: i64, round_up: bool) -> Result<i64, String> {
    let text = match value {
        IntOrString::Int(number) => return Ok(*number),
        IntOrString::Text(text) => text,
    };
    let number = text.replace('%', "");
    let percent: i64 = number.parse().map_err(|_error| {
        format!(
            "invalid value for IntOrString: invalid value {text:?}: strconv.Atoi: parsing {number:?}: invalid syntax"
        )
    })?;
    let share = percent * total;
    Ok(if round_up { (share + 99).div_euclid(100) } else { share.div_euclid(100) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> IntOrString {
        IntOrString::Text(value.to_owned())
    }

    #[test]
    fn partitions_round_as_the_recorded_table() {
        let percents = ["100%", "99%", "90%", "75%", "50%", "25%", "10%", "1%", "0%"];
        let table: [(i64, [i64; 9]); 9] = [
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
        for (replicas, updated) in table {
            for (percent, updated) in percents.iter().zip(updated) {
                let partition = text(percent);
                let kept = partition_pods(Some(&partition), replicas).unwrap();
                assert_eq!(replicas - kept, updated, "{percent} of {replicas}");
            }
        }
    }

    #[test]
    fn partitions_know_decimals_and_are_clamped() {
        assert_eq!(partition_pods(Some(&text("12.5%")), 16), Ok(2));
        assert_eq!(partition_pods(Some(&text("99.5%")), 16), Ok(15));
        assert_eq!(partition_pods(Some(&text("120%")), 10), Ok(10));
        assert_eq!(partition_pods(Some(&IntOrString::Int(50)), 10), Ok(10));
        assert_eq!(partition_pods(None, 10), Ok(0));
        assert!(partition_pods(Some(&text("5")), 10).is_err());
    }

    #[test]
    fn max_unavailable_and_surge_know_whole_percentages_only() {
        assert_eq!(scaled_whole(&text("20%"), 4, true), Ok(1));
        assert_eq!(scaled_whole(&text("20%"), 4, false), Ok(0));
        assert_eq!(scaled_whole(&text("5"), 100, true), Ok(5), "a bare 5 means 5 %");
        assert_eq!(
            scaled_whole(&text("12.5%"), 8, true).unwrap_err(),
            r#"invalid value for IntOrString: invalid value "12.5%": strconv.Atoi: parsing "12.5": invalid syntax"#
        );
    }
}
