//! The rules, and what is said when one is broken.

use std::fmt;

use crate::model::{Gate, Hold, Lift, LiftKind};

/// The rules of safety that can be seen from a world and a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// No write permits more pods of an unproven template than the furthest step that Git permits.
    Exposure,
    /// Never forward on a hold, a failure, missing data or an old fetch.
    Forward,
    /// Nothing new while Git cannot be believed.
    Unreadable,
    /// Whole bodies with exact preconditions, of objects that are ours, in namespaces and kinds that are allowed.
    Whole,
    /// Nothing is deleted without evidence.
    Evidence,
    /// Steps are entered in order, one by one, and memory claims only what the status proves.
    Reached,
    /// No motion without a hold.
    Silence,
    /// One unproven revision at a time.
    OneUnproven,
}

impl Rule {
    /// One word, the same in logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exposure => "exposure",
            Self::Forward => "forward",
            Self::Unreadable => "unreadable",
            Self::Whole => "whole",
            Self::Evidence => "evidence",
            Self::Reached => "reached",
            Self::Silence => "silence",
            Self::OneUnproven => "one-unproven",
        }
    }
}

/// A rule that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// How, in one sentence.
    pub message: String,
}

impl Violation {
    /// As people see it. The cure is ours: the daemon has contradicted itself.
    #[must_use]
    pub fn hold(&self) -> Hold {
        let message = format!("the plan was refused, because it breaks a rule of safety ({self})");
        Hold { gate: Gate::Guard, since: None, message, lift: Lift::by(LiftKind::Configure) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.word(), self.message)
    }
}

/// Breaks `rule` unless it `holds`.
///
/// # Errors
///
/// The violation, with the message that `say` makes.
pub fn require(holds: bool, rule: Rule, say: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { rule, message: say() }) }
}
