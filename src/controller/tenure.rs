//! From the lease to the end: what is had at first, and what is finished at last.

use std::path::Path;
use std::sync::Arc;

use tokio::time::Duration;

use crate::cluster::{Error, Lane, Lease, Standing, Wait};
use crate::controller::pulse::{Pulse, Stage};
use crate::controller::seen;

/// How long the second lane may finish at the end.
const FLUSH: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// The head seen last, from the lease once it is ours; from the file where there is none.
pub async fn acquire(
    lease: Option<Arc<Lease>>,
    file: Option<&Path>,
    pulse: &Pulse,
) -> Result<Standing, Error> {
    if let Some(lease) = lease {
        let waits = |wait: &Wait| pulse.enter(Stage::Waiting(wait.clone()));
        return lease.acquire(waits).await;
    }
    let Some(file) = file else { return Ok(Standing::default()) };
    seen::read(file).map_err(|error| Error::Config(format!("{}: {error}", file.display())))
}

/// Renews the lease for as long as it is ours; gives why it is lost.
pub async fn keep(lease: Option<Arc<Lease>>) -> Error {
    match lease {
        Some(lease) => lease.keep().await,
        None => std::future::pending().await,
    }
}

/// Ends in order: what is to be told is told, and the lease given back.
pub async fn finish(lane: Lane, lease: Option<Arc<Lease>>) {
    let told = async {
        while !lane.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    // What is not written now is written by the next process.
    let _ = tokio::time::timeout(FLUSH, told).await;
    if let Some(lease) = lease {
        lease.release().await;
    }
}
