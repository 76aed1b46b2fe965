//! Freezes: whatever stands in the file, nothing moves while it is there.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use triton::spec::marker::REASON_MAX;
use triton::spec::{Severity, read_freeze};

use crate::generative::{any_text, config, corpus, is_a_line, spoilt};

const SOUND: &[u8] = b"# Nobody is here\nreason: holidays\nuntil: 2026-12-24T18:00:00+01:00\n";

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (freeze, wrong) = read_freeze("freeze.yaml", bytes);
    prop_assert!(!freeze.reason.is_empty() && is_a_line(&freeze.reason), "{freeze:?}");
    let broken = wrong.iter().any(|it| it.severity == Severity::Error);
    prop_assert!(!broken || freeze.until.is_none(), "a broken one has no end: {freeze:?}");
    prop_assert!(broken || !freeze.reason.contains("broken"));
    for it in &wrong {
        prop_assert!(is_a_line(&it.message) && !it.cure.is_empty() && it.path == "freeze.yaml", "{it:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(250))]

    #[test]
    fn any_bytes_freeze(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        check(&bytes)?;
    }

    #[test]
    fn any_text_freezes(reason in any_text(), until in any_text()) {
        check(format!("reason: {reason}\nuntil: {until}\n").as_bytes())?;
    }

    #[test]
    fn a_spoilt_freeze_freezes(bytes in spoilt(SOUND)) {
        check(&bytes)?;
    }

    #[test]
    fn what_is_written_comes_back(words in prop::collection::vec("[a-zA-Z0-9é🚢:#'\"-]{1,12}", 1..80), second in 0..9_999_999_999_i64) {
        let until = Timestamp::from_second(second).unwrap();
        let reason = words.join(" ");
        let text = json!({"reason": reason, "until": until.to_string()}).to_string();
        let (freeze, wrong) = read_freeze("freeze.yaml", text.as_bytes());
        prop_assert!(wrong.is_empty(), "{wrong:?}");
        prop_assert_eq!(freeze.until, Some(until));
        prop_assert_eq!(freeze.reason, reason.chars().take(REASON_MAX).collect::<String>());
    }
}

#[test]
fn the_kept_freezes_freeze() {
    for (name, bytes) in corpus("freezes") {
        check(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
