//! What a plain scalar means: the core schema of YAML 1.2, and nothing that YAML 1.1 reads differently.
//!
//! Tools of the Kubernetes world still read YAML 1.1, where `no` is false and `010` is eight. Text that is one thing
//! to them and another to us is refused.

use serde_json::Number;

use crate::spec::node::Tree;

/// Words that YAML 1.1 takes for true and false, in three spellings each.
const SWITCHES: [(&str, &str); 6] =
    [("y", "true"), ("yes", "true"), ("on", "true"), ("n", "false"), ("no", "false"), ("off", "false")];

/// A plain scalar that must not be written plainly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    /// What is wrong with it.
    pub message: String,
    /// How to write it.
    pub cure: String,
}

/// What the plain scalar `text` means.
///
/// # Errors
/// Where YAML 1.1 and 1.2 disagree about it, or JSON has no such number.
pub fn resolve(text: &str) -> Result<Tree, Ambiguous> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Tree::Null),
        "true" | "True" | "TRUE" => return Ok(Tree::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Tree::Bool(false)),
        _ => {}
    }
    if let Some((_, meaning)) = SWITCHES.iter().find(|(word, _)| is_spelled(text, word)) {
        let message = format!("`{text}` is {meaning} for YAML 1.1 and text for YAML 1.2");
        return Err(Ambiguous { message, cure: format!("write {meaning}, or \"{text}\" if text is meant") });
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Ok(Tree::Text(text.to_owned()));
    }
    number(text)
}

/// `yes`, `Yes`, `YES`.
fn is_spelled(text: &str, word: &str) -> bool {
    let capital = |text: &str| text.chars().next().is_some_and(|c| c.is_ascii_uppercase());
    text.eq_ignore_ascii_case(word)
        && (text == word
            || text.chars().all(|c| c.is_ascii_uppercase())
            || (capital(text) && text[1..] == word[1..]))
}

/// Longest text that is repeated in a message: file modes are, numbers that may be secret are not.
const SHOWN: usize = 5;

fn number(text: &str) -> Result<Tree, Ambiguous> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let quoted = |message: &str| Ambiguous { message: message.to_owned(), cure: "quote it".to_owned() };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(quoted(&format!("`{text}` is a number that JSON does not have")));
    }
    if digits(unsigned) {
        if unsigned.len() > 1 && unsigned.starts_with('0') {
            return Err(octal(text, unsigned));
        }
        return integer(text).ok_or_else(|| quoted("the number does not fit into 64 bits"));
    }
    if let Some((radix, body)) = based(unsigned) {
        let value = i64::from_str_radix(body, radix).ok();
        let signed = value.map(|value| if text.starts_with('-') { -value } else { value });
        let number = signed.map(|value| Tree::Number(value.into()));
        return number.ok_or_else(|| quoted("the number does not fit into 64 bits"));
    }
    if unsigned.contains('_') && digits(&unsigned.replace('_', "")) && !unsigned.starts_with('_') {
        let message = "digits with `_` between them are a number for YAML 1.1 and text for YAML 1.2";
        return Err(Ambiguous {
            message: message.to_owned(),
            cure: "leave the `_` out, or quote it".to_owned(),
        });
    }
    if is_float(unsigned) {
        let float = text.parse::<f64>().ok().and_then(Number::from_f64);
        return float.map(Tree::Number).ok_or_else(|| quoted("the number is too large"));
    }
    Ok(Tree::Text(text.to_owned()))
}

fn integer(text: &str) -> Option<Tree> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let signed = text.parse::<i64>().map(Number::from);
    signed.or_else(|_| text.parse::<u64>().map(Number::from)).ok().map(Tree::Number)
}

/// `0x1f` and `0o17`.
fn based(text: &str) -> Option<(u32, &str)> {
    let (radix, body) = match text.split_at_checked(2)? {
        ("0x", body) => (16, body),
        ("0o", body) => (8, body),
        _ => return None,
    };
    let valid = !body.is_empty() && body.chars().all(|c| c.is_digit(radix));
    valid.then_some((radix, body))
}

fn octal(text: &str, digits: &str) -> Ambiguous {
    let message = "a number that begins with 0 is octal for YAML 1.1 and text for YAML 1.2".to_owned();
    let cure = match i64::from_str_radix(digits, 8) {
        Ok(value) if text.len() <= SHOWN => format!("write {value}, or \"{text}\" if text is meant"),
        Ok(_) | Err(_) => "leave the 0 out, or quote it".to_owned(),
    };
    Ambiguous { message, cure }
}

/// `[0-9]*(\.[0-9]*)?([eE][-+]?[0-9]+)?` with at least one digit before the exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty()) && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::spec::node::{Node, Spot};

    fn read(text: &str) -> Value {
        Node { at: Spot::default(), tree: resolve(text).unwrap() }.to_value()
    }

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        let cases = [
            ("", json!(null)),
            ("~", json!(null)),
            ("True", json!(true)),
            ("12", json!(12)),
            ("+3", json!(3)),
            ("-7", json!(-7)),
            ("0x1f", json!(31)),
            ("-0o17", json!(-15)),
            ("1.50", json!(1.5)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("1.2.3", json!("1.2.3")),
            ("50%", json!("50%")),
            ("-", json!("-")),
            (".", json!(".")),
            ("10m", json!("10m")),
            ("1:30", json!("1:30")),
            ("2020-01-01", json!("2020-01-01")),
            ("0xzz", json!("0xzz")),
            ("yES", json!("yES")),
            ("only", json!("only")),
        ];
        for (text, value) in cases {
            assert_eq!(read(text), value, "{text}");
        }
    }

    #[test]
    fn what_yaml_1_1_reads_differently_is_refused() {
        for text in [
            "y", "N", "yes", "Yes", "NO", "on", "Off", "010", "-0644", "08", "1_000", ".inf", "-.INF", ".nan",
        ] {
            assert!(resolve(text).is_err(), "{text}");
        }
        assert_eq!(resolve("0644").unwrap_err().cure, "write 420, or \"0644\" if text is meant");
        for text in ["99999999999999999999", "0xffffffffffffffffff", "1e999"] {
            assert!(resolve(text).is_err(), "{text}");
        }
    }
}
