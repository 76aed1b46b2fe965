//! How pods are exchanged, in sentences: which of them, how many at once, which go first.

use std::collections::BTreeSet;

use crate::cli::way::pods;
use crate::model::Name;
use crate::spec::Release;

/// What becomes of the pods that Git names and did not name before.
#[must_use]
pub fn replaced(old: &Release, new: &Release) -> Option<String> {
    let named: BTreeSet<&Name> = new.replace.difference(&old.replace).collect();
    let count = u32::try_from(named.len()).ok().filter(|count| *count > 0)?;
    let names = named.into_iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let fewer = old.replicas.zip(new.replicas).map_or(0, |(before, after)| before.saturating_sub(after));
    let id = &new.id;
    Some(match fewer {
        0 => format!(
            "{} of {id} {} replaced, each once, when it is complete: {names}.",
            pods(count),
            if count == 1 { "is" } else { "are" }
        ),
        _ => format!("Where {id} is complete, these go first: {names}."),
    })
}
