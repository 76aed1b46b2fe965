//! `triton approve --waiting`: every release that waits for an approval, in one commit.

use anyhow::Result;

use crate::cli::approve::{self, ApproveArgs, Waiting};
use crate::cli::output::{Exit, Printer, Refusal};
use crate::cli::records::{Pattern, Record};
use crate::model::{Gate, LiftKind};

/// Runs `triton approve`, for one release or for all that wait.
///
/// # Errors
/// Where nothing waits, the cluster cannot be read, or as [`approve::run`].
pub async fn run(args: &ApproveArgs, printer: &Printer) -> Result<Exit> {
    let Some(pattern) = &args.waiting else { return approve::run(args, printer) };
    let records = args.cluster.records().await?.list().await?;
    let waiting = waiting(&records, pattern);
    if waiting.is_empty() {
        return Err(Refusal::new(format!("no release of {pattern} waits for an approval"))
            .hint("`triton status` says what each waits for")
            .into());
    }
    approve::run_all(args, &waiting, printer)
}

/// The releases that an approval is the next thing for, each with the digest that waits.
fn waiting(records: &[Record], pattern: &Pattern) -> Vec<Waiting> {
    let what = |record: &Record| {
        let mut holds = record.status.view.holds.iter();
        let hold = holds.find(|hold| {
            let serves = hold.gate == Gate::Serve && hold.lift.kind == LiftKind::Approve;
            serves || hold.gate == Gate::Approval
        })?;
        let digest = record.status.view.digest.clone().unwrap_or_default();
        Some(Waiting { id: record.id.clone(), digest, serve: hold.gate == Gate::Serve })
    };
    records.iter().filter(|record| pattern.fits(&record.id)).filter_map(what).collect()
}
