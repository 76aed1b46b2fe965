//! Blue/green: the new revision comes up whole beside the old one, and all traffic moves in one write.
//!
//! It has two steps in every sense of the word. At step 1 the new revision is up in a second CloneSet, and the preview Service
//! points at it; at step 2 the active Service does. What is written of them (`previewReplicas`, `soak`, `approval`) stands in
//! these steps alone, so that everything that reads steps reads it ([`steps`]).

use crate::model::{Amount, Name, Percent};
use crate::spec::node::{Node, Spot};
use crate::spec::read::{DURATION_MAX, Fields, quote_it};
use crate::spec::release::{Approval, BlueGreen, Serve, Step};
use crate::spec::report::Report;

/// Seconds for which the old revision stays after the switch, where nothing is written.
const KEEP: u32 = 3600;
/// Every field of it.
pub const FIELDS: [&str; 6] = ["active", "preview", "approval", "soak", "keep", "previewReplicas"];

/// Where blue/green stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The whole of it.
    pub at: Spot,
    /// The value of `active`.
    pub active: Spot,
    /// The value of `preview`.
    pub preview: Spot,
}

/// Reads everything but `approval`, and with that its steps. `None` where a Service is not named.
pub fn read(
    fields: &Fields<'_>,
    approval: Option<Approval>,
    report: &mut Report,
) -> Option<(BlueGreen, Vec<Step>, Places)> {
    let soak = fields.duration("soak", 0..=DURATION_MAX, report).unwrap_or(0);
    let keep = fields.duration("keep", 1..=DURATION_MAX, report).unwrap_or(KEEP);
    let replicas = preview_replicas(fields, report);
    let (active, preview) = (service(fields, "active", report), service(fields, "preview", report));
    let ((active, active_at), (preview, preview_at)) = active.zip(preview)?;
    if active == preview {
        let message = format!(
            "`{}` and `{}` are both `{active}`: nobody could look at the new version before it serves",
            fields.path_of("active"),
            fields.path_of("preview")
        );
        report.error(preview_at, message, "write the name of another Service of the release");
    }
    let places = Places { at: fields.at(), active: active_at, preview: preview_at };
    Some((BlueGreen { active, preview, keep }, steps(replicas, soak, approval), places))
}

/// Its two steps: so many pods beside the old ones, for so long at least; then all of them serve, once it is approved.
fn steps(preview: Amount, soak: u32, approval: Option<Approval>) -> Vec<Step> {
    let all = Amount::Percent(Percent::FULL);
    let step =
        |replicas, soak, approval| Step { replicas, soak, approval, serve: Serve::Automatic, weight: None };
    vec![step(preview, soak, None), step(all, 0, approval)]
}

fn preview_replicas(fields: &Fields<'_>, report: &mut Report) -> Amount {
    let amount =
        fields.key_at("previewReplicas").and_then(|at| Some((at, fields.amount("previewReplicas", report)?)));
    if let Some((at, Amount::Count(0) | Amount::Percent(Percent::ZERO))) = amount {
        let message = format!("`{}` leaves nothing to look at", fields.path_of("previewReplicas"));
        report.error(at, message, "write 1 or more, or a percentage");
    }
    amount.map_or(Amount::Percent(Percent::FULL), |(_, amount)| amount)
}

/// The name of a Service, and where it stands.
fn service(fields: &Fields<'_>, key: &str, report: &mut Report) -> Option<(Name, Spot)> {
    let node: &Node = fields.need(key, report)?;
    let path = fields.path_of(key);
    let Some(text) = node.text() else {
        report.error(node.at, format!("`{path}` must be text, not {}", node.what()), quote_it(node));
        return None;
    };
    match text.parse() {
        Ok(name) => Some((name, node.at)),
        Err(error) => {
            report.error(node.at, format!("`{path}`: {error}"), "write the name of a Service of the release");
            None
        }
    }
}
