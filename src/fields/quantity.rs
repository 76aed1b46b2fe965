//! Quantities of resources, equal by value: Kubernetes rewrites `1000m` as `1` and `1024Mi` as `1Gi`.
//!
//! Grammar: `k8s.io/apimachinery/pkg/api/resource/quantity.go`.

use serde_json::Value;

/// A decimal number: `digits` × 10^`exponent`, the digits without trailing zeros.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    fn new(mut digits: i128, mut exponent: i32) -> Self {
        if digits == 0 {
            return Self { digits: 0, exponent: 0 };
        }
        while digits % 10 == 0 {
            digits /= 10;
            exponent += 1;
        }
        Self { digits, exponent }
    }
}

/// Factor of a suffix: a multiplier and a power of ten.
fn suffix(text: &str) -> Option<(i128, i32)> {
    Some(match text {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        other => (1, other.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

fn parse(text: &str) -> Option<Decimal> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '-' | '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (multiplier, power) = suffix(unit)?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{decimals}").parse().ok()?;
    let exponent = power.checked_sub(i32::try_from(decimals.len()).ok()?)?;
    Some(Decimal::new(digits.checked_mul(multiplier)?, exponent))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether two values are the same quantity; false where one of them is none.
#[must_use]
pub fn same_quantity(a: &Value, b: &Value) -> bool {
    let read = |value| text(value).as_deref().and_then(parse);
    matches!((read(a), read(b)), (Some(a), Some(b)) if a == b)
}

/// Whether `field` below `parent` is a quantity in the kinds that we apply (core/v1, autoscaling/v2).
#[must_use]
pub fn is_quantity(parent: &str, field: &str) -> bool {
    matches!(parent, "limits" | "requests" | "capacity" | "overhead")
        || matches!(field, "sizeLimit" | "divisor" | "averageValue")
        || (parent == "target" && field == "value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_amount_in_other_words_is_the_same() {
        for (a, b) in [
            (json!("1000m"), json!("1")),
            (json!("1024Mi"), json!("1Gi")),
            (json!(1), json!("1")),
            (json!("0.5"), json!("500m")),
            (json!("1.5Gi"), json!("1536Mi")),
            (json!("1e3"), json!("1k")),
            (json!("0"), json!("0Mi")),
            (json!(0.1), json!("100m")),
        ] {
            assert!(same_quantity(&a, &b), "{a} {b}");
        }
    }

    #[test]
    fn other_amounts_and_other_text_are_not() {
        for (a, b) in [
            (json!("1"), json!("2")),
            (json!("1G"), json!("1Gi")),
            (json!("1x"), json!("1x")),
            (json!("--1"), json!("--1")),
            (json!(null), json!(null)),
            (json!("9e99999999999"), json!("1")),
        ] {
            assert!(!same_quantity(&a, &b), "{a} {b}");
        }
    }
}
