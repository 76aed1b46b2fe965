//! The rules, and what is said when one is broken.

use std::fmt;

use crate::model::{Gate, Hold, Lift, LiftKind, ReleaseId};

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
    /// No pod is deleted but those that Git names, each once, while every pod is to be on a proven template.
    Replace,
    /// No pod of an unproven revision serves beyond what Git permits.
    Serving,
    /// No route leads more traffic to an unproven revision than the step that is entered, permitted and healthy, and none
    /// leads to nothing.
    Weights,
    /// Of a release that is switched as a whole, the active Service leads to pods that are proven or permitted, whole before it
    /// does, and there until it does no more.
    Switch,
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
            Self::Replace => "replace",
            Self::Serving => "serving",
            Self::Weights => "weights",
            Self::Switch => "switch",
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
    /// As people see it. The cure is ours: the daemon has contradicted itself, and the command shows what to report.
    #[must_use]
    pub fn hold(&self, id: &ReleaseId) -> Hold {
        let message =
            format!("{id} stays as it is: its plan was refused, for it breaks a rule of safety ({self})");
        let lift = Lift::by(LiftKind::Configure).command(format!("triton why {id} -o json"));
        Hold { gate: Gate::Guard, since: None, message, lift }
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
