//! Resource quantities in the canonical form in which the API gives them back (apimachinery `pkg/api/resource`).

/// Decimal suffixes with their power of ten.
const DECIMAL: [(&str, i32); 10] =
    [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0), ("m", -3), ("u", -6), ("n", -9)];
/// Binary suffixes with their power of 1024.
const BINARY: [(&str, u32); 6] = [("Ei", 6), ("Pi", 5), ("Ti", 4), ("Gi", 3), ("Mi", 2), ("Ki", 1)];
/// Quantities are exact to a billionth.
const NANO: i128 = 1_000_000_000;

/// The canonical form: `1000m` is `1`, `1024Mi` is `1Gi`, `1.5Gi` is `1536Mi`. Text that is no quantity, or has an
/// exponent, stays as it is.
#[must_use]
pub fn canonical(text: &str) -> String {
    let binary = BINARY.iter().find_map(|(suffix, power)| Some((text.strip_suffix(suffix)?, *power)));
    if let Some((number, power)) = binary {
        let value = nanos(number).and_then(|nanos| nanos.checked_mul(1024_i128.pow(power)));
        return value.map_or_else(|| text.to_owned(), in_binary);
    }
    let (number, power) = DECIMAL
        .iter()
        .filter(|(suffix, _)| !suffix.is_empty())
        .find_map(|(suffix, power)| Some((text.strip_suffix(suffix)?, *power)))
        .unwrap_or((text, 0));
    let value = nanos(number).and_then(|nanos| match power {
        0.. => nanos.checked_mul(10_i128.pow(power.unsigned_abs())),
        _small => Some(nanos / 10_i128.pow(power.unsigned_abs())),
    });
    value.map_or_else(|| text.to_owned(), in_decimal)
}

/// Billionths of a decimal number without exponent.
fn nanos(number: &str) -> Option<i128> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !plain(whole) || !plain(part) || part.len() > 9 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: i128 = format!("{part:0<9}").parse().ok()?;
    whole.checked_mul(NANO)?.checked_add(part).map(|value| sign * value)
}

fn in_decimal(value: i128) -> String {
    if value == 0 {
        return "0".to_owned();
    }
    let fits = |power: i32| value % 10_i128.pow((power + 9).unsigned_abs()) == 0;
    let (suffix, power) = DECIMAL.iter().find(|(_, power)| fits(*power)).unwrap_or(&DECIMAL[9]);
    format!("{}{suffix}", value / 10_i128.pow((power + 9).unsigned_abs()))
}

fn in_binary(value: i128) -> String {
    if value.abs() < 1024 * NANO || value % NANO != 0 {
        return in_decimal(value);
    }
    let whole = value / NANO;
    let fits = BINARY.iter().find(|(_, power)| whole % 1024_i128.pow(*power) == 0);
    fits.map_or_else(
        || whole.to_string(),
        |(suffix, power)| format!("{}{suffix}", whole / 1024_i128.pow(*power)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_given_back_in_their_shortest_exact_form() {
        let pairs = [
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5", "500m"),
            ("100000", "100k"),
            ("1024", "1024"),
            ("250m", "250m"),
            ("0.5Ki", "512"),
            ("0", "0"),
            ("1e3", "1e3"),
            ("lots", "lots"),
        ];
        for (given, canonical_form) in pairs {
            assert_eq!(canonical(given), canonical_form, "{given}");
        }
    }
}
